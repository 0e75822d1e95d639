/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_record.c - a tick as a line, and back. */
#include <errno.h>
#include <string.h>

#include "base/units.h"
#include "policy/record.h"

#include "../support/testing.h"

enum { RECORDS = 2000 };

static struct test_random random_numbers;

static uint64_t any(void)
{
	return test_random_any_size(&random_numbers);
}

static uint64_t below(uint64_t limit)
{
	return test_random_below(&random_numbers, limit);
}

static bool maybe(void)
{
	return test_random_below(&random_numbers, 2);
}

static void fill_input(struct policy_input *input)
{
	input->now_ns = any();
	input->guest_start_ns = any();
	input->driver_ready = maybe();
	input->deflate_on_oom = maybe();
	input->taken_bytes = any();
	input->stats_at_ns = any();
	input->stats_period_ns = any();
	input->present = (uint32_t)test_random_below(&random_numbers, 1 << POLICY_CLAIM_COUNT);
	for (unsigned i = 0; i < POLICY_CLAIM_COUNT; i++)
		input->untrusted_claim[i] = input->present & (1U << i) ? any() : 0;
	input->has_stall = maybe();
	input->stall_ns = input->has_stall ? any() : 0;
	input->has_active = maybe();
	input->active_percent = input->has_active ? (uint32_t)any() : 0;
	input->can_swap = maybe();
	input->swapped_bytes = any();
	input->refault_blocks = any();
	input->has_host = maybe();
	input->host = input->has_host ? (enum host_state)below(HOST_STATE_COUNT) : HOST_CLEAR;
	input->host_free_bytes = input->has_host ? any() : 0;
	input->has_grant = maybe();
	input->grant_bytes = input->has_grant ? any() : 0;
}

static void fill_settings(struct policy_settings *settings)
{
	settings->mode = (enum policy_mode)below(POLICY_MODE_COUNT);
	settings->startup_bytes = any();
	settings->minimum_bytes = any();
	settings->maximum_bytes = any();
	settings->buffer_percent = (uint32_t)any();
	settings->weight = (uint32_t)any();
	settings->reserved = maybe();
	settings->frame_bytes = any();
}

static void fill_decision(struct policy_decision *decision)
{
	decision->has_demand = maybe();
	decision->demand_bytes = decision->has_demand ? any() : 0;
	decision->want_bytes = any();
	decision->assigned_bytes = any();
	decision->available_bytes = any();
	decision->target_bytes = any();
	decision->swap_limit_bytes = any();
	decision->report_in_ns = any();
	decision->pressure_percent = (uint32_t)any();
	decision->average_pressure_percent = (uint32_t)any();
	decision->status = (enum policy_status)below(POLICY_STATUS_COUNT);
	decision->rule = (enum policy_rule)below(POLICY_RULE_COUNT);
}

/* Padding included, so that two of them can be compared as bytes. */
static void fill(struct policy_record *record)
{
	memset(record, 0, sizeof(*record));
	fill_settings(&record->settings);
	fill_input(&record->input);
	fill_decision(&record->decision);
}

static struct policy_record_layout own_layout(void)
{
	char line[POLICY_RECORD_BYTES];
	struct policy_record_layout layout;
	struct err err = { 0 };
	size_t len = policy_record_header(line);

	assert_int_equal(len, strlen(line));
	assert_int_equal(policy_record_read_header(line, &layout, &err), 0);
	return layout;
}

static void test_what_is_written_is_read_back_to_the_bit(void **state)
{
	struct policy_record_layout layout = own_layout();
	struct policy_record_difference difference;
	struct policy_record before, after;
	char line[POLICY_RECORD_BYTES], again[POLICY_RECORD_BYTES];

	(void)state;
	for (unsigned i = 0; i < RECORDS; i++) {
		struct err err = { 0 };

		fill(&before);
		(void)policy_record_format(&before, line);
		assert_int_equal(policy_record_parse(&layout, line, &after, &err), 0);
		assert_memory_equal(&before.settings, &after.settings, sizeof(before.settings));
		assert_memory_equal(before.input.untrusted_claim, after.input.untrusted_claim,
				    sizeof(before.input.untrusted_claim));
		assert_int_equal(before.input.present, after.input.present);
		assert_false(policy_record_decisions_differ(&before, &after, &difference));
		(void)policy_record_format(&after, again);
		assert_string_equal(line, again);
	}
}

static void test_the_largest_record_fits_its_line(void **state)
{
	struct policy_record record;
	char line[POLICY_RECORD_BYTES];
	size_t len;

	(void)state;
	memset(&record, 0xff, sizeof(record));
	record.settings.reserved = record.input.driver_ready = record.input.deflate_on_oom = true;
	record.input.has_stall = record.input.has_active = record.input.can_swap = true;
	record.input.has_host = record.input.has_grant = record.decision.has_demand = true;
	len = policy_record_format(&record, line);
	assert_int_equal(len, strlen(line));
	assert_int_equal(line[strlen(line) - 1], '\n');
}

static void test_columns_may_come_in_any_order_with_others_between(void **state)
{
	char line[POLICY_RECORD_BYTES], header[2 * POLICY_RECORD_BYTES],
		row[2 * POLICY_RECORD_BYTES];
	char *names[POLICY_RECORD_MAX_COLUMNS], *values[POLICY_RECORD_MAX_COLUMNS];
	char value_line[POLICY_RECORD_BYTES], *cursor = line, *value_cursor = value_line;
	struct policy_record before, after;
	struct policy_record_layout layout;
	unsigned count = 0;

	(void)state;
	fill(&before);
	(void)policy_record_header(line);
	(void)policy_record_format(&before, value_line);
	while (cursor) {
		names[count] = strsep(&cursor, ",\n");
		values[count++] = strsep(&value_cursor, ",\n");
	}
	(void)snprintf(header, sizeof(header), "hello");
	(void)snprintf(row, sizeof(row), "world");
	for (unsigned i = count; i-- > 0;) {
		if (!names[i][0])
			continue;
		(void)snprintf(header + strlen(header), sizeof(header) - strlen(header), ",%s",
			       names[i]);
		(void)snprintf(row + strlen(row), sizeof(row) - strlen(row), ",%s", values[i]);
	}
	assert_int_equal(policy_record_read_header(header, &layout, NULL), 0);
	assert_int_equal(policy_record_parse(&layout, row, &after, NULL), 0);
	(void)policy_record_format(&after, row);
	(void)policy_record_format(&before, value_line);
	assert_string_equal(row, value_line);
}

static void assert_refused(const char *value, const char *what)
{
	/* Two columns are enough to test the fields. */
	struct policy_record_layout layout = own_layout();
	struct policy_record record = { .settings.weight = 77 };
	char line[POLICY_RECORD_BYTES * 2];
	struct err err = { 0 };

	layout.count = 1; /* mode */
	if (strcmp(what, "startup_bytes") == 0)
		layout.column[0] = 1;
	if (strcmp(what, "buffer_percent") == 0)
		layout.column[0] = 4;
	if (strcmp(what, "reserved") == 0)
		layout.column[0] = 6;
	(void)snprintf(line, sizeof(line), "%s", value);
	assert_true(policy_record_parse(&layout, line, &record, &err) < 0);
	assert_int_equal(record.settings.weight, 77);
	assert_non_null(strstr(err.text, what));
}

static void test_a_field_that_is_not_exactly_right_is_refused_by_name(void **state)
{
	(void)state;
	assert_refused("", "mode");
	assert_refused("Auto", "mode");
	assert_refused("autox", "mode");
	assert_refused("0", "mode");
	assert_refused("-1", "startup_bytes");
	assert_refused("+1", "startup_bytes");
	assert_refused(" 1", "startup_bytes");
	assert_refused("1 ", "startup_bytes");
	assert_refused("0x1", "startup_bytes");
	assert_refused("1e3", "startup_bytes");
	assert_refused("", "startup_bytes");
	assert_refused("18446744073709551616", "startup_bytes");
	assert_refused("99999999999999999999999999999999999999999", "startup_bytes");
	assert_refused("4294967296", "buffer_percent");
	assert_refused("2", "reserved");
	assert_refused("auto,auto", "fields");
}

static void test_a_line_has_as_many_fields_as_the_header(void **state)
{
	struct policy_record_layout layout = own_layout();
	char line[POLICY_RECORD_BYTES];
	struct policy_record record;
	struct err err = { 0 };

	(void)state;
	fill(&record);
	(void)policy_record_format(&record, line);
	*strrchr(line, ',') = '\0';
	assert_int_equal(policy_record_parse(&layout, line, &record, &err), -EINVAL);
	assert_non_null(strstr(err.text, "fields"));
	assert_int_equal(policy_record_parse(&layout, "", &record, &err), -EINVAL);
}

static void test_a_header_without_a_needed_column_is_refused_by_name(void **state)
{
	struct policy_record_layout layout;
	char line[POLICY_RECORD_BYTES];
	struct err err = { 0 };

	(void)state;
	(void)policy_record_header(line);
	memcpy(strstr(line, "taken_bytes"), "tokenabytes", 11);
	assert_int_equal(policy_record_read_header(line, &layout, &err), -EINVAL);
	assert_non_null(strstr(err.text, "taken_bytes"));
	(void)policy_record_header(line);
	memcpy(strstr(line, "grant_bytes"), "abcdefghijk", 11);
	assert_int_equal(policy_record_read_header(line, &layout, &err), 0);
}

static void test_a_column_twice_or_too_many_are_refused(void **state)
{
	struct policy_record_layout layout;
	char line[POLICY_RECORD_BYTES * 2], commas[POLICY_RECORD_MAX_COLUMNS + 2];
	struct err err = { 0 };

	(void)state;
	(void)policy_record_header(line);
	(void)snprintf(line + strlen(line) - 1, POLICY_RECORD_BYTES, ",mode\n");
	assert_int_equal(policy_record_read_header(line, &layout, &err), -EINVAL);
	assert_non_null(strstr(err.text, "twice"));
	memset(commas, ',', sizeof(commas));
	commas[sizeof(commas) - 1] = '\0';
	assert_int_equal(policy_record_read_header(commas, &layout, &err), -EINVAL);
}

static void test_two_decisions_differ_where_they_do(void **state)
{
	struct policy_record_difference difference;
	struct policy_record a, b;

	(void)state;
	fill(&a);
	a.decision.rule = POLICY_RULE_FLOOR;
	b = a;
	b.input.now_ns++;
	assert_false(policy_record_decisions_differ(&a, &b, &difference));
	b.decision.rule = POLICY_RULE_PAIN;
	assert_true(policy_record_decisions_differ(&a, &b, &difference));
	assert_string_equal(difference.column, "rule");
	assert_string_equal(difference.a, "floor");
	assert_string_equal(difference.b, "pain");
	b.decision.target_bytes = a.decision.target_bytes + 1;
	assert_true(policy_record_decisions_differ(&a, &b, &difference));
	assert_string_equal(difference.column, "target_bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read_back_to_the_bit),
		cmocka_unit_test(test_the_largest_record_fits_its_line),
		cmocka_unit_test(test_columns_may_come_in_any_order_with_others_between),
		cmocka_unit_test(test_a_field_that_is_not_exactly_right_is_refused_by_name),
		cmocka_unit_test(test_a_line_has_as_many_fields_as_the_header),
		cmocka_unit_test(test_a_header_without_a_needed_column_is_refused_by_name),
		cmocka_unit_test(test_a_column_twice_or_too_many_are_refused),
		cmocka_unit_test(test_two_decisions_differ_where_they_do),
	};

	random_numbers = test_random_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
