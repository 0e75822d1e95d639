/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* man_api.c - the tables of the interface as neap-api(7) has them. See man.c. */
#include <stdio.h>

#include "docgen.h"

#include "api/api.h"
#include "api/usage.h"

/* A verb's parameters or results: name, type, what it is. */
static void put_fields(const char *title, const struct api_field *field, bool are_params)
{
	if (!field->name)
		return;
	(void)printf(".RS\n.PP\n%s\n.RS\n", title);
	for (; field->name; field++) {
		man_put_tag("", field->name, api_type_name(field->type));
		man_put(field->help);
		(void)puts(are_params && field->required ? " (required)." : ".");
	}
	(void)puts(".RE\n.RE");
}

static void put_verb(const struct api_verb_row *verb)
{
	man_put_tag("", verb->method, NULL);
	man_put(verb->help);
	(void)puts(".");
	if (verb->states != API_STATES_ANY)
		(void)puts("Only while the VM is running, paused or waiting.");
	if (verb->access == API_CHANGES)
		(void)puts("Not on a socket that is for looking only.");
	put_fields("Parameters:", verb->params, true);
	put_fields("Result:", verb->results, false);
}

void man_verbs(void)
{
	for (size_t i = 0; i < api_vm_set.verb_count; i++)
		if (api_offers(&api_vm_set, &api_vm_set.verbs[i]))
			put_verb(&api_vm_set.verbs[i]);
}

void man_host_verbs(void)
{
	for (size_t i = 0; i < api_host_set.verb_count; i++)
		if (api_host_set.verbs[i].reach == API_HOST)
			put_verb(&api_host_set.verbs[i]);
}

void man_forwarded_verbs(void)
{
	const char *between = "";

	for (size_t i = 0; i < api_host_set.verb_count; i++) {
		if (api_host_set.verbs[i].reach != API_FORWARDED)
			continue;
		(void)printf("%s.B ", between);
		man_put(api_host_set.verbs[i].method);
		between = "\n.br\n";
	}
	(void)putchar('\n');
}

static void put_event(const char *kind, const char *data, const char *help)
{
	man_put_tag("", kind, NULL);
	man_put(help);
	(void)fputs(".\nData: ", stdout);
	man_put_line(data);
}

static void put_row(const char *name, const char *help)
{
	man_put_tag("", name, NULL);
	man_put(help);
	(void)puts(".");
}

void man_events(void)
{
#define EVENT(id, kind, data, help) put_event(kind, data, help);
#include "api/events.def"
#undef EVENT
}

void man_host_events(void)
{
#define EVENT(id, kind, data, help) put_event(kind, data, help);
#include "api/host_events.def"
#undef EVENT
}

void man_states(void)
{
#define STATE(id, name, help) put_row(name, help);
#include "api/states.def"
#undef STATE
}

void man_host_states(void)
{
#define STATE(id, name, help) put_row(name, help);
#include "api/host_states.def"
#undef STATE
}

void man_errors(void)
{
#define ERROR(id, code, name, help)                                                 \
	(void)printf(".TP\n.B %s%d\n%s: ", (code) < 0 ? "\\" : "", (code), (name)); \
	man_put(help);                                                              \
	(void)puts(".");
#include "api/errors.def"
#undef ERROR
}

void man_usage(void)
{
	for (unsigned i = 0; i < API_USAGE_COUNT; i++) {
		const struct api_usage_row *row = &api_usage_rows[i];

		man_put_tag("", row->key, row->kind == API_USAGE_COUNTER ? "counter" : "gauge");
		man_put(row->help);
		(void)puts(".");
	}
}
