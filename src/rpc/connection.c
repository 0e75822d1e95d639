/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* connection.c - one client: its frames, its answers, its subscription, its way to the console.
 *
 * Each connection calls through a backend of its own, whose rows forward to the VM's: so the verbs
 * that are about the connection itself (events.subscribe, vm.console) pass the same checks as all
 * others and need no names here.
 *
 * Invariants
 *  C1  No client can make the loop wait: reads and writes are the loop's, and one reading does the
 *      work of at most CONNECTION_READ_BYTES of requests per turn.
 *  C2  A client that does not read is not read from: above UNSENT_PAUSE_BYTES its requests wait.
 *      Events do not wait for it: above UNSENT_MAX_BYTES it is closed.
 *  C3  The console gets the socket only when the answer has left and nothing is buffered, so its
 *      first byte is the first byte after the answer, in both directions.
 * Transitions
 *  open -> leaving  [leave_after]    a last error was queued; nothing more is read
 *  open -> console  [hand_over]      the socket belongs to the backend, the connection is gone
 *  any  -> closed   [connection_close]
 */
#include "rpc/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "base/units.h"

#define UNSENT_PAUSE_BYTES (UINT64_C(256) * KIB_BYTES)
#define UNSENT_MAX_BYTES   (UINT64_C(4) * MIB_BYTES)

struct connection {
	uv_pipe_t pipe;
	struct connection_hub *hub;
	struct connection *next, **link; /* the hub's list; link: what points here */
	struct api_backend backend;
	struct jsonrpc rpc;
	struct frame frame;
	uint64_t unsent_bytes;
	uint64_t event_kinds; /* bit per event of the set */
	bool is_reading;
	bool is_leaving;
	bool becomes_console;
};

struct sending {
	uv_write_t request;
	struct shared_text *shared;
};

struct shared_text *shared_text_create(char *text)
{
	struct shared_text *shared = text ? malloc(sizeof(*shared)) : NULL;

	if (!shared) {
		free(text);
		return NULL;
	}
	*shared = (struct shared_text){ .references = 1, .len = strlen(text), .text = text };
	return shared;
}

void shared_text_put(struct shared_text *shared)
{
	if (!shared || --shared->references > 0)
		return;
	free(shared->text);
	free(shared);
}

/* --- the verbs of a connection ------------------------------------------------------------- */

static size_t row_number(const struct api_request *request, const struct api_set *set)
{
	return (size_t)(request->verb - set->verbs);
}

static int forward(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	const struct api_backend *vm = ((struct connection *)ctx)->hub->backend;

	return vm->handlers[row_number(request, vm->set)](vm->ctx, request, ret_result, err);
}

static int subscribe(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct connection *connection = ctx;
	const json_t *kinds = json_object_get(request->params, "kinds");
	uint64_t wanted = kinds ? 0 : UINT64_MAX;

	for (size_t i = 0; i < json_array_size(kinds); i++) {
		const char *kind = json_string_value(json_array_get(kinds, i));
		int index = kind ? api_event_by_kind(connection->hub->backend->set, kind) : -1;

		if (index < 0) {
			(void)err_set(err, -EINVAL,
				      "there is no event \"%.40s\"; rpc.discover lists them",
				      kind ? kind : "");
			return API_ERROR_INVALID_PARAMS;
		}
		wanted |= UINT64_C(1) << index;
	}
	connection->event_kinds = wanted;
	*ret_result = json_pack("{s:I}", "seq", (json_int_t)connection->hub->last_seq);
	return 0;
}

static int become_console(void *ctx, struct api_request *request, json_t **ret_result,
			  struct err *err)
{
	struct connection *connection = ctx;
	int code;

	if (!connection->rpc.alone || frame_waiting(&connection->frame) > 0) {
		(void)err_set(err, -EINVAL,
			      "vm.console stands alone: no batch, an id, and nothing behind it "
			      "until its answer has come");
		return API_ERROR_INVALID_REQUEST;
	}
	code = forward(connection, request, ret_result, err);
	connection->becomes_console = code == 0;
	return code;
}

static int discover(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)ctx;
	(void)request;
	(void)err;
	*ret_result = api_discover(((struct connection *)ctx)->hub->backend->set);
	return 0;
}

static enum api_state forward_state(void *ctx)
{
	const struct api_backend *vm = ((struct connection *)ctx)->hub->backend;

	return vm->state(vm->ctx);
}

void connection_hub_init(struct connection_hub *hub)
{
	const struct api_set *set = hub->backend->set;

	for (size_t i = 0; i < set->verb_count; i++)
		hub->handlers[i] = hub->backend->handlers[i] ? forward : NULL;
	hub->handlers[api_verb_by_method(set, "events.subscribe") - set->verbs] = subscribe;
	hub->handlers[api_verb_by_method(set, "rpc.discover") - set->verbs] = discover;
	if (hub->backend->take_console)
		hub->handlers[api_verb_by_method(set, "vm.console") - set->verbs] = become_console;
}

static void init_backend(struct connection *connection)
{
	const struct api_backend *vm = connection->hub->backend;

	connection->backend = (struct api_backend){
		.set = vm->set,
		.state = vm->state ? forward_state : NULL,
		.handlers = connection->hub->handlers,
		.ctx = connection,
	};
	connection->rpc.backend = &connection->backend;
}

/* --- closing ------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
	struct connection *connection = handle->data;

	frame_fini(&connection->frame);
	connection->hub->count--;
	free(connection);
}

void connection_close(struct connection *connection)
{
	uv_handle_t *handle = (uv_handle_t *)&connection->pipe;

	if (uv_is_closing(handle))
		return;
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	uv_close(handle, on_closed);
}

static void hand_over(struct connection *connection)
{
	const struct api_backend *vm = connection->hub->backend;
	uv_os_fd_t pipe_fd;
	int fd;

	if (uv_fileno((uv_handle_t *)&connection->pipe, &pipe_fd) < 0) {
		connection_close(connection);
		return;
	}
	fd = fcntl(pipe_fd, F_DUPFD_CLOEXEC, 0);
	connection_close(connection);
	if (fd >= 0)
		vm->take_console(vm->ctx, fd);
	else
		log_debug("rpc", "console: %m");
}

/* --- sending ------------------------------------------------------------------------------- */

static void read_on(struct connection *connection);

static void on_sent(uv_write_t *request, int status)
{
	struct sending *sending = (struct sending *)request;
	struct connection *connection = request->data;

	connection->unsent_bytes -= sending->shared->len;
	shared_text_put(sending->shared);
	free(sending);
	if (uv_is_closing((uv_handle_t *)&connection->pipe))
		return;
	if (status < 0 || (connection->is_leaving && connection->unsent_bytes == 0))
		connection_close(connection);
	else if (connection->becomes_console && connection->unsent_bytes == 0)
		hand_over(connection);
	else
		read_on(connection);
}

void connection_send(struct connection *connection, struct shared_text *shared)
{
	struct sending *sending;
	uv_buf_t buf;

	if (uv_is_closing((uv_handle_t *)&connection->pipe) || connection->is_leaving)
		return;
	sending = shared ? malloc(sizeof(*sending)) : NULL;
	if (!sending || shared->len > UNSENT_MAX_BYTES - connection->unsent_bytes) {
		free(sending);
		connection_close(connection);
		return;
	}
	shared->references++;
	sending->shared = shared;
	sending->request.data = connection;
	connection->unsent_bytes += shared->len;
	buf = uv_buf_init(shared->text, (unsigned)shared->len);
	if (uv_write(&sending->request, (uv_stream_t *)&connection->pipe, &buf, 1, on_sent) == 0)
		return;
	connection->unsent_bytes -= shared->len;
	shared->references--;
	free(sending);
	connection_close(connection);
}

/* Steals @text; closes the connection when there is none for want of memory. */
static void send_text(struct connection *connection, char *text)
{
	struct shared_text *shared = shared_text_create(text);

	connection_send(connection, shared);
	shared_text_put(shared);
}

static void leave_after(struct connection *connection, enum api_error code, const char *sentence)
{
	send_text(connection, jsonrpc_error_text(code, sentence));
	connection->is_leaving = true;
	read_on(connection);
}

bool connection_wants_event(const struct connection *connection, unsigned kind_index)
{
	return connection->event_kinds >> kind_index & 1 && !connection->becomes_console;
}

/* --- reading ------------------------------------------------------------------------------- */

static bool may_read(const struct connection *connection)
{
	return !connection->is_leaving && !connection->becomes_console &&
	       connection->unsent_bytes < UNSENT_PAUSE_BYTES &&
	       !uv_is_closing((const uv_handle_t *)&connection->pipe);
}

static void on_allocate(uv_handle_t *handle, size_t suggested_bytes, uv_buf_t *ret_buf)
{
	struct connection *connection = handle->data;

	(void)suggested_bytes;
	*ret_buf = uv_buf_init(connection->hub->read_buffer, CONNECTION_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
	struct connection *connection = stream->data;

	if (len < 0) {
		connection_close(connection);
		return;
	}
	if (frame_append(&connection->frame, buf->base, (size_t)len) < 0)
		leave_after(connection, API_ERROR_TOO_LARGE, "no memory for this message");
	else
		read_on(connection);
}

/* Answers to requests that came together leave together. 1: more may be waiting; 0: no more, or not
 * now; -EMSGSIZE: what is arriving is too long. */
static int answer_some(struct connection *connection)
{
	CLEANUP(strbuf_fini)
	struct strbuf answers;
	const char *message;
	size_t len;
	char *answer = NULL;
	int ret = 0;

	strbuf_init(&answers, UNSENT_MAX_BYTES);
	while (may_read(connection) && !answers.failed && answers.len < UNSENT_PAUSE_BYTES) {
		ret = frame_next(&connection->frame, &message, &len);
		if (ret <= 0)
			break;
		if (jsonrpc_answer(&connection->rpc, message, len, &answer) < 0)
			answers.failed = true;
		else if (answer)
			strbuf_append(&answers, answer, strlen(answer));
		free_text(&answer);
	}
	if (answers.failed)
		connection_close(connection);
	else if (answers.len > 0)
		send_text(connection, strbuf_take(&answers));
	return ret;
}

static void answer_waiting(struct connection *connection)
{
	int ret = 1;

	while (may_read(connection) && ret > 0)
		ret = answer_some(connection);
	if (ret < 0)
		leave_after(connection, API_ERROR_TOO_LARGE,
			    "a message may have at most 1 MiB; this connection ends");
}

/* Answers what is waiting, and listens for more exactly while that is allowed (C2, C3). */
static void read_on(struct connection *connection)
{
	uv_stream_t *stream = (uv_stream_t *)&connection->pipe;

	answer_waiting(connection);
	if (uv_is_closing((uv_handle_t *)stream) || may_read(connection) == connection->is_reading)
		return;
	connection->is_reading = !connection->is_reading;
	if (!connection->is_reading)
		(void)uv_read_stop(stream);
	else if (uv_read_start(stream, on_allocate, on_read) < 0)
		connection_close(connection);
}

/* --- arriving ------------------------------------------------------------------------------ */

static bool peer_may_enter(struct connection *connection)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	uv_os_fd_t fd;

	if (uv_fileno((uv_handle_t *)&connection->pipe, &fd) < 0)
		return false;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return false;
	return peer.uid == geteuid() || peer.uid == 0;
}

static struct connection *connection_create(struct connection_hub *hub)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		return NULL;
	connection->hub = hub;
	if (uv_pipe_init(hub->loop, &connection->pipe, 0) < 0) {
		free(connection);
		return NULL;
	}
	connection->pipe.data = connection;
	init_backend(connection);
	connection->link = &hub->first;
	connection->next = hub->first;
	if (hub->first)
		hub->first->link = &connection->next;
	hub->first = connection;
	hub->count++;
	return connection;
}

int connection_accept(struct connection_hub *hub, uv_stream_t *listener, bool is_full)
{
	struct connection *connection = connection_create(hub);

	if (!connection)
		return -ENOMEM;
	if (uv_accept(listener, (uv_stream_t *)&connection->pipe) < 0 ||
	    !peer_may_enter(connection)) {
		connection_close(connection);
		return -EPERM;
	}
	if (!is_full) {
		read_on(connection);
		return 0;
	}
	leave_after(connection, API_ERROR_INTERNAL,
		    "too many connections to this VM; close one and try again");
	connection_close(connection);
	return -EBUSY;
}

struct connection *connection_next(struct connection *connection)
{
	return connection->next;
}
