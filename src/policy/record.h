/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* record.h - a tick of the policy as a row: settings, input and decision, in CSV.
 *
 * record.def has one row per column: its name (with the unit), where it is, its help. A trace is a
 * header line of these names, then a line per tick. `neap run --policy-trace` writes it, `neap sim`
 * replays it through policy_step() and compares the decisions.
 */
#ifndef NEAP_POLICY_RECORD_H
#define NEAP_POLICY_RECORD_H

#include <stddef.h>

#include "policy/policy.h"

struct policy_record {
	struct policy_settings settings;
	struct policy_input input;
	struct policy_decision decision;
};

enum { POLICY_RECORD_BYTES = 2048 }; /* of one line, newline and zero included */

/* One line with its newline into @ret_text; returns its length. */
size_t policy_record_header(char ret_text[POLICY_RECORD_BYTES]);
size_t policy_record_format(const struct policy_record *record, char ret_text[POLICY_RECORD_BYTES]);

/* Which column of a file is which member: columns may be in any order; unknown ones are ignored;
 * a missing column that is needed is an error that names it. */
enum { POLICY_RECORD_MAX_COLUMNS = 128 };
struct policy_record_layout {
	unsigned count;
	int column[POLICY_RECORD_MAX_COLUMNS]; /* row of record.def, or -1 */
};

/**
 * policy_record_read_header() - the first line of a trace
 *
 * A line may end with a newline. -EINVAL: not such a header, and @err says why.
 */
int policy_record_read_header(const char *untrusted_line, struct policy_record_layout *ret_layout,
			      struct err *err);

/**
 * policy_record_parse() - one further line
 *
 * Numbers are read exactly, to 64 bits. Nothing is checked against anything else: what comes out is
 * what was written, and the settings are for policy_check_settings().
 *
 * Return: 0; -EINVAL, -ERANGE: @err names the column and what is in it.
 */
int policy_record_parse(const struct policy_record_layout *layout, const char *untrusted_line,
			struct policy_record *ret_record, struct err *err);

/* The first column in which two decisions differ, as both are written; false: they are equal. */
enum { POLICY_RECORD_FIELD_BYTES = 32 };
struct policy_record_difference {
	const char *column;
	char a[POLICY_RECORD_FIELD_BYTES], b[POLICY_RECORD_FIELD_BYTES];
};
bool policy_record_decisions_differ(const struct policy_record *a, const struct policy_record *b,
				    struct policy_record_difference *ret_difference);

#endif
