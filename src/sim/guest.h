/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* guest.h - a guest, as far as memory goes. What it assumes is said in guest.c. */
#ifndef NEAP_SIM_GUEST_H
#define NEAP_SIM_GUEST_H

#include "policy/policy.h"

struct guest {
	uint64_t maximum_bytes;
	uint64_t taken_bytes;	     /* in the balloon */
	uint64_t target_taken_bytes; /* what the host asks to have there */
	uint64_t demand_bytes;	     /* what its programs need */
	uint64_t cache_bytes;
	uint64_t cache_bytes_per_s;
	uint64_t held_bytes; /* of the host's pool */
	uint64_t swap_bytes; /* counter: what it swapped in, and as much out */
	uint64_t stall_ns;   /* counter: time it waited for the pool */
	bool is_short;	     /* its programs have less than they need */
	bool waits_for_pool;
};

void guest_init(struct guest *guest, uint64_t maximum_bytes, uint64_t assigned_bytes,
		uint64_t cache_bytes_per_s);

static inline uint64_t guest_assigned_bytes(const struct guest *guest)
{
	return guest->maximum_bytes - guest->taken_bytes;
}

/* What its programs have. */
static inline uint64_t guest_used_bytes(const struct guest *guest)
{
	uint64_t has = guest->held_bytes;

	return guest->demand_bytes < has ? guest->demand_bytes : has;
}

static inline uint64_t guest_free_bytes(const struct guest *guest)
{
	uint64_t busy = guest_used_bytes(guest) + guest->cache_bytes;
	uint64_t assigned = guest_assigned_bytes(guest);

	return assigned > busy ? assigned - busy : 0;
}

/**
 * guest_step() - one tick of @tick_ms
 * @pool_free_bytes: what the host could still give; less by what this guest touches, more by what
 *                   it hands over
 */
void guest_step(struct guest *guest, uint64_t demand_bytes, uint64_t tick_ms,
		uint64_t *pool_free_bytes);

/* What it says of itself, as a stock Linux guest does. */
void guest_report(const struct guest *guest, uint64_t now_ns, struct policy_input *input);

#endif
