/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_options.c - flags, and "did you mean". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/units.h"
#include "config/options.h"
#include "config/suggest.h"

enum { ARGS = 16 };

/* "a b c" as arguments; a word may not contain a space. */
static int parse(struct vm_config *config, const char *line, int *ret_used, struct err *err)
{
	CLEANUP(free_text)
	char *copy = strdup(line);
	char *argv[ARGS + 1] = { NULL };
	char *rest = copy;
	int argc = 0;
	char *word;

	while (argc < ARGS && (word = strsep(&rest, " ")))
		argv[argc++] = word;
	return vm_config_parse_flags(config, argc, argv, ret_used, err);
}

static void parse_ok(struct vm_config *config, const char *line)
{
	struct err err = { 0 };
	int used;

	vm_config_init(config);
	if (parse(config, line, &used, &err) < 0)
		fail_msg("%s: %s", line, err.text);
}

static void assert_refused(const char *line, const char *sentence)
{
	CLEANUP(vm_config_fini)
	struct vm_config config;
	struct err err = { 0 };
	int used = -7;

	vm_config_init(&config);
	assert_true(parse(&config, line, &used, &err) < 0);
	assert_string_equal(err.text, sentence);
	assert_int_equal(used, -7);
}

static void values_follow_after_a_space_or_an_equals_sign(void **state)
{
	CLEANUP(vm_config_fini)
	struct vm_config a;
	CLEANUP(vm_config_fini)
	struct vm_config b;

	(void)state;
	parse_ok(&a, "--memory 2G --cpus 2 --pages 4K --name web --cmdline a=b,c --on-reset stop");
	parse_ok(&b, "--memory=2G --cpus=2 --pages=4K --name=web --cmdline=a=b,c --on-reset=stop");
	assert_true(a.memory.maximum_bytes == 2 * GIB_BYTES &&
		    b.memory.maximum_bytes == 2 * GIB_BYTES);
	assert_true(a.cpus == 2 && b.cpus == 2);
	assert_true(a.memory.pages == VM_PAGES_4K && b.memory.pages == VM_PAGES_4K);
	assert_string_equal(a.name, "web");
	assert_string_equal(b.name, "web");
	assert_string_equal(a.boot.cmdline, "a=b,c");
	assert_string_equal(b.boot.cmdline, "a=b,c");
	assert_true(a.on_reset == VM_ON_RESET_STOP && b.on_reset == VM_ON_RESET_STOP);
}

static void booleans_may_stand_alone_be_negated_or_have_a_value(void **state)
{
	static const struct {
		const char *line;
		bool reserve;
		bool rng;
	} cases[] = {
		{ "--rng", false, true },
		{ "--reserve", true, true },
		{ "--reserve --no-rng", true, false },
		{ "--reserve=on --rng=off", true, false },
		{ "--reserve on --rng off", true, false },
		{ "--reserve yes --rng false", true, false },
		{ "--reserve true --rng no", true, false },
		{ "--reserve --no-reserve", false, true },
		{ "--no-reserve --reserve", true, true },
		{ "--reserve kernel", true, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(vm_config_fini)
		struct vm_config config;

		parse_ok(&config, cases[i].line);
		assert_int_equal(config.memory.reserve, cases[i].reserve);
		assert_int_equal(config.rng, cases[i].rng);
	}
}

static void a_groups_flag_takes_its_other_keys(void **state)
{
	CLEANUP(vm_config_fini)
	struct vm_config config;

	(void)state;
	parse_ok(&config, "--memory 4G,pages=4K,reserve=on "
			  "--balloon stats_period=5,free_page_reporting=off,size=1G");
	assert_true(config.memory.maximum_bytes == 4 * GIB_BYTES);
	assert_int_equal(config.memory.pages, VM_PAGES_4K);
	assert_true(config.memory.reserve);
	assert_true(config.balloon.enabled);
	assert_int_equal(config.balloon.stats_period_s, 5);
	assert_false(config.balloon.free_page_reporting);
	assert_true(config.balloon.target_bytes == GIB_BYTES);
}

static void a_group_led_by_a_boolean_takes_all_its_forms(void **state)
{
	static const struct {
		const char *line;
		bool enabled;
		uint64_t period_s;
	} cases[] = {
		{ "--balloon", true, 1 },
		{ "--balloon off", false, 1 },
		{ "--balloon=off", false, 1 },
		{ "--no-balloon", false, 1 },
		{ "--balloon on,stats_period=7", true, 7 },
		{ "--balloon off,stats_period=7", false, 7 },
		{ "--balloon stats_period=7", true, 7 },
		{ "--balloon=stats_period=7", true, 7 },
		{ "--balloon --memory 64M", true, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(vm_config_fini)
		struct vm_config config;

		parse_ok(&config, cases[i].line);
		assert_int_equal(config.balloon.enabled, cases[i].enabled);
		assert_int_equal(config.balloon.stats_period_s, cases[i].period_s);
	}
}

static void reading_stops_at_the_first_word_that_is_no_flag(void **state)
{
	CLEANUP(vm_config_fini)
	struct vm_config config;
	struct err err = { 0 };
	int used = 0;

	(void)state;
	vm_config_init(&config);
	assert_int_equal(parse(&config, "--cpus 2 extra --cpus 3", &used, &err), 0);
	assert_int_equal(used, 2);
	assert_int_equal(config.cpus, 2);
	assert_int_equal(parse(&config, "--cpus 4 -- --cpus 5", &used, &err), 0);
	assert_int_equal(used, 3);
	assert_int_equal(config.cpus, 4);
	assert_int_equal(parse(&config, "- --cpus 5", &used, &err), 0);
	assert_int_equal(used, 0);
}

static void a_wrong_flag_suggests_the_right_one(void **state)
{
	(void)state;
	assert_refused("--memroy 2G", "unknown flag \"--memroy\"; did you mean --memory?");
	assert_refused("--cpu=2", "unknown flag \"--cpu\"; did you mean --cpus?");
	assert_refused("--mem 2G", "unknown flag \"--mem\"; did you mean --memory?");
	assert_refused("-memory 2G", "unknown flag \"-memory\"; did you mean --memory?");
	assert_refused("--kernal x", "unknown flag \"--kernal\"; did you mean --kernel?");
	assert_refused("--on_reset stop", "unknown flag \"--on_reset\"; did you mean --on-reset?");
	assert_refused("--conf x", "unknown flag \"--conf\"; did you mean --config?");
	assert_refused("--nam x", "unknown flag \"--nam\"; did you mean --name?");
	assert_refused("--on-rng", "unknown flag \"--on-rng\"");
	assert_refused("--no-", "unknown flag \"--no-\"");
	assert_refused("--xyzzy", "unknown flag \"--xyzzy\"");
	assert_refused("--no-cpus", "unknown flag \"--no-cpus\"");
	assert_refused("-x", "unknown flag \"-x\"");
}

static void wrong_values_name_their_flag(void **state)
{
	(void)state;
	assert_refused("--memory 3X", "--memory: \"3X\" is not a size; write one like 512M or 2G");
	assert_refused("--memory 1M", "--memory: must be from 16M to 1023G");
	assert_refused("--memory", "--memory: needs a value: SIZE");
	assert_refused("--memory=", "--memory: \"\" is not a size; write one like 512M or 2G");
	assert_refused("--memory 4G,page=4K",
		       "--memory: unknown key \"page\"; did you mean pages?");
	assert_refused("--memory 4G,4K", "--memory: \"4K\" is not KEY=VALUE");
	assert_refused("--memory 4G,pages=1G", "--memory: pages: \"1G\" is not one of 2M|4K");
	assert_refused("--memory 4G,", "--memory: \"\" is not KEY=VALUE");
	assert_refused("--balloon=maybe", "--balloon: \"maybe\" is neither on nor off");
	assert_refused("--cpus two", "--cpus: \"two\" is not a number");
	assert_refused("--cpus 2x", "--cpus: \"2x\" is not a number");
	assert_refused("--cpus 0", "--cpus: must be from 1 to 1024");
	assert_refused("--cpus 99999999999999999999", "--cpus: must be from 1 to 1024");
	assert_refused("--console tty", "--console: \"tty\" is not one of serial|virtio");
	assert_refused("--no-rng=on", "--no-rng: takes no value");
	assert_refused("--kernel=", "--kernel: is empty");
	assert_refused("--kernel a\tb", "--kernel: has a control character at byte 1");
	assert_refused("--cmdline \xff", "--cmdline: is not UTF-8");
	assert_refused("--config /nonexistent",
		       "/nonexistent: cannot open it: No such file or directory");
}

static void flags_win_over_the_file_whatever_the_order(void **state)
{
	char path[] = "/tmp/neap-test-options-XXXXXX";
	static const char text[] = "{\"cpus\":8,\"name\":\"file\",\"memory\":{\"maximum\":\"1G\"}}";
	CLEANUP(close_fd)
	int fd = mkostemp(path, O_CLOEXEC);

	(void)state;
	assert_int_equal(fd_write_full(fd, text, sizeof(text) - 1), 0);
	for (unsigned file_first = 0; file_first < 2; file_first++) {
		CLEANUP(vm_config_fini)
		struct vm_config config;
		char line[128];

		(void)snprintf(line, sizeof(line), "%s%s --cpus 2 --memory pages=4K%s%s",
			       file_first ? "--config " : "--rng", file_first ? path : "",
			       file_first ? "" : " --config ", file_first ? "" : path);
		parse_ok(&config, line);
		assert_int_equal(config.cpus, 2);
		assert_string_equal(config.name, "file");
		assert_true(config.memory.maximum_bytes == GIB_BYTES);
		assert_int_equal(config.memory.pages, VM_PAGES_4K);
	}
	(void)unlink(path);
}

static void paths_are_made_absolute(void **state)
{
	CLEANUP(vm_config_fini)
	struct vm_config config;
	CLEANUP(free_text)
	char *here = getcwd(NULL, 0);
	CLEANUP(free_text)
	char *expected = NULL;

	(void)state;
	assert_true(asprintf(&expected, "%s/vmlinuz", here) > 0);
	parse_ok(&config, "--kernel vmlinuz --initrd /boot/initrd");
	assert_string_equal(config.boot.kernel_path, expected);
	assert_string_equal(config.boot.initrd_path, "/boot/initrd");
}

static void one_flag_at_a_time_leaves_the_callers_own_flags_alone(void **state)
{
	CLEANUP(vm_config_fini)
	struct vm_config config;
	char *own[] = { (char *)"--detach", NULL };
	char *ours[] = { (char *)"--cpus", (char *)"3", NULL };
	struct err err = { 0 };
	int used = 0;

	(void)state;
	vm_config_init(&config);
	assert_int_equal(vm_config_parse_flag(&config, 1, own, &used, &err), -ENOENT);
	assert_string_equal(err.text, "");
	assert_int_equal(vm_config_parse_flag(&config, 2, ours, &used, &err), 0);
	assert_int_equal(used, 2);
	assert_int_equal(config.cpus, 3);
}

static const char *nearest(const char *wrong, const char *const *right)
{
	struct suggest suggest = suggest_start(wrong);

	for (; *right; right++)
		suggest_offer(&suggest, *right);
	return suggest.best;
}

static void the_nearest_word_is_found_and_nothing_when_none_is_near(void **state)
{
	static const char *const words[] = { "memory", "maximum", "minimum", "cpus", "rng", NULL };

	(void)state;
	assert_string_equal(nearest("memory", words), "memory");
	assert_string_equal(nearest("memroy", words), "memory");
	assert_string_equal(nearest("mimimum", words), "minimum");
	assert_string_equal(nearest("max", words), "maximum");
	assert_string_equal(nearest("cpsu", words), "cpus");
	assert_string_equal(nearest("rgn", words), "rng");   /* a swap is one mistake */
	assert_string_equal(nearest("cpxx", words), "cpus"); /* two in four letters, */
	assert_null(nearest("cpx", words));		     /* one in three */
	assert_string_equal(nearest("mi", words), "minimum");
	assert_null(nearest("m", words));
	assert_null(nearest("", words));
	assert_null(nearest("x", words));
	assert_null(nearest("completely", words));
	assert_null(nearest("memorymemorymemorymemorymemorymemorymemory", words));
}

static void quoted_text_cannot_steer_a_terminal(void **state)
{
	char quoted[QUOTE_BYTES];

	(void)state;
	assert_string_equal(quote_text("a\x1b[2J\n\xc3\xa9", quoted), "\"a?[2J???\"");
	assert_string_equal(quote_text("", quoted), "\"\"");
	(void)quote_text("0123456789012345678901234567890123456789012345678901234567890", quoted);
	assert_true(strlen(quoted) < QUOTE_BYTES);
	assert_string_equal(quoted + strlen(quoted) - 4, "...\"");
	for (size_t len = 40; len < 60; len++) {
		char text[64] = { 0 };

		memset(text, 'x', len);
		(void)quote_text(text, quoted);
		assert_true(strlen(quoted) < QUOTE_BYTES && quoted[strlen(quoted) - 1] == '"');
	}
}

static void no_two_options_share_a_key_or_a_flag(void **state)
{
	const struct option_row *rows;
	size_t count;

	(void)state;
	rows = option_table(&count);
	for (size_t i = 0; i < count; i++) {
		assert_ptr_equal(option_by_key(rows[i].key, strlen(rows[i].key)), &rows[i]);
		if (rows[i].flag)
			assert_ptr_equal(option_by_flag(rows[i].flag, strlen(rows[i].flag)),
					 &rows[i]);
		assert_int_equal(rows[i].help[strlen(rows[i].help) - 1], '.');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_follow_after_a_space_or_an_equals_sign),
		cmocka_unit_test(booleans_may_stand_alone_be_negated_or_have_a_value),
		cmocka_unit_test(a_groups_flag_takes_its_other_keys),
		cmocka_unit_test(a_group_led_by_a_boolean_takes_all_its_forms),
		cmocka_unit_test(reading_stops_at_the_first_word_that_is_no_flag),
		cmocka_unit_test(a_wrong_flag_suggests_the_right_one),
		cmocka_unit_test(wrong_values_name_their_flag),
		cmocka_unit_test(flags_win_over_the_file_whatever_the_order),
		cmocka_unit_test(paths_are_made_absolute),
		cmocka_unit_test(one_flag_at_a_time_leaves_the_callers_own_flags_alone),
		cmocka_unit_test(the_nearest_word_is_found_and_nothing_when_none_is_near),
		cmocka_unit_test(quoted_text_cannot_steer_a_terminal),
		cmocka_unit_test(no_two_options_share_a_key_or_a_flag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
