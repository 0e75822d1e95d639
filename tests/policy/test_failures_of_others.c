/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_failures_of_others.c - what went wrong in other systems, each as it went wrong.
 *
 * Beside every case stands where it was seen.
 */
#include "policy/host_policy.h"

#include "policy_rig.h"

enum { LONG_AGO_S = 1000 };

/* oVirt MOM without MemAvailable: free memory was the measure, so a guest that read files once kept
 * its cache for ever. */
static void test_page_cache_is_not_demand(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, LONG_AGO_S);

	(void)state;
	rig.used_bytes = MIB(500);
	rig.cache_bytes = GIB(4); /* it fills what is there */
	rig_seconds(&rig, 600);
	assert_in_range(rig.decision.demand_bytes, MIB(500), MIB(500));
	assert_true(rig_assigned(&rig) < MIB(700));
}

/* The same for a guest that tells no AVAIL, only free memory and cache. */
static void test_page_cache_is_not_demand_without_avail_either(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, LONG_AGO_S);

	(void)state;
	rig.used_bytes = MIB(500);
	rig.cache_bytes = GIB(4);
	rig.is_silent = true;
	for (unsigned i = 0; i < 600; i++) {
		rig_statistics(&rig);
		rig.input.present &= ~(UINT32_C(1) << POLICY_CLAIM_AVAILABLE_BYTES);
		rig_tick(&rig, 1000);
	}
	assert_true(rig_assigned(&rig) < MIB(700));
	/* Free memory alone would count cache: then nothing is known. */
	rig.input.guest_start_ns++;
	rig.input.present &= ~(UINT32_C(1) << POLICY_CLAIM_CACHE_BYTES);
	rig_tick(&rig, 1000);
	assert_false(rig.decision.has_demand);
}

/* Proxmox before 9: the goal was 80 % of the host's memory, whoever needed it. A guest in need stayed
 * at its minimum while idle ones kept theirs. */
static void test_a_guest_in_need_is_served_before_idle_ones(void **state)
{
	struct host_vm vms[] = {
		{ .minimum_bytes = MIB(512),
		  .maximum_bytes = GIB(8),
		  .held_bytes = MIB(512),
		  .want_bytes = GIB(6),
		  .weight = 1000,
		  .has_active = true,
		  .active_percent = 100 },
		{ .minimum_bytes = MIB(512),
		  .maximum_bytes = GIB(8),
		  .held_bytes = GIB(7),
		  .want_bytes = GIB(1),
		  .weight = 1000,
		  .has_active = true,
		  .active_percent = 5 },
	};
	uint32_t order[ARRAY_LEN(vms)];

	(void)state;
	assert_true(host_divide(vms, 2, GIB(7), HUGE_FRAME_BYTES, order));
	assert_int_equal(vms[0].grant_bytes, GIB(6));
	assert_int_equal(vms[1].grant_bytes, GIB(1));
}

/* And when all is short, nobody is left at its minimum while another has all it wants idle. */
static void test_a_guest_at_its_minimum_does_not_thrash_beside_a_rich_one(void **state)
{
	struct host_vm vms[] = {
		{ .minimum_bytes = MIB(512),
		  .maximum_bytes = GIB(8),
		  .want_bytes = GIB(6),
		  .weight = 1000,
		  .has_active = true,
		  .active_percent = 100 },
		{ .minimum_bytes = MIB(512),
		  .maximum_bytes = GIB(8),
		  .want_bytes = GIB(6),
		  .weight = 1000,
		  .has_active = true,
		  .active_percent = 0 },
	};
	uint32_t order[ARRAY_LEN(vms)];

	(void)state;
	assert_true(host_divide(vms, 2, GIB(5), HUGE_FRAME_BYTES, order));
	assert_int_equal(vms[0].grant_bytes, GIB(4));
	assert_int_equal(vms[1].grant_bytes, GIB(1));
}

/* ArcBox: the agent hung, its last numbers said idle, and the guest was squeezed for 18 hours. */
static void test_statistics_that_stopped_do_not_starve_a_guest_for_18_hours(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, LONG_AGO_S);
	uint64_t had;

	(void)state;
	rig.used_bytes = MIB(500);
	rig_seconds(&rig, 10);
	had = rig_assigned(&rig);
	assert_true(had > GIB(2));
	rig.is_silent = true;
	rig_seconds(&rig, 18 * 3600);
	assert_true(rig_assigned(&rig) > had * 8 / 10); /* three periods, 5 % each, at most */
	assert_int_equal(rig.decision.rule, POLICY_RULE_STALE_STATS);
}

/* Hyper-V, oVirt: a guest that boots reads everything, uses little, then starts its services. */
static void test_the_dip_between_boot_and_services_takes_nothing(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, 0);

	(void)state;
	rig.settings.startup_bytes = GIB(2);
	rig.used_bytes = GIB(1);
	rig_seconds(&rig, 10);
	rig.used_bytes = MIB(200);
	rig_seconds(&rig, 25);
	assert_int_equal(rig.decision.target_bytes, GIB(2));
	rig.used_bytes = GIB(2) - MIB(100);
	rig_tick(&rig, 1000);
	assert_true(rig.decision.target_bytes >= rig.used_bytes); /* and growing is allowed */
}

/* Linux's driver: asked for more than the guest can give it fails, sleeps 200 ms and tries again,
 * for ever. */
static void test_a_guest_that_can_give_no_more_is_not_asked_for_ever(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, LONG_AGO_S);
	unsigned asked_s = 0;

	(void)state;
	rig.used_bytes = MIB(500);
	rig.cannot_below_bytes = GIB(2);
	for (unsigned i = 0; i < 2 * 3600; i++) {
		rig_tick(&rig, 1000);
		asked_s += rig.decision.target_bytes < GIB(2);
	}
	assert_true(asked_s > 0);
	assert_true(asked_s < 120); /* of 7,200 */
	assert_int_equal(rig_assigned(&rig), GIB(2));
}

/* Two controllers on one threshold: what one frees the other takes, for ever. Here two guests on one
 * pool whose free memory lies about the soft mark, each with a policy of its own. */
static void test_two_guests_about_one_mark_do_not_flap(void **state)
{
	struct host_marks marks = host_marks(GIB(8));
	struct policy_rig rigs[] = { rig_new(GIB(8), HUGE_FRAME_BYTES, LONG_AGO_S),
				     rig_new(GIB(8), HUGE_FRAME_BYTES, LONG_AGO_S) };
	enum host_state states[ARRAY_LEN(rigs)] = { HOST_CLEAR, HOST_CLEAR };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rigs); i++) {
		rigs[i].used_bytes = GIB(3);
		rigs[i].settings.buffer_percent = 30; /* together they want 7.8 of 8 GiB */
		rigs[i].input.taken_bytes = GIB(4) + MIB(100);
		rigs[i].input.has_host = true;
	}
	for (unsigned s = 0; s < 3600; s++) {
		for (unsigned i = 0; i < ARRAY_LEN(rigs); i++) {
			uint64_t held = rig_assigned(&rigs[0]) + rig_assigned(&rigs[1]);
			uint64_t free_bytes = GIB(8) > held ? GIB(8) - held : 0;
			uint64_t soft = marks.enter_bytes[HOST_SOFT];

			states[i] = host_state_step(&marks, states[i], free_bytes);
			rigs[i].input.host = states[i];
			rigs[i].input.host_free_bytes = free_bytes > soft ? free_bytes - soft : 0;
			if (s == 600)
				rig_count_from_here(&rigs[i]);
			rig_tick(&rigs[i], 1000);
		}
	}
	assert_int_equal(rigs[0].moves + rigs[1].moves, 0);
	assert_true(rig_assigned(&rigs[0]) + rig_assigned(&rigs[1]) <= GIB(8));
	assert_true(rigs[0].decision.status != POLICY_STATUS_WARNING);
	assert_true(rigs[1].decision.status != POLICY_STATUS_WARNING);
}

/* With DEFLATE_ON_OOM Linux leaves the balloon inside MEMTOT: MEMTOT - AVAIL counts it as used, so
 * the more is taken the more the guest seems to need. */
static void test_the_balloon_is_not_demand_under_deflate_on_oom(void **state)
{
	(void)state;
	for (int deflate_on_oom = 0; deflate_on_oom < 2; deflate_on_oom++) {
		struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, LONG_AGO_S);

		rig.used_bytes = MIB(600);
		rig.kernel_bytes = MIB(100);
		rig.input.deflate_on_oom = deflate_on_oom;
		rig_seconds(&rig, 600);
		assert_int_equal(rig.decision.demand_bytes, MIB(600));
		assert_true(rig_assigned(&rig) < MIB(760));
	}
}

/* A large guest's kernel takes a 64th of RAM before it begins to count: demand without that part
 * lets the target fall below what the guest cannot do without. */
static void test_what_the_kernel_took_first_is_demand(void **state)
{
	struct policy_rig rig = rig_new(GIB(512), HUGE_FRAME_BYTES, LONG_AGO_S);

	(void)state;
	rig.kernel_bytes = GIB(8);
	rig.used_bytes = GIB(8) + GIB(30);
	rig_seconds(&rig, 1200);
	assert_true(rig_assigned(&rig) >= rig.used_bytes * 6 / 5);
	assert_int_equal(rig.decision.status, POLICY_STATUS_OK);
}

/* A database that reads cold files has major faults all day, and memory to spare. */
static void test_major_faults_of_cold_files_do_not_grow_a_guest_with_memory_to_spare(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, LONG_AGO_S);

	(void)state;
	rig.used_bytes = MIB(500);
	rig.input.present = 1 << POLICY_CLAIM_MAJOR_FAULTS;
	for (unsigned i = 0; i < 600; i++) {
		rig.input.untrusted_claim[POLICY_CLAIM_MAJOR_FAULTS] += 5000;
		rig_tick(&rig, 1000);
	}
	assert_true(rig_assigned(&rig) < MIB(640));
}

/* A memory cgroup inside the guest that kills every few seconds must not make it grow for ever. */
static void test_kills_by_a_small_cgroup_lift_a_guest_once_and_not_for_ever(void **state)
{
	struct policy_rig rig = rig_new(GIB(16), HUGE_FRAME_BYTES, LONG_AGO_S);

	(void)state;
	rig.used_bytes = GIB(1);
	rig.settings.minimum_bytes = MIB(512);
	rig.input.present = 1 << POLICY_CLAIM_OOM_KILLS;
	rig_seconds(&rig, 600);
	for (unsigned i = 0; i < 600; i++) {
		rig.input.untrusted_claim[POLICY_CLAIM_OOM_KILLS] += i % 3 == 0;
		rig_tick(&rig, 1000);
	}
	assert_true(rig_assigned(&rig) < GIB(2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page_cache_is_not_demand),
		cmocka_unit_test(test_page_cache_is_not_demand_without_avail_either),
		cmocka_unit_test(test_a_guest_in_need_is_served_before_idle_ones),
		cmocka_unit_test(test_a_guest_at_its_minimum_does_not_thrash_beside_a_rich_one),
		cmocka_unit_test(test_statistics_that_stopped_do_not_starve_a_guest_for_18_hours),
		cmocka_unit_test(test_the_dip_between_boot_and_services_takes_nothing),
		cmocka_unit_test(test_a_guest_that_can_give_no_more_is_not_asked_for_ever),
		cmocka_unit_test(test_two_guests_about_one_mark_do_not_flap),
		cmocka_unit_test(test_the_balloon_is_not_demand_under_deflate_on_oom),
		cmocka_unit_test(test_what_the_kernel_took_first_is_demand),
		cmocka_unit_test(
			test_major_faults_of_cold_files_do_not_grow_a_guest_with_memory_to_spare),
		cmocka_unit_test(test_kills_by_a_small_cgroup_lift_a_guest_once_and_not_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
