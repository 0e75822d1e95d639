/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* link.c - see link.h.
 *
 * Invariants
 *  L1  No callback comes out of a function that the owner calls: what fails at once is returned, the
 *      rest is heard of from the loop.
 *  L2  The memory is freed when the owner has closed the link and the loop has let go of both handles;
 *      so it is there until the end of the callback that closed it.
 *  L3  A VM can cost CALLS_MAX calls, UNSENT_MAX_BYTES of what it does not read, one message and one
 *      reading, and no more time per turn than one reading takes. What it says unasked must fit into
 *      a bucket of UNASKED_BURST_BYTES that fills again with UNASKED_BYTES_PER_S.
 */
#include "rpc/link.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/units.h"
#include "config/json_strict.h"
#include "rpc/deadlines.h"
#include "rpc/jsonrpc.h"
#include "rpc/wire.h"

enum { CALLS_MAX = 1024, LINK_MAX_DEPTH = JSONRPC_MAX_DEPTH + 8, LINK_HANDLES = 2 };
#define UNSENT_MAX_BYTES    (UINT64_C(1) * MIB_BYTES)
#define UNASKED_BURST_BYTES (UINT64_C(8) * MIB_BYTES)
#define UNASKED_BYTES_PER_S (UINT64_C(2) * MIB_BYTES)
#define UNASKED_EACH_BYTES  256 /* what a message costs besides its length */

struct link_call {
	struct link_call *next, **link;
	json_int_t id;
	rpc_link_done done;
	void *ctx;
	int timeout_ms;
	struct deadline deadline;
};

struct rpc_link {
	struct wire wire; /* first */
	uv_timer_t timer;
	const struct rpc_link_ops *ops;
	void *ctx;
	struct link_call *calls, **calls_end; /* oldest first */
	unsigned call_count;
	json_int_t last_id;
	struct deadlines deadlines;
	uint64_t unasked_bytes, unasked_at_ns; /* the bucket */
	pid_t peer_pid;
	unsigned open_handles;
	bool is_dropped; /* by its owner */
	rpc_link_console_done console_done;
	void *console_ctx;
};

const char *rpc_link_reason(int reason)
{
	switch (reason) {
	case 0: return "it closed the connection";
	case -EPROTO: return "it sent what is no JSON-RPC";
	case -EMSGSIZE: return "it sent a message of more than 1 MiB";
	case -EDQUOT: return "it sent more events than anybody needs";
	default: return strerror(-reason);
	}
}

static struct rpc_link *of_wire(struct wire *wire)
{
	return (struct rpc_link *)wire;
}

/* --- calls that wait ------------------------------------------------------------------------- */

static void remove_call(struct rpc_link *link, struct link_call *call)
{
	*call->link = call->next;
	if (call->next)
		call->next->link = call->link;
	else
		link->calls_end = call->link;
	deadlines_remove(&link->deadlines, &call->deadline);
	link->call_count--;
}

static void finish(struct rpc_link *link, struct link_call *call, int code, const json_t *result,
		   const char *sentence)
{
	remove_call(link, call);
	if (call->done)
		call->done(call->ctx, code, result, sentence);
	free(call);
}

static void drop_calls(struct rpc_link *link)
{
	while (link->calls) {
		struct link_call *call = link->calls;

		remove_call(link, call);
		free(call);
	}
}

static void set_timer(struct rpc_link *link);

static void on_timer(uv_timer_t *timer)
{
	struct rpc_link *link = timer->data;
	struct deadline *due;

	while (!link->is_dropped &&
	       (due = deadlines_take_due(&link->deadlines, clock_now_ns())) != NULL) {
		struct link_call *call =
			(struct link_call *)((char *)due - offsetof(struct link_call, deadline));
		char sentence[64];

		(void)snprintf(sentence, sizeof(sentence), "the VM did not answer within %d ms",
			       call->timeout_ms);
		finish(link, call, -ETIMEDOUT, NULL, sentence);
	}
	set_timer(link);
}

static void set_timer(struct rpc_link *link)
{
	uint64_t next_ns = deadlines_next_ns(&link->deadlines);
	uint64_t now_ns = clock_now_ns();

	if (uv_is_closing((uv_handle_t *)&link->timer))
		return;
	if (next_ns == DEADLINES_NONE) {
		(void)uv_timer_stop(&link->timer);
		return;
	}
	uv_update_time(link->timer.loop);
	(void)uv_timer_start(&link->timer, on_timer,
			     next_ns > now_ns ? (next_ns - now_ns) / NS_PER_MS + 1 : 0, 0);
}

/* --- its end --------------------------------------------------------------------------------- */

static void free_when_done(struct rpc_link *link)
{
	if (link->open_handles > 0 || !link->is_dropped)
		return;
	deadlines_fini(&link->deadlines);
	free(link);
}

static void on_freed(struct wire *wire)
{
	of_wire(wire)->open_handles--;
	free_when_done(of_wire(wire));
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct rpc_link *link = handle->data;

	link->open_handles--;
	free_when_done(link);
}

/* The socket, which is ours no more; -1 when it was closed before. */
static int let_go(struct rpc_link *link)
{
	if (wire_is_closed(&link->wire))
		return -1;
	uv_close((uv_handle_t *)&link->timer, on_timer_closed);
	return wire_take_fd(&link->wire);
}

static void end(struct rpc_link *link, int reason)
{
	int fd = let_go(link);

	if (fd < 0)
		return;
	close_fd(&fd);
	while (link->calls && !link->is_dropped)
		finish(link, link->calls, -EPIPE, NULL, rpc_link_reason(reason));
	if (!link->is_dropped && link->ops->on_closed)
		link->ops->on_closed(link->ctx, reason);
}

void rpc_link_close(struct rpc_link *link)
{
	int fd;

	if (!link || link->is_dropped)
		return;
	fd = let_go(link);
	close_fd(&fd);
	drop_calls(link);
	link->is_dropped = true;
	free_when_done(link);
}

/* --- what the VM says ------------------------------------------------------------------------ */

static struct link_call *find_call(const struct rpc_link *link, json_int_t id)
{
	struct link_call *call = link->calls;

	while (call && call->id != id)
		call = call->next;
	return call;
}

/* L3: the bucket. */
static int take_unasked(struct rpc_link *link, size_t len)
{
	uint64_t now_ns = clock_now_ns();
	uint64_t elapsed_ms = (now_ns - link->unasked_at_ns) / NS_PER_MS;
	uint64_t drained_bytes = elapsed_ms * UNASKED_BYTES_PER_S / 1000;

	if (elapsed_ms > 0) {
		link->unasked_at_ns = now_ns;
		link->unasked_bytes -=
			drained_bytes < link->unasked_bytes ? drained_bytes : link->unasked_bytes;
	}
	link->unasked_bytes += len + UNASKED_EACH_BYTES;
	return link->unasked_bytes > UNASKED_BURST_BYTES ? -EDQUOT : 0;
}

static int take_event(struct rpc_link *link, const json_t *message)
{
	const json_t *params = json_object_get(message, "params");
	const char *kind = json_string_value(json_object_get(params, "kind"));
	const json_t *data = json_object_get(params, "data");
	const char *method = json_string_value(json_object_get(message, "method"));

	if (!method)
		return -EPROTO;
	if (strcmp(method, "event") != 0)
		return 0;
	if (!kind || !json_is_object(data))
		return -EPROTO;
	if (link->ops->on_event)
		link->ops->on_event(link->ctx, kind, data);
	return 0;
}

static int take_answer(struct rpc_link *link, const json_t *message, struct link_call *call)
{
	const json_t *result = json_object_get(message, "result");
	const json_t *error = json_object_get(message, "error");
	const json_t *code = json_object_get(error, "code");
	const char *sentence = json_string_value(json_object_get(error, "message"));

	if (result && !error) {
		finish(link, call, 0, result, "");
		return 0;
	}
	if (result || !sentence || !json_is_integer(code) || json_integer_value(code) == 0)
		return -EPROTO;
	finish(link, call, (int)api_error_of((int)json_integer_value(code)), NULL, sentence);
	return 0;
}

/* Answers to calls that ran out of time are legal, and count as unasked. */
static int take_json(struct rpc_link *link, const json_t *message, size_t len)
{
	const json_t *id = json_object_get(message, "id");
	struct link_call *call =
		json_is_integer(id) ? find_call(link, json_integer_value(id)) : NULL;
	int ret;

	if (call)
		return take_answer(link, message, call);
	ret = take_unasked(link, len);
	if (ret < 0 || !id)
		return ret < 0 ? ret : take_event(link, message);
	return json_integer_value(id) > 0 && json_integer_value(id) <= link->last_id ? 0 : -EPROTO;
}

static int take_message(struct rpc_link *link, const char *untrusted_message, size_t len)
{
	struct err err = { 0 };
	json_t *message;
	int ret = json_strict_parse(untrusted_message, len, LINK_MAX_DEPTH, &message, &err);

	if (ret < 0)
		return -EPROTO;
	ret = take_json(link, message, len);
	json_decref(message);
	return ret;
}

static void on_bytes(struct wire *wire)
{
	struct rpc_link *link = of_wire(wire);
	const char *message;
	bool has_message;
	size_t len;
	int ret;

	do {
		ret = frame_next(&wire->in, &message, &len);
		has_message = ret > 0;
		if (has_message)
			ret = take_message(link, message, len);
	} while (has_message && ret == 0 && !wire_is_closed(wire));
	if (ret < 0)
		end(link, ret);
	set_timer(link);
}

/* --- what it is told ------------------------------------------------------------------------- */

/* That the VM is gone is heard of from the loop (L1). */
static void flush(struct rpc_link *link)
{
	if (wire_flush(&link->wire) < 0)
		(void)shutdown(link->wire.fd, SHUT_RDWR);
	wire_watch(&link->wire, true, link->wire.unsent_bytes > 0);
}

static void on_writable(struct wire *wire)
{
	flush(of_wire(wire));
}

static void on_end(struct wire *wire, int reason)
{
	end(of_wire(wire), reason == -EPIPE || reason == -ECONNRESET ? 0 : reason);
}

static struct link_call *add_call(struct rpc_link *link, int timeout_ms, rpc_link_done done,
				  void *ctx)
{
	struct link_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	*call = (struct link_call){ .link = link->calls_end,
				    .id = ++link->last_id,
				    .done = done,
				    .ctx = ctx,
				    .timeout_ms = timeout_ms };
	*link->calls_end = call;
	link->calls_end = &call->next;
	link->call_count++;
	if (timeout_ms < 0 || deadlines_add(&link->deadlines, &call->deadline,
					    clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS) == 0)
		return call;
	remove_call(link, call);
	free(call);
	return NULL;
}

int rpc_link_call(struct rpc_link *link, const char *method, json_t *params, int timeout_ms,
		  rpc_link_done done, void *ctx)
{
	bool is_closed = wire_is_closed(&link->wire);
	bool is_full = link->call_count >= CALLS_MAX || link->wire.unsent_bytes >= UNSENT_MAX_BYTES;
	struct link_call *call =
		is_closed || is_full ? NULL : add_call(link, timeout_ms, done, ctx);
	json_t *request;

	if (!call) {
		json_decref(params);
		return is_closed ? -EPIPE : is_full ? -EAGAIN : -ENOMEM;
	}
	request = json_pack("{s:s, s:I, s:s, s:o*}", "jsonrpc", "2.0", "id", call->id, "method",
			    method, "params", params);
	if (!request || wire_say_json(&link->wire, request) < 0) {
		remove_call(link, call);
		free(call);
		return -ENOMEM;
	}
	flush(link);
	set_timer(link);
	return 0;
}

static void on_console(void *ctx, int code, const json_t *result, const char *sentence)
{
	struct rpc_link *link = ctx;

	(void)result;
	link->console_done(link->console_ctx, code, code == 0 ? let_go(link) : -1, sentence);
}

int rpc_link_console(struct rpc_link *link, int timeout_ms, rpc_link_console_done done, void *ctx)
{
	link->wire.takes_lines = true;
	link->console_done = done;
	link->console_ctx = ctx;
	return rpc_link_call(link, "vm.console", NULL, timeout_ms, on_console, link);
}

/* --- its beginning --------------------------------------------------------------------------- */

static int connect_to(const char *path, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	CLEANUP(close_fd)
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, -ENAMETOOLONG, "%s: the socket's path is too long", path);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0)
		return err_set(err, -errno, "socket: %m");
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return err_set(err, -errno, "%s: %m", path);
	return take_fd(&fd);
}

static int identify(int fd, const char *path, pid_t *ret_pid, struct err *err)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return err_set(err, -errno, "%s: who listens there: %m", path);
	if (peer.uid != geteuid() && peer.uid != 0)
		return err_set(err, -EPERM, "%s: user %u listens there, not you", path, peer.uid);
	*ret_pid = peer.pid;
	return 0;
}

int rpc_link_open(uv_loop_t *loop, const char *path, const struct rpc_link_ops *ops, void *ctx,
		  struct rpc_link **ret_link, struct err *err)
{
	static const struct wire_ops wire_ops = { .on_bytes = on_bytes,
						  .on_writable = on_writable,
						  .on_end = on_end,
						  .on_freed = on_freed };
	pid_t pid = 0;
	struct rpc_link *link;
	CLEANUP(close_fd)
	int fd = connect_to(path, err);
	int ret = fd < 0 ? fd : identify(fd, path, &pid, err);

	if (ret < 0)
		return ret;
	link = calloc(1, sizeof(*link));
	ret = link ? wire_open(&link->wire, loop, take_fd(&fd), &wire_ops) : -ENOMEM;
	if (ret < 0) {
		free(link);
		return err_set(err, ret, "%s: %s", path, strerror(-ret));
	}
	(void)uv_timer_init(loop, &link->timer);
	link->timer.data = link;
	link->open_handles = LINK_HANDLES;
	link->ops = ops;
	link->ctx = ctx;
	link->calls_end = &link->calls;
	link->peer_pid = pid;
	link->unasked_at_ns = clock_now_ns();
	wire_watch(&link->wire, true, false);
	*ret_link = link;
	return 0;
}

pid_t rpc_link_peer_pid(const struct rpc_link *link)
{
	return link->peer_pid;
}
