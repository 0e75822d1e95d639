/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* policy_rig.c - see policy_rig.h. */
#include "policy_rig.h"

struct policy_rig rig_new(uint64_t maximum_bytes, uint64_t frame_bytes, uint64_t age_s)
{
	struct policy_rig rig = {
		.settings = policy_default_settings(maximum_bytes, frame_bytes),
		.bytes_per_s = UINT64_MAX / NS_PER_S,
		.step_bytes = GUEST_PAGE_BYTES,
	};

	rig.started_ns = 1000 * NS_PER_S;
	rig.input = (struct policy_input){
		.now_ns = rig.started_ns + age_s * NS_PER_S,
		.guest_start_ns = rig.started_ns,
		.driver_ready = true,
		.stats_period_ns = NS_PER_S,
	};
	policy_init(&rig.state);
	return rig;
}

uint64_t rig_assigned(const struct policy_rig *rig)
{
	uint64_t taken = rig->input.taken_bytes, all = rig->settings.maximum_bytes;

	return taken < all ? all - taken : 0;
}

static void claim(struct policy_rig *rig, enum policy_claim id, uint64_t value)
{
	rig->input.untrusted_claim[id] = value;
	rig->input.present |= UINT32_C(1) << id;
}

void rig_statistics(struct policy_rig *rig)
{
	uint64_t has = rig_assigned(rig);
	uint64_t left = has > rig->used_bytes ? has - rig->used_bytes : 0;
	uint64_t counted = rig->input.deflate_on_oom ? rig->settings.maximum_bytes : has;
	uint64_t cache = left < rig->cache_bytes ? left : rig->cache_bytes;

	claim(rig, POLICY_CLAIM_TOTAL_BYTES,
	      counted > rig->kernel_bytes ? counted - rig->kernel_bytes : 0);
	claim(rig, POLICY_CLAIM_AVAILABLE_BYTES, left);
	claim(rig, POLICY_CLAIM_CACHE_BYTES, cache);
	claim(rig, POLICY_CLAIM_FREE_BYTES, left - cache);
	rig->input.stats_at_ns = rig->input.now_ns;
}

static uint64_t clamp_step(const struct policy_rig *rig, uint64_t gap, uint64_t ms)
{
	uint64_t most = rig->bytes_per_s / 1000 * ms;

	return align_down(gap < most ? gap : most, rig->step_bytes);
}

static void follow_target(struct policy_rig *rig, uint64_t ms)
{
	uint64_t has = rig_assigned(rig), target = rig->decision.target_bytes;
	uint64_t lowest = rig->cannot_below_bytes;

	if (rig->takes_back && has < lowest) {
		rig->input.taken_bytes -= lowest - has;
		return;
	}
	if (target > has)
		rig->input.taken_bytes -= clamp_step(rig, target - has, ms);
	else if (target < has && (rig->takes_back || has > lowest))
		rig->input.taken_bytes += clamp_step(
			rig, has - (target < lowest && !rig->takes_back ? lowest : target), ms);
}

static void count_moves(struct policy_rig *rig, uint64_t before)
{
	uint64_t now = rig->decision.target_bytes;
	int direction = now > before ? 1 : -1;

	if (now == before)
		return;
	rig->moves++;
	if (rig->direction && direction != rig->direction)
		rig->reversals++;
	rig->direction = direction;
}

static bool is_time_to_report(const struct policy_rig *rig)
{
	uint64_t wait_ns = rig->decision.report_in_ns ? rig->decision.report_in_ns
						      : rig->input.stats_period_ns;

	return rig->input.stats_at_ns == 0 || rig->input.now_ns - rig->input.stats_at_ns >= wait_ns;
}

void rig_tick(struct policy_rig *rig, uint64_t ms)
{
	uint64_t before = rig->decision.target_bytes;
	bool has_decided = rig->state.started;

	rig->input.now_ns += ms * NS_PER_MS;
	if (has_decided && rig->input.driver_ready && !rig->ignores_target)
		follow_target(rig, ms);
	if (!rig->is_silent && is_time_to_report(rig))
		rig_statistics(rig);
	policy_step(&rig->settings, &rig->input, &rig->state, &rig->decision);
	if (has_decided)
		count_moves(rig, before);
}

void rig_seconds(struct policy_rig *rig, uint64_t seconds)
{
	while (seconds--)
		rig_tick(rig, 1000);
}

void rig_count_from_here(struct policy_rig *rig)
{
	rig->moves = rig->reversals = 0;
	rig->direction = 0;
}
