/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* mix.h - a number that looks random for every number. Pure.
 *
 * Source: Steele et al., "Fast Splittable Pseudorandom Number Generators" (SplitMix64).
 */
#ifndef BARE_MIX_H
#define BARE_MIX_H

#include <stdint.h>

#define MIX_GOLDEN UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t mix(uint64_t x)
{
	x += MIX_GOLDEN;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

#endif
