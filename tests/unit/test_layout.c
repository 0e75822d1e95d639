/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_layout.c - guest RAM's place in guest physical space: no address is ever RAM that is not. */
#include "../support/testing.h"

#include <errno.h>
#include <string.h>

#include "memory/layout.h"

enum { RANDOM_LAYOUTS = 300, RANDOM_RANGES = 300 };

static struct ram_layout layout_of(uint64_t ram_bytes, uint64_t frame_bytes)
{
	struct ram_layout layout;

	assert_int_equal(ram_layout_init(ram_bytes, frame_bytes, &layout, NULL), 0);
	return layout;
}

static void small_guest_is_one_region_from_zero(void **state)
{
	struct ram_layout layout = layout_of(512 * MIB_BYTES, HUGE_FRAME_BYTES);

	(void)state;
	assert_int_equal(layout.region_count, 1);
	assert_int_equal(layout.regions[0].start.addr, 0);
	assert_int_equal(layout.regions[0].len_bytes, 512 * MIB_BYTES);
}

static void guest_that_just_fits_below_the_hole_has_no_second_region(void **state)
{
	(void)state;
	assert_int_equal(layout_of(RAM_HOLE_START, HUGE_FRAME_BYTES).region_count, 1);
	assert_int_equal(
		layout_of(RAM_HOLE_START + HUGE_FRAME_BYTES, HUGE_FRAME_BYTES).region_count, 2);
}

static void largest_guest_ends_at_one_tib(void **state)
{
	struct ram_layout layout = layout_of(RAM_MAX_BYTES, GUEST_PAGE_BYTES);

	(void)state;
	assert_int_equal(layout.regions[1].start.addr + layout.regions[1].len_bytes, TIB_BYTES);
}

static void wrong_sizes_are_refused_with_a_sentence(void **state)
{
	struct ram_layout layout = { .ram_bytes = 42 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(ram_layout_init(0, HUGE_FRAME_BYTES, &layout, &err), -EINVAL);
	assert_int_equal(ram_layout_init(MIB_BYTES, HUGE_FRAME_BYTES, &layout, &err), -EINVAL);
	assert_non_null(strstr(err.text, "1M is not a multiple of its 2M pages"));
	assert_int_equal(ram_layout_init(GUEST_PAGE_BYTES - 1, GUEST_PAGE_BYTES, &layout, &err),
			 -EINVAL);
	assert_int_equal(ram_layout_init(GIB_BYTES, GIB_BYTES, &layout, &err), -EINVAL);
	assert_int_equal(ram_layout_init(GIB_BYTES, 0, &layout, &err), -EINVAL);
	assert_int_equal(ram_layout_init(RAM_MAX_BYTES + HUGE_FRAME_BYTES, HUGE_FRAME_BYTES,
					 &layout, &err),
			 -ERANGE);
	assert_non_null(strstr(err.text, "the most is 1023G"));
	assert_int_equal(ram_layout_init(UINT64_MAX, GUEST_PAGE_BYTES, &layout, &err), -ERANGE);
	assert_int_equal(layout.ram_bytes, 42); /* ret_ is written only on success */
}

/* VQ08-10: wrapping, in the hole, straddling its edges, past the end. */
static void ranges_that_wrap_or_straddle_are_not_ram(void **state)
{
	struct ram_layout layout = layout_of(4 * GIB_BYTES, HUGE_FRAME_BYTES);
	uint64_t end = 5 * GIB_BYTES;
	uint64_t offset = 42;

	(void)state;
	assert_false(ram_layout_offset(&layout, GPA(UINT64_MAX), 1, &offset));
	assert_false(ram_layout_offset(&layout, GPA(UINT64_MAX), UINT64_MAX, &offset));
	assert_false(ram_layout_offset(&layout, GPA(GUEST_PAGE_BYTES), UINT64_MAX, &offset));
	assert_false(ram_layout_offset(&layout, GPA(RAM_HOLE_START - 1), 2, &offset));
	assert_false(ram_layout_offset(&layout, GPA(RAM_HOLE_START), 0, &offset));
	assert_false(ram_layout_offset(&layout, GPA(RAM_HOLE_START), 1, &offset));
	assert_false(ram_layout_offset(&layout, GPA(RAM_HOLE_END - 1), 1, &offset));
	assert_false(ram_layout_offset(&layout, GPA(RAM_HOLE_END - 1), 2, &offset));
	assert_false(ram_layout_offset(&layout, GPA(0), RAM_HOLE_END + 1, &offset));
	assert_false(ram_layout_offset(&layout, GPA(end - 1), 2, &offset));
	assert_false(ram_layout_offset(&layout, GPA(end), 1, &offset));
	assert_int_equal(offset, 42);
}

static void ranges_at_every_edge_of_ram_are_ram(void **state)
{
	struct ram_layout layout = layout_of(4 * GIB_BYTES, HUGE_FRAME_BYTES);
	uint64_t offset;

	(void)state;
	assert_true(ram_layout_offset(&layout, GPA(0), RAM_HOLE_START, &offset));
	assert_int_equal(offset, 0);
	assert_true(ram_layout_offset(&layout, GPA(RAM_HOLE_START - 1), 1, &offset));
	assert_int_equal(offset, RAM_HOLE_START - 1);
	assert_true(ram_layout_offset(&layout, GPA(RAM_HOLE_END), GIB_BYTES, &offset));
	assert_int_equal(offset, RAM_HOLE_START);
	assert_true(ram_layout_offset(&layout, GPA(5 * GIB_BYTES - 1), 1, &offset));
	assert_int_equal(offset, 4 * GIB_BYTES - 1);
}

/* The layout said once more, as slowly and plainly as can be. */
static bool byte_is_ram(uint64_t ram_bytes, uint64_t addr)
{
	if (addr < RAM_HOLE_START)
		return addr < ram_bytes;
	return addr >= RAM_HOLE_END && addr - (RAM_HOLE_END - RAM_HOLE_START) < ram_bytes;
}

static bool range_is_ram(uint64_t ram_bytes, uint64_t addr, uint64_t len_bytes)
{
	uint64_t last = addr + (len_bytes ? len_bytes - 1 : 0);

	return last >= addr && byte_is_ram(ram_bytes, addr) && byte_is_ram(ram_bytes, last) &&
	       (addr < RAM_HOLE_START) == (last < RAM_HOLE_START);
}

/* Addresses near the edges are where mistakes are. */
static uint64_t interesting_address(struct test_random *random, uint64_t ram_bytes)
{
	const uint64_t edges[] = { 0, RAM_HOLE_START, RAM_HOLE_END, ram_bytes,
				   ram_bytes + (RAM_HOLE_END - RAM_HOLE_START) };
	uint64_t near = test_random_below(random, 3 * GUEST_PAGE_BYTES);

	if (test_random_below(random, 4) == 0)
		return test_random_any_size(random);
	return edges[test_random_below(random, ARRAY_LEN(edges))] + near - GUEST_PAGE_BYTES;
}

static void check_random_range(struct test_random *random, const struct ram_layout *layout)
{
	uint64_t addr = interesting_address(random, layout->ram_bytes);
	uint64_t len_bytes = test_random_below(random, 2)
				     ? interesting_address(random, layout->ram_bytes) - addr
				     : test_random_any_size(random);
	bool expected = range_is_ram(layout->ram_bytes, addr, len_bytes);
	uint64_t offset;

	assert_int_equal(ram_layout_offset(layout, GPA(addr), len_bytes, &offset), expected);
	if (!expected)
		return;
	assert_true(offset < layout->ram_bytes && len_bytes <= layout->ram_bytes - offset);
	assert_int_equal(ram_layout_gpa(layout, offset).addr, addr);
}

static void any_range_is_ram_exactly_when_the_plain_rule_says_so(void **state)
{
	struct test_random random = test_random_start();

	(void)state;
	for (int i = 0; i < RANDOM_LAYOUTS; i++) {
		uint64_t frame =
			test_random_below(&random, 2) ? HUGE_FRAME_BYTES : GUEST_PAGE_BYTES;
		uint64_t frames = 1 + test_random_below(&random, RAM_MAX_BYTES / frame);
		struct ram_layout layout =
			layout_of((frames >> test_random_below(&random, 12) | 1) * frame, frame);

		for (int j = 0; j < RANDOM_RANGES; j++)
			check_random_range(&random, &layout);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_guest_is_one_region_from_zero),
		cmocka_unit_test(guest_that_just_fits_below_the_hole_has_no_second_region),
		cmocka_unit_test(largest_guest_ends_at_one_tib),
		cmocka_unit_test(wrong_sizes_are_refused_with_a_sentence),
		cmocka_unit_test(ranges_that_wrap_or_straddle_are_not_ram),
		cmocka_unit_test(ranges_at_every_edge_of_ram_are_ram),
		cmocka_unit_test(any_range_is_ram_exactly_when_the_plain_rule_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
