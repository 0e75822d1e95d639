/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The serial port, driven the way Linux's 8250 driver drives one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/fd.h"
#include "device/board.h"
#include "device/serial.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCRATCH, FCR = IIR };
enum { OUT2 = 8, LOOP = 0x10, DLAB = 0x80, NO_INTERRUPT = 1 };
enum { THRE_TEMT = 0x60 };

struct board {
	struct serial *serial;
	struct bus bus;
	int irq_fd;
	char sent[4096];
	size_t sent_len, room;
	unsigned wanted;
};

static bool sink(void *ctx, uint8_t byte)
{
	struct board *board = ctx;

	if (board->sent_len >= board->room)
		return false;
	board->sent[board->sent_len++] = (char)byte;
	return true;
}

static void note_wanted(void *ctx)
{
	((struct board *)ctx)->wanted++;
}

static int setup(void **state)
{
	struct board *board = calloc(1, sizeof(*board));
	struct serial_config config = { .output = sink, .input_wanted = note_wanted, .ctx = board };

	*state = board;
	board->room = sizeof(board->sent);
	config.irq_fd = board->irq_fd = event_create();
	assert_int_equal(serial_create(&config, &board->serial, NULL), 0);
	return bus_add(&board->bus, BOARD_SERIAL_PORT, SERIAL_PORT_BYTES, &serial_bus_ops,
		       board->serial, NULL);
}

static int teardown(void **state)
{
	struct board *board = *state;

	serial_destroy(board->serial);
	close_fd(&board->irq_fd);
	free(board);
	return 0;
}

static uint8_t in(struct board *board, uint64_t reg)
{
	uint8_t value = 0;

	bus_read(&board->bus, BOARD_SERIAL_PORT + reg, &value, 1);
	return value;
}

static void out(struct board *board, uint64_t reg, unsigned value)
{
	uint8_t byte = (uint8_t)value;

	bus_write(&board->bus, BOARD_SERIAL_PORT + reg, &byte, 1);
}

/* As a driver that reads by interrupts. */
static void listen_by_interrupt(struct board *board)
{
	out(board, MCR, OUT2);
	out(board, IER, 1);
}

static bool interrupted(struct board *board)
{
	return event_drain(board->irq_fd);
}

static uint64_t lost_bytes(struct board *board)
{
	struct serial_counters counters;

	serial_read_counters(board->serial, &counters);
	return counters.lost_bytes;
}

/* The steps of Linux's autoconfig() and autoconfig_16550a(), each with what it expects. */
static void linux_autoconfig_finds_a_16550a(void **state)
{
	struct board *board = *state;

	out(board, IER, 0);
	assert_int_equal(in(board, IER), 0);
	out(board, IER, 0xff);
	assert_int_equal(in(board, IER), 0x0f); /* no 16750 sleep bits, no XScale UUE */
	out(board, IER, 0);

	out(board, MCR, LOOP | 0x0a);
	assert_int_equal(in(board, MSR) & 0xf0, 0x90);
	out(board, MCR, 0);

	out(board, LCR, 0xbf);
	out(board, FCR, 0);
	out(board, LCR, 0);
	out(board, FCR, 1);
	assert_int_equal(in(board, IIR) >> 6, 3);

	out(board, LCR, DLAB);
	assert_int_not_equal(in(board, IIR), 0); /* an EFR would read 0 */
	out(board, LCR, 0xbf);
	assert_int_not_equal(in(board, IIR), 0);
	out(board, LCR, 0xe0); /* no NS16550A super I/O: EXCR1 has no loop bit to mirror */
	assert_int_equal(in(board, IIR) & LOOP, 0);
	out(board, LCR, 0);
	out(board, FCR, 0x21); /* no 64-byte FIFO of a 16750 */
	assert_int_equal(in(board, IIR) >> 5, 6);
	out(board, LCR, DLAB);
	out(board, FCR, 0x21);
	assert_int_equal(in(board, IIR) >> 5, 6);
	out(board, LCR, 0);
}

/* serial8250_do_startup() looks for two known bugs in a UART's transmit interrupt. */
static void linux_startup_finds_no_transmit_bugs(void **state)
{
	struct board *board = *state;

	for (int i = 0; i < 2; i++) {
		out(board, IER, 2);
		assert_int_equal(in(board, IIR) & 0x0f, 2);
		out(board, IER, 0);
	}
	out(board, IER, 2);
	assert_int_equal(in(board, LSR) & THRE_TEMT, THRE_TEMT);
	assert_int_equal(in(board, IIR) & NO_INTERRUPT, 0);
	out(board, IER, 0);
}

static void scratch_and_divisor_remember_and_leave_the_rest_alone(void **state)
{
	struct board *board = *state;

	out(board, SCRATCH, 0xa5);
	out(board, LCR, DLAB | 3);
	out(board, DATA, 0x34);
	out(board, IER, 0x12);
	assert_int_equal(in(board, DATA), 0x34);
	assert_int_equal(in(board, IER), 0x12);
	out(board, LCR, 3);
	assert_int_equal(in(board, IER), 0);
	assert_int_equal(in(board, LCR), 3);
	assert_int_equal(in(board, SCRATCH), 0xa5);
	assert_int_equal(board->sent_len, 0);
}

static void what_the_guest_writes_comes_out(void **state)
{
	struct board *board = *state;

	for (const char *c = "hello\n"; *c; c++) {
		assert_int_equal(in(board, LSR) & THRE_TEMT, THRE_TEMT);
		out(board, DATA, (unsigned)*c);
	}
	assert_string_equal(board->sent, "hello\n");
}

static void a_full_sink_holds_the_guest_back_and_loses_nothing(void **state)
{
	struct board *board = *state;

	board->room = 2;
	for (unsigned i = 0; i < 2 + SERIAL_TX_FIFO_BYTES; i++)
		out(board, DATA, 'a' + i);
	assert_int_equal(in(board, LSR) & THRE_TEMT, 0);
	assert_int_equal(board->sent_len, 2);
	board->room = 5; /* still not all */
	serial_output_drained(board->serial);
	assert_int_equal(in(board, LSR) & THRE_TEMT, 0);
	board->room = sizeof(board->sent);
	serial_output_drained(board->serial);
	assert_int_equal(in(board, LSR) & THRE_TEMT, THRE_TEMT);
	assert_string_equal(board->sent, "abcdefghijklmnopqr");
	assert_int_equal(lost_bytes(board), 0);
}

/* CO01: bounded, and counted. */
static void a_guest_that_ignores_flow_control_loses_bytes_and_they_are_counted(void **state)
{
	struct board *board = *state;

	board->room = 0;
	for (unsigned i = 0; i < SERIAL_TX_FIFO_BYTES + 1000; i++)
		out(board, DATA, 'x');
	assert_int_equal(lost_bytes(board), 1000);
	board->room = sizeof(board->sent);
	serial_output_drained(board->serial);
	assert_int_equal(board->sent_len, SERIAL_TX_FIFO_BYTES);
}

static void room_in_the_sink_interrupts_a_waiting_guest(void **state)
{
	struct board *board = *state;

	board->room = 0;
	out(board, MCR, OUT2);
	out(board, IER, 2);
	assert_true(interrupted(board));
	assert_int_equal(in(board, IIR) & 0x0f, 2);
	out(board, DATA, 'x');
	assert_false(interrupted(board));
	board->room = 1;
	serial_output_drained(board->serial);
	assert_true(interrupted(board));
	assert_int_equal(in(board, IIR) & 0x0f, 2);
}

static void each_byte_written_is_an_edge_even_if_iir_is_never_read(void **state)
{
	struct board *board = *state;

	out(board, MCR, OUT2);
	out(board, IER, 2);
	assert_true(interrupted(board));
	for (int i = 0; i < 3; i++) {
		out(board, DATA, 'x');
		assert_true(interrupted(board));
	}
}

static void input_is_ready_interrupts_and_is_read_in_order(void **state)
{
	struct board *board = *state;

	out(board, MCR, OUT2);
	out(board, IER, 1);
	assert_int_equal(serial_input(board->serial, "abc", 3), 3);
	assert_true(interrupted(board));
	assert_int_equal(in(board, LSR) & 1, 1);
	assert_int_equal(in(board, DATA), 'a');
	assert_int_equal(in(board, DATA), 'b');
	assert_int_equal(in(board, IIR), 4);
	assert_int_equal(in(board, DATA), 'c');
	assert_int_equal(in(board, LSR) & 1, 0);
	assert_int_equal(in(board, IIR), NO_INTERRUPT);
	assert_int_equal(in(board, DATA), 0);
	assert_false(interrupted(board));
	assert_int_equal(serial_input(board->serial, "d", 1), 1);
	assert_true(interrupted(board));
}

static void below_the_trigger_level_it_is_the_timeout_interrupt(void **state)
{
	struct board *board = *state;

	listen_by_interrupt(board);
	out(board, FCR, 0x81); /* 8 bytes */
	(void)serial_input(board->serial, "1234567", 7);
	assert_int_equal(in(board, IIR), 0xcc);
	(void)serial_input(board->serial, "8", 1);
	assert_int_equal(in(board, IIR), 0xc4);
	(void)in(board, DATA);
	assert_int_equal(in(board, IIR), 0xcc);
}

static void input_stops_at_the_fifo_and_asks_once_there_is_room(void **state)
{
	struct board *board = *state;
	char burst[SERIAL_RX_FIFO_BYTES + 10];

	memset(burst, 'i', sizeof(burst));
	listen_by_interrupt(board);
	assert_int_equal(serial_input_space(board->serial), SERIAL_RX_FIFO_BYTES);
	assert_int_equal(serial_input(board->serial, burst, sizeof(burst)), SERIAL_RX_FIFO_BYTES);
	assert_int_equal(serial_input_space(board->serial), 0);
	assert_int_equal(serial_input(board->serial, "z", 1), 0);
	for (unsigned i = 0; i < SERIAL_RX_FIFO_BYTES; i++)
		assert_int_equal(in(board, DATA), 'i');
	assert_int_equal(board->wanted, 1);
	assert_int_equal(in(board, LSR) & 3, 0); /* refused, so no overrun */
}

static void clearing_the_receive_fifo_also_makes_room(void **state)
{
	struct board *board = *state;
	char burst[SERIAL_RX_FIFO_BYTES + 1];

	memset(burst, 'i', sizeof(burst));
	listen_by_interrupt(board);
	out(board, FCR, 1);
	(void)serial_input(board->serial, burst, sizeof(burst));
	out(board, FCR, 3);
	assert_int_equal(board->wanted, 1);
	assert_int_equal(in(board, LSR) & 1, 0);
}

static void sources_have_the_data_sheets_priority(void **state)
{
	struct board *board = *state;

	/* Overrun: in loopback a guest can send itself more than fits. */
	out(board, MCR, LOOP);
	for (unsigned i = 0; i < SERIAL_RX_FIFO_BYTES + 1; i++)
		out(board, DATA, 'x');
	out(board, IER, 0x0f);
	assert_int_equal(in(board, IIR), 6);
	assert_int_equal(in(board, LSR) & 2, 2);
	assert_int_equal(in(board, IIR), 4);
	for (unsigned i = 0; i < SERIAL_RX_FIFO_BYTES; i++)
		(void)in(board, DATA);
	assert_int_equal(in(board, IIR), 2);
	assert_int_equal(in(board, IIR), 0); /* the modem lines that loopback changed */
	(void)in(board, MSR);
	assert_int_equal(in(board, IIR), NO_INTERRUPT);
}

static void reading_iir_for_another_source_keeps_the_transmit_interrupt(void **state)
{
	struct board *board = *state;

	out(board, MCR, OUT2);
	out(board, IER, 3);
	(void)serial_input(board->serial, "a", 1);
	assert_int_equal(in(board, IIR), 4);
	(void)in(board, DATA);
	assert_int_equal(in(board, IIR), 2);
	assert_int_equal(in(board, IIR), NO_INTERRUPT);
}

static void loopback_carries_bytes_and_modem_lines_and_sends_nothing(void **state)
{
	struct board *board = *state;
	static const uint8_t lines[16] = { 0x00, 0x20, 0x10, 0x30, 0x40, 0x60, 0x50, 0x70,
					   0x80, 0xa0, 0x90, 0xb0, 0xc0, 0xe0, 0xd0, 0xf0 };

	assert_int_equal(in(board, MSR), 0xb0);
	for (unsigned mcr = 0; mcr < 16; mcr++) {
		out(board, MCR, LOOP | mcr);
		assert_int_equal(in(board, MSR) & 0xf0, lines[mcr]);
	}
	out(board, DATA, 'L');
	assert_int_equal(in(board, LSR), 0x61);
	assert_int_equal(in(board, DATA), 'L');
	assert_int_equal(board->sent_len, 0);
	out(board, MCR, 0);
	(void)in(board, MSR);
	assert_int_equal(in(board, MSR), 0xb0); /* deltas are read once */
}

static void without_out2_or_in_loopback_the_line_stays_low(void **state)
{
	struct board *board = *state;

	listen_by_interrupt(board);
	(void)serial_input(board->serial, "a", 1);
	assert_true(interrupted(board));
	out(board, MCR, 0);
	assert_false(interrupted(board));
	out(board, MCR, OUT2 | LOOP);
	assert_false(interrupted(board));
	out(board, MCR, OUT2);
	assert_true(interrupted(board));
}

/* A driver clears the FIFOs when it starts; what was typed before its start is kept outside. */
static void what_is_typed_before_the_guest_listens_is_not_lost(void **state)
{
	struct board *board = *state;

	assert_int_equal(serial_input_space(board->serial), 0);
	assert_int_equal(serial_input(board->serial, "early", 5), 0);
	out(board, IER, 0x0f); /* Linux looks whether there is such a register */
	assert_int_equal(serial_input(board->serial, "early", 5), 0);
	out(board, IER, 0);
	out(board, FCR, 7);
	out(board, MCR, OUT2);
	assert_int_equal(board->wanted, 0);
	out(board, IER, 1);
	assert_int_equal(board->wanted, 1);
	assert_int_equal(serial_input(board->serial, "early", 5), 5);
	assert_int_equal(in(board, DATA), 'e');
	serial_reset(board->serial);
	assert_int_equal(serial_input(board->serial, "again", 5), 0);
}

static void a_guest_that_polls_is_heard_too(void **state)
{
	struct board *board = *state;

	assert_int_equal(serial_input(board->serial, "p", 1), 0);
	for (unsigned i = 0; i < 1000; i++) { /* sending looks as often, but sends */
		(void)in(board, LSR);
		out(board, DATA, '.');
	}
	assert_int_equal(board->wanted, 0);
	for (unsigned i = 0; i < 64; i++)
		(void)in(board, LSR);
	assert_int_equal(board->wanted, 1);
	assert_int_equal(serial_input(board->serial, "p", 1), 1);
	assert_int_equal(in(board, LSR) & 1, 1);
	assert_int_equal(in(board, DATA), 'p');
}

static void a_masked_edge_is_signalled_again_while_the_line_is_high(void **state)
{
	struct board *board = *state;

	out(board, MCR, OUT2);
	out(board, IER, 1);
	serial_reassert(board->serial);
	assert_false(interrupted(board));
	(void)serial_input(board->serial, "a", 1);
	assert_true(interrupted(board));
	serial_reassert(board->serial);
	assert_true(interrupted(board));
	(void)in(board, DATA);
	serial_reassert(board->serial);
	assert_false(interrupted(board));
}

/* MM09 */
static void wide_accesses_read_all_ones_and_write_nothing(void **state)
{
	struct board *board = *state;
	uint32_t value = 0x41414141;

	bus_write(&board->bus, BOARD_SERIAL_PORT, &value, 4);
	bus_write(&board->bus, BOARD_SERIAL_PORT, &value, 2);
	assert_int_equal(board->sent_len, 0);
	value = 0;
	bus_read(&board->bus, BOARD_SERIAL_PORT + 4, &value, 4);
	assert_int_equal(value, UINT32_MAX);
}

static void reset_brings_power_on_values_and_drops_what_was_inside(void **state)
{
	struct board *board = *state;
	char burst[SERIAL_RX_FIFO_BYTES + 1];

	memset(burst, 'i', sizeof(burst));
	(void)serial_input(board->serial, burst, sizeof(burst));
	board->room = 0;
	out(board, DATA, 'x');
	out(board, IER, 0x0f);
	out(board, MCR, OUT2);
	out(board, SCRATCH, 1);
	serial_reset(board->serial);
	assert_int_equal(lost_bytes(board), 1);
	assert_int_equal(board->wanted, 1);
	assert_int_equal(in(board, LSR), THRE_TEMT);
	assert_int_equal(in(board, IIR), NO_INTERRUPT);
	assert_int_equal(in(board, IER) | in(board, MCR) | in(board, LCR) | in(board, SCRATCH), 0);
	assert_int_equal(in(board, MSR), 0xb0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(linux_autoconfig_finds_a_16550a),
		TEST(linux_startup_finds_no_transmit_bugs),
		TEST(scratch_and_divisor_remember_and_leave_the_rest_alone),
		TEST(what_the_guest_writes_comes_out),
		TEST(a_full_sink_holds_the_guest_back_and_loses_nothing),
		TEST(a_guest_that_ignores_flow_control_loses_bytes_and_they_are_counted),
		TEST(room_in_the_sink_interrupts_a_waiting_guest),
		TEST(each_byte_written_is_an_edge_even_if_iir_is_never_read),
		TEST(input_is_ready_interrupts_and_is_read_in_order),
		TEST(below_the_trigger_level_it_is_the_timeout_interrupt),
		TEST(input_stops_at_the_fifo_and_asks_once_there_is_room),
		TEST(clearing_the_receive_fifo_also_makes_room),
		TEST(sources_have_the_data_sheets_priority),
		TEST(reading_iir_for_another_source_keeps_the_transmit_interrupt),
		TEST(loopback_carries_bytes_and_modem_lines_and_sends_nothing),
		TEST(what_is_typed_before_the_guest_listens_is_not_lost),
		TEST(a_guest_that_polls_is_heard_too),
		TEST(without_out2_or_in_loopback_the_line_stays_low),
		TEST(a_masked_edge_is_signalled_again_while_the_line_is_high),
		TEST(wide_accesses_read_all_ones_and_write_nothing),
		TEST(reset_brings_power_on_values_and_drops_what_was_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
