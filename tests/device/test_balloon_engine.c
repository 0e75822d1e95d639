/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_balloon_engine.c - the balloon beside the memory engine: which pages it calls dead and when
 * it may, frames that are in use, and what it counts as returned elsewhere. On frames of either
 * size: test-balloon-engine 4K | 2M.
 */
#include "../support/testing.h"

#include <string.h>

#include "balloon_rig.h"
#include "base/bitmap.h"
#include "base/units.h"
#include "memory/hold.h"

enum { F = RIG_FRAME_PAGES, DATA_PFN = RIG_DATA_PFN };

static bool dead_pages(const struct rig *rig, uint64_t dead[BLOCK_PAGE_WORDS])
{
	memset(dead, 0, BLOCK_PAGE_WORDS * sizeof(*dead));
	return balloon_dead_pages(rig->balloon, DATA_PFN, dead);
}

static void pages_are_dead_from_inflation_to_deflation(void **state)
{
	uint64_t dead[BLOCK_PAGE_WORDS];
	struct rig *rig = *state;

	assert_false(dead_pages(rig, dead));
	rig_send_series(rig, RIG_INFLATE, DATA_PFN + 10, 2, 20, 20);
	assert_true(dead_pages(rig, dead));
	for (unsigned i = 0; i < F; i++)
		assert_int_equal(bitmap_test(dead, i), i >= 10 && i < 50 && i % 2 == 0);
	rig_send_series(rig, RIG_DEFLATE, DATA_PFN + 10, 2, 19, 19);
	assert_true(dead_pages(rig, dead));
	assert_true(bitmap_test(dead, 48));
	rig_send_series(rig, RIG_DEFLATE, DATA_PFN + 48, 1, 1, 1);
	assert_false(dead_pages(rig, dead));
}

static void nothing_is_dead_without_must_tell_host(void **state)
{
	uint64_t dead[BLOCK_PAGE_WORDS];
	struct rig *rig = *state;

	rig_send_series(rig, RIG_INFLATE, DATA_PFN, 1, 100, 100);
	assert_int_equal(rig_counters(rig).taken_bytes, 100 * GUEST_PAGE_BYTES);
	assert_false(dead_pages(rig, dead));
}

static void nothing_is_dead_after_a_reset_whatever_driver_comes(void **state)
{
	uint64_t dead[BLOCK_PAGE_WORDS];
	struct rig *rig = *state;

	rig_send_series(rig, RIG_INFLATE, DATA_PFN, 1, 100, 100);
	assert_true(dead_pages(rig, dead));
	assert_int_equal(fake_guest_start(&rig->guest, RIG_ALL_FEATURES, RIG_QUEUE_SIZE), 15);
	assert_false(dead_pages(rig, dead));
	rig_send_series(rig, RIG_INFLATE, DATA_PFN, 1, 100, 100);
	assert_int_equal(fake_guest_start(&rig->guest, RIG_ALL_FEATURES & ~BALLOON_F_MUST_TELL_HOST,
					  RIG_QUEUE_SIZE),
			 15);
	rig_send_series(rig, RIG_INFLATE, DATA_PFN, 1, 100, 100);
	assert_false(dead_pages(rig, dead));
}

static void a_frame_in_use_goes_when_its_user_is_done(void **state)
{
	const gpa_t middle = GPA(pages_to_bytes(DATA_PFN + F));
	struct rig *rig = *state;
	void *pointer;

	rig_fill(rig, DATA_PFN, 3 * F);
	assert_int_equal(ram_hold(rig->ram, middle, GUEST_PAGE_BYTES, &pointer), 0);
	rig_send_series(rig, RIG_INFLATE, DATA_PFN, 1, 3 * F, 3 * F);
	assert_int_equal(rig_counters(rig).taken_bytes, 3 * HUGE_FRAME_BYTES);
	assert_int_equal(rig_counters(rig).returned_bytes, 2 * HUGE_FRAME_BYTES);
	assert_true(rig->told_busy > 0);
	assert_true(balloon_retry(rig->balloon));
	assert_int_equal(rig_counters(rig).returned_bytes, 2 * HUGE_FRAME_BYTES);
	assert_true(rig_page_intact(rig, DATA_PFN + F));
	ram_release(rig->ram, middle, GUEST_PAGE_BYTES);
	while (balloon_retry(rig->balloon))
		;
	assert_int_equal(rig_counters(rig).returned_bytes, 3 * HUGE_FRAME_BYTES);
	assert_true(rig_page_zero(rig, DATA_PFN + F));
}

static void a_frame_in_use_is_not_given_back_for_a_report_either(void **state)
{
	const gpa_t middle = GPA(pages_to_bytes(DATA_PFN + F));
	struct rig *rig = *state;
	void *pointer;

	rig_fill(rig, DATA_PFN, 3 * F);
	assert_int_equal(ram_hold(rig->ram, middle, GUEST_PAGE_BYTES, &pointer), 0);
	assert_true(rig_send(rig, RIG_REPORTING, GPA(pages_to_bytes(DATA_PFN)),
			     (uint32_t)(3 * HUGE_FRAME_BYTES), true));
	assert_true(rig_page_zero(rig, DATA_PFN));
	assert_true(rig_page_intact(rig, DATA_PFN + F));
	assert_true(rig_page_zero(rig, DATA_PFN + 2 * F));
	assert_int_equal(rig_counters(rig).reported_total_bytes, 2 * HUGE_FRAME_BYTES);
	ram_release(rig->ram, middle, GUEST_PAGE_BYTES);
}

static bool is_the_data_block(void *ctx, uint64_t block)
{
	(void)ctx;
	return block == DATA_PFN / F;
}

static void pages_in_a_block_that_went_elsewhere_are_returned(void **state)
{
	const uint64_t taken_bytes = 100 * GUEST_PAGE_BYTES;
	bool on_huge = rig_frame_bytes == HUGE_FRAME_BYTES;
	struct rig *rig = *state;

	rig_send_series(rig, RIG_INFLATE, DATA_PFN, 1, 100, 100);
	rig_send_series(rig, RIG_INFLATE, DATA_PFN + F, 1, 100, 100);
	/* Pages of 4 KiB were given back one by one, and are counted as that. */
	assert_int_equal(balloon_gone_bytes(rig->balloon, is_the_data_block, NULL),
			 on_huge ? taken_bytes : 0);
	assert_int_equal(rig_counters(rig).returned_bytes, on_huge ? 0 : 2 * taken_bytes);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, rig_setup, rig_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(pages_are_dead_from_inflation_to_deflation),
		cmocka_unit_test_setup_teardown(nothing_is_dead_without_must_tell_host,
						rig_setup_without_must_tell, rig_teardown),
		TEST(nothing_is_dead_after_a_reset_whatever_driver_comes),
		TEST(a_frame_in_use_goes_when_its_user_is_done),
		TEST(a_frame_in_use_is_not_given_back_for_a_report_either),
		TEST(pages_in_a_block_that_went_elsewhere_are_returned),
	};

	rig_choose_frames(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
