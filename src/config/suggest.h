/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* suggest.h - "unknown flag --memroy; did you mean --memory?"
 *
 * Offer every word that would have been right; the nearest one wins, the first of equals, and none
 * if nothing is near. Flags, JSON keys, methods, parameters and commands all use it.
 * Pure. Words longer than SUGGEST_WORD_BYTES are never near.
 */
#ifndef NEAP_CONFIG_SUGGEST_H
#define NEAP_CONFIG_SUGGEST_H

enum { SUGGEST_WORD_BYTES = 40, QUOTE_BYTES = 52, HINT_BYTES = SUGGEST_WORD_BYTES + 24 };

struct suggest {
	const char *untrusted_wrong;
	const char *best; /* NULL: nothing near */
	unsigned distance;
};

static inline struct suggest suggest_start(const char *untrusted_wrong)
{
	return (struct suggest){ .untrusted_wrong = untrusted_wrong };
}

/* @right lives as long as the struct. */
void suggest_offer(struct suggest *suggest, const char *right);

/* "; did you mean PREFIXword?" or "". @prefix is "--" or "". Returns @ret_text. */
const char *suggest_hint(const struct suggest *suggest, const char *prefix,
			 char ret_text[HINT_BYTES]);

/* Outside text as it may stand in a message: in quotes, printable ASCII, cut. Returns @ret_text. */
const char *quote_text(const char *untrusted_text, char ret_text[QUOTE_BYTES]);

#endif
