/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The embedded guest's words and numbers, on the host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bare/text.h"

static void a_line_is_composed_and_cut_off(void **state)
{
	char bytes[24];
	struct text text = { .bytes = bytes, .capacity = sizeof(bytes) };

	(void)state;
	text_add(&text, "%s=%lu,%x,%d%c", "a", UINT64_MAX, 0xbeefU, -7, '!');
	assert_string_equal(bytes, "a=18446744073709551615,");
	assert_int_equal(text.len, sizeof(bytes) - 1);
}

static void numbers_and_signs_come_out_whole(void **state)
{
	char bytes[64];
	struct text text = { .bytes = bytes, .capacity = sizeof(bytes) };

	(void)state;
	text_add(&text, "%d %u %lx %d", -2147483647 - 1, 0U, UINT64_C(0xd0000000), 7);
	assert_string_equal(bytes, "-2147483648 0 d0000000 7");
}

static void words_and_commands_are_cut_in_place(void **state)
{
	char line[] = "  fill \t64M 7 ; verify;;exit";
	char *script = line, *command = text_next_command(&script);

	(void)state;
	assert_string_equal(text_next_word(&command), "fill");
	assert_string_equal(text_next_word(&command), "64M");
	assert_string_equal(text_next_word(&command), "7");
	assert_null(text_next_word(&command));
	assert_string_equal(text_next_command(&script), " verify");
	assert_string_equal(text_next_command(&script), "");
	assert_string_equal(text_next_command(&script), "exit");
	assert_null(text_next_command(&script));
}

static void sizes_have_units_and_limits(void **state)
{
	static const struct {
		const char *word;
		bool good;
		uint64_t bytes;
	} rows[] = {
		{ "0", true, 0 },
		{ "4096", true, 4096 },
		{ "64M", true, UINT64_C(64) << 20 },
		{ "64m", true, UINT64_C(64) << 20 },
		{ "3G", true, UINT64_C(3) << 30 },
		{ "1T", true, UINT64_C(1) << 40 },
		{ "0x10K", true, 16 << 10 },
		{ "18446744073709551615", true, UINT64_MAX },
		{ "18446744073709551616", false, 0 },
		{ "17179869184G", false, 0 },
		{ "", false, 0 },
		{ "M", false, 0 },
		{ "64X", false, 0 },
		{ "64MB", false, 0 },
		{ "-1", false, 0 },
		{ "0x", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t bytes = 1;

		assert_int_equal(text_to_bytes(rows[i].word, &bytes), rows[i].good);
		assert_int_equal(bytes, rows[i].good ? rows[i].bytes : 1);
	}
}

static void plain_numbers_take_no_unit(void **state)
{
	uint64_t value = 9;

	(void)state;
	assert_false(text_to_u64("1K", &value));
	assert_int_equal(value, 9);
	assert_true(text_to_u64("0xff", &value));
	assert_int_equal(value, 255);
}

static void options_are_found_by_whole_name_and_number(void **state)
{
	const char *cmdline =
		"xrun=no virtio_mmio.device=512@0xd0000000:16 run=\"fill 1M; verify\" "
		"virtio_mmio.device=512@0xd0001000:17 run";
	char value[32];

	(void)state;
	assert_true(text_option(cmdline, "run", 0, value, sizeof(value)));
	assert_string_equal(value, "fill 1M; verify");
	assert_true(text_option(cmdline, "virtio_mmio.device", 1, value, sizeof(value)));
	assert_string_equal(value, "512@0xd0001000:17");
	assert_false(text_option(cmdline, "virtio_mmio.device", 2, value, sizeof(value)));
	assert_false(text_option(cmdline, "ru", 0, value, sizeof(value)));
	assert_false(text_option(cmdline, "run", 0, value, 4));
}

static void flags_are_words_without_a_value(void **state)
{
	(void)state;
	assert_true(text_flag("quiet", "quiet"));
	assert_true(text_flag("echo=on  quiet run=stat", "quiet"));
	assert_true(text_flag("run=\"echo a\" quiet ", "quiet"));
	assert_false(text_flag("", "quiet"));
	assert_false(text_flag("quieter unquiet quie quiet=1", "quiet"));
	assert_false(text_flag("run=\"echo quiet please\"", "quiet"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_composed_and_cut_off),
		cmocka_unit_test(numbers_and_signs_come_out_whole),
		cmocka_unit_test(words_and_commands_are_cut_in_place),
		cmocka_unit_test(sizes_have_units_and_limits),
		cmocka_unit_test(plain_numbers_take_no_unit),
		cmocka_unit_test(options_are_found_by_whole_name_and_number),
		cmocka_unit_test(flags_are_words_without_a_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
