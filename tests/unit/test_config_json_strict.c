/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_config_json_strict.c - what is JSON and what is not; rows JS01-JS08 as far as text goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "config/json_strict.h"

enum { DEPTH = 64 };

struct text {
	const char *bytes;
	size_t len;
};
#define TEXT(literal)                                          \
	{                                                      \
		.bytes = (literal), .len = sizeof(literal) - 1 \
	}

static int parse(const char *bytes, size_t len, struct err *err)
{
	json_t *json = NULL;
	int ret = json_strict_parse(bytes, len, DEPTH, &json, err);

	assert_true((ret == 0) == (json != NULL));
	json_decref(json);
	return ret;
}

static void assert_refused(const char *bytes, size_t len)
{
	struct err err = { 0 };

	if (parse(bytes, len, &err) != -EINVAL)
		fail_msg("accepted: %.60s", bytes);
	assert_string_not_equal(err.text, "");
	for (const char *c = err.text; *c; c++)
		assert_in_range(*c, ' ', '~');
}

/* Our own cases in the manner of a JSON conformance suite: every one must be refused. */
static const struct text refused[] = {
	TEXT(""),
	TEXT(" "),
	TEXT("\xef\xbb\xbf{}"), /* byte order mark */
	TEXT("["),
	TEXT("]"),
	TEXT("{"),
	TEXT("[1"),
	TEXT("[1,"),
	TEXT("[1,]"),
	TEXT("[,1]"),
	TEXT("[1,,2]"),
	TEXT("[1 2]"),
	TEXT("[1]]"),
	TEXT("[1}"),
	TEXT("{]"),
	TEXT("{\"a\"}"),
	TEXT("{\"a\":}"),
	TEXT("{\"a\":1,}"),
	TEXT("{\"a\" 1}"),
	TEXT("{\"a\":1 \"b\":2}"),
	TEXT("{a:1}"),
	TEXT("{'a':1}"),
	TEXT("{1:1}"),
	TEXT("{\"a\":1}{}"),
	TEXT("{} x"),
	TEXT("[] // comment"),
	TEXT("/* comment */ []"),
	TEXT("# comment\n[]"),
	TEXT("nul"),
	TEXT("True"),
	TEXT("truefalse"),
	TEXT("NaN"),
	TEXT("Infinity"),
	TEXT("-"),
	TEXT("-a"),
	TEXT("+1"),
	TEXT("01"),
	TEXT("-01"),
	TEXT("1."),
	TEXT(".5"),
	TEXT("1.e1"),
	TEXT("1e"),
	TEXT("1e+"),
	TEXT("0x10"),
	TEXT("1_000"),
	TEXT("1,5"),
	TEXT("\""),
	TEXT("\"a"),
	TEXT("\"\\\""),
	TEXT("\"\\x41\""),
	TEXT("\"\\u12\""),
	TEXT("\"\\u12g4\""),
	TEXT("\"tab\there\""),
	TEXT("\"line\nbreak\""),
	TEXT("\"escape \x1b[2J\""),
	TEXT("\x1b[2J"),
	TEXT("'a'"),
	TEXT("[\v1]"),
	TEXT("[\f1]"),
	TEXT("[\xc2\xa0]"),
	/* invalid UTF-8: lone continuation, overlong, surrogate, beyond U+10FFFF, cut short */
	TEXT("\"\x80\""),
	TEXT("\"\xc0\xaf\""),
	TEXT("\"\xe0\x80\x80\""),
	TEXT("\"\xed\xa0\x80\""),
	TEXT("\"\xf4\x90\x80\x80\""),
	TEXT("\"\xf8\x88\x80\x80\x80\""),
	TEXT("\"\xe2\x82\""),
	TEXT("\"\xff\""),
	TEXT("\xff"),
	/* surrogates that are alone, in the wrong order, or followed by something else */
	TEXT("\"\\ud800\""),
	TEXT("\"\\udc00\""),
	TEXT("\"\\ud800\\ud800\""),
	TEXT("\"\\udc00\\ud800\""),
	TEXT("\"\\ud800x\""),
	TEXT("\"\\ud800\\n\""),
	/* NUL, raw and escaped, in a value, in a key, after the end */
	TEXT("\"a\0b\""),
	TEXT("\"a\\u0000b\""),
	TEXT("{\"a\\u0000b\":1}"),
	TEXT("{}\0"),
	TEXT("\0{}"),
	TEXT("123\0"),
	TEXT("[1\0]"),
	TEXT("[true\0]"),
	TEXT("{\"a\":null\0,\"b\":1}"),
	TEXT("{\"a\"\0:1}"),
	TEXT("[\0]"),
	TEXT("[\"a\\\0\"]"),
	/* duplicate keys, also when spelled differently */
	TEXT("{\"a\":1,\"a\":1}"),
	TEXT("{\"a\":1,\"\\u0061\":2}"),
	TEXT("[{\"x\":{\"a\":1,\"a\":2}}]"),
	/* numbers that do not fit */
	TEXT("9223372036854775808"),
	TEXT("-9223372036854775809"),
	TEXT("18446744073709551616"),
	TEXT("1e999"),
	TEXT("-1e999"),
};

static const struct text accepted[] = {
	TEXT("{}"),
	TEXT("[]"),
	TEXT(" \t\r\n[ 1 , 2 ] \n"),
	TEXT("null"),
	TEXT("true"),
	TEXT("\"\""),
	TEXT("0"),
	TEXT("-0"),
	TEXT("9223372036854775807"),
	TEXT("-9223372036854775808"),
	TEXT("1.5e-3"),
	TEXT("1E+2"),
	TEXT("[123e-10000000]"),
	TEXT("-0.000000000000000000000000000000000000000000000000000000000000000000000000000001"),
	TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
	TEXT("\"\\ud83d\\ude00 \xf0\x9f\x98\x80 \xe2\x82\xac \x7f\""),
	TEXT("\"[[[[ {{{{ ,,,,\""),
	TEXT("{\"\":0,\"a\":{\"a\":[{\"a\":null}]}}"),
};

static void text_that_is_not_strict_json_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		assert_refused(refused[i].bytes, refused[i].len);
}

static void strict_json_is_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(accepted); i++) {
		struct err err = { 0 };

		if (parse(accepted[i].bytes, accepted[i].len, &err) < 0)
			fail_msg("refused: %s: %s", accepted[i].bytes, err.text);
	}
}

static void every_prefix_of_a_document_is_refused(void **state)
{
	static const char document[] = "{\"jsonrpc\":\"2.0\",\"id\":\"\\ud83d\\ude00\",\"params\":["
				       "true,-1.5e3,{\"a\":[]}]}";

	(void)state;
	for (size_t len = 0; len < sizeof(document) - 1; len++)
		assert_refused(document, len);
	assert_int_equal(parse(document, sizeof(document) - 1, NULL), 0);
}

/* @count times @open, then whatever closes them. */
static char *nested(const char *open, const char *close, size_t count)
{
	char *text = malloc(count * (strlen(open) + strlen(close)) + 2);
	char *end = text;

	assert_non_null(text);
	for (size_t i = 0; i < count; i++)
		end = stpcpy(end, open);
	end = stpcpy(end, "1");
	for (size_t i = 0; i < count; i++)
		end = stpcpy(end, close);
	return text;
}

static int parse_nested(const char *open, const char *close, size_t count, struct err *err)
{
	char *text = nested(open, close, count);
	int ret = parse(text, strlen(text), err);

	free(text);
	return ret;
}

static void nesting_ends_at_the_limit_JS01(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(parse_nested("[", "]", DEPTH, &err), 0);
	assert_int_equal(parse_nested("{\"a\":", "}", DEPTH, &err), 0);
	assert_int_equal(parse_nested("[", "]", DEPTH + 1, &err), -EINVAL);
	assert_non_null(strstr(err.text, "nested too deep"));
	assert_int_equal(parse_nested("{\"a\":", "}", DEPTH + 1, &err), -EINVAL);
	assert_int_equal(parse_nested("[", "]", 100000, &err), -EINVAL);
	assert_int_equal(parse_nested("[", "", 100000, &err), -EINVAL);
	assert_int_equal(parse_nested("{\"a\":", "", 100000, &err), -EINVAL);
}

static void a_number_of_a_million_digits_is_refused_JS02(void **state)
{
	struct err err = { 0 };
	size_t len = 1000000;
	char *text = malloc(len);

	(void)state;
	assert_non_null(text);
	memset(text, '1', len);
	assert_int_equal(parse(text, len, &err), -EINVAL);
	assert_non_null(strstr(err.text, "number too long"));
	memcpy(text, "0.", 2);
	assert_int_equal(parse(text, len, &err), -EINVAL);
	free(text);
}

static void a_number_may_have_128_characters(void **state)
{
	char text[JSON_STRICT_NUMBER_BYTES + 2];
	struct err err = { 0 };

	(void)state;
	memset(text, '0', sizeof(text));
	text[1] = '.';
	assert_int_equal(parse(text, JSON_STRICT_NUMBER_BYTES, &err), 0);
	assert_int_equal(parse(text, JSON_STRICT_NUMBER_BYTES + 1, &err), -EINVAL);
	assert_non_null(strstr(err.text, "number too long"));
}

static void a_document_may_have_65536_values(void **state)
{
	size_t len = 2 * (size_t)JSON_STRICT_VALUES + 1; /* [0,0,...,0] has a bracket and commas */
	char *text = malloc(len + 2);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < len + 2; i++)
		text[i] = i % 2 ? '0' : ',';
	text[0] = '[';
	text[len - 1] = ']';
	assert_int_equal(parse(text, len, NULL), 0);
	text[len - 1] = ',';
	text[len + 1] = ']';
	assert_int_equal(parse(text, len + 2, NULL), -EINVAL);
	memset(text, ' ', len); /* what is no value does not count */
	memcpy(text, "[1]", 3);
	assert_int_equal(parse(text, len, NULL), 0);
	free(text);
}

static void whoever_asked_for_more_values_may_take_them(void **state)
{
	static const char text[] = "[0,[1,2]]"; /* two brackets, two commas */
	struct err err = { 0 };
	json_t *json = NULL;

	(void)state;
	assert_int_equal(json_strict_parse_long(text, strlen(text), DEPTH, 3, &json, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "too many values"));
	assert_int_equal(json_strict_parse_long(text, strlen(text), DEPTH, 4, &json, &err), 0);
	assert_int_equal(json_array_size(json), 2);
	json_decref(json);
}

static void a_flood_of_small_values_is_refused(void **state)
{
	struct err err = { 0 };
	size_t len = MIB_BYTES;
	char *text = malloc(len);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < len; i++)
		text[i] = ",{}"[i % 3];
	text[0] = '[';
	assert_int_equal(parse(text, len, &err), -EINVAL);
	assert_non_null(strstr(err.text, "too many values"));
	free(text);
}

static void a_mistake_has_a_line_and_a_byte(void **state)
{
	static const char text[] = "{\n  \"a\": 1,\n  \"b\": nope\n}\n";
	struct json_place place = { 0 };
	struct err err = { 0 };
	json_t *json = NULL;

	(void)state;
	assert_int_equal(json_strict_parse_at(text, sizeof(text) - 1, DEPTH, &json, &place, &err),
			 -EINVAL);
	assert_int_equal(place.line, 3);
	assert_in_range(place.byte, strlen("{\n  \"a\": 1,\n"), sizeof(text));
	assert_null(json);
}

static void a_limit_that_is_passed_has_a_line_and_a_byte(void **state)
{
	static const char nested_text[] = "{\n \"a\":\n [\n  [\n 1 ] ] }";
	struct json_place place = { 0 };
	char number[200];
	json_t *json;

	(void)state;
	assert_int_equal(json_strict_parse_at(nested_text, sizeof(nested_text) - 1, 2, &json,
					      &place, NULL),
			 -EINVAL);
	assert_int_equal(place.line, 4);
	assert_int_equal(nested_text[place.byte], '[');
	memset(number, '7', sizeof(number));
	memcpy(number, "[\n\n", 3);
	assert_int_equal(json_strict_parse_at(number, sizeof(number), 2, &json, &place, NULL),
			 -EINVAL);
	assert_int_equal(place.line, 3);
	assert_int_equal(place.byte, 3);
	assert_int_equal(json_strict_parse_at("", 0, 2, &json, &place, NULL), -EINVAL);
	assert_int_equal(place.line, 1);
}

static void random_bytes_never_do_harm(void **state)
{
	static const char alphabet[] = "[]{}\",:\\u0d8e-+.1ntf \n\x80\xc3\x00";
	const char *override = getenv("NEAP_SEED");
	unsigned seed = override ? (unsigned)strtoul(override, NULL, 0) : 1;
	char text[64];

	(void)state;
	print_message("seed %u\n", seed);
	for (unsigned round = 0; round < 200000; round++) {
		size_t len = (size_t)rand_r(&seed) % sizeof(text);

		for (size_t i = 0; i < len; i++)
			text[i] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
		(void)parse(text, len, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_that_is_not_strict_json_is_refused),
		cmocka_unit_test(strict_json_is_accepted),
		cmocka_unit_test(every_prefix_of_a_document_is_refused),
		cmocka_unit_test(nesting_ends_at_the_limit_JS01),
		cmocka_unit_test(a_number_of_a_million_digits_is_refused_JS02),
		cmocka_unit_test(a_number_may_have_128_characters),
		cmocka_unit_test(a_document_may_have_65536_values),
		cmocka_unit_test(whoever_asked_for_more_values_may_take_them),
		cmocka_unit_test(a_flood_of_small_values_is_refused),
		cmocka_unit_test(a_mistake_has_a_line_and_a_byte),
		cmocka_unit_test(a_limit_that_is_passed_has_a_line_and_a_byte),
		cmocka_unit_test(random_bytes_never_do_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
