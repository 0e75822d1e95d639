/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ratelimit.h - let through a burst, then one per interval, and count what was held back.
 *
 * For log lines and events that a guest or a client can cause. One owner thread.
 */
#ifndef NEAP_BASE_RATELIMIT_H
#define NEAP_BASE_RATELIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/units.h"

struct ratelimit {
	uint64_t interval_ns; /* one token returns per interval */
	uint32_t burst;	      /* most tokens */
	uint32_t used;
	uint64_t last_ns;
	uint64_t held_back; /* since creation */
};

/* Ten lines at once, then one per second. */
#define RATELIMIT_GUEST_LOG                          \
	{                                            \
		.interval_ns = NS_PER_S, .burst = 10 \
	}

/* True: go on and do it. @now_ns is clock_now_ns(), or a test's own clock. */
bool ratelimit_pass(struct ratelimit *limit, uint64_t now_ns);

#endif
