/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pattern.h - what a page of the working set holds: all 512 words follow from address and seed.
 *
 * No byte of it is zero, so a lost byte (zeros) is always seen; a page in another's place, of
 * another seed, or shifted differs in about every word. The last words also count (counters.h).
 * Pure.
 */
#ifndef BARE_PATTERN_H
#define BARE_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PATTERN_PAGE_BYTES = 4096,
	PATTERN_WORDS = PATTERN_PAGE_BYTES / 8,
	PATTERN_COUNTERS = 9,
	PATTERN_FIXED_WORDS = PATTERN_WORDS - PATTERN_COUNTERS,
};

struct pattern_fault {
	unsigned offset; /* of the first wrong byte in the page */
	uint8_t expected, seen;
	unsigned wrong_bytes;
};

/* The page at @page gets the pattern of @address (its own, or in a test any). */
void pattern_write(void *page, uint64_t address, uint32_t seed);

/* The word at @index of that pattern. */
uint64_t pattern_word(uint64_t address, uint32_t seed, unsigned index);

/* True: every byte before the counters is as written. False: @ret_fault says what is not. */
bool pattern_check(const void *page, uint64_t address, uint32_t seed,
		   struct pattern_fault *ret_fault);

/* Adds what is wrong in @seen, the word at @index, which should be @expected. */
void pattern_compare(uint64_t seen, unsigned index, uint64_t expected, struct pattern_fault *fault);

#endif
