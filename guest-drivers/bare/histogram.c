/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* histogram.c - see histogram.h. */
#include "histogram.h"

enum { STEPS = 1 << HISTOGRAM_STEP_BITS };

static unsigned bucket_of(uint64_t ns)
{
	if (ns < STEPS)
		return (unsigned)ns;
	unsigned bits = 63 - (unsigned)__builtin_clzll(ns);

	if (bits >= HISTOGRAM_MAX_BITS)
		return HISTOGRAM_BUCKETS - 1;
	return (bits - HISTOGRAM_STEP_BITS) * STEPS +
	       (unsigned)(ns >> (bits - HISTOGRAM_STEP_BITS));
}

/* The middle of a bucket. */
static uint64_t middle_ns(unsigned bucket)
{
	if (bucket < 2 * STEPS)
		return bucket;
	unsigned shift = bucket / STEPS - 1;

	return ((uint64_t)(bucket % STEPS + STEPS) << shift) + (UINT64_C(1) << shift) / 2;
}

void histogram_init(struct histogram *histogram)
{
	histogram->count = histogram->total_ns = histogram->worst_ns = 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		histogram->buckets[i] = 0;
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	histogram->count++;
	histogram->total_ns += ns;
	histogram->buckets[bucket_of(ns)]++;
	if (ns > histogram->worst_ns)
		histogram->worst_ns = ns;
}

uint64_t histogram_at_ns(const struct histogram *histogram, unsigned permille)
{
	uint64_t rank = (histogram->count * permille + 999) / 1000, seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen && seen >= rank)
			return middle_ns(i) < histogram->worst_ns ? middle_ns(i)
								  : histogram->worst_ns;
	}
	return 0;
}
