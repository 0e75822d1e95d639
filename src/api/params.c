/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* params.c - see params.h. */
#include "api/params.h"

#include <errno.h>
#include <string.h>

#include "config/suggest.h"

#define INVALID(err, ...) (err_set((err), -EINVAL, __VA_ARGS__), API_ERROR_INVALID_PARAMS)

static const struct api_field *find(const struct api_verb_row *verb, const char *name)
{
	for (const struct api_field *param = verb->params; param->name; param++)
		if (strcmp(param->name, name) == 0)
			return param;
	return NULL;
}

static size_t count(const struct api_verb_row *verb)
{
	size_t number = 0;

	while (verb->params[number].name)
		number++;
	return number;
}

static int unknown(const struct api_verb_row *verb, const char *untrusted_name, struct err *err)
{
	struct suggest suggest = suggest_start(untrusted_name);
	char quoted[QUOTE_BYTES], hint[HINT_BYTES];

	for (const struct api_field *param = verb->params; param->name; param++)
		suggest_offer(&suggest, param->name);
	return INVALID(err, "%s: no parameter %s%s%s", verb->method,
		       quote_text(untrusted_name, quoted), suggest_hint(&suggest, "", hint),
		       verb->params->name ? "" : "; it takes none");
}

static bool is_array_of_strings(const json_t *value)
{
	if (!json_is_array(value))
		return false;
	for (size_t i = 0; i < json_array_size(value); i++)
		if (!json_is_string(json_array_get(value, i)))
			return false;
	return true;
}

/* What the value should have been, or NULL when it is that. */
static const char *fault(const struct api_field *param, const json_t *value)
{
	switch (param->type) {
	case API_STRING: return json_is_string(value) ? NULL : "a string";
	case API_BOOLEAN: return json_is_boolean(value) ? NULL : "true or false";
	case API_OBJECT: return json_is_object(value) ? NULL : "an object";
	case API_ARRAY: return is_array_of_strings(value) ? NULL : "an array of strings";
	case API_INTEGER:
		return json_is_integer(value) && json_integer_value(value) >= 0
			       ? NULL
			       : "an integer, not negative";
	}
	return "of a known type";
}

/* By position to by name; null leaves one out. Takes nothing; a new reference or NULL. */
static json_t *name_positions(const struct api_verb_row *verb, const json_t *array)
{
	json_t *object = json_object();

	for (size_t i = 0; i < json_array_size(array); i++) {
		json_t *value = json_array_get(array, i);

		if (!json_is_null(value) &&
		    json_object_set(object, verb->params[i].name, value) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static int check_object(const struct api_verb_row *verb, json_t *object, struct err *err)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		const struct api_field *param = find(verb, name);
		const char *expected = param ? fault(param, value) : NULL;

		if (!param)
			return unknown(verb, name, err);
		if (expected)
			return INVALID(err, "%s: %s must be %s", verb->method, name, expected);
	}
	for (const struct api_field *param = verb->params; param->name; param++)
		if (param->required && !json_object_get(object, param->name))
			return INVALID(err, "%s: %s is missing: %s", verb->method, param->name,
				       param->help);
	return 0;
}

int params_check(const struct api_verb_row *verb, bool has_deadline, const json_t *untrusted_params,
		 json_t **ret_params, struct err *err)
{
	json_t *object;
	int code;

	if (json_array_size(untrusted_params) > count(verb))
		return INVALID(err, "%s takes at most %zu parameters", verb->method, count(verb));
	if (untrusted_params && !json_is_array(untrusted_params) &&
	    !json_is_object(untrusted_params))
		return INVALID(err, "%s: parameters are an object or an array", verb->method);
	if (json_is_object(untrusted_params))
		object = json_deep_copy(untrusted_params);
	else
		object = name_positions(verb, untrusted_params);
	if (!object)
		return err_set(err, -ENOMEM, "out of memory"), API_ERROR_INTERNAL;
	if (has_deadline)
		(void)json_object_del(object, "deadline_ms");
	code = check_object(verb, object, err);
	if (code == 0)
		*ret_params = object;
	else
		json_decref(object);
	return code;
}
