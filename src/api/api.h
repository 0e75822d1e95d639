/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* api.h - the verbs of a VM and of a host's daemon: one row each in verbs.def and host_verbs.def, from
 * which come dispatch, parameter checks, the CLI's help, OpenRPC, and the API reference.
 *
 * api knows neither sockets nor machines: rpc brings a call, a backend does it.
 * Threads: api_call() runs on the caller's thread (the control thread) and calls the backend there.
 */
#ifndef NEAP_API_API_H
#define NEAP_API_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/strbuf.h"

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

/* A verb's number is that of its row in its set. */
#define VERB(id, method, states, access, reach, help) API_##id,
#define PARAM(name, type, required, help)
#define RESULT(name, type, help)
enum api_verb_id {
#include "api/verbs.def"
	API_VERB_COUNT,
};
enum api_host_verb_id { /* of what it forwards: API_HOST_OWN_COUNT + the VM's number */
#include "api/host_verbs.def"
			API_HOST_OWN_COUNT,
			API_HOST_VERB_COUNT = API_HOST_OWN_COUNT + API_VERB_COUNT,
};
#undef VERB
#undef PARAM
#undef RESULT

/* Error codes of JSON-RPC 2.0 §5.1 "Error object", and ours, stable: errors.def. */
enum api_error {
#define ERROR(id, code, name, help) API_ERROR_##id = (code),
#include "api/errors.def"
#undef ERROR
};

/* @code if it is one of them, else API_ERROR_INTERNAL. */
enum api_error api_error_of(int code);

enum api_type { API_STRING, API_INTEGER, API_BOOLEAN, API_OBJECT, API_ARRAY };
const char *api_type_name(enum api_type type); /* as in JSON Schema */

/* A parameter, or a member of a result. Lists of them end at a NULL name. */
struct api_field {
	const char *name;
	enum api_type type;
	bool required; /* of a parameter: may not be left out */
	const char *help;
};

enum api_access { API_READS, API_CHANGES };
enum api_reach { API_OWN, API_FORWARDED, API_HOST }; /* see verbs.def and host_verbs.def */

struct api_verb_row {
	const char *method;
	unsigned states; /* bit per enum api_state: where it is legal */
	enum api_access access;
	enum api_reach reach;
	const struct api_field *params;
	const struct api_field *results;
	const char *help;
};

struct api_event_row {
	const char *kind, *data, *help;
};

struct api_state_row {
	const char *name, *help;
};

/* Everything that one kind of socket offers; constant. */
struct api_set {
	const char *title, *description;
	const struct api_verb_row *verbs;
	size_t verb_count;
	enum api_reach hidden_reach; /* rows that are in the table and not offered */
	bool has_deadline;	     /* every method takes deadline_ms too */
	const struct api_event_row *events;
	size_t event_count;
	const struct api_state_row *states;
	size_t state_count;
};
extern const struct api_set api_vm_set, api_host_set;

static inline bool api_offers(const struct api_set *set, const struct api_verb_row *verb)
{
	return verb->reach != set->hidden_reach;
}

/* True for a member of a result that may be missing; its help says when. */
bool api_result_may_be_absent(const struct api_field *result);

/* NULL: no such method. */
const struct api_verb_row *api_verb_by_method(const struct api_set *set, const char *method);

/* The row's number, or -1. */
int api_event_by_kind(const struct api_set *set, const char *kind);

/* Who asks. */
struct api_peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;	 /* 0: unknown */
	bool may_change; /* false: only verbs that read */
};

/* Appends a value as compact JSON (config/json_text.h). */
typedef void (*api_write)(void *ctx, struct strbuf *out);

/* One request, from its arrival to its answer. Made and freed by whoever calls (rpc); a handler that
 * answers later keeps the pointer until it has answered, exactly once, on the same thread. */
struct api_request {
	const struct api_verb_row *verb;
	json_t *params; /* checked against the row: an object with only its parameters, those that are
			 * required, each of its type, integers not negative, arrays of strings */
	struct api_peer peer;
	uint64_t deadline_ns; /* clock_now_ns() at which the client stops waiting; 0: never */

	/* For answers that come later; legal before the handler has returned API_LATER, too. The request
	 * is gone then. Steals @result; with @fd >= 0 (stolen too) the descriptor goes with the answer.
	 * @code: an enum api_error; another is told as API_ERROR_INTERNAL. */
	void (*answer)(struct api_request *request, json_t *result, int fd);
	void (*fail)(struct api_request *request, int code, const char *sentence);
	/* As answer, with a result that is written straight into what is sent: for long ones. @write is
	 * called before this returns; not at all when nobody waits any more. */
	void (*answer_by)(struct api_request *request, api_write write, void *ctx);
	void *stand_in; /* of a handler that puts its own functions there for a while */
};

/* What a handler returns when it answers later. */
enum { API_LATER = -115 };

enum { API_DEADLINE_MAX_MS = 24 * 3600 * 1000 };

/* A handler. On success *ret_result is a new reference. On failure returns an enum api_error and a sentence
 * in @err. 0 = success; API_LATER. */
typedef int (*api_handler)(void *ctx, struct api_request *request, json_t **ret_result,
			   struct err *err);

struct api_backend {
	const struct api_set *set;
	enum api_state (*state)(void *ctx); /* NULL: every verb is legal */
	const api_handler
		*handlers; /* by number of the row; NULL: method not found. events.subscribe
				      * and rpc.discover are rpc's. */
	/* vm.console succeeded: the connection is from now on the console's byte stream. Takes @fd.
	 */
	void (*take_console)(void *ctx, int fd);
	void *ctx;
};

/**
 * api_call() - find the verb, check parameters, access and state, run the handler
 * @request:          its peer, answer and fail are set; verb, params and deadline_ns are filled in here.
 *                    params is the request's from then on: whoever frees the request drops it
 * @untrusted_params: an object (by name), an array (by position, null = left out), or NULL;
 * borrowed
 * @ret_result:       a new reference
 *
 * Return: 0, API_LATER, or an enum api_error and a sentence in @err, which may be NULL.
 * Context: the caller's thread, that of the backend.
 * Source: JSON-RPC 2.0 §4.2 "Parameter Structures", §5.1 "Error object".
 */
int api_call(const struct api_backend *backend, struct api_request *request,
	     const char *untrusted_method, const json_t *untrusted_params, json_t **ret_result,
	     struct err *err);

/* The interface as an OpenRPC document made from the tables: a new reference, or NULL: no memory.
 * Source: OpenRPC 1.2.6 "OpenRPC Object". */
json_t *api_discover(const struct api_set *set);

#endif
