/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_rpc_many.c - a server of several sockets and thousands of clients: who may come in and do what,
 * and what hostile clients cost the others (rows JS01-08).
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/units.h"

enum { IDLE_CLIENTS = 10000, NOBODY = 65534 };

static json_int_t code_of(const json_t *answer)
{
	return json_object_get(answer, "error") ? daemon_int(answer, "error", "code") : 0;
}

static json_int_t ask(struct daemon *daemon, int fd, const char *method)
{
	char text[128];
	json_t *answer;
	json_int_t code;

	(void)snprintf(text, sizeof(text), "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\"}\n",
		       method);
	daemon_say(daemon, fd, text);
	answer = daemon_hear(daemon, fd);
	assert_non_null(answer);
	code = code_of(answer);
	json_decref(answer);
	return code;
}

static size_t heap_bytes(void)
{
	return mallinfo2().uordblks; /* 0 under sanitizers */
}

/* --- sockets --------------------------------------------------------------------------------- */

static void each_socket_has_its_own_mode(void **state)
{
	struct daemon *daemon = *state;
	struct stat st;

	assert_int_equal(lstat(daemon->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(st.st_gid, getegid());
	assert_int_equal(lstat(daemon->read_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
}

static void the_socket_for_looking_refuses_what_changes(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->read_path);

	assert_int_equal(ask(daemon, fd, "host.info"), 0);
	assert_int_equal(ask(daemon, fd, "vm.list"), 0);
	assert_int_equal(ask(daemon, fd, "events.subscribe"), 0);
	assert_int_equal(ask(daemon, fd, "rpc.discover"), 0);
	assert_int_equal(ask(daemon, fd, "vm.start"), API_ERROR_FORBIDDEN);
	assert_int_equal(ask(daemon, fd, "vm.delete"), API_ERROR_FORBIDDEN);
	assert_int_equal(daemon->kept_count + daemon->deletes, 0);
	(void)close(fd);
}

struct second {
	struct rpc_server *server;
	char path[RPC_PATH_BYTES];
	struct rpc_listen listen_at;
	struct rpc_server_config config;
};

/* Another server on the same loop, with the same handlers. */
static void second_init(struct daemon *daemon, struct second *second)
{
	*second = (struct second){ .server = NULL };
	(void)snprintf(second->path, sizeof(second->path), "%s/2.sock", daemon->dir);
	second->listen_at = (struct rpc_listen){
		.path = second->path, .fd = -1, .mode = 0666, .gid = (gid_t)-1, .may_change = true
	};
	second->config = (struct rpc_server_config){ .loop = &daemon->loop,
						     .backend = &daemon->backend,
						     .listens = &second->listen_at,
						     .listen_count = 1,
						     .connections_max = 100 };
}

static void open_second(struct second *second)
{
	struct err err = { 0 };

	assert_int_equal(rpc_server_create_many(&second->config, &second->server, &err), 0);
}

static void a_socket_that_was_handed_in_is_served_and_left_on_the_disk(void **state)
{
	struct daemon *daemon = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct second second;
	int fd;

	second_init(daemon, &second);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", second.path);
	second.listen_at.path = NULL;
	second.listen_at.fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(second.listen_at.fd, (struct sockaddr *)&address, sizeof(address)),
			 0);
	assert_int_equal(listen(second.listen_at.fd, 5), 0);
	open_second(&second);
	assert_int_equal(fcntl(second.listen_at.fd, F_GETFD), FD_CLOEXEC);
	fd = daemon_connect(second.path);
	assert_int_equal(ask(daemon, fd, "host.info"), 0);
	(void)close(fd);
	rpc_server_destroy(second.server);
	assert_int_equal(fcntl(second.listen_at.fd, F_GETFD), -1);
	assert_int_equal(unlink(second.path), 0);
}

static void what_is_handed_in_and_does_not_listen_is_refused(void **state)
{
	struct daemon *daemon = *state;
	struct second second;
	struct err err = { 0 };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	second_init(daemon, &second);
	second.listen_at.fd = pair[0];
	assert_int_equal(rpc_server_create_many(&second.config, &second.server, &err), -EINVAL);
	assert_non_null(strstr(err.text, "ListenStream="));
	assert_int_equal(fcntl(pair[0], F_GETFD), -1); /* it was taken over */
	(void)close(pair[1]);
	daemon_assert_alive(daemon);
}

static void a_path_where_somebody_answers_is_refused_in_the_servers_words(void **state)
{
	struct daemon *daemon = *state;
	struct second second;
	struct err err = { 0 };

	second_init(daemon, &second);
	second.listen_at.path = daemon->path;
	second.config.taken = "another daemon runs";
	assert_int_equal(rpc_server_create_many(&second.config, &second.server, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "another daemon runs"));
	daemon_assert_alive(daemon);
}

/* As another user: connects @count times, asks on each, exits with how many were answered well. */
static pid_t others_ask(const struct daemon *daemon, const char *path, int count)
{
	static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"host.info\"}\n";
	pid_t child;

	assert_int_equal(chmod(daemon->dir, 0755), 0);
	child = fork();
	if (child == 0) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		int answered = 0;

		(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
		if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
			_exit(100);
		for (int i = 0; i < count; i++) {
			int fd = socket(AF_UNIX, SOCK_STREAM, 0);
			char bytes[512] = "";

			if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
				_exit(101);
			(void)send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL);
			(void)recv(fd, bytes, sizeof(bytes) - 1, 0);
			answered += strstr(bytes, "\"result\"") != NULL;
		}
		_exit(answered);
	}
	return child;
}

static int exit_of(struct daemon *daemon, pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, WNOHANG) == 0)
		daemon_turn(daemon);
	return WEXITSTATUS(status);
}

static void other_users_come_in_only_where_they_may(void **state)
{
	struct daemon *daemon = *state;
	struct second second;

	if (geteuid() != 0)
		test_skip_case("only root can become another user");
	second_init(daemon, &second);
	open_second(&second);
	assert_int_equal(exit_of(daemon, others_ask(daemon, second.path, 3)), 0);
	rpc_server_destroy(second.server);
	second.config.any_user = true;
	open_second(&second);
	assert_int_equal(exit_of(daemon, others_ask(daemon, second.path, 3)), 3);
	rpc_server_destroy(second.server);
}

static void other_users_cannot_take_the_last_places(void **state)
{
	struct daemon *daemon = *state;
	struct second second;
	pid_t child;
	int fd;

	if (geteuid() != 0)
		test_skip_case("only root can become another user");
	second_init(daemon, &second);
	second.config.any_user = true;
	second.config.connections_max = 10;
	open_second(&second);
	child = others_ask(daemon, second.path, 20);
	fd = daemon_connect(second.path); /* while they come */
	assert_int_equal(ask(daemon, fd, "host.info"), 0);
	assert_in_range(exit_of(daemon, child), 1, 2);
	assert_int_equal(ask(daemon, fd, "host.info"), 0);
	(void)close(fd);
	rpc_server_destroy(second.server);
}

static void one_client_too_many_is_told_so(void **state)
{
	struct daemon *daemon = *state;
	struct second second;
	int fds[3];
	json_t *answer;

	second_init(daemon, &second);
	second.config.connections_max = 2;
	open_second(&second);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = daemon_connect(second.path);
	assert_int_equal(ask(daemon, fds[0], "host.info"), 0);
	answer = daemon_hear(daemon, fds[2]);
	assert_int_equal(code_of(answer), API_ERROR_INTERNAL);
	json_decref(answer);
	assert_null(daemon_hear(daemon, fds[2]));
	assert_int_equal(ask(daemon, fds[1], "host.info"), 0);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		(void)close(fds[i]);
	rpc_server_destroy(second.server);
}

static uint64_t cpu_ns(void)
{
	struct timespec used;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec;
}

static void stop(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

static void run_for_ms(struct daemon *daemon, uint64_t ms)
{
	uv_timer_t timer;

	(void)uv_timer_init(&daemon->loop, &timer);
	(void)uv_timer_start(&timer, stop, ms, 0);
	(void)uv_run(&daemon->loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&timer, NULL);
	daemon_turn(daemon);
}

/* PR05: a process without a free descriptor. */
static void without_descriptors_new_clients_wait_and_the_loop_sleeps(void **state)
{
	struct daemon *daemon = *state;
	int live = daemon_connect(daemon->path), late = daemon_connect(daemon->path);
	struct rlimit before, none;
	uint64_t used_ns;
	json_t *answer;

	assert_int_equal(ask(daemon, live, "host.info"), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0; /* no new ones; those that are open stay */
	(void)close(late);
	late = daemon_connect(daemon->path);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(
		send(late, "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"host.info\"}\n", 47, 0), 47);
	used_ns = cpu_ns();
	run_for_ms(daemon, 500);
	used_ns = cpu_ns() - used_ns;
	assert_true(used_ns < 250 * NS_PER_MS);
	assert_int_equal(ask(daemon, live, "host.info"), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	answer = daemon_hear(daemon, late);
	assert_int_equal(daemon_int(answer, NULL, "id"), 9);
	json_decref(answer);
	(void)close(live);
	(void)close(late);
}

/* --- hostile clients ------------------------------------------------------------------------- */

/* @head, @unit as often as said, @tail, on a connection of its own, which is answered with @code. */
static void assert_refused(struct daemon *daemon, const char *head, const char *unit, size_t times,
			   const char *tail, int code)
{
	size_t len = strlen(head) + times * strlen(unit) + strlen(tail);
	char *text = malloc(len + 2), *at = text;
	int fd = daemon_connect(daemon->path);
	uint64_t start_ns = clock_now_ns();
	json_t *answer;

	at = mempcpy(at, head, strlen(head));
	for (size_t i = 0; i < times; i++)
		at = mempcpy(at, unit, strlen(unit));
	at = mempcpy(at, tail, strlen(tail));
	memcpy(at, "\n", 2);
	daemon_say(daemon, fd, text);
	answer = daemon_hear(daemon, fd);
	assert_int_equal(code_of(answer), code);
	assert_true(json_is_null(json_object_get(answer, "id")));
	assert_true(clock_now_ns() - start_ns < 5 * NS_PER_S);
	assert_int_equal(daemon->kept_count, 0);
	json_decref(answer);
	free(text);
	(void)close(fd);
	daemon_assert_alive(daemon);
}

#define CALL "{\"jsonrpc\":\"2.0\",\"method\":\"vm.start\",\"id\":"

static void js01_js02_js05_js06_what_is_no_json_starts_nothing(void **state)
{
	struct daemon *daemon = *state;

	assert_refused(daemon, "", "[", 100000, "", API_ERROR_PARSE);
	assert_refused(daemon, "", "{\"a\":", 100000, "1", API_ERROR_PARSE);
	assert_refused(daemon, CALL, "9", 1000000, "}", API_ERROR_PARSE);
	assert_refused(daemon, CALL, "1e999", 1, "}", API_ERROR_PARSE);
	assert_refused(daemon, CALL "\"", "\xff", 1, "\"}", API_ERROR_PARSE);
	assert_refused(daemon, CALL "\"", "\\ud800", 1, "\"}", API_ERROR_PARSE);
	assert_refused(daemon, CALL "\"", "\xed\xa0\x80", 1, "\"}", API_ERROR_PARSE);
	assert_refused(daemon, CALL "1,", "\"id\":1", 1, "}", API_ERROR_PARSE);
	assert_refused(daemon, CALL "\"", "\\u0000", 1, "\"}", API_ERROR_PARSE);
	assert_refused(daemon, CALL "\"", "x", 2000, "\"}", API_ERROR_INVALID_REQUEST);
}

static void js06_a_raw_nul_starts_nothing(void **state)
{
	static const char text[] = CALL "\"\0\"}\n";
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);
	json_t *answer;

	assert_int_equal(send(fd, text, sizeof(text) - 1, 0), sizeof(text) - 1);
	answer = daemon_hear(daemon, fd);
	assert_int_equal(code_of(answer), API_ERROR_PARSE);
	json_decref(answer);
	(void)close(fd);
}

static void js08_a_batch_of_100000_starts_nothing(void **state)
{
	struct daemon *daemon = *state;

	assert_refused(daemon, "[1", ",1", 100000, "]", API_ERROR_PARSE); /* too many values */
	assert_refused(daemon, "[1", "," CALL "1}", 64, "]", API_ERROR_TOO_LARGE);
}

static void js08_a_request_without_id_is_done_and_not_answered(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);

	daemon_say(daemon, fd, "{\"jsonrpc\":\"2.0\",\"method\":\"vm.delete\"}\n");
	daemon_assert_silent(daemon, fd);
	assert_int_equal(daemon->deletes, 1);
	(void)close(fd);
}

static void js07_a_string_of_1_gib_ends_at_1_mib_with_an_error(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);
	size_t before_bytes = heap_bytes(), most_bytes = 0;
	char *text = malloc(64 * KIB_BYTES);
	uint64_t sent = 0;
	json_t *answer;

	memset(text, 'x', 64 * KIB_BYTES);
	text[0] = '"';
	while (sent < GIB_BYTES) {
		ssize_t put = send(fd, text, 64 * KIB_BYTES, MSG_NOSIGNAL);

		if (put < 0 && errno != EAGAIN)
			break;
		sent += put > 0 ? (uint64_t)put : 0;
		daemon_turn(daemon);
		most_bytes = heap_bytes() > most_bytes ? heap_bytes() : most_bytes;
	}
	assert_true(sent < 4 * MIB_BYTES);
	assert_true(most_bytes < before_bytes + 4 * MIB_BYTES);
	answer = daemon_hear(daemon, fd);
	assert_int_equal(code_of(answer), API_ERROR_TOO_LARGE);
	json_decref(answer);
	assert_null(daemon_hear(daemon, fd));
	free(text);
	(void)close(fd);
}

/* As slow as one byte per reading of the server, which is the same to it as one per second. */
static void js03_js04_500_clients_of_one_byte_at_a_time_hurt_nobody(void **state)
{
	static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"host.info\"}\n";
	struct daemon *daemon = *state;
	int live = daemon_connect(daemon->path), slow[500];

	for (size_t i = 0; i < ARRAY_LEN(slow); i++)
		slow[i] = daemon_connect(daemon->path);
	for (size_t at = 0; at < sizeof(request) - 1; at++) {
		for (size_t i = 0; i < ARRAY_LEN(slow); i++)
			assert_int_equal(send(slow[i], request + at, 1, MSG_NOSIGNAL), 1);
		assert_int_equal(ask(daemon, live, "host.info"), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
		json_t *answer = daemon_hear(daemon, slow[i]);

		assert_int_equal(code_of(answer), 0);
		json_decref(answer);
		(void)close(slow[i]);
	}
	(void)close(live);
}

/* Together more than the server holds for all: those that hold most go, the others stay. */
static void js03_400_halves_of_messages_of_1_mib_are_not_all_kept(void **state)
{
	struct daemon *daemon = *state;
	int live = daemon_connect(daemon->path), halves[400];
	size_t before_bytes = heap_bytes(), most_bytes = 0, len = MIB_BYTES - 1;
	char *text = malloc(len + 1);
	unsigned left = 0;

	memset(text, ' ', len);
	text[len] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(halves); i++) {
		halves[i] = daemon_connect(daemon->path);
		daemon_say(daemon, halves[i], text);
		most_bytes = heap_bytes() > most_bytes ? heap_bytes() : most_bytes;
	}
	assert_int_equal(ask(daemon, live, "host.info"), 0);
	assert_true(most_bytes < before_bytes + 260 * MIB_BYTES);
	for (size_t i = 0; i < ARRAY_LEN(halves); i++) {
		char byte;

		left += recv(halves[i], &byte, 1, 0) < 0 && errno == EAGAIN;
		(void)close(halves[i]);
	}
	assert_in_range(left, 100, 256);
	for (int i = 0; i < 10; i++)
		daemon_turn(daemon);
	assert_int_equal(ask(daemon, live, "host.info"), 0);
	free(text);
	(void)close(live);
}

/* In a process of its own: connects as often as said, writes a byte to @pipe_fd, waits until it is
 * killed. */
static pid_t idle_clients(const char *path, int count, int pipe_fd)
{
	pid_t child = fork();

	if (child == 0) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };

		(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
		for (int i = 0; i < count; i++)
			if (connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address,
				    sizeof(address)) < 0)
				_exit(1);
		(void)!write(pipe_fd, "x", 1);
		(void)pause();
	}
	return child;
}

static void js04_10000_idle_clients_hurt_nobody_and_cost_2_kib_each(void **state)
{
	struct daemon *daemon = *state;
	struct rlimit limit;
	int live = daemon_connect(daemon->path), pipe_fds[2];
	size_t before_bytes, idle_bytes;
	uint64_t start_ns, used_ns;
	pid_t child;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < IDLE_CLIENTS + 100)
		test_skip_case("RLIMIT_NOFILE is too low for 10,000 connections");
	assert_int_equal(ask(daemon, live, "host.info"), 0);
	before_bytes = heap_bytes();
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
	child = idle_clients(daemon->path, IDLE_CLIENTS, pipe_fds[1]);
	while (rpc_server_connections(daemon->server) < IDLE_CLIENTS + 1)
		assert_int_equal(ask(daemon, live, "host.info"), 0);
	idle_bytes = (heap_bytes() - before_bytes) / IDLE_CLIENTS;
	print_message("an idle connection: %zu bytes\n", idle_bytes);
	assert_true(idle_bytes < 2 * KIB_BYTES);
	before_bytes = heap_bytes();
	start_ns = clock_now_ns();
	for (int i = 0; i < 1000; i++)
		assert_int_equal(ask(daemon, live, "host.info"), 0);
	print_message("a live one among them: %u us per answer\n",
		      (unsigned)((clock_now_ns() - start_ns) / 1000 / NS_PER_US));
	assert_true(clock_now_ns() - start_ns < 10 * NS_PER_S);
	assert_true(heap_bytes() <= before_bytes + 64 * KIB_BYTES); /* and nothing grows */
	used_ns = cpu_ns();
	run_for_ms(daemon, 300); /* and nothing happens */
	assert_true(cpu_ns() - used_ns < 100 * NS_PER_MS);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	while (rpc_server_connections(daemon->server) > 1)
		daemon_turn(daemon);
	assert_int_equal(ask(daemon, live, "host.info"), 0);
	(void)close(live);
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
}

static void garbage_of_every_kind_leaves_the_server_as_it_was(void **state)
{
	static const char good[] =
		"[" CALL "1},{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"vm.delete\","
		"\"params\":{\"vm\":\"a\",\"deadline_ms\":5}}]\n" CALL "3}\n";
	struct test_random random = test_random_start();
	struct daemon *daemon = *state;

	for (int round = 0; round < 3000; round++) {
		int fd = daemon_connect(daemon->path);
		char text[sizeof(good)];
		size_t len = 1 + test_random_below(&random, sizeof(good) - 1);

		memcpy(text, good, sizeof(text));
		for (uint64_t hits = test_random_below(&random, 4); hits > 0; hits--)
			text[test_random_below(&random, len)] = (char)test_random_next(&random);
		(void)send(fd, text, len, MSG_NOSIGNAL);
		daemon_turn(daemon);
		while (daemon->kept_count > 5)
			daemon_answer(daemon,
				      (unsigned)test_random_below(&random, daemon->kept_count));
		if (test_random_below(&random, 2))
			daemon_turn(daemon);
		(void)close(fd);
	}
	while (daemon->kept_count > 0)
		daemon_answer(daemon, 0);
	for (int i = 0; i < 20; i++)
		daemon_turn(daemon);
	assert_int_equal(rpc_server_connections(daemon->server), 0);
	daemon_assert_alive(daemon);
}

/* --- where the sockets are ------------------------------------------------------------------- */

static void the_daemons_directory_may_be_entered_but_not_written_by_others(void **state)
{
	struct daemon *daemon = *state;
	char path[RPC_PATH_BYTES], sub[80], file[120];
	struct err err = { 0 };
	struct stat st;

	(void)snprintf(sub, sizeof(sub), "%s/neapd", daemon->dir);
	(void)snprintf(file, sizeof(file), "%s/" RPC_HOST_SOCKET, sub);
	assert_int_equal(setenv("XDG_RUNTIME_DIR", daemon->dir, 1), 0);
	assert_int_equal(rpc_host_path(RPC_HOST_SOCKET, path, &err), 0);
	assert_string_equal(path, file);
	assert_int_equal(access(sub, F_OK), -1); /* asking makes nothing */
	assert_int_equal(rpc_host_dir(path, sizeof(path), &err), 0);
	assert_string_equal(path, sub);
	assert_int_equal(lstat(sub, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0755);
	assert_int_equal(chmod(sub, 0775), 0);
	assert_int_equal(rpc_host_dir(path, sizeof(path), &err), -EPERM);
	assert_non_null(strstr(err.text, "chmod 755"));
	assert_int_equal(rmdir(sub), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, daemon_set_up, daemon_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_socket_has_its_own_mode),
		TEST(the_socket_for_looking_refuses_what_changes),
		TEST(a_socket_that_was_handed_in_is_served_and_left_on_the_disk),
		TEST(what_is_handed_in_and_does_not_listen_is_refused),
		TEST(a_path_where_somebody_answers_is_refused_in_the_servers_words),
		TEST(other_users_come_in_only_where_they_may),
		TEST(other_users_cannot_take_the_last_places),
		TEST(one_client_too_many_is_told_so),
		TEST(without_descriptors_new_clients_wait_and_the_loop_sleeps),
		TEST(js01_js02_js05_js06_what_is_no_json_starts_nothing),
		TEST(js06_a_raw_nul_starts_nothing),
		TEST(js08_a_batch_of_100000_starts_nothing),
		TEST(js08_a_request_without_id_is_done_and_not_answered),
		TEST(js07_a_string_of_1_gib_ends_at_1_mib_with_an_error),
		TEST(js03_js04_500_clients_of_one_byte_at_a_time_hurt_nobody),
		TEST(js03_400_halves_of_messages_of_1_mib_are_not_all_kept),
		TEST(js04_10000_idle_clients_hurt_nobody_and_cost_2_kib_each),
		TEST(garbage_of_every_kind_leaves_the_server_as_it_was),
		TEST(the_daemons_directory_may_be_entered_but_not_written_by_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
