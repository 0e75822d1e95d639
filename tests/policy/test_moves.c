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
	rig.used_bytes = rig_assigned(&rig);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_idle_guest_settles_at_demand_and_buffer),
		cmocka_unit_test(test_it_grows_to_what_it_wants_in_one_tick),
		cmocka_unit_test(test_it_keeps_startup_while_it_boots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
