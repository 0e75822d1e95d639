/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* policy.h - how much memory one VM should have now: Dynamic Memory, as a function.
 *
 * For: from what is known of a VM, its guest and its host at one moment, what to ask the balloon
 * and the swapper for. Not for: finding any of that out, or doing it (balloon/governor.c), and not
 * for sharing a host among VMs (host_policy.h).
 *
 * Pure: integers only, no clock, no allocation, no I/O; time arrives as a field. The same calls
 * with the same arguments give the same decisions on every machine. The live governor and the
 * simulator call this same code.
 * Names are Hyper-V Dynamic Memory's. Sizes are bytes; guest numbers are claims and are clamped.
 * Threads: a state belongs to its caller.
 */
#ifndef NEAP_POLICY_POLICY_H
#define NEAP_POLICY_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum policy_mode {
	POLICY_MODE_AUTO,   /* the policy sets the target */
	POLICY_MODE_MANUAL, /* somebody else does; demand and pressure are still told */
	POLICY_MODE_OFF,    /* nobody looks */
	POLICY_MODE_COUNT
};
extern const char *const policy_mode_names[POLICY_MODE_COUNT + 1]; /* NULL at the end */

struct policy_settings {
	enum policy_mode mode;
	uint64_t startup_bytes; /* what the guest keeps at boot */
	uint64_t minimum_bytes; /* never asked below this */
	uint64_t maximum_bytes; /* guest RAM */
	uint32_t buffer_percent;
	uint32_t weight;
	bool reserved;	      /* all memory was taken at the start: never taken from */
	uint64_t frame_bytes; /* targets are multiples of it */
};

/* Values against each other: 0, or -EINVAL/-ERANGE with one sentence in the words of the options
 * (memory.minimum, memory.startup, ...). */
int policy_check_settings(const struct policy_settings *settings, struct err *err);

/* All but the maximum (startup = maximum) and the frame. */
struct policy_settings policy_default_settings(uint64_t maximum_bytes, uint64_t frame_bytes);
uint64_t policy_default_minimum_bytes(uint64_t maximum_bytes); /* max(64 MiB, 1/8) */

/* What no balloon should go below, whatever the minimum: as Linux's Hyper-V driver has it. */
uint64_t policy_floor_bytes(uint64_t maximum_bytes);

/* What a guest says of itself; each may be absent. Bit 1 << id of `present`. */
enum policy_claim {
	POLICY_CLAIM_TOTAL_BYTES,     /* MEMTOT */
	POLICY_CLAIM_AVAILABLE_BYTES, /* AVAIL */
	POLICY_CLAIM_FREE_BYTES,
	POLICY_CLAIM_CACHE_BYTES,
	POLICY_CLAIM_MAJOR_FAULTS, /* this and the rest: counters since the guest's boot */
	POLICY_CLAIM_SWAP_IN_BYTES,
	POLICY_CLAIM_SWAP_OUT_BYTES,
	POLICY_CLAIM_OOM_KILLS,
	POLICY_CLAIM_ALLOC_STALLS,
	POLICY_CLAIM_DIRECT_SCANS,
	POLICY_CLAIM_COUNT
};

/* How short the host is, see host_policy.h. */
enum host_state { HOST_CLEAR, HOST_SOFT, HOST_HARD, HOST_LOW, HOST_STATE_COUNT };
extern const char *const host_state_names[HOST_STATE_COUNT];

/* Held beyond a grant without waiting: who holds so much more gets no frame any more. */
uint64_t policy_grant_slack_bytes(uint64_t grant_bytes);

/* What is known at a moment. An absent input is absent, not zero: has_... and `present`. */
struct policy_input {
	uint64_t now_ns;	 /* monotonic */
	uint64_t guest_start_ns; /* when this guest began: start or the last reset */

	/* the balloon */
	bool driver_ready;
	bool deflate_on_oom; /* negotiated: then the balloon stays inside the guest's total */
	uint64_t taken_bytes;

	/* the guest's statistics. Call policy_step() soon after they came: they are understood by
	 * what the balloon had taken at that moment. */
	uint64_t stats_at_ns;	  /* when the last came; 0: never */
	uint64_t stats_period_ns; /* how often they are asked for; 0: never */
	uint32_t present;
	uint64_t untrusted_claim[POLICY_CLAIM_COUNT];

	/* the memory engine */
	bool has_stall;
	uint64_t stall_ns; /* counter: time that touches waited for memory that was not there */
	bool has_active;
	uint32_t active_percent;
	bool can_swap;
	uint64_t swapped_bytes; /* now */
	bool has_held;
	uint64_t held_bytes; /* of the host, now: what the guest touched and did not give back */
	uint64_t refault_blocks; /* counter: blocks brought back because they were touched */

	/* the host */
	bool has_host;
	enum host_state host;
	uint64_t
		host_free_bytes; /* what this VM could still get: of the pool, above its soft mark */
	bool has_grant;		 /* a broker's word: then it rules instead of `host` */
	uint64_t grant_bytes;
};

/* Which rule bound the last decision. rules.def: id, name ("shrink-rate"), what it means and what
 * it waits for, in words. */
enum policy_rule {
#define RULE(id, name, meaning, waits_for) POLICY_RULE_##id,
#include "policy/rules.def"
#undef RULE
	POLICY_RULE_COUNT
};
struct policy_rule_row {
	const char *name, *meaning, *waits_for; /* waits_for may be "" */
};
extern const struct policy_rule_row policy_rules[POLICY_RULE_COUNT];

enum policy_status {
	POLICY_STATUS_OK,      /* demand and buffer are met */
	POLICY_STATUS_LOW,     /* demand is, the buffer is not */
	POLICY_STATUS_WARNING, /* demand is not met, or the guest waits for memory or for swap */
	POLICY_STATUS_COUNT
};
extern const char *const policy_status_names[POLICY_STATUS_COUNT];

struct policy_decision {
	bool has_demand; /* false: the guest never said anything that can be used */
	uint64_t demand_bytes;
	uint64_t want_bytes;	  /* demand and buffer, between floor, minimum and maximum */
	uint64_t assigned_bytes;  /* what the guest has: maximum less what it handed over */
	uint64_t available_bytes; /* of it, above demand */
	uint64_t target_bytes; /* what the guest shall keep from now on; in any mode but auto: what
				      it has, and nobody needs to do anything */
	uint64_t swap_limit_bytes; /* what RAM may hold of the host; 0: no limit wanted */
	uint64_t report_in_ns;	   /* ask for statistics again so soon; 0: in their own time */
	uint32_t pressure_percent; /* 100 x demand / assigned */
	uint32_t average_pressure_percent; /* the same, smoothed */
	enum policy_status status;
	enum policy_rule rule;
};

/* What was learned, and for how long it holds: each time it turns out true again, twice as long. */
struct policy_hold {
	uint64_t bytes;	   /* not less than this */
	uint64_t left_ns;  /* 0: it does not hold now */
	uint64_t span_ns;  /* how long it held last */
	uint64_t quiet_ns; /* since it was set */
};

/* What is remembered between two moments. Members are the policy's own; it is a plain value: copy
 * it, and two runs go on alike. */
struct policy_state {
	bool started;
	uint64_t guest_start_ns, seen_ns, age_ns; /* of this guest; the last call; its age then */

	bool has_demand; /* demand.c */
	uint64_t stats_at_ns, fast_bytes, slow_bytes;
	uint64_t out_bytes; /* it is out of memory, and taken to need so much; 0: it is not */
	uint32_t counters_present;
	uint64_t counter[POLICY_CLAIM_COUNT];

	uint64_t pain_stats_bytes,
		pain_stall_bytes; /* pain.c: demand is at least this; 0: no pain */
	bool has_stall;
	uint64_t stall_ns, window_ns, window_stall_ns;

	uint64_t target_bytes,
		assigned_bytes; /* vm_policy.c: asked for, and had, at the last call */
	uint64_t shrink_credit_bytes;
	uint64_t progress_bytes, waiting_ns; /* what it had at its last progress, and since when */
	struct policy_hold cannot, hurt;

	uint64_t swap_limit_bytes, refault_blocks, refaults, refault_window_ns; /* swap_plan.c */
	bool has_refaults;
	struct policy_hold swap_back_off;

	uint64_t average_mpercent, measured_ns; /* pressure, and since when it is known */
};
void policy_init(struct policy_state *state);

/**
 * policy_step() - the decision for this moment
 * @settings: as policy_check_settings() accepts them; with others the VM is left alone (rule off)
 *
 * May be called at any time: each second, or at once when something happened (statistics, a stall,
 * a grant). Rates are by the time between calls; a clock that stands still or jumps back counts as
 * no time at all, one that jumps far ahead as one period.
 */
void policy_step(const struct policy_settings *settings, const struct policy_input *input,
		 struct policy_state *state, struct policy_decision *ret_decision);

/* Memory that came to a guest and went from it, as Hyper-V counts: what it has changed by so much, its
 * target was moved so often. */
struct policy_counters {
	uint64_t added_bytes, added_operations;
	uint64_t removed_bytes, removed_operations;
};

/* From one decision to the next. */
void policy_count(struct policy_counters *counters, const struct policy_decision *before,
		  const struct policy_decision *now);

/* The last decision in words, for an administrator: what was decided, which rule bound it, what it
 * waits for. At most @len bytes with the zero; sentences. */
void policy_explain(const struct policy_settings *settings, const struct policy_input *input,
		    const struct policy_decision *decision, char *ret_text, uint64_t len);

#endif
