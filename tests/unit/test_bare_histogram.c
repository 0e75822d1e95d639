/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The embedded guest's percentiles, on the host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bare/histogram.h"

static struct histogram histogram;

static int start(void **state)
{
	(void)state;
	histogram_init(&histogram);
	return 0;
}

static void nothing_has_no_percentiles(void **state)
{
	(void)state;
	assert_int_equal(histogram_at_ns(&histogram, 500), 0);
}

static void one_time_is_every_percentile_within_two_percent(void **state)
{
	(void)state;
	for (uint64_t ns = 1; ns < UINT64_C(1) << HISTOGRAM_MAX_BITS; ns += ns / 7 + 1) {
		histogram_init(&histogram);
		histogram_add(&histogram, ns);
		for (unsigned permille = 0; permille <= 1000; permille += 500) {
			uint64_t at_ns = histogram_at_ns(&histogram, permille);

			assert_true(at_ns <= ns && at_ns >= ns - ns / 50);
		}
	}
}

static void percentiles_of_many_times_are_theirs_within_two_percent(void **state)
{
	(void)state;
	for (uint64_t ns = 1; ns <= 100000; ns++)
		histogram_add(&histogram, ns);
	assert_int_equal(histogram.count, 100000);
	assert_int_equal(histogram.total_ns, UINT64_C(100000) * 100001 / 2);
	assert_int_equal(histogram.worst_ns, 100000);
	assert_in_range(histogram_at_ns(&histogram, 500), 49000, 51000);
	assert_in_range(histogram_at_ns(&histogram, 990), 97000, 100000);
	assert_in_range(histogram_at_ns(&histogram, 1000), 98000, 100000);
}

static void a_rare_slow_one_shows_at_the_end_only(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 999; i++)
		histogram_add(&histogram, 20);
	histogram_add(&histogram, 5000000);
	assert_int_equal(histogram_at_ns(&histogram, 990), 20);
	assert_in_range(histogram_at_ns(&histogram, 1000), 4900000, 5000000);
}

static void longer_than_the_longest_is_still_counted(void **state)
{
	(void)state;
	histogram_add(&histogram, UINT64_MAX);
	assert_int_equal(histogram.worst_ns, UINT64_MAX);
	assert_true(histogram_at_ns(&histogram, 500) >= UINT64_C(1) << (HISTOGRAM_MAX_BITS - 1));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, start)
	const struct CMUnitTest tests[] = {
		TEST(nothing_has_no_percentiles),
		TEST(one_time_is_every_percentile_within_two_percent),
		TEST(percentiles_of_many_times_are_theirs_within_two_percent),
		TEST(a_rare_slow_one_shows_at_the_end_only),
		TEST(longer_than_the_longest_is_still_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
