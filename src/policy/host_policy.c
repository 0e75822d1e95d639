/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* host_policy.c - how short a host is, and how its pool is divided when all together want more.
 *
 * Dividing. Everybody gets its minimum; the rest goes, frame by frame in thought, to the VM with the
 * highest rho = weight / (frames x cost), cost = f + 4 x (1 - f): so in the end rho is equal for all
 * that are neither at their minimum nor have what they want, which is to say that
 *
 *     frames = level x share, between minimum and want;  share = weight / cost
 *
 * for one level that all have in common, the highest that the pool can fill: water in vessels of
 * different widths. The level is found by halving; a VM whose frames are the same at both ends of
 * what is left of the range is settled and not looked at again.
 *
 * Invariants
 *  1  The sum of the grants is at most the pool, unless what is reserved exceeds it.
 *  2  Of two VMs that differ in weight alone, the heavier gets no less; of two that differ in their
 *     active part alone, the more active gets no less.
 *  3  The pool is used up to the last frame when wants exceed it.
 * Limits. Shares are below 2^24 and frames below 2^52, so a level is at most 2^100 and products fit
 * 128 bits. For RAM of 1023 GiB at most 77 rounds over what is not settled; no allocation. Two
 * different shares never get their n-th frame at one level, so what is left at the end are equals.
 * Sources: C. Waldspurger, "Memory Resource Management in VMware ESX Server", OSDI 2002, §5
 * "Shares vs. Working Sets" (rho, the idle tax) and §6 "Allocation Policies"; the sliding MinFree
 * is that of later releases of the same system.
 */
#include "policy/host_policy.h"

#include "policy/policy_internal.h"

enum { LEVEL_SHIFT = 48, SHARE_SHIFT = 16, HALVINGS_PER_SETTLING = 4 };

typedef unsigned __int128 level_t;

struct host_marks host_marks(uint64_t pool_bytes)
{
	static const struct {
		uint64_t to_gib, permille;
	} parts[] = {
		{ POLICY_HOST_MINFREE_A_GIB, POLICY_HOST_MINFREE_PERMILLE_A },
		{ POLICY_HOST_MINFREE_B_GIB, POLICY_HOST_MINFREE_PERMILLE_B },
		{ POLICY_HOST_MINFREE_C_GIB, POLICY_HOST_MINFREE_PERMILLE_C },
		{ UINT64_MAX >> GIB_SHIFT, POLICY_HOST_MINFREE_PERMILLE_D },
	};
	struct host_marks marks = { 0 };
	uint64_t from_bytes = 0;

	for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
		uint64_t to_bytes = least(pool_bytes, parts[i].to_gib * GIB_BYTES);

		marks.minfree_bytes += scale(less(to_bytes, from_bytes), parts[i].permille, 1000);
		from_bytes = most(from_bytes, to_bytes);
	}
	marks.enter_bytes[HOST_CLEAR] = marks.minfree_bytes;
	marks.enter_bytes[HOST_SOFT] = percent_of(marks.minfree_bytes, POLICY_HOST_SOFT_PERCENT);
	marks.enter_bytes[HOST_HARD] = percent_of(marks.minfree_bytes, POLICY_HOST_HARD_PERCENT);
	marks.enter_bytes[HOST_LOW] = percent_of(marks.minfree_bytes, POLICY_HOST_LOW_PERCENT);
	return marks;
}

enum host_state host_state_step(const struct host_marks *marks, enum host_state before,
				uint64_t free_bytes)
{
	enum host_state state = HOST_LOW;

	while (state > HOST_CLEAR && free_bytes >= marks->enter_bytes[state] &&
	       (before < state || free_bytes > marks->enter_bytes[state - 1]))
		state--;
	return state;
}

uint32_t host_active_step(uint32_t before_percent, uint32_t measured_percent)
{
	uint32_t distance = measured_percent > before_percent ? measured_percent - before_percent
							      : before_percent - measured_percent;

	return distance >= POLICY_ACTIVE_STEP_PERCENT ? measured_percent : before_percent;
}

static uint64_t frames_up(uint64_t bytes, uint64_t frame_bytes)
{
	return bytes / frame_bytes + (bytes % frame_bytes != 0);
}

static void measure(struct host_vm *vm, uint64_t frame_bytes)
{
	uint64_t want = least(vm->want_bytes, vm->maximum_bytes);
	uint64_t minimum = least(vm->minimum_bytes, vm->maximum_bytes);
	uint64_t active = vm->has_active ? least(vm->active_percent, 100) : 100;
	uint64_t cost = active + POLICY_IDLE_TAX_FACTOR * (100 - active);
	uint64_t weight = least(vm->weight, POLICY_WEIGHT_MOST);

	vm->least_frames = frames_up(minimum, frame_bytes);
	vm->most_frames = frames_up(most(want, minimum), frame_bytes);
	vm->share = most(1, (weight << SHARE_SHIFT) / cost); /* weight 0: last of all */
	if (vm->reserved)
		vm->least_frames = vm->most_frames = vm->held_bytes / frame_bytes;
}

static inline uint64_t filled(const struct host_vm *vm, level_t level)
{
	level_t frames = (level * vm->share) >> LEVEL_SHIFT;

	if (frames >= vm->most_frames)
		return vm->most_frames;
	return most(vm->least_frames, (uint64_t)frames);
}

/* What is divided now: VMs order[0 .. count-1] are not settled, the others hold grant_bytes. */
struct division {
	struct host_vm *vms;
	uint32_t *order;
	uint64_t count, left_frames, frame_bytes;
	level_t low, high; /* at low the pool suffices, at high it does not */
};

static void settle(struct division *division)
{
	uint64_t kept = 0;

	for (uint64_t i = 0; i < division->count; i++) {
		struct host_vm *vm = &division->vms[division->order[i]];
		uint64_t frames = filled(vm, division->low);

		if (frames != filled(vm, division->high)) {
			division->order[kept++] = division->order[i];
			continue;
		}
		vm->grant_bytes = frames * division->frame_bytes;
		division->left_frames -= frames;
	}
	division->count = kept;
}

static bool suffices(const struct division *division, level_t level)
{
	level_t frames = 0;

	for (uint64_t i = 0; i < division->count; i++)
		frames += filled(&division->vms[division->order[i]], level);
	return frames <= division->left_frames;
}

static void halve(struct division *division)
{
	level_t middle = division->low + (division->high - division->low) / 2;

	if (suffices(division, middle))
		division->low = middle;
	else
		division->high = middle;
}

/* To settle costs two looks at each VM, to halve one: several halvings pay for it. */
static void find_level(struct division *division)
{
	for (settle(division); division->count && division->high - division->low > 1;
	     settle(division))
		for (int i = 0; i < HALVINGS_PER_SETTLING; i++)
			if (division->high - division->low > 1)
				halve(division);
}

/* Those that are left would all get their next frame at the very same level: equals, in turn. */
static void give_rest(struct division *division)
{
	uint64_t rest = division->left_frames;

	for (uint64_t i = 0; i < division->count; i++)
		rest -= filled(&division->vms[division->order[i]], division->low);
	for (uint64_t i = 0; i < division->count; i++) {
		struct host_vm *vm = &division->vms[division->order[i]];
		uint64_t frames = filled(vm, division->low);

		if (rest > 0) {
			rest--;
			frames++;
		}
		vm->grant_bytes = frames * division->frame_bytes;
	}
}

struct sums {
	level_t least_frames, most_frames, reserved_frames;
	uint64_t largest_frames;
};

static struct sums add_up(struct host_vm *vms, uint64_t count, uint64_t frame_bytes,
			  uint32_t *order)
{
	struct sums sums = { 0 };

	for (uint64_t i = 0; i < count; i++) {
		measure(&vms[i], frame_bytes);
		order[i] = (uint32_t)i;
		sums.least_frames += vms[i].least_frames;
		sums.most_frames += vms[i].most_frames;
		sums.reserved_frames += vms[i].reserved ? vms[i].least_frames : 0;
		sums.largest_frames = most(sums.largest_frames, vms[i].most_frames);
		vms[i].grant_bytes = vms[i].most_frames * frame_bytes;
	}
	return sums;
}

/* Not even the minimums fit. */
static void cut_minimums(struct host_vm *vms, uint64_t count, uint64_t pool_frames,
			 const struct sums *sums, uint64_t frame_bytes)
{
	level_t minimums = sums->least_frames - sums->reserved_frames;
	level_t left =
		pool_frames > sums->reserved_frames ? pool_frames - sums->reserved_frames : 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t frames = vms[i].least_frames;

		if (!vms[i].reserved)
			frames = (uint64_t)(frames * left / (minimums ? minimums : 1));
		vms[i].grant_bytes = frames * frame_bytes;
	}
}

bool host_divide(struct host_vm *vms, uint64_t count, uint64_t pool_bytes, uint64_t frame_bytes,
		 uint32_t *order)
{
	uint64_t pool_frames = pool_bytes / frame_bytes;
	struct sums sums = add_up(vms, count, frame_bytes, order);
	struct division division = {
		.vms = vms,
		.order = order,
		.count = count,
		.left_frames = pool_frames,
		.frame_bytes = frame_bytes,
		.high = ((level_t)sums.largest_frames + 1) << LEVEL_SHIFT,
	};

	if (sums.most_frames <= pool_frames)
		return true;
	if (sums.least_frames > pool_frames) {
		cut_minimums(vms, count, pool_frames, &sums, frame_bytes);
		return false;
	}
	find_level(&division);
	give_rest(&division);
	return true;
}
