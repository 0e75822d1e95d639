/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_rpc_jsonrpc.c - one message in, its answer out: every rule of JSON-RPC 2.0, and hostile
 * text. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "../support/testing.h"
#include "backend.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "rpc/frame.h"
#include "rpc/jsonrpc.h"

struct fixture {
	struct counting_vm vm;
	struct api_backend backend;
	struct jsonrpc_pool pool;
	struct jsonrpc rpc;
	json_t *answer; /* NULL: none came */
};

static void pass(struct jsonrpc *rpc)
{
	(void)rpc;
}

static void keep_answer(struct jsonrpc *rpc, json_t *answer, int fd)
{
	struct fixture *fixture = (struct fixture *)((char *)rpc - offsetof(struct fixture, rpc));

	assert_null(fixture->answer);
	assert_int_equal(fd, -1);
	fixture->answer = answer;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->vm.state = API_STATE_RUNNING;
	fixture->vm.console_fd = -1;
	fixture->backend = counting_backend(&fixture->vm);
	fixture->rpc = (struct jsonrpc){ .backend = &fixture->backend,
					 .pool = &fixture->pool,
					 .peer = { .may_change = true },
					 .send = keep_answer,
					 .on_room = pass };
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fixture->rpc.in_flight, 0);
	assert_int_equal(fixture->pool.call_count, 0);
	jsonrpc_pool_fini(&fixture->pool);
	free(fixture);
	return 0;
}

/* The answer; NULL: none. */
static json_t *answer_to(struct fixture *fixture, const char *message, size_t len)
{
	json_t *answer;

	assert_int_equal(jsonrpc_take(&fixture->rpc, message, len), 0);
	answer = fixture->answer;
	fixture->answer = NULL;
	return answer;
}

static json_t *ask(void **state, const char *message)
{
	return answer_to(*state, message, strlen(message));
}

static json_int_t code_of(const json_t *answer)
{
	return json_integer_value(json_object_get(json_object_get(answer, "error"), "code"));
}

/* The answer is that error with that id (as JSON text), in words and with a hint. */
static void assert_error(json_t *answer, int code, const char *id_text)
{
	json_t *id = json_loads(id_text, JSON_DECODE_ANY, NULL);
	const json_t *error = json_object_get(answer, "error");

	assert_non_null(answer);
	assert_int_equal(code_of(answer), code);
	assert_true(json_equal(json_object_get(answer, "id"), id));
	assert_true(json_string_length(json_object_get(error, "message")) > 5);
	assert_non_null(json_object_get(json_object_get(error, "data"), "hint"));
	assert_null(json_object_get(answer, "result"));
	json_decref(id);
	json_decref(answer);
}

static void a_request_is_answered_with_its_id_and_result(void **state)
{
	static const char *const ids[] = { "1",		"-9223372036854775808",
					   "\"a\\nb\"", "null",
					   "2.5",	"\"\"" };

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		char message[128];
		json_t *answer, *id = json_loads(ids[i], JSON_DECODE_ANY, NULL);

		(void)snprintf(message, sizeof(message),
			       "{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"vm.info\"}", ids[i]);
		answer = ask(state, message);
		assert_true(json_equal(json_object_get(answer, "id"), id));
		assert_string_equal(json_string_value(json_object_get(
					    json_object_get(answer, "result"), "state")),
				    "running");
		assert_int_equal(json_object_size(answer), 3);
		json_decref(answer);
		json_decref(id);
	}
}

/* JS: id missing */
static void a_request_without_id_is_done_and_never_answered(void **state)
{
	struct fixture *fixture = *state;

	assert_null(ask(state, "{\"jsonrpc\":\"2.0\",\"method\":\"vm.pause\"}"));
	assert_int_equal(fixture->vm.pauses, 1);
	assert_null(ask(state, "{\"jsonrpc\":\"2.0\",\"method\":\"vm.nothing\"}"));
	assert_null(ask(state, "{\"jsonrpc\":\"2.0\",\"method\":\"vm.pause\",\"params\":[1]}"));
	assert_int_equal(fixture->vm.pauses, 1);
}

static void what_is_no_request_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *message, *id;
	} rows[] = {
		{ "1", "null" },
		{ "\"vm.info\"", "null" },
		{ "null", "null" },
		{ "{}", "null" },
		{ "[]", "null" },
		{ "{\"id\":7,\"method\":\"vm.info\"}", "7" },
		{ "{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"vm.info\"}", "7" },
		{ "{\"jsonrpc\":2.0,\"id\":7,\"method\":\"vm.info\"}", "7" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":7}", "7" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":7}", "7" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"vm.info\",\"params\":1}", "7" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"vm.info\",\"params\":null}", "7" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":[7],\"method\":\"vm.info\"}", "null" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"vm.info\"}", "null" },
		{ "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"vm.info\",\"parms\":{}}", "7" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_error(ask(state, rows[i].message), API_ERROR_INVALID_REQUEST, rows[i].id);
}

static void what_is_no_json_is_a_parse_error(void **state)
{
	static const char *const rows[] = { "{",       "}",   "{\"jsonrpc\":\"2.0\",",
					    "vm.info", "'a'", "[1,]",
					    "{}{}",    "nul", "\x1b[2J" };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_error(ask(state, rows[i]), API_ERROR_PARSE, "null");
}

static void an_empty_line_is_nothing(void **state)
{
	assert_null(ask(state, ""));
	assert_null(ask(state, " \t\r"));
}

static void errors_of_the_api_keep_their_code(void **state)
{
	struct fixture *fixture = *state;

	assert_error(ask(state, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.inof\"}"),
		     API_ERROR_METHOD_NOT_FOUND, "1");
	assert_error(ask(state, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.stop\"}"),
		     API_ERROR_METHOD_NOT_FOUND, "1");
	assert_error(ask(state, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.memory.set\","
				"\"params\":{\"balloon_bytes\":\"many\"}}"),
		     API_ERROR_INVALID_PARAMS, "1");
	fixture->vm.state = API_STATE_STOPPED;
	assert_error(ask(state, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.pause\"}"),
		     API_ERROR_STATE, "1");
	assert_int_equal(fixture->vm.pauses, 0);
}

static void a_failure_whose_words_are_no_utf8_is_still_answered(void **state)
{
	json_t *answer = ask(state, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.reset\"}");

	const json_t *message = json_object_get(json_object_get(answer, "error"), "message");

	assert_int_equal(code_of(answer), API_ERROR_INTERNAL);
	assert_int_equal(json_integer_value(json_object_get(answer, "id")), 1);
	assert_string_equal(json_string_value(message), "the reset line is \"?\" broken");
	json_decref(answer);
}

static void a_batch_is_answered_call_by_call_without_its_notifications(void **state)
{
	struct fixture *fixture = *state;
	json_t *answers = ask(state, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.pause\"},"
				     "{\"jsonrpc\":\"2.0\",\"method\":\"vm.resume\"},"
				     "17,{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"x\"}]");

	assert_int_equal(json_array_size(answers), 3);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(answers, 0), "id")), 1);
	assert_int_equal(code_of(json_array_get(answers, 1)), API_ERROR_INVALID_REQUEST);
	assert_int_equal(code_of(json_array_get(answers, 2)), API_ERROR_METHOD_NOT_FOUND);
	assert_int_equal(fixture->vm.pauses, 1);
	assert_int_equal(fixture->vm.resumes, 1);
	json_decref(answers);
	assert_null(ask(state, "[{\"jsonrpc\":\"2.0\",\"method\":\"vm.resume\"}]"));
}

static void an_id_of_more_than_1024_bytes_is_refused(void **state)
{
	char text[1200];

	(void)snprintf(text, sizeof(text),
		       "{\"jsonrpc\":\"2.0\",\"method\":\"vm.info\",\"id\":\"%*s\"}",
		       JSONRPC_MAX_ID_BYTES + 1, "x");
	assert_error(ask(state, text), API_ERROR_INVALID_REQUEST, "null");
	(void)snprintf(text, sizeof(text),
		       "{\"jsonrpc\":\"2.0\",\"method\":\"vm.info\",\"id\":\"%*s\"}",
		       JSONRPC_MAX_ID_BYTES, "x");
	json_decref(ask(state, text));
}

/* @head, @unit as often as said, @tail */
static char *repeat(const char *head, const char *unit, size_t times, const char *tail)
{
	struct strbuf text;

	strbuf_init(&text, 64 * MIB_BYTES);
	strbuf_append(&text, head, strlen(head));
	for (size_t i = 0; i < times; i++)
		strbuf_append(&text, unit, strlen(unit));
	strbuf_append(&text, tail, strlen(tail));
	return strbuf_take(&text);
}

/* Steals @message. Hostile text is refused at once, and nothing was done. */
static void assert_refused_quickly(void **state, char *message, int code)
{
	struct fixture *fixture = *state;
	uint64_t start_ns = clock_now_ns();

	assert_non_null(message);
	assert_error(ask(state, message), code, "null");
	assert_true(clock_now_ns() - start_ns < NS_PER_S);
	assert_int_equal(fixture->vm.pauses, 0);
	free(message);
}

static void js01_nesting_of_100000_is_a_parse_error(void **state)
{
	assert_refused_quickly(state, repeat("", "[", 100000, ""), API_ERROR_PARSE);
	assert_refused_quickly(state, repeat("", "{\"a\":", 100000, "1"), API_ERROR_PARSE);
	assert_refused_quickly(
		state,
		repeat("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.pause\",\"params\":", "[", 64,
		       "]}"),
		API_ERROR_PARSE);
}

static void js01_nesting_of_64_is_allowed(void **state)
{
	char *open = repeat(
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.pause\",\"params\":", "[", 63, "");
	char *message = repeat(open, "]", 63, "}");

	assert_error(ask(state, message), API_ERROR_INVALID_PARAMS, "1");
	free(open);
	free(message);
}

static void js02_a_number_of_a_million_digits_is_a_parse_error(void **state)
{
	assert_refused_quickly(state,
			       repeat("{\"jsonrpc\":\"2.0\",\"method\":\"vm.pause\",\"id\":", "9",
				      1000000, "}"),
			       API_ERROR_PARSE);
}

static void js02_1e999_is_a_parse_error(void **state)
{
	assert_refused_quickly(state,
			       strdup("{\"jsonrpc\":\"2.0\",\"method\":\"vm.pause\",\"id\":1e999}"),
			       API_ERROR_PARSE);
	assert_refused_quickly(
		state,
		strdup("{\"jsonrpc\":\"2.0\",\"method\":\"vm.pause\",\"id\":18446744073709551616}"),
		API_ERROR_PARSE);
}

static void js05_invalid_utf8_and_lone_surrogates_are_parse_errors(void **state)
{
	static const char *const bad[] = { "\xff",	     "\xc0\xaf",
					   "\xed\xa0\x80",   "\xf4\x90\x80\x80",
					   "\\ud800",	     "\\udc00",
					   "\\ud800\\u0041", "\xe2\x82" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_refused_quickly(
			state,
			repeat("{\"jsonrpc\":\"2.0\",\"method\":\"vm.pause\",\"id\":\"", bad[i], 1,
			       "\"}"),
			API_ERROR_PARSE);
}

static void js06_duplicate_keys_are_a_parse_error(void **state)
{
	assert_refused_quickly(state,
			       strdup("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.info\","
				      "\"method\":\"vm.pause\"}"),
			       API_ERROR_PARSE);
}

static void js06_nul_is_a_parse_error(void **state)
{
	static const char raw[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.pause\0\"}";

	assert_error(answer_to(*state, raw, sizeof(raw) - 1), API_ERROR_PARSE, "null");
	assert_refused_quickly(state,
			       strdup("{\"jsonrpc\":\"2.0\",\"id\":\"\\u0000\","
				      "\"method\":\"vm.pause\"}"),
			       API_ERROR_PARSE);
}

static void js08_a_batch_of_100000_is_refused_whole(void **state)
{
	static const char call[] = ",{\"jsonrpc\":\"2.0\",\"method\":\"vm.pause\"}";

	/* So many values are not even read (JSON_STRICT_VALUES). */
	assert_refused_quickly(state, repeat("[1", call, 100000, "]"), API_ERROR_PARSE);
	assert_refused_quickly(state, repeat("[1", call, JSONRPC_MAX_BATCH, "]"),
			       API_ERROR_TOO_LARGE);
}

static void js08_a_batch_of_64_is_done(void **state)
{
	static const char call[] = ",{\"jsonrpc\":\"2.0\",\"method\":\"vm.pause\"}";
	char *message = repeat("[1", call, JSONRPC_MAX_BATCH - 1, "]");
	struct fixture *fixture = *state;
	json_t *answers = ask(state, message);

	assert_int_equal(json_array_size(answers), 1);
	assert_int_equal(fixture->vm.pauses, JSONRPC_MAX_BATCH - 1);
	json_decref(answers);
	free(message);
}

/* Bytes that are nearly right reach the deepest code. */
static void damaged_messages_are_answered_with_json_or_not_at_all(void **state)
{
	static const char good[] = "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.memory.set\","
				   "\"params\":{\"balloon_bytes\":4096}},{\"jsonrpc\":\"2.0\","
				   "\"method\":\"vm.info\",\"params\":[]}]";
	struct test_random random = test_random_start();

	for (int round = 0; round < 20000; round++) {
		char text[sizeof(good)];
		size_t len = 1 + test_random_below(&random, sizeof(good) - 1);

		memcpy(text, good, sizeof(text));
		for (uint64_t hits = test_random_below(&random, 4); hits > 0; hits--)
			text[test_random_below(&random, len)] = (char)test_random_next(&random);
		json_decref(answer_to(*state, text, len));
	}
}

/* --- frames ---------------------------------------------------------------------------------- */

static void a_frame_gives_messages_however_the_bytes_come(void **state)
{
	static const char stream[] = "one\n\ntwo and more\nthree\n";
	static const char *const wanted[] = { "one", "", "two and more", "three" };

	(void)state;
	for (size_t step = 1; step <= sizeof(stream); step++) {
		struct frame frame = { 0 };
		size_t seen = 0, len;
		const char *message;

		for (size_t at = 0; at < sizeof(stream) - 1; at += step) {
			size_t left = sizeof(stream) - 1 - at;

			assert_int_equal(
				frame_append(&frame, stream + at, left < step ? left : step), 0);
			while (frame_next(&frame, &message, &len) == 1) {
				assert_int_equal(len, strlen(wanted[seen]));
				assert_memory_equal(message, wanted[seen], len);
				seen++;
			}
		}
		assert_int_equal(seen, ARRAY_LEN(wanted));
		assert_null(frame.bytes); /* an idle connection holds no buffer */
		frame_fini(&frame);
	}
}

static void a_frame_of_one_mib_passes_and_one_byte_more_does_not(void **state)
{
	char *bytes = calloc(1, FRAME_MAX_BYTES + 2);
	struct frame frame = { 0 };
	const char *message;
	size_t len;

	(void)state;
	memset(bytes, 'x', FRAME_MAX_BYTES + 1);
	bytes[FRAME_MAX_BYTES] = '\n';
	assert_int_equal(frame_append(&frame, bytes, FRAME_MAX_BYTES + 1), 0);
	assert_int_equal(frame_next(&frame, &message, &len), 1);
	assert_int_equal(len, FRAME_MAX_BYTES);
	frame_fini(&frame);

	bytes[FRAME_MAX_BYTES] = 'x';
	assert_int_equal(frame_append(&frame, bytes, FRAME_MAX_BYTES), 0);
	assert_int_equal(frame_next(&frame, &message, &len), 0);
	assert_int_equal(frame_append(&frame, bytes, 1), 0);
	assert_int_equal(frame_next(&frame, &message, &len), -EMSGSIZE);
	frame_fini(&frame);
	free(bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_answered_with_its_id_and_result),
		TEST(a_request_without_id_is_done_and_never_answered),
		TEST(what_is_no_request_is_refused_with_a_reason),
		TEST(what_is_no_json_is_a_parse_error),
		TEST(an_empty_line_is_nothing),
		TEST(errors_of_the_api_keep_their_code),
		TEST(a_failure_whose_words_are_no_utf8_is_still_answered),
		TEST(an_id_of_more_than_1024_bytes_is_refused),
		TEST(a_batch_is_answered_call_by_call_without_its_notifications),
		TEST(js01_nesting_of_100000_is_a_parse_error),
		TEST(js01_nesting_of_64_is_allowed),
		TEST(js02_a_number_of_a_million_digits_is_a_parse_error),
		TEST(js02_1e999_is_a_parse_error),
		TEST(js05_invalid_utf8_and_lone_surrogates_are_parse_errors),
		TEST(js06_duplicate_keys_are_a_parse_error),
		TEST(js06_nul_is_a_parse_error),
		TEST(js08_a_batch_of_100000_is_refused_whole),
		TEST(js08_a_batch_of_64_is_done),
		TEST(damaged_messages_are_answered_with_json_or_not_at_all),
		TEST(a_frame_gives_messages_however_the_bytes_come),
		TEST(a_frame_of_one_mib_passes_and_one_byte_more_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
