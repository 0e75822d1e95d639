/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bounds.h - the smaller and the larger of two. */
#ifndef NEAP_BASE_BOUNDS_H
#define NEAP_BASE_BOUNDS_H

#include <stdint.h>

static inline uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
