/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* markdown.c - parts of docs/api.md and docs/host-api.md. Help texts come from our own tables and need no escaping but
 * of the bar, which would end a table's cell.
 */
#include "docgen.h"

#include <stdio.h>

#include "api/api.h"
#include "api/usage.h"

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

static void put_verb(const struct api_verb_row *verb)
{
	(void)printf("### %s\n\n%s.\n", verb->method, verb->help);
	if (verb->reach != API_HOST)
		put_states(verb->states);
	else if (verb->access == API_READS)
		(void)puts("Also on the read-only socket.\n");
	else
		(void)putchar('\n');
	put_params(verb->params);
	put_results(verb->results);
}

void md_verbs(void)
{
	for (size_t i = 0; i < api_vm_set.verb_count; i++)
		if (api_offers(&api_vm_set, &api_vm_set.verbs[i]))
			put_verb(&api_vm_set.verbs[i]);
}

void md_host_verbs(void)
{
	for (size_t i = 0; i < api_host_set.verb_count; i++)
		if (api_host_set.verbs[i].reach == API_HOST)
			put_verb(&api_host_set.verbs[i]);
}

void md_forwarded_verbs(void)
{
	(void)puts("| Verb | |\n|---|---|");
	for (size_t i = 0; i < api_host_set.verb_count; i++) {
		const struct api_verb_row *verb = &api_host_set.verbs[i];

		if (verb->reach != API_FORWARDED)
			continue;
		(void)printf("| `%s` |", verb->method);
		put_cell(verb->help);
		(void)putchar('\n');
	}
}

static void put_event(const char *kind, const char *data, const char *help)
{
	(void)printf("| `%s` |", kind);
	put_cell(data);
	put_cell(help);
	(void)putchar('\n');
}

void md_events(void)
{
	(void)puts("| Kind | Data | |\n|---|---|---|");
#define EVENT(id, kind, data, help) put_event(kind, data, help);
#include "api/events.def"
#undef EVENT
}

void md_host_events(void)
{
	(void)puts("| Kind | Data | |\n|---|---|---|");
#define EVENT(id, kind, data, help) put_event(kind, data, help);
#include "api/host_events.def"
#undef EVENT
}

static void put_row(const char *name, const char *help)
{
	(void)printf("| `%s` |", name);
	put_cell(help);
	(void)putchar('\n');
}

void md_states(void)
{
	(void)puts("| State | |\n|---|---|");
#define STATE(id, name, help) put_row(name, help);
#include "api/states.def"
#undef STATE
}

void md_host_states(void)
{
	(void)puts("| State | |\n|---|---|");
#define STATE(id, name, help) put_row(name, help);
#include "api/host_states.def"
#undef STATE
}

void md_usage(void)
{
	(void)puts("| Member | Kind | |\n|---|---|---|");
	for (unsigned i = 0; i < API_USAGE_COUNT; i++) {
		const struct api_usage_row *row = &api_usage_rows[i];

		(void)printf("| `%s` | %s |", row->key,
			     row->kind == API_USAGE_COUNTER ? "counter" : "gauge");
		put_cell(row->help);
		(void)putchar('\n');
	}
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
