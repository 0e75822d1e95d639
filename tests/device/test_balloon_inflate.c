/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Which pages are in the balloon, and when a frame may go: no rings and no memory, a layout only.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/mman.h>

#include "balloon/inflate.h"
#include "balloon/report.h"
#include "base/units.h"

enum { MAX_CALLS = 8192, FRAME_PAGES = 512 };

struct rig {
	struct ram_layout layout;
	struct inflate inflate;
	unsigned calls;
	struct frame_range discarded[MAX_CALLS];
	int refuse; /* errno the host answers with */
	unsigned wishes;
	struct frame_range wanted[MAX_CALLS];
};

static void want(void *ctx, uint64_t first_frame, uint64_t frame_count)
{
	struct rig *rig = ctx;

	assert_true(rig->wishes < MAX_CALLS);
	rig->wanted[rig->wishes++] = (struct frame_range){ first_frame, frame_count };
}

static int discard(void *ctx, uint64_t first_frame, uint64_t frame_count)
{
	struct rig *rig = ctx;

	assert_true(frame_count > 0);
	assert_true(rig->calls < MAX_CALLS);
	rig->discarded[rig->calls++] = (struct frame_range){ first_frame, frame_count };
	return -rig->refuse;
}

static void rig_init(struct rig *rig, uint64_t ram_bytes, uint64_t frame_bytes)
{
	struct inflate_config config = {
		.layout = &rig->layout, .discard = discard, .wanted = want, .ctx = rig
	};

	memset(rig, 0, sizeof(*rig));
	assert_int_equal(ram_layout_init(ram_bytes, frame_bytes, &rig->layout, NULL), 0);
	assert_int_equal(inflate_init(&rig->inflate, &config, NULL), 0);
}

static int setup(void **state)
{
	*state = malloc(sizeof(struct rig));
	rig_init(*state, 64 * MIB_BYTES, HUGE_FRAME_BYTES);
	return 0;
}

static int setup_small_frames(void **state)
{
	*state = malloc(sizeof(struct rig));
	rig_init(*state, 64 * MIB_BYTES, GUEST_PAGE_BYTES);
	return 0;
}

static int setup_around_the_hole(void **state)
{
	*state = malloc(sizeof(struct rig));
	rig_init(*state, 4 * GIB_BYTES, HUGE_FRAME_BYTES);
	return 0;
}

static int teardown(void **state)
{
	inflate_fini(&((struct rig *)*state)->inflate);
	free(*state);
	return 0;
}

static void take(struct rig *rig, const uint32_t *pfns, size_t count)
{
	inflate_begin(&rig->inflate, true, false);
	inflate_take(&rig->inflate, pfns, count);
	inflate_end(&rig->inflate);
}

/* @count pages from @first, going by @step, in requests of @per_request. */
static void take_series(struct rig *rig, uint32_t first, int step, size_t count, size_t per_request)
{
	uint32_t pfns[FRAME_PAGES];
	size_t filled = 0;

	for (size_t i = 0; i < count; i++) {
		pfns[filled++] = first + (uint32_t)((int)i * step);
		if (filled == per_request || i + 1 == count) {
			take(rig, pfns, filled);
			filled = 0;
		}
	}
}

static void release_range(struct rig *rig, uint32_t first, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t pfn = first + i;

		inflate_release(&rig->inflate, &pfn, 1);
	}
}

/* BL05 */
static void a_frame_goes_at_512_of_512_and_not_before(void **state)
{
	struct rig *rig = *state;

	take_series(rig, 512, 1, 511, 100);
	assert_int_equal(rig->calls, 0);
	assert_int_equal(rig->inflate.counters.taken_pages, 511);
	take_series(rig, 512 + 511, 1, 1, 1);
	assert_int_equal(rig->calls, 1);
	assert_int_equal(rig->discarded[0].first, 1);
	assert_int_equal(rig->discarded[0].count, 1);
	assert_int_equal(rig->inflate.counters.returned_frames, 1);
}

static void stock_descending_kicks_of_256_complete_every_frame(void **state)
{
	struct rig *rig = *state;

	take_series(rig, 8 * FRAME_PAGES - 1, -1, 8 * FRAME_PAGES, 256);
	assert_int_equal(rig->calls, 8);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(rig->discarded[i].first, 7 - i);
	assert_int_equal(rig->inflate.counters.returned_frames, 8);
}

static void any_order_of_pages_completes_every_frame(void **state)
{
	struct rig *rig = *state;
	const char *override = getenv("NEAP_SEED");
	unsigned seed = override ? (unsigned)strtoul(override, NULL, 0) : 1;
	uint32_t pfns[16 * FRAME_PAGES];
	uint32_t count = 16 * FRAME_PAGES;

	print_message("seed %u\n", seed);
	srandom(seed);
	for (uint32_t i = 0; i < count; i++)
		pfns[i] = i;
	for (uint32_t i = count - 1; i > 0; i--) {
		uint32_t j = (uint32_t)random() % (i + 1), kept = pfns[i];

		pfns[i] = pfns[j];
		pfns[j] = kept;
	}
	for (uint32_t i = 0; i < count; i += 256)
		take(rig, pfns + i, 256);
	assert_int_equal(rig->inflate.counters.taken_pages, count);
	assert_int_equal(rig->inflate.counters.returned_frames, 16);
	assert_int_equal(rig->inflate.counters.ignored_pages, 0);
}

static void neighbouring_frames_leave_with_one_call(void **state)
{
	struct rig *rig = *state;
	uint32_t up[4 * FRAME_PAGES], down[4 * FRAME_PAGES];

	for (uint32_t i = 0; i < 4 * FRAME_PAGES; i++) {
		up[i] = i;
		down[i] = 8 * FRAME_PAGES - 1 - i;
	}
	take(rig, up, 4 * FRAME_PAGES);
	assert_int_equal(rig->calls, 1);
	assert_int_equal(rig->discarded[0].first, 0);
	assert_int_equal(rig->discarded[0].count, 4);
	take(rig, down, 4 * FRAME_PAGES);
	assert_int_equal(rig->calls, 2);
	assert_int_equal(rig->discarded[1].first, 4);
	assert_int_equal(rig->discarded[1].count, 4);
}

static void blocks_in_descending_order_leave_with_one_call_but_not_across_a_gap(void **state)
{
	struct rig *rig = *state;
	static const uint32_t frames[] = { 7, 6, 5, 3, 2 };
	uint32_t pfns[ARRAY_LEN(frames) * FRAME_PAGES];

	for (uint32_t i = 0; i < ARRAY_LEN(pfns); i++)
		pfns[i] = frames[i / FRAME_PAGES] * FRAME_PAGES + i % FRAME_PAGES;
	take(rig, pfns, ARRAY_LEN(pfns));
	assert_int_equal(rig->calls, 2);
	assert_int_equal(rig->discarded[0].first, 5);
	assert_int_equal(rig->discarded[0].count, 3);
	assert_int_equal(rig->discarded[1].first, 2);
	assert_int_equal(rig->discarded[1].count, 2);
}

/* BL01 */
static void pages_outside_ram_are_ignored_and_counted(void **state)
{
	struct rig *rig = *state;
	uint32_t pfns[] = { 0xffffffff, 0x80000000, 16384, 16385, 0xfffffffe };

	take(rig, pfns, ARRAY_LEN(pfns));
	inflate_release(&rig->inflate, pfns, ARRAY_LEN(pfns));
	assert_int_equal(rig->inflate.counters.taken_pages, 0);
	assert_int_equal(rig->inflate.counters.ignored_pages, 2 * ARRAY_LEN(pfns));
}

/* BL01 */
static void a_run_across_the_hole_counts_only_what_is_ram(void **state)
{
	struct rig *rig = *state;
	uint32_t hole = (uint32_t)bytes_to_pages(RAM_HOLE_START);
	uint32_t after = (uint32_t)bytes_to_pages(RAM_HOLE_END);

	take_series(rig, hole - 10, 1, 20, 20);
	assert_int_equal(rig->inflate.counters.taken_pages, 10);
	assert_int_equal(rig->inflate.counters.ignored_pages, 10);
	take_series(rig, after - 10, 1, 10 + FRAME_PAGES, 256);
	assert_int_equal(rig->inflate.counters.taken_pages, 10 + FRAME_PAGES);
	assert_int_equal(rig->calls, 1);
	assert_int_equal(rig->discarded[0].first, 3 * GIB_BYTES / HUGE_FRAME_BYTES);
}

/* BL01 */
static void the_last_and_the_first_page_number_are_no_neighbours(void **state)
{
	struct rig *rig = *state;

	take_series(rig, 0xffffffff, 1, 3, 3); /* wraps to 0 and 1 */
	take_series(rig, 3, -1, 6, 6);
	assert_int_equal(rig->inflate.counters.taken_pages, 4);
	assert_int_equal(rig->inflate.counters.ignored_pages, 1 + 2 + 2);
}

/* BL02 */
static void a_page_twice_counts_once(void **state)
{
	struct rig *rig = *state;
	uint32_t pfns[] = { 7, 7, 7, 8 };

	take(rig, pfns, ARRAY_LEN(pfns));
	take(rig, pfns, ARRAY_LEN(pfns));
	assert_int_equal(rig->inflate.counters.taken_pages, 2);
	assert_int_equal(rig->inflate.counters.inflated_total_pages, 2);
	assert_int_equal(rig->inflate.counters.ignored_pages, 6);
	take_series(rig, 0, 1, 512, 256);
	take_series(rig, 0, 1, 512, 256);
	assert_int_equal(rig->calls, 1);
	assert_int_equal(rig->inflate.counters.returned_frames, 1);
}

/* BL05 */
static void any_page_missing_keeps_the_frame(void **state)
{
	struct rig *rig = *state;

	for (uint32_t missing = 0; missing < FRAME_PAGES; missing += 37) {
		take_series(rig, 0, 1, missing, 256);
		take_series(rig, missing + 1, 1, FRAME_PAGES - missing - 1, 256);
		assert_int_equal(rig->calls, 0);
		release_range(rig, 0, FRAME_PAGES);
		assert_int_equal(rig->inflate.counters.taken_pages, 0);
	}
}

/* BL06 */
static void releasing_what_is_not_there_is_ignored(void **state)
{
	struct rig *rig = *state;

	release_range(rig, 0, 100);
	assert_int_equal(rig->inflate.counters.taken_pages, 0);
	assert_int_equal(rig->inflate.counters.deflated_total_pages, 0);
	assert_int_equal(rig->inflate.counters.ignored_pages, 100);
}

static void one_page_released_takes_the_frame_back_and_returns_it_again(void **state)
{
	struct rig *rig = *state;

	take_series(rig, 0, 1, 512, 256);
	release_range(rig, 100, 1);
	assert_int_equal(rig->inflate.counters.returned_frames, 0);
	assert_int_equal(rig->inflate.counters.taken_pages, 511);
	release_range(rig, 100, 1);
	assert_int_equal(rig->inflate.counters.returned_frames, 0);
	take_series(rig, 100, 1, 1, 1);
	assert_int_equal(rig->calls, 2);
	assert_int_equal(rig->inflate.counters.returned_frames, 1);
}

static void a_frame_the_host_refused_is_not_returned_and_is_tried_again(void **state)
{
	struct rig *rig = *state;

	rig->refuse = EIO;
	take_series(rig, 0, 1, 1024, 256);
	assert_int_equal(rig->inflate.counters.discard_failures, 2);
	assert_int_equal(rig->inflate.counters.returned_frames, 0);
	inflate_retry(&rig->inflate);
	assert_int_equal(rig->inflate.counters.discard_failures, 3);
	rig->refuse = 0;
	inflate_retry(&rig->inflate);
	assert_int_equal(rig->inflate.counters.returned_frames, 2);
	inflate_retry(&rig->inflate);
	assert_int_equal(rig->calls, 5); /* nothing is left to try */
}

static void a_refused_frame_that_is_released_is_not_tried_again(void **state)
{
	struct rig *rig = *state;

	rig->refuse = EIO;
	take_series(rig, 0, 1, 512, 256);
	release_range(rig, 3, 1);
	rig->refuse = 0;
	inflate_retry(&rig->inflate);
	assert_int_equal(rig->calls, 1);
	assert_int_equal(rig->inflate.counters.returned_frames, 0);
	take_series(rig, 3, 1, 1, 1);
	assert_int_equal(rig->inflate.counters.returned_frames, 1);
}

static void retries_find_refused_frames_anywhere_in_a_large_guest(void **state)
{
	struct rig *rig = malloc(sizeof(*rig));

	(void)state;
	rig_init(rig, 16 * GIB_BYTES, HUGE_FRAME_BYTES);
	rig->refuse = EIO;
	take_series(rig, 8000 * FRAME_PAGES, 1, FRAME_PAGES, 256);
	take_series(rig, 1 * FRAME_PAGES, 1, FRAME_PAGES, 256);
	rig->refuse = 0;
	for (unsigned i = 0; i < 3; i++) /* a little at a time */
		inflate_retry(&rig->inflate);
	assert_int_equal(rig->inflate.counters.returned_frames, 2);
	inflate_fini(&rig->inflate);
	free(rig);
}

/* virtio 1.2 §5.5.6.2: without MUST_TELL_HOST the driver may write to a page again before it says
 * so, and what it wrote must stay. */
static void without_must_tell_host_only_one_whole_request_lets_a_frame_go(void **state)
{
	struct rig *rig = *state;
	uint32_t pfns[FRAME_PAGES];

	for (uint32_t i = 0; i < FRAME_PAGES; i++)
		pfns[i] = i;
	for (unsigned half = 0; half < 2; half++) {
		inflate_begin(&rig->inflate, false, false);
		inflate_take(&rig->inflate, pfns + 256 * half, 256);
		inflate_end(&rig->inflate);
	}
	inflate_retry(&rig->inflate);
	assert_int_equal(rig->calls, 0);
	assert_int_equal(rig->inflate.counters.taken_pages, 512);
	assert_int_equal(rig->inflate.counters.returned_frames, 0);

	inflate_release(&rig->inflate, pfns, FRAME_PAGES);
	inflate_begin(&rig->inflate, false, false);
	inflate_take(&rig->inflate, pfns, 256);
	inflate_end(&rig->inflate);
	inflate_begin(&rig->inflate, false, true); /* the same request goes on */
	inflate_take(&rig->inflate, pfns + 256, 256);
	inflate_end(&rig->inflate);
	assert_int_equal(rig->inflate.counters.returned_frames, 1);
}

static void without_must_tell_host_a_page_sent_twice_does_not_stand_for_an_older_one(void **state)
{
	struct rig *rig = *state;
	uint32_t pfns[FRAME_PAGES];

	for (uint32_t i = 0; i < FRAME_PAGES; i++)
		pfns[i] = i;
	inflate_begin(&rig->inflate, false, false);
	inflate_take(&rig->inflate, pfns, 1); /* may be in use again by now */
	inflate_end(&rig->inflate);
	inflate_begin(&rig->inflate, false, false);
	inflate_take(&rig->inflate, pfns + 1, FRAME_PAGES - 1);
	inflate_end(&rig->inflate);
	inflate_release(&rig->inflate, pfns + 511, 1);
	inflate_begin(&rig->inflate, false, true);
	inflate_take(&rig->inflate, pfns + 511, 1);
	inflate_end(&rig->inflate);
	assert_int_equal(rig->inflate.counters.taken_pages, 512);
	assert_int_equal(rig->calls, 0);
}

static void small_frames_go_page_by_page(void **state)
{
	struct rig *rig = *state;
	uint32_t pfns[] = { 5, 6, 7, 100, 5 };

	take(rig, pfns, ARRAY_LEN(pfns));
	assert_int_equal(rig->calls, 2);
	assert_int_equal(rig->discarded[0].first, 5);
	assert_int_equal(rig->discarded[0].count, 3);
	assert_int_equal(rig->inflate.counters.returned_frames, 4);
	release_range(rig, 6, 1);
	assert_int_equal(rig->inflate.counters.returned_frames, 3);
	rig->refuse = EIO;
	take_series(rig, 6, 1, 1, 1);
	assert_int_equal(rig->inflate.counters.returned_frames, 3);
	rig->refuse = 0;
	inflate_retry(&rig->inflate);
	assert_int_equal(rig->inflate.counters.returned_frames, 4);
}

/* BL17 */
static void forgetting_brings_everything_to_zero_and_starts_clean(void **state)
{
	struct rig *rig = *state;

	rig->refuse = EIO;
	take_series(rig, 0, 1, 512, 256);
	rig->refuse = 0;
	take_series(rig, 512, 1, 700, 256);
	inflate_forget(&rig->inflate);
	assert_int_equal(rig->inflate.counters.taken_pages, 0);
	assert_int_equal(rig->inflate.counters.returned_frames, 0);
	assert_int_equal(rig->inflate.counters.inflated_total_pages, 1212);
	unsigned calls = rig->calls;

	inflate_retry(&rig->inflate);
	take_series(rig, 0, 1, 511, 256);
	assert_int_equal(rig->calls, calls);
	take_series(rig, 511, 1, 1, 1);
	assert_int_equal(rig->inflate.counters.returned_frames, 1);
}

/* Whole host pages of an array that are really there. */
static uint64_t resident_bytes(const void *start, uint64_t len_bytes)
{
	static unsigned char present[4096];
	uint64_t pages = (len_bytes + GUEST_PAGE_BYTES - 1) / GUEST_PAGE_BYTES, count = 0;

	assert_true(pages <= sizeof(present));
	assert_int_equal(mincore((void *)(uintptr_t)start, len_bytes, present), 0);
	for (uint64_t i = 0; i < pages; i++)
		count += present[i] & 1;
	return count * GUEST_PAGE_BYTES;
}

static uint64_t metadata_bytes(const struct rig *rig)
{
	const struct inflate *inflate = &rig->inflate;
	uint64_t bytes = resident_bytes(inflate->pages, inflate->page_count / 8);

	bytes += resident_bytes(inflate->kept, (inflate->frame_count + 7) / 8);
	if (inflate->fills)
		bytes += resident_bytes(inflate->fills, 16 * inflate->frame_count);
	return bytes;
}

/* mincore() says of anonymous memory whether a page was ever written. */
static void accounting_takes_at_most_64_kib_per_gib_and_nothing_before_it_is_used(void **state)
{
	static const uint64_t frame_sizes[] = { HUGE_FRAME_BYTES, GUEST_PAGE_BYTES };
	const uint64_t ram_bytes = 8 * GIB_BYTES;
	struct rig *rig = malloc(sizeof(*rig));

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		rig_init(rig, ram_bytes, frame_sizes[i]);
		assert_int_equal(metadata_bytes(rig), 0);
		for (uint32_t first = 0; first < bytes_to_pages(9 * GIB_BYTES); first += 32768)
			take_series(rig, first, 1, 32768, 512);
		assert_int_equal(rig->inflate.counters.taken_pages, bytes_to_pages(ram_bytes));
		assert_true(metadata_bytes(rig) <= 8 * 64 * KIB_BYTES);
		inflate_forget(&rig->inflate);
		assert_int_equal(metadata_bytes(rig), 0);
		inflate_fini(&rig->inflate);
	}
	free(rig);
}

static void a_report_of_a_kept_frame_returns_it(void **state)
{
	struct rig *rig = *state;

	rig->refuse = EIO;
	take_series(rig, 0, 1, 512, 256);
	rig->refuse = 0;
	assert_int_equal(inflate_note_discarded(&rig->inflate, 0, 3), 3);
	assert_int_equal(rig->inflate.counters.returned_frames, 1);
	assert_int_equal(inflate_note_discarded(&rig->inflate, 0, 3), 2);
	assert_int_equal(rig->inflate.counters.returned_frames, 1);
}

/* BL11 */
static void reported_ranges_are_rounded_inward_to_whole_frames(void **state)
{
	struct rig *rig = *state;
	static const struct {
		uint64_t start, len, first, count;
	} rows[] = {
		{ 0, HUGE_FRAME_BYTES, 0, 1 },
		{ 1, HUGE_FRAME_BYTES, 0, 0 },
		{ HUGE_FRAME_BYTES - 1, HUGE_FRAME_BYTES + 1, 1, 1 },
		{ HUGE_FRAME_BYTES + 1, 2 * HUGE_FRAME_BYTES - 1, 2, 1 },
		{ HUGE_FRAME_BYTES, 0, 0, 0 },
		{ 3 * HUGE_FRAME_BYTES, 5 * HUGE_FRAME_BYTES + 4096, 3, 5 },
		{ RAM_HOLE_START - HUGE_FRAME_BYTES, 2 * HUGE_FRAME_BYTES, 0, 0 },
		{ RAM_HOLE_START, HUGE_FRAME_BYTES, 0, 0 },
		{ RAM_HOLE_END, HUGE_FRAME_BYTES, RAM_HOLE_START / HUGE_FRAME_BYTES, 1 },
		{ UINT64_MAX - 4095, 4096, 0, 0 },
		{ UINT64_MAX, 2 * HUGE_FRAME_BYTES, 0, 0 },
		{ 0, UINT64_MAX, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct frame_range range =
			report_whole_frames(&rig->layout, GPA(rows[i].start), rows[i].len);

		assert_int_equal(range.count, rows[i].count);
		if (range.count)
			assert_int_equal(range.first, rows[i].first);
	}
}

static void assert_wanted(const struct rig *rig, unsigned which, uint64_t first, uint64_t count)
{
	assert_int_equal(rig->wanted[which].first, first);
	assert_int_equal(rig->wanted[which].count, count);
}

/* Frames that are not whole any more will be touched: once each, neighbours together, and before
 * the request ends. */
static void frames_that_leave_the_balloon_are_wanted(void **state)
{
	struct rig *rig = *state;

	take_series(rig, 2 * FRAME_PAGES, 1, 6 * FRAME_PAGES, FRAME_PAGES);
	release_range(rig, 2 * FRAME_PAGES, 2 * FRAME_PAGES + 1);
	release_range(rig, 7 * FRAME_PAGES + 5, 1);
	assert_int_equal(rig->wishes, 1);
	inflate_end(&rig->inflate);
	assert_int_equal(rig->wishes, 2);
	assert_wanted(rig, 0, 2, 3);
	assert_wanted(rig, 1, 7, 1);
	release_range(rig, 7 * FRAME_PAGES, FRAME_PAGES);
	inflate_end(&rig->inflate);
	assert_int_equal(rig->wishes, 2);
}

static void frames_the_host_kept_are_not_wanted(void **state)
{
	struct rig *rig = *state;

	rig->refuse = ENOSPC;
	take_series(rig, 0, 1, FRAME_PAGES, FRAME_PAGES);
	release_range(rig, 0, FRAME_PAGES);
	inflate_end(&rig->inflate);
	assert_int_equal(rig->wishes, 0);
}

static void small_frames_are_not_wanted_one_by_one(void **state)
{
	struct rig *rig = *state;

	take_series(rig, 0, 1, FRAME_PAGES, FRAME_PAGES);
	release_range(rig, 0, FRAME_PAGES);
	inflate_end(&rig->inflate);
	assert_int_equal(rig->wishes, 0);
}

#define TEST(function)	     cmocka_unit_test_setup_teardown(function, setup, teardown)
#define TEST_SMALL(function) cmocka_unit_test_setup_teardown(function, setup_small_frames, teardown)
#define TEST_HOLE(function) \
	cmocka_unit_test_setup_teardown(function, setup_around_the_hole, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frame_goes_at_512_of_512_and_not_before),
		TEST(stock_descending_kicks_of_256_complete_every_frame),
		TEST(any_order_of_pages_completes_every_frame),
		TEST(neighbouring_frames_leave_with_one_call),
		TEST(blocks_in_descending_order_leave_with_one_call_but_not_across_a_gap),
		TEST(pages_outside_ram_are_ignored_and_counted),
		TEST_HOLE(a_run_across_the_hole_counts_only_what_is_ram),
		TEST(the_last_and_the_first_page_number_are_no_neighbours),
		TEST(a_page_twice_counts_once),
		TEST(any_page_missing_keeps_the_frame),
		TEST(releasing_what_is_not_there_is_ignored),
		TEST(one_page_released_takes_the_frame_back_and_returns_it_again),
		TEST(a_frame_the_host_refused_is_not_returned_and_is_tried_again),
		TEST(a_refused_frame_that_is_released_is_not_tried_again),
		cmocka_unit_test(retries_find_refused_frames_anywhere_in_a_large_guest),
		TEST(without_must_tell_host_a_page_sent_twice_does_not_stand_for_an_older_one),
		TEST(without_must_tell_host_only_one_whole_request_lets_a_frame_go),
		TEST_SMALL(small_frames_go_page_by_page),
		TEST(forgetting_brings_everything_to_zero_and_starts_clean),
		cmocka_unit_test(
			accounting_takes_at_most_64_kib_per_gib_and_nothing_before_it_is_used),
		TEST(frames_that_leave_the_balloon_are_wanted),
		TEST(frames_the_host_kept_are_not_wanted),
		TEST_SMALL(small_frames_are_not_wanted_one_by_one),
		TEST(a_report_of_a_kept_frame_returns_it),
		TEST_HOLE(reported_ranges_are_rounded_inward_to_whole_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
