/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* api.c - a call from its name to its handler. The tables are vm_set.c's and host_set.c's. */
#include "api/api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/params.h"
#include "base/clock.h"
#include "base/units.h"
#include "config/suggest.h"

const char *api_state_name(enum api_state state)
{
	static const char *const names[] = {
#define STATE(id, name, help) [API_STATE_##id] = (name),
#include "api/states.def"
#undef STATE
	};

	return (size_t)state < ARRAY_LEN(names) ? names[state] : "unknown";
}

const char *api_type_name(enum api_type type)
{
	static const char *const names[] = {
		[API_STRING] = "string", [API_INTEGER] = "integer", [API_BOOLEAN] = "boolean",
		[API_OBJECT] = "object", [API_ARRAY] = "array",
	};

	return names[type];
}

bool api_result_may_be_absent(const struct api_field *result)
{
	return strstr(result->help, "absent when") != NULL;
}

const struct api_verb_row *api_verb_by_method(const struct api_set *set, const char *method)
{
	for (size_t i = 0; i < set->verb_count; i++)
		if (api_offers(set, &set->verbs[i]) && strcmp(set->verbs[i].method, method) == 0)
			return &set->verbs[i];
	return NULL;
}

int api_event_by_kind(const struct api_set *set, const char *kind)
{
	for (size_t i = 0; i < set->event_count; i++)
		if (strcmp(set->events[i].kind, kind) == 0)
			return (int)i;
	return -1;
}

static int method_not_found(const struct api_set *set, const char *untrusted_method,
			    struct err *err)
{
	struct suggest suggest = suggest_start(untrusted_method);
	char quoted[QUOTE_BYTES], hint[HINT_BYTES];

	for (size_t i = 0; i < set->verb_count; i++)
		if (api_offers(set, &set->verbs[i]))
			suggest_offer(&suggest, set->verbs[i].method);
	(void)err_set(err, -ENOENT, "no method %s%s%s", quote_text(untrusted_method, quoted),
		      suggest_hint(&suggest, "", hint),
		      suggest.best ? "" : "; rpc.discover lists them");
	return API_ERROR_METHOD_NOT_FOUND;
}

static int wrong_state(const struct api_verb_row *verb, enum api_state state, struct err *err)
{
	char legal[ERR_TEXT_BYTES / 2] = "";
	size_t used = 0;

	for (unsigned i = 0; i < API_STATE_COUNT && used < sizeof(legal); i++)
		if (verb->states & 1U << i)
			used += (size_t)snprintf(legal + used, sizeof(legal) - used, "%s%s",
						 used ? ", " : "", api_state_name(i));
	(void)err_set(err, -EBUSY, "%s is not possible while the VM is %s; it is when %s",
		      verb->method, api_state_name(state), legal);
	return API_ERROR_STATE;
}

enum api_error api_error_of(int code)
{
	switch (code) {
#define ERROR(id, code, name, help) case API_ERROR_##id:
#include "api/errors.def"
#undef ERROR
		return (enum api_error)code;
	default: return API_ERROR_INTERNAL;
	}
}

/* What a client sees of a handler's outcome, whatever the handler did. */
static int finish(const struct api_verb_row *verb, int code, json_t *result, json_t **ret_result,
		  struct err *err)
{
	if (code == 0 && result) {
		*ret_result = result;
		return 0;
	}
	json_decref(result);
	if (err && !err->text[0])
		(void)err_set(err, -EIO, "%s failed and did not say why", verb->method);
	return (int)api_error_of(code);
}

/* deadline_ms belongs to every method of such a set: taken out before the row is looked at. */
static int take_deadline(const struct api_set *set, struct api_request *request,
			 const json_t *untrusted_params, struct err *err)
{
	const json_t *deadline = json_object_get(untrusted_params, "deadline_ms");
	json_int_t ms = json_integer_value(deadline);

	if (!set->has_deadline || !deadline)
		return 0;
	if (!json_is_integer(deadline) || ms <= 0 || ms > API_DEADLINE_MAX_MS)
		return err_set(err, -EINVAL, "deadline_ms must be an integer from 1 to %d",
			       API_DEADLINE_MAX_MS),
		       API_ERROR_INVALID_PARAMS;
	request->deadline_ns = clock_now_ns() + (uint64_t)ms * NS_PER_MS;
	return 0;
}

static int may_call(const struct api_backend *backend, const struct api_request *request,
		    struct err *err)
{
	enum api_state state;

	if (request->verb->access == API_CHANGES && !request->peer.may_change)
		return err_set(err, -EPERM,
			       "%s changes something, and this socket is for looking only",
			       request->verb->method),
		       API_ERROR_FORBIDDEN;
	if (!backend->state)
		return 0;
	state = backend->state(backend->ctx);
	return request->verb->states & 1U << state ? 0 : wrong_state(request->verb, state, err);
}

int api_call(const struct api_backend *backend, struct api_request *request,
	     const char *untrusted_method, const json_t *untrusted_params, json_t **ret_result,
	     struct err *err)
{
	const struct api_set *set = backend->set;
	const struct api_verb_row *verb = api_verb_by_method(set, untrusted_method);
	api_handler handler = verb ? backend->handlers[verb - set->verbs] : NULL;
	json_t *result = NULL;
	int code;

	if (err)
		*err = (struct err){ 0 };
	if (!verb)
		return method_not_found(set, untrusted_method, err);
	if (!handler)
		return err_set(err, -ENOENT, "%s is not offered here", verb->method),
		       API_ERROR_METHOD_NOT_FOUND;
	request->verb = verb;
	code = take_deadline(set, request, untrusted_params, err);
	if (code == 0)
		code = params_check(verb, set->has_deadline, untrusted_params, &request->params,
				    err);
	if (code == 0)
		code = may_call(backend, request, err);
	if (code != 0)
		return code;
	code = handler(backend->ctx, request, &result, err);
	return code == API_LATER ? code : finish(verb, code, result, ret_result, err);
}
