/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* output.c - see output.h. */
#include "cli/output.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	TABLE_FIRST_CELLS = 32,
	COLUMN_GAP = 2,
	OUT_COLUMNS = 78,
	OUT_COLUMNS_MIN = 40,
	OUT_COLUMNS_MAX = 98, /* longer lines are hard to read */
	CUT_COLUMNS_MIN = 12,
};

static const char cut_mark[] = "...";

static const char *const colour_codes[] = {
	[OUT_PLAIN] = "",	 [OUT_BOLD] = "\x1b[1m",   [OUT_DIM] = "\x1b[2m",
	[OUT_RED] = "\x1b[31m",	 [OUT_GREEN] = "\x1b[32m", [OUT_YELLOW] = "\x1b[33m",
	[OUT_CYAN] = "\x1b[36m", [OUT_BLUE] = "\x1b[34m",
};

static bool wants_colour(FILE *stream)
{
	const char *no_colour = getenv("NO_COLOR");
	const char *terminal = getenv("TERM");

	if (no_colour && *no_colour)
		return false;
	return isatty(fileno(stream)) && terminal && strcmp(terminal, "dumb") != 0;
}

/* 0: it is none. */
static int terminal_columns(FILE *stream)
{
	struct winsize window = { 0 };

	if (!isatty(fileno(stream)) || ioctl(fileno(stream), TIOCGWINSZ, &window) < 0)
		return 0;
	return window.ws_col;
}

const char *out_colour_on(FILE *stream, enum out_colour colour)
{
	return colour != OUT_PLAIN && wants_colour(stream) ? colour_codes[colour] : "";
}

const char *out_colour_off(FILE *stream, enum out_colour colour)
{
	return colour != OUT_PLAIN && wants_colour(stream) ? "\x1b[0m" : "";
}

static bool is_right_aligned(const struct out_table *table, unsigned column)
{
	return table->headers[column][0] == '>';
}

static const char *header_text(const struct out_table *table, unsigned column)
{
	return table->headers[column] +
	       (is_right_aligned(table, column) || table->headers[column][0] == OUT_CUT_MARK);
}

static void widen(struct out_table *table, size_t column, const char *text)
{
	size_t len = strlen(text);

	if (len > table->widths[column])
		table->widths[column] = len;
}

void out_table_init(struct out_table *table, const char *const *headers, unsigned column_count)
{
	*table = (struct out_table){ .headers = headers, .column_count = column_count };
	for (unsigned column = 0; column < column_count; column++)
		widen(table, column, header_text(table, column));
}

static struct out_cell *new_cell(struct out_table *table)
{
	if (table->cell_count == table->capacity) {
		size_t capacity = table->capacity ? table->capacity * 2 : TABLE_FIRST_CELLS;
		struct out_cell *cells = realloc(table->cells, capacity * sizeof(*cells));

		if (!cells)
			return NULL;
		table->cells = cells;
		table->capacity = capacity;
	}
	return &table->cells[table->cell_count];
}

void out_cell(struct out_table *table, enum out_colour colour, const char *fmt, ...)
{
	struct out_cell *cell = new_cell(table);
	va_list args;

	if (!cell)
		return;
	va_start(args, fmt);
	if (vasprintf(&cell->text, fmt, args) < 0)
		cell->text = NULL;
	va_end(args);
	for (char *at = cell->text; at && *at; at++)
		if (!out_is_printable(*at))
			*at = '?';
	if (!cell->text)
		return;
	widen(table, table->cell_count % table->column_count, cell->text);
	cell->colour = colour;
	table->cell_count++;
}

void out_cell_bytes(struct out_table *table, uint64_t bytes)
{
	char text[UNITS_TEXT_BYTES];

	out_cell(table, OUT_PLAIN, "%s", units_format_size(bytes, text));
}

static void put_words(const char *untrusted_text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		(void)putchar(out_is_printable(untrusted_text[i]) ? untrusted_text[i] : '?');
}

void out_words(const char *untrusted_text)
{
	put_words(untrusted_text, strlen(untrusted_text));
}

void out_about(const char *untrusted_name, const char *untrusted_text)
{
	out_words(untrusted_name);
	(void)fputs(": ", stdout);
	out_words(untrusted_text);
	(void)putchar('\n');
}

/* Of UTF-8 every byte but those that go on with a character begins one. */
static bool begins_character(char byte)
{
	return ((unsigned char)byte & 0xc0) != 0x80;
}

static void cut(char *text, size_t room)
{
	size_t kept = room - (sizeof(cut_mark) - 1);
	char *end = text;
	size_t count = 0;

	for (char *at = text; *at; at++) {
		if (begins_character(*at) && count++ == kept)
			end = at;
	}
	if (count > room)
		memcpy(end, cut_mark, sizeof(cut_mark));
}

static void cut_last_column(struct out_table *table, FILE *stream, const char *indent)
{
	size_t last = table->column_count - 1;
	size_t columns = (size_t)terminal_columns(stream);
	size_t taken = strlen(indent);

	if (columns == 0 || table->headers[last][0] != OUT_CUT_MARK)
		return;
	for (size_t column = 0; column < last; column++)
		taken += table->widths[column] + COLUMN_GAP;
	columns = columns > taken + CUT_COLUMNS_MIN ? columns - taken : CUT_COLUMNS_MIN;
	for (size_t i = last; i < table->cell_count; i += table->column_count)
		cut(table->cells[i].text, columns);
}

/* The last column is not padded: no line ends in spaces. */
static void print_cell(const struct out_table *table, FILE *stream, unsigned column,
		       const char *text, enum out_colour colour)
{
	bool is_last = column + 1 == table->column_count;
	int padding = (int)table->widths[column] - (int)strlen(text);

	if (is_right_aligned(table, column))
		(void)fprintf(stream, "%*s", padding, "");
	(void)fprintf(stream, "%s%s%s", out_colour_on(stream, colour), text,
		      out_colour_off(stream, colour));
	if (is_last)
		(void)fputc('\n', stream);
	else if (is_right_aligned(table, column))
		(void)fprintf(stream, "%*s", COLUMN_GAP, "");
	else
		(void)fprintf(stream, "%*s", padding + COLUMN_GAP, "");
}

static bool has_headers(const struct out_table *table)
{
	for (unsigned column = 0; column < table->column_count; column++)
		if (*header_text(table, column))
			return true;
	return false;
}

void out_table_print(struct out_table *table, FILE *stream, const char *indent)
{
	if (table->column_count > 0)
		cut_last_column(table, stream, indent);
	if (has_headers(table)) {
		(void)fputs(indent, stream);
		for (unsigned column = 0; column < table->column_count; column++)
			print_cell(table, stream, column, header_text(table, column), OUT_BOLD);
	}
	for (size_t i = 0; i < table->cell_count && table->column_count > 0; i++) {
		unsigned column = (unsigned)(i % table->column_count);

		if (column == 0)
			(void)fputs(indent, stream);
		print_cell(table, stream, column, table->cells[i].text, table->cells[i].colour);
	}
	for (size_t i = 0; i < table->cell_count; i++)
		free(table->cells[i].text);
	free(table->cells);
	out_table_init(table, table->headers, table->column_count);
}

static int text_columns(void)
{
	int columns = terminal_columns(stdout) - 2;

	if (columns < 0)
		return OUT_COLUMNS;
	columns = columns < OUT_COLUMNS_MIN ? OUT_COLUMNS_MIN : columns;
	return columns > OUT_COLUMNS_MAX ? OUT_COLUMNS_MAX : columns;
}

void out_wrapped(const char *text, size_t len, int indent, int column)
{
	const char *end = text + len;
	int columns = text_columns();

	while (text < end) {
		size_t word = strcspn(text, " \n");

		word = word > (size_t)(end - text) ? (size_t)(end - text) : word;
		if (column > indent && column + 1 + (int)word > columns) {
			(void)printf("\n%*s", indent, "");
			column = indent;
		} else if (column > indent) {
			(void)putchar(' ');
			column++;
		}
		put_words(text, word);
		column += (int)word;
		text += word + (text + word < end);
	}
	(void)putchar('\n');
}

bool out_json(json_t *json)
{
	bool is_done = json && json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY) == 0;

	is_done = is_done && fputc('\n', stdout) != EOF && fflush(stdout) == 0;
	json_decref(json);
	return is_done;
}

const char *out_duration(uint64_t duration_ns, char text[UNITS_TEXT_BYTES])
{
	uint64_t seconds = duration_ns / NS_PER_S;
	uint64_t minutes = seconds / 60;
	uint64_t hours = minutes / 60;

	if (seconds < 10)
		(void)snprintf(text, UNITS_TEXT_BYTES, "%" PRIu64 ".%" PRIu64 " s", seconds,
			       duration_ns / (100 * NS_PER_MS) % 10);
	else if (minutes == 0)
		(void)snprintf(text, UNITS_TEXT_BYTES, "%" PRIu64 " s", seconds);
	else if (hours == 0)
		(void)snprintf(text, UNITS_TEXT_BYTES, "%" PRIu64 " min %" PRIu64 " s", minutes,
			       seconds % 60);
	else if (hours < 24)
		(void)snprintf(text, UNITS_TEXT_BYTES, "%" PRIu64 " h %" PRIu64 " min", hours,
			       minutes % 60);
	else
		(void)snprintf(text, UNITS_TEXT_BYTES, "%" PRIu64 " d %" PRIu64 " h", hours / 24,
			       hours % 24);
	return text;
}

const char *out_short_time(uint64_t time_ns, char text[UNITS_TEXT_BYTES])
{
	static const struct {
		uint64_t ns;
		const char *name;
	} units[] = { { NS_PER_S, "s" }, { NS_PER_MS, "ms" }, { NS_PER_US, "us" } };

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		uint64_t tenths = time_ns / (units[i].ns / 10);

		if (time_ns < units[i].ns)
			continue;
		if (tenths < 100)
			(void)snprintf(text, UNITS_TEXT_BYTES, "%" PRIu64 ".%" PRIu64 " %s",
				       tenths / 10, tenths % 10, units[i].name);
		else
			(void)snprintf(text, UNITS_TEXT_BYTES, "%" PRIu64 " %s", tenths / 10,
				       units[i].name);
		return text;
	}
	(void)snprintf(text, UNITS_TEXT_BYTES, "%" PRIu64 " ns", time_ns);
	return text;
}

/* Sentences may be those of a VM, whose process its guest may have taken over. */
__attribute__((format(printf, 1, 0))) static void say(const char *fmt, va_list args)
{
	char *text;

	if (vasprintf(&text, fmt, args) < 0)
		return;
	for (char *at = text; *at; at++)
		if (!out_is_printable(*at))
			*at = '?';
	(void)fprintf(stderr, "%s\n", text);
	free(text);
}

int out_fail(int exit_code, const char *fmt, ...)
{
	va_list args;

	(void)fflush(stdout);
	(void)fprintf(stderr, "%sneap:%s ", out_colour_on(stderr, OUT_RED),
		      out_colour_off(stderr, OUT_RED));
	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
	return exit_code;
}

void out_note(const char *fmt, ...)
{
	va_list args;

	(void)fflush(stdout);
	(void)fputs("neap: ", stderr);
	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
}

uint64_t out_u64(const json_t *object, const char *member)
{
	json_int_t value = json_integer_value(json_object_get(object, member));

	return value > 0 ? (uint64_t)value : 0;
}

const char *out_text(const json_t *object, const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));

	return text ? text : "";
}
