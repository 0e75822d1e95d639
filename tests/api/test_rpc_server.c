/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_rpc_server.c - a server on its own loop and thread, and clients of every kind. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/testing.h"
#include "backend.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/units.h"
#include "rpc/rpc.h"

enum { PATIENCE_MS = 60000, FLOOD_EVENTS = 4000, SERVED_WITHIN_S = 5 };

struct fixture {
	char dir[64], path[RPC_PATH_BYTES];
	struct counting_vm vm;
	struct api_backend backend;
	uv_loop_t loop;
	uv_async_t end_async, publish_async;
	struct rpc_server *server;
	_Atomic unsigned events_to_publish; /* handed over by publish_async */
	pthread_t thread;
};

static void on_end(uv_async_t *async)
{
	struct fixture *fixture = async->data;

	uv_close((uv_handle_t *)&fixture->end_async, NULL);
	uv_close((uv_handle_t *)&fixture->publish_async, NULL);
	uv_stop(&fixture->loop);
}

static void on_publish(uv_async_t *async)
{
	struct fixture *fixture = async->data;

	for (unsigned i = 0; i < fixture->events_to_publish; i++)
		rpc_server_publish(fixture->server, i % 2 ? "memory.balloon" : "vm.state",
				   json_pack("{s:i}", "number", (int)i));
}

static void *serve(void *ctx)
{
	struct fixture *fixture = ctx;

	(void)uv_run(&fixture->loop, UV_RUN_DEFAULT);
	rpc_server_destroy(fixture->server);
	(void)uv_run(&fixture->loop, UV_RUN_DEFAULT);
	return NULL;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct err err = { 0 };

	(void)snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/neap-rpc-XXXXXX");
	assert_non_null(mkdtemp(fixture->dir));
	(void)snprintf(fixture->path, sizeof(fixture->path), "%s/vm.sock", fixture->dir);
	fixture->vm.state = API_STATE_RUNNING;
	fixture->vm.console_fd = -1;
	fixture->backend = counting_backend(&fixture->vm);
	assert_int_equal(uv_loop_init(&fixture->loop), 0);
	fixture->end_async.data = fixture;
	fixture->publish_async.data = fixture;
	(void)uv_async_init(&fixture->loop, &fixture->end_async, on_end);
	(void)uv_async_init(&fixture->loop, &fixture->publish_async, on_publish);
	assert_int_equal(rpc_server_create(&fixture->loop, fixture->path, &fixture->backend,
					   &fixture->server, &err),
			 0);
	assert_int_equal(pthread_create(&fixture->thread, NULL, serve, fixture), 0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	(void)uv_async_send(&fixture->end_async);
	(void)pthread_join(fixture->thread, NULL);
	assert_int_equal(uv_loop_close(&fixture->loop), 0);
	assert_int_equal(access(fixture->path, F_OK), -1); /* the server took its socket away */
	if (fixture->vm.console_fd >= 0)
		(void)close(fixture->vm.console_fd);
	assert_int_equal(rmdir(fixture->dir), 0);
	free(fixture);
	return 0;
}

/* --- clients --------------------------------------------------------------------------------- */

static int connect_to(const struct fixture *fixture)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture->path);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* One line of the answer, without the newline; its length, 0 at the end of the stream. */
static size_t read_line(int fd, char *line, size_t line_bytes)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	size_t len = 0;

	do {
		const char *newline;
		ssize_t got;

		assert_true(len < line_bytes);
		assert_int_equal(poll(&poller, 1, PATIENCE_MS), 1);
		got = recv(fd, line + len, line_bytes - len, MSG_PEEK);
		newline = got > 0 ? memchr(line + len, '\n', (size_t)got) : NULL;
		if (newline)
			got = newline - (line + len) + 1;
		if (got <= 0 || recv(fd, line + len, (size_t)got, 0) != got)
			return 0;
		len += (size_t)got;
	} while (line[len - 1] != '\n');
	line[--len] = '\0';
	return len;
}

static json_t *read_json(int fd)
{
	char line[8192];

	return read_line(fd, line, sizeof(line)) ? json_loads(line, 0, NULL) : NULL;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static json_int_t error_code(const json_t *answer)
{
	return json_integer_value(json_object_get(json_object_get(answer, "error"), "code"));
}

/* The server still answers somebody else, soon even on a busy machine with sanitizers. */
static void assert_others_are_served(const struct fixture *fixture, int fd)
{
	uint64_t start_ns = clock_now_ns();
	int own_fd = fd >= 0 ? -1 : connect_to(fixture);
	json_t *answer;

	fd = fd >= 0 ? fd : own_fd;
	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":\"live\",\"method\":\"vm.info\"}\n");
	answer = read_json(fd);
	assert_non_null(answer);
	assert_string_equal(json_string_value(json_object_get(answer, "id")), "live");
	assert_true(clock_now_ns() - start_ns < SERVED_WITHIN_S * NS_PER_S);
	json_decref(answer);
	if (own_fd >= 0)
		(void)close(own_fd);
}

static struct rpc_client *open_client(const struct fixture *fixture)
{
	struct rpc_client *client = NULL;
	struct err err = { 0 };

	assert_int_equal(rpc_client_open(fixture->path, &client, &err), 0);
	return client;
}

static void the_socket_is_private_from_the_start(void **state)
{
	const struct fixture *fixture = *state;
	struct stat st;

	assert_int_equal(lstat(fixture->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_uid, geteuid());
}

static void a_client_calls_and_gets_results_and_errors(void **state)
{
	struct rpc_client *client = open_client(*state);
	struct err err = { 0 };
	json_t *result = NULL;

	for (int i = 0; i < 100; i++) {
		assert_int_equal(
			rpc_client_call(client, "vm.info", NULL, PATIENCE_MS, &result, &err), 0);
		assert_string_equal(json_string_value(json_object_get(result, "state")), "running");
		json_decref(result);
	}
	assert_int_equal(rpc_client_call(client, "vm.nothing", NULL, PATIENCE_MS, &result, &err),
			 API_ERROR_METHOD_NOT_FOUND);
	assert_true(strlen(err.text) > 0);
	assert_int_equal(rpc_client_peer_pid(client), getpid());
	rpc_client_close(client);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	int fd = connect_to(*state);
	char text[64 * 100] = "";

	for (int i = 0; i < 100; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
			       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"vm.info\"}\n", i);
	say(fd, text);
	for (int i = 0; i < 100; i++) {
		json_t *answer = read_json(fd);

		assert_int_equal(json_integer_value(json_object_get(answer, "id")), i);
		json_decref(answer);
	}
	(void)close(fd);
}

static void discovery_is_an_openrpc_document_of_every_verb(void **state)
{
	struct rpc_client *client = open_client(*state);
	struct err err = { 0 };
	json_t *document = NULL;

	assert_int_equal(
		rpc_client_call(client, "rpc.discover", NULL, PATIENCE_MS, &document, &err), 0);
	assert_int_equal(json_array_size(json_object_get(document, "methods")), API_VERB_COUNT);
	json_decref(document);
	rpc_client_close(client);
}

/* --- events ---------------------------------------------------------------------------------- */

static void publish(struct fixture *fixture, unsigned count)
{
	fixture->events_to_publish = count;
	(void)uv_async_send(&fixture->publish_async);
}

static void subscribe(struct rpc_client *client, const char *kind)
{
	json_t *result = NULL;
	struct err err = { 0 };

	assert_int_equal(rpc_client_call(client, "events.subscribe",
					 kind ? json_pack("{s:[s]}", "kinds", kind) : NULL,
					 PATIENCE_MS, &result, &err),
			 0);
	assert_int_equal(json_integer_value(json_object_get(result, "seq")), 0);
	json_decref(result);
}

static void subscribers_get_the_kinds_they_asked_for_in_order(void **state)
{
	struct rpc_client *all = open_client(*state), *some = open_client(*state);

	subscribe(all, NULL);
	subscribe(some, "memory.balloon");
	publish(*state, 6);
	for (int i = 0; i < 6; i++) {
		json_t *event = NULL;
		const json_t *params;

		assert_int_equal(rpc_client_next_event(all, PATIENCE_MS, &event, NULL), 0);
		params = json_object_get(event, "params");
		assert_int_equal(json_integer_value(json_object_get(params, "seq")), i + 1);
		assert_true(json_integer_value(json_object_get(params, "time_ns")) > 0);
		json_decref(event);
		if (i % 2 == 0)
			continue;
		assert_int_equal(rpc_client_next_event(some, PATIENCE_MS, &event, NULL), 0);
		params = json_object_get(event, "params");
		assert_int_equal(json_integer_value(json_object_get(params, "seq")), i + 1);
		assert_string_equal(json_string_value(json_object_get(params, "kind")),
				    "memory.balloon");
		json_decref(event);
	}
	rpc_client_close(all);
	rpc_client_close(some);
}

static void events_between_a_call_and_its_answer_are_kept(void **state)
{
	struct rpc_client *client = open_client(*state);
	json_t *result = NULL, *event = NULL;

	subscribe(client, NULL);
	publish(*state, 50);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(
			rpc_client_call(client, "vm.info", NULL, PATIENCE_MS, &result, NULL), 0);
		json_decref(result);
	}
	for (int i = 0; i < 50; i++) {
		assert_int_equal(rpc_client_next_event(client, PATIENCE_MS, &event, NULL), 0);
		json_decref(event);
	}
	assert_int_equal(rpc_client_next_event(client, 0, &event, NULL), -ETIMEDOUT);
	rpc_client_close(client);
}

static void an_unknown_kind_is_refused(void **state)
{
	struct rpc_client *client = open_client(*state);
	json_t *result = NULL;
	struct err err = { 0 };

	assert_int_equal(rpc_client_call(client, "events.subscribe",
					 json_pack("{s:[s]}", "kinds", "vm.sate"), PATIENCE_MS,
					 &result, &err),
			 API_ERROR_INVALID_PARAMS);
	rpc_client_close(client);
}

static void a_subscriber_that_does_not_read_is_dropped_at_4_mib(void **state)
{
	struct rpc_client *deaf = open_client(*state);
	struct pollfd poller;
	int fd;

	subscribe(deaf, NULL);
	fd = rpc_client_take_fd(deaf);
	for (int round = 0; round < 10; round++) {
		publish(*state, FLOOD_EVENTS);
		assert_others_are_served(*state, -1);
	}
	/* Whatever the kernel had room for is there, then comes the end. */
	poller = (struct pollfd){ .fd = fd, .events = POLLIN };
	for (;;) {
		char bytes[65536];

		assert_int_equal(poll(&poller, 1, PATIENCE_MS), 1);
		if (recv(fd, bytes, sizeof(bytes), 0) <= 0)
			break;
	}
	(void)close(fd);
}

/* --- the console ----------------------------------------------------------------------------- */

static void the_console_gets_the_socket_after_the_answer(void **state)
{
	struct fixture *fixture = *state;
	struct rpc_client *client = open_client(fixture);
	struct err err = { 0 };
	json_t *result = NULL;
	char text[16] = "";
	int fd;

	assert_int_equal(rpc_client_call(client, "vm.console", NULL, PATIENCE_MS, &result, &err),
			 0);
	json_decref(result);
	fd = rpc_client_take_fd(client);
	say(fd, "keys");
	/* The other end is the backend's now; the loop thread set it before anyone else could
	 * be served. */
	assert_others_are_served(fixture, -1);
	assert_true(fixture->vm.console_fd >= 0);
	assert_int_equal(recv(fixture->vm.console_fd, text, sizeof(text), 0), 4);
	assert_string_equal(text, "keys");
	assert_int_equal(send(fixture->vm.console_fd, "output", 6, MSG_NOSIGNAL), 6);
	assert_int_equal(recv(fd, text, sizeof(text), 0), 6);
	assert_memory_equal(text, "output", 6);
	(void)close(fd);
}

static void bytes_behind_a_console_request_are_refused(void **state)
{
	struct fixture *fixture = *state;
	int fd = connect_to(fixture);
	json_t *answer;

	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.console\"}\nls\n");
	answer = read_json(fd);
	assert_int_equal(error_code(answer), API_ERROR_INVALID_REQUEST);
	json_decref(answer);
	answer = read_json(fd);
	assert_int_equal(error_code(answer), API_ERROR_PARSE);
	json_decref(answer);
	say(fd, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.console\"}]\n");
	answer = read_json(fd);
	assert_int_equal(error_code(json_array_get(answer, 0)), API_ERROR_INVALID_REQUEST);
	json_decref(answer);
	assert_int_equal(fixture->vm.console_fd, -1);
	(void)close(fd);
}

/* --- hostile clients ------------------------------------------------------------------------- */

static void js03_half_a_message_holds_up_nobody(void **state)
{
	int fd = connect_to(*state);

	say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,");
	assert_others_are_served(*state, -1);
	say(fd, "\"method\":\"vm.pause\"}\n");
	json_decref(read_json(fd));
	(void)close(fd);
}

static void js03_a_client_that_leaves_mid_message_is_forgotten(void **state)
{
	struct fixture *fixture = *state;
	int live = connect_to(fixture);

	for (int i = 0; i < 200; i++) {
		int fd = connect_to(fixture);

		say(fd, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.pause\"}");
		(void)close(fd);
	}
	assert_others_are_served(fixture, live);
	assert_int_equal(fixture->vm.pauses, 0);
	(void)close(live);
}

/* As slow as one byte per reading of the server, which is the same to it as one per second. */
static void js04_one_byte_at_a_time_is_served_as_well_as_all_at_once(void **state)
{
	static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.info\"}\n";
	int fd = connect_to(*state);
	json_t *answer;

	for (size_t i = 0; i < sizeof(request) - 1; i++) {
		assert_int_equal(send(fd, request + i, 1, MSG_NOSIGNAL), 1);
		assert_others_are_served(*state, -1);
	}
	answer = read_json(fd);
	assert_int_equal(json_integer_value(json_object_get(answer, "id")), 1);
	json_decref(answer);
	(void)close(fd);
}

static void js04_10000_idle_connections_are_turned_away_and_one_live_is_served(void **state)
{
	struct fixture *fixture = *state;
	int live = connect_to(fixture);
	int idle[63];
	unsigned refused = 0;

	assert_others_are_served(fixture, live);
	for (size_t i = 0; i < ARRAY_LEN(idle); i++)
		idle[i] = connect_to(fixture);
	for (int i = 0; i < 10000 - (int)ARRAY_LEN(idle); i++) {
		int extra = connect_to(fixture);
		char line[512];

		if (i % 100 == 0) {
			assert_true(read_line(extra, line, sizeof(line)) > 0);
			assert_non_null(strstr(line, "too many connections"));
			assert_int_equal(read_line(extra, line, sizeof(line)), 0);
			refused++;
			assert_others_are_served(fixture, live);
		}
		(void)close(extra);
	}
	assert_int_equal(refused, 100);
	for (size_t i = 0; i < ARRAY_LEN(idle); i++)
		(void)close(idle[i]);
	assert_others_are_served(fixture, live);
	(void)close(live);
}

/* Streams up to @total_bytes of an endless string; how much the server let in. */
static uint64_t stream_string(int fd, uint64_t total_bytes)
{
	char bytes[65536];
	uint64_t sent = 0;

	memset(bytes, 'x', sizeof(bytes));
	bytes[0] = '"';
	while (sent < total_bytes) {
		ssize_t put = send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL);

		if (put <= 0)
			break;
		bytes[0] = 'x';
		sent += (uint64_t)put;
	}
	return sent;
}

static void js07_a_string_of_1_gib_ends_at_1_mib_with_an_error(void **state)
{
	int fd = connect_to(*state);
	uint64_t sent = stream_string(fd, GIB_BYTES);
	json_t *answer;

	/* Beyond the limit only what the kernel's buffers take. */
	assert_true(sent < 4 * MIB_BYTES);
	answer = read_json(fd);
	assert_int_equal(error_code(answer), API_ERROR_TOO_LARGE);
	json_decref(answer);
	assert_null(read_json(fd));
	(void)close(fd);
	assert_others_are_served(*state, -1);
}

static void a_client_that_asks_and_never_reads_is_not_read_from(void **state)
{
	static const char request[] =
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"rpc.discover\"}\n";
	struct fixture *fixture = *state;
	int fd = connect_to(fixture);
	struct pollfd poller = { .fd = fd, .events = POLLOUT };
	uint64_t sent = 0;

	/* Until a quarter of a second passes in which the server takes nothing. */
	while (poll(&poller, 1, 250) == 1 && sent < 64 * MIB_BYTES) {
		ssize_t put = send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (put <= 0)
			break;
		sent += (uint64_t)put;
	}
	assert_true(sent < 4 * MIB_BYTES);
	assert_others_are_served(fixture, -1);
	for (int i = 0; i < 100; i++) { /* and when it reads, it gets its answers */
		char line[65536];

		assert_true(read_line(fd, line, sizeof(line)) > 0);
	}
	(void)close(fd);
}

static void garbage_of_every_kind_leaves_the_server_as_it_was(void **state)
{
	struct test_random random = test_random_start();
	struct fixture *fixture = *state;
	int live = connect_to(fixture);

	for (int round = 0; round < 300; round++) {
		int fd = connect_to(fixture);
		uint8_t bytes[2048];

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)test_random_next(&random);
		(void)send(fd, bytes, test_random_below(&random, sizeof(bytes)), MSG_NOSIGNAL);
		(void)close(fd);
	}
	assert_others_are_served(fixture, live);
	assert_int_equal(fixture->vm.pauses, 0);
	(void)close(live);
}

/* --- the address ----------------------------------------------------------------------------- */

static int create_beside(struct fixture *fixture, const char *path, struct err *err)
{
	struct rpc_server *server = NULL;
	uv_loop_t loop;
	int ret;

	(void)uv_loop_init(&loop);
	ret = rpc_server_create(&loop, path, &fixture->backend, &server, err);
	rpc_server_destroy(server);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	return ret;
}

static void a_live_socket_is_never_replaced(void **state)
{
	struct fixture *fixture = *state;
	struct err err = { 0 };

	assert_int_equal(create_beside(fixture, fixture->path, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "runs already"));
	assert_others_are_served(fixture, -1);
}

static void a_stale_socket_is_replaced_and_a_file_is_not(void **state)
{
	struct fixture *fixture = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct err err = { 0 };
	FILE *file;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/stale.sock", fixture->dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	(void)close(fd);
	assert_int_equal(create_beside(fixture, address.sun_path, &err), 0);
	file = fopen(address.sun_path, "w");
	assert_non_null(file);
	(void)fclose(file);
	assert_int_equal(create_beside(fixture, address.sun_path, &err), -EEXIST);
	assert_int_equal(unlink(address.sun_path), 0);
}

static void a_path_that_would_be_cut_short_is_refused(void **state)
{
	struct err err = { 0 };
	char path[200];

	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(create_beside(*state, path, &err), -ENAMETOOLONG);
}

static void a_runtime_directory_that_others_can_enter_is_refused(void **state)
{
	struct fixture *fixture = *state;
	char path[RPC_PATH_BYTES], sub[80];
	struct err err = { 0 };

	assert_int_equal(setenv("XDG_RUNTIME_DIR", fixture->dir, 1), 0);
	assert_int_equal(rpc_runtime_dir(path, sizeof(path), &err), 0);
	(void)snprintf(sub, sizeof(sub), "%s/neap", fixture->dir);
	assert_string_equal(path, sub);
	assert_int_equal(chmod(sub, 0750), 0);
	assert_int_equal(rpc_runtime_dir(path, sizeof(path), &err), -EPERM);
	assert_int_equal(rmdir(sub), 0);
	assert_int_equal(symlink("/tmp", sub), 0);
	assert_int_equal(rpc_runtime_dir(path, sizeof(path), &err), -ENOTDIR);
	assert_int_equal(unlink(sub), 0);
	assert_int_equal(rpc_vm_path("../etc/x", ".sock", path, &err), -EINVAL);
}

static void another_user_is_turned_away(void **state)
{
	struct fixture *fixture = *state;
	int status;
	pid_t child;

	if (geteuid() != 0)
		test_skip_case("only root can become another user");
	assert_int_equal(chmod(fixture->dir, 0755), 0);
	assert_int_equal(chmod(fixture->path, 0666), 0); /* even if somebody opened it */
	child = fork();
	if (child == 0) {
		char byte;
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture->path);
		if (setuid(65534) < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
			_exit(2);
		(void)send(fd, "{}\n", 3, MSG_NOSIGNAL);
		_exit(recv(fd, &byte, 1, 0) <= 0 ? 0 : 1); /* no byte for it */
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_others_are_served(fixture, -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_socket_is_private_from_the_start),
		TEST(a_client_calls_and_gets_results_and_errors),
		TEST(pipelined_requests_are_answered_in_order),
		TEST(discovery_is_an_openrpc_document_of_every_verb),
		TEST(subscribers_get_the_kinds_they_asked_for_in_order),
		TEST(events_between_a_call_and_its_answer_are_kept),
		TEST(an_unknown_kind_is_refused),
		TEST(a_subscriber_that_does_not_read_is_dropped_at_4_mib),
		TEST(the_console_gets_the_socket_after_the_answer),
		TEST(bytes_behind_a_console_request_are_refused),
		TEST(js03_half_a_message_holds_up_nobody),
		TEST(js03_a_client_that_leaves_mid_message_is_forgotten),
		TEST(js04_one_byte_at_a_time_is_served_as_well_as_all_at_once),
		TEST(js04_10000_idle_connections_are_turned_away_and_one_live_is_served),
		TEST(js07_a_string_of_1_gib_ends_at_1_mib_with_an_error),
		TEST(a_client_that_asks_and_never_reads_is_not_read_from),
		TEST(garbage_of_every_kind_leaves_the_server_as_it_was),
		TEST(a_live_socket_is_never_replaced),
		TEST(a_stale_socket_is_replaced_and_a_file_is_not),
		TEST(a_path_that_would_be_cut_short_is_refused),
		TEST(a_runtime_directory_that_others_can_enter_is_refused),
		TEST(another_user_is_turned_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
