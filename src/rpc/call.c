/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* call.c - see call.h.
 *
 * A handler that answers later holds the request until it has answered. Its client may not wait so
 * long: its deadline passes, or it leaves. Then the call is `told`, or an orphan, and the answer goes
 * nowhere. The memory is the handler's until then in each case.
 *
 * Transitions
 *  running -> told     [tell]            the answer, or that the deadline passed
 *  running -> orphan   [jsonrpc_leave]   nobody is there to be told
 *  any     -> freed    [call_end]        the handler has answered
 * Invariants
 *  A1  A call is told at most once, and freed exactly when its handler has answered and call_run()
 *      does not look at it any more (a handler may answer before it returns).
 *  A2  A call counts for its client, and for the pool, until it is freed: a client gains nothing by
 *      not waiting.
 *
 * An error's data.hint is the help text of its row in api/errors.def.
 */
#include "rpc/call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/units.h"
#include "config/json_text.h"
#include "config/json_text.h"

#define WRITTEN_MAX_BYTES (UINT64_C(64) * MIB_BYTES)

struct call {
	struct api_request request; /* first: what handlers hold */
	struct jsonrpc *rpc;	    /* NULL: an orphan */
	struct jsonrpc_pool *pool;  /* NULL: it is gone too */
	struct call *next, **link;
	struct batch *batch;
	json_t *id;
	struct deadline deadline;
	uint64_t taken_ns;
	size_t message_bytes;
	bool is_told;
	bool is_running; /* call_run() is looking at it */
	bool is_done;
};

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
	for (size_t i = 0; i < ARRAY_LEN(error_rows); i++)
		if (error_rows[i].code == code)
			return error_rows[i].help;
	return "";
}

json_t *call_error(json_t *id, int code, const char *untrusted_sentence)
{
	char sentence[ERR_TEXT_BYTES];

	/* It may quote bytes that are no UTF-8, or have been cut. */
	(void)snprintf(sentence, sizeof(sentence), "%s", untrusted_sentence);
	json_text_mend(sentence);
	return json_pack("{s:s, s:o, s:{s:i, s:s, s:{s:s}}}", "jsonrpc", "2.0", "id",
			 id ? id : json_null(), "error", "code", code, "message", sentence, "data",
			 "hint", error_help(code));
}

/* --- batches --------------------------------------------------------------------------------- */

struct batch *batch_create(void)
{
	struct batch *batch = calloc(1, sizeof(*batch));

	if (batch)
		*batch = (struct batch){ .pending = 1, .answers = json_array() };
	return batch;
}

void batch_add(struct batch *batch, json_t *answer)
{
	batch->has_failed |= json_array_append_new(batch->answers, answer) < 0;
}

void batch_put(struct batch *batch, struct jsonrpc *rpc)
{
	if (--batch->pending > 0)
		return;
	if (batch->has_failed || !rpc || json_array_size(batch->answers) == 0) {
		json_decref(batch->answers);
		batch->answers = NULL;
	}
	if (rpc && (batch->answers || batch->has_failed))
		rpc->send(rpc, batch->answers, -1);
	free(batch);
}

/* --- a call ---------------------------------------------------------------------------------- */

static struct call *call_of(const struct api_request *request)
{
	return (struct call *)request;
}

static void unlink_call(struct call *call)
{
	if (!call->link)
		return;
	*call->link = call->next;
	if (call->next)
		call->next->link = call->link;
	call->link = NULL;
}

static void link_call(struct call *call, struct call **list)
{
	call->next = *list;
	call->link = list;
	if (*list)
		(*list)->link = &call->next;
	*list = call;
}

/* Steals @answer (of a notification NULL) and @fd. */
static void tell(struct call *call, json_t *answer, int fd)
{
	struct jsonrpc *rpc = call->rpc;
	struct batch *batch = call->batch;

	call->is_told = true;
	call->batch = NULL;
	if (batch && call->id)
		batch_add(batch, answer);
	else if (rpc && call->id)
		rpc->send(rpc, answer, take_fd(&fd));
	else
		json_decref(answer);
	if (batch)
		batch_put(batch, rpc);
	close_fd(&fd);
}

static void call_end(struct call *call)
{
	call->is_done = true;
	if (call->is_running)
		return;
	if (!call->is_told)
		tell(call, NULL, -1);
	unlink_call(call);
	if (call->pool) {
		deadlines_remove(&call->pool->deadlines, &call->deadline);
		call->pool->call_count--;
		call->pool->call_bytes -= call->message_bytes;
	}
	if (call->rpc) {
		call->rpc->in_flight--;
		call->rpc->in_flight_bytes -= call->message_bytes;
		call->rpc->on_room(call->rpc);
	}
	json_decref(call->request.params);
	json_decref(call->id);
	free(call);
}

/* Steals @result. NULL: nobody wants an answer, or no memory. */
static json_t *good_answer(const struct call *call, json_t *result)
{
	if (call->id)
		return json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", call->id, "result",
				 result);
	json_decref(result);
	return NULL;
}

static json_t *bad_answer(const struct call *call, int code, const char *sentence)
{
	return call->id ? call_error(json_incref(call->id), code, sentence) : NULL;
}

static void later_answer(struct api_request *request, json_t *result, int fd)
{
	struct call *call = call_of(request);
	bool is_stray = fd >= 0 && call->batch;
	json_t *answer = NULL;

	if (call->is_told)
		json_decref(result);
	else if (result && !is_stray)
		answer = good_answer(call, result);
	else
		answer = bad_answer(call, is_stray ? API_ERROR_INVALID_REQUEST : API_ERROR_INTERNAL,
				    is_stray ? "what hands over a descriptor cannot be in a batch"
					     : "no memory for the answer");
	if (is_stray)
		json_decref(result);
	if (call->is_told || is_stray)
		close_fd(&fd);
	if (!call->is_told)
		tell(call, answer, fd);
	call_end(call);
}

static void later_fail(struct api_request *request, int code, const char *sentence)
{
	struct call *call = call_of(request);

	if (!call->is_told)
		tell(call, bad_answer(call, api_error_of(code), sentence), -1);
	call_end(call);
}

/* An answer whose result is yet to be written. */
struct unwritten {
	const struct call *call;
	api_write write;
	void *ctx;
};

static void write_answer(void *ctx, struct strbuf *out)
{
	const struct unwritten *answer = ctx;

	json_text_plain(out, "{\"jsonrpc\":\"2.0\",\"id\":");
	json_text_value(out, answer->call->id);
	json_text_plain(out, ",\"result\":");
	answer->write(answer->ctx, out);
	json_text_plain(out, "}");
}

/* NULL: no memory. */
static json_t *read_written(api_write write, void *ctx)
{
	struct strbuf text;
	json_t *json;

	strbuf_init(&text, WRITTEN_MAX_BYTES);
	write(ctx, &text);
	json = text.failed ? NULL : json_loadb(text.text, text.len, JSON_DECODE_ANY, NULL);
	strbuf_fini(&text);
	return json;
}

static void later_answer_by(struct api_request *request, api_write write, void *ctx)
{
	struct call *call = call_of(request);
	struct unwritten answer = { .call = call, .write = write, .ctx = ctx };
	bool is_wanted = !call->is_told && call->rpc && call->id;

	if (!is_wanted || call->batch || !call->rpc->send_by) {
		later_answer(request, is_wanted ? read_written(write, ctx) : NULL, -1);
		return;
	}
	call->is_told = true;
	call->rpc->send_by(call->rpc, write_answer, &answer);
	call_end(call);
}

static struct call *call_create(struct jsonrpc *rpc, json_t *id, struct batch *batch,
				size_t message_bytes)
{
	struct call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->request = (struct api_request){ .peer = rpc->peer,
					      .answer = later_answer,
					      .fail = later_fail,
					      .answer_by = later_answer_by };
	call->rpc = rpc;
	call->pool = rpc->pool;
	call->batch = batch;
	call->id = id;
	call->message_bytes = message_bytes;
	call->is_running = true;
	call->taken_ns = rpc->backend->set->has_deadline ? clock_now_ns() : 0;
	if (batch)
		batch->pending++;
	link_call(call, &rpc->calls);
	rpc->in_flight++;
	rpc->in_flight_bytes += message_bytes;
	rpc->pool->call_count++;
	rpc->pool->call_bytes += message_bytes;
	return call;
}

/* Its handler answers later. */
static void wait_for(struct call *call)
{
	call->is_running = false;
	if (call->is_done)
		call_end(call);
	else if (call->request.deadline_ns > 0 && call->rpc && !call->is_told &&
		 deadlines_add(&call->pool->deadlines, &call->deadline, call->request.deadline_ns) <
			 0)
		tell(call,
		     bad_answer(call, API_ERROR_INTERNAL,
				"no memory to watch the deadline; what was begun goes on"),
		     -1);
}

static bool is_too_much(const struct jsonrpc_pool *pool, size_t message_bytes)
{
	return pool->call_count > JSONRPC_MAX_POOL_CALLS ||
	       (pool->call_bytes > JSONRPC_MAX_POOL_BYTES && message_bytes > JSONRPC_SHORT_BYTES);
}

int call_run(struct jsonrpc *rpc, const char *untrusted_method, const json_t *untrusted_params,
	     json_t *id, struct batch *batch, size_t message_bytes)
{
	struct call *call = call_create(rpc, id, batch, message_bytes);
	struct err err = { 0 };
	json_t *result = NULL;
	int code;

	if (!call) {
		json_decref(id);
		return -ENOMEM;
	}
	code = API_ERROR_BUSY;
	(void)err_set(&err, -EBUSY, "too many calls wait for their answers; try later");
	if (!is_too_much(rpc->pool, message_bytes))
		code = api_call(rpc->backend, &call->request, untrusted_method, untrusted_params,
				&result, &err);
	if (code == API_LATER) {
		wait_for(call);
		return 0;
	}
	tell(call, code == 0 ? good_answer(call, result) : bad_answer(call, code, err.text), -1);
	call->is_running = false;
	call_end(call);
	return 0;
}

/* --- clients and their end ------------------------------------------------------------------- */

struct jsonrpc *jsonrpc_of(const struct api_request *request)
{
	return call_of(request)->rpc;
}

bool jsonrpc_is_alone(const struct api_request *request)
{
	return !call_of(request)->batch && call_of(request)->id;
}

void jsonrpc_leave(struct jsonrpc *rpc)
{
	struct call *next;

	rpc->has_left = true;
	for (struct call *call = rpc->calls; call; call = next) {
		next = call->next;
		unlink_call(call);
		link_call(call, &rpc->pool->orphans);
		deadlines_remove(&rpc->pool->deadlines, &call->deadline);
		call->rpc = NULL;
	}
}

void jsonrpc_expire(struct jsonrpc_pool *pool, uint64_t now_ns)
{
	struct deadline *due;
	char sentence[80];

	while ((due = deadlines_take_due(&pool->deadlines, now_ns)) != NULL) {
		struct call *call = (struct call *)((char *)due - offsetof(struct call, deadline));
		uint64_t waited_ns = call->request.deadline_ns - call->taken_ns;

		(void)snprintf(sentence, sizeof(sentence),
			       "no answer within %llu ms; what was begun goes on",
			       (unsigned long long)((waited_ns + NS_PER_MS / 2) / NS_PER_MS));
		tell(call, bad_answer(call, API_ERROR_DEADLINE, sentence), -1);
	}
}

void jsonrpc_pool_fini(struct jsonrpc_pool *pool)
{
	for (struct call *call = pool->orphans; call; call = call->next)
		call->pool = NULL;
	while (pool->orphans)
		unlink_call(pool->orphans);
	deadlines_fini(&pool->deadlines);
}
