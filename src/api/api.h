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

/* A handler: params are already checked against the row. On success *ret_result is a new
 * reference. On failure returns an enum api_error and a sentence in @err. 0 = success. */
typedef int (*api_handler)(void *ctx, const json_t *params, json_t **ret_result, struct err *err);

struct api_backend {
	enum api_state (*state)(void *ctx);
	api_handler handlers[API_VERB_COUNT]; /* NULL: method not found; EVENTS and DISCOVER are
						 api's/rpc's */
	/* vm.console succeeded: the connection is from now on the console's byte stream. Takes @fd.
	 */
	void (*take_console)(void *ctx, int fd);
	void *ctx;
};

/**
 * api_call() - find the verb, check parameters and state, run the handler
 * Return: 0 with *ret_result, or an enum api_error with a sentence (and hint) in @err.
 */
int api_call(const struct api_backend *backend, const char *method, const json_t *params,
	     json_t **ret_result, struct err *err);

/* The OpenRPC 1.x document made from the tables; new reference. */
json_t *api_discover(void);

#endif
