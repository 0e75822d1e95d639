/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_host.c - how short a host is, and who gets what then. */
#include <string.h>

#include "base/units.h"
#include "policy/constants.h"
#include "policy/host_policy.h"

#include "../support/testing.h"

enum { ROUNDS = 3000, MOST_VMS = 12, MANY_VMS = 1000 };

#define MIB(n) ((uint64_t)(n) << MIB_SHIFT)
#define GIB(n) ((uint64_t)(n) << GIB_SHIFT)

static struct test_random random_numbers;

static uint64_t below(uint64_t limit)
{
	return test_random_below(&random_numbers, limit);
}

static void test_minfree_slides_with_the_pool(void **state)
{
	(void)state;
	assert_int_equal(host_marks(0).minfree_bytes, 0);
	assert_int_equal(host_marks(GIB(4)).minfree_bytes, GIB(4) * 6 / 100);
	assert_int_equal(host_marks(GIB(12)).minfree_bytes / MIB(1),
			 (4 * 60 + 8 * 40) * 1024 / 1000);
	assert_int_equal(host_marks(GIB(28)).minfree_bytes / MIB(1),
			 (4 * 60 + 8 * 40 + 16 * 20) * 1024 / 1000);
	assert_int_equal(host_marks(GIB(128)).minfree_bytes / MIB(1),
			 (4 * 60 + 8 * 40 + 16 * 20 + 100 * 10) * 1024 / 1000);
	assert_true(host_marks(UINT64_MAX).minfree_bytes < UINT64_MAX / 50);
}

static void test_each_mark_is_its_part_of_minfree(void **state)
{
	struct host_marks marks = host_marks(GIB(64));

	(void)state;
	assert_int_equal(marks.enter_bytes[HOST_CLEAR], marks.minfree_bytes);
	assert_int_equal(marks.enter_bytes[HOST_SOFT], marks.minfree_bytes * 64 / 100);
	assert_int_equal(marks.enter_bytes[HOST_HARD], marks.minfree_bytes * 32 / 100);
	assert_int_equal(marks.enter_bytes[HOST_LOW], marks.minfree_bytes * 16 / 100);
}

static void test_a_state_is_entered_below_its_mark(void **state)
{
	struct host_marks marks = host_marks(GIB(64));

	(void)state;
	for (enum host_state i = HOST_SOFT; i < HOST_STATE_COUNT; i++) {
		assert_int_equal(host_state_step(&marks, HOST_CLEAR, marks.enter_bytes[i]), i - 1);
		assert_int_equal(host_state_step(&marks, HOST_CLEAR, marks.enter_bytes[i] - 1), i);
	}
	assert_int_equal(host_state_step(&marks, HOST_CLEAR, 0), HOST_LOW);
}

static void test_a_state_is_left_only_above_the_mark_of_the_milder(void **state)
{
	struct host_marks marks = host_marks(GIB(64));

	(void)state;
	for (enum host_state i = HOST_SOFT; i < HOST_STATE_COUNT; i++) {
		uint64_t mark = marks.enter_bytes[i - 1];

		assert_int_equal(host_state_step(&marks, i, marks.enter_bytes[i]), i);
		assert_int_equal(host_state_step(&marks, i, mark), i);
		assert_int_equal(host_state_step(&marks, i, mark + 1), i - 1);
		assert_int_equal(host_state_step(&marks, i, UINT64_MAX), HOST_CLEAR);
	}
}

static void test_free_memory_that_sways_about_a_mark_changes_the_state_once(void **state)
{
	struct host_marks marks = host_marks(GIB(64));
	enum host_state now = HOST_CLEAR;
	unsigned changes = 0;

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t free_bytes = marks.enter_bytes[HOST_SOFT] - MIB(50) + below(MIB(100));
		enum host_state next = host_state_step(&marks, now, free_bytes);

		changes += next != now;
		now = next;
	}
	assert_int_equal(now, HOST_SOFT);
	assert_int_equal(changes, 1);
}

static struct host_vm any_vm(uint64_t frame_bytes)
{
	struct host_vm vm = {
		.maximum_bytes = (1 + below(64)) * frame_bytes,
		.weight = (uint32_t)below(POLICY_WEIGHT_MOST + 1),
		.has_active = below(2),
		.active_percent = (uint32_t)below(101),
	};

	vm.minimum_bytes = below(vm.maximum_bytes / 2 + 1);
	vm.want_bytes = below(vm.maximum_bytes + 1);
	vm.held_bytes = below(vm.maximum_bytes / frame_bytes + 1) * frame_bytes;
	vm.reserved = below(8) == 0;
	return vm;
}

static uint64_t frames_of(uint64_t bytes, uint64_t frame_bytes)
{
	return (bytes + frame_bytes - 1) / frame_bytes;
}

static uint64_t floor_frames(const struct host_vm *vm, uint64_t frame_bytes)
{
	if (vm->reserved)
		return vm->held_bytes / frame_bytes;
	return frames_of(vm->minimum_bytes, frame_bytes);
}

static uint64_t wanted_frames(const struct host_vm *vm, uint64_t frame_bytes)
{
	uint64_t most = vm->want_bytes > vm->minimum_bytes ? vm->want_bytes : vm->minimum_bytes;

	return vm->reserved ? vm->held_bytes / frame_bytes : frames_of(most, frame_bytes);
}

/* cost x frames / weight of the next frame: the one with the least has the highest rho. */
static bool is_before(const struct host_vm *a, uint64_t a_frames, const struct host_vm *b,
		      uint64_t b_frames)
{
	uint64_t a_cost = 400 - 3 * (a->has_active ? a->active_percent : 100);
	uint64_t b_cost = 400 - 3 * (b->has_active ? b->active_percent : 100);

	/* Weight 0 is behind every other. */
	if (!a->weight || !b->weight)
		return a->weight > b->weight || (a->weight == b->weight && a_frames < b_frames);
	return a_cost * (a_frames + 1) * b->weight < b_cost * (b_frames + 1) * a->weight;
}

/* The rule as it is written: a frame at a time to the highest rho. */
static void divide_slowly(const struct host_vm *vms, unsigned count, uint64_t left,
			  uint64_t frame_bytes, uint64_t *ret_frames)
{
	for (unsigned i = 0; i < count; i++) {
		ret_frames[i] = floor_frames(&vms[i], frame_bytes);
		left -= ret_frames[i];
	}
	while (left--) {
		unsigned best = count;

		for (unsigned i = 0; i < count; i++)
			if (ret_frames[i] < wanted_frames(&vms[i], frame_bytes) &&
			    (best == count ||
			     is_before(&vms[i], ret_frames[i], &vms[best], ret_frames[best])))
				best = i;
		if (best == count)
			return;
		ret_frames[best]++;
	}
}

static uint64_t sum_of(const struct host_vm *vms, unsigned count,
		       uint64_t (*frames)(const struct host_vm *, uint64_t), uint64_t frame_bytes)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += frames(&vms[i], frame_bytes);
	return sum;
}

static uint64_t granted_frames(const struct host_vm *vm, uint64_t frame_bytes)
{
	return vm->grant_bytes / frame_bytes;
}

static void test_the_pool_is_divided_as_frame_by_frame_to_the_highest_rho(void **state)
{
	struct host_vm vms[MOST_VMS];
	uint64_t slow[MOST_VMS];
	uint32_t order[MOST_VMS];

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t frame = below(2) ? HUGE_FRAME_BYTES : GUEST_PAGE_BYTES;
		unsigned count = 1 + (unsigned)below(MOST_VMS);
		uint64_t minimums, pool;

		for (unsigned i = 0; i < count; i++)
			vms[i] = any_vm(frame);
		minimums = sum_of(vms, count, floor_frames, frame);
		pool = minimums + below(sum_of(vms, count, wanted_frames, frame) - minimums + 8);
		assert_true(host_divide(vms, count, pool * frame + below(frame), frame, order));
		divide_slowly(vms, count, pool, frame, slow);
		/* Equal rho may be served in another order, and shares are rounded: a frame. */
		for (unsigned i = 0; i < count; i++)
			assert_in_range(granted_frames(&vms[i], frame) + 1, slow[i], slow[i] + 2);
	}
}

static void test_the_pool_is_used_up_and_never_exceeded(void **state)
{
	static struct host_vm vms[MANY_VMS];
	static uint32_t order[MANY_VMS];

	(void)state;
	for (unsigned round = 0; round < 100; round++) {
		uint64_t wants, minimums, pool, given;
		bool fits;

		for (unsigned i = 0; i < MANY_VMS; i++)
			vms[i] = any_vm(HUGE_FRAME_BYTES);
		wants = sum_of(vms, MANY_VMS, wanted_frames, HUGE_FRAME_BYTES);
		minimums = sum_of(vms, MANY_VMS, floor_frames, HUGE_FRAME_BYTES);
		pool = below(wants * 5 / 4);
		fits = host_divide(vms, MANY_VMS, pool * HUGE_FRAME_BYTES, HUGE_FRAME_BYTES, order);
		assert_int_equal(fits, minimums <= pool);
		given = sum_of(vms, MANY_VMS, granted_frames, HUGE_FRAME_BYTES);
		if (fits)
			assert_int_equal(given, wants < pool ? wants : pool);
		for (unsigned i = 0; i < MANY_VMS; i++) {
			uint64_t frames = granted_frames(&vms[i], HUGE_FRAME_BYTES);

			assert_true(frames <= wanted_frames(&vms[i], HUGE_FRAME_BYTES));
			if (fits || vms[i].reserved)
				assert_true(frames >= floor_frames(&vms[i], HUGE_FRAME_BYTES));
		}
	}
}

static void test_minimums_that_do_not_fit_are_cut_in_proportion(void **state)
{
	struct host_vm vms[] = {
		{ .minimum_bytes = GIB(1),
		  .maximum_bytes = GIB(4),
		  .want_bytes = GIB(4),
		  .weight = 1 },
		{ .minimum_bytes = GIB(3),
		  .maximum_bytes = GIB(4),
		  .want_bytes = GIB(3),
		  .weight = 10000 },
		{ .maximum_bytes = GIB(2), .held_bytes = GIB(2), .reserved = true },
	};
	uint32_t order[ARRAY_LEN(vms)];

	(void)state;
	assert_false(host_divide(vms, ARRAY_LEN(vms), GIB(4), HUGE_FRAME_BYTES, order));
	assert_int_equal(vms[0].grant_bytes, GIB(1) / 2);
	assert_int_equal(vms[1].grant_bytes, GIB(3) / 2);
	assert_int_equal(vms[2].grant_bytes, GIB(2));
	assert_false(host_divide(vms, ARRAY_LEN(vms), GIB(1), HUGE_FRAME_BYTES, order));
	assert_int_equal(vms[0].grant_bytes + vms[1].grant_bytes, 0);
	assert_int_equal(vms[2].grant_bytes, GIB(2));
}

static void test_of_two_that_differ_in_weight_the_heavier_gets_no_less(void **state)
{
	struct host_vm vms[MOST_VMS];
	uint32_t order[MOST_VMS];

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t wants;

		for (unsigned i = 0; i < MOST_VMS; i++)
			vms[i] = any_vm(HUGE_FRAME_BYTES);
		vms[1] = vms[0];
		vms[0].reserved = vms[1].reserved = false;
		vms[1].weight = vms[0].weight + (uint32_t)below(3);
		if (below(2))
			vms[1].weight = POLICY_WEIGHT_MOST;
		wants = sum_of(vms, MOST_VMS, wanted_frames, HUGE_FRAME_BYTES);
		(void)host_divide(vms, MOST_VMS, below(wants + 1) * HUGE_FRAME_BYTES,
				  HUGE_FRAME_BYTES, order);
		if (vms[1].weight > vms[0].weight)
			assert_true(vms[1].grant_bytes >= vms[0].grant_bytes);
	}
}

static void test_ten_times_the_weight_is_ten_times_the_memory(void **state)
{
	struct host_vm vms[] = {
		{ .maximum_bytes = GIB(64), .want_bytes = GIB(64), .weight = 100 },
		{ .maximum_bytes = GIB(64), .want_bytes = GIB(64), .weight = 1000 },
	};
	uint32_t order[ARRAY_LEN(vms)];

	(void)state;
	assert_true(host_divide(vms, 2, GIB(22), HUGE_FRAME_BYTES, order));
	assert_int_equal(vms[0].grant_bytes, GIB(2));
	assert_int_equal(vms[1].grant_bytes, GIB(20));
}

static void test_idle_memory_costs_four_times_as_much(void **state)
{
	struct host_vm vms[] = {
		{ .maximum_bytes = GIB(64),
		  .want_bytes = GIB(64),
		  .weight = 1000,
		  .has_active = true },
		{ .maximum_bytes = GIB(64),
		  .want_bytes = GIB(64),
		  .weight = 1000,
		  .has_active = true,
		  .active_percent = 100 },
		{ .maximum_bytes = GIB(64), .want_bytes = GIB(64), .weight = 1000 },
	};
	uint32_t order[ARRAY_LEN(vms)];

	(void)state;
	assert_true(host_divide(vms, 3, GIB(9), HUGE_FRAME_BYTES, order));
	assert_int_equal(vms[0].grant_bytes, GIB(1));
	assert_int_equal(vms[1].grant_bytes, GIB(4));
	assert_int_equal(vms[2].grant_bytes, GIB(4)); /* not known is not idle */
}

static void test_an_active_part_that_sways_moves_no_share(void **state)
{
	uint32_t used = 50;

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++)
		used = host_active_step(used, 46 + (uint32_t)below(9));
	assert_int_equal(used, 50);
	assert_int_equal(host_active_step(50, 55), 55);
	assert_int_equal(host_active_step(50, 45), 45);
	assert_int_equal(host_active_step(0, 100), 100);
	assert_int_equal(host_active_step(0, UINT32_MAX), UINT32_MAX);
}

static void test_equals_get_equal_parts_but_for_a_frame(void **state)
{
	static struct host_vm vms[MANY_VMS];
	static uint32_t order[MANY_VMS];
	uint64_t given = 0;

	(void)state;
	for (unsigned i = 0; i < MANY_VMS; i++)
		vms[i] = (struct host_vm){ .maximum_bytes = GIB(4),
					   .want_bytes = GIB(4),
					   .minimum_bytes = MIB(64),
					   .weight = 1000 };
	assert_true(host_divide(vms, MANY_VMS, GIB(1777), HUGE_FRAME_BYTES, order));
	for (unsigned i = 0; i < MANY_VMS; i++) {
		assert_in_range(vms[i].grant_bytes, vms[MANY_VMS - 1].grant_bytes,
				vms[MANY_VMS - 1].grant_bytes + HUGE_FRAME_BYTES);
		given += vms[i].grant_bytes;
	}
	assert_int_equal(given, GIB(1777));
}

static void test_the_order_of_the_vms_changes_no_grant_but_for_a_frame(void **state)
{
	struct host_vm vms[MOST_VMS], mirror[MOST_VMS];
	uint32_t order[MOST_VMS];

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t pool;

		for (unsigned i = 0; i < MOST_VMS; i++)
			mirror[MOST_VMS - 1 - i] = vms[i] = any_vm(HUGE_FRAME_BYTES);
		pool = below(sum_of(vms, MOST_VMS, wanted_frames, HUGE_FRAME_BYTES) + 1);
		(void)host_divide(vms, MOST_VMS, pool * HUGE_FRAME_BYTES, HUGE_FRAME_BYTES, order);
		(void)host_divide(mirror, MOST_VMS, pool * HUGE_FRAME_BYTES, HUGE_FRAME_BYTES,
				  order);
		for (unsigned i = 0; i < MOST_VMS; i++)
			assert_in_range(vms[i].grant_bytes + HUGE_FRAME_BYTES,
					mirror[MOST_VMS - 1 - i].grant_bytes,
					mirror[MOST_VMS - 1 - i].grant_bytes +
						2 * HUGE_FRAME_BYTES);
	}
}

static void test_senseless_numbers_neither_hang_nor_exceed_the_pool(void **state)
{
	struct host_vm vms[MOST_VMS];
	uint32_t order[MOST_VMS];

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t pool = test_random_any_size(&random_numbers);
		unsigned __int128 given = 0;

		for (unsigned i = 0; i < MOST_VMS; i++)
			vms[i] = (struct host_vm){
				.minimum_bytes = test_random_any_size(&random_numbers),
				.maximum_bytes = test_random_any_size(&random_numbers),
				.want_bytes = test_random_any_size(&random_numbers),
				.weight = (uint32_t)test_random_any_size(&random_numbers),
				.has_active = true,
				.active_percent = (uint32_t)test_random_any_size(&random_numbers),
			};
		(void)host_divide(vms, MOST_VMS, pool, GUEST_PAGE_BYTES, order);
		for (unsigned i = 0; i < MOST_VMS; i++)
			given += vms[i].grant_bytes;
		assert_true(given <= pool);
	}
	assert_true(host_divide(vms, 0, GIB(1), HUGE_FRAME_BYTES, order));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_minfree_slides_with_the_pool),
		cmocka_unit_test(test_each_mark_is_its_part_of_minfree),
		cmocka_unit_test(test_a_state_is_entered_below_its_mark),
		cmocka_unit_test(test_a_state_is_left_only_above_the_mark_of_the_milder),
		cmocka_unit_test(test_free_memory_that_sways_about_a_mark_changes_the_state_once),
		cmocka_unit_test(test_the_pool_is_divided_as_frame_by_frame_to_the_highest_rho),
		cmocka_unit_test(test_the_pool_is_used_up_and_never_exceeded),
		cmocka_unit_test(test_minimums_that_do_not_fit_are_cut_in_proportion),
		cmocka_unit_test(test_of_two_that_differ_in_weight_the_heavier_gets_no_less),
		cmocka_unit_test(test_ten_times_the_weight_is_ten_times_the_memory),
		cmocka_unit_test(test_idle_memory_costs_four_times_as_much),
		cmocka_unit_test(test_an_active_part_that_sways_moves_no_share),
		cmocka_unit_test(test_equals_get_equal_parts_but_for_a_frame),
		cmocka_unit_test(test_the_order_of_the_vms_changes_no_grant_but_for_a_frame),
		cmocka_unit_test(test_senseless_numbers_neither_hang_nor_exceed_the_pool),
	};

	random_numbers = test_random_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
