/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_list.c - vm.list, as a client reads it: what is written by hand is the JSON that it should be. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "host/definition.h"
#include "host/host_internal.h"
#include "rpc/jsonrpc.h"
#include "../support/testing.h"

enum { VMS = 7 };

/* A client of a daemon that has a roster and nothing else. */
struct rig {
	struct host host;
	struct jsonrpc_pool pool;
	struct jsonrpc rpc; /* what was sent is in its pool's owner: this rig */
	json_t *answer;
	unsigned answers, written;
};

static struct rig *rig_of(struct jsonrpc *rpc)
{
	return (struct rig *)((char *)rpc - offsetof(struct rig, rpc));
}

static void keep(struct jsonrpc *rpc, json_t *answer, int fd)
{
	struct rig *rig = rig_of(rpc);

	assert_int_equal(fd, -1);
	json_decref(rig->answer);
	rig->answer = answer;
	rig->answers++;
}

static void keep_written(struct jsonrpc *rpc, api_write write, void *ctx)
{
	struct strbuf text;
	json_t *answer;

	strbuf_init(&text, MIB_BYTES);
	write(ctx, &text);
	assert_false(text.failed);
	answer = json_loadb(text.text, text.len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(answer);
	strbuf_fini(&text);
	keep(rpc, answer, -1);
	rig_of(rpc)->written++;
}

static void pass(struct jsonrpc *rpc)
{
	(void)rpc;
}

static struct hosted *add_vm(struct rig *rig, const char *name, const char *tier)
{
	struct definition definition;
	json_t *config = json_pack("{s:s, s:{s:s, s:s}}", "name", name, "memory", "maximum", "64M",
				   "pages", "4K");
	json_t *labels = json_pack("{s:s}", "tier", tier);
	struct err err = { 0 };
	struct hosted *vm;

	if (definition_make(&definition, config, labels, &err) < 0)
		fail_msg("%s", err.text);
	vm = roster_add(&rig->host, &definition, false);
	assert_non_null(vm);
	definition_fini(&definition);
	json_decref(config);
	json_decref(labels);
	return vm;
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	rig->host.backend = (struct api_backend){ .set = &api_host_set,
						  .handlers = host_handlers,
						  .ctx = &rig->host };
	rig->rpc = (struct jsonrpc){ .backend = &rig->host.backend,
				     .pool = &rig->pool,
				     .send = keep,
				     .send_by = keep_written,
				     .on_room = pass };
	for (unsigned i = VMS; i-- > 0;) {
		char name[16];

		(void)snprintf(name, sizeof(name), "vm-%u", i);
		(void)add_vm(rig, name, i % 2 ? "odd" : "even");
	}
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	jsonrpc_leave(&rig->rpc);
	jsonrpc_pool_fini(&rig->pool);
	roster_fini(&rig->host);
	json_decref(rig->answer);
	free(rig);
	return 0;
}

static json_t *ask(struct rig *rig, const char *params)
{
	char text[512];
	unsigned answers = rig->answers;

	(void)snprintf(text, sizeof(text),
		       "{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"method\":\"vm.list\",\"params\":%s}",
		       params);
	assert_int_equal(jsonrpc_take(&rig->rpc, text, strlen(text)), 0);
	assert_int_equal(rig->answers, answers + 1);
	assert_string_equal(json_string_value(json_object_get(rig->answer, "id")), "7");
	assert_string_equal(json_string_value(json_object_get(rig->answer, "jsonrpc")), "2.0");
	return json_object_get(rig->answer, "result");
}

/* "vm-0 vm-1" */
static const char *names(const json_t *result)
{
	static char text[256];
	const json_t *rows = json_object_get(result, "vms");

	text[0] = '\0';
	for (size_t i = 0; i < json_array_size(rows); i++) {
		(void)strcat(text, i ? " " : "");
		(void)strcat(text,
			     json_string_value(json_object_get(json_array_get(rows, i), "name")));
	}
	return text;
}

static void a_row_is_what_is_known_of_the_vm(void **state)
{
	struct rig *rig = *state;
	struct hosted *vm = host_find(&rig->host, "vm-3");
	const json_t *rows, *row;
	json_t *expected;

	vm->restarts = 4;
	(void)json_object_set_new(vm->definition.config, "cpus", json_integer(2));
	vm->definition.autostart = true;
	vm->definition.restart = HOSTED_RESTART_ON_FAILURE;
	(void)snprintf(vm->reason, sizeof(vm->reason), "said \"%s\"\n", "no");
	rows = json_object_get(ask(rig, "{}"), "vms");
	assert_int_equal(rig->written, 1);
	assert_int_equal(json_array_size(rows), VMS);
	row = json_array_get(rows, 3);
	expected = json_pack("{s:s, s:s, s:s, s:s, s:{s:s}, s:b, s:s, s:i, s:b, s:i}", "name",
			     "vm-3", "uuid", vm->definition.uuid, "state", "stopped", "reason",
			     "said \"no\"\n", "labels", "tier", "odd", "autostart", 1, "restart",
			     "on-failure", "restarts", 4, "transient", 0, "cpus", 2);
	assert_true(json_equal(row, expected));
	json_decref(expected);
}

/* What a VM says of itself is cut at so many bytes. The row was missing then. */
static void a_reason_that_was_cut_within_a_character_hides_no_vm(void **state)
{
	struct rig *rig = *state;
	struct hosted *vm = host_find(&rig->host, "vm-0");

	(void)snprintf(vm->reason, sizeof(vm->reason), "caf\xc3");
	assert_string_equal(names(ask(rig, "{\"limit\":1}")), "vm-0");
}

static void usage_is_told_as_it_is_now(void **state)
{
	struct rig *rig = *state;
	struct hosted *vm = host_find(&rig->host, "vm-1");
	struct strbuf text;
	struct api_usage usage = { 0 };

	strbuf_init(&text, MIB_BYTES);
	for (unsigned round = 0; round < 3; round++) {
		json_t *read, *expected;

		if (round > 0)
			api_usage_put(&usage, API_USAGE_demand_bytes, round * GIB_BYTES);
		if (round == 2)
			api_usage_put(&usage, API_USAGE_resets, 0);
		hosted_set_usage(vm, &usage);
		for (unsigned again = 0; again < 2; again++) {
			text.len = 0;
			hosted_write_usage(vm, &text);
			read = json_loadb(text.text, text.len, 0, NULL);
			expected = api_usage_to_json(&usage);
			assert_true(json_equal(read, expected));
			json_decref(read);
			json_decref(expected);
		}
	}
	strbuf_fini(&text);
}

static void parts_of_a_list_make_the_whole(void **state)
{
	struct rig *rig = *state;
	const json_t *result = ask(rig, "{\"limit\":3}");

	assert_string_equal(names(result), "vm-0 vm-1 vm-2");
	assert_true(json_is_true(json_object_get(result, "more")));
	result = ask(rig, "{\"limit\":3,\"after\":\"vm-2\"}");
	assert_string_equal(names(result), "vm-3 vm-4 vm-5");
	assert_true(json_is_true(json_object_get(result, "more")));
	/* The last one may be forgotten meanwhile. */
	result = ask(rig, "{\"limit\":3,\"after\":\"vm-5-that-was\"}");
	assert_string_equal(names(result), "vm-6");
	assert_true(json_is_false(json_object_get(result, "more")));
	result = ask(rig, "{\"after\":\"vm-6\"}");
	assert_string_equal(names(result), "");
	assert_null(json_object_get(result, "more"));
	result = ask(rig, "{\"limit\":2,\"selector\":\"tier=odd\"}");
	assert_string_equal(names(result), "vm-1 vm-3");
	assert_true(json_is_true(json_object_get(result, "more")));
	result = ask(rig, "{\"limit\":2,\"selector\":\"tier=odd\",\"after\":\"vm-3\"}");
	assert_string_equal(names(result), "vm-5");
	assert_true(json_is_false(json_object_get(result, "more")));
}

static void what_cannot_be_asked_is_refused(void **state)
{
	struct rig *rig = *state;

	assert_null(ask(rig, "{\"limit\":0}"));
	assert_null(ask(rig, "{\"selector\":\"\"}"));
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(rig->answer, "error"), "code")),
		API_ERROR_INVALID_PARAMS);
}

static void a_list_in_a_batch_is_a_list(void **state)
{
	static const char text[] =
		"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.list\"},"
		"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"vm.list\",\"params\":{\"limit\":1}},"
		"{\"jsonrpc\":\"2.0\",\"method\":\"vm.list\"}]";
	struct rig *rig = *state;
	const json_t *one, *other;

	assert_int_equal(jsonrpc_take(&rig->rpc, text, strlen(text)), 0);
	assert_int_equal(rig->answers, 1);
	assert_int_equal(json_array_size(rig->answer), 2);
	one = json_array_get(rig->answer, 0);
	other = json_array_get(rig->answer, 1);
	assert_int_equal(json_array_size(json_object_get(json_object_get(one, "result"), "vms")),
			 VMS);
	assert_string_equal(names(json_object_get(other, "result")), "vm-0");
	assert_int_equal(rig->pool.call_count, 0);
}

static void who_does_not_wait_for_it_costs_nothing(void **state)
{
	static const char text[] = "{\"jsonrpc\":\"2.0\",\"method\":\"vm.list\"}";
	struct rig *rig = *state;

	assert_int_equal(jsonrpc_take(&rig->rpc, text, strlen(text)), 0);
	assert_int_equal(rig->answers + rig->written, 0);
	assert_int_equal(rig->pool.call_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_row_is_what_is_known_of_the_vm),
		TEST(a_reason_that_was_cut_within_a_character_hides_no_vm),
		TEST(usage_is_told_as_it_is_now),
		TEST(parts_of_a_list_make_the_whole),
		TEST(what_cannot_be_asked_is_refused),
		TEST(a_list_in_a_batch_is_a_list),
		TEST(who_does_not_wait_for_it_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
