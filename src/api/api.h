/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* api.h - the verbs of a VM: one row each in verbs.def, from which come dispatch, parameter
 * checks, the CLI's help, OpenRPC, and the API reference.
 *
 * api knows neither sockets nor machines: rpc brings a call, a backend does it.
 * Threads: api_call() runs on the caller's thread (the control thread) and calls the backend there.
 */
#ifndef NEAP_API_API_H
#define NEAP_API_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* The states of a VM, in states.def: name, what it means. A verb's row says in which it is legal.
 */
enum api_state {
#define STATE(id, name, help) API_STATE_##id,
#include "api/states.def"
#undef STATE
	API_STATE_COUNT,
};
const char *api_state_name(enum api_state state);

/* Sets of states, as the rows of verbs.def name them. */
enum api_states {
	API_STATES_ANY = (1 << API_STATE_COUNT) - 1,
	API_STATES_LIVE = API_STATES_ANY & ~(1 << API_STATE_STARTING) & ~(1 << API_STATE_STOPPED),
};

enum api_verb_id {
#define VERB(id, method, states, help) API_##id,
#define PARAM(name, type, required, help)
#define RESULT(name, type, help)
#include "api/verbs.def"
#undef VERB
#undef PARAM
#undef RESULT
	API_VERB_COUNT,
};

/* Error codes of JSON-RPC 2.0 §5.1 "Error object", and ours, stable: errors.def. */
enum api_error {
#define ERROR(id, code, name, help) API_ERROR_##id = (code),
#include "api/errors.def"
#undef ERROR
};

enum api_type { API_STRING, API_INTEGER, API_BOOLEAN, API_OBJECT, API_ARRAY };
const char *api_type_name(enum api_type type); /* as in JSON Schema */

/* A parameter, or a member of a result. Lists of them end at a NULL name. */
struct api_field {
	const char *name;
	enum api_type type;
	bool required; /* of a parameter: may not be left out */
	const char *help;
};

struct api_verb_row {
	const char *method;
	unsigned states; /* bit per enum api_state: where it is legal */
	const struct api_field *params;
	const struct api_field *results;
	const char *help;
};

/* The rows in the order of enum api_verb_id; constant. */
const struct api_verb_row *api_verb_table(size_t *ret_count);

/* True for a member of a result that may be missing; its help says when. */
bool api_result_may_be_absent(const struct api_field *result);

/* NULL: no such method. */
const struct api_verb_row *api_verb_by_method(const char *method);

/* A handler: @params is an object, already checked against the row: only its parameters, those that
 * are required, each of its type, integers not negative, arrays of strings. On success *ret_result
 * is a new reference. On failure returns an enum api_error and a sentence in @err. 0 = success. */
typedef int (*api_handler)(void *ctx, const json_t *params, json_t **ret_result, struct err *err);

struct api_backend {
	enum api_state (*state)(void *ctx);
	api_handler handlers[API_VERB_COUNT]; /* NULL: method not found. EVENTS_SUBSCRIBE and
						 RPC_DISCOVER are rpc's. */
	/* vm.console succeeded: the connection is from now on the console's byte stream. Takes @fd.
	 */
	void (*take_console)(void *ctx, int fd);
	void *ctx;
};

/**
 * api_call() - find the verb, check parameters and state, run the handler
 * @untrusted_params: an object (by name), an array (by position, null = left out), or NULL;
 * borrowed
 * @ret_result:       a new reference
 *
 * Return: 0, or an enum api_error and a sentence in @err, which may be NULL.
 * Context: the caller's thread, that of the backend.
 * Source: JSON-RPC 2.0 §4.2 "Parameter Structures", §5.1 "Error object".
 */
int api_call(const struct api_backend *backend, const char *untrusted_method,
	     const json_t *untrusted_params, json_t **ret_result, struct err *err);

/* The interface as an OpenRPC document made from the tables: a new reference, or NULL: no memory.
 * Source: OpenRPC 1.2.6 "OpenRPC Object". */
json_t *api_discover(void);

#endif
