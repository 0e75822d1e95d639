/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ratelimit.c - see ratelimit.h. */
#include "base/ratelimit.h"

bool ratelimit_pass(struct ratelimit *limit, uint64_t now_ns)
{
	uint64_t returned = (now_ns - limit->last_ns) / limit->interval_ns;

	if (returned > 0) {
		limit->used = returned >= limit->used ? 0 : limit->used - (uint32_t)returned;
		limit->last_ns = now_ns;
	}
	if (limit->used >= limit->burst) {
		limit->held_back++;
		return false;
	}
	limit->used++;
	return true;
}
