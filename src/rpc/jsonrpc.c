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
 *  - Calls that are sent without waiting are begun in their order and answered as they are done (§6
 *    says so of a batch's). A batch is answered when its last call is.
 *  - An id may have at most JSONRPC_MAX_ID_BYTES: it is kept as long as its call lasts.
 */
#include "rpc/jsonrpc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "config/json_strict.h"
#include "rpc/call.h"

/* What one client may have unanswered, in bytes of its messages. */
#define IN_FLIGHT_MAX_BYTES (2 * MIB_BYTES)

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
	if (json_string_length(id) > JSONRPC_MAX_ID_BYTES)
		return "\"id\" may have at most 1024 bytes";
	if (!has_only_known_members(request))
		return "a request has only the members jsonrpc, method, params and id";
	return NULL;
}

/* The id to answer with: null when it cannot be one. */
static json_t *answerable_id(const json_t *request)
{
	json_t *id = json_object_get(request, "id");
	bool can_be_one = json_is_number(id) ||
			  (json_is_string(id) && json_string_length(id) <= JSONRPC_MAX_ID_BYTES);

	return can_be_one ? json_incref(id) : json_null();
}

/* Steals @answer. */
static int send_alone(struct jsonrpc *rpc, json_t *answer)
{
	if (!answer)
		return -ENOMEM;
	rpc->send(rpc, answer, -1);
	return 0;
}

static int take_one(struct jsonrpc *rpc, const json_t *request, struct batch *batch, size_t len)
{
	const char *fault = request_fault(request);
	json_t *answer;

	if (!fault)
		return call_run(rpc, json_string_value(json_object_get(request, "method")),
				json_object_get(request, "params"),
				json_object_get(request, "id") ? answerable_id(request) : NULL,
				batch, len);
	answer = call_error(answerable_id(request), API_ERROR_INVALID_REQUEST, fault);
	if (!batch)
		return send_alone(rpc, answer);
	batch_add(batch, answer);
	return 0;
}

/* NULL, or the error that a batch of so many calls is. */
static json_t *batch_fault(size_t count)
{
	char sentence[80];

	if (count == 0)
		return call_error(NULL, API_ERROR_INVALID_REQUEST, "a batch is never empty");
	(void)snprintf(sentence, sizeof(sentence),
		       "a batch may hold at most %d calls; send it in parts", JSONRPC_MAX_BATCH);
	return count > JSONRPC_MAX_BATCH ? call_error(NULL, API_ERROR_TOO_LARGE, sentence) : NULL;
}

static int take_batch(struct jsonrpc *rpc, const json_t *calls, size_t len)
{
	size_t count = json_array_size(calls);
	json_t *fault = batch_fault(count);
	struct batch *batch = fault ? NULL : batch_create();
	int ret = 0;

	if (!batch)
		return send_alone(rpc, fault);
	for (size_t i = 0; i < count && ret == 0 && !rpc->has_left; i++)
		ret = take_one(rpc, json_array_get(calls, i), batch, len / count + 1);
	batch_put(batch, rpc->has_left ? NULL : rpc);
	return ret;
}

int jsonrpc_take(struct jsonrpc *rpc, const char *untrusted_message, size_t len)
{
	struct err err = { 0 };
	json_t *message;
	int ret;

	if (is_white_space(untrusted_message, len))
		return 0;
	if (json_strict_parse(untrusted_message, len, JSONRPC_MAX_DEPTH, &message, &err) < 0)
		return send_alone(rpc, jsonrpc_error(API_ERROR_PARSE, err.text));
	if (json_is_array(message))
		ret = take_batch(rpc, message, len);
	else
		ret = take_one(rpc, message, NULL, len);
	json_decref(message);
	return ret;
}

json_t *jsonrpc_error(enum api_error code, const char *sentence)
{
	return call_error(NULL, (int)code, sentence);
}

bool jsonrpc_is_full(const struct jsonrpc *rpc)
{
	return rpc->in_flight >= JSONRPC_MAX_CALLS || rpc->in_flight_bytes >= IN_FLIGHT_MAX_BYTES;
}
