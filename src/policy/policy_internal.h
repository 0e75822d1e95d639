/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* policy_internal.h - one tick, as it goes from file to file inside policy/:
 * vm_policy.c makes it; demand.c, pain.c, moves.c and swap_plan.c each add their part. */
#ifndef NEAP_POLICY_POLICY_INTERNAL_H
#define NEAP_POLICY_POLICY_INTERNAL_H

#include "base/bounds.h"
#include "base/units.h"
#include "policy/constants.h"
#include "policy/policy.h"

struct policy_tick {
	const struct policy_settings *settings;
	const struct policy_input *input;
	struct policy_state *state;
	struct policy_decision *decision;

	uint64_t dt_ns; /* since the last call, as rates count it */
	uint64_t assigned_bytes;
	uint64_t demand_bytes;	/* with pain; 0: nothing is known */
	uint64_t lower_bytes;	/* minimum or floor, a multiple of the frame */
	uint64_t startup_bytes; /* not less than that */
	uint64_t band_bytes;	/* the dead band */
	bool in_grace;
	bool stats_fresh;
	bool stats_new;	 /* first seen now */
	bool hurts;	 /* pain of any kind */
	bool hurts_anew; /* and it was noticed now */
	bool took_back;	 /* the guest helped itself from the balloon */
	bool is_short;	 /* the host or the grant wants memory back */
};

/* a * b / c without overflow; UINT64_MAX when it does not fit. */
static inline uint64_t scale(uint64_t a, uint64_t b, uint64_t c)
{
	unsigned __int128 result = (unsigned __int128)a * b / (c ? c : 1);

	return result > UINT64_MAX ? UINT64_MAX : (uint64_t)result;
}

static inline uint64_t percent_of(uint64_t value, uint64_t percent)
{
	return scale(value, percent, 100);
}

static inline uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static inline uint64_t clamp_to(uint64_t value, uint64_t low, uint64_t high)
{
	return most(low, least(value, high));
}

/* @old, moved towards @sample by @dt_ns of @span_ns. */
static inline uint64_t smooth(uint64_t old, uint64_t sample, uint64_t dt_ns, uint64_t span_ns)
{
	uint64_t part_ns = least(dt_ns, span_ns);

	return sample > old ? old + scale(sample - old, part_ns, span_ns)
			    : old - scale(old - sample, part_ns, span_ns);
}

/* Up to a multiple of the frame, but not above the maximum. */
uint64_t tick_frames_up(const struct policy_tick *tick, uint64_t bytes);

static inline bool hold_holds(const struct policy_hold *hold)
{
	return hold->left_ns > 0;
}

/* Demand and what hurts. */
void demand_step(struct policy_tick *tick);
void pain_of_statistics(struct policy_tick *tick, uint64_t dt_ns);
void pain_step(struct policy_tick *tick);
uint64_t pain_demand(const struct policy_state *state); /* 0: none */
uint64_t demand_now(const struct policy_state *state);

/* Where to. */
void moves_step(struct policy_tick *tick);
void swap_plan_step(struct policy_tick *tick);

void hold_set(struct policy_hold *hold, uint64_t bytes);
void hold_pass(struct policy_hold *hold, uint64_t dt_ns);

#endif
