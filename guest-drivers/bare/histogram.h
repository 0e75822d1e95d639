/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* histogram.h - percentiles of any number of times, within 2 %. Pure.
 *
 * 32 equal steps for each power of two, up to 18 minutes; it fits on a processor's stack.
 */
#ifndef BARE_HISTOGRAM_H
#define BARE_HISTOGRAM_H

#include <stdint.h>

enum {
	HISTOGRAM_STEP_BITS = 5,
	HISTOGRAM_MAX_BITS = 40,
	HISTOGRAM_BUCKETS = (HISTOGRAM_MAX_BITS - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS,
};

struct histogram {
	uint64_t count, total_ns, worst_ns;
	uint32_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t ns);

/* The time that @permille of all stay at or below; 0 when there are none. */
uint64_t histogram_at_ns(const struct histogram *histogram, unsigned permille);

#endif
