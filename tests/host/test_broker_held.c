/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_broker_held.c - what the broker does for VMs whose guests wait at their grants. */
#include "broker_rig.h"

static void says_it_waits(struct owner *owner, uint64_t want, uint64_t held, bool waits)
{
	struct api_usage usage = usage_of(want, held);

	if (owner->grant_bytes)
		api_usage_put(&usage, API_USAGE_grant_bytes, owner->grant_bytes);
	api_usage_put(&usage, API_USAGE_waits_for, waits);
	broker_observe(world.broker, owner->vm, &usage);
}

/* Without the second between ticks. */
static void tick_at_once(void)
{
	world.now_ns += NS_PER_S / 20;
	assert_true(broker_wants_tick(world.broker));
	assert_int_equal(broker_tick_in_ms(world.broker, world.now_ns), 0);
	assert_true(broker_tick_in_ms(world.broker, world.now_ns - NS_PER_S / 20) > 0); /* a gap */
	broker_tick(world.broker, world.now_ns);
}

static void test_one_that_waits_at_its_grant_gets_a_quarter_more_at_once(void **state)
{
	struct owner a = { .name = "a" }, b = { .name = "b" };

	(void)state;
	adopt(&a, GIB(2));
	adopt(&b, GIB(4));
	says(&a, MIB(512), MIB(512));
	says(&b, GIB(4), GIB(2)); /* wants all that is left: nothing is lent */
	set_pool(GIB(4), GIB(1) + MIB(512));
	ticks(2);
	assert_int_equal(a.grant_bytes, MIB(512));
	says_it_waits(&a, MIB(512), MIB(512), true);
	tick_at_once();
	assert_int_equal(a.grant_bytes, MIB(640));
	set_pool(GIB(4), GIB(1) + MIB(384));
	says_it_waits(&a, MIB(512), MIB(640), true);
	tick_at_once();
	assert_int_equal(a.grant_bytes, MIB(800));
	assert_true(b.grant_bytes - GIB(2) + MIB(160) <= /* both find what they were told */
		    GIB(1) + MIB(384) - host_marks(GIB(4)).enter_bytes[HOST_SOFT]);
	says_it_waits(&a, MIB(512), MIB(640), false);
	ticks(2);
	assert_int_equal(a.grant_bytes, MIB(800)); /* its statistics are a little behind */
	ticks(6);
	says(&a, MIB(512), MIB(640));
	tick();
	assert_int_equal(a.grant_bytes, MIB(512)); /* it did not want more after all */
}

/* It has to know that it was heard: else it would look at the host by itself. */
static void test_one_that_waits_in_vain_is_told_its_grant_again_and_again(void **state)
{
	struct owner a = { .name = "a" }, b = { .name = "b" };
	unsigned grants;

	(void)state;
	adopt(&a, GIB(4));
	adopt(&b, GIB(4));
	says_it_waits(&a, GIB(4), GIB(2), true);
	says(&b, GIB(4), GIB(2));
	set_pool(GIB(4), 0);
	ticks(2);
	forget_events();
	grants = a.grants;
	for (int s = 0; s < 12; s++) {
		says_it_waits(&a, GIB(4), GIB(2), true);
		says(&b, GIB(4), GIB(2));
		tick();
	}
	assert_true(a.grants >= grants + 3 && a.grants <= grants + 5);
	assert_null(last_event("memory.grant")); /* nothing new to anybody else */
	set_pool(GIB(5), MIB(200));		 /* what is there, however little */
	grants = a.grants;
	tick();
	assert_int_equal(a.grants, grants + 1);
}

static void test_one_without_a_balloon_gets_no_more_than_leaves_the_others_their_minimum(
	void **state)
{
	struct owner greedy = { .name = "greedy" }, modest = { .name = "modest" };
	struct api_usage usage = usage_of(GIB(4), MIB(64));
	uint64_t held = MIB(64);

	(void)state;
	adopt(&greedy, GIB(4));
	adopt(&modest, MIB(512)); /* with a floor of 168 MiB */
	api_usage_put(&usage, API_USAGE_mode, POLICY_MODE_OFF);
	for (int i = 0; i < 40; i++) { /* it takes what it may */
		api_usage_put(&usage, API_USAGE_resident_bytes, held);
		api_usage_put(&usage, API_USAGE_grant_bytes, greedy.grant_bytes);
		api_usage_put(&usage, API_USAGE_waits_for, 1);
		broker_observe(world.broker, greedy.vm, &usage);
		says(&modest, MIB(100), MIB(32));
		set_pool(GIB(1), GIB(1) - held - MIB(32));
		tick();
		assert_true(greedy.grant_bytes >= held);
		held = greedy.grant_bytes;
	}
	assert_true(held > MIB(600));
	assert_true(GIB(1) - held - host_marks(GIB(1)).enter_bytes[HOST_SOFT] >= MIB(168));
	assert_null(last_event("memory.over"));
	assert_int_equal(broker_first_grant_bytes(world.broker, modest.vm), MIB(512));
}

/* A daemon that just started hears one VM before the other. */
static void test_what_a_vm_that_was_just_found_shall_have_is_kept_for_it(void **state)
{
	struct owner greedy = { .name = "greedy", .grant_bytes = GIB(1) },
		     late = { .name = "late" };

	(void)state;
	set_pool(GIB(2), GIB(1) - MIB(32));
	adopt(&greedy, GIB(2));
	adopt(&late, MIB(512));
	says_it_waits(&greedy, GIB(2), GIB(1), true);
	tick();
	assert_int_equal(greedy.grants, 0); /* it lives by the grant of the daemon before */
	says(&late, MIB(512), MIB(32));
	tick();
	assert_true(greedy.grants == 1 && greedy.grant_bytes > GIB(1));
	assert_true(greedy.grant_bytes <= GIB(1) + MIB(480));
}

static void test_one_that_was_found_and_never_says_anything_does_not_hold_up_the_others(
	void **state)
{
	struct owner greedy = { .name = "greedy", .grant_bytes = GIB(1) },
		     mute = { .name = "mute" };

	(void)state;
	set_pool(GIB(2), GIB(1) - MIB(32));
	adopt(&greedy, GIB(2));
	adopt(&mute, MIB(512));
	says_it_waits(&greedy, GIB(2), GIB(1), true);
	ticks(4);
	assert_true(greedy.grant_bytes > GIB(1));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_one_that_waits_at_its_grant_gets_a_quarter_more_at_once),
		CASE(test_one_that_waits_in_vain_is_told_its_grant_again_and_again),
		CASE(test_one_without_a_balloon_gets_no_more_than_leaves_the_others_their_minimum),
		CASE(test_what_a_vm_that_was_just_found_shall_have_is_kept_for_it),
		CASE(test_one_that_was_found_and_never_says_anything_does_not_hold_up_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
