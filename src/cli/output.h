/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* output.h - what people see: aligned tables, readable units, colours, and one-sentence failures.
 *
 * Colours appear only on a terminal, and never when NO_COLOR is set (https://no-color.org).
 * Machines read --json instead: the result of the call, indented.
 */
#ifndef NEAP_CLI_OUTPUT_H
#define NEAP_CLI_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/units.h"

enum out_colour {
	OUT_PLAIN,
	OUT_BOLD,
	OUT_DIM,
	OUT_RED,
	OUT_GREEN,
	OUT_YELLOW,
	OUT_CYAN,
	OUT_BLUE
};

/* The escape sequences around coloured text, or "" where @stream should have none. */
const char *out_colour_on(FILE *stream, enum out_colour colour);
const char *out_colour_off(FILE *stream, enum out_colour colour);

struct out_cell {
	char *text;
	enum out_colour colour;
};

/* Cells are added from left to right, row after row. A header that starts with '>' belongs to a
 * column that is aligned to the right; a table whose headers are all empty shows none. The last column's
 * texts are cut where a terminal ends when its header starts with OUT_CUT_MARK; a pipe gets all of them. A
 * control character in a cell becomes a question mark. */
enum { OUT_TABLE_COLUMNS = 32, OUT_CUT_MARK = '<' }; /* at most */

struct out_table {
	const char *const *headers;
	unsigned column_count;
	size_t widths[OUT_TABLE_COLUMNS]; /* of what is in it so far */
	struct out_cell *cells;
	size_t cell_count;
	size_t capacity;
};

void out_table_init(struct out_table *table, const char *const *headers, unsigned column_count);
void out_cell(struct out_table *table, enum out_colour colour, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void out_cell_bytes(struct out_table *table, uint64_t bytes);
void out_table_print(struct out_table *table, FILE *stream,
		     const char *indent); /* and empties it */

/* One paragraph on standard output, broken at spaces where the terminal ends (78 columns elsewhere);
 * @column is where the cursor stands already. */
void out_wrapped(const char *text, size_t len, int indent, int column);

/* Prints @json, indented, with a newline. Steals it. False: no memory, or standard output is full
 * or closed. */
bool out_json(json_t *json);

/* "12 s", "3 min 20 s", "2 d 4 h". Returns @text. */
const char *out_duration(uint64_t duration_ns, char text[UNITS_TEXT_BYTES]);

/* "850 ns", "1.2 us", "35 ms", "4.0 s": two or three digits that matter. Returns @text. */
const char *out_short_time(uint64_t time_ns, char text[UNITS_TEXT_BYTES]);

/* "neap: sentence" on standard error, without control characters; returns @exit_code, so that one can
 * write return out_fail(). */
int out_fail(int exit_code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void out_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* No control character: what a VM says may go to a terminal. */
static inline bool out_is_printable(char character)
{
	return (unsigned char)character >= ' ' && character != '\x7f';
}

/* To standard output, with a question mark for each control character. */
void out_words(const char *untrusted_text);
void out_about(const char *untrusted_name, const char *untrusted_text); /* a line: "name: text" */

/* Members of a result, with a zero value where one is absent. */
uint64_t out_u64(const json_t *object, const char *member);
const char *out_text(const json_t *object, const char *member);

#endif
