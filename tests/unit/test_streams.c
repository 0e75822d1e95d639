/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_streams.c - touches that go one after the other are seen, whichever way and however many. */
#include "../support/testing.h"

#include "base/units.h"
#include "memory/streams.h"

static void the_first_touch_says_nothing(void **state)
{
	struct streams streams = { 0 };
	struct stream_step step = streams_touched(&streams, 7);

	(void)state;
	assert_int_equal(step.way, 0);
	assert_int_equal(step.window_blocks, 0);
	assert_int_equal(step.map_blocks, 0);
}

static void windows_double_as_touches_go_on(void **state)
{
	static const unsigned windows[] = { 0, 2, 4, 8, 16, 32, 64, 64 };
	static const unsigned maps[] = { 0, 1, 2, 4, 8, 8, 8, 8 };
	struct streams up = { 0 }, down = { 0 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(windows); i++) {
		struct stream_step above = streams_touched(&up, 100 + i);
		struct stream_step below = streams_touched(&down, 100 - i);

		assert_int_equal(above.window_blocks, windows[i]);
		assert_int_equal(above.map_blocks, maps[i]);
		assert_int_equal(below.window_blocks, windows[i]);
		assert_int_equal(below.map_blocks, maps[i]);
		assert_int_equal(above.edge, 100 + i);
		assert_int_equal(below.edge, 100 - i);
		assert_int_equal(above.way, i ? 1 : 0);
		assert_int_equal(below.way, i ? -1 : 0);
	}
}

static void what_was_mapped_is_the_new_edge(void **state)
{
	struct streams streams = { 0 };
	struct stream_step step;

	(void)state;
	(void)streams_touched(&streams, 10);
	step = streams_touched(&streams, 11);
	streams_mapped(&streams, step.index, 8);
	step = streams_touched(&streams, 20);
	assert_int_equal(step.way, 1);
	assert_int_equal(step.edge, 20);
	assert_int_equal(step.map_blocks, 2);
}

static void four_streams_at_once_are_told_apart(void **state)
{
	static const uint64_t starts[STREAMS] = { 0, 1000, 5000, 9000 };
	static const int ways[STREAMS] = { 1, -1, 1, -1 };
	struct streams streams = { 0 };

	(void)state;
	for (int i = 0; i < 20; i++)
		for (unsigned k = 0; k < STREAMS; k++) {
			uint64_t block = starts[k] + (uint64_t)(ways[k] * i);
			struct stream_step step = streams_touched(&streams, block);

			assert_int_equal(step.edge, block);
			assert_int_equal(step.way, i ? ways[k] : 0);
		}
}

static void two_processors_out_of_order_are_one_stream(void **state)
{
	static const uint64_t touches[] = { 10, 12, 11, 13, 15, 14, 16 };
	struct streams streams = { 0 };
	struct stream_step step = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(touches); i++)
		step = streams_touched(&streams, touches[i]);
	assert_int_equal(step.way, 1);
	assert_int_equal(step.edge, 16);
	assert_int_equal(step.window_blocks, 16); /* 12, 13, 15, 16 */
}

static void stray_touches_do_not_end_a_stream(void **state)
{
	struct streams streams = { 0 };
	struct test_random random = test_random_start();
	struct stream_step step = { 0 };

	(void)state;
	for (uint64_t i = 0; i < 8; i++) {
		for (int stray = 0; stray < 16; stray++)
			(void)streams_touched(&streams,
					      1000 + 10 * test_random_below(&random, 1000000));
		step = streams_touched(&streams, i);
		if (i == 0) /* a single touch is soon forgotten: the second comes right after it */
			step = streams_touched(&streams, ++i);
	}
	assert_int_equal(step.way, 1);
	assert_int_equal(step.window_blocks, STREAM_WINDOW_MOST_BLOCKS);
}

static void random_touches_map_nothing_by_guess(void **state)
{
	struct streams streams = { 0 };
	struct test_random random = test_random_start();
	unsigned mapped = 0;

	(void)state;
	for (int i = 0; i < 10000; i++)
		mapped += streams_touched(&streams, test_random_below(&random, 1 << 20)).map_blocks;
	assert_in_range(mapped, 0, 10); /* a chance of 4 * 4 in a million, each time */
}

static void the_ends_of_numbers_are_no_neighbours(void **state)
{
	struct streams streams = { 0 };

	(void)state;
	(void)streams_touched(&streams, UINT64_MAX);
	assert_int_equal(streams_touched(&streams, 0).way, 0);
	assert_int_equal(streams_touched(&streams, 1).way, 1);
	assert_int_equal(streams_touched(&streams, UINT64_MAX - 1).way, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_touch_says_nothing),
		cmocka_unit_test(windows_double_as_touches_go_on),
		cmocka_unit_test(what_was_mapped_is_the_new_edge),
		cmocka_unit_test(four_streams_at_once_are_told_apart),
		cmocka_unit_test(two_processors_out_of_order_are_one_stream),
		cmocka_unit_test(stray_touches_do_not_end_a_stream),
		cmocka_unit_test(random_touches_map_nothing_by_guess),
		cmocka_unit_test(the_ends_of_numbers_are_no_neighbours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
