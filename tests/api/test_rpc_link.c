/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_rpc_link.c - a daemon's side of a VM's socket, against VMs that lie, stall, flood and vanish.
 *
 * The test is the VM: a listening socket whose other end it reads and writes, on the same thread as
 * the link's loop.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../support/testing.h"
#include "api/api.h"
#include "backend.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/units.h"
#include "rpc/link.h"
#include "rpc/rpc.h"

enum { PATIENCE_MS = 20000, NOT_CALLED = 12345 };

struct fixture {
	char dir[48], path[RPC_PATH_BYTES];
	int listener, vm; /* vm: the other end of link; -1 */
	uv_loop_t loop;
	struct rpc_link *link;
	bool closes_on_event, closes_on_done;
	unsigned events, dones;
	char kind[64], sentence[128];
	json_t *data, *result;
	int code, reason; /* NOT_CALLED */
	int console_fd;
};

static void drop_link(struct fixture *fixture)
{
	rpc_link_close(fixture->link);
	fixture->link = NULL;
}

static void on_event(void *ctx, const char *kind, const json_t *data)
{
	struct fixture *fixture = ctx;

	fixture->events++;
	(void)snprintf(fixture->kind, sizeof(fixture->kind), "%s", kind);
	json_decref(fixture->data);
	fixture->data = json_deep_copy(data);
	if (fixture->closes_on_event)
		drop_link(fixture);
}

static void on_closed(void *ctx, int reason)
{
	struct fixture *fixture = ctx;

	assert_int_equal(fixture->reason, NOT_CALLED);
	fixture->reason = reason;
}

static void on_done(void *ctx, int code, const json_t *result, const char *sentence)
{
	struct fixture *fixture = ctx;

	assert_true((code == 0) == (result != NULL));
	assert_non_null(sentence);
	assert_int_equal(fixture->reason, NOT_CALLED); /* all of them come before the end */
	fixture->dones++;
	fixture->code = code;
	json_decref(fixture->result);
	fixture->result = result ? json_deep_copy(result) : NULL;
	(void)snprintf(fixture->sentence, sizeof(fixture->sentence), "%s", sentence);
	if (fixture->closes_on_done)
		drop_link(fixture);
}

static void on_console(void *ctx, int code, int fd, const char *sentence)
{
	struct fixture *fixture = ctx;

	assert_non_null(sentence);
	assert_true((code == 0) == (fd >= 0));
	fixture->code = code;
	fixture->console_fd = fd;
}

static const struct rpc_link_ops ops = { .on_event = on_event, .on_closed = on_closed };

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct err err = { 0 };

	(void)snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/neap-link-XXXXXX");
	assert_non_null(mkdtemp(fixture->dir));
	(void)snprintf(fixture->path, sizeof(fixture->path), "%s/vm.sock", fixture->dir);
	fixture->listener = listen_at(fixture->path);
	fixture->code = fixture->reason = NOT_CALLED;
	fixture->console_fd = -1;
	assert_int_equal(uv_loop_init(&fixture->loop), 0);
	assert_int_equal(rpc_link_open(&fixture->loop, fixture->path, &ops, fixture, &fixture->link,
				       &err),
			 0);
	fixture->vm = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fixture->vm >= 0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	drop_link(fixture);
	(void)uv_run(&fixture->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&fixture->loop), 0); /* it left nothing behind */
	close_fd(&fixture->vm);
	close_fd(&fixture->listener);
	close_fd(&fixture->console_fd);
	json_decref(fixture->data);
	json_decref(fixture->result);
	(void)unlink(fixture->path);
	assert_int_equal(rmdir(fixture->dir), 0);
	free(fixture);
	return 0;
}

static void turns(struct fixture *fixture)
{
	for (int i = 0; i < 10; i++)
		(void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
}

static void vm_says(struct fixture *fixture, const char *text)
{
	assert_int_equal(send(fixture->vm, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	turns(fixture);
}

static void call(struct fixture *fixture, int timeout_ms)
{
	assert_int_equal(
		rpc_link_call(fixture->link, "vm.info", NULL, timeout_ms, on_done, fixture), 0);
}

static void until_reason(struct fixture *fixture)
{
	uint64_t start_ns = clock_now_ns();

	while (fixture->reason == NOT_CALLED) {
		(void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
		assert_true(clock_now_ns() - start_ns < PATIENCE_MS * NS_PER_MS);
	}
}

/* --- the ordinary ---------------------------------------------------------------------------- */

static void calls_leave_at_once_and_are_answered_in_any_order(void **state)
{
	struct fixture *fixture = *state;
	char text[512] = "";

	assert_int_equal(rpc_link_call(fixture->link, "vm.memory.grant",
				       json_pack("{s:i}", "grant_bytes", 7), -1, on_done, fixture),
			 0);
	call(fixture, PATIENCE_MS);
	assert_int_equal(fixture->code, NOT_CALLED);
	assert_true(recv(fixture->vm, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.memory.grant\","
				  "\"params\":{\"grant_bytes\":7}}\n"
				  "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"vm.info\"}\n");
	vm_says(fixture, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"n\":2}}\n");
	assert_int_equal(fixture->code, 0);
	assert_int_equal(json_integer_value(json_object_get(fixture->result, "n")), 2);
	vm_says(fixture,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":2,\"message\":\"no\"}}\n");
	assert_int_equal(fixture->code, API_ERROR_UNSUPPORTED);
	assert_string_equal(fixture->sentence, "no");
	assert_int_equal(fixture->dones, 2);
	assert_int_equal(rpc_link_peer_pid(fixture->link), getpid());
}

static void events_are_passed_on_with_their_kind_and_data(void **state)
{
	struct fixture *fixture = *state;

	vm_says(fixture, "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"seq\":1,"
			 "\"kind\":\"vm.state\",\"data\":{\"state\":\"paused\"}}}\n");
	assert_int_equal(fixture->events, 1);
	assert_string_equal(fixture->kind, "vm.state");
	assert_string_equal(json_string_value(json_object_get(fixture->data, "state")), "paused");
	/* What a later version may say besides. */
	vm_says(fixture, "{\"jsonrpc\":\"2.0\",\"method\":\"greeting\"}\n");
	assert_int_equal(fixture->events, 1);
	assert_int_equal(fixture->reason, NOT_CALLED);
}

static void a_vm_of_this_project_answers_a_link(void **state)
{
	struct fixture *fixture = *state;
	struct counting_vm vm = { .state = API_STATE_RUNNING, .console_fd = -1 };
	struct api_backend backend = counting_backend(&vm);
	struct rpc_server *server = NULL;
	struct rpc_link *link = NULL;
	struct err err = { 0 };
	char path[RPC_PATH_BYTES];

	(void)snprintf(path, sizeof(path), "%s/real.sock", fixture->dir);
	assert_int_equal(rpc_server_create(&fixture->loop, path, &backend, &server, &err), 0);
	assert_int_equal(rpc_link_open(&fixture->loop, path, &ops, fixture, &link, &err), 0);
	assert_int_equal(rpc_link_call(link, "events.subscribe", NULL, -1, on_done, fixture), 0);
	turns(fixture);
	assert_int_equal(fixture->code, 0);
	rpc_server_publish(server, "vm.state", json_pack("{s:s}", "state", "running"));
	turns(fixture);
	assert_int_equal(fixture->events, 1);
	rpc_server_destroy(server);
	until_reason(fixture);
	assert_int_equal(fixture->reason, 0);
	rpc_link_close(link);
}

static void the_console_is_handed_over_from_its_first_byte(void **state)
{
	struct fixture *fixture = *state;
	char text[32] = "";

	assert_int_equal(rpc_link_console(fixture->link, -1, on_console, fixture), 0);
	vm_says(fixture, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"stream\":true}}\nlogin: \n");
	assert_int_equal(fixture->code, 0);
	assert_int_equal(recv(fixture->console_fd, text, sizeof(text), 0), 8);
	assert_string_equal(text, "login: \n");
	assert_int_equal(send(fixture->console_fd, "root", 4, 0), 4);
	assert_true(recv(fixture->vm, text, sizeof(text), 0) > 0);
	assert_int_equal(rpc_link_call(fixture->link, "vm.info", NULL, -1, on_done, fixture),
			 -EPIPE);
	assert_int_equal(fixture->reason, NOT_CALLED);
}

static void a_refused_console_is_said_and_the_link_lives(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(rpc_link_console(fixture->link, -1, on_console, fixture), 0);
	vm_says(fixture,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":2,\"message\":\"none\"}}\n");
	assert_int_equal(fixture->code, API_ERROR_UNSUPPORTED);
	call(fixture, -1);
	vm_says(fixture, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n");
	assert_int_equal(fixture->code, 0);
}

/* --- VMs that are not there ------------------------------------------------------------------ */

static void where_nobody_listens_is_said_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct rpc_link *link = NULL;
	struct err err = { 0 };

	assert_int_equal(rpc_link_open(&fixture->loop, "/nowhere/x", &ops, fixture, &link, &err),
			 -ENOENT);
	close_fd(&fixture->listener);
	assert_int_equal(rpc_link_open(&fixture->loop, fixture->path, &ops, fixture, &link, &err),
			 -ECONNREFUSED);
	assert_null(link);
}

static void a_full_backlog_is_not_waited_for(void **state)
{
	struct fixture *fixture = *state;
	struct rpc_link *links[8] = { NULL };
	struct err err = { 0 };
	int ret = 0;
	size_t count = 0;

	while (ret == 0 && count < ARRAY_LEN(links)) {
		ret = rpc_link_open(&fixture->loop, fixture->path, &ops, fixture, &links[count],
				    &err);
		count += ret == 0;
	}
	assert_int_equal(ret, -EAGAIN);
	while (count > 0)
		rpc_link_close(links[--count]);
}

static void when_the_vm_ends_what_waits_fails_and_then_the_link(void **state)
{
	struct fixture *fixture = *state;

	call(fixture, -1);
	call(fixture, -1);
	close_fd(&fixture->vm);
	until_reason(fixture);
	assert_int_equal(fixture->reason, 0);
	assert_int_equal(fixture->dones, 2);
	assert_int_equal(fixture->code, -EPIPE);
	assert_int_equal(rpc_link_call(fixture->link, "vm.info", NULL, -1, on_done, fixture),
			 -EPIPE);
}

static void the_last_words_of_a_vm_are_heard(void **state)
{
	struct fixture *fixture = *state;

	call(fixture, -1); /* which it leaves unread */
	assert_true(send(fixture->vm, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n", 38, 0) > 0);
	close_fd(&fixture->vm);
	until_reason(fixture);
	assert_int_equal(fixture->code, 0);
	assert_int_equal(fixture->reason, 0);
}

static void a_link_may_be_closed_in_any_callback(void **state)
{
	struct fixture *fixture = *state;

	call(fixture, 1);
	call(fixture, 1);
	call(fixture, -1);
	fixture->closes_on_done = true;
	while (fixture->link)
		turns(fixture);
	assert_int_equal(fixture->dones, 1); /* the others were dropped */
	assert_int_equal(fixture->code, -ETIMEDOUT);
	turns(fixture);
	assert_int_equal(fixture->dones, 1);
	assert_int_equal(fixture->reason, NOT_CALLED);
}

static void a_link_may_be_closed_by_an_event_in_a_row_of_them(void **state)
{
	static const char event[] = "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{"
				    "\"kind\":\"a\",\"data\":{}}}\n";
	struct fixture *fixture = *state;
	char text[3 * sizeof(event)];

	fixture->closes_on_event = true;
	(void)snprintf(text, sizeof(text), "%s%s%s", event, event, event);
	vm_says(fixture, text);
	assert_int_equal(fixture->events, 1);
	assert_null(fixture->link);
}

static void a_link_may_be_closed_while_its_calls_fail(void **state)
{
	struct fixture *fixture = *state;

	call(fixture, -1);
	call(fixture, -1);
	fixture->closes_on_done = true;
	close_fd(&fixture->vm);
	turns(fixture);
	assert_int_equal(fixture->dones, 1);
	assert_int_equal(fixture->reason, NOT_CALLED);
}

/* --- hostile VMs ----------------------------------------------------------------------------- */

static void silence_costs_each_call_its_timeout_and_no_other(void **state)
{
	struct fixture *fixture = *state;
	uint64_t start_ns = clock_now_ns();

	call(fixture, PATIENCE_MS);
	call(fixture, 20);
	while (fixture->dones == 0)
		turns(fixture);
	assert_true(clock_now_ns() - start_ns >= 20 * NS_PER_MS);
	assert_int_equal(fixture->code, -ETIMEDOUT);
	assert_string_equal(fixture->sentence, "the VM did not answer within 20 ms");
	/* What comes too late is no nonsense, and is not taken for the other's answer. */
	vm_says(fixture, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n");
	assert_int_equal(fixture->dones, 1);
	vm_says(fixture, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
	assert_int_equal(fixture->dones, 2);
	assert_int_equal(fixture->reason, NOT_CALLED);
}

static void half_a_message_is_waited_for(void **state)
{
	static const char answer[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"n\":1}}\n";
	struct fixture *fixture = *state;

	call(fixture, PATIENCE_MS);
	for (size_t i = 0; i < sizeof(answer) - 1; i++) {
		char byte[2] = { answer[i], '\0' };

		assert_int_equal(fixture->dones, 0);
		vm_says(fixture, byte);
	}
	assert_int_equal(fixture->code, 0);
}

static void nonsense_ends_the_link_with_a_reason(void **state)
{
	static const char *const rows[] = {
		"hello\n",
		"\n",
		"[]\n",
		"17\n",
		"{}\n",
		"{\"id\":99,\"result\":{}}\n",
		"{\"id\":-1,\"result\":{}}\n",
		"{\"id\":\"1\",\"result\":{}}\n",
		"{\"id\":null,\"error\":{\"code\":1,\"message\":\"x\"}}\n",
		"{\"id\":1}\n",
		"{\"id\":1,\"result\":{},\"error\":{\"code\":1,\"message\":\"x\"}}\n",
		"{\"id\":1,\"error\":{\"code\":0,\"message\":\"x\"}}\n",
		"{\"id\":1,\"error\":{\"code\":\"1\",\"message\":\"x\"}}\n",
		"{\"id\":1,\"error\":{\"code\":1}}\n",
		"{\"id\":1,\"error\":7}\n",
		"{\"id\":1,\"id\":1,\"result\":{}}\n",
		"{\"method\":\"event\"}\n",
		"{\"method\":\"event\",\"params\":{\"kind\":1,\"data\":{}}}\n",
		"{\"method\":\"event\",\"params\":{\"kind\":\"a\",\"data\":[]}}\n",
		"{\"method\":7}\n",
		"{\"id\":1,\"result\":\"\\ud800\"}\n",
		"{\"id\":1,\"result\":1e999}\n",
	};
	struct fixture *fixture = *state;
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		fixture->reason = fixture->code = NOT_CALLED;
		call(fixture, -1);
		vm_says(fixture, rows[i]);
		assert_int_equal(fixture->reason, -EPROTO);
		assert_int_equal(fixture->code, -EPIPE);
		assert_string_equal(fixture->sentence, rpc_link_reason(-EPROTO));
		assert_int_equal(fixture->events, 0);
		drop_link(fixture);
		close_fd(&fixture->vm);
		assert_int_equal(rpc_link_open(&fixture->loop, fixture->path, &ops, fixture,
					       &fixture->link, &err),
				 0);
		fixture->vm = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	}
}

/* Sends @text again and again until the link ends; how much the VM got rid of. */
static uint64_t flood(struct fixture *fixture, const char *text, uint64_t max_bytes)
{
	size_t len = strlen(text);
	uint64_t sent = 0;

	while (fixture->reason == NOT_CALLED && sent < max_bytes) {
		ssize_t put = send(fixture->vm, text + sent % len, len - sent % len, MSG_NOSIGNAL);

		if (put > 0)
			sent += (uint64_t)put;
		(void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
	}
	return sent;
}

static void nesting_of_100000_ends_the_link(void **state)
{
	struct fixture *fixture = *state;
	char *text = malloc(100002);

	memset(text, '[', 100000);
	memcpy(text + 100000, "\n", 2);
	(void)flood(fixture, text, 100001);
	turns(fixture);
	assert_int_equal(fixture->reason, -EPROTO);
	free(text);
}

static void a_message_without_end_ends_the_link_at_1_mib(void **state)
{
	struct fixture *fixture = *state;
	uint64_t sent = flood(fixture, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", GIB_BYTES);

	assert_int_equal(fixture->reason, -EMSGSIZE);
	assert_true(sent < 2 * MIB_BYTES);
}

static void a_flood_of_events_ends_the_link(void **state)
{
	struct fixture *fixture = *state;
	char *text = malloc(70000);
	int head = snprintf(text, 70000,
			    "{\"method\":\"event\",\"params\":{\"kind\":\"a\",\"data\":{"
			    "\"x\":\"");

	memset(text + head, 'x', 65536);
	(void)snprintf(text + head + 65536, 16, "\"}}}\n");
	(void)flood(fixture, text, GIB_BYTES);
	assert_int_equal(fixture->reason, -EDQUOT);
	assert_true(fixture->events > 100); /* a burst is fine */
	free(text);
}

static void answers_that_nobody_waits_for_are_a_flood_too(void **state)
{
	struct fixture *fixture = *state;

	call(fixture, -1);
	(void)flood(fixture, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n", GIB_BYTES);
	assert_int_equal(fixture->reason, -EDQUOT);
	assert_int_equal(fixture->dones, 1);
}

static void a_vm_that_does_not_read_costs_a_bounded_number_of_calls(void **state)
{
	struct fixture *fixture = *state;
	char *text = malloc(64 * KIB_BYTES);
	int ret = 0;
	unsigned begun = 0;

	memset(text, 'x', 64 * KIB_BYTES - 1);
	text[64 * KIB_BYTES - 1] = '\0';
	while (ret == 0 && begun < 100) {
		ret = rpc_link_call(fixture->link, "vm.info", json_pack("{s:s}", "x", text), -1,
				    on_done, fixture);
		begun += ret == 0;
	}
	assert_int_equal(ret, -EAGAIN);
	assert_true(begun < 40);
	/* It reads again, and all is well. */
	for (int i = 0; i < 2000; i++) {
		char bytes[8192];

		(void)recv(fixture->vm, bytes, sizeof(bytes), 0);
		(void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
	}
	call(fixture, -1);
	free(text);
}

static void a_vm_that_answers_nothing_costs_1024_calls(void **state)
{
	struct fixture *fixture = *state;
	int ret = 0;
	unsigned begun = 0;

	while (ret == 0 && begun < 3000) {
		ret = rpc_link_call(fixture->link, "vm.info", NULL, -1, NULL, NULL);
		begun += ret == 0;
	}
	assert_int_equal(ret, -EAGAIN);
	assert_int_equal(begun, 1024);
}

static void garbage_of_every_kind_ends_in_a_reason_or_nothing(void **state)
{
	static const char good[] =
		"{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"kind\":\"a\","
		"\"data\":{}}}\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n";
	struct test_random random = test_random_start();
	struct fixture *fixture = *state;
	struct err err = { 0 };

	for (int round = 0; round < 3000; round++) {
		char text[sizeof(good)];
		size_t len = 1 + test_random_below(&random, sizeof(good) - 1);

		memcpy(text, good, sizeof(text));
		for (uint64_t hits = test_random_below(&random, 4); hits > 0; hits--)
			text[test_random_below(&random, len)] = (char)test_random_next(&random);
		fixture->reason = NOT_CALLED;
		call(fixture, -1);
		(void)send(fixture->vm, text, len, MSG_NOSIGNAL);
		(void)uv_run(&fixture->loop, UV_RUN_NOWAIT);
		assert_true(fixture->reason == NOT_CALLED || fixture->reason == -EPROTO);
		drop_link(fixture);
		close_fd(&fixture->vm);
		assert_int_equal(rpc_link_open(&fixture->loop, fixture->path, &ops, fixture,
					       &fixture->link, &err),
				 0);
		fixture->vm = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(calls_leave_at_once_and_are_answered_in_any_order),
		TEST(events_are_passed_on_with_their_kind_and_data),
		TEST(a_vm_of_this_project_answers_a_link),
		TEST(the_console_is_handed_over_from_its_first_byte),
		TEST(a_refused_console_is_said_and_the_link_lives),
		TEST(where_nobody_listens_is_said_at_once),
		TEST(a_full_backlog_is_not_waited_for),
		TEST(when_the_vm_ends_what_waits_fails_and_then_the_link),
		TEST(the_last_words_of_a_vm_are_heard),
		TEST(a_link_may_be_closed_in_any_callback),
		TEST(a_link_may_be_closed_by_an_event_in_a_row_of_them),
		TEST(a_link_may_be_closed_while_its_calls_fail),
		TEST(silence_costs_each_call_its_timeout_and_no_other),
		TEST(half_a_message_is_waited_for),
		TEST(nonsense_ends_the_link_with_a_reason),
		TEST(nesting_of_100000_ends_the_link),
		TEST(a_message_without_end_ends_the_link_at_1_mib),
		TEST(a_flood_of_events_ends_the_link),
		TEST(answers_that_nobody_waits_for_are_a_flood_too),
		TEST(a_vm_that_does_not_read_costs_a_bounded_number_of_calls),
		TEST(a_vm_that_answers_nothing_costs_1024_calls),
		TEST(garbage_of_every_kind_ends_in_a_reason_or_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
