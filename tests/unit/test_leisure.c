/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_leisure.c - who steps back for others, and for how long: the rule as a table, and what follows
 * from it on hosts that are made up.
 */
#include "../support/testing.h"

#include "memory/leisure.h"

#define US NS_PER_US
#define MS NS_PER_MS

static const struct {
	const char *what;
	struct leisure_view view;
	uint64_t rested_ns, rest_ns;
} rows[] = {
	{ "alone on an idle host",
	  { .wall_ns = 121 * US, .cpu_ns = 120 * US, .runnable = 1, .processors = 2 },
	  0,
	  0 },
	{ "every processor is used, nobody waits for one",
	  { .wall_ns = 121 * US, .cpu_ns = 120 * US, .runnable = 2, .processors = 2 },
	  0,
	  0 },
	{ "one waits, and is gone in a moment",
	  { .wall_ns = 121 * US, .cpu_ns = 120 * US, .runnable = 3, .processors = 2 },
	  0,
	  0 },
	{ "two wait, although we were not disturbed",
	  { .wall_ns = 121 * US, .cpu_ns = 120 * US, .runnable = 4, .processors = 2 },
	  0,
	  LEISURE_LEAST_NS },
	{ "three wait",
	  { .wall_ns = 121 * US, .cpu_ns = 120 * US, .runnable = 5, .processors = 2 },
	  0,
	  MS },
	{ "a crowd",
	  { .wall_ns = 5 * US, .cpu_ns = 4 * US, .runnable = 40, .processors = 2 },
	  0,
	  64 * MS },
	{ "we had to wait, although now nobody does",
	  { .wall_ns = 3 * MS, .cpu_ns = 120 * US, .runnable = 1, .processors = 2 },
	  0,
	  LEISURE_LEAST_NS },
	{ "the number of threads cannot be read",
	  { .wall_ns = 121 * US, .cpu_ns = 120 * US, .processors = 2 },
	  0,
	  0 },
	{ "nor can it, and we had to wait",
	  { .wall_ns = 181 * US, .cpu_ns = 120 * US, .processors = 2 },
	  0,
	  LEISURE_LEAST_NS },
	{ "an interrupt or our own pager is no crowd",
	  { .wall_ns = 170 * US, .cpu_ns = 120 * US, .runnable = 1, .processors = 1 },
	  0,
	  0 },
	{ "nor is half as much again of long work",
	  { .wall_ns = 3 * MS, .cpu_ns = 2 * MS, .runnable = 1, .processors = 1 },
	  0,
	  0 },
	{ "clocks that disagree",
	  { .wall_ns = 100 * US, .cpu_ns = 105 * US, .runnable = 1, .processors = 1 },
	  0,
	  0 },
	{ "disturbed again: twice as long",
	  { .wall_ns = 9 * MS, .cpu_ns = US, .runnable = 9, .processors = 2 },
	  16 * MS,
	  32 * MS },
	{ "after some that went well: twice what is left of it",
	  { .wall_ns = 9 * MS, .cpu_ns = US, .runnable = 3, .processors = 2 },
	  3 * MS,
	  6 * MS },
	{ "but never shorter than the least",
	  { .wall_ns = 9 * MS, .cpu_ns = US, .runnable = 3, .processors = 2 },
	  US,
	  LEISURE_LEAST_NS },
	{ "and never longer than the most",
	  { .wall_ns = 9 * MS, .cpu_ns = US, .runnable = 9, .processors = 2 },
	  LEISURE_MOST_NS - MS,
	  LEISURE_MOST_NS },
	{ "whatever is said",
	  { .wall_ns = UINT64_MAX, .runnable = UINT64_MAX },
	  UINT64_MAX,
	  LEISURE_MOST_NS },
};

static void the_rule_is_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (leisure_rest_ns(&rows[i].view, rows[i].rested_ns) != rows[i].rest_ns)
			fail_msg("%s: %lu us", rows[i].what,
				 leisure_rest_ns(&rows[i].view, rows[i].rested_ns) / US);
}

static void its_bounds_hold_for_any_numbers(void **state)
{
	struct test_random random = test_random_start();

	(void)state;
	for (int i = 0; i < 100000; i++) {
		struct leisure_view view = { .wall_ns = test_random_below(&random, 10 * MS),
					     .cpu_ns = test_random_below(&random, 10 * MS),
					     .runnable = test_random_below(&random, 9),
					     .processors = 1 + test_random_below(&random, 8) };
		uint64_t rested_ns = test_random_below(&random, 2 * LEISURE_MOST_NS);
		uint64_t rest_ns = leisure_rest_ns(&view, rested_ns);

		if (rest_ns)
			assert_in_range(rest_ns, LEISURE_LEAST_NS, LEISURE_MOST_NS);
		if (view.runnable > view.processors + 1)
			assert_true(rest_ns >= LEISURE_LEAST_NS);
		view.wall_ns = view.cpu_ns;
		view.runnable = view.processors;
		assert_int_equal(leisure_rest_ns(&view, rested_ns), 0);
	}
}

/* A host that starts VMs for half a second: four looks in all. */
static void a_crowd_is_left_alone_most_of_the_time(void **state)
{
	const struct leisure_view crowd = { .wall_ns = 5 * MS, .runnable = 20, .processors = 2 };
	uint64_t now_ns = 0, rested_ns = 0;
	int looks = 0;

	(void)state;
	while (now_ns < NS_PER_S / 2) {
		rested_ns = leisure_rest_ns(&crowd, rested_ns);
		now_ns += rested_ns;
		looks++;
	}
	assert_in_range(looks, 3, 5);
	assert_int_equal(rested_ns, LEISURE_MOST_NS);
}

static void loadavg_tells_who_wants_to_run(void **state)
{
	(void)state;
	assert_int_equal(leisure_parse_runnable("0.20 0.18 0.12 1/80 11206\n"), 1);
	assert_int_equal(leisure_parse_runnable("17.41 6.34 4.18 35/1812 9726\n"), 35);
	assert_int_equal(leisure_parse_runnable(""), 0);
	assert_int_equal(leisure_parse_runnable("0.20 0.18 0.12"), 0);
	assert_int_equal(leisure_parse_runnable("0.20 0.18 0.12 "), 0);
	assert_int_equal(leisure_parse_runnable("0.20 0.18 0.12 x/y"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rule_is_the_table),
		cmocka_unit_test(its_bounds_hold_for_any_numbers),
		cmocka_unit_test(a_crowd_is_left_alone_most_of_the_time),
		cmocka_unit_test(loadavg_tells_who_wants_to_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
