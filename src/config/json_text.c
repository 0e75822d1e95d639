/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* json_text.c - see json_text.h. */
#include "config/json_text.h"

#include <string.h>

enum { INTEGER_DIGITS = 20, ESCAPE_BYTES = 6 };

static bool is_within(unsigned char byte, unsigned char low, unsigned char high)
{
	return byte >= low && byte <= high;
}

/* A row of the table: what the first byte may be, what the second may be, and how many there are. */
size_t json_text_character(const char *untrusted_text)
{
	const unsigned char *text = (const unsigned char *)untrusted_text;
	static const struct {
		unsigned char first_low, first_high, second_low, second_high, bytes;
	} rows[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	if (text[0] < 0x80)
		return 1;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t at = 2;

		if (!is_within(text[0], rows[i].first_low, rows[i].first_high) ||
		    !is_within(text[1], rows[i].second_low, rows[i].second_high))
			continue;
		while (at < rows[i].bytes && is_within(text[at], 0x80, 0xbf))
			at++;
		return at == rows[i].bytes ? at : 0;
	}
	return 0;
}

void json_text_mend(char *text)
{
	while (*text) {
		size_t bytes = json_text_character(text);

		if (bytes == 0)
			*text = '?';
		text += bytes ? bytes : 1;
	}
}

static bool is_plain(unsigned char byte)
{
	return byte >= ' ' && byte < 0x80 && byte != '"' && byte != '\\';
}

static void escape(struct strbuf *out, unsigned char byte)
{
	static const char digits[] = "0123456789abcdef";
	char text[ESCAPE_BYTES] = { '\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15] };
	char quoted[2] = { '\\', (char)byte };

	if (byte == '"' || byte == '\\')
		strbuf_append(out, quoted, sizeof(quoted));
	else
		strbuf_append(out, text, sizeof(text));
}

/* What begins with a byte that is not plain; returns how many bytes that was. */
static size_t append_special(struct strbuf *out, const unsigned char *text)
{
	size_t bytes = 1;

	if (*text < 0x80) {
		escape(out, *text);
		return bytes;
	}
	bytes = json_text_character((const char *)text);
	if (bytes == 0) {
		json_text_plain(out, "\xef\xbf\xbd"); /* U+FFFD */
		return 1;
	}
	strbuf_append(out, (const char *)text, bytes);
	return bytes;
}

void json_text_string(struct strbuf *out, const char *untrusted_text)
{
	const unsigned char *at = (const unsigned char *)untrusted_text;

	json_text_plain(out, "\"");
	while (*at) {
		const unsigned char *start = at;

		while (is_plain(*at))
			at++;
		strbuf_append(out, (const char *)start, (size_t)(at - start));
		if (*at)
			at += append_special(out, at);
	}
	json_text_plain(out, "\"");
}

void json_text_integer(struct strbuf *out, uint64_t value)
{
	char digits[INTEGER_DIGITS];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	strbuf_append(out, digits + at, sizeof(digits) - at);
}

void json_text_boolean(struct strbuf *out, bool value)
{
	if (value)
		json_text_plain(out, "true");
	else
		json_text_plain(out, "false");
}

static int append(const char *bytes, size_t len, void *out)
{
	strbuf_append(out, bytes, len);
	return ((struct strbuf *)out)->failed ? -1 : 0;
}

void json_text_value(struct strbuf *out, const json_t *value)
{
	if (json_dump_callback(value, append, out, JSON_COMPACT | JSON_ENCODE_ANY) < 0)
		out->failed = true;
}
