/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fleet.c - see fleet.h.
 *
 * A tick: each guest takes its step (programs, cache, balloon), first come, first served, and each
 * tick begins with another VM so that an empty pool hurts all alike; then the rule looks, and says
 * what it wants by the next tick.
 */
#include "sim/fleet.h"

#include <errno.h>
#include <stdlib.h>

#include "base/units.h"

enum { MS_PER_S = 1000 };

/* Which class the next VM is of, so that any number of VMs is mixed as the counts say. */
static unsigned next_class(const struct fleet_spec *spec, const uint64_t made[], uint64_t total)
{
	uint64_t all = fleet_spec_vms(spec);
	unsigned best = 0;
	int64_t most_behind = INT64_MIN;

	for (unsigned i = 0; i < spec->class_count; i++) {
		int64_t behind =
			(int64_t)((total + 1) * spec->classes[i].count) - (int64_t)(made[i] * all);

		if (behind > most_behind) {
			most_behind = behind;
			best = i;
		}
	}
	return best;
}

static void make_vm(struct fleet *fleet, struct fleet_vm *vm, unsigned class_number,
		    uint64_t number, const struct fleet_rule *rule)
{
	const struct fleet_class *class = &fleet->spec->classes[class_number];
	uint64_t maximum = class->settings.maximum_bytes;

	vm->class = class;
	demand_init(&vm->demand, class, fleet->spec->seed + class_number, number);
	guest_init(&vm->guest, maximum, rule->starts_full ? maximum : class->settings.startup_bytes,
		   class->cache_bytes_per_s);
}

static void make_vms(struct fleet *fleet, const struct fleet_rule *rule)
{
	uint64_t made[FLEET_CLASSES_MAX] = { 0 };

	for (uint64_t i = 0; i < fleet->vm_count; i++) {
		unsigned class = next_class(fleet->spec, made, i);

		make_vm(fleet, &fleet->vms[i], class, made[class]++, rule);
	}
}

static void count_move(struct vm_tally *tally, uint64_t before_bytes, uint64_t after_bytes)
{
	int direction = after_bytes > before_bytes ? 1 : -1;

	if (after_bytes == before_bytes)
		return;
	tally->moved_bytes +=
		direction > 0 ? after_bytes - before_bytes : before_bytes - after_bytes;
	if (tally->direction == -direction)
		tally->reversals++;
	tally->direction = direction;
}

static void step_guest(struct fleet *fleet, struct fleet_vm *vm)
{
	uint64_t before = guest_assigned_bytes(&vm->guest), tick_s = fleet->spec->tick_s;

	guest_step(&vm->guest, demand_bytes(&vm->demand, fleet->now_s), tick_s * MS_PER_S,
		   &fleet->pool_free_bytes);
	count_move(&vm->tally, before, guest_assigned_bytes(&vm->guest));
	if (vm->guest.demand_bytes > vm->tally.peak_bytes)
		vm->tally.peak_bytes = vm->guest.demand_bytes;
	if (vm->guest.is_short) {
		vm->tally.below_s += tick_s;
		fleet->below_s += tick_s;
	}
	if (vm->guest.waits_for_pool)
		vm->tally.stalled_s += tick_s;
}

static void sum_up(struct fleet *fleet)
{
	uint64_t demanded = 0, assigned = 0, tick_s = fleet->spec->tick_s;

	for (uint64_t i = 0; i < fleet->vm_count; i++) {
		demanded += fleet->vms[i].guest.demand_bytes;
		assigned += guest_assigned_bytes(&fleet->vms[i].guest);
	}
	fleet->demanded_mib_s += bytes_to_mib(demanded) * tick_s;
	fleet->assigned_mib_s += bytes_to_mib(assigned) * tick_s;
	fleet->held_mib_s +=
		bytes_to_mib(fleet->spec->pool_bytes - fleet->pool_free_bytes) * tick_s;
	if (demanded > fleet->peak_demand_bytes)
		fleet->peak_demand_bytes = demanded;
	if (fleet->pool_free_bytes < fleet->least_free_bytes)
		fleet->least_free_bytes = fleet->pool_free_bytes;
}

static void tick(struct fleet *fleet, const struct fleet_rule *rule)
{
	uint64_t first = fleet->now_s / fleet->spec->tick_s % fleet->vm_count;

	for (uint64_t i = first; i < fleet->vm_count; i++)
		step_guest(fleet, &fleet->vms[i]);
	for (uint64_t i = 0; i < first; i++)
		step_guest(fleet, &fleet->vms[i]);
	sum_up(fleet);
	rule->step(fleet);
}

/* ---- What came of it ---- */

static int by_value(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

static uint64_t ppm(uint64_t part_s, uint64_t whole_s)
{
	return whole_s ? part_s * FLEET_PPM / whole_s : 0;
}

static int tell_times_below(const struct fleet *fleet, struct fleet_result *result)
{
	uint64_t *times = calloc(fleet->vm_count, sizeof(*times));
	uint64_t last = fleet->vm_count - 1;

	if (!times)
		return -ENOMEM;
	for (uint64_t i = 0; i < fleet->vm_count; i++)
		times[i] = ppm(fleet->vms[i].tally.below_s, fleet->now_s);
	qsort(times, fleet->vm_count, sizeof(*times), by_value);
	result->below_p50_ppm = times[last / 2];
	result->below_p99_ppm = times[(last * 99 + 99) / 100];
	result->below_worst_ppm = times[last];
	free(times);
	return 0;
}

static int tell(const struct fleet *fleet, struct fleet_result *ret_result)
{
	uint64_t vm_time_s = fleet->now_s * fleet->vm_count, stalled_s = 0;
	struct fleet_result result = {
		.vm_count = fleet->vm_count,
		.duration_s = fleet->now_s,
		.demanded_bytes = fleet->demanded_mib_s / fleet->now_s * MIB_BYTES,
		.assigned_bytes = fleet->assigned_mib_s / fleet->now_s * MIB_BYTES,
		.held_bytes = fleet->held_mib_s / fleet->now_s * MIB_BYTES,
		.peak_demand_bytes = fleet->peak_demand_bytes,
		.least_free_bytes = fleet->least_free_bytes,
		.below_ppm = ppm(fleet->below_s, vm_time_s),
		.was_cut = fleet->now_s < fleet->spec->duration_s,
	};

	for (uint64_t i = 0; i < fleet->vm_count; i++) {
		result.moved_bytes += fleet->vms[i].tally.moved_bytes;
		result.reversals += fleet->vms[i].tally.reversals;
		result.sum_of_peaks_bytes += fleet->vms[i].tally.peak_bytes;
		stalled_s += fleet->vms[i].tally.stalled_s;
	}
	result.stalled_ppm = ppm(stalled_s, vm_time_s);
	if (fleet->vm_count > 0 && tell_times_below(fleet, &result) < 0)
		return -ENOMEM;
	*ret_result = result;
	return 0;
}

/* ---- A run ---- */

/* More time below than the whole run may have, already. */
static bool is_hopeless(const struct fleet *fleet, const struct fleet_watch *watch)
{
	uint64_t whole_s = fleet->spec->duration_s * fleet->vm_count;

	return watch && watch->most_below_ppm > 0 &&
	       fleet->below_s > whole_s / FLEET_PPM * watch->most_below_ppm +
					whole_s % FLEET_PPM * watch->most_below_ppm / FLEET_PPM;
}

static void run(struct fleet *fleet, const struct fleet_rule *rule, const struct fleet_watch *watch)
{
	while (fleet->now_s < fleet->spec->duration_s && !is_hopeless(fleet, watch)) {
		tick(fleet, rule);
		if (watch && watch->tick)
			watch->tick(watch->ctx, fleet);
		fleet->now_s += fleet->spec->tick_s;
	}
}

int fleet_run(const struct fleet_spec *spec, uint64_t vm_count, const struct fleet_rule *rule,
	      const struct fleet_watch *watch, struct fleet_result *ret_result)
{
	struct fleet fleet = {
		.spec = spec,
		.vm_count = vm_count,
		.vms = calloc(vm_count, sizeof(struct fleet_vm)),
		.pool_free_bytes = spec->pool_bytes,
		.least_free_bytes = spec->pool_bytes,
	};
	int ret = fleet.vms ? 0 : -ENOMEM;

	if (vm_count == 0 || spec->duration_s == 0)
		ret = -EINVAL;
	if (ret == 0) {
		make_vms(&fleet, rule);
		ret = rule->start ? rule->start(&fleet) : 0;
	}
	if (ret == 0) {
		run(&fleet, rule, watch);
		ret = tell(&fleet, ret_result);
	}
	if (rule->end)
		rule->end(&fleet);
	free(fleet.vms);
	return ret;
}

/* ---- How many fit ---- */

uint64_t fleet_static_vms(const struct fleet_spec *spec)
{
	uint64_t made[FLEET_CLASSES_MAX] = { 0 }, used_bytes = 0;

	for (uint64_t count = 0; count < FLEET_VMS_MAX; count++) {
		unsigned class = next_class(spec, made, count);

		used_bytes += spec->classes[class].settings.maximum_bytes;
		if (used_bytes > spec->pool_bytes)
			return count;
		made[class]++;
	}
	return FLEET_VMS_MAX;
}

struct search {
	const struct fleet_spec *spec;
	const struct fleet_rule *rule;
	struct fleet_watch watch;
};

/* 1: they fit; 0: they do not. */
static int fits(const struct search *search, uint64_t vm_count)
{
	struct fleet_result result = { 0 };
	int ret = fleet_run(search->spec, vm_count, search->rule, &search->watch, &result);

	return ret < 0 ? ret : !result.was_cut;
}

static int narrow_down(const struct search *search, uint64_t low, uint64_t high, uint64_t *ret_vms)
{
	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;
		int ret = fits(search, middle);

		if (ret < 0)
			return ret;
		*(ret ? &low : &high) = middle;
	}
	*ret_vms = low;
	return 0;
}

int fleet_most_vms(const struct fleet_spec *spec, const struct fleet_rule *rule,
		   uint64_t most_below_ppm, const struct fleet_watch *watch, uint64_t *ret_vms)
{
	struct search search = { .spec = spec, .rule = rule };
	uint64_t low = 0, high = fleet_static_vms(spec), step;
	int ret = 1;

	if (watch)
		search.watch = *watch;
	search.watch.most_below_ppm = most_below_ppm;
	if (high == 0)
		high = 1;
	step = high / 2 + 1;
	while (high < FLEET_VMS_MAX && (ret = fits(&search, high)) > 0) {
		low = high;
		high += step;
	}
	if (ret < 0)
		return ret;
	high = high < FLEET_VMS_MAX ? high : FLEET_VMS_MAX;
	return narrow_down(&search, low, high, ret_vms);
}
