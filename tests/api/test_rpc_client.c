/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_rpc_client.c - the CLI's side of the socket, against servers that lie, stall and vanish.
 *
 * The test is the server: what it will answer is in the socket before the client asks.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/testing.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/units.h"
#include "rpc/rpc.h"

enum { SHORT_MS = 30, PATIENCE_MS = 10000 };

struct fixture {
	char dir[64];
	struct sockaddr_un address;
	int listener;
	struct rpc_client *client;
	int server; /* the other end of @client */
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct err err = { 0 };

	(void)snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/neap-client-XXXXXX");
	assert_non_null(mkdtemp(fixture->dir));
	fixture->address.sun_family = AF_UNIX;
	(void)snprintf(fixture->address.sun_path, sizeof(fixture->address.sun_path), "%s/vm.sock",
		       fixture->dir);
	fixture->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fixture->listener, (struct sockaddr *)&fixture->address,
			      sizeof(fixture->address)),
			 0);
	assert_int_equal(listen(fixture->listener, 1), 0);
	assert_int_equal(rpc_client_open(fixture->address.sun_path, &fixture->client, &err), 0);
	fixture->server = accept4(fixture->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fixture->server >= 0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	rpc_client_close(fixture->client);
	close_fd(&fixture->server);
	close_fd(&fixture->listener);
	(void)unlink(fixture->address.sun_path);
	assert_int_equal(rmdir(fixture->dir), 0);
	free(fixture);
	return 0;
}

static void answer(const struct fixture *fixture, const char *text)
{
	assert_int_equal(send(fixture->server, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static int call(const struct fixture *fixture, int timeout_ms, struct err *err)
{
	json_t *result = NULL;
	int ret = rpc_client_call(fixture->client, "vm.info", NULL, timeout_ms, &result, err);

	assert_true((ret == 0) == (result != NULL));
	json_decref(result);
	return ret;
}

static void a_silent_vm_costs_the_timeout_and_its_late_answer_nothing(void **state)
{
	struct fixture *fixture = *state;
	uint64_t start_ns = clock_now_ns();
	struct err err = { 0 };

	assert_int_equal(call(fixture, SHORT_MS, &err), -ETIMEDOUT);
	assert_true(clock_now_ns() - start_ns >= SHORT_MS * NS_PER_MS);
	assert_string_equal(err.text, "the VM does not answer");
	answer(fixture, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
	answer(fixture,
	       "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":1,\"message\":\"no\"}}\n");
	assert_int_equal(call(fixture, PATIENCE_MS, &err), 1);
	assert_string_equal(err.text, "no");
}

static void half_an_answer_is_waited_for_and_kept(void **state)
{
	struct fixture *fixture = *state;
	json_t *event = NULL;

	answer(fixture, "{\"jsonrpc\":\"2.0\",\"method\":\"event\",");
	assert_int_equal(rpc_client_next_event(fixture->client, SHORT_MS, &event, NULL),
			 -ETIMEDOUT);
	answer(fixture, "\"params\":{\"seq\":1}}\n");
	assert_int_equal(rpc_client_next_event(fixture->client, PATIENCE_MS, &event, NULL), 0);
	json_decref(event);
}

static void an_answer_that_is_no_answer_is_an_error_in_words(void **state)
{
	static const struct {
		const char *text;
		int code;
	} rows[] = {
		{ "hello\n", -EINVAL },
		{ "\n", -EINVAL },
		{ "{\"jsonrpc\":\"2.0\",\"id\":3}\n", -EPROTO },
		{ "{\"jsonrpc\":\"2.0\",\"id\":4,\"error\":{}}\n", -EPROTO },
		{ "{\"jsonrpc\":\"2.0\",\"id\":5,\"error\":{\"code\":7}}\n", 7 },
		{ "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":3,\"message\":\"x\"}}\n",
		  3 },
	};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = { 0 };

		answer(fixture, rows[i].text);
		assert_int_equal(call(fixture, PATIENCE_MS, &err), rows[i].code);
		assert_true(strlen(err.text) > 0);
	}
}

static void values_that_are_no_objects_are_passed_over(void **state)
{
	struct fixture *fixture = *state;

	answer(fixture, "[]\n7\n\"id\"\n{\"id\":99,\"result\":1}\n{\"id\":1,\"result\":true}\n");
	assert_int_equal(call(fixture, PATIENCE_MS, NULL), 0);
}

static void a_vm_that_ends_is_told_from_one_that_is_silent(void **state)
{
	struct fixture *fixture = *state;
	struct err err = { 0 };
	json_t *event = NULL;

	answer(fixture, "{\"jsonrpc\":\"2.0\",\"id\":1,\"res");
	close_fd(&fixture->server);
	assert_int_equal(call(fixture, PATIENCE_MS, &err), -EPIPE);
	assert_string_equal(err.text, "the VM closed the connection");
	assert_int_equal(rpc_client_next_event(fixture->client, -1, &event, NULL), -EPIPE);
}

static void the_last_words_of_a_server_that_hung_up_are_heard(void **state)
{
	struct fixture *fixture = *state;
	struct err err = { 0 };

	answer(fixture, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32603,"
			"\"message\":\"too many connections\"}}\n");
	close_fd(&fixture->server);
	assert_int_equal(call(fixture, PATIENCE_MS, &err), API_ERROR_INTERNAL);
	assert_string_equal(err.text, "too many connections");
}

static void an_answer_without_end_is_given_up(void **state)
{
	struct fixture *fixture = *state;
	struct err err = { 0 };
	pid_t child = fork();

	if (child == 0) {
		char bytes[65536];

		rpc_client_close(fixture->client); /* only the test holds the other end */
		memset(bytes, ' ', sizeof(bytes));
		while (send(fixture->server, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
			;
		_exit(0);
	}
	close_fd(&fixture->server);
	assert_int_equal(call(fixture, PATIENCE_MS, &err), -EMSGSIZE);
	assert_int_equal(call(fixture, PATIENCE_MS, &err), -EMSGSIZE);
	rpc_client_close(fixture->client);
	fixture->client = NULL;
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void the_stream_behind_the_console_answer_is_whole(void **state)
{
	struct fixture *fixture = *state;
	char text[32] = "";
	int fd;

	answer(fixture, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\nlogin: {\"a\n");
	assert_int_equal(call(fixture, PATIENCE_MS, NULL), 0);
	fd = rpc_client_take_fd(fixture->client);
	fixture->client = NULL;
	assert_int_equal(read(fd, text, sizeof(text)), strlen("login: {\"a\n"));
	assert_string_equal(text, "login: {\"a\n");
	(void)close(fd);
}

static void events_that_nobody_takes_are_bounded_and_the_newest_stay(void **state)
{
	struct fixture *fixture = *state;
	json_t *event = NULL;
	char text[128];

	/* In parts, since nobody reads the socket meanwhile. */
	for (int i = 1; i <= 3000; i++) {
		(void)snprintf(
			text, sizeof(text),
			"{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"seq\":%d}}\n", i);
		answer(fixture, text);
		if (i % 100)
			continue;
		(void)snprintf(text, sizeof(text), "{\"id\":%d,\"result\":true}\n", i / 100);
		answer(fixture, text);
		assert_int_equal(call(fixture, PATIENCE_MS, NULL), 0);
	}
	for (int i = 3000 - 1024 + 1; i <= 3000; i++) {
		assert_int_equal(rpc_client_next_event(fixture->client, 0, &event, NULL), 0);
		assert_int_equal(json_integer_value(
					 json_object_get(json_object_get(event, "params"), "seq")),
				 i);
		json_decref(event);
	}
	assert_int_equal(rpc_client_next_event(fixture->client, 0, &event, NULL), -ETIMEDOUT);
}

static void an_address_where_nobody_is_is_said_to_be_so(void **state)
{
	struct fixture *fixture = *state;
	struct rpc_client *client = NULL;
	struct err err = { 0 };

	close_fd(&fixture->listener);
	assert_int_equal(rpc_client_open(fixture->address.sun_path, &client, &err), -ECONNREFUSED);
	assert_non_null(strstr(err.text, "without cleaning up"));
	assert_int_equal(rpc_client_open("/nowhere/vm.sock", &client, &err), -ENOENT);
	assert_null(client);
}

static void a_vm_that_accepts_nobody_is_given_up_after_two_seconds(void **state)
{
	struct fixture *fixture = *state;
	struct rpc_client *waiting[8] = { 0 }, *client = NULL;
	struct err err = { 0 };
	size_t count = 0;

	while (count < ARRAY_LEN(waiting) &&
	       rpc_client_open(fixture->address.sun_path, &client, &err) == 0)
		waiting[count++] = client;
	assert_true(count < ARRAY_LEN(waiting));
	assert_int_equal(err.code, -ETIMEDOUT);
	while (count > 0)
		rpc_client_close(waiting[--count]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_silent_vm_costs_the_timeout_and_its_late_answer_nothing),
		TEST(half_an_answer_is_waited_for_and_kept),
		TEST(an_answer_that_is_no_answer_is_an_error_in_words),
		TEST(values_that_are_no_objects_are_passed_over),
		TEST(a_vm_that_ends_is_told_from_one_that_is_silent),
		TEST(the_last_words_of_a_server_that_hung_up_are_heard),
		TEST(an_answer_without_end_is_given_up),
		TEST(the_stream_behind_the_console_answer_is_whole),
		TEST(events_that_nobody_takes_are_bounded_and_the_newest_stay),
		TEST(an_address_where_nobody_is_is_said_to_be_so),
		TEST(a_vm_that_accepts_nobody_is_given_up_after_two_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
