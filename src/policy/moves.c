/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* moves.c - from demand to a balloon target: up at once, down slowly, and what forbids either.
 *
 *   want   demand and buffer, between the larger of minimum and floor, and the maximum
 *   goal   what it should have now: want, cut to what the host or the broker lets it have
 *   target what the guest is asked to keep: on its way to the goal
 *
 * Who is short, and what then. A broker's grant rules when there is one: the goal is at most the
 * grant. Else the state of the host does:
 *   clear  the goal is at most what the guest has and what the host has free;
 *   soft   nobody grows; what is not wanted comes back, as always;
 *   hard   the goal is demand alone: the buffer comes back too;
 *   low    as hard (and nobody starts new VMs, which is not decided here).
 * The larger of minimum and floor is every guest's own in all of them.
 *
 * Invariants
 *  1  A target below what the guest has falls only with a driver, after the boot grace, on fresh
 *     statistics, by at most min(5 % of what it has, 1/8 of the gap) per second, in whole frames.
 *  2  What is asked beyond what was handed over is at most 10 % of what it has (but for startup, all
 *     of which is asked at once), so a guest that lags or refuses never owes more. After 5 s without
 *     progress, or when it takes something back, what it has is the floor, and it is not asked for a
 *     while: a minute, and twice as long each time that it refuses again.
 *  3  When a guest suffers, what it is given then is its floor for a while, unless the host is short.
 *  4  Differences inside the dead band (above a grant: a smaller one) move nothing, but a demand above
 *     the target that can be met always does. One that cannot be met would follow each breath of a shared pool.
 *  5  In the boot grace a target never falls, and never lies below startup.
 *  6  What the guest has above its grant and never touched is asked for at once: to hand it over costs the
 *     guest nothing, and it keeps the dead band of it. A guest that fills its memory with a cache
 *     would otherwise come to the end of its grant before the balloon has told it where that is, and
 *     wait there, instead of giving up its cache. It needs a driver, but no statistics.
 * Not done: no target below what the guest has because statistics are missing, ever. A guest that
 * says nothing keeps what it has; when the host is short it is swapped (swap_plan.c).
 */
#include "policy/policy_internal.h"

struct move {
	uint64_t goal_bytes;
	uint64_t target_bytes;
	enum policy_rule goal_rule; /* what bound the goal; SETTLED: nothing */
	enum policy_rule rule;
};

static uint64_t wanted_bytes(const struct policy_tick *tick)
{
	uint64_t buffer = 100 + (uint64_t)tick->settings->buffer_percent;
	uint64_t wish = percent_of(tick->demand_bytes, buffer);

	/* One that says nothing wants what it was let keep, or what its pain asks for. */
	if (!tick->state->has_demand)
		wish = most(wish, tick->state->target_bytes);
	return clamp_to(tick_frames_up(tick, wish), tick->lower_bytes,
			tick->settings->maximum_bytes);
}

static void cut_goal(const struct policy_tick *tick, struct move *move, uint64_t most_bytes,
		     enum policy_rule rule)
{
	uint64_t cut = most(align_down(most_bytes, tick->settings->frame_bytes), tick->lower_bytes);

	if (move->goal_bytes <= cut)
		return;
	move->goal_bytes = cut;
	move->goal_rule = rule;
}

/* What a host without a broker lets a guest have. */
static void ask_host(const struct policy_tick *tick, struct move *move)
{
	const struct policy_input *input = tick->input;
	uint64_t has = tick_frames_up(tick, tick->assigned_bytes), room;

	if (input->host == HOST_CLEAR) {
		if (__builtin_add_overflow(has, input->host_free_bytes, &room))
			return;
		cut_goal(tick, move, room, POLICY_RULE_HOST_FREE);
		return;
	}
	cut_goal(tick, move, has, POLICY_RULE_HOST_SOFT);
	if (input->host >= HOST_HARD && tick->state->has_demand)
		cut_goal(tick, move, tick_frames_up(tick, tick->demand_bytes),
			 POLICY_RULE_HOST_HARD);
}

static void set_goal(struct policy_tick *tick, struct move *move)
{
	const struct policy_input *input = tick->input;

	move->goal_bytes = tick->decision->want_bytes;
	move->goal_rule = POLICY_RULE_SETTLED;
	if (input->has_grant)
		cut_goal(tick, move, input->grant_bytes, POLICY_RULE_GRANT);
	else if (input->has_host)
		ask_host(tick, move);
	tick->is_short = input->has_grant ? less(tick->assigned_bytes, input->grant_bytes) > 0
					  : input->has_host && input->host >= HOST_HARD;
}

/* What the guest would keep if nothing were decided now. */
static uint64_t kept_bytes(const struct policy_tick *tick)
{
	uint64_t bytes = clamp_to(tick_frames_up(tick, tick->state->target_bytes),
				  tick->lower_bytes, tick->settings->maximum_bytes);

	return tick->in_grace ? most(bytes, tick->startup_bytes) : bytes;
}

static void grow(struct policy_tick *tick, struct move *move, uint64_t kept)
{
	bool is_needed = tick->demand_bytes > kept && move->goal_bytes >= tick->demand_bytes;

	if (!is_needed && move->goal_bytes - kept < tick->band_bytes) {
		move->rule = move->goal_rule != POLICY_RULE_SETTLED ? move->goal_rule
								    : POLICY_RULE_DEAD_BAND;
		return;
	}
	move->target_bytes = move->goal_bytes;
	move->rule = tick->hurts			      ? POLICY_RULE_STALL
		     : move->goal_rule != POLICY_RULE_SETTLED ? move->goal_rule
							      : POLICY_RULE_GROW;
}

/* What forbids taking anything away now; SETTLED: nothing. */
static enum policy_rule shrink_ban(const struct policy_tick *tick)
{
	if (!tick->input->driver_ready)
		return POLICY_RULE_NO_DRIVER;
	if (tick->in_grace)
		return POLICY_RULE_STARTUP;
	if (tick->hurts && !tick->is_short)
		return POLICY_RULE_STALL;
	if (!tick->state->has_demand)
		return POLICY_RULE_NO_STATS;
	if (!tick->stats_fresh)
		return POLICY_RULE_STALE_STATS;
	return POLICY_RULE_SETTLED;
}

/* What was learned lifts the goal; the rule if it does. */
static enum policy_rule heed_holds(const struct policy_tick *tick, struct move *move, uint64_t base)
{
	const struct policy_state *state = tick->state;
	enum policy_rule rule = POLICY_RULE_SETTLED;
	uint64_t goal = move->goal_bytes;

	if (hold_holds(&state->hurt) && !tick->is_short && state->hurt.bytes > goal) {
		goal = state->hurt.bytes;
		rule = POLICY_RULE_PAIN;
	}
	if (hold_holds(&state->cannot) && state->cannot.bytes > goal) {
		goal = state->cannot.bytes;
		rule = POLICY_RULE_NO_PROGRESS;
	}
	move->goal_bytes = least(tick_frames_up(tick, goal), most(base, move->goal_bytes));
	return rule;
}

static enum policy_rule bound_of(const struct policy_tick *tick, const struct move *move)
{
	if (move->goal_rule != POLICY_RULE_SETTLED)
		return move->goal_rule;
	if (!tick->state->has_demand)
		return POLICY_RULE_NO_STATS;
	if (move->goal_bytes == tick->settings->maximum_bytes)
		return POLICY_RULE_MAXIMUM;
	if (move->goal_bytes > tick->lower_bytes)
		return POLICY_RULE_SETTLED;
	return policy_floor_bytes(tick->settings->maximum_bytes) > tick->settings->minimum_bytes
		       ? POLICY_RULE_FLOOR
		       : POLICY_RULE_MINIMUM;
}

static void shrink_by_rate(struct policy_tick *tick, struct move *move, uint64_t base)
{
	struct policy_state *state = tick->state;
	uint64_t gap = base - move->goal_bytes;
	uint64_t rate = least(percent_of(tick->assigned_bytes, POLICY_SHRINK_PERCENT),
			      gap / POLICY_SHRINK_GAP_PART);
	uint64_t lag = most(percent_of(tick->assigned_bytes, POLICY_LAG_PERCENT),
			    2 * tick->settings->frame_bytes);
	uint64_t aimed;

	if (less(tick->assigned_bytes, base) >= lag) {
		state->shrink_credit_bytes = 0;
		move->rule = POLICY_RULE_GUEST_LAG;
		return;
	}
	state->shrink_credit_bytes += scale(rate, tick->dt_ns, NS_PER_S);
	aimed = most(tick_frames_up(tick, less(base, state->shrink_credit_bytes)),
		     move->goal_bytes);
	move->rule =
		move->goal_rule != POLICY_RULE_SETTLED ? move->goal_rule : POLICY_RULE_SHRINK_RATE;
	if (aimed >= base)
		return;
	state->shrink_credit_bytes = less(state->shrink_credit_bytes, base - aimed);
	move->target_bytes = least(aimed, move->target_bytes);
	if (aimed == move->goal_bytes && move->goal_rule == POLICY_RULE_SETTLED)
		move->rule = POLICY_RULE_SHRINK;
}

/* Is @base near enough to the goal, and to the grant? */
static bool is_near(const struct policy_tick *tick, const struct move *move, uint64_t base)
{
	uint64_t grant = most(tick->input->grant_bytes, tick->lower_bytes);
	uint64_t band =
		most(percent_of(grant, POLICY_BAND_GRANT_PERCENT), tick->settings->frame_bytes);

	return less(base, move->goal_bytes) < tick->band_bytes &&
	       (!tick->input->has_grant || less(base, grant) < band);
}

/* 6: of @base, what it may keep without having touched it. */
static uint64_t touched_part(const struct policy_tick *tick, uint64_t base)
{
	const struct policy_input *input = tick->input;
	uint64_t touched = input->held_bytes + input->swapped_bytes + tick->band_bytes;
	uint64_t grant = align_down(input->grant_bytes, tick->settings->frame_bytes);

	if (!input->has_grant || !input->has_held || !input->driver_ready || tick->in_grace ||
	    hold_holds(&tick->state->cannot))
		return base;
	return least(base, most(most(grant, tick->lower_bytes), tick_frames_up(tick, touched)));
}

static void shrink(struct policy_tick *tick, struct move *move, uint64_t kept)
{
	uint64_t has = least(kept, tick->assigned_bytes), base = touched_part(tick, has);
	enum policy_rule ban = shrink_ban(tick), held;

	move->rule = base < has ? POLICY_RULE_GRANT : ban;
	move->target_bytes = least(move->target_bytes, base < has ? base : kept);
	if (ban != POLICY_RULE_SETTLED) {
		tick->state->shrink_credit_bytes = 0;
		return;
	}
	held = heed_holds(tick, move, base);
	if (is_near(tick, move, base)) {
		tick->state->shrink_credit_bytes = 0;
		move->rule = held != POLICY_RULE_SETTLED	      ? held
			     : move->goal_rule != POLICY_RULE_SETTLED ? move->goal_rule
								      : POLICY_RULE_DEAD_BAND;
		return;
	}
	shrink_by_rate(tick, move, base);
}

/* Has the guest, asked to hand something over, done so lately? If not, or if it took something back,
 * what it has is all it can do. */
static bool guest_refuses(struct policy_tick *tick)
{
	struct policy_state *state = tick->state;
	uint64_t owed = less(tick->assigned_bytes, state->target_bytes);
	uint64_t gave = less(state->progress_bytes, tick->assigned_bytes);

	if (tick->took_back) {
		hold_set(&state->cannot, tick->assigned_bytes);
		return true;
	}
	if (owed < tick->settings->frame_bytes || !tick->input->driver_ready ||
	    gave >= least(owed, POLICY_PROGRESS_KIB * KIB_BYTES)) {
		state->progress_bytes = tick->assigned_bytes;
		state->waiting_ns = 0;
		return false;
	}
	state->waiting_ns += tick->dt_ns;
	if (state->waiting_ns < POLICY_NO_PROGRESS_MS * NS_PER_MS)
		return false;
	state->waiting_ns = 0;
	hold_set(&state->cannot, tick->assigned_bytes);
	return true;
}

static void move_in_auto(struct policy_tick *tick)
{
	bool gave_up = guest_refuses(tick);
	struct move move = { .rule = POLICY_RULE_SETTLED };
	uint64_t kept = kept_bytes(tick);

	/* Stop asking: the driver would try for ever. */
	if (gave_up)
		kept = most(kept, tick_frames_up(tick, tick->assigned_bytes));
	set_goal(tick, &move);
	if (tick->in_grace && move.goal_bytes <= tick->startup_bytes) {
		move.goal_bytes = tick->startup_bytes;
		move.goal_rule = POLICY_RULE_STARTUP;
	}
	move.target_bytes = kept;
	if (move.goal_bytes > kept) {
		grow(tick, &move, kept);
	} else if (move.goal_bytes < kept) {
		shrink(tick, &move, kept);
	} else {
		move.rule = bound_of(tick, &move);
	}
	if (move.goal_bytes >= kept)
		tick->state->shrink_credit_bytes = 0;
	if (gave_up && move.target_bytes == kept)
		move.rule = POLICY_RULE_NO_PROGRESS;
	if (!tick->input->driver_ready)
		move.rule = POLICY_RULE_NO_DRIVER;
	tick->decision->target_bytes = move.target_bytes;
	tick->decision->rule = move.rule;
	if (tick->hurts_anew)
		hold_set(&tick->state->hurt, move.target_bytes);
}

void moves_step(struct policy_tick *tick)
{
	struct policy_decision *decision = tick->decision;

	if (tick->settings->mode == POLICY_MODE_MANUAL) {
		decision->want_bytes = wanted_bytes(tick);
		decision->rule = POLICY_RULE_MANUAL;
		return;
	}
	if (tick->settings->reserved) {
		decision->want_bytes = decision->target_bytes = tick->settings->maximum_bytes;
		decision->rule = POLICY_RULE_RESERVED;
		return;
	}
	decision->want_bytes = wanted_bytes(tick);
	move_in_auto(tick);
}
