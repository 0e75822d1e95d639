/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The embedded guest's ways through memory, on the host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bare/order.h"

enum { GRAIN = 4096, MOST_PIECES = 1200 };

static void upwards_pieces_cover_the_range_and_no_more(void **state)
{
	struct order order;

	(void)state;
	order_init(&order, 3 * GRAIN + 8, 6 * GRAIN + 16, GRAIN);
	assert_int_equal(order.pieces, 4);
	uint64_t at = 3 * GRAIN + 8;

	for (uint64_t i = 0; i < order.pieces; i++) {
		struct piece piece = order_piece(&order, i);

		assert_int_equal(piece.start, at);
		at = piece.end;
	}
	assert_int_equal(at, 6 * GRAIN + 16);
}

static void an_empty_range_has_no_pieces(void **state)
{
	struct order order;

	(void)state;
	order_init(&order, 0, 0, GRAIN);
	assert_int_equal(order.pieces, 0);
}

static void a_shuffle_visits_every_piece_once_whatever_their_number(void **state)
{
	(void)state;
	for (uint64_t pieces = 1; pieces <= MOST_PIECES; pieces += 1 + pieces / 16) {
		uint8_t seen[MOST_PIECES] = { 0 };
		struct order order;

		order_init(&order, GRAIN, (pieces + 1) * GRAIN, GRAIN);
		order_shuffle(&order, pieces);
		for (uint64_t i = 0; i < pieces; i++) {
			struct piece piece = order_piece(&order, i);

			assert_in_range(piece.start, GRAIN, pieces * GRAIN);
			assert_int_equal(piece.end - piece.start, GRAIN);
			assert_int_equal(seen[piece.start / GRAIN - 1]++, 0);
		}
	}
}

/* How many neighbours of the order are neighbours in memory. */
static unsigned runs(const struct order *order)
{
	unsigned count = 0;

	for (uint64_t i = 1; i < order->pieces; i++)
		count += order_piece(order, i).start == order_piece(order, i - 1).end;
	return count;
}

static void a_shuffle_is_scattered_and_its_seed_decides(void **state)
{
	struct order one, two;
	unsigned same = 0;

	(void)state;
	order_init(&one, 0, MOST_PIECES * GRAIN, GRAIN);
	order_init(&two, 0, MOST_PIECES * GRAIN, GRAIN);
	assert_int_equal(runs(&one), MOST_PIECES - 1);
	order_shuffle(&one, 1);
	order_shuffle(&two, 2);
	for (uint64_t i = 0; i < MOST_PIECES; i++)
		same += order_piece(&one, i).start == order_piece(&two, i).start;
	assert_in_range(same, 0, 20);
	assert_in_range(runs(&one), 0, 20);
}

static void the_first_part_of_a_shuffle_is_spread_over_all_memory(void **state)
{
	unsigned quarters[4] = { 0 };
	struct order order;

	(void)state;
	order_init(&order, 0, MOST_PIECES * GRAIN, GRAIN);
	order_shuffle(&order, 7);
	for (uint64_t i = 0; i < MOST_PIECES / 10; i++)
		quarters[order_piece(&order, i).start / GRAIN * 4 / MOST_PIECES]++;
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(quarters[i], 15, 45);
}

static void a_large_machine_is_no_limit(void **state)
{
	const uint64_t tib = UINT64_C(1) << 40;
	struct order order;

	(void)state;
	order_init(&order, 0, 16 * tib, GRAIN);
	order_shuffle(&order, 1);
	for (uint64_t i = 0; i < 1000; i++)
		assert_true(order_piece(&order, order.pieces - 1 - i).end <= 16 * tib);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(upwards_pieces_cover_the_range_and_no_more),
		cmocka_unit_test(an_empty_range_has_no_pieces),
		cmocka_unit_test(a_shuffle_visits_every_piece_once_whatever_their_number),
		cmocka_unit_test(a_shuffle_is_scattered_and_its_seed_decides),
		cmocka_unit_test(the_first_part_of_a_shuffle_is_spread_over_all_memory),
		cmocka_unit_test(a_large_machine_is_no_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
