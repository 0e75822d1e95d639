/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* Parsing what a guest says about its memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "balloon/stats.h"

static size_t put(uint8_t *to, uint16_t tag, uint64_t value)
{
	memcpy(to, &tag, sizeof(tag));
	memcpy(to + 2, &value, sizeof(value));
	return STATS_ENTRY_BYTES;
}

static void all_tags_in_any_order_are_read(void **state)
{
	uint8_t buf[STATS_MAX_BYTES];
	struct balloon_guest_stats stats;
	size_t len = 0;

	(void)state;
	for (unsigned tag = BALLOON_STAT_COUNT; tag-- > 0;)
		len += put(buf + len, (uint16_t)tag, 1000 + tag);
	assert_int_equal(stats_parse(buf, len, &stats), BALLOON_STAT_COUNT);
	assert_int_equal(stats.present, (1u << BALLOON_STAT_COUNT) - 1);
	for (unsigned tag = 0; tag < BALLOON_STAT_COUNT; tag++)
		assert_int_equal(stats.value[tag], 1000 + tag);
}

static void a_tag_that_was_not_sent_is_not_present(void **state)
{
	uint8_t buf[STATS_ENTRY_BYTES];
	struct balloon_guest_stats stats;

	(void)state;
	assert_int_equal(stats_parse(buf, put(buf, BALLOON_STAT_MEMFREE, 5), &stats), 1);
	assert_int_equal(stats.present, 1u << BALLOON_STAT_MEMFREE);
	assert_int_equal(stats_parse(buf, 0, &stats), 0);
	assert_int_equal(stats.present, 0);
	assert_int_equal(stats.value[BALLOON_STAT_MEMFREE], 0);
}

/* BL09 */
static void unknown_tags_are_ignored(void **state)
{
	uint8_t buf[4 * STATS_ENTRY_BYTES];
	struct balloon_guest_stats stats;
	size_t len = 0;

	(void)state;
	len += put(buf + len, 0xffff, 1);
	len += put(buf + len, BALLOON_STAT_COUNT, 2);
	len += put(buf + len, BALLOON_STAT_MEMTOT, 3);
	len += put(buf + len, 32, 4); /* must not fold onto bit 0 */
	assert_int_equal(stats_parse(buf, len, &stats), 1);
	assert_int_equal(stats.present, 1u << BALLOON_STAT_MEMTOT);
}

/* BL09 */
static void a_partial_entry_at_the_end_is_ignored(void **state)
{
	uint8_t buf[2 * STATS_ENTRY_BYTES];
	struct balloon_guest_stats stats;

	(void)state;
	(void)put(buf, BALLOON_STAT_MEMFREE, 5);
	(void)put(buf + STATS_ENTRY_BYTES, BALLOON_STAT_MEMTOT, 6);
	for (size_t len = STATS_ENTRY_BYTES; len < 2 * STATS_ENTRY_BYTES; len++) {
		assert_int_equal(stats_parse(buf, len, &stats), 1);
		assert_int_equal(stats.present, 1u << BALLOON_STAT_MEMFREE);
	}
	for (size_t len = 0; len < STATS_ENTRY_BYTES; len++)
		assert_int_equal(stats_parse(buf, len, &stats), 0);
}

/* BL09 */
static void values_are_a_claim_and_kept_as_they_are(void **state)
{
	uint8_t buf[STATS_ENTRY_BYTES];
	struct balloon_guest_stats stats;

	(void)state;
	(void)stats_parse(buf, put(buf, BALLOON_STAT_AVAIL, UINT64_MAX), &stats);
	assert_true(stats.value[BALLOON_STAT_AVAIL] == UINT64_MAX);
}

static void of_equal_tags_the_last_counts(void **state)
{
	uint8_t buf[2 * STATS_ENTRY_BYTES];
	struct balloon_guest_stats stats;

	(void)state;
	(void)put(buf, BALLOON_STAT_AVAIL, 1);
	(void)put(buf + STATS_ENTRY_BYTES, BALLOON_STAT_AVAIL, 2);
	(void)stats_parse(buf, sizeof(buf), &stats);
	assert_int_equal(stats.value[BALLOON_STAT_AVAIL], 2);
}

static void every_tag_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (unsigned i = 0; i < BALLOON_STAT_COUNT; i++) {
		assert_non_null(balloon_stat_rows[i].name);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(balloon_stat_rows[i].name,
						balloon_stat_rows[j].name);
		assert_int_equal(balloon_stat_rows[i].is_bytes,
				 strstr(balloon_stat_rows[i].name, "_bytes") != NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_tags_in_any_order_are_read),
		cmocka_unit_test(a_tag_that_was_not_sent_is_not_present),
		cmocka_unit_test(unknown_tags_are_ignored),
		cmocka_unit_test(a_partial_entry_at_the_end_is_ignored),
		cmocka_unit_test(values_are_a_claim_and_kept_as_they_are),
		cmocka_unit_test(of_equal_tags_the_last_counts),
		cmocka_unit_test(every_tag_has_a_name_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
