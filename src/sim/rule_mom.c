/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* rule_mom.c - steps of 5 % by how much the host has free, in the manner of oVirt's MOM.
 *
 * Every 10 s: with less than 20 % of the host free, each guest gives 5 % of what it has, but keeps
 * what it uses and a share that sinks with the host's free memory; with more free, each gets 5 %.
 * Below 5 % free the share is negative: guests are pushed into their own swap. Used is all that is
 * not free in the guest, so page cache counts as used. Steps under 0.25 % are not made. We never go
 * below a guest's minimum, which is kinder than the published rules read.
 * Source: the project's doc/balloon.rules (constants pressure_threshold, pressure_critical,
 * min_guest_free_percent, max_balloon_change_percent, min_balloon_change_percent).
 */
#include "base/units.h"
#include "sim/fleet.h"

enum {
	PERIOD_S = 10,
	PERMILLE = 1000,
	PRESSURE_PERMILLE = 200,
	CRITICAL_PERMILLE = 50,
	GUEST_FREE_PERMILLE = 200,
	STEP_PERMILLE = 50,
};

static uint64_t part(uint64_t bytes, uint64_t permille)
{
	return bytes / PERMILLE * permille;
}

/* What a guest keeps, whatever happens. */
static uint64_t least_bytes(const struct fleet_vm *vm, int64_t guest_free_permille)
{
	uint64_t now = guest_assigned_bytes(&vm->guest);
	uint64_t used = now - guest_free_bytes(&vm->guest);
	uint64_t minimum = vm->class->settings.minimum_bytes;
	int64_t share = (int64_t)(now / PERMILLE) * guest_free_permille;
	uint64_t least = share < 0 && (uint64_t)-share > used ? 0 : used + (uint64_t)share;

	return least > minimum ? least : minimum;
}

static void ask(struct fleet_vm *vm, uint64_t bytes)
{
	uint64_t now = guest_assigned_bytes(&vm->guest);
	uint64_t maximum = vm->guest.maximum_bytes;
	uint64_t change;

	bytes = bytes < maximum ? bytes : maximum;
	change = bytes > now ? bytes - now : now - bytes;
	if (change > now / 400)
		vm->guest.target_taken_bytes = maximum - bytes;
}

static void shrink(struct fleet_vm *vm, int64_t guest_free_permille)
{
	uint64_t now = guest_assigned_bytes(&vm->guest);
	uint64_t least = least_bytes(vm, guest_free_permille);
	uint64_t next = now - part(now, STEP_PERMILLE);

	next = next > least ? next : least;
	if (next <= now)
		ask(vm, next);
}

static void step(struct fleet *fleet)
{
	uint64_t free_permille;
	int64_t guest_free_permille;

	if (fleet->now_s % PERIOD_S >= fleet->spec->tick_s)
		return;
	free_permille = fleet->pool_free_bytes / (fleet->spec->pool_bytes / PERMILLE);
	guest_free_permille =
		free_permille <= CRITICAL_PERMILLE
			? (int64_t)free_permille - CRITICAL_PERMILLE
			: (int64_t)(GUEST_FREE_PERMILLE * free_permille / PRESSURE_PERMILLE);
	for (uint64_t i = 0; i < fleet->vm_count; i++) {
		struct fleet_vm *vm = &fleet->vms[i];
		uint64_t now = guest_assigned_bytes(&vm->guest);

		if (free_permille < PRESSURE_PERMILLE)
			shrink(vm, guest_free_permille);
		else
			ask(vm, now + part(now, STEP_PERMILLE));
	}
}

const struct fleet_rule fleet_rule_mom = {
	.name = "mom-style",
	.help = "steps of 5 % each 10 s, by whether 20 % of the host is free",
	.step = step,
	.starts_full = true,
};
