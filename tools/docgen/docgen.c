/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* docgen.c - `docgen TEMPLATE`: the template with its marks filled in, on standard output.
 *
 * A line that is only @NAME@ becomes a part made from the tables of options, commands, verbs,
 * events, errors and exit codes; @VERSION@ anywhere becomes the version. So prose is written by
 * hand, and no list in the manual can differ from what the program does. Runs at build time.
 */
#include "docgen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/units.h"

static const struct {
	const char *mark;
	void (*print)(void);
} parts[] = {
	{ "@MAN-COMMANDS@\n", man_commands },
	{ "@MAN-FLAGS@\n", man_flags },
	{ "@MAN-KEYS@\n", man_keys },
	{ "@MAN-HOST-FLAGS@\n", man_host_flags },
	{ "@MAN-HOST-KEYS@\n", man_host_keys },
	{ "@MAN-EXIT-CODES@\n", man_exit_codes },
	{ "@MAN-RULES@\n", man_rules },
	{ "@MAN-CONSTANTS@\n", man_constants },
	{ "@MD-VERBS@\n", md_verbs },
	{ "@MD-EVENTS@\n", md_events },
	{ "@MD-STATES@\n", md_states },
	{ "@MD-ERRORS@\n", md_errors },
	{ "@MD-BLOCKS@\n", md_blocks },
	{ "@MD-FLEET@\n", md_fleet },
	{ "@MAN-FLEET@\n", man_fleet },
	{ "@MD-RULES@\n", md_rules },
	{ "@MD-CONSTANTS@\n", md_constants },
	{ "@MD-RECORD@\n", md_record },
	{ "@MD-HOST-VERBS@\n", md_host_verbs },
	{ "@MD-FORWARDED@\n", md_forwarded_verbs },
	{ "@MD-HOST-EVENTS@\n", md_host_events },
	{ "@MD-HOST-STATES@\n", md_host_states },
	{ "@MD-USAGE@\n", md_usage },
	{ "@MAN-VERBS@\n", man_verbs },
	{ "@MAN-HOST-VERBS@\n", man_host_verbs },
	{ "@MAN-FORWARDED@\n", man_forwarded_verbs },
	{ "@MAN-EVENTS@\n", man_events },
	{ "@MAN-HOST-EVENTS@\n", man_host_events },
	{ "@MAN-STATES@\n", man_states },
	{ "@MAN-HOST-STATES@\n", man_host_states },
	{ "@MAN-ERRORS@\n", man_errors },
	{ "@MAN-USAGE@\n", man_usage },
	{ "@OPENRPC-HOST@\n", openrpc_host },
	{ "@OPENRPC-VM@\n", openrpc_vm },
};

static void print_line(const char *line)
{
	static const char version_mark[] = "@VERSION@";
	const char *mark = strstr(line, version_mark);

	if (mark)
		(void)printf("%.*s%s%s", (int)(mark - line), line, NEAP_VERSION,
			     mark + strlen(version_mark));
	else
		(void)fputs(line, stdout);
}

/* False: the line looks like a mark and is none. */
static bool fill_in(const char *line)
{
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (strcmp(line, parts[i].mark) != 0)
			continue;
		parts[i].print();
		return true;
	}
	print_line(line);
	return line[0] != '@';
}

int main(int argc, char *argv[])
{
	CLEANUP(free_text)
	char *line = NULL;
	size_t capacity = 0;
	FILE *template = argc == 2 ? fopen(argv[1], "re") : NULL;

	if (!template) {
		(void)fprintf(stderr, "usage: docgen TEMPLATE, a file that can be read\n");
		return 2;
	}
	while (getline(&line, &capacity, template) > 0) {
		if (fill_in(line))
			continue;
		(void)fprintf(stderr, "docgen: %s: no such mark: %s", argv[1], line);
		return 1;
	}
	(void)fclose(template);
	return fflush(stdout) == 0 ? 0 : 1;
}
