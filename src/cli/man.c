/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* man.c - the manual page neap(1), made from the tables of commands, options and exit codes.
 *
 * Source: man-pages(7) "Sections within a manual page"; groff_man(7).
 */
#include <stdio.h>
#include <string.h>

#include "cli/help.h"
#include "config/options.h"

/* Text of a table as troff text: dashes that must stay dashes, no line that is taken for a request.
 */
static void put(const char *text)
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
			(void)fputs("\n.PP\n", stdout);
		else
			(void)putchar(*text);
	}
}

static void put_flag(const char *name, const char *metavar, const char *help, bool is_sentence)
{
	(void)fputs(".TP\n.B \\-\\-", stdout);
	put(name);
	if (metavar) {
		(void)fputs(" \\fI", stdout);
		put(metavar);
		(void)fputs("\\fR", stdout);
	}
	(void)putchar('\n');
	put(help);
	(void)fputs(is_sentence ? "\n" : ".\n", stdout);
}

static void put_command(const struct cli_command *command)
{
	if (command->group)
		(void)printf(".SS %s\n", command->group);
	(void)printf(".TP\n.B %s\n", command->name);
	if (*command->arguments) {
		(void)fputs(".I ", stdout);
		put(command->arguments);
		(void)fputs("\n.br\n", stdout);
	}
	put(command->summary);
	(void)fputs(".\n", stdout);
	if (*command->help) {
		put(command->help);
		(void)putchar('\n');
	}
	if (!command->flags[0].name)
		return;
	(void)fputs(".RS\n", stdout);
	for (unsigned i = 0; i < CLI_FLAGS_MAX && command->flags[i].name; i++)
		put_flag(command->flags[i].name, command->flags[i].metavar, command->flags[i].help,
			 false);
	(void)fputs(".RE\n", stdout);
}

static void put_options(void)
{
	const struct option_row *rows;
	size_t count;

	rows = option_table(&count);
	(void)fputs(".SH OPTIONS OF RUN\nThe same options, as keys of a file, are in\n.BR vm.json "
		    "(5).\n",
		    stdout);
	for (size_t i = 0; i < count; i++) {
		const char *value =
			rows[i].default_text ? rows[i].default_text : rows[i].default_words;
		char text[768];

		if (!rows[i].flag)
			continue;
		(void)snprintf(text, sizeof(text), "%s%s%s%s", rows[i].help,
			       value ? " Default: " : "", value ? value : "", value ? "." : "");
		put_flag(rows[i].flag, rows[i].metavar, text, true);
	}
}

static void put_exit_codes(void)
{
	const char *const *helps;
	const int *numbers;
	unsigned count = help_exit_codes(&numbers, &helps);

	(void)fputs(".SH EXIT STATUS\n", stdout);
	for (unsigned i = 0; i < count; i++) {
		(void)printf(".TP\n.B %d\n", numbers[i]);
		put(helps[i]);
		(void)fputs(".\n", stdout);
	}
}

static void put_files(void)
{
	(void)fputs(".SH FILES\n.TP\n.I $XDG_RUNTIME_DIR/neap/NAME.sock\nControl socket of a VM: "
		    "JSON\\-RPC 2.0, one message per line. As root without that variable: "
		    ".IR /run/neap .\n"
		    ".TP\n.I $XDG_RUNTIME_DIR/neap/NAME.log\nWhat a VM that was started with "
		    "\\-\\-detach says.\n"
		    ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nNo colours when it is set and not empty.\n"
		    ".SH SEE ALSO\n.BR vm.json (5)\n",
		    stdout);
}

int man_print(void)
{
	const struct cli_command *commands;
	unsigned count;

	(void)printf(".\\\" Made by `neap help --man`; edit the tables in src/cli and src/config.\n"
		     ".TH NEAP 1 \"\" \"neap %s\" \"User Commands\"\n"
		     ".SH NAME\nneap \\- run virtual machines whose memory follows their demand\n"
		     ".SH SYNOPSIS\n.B neap\n.I COMMAND\n[\\fIARGUMENTS\\fR] [\\fIFLAGS\\fR]\n"
		     ".SH DESCRIPTION\n"
		     "neap runs guests under KVM on 2 MiB pages, and gives the host back what the "
		     "guests hand over.\n"
		     "Each VM is one process, and answers on one socket.\n"
		     ".SH COMMANDS\n",
		     NEAP_VERSION);
	commands = cli_commands(&count);
	for (unsigned i = 0; i < count; i++)
		put_command(&commands[i]);
	put_options();
	put_exit_codes();
	put_files();
	return fflush(stdout) == 0 ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}
