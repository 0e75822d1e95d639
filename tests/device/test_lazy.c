/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_lazy.c - lazy writes (device/bus.h): held back or not, a guest and its devices see the same.
 *
 * Two boards with the same devices get the same random accesses. On one every write is settled at once;
 * on the other a carrier, as KVM is one, holds lazy writes back until the next access that is none.
 * What is read, and what the devices are in the end, must be the same.
 */
#include "../support/testing.h"

#include <pthread.h>
#include <string.h>

#include "base/units.h"
#include "device/board.h"
#include "device/bus.h"
#include "device/ioapic.h"
#include "echo_device.h"

enum { ACCESSES = 30000, HELD_MAX = 170, PINS_USED = 4 };

struct held_write {
	uint64_t addr, value;
	uint32_t len;
};

struct world {
	bool lazy;
	struct bus bus;
	struct fake_guest g;
	struct echo echo;
	struct ioapic *ioapic;
	struct ioapic_route routes[BOARD_PIN_COUNT];
	unsigned calls;
	unsigned held_count, held_ever;
	struct held_write held[HELD_MAX];
};

static void note_route(void *ctx, uint32_t pin, const struct ioapic_route *route)
{
	struct world *world = ctx;

	world->routes[pin] = *route;
}

static void note_unmasked(void *ctx, uint32_t pin)
{
	(void)ctx, (void)pin;
}

static void count_call(void *ctx, void (*fn)(void *arg), void *arg)
{
	struct world *world = ctx;

	world->calls++;
	fn(arg);
}

static void open_world(struct world *world, bool lazy)
{
	const struct ioapic_host host = { note_route, note_unmasked, world };
	struct ram *ram = fake_ram_open(64 * MIB_BYTES);

	memset(world, 0, sizeof(*world));
	world->lazy = lazy;
	echo_init(&world->echo, ram);
	fake_guest_init_calling(&world->g, ram, &world->echo.vdev, count_call, world);
	assert_int_equal(ioapic_create(&host, &world->ioapic, NULL), 0);
	assert_int_equal(bus_add(&world->bus, BOARD_VIRTIO_BASE, BOARD_VIRTIO_BYTES,
				 &virtio_mmio_bus_ops, world->g.mmio, NULL),
			 0);
	assert_int_equal(bus_add(&world->bus, BOARD_IOAPIC_BASE, BOARD_IOAPIC_BYTES,
				 &ioapic_bus_ops, world->ioapic, NULL),
			 0);
}

static void close_world(struct world *world)
{
	ioapic_destroy(world->ioapic);
	fake_guest_fini(&world->g);
}

/* As KVM sees it: an access is lazy if all of it is in a span. */
static bool is_lazy(const struct bus *bus, uint64_t addr, uint32_t len)
{
	for (unsigned i = 0; i < bus->count; i++)
		for (unsigned j = 0; j < bus->ranges[i].ops->lazy_count; j++) {
			const struct bus_span *span = &bus->ranges[i].ops->lazy[j];

			if (addr >= bus->ranges[i].start + span->start &&
			    addr + len <= bus->ranges[i].start + span->end)
				return true;
		}
	return false;
}

static void let_go(struct world *world)
{
	for (unsigned i = 0; i < world->held_count; i++)
		bus_write(&world->bus, world->held[i].addr, &world->held[i].value,
			  world->held[i].len);
	world->held_count = 0;
}

static uint32_t peek(struct world *world, uint32_t offset)
{
	uint32_t value;

	bus_read(&world->bus, BOARD_VIRTIO_BASE + offset, &value, sizeof(value));
	return value;
}

/* QueueReady is the device's: whatever waits on the way to it is done then. */
static void settle(struct world *world)
{
	(void)peek(world, FAKE_QUEUE_READY);
}

static void put(struct world *world, uint64_t addr, uint64_t value, uint32_t len)
{
	if (world->lazy && is_lazy(&world->bus, addr, len) && world->held_count < HELD_MAX) {
		world->held[world->held_count++] = (struct held_write){ addr, value, len };
		world->held_ever++;
		return;
	}
	let_go(world);
	bus_write(&world->bus, addr, &value, len);
	if (!world->lazy)
		settle(world);
}

static uint64_t get(struct world *world, uint64_t addr, uint32_t len)
{
	uint64_t value = 0;

	let_go(world);
	bus_read(&world->bus, addr, &value, len);
	return value;
}

struct access {
	bool is_write;
	uint64_t addr, value;
	uint32_t len;
};

static uint32_t random_value(struct test_random *random)
{
	switch (test_random_below(random, 4)) {
	case 0: return (uint32_t)test_random_below(random, 3);
	case 1: return UINT32_C(1) << test_random_below(random, 12);
	case 2: return (uint32_t)(test_random_below(random, 64) * 4096);
	default: return (uint32_t)test_random_next(random);
	}
}

/* Mostly the next step of a driver, so that every state of the device is met. */
static uint32_t next_status(struct test_random *random, uint32_t now)
{
	static const uint32_t steps[] = { [0] = 1, [1] = 3, [3] = 11, [11] = 15 };

	if (now < ARRAY_LEN(steps) && steps[now] && test_random_below(random, 8))
		return steps[now];
	return test_random_below(random, 4) ? 0 : random_value(random) & 0xff;
}

static struct access random_access(struct test_random *random, uint32_t status)
{
	static const uint32_t lengths[] = { 4, 4, 4, 4, 4, 4, 1, 2, 8 };
	uint64_t kind = test_random_below(random, 10);
	struct access access = { .is_write = test_random_below(random, 4) != 0,
				 .len = lengths[test_random_below(random, ARRAY_LEN(lengths))],
				 .value = random_value(random) };

	if (kind == 0) {
		access.addr = BOARD_VIRTIO_BASE + FAKE_STATUS;
		access.value = next_status(random, status);
		access.len = 4;
	} else if (kind == 1) { /* what FEATURES_OK needs */
		bool select = test_random_below(random, 2);

		access.addr = BOARD_VIRTIO_BASE +
			      (select ? FAKE_DRIVER_FEATURES_SEL : FAKE_DRIVER_FEATURES);
		access.value = 1;
		access.len = 4;
	} else if (kind < 8) {
		access.addr = BOARD_VIRTIO_BASE + test_random_below(random, 0x110 / 4) * 4;
	} else if (test_random_below(random, 2)) {
		access.addr = BOARD_IOAPIC_BASE;
		access.value = 0x10 + test_random_below(random, 2 * PINS_USED);
	} else {
		access.addr = BOARD_IOAPIC_BASE + 0x10;
	}
	return access;
}

static void expect_same_devices(struct world *a, struct world *b)
{
	const struct virtio_device *one = &a->echo.vdev, *other = &b->echo.vdev;

	assert_int_equal(one->status, other->status);
	assert_int_equal(one->negotiated, other->negotiated);
	assert_int_equal(one->breaks, other->breaks);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(one->queues[i].num, other->queues[i].num);
		assert_int_equal(one->queues[i].ready, other->queues[i].ready);
		assert_int_equal(one->queues[i].desc.addr, other->queues[i].desc.addr);
		assert_int_equal(one->queues[i].avail.addr, other->queues[i].avail.addr);
		assert_int_equal(one->queues[i].used.addr, other->queues[i].used.addr);
	}
	for (unsigned i = 0; i < PINS_USED; i++) {
		assert_int_equal(a->routes[i].enabled, b->routes[i].enabled);
		assert_int_equal(a->routes[i].addr, b->routes[i].addr);
		assert_int_equal(a->routes[i].data, b->routes[i].data);
	}
}

static void a_guest_cannot_tell_whether_lazy_writes_were_held_back(void **state)
{
	struct test_random random = test_random_start();
	static struct world eager, lazy;
	unsigned states[256] = { 0 };

	(void)state;
	open_world(&eager, false);
	open_world(&lazy, true);
	for (unsigned i = 0; i < ACCESSES; i++) {
		uint32_t status = peek(&eager, FAKE_STATUS);
		struct access access = random_access(&random, status);

		states[status & 0xff]++;
		if (access.is_write) {
			put(&eager, access.addr, access.value, access.len);
			put(&lazy, access.addr, access.value, access.len);
			continue;
		}
		assert_int_equal(get(&eager, access.addr, access.len),
				 get(&lazy, access.addr, access.len));
		if (i % 64 == 0) {
			let_go(&lazy);
			settle(&lazy);
			expect_same_devices(&eager, &lazy);
		}
	}
	/* The test has been everywhere, and writes were held back. */
	assert_true(states[0] > 100 && states[3] > 100 && states[11] > 100);
	assert_true(states[15] + states[15 | VIRTIO_STATUS_NEEDS_RESET] > 100);
	assert_true(lazy.held_ever > ACCESSES / 4);
	close_world(&eager);
	close_world(&lazy);
}

static void no_register_that_acts_is_lazy(void **state)
{
	static const uint32_t act[] = { FAKE_QUEUE_READY, FAKE_QUEUE_NOTIFY, FAKE_INTERRUPT_ACK,
					FAKE_STATUS,	  FAKE_QUEUE_RESET,  FAKE_CONFIG };
	static struct world world;

	(void)state;
	open_world(&world, true);
	for (unsigned i = 0; i < ARRAY_LEN(act); i++)
		for (uint32_t byte = 0; byte < 4; byte++)
			assert_false(is_lazy(&world.bus, BOARD_VIRTIO_BASE + act[i] + byte, 1));
	assert_true(is_lazy(&world.bus, BOARD_IOAPIC_BASE, 4));
	assert_false(is_lazy(&world.bus, BOARD_IOAPIC_BASE + 0x10, 4));
	assert_false(is_lazy(&world.bus, BOARD_IOAPIC_BASE + 0x40, 4));
	close_world(&world);
}

static void setting_up_a_queue_goes_to_the_devices_thread_once(void **state)
{
	static struct world world;
	unsigned before;

	(void)state;
	open_world(&world, false);
	assert_int_equal(fake_guest_negotiate(&world.g, 0), 11);
	fake_guest_alloc_queue(&world.g, 0, 8);
	before = world.calls;
	fake_guest_program_queue(&world.g, 0);
	assert_int_equal(world.calls, before + 1);
	assert_int_equal(world.echo.vdev.queues[0].num, 8);
	assert_true(world.echo.vdev.queues[0].ready);
	before = world.calls;
	for (uint32_t offset = 0; offset <= 0xc; offset += 4)
		assert_int_not_equal(fake_guest_read(&world.g, offset), 0);
	assert_int_equal(world.calls, before); /* what never changes is known */
	close_world(&world);
}

static void writes_without_end_are_all_done_in_order(void **state)
{
	enum { WRITES = 1000 };
	static struct world world;
	unsigned before;

	(void)state;
	open_world(&world, false);
	assert_int_equal(fake_guest_negotiate(&world.g, 0), 11);
	fake_guest_write(&world.g, FAKE_QUEUE_SEL, 1);
	before = world.calls;
	for (uint32_t i = 1; i <= WRITES; i++) {
		fake_guest_write(&world.g, FAKE_QUEUE_DESC_LOW, i);
		if (world.calls != before)
			assert_int_equal(world.echo.vdev.queues[1].desc.addr, i);
		before = world.calls;
	}
	assert_in_range(world.calls, WRITES / 64, WRITES / 16);
	assert_int_equal(fake_guest_read(&world.g, FAKE_QUEUE_READY), 0);
	assert_int_equal(world.echo.vdev.queues[1].desc.addr, WRITES);
	close_world(&world);
}

static void a_machine_reset_forgets_what_waits_and_a_drivers_reset_does_not(void **state)
{
	static struct world world;

	(void)state;
	open_world(&world, false);
	fake_guest_write(&world.g, FAKE_DEVICE_FEATURES_SEL, 1);
	virtio_mmio_reset(world.g.mmio);
	assert_int_equal(fake_guest_read(&world.g, FAKE_DEVICE_FEATURES),
			 (uint32_t)world.echo.vdev.offered);
	fake_guest_write(&world.g, FAKE_DEVICE_FEATURES_SEL, 1);
	fake_guest_write(&world.g, FAKE_STATUS, 0);
	assert_int_equal(fake_guest_read(&world.g, FAKE_DEVICE_FEATURES),
			 (uint32_t)(world.echo.vdev.offered >> 32));
	close_world(&world);
}

/* Two vCPUs at one device, whose thread is whoever has the lock. For ThreadSanitizer, too. */
struct crowd {
	struct fake_guest g;
	struct echo echo;
	pthread_mutex_t owner;
};

static void call_locked(void *ctx, void (*fn)(void *arg), void *arg)
{
	struct crowd *crowd = ctx;

	pthread_mutex_lock(&crowd->owner);
	fn(arg);
	pthread_mutex_unlock(&crowd->owner);
}

static void *hammer(void *arg)
{
	enum { ROUNDS = 2000 };
	struct crowd *crowd = arg;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		for (uint32_t offset = FAKE_DEVICE_FEATURES_SEL; offset < FAKE_QUEUE_READY;
		     offset += 4)
			fake_guest_write(&crowd->g, offset, i & 1);
		fake_guest_write(&crowd->g, FAKE_STATUS, i & 3);
		(void)fake_guest_read(&crowd->g, FAKE_DEVICE_FEATURES);
		(void)fake_guest_read(&crowd->g, FAKE_MAGIC);
	}
	return NULL;
}

static void two_vcpus_may_write_at_once(void **state)
{
	static struct crowd crowd;
	struct ram *ram = fake_ram_open(64 * MIB_BYTES);
	pthread_t other;

	(void)state;
	(void)pthread_mutex_init(&crowd.owner, NULL);
	echo_init(&crowd.echo, ram);
	fake_guest_init_calling(&crowd.g, ram, &crowd.echo.vdev, call_locked, &crowd);
	assert_int_equal(pthread_create(&other, NULL, hammer, &crowd), 0);
	(void)hammer(&crowd);
	(void)pthread_join(other, NULL);
	assert_int_equal(fake_guest_start(&crowd.g, 0, 8), 15);
	fake_guest_fini(&crowd.g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_cannot_tell_whether_lazy_writes_were_held_back),
		cmocka_unit_test(no_register_that_acts_is_lazy),
		cmocka_unit_test(setting_up_a_queue_goes_to_the_devices_thread_once),
		cmocka_unit_test(writes_without_end_are_all_done_in_order),
		cmocka_unit_test(a_machine_reset_forgets_what_waits_and_a_drivers_reset_does_not),
		cmocka_unit_test(two_vcpus_may_write_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
