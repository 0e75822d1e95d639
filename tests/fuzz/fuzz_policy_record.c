/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_policy_record.c - any text as a policy trace: a header line, then lines. What is read is
 * written back the same and decided upon; a refusal is a sentence.
 */
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "policy/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_BYTES = 64 * 1024, EXPLAIN_BYTES = 1024 };

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_refusal(const struct err *err)
{
	require(err->code < 0 && err->text[0] != '\0' && !strchr(err->text, '\n'));
}

/* Written and read again, by our own header. */
static void check_round_trip(const struct policy_record *record)
{
	struct policy_record_layout layout;
	struct policy_record_difference difference;
	struct policy_record again;
	char line[POLICY_RECORD_BYTES], other[POLICY_RECORD_BYTES];
	struct err err = { 0 };

	(void)policy_record_header(line);
	require(policy_record_read_header(line, &layout, &err) == 0);
	(void)policy_record_format(record, line);
	require(policy_record_parse(&layout, line, &again, &err) == 0);
	(void)policy_record_format(&again, other);
	require(strcmp(line, other) == 0);
	require(!policy_record_decisions_differ(record, &again, &difference));
}

static void check_decision(const struct policy_record *record, struct policy_state *state)
{
	const struct policy_settings *settings = &record->settings;
	struct policy_decision decision;
	char text[EXPLAIN_BYTES];

	policy_step(settings, &record->input, state, &decision);
	policy_explain(settings, &record->input, &decision, text, sizeof(text));
	require(text[0] != '\0');
	if (decision.rule == POLICY_RULE_OFF || settings->mode != POLICY_MODE_AUTO)
		return;
	require(decision.target_bytes <= settings->maximum_bytes);
	require(decision.target_bytes >= settings->minimum_bytes);
	require(decision.target_bytes >= policy_floor_bytes(settings->maximum_bytes));
	require(decision.want_bytes <= settings->maximum_bytes);
}

static void check_lines(const struct policy_record_layout *layout, char *lines)
{
	struct policy_state state;
	char *line;

	policy_init(&state);
	while ((line = strsep(&lines, "\n"))) {
		struct policy_record record;
		struct err err = { 0 };

		if (policy_record_parse(layout, line, &record, &err) < 0) {
			check_refusal(&err);
			continue;
		}
		check_round_trip(&record);
		check_decision(&record, &state);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_record_layout layout;
	struct err err = { 0 };
	char *text, *rest;

	if (size > MOST_BYTES)
		return 0;
	text = calloc(1, size + 1);
	require(text);
	memcpy(text, data, size);
	rest = strchr(text, '\n');
	if (rest)
		*rest++ = '\0';
	if (policy_record_read_header(text, &layout, &err) < 0)
		check_refusal(&err);
	else if (rest)
		check_lines(&layout, rest);
	free(text);
	return 0;
}
