/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* clock.h - monotonic time. Nothing in neap decides by the wall clock; people see it. */
#ifndef NEAP_BASE_CLOCK_H
#define NEAP_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/units.h"

static inline uint64_t clock_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

enum { CLOCK_UTC_BYTES = 32 };

/* @at of the wall clock, in UTC: 2026-11-22T09:07:25Z, or 2026-11-22T09:07:25.375Z. Returns its
 * length. Any thread. */
unsigned clock_utc_text(const struct timespec *at, bool with_ms, char ret_text[CLOCK_UTC_BYTES]);

#endif
