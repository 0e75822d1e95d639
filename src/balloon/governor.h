/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* governor.h - the thread that feeds the policy and does what it says: observe, decide, act.
 *
 * For: one decision of policy_step() a second and at once when something happened, for one VM.
 * Not for: where the numbers come from and what moves a balloon; its owner gives it callbacks. It
 * knows no API, no event loop and no KVM.
 *
 * Threads: a governor has one thread, which calls the callbacks; they must not wait for the guest
 * or for anybody that waits for it. Everything here may be called from any thread, and waits for a
 * copy at most, but for governor_stop().
 */
#ifndef NEAP_BALLOON_GOVERNOR_H
#define NEAP_BALLOON_GOVERNOR_H

#include "policy/record.h"

/* What happened, so that the next tick shall not wait for its second. */
enum governor_cause {
	GOVERNOR_STATISTICS, /* the guest sent statistics */
	GOVERNOR_DEFLATED,   /* it took pages back that nobody gave: it runs out of memory */
	GOVERNOR_STARVED,    /* it touched memory, and the host has none */
	GOVERNOR_GUEST,	     /* it was reset, or goes on after a pause */
	GOVERNOR_WAITS,	     /* it waits for memory: look whether for long; see governor_waits() */
	GOVERNOR_CAUSE_COUNT
};

struct governor_ops {
	/* What is known now. All of @input is zero but now_ns and the grant. False: there is
	 * nothing to decide just now (the VM is paused). */
	bool (*observe)(void *ctx, struct policy_input *input);
	/* Time that vCPUs have waited for memory, since the start; asked up to 20 times a second
	 * while it grows. Who makes it grow calls governor_waits() after that. */
	uint64_t (*stall_ns)(void *ctx);
	/* Do what was decided; post it, wait for nobody. Not called in mode off. */
	void (*act)(void *ctx, const struct policy_record *record);
	/* The decision is kept and can be read. May be NULL. */
	void (*decided)(void *ctx, const struct policy_record *record);
};

struct governor_config {
	struct policy_settings settings;
	uint64_t
		phase_seed; /* differs from VM to VM: spreads the ticks of a host over the second */
	struct governor_ops ops;
	void *ctx;
};

enum { GOVERNOR_KEPT = 128 }; /* records */

/* The numbers of Hyper-V's performance counters, and what the ticks cost. */
struct governor_counters {
	struct policy_counters moved;
	uint64_t ticks;
	uint64_t tick_ns_worst, tick_ns_total; /* CPU time */
};

struct governor_status {
	struct policy_settings settings; /* now; the record has those of its decision */
	bool has_grant;
	uint64_t grant_bytes;
	struct policy_record record; /* valid when counters.ticks > 0 */
	struct governor_counters counters;
};

struct governor; /* opaque */

/* With its thread not yet running: governor_tick() may be called by the creator (tests). */
int governor_create(const struct governor_config *config, struct governor **ret_governor,
		    struct err *err);
void governor_destroy(struct governor *governor);
int governor_start(struct governor *governor, struct err *err);
void governor_stop(struct governor *governor); /* waits for a tick that is under way */

/* Checked settings from now on; the next tick comes at once. */
void governor_set(struct governor *governor, const struct policy_settings *settings);
void governor_grant(struct governor *governor, bool has_grant, uint64_t grant_bytes);

/* Never waits: one write to an eventfd. Bounded: ticks are at least GOVERNOR_LEAST_GAP_MS apart. */
void governor_wake(struct governor *governor, enum governor_cause cause);
enum { GOVERNOR_LEAST_GAP_MS = 20 };

/* Somebody began to wait for memory. One atomic exchange, and a write to an eventfd if nobody was known
 * to wait: for the thread that answers page faults. */
void governor_waits(struct governor *governor);

void governor_read(struct governor *governor, struct governor_status *ret_status);

/**
 * governor_read_records() - copies of the decisions that came after number @after, oldest first
 * @ret_last: number of the newest there is; the first is 1
 *
 * Return: how many were copied, at most @room; those that are not kept any more are left out.
 */
unsigned governor_read_records(struct governor *governor, uint64_t after,
			       struct policy_record *ret_records, unsigned room,
			       uint64_t *ret_last);

/* ---- For the thread, and for tests with a clock of their own ---- */

/* One tick at @now_ns, whatever the time. */
void governor_tick(struct governor *governor, uint64_t now_ns);

/* What is to be done at @now_ns: ticks, looks for a stall, or nothing. Returns when to come again
 * at the latest. @causes: a bit per cause that was woken for since the last call. */
uint64_t governor_step(struct governor *governor, uint64_t now_ns, unsigned causes);

#endif
