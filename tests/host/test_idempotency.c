/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_idempotency.c - requests that are sent twice are done once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "host/idempotency.h"
#include "../support/testing.h"

static const struct api_verb_row create_row = { .method = "vm.create" };
static const struct api_verb_row start_row = { .method = "vm.start" };

/* What came of a request. */
struct client {
	struct api_request request; /* first */
	int outcome;		    /* 0: nothing yet; 1: answered; else the error */
	json_t *result;
};

static void answered(struct api_request *request, json_t *result, int fd)
{
	struct client *client = (struct client *)request;

	(void)fd;
	assert_int_equal(client->outcome, 0);
	client->outcome = 1;
	client->result = result;
}

static void failed(struct api_request *request, int code, const char *sentence)
{
	struct client *client = (struct client *)request;

	(void)sentence;
	assert_int_equal(client->outcome, 0);
	client->outcome = code;
}

static struct client *client_of(const struct api_verb_row *verb, const char *params)
{
	struct client *client = calloc(1, sizeof(*client));

	assert_non_null(client);
	client->request = (struct api_request){ .verb = verb,
						.params = json_loads(params, 0, NULL),
						.answer = answered,
						.fail = failed };
	assert_non_null(client->request.params);
	return client;
}

static void free_client(struct client *client)
{
	json_decref(client->request.params);
	json_decref(client->result);
	free(client);
}

/* The handler: counts, and does what it was told. */
static int work_outcome;
static unsigned work_count;
static struct api_request *work_request;

static int work(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)ctx;
	work_count++;
	work_request = request;
	if (work_outcome == 0)
		*ret_result = json_pack("{s:i}", "n", (int)work_count);
	else if (work_outcome != API_LATER)
		(void)err_set(err, -EIO, "it went wrong");
	return work_outcome;
}

static int run(struct idempotency *table, struct client *client)
{
	struct err err = { 0 };
	int code = idempotency_run(table, work, NULL, &client->request, &client->result, &err);

	if (code != API_LATER)
		client->outcome = code == 0 ? 1 : code;
	assert_true(code == 0 || code == API_LATER || err.text[0]);
	return code;
}

static json_int_t number(const struct client *client)
{
	assert_int_equal(client->outcome, 1);
	return json_integer_value(json_object_get(client->result, "n"));
}

static int start(void **state)
{
	*state = idempotency_create();
	work_outcome = 0;
	work_count = 0;
	return *state ? 0 : -1;
}

static int end(void **state)
{
	idempotency_destroy(*state);
	return 0;
}

#define KEYED(n) "{\"idempotency_key\": \"k\", \"config\": {\"a\": " n ", \"b\": 2}}"

static void the_same_request_is_done_once(void **state)
{
	struct client *first = client_of(&create_row, KEYED("1"));
	struct client *second = client_of(&create_row, "{\"config\": {\"b\": 2, \"a\": 1}, "
						       "\"idempotency_key\": \"k\"}");

	assert_int_equal(run(*state, first), 0);
	assert_int_equal(run(*state, second), 0);
	assert_int_equal(work_count, 1);
	assert_int_equal(number(second), 1);
	free_client(first);
	free_client(second);
}

static void without_a_key_all_are_done(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		struct client *client = client_of(&create_row, "{}");

		assert_int_equal(run(*state, client), 0);
		free_client(client);
	}
	assert_int_equal(work_count, 3);
}

static void a_key_is_for_one_request_only(void **state)
{
	struct client *first = client_of(&create_row, KEYED("1"));
	struct client *other = client_of(&create_row, KEYED("2"));
	struct client *verb = client_of(&start_row, KEYED("1"));

	assert_int_equal(run(*state, first), 0);
	assert_int_equal(run(*state, other), API_ERROR_KEY_REUSED);
	assert_int_equal(run(*state, verb), API_ERROR_KEY_REUSED);
	assert_int_equal(work_count, 1);
	free_client(first);
	free_client(other);
	free_client(verb);
}

static void who_comes_while_it_is_on_its_way_waits_for_the_same_answer(void **state)
{
	struct client *first = client_of(&create_row, KEYED("1"));
	struct client *second = client_of(&create_row, KEYED("1"));
	struct client *third = client_of(&create_row, KEYED("1"));

	work_outcome = API_LATER;
	assert_int_equal(run(*state, first), API_LATER);
	assert_int_equal(run(*state, second), API_LATER);
	assert_int_equal(work_count, 1);
	assert_ptr_equal(work_request, &first->request);
	work_request->answer(work_request, json_pack("{s:i}", "n", 7), -1);
	assert_int_equal(number(first), 7);
	assert_int_equal(number(second), 7);
	assert_int_equal(run(*state, third), 0);
	assert_int_equal(number(third), 7);
	free_client(first);
	free_client(second);
	free_client(third);
}

static void what_failed_did_nothing_and_may_be_tried_again(void **state)
{
	struct client *first = client_of(&create_row, KEYED("1"));
	struct client *second = client_of(&create_row, KEYED("1"));
	struct client *third = client_of(&create_row, KEYED("1"));

	work_outcome = API_LATER;
	assert_int_equal(run(*state, first), API_LATER);
	assert_int_equal(run(*state, second), API_LATER);
	(work_request->fail)(work_request, API_ERROR_NO_MEMORY, "no room");
	assert_int_equal(first->outcome, API_ERROR_NO_MEMORY);
	assert_int_equal(second->outcome, API_ERROR_NO_MEMORY);
	work_outcome = API_ERROR_STATE;
	assert_int_equal(run(*state, third), API_ERROR_STATE);
	third->outcome = 0;
	work_outcome = 0;
	assert_int_equal(run(*state, third), 0);
	assert_int_equal(work_count, 3);
	free_client(first);
	free_client(second);
	free_client(third);
}

static void a_key_is_text_of_a_sensible_length(void **state)
{
	char long_key[400], params[512];
	struct client *empty = client_of(&create_row, "{\"idempotency_key\": \"\"}");
	struct client *longer;

	memset(long_key, 'k', sizeof(long_key));
	long_key[IDEMPOTENCY_KEY_BYTES + 1] = '\0';
	(void)snprintf(params, sizeof(params), "{\"idempotency_key\": \"%s\"}", long_key);
	longer = client_of(&create_row, params);
	assert_int_equal(run(*state, empty), API_ERROR_INVALID_PARAMS);
	assert_int_equal(run(*state, longer), API_ERROR_INVALID_PARAMS);
	assert_int_equal(work_count, 0);
	free_client(empty);
	free_client(longer);
}

static void only_the_newest_keys_are_kept_and_none_that_is_on_its_way(void **state)
{
	struct client *waits = client_of(&create_row, "{\"idempotency_key\": \"waits\"}");
	struct api_request *waiting;
	char params[64];
	struct client *client;

	work_outcome = API_LATER;
	assert_int_equal(run(*state, waits), API_LATER);
	waiting = work_request;
	work_outcome = 0;
	for (unsigned i = 0; i < 5000; i++) {
		(void)snprintf(params, sizeof(params), "{\"idempotency_key\": \"%u\"}", i);
		client = client_of(&create_row, params);
		assert_int_equal(run(*state, client), 0);
		free_client(client);
	}
	client = client_of(&create_row, "{\"idempotency_key\": \"0\"}");
	assert_int_equal(run(*state, client), 0);
	assert_int_equal(work_count, 5002); /* forgotten: done again */
	free_client(client);
	client = client_of(&create_row, "{\"idempotency_key\": \"4999\"}");
	assert_int_equal(run(*state, client), 0);
	assert_int_equal(work_count, 5002);
	free_client(client);
	waiting->answer(waiting, json_pack("{s:i}", "n", 1), -1);
	assert_int_equal(number(waits), 1);
	free_client(waits);
}

static void large_answers_are_kept_within_bounds(void **state)
{
	struct client *client;
	char *text = malloc(MIB_BYTES + 1);
	char params[64];

	assert_non_null(text);
	memset(text, 'x', MIB_BYTES);
	text[MIB_BYTES] = '\0';
	work_outcome = API_LATER;
	for (unsigned i = 0; i < 8; i++) {
		(void)snprintf(params, sizeof(params), "{\"idempotency_key\": \"%u\"}", i);
		client = client_of(&create_row, params);
		assert_int_equal(run(*state, client), API_LATER);
		work_request->answer(work_request, json_pack("{s:s}", "text", text), -1);
		free_client(client);
	}
	for (unsigned i = 0; i < 8; i++) {
		(void)snprintf(params, sizeof(params), "{\"idempotency_key\": \"%u\"}", i);
		client = client_of(&create_row, params);
		if (run(*state, client) == API_LATER)
			(work_request->fail)(work_request, API_ERROR_STATE, "again");
		free_client(client);
	}
	assert_in_range(work_count, 8 + 5, 8 + 8); /* at most four were still known */
	free(text);
}

static void answers_of_an_earlier_daemon_are_known(void **state)
{
	struct client *client = client_of(&create_row, KEYED("1"));
	struct idempotency_key key = { 0 };
	json_t *file = json_object();

	idempotency_key_set(&key, &client->request);
	idempotency_key_to_json(&key, file);
	idempotency_key_from_json(&key, file);
	assert_string_equal(key.text, "k");
	idempotency_remember(*state, &key, json_pack("{s:i}", "n", 42));
	idempotency_key_fini(&key);
	json_decref(file);
	assert_int_equal(run(*state, client), 0);
	assert_int_equal(work_count, 0);
	assert_int_equal(number(client), 42);
	free_client(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_same_request_is_done_once),
		TEST(without_a_key_all_are_done),
		TEST(a_key_is_for_one_request_only),
		TEST(who_comes_while_it_is_on_its_way_waits_for_the_same_answer),
		TEST(what_failed_did_nothing_and_may_be_tried_again),
		TEST(a_key_is_text_of_a_sensible_length),
		TEST(only_the_newest_keys_are_kept_and_none_that_is_on_its_way),
		TEST(large_answers_are_kept_within_bounds),
		TEST(answers_of_an_earlier_daemon_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
