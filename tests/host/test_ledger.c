/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_ledger.c - the books of a pool: single cases, and thousands of histories in which VMs come, go,
 * die and lie, others take pages, and the pool changes. */
#include <string.h>

#include "base/units.h"
#include "host/ledger.h"

#include "../support/testing.h"

enum { HISTORIES = 3000, TICKS = 40, MOST_VMS = 10, QUIET_TICKS = 400 };

#define MIB(n) ((uint64_t)(n) << MIB_SHIFT)
#define GIB(n) ((uint64_t)(n) << GIB_SHIFT)

static struct test_random random_numbers;

static uint64_t below(uint64_t limit)
{
	return test_random_below(&random_numbers, limit);
}

static bool one_in(uint64_t n)
{
	return below(n) == 0;
}

static uint64_t some_frames(uint64_t most)
{
	return below(most + 1) * HUGE_FRAME_BYTES;
}

static void check(const struct ledger *ledger)
{
	struct err err = { 0 };

	if (ledger_check(ledger, &err) < 0)
		fail_msg("%s", err.text);
}

static void step(struct ledger *ledger, uint64_t total_bytes, uint64_t free_bytes)
{
	ledger_step(ledger, &(struct ledger_reading){ total_bytes, free_bytes });
	check(ledger);
}

static struct ledger_row vm_of(uint64_t minimum, uint64_t want, uint64_t maximum, uint64_t held)
{
	return (struct ledger_row){ .vm = { .minimum_bytes = minimum,
					    .want_bytes = want,
					    .maximum_bytes = maximum,
					    .held_bytes = held,
					    .weight = 1000 } };
}

/* A ledger with @rows in it, after one step. */
static struct ledger ledger_with(struct ledger_row *rows, unsigned count, uint64_t total_bytes,
				 uint64_t free_bytes)
{
	struct ledger ledger;

	ledger_init(&ledger, HUGE_FRAME_BYTES);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(ledger_add(&ledger, &rows[i]), 0);
	step(&ledger, total_bytes, free_bytes);
	return ledger;
}

/* ---- Single cases ---- */

static void test_an_empty_pool_without_vms_has_room_above_its_soft_mark(void **state)
{
	struct ledger ledger = ledger_with(NULL, 0, GIB(4), GIB(4));

	(void)state;
	assert_int_equal(ledger.room_bytes, GIB(4) - host_marks(GIB(4)).enter_bytes[HOST_SOFT]);
	assert_int_equal(ledger.state, HOST_CLEAR);
	ledger_fini(&ledger);
}

static void test_what_others_hold_is_seen_and_is_theirs(void **state)
{
	struct ledger_row row = vm_of(MIB(64), GIB(4), GIB(4), GIB(1));
	struct ledger ledger = ledger_with(&row, 1, GIB(4), GIB(1));

	(void)state;
	assert_int_equal(ledger.others_bytes, GIB(2));
	assert_true(row.grant_bytes < GIB(2));
	ledger_fini(&ledger);
}

static void test_with_plenty_each_vm_may_grow_before_it_asks(void **state)
{
	struct ledger_row rows[] = { vm_of(MIB(64), GIB(1), GIB(4), GIB(1)),
				     vm_of(MIB(64), GIB(2), GIB(8), MIB(512)) };
	struct ledger ledger = ledger_with(rows, 2, GIB(16), GIB(16) - MIB(1536));

	(void)state;
	assert_int_equal(rows[0].vm.grant_bytes, GIB(1));
	assert_int_equal(rows[0].grant_bytes,
			 GIB(1) + ledger.lent_bytes / 3 / HUGE_FRAME_BYTES * HUGE_FRAME_BYTES);
	assert_true(ledger.lent_bytes > GIB(5));
	assert_int_equal(ledger.promised_bytes, MIB(1536));
	ledger_fini(&ledger);
}

static void test_nothing_is_lent_on_a_host_that_is_short(void **state)
{
	struct ledger_row row = vm_of(MIB(64), GIB(1), GIB(4), GIB(1));
	struct ledger ledger = ledger_with(&row, 1, GIB(4), MIB(150));

	(void)state;
	assert_int_equal(ledger.state, HOST_SOFT);
	assert_int_equal(ledger.lent_bytes, 0);
	ledger_fini(&ledger);
}

static void test_one_that_has_more_than_it_wants_is_not_pressed_while_there_is_enough(void **state)
{
	struct ledger_row row = vm_of(MIB(64), MIB(128), GIB(2), GIB(1));
	struct ledger ledger = ledger_with(&row, 1, GIB(4), GIB(3));

	(void)state;
	assert_true(row.grant_bytes >= GIB(1));
	assert_int_equal(ledger.owed_bytes, GIB(1) - MIB(128));
	ledger_fini(&ledger);
}

/* Two that want all of 4 GiB; one has it. The other is told what is there, and more when it came back. */
static void test_what_is_not_there_yet_is_not_promised(void **state)
{
	uint64_t soft = host_marks(GIB(4)).enter_bytes[HOST_SOFT];
	uint64_t loose = MIB(200);
	struct ledger_row rows[] = { vm_of(MIB(64), GIB(4), GIB(4), GIB(4) - soft - loose),
				     vm_of(MIB(64), GIB(4), GIB(4), 0) };
	struct ledger ledger = ledger_with(rows, 2, GIB(4), soft + loose);

	(void)state;
	assert_true(rows[1].vm.grant_bytes > GIB(1) + MIB(900));
	assert_int_equal(rows[0].grant_bytes, rows[0].vm.grant_bytes);
	assert_true(rows[1].grant_bytes <= loose);
	assert_true(rows[1].grant_bytes > loose - MIB(4));
	assert_int_equal(ledger.room_bytes / MIB(4), 0);
	rows[0].vm.held_bytes -= GIB(1);
	step(&ledger, GIB(4), soft + loose + GIB(1));
	assert_true(rows[1].grant_bytes > GIB(1));
	ledger_fini(&ledger);
}

static void test_a_starting_vm_is_served_before_those_that_grow(void **state)
{
	struct ledger_row rows[] = { vm_of(MIB(64), GIB(3), GIB(4), GIB(1)),
				     vm_of(MIB(64), MIB(64), GIB(1), 0) };
	struct ledger ledger;

	(void)state;
	rows[1].is_starting = true;
	rows[1].startup_bytes = MIB(512);
	ledger = ledger_with(rows, 2, GIB(4), MIB(700));
	assert_int_equal(rows[1].grant_bytes, MIB(512));
	assert_true(rows[0].grant_bytes < GIB(1) + MIB(188));
	ledger_fini(&ledger);
}

static void test_a_reserved_vm_is_never_taken_from(void **state)
{
	struct ledger_row rows[] = { vm_of(MIB(64), GIB(2), GIB(2), GIB(2)),
				     vm_of(MIB(64), GIB(2), GIB(2), GIB(2)) };
	struct ledger ledger;

	(void)state;
	rows[0].vm.reserved = true;
	rows[0].vm.weight = 0;
	ledger = ledger_with(rows, 2, GIB(4), 0);
	assert_int_equal(rows[0].grant_bytes, GIB(2));
	assert_true(rows[1].grant_bytes < GIB(2));
	step(&ledger, GIB(2), 0); /* more is reserved than there is */
	assert_int_equal(rows[0].grant_bytes, GIB(2));
	ledger_fini(&ledger);
}

static void test_a_silent_vm_keeps_what_it_holds_and_is_promised_nothing(void **state)
{
	struct ledger_row row = vm_of(MIB(64), GIB(2), GIB(2), GIB(1));
	struct ledger ledger = ledger_with(&row, 1, GIB(4), GIB(3));

	(void)state;
	assert_int_equal(ledger.promised_bytes, GIB(1));
	row.is_silent = true;
	step(&ledger, GIB(4), GIB(3));
	assert_int_equal(ledger.promised_bytes, 0);
	assert_int_equal(ledger.used_bytes, GIB(1));
	assert_int_equal(row.grant_bytes, GIB(1));
	ledger_fini(&ledger);
}

static void test_a_vm_by_hand_is_not_taken_from(void **state)
{
	struct ledger_row rows[] = { vm_of(MIB(64), MIB(128), GIB(2), GIB(1)),
				     vm_of(MIB(64), GIB(4), GIB(4), GIB(2)) };
	struct ledger ledger;

	(void)state;
	rows[0].is_manual = true;
	ledger = ledger_with(rows, 2, GIB(4), MIB(100));
	assert_int_equal(rows[0].vm.grant_bytes, GIB(1));
	ledger_fini(&ledger);
}

static void test_when_a_vm_is_gone_all_is_back(void **state)
{
	struct ledger_row rows[] = { vm_of(MIB(64), GIB(2), GIB(2), GIB(1)),
				     vm_of(MIB(64), GIB(4), GIB(4), GIB(2)) };
	struct ledger ledger = ledger_with(rows, 2, GIB(4), GIB(1));

	(void)state;
	ledger_remove(&ledger, &rows[0]);
	ledger_remove(&ledger, &rows[1]);
	step(&ledger, GIB(4), GIB(4));
	assert_int_equal(ledger.used_bytes + ledger.granted_bytes + ledger.others_bytes, 0);
	ledger_fini(&ledger);
}

static void test_a_vm_that_waits_collects_until_it_is_served(void **state)
{
	struct ledger_row rows[] = { vm_of(MIB(64), GIB(4), GIB(4), GIB(3)),
				     vm_of(MIB(64), GIB(1), GIB(1), 0) };
	struct ledger ledger;

	(void)state;
	rows[1].is_waiting = true;
	rows[1].startup_bytes = GIB(1);
	ledger = ledger_with(rows, 2, GIB(4), GIB(1));
	assert_int_equal(rows[1].vm.grant_bytes, GIB(1));
	assert_false(ledger_is_served(&rows[1]));
	assert_true(rows[0].grant_bytes < GIB(3));
	rows[0].vm.held_bytes = rows[0].grant_bytes;
	step(&ledger, GIB(4), GIB(4) - rows[0].vm.held_bytes);
	assert_true(ledger_is_served(&rows[1]));
	ledger_fini(&ledger);
}

static void test_what_cannot_be_had_is_not_asked_of_others(void **state)
{
	struct ledger_row rows[] = { vm_of(GIB(3), GIB(3), GIB(4), GIB(3)),
				     vm_of(MIB(64), GIB(2), GIB(2), 0) };
	struct ledger ledger;

	(void)state;
	rows[1].is_waiting = true;
	rows[1].startup_bytes = GIB(2);
	ledger = ledger_with(rows, 2, GIB(4), GIB(1));
	assert_true(rows[0].grant_bytes >= GIB(3));
	assert_true(ledger.minimums_fit);
	ledger_fini(&ledger);
}

static void test_an_admission_says_whether_now_in_time_or_ever(void **state)
{
	struct ledger_row row = vm_of(GIB(1), GIB(3), GIB(4), GIB(3));
	struct ledger ledger = ledger_with(&row, 1, GIB(4), GIB(1));
	struct ledger_admission admission;

	(void)state;
	ledger_admit(&ledger, MIB(512), &admission);
	assert_true(admission.now && admission.in_time && admission.ever);
	ledger_admit(&ledger, GIB(2), &admission);
	assert_true(!admission.now && admission.in_time && admission.ever);
	assert_int_equal(admission.reclaimable_bytes, GIB(2));
	ledger_admit(&ledger, GIB(3), &admission);
	assert_true(!admission.now && !admission.in_time && admission.ever);
	ledger_admit(&ledger, GIB(4), &admission);
	assert_true(!admission.ever);
	ledger_fini(&ledger);
}

static void test_of_two_alike_the_heavier_and_the_more_active_have_no_less(void **state)
{
	(void)state;
	for (int round = 0; round < HISTORIES; round++) {
		struct ledger_row rows[3];
		struct ledger ledger;

		rows[0] = vm_of(some_frames(100), some_frames(2000), GIB(4), some_frames(1000));
		rows[0].vm.weight = (uint32_t)below(5000);
		rows[0].vm.has_active = true;
		rows[0].vm.active_percent = (uint32_t)below(60);
		rows[1] = rows[2] = rows[0];
		rows[1].vm.weight += (uint32_t)below(5000);
		rows[2].vm.active_percent += (uint32_t)below(40);
		ledger = ledger_with(rows, 3, GIB(8), some_frames(1000));
		/* Those whose share is the same get the last frames in turn. */
		assert_true(rows[1].vm.grant_bytes + HUGE_FRAME_BYTES >= rows[0].vm.grant_bytes);
		assert_true(rows[2].vm.grant_bytes + HUGE_FRAME_BYTES >= rows[0].vm.grant_bytes);
		ledger_fini(&ledger);
	}
}

/* ---- Histories ---- */

struct guest {
	struct ledger_row row;
	bool exists;
	bool lies;
	uint64_t held_bytes; /* in truth */
};

struct world {
	struct ledger ledger;
	struct guest guests[MOST_VMS];
	uint64_t total_bytes, others_bytes;
};

static uint64_t taken(const struct world *world)
{
	uint64_t sum = world->others_bytes;

	for (unsigned i = 0; i < MOST_VMS; i++)
		sum += world->guests[i].exists ? world->guests[i].held_bytes : 0;
	return sum;
}

static uint64_t free_in(const struct world *world)
{
	uint64_t bytes = taken(world);

	return bytes < world->total_bytes ? world->total_bytes - bytes : 0;
}

static void come(struct world *world, struct guest *guest)
{
	uint64_t maximum = HUGE_FRAME_BYTES * (1 + below(1024));
	struct ledger_admission admission;

	*guest = (struct guest){ .row = vm_of(below(maximum), 0, maximum, 0), .lies = one_in(8) };
	guest->row.vm.weight = (uint32_t)below(10001);
	guest->row.vm.reserved = one_in(8);
	guest->row.startup_bytes = guest->row.vm.reserved ? maximum : below(maximum + 1);
	ledger_admit(&world->ledger, guest->row.startup_bytes, &admission);
	if (!admission.now)
		return;
	guest->exists = guest->row.is_starting = true;
	assert_int_equal(ledger_add(&world->ledger, &guest->row), 0);
}

static void go(struct world *world, struct guest *guest)
{
	ledger_remove(&world->ledger, &guest->row);
	guest->exists = false;
}

static void speak(struct guest *guest)
{
	struct host_vm *vm = &guest->row.vm;

	guest->row.is_starting = false;
	guest->row.is_silent = one_in(10);
	guest->row.is_manual = one_in(10);
	if (one_in(4))
		vm->want_bytes = below(vm->maximum_bytes + 1);
	vm->has_active = !one_in(3);
	vm->active_percent = (uint32_t)below(101);
	vm->held_bytes = guest->held_bytes;
	if (!guest->lies)
		return;
	vm->held_bytes = test_random_any_size(&random_numbers) >> 14;
	vm->want_bytes = test_random_any_size(&random_numbers) >> 14;
	vm->minimum_bytes = test_random_any_size(&random_numbers) >> 14;
	vm->active_percent = (uint32_t)test_random_any_size(&random_numbers);
	vm->weight = (uint32_t)test_random_any_size(&random_numbers);
}

/* It may grow to its grant, and gives back some of what is above. Liars do what they like. */
static void live(struct world *world, struct guest *guest)
{
	uint64_t grant = guest->row.grant_bytes, left = free_in(world);
	uint64_t aim = guest->lies ? below(guest->row.vm.maximum_bytes + 1) : grant;

	aim = align_down(aim, HUGE_FRAME_BYTES);
	if (guest->held_bytes < aim && !(guest->row.is_silent && !guest->lies))
		guest->held_bytes += some_frames(
			(aim - guest->held_bytes < left ? aim - guest->held_bytes : left) /
			HUGE_FRAME_BYTES);
	else if (guest->held_bytes > aim)
		guest->held_bytes -= some_frames((guest->held_bytes - aim) / HUGE_FRAME_BYTES);
}

static void happen(struct world *world)
{
	for (unsigned i = 0; i < MOST_VMS; i++) {
		struct guest *guest = &world->guests[i];

		if (!guest->exists && one_in(4)) {
			come(world, guest);
			step(&world->ledger, world->total_bytes, free_in(world));
		} else if (guest->exists && one_in(15)) {
			go(world, guest);
		} else if (guest->exists) {
			live(world, guest);
			speak(guest);
		}
	}
	if (one_in(4))
		world->others_bytes = some_frames(300);
	if (one_in(10))
		world->total_bytes = some_frames(4096);
}

static void test_in_any_history_the_books_hold(void **state)
{
	(void)state;
	for (int history = 0; history < HISTORIES; history++) {
		struct world world = { .total_bytes = some_frames(4096) };

		ledger_init(&world.ledger, HUGE_FRAME_BYTES);
		for (int tick = 0; tick < TICKS; tick++) {
			step(&world.ledger, world.total_bytes, free_in(&world));
			happen(&world);
		}
		ledger_fini(&world.ledger);
	}
}

/* Honest VMs that grow to their grants at once, on a pool that is theirs. */
static void make_honest_world(struct world *world)
{
	*world = (struct world){ .total_bytes = HUGE_FRAME_BYTES * (512 + below(4096)) };
	ledger_init(&world->ledger, HUGE_FRAME_BYTES);
	step(&world->ledger, world->total_bytes, free_in(world));
	for (unsigned i = 0; i < MOST_VMS; i++) {
		struct guest *guest = &world->guests[i];

		come(world, guest);
		if (guest->exists) {
			guest->row.is_starting = guest->lies = guest->row.vm.reserved = false;
			guest->row.vm.minimum_bytes = below(guest->row.startup_bytes + 1);
			guest->row.vm.want_bytes = guest->row.startup_bytes;
		}
		step(&world->ledger, world->total_bytes, free_in(world));
	}
}

static void grow_to_the_grant(struct world *world)
{
	for (unsigned i = 0; i < MOST_VMS; i++) {
		struct guest *guest = &world->guests[i];
		uint64_t grant = guest->row.grant_bytes;

		if (!guest->exists)
			continue;
		if (guest->held_bytes < grant)
			guest->held_bytes = grant;
		else
			guest->held_bytes -= (guest->held_bytes - grant) / 8 / HUGE_FRAME_BYTES *
					     HUGE_FRAME_BYTES;
		guest->row.vm.held_bytes = guest->held_bytes;
	}
}

static void test_who_keeps_to_grants_never_finds_the_pool_empty(void **state)
{
	(void)state;
	for (int history = 0; history < HISTORIES; history++) {
		struct world world;
		uint64_t soft;

		make_honest_world(&world);
		soft = world.ledger.marks.enter_bytes[HOST_SOFT];
		for (int tick = 0; tick < TICKS; tick++) {
			for (unsigned i = 0; i < MOST_VMS; i++)
				if (one_in(5))
					world.guests[i].row.vm.want_bytes =
						below(world.guests[i].row.vm.maximum_bytes + 1);
			step(&world.ledger, world.total_bytes, free_in(&world));
			grow_to_the_grant(&world);
			assert_true(taken(&world) + soft <= world.total_bytes);
		}
		ledger_fini(&world.ledger);
	}
}

static void test_in_the_end_everybody_has_its_due(void **state)
{
	(void)state;
	for (int history = 0; history < HISTORIES / 30; history++) {
		struct world world;

		make_honest_world(&world);
		for (unsigned i = 0; i < MOST_VMS; i++)
			world.guests[i].row.vm.want_bytes =
				below(world.guests[i].row.vm.maximum_bytes + 1);
		for (int tick = 0; tick < QUIET_TICKS; tick++) {
			step(&world.ledger, world.total_bytes, free_in(&world));
			grow_to_the_grant(&world);
		}
		step(&world.ledger, world.total_bytes, free_in(&world));
		for (unsigned i = 0; i < MOST_VMS; i++) {
			const struct ledger_row *row = &world.guests[i].row;

			if (world.guests[i].exists)
				assert_true(row->grant_bytes + 8 * HUGE_FRAME_BYTES * MOST_VMS >=
					    row->vm.grant_bytes);
		}
		ledger_fini(&world.ledger);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_empty_pool_without_vms_has_room_above_its_soft_mark),
		cmocka_unit_test(test_what_others_hold_is_seen_and_is_theirs),
		cmocka_unit_test(test_with_plenty_each_vm_may_grow_before_it_asks),
		cmocka_unit_test(test_nothing_is_lent_on_a_host_that_is_short),
		cmocka_unit_test(
			test_one_that_has_more_than_it_wants_is_not_pressed_while_there_is_enough),
		cmocka_unit_test(test_what_is_not_there_yet_is_not_promised),
		cmocka_unit_test(test_a_starting_vm_is_served_before_those_that_grow),
		cmocka_unit_test(test_a_reserved_vm_is_never_taken_from),
		cmocka_unit_test(test_a_silent_vm_keeps_what_it_holds_and_is_promised_nothing),
		cmocka_unit_test(test_a_vm_by_hand_is_not_taken_from),
		cmocka_unit_test(test_when_a_vm_is_gone_all_is_back),
		cmocka_unit_test(test_a_vm_that_waits_collects_until_it_is_served),
		cmocka_unit_test(test_what_cannot_be_had_is_not_asked_of_others),
		cmocka_unit_test(test_an_admission_says_whether_now_in_time_or_ever),
		cmocka_unit_test(test_of_two_alike_the_heavier_and_the_more_active_have_no_less),
		cmocka_unit_test(test_in_any_history_the_books_hold),
		cmocka_unit_test(test_who_keeps_to_grants_never_finds_the_pool_empty),
		cmocka_unit_test(test_in_the_end_everybody_has_its_due),
	};

	random_numbers = test_random_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
