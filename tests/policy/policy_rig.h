/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* policy_rig.h - a guest made of a few numbers, for tests of the policy.
 *
 * It uses `used_bytes` of what it has (its kernel's own part in it), follows the target at
 * `bytes_per_s` in steps of `step_bytes`, cannot go below `cannot_below_bytes`, and with
 * `takes_back` takes memory from the balloon when it needs it. Statistics come every stats_period_ns,
 * or as soon as the policy asks for them, at a tick.
 */
#ifndef NEAP_TESTS_POLICY_POLICY_RIG_H
#define NEAP_TESTS_POLICY_POLICY_RIG_H

#include "base/units.h"
#include "policy/constants.h"
#include "policy/policy.h"

#include "../support/testing.h"

struct policy_rig {
	struct policy_settings settings;
	struct policy_input input;
	struct policy_state state;
	struct policy_decision decision;

	uint64_t used_bytes, kernel_bytes, cache_bytes;
	uint64_t bytes_per_s, step_bytes, cannot_below_bytes;
	bool takes_back, is_silent, ignores_target;

	uint64_t started_ns;
	uint64_t moves, reversals; /* of the target, since rig_count_from_here() */
	int direction;
};

#define MIB(n) ((uint64_t)(n) << MIB_SHIFT)
#define GIB(n) ((uint64_t)(n) << GIB_SHIFT)

/* A guest of @maximum_bytes that started @age_s ago and has all its memory, with fresh statistics
 * each second, used 0 bytes. */
struct policy_rig rig_new(uint64_t maximum_bytes, uint64_t frame_bytes, uint64_t age_s);

/* @ms pass, the guest does what it was asked, statistics come if it is time, the policy decides. */
void rig_tick(struct policy_rig *rig, uint64_t ms);
void rig_seconds(struct policy_rig *rig, uint64_t seconds);
void rig_statistics(struct policy_rig *rig); /* the guest's, as of now */
void rig_count_from_here(struct policy_rig *rig);
uint64_t rig_assigned(const struct policy_rig *rig);

#endif
