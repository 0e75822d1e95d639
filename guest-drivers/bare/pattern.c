/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pattern.c - see pattern.h. Source of the mixer: Steele et al., "Fast Splittable Pseudorandom
 * Number Generators" (SplitMix64). */
#include "pattern.h"

static const uint64_t golden = 0x9e3779b97f4a7c15;
static const uint64_t no_zero_byte = 0x0101010101010101;

static uint64_t mix(uint64_t x)
{
	x += golden;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static uint64_t first_word(uint64_t address, uint32_t seed)
{
	return mix(address ^ mix(seed));
}

/* The word of @counter, which starts at first_word() and steps by golden. The fold makes low bytes
 * depend on high ones: two pages must not agree in a whole column. */
static uint64_t word_of(uint64_t counter)
{
	return (counter ^ counter >> 32) | no_zero_byte;
}

void pattern_write(void *page, uint64_t address, uint32_t seed)
{
	volatile uint64_t *words = page; /* volatile: never a call to memset and the like */
	uint64_t word = first_word(address, seed);

	for (unsigned i = 0; i < PATTERN_WORDS; i++, word += golden)
		words[i] = word_of(word);
}

static void describe(const void *page, uint64_t word, struct pattern_fault *ret_fault)
{
	const uint8_t *bytes = page;

	*ret_fault = (struct pattern_fault){ 0 };
	for (unsigned i = 0; i < PATTERN_PAGE_BYTES; i++) {
		if (i && i % 8 == 0)
			word += golden;
		uint8_t expected = (uint8_t)(word_of(word) >> (i % 8 * 8));

		if (bytes[i] == expected)
			continue;
		if (!ret_fault->wrong_bytes++) {
			ret_fault->offset = i;
			ret_fault->expected = expected;
			ret_fault->seen = bytes[i];
		}
	}
}

bool pattern_check(const void *page, uint64_t address, uint32_t seed,
		   struct pattern_fault *ret_fault)
{
	const uint64_t *words = page;
	uint64_t first = first_word(address, seed), word = first, difference = 0;

	for (unsigned i = 0; i < PATTERN_WORDS; i++, word += golden)
		difference |= words[i] ^ word_of(word);
	if (!difference)
		return true;
	describe(page, first, ret_fault);
	return false;
}
