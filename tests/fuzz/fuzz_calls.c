/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_calls.c - a daemon's calls: what a client sends, answered at once, later, never, in any order.
 *
 * The input up to the first NUL is a script, the rest are messages, one a line. A byte of the script is
 * used up by each call that begins (how its handler answers) and by each line (what happens after it:
 * somebody is answered, time passes, the client leaves and another comes).
 * What must hold: each answer is JSON and has an id or is an array, no call is answered twice or
 * forgotten, and the counts of calls in flight are those of the handlers.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "rpc/jsonrpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KEPT_MAX = 4096 };

struct fuzz {
	const uint8_t *script;
	size_t script_len;
	struct api_request *kept[KEPT_MAX];
	unsigned kept_count;
	struct jsonrpc_pool pool;
	struct jsonrpc rpc;
	struct api_backend backend;
};

static void require(bool holds)
{
	if (!holds)
		abort();
}

static unsigned next_step(struct fuzz *fuzz)
{
	if (fuzz->script_len == 0)
		return 0;
	fuzz->script_len--;
	return *fuzz->script++;
}

static int serve(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct fuzz *fuzz = ctx;

	switch (next_step(fuzz) % 8) {
	case 0: *ret_result = json_deep_copy(request->params); return 0;
	case 1: return err_set(err, -EIO, "\xff");
	case 2: return API_ERROR_NO_VM;
	case 3: request->answer(request, json_object(), -1); return API_LATER;
	case 4: request->fail(request, 12345, "\xff"); return API_LATER;
	case 5: request->answer(request, json_object(), dup(0)); return API_LATER;
	default: break;
	}
	if (fuzz->kept_count == KEPT_MAX)
		return API_ERROR_BUSY;
	fuzz->kept[fuzz->kept_count++] = request;
	return API_LATER;
}

static void finish_one(struct fuzz *fuzz, unsigned step)
{
	unsigned index = step % fuzz->kept_count;
	struct api_request *request = fuzz->kept[index];

	fuzz->kept[index] = fuzz->kept[--fuzz->kept_count];
	switch (step / 16 % 4) {
	case 0: request->fail(request, API_ERROR_SILENT, "it is silent"); break;
	case 1: request->answer(request, json_deep_copy(request->params), dup(0)); break;
	case 2: request->answer(request, NULL, -1); break;
	default: request->answer(request, json_integer(1), -1); break;
	}
}

static void check_one(const json_t *answer)
{
	require(json_object_get(answer, "id") != NULL);
	require(!json_object_get(answer, "result") != !json_object_get(answer, "error"));
}

static void check_answer(struct jsonrpc *rpc, json_t *answer, int fd)
{
	char *line = json_dumps(answer, JSON_COMPACT);

	require(line && !rpc->has_left);
	for (size_t i = 0; i < json_array_size(answer); i++)
		check_one(json_array_get(answer, i));
	if (!json_is_array(answer))
		check_one(answer);
	if (fd >= 0)
		(void)close(fd);
	free(line);
	json_decref(answer);
}

static void pass(struct jsonrpc *rpc)
{
	(void)rpc;
}

static void arrive(struct fuzz *fuzz)
{
	fuzz->rpc = (struct jsonrpc){ .backend = &fuzz->backend,
				      .pool = &fuzz->pool,
				      .peer = { .may_change = true },
				      .send = check_answer,
				      .on_room = pass };
}

static void act(struct fuzz *fuzz)
{
	unsigned step = next_step(fuzz);

	if (step % 4 == 1 && fuzz->kept_count > 0)
		finish_one(fuzz, step / 4);
	if (step % 4 == 2)
		jsonrpc_expire(&fuzz->pool, clock_now_ns() + step * NS_PER_MS);
	if (step % 16 == 3) {
		jsonrpc_leave(&fuzz->rpc);
		arrive(fuzz);
	}
	require(fuzz->pool.call_count == fuzz->kept_count);
	require(fuzz->rpc.in_flight <= fuzz->kept_count);
}

static void take_lines(struct fuzz *fuzz, const char *text, size_t len)
{
	while (len > 0) {
		const char *newline = memchr(text, '\n', len);
		size_t line = newline ? (size_t)(newline - text) : len;

		if (!jsonrpc_is_full(&fuzz->rpc))
			require(jsonrpc_take(&fuzz->rpc, text, line) == 0);
		act(fuzz);
		line += newline != NULL;
		text += line;
		len -= line;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static api_handler handlers[API_HOST_VERB_COUNT];
	static struct fuzz fuzz;
	size_t script_len = strnlen((const char *)data, size);

	for (size_t i = 0; i < API_HOST_VERB_COUNT; i++)
		handlers[i] = serve;
	fuzz = (struct fuzz){ .script = data, .script_len = script_len };
	fuzz.backend =
		(struct api_backend){ .set = &api_host_set, .handlers = handlers, .ctx = &fuzz };
	arrive(&fuzz);
	if (script_len < size)
		take_lines(&fuzz, (const char *)data + script_len + 1, size - script_len - 1);
	if (size % 2) { /* the server ends first, or the work */
		jsonrpc_leave(&fuzz.rpc);
		jsonrpc_pool_fini(&fuzz.pool);
	}
	while (fuzz.kept_count > 0)
		finish_one(&fuzz, fuzz.kept_count);
	require(size % 2 || fuzz.pool.call_count == 0);
	jsonrpc_leave(&fuzz.rpc);
	jsonrpc_pool_fini(&fuzz.pool);
	return 0;
}
