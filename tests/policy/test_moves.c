/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_moves.c - where the balloon goes: how fast, how far, and what forbids it. */
#include "policy_rig.h"

enum { LONG_AGO_S = 1000 };

static uint64_t band(const struct policy_rig *rig)
{
	uint64_t one_percent = rig_assigned(rig) / 100;

	return one_percent > MIB(POLICY_BAND_MIB) ? one_percent : MIB(POLICY_BAND_MIB);
}

#define assert_rule(rig, id)                                        \
	assert_string_equal(policy_rules[(rig).decision.rule].name, \
			    policy_rules[POLICY_RULE_##id].name)

static void test_an_idle_guest_settles_at_demand_and_buffer(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, LONG_AGO_S);

	(void)state;
	rig.used_bytes = GIB(1);
	rig_seconds(&rig, 300);
	assert_in_range(rig_assigned(&rig), GIB(1) * 6 / 5, GIB(1) * 6 / 5 + band(&rig) + MIB(2));
	assert_in_range(rig.decision.pressure_percent, 80, 84);
	assert_int_equal(rig.decision.status, POLICY_STATUS_OK);
	rig_count_from_here(&rig);
	rig_seconds(&rig, 3600);
	assert_int_equal(rig.moves, 0);
}

static void test_it_grows_to_what_it_wants_in_one_tick(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, LONG_AGO_S);

	(void)state;
	rig.used_bytes = MIB(600);
	rig_seconds(&rig, 600);
	rig.used_bytes = rig_assigned(&rig) - MIB(20);
	rig_tick(&rig, 1000);
	assert_rule(rig, GROW);
	assert_true(rig.decision.target_bytes >= rig.used_bytes * 6 / 5);
	assert_int_equal(rig.decision.status, POLICY_STATUS_LOW);
	rig_tick(&rig, 1000);
	assert_int_equal(rig.decision.status, POLICY_STATUS_OK);
}

static void test_it_keeps_startup_while_it_boots(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, 0);

	(void)state;
	rig.settings.startup_bytes = GIB(1);
	rig.used_bytes = MIB(200);
	rig.input.driver_ready = false;
	rig.is_silent = true;
	rig_seconds(&rig, 10);
	assert_int_equal(rig.decision.target_bytes, GIB(1));
	rig.input.driver_ready = true;
	rig.is_silent = false;
	rig_seconds(&rig, 30);
	assert_int_equal(rig.decision.target_bytes, GIB(1));
	assert_int_equal(rig_assigned(&rig), GIB(1));
	assert_rule(rig, STARTUP);
	rig_seconds(&rig, 10);
	assert_true(rig.decision.target_bytes < GIB(1));
	assert_rule(rig, SHRINK_RATE);
}

/* A demand above the target comes of pain, or of a target that is below what the guest has. */
static void test_a_demand_that_is_not_met_is_met_however_small_the_step(void **state)
{
	struct policy_rig rig = rig_new(MIB(160), HUGE_FRAME_BYTES, LONG_AGO_S);

	(void)state;
	rig.settings.buffer_percent = 5;
	rig.settings.minimum_bytes = MIB(64);
	rig.used_bytes = MIB(147); /* nearly all that it has: 7 MiB of buffer are in the band */
	rig.input.taken_bytes = MIB(12);
	rig.input.present = 1 << POLICY_CLAIM_ALLOC_STALLS;
	rig_seconds(&rig, 3);
	assert_int_equal(rig.decision.target_bytes, MIB(148));
	assert_rule(rig, DEAD_BAND);
	assert_int_equal(rig.decision.status, POLICY_STATUS_OK);
	rig.input.untrusted_claim[POLICY_CLAIM_ALLOC_STALLS] += 1; /* and now they are missed */
	rig_tick(&rig, 1000);
	assert_int_equal(rig.decision.target_bytes, MIB(160));
	assert_rule(rig, STALL);
}

static void test_a_small_guest_obeys_its_grant_to_two_percent(void **state)
{
	struct policy_rig rig = rig_new(MIB(256), HUGE_FRAME_BYTES, LONG_AGO_S);

	(void)state;
	rig.used_bytes = MIB(200);
	rig_seconds(&rig, 60);
	rig.input.has_grant = true;
	rig.input.grant_bytes = rig.decision.target_bytes - MIB(12); /* inside the dead band */
	rig_seconds(&rig, 120);
	assert_true(rig.decision.target_bytes <= rig.input.grant_bytes + MIB(6));
}

static void test_a_demand_that_cannot_be_met_does_not_follow_each_breath_of_the_pool(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, LONG_AGO_S);

	(void)state;
	rig.used_bytes = GIB(3);
	rig.input.taken_bytes = GIB(2);
	rig.input.has_grant = true;
	rig.input.grant_bytes = GIB(2);
	rig.input.present = 1 << POLICY_CLAIM_ALLOC_STALLS;
	rig_seconds(&rig, 10);
	rig_count_from_here(&rig);
	for (unsigned s = 0; s < 100; s++) {
		rig.input.untrusted_claim[POLICY_CLAIM_ALLOC_STALLS] += 1000;
		rig.input.grant_bytes = GIB(2) + MIB(s % 10) - MIB(5);
		rig_tick(&rig, 1000);
	}
	assert_int_equal(rig.moves, 0);
	assert_rule(rig, GRANT);
}

static void test_in_the_tick_of_a_kill_nothing_is_taken(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, LONG_AGO_S);
	uint64_t before;

	(void)state;
	rig.used_bytes = MIB(500);
	rig.input.present = 1 << POLICY_CLAIM_OOM_KILLS;
	rig_seconds(&rig, 5);
	before = rig.decision.target_bytes;
	rig.input.untrusted_claim[POLICY_CLAIM_OOM_KILLS]++;
	rig_tick(&rig, 1000);
	assert_int_equal(rig.decision.target_bytes, before);
	assert_rule(rig, STALL);
	assert_int_equal(rig.decision.status, POLICY_STATUS_WARNING);
}

static void test_what_helped_is_not_kept_from_a_short_host(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, LONG_AGO_S);
	uint64_t before;

	(void)state;
	rig.used_bytes = MIB(500);
	rig.input.present = 1 << POLICY_CLAIM_OOM_KILLS;
	rig_seconds(&rig, 5);
	rig.input.untrusted_claim[POLICY_CLAIM_OOM_KILLS]++;
	rig_seconds(&rig, 2);
	before = rig.decision.target_bytes;
	assert_rule(rig, PAIN);
	rig_seconds(&rig, 5);
	assert_int_equal(rig.decision.target_bytes, before);
	rig.input.has_host = true;
	rig.input.host = HOST_HARD;
	rig_seconds(&rig, 1);
	assert_true(rig.decision.target_bytes < before);
}

/* Of 4 GiB it touched 1: the rest is no loss to it, and would be taken from others when it was touched. */
static void test_above_a_grant_what_was_never_touched_goes_at_once(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, 60);

	(void)state;
	rig.used_bytes = MIB(800);
	rig_tick(&rig, 1000);
	rig.input.has_grant = rig.input.has_held = true;
	rig.input.grant_bytes = MIB(900);
	rig.input.held_bytes = GIB(1);
	rig_tick(&rig, 20);
	assert_true(rig.decision.target_bytes >= GIB(1));
	assert_true(rig.decision.target_bytes <= GIB(1) + GIB(4) / 100 + HUGE_FRAME_BYTES);
	assert_int_equal(rig.decision.rule, POLICY_RULE_GUEST_LAG); /* the rest when it came */
	for (int s = 0; s < 60; s++) {
		uint64_t had = rig_assigned(&rig);

		if (rig.input.held_bytes > had)
			rig.input.held_bytes = had;
		rig_tick(&rig, 1000);
	}
	assert_true(rig_assigned(&rig) <= MIB(900) + MIB(900) / 50);
}

/* In swap is what it touched, too; and it works without statistics, but not without a driver. */
static void test_what_is_in_swap_was_touched(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, 60);

	(void)state;
	rig.is_silent = true;
	rig.input.has_grant = rig.input.has_held = rig.input.can_swap = true;
	rig.input.grant_bytes = GIB(1);
	rig.input.held_bytes = GIB(1);
	rig.input.swapped_bytes = GIB(1);
	rig.input.driver_ready = false;
	rig_tick(&rig, 20);
	assert_int_equal(rig.decision.target_bytes, GIB(4));
	rig.input.driver_ready = true;
	rig_tick(&rig, 20);
	assert_true(rig.decision.target_bytes >= GIB(2));
	assert_true(rig.decision.target_bytes <= GIB(2) + GIB(4) / 100 + HUGE_FRAME_BYTES);
}

static void test_a_booting_guest_keeps_what_it_never_touched(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, 1);

	(void)state;
	rig.input.has_grant = rig.input.has_held = true;
	rig.input.grant_bytes = GIB(1);
	rig.input.held_bytes = MIB(100);
	rig_seconds(&rig, 30);
	assert_int_equal(rig.decision.target_bytes, GIB(4));
}

static void test_the_slack_of_a_grant_is_bounded(void **state)
{
	(void)state;
	assert_int_equal(policy_grant_slack_bytes(0), 0);
	assert_int_equal(policy_grant_slack_bytes(MIB(64)), MIB(8));
	assert_int_equal(policy_grant_slack_bytes(MIB(512)), MIB(16));
	assert_int_equal(policy_grant_slack_bytes(GIB(100)), GIB(2));
	assert_true(policy_grant_slack_bytes(UINT64_MAX) <= UINT64_MAX / 8);
	for (uint64_t grant = MIB(64); grant < GIB(64);
	     grant += grant / 3) { /* it is there to reach */
		uint64_t band = grant / 100 * POLICY_BAND_GRANT_PERCENT;

		assert_true(band <= policy_grant_slack_bytes(grant));
	}
}

static void test_when_nobody_knows_what_it_uses_a_small_grant_takes_nothing(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, LONG_AGO_S);

	(void)state;
	rig.is_silent = true;
	rig.input.has_grant = true;
	rig.input.grant_bytes = GIB(1);
	for (unsigned s = 0; s < 60; s++) {
		rig.input.stats_at_ns = rig.input.now_ns;
		rig.input.present = 1 << POLICY_CLAIM_FREE_BYTES;
		rig_tick(&rig, 1000);
	}
	assert_int_equal(rig.decision.target_bytes, GIB(4));
	assert_rule(rig, NO_STATS);
}

static void test_nobody_grows_by_more_than_the_host_has(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, LONG_AGO_S);

	(void)state;
	rig.used_bytes = GIB(2);
	rig.input.taken_bytes = GIB(2);
	rig.input.has_host = true;
	rig.input.host_free_bytes = MIB(101);
	rig_seconds(&rig, 1);
	assert_int_equal(rig.decision.target_bytes, GIB(2) + MIB(100));
	assert_rule(rig, HOST_FREE);
}

static void test_what_is_less_than_a_frame_is_not_owed(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, LONG_AGO_S);

	(void)state;
	rig.used_bytes = GIB(1);
	rig.input.taken_bytes = GIB(2);
	rig_seconds(&rig, 300);
	rig.input.taken_bytes -= MIB(1);
	rig.ignores_target = true;
	rig_seconds(&rig, 60);
	assert_rule(rig, DEAD_BAND);
	assert_int_equal(rig.state.cannot.left_ns, 0);
}

static void test_a_page_now_and_then_is_no_progress(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, LONG_AGO_S);

	(void)state;
	rig.used_bytes = GIB(1);
	rig.bytes_per_s = 16 * GUEST_PAGE_BYTES;
	rig_seconds(&rig, 8);
	assert_int_equal(rig.state.cannot.bytes > 0, true);
	assert_rule(rig, NO_PROGRESS);
	rig = rig_new(GIB(4), HUGE_FRAME_BYTES, LONG_AGO_S);
	rig.used_bytes = GIB(1);
	rig.bytes_per_s = MIB(1) / 4; /* slow, but it comes: 1 MiB in 4 s */
	rig_seconds(&rig, 60);
	assert_int_equal(rig.state.cannot.bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_demand_that_is_not_met_is_met_however_small_the_step),
		cmocka_unit_test(test_a_small_guest_obeys_its_grant_to_two_percent),
		cmocka_unit_test(
			test_a_demand_that_cannot_be_met_does_not_follow_each_breath_of_the_pool),
		cmocka_unit_test(test_in_the_tick_of_a_kill_nothing_is_taken),
		cmocka_unit_test(test_what_helped_is_not_kept_from_a_short_host),
		cmocka_unit_test(test_above_a_grant_what_was_never_touched_goes_at_once),
		cmocka_unit_test(test_what_is_in_swap_was_touched),
		cmocka_unit_test(test_a_booting_guest_keeps_what_it_never_touched),
		cmocka_unit_test(test_the_slack_of_a_grant_is_bounded),
		cmocka_unit_test(test_when_nobody_knows_what_it_uses_a_small_grant_takes_nothing),
		cmocka_unit_test(test_what_is_less_than_a_frame_is_not_owed),
		cmocka_unit_test(test_a_page_now_and_then_is_no_progress),
		cmocka_unit_test(test_nobody_grows_by_more_than_the_host_has),
		cmocka_unit_test(test_an_idle_guest_settles_at_demand_and_buffer),
		cmocka_unit_test(test_it_grows_to_what_it_wants_in_one_tick),
		cmocka_unit_test(test_it_keeps_startup_while_it_boots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
