/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_sim_fleet.c - fleets: the same for every rule, the same each time, conserving memory; and
 * what the policy is to reach on them.
 */
#include "../support/testing.h"

#include <string.h>

#include "base/units.h"
#include "sim/fleet.h"

enum { ONE_PERCENT_PPM = FLEET_PPM / 100 };

static const struct fleet_rule *const rules[] = { &fleet_rule_static, &fleet_rule_proxmox,
						  &fleet_rule_mom, &fleet_rule_neap };

/* Peaks one after another, in a quarter of the time. */
static const char staggered[] = "pool = 32G\nduration = 6h\n"
				"[office]\ncount = 1\nmemory.maximum = 4G\n"
				"memory.minimum = 512M\nmemory.startup = 1G\n"
				"pattern = staggered\nlow = 700M\nhigh = 3200M\n"
				"period = 6h\nbusy_percent = 20\nrise = 5m\n"
				"[batch]\ncount = 1\nmemory.maximum = 4G\n"
				"memory.minimum = 512M\nmemory.startup = 1G\n"
				"pattern = staggered\nlow = 512M\nhigh = 3600M\n"
				"period = 2h\nbusy_percent = 12\nrise = 2m\n";

static struct fleet_spec parse(const char *text)
{
	struct fleet_spec spec;
	struct err err = { 0 };

	if (fleet_spec_parse("test", text, strlen(text), &spec, &err) < 0)
		fail_msg("%s", err.text);
	return spec;
}

static struct fleet_spec built_in(const char *name, const char *set)
{
	struct fleet_spec spec;
	struct err err = { 0 };

	if (fleet_spec_load(name, &spec, &err) < 0 || fleet_spec_set(&spec, set, &err) < 0)
		fail_msg("%s", err.text);
	return spec;
}

static struct fleet_result run(const struct fleet_spec *spec, uint64_t vms,
			       const struct fleet_rule *rule, const struct fleet_watch *watch)
{
	struct fleet_result result;

	assert_int_equal(fleet_run(spec, vms, rule, watch, &result), 0);
	return result;
}

static uint64_t most_vms(const struct fleet_spec *spec, const struct fleet_rule *rule)
{
	uint64_t vms;

	assert_int_equal(fleet_most_vms(spec, rule, ONE_PERCENT_PPM, NULL, &vms), 0);
	return vms;
}

/* ---- Demand ---- */

static void demand_stays_within_the_guests_ram_and_near_its_bounds(void **state)
{
	struct test_random random = test_random_start();

	(void)state;
	for (uint64_t pattern = 0; pattern < FLEET_PATTERN_COUNT; pattern++) {
		struct fleet_class class = { .settings.maximum_bytes = 2 * GIB_BYTES,
					     .pattern = pattern,
					     .low_bytes = 300 * MIB_BYTES,
					     .high_bytes = 1900 * MIB_BYTES,
					     .period_s = 1 + test_random_below(&random, 7200),
					     .rise_s = 1 + test_random_below(&random, 600),
					     .busy_percent = 1 + test_random_below(&random, 100),
					     .noise_percent = test_random_below(&random, 50) };
		struct demand demand;
		uint64_t least = class.low_bytes / 100 * (100 - class.noise_percent);

		demand_init(&demand, &class, test_random_next(&random),
			    test_random_below(&random, 1000));
		for (uint64_t now_s = 0; now_s < 86400; now_s += 1 + (now_s % 7))
			assert_in_range(demand_bytes(&demand, now_s), least,
					class.settings.maximum_bytes);
	}
}

static void demand_rises_no_faster_than_its_rise_allows(void **state)
{
	struct fleet_spec spec = built_in("staggered", "noise_percent=0");

	(void)state;
	for (unsigned i = 0; i < spec.class_count; i++) {
		const struct fleet_class *class = &spec.classes[i];
		uint64_t most = (class->high_bytes - class->low_bytes) / class->rise_s +
				2 * GUEST_PAGE_BYTES;
		uint64_t before, now, highest = 0;
		struct demand demand;

		demand_init(&demand, class, 1, 3);
		before = demand_bytes(&demand, 0);
		for (uint64_t now_s = 1; now_s < 2 * class->period_s; now_s++, before = now) {
			now = demand_bytes(&demand, now_s);
			assert_true((now > before ? now - before : before - now) <= most);
			highest = now > highest ? now : highest;
		}
		assert_int_equal(highest, class->high_bytes);
	}
}

static void keep_demand(void *ctx, const struct fleet *fleet)
{
	uint64_t *sums = ctx;

	for (uint64_t i = 0; i < 4; i++)
		sums[i] = sums[i] * 31 + fleet->vms[i].guest.demand_bytes;
}

static void every_rule_and_every_size_of_fleet_meets_the_same_demand(void **state)
{
	struct fleet_spec spec = built_in("mixed", "duration=2h");
	uint64_t first[4] = { 0 };
	struct fleet_watch watch = { .tick = keep_demand, .ctx = first };

	(void)state;
	(void)run(&spec, 5, rules[0], &watch);
	for (unsigned i = 0; i < ARRAY_LEN(rules); i++) {
		uint64_t sums[4] = { 0 };

		watch.ctx = sums;
		(void)run(&spec, 5 + 20 * i, rules[i], &watch);
		assert_memory_equal(sums, first, sizeof(sums));
	}
}

/* ---- The same each time ---- */

static void the_same_fleet_gives_the_same_numbers(void **state)
{
	struct fleet_spec spec = built_in("mixed", "duration=3h"), other = spec;

	(void)state;
	other.seed++;
	for (unsigned i = 0; i < ARRAY_LEN(rules); i++) {
		struct fleet_result once = run(&spec, 34, rules[i], NULL);
		struct fleet_result again = run(&spec, 34, rules[i], NULL);
		struct fleet_result different = run(&other, 34, rules[i], NULL);

		assert_memory_equal(&once, &again, sizeof(once));
		assert_int_not_equal(once.demanded_bytes, different.demanded_bytes);
	}
}

/* ---- Memory is conserved ---- */

struct balance {
	uint64_t pool_bytes, ticks;
};

static void check_balance(void *ctx, const struct fleet *fleet)
{
	struct balance *balance = ctx;
	uint64_t held = 0;

	for (uint64_t i = 0; i < fleet->vm_count; i++) {
		const struct guest *guest = &fleet->vms[i].guest;

		assert_true(guest->taken_bytes <= guest->maximum_bytes);
		assert_true(guest->held_bytes <= guest_assigned_bytes(guest));
		assert_true(guest_used_bytes(guest) + guest->cache_bytes <= guest->held_bytes);
		assert_true(guest->is_short == (guest->held_bytes < guest->demand_bytes));
		held += guest->held_bytes;
	}
	assert_int_equal(held + fleet->pool_free_bytes, balance->pool_bytes);
	balance->ticks++;
}

static void what_guests_hold_and_what_is_free_is_always_the_pool(void **state)
{
	struct fleet_spec spec = built_in("mixed", "duration=2h,pool=40G");

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rules); i++) {
		struct balance balance = { .pool_bytes = spec.pool_bytes };
		struct fleet_watch watch = { .tick = check_balance, .ctx = &balance };

		(void)run(&spec, 34, rules[i], &watch);
		assert_int_equal(balance.ticks, 7200);
	}
}

static void check_bounds(void *ctx, const struct fleet *fleet)
{
	uint64_t *ticks = ctx;

	for (uint64_t i = 0; i < fleet->vm_count; i++) {
		const struct policy_settings *settings = &fleet->vms[i].class->settings;
		const struct guest *guest = &fleet->vms[i].guest;

		assert_true(guest_assigned_bytes(guest) >= settings->minimum_bytes);
		assert_true(guest->maximum_bytes - guest->target_taken_bytes >=
			    settings->minimum_bytes);
	}
	(*ticks)++;
}

static void no_vm_is_asked_to_go_below_its_minimum_however_short_the_pool(void **state)
{
	struct fleet_spec spec = built_in("mixed", "duration=2h,pool=30G");
	uint64_t ticks = 0;
	struct fleet_watch watch = { .tick = check_bounds, .ctx = &ticks };

	(void)state;
	(void)run(&spec, 34, &fleet_rule_neap, &watch);
	assert_int_equal(ticks, 7200);
}

/* ---- What it is for ---- */

static void staggered_peaks_carry_four_in_ten_more_vms_than_static_and_more_than_other_rules(
	void **state)
{
	struct fleet_spec spec = parse(staggered);
	uint64_t fixed = fleet_static_vms(&spec), neap = most_vms(&spec, &fleet_rule_neap);
	uint64_t proxmox = most_vms(&spec, &fleet_rule_proxmox);
	uint64_t mom = most_vms(&spec, &fleet_rule_mom);
	struct fleet_result result = run(&spec, neap, &fleet_rule_neap, NULL);

	(void)state;
	print_message("VMs: static %llu, proxmox-style %llu, mom-style %llu, neap %llu\n",
		      (unsigned long long)fixed, (unsigned long long)proxmox,
		      (unsigned long long)mom, (unsigned long long)neap);
	assert_int_equal(fixed, 8);
	assert_true(neap * 10 >= fixed * 14);
	assert_true(neap > proxmox && neap > mom);
	assert_true(result.below_ppm <= ONE_PERCENT_PPM);
	assert_false(result.was_cut);
}

static void simultaneous_peaks_gain_nothing(void **state)
{
	struct fleet_spec spec = built_in("simultaneous", "duration=8h");

	(void)state;
	assert_true(most_vms(&spec, &fleet_rule_neap) <= fleet_static_vms(&spec));
}

static void with_enough_memory_nobody_is_below_demand_for_long(void **state)
{
	struct fleet_spec spec = built_in("mixed", "pool=256G,duration=12h");
	struct fleet_result result = run(&spec, 34, &fleet_rule_neap, NULL);

	(void)state;
	assert_true(result.below_ppm < FLEET_PPM / 1000);
	assert_true(result.assigned_bytes < result.demanded_bytes / 100 * 150);
	assert_true(result.assigned_bytes >= result.demanded_bytes);
}

static void static_sizing_never_has_a_vm_below_demand(void **state)
{
	struct fleet_spec spec = built_in("mixed", "duration=2h");
	struct fleet_result result = run(&spec, fleet_static_vms(&spec), &fleet_rule_static, NULL);

	(void)state;
	assert_int_equal(result.below_ppm, 0);
	assert_int_equal(result.moved_bytes, 0);
	assert_int_equal(result.reversals, 0);
}

static void a_run_that_cannot_succeed_is_cut_short(void **state)
{
	struct fleet_spec spec = parse(staggered);
	struct fleet_watch watch = { .most_below_ppm = ONE_PERCENT_PPM };
	struct fleet_result result = run(&spec, 200, &fleet_rule_neap, &watch);

	(void)state;
	assert_true(result.was_cut);
	assert_true(result.duration_s < spec.duration_s);
}

static void any_mix_of_classes_keeps_its_proportions(void **state)
{
	struct fleet_spec spec = parse(staggered);

	(void)state;
	spec.classes[0].count = 3;
	spec.pool_bytes = 64 * GIB_BYTES;
	assert_int_equal(fleet_static_vms(&spec), 16);
	spec.classes[1].settings.maximum_bytes = 8 * GIB_BYTES; /* 3 x 4 + 8 = 20 GiB per 4 VMs */
	assert_in_range(fleet_static_vms(&spec), 12, 13);
	spec.pool_bytes = 1;
	assert_int_equal(fleet_static_vms(&spec), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(demand_stays_within_the_guests_ram_and_near_its_bounds),
		cmocka_unit_test(demand_rises_no_faster_than_its_rise_allows),
		cmocka_unit_test(every_rule_and_every_size_of_fleet_meets_the_same_demand),
		cmocka_unit_test(the_same_fleet_gives_the_same_numbers),
		cmocka_unit_test(what_guests_hold_and_what_is_free_is_always_the_pool),
		cmocka_unit_test(no_vm_is_asked_to_go_below_its_minimum_however_short_the_pool),
		cmocka_unit_test(
			staggered_peaks_carry_four_in_ten_more_vms_than_static_and_more_than_other_rules),
		cmocka_unit_test(simultaneous_peaks_gain_nothing),
		cmocka_unit_test(with_enough_memory_nobody_is_below_demand_for_long),
		cmocka_unit_test(static_sizing_never_has_a_vm_below_demand),
		cmocka_unit_test(a_run_that_cannot_succeed_is_cut_short),
		cmocka_unit_test(any_mix_of_classes_keeps_its_proportions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
