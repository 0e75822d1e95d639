/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* help.c - `neap help`: made from the table of commands and the table of options. */
#include "cli/commands.h"

#include <string.h>

#include "cli/output.h"
#include "config/options.h"
#include "config/suggest.h"

enum { FLAG_COLUMN = 26 };

static void print_paragraphs(const char *text, int indent)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		(void)printf("%*s", indent, "");
		out_wrapped(text, len, indent, indent);
		text += len + (text[len] == '\n');
	}
}

static void print_flag(char letter, const char *name, const char *metavar, const char *help)
{
	int used = letter ? printf("  -%c,", letter) : 0;

	used += printf("%s--%s%s%s", letter ? " " : "  ", name, metavar ? " " : "",
		       metavar ? metavar : "");

	if (used >= FLAG_COLUMN) {
		(void)putchar('\n');
		used = 0;
	}
	(void)printf("%*s", FLAG_COLUMN - used, "");
	out_wrapped(help, strlen(help), FLAG_COLUMN, FLAG_COLUMN);
}

static const char *default_of(const struct option_row *row)
{
	return row->default_text ? row->default_text : row->default_words;
}

static void print_option(const struct option_row *row)
{
	char flag[64], help[512];

	if (row->flag)
		(void)snprintf(flag, sizeof(flag), "%s", row->flag);
	else
		(void)snprintf(flag, sizeof(flag), "%.*s ...,%s=", (int)option_group_len(row),
			       row->key, option_leaf(row));
	(void)snprintf(help, sizeof(help), "%s%s%s%s", row->help,
		       default_of(row) ? " Default: " : "", default_of(row) ? default_of(row) : "",
		       default_of(row) ? "." : "");
	if (row->flag) {
		print_flag(0, flag, row->metavar, help);
		return;
	}
	(void)strncat(flag, row->metavar ? row->metavar : "", sizeof(flag) - strlen(flag) - 1);
	print_flag(0, flag, NULL, help);
}

static void print_option_group(const char *group)
{
	const struct option_row *rows;
	size_t count;

	rows = option_table(&count);
	for (size_t i = 0; i < count; i++)
		if (option_is_in(&rows[i], group))
			print_option(&rows[i]);
}

static void print_options(void)
{
	const struct option_group *groups;
	size_t count;

	(void)printf("\nOptions of a VM:\n");
	print_option_group(NULL);
	groups = option_groups(&count);
	for (size_t i = 0; i < count; i++) {
		(void)printf("\n%s\n", groups[i].help);
		print_option_group(groups[i].name);
	}
	(void)printf(
		"\nA boolean may be given as --FLAG and --no-FLAG. A flag with the name of its "
		"group\ntakes the others too: --memory 4G,pages=4K,reserve=on\n");
}

static void explain_command(const struct cli_command *command)
{
	const struct cli_flag *flag;

	(void)printf("%sneap %s%s%s%s\n\n  %s.\n", out_colour_on(stdout, OUT_BOLD), command->name,
		     *command->arguments ? " " : "", command->arguments,
		     out_colour_off(stdout, OUT_BOLD), command->summary);
	if (*command->help) {
		(void)putchar('\n');
		print_paragraphs(command->help, 2);
	}
	(void)printf("\nFlags:\n");
	for (unsigned i = 0; (flag = cli_command_flag(command, i)); i++)
		print_flag(flag->letter, flag->name, flag->metavar, flag->help);
	if (command->takes & CLI_OPTIONS)
		print_options();
}

static void print_commands(void)
{
	const struct cli_command *commands;
	unsigned count;

	commands = cli_commands(&count);
	for (unsigned i = 0; i < count; i++) {
		int width;

		if (commands[i].group)
			(void)printf("\n%s%s%s\n", out_colour_on(stdout, OUT_BOLD),
				     commands[i].group, out_colour_off(stdout, OUT_BOLD));
		width = printf("  %s %s", commands[i].name,
			       strlen(commands[i].arguments) < 16 ? commands[i].arguments
								  : "NAME ...");
		(void)printf("%*s%s\n", FLAG_COLUMN - width, "", commands[i].summary);
	}
}

static void explain_all(void)
{
	(void)printf("neap runs virtual machines on KVM, with memory that follows their demand.\n"
		     "\nUsage: neap COMMAND [ARGUMENTS] [FLAGS]\n");
	print_commands();
	(void)printf("\nneap help COMMAND explains one command and its flags; neap doctor says "
		     "what this\nhost can do. To begin: neap run\n");
}

int cli_help(struct cli_call *call)
{
	struct suggest suggest;
	char quoted[QUOTE_BYTES], hint[HINT_BYTES];
	const struct cli_command *command, *commands;
	unsigned count;

	if (call->arg_count == 0) {
		explain_all();
		return EXIT_CODE_OK;
	}
	command = cli_find_command(call->args[0]);
	if (command) {
		explain_command(command);
		return EXIT_CODE_OK;
	}
	suggest = suggest_start(call->args[0]);
	commands = cli_commands(&count);
	for (unsigned i = 0; i < count; i++)
		suggest_offer(&suggest, commands[i].name);
	return out_fail(EXIT_CODE_USAGE, "there is no command %s%s (see: neap help)",
			quote_text(call->args[0], quoted), suggest_hint(&suggest, "", hint));
}
