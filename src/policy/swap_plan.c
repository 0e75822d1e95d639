/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_plan.c - how much of a VM RAM may hold, when its balloon does not give what the host needs.
 *
 * Problem. Second-level swap is the last resort: a disk is slow, and the host cannot know which
 * pages the guest would give up gladly. But a guest without a driver, or one that refuses, would
 * otherwise keep a host in famine.
 * Design. A limit is wanted only when the host is hard or low (or the grant is below what the guest
 * has), and the balloon cannot help: no driver, no fresh statistics, or no progress. It goes down as
 * fast as the balloon would, to the grant, or to what the guest uses: its demand, or the part of it
 * that it touches. When the host is clear again it rises as slowly, and ends.
 *
 * Invariants
 *  1  A limit is never below the larger of minimum and floor; 0 is none.
 *  2  Nothing is known of what the guest uses, and no grant: no limit. Nobody swaps blindly.
 *  3  More refaults in a minute than 0.2 % of the working set (and more than one block): the limit
 *     rises by 5 % and does not fall for a while, twice as long each time.
 *  4  Between clear and hard a limit stays as it is, so that what it freed does not end it.
 */
#include "policy/policy_internal.h"

static uint64_t working_set_bytes(const struct policy_tick *tick)
{
	if (tick->input->has_active)
		return percent_of(tick->assigned_bytes, least(tick->input->active_percent, 100));
	return tick->state->has_demand ? tick->demand_bytes : tick->assigned_bytes;
}

/* How far the limit may go down; false: nothing is known. */
static bool limit_goal(const struct policy_tick *tick, uint64_t *ret_bytes)
{
	uint64_t goal;

	if (tick->input->has_grant)
		goal = tick->input->grant_bytes;
	else if (tick->state->has_demand)
		goal = tick->demand_bytes;
	else if (tick->input->has_active)
		goal = working_set_bytes(tick);
	else
		return false;
	*ret_bytes = goal;
	return true;
}

static bool balloon_cannot_help(const struct policy_tick *tick)
{
	return !tick->input->driver_ready || !tick->stats_fresh || !tick->state->has_demand ||
	       hold_holds(&tick->state->cannot);
}

static bool need_is_over(const struct policy_input *input, uint64_t assigned_bytes)
{
	if (input->has_grant)
		return input->grant_bytes >= assigned_bytes;
	return !input->has_host || input->host == HOST_CLEAR;
}

/* More came back than could be called cold. */
static bool too_many_refaults(struct policy_tick *tick)
{
	struct policy_state *state = tick->state;
	uint64_t now = tick->input->refault_blocks;
	uint64_t blocks = state->has_refaults ? less(now, state->refault_blocks) : 0;
	uint64_t budget = scale(working_set_bytes(tick), POLICY_REFAULT_PERMYRIAD, 10000);

	state->has_refaults = true;
	state->refault_blocks = now;
	state->refaults = least(state->refaults + blocks, UINT32_MAX);
	state->refault_window_ns += tick->dt_ns;
	if (state->refaults * HUGE_FRAME_BYTES > most(budget, HUGE_FRAME_BYTES)) {
		state->refaults = state->refault_window_ns = 0;
		return true;
	}
	if (state->refault_window_ns >= POLICY_REFAULT_WINDOW_S * NS_PER_S)
		state->refaults = state->refault_window_ns = 0;
	return false;
}

static void lower_limit(struct policy_tick *tick, uint64_t goal, uint64_t held, uint64_t step)
{
	struct policy_state *state = tick->state;
	uint64_t from = state->swap_limit_bytes ? state->swap_limit_bytes : held;

	if (from > goal && !hold_holds(&state->swap_back_off))
		state->swap_limit_bytes = most(goal, less(from, step));
}

static void raise_limit(struct policy_tick *tick, uint64_t by_bytes)
{
	struct policy_state *state = tick->state;

	if (state->swap_limit_bytes == 0)
		return;
	state->swap_limit_bytes += by_bytes;
	if (state->swap_limit_bytes >= tick->assigned_bytes)
		state->swap_limit_bytes = 0;
}

void swap_plan_step(struct policy_tick *tick)
{
	struct policy_state *state = tick->state;
	uint64_t held = less(tick->assigned_bytes, tick->input->swapped_bytes), goal;
	uint64_t part = percent_of(held, POLICY_SWAP_PERCENT);
	uint64_t step = scale(part, tick->dt_ns, NS_PER_S);

	if (!tick->input->can_swap || tick->settings->reserved) {
		state->swap_limit_bytes = 0;
		return;
	}
	if (too_many_refaults(tick) && state->swap_limit_bytes) {
		hold_set(&state->swap_back_off, state->swap_limit_bytes);
		raise_limit(tick, part);
	} else if (need_is_over(tick->input, tick->assigned_bytes)) {
		raise_limit(tick, step);
	} else if (tick->is_short && !tick->in_grace && balloon_cannot_help(tick) &&
		   limit_goal(tick, &goal)) {
		lower_limit(tick, goal, held, step);
	}
	if (state->swap_limit_bytes)
		state->swap_limit_bytes = most(state->swap_limit_bytes, tick->lower_bytes);
	tick->decision->swap_limit_bytes = state->swap_limit_bytes;
}
