/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* rule_neap.c - neap's own policy on a fleet: policy_step() for each VM, host_divide() for all.
 *
 * The host is a broker: each tick it knows what every VM wants. While all of it fits what is left
 * of the pool above its soft mark, VMs follow their wants and look at the host's state themselves;
 * when it does not, the pool is divided, and the grants rule.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/units.h"
#include "policy/host_policy.h"
#include "sim/fleet.h"

enum { ACTIVE_WHOLE = 100000, ACTIVE_SMOOTH_S = 60 };

struct neap_vm {
	struct policy_state state;
	struct policy_input input;
	struct policy_decision decision;
	uint32_t active_share;	 /* of what it holds, in 1/ACTIVE_WHOLE, over the last minute */
	uint32_t active_percent; /* by which the pool is divided */
};

struct neap_rule {
	struct host_marks marks;
	enum host_state host;
	bool divides;	      /* there is less than all want */
	uint64_t spare_bytes; /* of the pool, above its soft mark */
	struct neap_vm *vms;
	struct host_vm *shares;
	uint32_t *order;
};

static void start_vm(const struct fleet_vm *vm, struct neap_vm *own)
{
	policy_init(&own->state);
	own->active_share = ACTIVE_WHOLE;
	own->active_percent = 100;
	own->input = (struct policy_input){ .guest_start_ns = NS_PER_S,
					    .driver_ready = true,
					    .has_stall = true,
					    .has_active = true,
					    .has_host = true };
	own->decision = (struct policy_decision){
		.want_bytes = guest_assigned_bytes(&vm->guest),
		.target_bytes = guest_assigned_bytes(&vm->guest),
	};
}

static int start(struct fleet *fleet)
{
	struct neap_rule *rule = calloc(1, sizeof(*rule));

	fleet->rule_data = rule;
	if (!rule)
		return -ENOMEM;
	rule->marks = host_marks(fleet->spec->pool_bytes);
	rule->vms = calloc(fleet->vm_count, sizeof(*rule->vms));
	rule->shares = calloc(fleet->vm_count, sizeof(*rule->shares));
	rule->order = calloc(fleet->vm_count, sizeof(*rule->order));
	if (!rule->vms || !rule->shares || !rule->order)
		return -ENOMEM;
	for (uint64_t i = 0; i < fleet->vm_count; i++)
		start_vm(&fleet->vms[i], &rule->vms[i]);
	return 0;
}

static void end(struct fleet *fleet)
{
	struct neap_rule *rule = fleet->rule_data;

	if (rule) {
		free(rule->vms);
		free(rule->shares);
		free(rule->order);
	}
	free(rule);
}

/* How much of what it holds its programs use. Smoothed: one percent moves a share by three. */
static void follow_active(const struct guest *guest, struct neap_vm *own, uint64_t tick_s)
{
	int64_t now = ACTIVE_WHOLE, share = own->active_share;

	if (guest->held_bytes > 0)
		now = (int64_t)((__int128)guest_used_bytes(guest) * ACTIVE_WHOLE /
				guest->held_bytes);
	share += (now - share) * (int64_t)tick_s / (ACTIVE_SMOOTH_S + (int64_t)tick_s);
	own->active_share = (uint32_t)share;
	own->input.active_percent = own->active_share / (ACTIVE_WHOLE / 100);
	own->active_percent = host_active_step(own->active_percent, own->input.active_percent);
}

static void divide(struct fleet *fleet, struct neap_rule *rule)
{
	uint64_t kept_free = rule->marks.enter_bytes[HOST_SOFT], wanted = 0;
	uint64_t free_bytes = fleet->pool_free_bytes;

	for (uint64_t i = 0; i < fleet->vm_count; i++) {
		const struct fleet_vm *vm = &fleet->vms[i];

		rule->shares[i] = (struct host_vm){
			.minimum_bytes = vm->class->settings.minimum_bytes,
			.maximum_bytes = vm->class->settings.maximum_bytes,
			.want_bytes = rule->vms[i].decision.want_bytes,
			.held_bytes = vm->guest.held_bytes,
			.weight = vm->class->settings.weight,
			.has_active = true,
			.active_percent = rule->vms[i].active_percent,
		};
		wanted += rule->shares[i].want_bytes;
	}
	rule->spare_bytes = free_bytes > kept_free ? free_bytes - kept_free : 0;
	rule->divides = wanted > fleet->spec->pool_bytes - kept_free;
	if (rule->divides)
		(void)host_divide(rule->shares, fleet->vm_count,
				  fleet->spec->pool_bytes - kept_free, HUGE_FRAME_BYTES,
				  rule->order);
}

static bool reports_now(const struct fleet *fleet, uint64_t number)
{
	uint64_t period_s = fleet->spec->stats_period_s, tick_s = fleet->spec->tick_s;

	return (fleet->now_s + number * tick_s) % period_s < tick_s;
}

static void step_vm(struct fleet *fleet, struct neap_rule *rule, uint64_t number)
{
	struct fleet_vm *vm = &fleet->vms[number];
	struct neap_vm *own = &rule->vms[number];
	struct policy_input *input = &own->input;

	input->now_ns = (fleet->now_s + 1) * NS_PER_S;
	input->taken_bytes = vm->guest.taken_bytes;
	input->stats_period_ns = fleet->spec->stats_period_s * NS_PER_S;
	if (reports_now(fleet, number))
		guest_report(&vm->guest, input->now_ns, input);
	input->stall_ns = vm->guest.stall_ns;
	follow_active(&vm->guest, own, fleet->spec->tick_s);
	input->host = rule->host;
	input->host_free_bytes = rule->spare_bytes;
	input->has_grant = rule->divides;
	input->grant_bytes = rule->shares[number].grant_bytes;
	policy_step(&vm->class->settings, input, &own->state, &own->decision);
	vm->guest.target_taken_bytes = vm->guest.maximum_bytes - own->decision.target_bytes;
}

static void step(struct fleet *fleet)
{
	struct neap_rule *rule = fleet->rule_data;

	rule->host = host_state_step(&rule->marks, rule->host, fleet->pool_free_bytes);
	divide(fleet, rule);
	for (uint64_t i = 0; i < fleet->vm_count; i++)
		step_vm(fleet, rule, i);
}

void fleet_record(const struct fleet *fleet, uint64_t number, struct policy_record *ret_record)
{
	const struct neap_rule *rule = fleet->rule_data;

	*ret_record = (struct policy_record){ .settings = fleet->vms[number].class->settings,
					      .input = rule->vms[number].input,
					      .decision = rule->vms[number].decision };
}

const struct fleet_rule fleet_rule_neap = {
	.name = "neap",
	.help = "neap's policy for each VM, and the pool divided when it is short",
	.start = start,
	.step = step,
	.end = end,
};
