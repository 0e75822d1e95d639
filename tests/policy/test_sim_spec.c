/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_sim_spec.c - the text of a fleet: what it may say, and what is said of what it may not. */
#include "../support/testing.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/units.h"
#include "sim/fleet_spec.h"

static const char good[] = "pool = 16G # of the host\n"
			   "duration=2h\n"
			   "\n"
			   "[web]\n"
			   "count = 3\n"
			   "\tmemory.maximum = 4G\r\n"
			   "pattern = staggered\n"
			   "low = 600M\n"
			   "high = 3G\n"
			   "[idle]\n"
			   "count = 2\n"
			   "memory.maximum = 1G\n"
			   "memory.minimum = 256M\n"
			   "memory.startup = 512M\n"
			   "memory.weight = 0\n"
			   "pattern = idle\n"
			   "low = 100M";

static int parse(const char *text, struct fleet_spec *spec, struct err *err)
{
	return fleet_spec_parse("some/test.fleet", text, strlen(text), spec, err);
}

static void every_key_lands_where_it_belongs_and_the_rest_has_its_default(void **state)
{
	struct fleet_spec spec;
	struct err err = { 0 };

	(void)state;
	if (parse(good, &spec, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(spec.name, "test");
	assert_int_equal(spec.pool_bytes, 16 * GIB_BYTES);
	assert_int_equal(spec.duration_s, 7200);
	assert_int_equal(spec.tick_s, 1);
	assert_int_equal(spec.stats_period_s, 2);
	assert_int_equal(spec.class_count, 2);
	assert_int_equal(fleet_spec_vms(&spec), 5);
	assert_string_equal(spec.classes[0].name, "web");
	assert_int_equal(spec.classes[0].pattern, FLEET_PATTERN_STAGGERED);
	assert_int_equal(spec.classes[0].high_bytes, 3 * GIB_BYTES);
	assert_int_equal(spec.classes[0].settings.buffer_percent, 20);
	assert_int_equal(spec.classes[0].settings.startup_bytes, 4 * GIB_BYTES);
	assert_int_equal(spec.classes[0].settings.minimum_bytes, 512 * MIB_BYTES);
	assert_int_equal(spec.classes[1].settings.weight, 0);
	assert_int_equal(spec.classes[1].high_bytes, spec.classes[1].low_bytes);
}

/* Text that replaces a line of the good spec, by its number, and what must be said. */
static const struct wrong {
	unsigned line;
	const char *text, *said;
} wrongs[] = {
	{ 1, "pool = 16X", "test.fleet:1: pool = \"16X\": write a size" },
	{ 1, "pool = 1M", ":1: pool must be from 64M to 1024T" },
	{ 1, "pool = 99999999999999999999G", ":1: pool must be from" },
	{ 1, "pol = 16G", ":1: there is no key \"pol\" of a fleet" },
	{ 1, "count = 16", ":1: there is no key \"count\" of a fleet" },
	{ 1, "# nothing", ":4: pool is missing" },
	{ 1, "pool", ":1: \"pool\" is neither KEY = VALUE nor [CLASS]" },
	{ 1, "pool = 16G\x1b[31m", ":1: byte 11 is not a printable character" },
	{ 2, "pool = 8G", ":2: pool is there already" },
	{ 2, "duration = 2", ":2: duration = \"2\": write a time" },
	{ 2, "duration = -2h", ":2: duration = \"-2h\": write a time" },
	{ 2, "duration = 18446744073709551615d", ":2: duration must be from 1 to" },
	{ 2, "duration = 2h 3m", ":2: duration = \"2h 3m\": write a time" },
	{ 2, "tick = 0s", ":2: tick must be from 1 to 60 seconds" },
	{ 4, "[web", ":4: a class is written [NAME]" },
	{ 4, "[]", ":4: \"\" is no name of a class" },
	{ 4, "[a/b]", ":4: \"a/b\" is no name of a class" },
	{ 5, "count = 0", ":5: count must be from 1 to 20000" },
	{ 5, "count = 19999", "more than 20000 VMs" },
	{ 5, "count = 0x10", ":5: count = \"0x10\": write a number" },
	{ 6, "memory.maximum = 4097M", "memory.maximum must be a multiple of 2M" },
	{ 6, "memory.weight = 1", "[web]: memory.maximum is missing" },
	{ 7, "pattern = waves", ":7: pattern = \"waves\": write a pattern" },
	{ 8, "low = 3500M", "[web]: low is above high" },
	{ 9, "high = 5G", "[web]: high is above memory.maximum, 4G" },
	{ 10, "[web]", ":10: [web] is there already" },
	{ 13, "memory.minimum = 768M", "memory.minimum" },
};

static void replace_line(unsigned number, const char *with, char *ret_text, size_t text_bytes)
{
	const char *start = good, *end;

	for (unsigned line = 1; line < number; line++)
		start = strchr(start, '\n') + 1;
	end = strchr(start, '\n');
	assert_true((size_t)snprintf(ret_text, text_bytes, "%.*s%s%s", (int)(start - good), good,
				     with, end ? end : "") < text_bytes);
}

static void what_is_wrong_is_said_with_its_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrongs); i++) {
		struct fleet_spec spec = { .pool_bytes = 42 };
		struct err err = { 0 };
		char text[1024];

		replace_line(wrongs[i].line, wrongs[i].text, text, sizeof(text));
		assert_true(parse(text, &spec, &err) < 0);
		if (!strstr(err.text, wrongs[i].said) || !strstr(err.text, "some/test.fleet:"))
			fail_msg("\"%s\" is answered with: %s", wrongs[i].text, err.text);
		assert_int_equal(spec.pool_bytes, 42);
	}
}

static void too_much_is_refused_and_costs_nothing(void **state)
{
	static char text[FLEET_TEXT_BYTES + 2];
	struct fleet_spec spec;
	struct err err = { 0 };
	size_t len = 0;

	(void)state;
	memset(text, '\n', sizeof(text));
	assert_int_equal(fleet_spec_parse("big", text, sizeof(text), &spec, &err), -E2BIG);
	memset(text, 'a', 300);
	assert_int_equal(fleet_spec_parse("long", text, 300, &spec, &err), -E2BIG);
	len = (size_t)snprintf(text, sizeof(text), "pool = 1T\n");
	for (int i = 0; i <= FLEET_CLASSES_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"[c%d]\ncount=1\nmemory.maximum=1G\npattern=idle\nlow=1M\n",
					i);
	assert_int_equal(fleet_spec_parse("many", text, len, &spec, &err), -E2BIG);
	assert_int_equal(fleet_spec_parse("empty", "", 0, &spec, &err), -EINVAL);
	assert_int_equal(fleet_spec_parse("zeros", "pool = 1T\0\n", 11, &spec, &err), -EINVAL);
}

static void every_prefix_is_a_spec_or_a_sentence(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(good); len++) {
		struct fleet_spec spec;
		struct err err = { 0 };
		int ret = fleet_spec_parse("prefix", good, len, &spec, &err);

		assert_true(ret == 0 || (ret < 0 && err.text[0]));
		if (ret == 0)
			assert_in_range(fleet_spec_vms(&spec), 1, FLEET_VMS_MAX);
	}
}

static void any_changed_byte_is_a_spec_or_a_sentence(void **state)
{
	struct test_random random = test_random_start();
	char text[sizeof(good)];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct fleet_spec spec;
		struct err err = { 0 };

		memcpy(text, good, sizeof(good));
		for (int i = 0; i < 3; i++)
			text[test_random_below(&random, sizeof(good) - 1)] =
				(char)test_random_next(&random);
		if (fleet_spec_parse("noise", text, sizeof(good) - 1, &spec, &err) < 0)
			assert_true(err.text[0]);
		else
			assert_true(spec.classes[0].high_bytes <=
				    spec.classes[0].settings.maximum_bytes);
	}
}

static void every_fleet_in_configs_is_built_in(void **state)
{
	DIR *fleets = opendir(NEAP_FLEETS);
	const struct dirent *entry;
	unsigned found = 0;

	(void)state;
	assert_non_null(fleets);
	while ((entry = readdir(fleets))) {
		struct fleet_spec from_file, built_in;
		struct err err = { 0 };
		char path[512], name[64];

		if (!strstr(entry->d_name, ".fleet"))
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", NEAP_FLEETS, entry->d_name);
		(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(entry->d_name, "."),
			       entry->d_name);
		if (fleet_spec_load(path, &from_file, &err) < 0 ||
		    fleet_spec_load(name, &built_in, &err) < 0)
			fail_msg("%s", err.text);
		assert_memory_equal(&from_file, &built_in, sizeof(built_in));
		found++;
	}
	(void)closedir(fleets);
	while (found > 0)
		assert_non_null(fleet_spec_builtin(--found));
}

static void a_list_of_settings_changes_a_fleet_or_a_class(void **state)
{
	struct fleet_spec spec;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(parse(good, &spec, &err), 0);
	assert_int_equal(fleet_spec_set(&spec, "pool=8G, seed = 7,memory.buffer=50", &err), 0);
	assert_int_equal(spec.pool_bytes, 8 * GIB_BYTES);
	assert_int_equal(spec.seed, 7);
	assert_int_equal(spec.classes[0].settings.buffer_percent, 50);
	assert_int_equal(spec.classes[1].settings.buffer_percent, 50);
	assert_int_equal(fleet_spec_set(&spec, "idle.count=9", &err), 0);
	assert_int_equal(fleet_spec_vms(&spec), 12);
	assert_int_equal(fleet_spec_set(&spec, "web.colour=9", &err), -EINVAL);
	assert_string_equal(err.text, "--set: there is no key \"colour\"");
	assert_int_equal(fleet_spec_set(&spec, "pool", &err), -EINVAL);
	assert_int_equal(fleet_spec_set(&spec, "idle.memory.minimum=1000M", &err), -EINVAL);
	assert_non_null(strstr(err.text, "[idle]"));
}

static void a_list_of_settings_changes_one_vm(void **state)
{
	struct fleet_spec spec;
	struct policy_settings *settings = &spec.classes[0].settings;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(parse(good, &spec, &err), 0);
	assert_int_equal(sim_settings_set(settings, "memory.minimum=1G,memory.weight=5", &err), 0);
	assert_int_equal(settings->minimum_bytes, GIB_BYTES);
	assert_int_equal(settings->weight, 5);
	assert_int_equal(sim_settings_set(settings, "low=1G", &err), -EINVAL);
	assert_int_equal(sim_settings_set(settings, "memory.minimum=8G", &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_lands_where_it_belongs_and_the_rest_has_its_default),
		cmocka_unit_test(what_is_wrong_is_said_with_its_line),
		cmocka_unit_test(too_much_is_refused_and_costs_nothing),
		cmocka_unit_test(every_prefix_is_a_spec_or_a_sentence),
		cmocka_unit_test(any_changed_byte_is_a_spec_or_a_sentence),
		cmocka_unit_test(every_fleet_in_configs_is_built_in),
		cmocka_unit_test(a_list_of_settings_changes_a_fleet_or_a_class),
		cmocka_unit_test(a_list_of_settings_changes_one_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
