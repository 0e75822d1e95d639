/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* leisure.h - has the host a processor to spare for work that can wait? Inside memory/ only. Pure.
 * leisure.c has the rule and why.
 */
#ifndef NEAP_MEMORY_LEISURE_H
#define NEAP_MEMORY_LEISURE_H

#include <stdint.h>

#include "base/clock.h"

#define LEISURE_LEAST_NS (250 * NS_PER_US)
#define LEISURE_MOST_NS	 (256 * NS_PER_MS)

struct leisure_view {
	uint64_t wall_ns;  /* what a piece of work took, with the giving away of the processor */
	uint64_t cpu_ns;   /* of it, on a processor */
	uint64_t runnable; /* threads on the host that run or could, after it, we among them */
	uint64_t processors;
};

/**
 * leisure_rest_ns() - how long to leave the processors to others
 * @rested_ns: the answer before, and half of it for each piece of work since that nobody disturbed
 *
 * Return: 0: nobody wants them; else LEISURE_LEAST_NS to LEISURE_MOST_NS, the longer the more there
 *         are, and at least twice @rested_ns.
 */
uint64_t leisure_rest_ns(const struct leisure_view *view, uint64_t rested_ns);

/* struct leisure_view.runnable, as /proc/loadavg tells it ("0.20 0.18 0.12 1/80 11206": 1); 0: it does
 * not. Source: proc(5), "/proc/loadavg". */
uint64_t leisure_parse_runnable(const char *loadavg);

#endif
