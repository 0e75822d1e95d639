/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* grant.c - see grant.h.
 *
 * Problem. Who divides a host promises to one VM what another does not use or gives back. A balloon is
 * a request: a guest that lags behind it, or has no driver for it, would take what was promised. And
 * who simply stops a guest at a line has one that cannot run the very driver that would give back.
 *
 * Design. most = base + slack. Base is the grant; or, since a grant was made smaller than what the VM
 * held then, the least that it has held since. A touch that would take a frame beyond that waits,
 * as it does for an empty pool (pager.c, back.c), and who granted is told at once.
 *
 * Invariants
 *  G1  No frame is taken at a touch that brings what is held above base + slack. (Threads that take
 *      frames side by side, the pager, devices and swap workers, may each be one frame over.)
 *  G2  While base is above the grant it never rises, and follows what is held down. That is looked
 *      at before each frame that is taken, and nothing else makes the VM hold more: so no moment of
 *      holding less is missed.
 *  G3  A grant that is told again and again, lower or not, adds no slack: base never rises above what
 *      it was, but to a higher grant.
 *
 * Why a guest that has to give back can run. It goes on with all that it holds, and of new memory it
 * may take the slack. What its driver needs to hand over pages is a few frames: its own data, and the
 * page at hand, which a guest that clears pages touches before it gives them away. Each frame that comes
 * back is one that the next touch may take, up to the slack: above the grant base comes down with it, and
 * the distance to base + slack stays what it was, so the driver that could take its first step can take
 * all others. What else the guest starts meanwhile may use the slack up. Therefore who owns the balloon
 * asks at once for what the guest has and never touched (policy/moves.c, P6): a guest that has handed
 * that over cannot touch more than it may hold. One that does so nevertheless waits until it is granted
 * more: it does not take it from others.
 */
#include "memory/grant.h"

#include "base/bounds.h"

void grant_init(struct grant *grant)
{
	atomic_init(&grant->base_bytes, GRANT_NONE);
	atomic_init(&grant->grant_bytes, GRANT_NONE);
	atomic_init(&grant->slack_bytes, 0);
	atomic_init(&grant->wanted, false);
}

void grant_set(struct grant *grant, uint64_t grant_bytes, uint64_t slack_bytes, uint64_t held_bytes)
{
	uint64_t base = atomic_load(&grant->base_bytes), next;

	if (grant_bytes == 0) {
		atomic_store(&grant->base_bytes, GRANT_NONE);
		atomic_store(&grant->grant_bytes, GRANT_NONE);
		atomic_store(&grant->wanted, false);
		return;
	}
	atomic_store(&grant->slack_bytes, slack_bytes);
	atomic_store(&grant->grant_bytes, grant_bytes);
	do
		next = most(grant_bytes, least(base, held_bytes)); /* G3 */
	while (!atomic_compare_exchange_weak(&grant->base_bytes, &base, next));
	atomic_store(&grant->wanted, false);
}

uint64_t grant_most_bytes(const struct grant *grant)
{
	uint64_t base = atomic_load_explicit(&grant->base_bytes, memory_order_relaxed);
	uint64_t slack = atomic_load_explicit(&grant->slack_bytes, memory_order_relaxed);

	return base > GRANT_NONE - slack ? GRANT_NONE : base + slack;
}

/* Whoever sets a grant meanwhile has looked at what is held as well: then this one is not needed. */
static void follow_down(struct grant *grant, uint64_t held_bytes) /* G2 */
{
	uint64_t base = atomic_load_explicit(&grant->base_bytes, memory_order_relaxed);
	uint64_t told = atomic_load_explicit(&grant->grant_bytes, memory_order_relaxed);

	if (base != GRANT_NONE && base > told && held_bytes < base)
		(void)atomic_compare_exchange_strong(&grant->base_bytes, &base,
						     most(told, held_bytes));
}

uint64_t grant_room_bytes(struct grant *grant, uint64_t held_bytes)
{
	uint64_t most_bytes;

	follow_down(grant, held_bytes);
	most_bytes = grant_most_bytes(grant);
	return most_bytes > held_bytes ? most_bytes - held_bytes : 0;
}

bool grant_note_wanted(struct grant *grant, bool wanted)
{
	if (atomic_load_explicit(&grant->wanted, memory_order_relaxed) == wanted)
		return false;
	return atomic_exchange(&grant->wanted, wanted) != wanted;
}
