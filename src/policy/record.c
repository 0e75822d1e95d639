/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* record.c - a tick as a line of CSV, and back.
 *
 * Invariants
 *  1  What is written is read back the same, bit for bit, but for values of absent inputs: they
 *     come back as 0, and nothing looks at them.
 *  2  Reading takes what writing makes, no more: plain decimal digits that fit, the words of the
 *     tables, as many fields as the header has. No quotes, no spaces, no signs.
 *  3  Reading looks at each byte once and allocates nothing, however long the line is.
 */
#include "policy/record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"

static const char *const policy_rule_names[POLICY_RULE_COUNT] = {
#define RULE(id, name, meaning, waits_for) [POLICY_RULE_##id] = (name),
#include "policy/rules.def"
#undef RULE
};

enum kind { KIND_U64, KIND_U32, KIND_BOOL, KIND_WORD };

struct column {
	const char *name;
	enum kind kind;
	size_t offset;
	bool may_be_absent;
	size_t has_offset;     /* of its bool; unless it is a claim */
	unsigned claim_number; /* 1 + id; 0: no claim */
	const char *const *words;
	unsigned word_count;
	bool is_decision;
};

_Static_assert(sizeof(enum policy_mode) == sizeof(uint32_t) && sizeof(bool) == 1,
	       "words are stored as 32 bits");

#define AT(member) offsetof(struct policy_record, member)
#define SECTION(part)
#define U64(name, member, help)	 COLUMN(name, KIND_U64, member, )
#define U32(name, member, help)	 COLUMN(name, KIND_U32, member, )
#define BOOL(name, member, help) COLUMN(name, KIND_BOOL, member, )
#define WORD(name, member, names, count, help) \
	COLUMN(name, KIND_WORD, member, .words = (names), .word_count = (count))
#define MAY_U64(name, has, member, help) COLUMN(name, KIND_U64, member, MAY(has))
#define MAY_U32(name, has, member, help) COLUMN(name, KIND_U32, member, MAY(has))
#define MAY_WORD(name, has, member, names, count, help) \
	COLUMN(name, KIND_WORD, member, MAY(has), .words = (names), .word_count = (count))
#define MAY(has) .may_be_absent = true, .has_offset = AT(has)
#define CLAIM(name, id, help)                                                                   \
	COLUMN(name, KIND_U64, input.untrusted_claim[POLICY_CLAIM_##id], .may_be_absent = true, \
	       .claim_number = 1 + POLICY_CLAIM_##id)
/* clang-format off: a list of initialisers */
#define COLUMN(column_name, column_kind, member, ...) \
	{ .name = (column_name),                      \
	  .kind = (column_kind),                      \
	  .offset = AT(member),                       \
	  .is_decision = AT(member) >= AT(decision),  \
	  __VA_ARGS__ },
/* clang-format on */

static const struct column columns[] = {
#include "policy/record.def"
};

_Static_assert(ARRAY_LEN(columns) <= POLICY_RECORD_MAX_COLUMNS, "a layout holds all of them");

static bool is_present(const struct column *column, const struct policy_record *record)
{
	if (!column->may_be_absent)
		return true;
	if (column->claim_number)
		return record->input.present & (UINT32_C(1) << (column->claim_number - 1));
	return *((const bool *)record + column->has_offset);
}

static void set_present(const struct column *column, struct policy_record *record)
{
	if (column->claim_number)
		record->input.present |= UINT32_C(1) << (column->claim_number - 1);
	else if (column->may_be_absent)
		*((bool *)record + column->has_offset) = true;
}

static uint64_t get(const struct column *column, const struct policy_record *record)
{
	const char *at = (const char *)record + column->offset;
	uint32_t narrow;
	uint64_t wide;

	if (column->kind == KIND_BOOL)
		return *(const bool *)at;
	if (column->kind == KIND_U64) {
		memcpy(&wide, at, sizeof(wide));
		return wide;
	}
	memcpy(&narrow, at, sizeof(narrow));
	return narrow;
}

static void set(const struct column *column, struct policy_record *record, uint64_t value)
{
	char *at = (char *)record + column->offset;
	uint32_t narrow = (uint32_t)value;

	set_present(column, record);
	if (column->kind == KIND_BOOL)
		*(bool *)at = value != 0;
	else if (column->kind == KIND_U64)
		memcpy(at, &value, sizeof(value));
	else
		memcpy(at, &narrow, sizeof(narrow));
}

/* A field has at most 20 digits or one of our words. */
static void format_field(const struct column *column, const struct policy_record *record,
			 char text[POLICY_RECORD_FIELD_BYTES])
{
	uint64_t value = get(column, record);

	if (!is_present(column, record))
		text[0] = '\0';
	else if (column->kind == KIND_WORD && value < column->word_count)
		(void)snprintf(text, POLICY_RECORD_FIELD_BYTES, "%s", column->words[value]);
	else
		(void)snprintf(text, POLICY_RECORD_FIELD_BYTES, "%" PRIu64, value);
}

static size_t append(char line[POLICY_RECORD_BYTES], size_t len, const char *field, bool is_last)
{
	int added = snprintf(line + len, POLICY_RECORD_BYTES - len, "%s%c", field,
			     is_last ? '\n' : ',');

	return len + (size_t)added;
}

_Static_assert(ARRAY_LEN(columns) * POLICY_RECORD_FIELD_BYTES < POLICY_RECORD_BYTES,
	       "every line fits");

size_t policy_record_header(char ret_text[POLICY_RECORD_BYTES])
{
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		len = append(ret_text, len, columns[i].name, i + 1 == ARRAY_LEN(columns));
	return len;
}

size_t policy_record_format(const struct policy_record *record, char ret_text[POLICY_RECORD_BYTES])
{
	char field[POLICY_RECORD_FIELD_BYTES];
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		format_field(&columns[i], record, field);
		len = append(ret_text, len, field, i + 1 == ARRAY_LEN(columns));
	}
	return len;
}

/* The next field, up to a comma or the end of the line. */
struct field {
	const char *text;
	size_t len;
};

static bool next_field(const char **cursor, struct field *ret_field)
{
	const char *at = *cursor;

	if (!at)
		return false;
	ret_field->text = at;
	ret_field->len = strcspn(at, ",\n");
	*cursor = at[ret_field->len] == ',' ? at + ret_field->len + 1 : NULL;
	return true;
}

/* What is shown of a field in a message. */
static int shown(const struct field *field)
{
	return field->len < POLICY_RECORD_FIELD_BYTES ? (int)field->len : POLICY_RECORD_FIELD_BYTES;
}

static bool field_is(const struct field *field, const char *word)
{
	return strlen(word) == field->len && memcmp(field->text, word, field->len) == 0;
}

static int find_column(const struct field *field)
{
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		if (field_is(field, columns[i].name))
			return (int)i;
	return -1;
}

static bool layout_has(const struct policy_record_layout *layout, int column)
{
	for (unsigned i = 0; i < layout->count; i++)
		if (layout->column[i] == column)
			return true;
	return false;
}

static int check_layout(const struct policy_record_layout *layout, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		if (!columns[i].may_be_absent && !layout_has(layout, (int)i))
			return err_set(err, -EINVAL, "no column \"%s\": is this a policy trace?",
				       columns[i].name);
	return 0;
}

int policy_record_read_header(const char *untrusted_line, struct policy_record_layout *ret_layout,
			      struct err *err)
{
	struct policy_record_layout layout = { 0 };
	const char *cursor = untrusted_line;
	struct field field;

	while (next_field(&cursor, &field)) {
		int column = find_column(&field);

		if (layout.count == POLICY_RECORD_MAX_COLUMNS)
			return err_set(err, -EINVAL, "more than %d columns",
				       POLICY_RECORD_MAX_COLUMNS);
		if (column >= 0 && layout_has(&layout, column))
			return err_set(err, -EINVAL, "column \"%s\" twice", columns[column].name);
		layout.column[layout.count++] = column;
	}
	if (check_layout(&layout, err) < 0)
		return -EINVAL;
	*ret_layout = layout;
	return 0;
}

static int parse_number(const struct column *column, const struct field *field, uint64_t *ret_value,
			struct err *err)
{
	uint64_t most = column->kind == KIND_BOOL  ? 1
			: column->kind == KIND_U32 ? UINT32_MAX
						   : UINT64_MAX;
	uint64_t value = 0;

	for (size_t i = 0; i < field->len; i++) {
		unsigned digit = (unsigned)(unsigned char)field->text[i] - '0';

		if (digit > 9)
			return err_set(err, -EINVAL, "column \"%s\": \"%.*s\" is not a number",
				       column->name, shown(field), field->text);
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, digit, &value) || value > most)
			return err_set(err, -ERANGE, "column \"%s\": %.*s is above %" PRIu64,
				       column->name, shown(field), field->text, most);
	}
	*ret_value = value;
	return 0;
}

static int parse_word(const struct column *column, const struct field *field, uint64_t *ret_value,
		      struct err *err)
{
	for (unsigned i = 0; i < column->word_count; i++) {
		if (field_is(field, column->words[i])) {
			*ret_value = i;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "column \"%s\": \"%.*s\" is none of its words", column->name,
		       shown(field), field->text);
}

static int parse_field(const struct column *column, const struct field *field,
		       struct policy_record *record, struct err *err)
{
	uint64_t value = 0;
	int result;

	if (field->len == 0)
		return column->may_be_absent
			       ? 0
			       : err_set(err, -EINVAL, "column \"%s\" is empty", column->name);
	result = column->kind == KIND_WORD ? parse_word(column, field, &value, err)
					   : parse_number(column, field, &value, err);
	if (result == 0)
		set(column, record, value);
	return result;
}

int policy_record_parse(const struct policy_record_layout *layout, const char *untrusted_line,
			struct policy_record *ret_record, struct err *err)
{
	struct policy_record record = { 0 };
	const char *cursor = untrusted_line;
	struct field field;
	unsigned count = 0;
	int result;

	while (next_field(&cursor, &field)) {
		if (count == layout->count)
			return err_set(err, -EINVAL, "more fields than the header's %u", count);
		if (layout->column[count] >= 0) {
			result = parse_field(&columns[layout->column[count]], &field, &record, err);
			if (result < 0)
				return result;
		}
		count++;
	}
	if (count < layout->count)
		return err_set(err, -EINVAL, "%u fields, but the header has %u", count,
			       layout->count);
	*ret_record = record;
	return 0;
}

bool policy_record_decisions_differ(const struct policy_record *a, const struct policy_record *b,
				    struct policy_record_difference *ret_difference)
{
	struct policy_record_difference difference;

	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		if (!columns[i].is_decision)
			continue;
		format_field(&columns[i], a, difference.a);
		format_field(&columns[i], b, difference.b);
		if (strcmp(difference.a, difference.b) != 0) {
			difference.column = columns[i].name;
			*ret_difference = difference;
			return true;
		}
	}
	return false;
}
