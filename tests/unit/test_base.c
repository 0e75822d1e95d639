/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_base.c - units, errors, strbuf and ratelimit. */
#include "../support/testing.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/ratelimit.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "base/uuid.h"

static void sizes_are_read_with_any_of_their_suffixes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "4096", GUEST_PAGE_BYTES },
		{ "4k", GUEST_PAGE_BYTES },
		{ "512M", 512 * MIB_BYTES },
		{ "512MB", 512 * MIB_BYTES },
		{ "1536MiB", 1536 * MIB_BYTES },
		{ "2g", 2 * GIB_BYTES },
		{ "1T", TIB_BYTES },
		{ "7B", 7 },
		{ "18446744073709551615", UINT64_MAX },
	};
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(units_parse_size(good[i].text, &bytes, NULL), 0);
		assert_int_equal(bytes, good[i].bytes);
	}
}

static void texts_that_are_no_sizes_are_refused(void **state)
{
	static const char *const bad[] = { "",	  " 1",	 "-1",	"+1",	   "M",	  "1.5G",
					   "1X",  "1MM", "1Mi", "1 M",	   "1iB", "0x10",
					   "1M ", "1e3", "१",	"1024mibb" };
	uint64_t bytes = 42;
	struct err err = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(units_parse_size(bad[i], &bytes, &err), -EINVAL);
	assert_non_null(strstr(err.text, "\"1024mibb\" is not a size; write one like 512M"));
	assert_int_equal(units_parse_size("16777216T", &bytes, &err), -ERANGE);
	assert_int_equal(units_parse_size("18446744073709551616", &bytes, &err), -ERANGE);
	assert_int_equal(bytes, 42);
}

static void sizes_are_shown_as_a_person_reads_them(void **state)
{
	char text[UNITS_TEXT_BYTES];

	(void)state;
	assert_string_equal(units_format_size(0, text), "0 B");
	assert_string_equal(units_format_size(1023, text), "1023 B");
	assert_string_equal(units_format_size(4 * KIB_BYTES, text), "4 KiB");
	assert_string_equal(units_format_size(1536 * MIB_BYTES, text), "1.5 GiB");
	assert_string_equal(units_format_size(512 * MIB_BYTES + 1, text), "512 MiB");
	assert_string_equal(units_format_size(UINT64_MAX, text), "16777215.9 TiB");
}

static void exact_text_of_any_size_reads_back_as_the_same(void **state)
{
	struct test_random random = test_random_start();
	char text[UNITS_TEXT_BYTES];
	uint64_t bytes;

	(void)state;
	assert_string_equal(units_format_exact(512 * MIB_BYTES, text), "512M");
	for (int i = 0; i < 10000; i++) {
		uint64_t wanted = test_random_any_size(&random) << test_random_below(&random, 64);

		units_format_exact(wanted, text);
		assert_int_equal(units_parse_size(text, &bytes, NULL), 0);
		assert_int_equal(bytes, wanted);
	}
}

static void align_up_refuses_to_wrap(void **state)
{
	uint64_t aligned;

	(void)state;
	assert_true(align_up(GUEST_PAGE_BYTES + 1, GUEST_PAGE_BYTES, &aligned));
	assert_int_equal(aligned, 2 * GUEST_PAGE_BYTES);
	assert_false(align_up(UINT64_MAX, GUEST_PAGE_BYTES, &aligned));
}

static void err_keeps_the_code_and_wraps_outside_in(void **state)
{
	struct err err = { 0 };

	(void)state;
	errno = ENOENT;
	assert_int_equal(err_set(&err, -ENOENT, "disk %d: %m", 7), -ENOENT);
	assert_int_equal(err_wrap(&err, "starting %s", "vm1"), -ENOENT);
	assert_string_equal(err.text, "starting vm1: disk 7: No such file or directory");
	assert_int_equal(err_set(NULL, -EIO, "nobody reads this"), -EIO);
}

static void err_texts_that_are_too_long_are_cut(void **state)
{
	struct err err = { 0 };
	char longer[2 * ERR_TEXT_BYTES];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	err_set(&err, -EIO, "%s", longer);
	assert_int_equal(strlen(err.text), ERR_TEXT_BYTES - 1);
	err_wrap(&err, "%s", longer);
	assert_int_equal(strlen(err.text), ERR_TEXT_BYTES - 1);
}

static void strbuf_grows_and_hands_its_text_over(void **state)
{
	struct strbuf sb;
	char *text;

	(void)state;
	strbuf_init(&sb, 100000);
	for (int i = 0; i < 1000; i++)
		strbuf_printf(&sb, "%03d,", i);
	strbuf_append(&sb, "end", 3);
	strbuf_drop_front(&sb, 4);
	assert_int_equal(sb.len, 3999);
	text = strbuf_take(&sb);
	assert_non_null(text);
	assert_memory_equal(text, "001,002,", 8);
	assert_string_equal(text + 3996, "end");
	assert_int_equal(sb.len, 0);
	free(text);
	strbuf_fini(&sb);
}

static void strbuf_at_its_maximum_fails_once_and_for_all(void **state)
{
	struct strbuf sb;

	(void)state;
	strbuf_init(&sb, 10);
	strbuf_append(&sb, "0123456789", 10);
	assert_false(sb.failed);
	strbuf_append(&sb, "x", 1);
	assert_true(sb.failed);
	strbuf_printf(&sb, "%s", "");
	assert_null(strbuf_take(&sb));
	strbuf_drop_front(&sb, 5);
	assert_int_equal(sb.len, 0);
}

static void ratelimit_lets_a_burst_through_then_one_per_interval(void **state)
{
	struct ratelimit limit = { .interval_ns = NS_PER_S, .burst = 3 };
	uint64_t now_ns = 5 * NS_PER_S;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_true(ratelimit_pass(&limit, now_ns));
	assert_false(ratelimit_pass(&limit, now_ns));
	assert_false(ratelimit_pass(&limit, now_ns + NS_PER_S - 1));
	assert_true(ratelimit_pass(&limit, now_ns + NS_PER_S));
	assert_false(ratelimit_pass(&limit, now_ns + NS_PER_S));
	assert_int_equal(limit.held_back, 3);
	assert_true(ratelimit_pass(&limit, now_ns + 1000 * NS_PER_S));
}

static void a_uuid_reads_back_from_its_text_and_nothing_else_does(void **state)
{
	static const char *const wrong[] = {
		"",
		"-",
		"123e4567",
		"123e4567-e89b-42d3-a456-42661417400",
		"123e4567-e89b-42d3-a456-4266141740000",
		"123e4567e-89b-42d3-a456-426614174000",
		"123e4567-e89b-42d3-a456-42661417400g",
		"{23e4567-e89b-42d3-a456-426614174000",
		" 123e4567-e89b-42d3-a456-426614174000",
		"123e4567e89b42d3a456426614174000",
	};
	uint8_t uuid[UUID_BYTES], back[UUID_BYTES], other[UUID_BYTES];
	char text[UUID_TEXT_BYTES];

	(void)state;
	uuid_make(uuid);
	uuid_make(other);
	assert_memory_not_equal(uuid, other, sizeof(uuid));
	uuid_format(uuid, text);
	assert_int_equal(strlen(text), UUID_TEXT_BYTES - 1);
	assert_int_equal(text[14], '4'); /* the version */
	assert_non_null(strchr("89ab", text[19]));
	assert_true(uuid_read(text, back));
	assert_memory_equal(back, uuid, sizeof(uuid));
	assert_true(uuid_read("123E4567-e89b-42D3-a456-4266141740fF", back));
	uuid_format(back, text);
	assert_string_equal(text, "123e4567-e89b-42d3-a456-4266141740ff");
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(uuid_read(wrong[i], back));
	assert_int_equal(back[15], 0xff); /* untouched */
}

static void the_wall_clock_reads_as_the_library_reads_it(void **state)
{
	static const int64_t seconds[] = {
		0,	    59,		86399,	     86400,	  68169599,
		68169600,   94694400,	951782399,   951782400,	  951868800,
		978307199,  978307200,	1709164800,  1709251200,  1795338625,
		4107542400, 4107456000, 13574563199, 13574563200, 253402300799,
	};
	char text[CLOCK_UTC_BYTES], wanted[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(seconds); i++) {
		struct timespec at = { .tv_sec = seconds[i], .tv_nsec = 375999999 };
		struct tm utc;

		assert_non_null(gmtime_r(&at.tv_sec, &utc));
		(void)strftime(wanted, sizeof(wanted), "%Y-%m-%dT%H:%M:%SZ", &utc);
		assert_int_equal(clock_utc_text(&at, false, text), strlen(wanted));
		assert_string_equal(text, wanted);
		(void)strftime(wanted, sizeof(wanted), "%Y-%m-%dT%H:%M:%S.375Z", &utc);
		assert_int_equal(clock_utc_text(&at, true, text), strlen(wanted));
		assert_string_equal(text, wanted);
	}
	(void)clock_utc_text(&(struct timespec){ .tv_sec = -1 }, false, text);
	assert_string_equal(text, "1970-01-01T00:00:00Z");
	(void)clock_utc_text(&(struct timespec){ .tv_sec = INT64_MAX }, false, text);
	assert_string_equal(text, "9999-12-31T23:59:59Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_read_with_any_of_their_suffixes),
		cmocka_unit_test(texts_that_are_no_sizes_are_refused),
		cmocka_unit_test(sizes_are_shown_as_a_person_reads_them),
		cmocka_unit_test(exact_text_of_any_size_reads_back_as_the_same),
		cmocka_unit_test(align_up_refuses_to_wrap),
		cmocka_unit_test(err_keeps_the_code_and_wraps_outside_in),
		cmocka_unit_test(err_texts_that_are_too_long_are_cut),
		cmocka_unit_test(strbuf_grows_and_hands_its_text_over),
		cmocka_unit_test(strbuf_at_its_maximum_fails_once_and_for_all),
		cmocka_unit_test(ratelimit_lets_a_burst_through_then_one_per_interval),
		cmocka_unit_test(the_wall_clock_reads_as_the_library_reads_it),
		cmocka_unit_test(a_uuid_reads_back_from_its_text_and_nothing_else_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
