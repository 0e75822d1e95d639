/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* jsonrpc.c - see jsonrpc.h.
 *
 * Where the standard leaves room:
 *  - An id may be a string, any number, or null. Fractions are legal (§4 says only SHOULD NOT) and
 *    come back as the same number.
 *  - A member that the standard does not know is refused: a misspelt "params" would otherwise run
 *    the call with none.
 *  - A request without an id is a notification and never answered, not even when it is wrong; what
 *    is no request at all is answered with id null.
 *  - A batch longer than JSONRPC_MAX_BATCH is refused whole, with one error and nothing done.
 * An error's data.hint is the help text of its row in api/errors.def.
 */
#include "rpc/jsonrpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/json_strict.h"

static const struct {
	int code;
	const char *help;
} error_rows[] = {
#define ERROR(id, code, name, help) { code, help },
#include "api/errors.def"
#undef ERROR
};

static const char *error_help(int code)
{
	for (size_t i = 0; i < sizeof(error_rows) / sizeof(error_rows[0]); i++)
		if (error_rows[i].code == code)
			return error_rows[i].help;
	return "";
}

/* Steals @id; NULL stands for null. */
static json_t *error_response(json_t *id, int code, const char *sentence)
{
	json_t *response = json_pack("{s:s, s:o, s:{s:i, s:s, s:{s:s}}}", "jsonrpc", "2.0", "id",
				     id ? id : json_null(), "error", "code", code, "message",
				     sentence, "data", "hint", error_help(code));

	/* A sentence that quotes bytes which are no UTF-8 cannot be packed. */
	if (!response)
		response = json_pack("{s:s, s:n, s:{s:i, s:s}}", "jsonrpc", "2.0", "id", "error",
				     "code", code, "message", error_help(code));
	return response;
}

static bool is_white_space(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != ' ' && bytes[i] != '\t' && bytes[i] != '\r')
			return false;
	return true;
}

static bool has_only_known_members(const json_t *request)
{
	static const char *const known[] = { "jsonrpc", "method", "params", "id" };
	size_t found = 0;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		found += json_object_get(request, known[i]) != NULL;
	return found == json_object_size(request);
}

/* NULL, or the sentence that says why this is no request. */
static const char *request_fault(const json_t *request)
{
	const char *version = json_string_value(json_object_get(request, "jsonrpc"));
	const json_t *params = json_object_get(request, "params");
	const json_t *id = json_object_get(request, "id");

	if (!json_is_object(request))
		return "a request is an object: {\"jsonrpc\":\"2.0\",\"method\":...,\"id\":...}";
	if (!version || strcmp(version, "2.0") != 0)
		return "\"jsonrpc\" must be \"2.0\"";
	if (!json_is_string(json_object_get(request, "method")))
		return "\"method\" must be a string";
	if (params && !json_is_object(params) && !json_is_array(params))
		return "\"params\" must be an object or an array";
	if (id && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
		return "\"id\" must be a string, a number or null";
	if (!has_only_known_members(request))
		return "a request has only the members jsonrpc, method, params and id";
	return NULL;
}

/* The id to answer with: null when it cannot be one. */
static json_t *answerable_id(const json_t *request)
{
	json_t *id = json_object_get(request, "id");

	return id && (json_is_string(id) || json_is_number(id)) ? json_incref(id) : json_null();
}

/* NULL: nothing to answer, or no memory for it. */
static json_t *answer_one(struct jsonrpc *rpc, const json_t *request, bool in_batch)
{
	const char *fault = request_fault(request);
	struct api_request call = { .peer = { .may_change = true } };
	struct err err = { 0 };
	json_t *result = NULL;
	bool is_notification;
	int code;

	if (fault)
		return error_response(answerable_id(request), API_ERROR_INVALID_REQUEST, fault);
	is_notification = !json_object_get(request, "id");
	rpc->alone = !in_batch && !is_notification;
	code = api_call(rpc->backend, &call, json_string_value(json_object_get(request, "method")),
			json_object_get(request, "params"), &result, &err);
	json_decref(call.params);
	if (is_notification) {
		if (code == 0)
			json_decref(result);
		return NULL;
	}
	if (code != 0)
		return error_response(answerable_id(request), code, err.text);
	return json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "id", answerable_id(request),
			 "result", result);
}

static json_t *answer_batch(struct jsonrpc *rpc, const json_t *batch)
{
	size_t count = json_array_size(batch);
	char sentence[80];
	json_t *answers;

	if (count == 0)
		return error_response(NULL, API_ERROR_INVALID_REQUEST, "a batch is never empty");
	(void)snprintf(sentence, sizeof(sentence),
		       "a batch may hold at most %d calls; send it in parts", JSONRPC_MAX_BATCH);
	if (count > JSONRPC_MAX_BATCH)
		return error_response(NULL, API_ERROR_TOO_LARGE, sentence);
	answers = json_array();
	for (size_t i = 0; i < count; i++) {
		json_t *answer = answer_one(rpc, json_array_get(batch, i), true);

		if (answer)
			(void)json_array_append_new(answers, answer);
	}
	if (json_array_size(answers) > 0)
		return answers;
	json_decref(answers);
	return NULL;
}

char *jsonrpc_line(json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;
	char *line = text ? realloc(text, len + 2) : NULL;

	json_decref(json);
	if (!line) {
		free(text);
		return NULL;
	}
	memcpy(line + len, "\n", 2);
	return line;
}

char *jsonrpc_error_text(enum api_error code, const char *sentence)
{
	return jsonrpc_line(error_response(NULL, (int)code, sentence));
}

int jsonrpc_answer(struct jsonrpc *rpc, const char *untrusted_message, size_t len,
		   char **ret_answer)
{
	json_t *message, *answer;
	struct err err = { 0 };
	char *text;

	if (is_white_space(untrusted_message, len)) {
		*ret_answer = NULL;
		return 0;
	}
	if (json_strict_parse(untrusted_message, len, JSONRPC_MAX_DEPTH, &message, &err) < 0) {
		text = jsonrpc_error_text(API_ERROR_PARSE, err.text);
		if (!text)
			return -ENOMEM;
		*ret_answer = text;
		return 0;
	}
	if (json_is_array(message))
		answer = answer_batch(rpc, message);
	else
		answer = answer_one(rpc, message, false);
	json_decref(message);
	text = answer ? jsonrpc_line(answer) : NULL;
	if (answer && !text)
		return -ENOMEM;
	*ret_answer = text;
	return 0;
}
