/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_jsonrpc.c - a client's bytes, through the frames and the calls of a connection.
 *
 * The first byte says in which pieces the rest arrives. What must hold: every answer is one line of
 * JSON that the client's own reader accepts, nothing waits beyond a frame's limit, and a stream
 * that ends leaves nothing behind.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/json_strict.h"
#include "rpc/frame.h"
#include "rpc/jsonrpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static enum api_state vm_state(void *ctx)
{
	return *(enum api_state *)ctx;
}

/* Answers with what it was given, so that any parameter has to survive the way back. */
static int echo(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)ctx;
	(void)err;
	*ret_result = json_deep_copy(request->params);
	return 0;
}

static void check_answer(struct jsonrpc *rpc, json_t *message, int fd)
{
	char *answer = jsonrpc_line(message);
	json_t *json = NULL;
	size_t len;

	(void)rpc;
	require(answer && fd == -1);
	len = strlen(answer);
	require(len > 0 && strchr(answer, '\n') == answer + len - 1);
	require(json_strict_parse(answer, len, JSONRPC_MAX_DEPTH + 8, &json, NULL) == 0);
	json_decref(json);
	free(answer);
}

static void pass(struct jsonrpc *rpc)
{
	(void)rpc;
}

static bool answer_waiting(struct jsonrpc *rpc, struct frame *frame)
{
	const char *message;
	size_t len;
	int ret;

	while ((ret = frame_next(frame, &message, &len)) == 1) {
		require(len <= FRAME_MAX_BYTES);
		require(jsonrpc_take(rpc, message, len) == 0);
	}
	require(ret == 0 || ret == -EMSGSIZE);
	return ret == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum api_state state = size > 0 ? data[0] % API_STATE_COUNT : API_STATE_RUNNING;
	size_t step = size > 0 ? (size_t)data[0] + 1 : 1;
	api_handler handlers[API_VERB_COUNT];
	struct api_backend backend = {
		.set = &api_vm_set, .state = vm_state, .handlers = handlers, .ctx = &state
	};
	struct jsonrpc_pool pool = { 0 };
	struct jsonrpc rpc = { .backend = &backend,
			       .pool = &pool,
			       .peer = { .may_change = true },
			       .send = check_answer,
			       .on_room = pass };
	struct frame frame = { 0 };

	for (size_t i = 0; i < API_VERB_COUNT; i++)
		handlers[i] = echo;
	for (size_t at = 1; at < size; at += step) {
		size_t left = size - at;

		require(frame_append(&frame, (const char *)data + at, left < step ? left : step) ==
			0);
		if (!answer_waiting(&rpc, &frame))
			break;
	}
	frame_fini(&frame);
	require(rpc.in_flight == 0 && pool.call_count == 0);
	jsonrpc_pool_fini(&pool);
	return 0;
}
