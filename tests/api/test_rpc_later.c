/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_rpc_later.c - answers that come later: order, batches, deadlines, clients that leave, bounds,
 * descriptors. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/units.h"
#include "rpc/jsonrpc.h"

static void start(struct daemon *daemon, int fd, int id)
{
	char text[160];

	(void)snprintf(text, sizeof(text),
		       "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"vm.start\","
		       "\"params\":{\"vm\":\"a\"}}\n",
		       id);
	daemon_say(daemon, fd, text);
}

/* The next answer is to that id; 0, or its error code. */
static json_int_t heard(struct daemon *daemon, int fd, int id)
{
	json_t *answer = daemon_hear(daemon, fd);
	json_int_t code = 0;

	assert_non_null(answer);
	assert_int_equal(daemon_int(answer, NULL, "id"), id);
	if (json_object_get(answer, "error"))
		code = daemon_int(answer, "error", "code");
	else
		assert_true(json_is_object(json_object_get(answer, "result")));
	json_decref(answer);
	return code;
}

static void pipelined_requests_are_answered_as_they_are_done(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);

	start(daemon, fd, 1);
	start(daemon, fd, 2);
	start(daemon, fd, 3);
	daemon_say(daemon, fd, "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"host.info\"}\n");
	assert_int_equal(heard(daemon, fd, 4), 0);
	daemon_wait_kept(daemon, 3);
	daemon_answer(daemon, 2);
	assert_int_equal(heard(daemon, fd, 3), 0);
	daemon_answer(daemon, 0);
	daemon_answer(daemon, 0);
	assert_int_equal(heard(daemon, fd, 1), 0);
	assert_int_equal(heard(daemon, fd, 2), 0);
	(void)close(fd);
}

static void a_handler_may_answer_before_it_returns(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);

	daemon_say(daemon, fd,
		   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.delete\"}\n"
		   "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"vm.delete\"}\n"
		   "{\"jsonrpc\":\"2.0\",\"method\":\"vm.delete\"}\n");
	assert_int_equal(heard(daemon, fd, 1), 0);
	assert_int_equal(heard(daemon, fd, 2), API_ERROR_NO_VM);
	daemon_assert_silent(daemon, fd);
	assert_int_equal(daemon->deletes, 3);
	(void)close(fd);
}

static void a_batch_is_answered_when_its_last_call_is(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);
	json_t *answers;

	daemon_say(daemon, fd,
		   "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.start\"},"
		   "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"vm.delete\"},"
		   "{\"jsonrpc\":\"2.0\",\"method\":\"vm.start\"},17,"
		   "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"vm.start\"}]\n");
	daemon_wait_kept(daemon, 3);
	daemon_answer(daemon, 2);
	daemon_answer(daemon, 1); /* the notification; it is waited for, too */
	daemon_assert_silent(daemon, fd);
	daemon_answer(daemon, 0);
	answers = daemon_hear(daemon, fd);
	assert_int_equal(json_array_size(answers), 4);
	assert_int_equal(daemon_int(json_array_get(answers, 0), NULL, "id"), 2);
	assert_int_equal(daemon_int(json_array_get(answers, 1), "error", "code"),
			 API_ERROR_INVALID_REQUEST);
	assert_int_equal(daemon_int(json_array_get(answers, 2), NULL, "id"), 3);
	assert_int_equal(daemon_int(json_array_get(answers, 3), NULL, "id"), 1);
	json_decref(answers);
	daemon_assert_silent(daemon, fd);
	(void)close(fd);
}

static void a_notification_that_is_done_later_is_not_answered(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);

	daemon_say(daemon, fd, "{\"jsonrpc\":\"2.0\",\"method\":\"vm.start\"}\n");
	daemon_say(daemon, fd, "[{\"jsonrpc\":\"2.0\",\"method\":\"vm.start\"}]\n");
	daemon_wait_kept(daemon, 2);
	daemon_answer(daemon, 0);
	daemon_answer(daemon, 0);
	daemon_assert_silent(daemon, fd);
	(void)close(fd);
}

static void an_answer_to_a_client_that_left_is_dropped(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path), other = daemon_connect(daemon->path);

	start(daemon, fd, 1);
	daemon_say(daemon, fd,
		   "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.start\"},"
		   "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"vm.start\"}]\n");
	start(daemon, other, 2);
	daemon_wait_kept(daemon, 4);
	(void)close(fd);
	for (int i = 0; i < 5; i++)
		daemon_turn(daemon);
	assert_int_equal(rpc_server_connections(daemon->server), 1);
	for (int i = 0; i < 4; i++)
		daemon_answer(daemon, 0);
	assert_int_equal(heard(daemon, other, 2), 0);
	(void)close(other);
}

static void a_client_that_says_no_more_is_still_answered(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);

	start(daemon, fd, 1);
	daemon_wait_kept(daemon, 1);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	daemon_assert_silent(daemon, fd);
	daemon_answer(daemon, 0);
	assert_int_equal(heard(daemon, fd, 1), 0);
	assert_null(daemon_hear(daemon, fd)); /* and then it is over */
	(void)close(fd);
}

static void a_client_that_leaves_after_its_last_word_is_noticed(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);

	start(daemon, fd, 1);
	daemon_wait_kept(daemon, 1);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	daemon_assert_silent(daemon, fd);
	assert_int_equal(rpc_server_connections(daemon->server), 1);
	(void)close(fd);
	for (int i = 0; i < 5; i++)
		daemon_turn(daemon);
	assert_int_equal(rpc_server_connections(daemon->server), 0);
}

/* --- answers that are written in place --------------------------------------------------------- */

#define LIST(id, selector)                                                      \
	"{\"jsonrpc\":\"2.0\",\"id\":" id ",\"method\":\"vm.list\",\"params\":" \
	"{\"limit\":1,\"selector\":\"" selector "\"}}"

static size_t listed_bytes(const json_t *answer)
{
	const json_t *vms = json_object_get(json_object_get(answer, "result"), "vms");

	return json_string_length(json_array_get(vms, 0));
}

static void what_is_written_in_place_is_an_answer_like_others(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);
	json_t *answer;

	daemon_say(daemon, fd,
		   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"host.info\"}\n" LIST(
			   "\"a\\u00e9\"", "300") "\n{\"jsonrpc\":\"2.0\",\"id\":3,"
						  "\"method\":\"host.info\"}\n");
	assert_int_equal(heard(daemon, fd, 1), 0);
	answer = daemon_hear(daemon, fd);
	assert_string_equal(json_string_value(json_object_get(answer, "id")), "a\xc3\xa9");
	assert_int_equal(listed_bytes(answer), 300 * KIB_BYTES);
	json_decref(answer);
	assert_int_equal(heard(daemon, fd, 3), 0);
	daemon_say(daemon, fd, "[" LIST("4", "2") "," LIST("5", "1") "]\n");
	answer = daemon_hear(daemon, fd);
	assert_int_equal(json_array_size(answer), 2);
	assert_int_equal(listed_bytes(json_array_get(answer, 0)), 2 * KIB_BYTES);
	assert_int_equal(listed_bytes(json_array_get(answer, 1)), KIB_BYTES);
	json_decref(answer);
	(void)close(fd);
}

static void what_cannot_be_written_leaves_nothing_of_it(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);
	json_t *answer;

	daemon_say(daemon, fd, "[" LIST("1", "none") "]\n");
	answer = daemon_hear(daemon, fd);
	assert_int_equal(daemon_int(json_array_get(answer, 0), "error", "code"),
			 API_ERROR_INTERNAL);
	json_decref(answer);
	daemon_say(daemon, fd, LIST("2", "none") "\n");
	assert_null(daemon_hear(daemon, fd)); /* who would wait in vain is told by the end */
	(void)close(fd);
	daemon_assert_alive(daemon);
}

static void nothing_is_written_for_who_does_not_wait(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);

	start(daemon, fd, 1);
	daemon_say(daemon, fd,
		   "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"vm.start\","
		   "\"params\":{\"deadline_ms\":1}}\n"
		   "{\"jsonrpc\":\"2.0\",\"method\":\"vm.start\"}\n");
	daemon_wait_kept(daemon, 3);
	assert_int_equal(heard(daemon, fd, 2), API_ERROR_DEADLINE);
	assert_false(daemon_answer_by(daemon, 2)); /* a notification */
	assert_false(daemon_answer_by(daemon, 1)); /* told already */
	assert_true(daemon_answer_by(daemon, 0));
	assert_int_equal(heard(daemon, fd, 1), 0);
	start(daemon, fd, 3);
	daemon_wait_kept(daemon, 1);
	(void)close(fd);
	for (int i = 0; i < 5; i++)
		daemon_turn(daemon);
	assert_false(daemon_answer_by(daemon, 0)); /* gone */
	daemon_assert_alive(daemon);
}

/* --- deadlines ------------------------------------------------------------------------------- */

static void when_the_deadline_passes_the_client_is_told_and_the_work_goes_on(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);
	uint64_t start_ns = clock_now_ns();
	json_t *answer;

	daemon_say(daemon, fd,
		   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.start\","
		   "\"params\":{\"deadline_ms\":20000}}\n"
		   "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"vm.start\","
		   "\"params\":{\"deadline_ms\":30}}\n");
	answer = daemon_hear(daemon, fd);
	assert_true(clock_now_ns() - start_ns >= 30 * NS_PER_MS);
	assert_int_equal(daemon_int(answer, NULL, "id"), 2);
	assert_int_equal(daemon_int(answer, "error", "code"), API_ERROR_DEADLINE);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(answer, "error"), "message")),
		"no answer within 30 ms; what was begun goes on");
	json_decref(answer);
	daemon_wait_kept(daemon, 2); /* nothing was taken from its handler */
	daemon_answer(daemon, 1);
	daemon_assert_silent(daemon, fd);
	daemon_answer(daemon, 0);
	assert_int_equal(heard(daemon, fd, 1), 0);
	(void)close(fd);
}

static void a_deadline_passes_within_a_batch(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);
	json_t *answers;

	daemon_say(daemon, fd,
		   "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.start\","
		   "\"params\":{\"deadline_ms\":1}},"
		   "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"host.info\"}]\n");
	answers = daemon_hear(daemon, fd);
	assert_int_equal(json_array_size(answers), 2);
	assert_int_equal(daemon_int(json_array_get(answers, 1), "error", "code"),
			 API_ERROR_DEADLINE);
	json_decref(answers);
	daemon_answer(daemon, 0);
	daemon_assert_silent(daemon, fd);
	(void)close(fd);
}

static void deadlines_pass_in_their_order_whatever_the_order_of_the_calls(void **state)
{
	struct test_random random = test_random_start();
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);
	bool is_due[200] = { false };
	json_int_t last = 0;
	char text[100 * 160];
	size_t len = 0;

	/* Numbers as deadlines, each once, so an answer's id says when it was due: from its arrival, so
	 * they arrive together. */
	for (int i = 0; i < 100; i++) {
		uint64_t ms = 1 + test_random_below(&random, ARRAY_LEN(is_due) - 1);

		while (is_due[ms])
			ms = ms + 1 < ARRAY_LEN(is_due) ? ms + 1 : 1;
		is_due[ms] = true;
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"vm.start\","
					"\"params\":{\"deadline_ms\":%u}}\n",
					(unsigned)ms, (unsigned)ms * 2);
	}
	assert_int_equal(send(fd, text, len, 0), len);
	daemon_wait_kept(daemon, 100);
	for (int i = 0; i < 50; i++) /* half of them are in time or not, which is the same to us */
		daemon_answer(daemon, (unsigned)test_random_below(&random, daemon->kept_count));
	for (int i = 0; i < 100; i++) {
		json_t *answer = daemon_hear(daemon, fd);

		if (json_object_get(answer, "error")) {
			assert_int_equal(daemon_int(answer, "error", "code"), API_ERROR_DEADLINE);
			assert_true(daemon_int(answer, NULL, "id") > last);
			last = daemon_int(answer, NULL, "id");
		}
		json_decref(answer);
	}
	(void)close(fd);
}

static void a_deadline_must_be_a_number_of_milliseconds_up_to_a_day(void **state)
{
	static const char *const bad[] = { "0", "-1", "\"1\"", "1.5", "86400001", "true", "[1]" };
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);
	char text[160];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		(void)snprintf(text, sizeof(text),
			       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"host.info\","
			       "\"params\":{\"deadline_ms\":%s}}\n",
			       bad[i]);
		daemon_say(daemon, fd, text);
		assert_int_equal(heard(daemon, fd, 1), API_ERROR_INVALID_PARAMS);
	}
	(void)close(fd);
}

/* --- bounds ---------------------------------------------------------------------------------- */

static void a_client_with_256_unanswered_calls_is_not_read_from(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);

	for (int i = 0; i < 2 * JSONRPC_MAX_CALLS; i++)
		start(daemon, fd, i);
	daemon_assert_silent(daemon, fd);
	assert_int_equal(daemon->kept_count, JSONRPC_MAX_CALLS);
	daemon_assert_alive(daemon);
	for (int i = 0; i < 2 * JSONRPC_MAX_CALLS; i++) {
		daemon_wait_kept(daemon, i <= JSONRPC_MAX_CALLS
						 ? JSONRPC_MAX_CALLS
						 : (unsigned)(2 * JSONRPC_MAX_CALLS - i));
		daemon_answer(daemon, 0);
		assert_int_equal(heard(daemon, fd, i), 0);
	}
	(void)close(fd);
}

/* A deadline is no way around the bound: the work is still being done. */
static void calls_whose_deadline_passed_count_until_they_are_done(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);

	for (int i = 0; i < JSONRPC_MAX_CALLS; i++)
		daemon_say(daemon, fd,
			   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.start\","
			   "\"params\":{\"deadline_ms\":1}}\n");
	for (int i = 0; i < JSONRPC_MAX_CALLS; i++)
		assert_int_equal(heard(daemon, fd, 1), API_ERROR_DEADLINE);
	daemon_say(daemon, fd, "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"host.info\"}\n");
	daemon_assert_silent(daemon, fd);
	daemon_answer(daemon, 7);
	assert_int_equal(heard(daemon, fd, 2), 0);
	(void)close(fd);
}

/* Long messages fill a client up sooner than many. */
static void a_client_with_2_mib_of_unanswered_calls_is_not_read_from(void **state)
{
	static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.start\"";
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);
	size_t len = MIB_BYTES / 2;
	char *text = malloc(len + 3);

	memset(text, ' ', len);
	memcpy(text, head, sizeof(head) - 1);
	memcpy(text + len, "}\n", 3);
	for (int i = 0; i < 4; i++)
		daemon_say(daemon, fd, text);
	daemon_wait_kept(daemon, 4);
	start(daemon, fd, 2);
	daemon_assert_silent(daemon, fd);
	assert_int_equal(daemon->kept_count, 4);
	daemon_answer(daemon, 0);
	assert_int_equal(heard(daemon, fd, 1), 0);
	daemon_wait_kept(daemon, 4);
	free(text);
	(void)close(fd);
}

static void pass(struct jsonrpc *rpc)
{
	(void)rpc;
}

/* The calls of clients that left count as well; above the bound calls are refused and not begun. */
static void clients_that_ask_and_leave_cannot_pile_up_calls(void **state)
{
	static const char request[] = "{\"jsonrpc\":\"2.0\",\"method\":\"vm.start\"}";
	struct daemon *daemon = *state;
	struct jsonrpc_pool pool = { .call_count = JSONRPC_MAX_POOL_CALLS };
	struct jsonrpc rpc = { .backend = &daemon->backend,
			       .pool = &pool,
			       .peer = { .may_change = true },
			       .on_room = pass };

	assert_int_equal(jsonrpc_take(&rpc, request, sizeof(request) - 1), 0);
	assert_int_equal(daemon->kept_count, 0);
	assert_int_equal(pool.call_count, JSONRPC_MAX_POOL_CALLS);
	pool.call_count--;
	assert_int_equal(jsonrpc_take(&rpc, request, sizeof(request) - 1), 0);
	assert_int_equal(daemon->kept_count, 1);
	jsonrpc_leave(&rpc);
	assert_int_equal(pool.call_count, JSONRPC_MAX_POOL_CALLS);
	daemon_answer(daemon, 0);
	assert_int_equal(pool.call_count, JSONRPC_MAX_POOL_CALLS - 1);
	assert_int_equal(pool.call_bytes, 0);
	jsonrpc_pool_fini(&pool);
}

/* The same for the bytes of their messages, but for short ones. */
static void clients_that_ask_at_length_and_leave_cannot_pile_up_bytes(void **state)
{
	static const char request[] = "{\"jsonrpc\":\"2.0\",\"method\":\"vm.start\"}";
	struct daemon *daemon = *state;
	struct jsonrpc_pool pool = { .call_bytes = JSONRPC_MAX_POOL_BYTES };
	struct jsonrpc rpc = { .backend = &daemon->backend,
			       .pool = &pool,
			       .peer = { .may_change = true },
			       .on_room = pass };
	char text[JSONRPC_SHORT_BYTES + 1];

	memset(text, ' ', sizeof(text));
	memcpy(text, request, sizeof(request) - 1);
	assert_int_equal(jsonrpc_take(&rpc, text, sizeof(text)), 0);
	assert_int_equal(daemon->kept_count, 0);
	assert_int_equal(jsonrpc_take(&rpc, request, sizeof(request) - 1), 0);
	assert_int_equal(daemon->kept_count, 1);
	daemon_answer(daemon, 0);
	assert_int_equal(pool.call_bytes, JSONRPC_MAX_POOL_BYTES);
	jsonrpc_pool_fini(&pool);
}

/* --- descriptors ----------------------------------------------------------------------------- */

static json_t *hear_with_fd(struct daemon *daemon, int fd, int *ret_fd)
{
	char bytes[4096] = "";
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control;
	struct iovec piece = { .iov_base = bytes, .iov_len = sizeof(bytes) };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *header;
	ssize_t got;

	do {
		daemon_turn(daemon);
		got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EAGAIN);
	header = CMSG_FIRSTHDR(&message);
	*ret_fd = -1;
	if (header)
		memcpy(ret_fd, CMSG_DATA(header), sizeof(int));
	return json_loads(bytes, JSON_DISABLE_EOF_CHECK, NULL);
}

static void a_descriptor_comes_with_its_answer(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path), passed;
	char text[8] = "";
	json_t *answer;

	daemon_say(daemon, fd,
		   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.console\","
		   "\"params\":{\"vm\":\"a\"}}\n");
	answer = hear_with_fd(daemon, fd, &passed);
	assert_int_equal(daemon_int(answer, NULL, "id"), 1);
	assert_true(passed >= 0);
	assert_int_equal(send(daemon->console_fd, "hello", 5, 0), 5);
	assert_int_equal(recv(passed, text, sizeof(text), 0), 5);
	assert_string_equal(text, "hello");
	json_decref(answer);
	(void)close(passed);
	/* Ours was the only other copy. */
	assert_int_equal(recv(daemon->console_fd, text, sizeof(text), 0), 0);
	(void)close(fd);
}

static void a_descriptor_waits_for_what_was_said_before_it(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path), passed = -1;
	json_t *answer;

	/* 400 KiB of answers before it: more than the kernel takes at once. */
	daemon_say(daemon, fd,
		   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.list\",\"params\":[\"200\"]}\n"
		   "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"vm.list\",\"params\":[\"200\"]}\n"
		   "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"vm.console\",\"params\":[\"a\"]}\n"
		   "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"host.info\"}\n");
	assert_int_equal(heard(daemon, fd, 1), 0);
	assert_int_equal(heard(daemon, fd, 2), 0);
	answer = hear_with_fd(daemon, fd, &passed);
	assert_int_equal(daemon_int(answer, NULL, "id"), 3);
	assert_true(passed >= 0);
	assert_int_equal(heard(daemon, fd, 4), 0);
	json_decref(answer);
	(void)close(passed);
	(void)close(fd);
}

static unsigned open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(dir))
		count++;
	(void)closedir(dir);
	return count;
}

static void descriptors_that_nobody_fetches_are_few(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path), passed;
	unsigned before = open_descriptors();

	for (int i = 0; i < 400; i++)
		daemon_say(daemon, fd,
			   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.console\","
			   "\"params\":[\"a\"]}\n");
	daemon_assert_alive(daemon);
	assert_in_range(open_descriptors(), before, before + 40);
	for (int i = 0; i < 400; i++) { /* all of them come, one with each answer */
		json_t *answer = hear_with_fd(daemon, fd, &passed);

		assert_int_equal(daemon_int(answer, NULL, "id"), 1);
		assert_true(passed >= 0);
		json_decref(answer);
		(void)close(passed);
	}
	(void)close(fd);
}

static void a_descriptor_in_a_batch_or_for_nobody_is_closed(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);
	char byte;
	json_t *answers;

	daemon_say(daemon, fd,
		   "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.console\","
		   "\"params\":[\"a\"]}]\n");
	answers = daemon_hear(daemon, fd);
	assert_int_equal(daemon_int(json_array_get(answers, 0), "error", "code"),
			 API_ERROR_INVALID_REQUEST);
	json_decref(answers);
	assert_int_equal(recv(daemon->console_fd, &byte, 1, 0), 0);
	daemon_say(daemon, fd,
		   "{\"jsonrpc\":\"2.0\",\"method\":\"vm.console\",\"params\":[\"a\"]}\n");
	daemon_assert_silent(daemon, fd);
	assert_int_equal(recv(daemon->console_fd, &byte, 1, 0), 0);
	(void)close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, daemon_set_up, daemon_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pipelined_requests_are_answered_as_they_are_done),
		TEST(a_handler_may_answer_before_it_returns),
		TEST(a_batch_is_answered_when_its_last_call_is),
		TEST(a_notification_that_is_done_later_is_not_answered),
		TEST(an_answer_to_a_client_that_left_is_dropped),
		TEST(a_client_that_says_no_more_is_still_answered),
		TEST(a_client_that_leaves_after_its_last_word_is_noticed),
		TEST(when_the_deadline_passes_the_client_is_told_and_the_work_goes_on),
		TEST(a_deadline_passes_within_a_batch),
		TEST(what_is_written_in_place_is_an_answer_like_others),
		TEST(what_cannot_be_written_leaves_nothing_of_it),
		TEST(nothing_is_written_for_who_does_not_wait),
		TEST(deadlines_pass_in_their_order_whatever_the_order_of_the_calls),
		TEST(a_deadline_must_be_a_number_of_milliseconds_up_to_a_day),
		TEST(a_client_with_256_unanswered_calls_is_not_read_from),
		TEST(calls_whose_deadline_passed_count_until_they_are_done),
		TEST(a_client_with_2_mib_of_unanswered_calls_is_not_read_from),
		TEST(clients_that_ask_and_leave_cannot_pile_up_calls),
		TEST(clients_that_ask_at_length_and_leave_cannot_pile_up_bytes),
		TEST(a_descriptor_comes_with_its_answer),
		TEST(a_descriptor_waits_for_what_was_said_before_it),
		TEST(descriptors_that_nobody_fetches_are_few),
		TEST(a_descriptor_in_a_batch_or_for_nobody_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
