/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_balloon.c - the balloon as a driver sees it, on frames of either size: test-balloon 4K | 2M.
 */
#include "../support/testing.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "balloon_rig.h"
#include "base/units.h"

enum { F = RIG_FRAME_PAGES, DATA_PFN = RIG_DATA_PFN };
enum { LIST_MAX_PAGES = 32768, STAT_BYTES = 10 };

/* ---- Target ---- */

static void a_target_reaches_the_driver_as_num_pages_with_an_interrupt(void **state)
{
	struct rig *rig = *state;

	(void)fake_guest_interrupt(&rig->guest);
	assert_int_equal(balloon_set_target(rig->balloon, 5 * MIB_BYTES + 100), 0);
	assert_int_equal(fake_guest_interrupt(&rig->guest), FAKE_INTERRUPT_CONFIG);
	assert_int_equal(fake_guest_read_config32(&rig->guest, 0), 5 * 256);
	assert_int_equal(rig_counters(rig).asked_bytes, 5 * MIB_BYTES);
	assert_int_equal(balloon_set_target(rig->balloon, 5 * MIB_BYTES), 0);
	assert_int_equal(fake_guest_interrupt(&rig->guest), 0); /* nothing new */
}

static void a_target_above_ram_is_refused_and_the_guest_sees_nothing(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(balloon_set_target(rig->balloon, RIG_RAM_BYTES + 1), -ERANGE);
	assert_int_equal(balloon_set_target(rig->balloon, UINT64_MAX), -ERANGE);
	assert_int_equal(fake_guest_read_config32(&rig->guest, 0), 0);
	assert_int_equal(balloon_set_target(rig->balloon, RIG_RAM_BYTES), 0);
}

static void a_target_set_without_a_driver_is_there_when_one_comes(void **state)
{
	struct rig *rig = *state;

	fake_guest_write(&rig->guest, FAKE_STATUS, 0);
	assert_false(rig_counters(rig).driver_ready);
	assert_int_equal(balloon_set_target(rig->balloon, MIB_BYTES), 0);
	assert_int_equal(fake_guest_start(&rig->guest, RIG_ALL_FEATURES, RIG_QUEUE_SIZE), 15);
	assert_true(rig_counters(rig).driver_ready);
	assert_int_equal(fake_guest_read_config32(&rig->guest, 0), 256);
}

/* BL14 */
static void a_guest_that_never_obeys_costs_one_interrupt_per_new_target(void **state)
{
	struct rig *rig = *state;
	unsigned kicks = rig->guest.kicks;

	(void)fake_guest_interrupt(&rig->guest);
	for (unsigned i = 1; i <= 1000; i++) {
		assert_int_equal(balloon_set_target(rig->balloon, pages_to_bytes(i)), 0);
		balloon_poll_stats(rig->balloon, i);
	}
	assert_int_equal(fake_guest_run(&rig->guest, 10), 0);
	assert_int_equal(rig->guest.kicks, kicks);
	assert_int_equal(rig->guest.stalls, 0);
	assert_int_equal(rig_counters(rig).taken_bytes, 0);
}

/* BL10 */
static void actual_is_a_claim_and_saturates_at_ram(void **state)
{
	struct rig *rig = *state;
	uint8_t byte = 0x12;

	for (unsigned i = 0; i < 100; i++) {
		fake_guest_write_config32(&rig->guest, 4, UINT32_MAX);
		assert_int_equal(rig_counters(rig).guest_actual_pages,
				 bytes_to_pages(RIG_RAM_BYTES));
		fake_guest_write_config32(&rig->guest, 4, i);
		assert_int_equal(rig_counters(rig).guest_actual_pages, i);
	}
	fake_guest_write_config32(&rig->guest, 4, 0);
	virtio_write_config(balloon_device(rig->balloon), 5, &byte, 1);
	assert_int_equal(rig_counters(rig).guest_actual_pages, 0x1200);
	assert_int_equal(fake_guest_read_config32(&rig->guest, 4), 0x1200);
	assert_int_equal(rig_counters(rig).taken_bytes, 0);
}

/* BL12, BL13 */
static void num_pages_and_fields_that_are_not_there_cannot_be_written(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(balloon_set_target(rig->balloon, MIB_BYTES), 0);
	fake_guest_write_config32(&rig->guest, 0, 77);
	fake_guest_write_config32(&rig->guest, 8, 77);	/* free_page_hint_cmd_id */
	fake_guest_write_config32(&rig->guest, 12, 77); /* poison_val */
	assert_int_equal(fake_guest_read_config32(&rig->guest, 0), 256);
	assert_int_equal(fake_guest_read_config32(&rig->guest, 8), 0);
	assert_int_equal(fake_guest_read_config32(&rig->guest, 12), 0);
	assert_int_equal(fake_guest_negotiate(&rig->guest, UINT64_C(1) << 4) &
				 VIRTIO_STATUS_FEATURES_OK,
			 0); /* PAGE_POISON was not offered */
}

/* ---- Inflate and deflate ---- */

static void a_stock_inflation_returns_whole_frames_to_the_host(void **state)
{
	struct rig *rig = *state;
	uint64_t before;

	rig_fill(rig, DATA_PFN, 4 * F);
	before = ram_resident_bytes(rig->ram);
	rig_send_series(rig, RIG_INFLATE, DATA_PFN + 4 * F - 1, -1, 4 * F, 256);
	assert_int_equal(rig_counters(rig).taken_bytes, 4 * HUGE_FRAME_BYTES);
	assert_int_equal(rig_counters(rig).returned_bytes, 4 * HUGE_FRAME_BYTES);
	assert_int_equal(before - ram_resident_bytes(rig->ram), 4 * HUGE_FRAME_BYTES);
	assert_true(rig->changes > 0);
}

static void a_frame_is_gone_before_its_request_is_acknowledged(void **state)
{
	struct rig *rig = *state;
	uint32_t *pfns = fake_guest_at(&rig->guest, rig->list);
	struct fake_buf buf = { .addr = rig->list, .len_bytes = F * sizeof(*pfns) };

	rig_fill(rig, DATA_PFN, F);
	for (uint32_t i = 0; i < F; i++)
		pfns[i] = DATA_PFN + i;
	assert_true(fake_guest_add(&rig->guest, RIG_INFLATE, &buf, 1, FAKE_DIRECT) >= 0);
	assert_int_equal(rig_counters(rig).returned_bytes, 0);
	(void)fake_guest_kick(&rig->guest, RIG_INFLATE);
	assert_true(rig_reap(rig, RIG_INFLATE));
	assert_int_equal(rig_counters(rig).returned_bytes, HUGE_FRAME_BYTES);
	assert_true(rig_page_zero(rig, DATA_PFN + 7));
}

/* BL05 */
static void pages_outside_the_balloon_stay_bit_identical(void **state)
{
	struct rig *rig = *state;
	struct test_random random = test_random_start();
	bool ballooned[2 * F];

	for (unsigned round = 0; round < 8; round++) {
		rig_fill(rig, DATA_PFN, 2 * F);
		memset(ballooned, 0, sizeof(ballooned));
		for (unsigned i = 0; i < 600; i++) {
			uint32_t page = (uint32_t)test_random_below(&random, 2 * F);
			uint32_t pfn = DATA_PFN + page;
			bool out = test_random_below(&random, 4) == 0;

			if (page % F == F - 1) /* never full */
				continue;
			assert_true(rig_send_pfns(rig, out ? RIG_DEFLATE : RIG_INFLATE, &pfn, 1));
			ballooned[page] |= !out;
		}
		for (uint32_t page = 0; page < 2 * F; page++)
			if (!ballooned[page] || rig_on_huge_frames())
				assert_true(rig_page_intact(rig, DATA_PFN + page));
		rig_send_series(rig, RIG_DEFLATE, DATA_PFN, 1, 2 * F, 256);
		assert_int_equal(rig_counters(rig).taken_bytes, 0);
		assert_int_equal(rig_counters(rig).returned_bytes, 0);
	}
}

/* BL01 */
static void a_list_of_impossible_pages_is_acknowledged_and_changes_nothing(void **state)
{
	struct rig *rig = *state;
	uint32_t pfns[] = { 0xffffffff, 0x80000000, 0xc0000, 0x100000, RIG_RAM_BYTES / 4096 };

	assert_true(rig_send_pfns(rig, RIG_INFLATE, pfns, ARRAY_LEN(pfns)));
	assert_true(rig_send_pfns(rig, RIG_DEFLATE, pfns, ARRAY_LEN(pfns)));
	assert_int_equal(rig_counters(rig).ignored_pages, 2 * ARRAY_LEN(pfns));
	assert_int_equal(rig_counters(rig).taken_bytes, 0);
	assert_int_equal(rig_bad_requests(rig), 0);
}

/* BL02 */
static void doubled_pages_count_once(void **state)
{
	struct rig *rig = *state;

	rig_send_series(rig, RIG_INFLATE, DATA_PFN, 0, 100, 50);
	rig_send_series(rig, RIG_INFLATE, DATA_PFN, 1, F, 256);
	rig_send_series(rig, RIG_INFLATE, DATA_PFN, 1, F, 256);
	assert_int_equal(rig_counters(rig).taken_bytes, HUGE_FRAME_BYTES);
	assert_int_equal(rig_counters(rig).returned_bytes, HUGE_FRAME_BYTES);
	assert_int_equal(rig_counters(rig).inflated_total_pages, F);
	assert_int_equal(rig_counters(rig).ignored_pages, 99 + 1 + F);
}

/* BL03: the device reads zeros where its ring was; whatever it makes of them, it survives. */
static void the_rings_own_pages_may_be_inflated(void **state)
{
	struct rig *rig = *state;
	uint32_t *pfns = fake_guest_at(&rig->guest, rig->list);
	struct fake_buf buf = { .addr = rig->list, .len_bytes = F * sizeof(*pfns) };

	for (uint32_t i = 0; i < F; i++)
		pfns[i] = i; /* the first 2 MiB: rings, this list, everything */
	assert_true(fake_guest_add(&rig->guest, RIG_INFLATE, &buf, 1, FAKE_DIRECT) >= 0);
	(void)fake_guest_kick(&rig->guest, RIG_INFLATE);
	(void)fake_guest_kick(&rig->guest, RIG_INFLATE);
	assert_true(rig_counters(rig).taken_bytes > 0);

	/* And a reset makes everything good again. */
	assert_int_equal(fake_guest_start(&rig->guest, RIG_ALL_FEATURES, RIG_QUEUE_SIZE), 15);
	rig_send_series(rig, RIG_INFLATE, DATA_PFN, 1, F, 256);
	assert_int_equal(rig_counters(rig).taken_bytes, HUGE_FRAME_BYTES);
}

/* BL04: a page under a device's hands; here the statistics buffer that the balloon holds. */
static void a_page_that_a_device_still_holds_may_be_inflated(void **state)
{
	struct rig *rig = *state;
	gpa_t buf = GPA(pages_to_bytes(DATA_PFN + 3));

	rig_fill(rig, DATA_PFN, F);
	assert_false(rig_send(rig, RIG_STATS, buf, 4 * STAT_BYTES, false));
	rig_send_series(rig, RIG_INFLATE, DATA_PFN, 1, F, 256);
	balloon_poll_stats(rig->balloon, 1);
	assert_true(rig_reap(rig, RIG_STATS));
	assert_false(rig_broken(rig));
	assert_false(rig_send(rig, RIG_STATS, buf, 4 * STAT_BYTES, false));
	assert_true(rig_page_zero(rig, DATA_PFN + 3));
}

/* BL06 */
static void deflating_what_was_never_inflated_is_ignored(void **state)
{
	struct rig *rig = *state;

	rig_fill(rig, DATA_PFN, F);
	rig_send_series(rig, RIG_DEFLATE, DATA_PFN, 1, F, 256);
	assert_int_equal(rig_counters(rig).ignored_pages, F);
	assert_int_equal(rig_counters(rig).deflated_total_pages, 0);
	for (uint32_t i = 0; i < F; i++)
		assert_true(rig_page_intact(rig, DATA_PFN + i));
}

/* BL07 */
static void lists_of_impossible_length_are_refused(void **state)
{
	struct rig *rig = *state;
	static const uint32_t lens[] = { 0, 1, 2, 3, 5, 1023, (LIST_MAX_PAGES + 1) * 4 };
	struct fake_buf whole_ram[86];

	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		assert_true(rig_send(rig, RIG_INFLATE, rig->list, lens[i], false));
		assert_true(rig_send(rig, RIG_DEFLATE, rig->list, lens[i], false));
	}
	assert_int_equal(rig_bad_requests(rig), 2 * ARRAY_LEN(lens));

	/* 4 GiB less a bit, out of the same bytes many times over */
	for (size_t i = 0; i < 60; i++)
		whole_ram[i] = (struct fake_buf){ .addr = GPA(0), .len_bytes = RIG_RAM_BYTES };
	assert_true(fake_guest_add(&rig->guest, RIG_INFLATE, whole_ram, 60, FAKE_INDIRECT) >= 0);
	(void)fake_guest_kick(&rig->guest, RIG_INFLATE);
	assert_true(rig_reap(rig, RIG_INFLATE));
	assert_int_equal(rig_bad_requests(rig), 2 * ARRAY_LEN(lens) + 1);
	assert_int_equal(rig_counters(rig).taken_bytes, 0);
	assert_false(rig_broken(rig));
}

/* BL08 */
static void lists_the_device_may_write_are_refused(void **state)
{
	struct rig *rig = *state;
	struct fake_buf bufs[] = { { .addr = rig->list, .len_bytes = 8 },
				   { .addr = rig->list, .len_bytes = 8, .writable = true } };

	assert_true(rig_send(rig, RIG_INFLATE, rig->list, 1024, true));
	assert_true(rig_send(rig, RIG_DEFLATE, rig->list, 1024, true));
	assert_true(fake_guest_add(&rig->guest, RIG_INFLATE, bufs, 2, FAKE_DIRECT) >= 0);
	(void)fake_guest_kick(&rig->guest, RIG_INFLATE);
	assert_true(rig_reap(rig, RIG_INFLATE));
	assert_int_equal(rig_bad_requests(rig), 3);
	assert_int_equal(rig_counters(rig).taken_bytes, 0);
}

static void the_longest_list_is_served_whole(void **state)
{
	struct rig *rig = *state;

	rig_send_series(rig, RIG_INFLATE, 0x7fff0000, 1, LIST_MAX_PAGES, LIST_MAX_PAGES);
	assert_int_equal(rig_counters(rig).ignored_pages, LIST_MAX_PAGES);
	rig_send_series(rig, RIG_INFLATE, DATA_PFN, 1, 20 * F, 20 * F);
	assert_int_equal(rig_counters(rig).returned_bytes, 20 * HUGE_FRAME_BYTES);
	rig_send_series(rig, RIG_DEFLATE, DATA_PFN, 1, 20 * F, 20 * F);
	assert_int_equal(rig_counters(rig).taken_bytes, 0);
	assert_int_equal(rig_counters(rig).ignored_pages, LIST_MAX_PAGES);
}

static void a_list_in_pieces_of_odd_length_is_one_list(void **state)
{
	struct rig *rig = *state;
	uint32_t *pfns = fake_guest_at(&rig->guest, rig->list);
	struct fake_buf bufs[] = { { .addr = rig->list, .len_bytes = 3 },
				   { .addr = GPA(rig->list.addr + 3), .len_bytes = 2042 },
				   { .addr = GPA(rig->list.addr + 2045), .len_bytes = 3 } };

	for (uint32_t i = 0; i < F; i++)
		pfns[i] = DATA_PFN + i;
	assert_true(fake_guest_add(&rig->guest, RIG_INFLATE, bufs, 3, FAKE_DIRECT) >= 0);
	(void)fake_guest_kick(&rig->guest, RIG_INFLATE);
	assert_true(rig_reap(rig, RIG_INFLATE));
	assert_int_equal(rig_counters(rig).returned_bytes, HUGE_FRAME_BYTES);
}

/* BL15 */
static void a_million_pages_in_and_out_take_turns_and_count_right(void **state)
{
	struct rig *rig = *state;
	uint32_t *pfns = fake_guest_at(&rig->guest, rig->list);
	struct fake_buf buf = { .addr = rig->list, .len_bytes = LIST_MAX_PAGES * sizeof(*pfns) };
	unsigned kicks = rig->guest.kicks;
	uint32_t chains = 0;

	for (uint32_t i = 0; i < LIST_MAX_PAGES; i++)
		pfns[i] = i % 3 ? DATA_PFN + i * 7 % (20 * F) : UINT32_MAX - i;
	for (unsigned i = 0; i < 32; i++)
		assert_true(fake_guest_add(&rig->guest, i % 2 ? RIG_INFLATE : RIG_DEFLATE, &buf, 1,
					   FAKE_DIRECT) >= 0);
	(void)fake_guest_kick(&rig->guest, RIG_INFLATE);
	(void)fake_guest_kick(&rig->guest, RIG_DEFLATE);
	while (rig_reap(rig, RIG_INFLATE) || rig_reap(rig, RIG_DEFLATE))
		chains++;
	assert_int_equal(chains, 32);
	if (!rig_on_huge_frames())
		assert_true(rig->guest.kicks - kicks > 2); /* nobody works it off in one go */
	assert_int_equal(rig_counters(rig).taken_bytes,
			 pages_to_bytes(rig_counters(rig).inflated_total_pages -
					rig_counters(rig).deflated_total_pages));
	assert_int_equal(rig_counters(rig).inflated_total_pages +
				 rig_counters(rig).deflated_total_pages +
				 rig_counters(rig).ignored_pages,
			 32 * LIST_MAX_PAGES);
}

static void without_must_tell_host_scattered_pages_are_taken_but_kept(void **state)
{
	struct rig *rig = *state;

	rig_fill(rig, DATA_PFN, F);
	rig_send_series(rig, RIG_INFLATE, DATA_PFN, 1, F, 256);
	assert_int_equal(rig_counters(rig).taken_bytes, HUGE_FRAME_BYTES);
	if (rig_on_huge_frames()) {
		assert_int_equal(rig_counters(rig).returned_bytes, 0);
		assert_true(rig_page_intact(rig, DATA_PFN));
	}
	rig_send_series(rig, RIG_DEFLATE, DATA_PFN, 1, F, 256);
	rig_send_series(rig, RIG_INFLATE, DATA_PFN, 1, F, F);
	assert_int_equal(rig_counters(rig).returned_bytes, HUGE_FRAME_BYTES);
}

/* BL17 */
static void reset_while_inflated_brings_every_number_of_now_to_zero(void **state)
{
	struct rig *rig = *state;

	rig_send_series(rig, RIG_INFLATE, DATA_PFN, 1, 3 * F + 100, 256);
	fake_guest_write_config32(&rig->guest, 4, 1000);
	fake_guest_write(&rig->guest, FAKE_STATUS, 0);

	struct balloon_counters counters = rig_counters(rig);

	assert_int_equal(counters.taken_bytes, 0);
	assert_int_equal(counters.returned_bytes, 0);
	assert_int_equal(counters.guest_actual_pages, 0);
	assert_int_equal(counters.features, 0);
	assert_false(counters.driver_ready);
	assert_int_equal(counters.inflated_total_pages, 3 * F + 100);

	/* The pages before the reset are the new kernel's: they complete nothing. */
	assert_int_equal(fake_guest_start(&rig->guest, RIG_ALL_FEATURES, RIG_QUEUE_SIZE), 15);
	rig_fill(rig, DATA_PFN + 3 * F, F);
	rig_send_series(rig, RIG_INFLATE, DATA_PFN + 3 * F + 100, 1, F - 100, 256);
	for (uint32_t i = 0; i < 100; i++)
		assert_true(rig_page_intact(rig, DATA_PFN + 3 * F + i));
}

/* ---- Famine: the host has no frame for what the device must read (2 MiB frames only) ---- */

static void take_all_of_the_pool(struct rig *rig)
{
	for (uint32_t frame = 1; frame < RIG_RAM_FRAMES; frame++)
		if (ram_back(rig->ram, GPA(frame * HUGE_FRAME_BYTES), 1) == -ENOSPC)
			return;
	fail_msg("the pool has more pages than this test thinks");
}

/* BL16 */
static void a_list_nobody_can_back_waits_and_is_counted_once(void **state)
{
	struct rig *rig = *state;
	const uint32_t last = RIG_RAM_FRAMES - 1;
	uint32_t *pfns = fake_guest_at(&rig->guest, rig->list);
	/* More than a piece that can be read, then one that cannot. */
	struct fake_buf bufs[] = { { .addr = rig->list, .len_bytes = 300 * sizeof(*pfns) },
				   { .addr = GPA(last * HUGE_FRAME_BYTES), .len_bytes = 4 } };

	for (uint32_t i = 0; i < 300; i++)
		pfns[i] = DATA_PFN + i;
	take_all_of_the_pool(rig);
	assert_true(fake_guest_add(&rig->guest, RIG_INFLATE, bufs, 2, FAKE_DIRECT) >= 0);
	(void)fake_guest_kick(&rig->guest, RIG_INFLATE);
	assert_int_equal(rig->guest.stalls, 1);
	assert_false(rig_reap(rig, RIG_INFLATE));
	assert_int_equal(rig_counters(rig).taken_bytes, pages_to_bytes(256));

	virtio_mmio_kick(rig->guest.mmio, RIG_INFLATE); /* the transport's timer, still too early */
	assert_int_equal(rig->guest.stalls, 2);

	rig_send_series(rig, RIG_DEFLATE, DATA_PFN + 5, 1, 1, 1); /* others go on meanwhile */
	assert_true(rig_send(rig, RIG_REPORTING_LINUX, GPA(5 * HUGE_FRAME_BYTES), HUGE_FRAME_BYTES,
			     true));
	virtio_mmio_kick(rig->guest.mmio, RIG_INFLATE); /* now a page is free */
	assert_true(rig_reap(rig, RIG_INFLATE));
	assert_int_equal(rig_counters(rig).taken_bytes, pages_to_bytes(300)); /* 299, and PFN 0 */
	assert_int_equal(rig_counters(rig).inflated_total_pages, 301);
	assert_int_equal(rig_counters(rig).ignored_pages, 0);
}

/* BL16 */
static void touching_without_deflating_gives_zeros_and_no_host_fault(void **state)
{
	struct rig *rig = *state;
	gpa_t buf = GPA(pages_to_bytes(DATA_PFN + 9));
	struct balloon_guest_stats stats;

	rig_fill(rig, DATA_PFN, F);
	rig_send_series(rig, RIG_INFLATE, DATA_PFN, 1, F, 256);
	/* Zeros say: tag 0 (swap in) is 0. The device touched a frame it had given back. */
	assert_false(rig_send(rig, RIG_STATS, buf, STAT_BYTES, false));
	balloon_read_stats(rig->balloon, &stats);
	assert_int_equal(stats.present, 1u << BALLOON_STAT_SWAP_IN);
	assert_int_equal(stats.value[BALLOON_STAT_SWAP_IN], 0);
	if (!rig_on_huge_frames())
		return;
	balloon_poll_stats(rig->balloon, 1);
	assert_true(rig_reap(rig, RIG_STATS));
	take_all_of_the_pool(rig);
	assert_false(rig_send(rig, RIG_STATS, GPA((RIG_RAM_FRAMES - 1) * HUGE_FRAME_BYTES),
			      STAT_BYTES, false));
	assert_int_equal(rig->guest.stalls, 1);
	assert_false(rig_broken(rig));
}

/* ---- Any thread may ask ---- */

struct reader {
	struct rig *rig;
	atomic_bool done;
	atomic_uint reads;
	bool consistent;
};

static void *read_counters(void *arg)
{
	struct reader *reader = arg;

	while (!atomic_load(&reader->done)) {
		struct balloon_counters counters = rig_counters(reader->rig);

		reader->consistent &=
			counters.taken_bytes == pages_to_bytes(counters.inflated_total_pages -
							       counters.deflated_total_pages) &&
			counters.returned_bytes <= counters.taken_bytes && counters.driver_ready;
		atomic_fetch_add(&reader->reads, 1);
	}
	return NULL;
}

static void other_threads_see_counters_of_one_moment(void **state)
{
	struct reader reader = { .rig = *state, .consistent = true };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, read_counters, &reader), 0);
	for (unsigned i = 0; i < 300 || atomic_load(&reader.reads) < 1000; i++) {
		rig_send_series(reader.rig, RIG_INFLATE, DATA_PFN + i % F, 1, 300, 100);
		rig_send_series(reader.rig, RIG_DEFLATE, DATA_PFN + i % F, 1, 300, 100);
	}
	atomic_store(&reader.done, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(reader.consistent);
}

#define TEST(function)		 cmocka_unit_test_setup_teardown(function, rig_setup, rig_teardown)
#define TEST_WITH(function, how) cmocka_unit_test_setup_teardown(function, how, rig_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(a_target_reaches_the_driver_as_num_pages_with_an_interrupt),
		TEST(a_target_above_ram_is_refused_and_the_guest_sees_nothing),
		TEST(a_target_set_without_a_driver_is_there_when_one_comes),
		TEST(a_guest_that_never_obeys_costs_one_interrupt_per_new_target),
		TEST(actual_is_a_claim_and_saturates_at_ram),
		TEST(num_pages_and_fields_that_are_not_there_cannot_be_written),
		TEST(a_stock_inflation_returns_whole_frames_to_the_host),
		TEST(a_frame_is_gone_before_its_request_is_acknowledged),
		TEST(pages_outside_the_balloon_stay_bit_identical),
		TEST(a_list_of_impossible_pages_is_acknowledged_and_changes_nothing),
		TEST(doubled_pages_count_once),
		TEST(the_rings_own_pages_may_be_inflated),
		TEST(a_page_that_a_device_still_holds_may_be_inflated),
		TEST(deflating_what_was_never_inflated_is_ignored),
		TEST(lists_of_impossible_length_are_refused),
		TEST(lists_the_device_may_write_are_refused),
		TEST(the_longest_list_is_served_whole),
		TEST(a_list_in_pieces_of_odd_length_is_one_list),
		TEST(a_million_pages_in_and_out_take_turns_and_count_right),
		TEST_WITH(without_must_tell_host_scattered_pages_are_taken_but_kept,
			  rig_setup_without_must_tell),
		TEST(reset_while_inflated_brings_every_number_of_now_to_zero),
		TEST(touching_without_deflating_gives_zeros_and_no_host_fault),
		TEST(other_threads_see_counters_of_one_moment),
	};

	/* 4 KiB frames come from all of the host's memory: there is no famine. */
	const struct CMUnitTest famine_tests[] = {
		TEST(a_list_nobody_can_back_waits_and_is_counted_once),
	};
	int failed;

	rig_choose_frames(argc, argv);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (rig_on_huge_frames())
		failed += cmocka_run_group_tests(famine_tests, NULL, NULL);
	return failed;
}
