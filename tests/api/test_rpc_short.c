/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_rpc_short.c - a server, its clients and a link while memory is short (row PR05): the same
 * session again and again, and each time the next allocation fails, or it and all after it.
 *
 * Only rpc's own allocations and those of jansson fail: libuv ends the process when its fail. Nobody
 * asks what the conversation brings about; it must end, and leave nothing behind (with ASan: no byte).
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../support/testing.h"
#include "base/fd.h"
#include "base/units.h"
#include "rpc/link.h"
#include "rpc/rpc.h"

enum { CLIENTS = 3, KEPT_MAX = 64, TURNS = 12 };

static unsigned allocations, fails_at;
static bool fails_on;

/* One allocation more. */
static bool is_refused(void)
{
	allocations++;
	return fails_on ? allocations >= fails_at : allocations == fails_at;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
	return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return is_refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return is_refused() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
	return is_refused() ? NULL : __real_strdup(text);
}

/* --- the daemon ------------------------------------------------------------------------------ */

struct session {
	const char *path;
	uv_loop_t loop;
	struct rpc_server *server;
	struct rpc_link *link;
	struct api_request *kept[KEPT_MAX];
	unsigned kept_count;
	int fds[CLIENTS];
	unsigned answers; /* to the first client */
	bool is_closed;	  /* it was */
};

static int host_info(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)ctx;
	(void)request;
	(void)err;
	*ret_result = json_pack("{s:s, s:[i,i,i]}", "name", "value", "list", 1, 2, 3);
	return 0;
}

static int vm_start(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct session *session = ctx;

	(void)ret_result;
	(void)err;
	if (session->kept_count == KEPT_MAX)
		return API_ERROR_BUSY;
	session->kept[session->kept_count++] = request;
	return API_LATER;
}

static int vm_console(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)ctx;
	(void)ret_result;
	(void)err;
	request->answer(request, json_pack("{s:s}", "how", "fd"), dup(0));
	return API_LATER;
}

static void answer_one(struct session *session)
{
	struct api_request *request;

	if (session->kept_count == 0)
		return;
	request = session->kept[--session->kept_count];
	if (session->kept_count % 2)
		request->answer(request, json_pack("{s:i}", "pid", 1), -1);
	else /* cmocka has a macro of that name */
		(request->fail)(request, API_ERROR_SILENT, "it does not answer");
}

static int start_server(struct session *session, struct api_backend *backend)
{
	struct rpc_listen listen_at = {
		.path = session->path, .fd = -1, .mode = 0600, .gid = (gid_t)-1, .may_change = true
	};
	struct rpc_server_config config = { .loop = &session->loop,
					    .backend = backend,
					    .listens = &listen_at,
					    .listen_count = 1,
					    .connections_max = 100,
					    .events_kept = 4 };
	struct err err = { 0 };

	return rpc_server_create_many(&config, &session->server, &err);
}

/* --- the conversation ------------------------------------------------------------------------ */

static const char *const lines[CLIENTS] = {
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"events.subscribe\",\"params\":{\"after\":0,"
	"\"kinds\":[\"vm.state\"],\"vms\":[\"a\",\"b\"]}}\n"
	"{\"jsonrpc\":\"2.0\",\"id\":\"two\",\"method\":\"vm.console\",\"params\":[\"a\"]}\n"
	"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"host.info\"}\nnonsense\n",
	"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.start\",\"params\":{\"vm\":\"a\","
	"\"deadline_ms\":1}},{\"jsonrpc\":\"2.0\",\"method\":\"vm.start\"},17,"
	"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"vm.start\"}]\n",
	"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.start\",\"params\":{\"deadline_ms\":90000}}"
	"\n"
	"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"vm.nothing\"}\n[]\n",
};

static void on_done(void *ctx, int code, const json_t *result, const char *sentence)
{
	++*(unsigned *)ctx;
	assert_true((code == 0) == (result != NULL) && sentence);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void turn(struct session *session)
{
	char bytes[8192] = "";

	rpc_server_publish_of(session->server, "a", "00000000-0000-4000-8000-000000000000",
			      "vm.state", json_pack("{s:s}", "state", "running"));
	(void)uv_run(&session->loop, UV_RUN_NOWAIT);
	for (int i = CLIENTS - 1; i >= 0; i--) { /* a descriptor is lost with it, as it should be */
		ssize_t got = recv(session->fds[i], bytes, sizeof(bytes) - 1, 0);

		bytes[got > 0 ? got : 0] = '\0';
		for (const char *at = bytes; i == 0 && (at = strstr(at, "\"id\":")) != NULL; at++)
			session->answers++;
		session->is_closed |= i == 0 && (got == 0 || (got < 0 && errno == ECONNRESET));
	}
}

static void talk(struct session *session, unsigned *dones, unsigned *begun)
{
	static const struct rpc_link_ops ops = { .on_event = NULL };
	struct err err = { 0 };

	for (int i = 0; i < CLIENTS; i++) {
		session->fds[i] = connect_to(session->path);
		(void)send(session->fds[i], lines[i], strlen(lines[i]), MSG_NOSIGNAL);
	}
	if (rpc_link_open(&session->loop, session->path, &ops, NULL, &session->link, &err) == 0)
		for (int i = 0; i < 3; i++)
			*begun += rpc_link_call(session->link, "host.info",
						json_pack("{s:i}", "deadline_ms", 5000), 60000,
						on_done, dones) == 0;
	for (int i = 0; i < TURNS; i++) {
		turn(session);
		if (i == 3)
			close_fd(&session->fds[2]);
		if (i > 4)
			answer_one(session);
		if (i == TURNS / 2)
			(void)poll(NULL, 0, 2); /* a deadline passes */
	}
	assert_true(session->answers == 4 || session->is_closed); /* nobody waits in vain */
	rpc_link_close(session->link);
	for (int i = 0; i < CLIENTS; i++)
		close_fd(&session->fds[i]);
}

/* How many allocations it made. */
static unsigned run_session(const char *path)
{
	static api_handler handlers[API_HOST_VERB_COUNT] = { [API_HOST_INFO] = host_info,
							     [API_HOST_VM_START] = vm_start,
							     [API_HOST_VM_CONSOLE] = vm_console };
	struct session session = { .path = path };
	struct api_backend backend = { .set = &api_host_set,
				       .handlers = handlers,
				       .ctx = &session };
	unsigned dones = 0, begun = 0, made;

	assert_int_equal(uv_loop_init(&session.loop), 0);
	allocations = 0;
	if (start_server(&session, &backend) == 0)
		talk(&session, &dones, &begun);
	rpc_server_destroy(session.server);
	made = allocations;
	fails_at = 0; /* what follows is the test's */
	while (session.kept_count > 0)
		answer_one(&session);
	assert_true(dones <= begun);
	(void)uv_run(&session.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&session.loop), 0);
	return made;
}

/* Its numbers of allocations, @step by @step, until it needs no more. */
static unsigned try_all(const char *path, unsigned step, bool all_after)
{
	unsigned tries = 1;

	fails_on = all_after;
	for (fails_at = tries; run_session(path) >= tries; fails_at = tries)
		tries += step;
	assert_int_equal(access(path, F_OK), -1);
	return tries;
}

static void memory_may_be_short_at_any_moment_and_come_back(void **state)
{
	unsigned tries = try_all(*state, 1, false);

	assert_true(tries > 200);
	print_message("%u allocations, each refused once\n", tries - 1);
}

static void memory_may_be_gone_from_any_moment_on(void **state)
{
	assert_true(try_all(*state, 7, true) > 200);
}

static void no_descriptor_was_lost_by_it(void **state)
{
	int lowest = dup(0);

	assert_int_equal(lowest, *(int *)*state);
	close_fd(&lowest);
}

int main(void)
{
	char dir[] = "/tmp/neap-short-XXXXXX", path[64];
	int lowest = dup(0), failed;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(memory_may_be_short_at_any_moment_and_come_back, path),
		cmocka_unit_test_prestate(memory_may_be_gone_from_any_moment_on, path),
		cmocka_unit_test_prestate(no_descriptor_was_lost_by_it, &lowest),
	};

	close_fd(&(int){ lowest });
	if (!mkdtemp(dir))
		return 1;
	(void)snprintf(path, sizeof(path), "%s/d.sock", dir);
	json_set_alloc_funcs(__wrap_malloc, free);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return rmdir(dir) == 0 ? failed : 1;
}
