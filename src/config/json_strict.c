/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* json_strict.c - see json_strict.h.
 *
 * Two passes. The first counts brackets, values and the length of numbers, because the
 * second, jansson, recurses per bracket and reads numbers of any length. jansson then does the
 * grammar, UTF-8, surrogates, duplicate keys and trailing bytes. A NUL byte is found by the first
 * pass, too: jansson 2.14 passes over one that follows a number or a word. The first pass need not know the
 * grammar: on text that is not JSON it may count too much or too little after the first mistake,
 * but never more brackets deep than what jansson would recurse into before that mistake.
 */
#include "config/json_strict.h"

#include <errno.h>
#include <stdbool.h>

static int fail(struct json_place *ret_place, unsigned line, size_t byte, struct err *err,
		const char *what)
{
	*ret_place = (struct json_place){ .line = line, .byte = byte };
	return err_set(err, -EINVAL, "%s", what);
}

/* A mistake quotes what it stands near; nothing of it may steer a terminal or break UTF-8. */
static void make_printable(struct err *err)
{
	if (!err)
		return;
	for (char *c = err->text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

static bool is_number_byte(char c)
{
	return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* The byte after the string that opens at @at, or @len. */
static size_t skip_string(const char *bytes, size_t len, size_t at)
{
	for (at++; at < len && bytes[at] != '"'; at++)
		if (bytes[at] == '\\')
			at++;
	return at < len ? at + 1 : len;
}

static size_t skip_number(const char *bytes, size_t len, size_t at)
{
	while (at < len && is_number_byte(bytes[at]))
		at++;
	return at;
}

static int scan_limits(const char *bytes, size_t len, unsigned max_depth, unsigned max_values,
		       struct json_place *ret_place, struct err *err)
{
	unsigned line = 1;
	unsigned depth = 0;
	unsigned values = 0;

	for (size_t at = 0; at < len;) {
		size_t start = at;

		if (bytes[at] == '"') {
			at = skip_string(bytes, len, at);
			continue;
		}
		if (is_number_byte(bytes[at])) {
			at = skip_number(bytes, len, at);
			if (at - start > JSON_STRICT_NUMBER_BYTES)
				return fail(ret_place, line, start, err, "number too long");
			continue;
		}
		if (bytes[at] == '\0')
			return fail(ret_place, line, at, err, "a NUL byte");
		if (bytes[at] == '\n')
			line++;
		if ((bytes[at] == '[' || bytes[at] == '{' || bytes[at] == ',') &&
		    values++ == max_values)
			return fail(ret_place, line, at, err, "too many values");
		if ((bytes[at] == '[' || bytes[at] == '{') && depth++ == max_depth)
			return fail(ret_place, line, at, err, "nested too deep");
		if ((bytes[at] == ']' || bytes[at] == '}') && depth > 0)
			depth--;
		at++;
	}
	return 0;
}

static int parse_within(const char *untrusted_bytes, size_t len, unsigned max_depth,
			unsigned max_values, json_t **ret_json, struct json_place *ret_place,
			struct err *err)
{
	json_error_t mistake;
	json_t *json;

	if (len == 0)
		return fail(ret_place, 1, 0, err, "empty");
	if (scan_limits(untrusted_bytes, len, max_depth, max_values, ret_place, err) < 0)
		return -EINVAL;
	json = json_loadb(untrusted_bytes, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &mistake);
	if (!json) {
		bool is_nul = json_error_code(&mistake) == json_error_null_character;

		(void)fail(ret_place, mistake.line > 0 ? (unsigned)mistake.line : 1,
			   mistake.position > 0 ? (size_t)mistake.position : 0, err,
			   is_nul ? "a NUL in a string" : mistake.text);
		make_printable(err);
		return -EINVAL;
	}
	*ret_json = json;
	return 0;
}

int json_strict_parse_at(const char *untrusted_bytes, size_t len, unsigned max_depth,
			 json_t **ret_json, struct json_place *ret_place, struct err *err)
{
	return parse_within(untrusted_bytes, len, max_depth, JSON_STRICT_VALUES, ret_json,
			    ret_place, err);
}

int json_strict_parse_long(const char *untrusted_bytes, size_t len, unsigned max_depth,
			   unsigned max_values, json_t **ret_json, struct err *err)
{
	struct json_place place;
	int ret = parse_within(untrusted_bytes, len, max_depth, max_values, ret_json, &place, err);

	if (ret < 0 && err)
		return err_wrap(err, "not JSON at byte %zu", place.byte);
	return ret;
}

int json_strict_parse(const char *untrusted_bytes, size_t len, unsigned max_depth,
		      json_t **ret_json, struct err *err)
{
	return json_strict_parse_long(untrusted_bytes, len, max_depth, JSON_STRICT_VALUES, ret_json,
				      err);
}
