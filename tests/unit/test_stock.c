/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_stock.c - how much may be prepared ahead of need: the rule as a table. */
#include "../support/testing.h"

#include "base/units.h"
#include "memory/stock.h"

#define NO_LIMIT UINT64_MAX

static const struct {
	const char *what;
	struct stock_view view;
	struct stock_room room;
} rows[] = {
	{ "an empty host: all that the VM may prepare",
	  { .pool_total = 8000, .pool_available = 8000, .most = 128, .limit_room = NO_LIMIT },
	  { .stock = 96, .ahead = 128, .keep = 96 } },
	{ "streams may have the last quarter",
	  { .pool_total = 8000,
	    .pool_available = 8000,
	    .most = 128,
	    .limit_room = NO_LIMIT,
	    .expected = 64 },
	  { .stock = 96, .ahead = 128, .keep = 128 } },
	{ "what is prepared already counts as available",
	  { .pool_total = 8000,
	    .pool_available = 7904,
	    .fresh = 96,
	    .most = 128,
	    .limit_room = NO_LIMIT },
	  { .stock = 96, .ahead = 128, .keep = 96 } },
	{ "never more than a quarter of what is there",
	  { .pool_total = 100, .pool_available = 100, .most = 1000, .limit_room = NO_LIMIT },
	  { .stock = 25, .ahead = 25, .keep = 25 } },
	{ "above half: only what is above it",
	  { .pool_total = 100, .pool_available = 60, .most = 1000, .limit_room = NO_LIMIT },
	  { .stock = 10, .ahead = 15, .keep = 10 } },
	{ "half used: streams only",
	  { .pool_total = 100,
	    .pool_available = 50,
	    .most = 1000,
	    .limit_room = NO_LIMIT,
	    .expected = 64 },
	  { .stock = 0, .ahead = 12, .keep = 12 } },
	{ "half used and no stream: what there was goes back",
	  { .pool_total = 100,
	    .pool_available = 40,
	    .fresh = 10,
	    .most = 1000,
	    .limit_room = NO_LIMIT },
	  { .stock = 0, .ahead = 12, .keep = 0 } },
	{ "an empty pool",
	  { .pool_total = 100,
	    .pool_available = 0,
	    .most = 1000,
	    .limit_room = NO_LIMIT,
	    .expected = 64 },
	  { .stock = 0, .ahead = 0, .keep = 0 } },
	{ "after a famine",
	  { .pool_total = 100,
	    .pool_available = 100,
	    .most = 1000,
	    .limit_room = NO_LIMIT,
	    .expected = 64,
	    .famine = true },
	  { .stock = 0, .ahead = 0, .keep = 0 } },
	{ "some of it in swap: that comes back first",
	  { .pool_total = 8000,
	    .pool_available = 8000,
	    .most = 128,
	    .limit_room = NO_LIMIT,
	    .expected = 8,
	    .has_swapped = true },
	  { .stock = 0, .ahead = 128, .keep = 8 } },
	{ "near its limit",
	  { .pool_total = 8000,
	    .pool_available = 8000,
	    .fresh = 3,
	    .most = 128,
	    .limit_room = 2,
	    .expected = 64 },
	  { .stock = 5, .ahead = 5, .keep = 5 } },
	{ "at its limit: what is prepared stays, no more comes",
	  { .pool_total = 8000, .pool_available = 8000, .fresh = 3, .most = 128, .limit_room = 0 },
	  { .stock = 3, .ahead = 3, .keep = 3 } },
	{ "above its limit: what is prepared goes first",
	  { .pool_total = 8000,
	    .pool_available = 8000,
	    .fresh = 3,
	    .most = 128,
	    .above_limit = 2,
	    .expected = 64 },
	  { .stock = 1, .ahead = 1, .keep = 1 } },
	{ "far above its limit",
	  { .pool_total = 8000, .pool_available = 8000, .fresh = 3, .most = 128, .above_limit = 9 },
	  { .stock = 0, .ahead = 0, .keep = 0 } },
	{ "switched off",
	  { .pool_total = 8000, .pool_available = 8000, .limit_room = NO_LIMIT, .expected = 64 },
	  { .stock = 0, .ahead = 0, .keep = 0 } },
	{ "a pool that was shrunk below what is used",
	  { .pool_total = 0, .pool_available = 0, .fresh = 2, .most = 128, .limit_room = NO_LIMIT },
	  { .stock = 0, .ahead = 0, .keep = 0 } },
};

static void the_rule_is_the_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct stock_room room = stock_room(&rows[i].view);

		if (room.stock != rows[i].room.stock || room.ahead != rows[i].room.ahead ||
		    room.keep != rows[i].room.keep)
			fail_msg("%s: stock %lu, ahead %lu, keep %lu", rows[i].what,
				 (unsigned long)room.stock, (unsigned long)room.ahead,
				 (unsigned long)room.keep);
	}
}

/* Whatever the numbers: the bounds of stock.c, and no wish to fill what would be given back. */
static void its_bounds_hold_for_any_numbers(void **state)
{
	struct test_random random = test_random_start();

	(void)state;
	for (int i = 0; i < 200000; i++) {
		struct stock_view view = {
			.pool_total = test_random_any_size(&random),
			.pool_available = test_random_any_size(&random),
			.fresh = test_random_any_size(&random),
			.most = test_random_any_size(&random),
			.limit_room = test_random_any_size(&random),
			.expected = test_random_any_size(&random),
			.has_swapped = test_random_below(&random, 2),
		};
		struct stock_room room = stock_room(&view);

		assert_true(room.stock <= room.ahead);
		assert_true(room.stock <= room.keep);
		assert_true(room.keep <= room.ahead);
		assert_true(room.ahead <= view.most);
		assert_true(room.ahead <= (view.pool_available / 4 + view.fresh / 4 + 1));
	}
}

/* A host that fills up slowly: the stock never jumps by more than a step or two. */
static void it_shrinks_step_by_step(void **state)
{
	struct stock_view view = { .pool_total = 1000, .most = 200, .limit_room = NO_LIMIT };
	uint64_t before = 150;

	(void)state;
	for (uint64_t available = 1000; available-- > 0;) {
		uint64_t now;

		view.pool_available = available;
		now = stock_room(&view).stock;
		assert_true(now <= before && before - now <= 1);
		before = now;
	}
	assert_int_equal(before, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rule_is_the_table),
		cmocka_unit_test(its_bounds_hold_for_any_numbers),
		cmocka_unit_test(it_shrinks_step_by_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
