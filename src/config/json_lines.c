/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* json_lines.c - see json_lines.h.
 *
 * Walks brackets and strings only. In valid JSON a string is a key exactly when a colon follows.
 * `matched` is how many keys of the path have been passed; the next one can only stand directly in
 * the object that the last one opened, at depth matched + 1.
 */
#include "config/json_lines.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

struct walk {
	const char *text;
	size_t len;
	size_t at;
	unsigned line;
};

static void step(struct walk *walk)
{
	if (walk->text[walk->at++] == '\n')
		walk->line++;
}

/* Past the string at walk->at; *ret_start and *ret_len are the token with its quotes. */
static void take_string(struct walk *walk, size_t *ret_start, size_t *ret_len)
{
	*ret_start = walk->at;
	step(walk);
	while (walk->at < walk->len && walk->text[walk->at] != '"') {
		if (walk->text[walk->at] == '\\')
			step(walk);
		if (walk->at < walk->len)
			step(walk);
	}
	if (walk->at < walk->len)
		step(walk);
	*ret_len = walk->at - *ret_start;
}

static bool colon_follows(struct walk *walk)
{
	while (walk->at < walk->len && strchr(" \t\r\n", walk->text[walk->at]))
		step(walk);
	return walk->at < walk->len && walk->text[walk->at] == ':';
}

/* Decoded, so that "\u0061" is "a". */
static bool token_is(const char *token, size_t len, const char *word)
{
	json_t *decoded;
	bool same;

	if (!memchr(token, '\\', len))
		return len - 2 == strlen(word) && memcmp(token + 1, word, len - 2) == 0;
	decoded = json_loadb(token, len, JSON_DECODE_ANY, NULL);
	same = decoded && strcmp(json_string_value(decoded), word) == 0;
	json_decref(decoded);
	return same;
}

unsigned json_line_of(const char *valid_text, size_t len, const char *const keys[],
		      unsigned key_count)
{
	struct walk walk = { .text = valid_text, .len = len, .line = 1 };
	unsigned matched = 0;
	unsigned depth = 0;

	while (walk.at < len) {
		size_t start, token_len;
		unsigned line = walk.line;
		char c = valid_text[walk.at];

		if (c == '"') {
			take_string(&walk, &start, &token_len);
			if (!colon_follows(&walk) || depth != matched + 1 ||
			    !token_is(valid_text + start, token_len, keys[matched]))
				continue;
			if (++matched == key_count)
				return line;
			continue;
		}
		if (c == '{' || c == '[')
			depth++;
		if ((c == '}' || c == ']') && depth > 0 && --depth <= matched)
			return 1; /* no such path after all */
		step(&walk);
	}
	return 1;
}
