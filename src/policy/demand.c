/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* demand.c - how much memory a guest uses, from what it says.
 *
 * Problem. A guest tells what its kernel counts (MEMTOT) and what of that could be had without
 * swapping (AVAIL; page cache is in it, so that cache is no demand). MEMTOT - AVAIL is what it uses,
 * but for two things. A driver that negotiated DEFLATE_ON_OOM leaves the balloon inside MEMTOT, one
 * that did not takes it out: counted naively the balloon itself becomes demand. And what the kernel
 * took before it began to count, a 64th of RAM for its page table of pages alone, is in neither,
 * though the guest cannot give it up: a target that forgets it starves a large guest.
 * Design. Both go away when one asks what is left over instead: demand is what the guest has, less
 * AVAIL. What it has is known here and need not be believed: the maximum less what the balloon took.
 * MEMTOT only bounds AVAIL. Without AVAIL, free memory and cache together stand in for it (never free
 * memory alone), and without those the guest has no demand that anybody knows.
 *
 * A guest that uses all it has cannot say how much it needs: what it uses ends there. It is taken to
 * need a quarter more, and asked again soon, so that its need is found in a few steps.
 *
 * Two averages, of about a second and a minute; demand is the larger, so it rises at once and falls
 * slowly. On top of that comes pain (pain.c).
 *
 * Invariants
 *  1  Demand from statistics is at most what the guest had when they came, whatever it claims, and a
 *     quarter more of one that has nothing left; never more than the maximum.
 *  2  Statistics count once, when they are first seen; the same ones again change nothing.
 *  3  A long silence between two counts as one period: an average does not leap after a pause.
 * Sources: virtio 1.2 §5.5.6.4 "Memory Statistics Tags"; Linux Documentation/filesystems/proc.rst,
 * MemAvailable.
 */
#include "policy/policy_internal.h"

static bool has_claim(const struct policy_input *input, enum policy_claim claim)
{
	return input->present & (UINT32_C(1) << claim);
}

static bool available_bytes(const struct policy_input *input, uint64_t *ret_bytes)
{
	const uint64_t *claim = input->untrusted_claim;
	uint64_t bytes;

	if (has_claim(input, POLICY_CLAIM_AVAILABLE_BYTES))
		bytes = claim[POLICY_CLAIM_AVAILABLE_BYTES];
	else if (!has_claim(input, POLICY_CLAIM_FREE_BYTES) ||
		 !has_claim(input, POLICY_CLAIM_CACHE_BYTES))
		return false;
	else if (__builtin_add_overflow(claim[POLICY_CLAIM_FREE_BYTES],
					claim[POLICY_CLAIM_CACHE_BYTES], &bytes))
		bytes = UINT64_MAX;
	if (has_claim(input, POLICY_CLAIM_TOTAL_BYTES) && claim[POLICY_CLAIM_TOTAL_BYTES] > 0)
		bytes = least(bytes, claim[POLICY_CLAIM_TOTAL_BYTES]);
	*ret_bytes = bytes;
	return true;
}

static uint64_t period_ns(const struct policy_input *input)
{
	return input->stats_period_ns ? input->stats_period_ns : POLICY_TICK_MS * NS_PER_MS;
}

static uint64_t silence_ns(const struct policy_input *input)
{
	return scale(period_ns(input), POLICY_SILENCE_PERIODS, 1);
}

/* Statistics from the future are of a clock that jumped back; a little of it is two threads that
 * read the clock in another order. */
static bool statistics_are_fresh(const struct policy_input *input)
{
	if (input->stats_at_ns == 0)
		return false;
	if (input->stats_at_ns > input->now_ns)
		return input->stats_at_ns - input->now_ns <= period_ns(input);
	return input->now_ns - input->stats_at_ns <= silence_ns(input);
}

/* 0: it has some left. */
static uint64_t need_of_one_out(const struct policy_tick *tick, uint64_t available_bytes,
				uint64_t used_bytes)
{
	const struct policy_input *input = tick->input;
	uint64_t buffer = percent_of(used_bytes, tick->settings->buffer_percent);
	uint64_t enough = least(buffer / POLICY_OUT_BUFFER_PART,
				percent_of(tick->assigned_bytes, POLICY_OUT_PERCENT));

	if (available_bytes >= enough ||
	    (!input->has_grant && input->has_host && input->host >= HOST_HARD))
		return 0; /* a host that takes the buffer back makes it look like that */
	return least(percent_of(tick->assigned_bytes, 100 + POLICY_OUT_MORE_PERCENT),
		     tick->settings->maximum_bytes);
}

static void take_statistics(struct policy_tick *tick)
{
	const struct policy_input *input = tick->input;
	struct policy_state *state = tick->state;
	uint64_t between_ns = less(input->stats_at_ns, state->stats_at_ns), dt_ns = between_ns;
	uint64_t available, sample;

	if (dt_ns > silence_ns(input))
		dt_ns = period_ns(input);
	state->stats_at_ns = input->stats_at_ns;
	if (available_bytes(input, &available)) {
		sample = less(tick->assigned_bytes, available);
		if (!state->has_demand)
			state->fast_bytes = state->slow_bytes = sample;
		state->has_demand = true;
		state->fast_bytes =
			smooth(state->fast_bytes, sample, dt_ns, POLICY_FAST_MS * NS_PER_MS);
		state->slow_bytes =
			smooth(state->slow_bytes, sample, dt_ns, POLICY_SLOW_MS * NS_PER_MS);
		state->out_bytes = need_of_one_out(tick, available, sample);
	}
	pain_of_statistics(tick, between_ns);
}

uint64_t demand_now(const struct policy_state *state)
{
	uint64_t used = state->has_demand ? most(state->fast_bytes, state->slow_bytes) : 0;

	return most(most(used, state->out_bytes), pain_demand(state));
}

void demand_step(struct policy_tick *tick)
{
	const struct policy_input *input = tick->input;

	tick->stats_fresh = statistics_are_fresh(input);
	tick->stats_new = tick->stats_fresh && input->stats_at_ns != tick->state->stats_at_ns;
	if (tick->stats_new)
		take_statistics(tick);
	if (!tick->stats_fresh)
		tick->state->out_bytes = 0;
	pain_step(tick);
}
