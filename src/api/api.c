/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* api.c - the tables of verbs, and a call from its name to its handler.
 *
 * Each verb's parameters are a slice of one flat array, which a row without a name ends; the
 * enumerations give each verb the number of its first row. The same for results.
 */
#include "api/api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/params.h"
#include "base/units.h"
#include "config/suggest.h"

#define GLUE2(a, b) a##b
#define GLUE(a, b)  GLUE2(a, b)

/* The mark that stands before a verb's rows ends those of the verb before it. */
enum {
#define VERB(id, method, states, help)	  PARAMS_OF_##id,
#define PARAM(name, type, required, help) GLUE(PARAM_NUMBER_, __COUNTER__),
#define RESULT(name, type, help)
#include "api/verbs.def"
#undef VERB
#undef PARAM
#undef RESULT
};

static const struct api_field params[] = {
#define VERB(id, method, states, help) { .name = NULL },
#define PARAM(name_, type_, required_, help_) \
	{ .name = #name_, .type = API_##type_, .required = (required_), .help = (help_) },
#define RESULT(name, type, help)
#include "api/verbs.def"
	{ .name = NULL },
#undef VERB
#undef PARAM
#undef RESULT
};

enum {
#define VERB(id, method, states, help) RESULTS_OF_##id,
#define PARAM(name, type, required, help)
#define RESULT(name, type, help) GLUE(RESULT_NUMBER_, __COUNTER__),
#include "api/verbs.def"
#undef VERB
#undef PARAM
#undef RESULT
};

static const struct api_field results[] = {
#define VERB(id, method, states, help) { .name = NULL },
#define PARAM(name, type, required, help)
#define RESULT(name_, type_, help_) { .name = #name_, .type = API_##type_, .help = (help_) },
#include "api/verbs.def"
	{ .name = NULL },
#undef VERB
#undef PARAM
#undef RESULT
};

static const struct api_verb_row verbs[] = {
#define VERB(id, method_, states_, help_)                        \
	[API_##id] = { .method = (method_),                      \
		       .states = API_STATES_##states_,           \
		       .params = &params[PARAMS_OF_##id + 1],    \
		       .results = &results[RESULTS_OF_##id + 1], \
		       .help = (help_) },
#define PARAM(name, type, required, help)
#define RESULT(name, type, help)
#include "api/verbs.def"
#undef VERB
#undef PARAM
#undef RESULT
};

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

const struct api_verb_row *api_verb_table(size_t *ret_count)
{
	*ret_count = ARRAY_LEN(verbs);
	return verbs;
}

bool api_result_may_be_absent(const struct api_field *result)
{
	return strstr(result->help, "absent when") != NULL;
}

const struct api_verb_row *api_verb_by_method(const char *method)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(verbs[i].method, method) == 0)
			return &verbs[i];
	return NULL;
}

static int method_not_found(const char *untrusted_method, struct err *err)
{
	struct suggest suggest = suggest_start(untrusted_method);
	char quoted[QUOTE_BYTES], hint[HINT_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		suggest_offer(&suggest, verbs[i].method);
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

static bool is_known_code(int code)
{
	switch (code) {
#define ERROR(id, code, name, help) case API_ERROR_##id:
#include "api/errors.def"
#undef ERROR
		return true;
	default: return false;
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
	return is_known_code(code) ? code : API_ERROR_INTERNAL;
}

int api_call(const struct api_backend *backend, const char *untrusted_method,
	     const json_t *untrusted_params, json_t **ret_result, struct err *err)
{
	const struct api_verb_row *verb = api_verb_by_method(untrusted_method);
	api_handler handler = verb ? backend->handlers[verb - verbs] : NULL;
	json_t *result = NULL;
	enum api_state state;
	json_t *checked;
	int code;

	if (err)
		*err = (struct err){ 0 };
	if (!verb)
		return method_not_found(untrusted_method, err);
	if (!handler)
		return err_set(err, -ENOENT, "%s is not offered here", verb->method),
		       API_ERROR_METHOD_NOT_FOUND;
	code = params_check(verb, untrusted_params, &checked, err);
	if (code != 0)
		return code;
	state = backend->state(backend->ctx);
	if (verb->states & 1U << state) {
		code = handler(backend->ctx, checked, &result, err);
		code = finish(verb, code, result, ret_result, err);
	} else {
		code = wrong_state(verb, state, err);
	}
	json_decref(checked);
	return code;
}
