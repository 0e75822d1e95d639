/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_swap_plan.c - when RAM is limited because the balloon does not give what the host needs. */
#include "policy_rig.h"

enum { LONG_AGO_S = 1000 };

/* A guest of 8 GiB that uses 2, has all of it, and hands nothing over, on a host that is hard. */
static struct policy_rig stubborn_rig(void)
{
	struct policy_rig rig = rig_new(GIB(8), HUGE_FRAME_BYTES, LONG_AGO_S);

	rig.used_bytes = GIB(2);
	rig.ignores_target = true;
	rig.input.can_swap = true;
	rig.input.has_host = true;
	rig.input.host = HOST_HARD;
	return rig;
}

static void swap_obeys(struct policy_rig *rig)
{
	uint64_t limit = rig->decision.swap_limit_bytes, has = rig_assigned(rig);

	rig->input.swapped_bytes = limit && limit < has ? has - limit : 0;
}

static void seconds(struct policy_rig *rig, unsigned count)
{
	while (count--) {
		rig_tick(rig, 1000);
		swap_obeys(rig);
	}
}

static void test_the_balloon_is_asked_first(void **state)
{
	struct policy_rig rig = stubborn_rig();

	(void)state;
	seconds(&rig, 5);
	assert_int_equal(rig.decision.swap_limit_bytes, 0);
	seconds(&rig, 3);
	assert_int_equal(rig.decision.rule, POLICY_RULE_NO_PROGRESS);
	assert_true(rig.decision.swap_limit_bytes > GIB(7));
}

static void test_a_guest_that_hands_over_is_not_swapped(void **state)
{
	struct policy_rig rig = stubborn_rig();

	(void)state;
	rig.ignores_target = false;
	for (unsigned s = 0; s < 600; s++) {
		seconds(&rig, 1);
		assert_int_equal(rig.decision.swap_limit_bytes, 0);
	}
	/* What was wanted comes back too: demand, no buffer. */
	assert_in_range(rig_assigned(&rig), GIB(2), GIB(2) + MIB(32));
}

static void test_the_limit_goes_down_slowly_to_demand(void **state)
{
	struct policy_rig rig = stubborn_rig();
	uint64_t before;

	(void)state;
	seconds(&rig, 7);
	before = rig.decision.swap_limit_bytes;
	assert_true(before > GIB(7));
	for (unsigned s = 0; s < 300; s++) {
		uint64_t limit;

		seconds(&rig, 1);
		limit = rig.decision.swap_limit_bytes;
		assert_true(limit <= before && before - limit <= before / 20 + 1);
		before = limit;
	}
	assert_int_equal(rig.decision.swap_limit_bytes, GIB(2));
}

static void test_without_swap_or_need_there_is_no_limit(void **state)
{
	struct policy_rig rig = stubborn_rig();

	(void)state;
	rig.input.can_swap = false;
	seconds(&rig, 60);
	assert_int_equal(rig.decision.swap_limit_bytes, 0);
	rig = stubborn_rig();
	rig.input.host = HOST_SOFT;
	seconds(&rig, 60);
	assert_int_equal(rig.decision.swap_limit_bytes, 0);
	rig = stubborn_rig();
	rig.settings.reserved = true;
	seconds(&rig, 60);
	assert_int_equal(rig.decision.swap_limit_bytes, 0);
	rig = stubborn_rig();
	rig.settings.mode = POLICY_MODE_MANUAL;
	seconds(&rig, 60);
	assert_int_equal(rig.decision.swap_limit_bytes, 0);
}

static void test_nobody_swaps_blindly(void **state)
{
	struct policy_rig rig = stubborn_rig();

	(void)state;
	rig.input.driver_ready = false;
	rig.is_silent = true;
	seconds(&rig, 600);
	assert_int_equal(rig.decision.swap_limit_bytes, 0);
	rig.input.has_active = true; /* but with the sampler's word */
	rig.input.active_percent = 50;
	seconds(&rig, 600);
	assert_int_equal(rig.decision.swap_limit_bytes, GIB(4));
}

static void test_a_guest_that_boots_is_not_swapped(void **state)
{
	struct policy_rig rig = stubborn_rig();

	(void)state;
	rig.input.guest_start_ns = rig.input.now_ns;
	rig.input.driver_ready = false;
	rig.input.has_active = true;
	seconds(&rig, POLICY_BOOT_GRACE_S - 1);
	assert_int_equal(rig.decision.swap_limit_bytes, 0);
	seconds(&rig, 5);
	assert_true(rig.decision.swap_limit_bytes > 0);
}

static void test_a_grant_is_a_limit_but_not_below_the_floor(void **state)
{
	struct policy_rig rig = stubborn_rig();

	(void)state;
	rig.input.has_grant = true;
	rig.input.grant_bytes = GIB(3);
	rig.input.host = HOST_CLEAR;
	rig.input.driver_ready = false;
	seconds(&rig, 600);
	assert_int_equal(rig.decision.swap_limit_bytes, GIB(3));
	rig.input.grant_bytes = MIB(10);
	seconds(&rig, 600);
	assert_int_equal(rig.decision.swap_limit_bytes, rig.settings.minimum_bytes);
	rig.settings.minimum_bytes = MIB(64);
	seconds(&rig, 600);
	assert_int_equal(rig.decision.swap_limit_bytes, policy_floor_bytes(GIB(8)));
	rig.input.grant_bytes = GIB(8);
	seconds(&rig, 2400);
	assert_int_equal(rig.decision.swap_limit_bytes, 0);
}

static void test_refaults_raise_the_limit_and_stop_it(void **state)
{
	struct policy_rig rig = stubborn_rig();
	uint64_t before;

	(void)state;
	rig.input.driver_ready = false;
	seconds(&rig, 10);
	before = rig.decision.swap_limit_bytes;
	/* 0.2 % of 2 GiB are 4.1 MiB: two blocks of 2 MiB are within it, three are not. */
	rig.input.refault_blocks += 2;
	seconds(&rig, 1);
	assert_true(rig.decision.swap_limit_bytes < before);
	before = rig.decision.swap_limit_bytes;
	rig.input.refault_blocks += 1;
	seconds(&rig, 1);
	assert_true(rig.decision.swap_limit_bytes > before);
	assert_int_equal(rig.decision.status, POLICY_STATUS_WARNING);
	before = rig.decision.swap_limit_bytes;
	seconds(&rig, POLICY_HOLD_S - 1);
	assert_int_equal(rig.decision.swap_limit_bytes, before);
	seconds(&rig, 3);
	assert_true(rig.decision.swap_limit_bytes < before);
}

static void test_refaults_of_an_earlier_minute_do_not_add_up(void **state)
{
	struct policy_rig rig = stubborn_rig();

	(void)state;
	rig.input.driver_ready = false;
	seconds(&rig, 10);
	for (unsigned i = 0; i < 10; i++) {
		rig.input.refault_blocks += 1;
		seconds(&rig, 31);
		assert_int_equal(rig.decision.status, POLICY_STATUS_OK);
	}
}

static void test_a_limit_stays_until_the_host_is_clear(void **state)
{
	struct policy_rig rig = stubborn_rig();
	uint64_t before;

	(void)state;
	rig.input.driver_ready = false;
	seconds(&rig, 20);
	before = rig.decision.swap_limit_bytes;
	rig.input.host = HOST_SOFT;
	seconds(&rig, 100);
	assert_int_equal(rig.decision.swap_limit_bytes, before);
	rig.input.host = HOST_CLEAR;
	rig.input.host_free_bytes = GIB(1);
	seconds(&rig, 1);
	assert_true(rig.decision.swap_limit_bytes > before);
	assert_true(rig.decision.swap_limit_bytes <= before + before / 20);
	seconds(&rig, 100);
	assert_int_equal(rig.decision.swap_limit_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_balloon_is_asked_first),
		cmocka_unit_test(test_a_guest_that_hands_over_is_not_swapped),
		cmocka_unit_test(test_the_limit_goes_down_slowly_to_demand),
		cmocka_unit_test(test_without_swap_or_need_there_is_no_limit),
		cmocka_unit_test(test_nobody_swaps_blindly),
		cmocka_unit_test(test_a_guest_that_boots_is_not_swapped),
		cmocka_unit_test(test_a_grant_is_a_limit_but_not_below_the_floor),
		cmocka_unit_test(test_refaults_raise_the_limit_and_stop_it),
		cmocka_unit_test(test_refaults_of_an_earlier_minute_do_not_add_up),
		cmocka_unit_test(test_a_limit_stays_until_the_host_is_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
