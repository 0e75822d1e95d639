/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The hardware-reduced ACPI registers, as a kernel's ACPI driver uses them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <assert.h>

#include "base/fd.h"
#include "boot/boot.h"
#include "device/acpi_ged.h"
#include "device/board.h"

/* The tables that boot writes and the registers here mean the same. */
static_assert((int)GED_EVENT_POWER_BUTTON == BOARD_GED_POWER_BUTTON, "bit of the power button");
static_assert((int)ACPI_SLEEP_TYPE_S5 == BOARD_SLEEP_TYPE_S5, "sleep type of soft-off");

enum { SLP_EN = 0x20, WAK_STS = 0x80 };

struct board {
	struct acpi_ged ged;
	struct bus bus;
	unsigned power_offs, resets;
};

static void count_power_off(void *ctx)
{
	((struct board *)ctx)->power_offs++;
}

static void count_reset(void *ctx)
{
	((struct board *)ctx)->resets++;
}

static int setup(void **state)
{
	struct board *board = calloc(1, sizeof(*board));

	board->ged.power_off = count_power_off;
	board->ged.reset = count_reset;
	board->ged.ctx = board;
	board->ged.irq_fd = event_create();
	*state = board;
	return bus_add(&board->bus, BOARD_ACPI_PORT, BOARD_ACPI_PORT_BYTES, &acpi_ged_bus_ops,
		       &board->ged, NULL);
}

static int teardown(void **state)
{
	struct board *board = *state;

	close_fd(&board->ged.irq_fd);
	free(board);
	return 0;
}

static uint32_t in(struct board *board, uint64_t port, uint32_t len)
{
	uint32_t value = 0;

	bus_read(&board->bus, port, &value, len);
	return value;
}

static void out(struct board *board, uint64_t port, uint8_t value)
{
	bus_write(&board->bus, port, &value, 1);
}

static void soft_off_needs_the_type_and_the_enable_bit(void **state)
{
	struct board *board = *state;

	out(board, BOARD_SLEEP_CONTROL_PORT, BOARD_SLEEP_TYPE_S5 << 2);
	assert_int_equal(board->power_offs, 0);
	assert_int_equal(in(board, BOARD_SLEEP_CONTROL_PORT, 1), BOARD_SLEEP_TYPE_S5 << 2);
	out(board, BOARD_SLEEP_CONTROL_PORT, BOARD_SLEEP_TYPE_S5 << 2 | SLP_EN);
	assert_int_equal(board->power_offs, 1);
	assert_int_equal(in(board, BOARD_SLEEP_CONTROL_PORT, 1) & SLP_EN, 0);
}

static void any_other_sleep_wakes_at_once(void **state)
{
	struct board *board = *state;

	for (uint8_t type = 0; type < 8; type++) {
		if (type == BOARD_SLEEP_TYPE_S5)
			continue;
		assert_int_equal(in(board, BOARD_SLEEP_STATUS_PORT, 1), 0);
		out(board, BOARD_SLEEP_CONTROL_PORT, (uint8_t)(type << 2 | SLP_EN));
		assert_int_equal(in(board, BOARD_SLEEP_STATUS_PORT, 1), WAK_STS);
		out(board, BOARD_SLEEP_STATUS_PORT, 0x7f);
		assert_int_equal(in(board, BOARD_SLEEP_STATUS_PORT, 1), WAK_STS);
		out(board, BOARD_SLEEP_STATUS_PORT, WAK_STS);
	}
	assert_int_equal(board->power_offs, 0);
}

static void only_the_reset_value_resets(void **state)
{
	struct board *board = *state;

	for (unsigned value = 0; value < 256; value++)
		if (value != BOARD_RESET_VALUE)
			out(board, BOARD_RESET_PORT, (uint8_t)value);
	assert_int_equal(board->resets, 0);
	out(board, BOARD_RESET_PORT, BOARD_RESET_VALUE);
	assert_int_equal(board->resets, 1);
}

static void the_power_button_is_one_event_read_once(void **state)
{
	struct board *board = *state;

	assert_int_equal(in(board, BOARD_GED_PORT, 4), 0);
	acpi_ged_power_button(&board->ged);
	acpi_ged_power_button(&board->ged);
	assert_true(event_drain(board->ged.irq_fd));
	assert_int_equal(in(board, BOARD_GED_PORT, 4), 1u << BOARD_GED_POWER_BUTTON);
	assert_int_equal(in(board, BOARD_GED_PORT, 4), 0);
}

static void a_press_while_the_pin_was_masked_is_signalled_again(void **state)
{
	struct board *board = *state;

	acpi_ged_reassert(&board->ged);
	assert_false(event_drain(board->ged.irq_fd));
	acpi_ged_power_button(&board->ged);
	assert_true(event_drain(board->ged.irq_fd));
	acpi_ged_reassert(&board->ged);
	assert_true(event_drain(board->ged.irq_fd));
}

/* MM09 */
static void other_widths_and_offsets_read_zero_and_change_nothing(void **state)
{
	struct board *board = *state;
	uint32_t everything = UINT32_MAX;

	acpi_ged_power_button(&board->ged);
	for (uint64_t port = BOARD_GED_PORT; port < BOARD_GED_PORT + 4; port++)
		assert_int_equal(in(board, port, 1), 0);
	assert_int_equal(in(board, BOARD_GED_PORT, 2), 0);
	assert_int_equal(in(board, BOARD_ACPI_PORT, 4), 0);
	bus_write(&board->bus, BOARD_ACPI_PORT, &everything, 4);
	bus_write(&board->bus, BOARD_GED_PORT, &everything, 4);
	assert_int_equal(board->power_offs + board->resets, 0);
	assert_int_equal(in(board, BOARD_GED_PORT, 4), 1);
}

static void a_machine_reset_forgets_what_was_pending(void **state)
{
	struct board *board = *state;

	acpi_ged_power_button(&board->ged);
	out(board, BOARD_SLEEP_CONTROL_PORT, 3 << 2 | SLP_EN);
	acpi_ged_machine_reset(&board->ged);
	assert_int_equal(in(board, BOARD_GED_PORT, 4), 0);
	assert_int_equal(in(board, BOARD_SLEEP_CONTROL_PORT, 1), 0);
	assert_int_equal(in(board, BOARD_SLEEP_STATUS_PORT, 1), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(soft_off_needs_the_type_and_the_enable_bit),
		TEST(any_other_sleep_wakes_at_once),
		TEST(only_the_reset_value_resets),
		TEST(the_power_button_is_one_event_read_once),
		TEST(a_press_while_the_pin_was_masked_is_signalled_again),
		TEST(other_widths_and_offsets_read_zero_and_change_nothing),
		TEST(a_machine_reset_forgets_what_was_pending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
