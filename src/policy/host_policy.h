/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* host_policy.h - how short a host is, and who gets what when it is. Pure, like policy.h.
 *
 * For: a VM on its own that looks at the pool (host_state_step), and a broker or a simulator that
 * divides it (host_divide). Not for: reading the pool.
 */
#ifndef NEAP_POLICY_HOST_POLICY_H
#define NEAP_POLICY_HOST_POLICY_H

#include "policy/policy.h"

/* Free memory below which the host is in that state; 64, 32 and 16 % of MinFree, which slides with
 * the pool: 6 % of its first 4 GiB, 4 % to 12, 2 % to 28, 1 % of what is above. */
struct host_marks {
	uint64_t minfree_bytes;
	uint64_t enter_bytes[HOST_STATE_COUNT]; /* of HOST_CLEAR: MinFree itself, where soft ends */
};
struct host_marks host_marks(uint64_t pool_bytes);

/* The state now. It is left only when free memory is above the mark of the state one milder. */
enum host_state host_state_step(const struct host_marks *marks, enum host_state before,
				uint64_t free_bytes);

/* The active part to divide by now: @before, the one used last, until what was @measured is farther
 * from it than samples sway. A new VM begins with what was measured first. */
uint32_t host_active_step(uint32_t before_percent, uint32_t measured_percent);

/* A VM as the host sees it. */
struct host_vm {
	uint64_t minimum_bytes, maximum_bytes, want_bytes;
	uint64_t held_bytes; /* of the pool, now */
	uint32_t weight;
	bool has_active;
	uint32_t
		active_percent; /* f, by host_active_step(): idle memory costs four times as much */
	bool reserved;		/* keeps what it holds */
	uint64_t grant_bytes;	/* the answer */

	uint64_t least_frames, most_frames, share; /* host_divide()'s own */
};

/**
 * host_divide() - give each of @count VMs its grant out of @pool_bytes
 *
 * All that want less than there is get what they want, and the rest stays free. Else reserved VMs
 * keep theirs, everybody gets its minimum, and what remains goes to the highest
 * rho = weight / (frames x (f + 4 x (1 - f))) until rho is equal or a want is met.
 * @order: scratch for @count numbers.
 *
 * Grants are whole frames, wants rounded up. An inactive part that is not known counts as active.
 * When what is reserved and the minimums exceed the pool, minimums are cut in proportion and false
 * is returned. The sum of the grants is never above @pool_bytes, unless what is reserved is.
 */
bool host_divide(struct host_vm *vms, uint64_t count, uint64_t pool_bytes, uint64_t frame_bytes,
		 uint32_t *order);

#endif
