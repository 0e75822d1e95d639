/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vm_policy.c - one tick of one VM: what is known becomes a decision.
 *
 * The order: how much time passed; which guest it is; demand (demand.c, pain.c); where the balloon
 * shall go (moves.c); what RAM may hold, when the balloon is not enough (swap_plan.c); how it is
 * called (pressure, status).
 *
 * Invariants
 *  1  A target lies between the larger of minimum and floor, and the maximum, in mode auto.
 *  2  What is decided depends on the arguments and the state alone.
 *  3  Another guest (guest_start_ns changed) begins with nothing remembered.
 *  4  A clock that stands still or goes back lets no time pass; one that leaps lets a tick pass.
 * Limits. No loop here depends on an input; a tick is a few hundred instructions.
 */
#include "policy/policy_internal.h"

uint64_t tick_frames_up(const struct policy_tick *tick, uint64_t bytes)
{
	uint64_t aligned;

	if (!align_up(bytes, tick->settings->frame_bytes, &aligned))
		return tick->settings->maximum_bytes;
	return least(aligned, tick->settings->maximum_bytes);
}

/* Said anew while it still holds, it holds from now; said again soon after it ended, twice as
 * long. */
void hold_set(struct policy_hold *hold, uint64_t bytes)
{
	uint64_t first_ns = POLICY_HOLD_S * NS_PER_S, most_ns = POLICY_HOLD_MOST_S * NS_PER_S;

	if (hold->span_ns == 0 || hold->quiet_ns > 2 * hold->span_ns)
		hold->span_ns = first_ns;
	else if (!hold_holds(hold))
		hold->span_ns = least(2 * hold->span_ns, most_ns);
	hold->bytes = bytes;
	hold->left_ns = hold->span_ns;
	hold->quiet_ns = 0;
}

void hold_pass(struct policy_hold *hold, uint64_t dt_ns)
{
	hold->left_ns = less(hold->left_ns, dt_ns);
	hold->quiet_ns = least(hold->quiet_ns + dt_ns, UINT64_MAX / 2);
}

void policy_init(struct policy_state *state)
{
	*state = (struct policy_state){ 0 };
}

static uint64_t time_since(const struct policy_state *state, uint64_t now_ns)
{
	uint64_t tick_ns = POLICY_TICK_MS * NS_PER_MS, dt_ns = less(now_ns, state->seen_ns);

	return dt_ns > tick_ns * POLICY_SILENCE_PERIODS ? tick_ns : dt_ns;
}

static void meet_guest(struct policy_tick *tick)
{
	struct policy_state *state = tick->state;
	uint64_t age_ns = less(tick->input->now_ns, tick->input->guest_start_ns);

	if (state->started && state->guest_start_ns == tick->input->guest_start_ns) {
		tick->dt_ns = time_since(state, tick->input->now_ns);
		state->age_ns += tick->dt_ns;
	} else {
		policy_init(state);
		state->started = true;
		state->guest_start_ns = tick->input->guest_start_ns;
		state->age_ns = age_ns;
		state->assigned_bytes = state->progress_bytes = tick->assigned_bytes;
		state->target_bytes = age_ns < POLICY_BOOT_GRACE_S * NS_PER_S
					      ? tick->startup_bytes
					      : tick_frames_up(tick, tick->assigned_bytes);
	}
	state->seen_ns = tick->input->now_ns;
	tick->in_grace = state->age_ns < POLICY_BOOT_GRACE_S * NS_PER_S;
	hold_pass(&state->cannot, tick->dt_ns);
	hold_pass(&state->hurt, tick->dt_ns);
	hold_pass(&state->swap_back_off, tick->dt_ns);
}

static void begin(struct policy_tick *tick)
{
	const struct policy_settings *settings = tick->settings;
	uint64_t floor_bytes = policy_floor_bytes(settings->maximum_bytes);

	tick->assigned_bytes = less(settings->maximum_bytes, tick->input->taken_bytes);
	tick->lower_bytes = tick_frames_up(tick, most(settings->minimum_bytes, floor_bytes));
	tick->startup_bytes =
		most(tick->lower_bytes, tick_frames_up(tick, settings->startup_bytes));
	tick->band_bytes = most(percent_of(tick->assigned_bytes, POLICY_BAND_PERCENT),
				POLICY_BAND_MIB * MIB_BYTES);
	meet_guest(tick);
}

static uint32_t pressure_of(uint64_t demand_bytes, uint64_t assigned_bytes, uint64_t unit)
{
	return (uint32_t)least(scale(demand_bytes, unit, assigned_bytes), UINT32_MAX / 2);
}

static enum policy_status status_of(const struct policy_tick *tick)
{
	const struct policy_decision *decision = tick->decision;
	uint64_t wish =
		percent_of(decision->demand_bytes, 100 + (uint64_t)tick->settings->buffer_percent);

	if (tick->hurts || hold_holds(&tick->state->swap_back_off) ||
	    (decision->has_demand && decision->demand_bytes > tick->assigned_bytes))
		return POLICY_STATUS_WARNING;
	if (decision->has_demand && wish > tick->assigned_bytes + tick->band_bytes)
		return POLICY_STATUS_LOW;
	return POLICY_STATUS_OK;
}

/* Fine enough that a part of a second still moves it. */
enum { MPERCENT = 100000 }; /* thousandths of a percent, of 1 */

/* The mean of what is known, until that is longer than the time the average is over. */
static void average_pressure(struct policy_tick *tick)
{
	struct policy_state *state = tick->state;
	uint64_t mpercent =
		pressure_of(tick->decision->demand_bytes, tick->assigned_bytes, MPERCENT);
	uint64_t span_ns = POLICY_AVERAGE_MS * NS_PER_MS;

	if (state->measured_ns == 0)
		state->average_mpercent = mpercent;
	/* The first stands for a tick; of none at all there is no mean. */
	state->measured_ns = least(state->measured_ns ? state->measured_ns + tick->dt_ns
						      : POLICY_TICK_MS * NS_PER_MS,
				   span_ns);
	state->average_mpercent =
		smooth(state->average_mpercent, mpercent, tick->dt_ns, state->measured_ns);
}

static void tell(struct policy_tick *tick)
{
	struct policy_decision *decision = tick->decision;
	struct policy_state *state = tick->state;

	decision->available_bytes = less(tick->assigned_bytes, decision->demand_bytes);
	decision->pressure_percent = pressure_of(decision->demand_bytes, tick->assigned_bytes, 100);
	if (decision->has_demand)
		average_pressure(tick);
	decision->average_pressure_percent = (uint32_t)(state->average_mpercent / (MPERCENT / 100));
	decision->status = status_of(tick);
	state->target_bytes = decision->target_bytes;
	state->assigned_bytes = tick->assigned_bytes;
}

static void decide(struct policy_tick *tick)
{
	struct policy_decision *decision = tick->decision;

	demand_step(tick);
	decision->has_demand = tick->state->has_demand;
	tick->demand_bytes = demand_now(tick->state);
	decision->demand_bytes = decision->has_demand ? tick->demand_bytes : 0;
	moves_step(tick);
	if (tick->settings->mode == POLICY_MODE_AUTO)
		swap_plan_step(tick);
	if (tick->settings->mode == POLICY_MODE_AUTO && tick->state->out_bytes &&
	    tick->input->taken_bytes > 0)
		decision->report_in_ns = POLICY_REPORT_MS * NS_PER_MS;
	tell(tick);
}

void policy_count(struct policy_counters *counters, const struct policy_decision *before,
		  const struct policy_decision *now)
{
	if (now->assigned_bytes > before->assigned_bytes)
		counters->added_bytes += now->assigned_bytes - before->assigned_bytes;
	else
		counters->removed_bytes += before->assigned_bytes - now->assigned_bytes;
	counters->added_operations += now->target_bytes > before->target_bytes;
	counters->removed_operations += now->target_bytes < before->target_bytes;
}

void policy_step(const struct policy_settings *settings, const struct policy_input *input,
		 struct policy_state *state, struct policy_decision *ret_decision)
{
	uint64_t has_bytes = less(settings->maximum_bytes, input->taken_bytes);
	struct policy_decision decision = { .assigned_bytes = has_bytes,
					    .available_bytes = has_bytes,
					    .want_bytes = has_bytes,
					    .target_bytes = has_bytes,
					    .rule = POLICY_RULE_OFF };
	struct policy_tick tick = {
		.settings = settings, .input = input, .state = state, .decision = &decision
	};

	if (settings->mode == POLICY_MODE_OFF || policy_check_settings(settings, NULL) < 0) {
		policy_init(state);
	} else {
		begin(&tick);
		decide(&tick);
	}
	*ret_decision = decision;
}
