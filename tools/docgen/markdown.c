/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* markdown.c - parts of docs/api.md. Help texts come from our own tables and need no escaping but
 * of the bar, which would end a table's cell.
 */
#include "docgen.h"

#include <stdio.h>

#include "api/api.h"

static void put_cell(const char *text)
{
	(void)fputs(" ", stdout);
	for (; *text; text++)
		(void)printf(*text == '|' ? "\\%c" : "%c", *text);
	(void)fputs(" |", stdout);
}

static void put_states(unsigned states)
{
	const char *between = "";

	if (states == API_STATES_ANY) {
		(void)puts("Possible in every state.\n");
		return;
	}
	(void)fputs("Possible when the VM is ", stdout);
	for (unsigned i = 0; i < API_STATE_COUNT; i++) {
		if (!(states & 1U << i))
			continue;
		(void)printf("%s%s", between, api_state_name(i));
		between = ", ";
	}
	(void)puts(".\n");
}

static void put_params(const struct api_field *param)
{
	if (!param->name) {
		(void)puts("No parameters.\n");
		return;
	}
	(void)puts("| Parameter | Type | Required | |\n|---|---|---|---|");
	for (; param->name; param++) {
		(void)printf("| `%s` | %s | %s |", param->name, api_type_name(param->type),
			     param->required ? "yes" : "no");
		put_cell(param->help);
		(void)putchar('\n');
	}
	(void)putchar('\n');
}

static void put_results(const struct api_field *result)
{
	(void)puts("| Result | Type | |\n|---|---|---|");
	for (; result->name; result++) {
		(void)printf("| `%s` | %s |", result->name, api_type_name(result->type));
		put_cell(result->help);
		(void)putchar('\n');
	}
	(void)putchar('\n');
}

void md_verbs(void)
{
	const struct api_verb_row *verbs = api_vm_set.verbs;
	size_t count = api_vm_set.verb_count;

	for (size_t i = 0; i < count; i++) {
		(void)printf("### %s\n\n%s.\n", verbs[i].method, verbs[i].help);
		put_states(verbs[i].states);
		put_params(verbs[i].params);
		put_results(verbs[i].results);
	}
}

void md_events(void)
{
	(void)puts("| Kind | Data | |\n|---|---|---|");
#define EVENT(id, kind, data, help)       \
	(void)printf("| `%s` |", (kind)); \
	put_cell(data);                   \
	put_cell(help);                   \
	(void)putchar('\n');
#include "api/events.def"
#undef EVENT
}

void md_states(void)
{
	(void)puts("| State | |\n|---|---|");
#define STATE(id, name, help)             \
	(void)printf("| `%s` |", (name)); \
	put_cell(help);                   \
	(void)putchar('\n');
#include "api/states.def"
#undef STATE
}

void md_errors(void)
{
	(void)puts("| Code | Name | |\n|---|---|---|");
#define ERROR(id, code, name, help)                  \
	(void)printf("| %d | %s |", (code), (name)); \
	put_cell(help);                              \
	(void)putchar('\n');
#include "api/errors.def"
#undef ERROR
}
