/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The board's devices with several threads at them, as vCPUs and the I/O thread are. For TSan, and
 * for what a lock promises: no byte lost, no stale route, no torn number.
 */
#include "../support/testing.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "base/fd.h"
#include "device/acpi_ged.h"
#include "device/board.h"
#include "device/ioapic.h"
#include "device/serial.h"

enum { SERIAL_BYTES = 5000, ROUTE_WRITES = 5000, PRESSES = 200, HAMMER_STEPS = 100000 };
enum { REG_DATA = 0, REG_LSR = 5, LSR_READY = 1, LSR_THR_EMPTY = 0x20 };

static uint8_t in8(struct bus *bus, uint64_t port)
{
	uint8_t value = 0;

	bus_read(bus, port, &value, 1);
	return value;
}

/* ---- Serial: a guest that waits for THRE loses nothing, whoever drains and types meanwhile ----
 */

struct serial_rig {
	struct serial *serial;
	struct bus bus;
	pthread_mutex_t lock; /* the sink's */
	unsigned room, sent;
	bool was_full, sent_in_order;
	bool read_in_order; /* the guest's */
	unsigned received;
	atomic_bool done;
};

static bool sink(void *ctx, uint8_t byte)
{
	struct serial_rig *rig = ctx;
	bool taken;

	pthread_mutex_lock(&rig->lock);
	taken = rig->room > 0;
	if (taken) {
		rig->sent_in_order &= byte == (uint8_t)rig->sent++;
		rig->room--;
	}
	rig->was_full |= !taken;
	pthread_mutex_unlock(&rig->lock);
	return taken;
}

static void *serial_guest(void *arg)
{
	struct serial_rig *rig = arg;
	unsigned written = 0;

	while (written < SERIAL_BYTES || rig->received < SERIAL_BYTES) {
		uint8_t lsr = in8(&rig->bus, BOARD_SERIAL_PORT + REG_LSR);
		uint8_t byte = (uint8_t)written;

		if ((lsr & LSR_THR_EMPTY) && written < SERIAL_BYTES) {
			bus_write(&rig->bus, BOARD_SERIAL_PORT + REG_DATA, &byte, 1);
			written++;
		}
		if (lsr & LSR_READY)
			rig->read_in_order &= in8(&rig->bus, BOARD_SERIAL_PORT + REG_DATA) ==
					      (uint8_t)rig->received++;
	}
	atomic_store(&rig->done, true);
	return NULL;
}

/* What the I/O thread does: takes output away in gulps, and types. */
static void serial_host(struct serial_rig *rig)
{
	unsigned typed = 0;

	while (!atomic_load(&rig->done)) {
		uint8_t bytes[32];
		size_t count = 0;
		bool drained;

		pthread_mutex_lock(&rig->lock);
		drained = rig->was_full;
		rig->was_full = false;
		rig->room = 7;
		pthread_mutex_unlock(&rig->lock);
		if (drained)
			serial_output_drained(rig->serial);
		while (count < sizeof(bytes) && typed + count < SERIAL_BYTES) {
			bytes[count] = (uint8_t)(typed + count);
			count++;
		}
		typed += (unsigned)serial_input(rig->serial, bytes, count);
		(void)sched_yield();
	}
}

static void a_guest_that_waits_loses_no_byte_in_either_direction(void **state)
{
	struct serial_rig rig = { .lock = PTHREAD_MUTEX_INITIALIZER,
				  .sent_in_order = true,
				  .read_in_order = true };
	struct serial_config config = { .output = sink, .ctx = &rig };
	struct serial_counters counters;
	pthread_t guest;

	(void)state;
	config.irq_fd = event_create();
	assert_int_equal(serial_create(&config, &rig.serial, NULL), 0);
	assert_int_equal(bus_add(&rig.bus, BOARD_SERIAL_PORT, SERIAL_PORT_BYTES, &serial_bus_ops,
				 rig.serial, NULL),
			 0);
	assert_int_equal(pthread_create(&guest, NULL, serial_guest, &rig), 0);
	serial_host(&rig);
	assert_int_equal(pthread_join(guest, NULL), 0);
	rig.room = SERIAL_BYTES;
	serial_output_drained(rig.serial);
	serial_read_counters(rig.serial, &counters);
	assert_true(rig.sent_in_order && rig.read_in_order);
	assert_int_equal(rig.sent, SERIAL_BYTES);
	assert_int_equal(rig.received, SERIAL_BYTES);
	assert_int_equal(counters.lost_bytes, 0);
	serial_destroy(rig.serial);
	close_fd(&config.irq_fd);
}

/* ---- I/O APIC: the last route told is the entry's, whoever wrote it ---- */

struct route_rig {
	struct ioapic *ioapic;
	struct bus bus;
	struct ioapic_route route; /* under the I/O APIC's lock */
	atomic_uint asked;
};

static void note_route(void *ctx, uint32_t pin, const struct ioapic_route *route)
{
	struct route_rig *rig = ctx;

	if (pin == 0)
		rig->route = *route;
}

static void note_unmasked(void *ctx, uint32_t pin)
{
	(void)pin;
	atomic_fetch_add(&((struct route_rig *)ctx)->asked, 1);
}

static void ioapic_put(struct route_rig *rig, uint32_t index, uint32_t value)
{
	bus_write(&rig->bus, BOARD_IOAPIC_BASE, &index, 4);
	bus_write(&rig->bus, BOARD_IOAPIC_BASE + 0x10, &value, 4);
}

/* Both threads only ever select pin 0's low half, so that any interleaving writes only that. */
static void *route_writer(void *arg)
{
	struct route_rig *rig = arg;

	for (uint32_t i = 0; i < ROUTE_WRITES; i++) {
		ioapic_put(rig, 0x10, (i % 3 == 0 ? 1u << 16 : 0) | (i % 2) << 15 | (32 + i % 200));
		ioapic_eoi(rig->ioapic, (uint8_t)(32 + i % 200));
	}
	return NULL;
}

static void the_last_route_told_is_that_of_the_entry(void **state)
{
	struct route_rig rig = { 0 };
	struct ioapic_host host = { .set_route = note_route,
				    .unmasked = note_unmasked,
				    .ctx = &rig };
	pthread_t writers[2];
	uint32_t entry;

	(void)state;
	assert_int_equal(ioapic_create(&host, &rig.ioapic, NULL), 0);
	assert_int_equal(bus_add(&rig.bus, BOARD_IOAPIC_BASE, BOARD_IOAPIC_BYTES, &ioapic_bus_ops,
				 rig.ioapic, NULL),
			 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&writers[i], NULL, route_writer, &rig), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(writers[i], NULL), 0);
	bus_read(&rig.bus, BOARD_IOAPIC_BASE + 0x10, &entry, 4);
	assert_int_equal(rig.route.enabled, !(entry & 1u << 16));
	if (rig.route.enabled)
		assert_int_equal(rig.route.data & 0xff, entry & 0xff);
	assert_true(atomic_load(&rig.asked) > 0);
	ioapic_destroy(rig.ioapic);
}

/* ---- Power button: each press is seen, by exactly one reader ---- */

struct ged_rig {
	struct acpi_ged ged;
	struct bus bus;
	atomic_uint seen;
	atomic_bool done;
};

static void *ged_reader(void *arg)
{
	struct ged_rig *rig = arg;
	uint32_t events = 0;

	while (!atomic_load(&rig->done)) {
		bus_read(&rig->bus, BOARD_GED_PORT, &events, 4);
		if (events)
			atomic_fetch_add(&rig->seen, 1);
		else
			(void)sched_yield();
	}
	return NULL;
}

static void each_press_of_the_power_button_is_read_once(void **state)
{
	struct ged_rig rig = { 0 };
	pthread_t readers[2];

	(void)state;
	rig.ged.irq_fd = event_create();
	assert_int_equal(bus_add(&rig.bus, BOARD_ACPI_PORT, BOARD_ACPI_PORT_BYTES,
				 &acpi_ged_bus_ops, &rig.ged, NULL),
			 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, ged_reader, &rig), 0);
	for (unsigned i = 1; i <= PRESSES; i++) {
		acpi_ged_power_button(&rig.ged);
		while (atomic_load(&rig.seen) < i)
			(void)sched_yield();
	}
	atomic_store(&rig.done, true);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(readers[i], NULL), 0);
	assert_int_equal(atomic_load(&rig.seen), PRESSES);
	close_fd(&rig.ged.irq_fd);
}

/* ---- A guest that writes anything anywhere ---- */

static bool sink_everything(void *ctx, uint8_t byte)
{
	(void)ctx;
	return byte != 0;
}

static void count(void *ctx)
{
	(*(unsigned *)ctx)++;
}

/* MM09 and beyond: every register of every device, any width, any value. */
static void random_accesses_to_every_register_are_survived(void **state)
{
	struct test_random random = test_random_start();
	struct route_rig route_rig = { 0 };
	struct ioapic_host host = { .set_route = note_route,
				    .unmasked = note_unmasked,
				    .ctx = &route_rig };
	unsigned ended = 0;
	struct acpi_ged ged = { .power_off = count, .reset = count, .ctx = &ended };
	struct serial_config config = { .output = sink_everything };
	static const uint64_t bases[] = { BOARD_SERIAL_PORT, BOARD_ACPI_PORT, BOARD_IOAPIC_BASE };
	struct serial *serial;
	struct bus bus = { 0 };

	(void)state;
	config.irq_fd = ged.irq_fd = event_create();
	assert_int_equal(serial_create(&config, &serial, NULL), 0);
	assert_int_equal(ioapic_create(&host, &route_rig.ioapic, NULL), 0);
	assert_int_equal(bus_add(&bus, bases[0], 8, &serial_bus_ops, serial, NULL), 0);
	assert_int_equal(bus_add(&bus, bases[1], 8, &acpi_ged_bus_ops, &ged, NULL), 0);
	assert_int_equal(bus_add(&bus, bases[2], 0x1000, &ioapic_bus_ops, route_rig.ioapic, NULL),
			 0);
	for (unsigned i = 0; i < HAMMER_STEPS; i++) {
		uint64_t addr = bases[test_random_below(&random, 3)];
		uint64_t value = test_random_any_size(&random);
		uint32_t len = UINT32_C(1) << test_random_below(&random, 4);

		addr += test_random_below(&random, addr == BOARD_IOAPIC_BASE ? 0x48 : 9);
		if (i % 3)
			bus_write(&bus, addr, &value, len);
		else
			bus_read(&bus, addr, &value, len);
		if (i % 50 == 0)
			(void)serial_input(serial, &value, sizeof(value));
	}
	assert_true(ended > 0);
	assert_true(serial_input_space(serial) <= SERIAL_RX_FIFO_BYTES);
	ioapic_destroy(route_rig.ioapic);
	serial_destroy(serial);
	close_fd(&config.irq_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_that_waits_loses_no_byte_in_either_direction),
		cmocka_unit_test(the_last_route_told_is_that_of_the_entry),
		cmocka_unit_test(each_press_of_the_power_button_is_read_once),
		cmocka_unit_test(random_accesses_to_every_register_are_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
