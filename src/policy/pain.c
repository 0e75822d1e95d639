/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pain.c - signs that a guest suffers for want of memory, and how much more it should get.
 *
 * Problem. AVAIL is an estimate, and statistics come every second or two; a guest can be thrashing
 * before they say so, or while they say that all is well.
 * Design. Rates of the guest's own counters, and the time it was kept waiting by the pager, each
 * become 5 to 25 %: between its row "least" and its row "most" of constants.def. The worst counts.
 * Pain of p % means: demand is at least p % more than what the guest has, or than what it wants if
 * it has more than that. So pain that memory cannot cure (cold files, a memory cgroup that kills)
 * lifts a guest once and not for ever.
 *
 * Invariants
 *  1  Page faults, swap-ins and reclaim count only while less than half of the buffer is left. Cold
 *     files of a guest with memory to spare are no pain, nor is reclaim that the balloon causes.
 *  2  A kill for want of memory and a stall count always: what was killed is free when it is told.
 *  3  A stall counts while it can be cured: something is in the balloon, and nothing goes into it.
 *  4  A counter that is new, or went back, has no rate.
 *  5  Pain is said once, in bytes, and stands until the next look: a second at most. Calls in
 *     between do not add to it.
 * Sources: virtio 1.2 §5.5.6.4 "Memory Statistics Tags"; virtio 1.4 adds OOM_KILL, ALLOC_STALL and
 * DIRECT_SCAN, Linux 6.12 fills them.
 */
#include "policy/policy_internal.h"

struct pain_row {
	enum policy_claim claim;
	uint64_t least_per_s, most_per_s;
	bool always; /* any of it, invariant 2 */
};

static const struct pain_row pain_rows[] = {
	{ POLICY_CLAIM_MAJOR_FAULTS, POLICY_MAJOR_FAULTS_LEAST, POLICY_MAJOR_FAULTS_MOST, false },
	{ POLICY_CLAIM_SWAP_IN_BYTES, POLICY_SWAP_IN_LEAST_KIB *KIB_BYTES,
	  POLICY_SWAP_IN_MOST_KIB *KIB_BYTES, false },
	{ POLICY_CLAIM_ALLOC_STALLS, POLICY_ALLOC_STALLS_LEAST, POLICY_ALLOC_STALLS_MOST, false },
	{ POLICY_CLAIM_DIRECT_SCANS, POLICY_DIRECT_SCANS_LEAST, POLICY_DIRECT_SCANS_MOST, false },
	{ .claim = POLICY_CLAIM_OOM_KILLS, .always = true },
};

/* 0 below @least_value, then 5 %, rising to 25 % at @most_value. */
static unsigned pain_percent(uint64_t value, uint64_t least_value, uint64_t most_value)
{
	uint64_t range = POLICY_PAIN_MOST_PERCENT - POLICY_PAIN_LEAST_PERCENT;

	if (value < least_value || value == 0)
		return 0;
	if (value >= most_value)
		return POLICY_PAIN_MOST_PERCENT;
	return POLICY_PAIN_LEAST_PERCENT +
	       (unsigned)scale(value - least_value, range, most_value - least_value);
}

static uint64_t with_buffer(const struct policy_tick *tick, uint64_t demand_bytes)
{
	return percent_of(demand_bytes, 100 + (uint64_t)tick->settings->buffer_percent);
}

static bool buffer_is_half_gone(const struct policy_tick *tick)
{
	uint64_t used = most(tick->state->fast_bytes, tick->state->slow_bytes);
	uint64_t half = percent_of(used, tick->settings->buffer_percent) / 2;

	return !tick->state->has_demand || less(tick->assigned_bytes, used) < half;
}

static uint64_t pained_bytes(const struct policy_tick *tick, unsigned percent)
{
	const struct policy_state *state = tick->state;
	uint64_t base = tick->assigned_bytes;

	if (percent == 0)
		return 0;
	if (state->has_demand)
		base = least(base, with_buffer(tick, most(state->fast_bytes, state->slow_bytes)));
	return percent_of(base, 100 + percent);
}

static unsigned row_percent(const struct policy_tick *tick, const struct pain_row *row,
			    uint64_t dt_ns)
{
	uint64_t now = tick->input->untrusted_claim[row->claim];
	uint64_t before = tick->state->counter[row->claim];
	uint32_t bit = UINT32_C(1) << row->claim;

	if (!(tick->input->present & tick->state->counters_present & bit))
		return 0;
	if (row->always)
		return now > before ? POLICY_PAIN_MOST_PERCENT : 0;
	if (dt_ns == 0)
		return 0;
	return pain_percent(scale(less(now, before), NS_PER_S, dt_ns), row->least_per_s,
			    row->most_per_s);
}

void pain_of_statistics(struct policy_tick *tick, uint64_t dt_ns)
{
	struct policy_state *state = tick->state;
	bool gate = buffer_is_half_gone(tick);
	unsigned worst = 0;

	for (unsigned i = 0; i < ARRAY_LEN(pain_rows); i++) {
		unsigned percent = row_percent(tick, &pain_rows[i], dt_ns);

		if (percent > worst && (gate || pain_rows[i].always))
			worst = percent;
	}
	for (unsigned i = 0; i < POLICY_CLAIM_COUNT; i++)
		state->counter[i] = tick->input->untrusted_claim[i];
	state->counters_present = tick->input->present;
	state->pain_stats_bytes = pained_bytes(tick, worst);
	tick->hurts_anew |= worst > 0;
}

/* A guest that took memory back by itself had nothing else left to give to somebody. */
static bool guest_took_memory_back(const struct policy_tick *tick)
{
	const struct policy_state *state = tick->state;
	uint64_t limit = most(state->assigned_bytes, state->target_bytes);

	return tick->settings->mode == POLICY_MODE_AUTO && tick->input->deflate_on_oom &&
	       tick->input->driver_ready &&
	       less(tick->assigned_bytes, limit) >= POLICY_PROGRESS_KIB * KIB_BYTES;
}

static uint64_t stall_since(struct policy_tick *tick)
{
	struct policy_state *state = tick->state;
	uint64_t before = state->stall_ns;
	bool had = state->has_stall;

	state->has_stall = tick->input->has_stall;
	state->stall_ns = tick->input->stall_ns;
	return had && state->has_stall ? less(state->stall_ns, before) : 0;
}

static unsigned window_percent(const struct policy_state *state)
{
	if (state->window_stall_ns < POLICY_STALL_LEAST_MS * NS_PER_MS)
		return 0;
	return pain_percent(scale(state->window_stall_ns, 100, state->window_ns),
			    POLICY_STALL_LEAST_PERCENT, POLICY_STALL_MOST_PERCENT);
}

/* A guest that hands over touches pages to do so, also such as are in swap: the balloon's own doing.
 * One with an empty balloon has nothing that could be released. */
static bool stall_is_curable(const struct policy_tick *tick)
{
	return tick->input->taken_bytes > 0 && tick->assigned_bytes >= tick->state->assigned_bytes;
}

/* A window ends when it shows a stall, so that this is told at once, and after a second. */
static void look_at_stall(struct policy_tick *tick)
{
	struct policy_state *state = tick->state;
	uint64_t waited_ns = stall_since(tick);
	unsigned percent;

	if (waited_ns > 0 && state->window_stall_ns == 0)
		state->window_ns = 0; /* it begins with its first stall */
	state->window_ns += tick->dt_ns;
	if (stall_is_curable(tick) &&
	    __builtin_add_overflow(state->window_stall_ns, waited_ns, &state->window_stall_ns))
		state->window_stall_ns = UINT64_MAX;
	percent = window_percent(state);
	tick->took_back = guest_took_memory_back(tick);
	if (tick->took_back && percent == 0)
		percent = POLICY_PAIN_LEAST_PERCENT;
	if (percent == 0 && state->window_ns < POLICY_TICK_MS * NS_PER_MS)
		return;
	state->window_ns = state->window_stall_ns = 0;
	state->pain_stall_bytes = pained_bytes(tick, percent);
	tick->hurts_anew |= percent > 0;
}

void pain_step(struct policy_tick *tick)
{
	struct policy_state *state = tick->state;

	if (!tick->stats_fresh)
		state->pain_stats_bytes = 0;
	look_at_stall(tick);
	tick->hurts = pain_demand(state) > 0;
}

uint64_t pain_demand(const struct policy_state *state)
{
	return most(state->pain_stats_bytes, state->pain_stall_bytes);
}
