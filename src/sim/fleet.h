/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fleet.h - many simulated VMs on one pool, under one rule, tick by tick.
 *
 * Deterministic: integers only; the same spec, rule and number of VMs give the same result on
 * every machine. One thread. Memory: about a kilobyte per VM.
 */
#ifndef NEAP_SIM_FLEET_H
#define NEAP_SIM_FLEET_H

#include <stdbool.h>

#include "policy/record.h"
#include "sim/demand.h"
#include "sim/fleet_spec.h"
#include "sim/guest.h"

/* What one VM had of it. */
struct vm_tally {
	uint64_t peak_bytes;  /* most that its programs needed */
	uint64_t below_s;     /* time with less than its programs need */
	uint64_t moved_bytes; /* through its balloon, in and out */
	uint64_t reversals;   /* times that its memory began to go the other way */
	int direction;	      /* of the last move */
	uint64_t stalled_s;   /* of below_s: for want of pool */
};

struct fleet_vm {
	const struct fleet_class *class;
	struct demand demand;
	struct guest guest;
	struct vm_tally tally;
};

struct fleet {
	const struct fleet_spec *spec;
	uint64_t vm_count;
	struct fleet_vm *vms;
	uint64_t pool_free_bytes;
	uint64_t now_s;
	/* sums over the time so far, in MiB times seconds */
	uint64_t demanded_mib_s, assigned_mib_s, held_mib_s, below_s;
	uint64_t peak_demand_bytes; /* of all together */
	uint64_t least_free_bytes;
	void *rule_data; /* the rule's own */
};

/* A rule for how much each VM should have: sets guest.target_taken_bytes. */
struct fleet_rule {
	const char *name, *help;
	int (*start)(struct fleet *fleet); /* may be NULL; 0 or -ENOMEM */
	void (*step)(struct fleet *fleet); /* after each tick of the guests */
	void (*end)(struct fleet *fleet);  /* may be NULL; takes half-built data */
	bool starts_full;		   /* VMs begin at their maximum, not at startup */
};

extern const struct fleet_rule fleet_rule_neap;	   /* policy_step() and host_divide() */
extern const struct fleet_rule fleet_rule_static;  /* each VM has its maximum */
extern const struct fleet_rule fleet_rule_proxmox; /* a host goal of 80 %, 100 MiB per 10 s */
extern const struct fleet_rule fleet_rule_mom;	   /* steps of 5 % by the host's free memory */

/* Under fleet_rule_neap: the tick of VM @number that was decided last, as `neap run --policy-trace`
 * would write it. */
void fleet_record(const struct fleet *fleet, uint64_t number, struct policy_record *ret_record);

/* What a run tells while it goes on. Both may be NULL. */
struct fleet_watch {
	void (*tick)(void *ctx, const struct fleet *fleet);
	void *ctx;
	uint64_t most_below_ppm; /* end early when more is certain; 0: never */
};

enum { FLEET_PPM = 1000000 }; /* units: a share */

struct fleet_result {
	uint64_t vm_count, duration_s;			     /* neither is 0 */
	uint64_t demanded_bytes, assigned_bytes, held_bytes; /* mean over time, of all */
	uint64_t peak_demand_bytes;  /* of all together, at the worst moment */
	uint64_t sum_of_peaks_bytes; /* if all peaked at once */
	uint64_t least_free_bytes;
	uint64_t below_p50_ppm, below_p99_ppm, below_worst_ppm; /* of the VMs' times */
	uint64_t below_ppm;					/* of all VM-time */
	uint64_t stalled_ppm;
	uint64_t moved_bytes, reversals;
	bool was_cut; /* ended early: only below_ppm says anything, "at least" */
};

/**
 * fleet_run() - run @vm_count VMs of @spec's classes, mixed as the classes' counts are
 * Return: 0; -EINVAL: no VM, or no time; -ENOMEM.
 */
int fleet_run(const struct fleet_spec *spec, uint64_t vm_count, const struct fleet_rule *rule,
	      const struct fleet_watch *watch, struct fleet_result *ret_result);

/* VMs, mixed in the same way, whose maxima fit the pool together. */
uint64_t fleet_static_vms(const struct fleet_spec *spec);

/**
 * fleet_most_vms() - the largest number of VMs with at most @most_below_ppm of their time below
 * demand
 * @watch: its tick is called in each of the runs
 *
 * Doubles, then halves the gap; it takes the time below demand to grow with the number of VMs.
 * Return: 0 or -ENOMEM; *ret_vms is 0 when not even one VM fits, and at most FLEET_VMS_MAX.
 */
int fleet_most_vms(const struct fleet_spec *spec, const struct fleet_rule *rule,
		   uint64_t most_below_ppm, const struct fleet_watch *watch, uint64_t *ret_vms);

#endif
