/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_demand.c - what a guest uses, from what it says; what hurts it, and how much more it gets. */
#include "policy_rig.h"

enum { LONG_AGO_S = 1000 };

static struct policy_rig resting_rig(void)
{
	struct policy_rig rig = rig_new(GIB(8), HUGE_FRAME_BYTES, LONG_AGO_S);

	rig.used_bytes = GIB(2);
	rig.settings.minimum_bytes = GIB(1);
	rig.input.has_stall = true;
	rig_seconds(&rig, 600);
	return rig;
}

static void claim(struct policy_rig *rig, enum policy_claim id, uint64_t value)
{
	rig->input.untrusted_claim[id] = value;
	rig->input.present |= UINT32_C(1) << id;
}

static uint64_t wanted(uint64_t bytes)
{
	return bytes * 6 / 5;
}

/* ---- Averages ---- */

static void test_a_rise_is_demand_at_once(void **state)
{
	struct policy_rig rig = resting_rig();

	(void)state;
	rig.used_bytes = rig_assigned(&rig) - MIB(60);
	rig_tick(&rig, 1000);
	assert_int_equal(rig.decision.demand_bytes, rig.used_bytes);
}

static void test_a_fall_takes_minutes(void **state)
{
	struct policy_rig rig = resting_rig();
	uint64_t a_minute;

	(void)state;
	rig.used_bytes = GIB(1);
	rig_seconds(&rig, 60);
	a_minute = rig.decision.demand_bytes;
	/* 1 GiB above it at first, a bit more than 1/e of that after a minute */
	assert_in_range(a_minute, GIB(1) + GIB(1) * 35 / 100, GIB(1) + GIB(1) * 38 / 100);
	rig_seconds(&rig, 240);
	assert_in_range(rig.decision.demand_bytes, GIB(1), GIB(1) + MIB(12));
}

static void test_a_short_spike_is_forgotten_at_once(void **state)
{
	struct policy_rig rig = resting_rig();

	(void)state;
	rig.used_bytes = GIB(2) + MIB(400);
	rig_seconds(&rig, 2);
	rig.used_bytes = GIB(2);
	rig_seconds(&rig, 2);
	assert_true(rig.decision.demand_bytes < GIB(2) + MIB(20));
}

static void test_the_same_statistics_count_once(void **state)
{
	struct policy_rig rig = resting_rig();
	uint64_t demand;

	(void)state;
	rig.used_bytes = GIB(1);
	rig_tick(&rig, 1000);
	demand = rig.decision.demand_bytes;
	rig.is_silent = true;
	rig_seconds(&rig, 2);
	assert_int_equal(rig.decision.demand_bytes, demand);
}

static void test_a_long_silence_counts_as_one_period(void **state)
{
	struct policy_rig rig = resting_rig();

	(void)state;
	rig.used_bytes = GIB(1);
	rig.is_silent = true;
	rig_seconds(&rig, 3600);
	rig.is_silent = false;
	rig_tick(&rig, 1000);
	assert_in_range(rig.decision.demand_bytes, GIB(2) - GIB(1) / 59, GIB(2) - GIB(1) / 61);
}

/* ---- Claims (BL09, BL10) ---- */

static void test_an_absent_claim_is_not_zero(void **state)
{
	struct policy_rig rig = resting_rig();

	(void)state;
	rig.is_silent = true;
	for (unsigned s = 0; s < 600; s++) {
		rig.input.stats_at_ns = rig.input.now_ns + NS_PER_S;
		rig.input.present = 1 << POLICY_CLAIM_MAJOR_FAULTS;
		rig.input.untrusted_claim[POLICY_CLAIM_AVAILABLE_BYTES] = GIB(8);
		rig_tick(&rig, 1000);
	}
	assert_int_equal(rig.decision.demand_bytes, GIB(2));
}

/* ---- Nothing left ---- */

static void test_one_that_is_out_of_memory_needs_more_than_it_can_say(void **state)
{
	struct policy_rig rig = resting_rig();
	uint64_t had = rig_assigned(&rig);

	(void)state;
	rig.used_bytes = had - had / 100;
	rig_tick(&rig, 1000);
	assert_int_equal(rig.decision.demand_bytes, had * 5 / 4);
	assert_int_equal(rig.decision.status, POLICY_STATUS_WARNING);
	assert_int_equal(rig.decision.report_in_ns, POLICY_REPORT_MS * NS_PER_MS);
	rig_tick(&rig, POLICY_REPORT_MS); /* and now it has enough */
	assert_int_equal(rig.decision.demand_bytes, rig.used_bytes);
	assert_int_equal(rig.decision.report_in_ns, 0);
	assert_int_equal(rig.decision.status, POLICY_STATUS_OK);
}

static void test_three_times_what_it_has_is_there_within_a_second_of_its_report(void **state)
{
	struct policy_rig rig = resting_rig();

	(void)state;
	rig.used_bytes = 3 * rig_assigned(&rig);
	rig_tick(&rig, 1000); /* it reports */
	for (unsigned ms = 0; ms < 1000; ms += POLICY_REPORT_MS)
		rig_tick(&rig, POLICY_REPORT_MS);
	assert_true(rig_assigned(&rig) >= rig.used_bytes);
}

static void test_one_whose_buffer_the_host_takes_is_not_out_of_memory(void **state)
{
	struct policy_rig rig = resting_rig();

	(void)state;
	rig.input.has_host = true;
	rig.input.host = HOST_HARD;
	for (unsigned s = 0; s < 600; s++) {
		rig_tick(&rig, 1000);
		assert_int_equal(rig.decision.report_in_ns, 0);
		assert_true(rig.decision.demand_bytes <= rig_assigned(&rig));
	}
}

static void test_at_its_maximum_nobody_asks_more_often(void **state)
{
	struct policy_rig rig = resting_rig();

	(void)state;
	rig.used_bytes = GIB(9);
	rig_seconds(&rig, 60);
	assert_int_equal(rig_assigned(&rig), GIB(8));
	assert_int_equal(rig.decision.demand_bytes, GIB(8));
	assert_int_equal(rig.decision.report_in_ns, 0);
}

/* ---- Pressure ---- */

static void test_average_pressure_is_the_mean_of_what_is_known(void **state)
{
	struct policy_rig rig = rig_new(GIB(8), HUGE_FRAME_BYTES, 0);

	(void)state;
	rig.is_silent = true;
	rig_seconds(&rig, 10);
	assert_int_equal(rig.decision.average_pressure_percent, 0);
	rig.is_silent = false;
	rig.used_bytes = GIB(2);
	rig_tick(&rig, 1000);
	assert_int_equal(rig.decision.average_pressure_percent, 25);
	rig.input.taken_bytes = GIB(4); /* half as much from now on */
	rig.ignores_target = true;
	rig_seconds(&rig, 9);
	assert_in_range(rig.decision.average_pressure_percent, 46, 48);
	rig_seconds(&rig, 600);
	assert_in_range(rig.decision.average_pressure_percent, 49, 50);
}

static void assert_demand_of(uint64_t total, uint64_t available, uint64_t taken, uint64_t demand)
{
	struct policy_rig rig = rig_new(GIB(8), HUGE_FRAME_BYTES, LONG_AGO_S);

	rig.is_silent = true;
	rig.input.taken_bytes = taken;
	claim(&rig, POLICY_CLAIM_TOTAL_BYTES, total);
	claim(&rig, POLICY_CLAIM_AVAILABLE_BYTES, available);
	rig.input.stats_at_ns = rig.input.now_ns;
	rig_tick(&rig, 0);
	assert_true(rig.decision.has_demand);
	assert_int_equal(rig.decision.demand_bytes, demand);
	assert_true(rig.decision.want_bytes <= GIB(8));
}

static void test_hostile_claims_are_clamped_to_what_the_guest_has(void **state)
{
	(void)state;
	assert_demand_of(GIB(8), GIB(6), 0, GIB(2));
	assert_demand_of(GIB(8), 0, 0, GIB(8));
	assert_demand_of(GIB(8), UINT64_MAX, 0, 0);
	assert_demand_of(0, UINT64_MAX, 0, 0); /* no total at all */
	assert_demand_of(0, 0, 0, GIB(8));
	assert_demand_of(UINT64_MAX, GIB(9), 0, 0);
	assert_demand_of(GIB(1), GIB(3), 0, GIB(7)); /* available > total: at most the total */
	assert_demand_of(UINT64_MAX, 0, GIB(5), GIB(3) * 5 / 4); /* a quarter more than it has */
	assert_demand_of(GIB(8), 0, UINT64_MAX, 0);		 /* the balloon took "everything" */
	assert_demand_of(GIB(8), GIB(3), GIB(5), 0);
}

static void test_free_memory_and_cache_that_overflow_are_a_lot(void **state)
{
	struct policy_rig rig = rig_new(GIB(8), HUGE_FRAME_BYTES, LONG_AGO_S);

	(void)state;
	rig.is_silent = true;
	claim(&rig, POLICY_CLAIM_FREE_BYTES, UINT64_MAX);
	claim(&rig, POLICY_CLAIM_CACHE_BYTES, 2);
	rig.input.stats_at_ns = rig.input.now_ns;
	rig_tick(&rig, 0);
	assert_int_equal(rig.decision.demand_bytes, 0);
}

/* ---- Pain ---- */

static void test_a_kill_for_want_of_memory_releases_at_once(void **state)
{
	struct policy_rig rig = resting_rig();

	(void)state;
	claim(&rig, POLICY_CLAIM_OOM_KILLS, 7);
	rig_tick(&rig, 1000);
	assert_false(rig.decision.rule == POLICY_RULE_STALL); /* 7 in all its life, none new */
	claim(&rig, POLICY_CLAIM_OOM_KILLS, 8);
	rig_tick(&rig, 1000);
	assert_int_equal(rig.decision.rule, POLICY_RULE_STALL);
	assert_int_equal(rig.decision.status, POLICY_STATUS_WARNING);
	assert_true(rig.decision.target_bytes >= wanted(wanted(GIB(2)) * 5 / 4));
}

static void test_what_helped_is_kept_for_a_while(void **state)
{
	struct policy_rig rig = resting_rig();
	uint64_t given;

	(void)state;
	claim(&rig, POLICY_CLAIM_OOM_KILLS, 0);
	rig_tick(&rig, 1000);
	claim(&rig, POLICY_CLAIM_OOM_KILLS, 1);
	rig_tick(&rig, 1000);
	given = rig.decision.target_bytes;
	rig_seconds(&rig, POLICY_HOLD_S - 2);
	assert_int_equal(rig.decision.target_bytes, given);
	assert_int_equal(rig.decision.rule, POLICY_RULE_PAIN);
	rig_seconds(&rig, 60);
	assert_true(rig.decision.target_bytes < given);
}

static void test_a_counter_that_jumps_back_has_no_rate(void **state)
{
	struct policy_rig rig = resting_rig();

	(void)state;
	for (unsigned i = POLICY_CLAIM_MAJOR_FAULTS; i < POLICY_CLAIM_COUNT; i++)
		claim(&rig, i, UINT64_MAX / 3);
	rig_tick(&rig, 1000);
	rig.used_bytes = rig_assigned(&rig) - MIB(50); /* so that all of them would count */
	for (unsigned i = POLICY_CLAIM_MAJOR_FAULTS; i < POLICY_CLAIM_COUNT; i++)
		claim(&rig, i, 1);
	rig_tick(&rig, 1000);
	assert_int_equal(rig.decision.rule, POLICY_RULE_GROW);
	assert_int_equal(rig.decision.demand_bytes, rig.used_bytes);
}

/* One second of @per_s of @id while the guest has only @left of its buffer. */
static struct policy_rig suffering_rig(enum policy_claim id, uint64_t per_s, uint64_t left)
{
	struct policy_rig rig = resting_rig();

	claim(&rig, id, 1000);
	rig_tick(&rig, 1000);
	rig.used_bytes = rig_assigned(&rig) - left;
	claim(&rig, id, 1000 + per_s);
	rig_tick(&rig, 1000);
	return rig;
}

static void test_each_sign_of_pain_raises_demand_by_5_to_25_percent(void **state)
{
	static const struct {
		enum policy_claim id;
		uint64_t least, most;
	} rows[] = {
		{ POLICY_CLAIM_MAJOR_FAULTS, POLICY_MAJOR_FAULTS_LEAST, POLICY_MAJOR_FAULTS_MOST },
		{ POLICY_CLAIM_SWAP_IN_BYTES, POLICY_SWAP_IN_LEAST_KIB * KIB_BYTES,
		  POLICY_SWAP_IN_MOST_KIB * KIB_BYTES },
		{ POLICY_CLAIM_ALLOC_STALLS, POLICY_ALLOC_STALLS_LEAST, POLICY_ALLOC_STALLS_MOST },
		{ POLICY_CLAIM_DIRECT_SCANS, POLICY_DIRECT_SCANS_LEAST, POLICY_DIRECT_SCANS_MOST },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct policy_rig least = suffering_rig(rows[i].id, rows[i].least, MIB(50));
		struct policy_rig most = suffering_rig(rows[i].id, rows[i].most * 2, MIB(50));
		struct policy_rig none = suffering_rig(rows[i].id, rows[i].least - 1, MIB(50));
		uint64_t has = least.decision.assigned_bytes;

		assert_int_equal(least.decision.demand_bytes, has * 105 / 100);
		assert_int_equal(most.decision.demand_bytes, has * 125 / 100);
		assert_true(none.decision.demand_bytes < has);
		assert_int_equal(least.decision.rule, POLICY_RULE_STALL);
		assert_int_equal(none.decision.rule, POLICY_RULE_GROW);
	}
}

static void test_signs_do_not_count_while_half_of_the_buffer_is_left(void **state)
{
	struct policy_rig rig = suffering_rig(POLICY_CLAIM_ALLOC_STALLS, 10000, MIB(300));

	(void)state;
	assert_true(rig.decision.demand_bytes < rig_assigned(&rig));
}

static void test_pain_passes_with_its_cause(void **state)
{
	struct policy_rig rig = suffering_rig(POLICY_CLAIM_ALLOC_STALLS, 10000, MIB(50));

	(void)state;
	rig_tick(&rig, 1000);
	assert_int_equal(rig.decision.demand_bytes, rig.used_bytes);
	assert_int_equal(rig.decision.status, POLICY_STATUS_OK);
}

static void test_pain_stands_until_the_next_statistics(void **state)
{
	struct policy_rig rig = suffering_rig(POLICY_CLAIM_ALLOC_STALLS, 10000, MIB(50));
	uint64_t demand = rig.decision.demand_bytes;

	(void)state;
	rig_tick(&rig, 100);
	rig_tick(&rig, 500);
	assert_int_equal(rig.decision.demand_bytes, demand);
	assert_int_equal(rig.decision.status, POLICY_STATUS_WARNING);
	rig_tick(&rig, 400);
	assert_true(rig.decision.demand_bytes < demand);
}

/* ---- Stall ---- */

static void test_a_stall_releases_within_100_ms(void **state)
{
	struct policy_rig rig = resting_rig();
	uint64_t had = rig_assigned(&rig);

	(void)state;
	rig_tick(&rig, 50);
	rig.input.stall_ns += 50 * NS_PER_MS;
	rig_tick(&rig, 50);
	assert_int_equal(rig.decision.rule, POLICY_RULE_STALL);
	assert_true(rig.decision.target_bytes > had);
}

static void test_first_touches_are_no_stall(void **state)
{
	struct policy_rig rig = resting_rig();

	(void)state;
	rig_count_from_here(&rig);
	for (unsigned i = 0; i < 100; i++) {
		rig.input.stall_ns += 8 * NS_PER_MS; /* 8 % */
		rig_tick(&rig, 100);
		rig_tick(&rig, 900);
	}
	assert_int_equal(rig.moves, 0);
}

static void test_one_slow_touch_is_no_stall(void **state)
{
	struct policy_rig rig = resting_rig();

	(void)state;
	rig_count_from_here(&rig);
	for (unsigned i = 0; i < 10; i++) {
		rig.input.stall_ns += (POLICY_STALL_LEAST_MS - 1) * NS_PER_MS;
		rig_tick(&rig, 50);
		rig_tick(&rig, 950);
		rig_tick(&rig, 1000);
	}
	assert_int_equal(rig.moves, 0);
}

static void test_a_stall_with_nothing_in_the_balloon_cannot_be_cured(void **state)
{
	struct policy_rig rig = rig_new(GIB(8), HUGE_FRAME_BYTES, 0);

	(void)state;
	rig.settings.startup_bytes = GIB(1);
	rig.input.driver_ready = false;
	rig.is_silent = true;
	for (unsigned i = 0; i < 20; i++) {
		rig.input.has_stall = true;
		rig.input.stall_ns += NS_PER_S / 2;
		rig_tick(&rig, 1000);
	}
	assert_int_equal(rig.decision.target_bytes, GIB(1));
}

static void test_touching_what_it_hands_over_is_no_stall(void **state)
{
	struct policy_rig rig = rig_new(GIB(8), HUGE_FRAME_BYTES, 0);

	(void)state;
	rig.settings.startup_bytes = GIB(1);
	rig.is_silent = true; /* so that a stall would lift all that it has */
	rig.bytes_per_s = GIB(1);
	rig.input.has_stall = true;
	for (unsigned i = 0; i < 10; i++) {
		rig.input.stall_ns += i < 7 ? 800 * NS_PER_MS : 0;
		rig_tick(&rig, 1000);
	}
	assert_int_equal(rig.decision.target_bytes, GIB(1));
	assert_int_equal(rig_assigned(&rig), GIB(1));
}

static void test_a_stall_without_statistics_releases_too(void **state)
{
	struct policy_rig rig = rig_new(GIB(8), HUGE_FRAME_BYTES, LONG_AGO_S);

	(void)state;
	rig.is_silent = true;
	rig.input.taken_bytes = GIB(4);
	rig.input.has_stall = true;
	rig_seconds(&rig, 2);
	rig.input.stall_ns += NS_PER_S;
	rig_tick(&rig, 1000);
	assert_true(rig.decision.target_bytes >= GIB(4) * 5 / 4);
	assert_false(rig.decision.has_demand);
}

static void test_pain_does_not_outlive_the_statistics_that_told_it(void **state)
{
	struct policy_rig rig = suffering_rig(POLICY_CLAIM_ALLOC_STALLS, 10000, MIB(50));

	(void)state;
	rig.is_silent = true;
	rig_seconds(&rig, 10);
	assert_int_equal(rig.decision.demand_bytes, rig.used_bytes);
}

static void test_what_is_given_by_hand_is_not_taken_back_by_the_guest(void **state)
{
	struct policy_rig rig = resting_rig();

	(void)state;
	rig.settings.mode = POLICY_MODE_MANUAL;
	rig.ignores_target = true;
	rig.input.deflate_on_oom = true;
	for (unsigned i = 0; i < 10; i++) {
		rig.input.taken_bytes -= MIB(100);
		rig_tick(&rig, 1000);
		assert_int_equal(rig.decision.rule, POLICY_RULE_MANUAL);
		assert_int_equal(rig.decision.status, POLICY_STATUS_OK);
		assert_int_equal(rig.decision.demand_bytes, rig.used_bytes);
	}
}

/* ---- Another guest ---- */

static void test_a_reset_forgets_what_was_learned(void **state)
{
	struct policy_rig rig = resting_rig();

	(void)state;
	rig.settings.startup_bytes = GIB(3);
	rig.input.guest_start_ns = rig.input.now_ns;
	rig.input.taken_bytes = 0;
	rig.input.present = 0;
	rig.input.stats_at_ns = 0;
	rig.is_silent = true;
	rig.input.driver_ready = false;
	rig_tick(&rig, 1000);
	assert_false(rig.decision.has_demand);
	assert_int_equal(rig.decision.target_bytes, GIB(3));
	rig.input.driver_ready = true;
	rig.is_silent = false;
	rig.used_bytes = MIB(100);
	rig_seconds(&rig, 40);
	assert_int_equal(rig.decision.target_bytes, GIB(3));
	assert_int_equal(rig.decision.demand_bytes, MIB(100));
}

/* ---- Clocks (CL02) ---- */

static void test_no_time_no_shrinking(void **state)
{
	struct policy_rig rig = rig_new(GIB(8), HUGE_FRAME_BYTES, LONG_AGO_S);

	(void)state;
	rig.used_bytes = GIB(1);
	rig_tick(&rig, 1000);
	rig_count_from_here(&rig);
	for (unsigned i = 0; i < 10000; i++)
		rig_tick(&rig, 0);
	assert_int_equal(rig.moves, 0);
	for (unsigned i = 0; i < 1000; i++) {
		rig.input.now_ns -= NS_PER_MS;
		rig.input.stats_at_ns = rig.input.now_ns;
		rig_tick(&rig, 0);
	}
	assert_int_equal(rig.moves, 0);
}

static void test_an_hour_asleep_takes_no_more_than_a_second(void **state)
{
	struct policy_rig rig = rig_new(GIB(8), HUGE_FRAME_BYTES, LONG_AGO_S);
	uint64_t before;

	(void)state;
	rig.used_bytes = GIB(1);
	rig_seconds(&rig, 2);
	before = rig.decision.target_bytes;
	rig_tick(&rig, 3600 * 1000);
	assert_true(rig.decision.target_bytes < before);
	assert_true(before - rig.decision.target_bytes <= GIB(8) / 20 + MIB(2));
}

static void test_a_boot_grace_is_time_that_passed_for_the_guest(void **state)
{
	struct policy_rig rig = rig_new(GIB(8), HUGE_FRAME_BYTES, 0);

	(void)state;
	rig.used_bytes = GIB(1);
	rig_seconds(&rig, 10);
	rig_tick(&rig, 3600 * 1000); /* it was asleep, not up */
	rig_seconds(&rig, 30);
	assert_int_equal(rig.decision.target_bytes, GIB(8));
	rig_seconds(&rig, 10);
	assert_true(rig.decision.target_bytes < GIB(8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_rise_is_demand_at_once),
		cmocka_unit_test(test_a_fall_takes_minutes),
		cmocka_unit_test(test_a_short_spike_is_forgotten_at_once),
		cmocka_unit_test(test_the_same_statistics_count_once),
		cmocka_unit_test(test_a_long_silence_counts_as_one_period),
		cmocka_unit_test(test_an_absent_claim_is_not_zero),
		cmocka_unit_test(test_one_that_is_out_of_memory_needs_more_than_it_can_say),
		cmocka_unit_test(
			test_three_times_what_it_has_is_there_within_a_second_of_its_report),
		cmocka_unit_test(test_one_whose_buffer_the_host_takes_is_not_out_of_memory),
		cmocka_unit_test(test_at_its_maximum_nobody_asks_more_often),
		cmocka_unit_test(test_average_pressure_is_the_mean_of_what_is_known),
		cmocka_unit_test(test_hostile_claims_are_clamped_to_what_the_guest_has),
		cmocka_unit_test(test_free_memory_and_cache_that_overflow_are_a_lot),
		cmocka_unit_test(test_a_kill_for_want_of_memory_releases_at_once),
		cmocka_unit_test(test_what_helped_is_kept_for_a_while),
		cmocka_unit_test(test_a_counter_that_jumps_back_has_no_rate),
		cmocka_unit_test(test_each_sign_of_pain_raises_demand_by_5_to_25_percent),
		cmocka_unit_test(test_signs_do_not_count_while_half_of_the_buffer_is_left),
		cmocka_unit_test(test_pain_stands_until_the_next_statistics),
		cmocka_unit_test(test_pain_passes_with_its_cause),
		cmocka_unit_test(test_a_stall_releases_within_100_ms),
		cmocka_unit_test(test_first_touches_are_no_stall),
		cmocka_unit_test(test_a_stall_with_nothing_in_the_balloon_cannot_be_cured),
		cmocka_unit_test(test_touching_what_it_hands_over_is_no_stall),
		cmocka_unit_test(test_a_stall_without_statistics_releases_too),
		cmocka_unit_test(test_one_slow_touch_is_no_stall),
		cmocka_unit_test(test_pain_does_not_outlive_the_statistics_that_told_it),
		cmocka_unit_test(test_what_is_given_by_hand_is_not_taken_back_by_the_guest),
		cmocka_unit_test(test_a_reset_forgets_what_was_learned),
		cmocka_unit_test(test_no_time_no_shrinking),
		cmocka_unit_test(test_an_hour_asleep_takes_no_more_than_a_second),
		cmocka_unit_test(test_a_boot_grace_is_time_that_passed_for_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
