/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bitmap.h - bits in 64-bit words. Not atomic: a bitmap has one owner thread. */
#ifndef NEAP_BASE_BITMAP_H
#define NEAP_BASE_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BITMAP_WORD_BITS = 64 };

#define BITMAP_WORDS(bits) (((bits) + BITMAP_WORD_BITS - 1) / BITMAP_WORD_BITS)

static inline bool bitmap_test(const uint64_t *words, uint64_t bit)
{
	return (words[bit / BITMAP_WORD_BITS] >> (bit % BITMAP_WORD_BITS)) & 1;
}

/* Both return what the bit was before. */
static inline bool bitmap_set(uint64_t *words, uint64_t bit)
{
	bool was = bitmap_test(words, bit);

	words[bit / BITMAP_WORD_BITS] |= UINT64_C(1) << (bit % BITMAP_WORD_BITS);
	return was;
}

static inline bool bitmap_clear(uint64_t *words, uint64_t bit)
{
	bool was = bitmap_test(words, bit);

	words[bit / BITMAP_WORD_BITS] &= ~(UINT64_C(1) << (bit % BITMAP_WORD_BITS));
	return was;
}

#endif
