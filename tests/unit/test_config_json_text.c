/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_config_json_text.c - what is written straight into text is the JSON that jansson would read. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "config/json_strict.h"
#include "config/json_text.h"
#include "../support/testing.h"

enum { ROUNDS = 20000, BYTES_MAX = 24 };

static struct strbuf new_text(void)
{
	struct strbuf text;

	strbuf_init(&text, MIB_BYTES);
	return text;
}

/* As the project's own strict reader has it, which knows what is UTF-8; freed by the caller. */
static json_t *read_back(struct strbuf *text)
{
	json_t *json = NULL;
	struct err err = { 0 };

	assert_false(text->failed);
	if (json_strict_parse(text->text, text->len, 2, &json, &err) < 0)
		fail_msg("%s: %s", text->text, err.text);
	strbuf_fini(text);
	return json;
}

static void assert_string(const char *given, const char *expected)
{
	struct strbuf text = new_text();
	json_t *json;

	json_text_string(&text, given);
	json = read_back(&text);
	assert_string_equal(json_string_value(json), expected);
	json_decref(json);
}

static void what_was_cut_or_is_no_utf8_is_mended(void **state)
{
	static const struct {
		const char *given, *expected;
	} rows[] = {
		{ "", "" },
		{ "web", "web" },
		{ "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "caf\xc3", "caf?" },
		{ "\xe2\x82\xac \xe2\x82", "\xe2\x82\xac ??" },
		{ "\xa9"
		  "a\xff",
		  "?a?" },
		{ "\xed\xa0\x80", "???" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[32];

		(void)snprintf(text, sizeof(text), "%s", rows[i].given);
		json_text_mend(text);
		assert_string_equal(text, rows[i].expected);
	}
}

static void a_string_comes_back_as_it_was(void **state)
{
	static const char *const same[] = {
		"",
		"guest-1",
		"\"quoted\" and \\",
		"a\nb\tc\x01\x1f\x7f",
		"caf\xc3\xa9",
		"\xe2\x82\xac",
		"\xef\xbf\xbd",
		"\xf0\x9f\x8c\x8a tide",
		"\xf4\x8f\xbf\xbf",
		"\xed\x9f\xbf",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		assert_string(same[i], same[i]);
}

static void what_is_no_utf8_is_shown_as_such(void **state)
{
	(void)state;
	assert_string("cut caf\xc3", "cut caf\xef\xbf\xbd");
	assert_string("\xff"
		      "a",
		      "\xef\xbf\xbd"
		      "a");
	assert_string("\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd");
	assert_string("\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"); /* too long for what it is */
	assert_string("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* a surrogate */
	assert_string("\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

/* Whatever the bytes are: the reader takes it, and what was UTF-8 is the same. */
static void any_bytes_make_a_string(void **state)
{
	struct test_random random = test_random_start();

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		char given[BYTES_MAX + 1] = "";
		size_t len = test_random_below(&random, BYTES_MAX);
		struct strbuf text = new_text();
		json_t *json, *whole;

		for (size_t i = 0; i < len; i++)
			given[i] = (char)(test_random_below(&random, 255) + 1);
		json_text_string(&text, given);
		json = read_back(&text);
		whole = json_string(given);
		if (whole)
			assert_string_equal(json_string_value(json), given);
		json_decref(whole);
		json_decref(json);
	}
}

static void integers_and_words_are_written_whole(void **state)
{
	static const uint64_t values[] = { 0, 7, 10, 4096, INT64_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct strbuf text = new_text();
		json_t *json;

		json_text_integer(&text, values[i]);
		json = read_back(&text);
		assert_int_equal(json_integer_value(json), values[i]);
		json_decref(json);
	}
	for (int value = 0; value < 2; value++) {
		struct strbuf text = new_text();
		json_t *json;

		json_text_boolean(&text, value);
		json = read_back(&text);
		assert_true(value ? json_is_true(json) : json_is_false(json));
	}
}

static void a_value_is_written_as_jansson_does(void **state)
{
	struct strbuf text = new_text();
	json_t *value = json_pack("{s:[i, s, n], s:b}", "a", 1, "\"", "b", 1), *json;

	(void)state;
	json_text_value(&text, value);
	json = read_back(&text);
	assert_true(json_equal(json, value));
	json_decref(json);
	json_decref(value);
	strbuf_init(&text, 4); /* no room for it */
	value = json_string("longer than that");
	json_text_value(&text, value);
	assert_true(text.failed);
	json_decref(value);
	strbuf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_cut_or_is_no_utf8_is_mended),
		cmocka_unit_test(a_string_comes_back_as_it_was),
		cmocka_unit_test(what_is_no_utf8_is_shown_as_such),
		cmocka_unit_test(any_bytes_make_a_string),
		cmocka_unit_test(integers_and_words_are_written_whole),
		cmocka_unit_test(a_value_is_written_as_jansson_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
