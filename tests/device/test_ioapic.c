/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The I/O APIC's registers, and what each redirection entry becomes for KVM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "device/board.h"
#include "device/ioapic.h"

enum { REG_ID = 0, REG_VERSION = 1, REG_ARBITRATION = 2, REG_ENTRIES = 0x10 };
enum { LEVEL = 1 << 15, MASKED = 1 << 16, LOGICAL = 1 << 11, REMOTE_IRR = 1 << 14 };

struct board {
	struct ioapic *ioapic;
	struct bus bus;
	struct ioapic_route routes[BOARD_PIN_COUNT];
	unsigned route_calls;
	unsigned asked[BOARD_PIN_COUNT];
	bool enabled_when_asked;
};

static void note_route(void *ctx, uint32_t pin, const struct ioapic_route *route)
{
	struct board *board = ctx;

	board->routes[pin] = *route;
	board->route_calls++;
}

static void note_unmasked(void *ctx, uint32_t pin)
{
	struct board *board = ctx;

	board->asked[pin]++;
	board->enabled_when_asked = board->routes[pin].enabled;
}

static int setup(void **state)
{
	struct board *board = calloc(1, sizeof(*board));
	struct ioapic_host host = { .set_route = note_route,
				    .unmasked = note_unmasked,
				    .ctx = board };

	*state = board;
	assert_int_equal(ioapic_create(&host, &board->ioapic, NULL), 0);
	return bus_add(&board->bus, BOARD_IOAPIC_BASE, BOARD_IOAPIC_BYTES, &ioapic_bus_ops,
		       board->ioapic, NULL);
}

static int teardown(void **state)
{
	struct board *board = *state;

	ioapic_destroy(board->ioapic);
	free(board);
	return 0;
}

static void put(struct board *board, uint64_t offset, uint32_t value)
{
	bus_write(&board->bus, BOARD_IOAPIC_BASE + offset, &value, 4);
}

static uint32_t get(struct board *board, uint64_t offset)
{
	uint32_t value = 0;

	bus_read(&board->bus, BOARD_IOAPIC_BASE + offset, &value, 4);
	return value;
}

static void reg_write(struct board *board, uint32_t index, uint32_t value)
{
	put(board, 0, index);
	put(board, 0x10, value);
}

static uint32_t reg_read(struct board *board, uint32_t index)
{
	put(board, 0, index);
	return get(board, 0x10);
}

static void set_entry(struct board *board, uint32_t pin, uint32_t high, uint32_t low)
{
	reg_write(board, REG_ENTRIES + 2 * pin + 1, high);
	reg_write(board, REG_ENTRIES + 2 * pin, low);
}

static void version_says_64_pins_and_every_pin_starts_masked(void **state)
{
	struct board *board = *state;

	assert_int_equal(reg_read(board, REG_VERSION), 0x003f0020);
	for (uint32_t pin = 0; pin < BOARD_PIN_COUNT; pin++) {
		assert_int_equal(reg_read(board, REG_ENTRIES + 2 * pin), MASKED);
		assert_int_equal(reg_read(board, REG_ENTRIES + 2 * pin + 1), 0);
	}
	assert_int_equal(board->route_calls, 0);
}

static void id_keeps_four_bits_and_read_only_registers_keep_theirs(void **state)
{
	struct board *board = *state;

	reg_write(board, REG_ID, 0xffffffff);
	assert_int_equal(reg_read(board, REG_ID), 0x0f000000);
	assert_int_equal(reg_read(board, REG_ARBITRATION), 0x0f000000);
	reg_write(board, REG_VERSION, 0);
	reg_write(board, REG_ARBITRATION, 0);
	assert_int_equal(reg_read(board, REG_VERSION), 0x003f0020);
	assert_int_equal(reg_read(board, REG_ARBITRATION), 0x0f000000);
}

static void an_unmasked_entry_becomes_an_msi(void **state)
{
	struct board *board = *state;

	set_entry(board, 4, 0x03000000, 0x31);
	assert_true(board->routes[4].enabled);
	assert_true(board->routes[4].addr == 0xfee03000);
	assert_int_equal(board->routes[4].data, 0x31);
	set_entry(board, 4, 0x0f000000, 0x131 | LOGICAL);
	assert_true(board->routes[4].addr == 0xfee0f004);
	assert_int_equal(board->routes[4].data, 0x131);
	set_entry(board, 4, 0, 0x31 | MASKED);
	assert_false(board->routes[4].enabled);
}

static void an_extended_destination_ends_in_the_high_half(void **state)
{
	struct board *board = *state;

	/* APIC id 0x7a55: low byte in bits 56-63, the next seven bits in 49-55 */
	set_entry(board, 16, 0x55u << 24 | 0x7au << 17, 0x40);
	assert_true(board->routes[16].addr == (UINT64_C(0x7a) << 40 | 0xfee55000));
}

static void a_level_triggered_entry_carries_the_trigger_bit(void **state)
{
	struct board *board = *state;

	set_entry(board, 9, 0, 0x50 | LEVEL);
	assert_int_equal(board->routes[9].data, 0x50 | 1 << 15 | 1 << 14);
}

static void unmasking_asks_the_device_once_the_route_is_in_place(void **state)
{
	struct board *board = *state;

	set_entry(board, 17, 0, 0x41);
	assert_int_equal(board->asked[17], 1);
	assert_true(board->enabled_when_asked);
	set_entry(board, 17, 0x01000000, 0x42); /* moved while unmasked: nothing was lost */
	assert_int_equal(board->asked[17], 1);
	reg_write(board, REG_ENTRIES + 34, 0x42 | MASKED);
	reg_write(board, REG_ENTRIES + 34, 0x42);
	assert_int_equal(board->asked[17], 2);
}

static void writing_the_same_entry_again_costs_no_route(void **state)
{
	struct board *board = *state;

	set_entry(board, 20, 0, 0x41);
	unsigned calls = board->route_calls;

	set_entry(board, 20, 0, 0x41);
	reg_write(board, REG_ENTRIES + 2, 0x55 | MASKED); /* masked before and after */
	assert_int_equal(board->route_calls, calls);
}

static void eoi_asks_level_triggered_pins_with_that_vector(void **state)
{
	struct board *board = *state;

	set_entry(board, 10, 0, 0x60 | LEVEL);
	set_entry(board, 11, 0, 0x60); /* edge */
	set_entry(board, 12, 0, 0x60 | LEVEL | MASKED);
	set_entry(board, 13, 0, 0x61 | LEVEL);
	memset(board->asked, 0, sizeof(board->asked));
	ioapic_eoi(board->ioapic, 0x60);
	assert_int_equal(board->asked[10], 1);
	assert_int_equal(board->asked[11] + board->asked[12] + board->asked[13], 0);
	put(board, 0x40, 0x61); /* the EOI register does the same */
	assert_int_equal(board->asked[13], 1);
}

static void read_only_and_reserved_bits_do_not_stick(void **state)
{
	struct board *board = *state;

	set_entry(board, 1, 0xffffffff, 0xffffffff);
	assert_int_equal(reg_read(board, REG_ENTRIES + 2), 0x1afff);
	assert_int_equal(reg_read(board, REG_ENTRIES + 3), 0xfffe0000);
	assert_int_equal(reg_read(board, REG_ENTRIES + 2) & REMOTE_IRR, 0);
}

static void modes_that_have_no_source_here_are_never_delivered(void **state)
{
	struct board *board = *state;
	static const bool delivered[8] = { true, true, false, false, true, true, false, false };

	for (uint32_t mode = 0; mode < 8; mode++) {
		set_entry(board, 2, 0, 0x45 | mode << 8);
		assert_int_equal(board->routes[2].enabled, delivered[mode]);
	}
	set_entry(board, 2, 0, 15); /* fixed vectors below 16 are illegal */
	assert_false(board->routes[2].enabled);
	set_entry(board, 2, 0, 16);
	assert_true(board->routes[2].enabled);
}

static void registers_past_the_last_pin_read_zero_and_swallow_writes(void **state)
{
	struct board *board = *state;

	for (uint32_t index = REG_ENTRIES + 2 * BOARD_PIN_COUNT; index < 0x100; index++) {
		reg_write(board, index, 0x31);
		assert_int_equal(reg_read(board, index), 0);
	}
	for (uint32_t index = 3; index < REG_ENTRIES; index++) {
		reg_write(board, index, 0x31);
		assert_int_equal(reg_read(board, index), 0);
	}
	assert_int_equal(board->route_calls, 0);
}

/* MM09 */
static void odd_widths_and_offsets_are_harmless(void **state)
{
	struct board *board = *state;
	uint64_t value = 0x31, wide = 0;

	put(board, 0, REG_ENTRIES);
	bus_write(&board->bus, BOARD_IOAPIC_BASE + 0x10, &value, 1);
	bus_write(&board->bus, BOARD_IOAPIC_BASE + 0x10, &value, 2);
	bus_write(&board->bus, BOARD_IOAPIC_BASE + 0x14, &value, 4);
	assert_int_equal(get(board, 0x10), MASKED);
	assert_int_equal(get(board, 0x20), 0);
	bus_read(&board->bus, BOARD_IOAPIC_BASE + 0x10, &wide, 8);
	assert_int_equal(wide, MASKED);
	put(board, 0, 0xffffff01);
	assert_int_equal(get(board, 0), REG_VERSION);
}

static void reset_masks_everything_and_removes_each_route(void **state)
{
	struct board *board = *state;

	set_entry(board, 4, 0, 0x31);
	set_entry(board, 63, 0, 0x32);
	reg_write(board, REG_ID, 0x0f000000);
	unsigned calls = board->route_calls;

	ioapic_reset(board->ioapic);
	assert_int_equal(board->route_calls, calls + 2);
	assert_false(board->routes[4].enabled);
	assert_false(board->routes[63].enabled);
	assert_int_equal(reg_read(board, REG_ENTRIES + 126), MASKED);
	assert_int_equal(reg_read(board, REG_ID), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(version_says_64_pins_and_every_pin_starts_masked),
		TEST(id_keeps_four_bits_and_read_only_registers_keep_theirs),
		TEST(an_unmasked_entry_becomes_an_msi),
		TEST(an_extended_destination_ends_in_the_high_half),
		TEST(a_level_triggered_entry_carries_the_trigger_bit),
		TEST(unmasking_asks_the_device_once_the_route_is_in_place),
		TEST(writing_the_same_entry_again_costs_no_route),
		TEST(eoi_asks_level_triggered_pins_with_that_vector),
		TEST(read_only_and_reserved_bits_do_not_stick),
		TEST(modes_that_have_no_source_here_are_never_delivered),
		TEST(registers_past_the_last_pin_read_zero_and_swallow_writes),
		TEST(odd_widths_and_offsets_are_harmless),
		TEST(reset_masks_everything_and_removes_each_route),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
