/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* openrpc.c - the tables as an OpenRPC document, which clients and tools read.
 *
 * What OpenRPC has no place for stands in its extensions: x-states of a method (of a daemon's only
 * where a VM must be in one of them), x-states and x-events of the whole. Built with jansson's setters, which refuse a NULL value: when memory is
 * short something is missing, and then the whole is given up.
 */
#include "api/api.h"

#include <string.h>

static const char openrpc_version[] = "1.2.6";

static const struct api_field api_deadline_field = {
	.name = "deadline_ms",
	.type = API_INTEGER,
	.help = "how long the client waits for an answer; what was begun goes on",
};

/* A document under construction. */
struct doc {
	bool failed;
};

static void set(struct doc *doc, json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) < 0)
		doc->failed = true;
}

static void add(struct doc *doc, json_t *array, json_t *value)
{
	if (json_array_append_new(array, value) < 0)
		doc->failed = true;
}

static json_t *type_schema(struct doc *doc, const struct api_field *field, bool is_param)
{
	json_t *schema = json_object();

	set(doc, schema, "type", json_string(api_type_name(field->type)));
	set(doc, schema, "description", json_string(field->help));
	if (is_param && field->type == API_INTEGER)
		set(doc, schema, "minimum", json_integer(0));
	if (is_param && field->type == API_ARRAY)
		set(doc, schema, "items", json_pack("{s:s}", "type", "string"));
	return schema;
}

static void add_param(struct doc *doc, json_t *list, const struct api_field *field)
{
	json_t *param = json_object();

	set(doc, param, "name", json_string(field->name));
	set(doc, param, "description", json_string(field->help));
	set(doc, param, "required", json_boolean(field->required));
	set(doc, param, "schema", type_schema(doc, field, true));
	add(doc, list, param);
}

static void add_deadline(struct doc *doc, json_t *list)
{
	json_t *schema;

	add_param(doc, list, &api_deadline_field);
	schema = json_object_get(json_array_get(list, json_array_size(list) - 1), "schema");
	set(doc, schema, "minimum", json_integer(1));
	set(doc, schema, "maximum", json_integer(API_DEADLINE_MAX_MS));
}

static json_t *params_list(struct doc *doc, const struct api_set *offered,
			   const struct api_field *field)
{
	json_t *list = json_array();

	for (; field->name; field++)
		add_param(doc, list, field);
	if (offered->has_deadline)
		add_deadline(doc, list);
	return list;
}

/* Through a daemon a VM's verb may be asked of many VMs at once; then its answer is another. */
static const struct api_field api_selected_result = {
	.name = "results",
	.type = API_ARRAY,
	.help = "per VM: vm, and result or error; all other members are absent when a selector was "
		"given, and this one when none was",
};

static void add_result(struct doc *doc, json_t *properties, const struct api_field *field)
{
	set(doc, properties, field->name, type_schema(doc, field, false));
}

static json_t *result_object(struct doc *doc, const struct api_set *offered,
			     const struct api_verb_row *verb)
{
	bool is_forwarded = verb->reach == API_FORWARDED && offered->hidden_reach == API_OWN;
	json_t *properties = json_object();
	json_t *required = json_array();
	json_t *schema = json_object();
	json_t *result = json_object();
	char name[64] = "result of ";

	for (const struct api_field *field = verb->results; field->name; field++) {
		add_result(doc, properties, field);
		if (!is_forwarded && !api_result_may_be_absent(field))
			add(doc, required, json_string(field->name));
	}
	if (is_forwarded)
		add_result(doc, properties, &api_selected_result);
	set(doc, schema, "type", json_string("object"));
	set(doc, schema, "properties", properties);
	set(doc, schema, "required", required);
	(void)strncat(name, verb->method, sizeof(name) - strlen(name) - 1);
	set(doc, result, "name", json_string(name));
	set(doc, result, "schema", schema);
	return result;
}

static json_t *states_list(struct doc *doc, unsigned states)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < API_STATE_COUNT; i++)
		if (states & 1U << i)
			add(doc, list, json_string(api_state_name(i)));
	return list;
}

static void add_error(struct doc *doc, json_t *list, const char *id)
{
	char reference[64] = "#/components/errors/";

	(void)strncat(reference, id, sizeof(reference) - strlen(reference) - 1);
	add(doc, list, json_pack("{s:s}", "$ref", reference));
}

static bool takes(const struct api_verb_row *verb, const char *param)
{
	const struct api_field *field = verb->params;

	while (field->name && strcmp(field->name, param) != 0)
		field++;
	return field->name != NULL;
}

/* Those that only a daemon's methods meet. */
static void add_host_errors(struct doc *doc, json_t *list, const struct api_verb_row *verb)
{
	add_error(doc, list, "DEADLINE");
	if (takes(verb, "vm"))
		add_error(doc, list, "NO_VM");
	if (verb->states == API_STATES_ANY && takes(verb, "vm") &&
	    (verb->reach == API_FORWARDED || verb->access == API_CHANGES))
		add_error(doc, list, "STATE");
	if (verb->reach == API_FORWARDED || takes(verb, "how"))
		add_error(doc, list, "SILENT");
	if (verb->access == API_CHANGES && takes(verb, "vm"))
		add_error(doc, list, "BUSY");
	if (takes(verb, "config"))
		add_error(doc, list, "EXISTS");
	if (takes(verb, "wait"))
		add_error(doc, list, "NO_MEMORY");
	if (takes(verb, "idempotency_key"))
		add_error(doc, list, "KEY_REUSED");
}

/* Those that any call can meet, or that its row tells. */
static json_t *errors_list(struct doc *doc, const struct api_set *offered,
			   const struct api_verb_row *verb)
{
	json_t *list = json_array();

	add_error(doc, list, "INVALID_PARAMS");
	add_error(doc, list, "INTERNAL");
	add_error(doc, list, "UNSUPPORTED");
	if (verb->access == API_CHANGES)
		add_error(doc, list, "FORBIDDEN");
	if (verb->states != API_STATES_ANY)
		add_error(doc, list, "STATE");
	if (offered->has_deadline)
		add_host_errors(doc, list, verb);
	return list;
}

static json_t *method_object(struct doc *doc, const struct api_set *offered,
			     const struct api_verb_row *verb)
{
	json_t *method = json_object();

	set(doc, method, "name", json_string(verb->method));
	set(doc, method, "summary", json_string(verb->help));
	set(doc, method, "paramStructure", json_string("either"));
	set(doc, method, "params", params_list(doc, offered, verb->params));
	set(doc, method, "result", result_object(doc, offered, verb));
	set(doc, method, "errors", errors_list(doc, offered, verb));
	if (!offered->has_deadline || verb->states != API_STATES_ANY)
		set(doc, method, "x-states", states_list(doc, verb->states));
	return method;
}

static json_t *error_components(struct doc *doc)
{
	json_t *errors = json_object();

#define ERROR(id, code, name, help) \
	set(doc, errors, #id,       \
	    json_pack("{s:i,s:s,s:s}", "code", (code), "message", (name), "data", (help)));
#include "api/errors.def"
#undef ERROR
	return errors;
}

static json_t *state_extension(struct doc *doc, const struct api_set *offered)
{
	json_t *states = json_array();

	for (size_t i = 0; i < offered->state_count; i++)
		add(doc, states,
		    json_pack("{s:s,s:s}", "name", offered->states[i].name, "description",
			      offered->states[i].help));
	return states;
}

static json_t *event_extension(struct doc *doc, const struct api_set *offered)
{
	json_t *events = json_array();

	for (size_t i = 0; i < offered->event_count; i++)
		add(doc, events,
		    json_pack("{s:s,s:s,s:s}", "kind", offered->events[i].kind, "data",
			      offered->events[i].data, "description", offered->events[i].help));
	return events;
}

json_t *api_discover(const struct api_set *offered)
{
	struct doc doc = { .failed = false };
	json_t *components = json_object();
	json_t *methods = json_array();
	json_t *top = json_object();

	for (size_t i = 0; i < offered->verb_count; i++)
		if (api_offers(offered, &offered->verbs[i]))
			add(&doc, methods, method_object(&doc, offered, &offered->verbs[i]));
	set(&doc, components, "errors", error_components(&doc));
	set(&doc, top, "openrpc", json_string(openrpc_version));
	set(&doc, top, "info",
	    json_pack("{s:s,s:s,s:s}", "title", offered->title, "version", NEAP_VERSION,
		      "description", offered->description));
	set(&doc, top, "methods", methods);
	set(&doc, top, "components", components);
	set(&doc, top, "x-states", state_extension(&doc, offered));
	set(&doc, top, "x-events", event_extension(&doc, offered));
	if (!doc.failed)
		return top;
	json_decref(top);
	return NULL;
}
