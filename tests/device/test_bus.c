/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The address bus, and the two devices that are one register each: i8042 and the exit port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "device/board.h"
#include "device/bus.h"
#include "device/exit_port.h"
#include "device/i8042.h"

struct probe {
	unsigned reads, writes;
	uint64_t offset;
	uint32_t len;
	uint64_t value;
};

static void probe_read(void *device, uint64_t offset, void *data, uint32_t len)
{
	struct probe *probe = device;

	probe->reads++;
	probe->offset = offset;
	probe->len = len;
	memset(data, 0x5a, len);
}

static void probe_write(void *device, uint64_t offset, const void *data, uint32_t len)
{
	struct probe *probe = device;

	probe->writes++;
	probe->offset = offset;
	probe->len = len;
	probe->value = 0;
	memcpy(&probe->value, data, len);
}

static const struct bus_ops probe_ops = { .name = "probe",
					  .read = probe_read,
					  .write = probe_write };
static const struct bus_ops mute_ops = { .name = "mute" };

static uint64_t read_at(const struct bus *bus, uint64_t addr, uint32_t len)
{
	uint64_t value = 0;

	bus_read(bus, addr, &value, len);
	return value;
}

static void add(struct bus *bus, uint64_t start, uint64_t len_bytes, struct probe *probe)
{
	assert_int_equal(bus_add(bus, start, len_bytes, &probe_ops, probe, NULL), 0);
}

static void an_access_reaches_the_device_whose_range_holds_it(void **state)
{
	struct bus bus = { 0 };
	struct probe probes[3] = { 0 };
	uint32_t value = 0xcafe1234;

	(void)state;
	add(&bus, 0x3000, 0x100, &probes[2]);
	add(&bus, 0x1000, 0x100, &probes[0]);
	add(&bus, 0x2000, 0x100, &probes[1]);
	assert_int_equal(read_at(&bus, 0x2010, 4), 0x5a5a5a5a);
	assert_int_equal(probes[1].reads, 1);
	assert_int_equal(probes[1].offset, 0x10);
	assert_int_equal(probes[1].len, 4);
	bus_write(&bus, 0x10fc, &value, 4);
	assert_int_equal(probes[0].offset, 0xfc);
	assert_int_equal(probes[0].value, value);
	assert_int_equal(probes[2].reads + probes[2].writes, 0);
}

/* MM09 */
static void an_unclaimed_address_reads_all_ones_and_swallows_writes(void **state)
{
	struct bus empty = { 0 }, bus = { 0 };
	struct probe probe = { 0 };
	uint64_t value = 0;

	(void)state;
	add(&bus, 0x1000, 0x10, &probe);
	for (uint32_t len = 1; len <= 8; len *= 2) {
		uint64_t ones = len == 8 ? UINT64_MAX : (UINT64_C(1) << (8 * len)) - 1;

		assert_true(read_at(&empty, 0, len) == ones);
		assert_true(read_at(&bus, 0xfff, len) == ones);
		assert_true(read_at(&bus, 0x1010, len) == ones);
		assert_true(read_at(&bus, UINT64_MAX, len) == ones);
		bus_write(&bus, 0xfff, &value, len);
		bus_write(&bus, 0x1010, &value, len);
	}
	assert_int_equal(probe.reads + probe.writes, 0);
}

/* MM09 */
static void an_access_of_odd_length_or_leaving_its_range_is_unclaimed(void **state)
{
	struct bus bus = { 0 };
	struct probe probe = { 0 };

	(void)state;
	add(&bus, 0x1000, 0x10, &probe);
	assert_int_equal(read_at(&bus, 0x100f, 2), 0xffff);
	assert_int_equal(read_at(&bus, 0x1000, 3), 0xffffff);
	assert_int_equal(read_at(&bus, 0x1000, 0), 0);
	assert_false(bus_claims(&bus, 0x100d, 4));
	assert_true(bus_claims(&bus, 0x100c, 4));
	assert_int_equal(probe.reads, 0);
}

static void a_range_that_overlaps_is_refused(void **state)
{
	struct bus bus = { 0 };
	struct probe probe = { 0 };
	struct err err;

	(void)state;
	add(&bus, 0x1000, 0x100, &probe);
	assert_int_equal(bus_add(&bus, 0x10ff, 1, &probe_ops, &probe, &err), -EEXIST);
	assert_non_null(strstr(err.text, "probe"));
	assert_int_equal(bus_add(&bus, 0xff0, 0x11, &probe_ops, &probe, &err), -EEXIST);
	assert_int_equal(bus_add(&bus, 0, 0x10000, &probe_ops, &probe, &err), -EEXIST);
	add(&bus, 0xff0, 0x10, &probe);
	add(&bus, 0x1100, 0x10, &probe);
	assert_int_equal(bus.count, 3);
}

static void a_range_without_bytes_or_past_the_end_is_refused(void **state)
{
	struct bus bus = { 0 };
	struct probe probe = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(bus_add(&bus, 5, 0, &probe_ops, &probe, &err), -EINVAL);
	assert_int_equal(bus_add(&bus, UINT64_MAX, 2, &probe_ops, &probe, &err), -EINVAL);
	add(&bus, UINT64_MAX - 7, 8, &probe);
	assert_true(bus_claims(&bus, UINT64_MAX - 7, 8));
}

static void a_full_bus_says_so(void **state)
{
	struct bus bus = { 0 };
	struct probe probe = { 0 };
	struct err err;

	(void)state;
	for (uint64_t i = BUS_MAX_RANGES; i > 0; i--)
		add(&bus, i * 16, 16, &probe);
	assert_int_equal(bus_add(&bus, 0, 16, &probe_ops, &probe, &err), -ENOSPC);
	for (uint64_t i = 1; i < BUS_MAX_RANGES; i++)
		assert_true(bus.ranges[i - 1].start < bus.ranges[i].start);
}

static void a_device_without_handlers_reads_all_ones(void **state)
{
	struct bus bus = { 0 };
	uint8_t value = 1;

	(void)state;
	assert_int_equal(bus_add(&bus, 0x80, 1, &mute_ops, NULL, NULL), 0);
	assert_int_equal(read_at(&bus, 0x80, 1), 0xff);
	bus_write(&bus, 0x80, &value, 1);
}

static unsigned resets;
static void count_reset(void *ctx)
{
	(void)ctx;
	resets++;
}

static void i8042_resets_on_0xfe_and_on_nothing_else(void **state)
{
	struct i8042 i8042 = { .reset = count_reset };
	struct bus bus = { 0 };

	(void)state;
	resets = 0;
	assert_int_equal(
		bus_add(&bus, BOARD_I8042_PORT, I8042_PORT_BYTES, &i8042_bus_ops, &i8042, NULL), 0);
	for (unsigned value = 0; value < 256; value++) {
		uint8_t byte = (uint8_t)value;

		bus_write(&bus, 0x60, &byte, 1);
		if (value != 0xfe)
			bus_write(&bus, 0x64, &byte, 1);
	}
	assert_int_equal(resets, 0);
	bus_write(&bus, 0x64, "\xfe", 1);
	assert_int_equal(resets, 1);
}

static void i8042_is_always_ready_and_has_nothing_to_say(void **state)
{
	struct i8042 i8042 = { .reset = count_reset };
	struct bus bus = { 0 };

	(void)state;
	assert_int_equal(
		bus_add(&bus, BOARD_I8042_PORT, I8042_PORT_BYTES, &i8042_bus_ops, &i8042, NULL), 0);
	assert_int_equal(read_at(&bus, 0x64, 1), 0);
	assert_int_equal(read_at(&bus, 0x60, 1), 0);
	for (uint64_t port = 0x61; port <= 0x63; port++)
		assert_int_equal(read_at(&bus, port, 1), 0xff);
	assert_int_equal(read_at(&bus, 0x60, 4), 0xffffffff);
}

static unsigned exits;
static uint32_t exit_status;
static void note_exit(void *ctx, uint32_t untrusted_status)
{
	(void)ctx;
	exits++;
	exit_status = untrusted_status;
}

static void the_exit_port_takes_a_32_bit_status_only(void **state)
{
	struct exit_port port = { .exit = note_exit };
	struct bus bus = { 0 };
	uint32_t status = 0x89abcdef;

	(void)state;
	exits = 0;
	assert_int_equal(bus_add(&bus, BOARD_EXIT_PORT, EXIT_PORT_BYTES, &exit_port_bus_ops, &port,
				 NULL),
			 0);
	bus_write(&bus, BOARD_EXIT_PORT, &status, 1);
	bus_write(&bus, BOARD_EXIT_PORT, &status, 2);
	bus_write(&bus, BOARD_EXIT_PORT + 2, &status, 2);
	assert_int_equal(read_at(&bus, BOARD_EXIT_PORT, 4), 0xffffffff);
	assert_int_equal(exits, 0);
	bus_write(&bus, BOARD_EXIT_PORT, &status, 4);
	assert_int_equal(exits, 1);
	assert_int_equal(exit_status, status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_access_reaches_the_device_whose_range_holds_it),
		cmocka_unit_test(an_unclaimed_address_reads_all_ones_and_swallows_writes),
		cmocka_unit_test(an_access_of_odd_length_or_leaving_its_range_is_unclaimed),
		cmocka_unit_test(a_range_that_overlaps_is_refused),
		cmocka_unit_test(a_range_without_bytes_or_past_the_end_is_refused),
		cmocka_unit_test(a_full_bus_says_so),
		cmocka_unit_test(a_device_without_handlers_reads_all_ones),
		cmocka_unit_test(i8042_resets_on_0xfe_and_on_nothing_else),
		cmocka_unit_test(i8042_is_always_ready_and_has_nothing_to_say),
		cmocka_unit_test(the_exit_port_takes_a_32_bit_status_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
