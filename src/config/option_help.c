/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* option_help.c - a table's flags as text for a terminal. */
#include "config/options.h"

#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"

enum { FLAG_COLUMN = 26, LAST_COLUMN = 78, HELP_BYTES = 65536, HELP_LINE_BYTES = 1024 };

/* Breaks at spaces; the cursor stands at FLAG_COLUMN. */
static void put_wrapped(struct strbuf *text, const char *words)
{
	size_t column = FLAG_COLUMN;

	while (*words) {
		size_t len = strcspn(words, " ");

		if (column > FLAG_COLUMN && column + 1 + len > LAST_COLUMN) {
			strbuf_printf(text, "\n%*s", FLAG_COLUMN, "");
			column = FLAG_COLUMN;
		} else if (column > FLAG_COLUMN) {
			strbuf_append(text, " ", 1);
			column++;
		}
		strbuf_append(text, words, len);
		column += len;
		words += len + (words[len] == ' ');
	}
	strbuf_append(text, "\n", 1);
}

static void put_flag(struct strbuf *text, const char *name, const char *metavar, const char *help)
{
	size_t before = text->len;
	size_t used;

	strbuf_printf(text, "  --%s %s", name, metavar);
	used = text->len - before;
	if (used >= FLAG_COLUMN) {
		strbuf_append(text, "\n", 1);
		used = 0;
	}
	strbuf_printf(text, "%*s", FLAG_COLUMN - (int)used, "");
	put_wrapped(text, help);
}

static void put_row(struct strbuf *text, const struct option_row *row)
{
	char help[HELP_LINE_BYTES];

	if (!row->flag)
		return;
	(void)snprintf(help, sizeof(help), "%s Default: %s.", row->help,
		       row->default_text ? row->default_text : row->default_words);
	put_flag(text, row->flag, row->metavar, help);
}

static void put_group(struct strbuf *text, const struct option_table *table, const char *group)
{
	for (size_t i = 0; i < table->row_count; i++)
		if (option_is_in(&table->rows[i], group))
			put_row(text, &table->rows[i]);
}

char *options_help(const struct option_table *table)
{
	struct strbuf text;

	strbuf_init(&text, HELP_BYTES);
	put_flag(&text, "config", "FILE",
		 "Read a file of options first: a JSON object. Flags win, whatever the order.");
	put_group(&text, table, NULL);
	for (size_t i = 0; i < table->group_count; i++) {
		strbuf_printf(&text, "\n%s\n", table->groups[i].help);
		put_group(&text, table, table->groups[i].name);
	}
	return strbuf_take(&text);
}
