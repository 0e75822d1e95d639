/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* daemon.c - see daemon.h. */
#include "daemon.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/units.h"
#include "config/json_text.h"

static int host_info(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct daemon *daemon = ctx;

	(void)request;
	(void)err;
	*ret_result =
		json_pack("{s:i}", "connections", (int)rpc_server_connections(daemon->server));
	return 0;
}

static int vm_start(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct daemon *daemon = ctx;

	(void)ret_result;
	(void)err;
	assert_true(daemon->kept_count < DAEMON_KEPT_MAX);
	daemon->kept[daemon->kept_count++] = request;
	return API_LATER;
}

static int vm_delete(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct daemon *daemon = ctx;

	(void)ret_result;
	(void)err;
	if (++daemon->deletes % 2)
		request->answer(request, json_pack("{s:s}", "name", "gone"), -1);
	else
		/* cmocka has a macro of that name. */
		(request->fail)(request, API_ERROR_NO_VM, "there is none");
	return API_LATER;
}

static int vm_console(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct daemon *daemon = ctx;
	int pair[2];

	(void)ret_result;
	(void)err;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	close_fd(&daemon->console_fd);
	daemon->console_fd = pair[0];
	request->answer(request, json_pack("{s:s}", "how", "fd"), pair[1]);
	return API_LATER;
}

static void write_list(void *ctx, struct strbuf *out)
{
	const char *selector = ctx;

	json_text_plain(out, "{\"vms\":[\"");
	for (size_t i = strtoul(selector, NULL, 10) * KIB_BYTES; i > 0; i--)
		json_text_plain(out, "v");
	json_text_plain(out, "\"]}");
	out->failed |= strcmp(selector, "none") == 0;
}

static int vm_list(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	const char *selector = json_string_value(json_object_get(request->params, "selector"));
	size_t len = (selector ? strtoul(selector, NULL, 10) : 1) * KIB_BYTES;
	char *text;

	(void)ctx;
	(void)err;
	if (json_object_get(request->params, "limit")) {
		request->answer_by(request, write_list, (void *)selector);
		return API_LATER;
	}
	text = malloc(len);
	memset(text, 'v', len);
	*ret_result = json_pack("{s:[s#]}", "vms", text, (int)len);
	free(text);
	return 0;
}

static const api_handler handlers[API_HOST_VERB_COUNT] = {
	[API_HOST_INFO] = host_info,	  [API_HOST_VM_START] = vm_start,
	[API_HOST_VM_DELETE] = vm_delete, [API_HOST_VM_CONSOLE] = vm_console,
	[API_HOST_VM_LIST] = vm_list,
};

int daemon_set_up(void **state)
{
	struct daemon *daemon = calloc(1, sizeof(*daemon));
	struct rpc_listen listens[2];
	struct rpc_server_config config;
	struct err err = { 0 };

	(void)snprintf(daemon->dir, sizeof(daemon->dir), "/tmp/neap-many-XXXXXX");
	assert_non_null(mkdtemp(daemon->dir));
	(void)snprintf(daemon->path, sizeof(daemon->path), "%s/d.sock", daemon->dir);
	(void)snprintf(daemon->read_path, sizeof(daemon->read_path), "%s/ro.sock", daemon->dir);
	listens[0] = (struct rpc_listen){
		.path = daemon->path, .fd = -1, .mode = 0660, .gid = getegid(), .may_change = true
	};
	listens[1] = (struct rpc_listen){
		.path = daemon->read_path, .fd = -1, .mode = 0666, .gid = (gid_t)-1
	};
	daemon->backend =
		(struct api_backend){ .set = &api_host_set, .handlers = handlers, .ctx = daemon };
	daemon->console_fd = -1;
	assert_int_equal(uv_loop_init(&daemon->loop), 0);
	config = (struct rpc_server_config){ .loop = &daemon->loop,
					     .backend = &daemon->backend,
					     .listens = listens,
					     .listen_count = ARRAY_LEN(listens),
					     .connections_max = DAEMON_CONNECTIONS_MAX,
					     .events_kept = DAEMON_EVENTS_KEPT,
					     .first_seq = DAEMON_FIRST_SEQ };
	assert_int_equal(rpc_server_create_many(&config, &daemon->server, &err), 0);
	*state = daemon;
	return 0;
}

int daemon_tear_down(void **state)
{
	struct daemon *daemon = *state;

	rpc_server_destroy(daemon->server);
	while (daemon->kept_count > 0) /* their answers come to nobody, which is fine */
		daemon_answer(daemon, daemon->kept_count - 1);
	(void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&daemon->loop), 0);
	close_fd(&daemon->console_fd);
	assert_int_equal(rmdir(daemon->dir), 0);
	free(daemon);
	return 0;
}

void daemon_turn(struct daemon *daemon)
{
	(void)uv_run(&daemon->loop, UV_RUN_NOWAIT);
}

int daemon_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void take_a_moment(struct daemon *daemon, uint64_t start_ns)
{
	daemon_turn(daemon);
	assert_true(clock_now_ns() - start_ns < DAEMON_PATIENCE_MS * NS_PER_MS);
}

void daemon_say(struct daemon *daemon, int fd, const char *text)
{
	uint64_t start_ns = clock_now_ns();
	size_t left = strlen(text);

	while (left > 0) {
		ssize_t sent = send(fd, text, left, MSG_NOSIGNAL);

		if (sent < 0 && errno != EAGAIN)
			return; /* it was closed; who expects that looks */
		if (sent > 0) {
			text += sent;
			left -= (size_t)sent;
		}
		take_a_moment(daemon, start_ns);
	}
}

/* Up to and with the first newline; 0: closed. */
static ssize_t take_line_part(int fd, char *bytes, size_t len, bool *ret_is_whole)
{
	ssize_t seen = recv(fd, bytes, len, MSG_PEEK);
	const char *newline = seen > 0 ? memchr(bytes, '\n', (size_t)seen) : NULL;

	*ret_is_whole = newline != NULL;
	if (newline)
		len = (size_t)(newline - bytes) + 1;
	return seen > 0 ? recv(fd, bytes, len, 0) : seen;
}

json_t *daemon_hear(struct daemon *daemon, int fd)
{
	uint64_t start_ns = clock_now_ns();
	size_t len = 0, capacity = 4 * KIB_BYTES;
	char *line = malloc(capacity);
	bool is_whole = false;
	json_t *message;

	while (!is_whole) {
		ssize_t got = take_line_part(fd, line + len, capacity - len, &is_whole);

		if (got < 0 && errno == EAGAIN) {
			take_a_moment(daemon, start_ns);
			continue;
		}
		if (got <= 0)
			break;
		len += (size_t)got;
		if (len == capacity)
			line = realloc(line, capacity *= 2);
	}
	message = is_whole ? json_loadb(line, len, 0, NULL) : NULL;
	free(line);
	return message;
}

void daemon_assert_silent(struct daemon *daemon, int fd)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };

	for (int i = 0; i < 20; i++)
		daemon_turn(daemon);
	assert_int_equal(poll(&poller, 1, 0), 0);
}

void daemon_assert_alive(struct daemon *daemon)
{
	int fd = daemon_connect(daemon->path);
	json_t *answer;

	daemon_say(daemon, fd, "{\"jsonrpc\":\"2.0\",\"id\":\"live\",\"method\":\"host.info\"}\n");
	answer = daemon_hear(daemon, fd);
	assert_true(daemon_int(answer, "result", "connections") > 0);
	json_decref(answer);
	(void)close(fd);
	for (int i = 0; i < 3; i++)
		daemon_turn(daemon);
}

static struct api_request *take_kept(struct daemon *daemon, unsigned index)
{
	struct api_request *request = daemon->kept[index];

	memmove(&daemon->kept[index], &daemon->kept[index + 1],
		(daemon->kept_count - index - 1) * sizeof(request));
	daemon->kept_count--;
	return request;
}

static void write_start(void *was_written, struct strbuf *out)
{
	json_text_plain(out, "{\"pid\":7}");
	*(bool *)was_written = true;
}

bool daemon_answer_by(struct daemon *daemon, unsigned index)
{
	struct api_request *request = take_kept(daemon, index);
	bool was_written = false;

	request->answer_by(request, write_start, &was_written);
	return was_written;
}

void daemon_answer(struct daemon *daemon, unsigned index)
{
	struct api_request *request = take_kept(daemon, index);

	request->answer(request, json_pack("{s:i, s:s}", "pid", (int)index, "state", "running"),
			-1);
}

void daemon_wait_kept(struct daemon *daemon, unsigned count)
{
	uint64_t start_ns = clock_now_ns();

	while (daemon->kept_count < count)
		take_a_moment(daemon, start_ns);
	assert_int_equal(daemon->kept_count, count);
}

json_int_t daemon_int(const json_t *message, const char *member, const char *name)
{
	const json_t *value = member ? json_object_get(message, member) : message;

	value = json_object_get(value, name);
	assert_true(json_is_integer(value));
	return json_integer_value(value);
}
