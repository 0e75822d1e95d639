/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pattern.c - see pattern.h. */
#include "pattern.h"
#include "mix.h"

static const uint64_t no_zero_byte = 0x0101010101010101;

static uint64_t first_word(uint64_t address, uint32_t seed)
{
	return mix(address ^ mix(seed));
}

/* The word of @counter, which starts at first_word() and steps by MIX_GOLDEN. The fold makes low
 * bytes depend on high ones: two pages must not agree in a whole column. */
static uint64_t word_of(uint64_t counter)
{
	return (counter ^ counter >> 32) | no_zero_byte;
}

uint64_t pattern_word(uint64_t address, uint32_t seed, unsigned index)
{
	return word_of(first_word(address, seed) + index * MIX_GOLDEN);
}

void pattern_write(void *page, uint64_t address, uint32_t seed)
{
	volatile uint64_t *words = page; /* volatile: never a call to memset and the like */
	uint64_t word = first_word(address, seed);

	for (unsigned i = 0; i < PATTERN_WORDS; i++, word += MIX_GOLDEN)
		words[i] = word_of(word);
}

void pattern_compare(uint64_t seen, unsigned index, uint64_t expected, struct pattern_fault *fault)
{
	for (unsigned i = 0; i < sizeof(seen); i++, seen >>= 8, expected >>= 8) {
		if ((uint8_t)seen == (uint8_t)expected)
			continue;
		if (!fault->wrong_bytes++) {
			fault->offset = index * (unsigned)sizeof(seen) + i;
			fault->expected = (uint8_t)expected;
			fault->seen = (uint8_t)seen;
		}
	}
}

bool pattern_check(const void *page, uint64_t address, uint32_t seed,
		   struct pattern_fault *ret_fault)
{
	const uint64_t *words = page;
	uint64_t word = first_word(address, seed), difference = 0;

	for (unsigned i = 0; i < PATTERN_FIXED_WORDS; i++, word += MIX_GOLDEN)
		difference |= words[i] ^ word_of(word);
	if (!difference)
		return true;
	*ret_fault = (struct pattern_fault){ 0 };
	for (unsigned i = 0; i < PATTERN_FIXED_WORDS; i++)
		pattern_compare(words[i], i, pattern_word(address, seed, i), ret_fault);
	return false;
}
