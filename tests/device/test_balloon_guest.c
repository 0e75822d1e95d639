/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_balloon_guest.c - what a guest tells the balloon beside lists of pages: free pages it
 * reports, and statistics. On frames of either size: test-balloon-guest 4K | 2M.
 */
#include "../support/testing.h"

#include <string.h>

#include "balloon_rig.h"
#include "base/units.h"

enum { F = RIG_FRAME_PAGES, DATA_PFN = RIG_DATA_PFN };
enum { STAT_BYTES = 10 };

/* ---- Reporting ---- */

static void a_reported_block_goes_back_to_the_host(void **state)
{
	struct rig *rig = *state;
	uint64_t before;

	rig_fill(rig, DATA_PFN, 3 * F);
	before = ram_resident_bytes(rig->ram);
	assert_true(rig_send(rig, RIG_REPORTING_LINUX, GPA(pages_to_bytes(DATA_PFN)),
			     2 * HUGE_FRAME_BYTES, true));
	assert_int_equal(before - ram_resident_bytes(rig->ram), 2 * HUGE_FRAME_BYTES);
	assert_int_equal(rig_counters(rig).reported_total_bytes, 2 * HUGE_FRAME_BYTES);
	assert_int_equal(rig_counters(rig).taken_bytes, 0);
	assert_int_equal(rig_counters(rig).returned_bytes, 0);
	for (uint32_t i = 0; i < F; i++)
		assert_true(rig_page_intact(rig, DATA_PFN + 2 * F + i));
	assert_true(rig->changes > 0);
}

static void the_queue_of_the_specification_reports_too(void **state)
{
	struct rig *rig = *state;

	assert_true(rig_send(rig, RIG_REPORTING, GPA(pages_to_bytes(DATA_PFN)), HUGE_FRAME_BYTES,
			     true));
	assert_int_equal(rig_counters(rig).reported_total_bytes, HUGE_FRAME_BYTES);
}

static void without_statistics_their_queue_number_reports(void **state)
{
	struct rig *rig = *state;

	assert_true(
		rig_send(rig, RIG_STATS, GPA(pages_to_bytes(DATA_PFN)), HUGE_FRAME_BYTES, true));
	assert_int_equal(rig_counters(rig).reported_total_bytes, HUGE_FRAME_BYTES);
}

/* BL11 */
static void unaligned_reports_are_rounded_inward(void **state)
{
	struct rig *rig = *state;
	gpa_t start = GPA(pages_to_bytes(DATA_PFN) + 100);
	uint64_t aligned_start;

	rig_fill(rig, DATA_PFN, 3 * F);
	assert_true(align_up(start.addr, rig_frame_bytes, &aligned_start));
	assert_true(rig_send(rig, RIG_REPORTING_LINUX, start, 2 * HUGE_FRAME_BYTES, true));
	assert_int_equal(rig_counters(rig).reported_total_bytes,
			 align_down(start.addr + 2 * HUGE_FRAME_BYTES, rig_frame_bytes) -
				 aligned_start);
	assert_true(rig_page_intact(rig, DATA_PFN));
	assert_true(rig_page_intact(rig, DATA_PFN + 2 * F));
	assert_true(rig_page_zero(rig, DATA_PFN + F));
}

/* BL11 */
static void empty_overlapping_and_wrong_way_reports_are_harmless(void **state)
{
	struct rig *rig = *state;
	gpa_t start = GPA(pages_to_bytes(DATA_PFN));
	struct fake_buf twice[] = {
		{ .addr = start, .len_bytes = HUGE_FRAME_BYTES, .writable = true },
		{ .addr = start, .len_bytes = 0, .writable = true },
		{ .addr = start, .len_bytes = 2 * HUGE_FRAME_BYTES, .writable = true },
	};

	assert_true(rig_send(rig, RIG_REPORTING_LINUX, start, 0, true));
	assert_int_equal(rig_counters(rig).reported_total_bytes, 0);
	assert_true(fake_guest_add(&rig->guest, RIG_REPORTING_LINUX, twice, 3, FAKE_DIRECT) >= 0);
	(void)fake_guest_kick(&rig->guest, RIG_REPORTING_LINUX);
	assert_true(rig_reap(rig, RIG_REPORTING_LINUX));
	assert_int_equal(rig_counters(rig).reported_total_bytes, 3 * HUGE_FRAME_BYTES);
	assert_true(rig_send(rig, RIG_REPORTING_LINUX, start, 4096, false));
	assert_int_equal(rig_bad_requests(rig), 1);
	assert_false(rig_broken(rig));
}

/* BL11, where it is VQ08: a buffer that is not RAM breaks the ring's rules before anything else. */
static void reports_in_the_hole_or_past_the_end_break_the_device_only(void **state)
{
	struct rig *rig = *state;
	static const uint64_t starts[] = { RAM_HOLE_START, RIG_RAM_BYTES - 4096, UINT64_MAX - 100 };

	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		assert_false(
			rig_send(rig, RIG_REPORTING_LINUX, GPA(starts[i]), HUGE_FRAME_BYTES, true));
		assert_true(rig_broken(rig));
		assert_int_equal(rig_counters(rig).reported_total_bytes, 0);
		assert_int_equal(fake_guest_start(&rig->guest, RIG_ALL_FEATURES, RIG_QUEUE_SIZE),
				 15);
	}
}

static void a_report_of_all_ram_takes_turns(void **state)
{
	struct rig *rig = *state;
	gpa_t start = GPA(pages_to_bytes(DATA_PFN));
	uint32_t len = (RIG_RAM_FRAMES - 2) * HUGE_FRAME_BYTES;
	unsigned kicks = rig->guest.kicks;

	assert_true(rig_send(rig, RIG_REPORTING_LINUX, start, len, true));
	assert_int_equal(rig_counters(rig).reported_total_bytes, len);
	if (!rig_on_huge_frames())
		assert_true(rig->guest.kicks - kicks > 1);
}

static void a_report_counts_frames_in_the_balloon_only_once(void **state)
{
	struct rig *rig = *state;

	rig_send_series(rig, RIG_INFLATE, DATA_PFN, 1, F, 256);
	assert_true(rig_send(rig, RIG_REPORTING_LINUX, GPA(pages_to_bytes(DATA_PFN)),
			     2 * HUGE_FRAME_BYTES, true));
	assert_int_equal(rig_counters(rig).reported_total_bytes, HUGE_FRAME_BYTES);
	assert_int_equal(rig_counters(rig).returned_bytes, HUGE_FRAME_BYTES);
}

/* ---- Statistics ---- */

static uint32_t put_stat(struct rig *rig, uint32_t at, uint16_t tag, uint64_t value)
{
	uint8_t *to = (uint8_t *)fake_guest_at(&rig->guest, rig->list) + at;

	memcpy(to, &tag, sizeof(tag));
	memcpy(to + sizeof(tag), &value, sizeof(value));
	return at + STAT_BYTES;
}

static struct balloon_guest_stats stats_of(struct rig *rig)
{
	struct balloon_guest_stats stats;

	balloon_read_stats(rig->balloon, &stats);
	return stats;
}

static void statistics_are_asked_for_by_giving_the_buffer_back(void **state)
{
	struct rig *rig = *state;
	uint32_t len;

	assert_int_equal(stats_of(rig).at_ns, 0);
	len = put_stat(rig, 0, BALLOON_STAT_MEMFREE, 1000);
	len = put_stat(rig, len, BALLOON_STAT_MEMTOT, 2000);
	assert_false(rig_send(rig, RIG_STATS, rig->list, len, false)); /* held */
	assert_true(stats_of(rig).at_ns > 0);
	assert_int_equal(stats_of(rig).present,
			 1u << BALLOON_STAT_MEMFREE | 1u << BALLOON_STAT_MEMTOT);
	assert_int_equal(stats_of(rig).value[BALLOON_STAT_MEMTOT], 2000);

	(void)fake_guest_interrupt(&rig->guest);
	balloon_poll_stats(rig->balloon, 5);
	assert_int_equal(fake_guest_interrupt(&rig->guest), FAKE_INTERRUPT_QUEUE);
	assert_true(rig_reap(rig, RIG_STATS));
	len = put_stat(rig, 0, BALLOON_STAT_MEMFREE, 1500);
	assert_false(rig_send(rig, RIG_STATS, rig->list, len, false));
	assert_int_equal(stats_of(rig).present, 1u << BALLOON_STAT_MEMFREE);
	assert_int_equal(stats_of(rig).value[BALLOON_STAT_MEMFREE], 1500);
}

/* BL09 */
static void a_statistics_buffer_never_given_back_is_asked_for_once(void **state)
{
	struct rig *rig = *state;

	assert_false(rig_send(rig, RIG_STATS, rig->list, put_stat(rig, 0, 0, 1), false));
	for (unsigned i = 0; i < 1000; i++)
		balloon_poll_stats(rig->balloon, i);
	assert_true(rig_reap(rig, RIG_STATS));
	assert_false(rig_reap(rig, RIG_STATS));
	assert_int_equal(fake_guest_run(&rig->guest, 10), 0);
}

/* BL09 */
static void of_two_statistics_buffers_one_is_held_and_one_waits(void **state)
{
	struct rig *rig = *state;

	assert_false(rig_send(rig, RIG_STATS, rig->list, put_stat(rig, 0, 0, 1), false));
	assert_false(rig_send(rig, RIG_STATS, rig->list, put_stat(rig, 0, 0, 2), false));
	assert_int_equal(stats_of(rig).value[0], 1);
	balloon_poll_stats(rig->balloon, 1);
	assert_true(rig_reap(rig, RIG_STATS));
	assert_false(rig_reap(rig, RIG_STATS));
	balloon_poll_stats(rig->balloon, 2); /* no ring came: look */
	assert_int_equal(stats_of(rig).value[0], 2);
	assert_int_equal(stats_of(rig).at_ns, 2);
	balloon_poll_stats(rig->balloon, 3);
	assert_true(rig_reap(rig, RIG_STATS));
}

/* BL09 */
static void odd_empty_huge_and_wrong_way_statistics_are_ignored(void **state)
{
	struct rig *rig = *state;
	struct fake_buf whole_ram[60];
	uint64_t value;

	for (uint32_t len = 0; len < STAT_BYTES; len++) {
		assert_false(rig_send(rig, RIG_STATS, rig->list, len, len % 2 == 0));
		balloon_poll_stats(rig->balloon, 1);
		assert_true(rig_reap(rig, RIG_STATS));
	}
	assert_int_equal(stats_of(rig).at_ns, 0);
	for (size_t i = 0; i < ARRAY_LEN(whole_ram); i++)
		whole_ram[i] = (struct fake_buf){ .addr = rig->list, .len_bytes = 40 * MIB_BYTES };
	(void)put_stat(rig, 0, BALLOON_STAT_AVAIL, UINT64_MAX);
	assert_true(fake_guest_add(&rig->guest, RIG_STATS, whole_ram, 60, FAKE_INDIRECT) >= 0);
	(void)fake_guest_kick(&rig->guest, RIG_STATS);
	value = stats_of(rig).value[BALLOON_STAT_AVAIL];
	assert_true(value == UINT64_MAX);
	assert_false(rig_broken(rig));
	assert_int_equal(rig_bad_requests(rig), 0);
}

/* VQ27: what is held at a reset is forgotten; nothing is written for it afterwards. */
static void a_reset_forgets_the_statistics_buffer(void **state)
{
	struct rig *rig = *state;

	assert_false(rig_send(rig, RIG_STATS, rig->list, put_stat(rig, 0, 0, 1), false));
	fake_guest_write(&rig->guest, FAKE_STATUS, 0);
	balloon_poll_stats(rig->balloon, 1);
	assert_false(rig_reap(rig, RIG_STATS));
	assert_int_equal(stats_of(rig).at_ns, 0);
	assert_int_equal(fake_guest_start(&rig->guest, RIG_ALL_FEATURES, RIG_QUEUE_SIZE), 15);
	balloon_poll_stats(rig->balloon, 2);
	assert_false(rig_reap(rig, RIG_STATS));
	assert_false(rig_broken(rig));
}

#define TEST(function)		 cmocka_unit_test_setup_teardown(function, rig_setup, rig_teardown)
#define TEST_WITH(function, how) cmocka_unit_test_setup_teardown(function, how, rig_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(a_reported_block_goes_back_to_the_host),
		TEST(the_queue_of_the_specification_reports_too),
		TEST_WITH(without_statistics_their_queue_number_reports, rig_setup_without_stats),
		TEST(unaligned_reports_are_rounded_inward),
		TEST(empty_overlapping_and_wrong_way_reports_are_harmless),
		TEST(reports_in_the_hole_or_past_the_end_break_the_device_only),
		TEST(a_report_of_all_ram_takes_turns),
		TEST(a_report_counts_frames_in_the_balloon_only_once),
		TEST(statistics_are_asked_for_by_giving_the_buffer_back),
		TEST(a_statistics_buffer_never_given_back_is_asked_for_once),
		TEST(of_two_statistics_buffers_one_is_held_and_one_waits),
		TEST(odd_empty_huge_and_wrong_way_statistics_are_ignored),
		TEST(a_reset_forgets_the_statistics_buffer),
	};

	rig_choose_frames(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
