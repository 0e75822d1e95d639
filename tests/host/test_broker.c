/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_broker.c - the broker on a made-up host: its pools are files that the tests write, its VMs what
 * the tests say of them. */
#include "broker_rig.h"

/* ---- Pools ---- */

static void test_each_kind_of_frame_has_its_pool(void **state)
{
	struct owner huge = { .name = "huge" }, small = { .name = "small" };
	struct broker_vm_config config = config_of("small", GIB(1), GIB(1));

	(void)state;
	config.frame_bytes = GUEST_PAGE_BYTES;
	assert_int_equal(admit(&huge, GIB(1), GIB(1), false, NULL), 0);
	assert_int_equal(
		broker_admit(world.broker, &config, &small, false, NULL, &small.vm, NULL, NULL), 0);
	tick();
	assert_int_equal(pool_numbers("2M").promised_bytes, GIB(1));
	assert_int_equal(pool_numbers("4K").promised_bytes, GIB(1));
	assert_int_equal(pool_numbers("4K").total_bytes, GIB(8));
}

static void test_ordinary_memory_is_bounded_by_the_cgroup_of_the_daemon(void **state)
{
	(void)state;
	broker_destroy(world.broker);
	make_dirs("proc/self");
	make_dirs("sys/fs/cgroup/neapd");
	write_text("proc/self/cgroup", "0::/neapd\n");
	write_number("sys/fs/cgroup/neapd/memory.max", GIB(2));
	write_number("sys/fs/cgroup/neapd/memory.current", MIB(512));
	write_text("sys/fs/cgroup/neapd/memory.stat", "inactive_file 104857600\n");
	start_broker(true);
	assert_int_equal(pool_numbers("4K").total_bytes, GIB(2));
	assert_int_equal(pool_numbers("4K").free_bytes, GIB(2) - MIB(512) + MIB(100));
	assert_int_equal(pool_numbers("2M").total_bytes, GIB(4));
}

static void test_how_short_a_pool_is_is_told_when_it_changes(void **state)
{
	struct owner a = { .name = "a" };
	const struct event *event;

	(void)state;
	adopt(&a, GIB(4));
	says(&a, GIB(4), GIB(4) - MIB(20));
	set_pool(GIB(4), MIB(20));
	ticks(2);
	event = last_event("host.pool");
	assert_non_null(event);
	assert_string_equal(json_string_value(json_object_get(event->data, "state")), "low");
	assert_string_equal(json_string_value(json_object_get(event->data, "was")), "clear");
	forget_events();
	ticks(3);
	assert_null(last_event("host.pool"));
}

static void test_a_pool_that_cannot_be_read_keeps_its_last_numbers(void **state)
{
	struct owner a = { .name = "a" };

	(void)state;
	adopt(&a, GIB(1));
	says(&a, GIB(1), MIB(512));
	tick();
	write_text(POOL_DIR "/free_hugepages", "");
	tick();
	assert_int_equal(pool_numbers("2M").free_bytes, GIB(4));
}

/* ---- Grants ---- */

static void test_a_vm_is_told_its_grant_when_it_has_told_its_numbers(void **state)
{
	struct owner a = { .name = "a" };

	(void)state;
	assert_int_equal(admit(&a, MIB(512), GIB(2), false, NULL), 0);
	ticks(2);
	assert_int_equal(a.grants, 0);
	says(&a, MIB(512), MIB(100));
	assert_true(broker_wants_tick(world.broker));
	tick();
	assert_int_equal(a.grants, 1);
	assert_true(a.grant_bytes >= MIB(512));
	assert_int_equal(broker_grant_bytes(a.vm), a.grant_bytes);
	assert_non_null(last_event("memory.grant"));
}

static void test_a_grant_that_hardly_changed_is_not_told_again(void **state)
{
	struct owner a = { .name = "a" };

	(void)state;
	adopt(&a, GIB(2));
	for (uint64_t i = 0; i < 20; i++) {
		says(&a, GIB(1), GIB(1) + i % 2 * MIB(2));
		set_pool(GIB(4), GIB(3) - i % 2 * MIB(2));
		tick();
	}
	assert_int_equal(a.grants, 1);
}

/* It held much, wants little, and gives back by itself: nobody presses it, and nobody talks. */
static void test_one_that_gives_back_by_itself_is_not_told_each_second(void **state)
{
	struct owner a = { .name = "a" };
	uint64_t held = GIB(3);

	(void)state;
	adopt(&a, GIB(4));
	while (held > MIB(600)) {
		says(&a, MIB(500), held);
		set_pool(GIB(4), GIB(4) - held);
		tick();
		assert_true(a.grant_bytes >= held);
		assert_true(a.grant_bytes - held <= GIB(4) - held);
		held -= held / 20 / HUGE_FRAME_BYTES * HUGE_FRAME_BYTES;
	}
	assert_true(a.grants <= 4);
}

/* A hundred that start one after the other, on a pool of which each could use much. */
static void test_vms_that_start_do_not_keep_all_the_others_busy(void **state)
{
	enum { COUNT = 100 };
	struct owner owners[COUNT];
	unsigned grants = 0;

	(void)state;
	set_pool(GIB(100), GIB(100));
	for (unsigned i = 0; i < COUNT; i++) {
		owners[i] = (struct owner){ .name = "one" };
		adopt(&owners[i], GIB(8));
		says(&owners[i], MIB(512), 0);
		tick();
		forget_events();
	}
	for (unsigned i = 0; i < COUNT; i++)
		grants += owners[i].grants;
	print_message("%u grants for %d VMs\n", grants, COUNT);
	assert_true(grants < 10 * COUNT);
}

static void test_one_that_must_give_back_is_told_at_once(void **state)
{
	struct owner a = { .name = "a" }, b = { .name = "b" };

	(void)state;
	adopt(&a, GIB(4));
	adopt(&b, GIB(4));
	says(&a, GIB(3), GIB(3));
	says(&b, MIB(64), 0);
	set_pool(GIB(4), GIB(1));
	tick();
	assert_true(a.grant_bytes >= GIB(3));
	says(&b, GIB(3), MIB(64));
	assert_true(broker_wants_tick(world.broker));
	set_pool(GIB(4), GIB(1) - MIB(64));
	tick();
	assert_true(a.grant_bytes < GIB(2));
	assert_true(b.grant_bytes <= GIB(1));
}

/* The pool is cut below what is granted, as another program would: all give back, the heavier less. */
static void test_when_the_pool_shrinks_all_give_back_by_rho(void **state)
{
	struct owner light = { .name = "light" }, heavy = { .name = "heavy" };
	struct api_usage usage = usage_of(GIB(2), GIB(1) + MIB(512));

	(void)state;
	adopt(&light, GIB(2));
	adopt(&heavy, GIB(2));
	set_pool(GIB(4), GIB(1));
	says(&light, GIB(2), GIB(1) + MIB(512));
	api_usage_put(&usage, API_USAGE_weight, 3000);
	broker_observe(world.broker, heavy.vm, &usage);
	tick();
	set_pool(GIB(3), 0);
	tick();
	assert_true(light.grant_bytes < MIB(920) && light.grant_bytes > MIB(900));
	assert_int_equal(heavy.grant_bytes, GIB(1) + MIB(512)); /* its due is more: not there yet */
	set_pool(GIB(8), GIB(5));
	ticks(2);
	assert_true(light.grant_bytes >= GIB(2) && heavy.grant_bytes >= GIB(2));
}

static void test_a_vm_by_hand_keeps_what_it_holds_and_a_reserved_one_is_told_nothing(void **state)
{
	struct owner manual = { .name = "manual" }, reserved = { .name = "reserved" };
	struct api_usage usage = usage_of(GIB(1), GIB(1));

	(void)state;
	adopt(&manual, GIB(1));
	adopt(&reserved, GIB(1));
	api_usage_put(&usage, API_USAGE_mode, POLICY_MODE_MANUAL);
	broker_observe(world.broker, manual.vm, &usage);
	api_usage_put(&usage, API_USAGE_mode, POLICY_MODE_AUTO);
	api_usage_put(&usage, API_USAGE_reserved, 1);
	broker_observe(world.broker, reserved.vm, &usage);
	set_pool(GIB(4), GIB(2));
	ticks(3);
	assert_int_equal(reserved.grants, 0);
	assert_int_equal(broker_first_grant_bytes(world.broker, reserved.vm), 0);
	assert_true(manual.grants > 0 && manual.grant_bytes >= GIB(1)); /* never asked for it */
}

static void test_a_grant_that_got_lost_is_told_again(void **state)
{
	struct owner a = { .name = "a" };
	struct api_usage usage = usage_of(GIB(1), MIB(512));

	(void)state;
	adopt(&a, GIB(2));
	says(&a, GIB(1), MIB(512));
	tick();
	assert_int_equal(a.grants, 1);
	for (int i = 0; i < 6; i++) {
		broker_observe(world.broker, a.vm, &usage); /* of a grant it knows nothing */
		tick();
	}
	assert_int_equal(a.grants, 2);
}

static void test_a_grant_of_the_daemon_before_is_not_told_again(void **state)
{
	struct owner a = { .name = "a" };
	struct api_usage usage = usage_of(GIB(1), GIB(1));

	(void)state;
	set_pool(GIB(4), GIB(3));
	adopt(&a, GIB(1));
	api_usage_put(&usage, API_USAGE_grant_bytes, GIB(1));
	broker_observe(world.broker, a.vm, &usage);
	ticks(3);
	assert_int_equal(a.grants, 0);
	assert_int_equal(broker_grant_bytes(a.vm), GIB(1));
}

static void test_with_grants_off_an_old_grant_is_taken_back_and_none_is_told(void **state)
{
	struct owner a = { .name = "a", .grant_bytes = 1 }, b = { .name = "b" };
	struct api_usage usage = usage_of(GIB(1), GIB(1));

	(void)state;
	broker_destroy(world.broker);
	start_broker(false);
	adopt(&a, GIB(1));
	adopt(&b, GIB(1));
	api_usage_put(&usage, API_USAGE_grant_bytes, GIB(1));
	broker_observe(world.broker, a.vm, &usage);
	says(&b, GIB(1), GIB(1));
	ticks(3);
	assert_int_equal(a.grants, 1);
	assert_int_equal(a.grant_bytes, 0);
	assert_int_equal(b.grants, 0);
}

static void test_a_booting_guest_keeps_its_startup_memory(void **state)
{
	struct owner young = { .name = "young" }, old = { .name = "old" };

	(void)state;
	assert_int_equal(admit(&young, GIB(2), GIB(2), false, NULL), 0);
	adopt(&old, GIB(4));
	says(&young, MIB(100), MIB(64));
	says(&old, GIB(4), GIB(1));
	set_pool(GIB(4), GIB(3) - MIB(64));
	tick();
	assert_true(young.grant_bytes >= GIB(2) - MIB(64));
	ticks(60);
	says(&young, MIB(100), MIB(64));
	tick();
	assert_true(young.grant_bytes < MIB(400));
}

static void test_a_silent_vm_keeps_what_it_holds_and_nothing_more(void **state)
{
	struct owner a = { .name = "a" };
	uint64_t room;

	(void)state;
	adopt(&a, GIB(2));
	says(&a, GIB(2), GIB(1));
	set_pool(GIB(4), GIB(3));
	tick();
	room = pool_numbers("2M").room_bytes;
	broker_set_silent(world.broker, a.vm, true);
	tick();
	assert_int_equal(pool_numbers("2M").promised_bytes, 0);
	assert_int_equal(pool_numbers("2M").used_bytes, GIB(1));
	assert_int_equal(pool_numbers("2M").room_bytes, room + GIB(1));
	broker_set_silent(world.broker, a.vm, false);
	tick();
	assert_int_equal(pool_numbers("2M").room_bytes, room);
}

static void test_one_that_gives_nothing_back_is_told_of_once(void **state)
{
	struct owner stubborn = { .name = "stubborn" }, obedient = { .name = "obedient" };
	uint64_t held = GIB(2);

	(void)state;
	adopt(&stubborn, GIB(2));
	adopt(&obedient, GIB(2));
	set_pool(GIB(3), 0);
	for (int i = 0; i < 40; i++) {
		says(&stubborn, GIB(2), GIB(1));
		says(&obedient, GIB(2), held);
		if (held > obedient.grant_bytes)
			held -= (held - obedient.grant_bytes) / 8;
		set_pool(GIB(3), GIB(2) - held);
		tick();
		if (i == 2)
			set_pool(GIB(2), 0);
	}
	forget_events();
	set_pool(GIB(1), 0);
	for (int i = 0; i < 40; i++) {
		says(&stubborn, GIB(2), GIB(1));
		says(&obedient, GIB(2), MIB(64));
		set_pool(GIB(1) + MIB(64), 0);
		tick();
	}
	assert_int_equal(world.event_count > 0, 1);
	for (unsigned i = 0, count = 0; i < world.event_count; i++) {
		if (strcmp(world.events[i].kind, "memory.over") != 0)
			continue;
		assert_ptr_equal(world.events[i].owner, &stubborn);
		assert_int_equal(++count, 1);
	}
	assert_non_null(last_event("memory.over"));
}

static void test_what_a_vm_says_is_bounded_by_what_it_was_admitted_with(void **state)
{
	struct owner liar = { .name = "liar" };
	struct api_usage usage = { 0 };

	(void)state;
	adopt(&liar, GIB(1));
	for (unsigned id = 0; id < API_USAGE_COUNT; id++)
		api_usage_put(&usage, id, INT64_MAX);
	api_usage_put(&usage, API_USAGE_mode, POLICY_MODE_AUTO);
	api_usage_put(&usage, API_USAGE_reserved, 0);
	broker_observe(world.broker, liar.vm, &usage);
	ticks(2);
	assert_true(liar.grant_bytes <= GIB(1));
	assert_true(pool_numbers("2M").used_bytes <= GIB(1));
}

/* ---- Admission ---- */

static void test_a_start_without_room_is_refused_with_the_numbers(void **state)
{
	struct owner a = { .name = "a" }, b = { .name = "web" };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(admit(&a, GIB(3), GIB(3), false, NULL), 0);
	assert_int_equal(admit(&b, GIB(2), GIB(2), false, &err), -ENOMEM);
	print_message("%s\n", err.text);
	assert_non_null(strstr(err.text, "web starts with 2 GiB"));
	assert_non_null(strstr(err.text, "4 GiB free, 3 GiB promised"));
	assert_int_equal(admit(&b, GIB(5), GIB(5), true, &err), -ENOMEM);
	print_message("%s\n", err.text);
	assert_non_null(strstr(err.text, "in all"));
}

static void test_two_starts_at_once_do_not_get_the_same_memory(void **state)
{
	struct owner a = { .name = "a" }, b = { .name = "b" };

	(void)state;
	assert_int_equal(admit(&a, GIB(2), GIB(2), false, NULL), 0);
	assert_int_equal(admit(&b, GIB(2), GIB(2), false, NULL), -ENOMEM);
	broker_remove(world.broker, a.vm);
	assert_int_equal(admit(&b, GIB(2), GIB(2), false, NULL), 0);
}

static void test_memory_that_a_starting_vm_takes_is_not_counted_twice(void **state)
{
	struct owner a = { .name = "a" }, b = { .name = "b" };

	(void)state;
	adopt(&a, GIB(2));
	set_pool(GIB(4), GIB(2));
	says(&a, GIB(2), GIB(2));
	tick();
	assert_int_equal(admit(&b, GIB(1) + MIB(512), GIB(2), false, NULL), 0);
	set_pool(GIB(4), MIB(512)); /* all of its startup memory, and it has said nothing yet */
	tick();
	assert_int_equal(a.grant_bytes >= GIB(2), true);
	assert_int_equal(pool_numbers("2M").others_bytes, 0);
	assert_int_equal(pool_numbers("2M").promised_bytes, 0);
}

static void test_who_waits_starts_when_others_gave_back(void **state)
{
	struct owner a = { .name = "a" }, b = { .name = "b" };

	(void)state;
	adopt(&a, GIB(4));
	says(&a, GIB(4), GIB(3));
	set_pool(GIB(4), GIB(1));
	tick();
	assert_int_equal(admit(&b, GIB(1) + MIB(512), GIB(2), true, NULL), -EINPROGRESS);
	assert_non_null(last_event("vm.waits"));
	tick();
	assert_int_equal(b.rooms, 0);
	assert_true(a.grant_bytes < GIB(3));
	says(&a, GIB(4), GIB(2));
	set_pool(GIB(4), GIB(2));
	tick();
	assert_int_equal(b.rooms, 1);
	assert_non_null(b.vm);
	assert_int_equal(pool_numbers("2M").waiting, 0);
}

static void test_nobody_goes_before_one_that_can_be_served(void **state)
{
	struct owner a = { .name = "a" }, b = { .name = "b" }, c = { .name = "c" };
	struct err err = { 0 };

	(void)state;
	adopt(&a, GIB(4));
	says(&a, GIB(4), GIB(3));
	set_pool(GIB(4), GIB(1));
	tick();
	assert_int_equal(admit(&b, GIB(2), GIB(2), true, NULL), -EINPROGRESS);
	assert_int_equal(admit(&c, MIB(128), MIB(128), false, &err), -ENOMEM);
	assert_non_null(strstr(err.text, "other VMs wait"));
	assert_int_equal(admit(&c, MIB(128), MIB(128), true, NULL), -EINPROGRESS);
	ticks(3);
	assert_int_equal(c.rooms, 0);
	broker_stop_waiting(world.broker, b.wait);
	tick();
	assert_int_equal(c.rooms, 1);
}

static void test_one_that_waits_for_an_end_is_overtaken_a_bounded_number_of_times(void **state)
{
	enum { SMALL = 20 };
	struct owner a = { .name = "a" }, big = { .name = "big" }, small[SMALL];
	struct broker_vm_config config = config_of("a", GIB(3), GIB(3));
	struct api_usage usage = usage_of(GIB(3), GIB(3));
	unsigned started = 0;

	(void)state;
	config.reserved = true;
	assert_int_equal(broker_add(world.broker, &config, &a, &a.vm, NULL), 0);
	api_usage_put(&usage, API_USAGE_reserved, 1);
	broker_observe(world.broker, a.vm, &usage);
	set_pool(GIB(4), GIB(1));
	tick();
	assert_int_equal(admit(&big, GIB(2), GIB(2), true, NULL), -EINPROGRESS);
	tick();
	for (unsigned i = 0; i < SMALL; i++) {
		small[i] = (struct owner){ .name = "small" };
		started += admit(&small[i], MIB(2), MIB(64), false, NULL) == 0;
	}
	assert_int_equal(started, 8);
	broker_remove(world.broker, a.vm);
	set_pool(GIB(4), GIB(4));
	tick();
	assert_int_equal(big.rooms, 1);
}

static void test_when_a_vm_ends_all_of_it_is_there_for_others(void **state)
{
	struct owner a = { .name = "a" };

	(void)state;
	assert_int_equal(admit(&a, GIB(3), GIB(3), false, NULL), 0);
	says(&a, GIB(3), GIB(3));
	set_pool(GIB(4), GIB(1));
	tick();
	broker_remove(world.broker, a.vm);
	set_pool(GIB(4), GIB(4));
	tick();
	assert_int_equal(pool_numbers("2M").used_bytes, 0);
	assert_int_equal(pool_numbers("2M").promised_bytes, 0);
	assert_int_equal(pool_numbers("2M").vms, 0);
}

static void test_the_ledger_is_described_as_host_pools_says(void **state)
{
	struct owner a = { .name = "b" }, b = { .name = "a" };
	json_t *pools, *vms;

	(void)state;
	adopt(&a, GIB(2));
	adopt(&b, GIB(2));
	says(&a, GIB(2), GIB(1));
	tick();
	pools = broker_describe(world.broker);
	vms = json_object_get(json_array_get(pools, 0), "vms");
	assert_string_equal(json_string_value(json_object_get(json_array_get(pools, 0), "name")),
			    "2M");
	assert_int_equal(json_array_size(vms), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(vms, 0), "vm")), "a");
	assert_false(json_is_true(json_object_get(json_array_get(vms, 0), "answering")));
	assert_int_equal(json_integer_value(json_object_get(json_array_get(vms, 1), "held_bytes")),
			 GIB(1));
	json_decref(pools);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_each_kind_of_frame_has_its_pool),
		CASE(test_ordinary_memory_is_bounded_by_the_cgroup_of_the_daemon),
		CASE(test_how_short_a_pool_is_is_told_when_it_changes),
		CASE(test_a_pool_that_cannot_be_read_keeps_its_last_numbers),
		CASE(test_a_vm_is_told_its_grant_when_it_has_told_its_numbers),
		CASE(test_a_grant_that_hardly_changed_is_not_told_again),
		CASE(test_one_that_gives_back_by_itself_is_not_told_each_second),
		CASE(test_vms_that_start_do_not_keep_all_the_others_busy),
		CASE(test_one_that_must_give_back_is_told_at_once),
		CASE(test_when_the_pool_shrinks_all_give_back_by_rho),
		CASE(test_a_vm_by_hand_keeps_what_it_holds_and_a_reserved_one_is_told_nothing),
		CASE(test_a_grant_that_got_lost_is_told_again),
		CASE(test_a_grant_of_the_daemon_before_is_not_told_again),
		CASE(test_with_grants_off_an_old_grant_is_taken_back_and_none_is_told),
		CASE(test_a_booting_guest_keeps_its_startup_memory),
		CASE(test_a_silent_vm_keeps_what_it_holds_and_nothing_more),
		CASE(test_one_that_gives_nothing_back_is_told_of_once),
		CASE(test_what_a_vm_says_is_bounded_by_what_it_was_admitted_with),
		CASE(test_a_start_without_room_is_refused_with_the_numbers),
		CASE(test_two_starts_at_once_do_not_get_the_same_memory),
		CASE(test_memory_that_a_starting_vm_takes_is_not_counted_twice),
		CASE(test_who_waits_starts_when_others_gave_back),
		CASE(test_nobody_goes_before_one_that_can_be_served),
		CASE(test_one_that_waits_for_an_end_is_overtaken_a_bounded_number_of_times),
		CASE(test_when_a_vm_ends_all_of_it_is_there_for_others),
		CASE(test_the_ledger_is_described_as_host_pools_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
