/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* rule_proxmox.c - a goal for the host alone, in the manner of Proxmox VE.
 *
 * Every 10 s the host's use is steered to 80 % of its memory: what is missing is given, what is too
 * much is taken, shared by weight above each VM's minimum, at most 100 MiB per VM and round, and
 * nothing if it is 10 MiB or less. Giving begins with guests that have little free (a quarter of
 * their minimum or less), taking with the others; only when these cannot move, all are asked. Page
 * cache counts as used.
 * Source: pve-manager's PVE/AutoBalloon.pm and PVE/Service/pvestatd.pm (goal, maxchange).
 */
#include <errno.h>
#include <stdlib.h>

#include "base/units.h"
#include "sim/fleet.h"

enum { PERIOD_S = 10, ROUNDS = 16 };

#define CHANGE_BYTES ((int64_t)(100 * MIB_BYTES))
#define SMALL_BYTES  ((int64_t)(10 * MIB_BYTES))

struct share {
	int64_t before_bytes, after_bytes;
	bool has_little;
	bool takes_part;
};

static int start(struct fleet *fleet)
{
	fleet->rule_data = calloc(fleet->vm_count, sizeof(struct share));
	return fleet->rule_data ? 0 : -ENOMEM;
}

static void end(struct fleet *fleet)
{
	free(fleet->rule_data);
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
	return value < low ? low : value > high ? high : value;
}

/* What a VM of this weight would have, if @above_bytes were shared out above the minima. */
static int64_t fair_bytes(const struct policy_settings *settings, int64_t above_bytes,
			  int64_t weights)
{
	__int128 part = (__int128)above_bytes * settings->weight / weights;

	return clamp((int64_t)settings->minimum_bytes + (int64_t)part,
		     (int64_t)settings->minimum_bytes, (int64_t)settings->maximum_bytes);
}

/* One round towards the fair share; returns what it moved. Who has more than that gives also when
 * there is something to give to others. */
static int64_t round_of(struct fleet *fleet, struct share *shares, int64_t bytes, bool gives)
{
	int64_t weights = 0, above = bytes, moved = 0;

	for (uint64_t i = 0; i < fleet->vm_count; i++) {
		if (!shares[i].takes_part)
			continue;
		weights += fleet->vms[i].class->settings.weight;
		above += shares[i].after_bytes -
			 (int64_t)fleet->vms[i].class->settings.minimum_bytes;
	}
	for (uint64_t i = 0; i < fleet->vm_count && weights > 0; i++) {
		int64_t next, before = shares[i].before_bytes;

		if (!shares[i].takes_part)
			continue;
		next = fair_bytes(&fleet->vms[i].class->settings, above, weights);
		if (next == before) {
			shares[i].takes_part = false; /* what it leaves is the others' */
			continue;
		}
		next = clamp(next, before - CHANGE_BYTES, gives ? before + CHANGE_BYTES : before);
		moved += next - shares[i].after_bytes;
		shares[i].after_bytes = next;
	}
	return moved;
}

/* Returns what could not be shared out. */
static int64_t share_out(struct fleet *fleet, struct share *shares, int64_t bytes)
{
	bool gives = bytes > 0;

	for (int i = 0; i < ROUNDS && bytes != 0; i++) {
		int64_t moved = round_of(fleet, shares, bytes, gives);

		if (moved == 0)
			break;
		bytes -= moved;
	}
	return bytes;
}

static void look_at(const struct fleet_vm *vm, struct share *share)
{
	share->before_bytes = (int64_t)guest_assigned_bytes(&vm->guest);
	share->after_bytes = share->before_bytes;
	share->has_little = guest_free_bytes(&vm->guest) <= vm->class->settings.minimum_bytes / 4;
}

static void step(struct fleet *fleet)
{
	struct share *shares = fleet->rule_data;
	int64_t used = (int64_t)(fleet->spec->pool_bytes - fleet->pool_free_bytes);
	int64_t goal = (int64_t)(fleet->spec->pool_bytes / 5 * 4) - used;

	if (fleet->now_s % PERIOD_S >= fleet->spec->tick_s ||
	    (goal >= -SMALL_BYTES && goal <= SMALL_BYTES))
		return;
	for (uint64_t i = 0; i < fleet->vm_count; i++) {
		look_at(&fleet->vms[i], &shares[i]);
		shares[i].takes_part = shares[i].has_little == (goal > 0);
	}
	if (share_out(fleet, shares, goal) == goal) {
		for (uint64_t i = 0; i < fleet->vm_count; i++)
			shares[i].takes_part = true;
		(void)share_out(fleet, shares, goal);
	}
	for (uint64_t i = 0; i < fleet->vm_count; i++)
		fleet->vms[i].guest.target_taken_bytes =
			fleet->vms[i].guest.maximum_bytes - (uint64_t)shares[i].after_bytes;
}

const struct fleet_rule fleet_rule_proxmox = {
	.name = "proxmox-style",
	.help = "the host at 80 %, by at most 100 MiB per VM each 10 s",
	.start = start,
	.step = step,
	.starts_full = true,
	.end = end,
};
