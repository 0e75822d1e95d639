/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* suggest.c - see suggest.h. The distance counts letters inserted, dropped, changed, or swapped
 * with their neighbour (optimal string alignment).
 */
#include "config/suggest.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned low = a < b ? a : b;

	return low < c ? low : c;
}

/* Both words are at most SUGGEST_WORD_BYTES long. */
static unsigned edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][SUGGEST_WORD_BYTES + 1];
	unsigned *before = rows[0], *last = rows[1], *now = rows[2];

	for (unsigned j = 0; j <= b_len; j++)
		last[j] = j;
	for (unsigned i = 1; i <= a_len; i++) {
		unsigned *spare = before;

		now[0] = i;
		for (unsigned j = 1; j <= b_len; j++) {
			now[j] = min3(last[j] + 1, now[j - 1] + 1,
				      last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[b_len];
}

/* Mistakes a person makes in a word of that length. */
static unsigned allowed_distance(size_t len)
{
	return len < 4 ? 1 : len < 8 ? 2 : 3;
}

void suggest_offer(struct suggest *suggest, const char *right)
{
	const char *wrong = suggest->untrusted_wrong;
	size_t wrong_len = strnlen(wrong, SUGGEST_WORD_BYTES + 1);
	size_t right_len = strlen(right);
	unsigned distance;

	if (wrong_len > SUGGEST_WORD_BYTES || right_len > SUGGEST_WORD_BYTES)
		return;
	distance = edit_distance(wrong, wrong_len, right, right_len);
	if (distance > 1 && wrong_len >= 2 && strncmp(wrong, right, wrong_len) == 0)
		distance = 1; /* the beginning of the word is as good as one letter off */
	if (distance > allowed_distance(wrong_len))
		return;
	if (!suggest->best || distance < suggest->distance) {
		suggest->best = right;
		suggest->distance = distance;
	}
}

const char *suggest_hint(const struct suggest *suggest, const char *prefix,
			 char ret_text[HINT_BYTES])
{
	ret_text[0] = '\0';
	if (suggest->best)
		(void)snprintf(ret_text, HINT_BYTES, "; did you mean %s%s?", prefix, suggest->best);
	return ret_text;
}

const char *quote_text(const char *untrusted_text, char ret_text[QUOTE_BYTES])
{
	static const char cut[] = "...\"";
	size_t room = QUOTE_BYTES - 1 - sizeof(cut);
	size_t used = 0;

	ret_text[used++] = '"';
	for (const char *c = untrusted_text; *c && used < room; c++)
		ret_text[used++] = (char)(*c >= ' ' && *c <= '~' ? *c : '?');
	(void)snprintf(ret_text + used, QUOTE_BYTES - used, "%s",
		       untrusted_text[used - 1] ? cut : "\"");
	return ret_text;
}
