/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* man.c - parts of neap(1), vm.json(5), neapd(8) and neapd.json(5).
 *
 * Source: groff_man(7); man-pages(7) "Formatting and wording conventions".
 */
#include "docgen.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/exit_code.h"
#include "cli/commands.h"
#include "config/options.h"

/* Text as troff text: dashes that can be copied, no escapes, no line taken for a request. */
void man_put(const char *text)
{
	bool at_start = true;

	for (; *text; text++) {
		if (at_start && (*text == '.' || *text == '\''))
			(void)fputs("\\&", stdout);
		at_start = *text == '\n';
		if (*text == '\\')
			(void)fputs("\\e", stdout);
		else if (*text == '-')
			(void)fputs("\\-", stdout);
		else if (*text == '\n')
			(void)fputs("\n.IP\n", stdout);
		else
			(void)putchar(*text);
	}
}

void man_put_line(const char *text)
{
	man_put(text);
	(void)putchar('\n');
}

void man_put_tag(const char *before, const char *name, const char *metavar)
{
	(void)fputs(".TP\n\\fB", stdout);
	man_put(before);
	man_put(name);
	(void)fputs("\\fP", stdout);
	if (metavar && *metavar) {
		(void)fputs(" \\fI", stdout);
		man_put(metavar);
		(void)fputs("\\fP", stdout);
	}
	(void)putchar('\n');
}

static void put_command_flags(const struct cli_command *command)
{
	const struct cli_flag *flag;

	(void)puts(".RS");
	for (unsigned i = 0; (flag = cli_command_flag(command, i)); i++) {
		char before[] = { '-', flag->letter, ',', ' ', '-', '-', '\0' };

		if (strcmp(flag->name, "help") == 0 || strcmp(flag->name, "host") == 0)
			continue; /* of every command: the page's own words */
		man_put_tag(flag->letter ? before : "--", flag->name, flag->metavar);
		man_put(flag->help);
		(void)puts(".");
	}
	(void)puts(".RE");
}

void man_commands(void)
{
	const struct cli_command *commands;
	unsigned count;

	commands = cli_commands(&count);
	for (unsigned i = 0; i < count; i++) {
		if (commands[i].group)
			(void)printf(".SS %s\n", commands[i].group);
		man_put_tag("neap ", commands[i].name, commands[i].arguments);
		man_put(commands[i].summary);
		(void)puts(".");
		if (*commands[i].help)
			man_put_line(commands[i].help);
		put_command_flags(&commands[i]);
	}
}

static void put_default(const struct option_row *row)
{
	(void)fputs("Default: ", stdout);
	man_put(row->default_text ? row->default_text : row->default_words);
	(void)puts(".");
}

/* An option without a flag of its own is a key of its group's: --balloon size=1G */
static void put_option_tag(const struct option_row *row)
{
	char name[64];

	if (row->flag) {
		man_put_tag("--", row->flag, row->metavar);
		return;
	}
	(void)snprintf(name, sizeof(name), "%.*s %s=", (int)option_group_len(row), row->key,
		       option_leaf(row));
	(void)fputs(".TP\n\\fB\\-\\-", stdout);
	man_put(name);
	(void)fputs("\\fP\\fI", stdout);
	man_put(row->metavar);
	(void)fputs("\\fP\n", stdout);
}

static void put_group_flags(const struct option_table *table, const char *group)
{
	for (size_t i = 0; i < table->row_count; i++) {
		if (!option_is_in(&table->rows[i], group))
			continue;
		put_option_tag(&table->rows[i]);
		man_put_line(table->rows[i].help);
		put_default(&table->rows[i]);
	}
}

static void put_flags(const struct option_table *table)
{
	put_group_flags(table, NULL);
	for (size_t i = 0; i < table->group_count; i++) {
		(void)printf(".PP\n%s\n", table->groups[i].help);
		put_group_flags(table, table->groups[i].name);
	}
}

void man_flags(void)
{
	put_flags(&vm_options);
}

void man_host_flags(void)
{
	put_flags(&host_options);
}

/* What the value may be: its JSON type, and its limits. */
static void put_type(const struct option_row *row)
{
	char low[UNITS_TEXT_BYTES], high[UNITS_TEXT_BYTES];

	switch (row->type) {
	case OPTION_NAME:
	case OPTION_STRING:
	case OPTION_PATH:
		(void)printf("A %s, at most %" PRIu64 " bytes.\n",
			     row->type == OPTION_PATH ? "path as a string" : "string", row->max);
		break;
	case OPTION_UUID: (void)puts("A string of 36 characters."); break;
	case OPTION_SIZE:
		(void)printf("A size, from %s to %s.\n", units_format_exact(row->min, low),
			     units_format_exact(row->max, high));
		break;
	case OPTION_UNSIGNED:
		(void)printf("An integer, from %" PRIu64 " to %" PRIu64 "%s%s.\n", row->min,
			     row->max, row->unit ? " " : "", row->unit ? row->unit : "");
		break;
	case OPTION_BOOL: (void)puts("true or false."); break;
	case OPTION_MODE:
		(void)printf("A string of octal digits, at most \"%04" PRIo64 "\".\n", row->max);
		break;
	case OPTION_ENUM:
		(void)fputs("A string, one of", stdout);
		for (unsigned i = 0; row->choices[i]; i++)
			(void)printf("%s \"%s\"", i ? "," : "", row->choices[i]);
		(void)puts(".");
		break;
	}
}

/* As JSON has it: booleans are not on and off there. */
static void put_json_default(const struct option_row *row)
{
	bool value;

	if (row->type == OPTION_BOOL && option_parse_bool(row->default_text, &value))
		(void)printf("Default: %s.\n", value ? "true" : "false");
	else
		put_default(row);
}

static void put_keys(const struct option_table *table, const char *group)
{
	for (size_t i = 0; i < table->row_count; i++) {
		if (!option_is_in(&table->rows[i], group))
			continue;
		man_put_tag("", table->rows[i].key, NULL);
		man_put_line(table->rows[i].help);
		put_type(&table->rows[i]);
		put_json_default(&table->rows[i]);
		if (table->rows[i].flag)
			(void)printf("Flag:\n.BR \\-\\-%s .\n", table->rows[i].flag);
		else
			(void)printf("Flag:\n.BR \"\\-\\-%.*s %s=\" \\&...\n",
				     (int)option_group_len(&table->rows[i]), table->rows[i].key,
				     option_leaf(&table->rows[i]));
		if (table->rows[i].live)
			(void)puts("Can also be changed while the VM runs.");
	}
}

static void put_all_keys(const struct option_table *table)
{
	(void)puts(".SS At the top");
	put_keys(table, NULL);
	for (size_t i = 0; i < table->group_count; i++) {
		(void)printf(".SS %s\n%s\n", table->groups[i].name, table->groups[i].help);
		put_keys(table, table->groups[i].name);
	}
}

void man_keys(void)
{
	put_all_keys(&vm_options);
}

void man_host_keys(void)
{
	put_all_keys(&host_options);
}

void man_exit_codes(void)
{
#define EXIT_CODE(id, code, help)             \
	(void)printf(".TP\n.B %d\n", (code)); \
	man_put(help);                        \
	(void)puts(".");
#include "base/exit_codes.def"
#undef EXIT_CODE
}
