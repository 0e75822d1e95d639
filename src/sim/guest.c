/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* guest.c - a guest, as far as memory goes. The same for every rule.
 *
 * Assumptions
 *  G1  Programs hold `demand`. What is below it does not fit: the guest swaps, and is slow.
 *  G2  Page cache fills what programs leave free, at its own rate, until nothing is free; it goes
 *      at once when programs or the balloon want its place, and comes back at that rate.
 *  G3  What was touched stays of the host until the balloon takes it: no free page reporting.
 *      So a guest holds all that it is assigned, sooner or later.
 *  G4  The balloon follows its target from the next tick on: out at DEFLATE_BYTES_PER_S, in at
 *      INFLATE_BYTES_PER_S, and only at SQUEEZE_BYTES_PER_S where it must push programs to swap.
 *      The first two are below what stock guests do (a balloon of 4 KiB pages: about 1 GiB/s).
 *  G5  A guest that is short cannot tell by how much: its statistics say that nothing is available,
 *      and that it swaps, at most at SWAP_BYTES_PER_S.
 *  G6  When the host's pool is empty, whoever touches more waits. Nothing goes to the host's swap.
 * Not modelled: the guest's OOM killer, fragmentation (the balloon gives back whole frames only on
 * a real host), time that reclaim itself takes.
 */
#include "sim/guest.h"

#include "base/bounds.h"
#include "base/units.h"

#define INFLATE_BYTES_PER_S (256 * MIB_BYTES)
#define DEFLATE_BYTES_PER_S (512 * MIB_BYTES)
#define SQUEEZE_BYTES_PER_S (32 * MIB_BYTES)
#define SWAP_BYTES_PER_S    (64 * MIB_BYTES)

enum { MS_PER_S = 1000 };

static uint64_t above(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t in_time(uint64_t bytes_per_s, uint64_t time_ms)
{
	return bytes_per_s * time_ms / MS_PER_S;
}

void guest_init(struct guest *guest, uint64_t maximum_bytes, uint64_t assigned_bytes,
		uint64_t cache_bytes_per_s)
{
	*guest = (struct guest){ .maximum_bytes = maximum_bytes,
				 .taken_bytes = maximum_bytes - assigned_bytes,
				 .target_taken_bytes = maximum_bytes - assigned_bytes,
				 .cache_bytes_per_s = cache_bytes_per_s };
}

static void move_balloon(struct guest *guest, uint64_t tick_ms)
{
	uint64_t wanted = guest->target_taken_bytes;
	uint64_t easy, step;

	if (wanted <= guest->taken_bytes) {
		guest->taken_bytes -=
			least(guest->taken_bytes - wanted, in_time(DEFLATE_BYTES_PER_S, tick_ms));
		return;
	}
	easy = above(guest_assigned_bytes(guest), guest->demand_bytes);
	step = least(wanted - guest->taken_bytes, in_time(INFLATE_BYTES_PER_S, tick_ms));
	if (step > easy)
		step = easy + least(step - easy, in_time(SQUEEZE_BYTES_PER_S, tick_ms));
	guest->taken_bytes += step;
}

/* G2, G3: what it would touch, and so hold, if the host had it all. */
static uint64_t touched_bytes(struct guest *guest, uint64_t tick_ms)
{
	uint64_t assigned = guest_assigned_bytes(guest);
	uint64_t used = least(guest->demand_bytes, assigned);

	guest->cache_bytes = least(guest->cache_bytes + in_time(guest->cache_bytes_per_s, tick_ms),
				   assigned - used);
	return used + guest->cache_bytes;
}

void guest_step(struct guest *guest, uint64_t demand_bytes, uint64_t tick_ms,
		uint64_t *pool_free_bytes)
{
	uint64_t held = guest->held_bytes, touched, kept;

	move_balloon(guest, tick_ms);
	guest->demand_bytes = demand_bytes;
	touched = touched_bytes(guest, tick_ms);
	kept = least(held, guest_assigned_bytes(guest));
	*pool_free_bytes += held - kept;
	if (touched > kept) {
		uint64_t more = least(touched - kept, *pool_free_bytes);

		*pool_free_bytes -= more;
		guest->held_bytes = kept + more;
	} else {
		guest->held_bytes = kept;
	}
	guest->is_short = guest->held_bytes < demand_bytes;
	guest->waits_for_pool = guest->is_short && guest->held_bytes < guest_assigned_bytes(guest);
	guest->cache_bytes = least(guest->cache_bytes, guest->held_bytes - guest_used_bytes(guest));
	if (guest->waits_for_pool)
		guest->stall_ns += tick_ms * NS_PER_MS;
	else if (guest->is_short)
		guest->swap_bytes +=
			in_time(least(demand_bytes - guest->held_bytes, SWAP_BYTES_PER_S), tick_ms);
}

void guest_report(const struct guest *guest, uint64_t now_ns, struct policy_input *input)
{
	uint64_t assigned = guest_assigned_bytes(guest);
	uint64_t *claim = input->untrusted_claim;

	claim[POLICY_CLAIM_TOTAL_BYTES] = input->deflate_on_oom ? guest->maximum_bytes : assigned;
	claim[POLICY_CLAIM_AVAILABLE_BYTES] = assigned - guest_used_bytes(guest);
	claim[POLICY_CLAIM_FREE_BYTES] = guest_free_bytes(guest);
	claim[POLICY_CLAIM_CACHE_BYTES] = guest->cache_bytes;
	claim[POLICY_CLAIM_MAJOR_FAULTS] = bytes_to_pages(guest->swap_bytes);
	claim[POLICY_CLAIM_SWAP_IN_BYTES] = guest->swap_bytes;
	claim[POLICY_CLAIM_SWAP_OUT_BYTES] = guest->swap_bytes;
	input->present = 1U << POLICY_CLAIM_TOTAL_BYTES | 1U << POLICY_CLAIM_AVAILABLE_BYTES |
			 1U << POLICY_CLAIM_FREE_BYTES | 1U << POLICY_CLAIM_CACHE_BYTES |
			 1U << POLICY_CLAIM_MAJOR_FAULTS | 1U << POLICY_CLAIM_SWAP_IN_BYTES |
			 1U << POLICY_CLAIM_SWAP_OUT_BYTES;
	input->stats_at_ns = now_ns;
}
