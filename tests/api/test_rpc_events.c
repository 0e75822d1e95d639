/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_rpc_events.c - events of a server that keeps the last of them: who gets which, and what a client
 * that was away has missed. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon.h"
#include "base/units.h"

enum { A, B, VM_COUNT };
static const char *const names[VM_COUNT] = { "a", "b" };
static const char *const uuids[VM_COUNT] = { "11111111-1111-4111-8111-111111111111",
					     "22222222-2222-4222-8222-222222222222" };

static void publish(struct daemon *daemon, int vm, const char *kind)
{
	rpc_server_publish_of(daemon->server, vm < 0 ? NULL : names[vm], vm < 0 ? NULL : uuids[vm],
			      kind, NULL);
}

static void publish_long(struct daemon *daemon, size_t len)
{
	char *text = malloc(len);

	memset(text, 'x', len);
	rpc_server_publish_of(daemon->server, "a", uuids[A], "vm.state",
			      json_pack("{s:s#}", "reason", text, (int)len));
	free(text);
}

/* The answer, to be freed. */
static json_t *subscribe(struct daemon *daemon, int fd, const char *params)
{
	char text[256];
	json_t *answer, *result;

	(void)snprintf(text, sizeof(text),
		       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"events.subscribe\","
		       "\"params\":%s}\n",
		       params);
	daemon_say(daemon, fd, text);
	answer = daemon_hear(daemon, fd);
	result = json_incref(json_object_get(answer, "result"));
	json_decref(answer);
	return result;
}

static void assert_subscribed(struct daemon *daemon, int fd, const char *params, json_int_t seq,
			      json_int_t oldest, json_int_t missed)
{
	json_t *result = subscribe(daemon, fd, params);

	assert_int_equal(daemon_int(result, NULL, "seq"), seq);
	assert_int_equal(daemon_int(result, NULL, "oldest"), oldest);
	assert_int_equal(daemon_int(result, NULL, "missed"), missed);
	/* Numbers before the first of this daemon need not have been given. */
	assert_int_equal(json_is_true(json_object_get(result, "missed_is_bound")),
			 missed > 0 && oldest - missed < DAEMON_FIRST_SEQ);
	json_decref(result);
}

/* The number of the next event; 0: the connection was closed. */
static json_int_t hear_seq(struct daemon *daemon, int fd)
{
	json_t *event = daemon_hear(daemon, fd);
	json_int_t seq = event ? daemon_int(event, "params", "seq") : 0;

	json_decref(event);
	return seq;
}

static const char *param(const json_t *event, const char *name)
{
	return json_string_value(json_object_get(json_object_get(event, "params"), name));
}

static void an_event_says_its_number_its_times_its_kind_and_its_vm(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);
	unsigned year, month, day, hour, minute, second, ms;
	json_t *event;

	assert_subscribed(daemon, fd, "{}", 100, 0, 0);
	publish(daemon, A, "vm.state");
	event = daemon_hear(daemon, fd);
	assert_int_equal(daemon_int(event, "params", "seq"), 101);
	assert_true(daemon_int(event, "params", "time_ns") > 0);
	assert_string_equal(param(event, "kind"), "vm.state");
	assert_string_equal(param(event, "vm"), "a");
	assert_string_equal(param(event, "uuid"), uuids[A]);
	assert_int_equal(sscanf(param(event, "time"), "%4u-%2u-%2uT%2u:%2u:%2u.%3uZ", &year, &month,
				&day, &hour, &minute, &second, &ms),
			 7);
	assert_true(year >= 2000 && month <= 12 && day <= 31 && hour < 24 && minute < 60);
	json_decref(event);
	publish(daemon, -1, "host.pool");
	event = daemon_hear(daemon, fd);
	assert_int_equal(daemon_int(event, "params", "seq"), 102);
	assert_null(param(event, "vm"));
	assert_null(param(event, "uuid"));
	json_decref(event);
	assert_int_equal(rpc_server_next_seq(daemon->server), 103);
	(void)close(fd);
}

static void a_subscription_can_name_kinds_and_vms(void **state)
{
	struct daemon *daemon = *state;
	int by_name = daemon_connect(daemon->path), by_uuid = daemon_connect(daemon->path);
	int by_kind = daemon_connect(daemon->path), none = daemon_connect(daemon->path);

	assert_subscribed(daemon, by_name, "{\"vms\":[\"a\",\"zz\"]}", 100, 0, 0);
	assert_subscribed(daemon, by_uuid, "{\"vms\":[\"22222222-2222-4222-8222-222222222222\"]}",
			  100, 0, 0);
	assert_subscribed(daemon, by_kind, "{\"kinds\":[\"host.pool\",\"vm.reset\"]}", 100, 0, 0);
	assert_subscribed(daemon, none, "{\"vms\":[]}", 100, 0, 0);
	publish(daemon, A, "vm.state");	  /* 101 */
	publish(daemon, B, "vm.state");	  /* 102 */
	publish(daemon, -1, "host.pool"); /* 103 */
	publish(daemon, B, "vm.reset");	  /* 104 */
	assert_int_equal(hear_seq(daemon, by_name), 101);
	assert_int_equal(hear_seq(daemon, by_uuid), 102);
	assert_int_equal(hear_seq(daemon, by_uuid), 104);
	assert_int_equal(hear_seq(daemon, by_kind), 103);
	assert_int_equal(hear_seq(daemon, by_kind), 104);
	daemon_assert_silent(daemon, by_name);
	daemon_assert_silent(daemon, by_uuid);
	daemon_assert_silent(daemon, by_kind);
	daemon_assert_silent(daemon, none);
	(void)close(by_name);
	(void)close(by_uuid);
	(void)close(by_kind);
	(void)close(none);
}

static void the_server_knows_whether_anybody_listens(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path), other = daemon_connect(daemon->path);

	assert_false(rpc_server_has_subscriber(daemon->server, "vm.state"));
	json_decref(subscribe(daemon, fd, "{\"kinds\":[\"vm.state\"]}"));
	json_decref(subscribe(daemon, other, "{\"kinds\":[\"vm.state\",\"vm.reset\"]}"));
	assert_true(rpc_server_has_subscriber(daemon->server, "vm.state"));
	assert_false(rpc_server_has_subscriber(daemon->server, "memory.statistics"));
	assert_false(rpc_server_has_subscriber(daemon->server, "no such thing"));
	json_decref(subscribe(daemon, other, "{\"kinds\":[\"vm.reset\"]}")); /* instead */
	(void)close(fd);
	for (int i = 0; i < 5; i++)
		daemon_turn(daemon);
	assert_false(rpc_server_has_subscriber(daemon->server, "vm.state"));
	json_decref(subscribe(daemon, other, "{}"));
	assert_true(rpc_server_has_subscriber(daemon->server, "memory.statistics"));
	(void)close(other);
	for (int i = 0; i < 5; i++)
		daemon_turn(daemon);
	assert_false(rpc_server_has_subscriber(daemon->server, "memory.statistics"));
}

static void what_was_missed_comes_first_and_then_the_rest(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);

	for (int i = 0; i < 10; i++)
		publish(daemon, i % VM_COUNT, "vm.state"); /* 101 .. 110 */
	assert_subscribed(daemon, fd, "{\"after\":104,\"vms\":[\"b\"]}", 110, 101, 0);
	publish(daemon, B, "vm.state"); /* 111 */
	for (json_int_t seq = 106; seq <= 110; seq += 2)
		assert_int_equal(hear_seq(daemon, fd), seq);
	assert_int_equal(hear_seq(daemon, fd), 111);
	daemon_assert_silent(daemon, fd);
	(void)close(fd);
}

static void what_is_kept_no_more_is_counted(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);

	for (int i = 0; i < DAEMON_EVENTS_KEPT + 20; i++)
		publish(daemon, A, "vm.state"); /* 101 .. 170, kept are 121 .. 170 */
	assert_subscribed(daemon, fd, "{\"after\":110}", 170, 121, 10);
	for (json_int_t seq = 121; seq <= 170; seq++)
		assert_int_equal(hear_seq(daemon, fd), seq);
	/* Nothing is missed by who knows the last, or one of the future. */
	assert_subscribed(daemon, fd, "{\"after\":170}", 170, 121, 0);
	assert_subscribed(daemon, fd, "{\"after\":9223372036854775807}", 170, 121, 0);
	assert_subscribed(daemon, fd, "{\"after\":100}", 170, 121, 20);
	assert_int_equal(hear_seq(daemon, fd), 121);
	(void)close(fd);
	fd = daemon_connect(daemon->path);
	assert_subscribed(daemon, fd, "{\"after\":99}", 170, 121, 21);
	assert_int_equal(hear_seq(daemon, fd), 121);
	(void)close(fd);
	fd = daemon_connect(daemon->path);
	assert_subscribed(daemon, fd, "{\"after\":0}", 170, 121, 120);
	assert_int_equal(hear_seq(daemon, fd), 121);
	(void)close(fd);
}

static void long_events_are_kept_in_a_bounded_number_of_bytes(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);

	for (int i = 0; i < DAEMON_EVENTS_KEPT; i++)
		publish_long(daemon, MIB_BYTES);
	/* 8 MiB, so 7 events and something. */
	assert_subscribed(daemon, fd, "{\"after\":140}", 150, 144, 3);
	for (json_int_t seq = 144; seq <= 150; seq++)
		assert_int_equal(hear_seq(daemon, fd), seq);
	(void)close(fd);
}

static void a_client_that_does_not_read_what_it_missed_is_dropped(void **state)
{
	struct daemon *daemon = *state;
	int slow = daemon_connect(daemon->path);
	json_int_t seq, last = 100;

	for (int i = 0; i < 40; i++)
		publish_long(daemon, 100 * KIB_BYTES);
	json_decref(subscribe(daemon, slow, "{\"after\":100}"));
	for (int i = 0; i < 20; i++)
		daemon_turn(daemon);
	/* The ring forgets what it was to get next. Memory held for it: what it had asked for. */
	for (int i = 0; i < 60; i++)
		publish_long(daemon, 1);
	daemon_assert_alive(daemon);
	while ((seq = hear_seq(daemon, slow)) != 0)
		assert_int_equal(seq, ++last); /* no gap before the end */
	assert_true(last > 100 && last < 150);
	(void)close(slow);
}

static void a_subscriber_may_have_said_its_last_word(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);

	json_decref(subscribe(daemon, fd, "{}"));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	daemon_assert_silent(daemon, fd);
	publish(daemon, A, "vm.state");
	assert_int_equal(hear_seq(daemon, fd), 101);
	(void)close(fd);
	for (int i = 0; i < 5; i++)
		daemon_turn(daemon);
	assert_int_equal(rpc_server_connections(daemon->server), 0);
}

static void a_subscription_that_makes_no_sense_changes_nothing(void **state)
{
	static const char *const bad[] = { "{\"kinds\":[\"vm.sate\"]}", "{\"after\":-1}",
					   "{\"after\":\"1\"}", "{\"vms\":[1]}" };
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);

	json_decref(subscribe(daemon, fd, "{\"kinds\":[\"vm.state\"]}"));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_null(subscribe(daemon, fd, bad[i]));
	publish(daemon, A, "vm.reset");
	publish(daemon, A, "vm.state");
	assert_int_equal(hear_seq(daemon, fd), 102);
	(void)close(fd);
}

static void a_subscription_names_at_most_4096_vms(void **state)
{
	struct daemon *daemon = *state;
	int fd = daemon_connect(daemon->path);
	json_t *vms = json_array(), *answer, *request;
	char *text;

	for (int i = 0; i <= 4096; i++)
		(void)json_array_append_new(vms, json_string("x"));
	request = json_pack("{s:s, s:i, s:s, s:{s:o}}", "jsonrpc", "2.0", "id", 1, "method",
			    "events.subscribe", "params", "vms", vms);
	text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	daemon_say(daemon, fd, text);
	daemon_say(daemon, fd, "\n");
	answer = daemon_hear(daemon, fd);
	assert_int_equal(daemon_int(answer, "error", "code"), API_ERROR_INVALID_PARAMS);
	json_decref(answer);
	free(text);
	(void)close(fd);
}

/* A client that comes and goes as it likes, against the plain list of what was published. */
static void who_comes_back_in_time_misses_nothing_and_hears_nothing_twice(void **state)
{
	static const char *const kinds[] = { "vm.state", "vm.reset", "host.pool" };
	struct test_random random = test_random_start();
	struct daemon *daemon = *state;
	json_int_t last = 100, wanted[20000];
	unsigned count = 0, heard = 0;
	int fd = -1;

	for (int round = 0; round < 2000; round++) {
		char params[80];

		for (uint64_t more = test_random_below(&random, 4); more > 0; more--) {
			uint64_t kind = test_random_below(&random, ARRAY_LEN(kinds));
			int vm = kind == 2 ? -1 : (int)test_random_below(&random, VM_COUNT);

			if (kind != 1)
				wanted[count++] = (json_int_t)rpc_server_next_seq(daemon->server);
			publish(daemon, vm, kinds[kind]);
		}
		if (fd < 0 && test_random_below(&random, 3) == 0) {
			fd = daemon_connect(daemon->path);
			(void)snprintf(params, sizeof(params),
				       "{\"kinds\":[\"vm.state\",\"host.pool\"],\"after\":%d}",
				       (int)last);
			json_decref(subscribe(daemon, fd, params));
		}
		while (fd >= 0 && heard < count && test_random_below(&random, 6) > 0) {
			last = hear_seq(daemon, fd);
			assert_int_equal(last, wanted[heard++]);
		}
		/* It may fall behind, but not by more than what is kept. */
		if (fd >= 0 && count - heard < 10 && test_random_below(&random, 8) == 0) {
			(void)close(fd);
			fd = -1;
		}
	}
	assert_true(heard > 1000);
	if (fd >= 0)
		(void)close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, daemon_set_up, daemon_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_event_says_its_number_its_times_its_kind_and_its_vm),
		TEST(a_subscription_can_name_kinds_and_vms),
		TEST(the_server_knows_whether_anybody_listens),
		TEST(what_was_missed_comes_first_and_then_the_rest),
		TEST(what_is_kept_no_more_is_counted),
		TEST(long_events_are_kept_in_a_bounded_number_of_bytes),
		TEST(a_client_that_does_not_read_what_it_missed_is_dropped),
		TEST(a_subscriber_may_have_said_its_last_word),
		TEST(a_subscription_that_makes_no_sense_changes_nothing),
		TEST(a_subscription_names_at_most_4096_vms),
		TEST(who_comes_back_in_time_misses_nothing_and_hears_nothing_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
