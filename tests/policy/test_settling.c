/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_settling.c - a demand that does not change comes to rest, whatever the guest is like; and one
 * that sways a little moves nothing.
 */
#include "policy_rig.h"

enum { GUESTS = 300, LONG_AGO_S = 1000, SETTLE_S = 1800, REST_S = 1800 };

static struct test_random random_numbers;

static uint64_t below(uint64_t limit)
{
	return test_random_below(&random_numbers, limit);
}

static uint64_t band(const struct policy_rig *rig)
{
	uint64_t one_percent = rig_assigned(rig) / 100;

	return one_percent > MIB(POLICY_BAND_MIB) ? one_percent : MIB(POLICY_BAND_MIB);
}

static uint64_t wanted(const struct policy_rig *rig)
{
	const struct policy_settings *settings = &rig->settings;
	uint64_t wish = rig->used_bytes * (100 + settings->buffer_percent) / 100;
	uint64_t floor_bytes = policy_floor_bytes(settings->maximum_bytes);

	wish = wish > settings->minimum_bytes ? wish : settings->minimum_bytes;
	wish = wish > floor_bytes ? wish : floor_bytes;
	return wish < settings->maximum_bytes ? wish : settings->maximum_bytes;
}

static struct policy_rig any_rig(void)
{
	uint64_t frame = below(2) ? HUGE_FRAME_BYTES : GUEST_PAGE_BYTES;
	uint64_t maximum = MIB(64 + 2 * below(16384));
	struct policy_rig rig = rig_new(maximum, frame, LONG_AGO_S);

	rig.used_bytes = MIB(1) + below(maximum - MIB(1));
	rig.settings.buffer_percent = 5 + (uint32_t)below(100);
	rig.settings.minimum_bytes = below(maximum / 2);
	rig.input.taken_bytes = align_down(below(maximum), GUEST_PAGE_BYTES);
	rig.input.deflate_on_oom = below(2);
	rig.input.stats_period_ns = (1 + below(5)) * NS_PER_S;
	rig.kernel_bytes = rig.used_bytes / 4;
	return rig;
}

/* It comes to rest within the band of what it wants, frames and the guest's steps beside. */
static void assert_settles(struct policy_rig *rig)
{
	uint64_t slack;

	rig_seconds(rig, SETTLE_S);
	rig_count_from_here(rig);
	rig_seconds(rig, REST_S);
	slack = band(rig) + rig->settings.frame_bytes + rig->step_bytes;
	assert_int_equal(rig->moves, 0);
	assert_in_range(rig_assigned(rig) + slack, wanted(rig), wanted(rig) + 2 * slack);
}

static void test_a_guest_that_follows_at_once_settles(void **state)
{
	(void)state;
	for (unsigned i = 0; i < GUESTS; i++) {
		struct policy_rig rig = any_rig();

		assert_settles(&rig);
	}
}

static void test_a_guest_that_follows_slowly_settles(void **state)
{
	(void)state;
	for (unsigned i = 0; i < GUESTS; i++) {
		struct policy_rig rig = any_rig();

		rig.bytes_per_s = rig.settings.maximum_bytes / (20 + below(300)) + MIB(4);
		assert_settles(&rig);
	}
}

static void test_a_guest_that_moves_whole_blocks_settles(void **state)
{
	(void)state;
	for (unsigned i = 0; i < GUESTS; i++) {
		struct policy_rig rig = any_rig();

		rig.step_bytes = HUGE_FRAME_BYTES;
		rig.input.taken_bytes = align_down(rig.input.taken_bytes, HUGE_FRAME_BYTES);
		assert_settles(&rig);
	}
}

static void test_it_settles_with_ticks_of_a_tenth_of_a_second_too(void **state)
{
	(void)state;
	for (unsigned i = 0; i < GUESTS / 10; i++) {
		struct policy_rig rig = any_rig();
		uint64_t slack;

		for (unsigned t = 0; t < SETTLE_S * 10; t++)
			rig_tick(&rig, 100);
		rig_count_from_here(&rig);
		for (unsigned t = 0; t < 6000; t++)
			rig_tick(&rig, 100);
		assert_int_equal(rig.moves, 0);
		slack = band(&rig) + rig.settings.frame_bytes;
		assert_in_range(rig_assigned(&rig) + slack, wanted(&rig), wanted(&rig) + 2 * slack);
	}
}

/* But once, for one that ran out: what it needs is found from above. */
static void test_it_does_not_go_to_and_fro_on_the_way(void **state)
{
	unsigned guests_out = 0;

	(void)state;
	for (unsigned i = 0; i < GUESTS; i++) {
		struct policy_rig rig = any_rig();
		bool ran_out;

		rig_seconds(&rig, 1);
		ran_out = rig.state.out_bytes > 0;
		rig_count_from_here(&rig);
		for (unsigned s = 0; s < SETTLE_S; s++) {
			rig_seconds(&rig, 1);
			ran_out |= rig.state.out_bytes > 0;
		}
		guests_out += ran_out;
		assert_in_range(rig.reversals, 0, ran_out);
	}
	assert_in_range(guests_out, GUESTS / 10, GUESTS * 9 / 10); /* both were seen */
}

static void test_a_demand_that_sways_within_the_band_moves_nothing(void **state)
{
	(void)state;
	for (unsigned i = 0; i < GUESTS; i++) {
		struct policy_rig rig = any_rig();
		uint64_t used, sway;

		rig.used_bytes = rig.used_bytes / 2;
		used = rig.used_bytes;
		rig_seconds(&rig, SETTLE_S);
		sway = band(&rig) * 100 / (100 + rig.settings.buffer_percent) / 4;
		sway = sway < used ? sway : used;
		/* The first sways may end what the band left over. */
		for (unsigned s = 0; s < REST_S; s++) {
			if (s == REST_S / 4)
				rig_count_from_here(&rig);
			rig.used_bytes = used - sway + below(2 * sway + 1);
			rig_tick(&rig, 1000);
		}
		assert_in_range(rig.reversals, 0, 0);
		assert_in_range(rig.moves, 0, 1);
	}
}

/* It says that it has plenty, and takes back what it is asked for. */
static void test_a_guest_that_takes_back_under_deflate_on_oom_is_left_alone_more_and_more(
	void **state)
{
	(void)state;
	for (unsigned i = 0; i < GUESTS / 10; i++) {
		struct policy_rig rig = rig_new(GIB(2 + below(6)), HUGE_FRAME_BYTES, LONG_AGO_S);

		rig.used_bytes = MIB(300);
		rig.input.deflate_on_oom = true;
		rig.takes_back = true;
		rig.cannot_below_bytes = GIB(1) + MIB(below(700));
		rig_seconds(&rig, 3600);
		rig_count_from_here(&rig);
		rig_seconds(&rig, 4 * 3600);
		assert_in_range(rig.reversals, 0,
				4 * 2 * 4); /* a try per 16 minutes: out and back */
		assert_in_range(rig_assigned(&rig), rig.cannot_below_bytes - MIB(100),
				rig.cannot_below_bytes * 5 / 3);
	}
}

static void test_a_guest_that_refuses_settles_at_what_it_has(void **state)
{
	(void)state;
	for (unsigned i = 0; i < GUESTS / 10; i++) {
		struct policy_rig rig = rig_new(GIB(2 + below(6)), HUGE_FRAME_BYTES, LONG_AGO_S);

		rig.used_bytes = MIB(300);
		rig.ignores_target = true;
		rig_seconds(&rig, 3600);
		rig_count_from_here(&rig);
		rig_seconds(&rig, 4 * 3600);
		assert_in_range(rig.reversals, 4 * 2 * 3, 4 * 2 * 4); /* it is tried, but seldom */
		assert_int_equal(rig_assigned(&rig), rig.settings.maximum_bytes);
	}
}

static void test_a_constant_demand_under_shortage_settles_too(void **state)
{
	(void)state;
	for (unsigned i = 0; i < GUESTS; i++) {
		struct policy_rig rig = any_rig();

		if (below(2)) {
			rig.input.has_host = true;
			rig.input.host = (enum host_state)below(HOST_STATE_COUNT);
			rig.input.host_free_bytes = below(GIB(1));
		} else {
			rig.input.has_grant = true;
			rig.input.grant_bytes = below(rig.settings.maximum_bytes);
		}
		rig_seconds(&rig, SETTLE_S);
		rig_count_from_here(&rig);
		rig_seconds(&rig, REST_S);
		assert_int_equal(rig.reversals, 0);
		if (rig.input.has_grant || rig.input.host != HOST_CLEAR)
			assert_int_equal(rig.moves, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_guest_that_follows_at_once_settles),
		cmocka_unit_test(test_a_guest_that_follows_slowly_settles),
		cmocka_unit_test(test_a_guest_that_moves_whole_blocks_settles),
		cmocka_unit_test(test_it_settles_with_ticks_of_a_tenth_of_a_second_too),
		cmocka_unit_test(test_it_does_not_go_to_and_fro_on_the_way),
		cmocka_unit_test(test_a_demand_that_sways_within_the_band_moves_nothing),
		cmocka_unit_test(
			test_a_guest_that_takes_back_under_deflate_on_oom_is_left_alone_more_and_more),
		cmocka_unit_test(test_a_guest_that_refuses_settles_at_what_it_has),
		cmocka_unit_test(test_a_constant_demand_under_shortage_settles_too),
	};

	random_numbers = test_random_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
