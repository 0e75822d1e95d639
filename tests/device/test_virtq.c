/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_virtq.c - rings and chains of an obedient driver: what must work, and who wakes whom. */
#include "../support/testing.h"

#include <string.h>

#include "base/units.h"
#include "echo_device.h"

static void setup(struct fake_guest *g, struct echo *echo, uint64_t features, uint16_t num)
{
	struct ram *ram = fake_ram_open(64 * MIB_BYTES);

	echo_init(echo, ram);
	fake_guest_init(g, ram, &echo->vdev);
	assert_int_equal(fake_guest_start(g, features, num), 15);
}

static void echo_once(struct fake_guest *g, enum fake_layout layout)
{
	static const char text[] = "seven bytes and a few more";
	gpa_t from = fake_guest_alloc(g, 4096, 4096), to = fake_guest_alloc(g, 4096, 4096);
	uint32_t head, written;

	memcpy(fake_guest_at(g, from), text, sizeof(text));
	const struct fake_buf bufs[] = {
		{ from, 10, false },
		{ GPA(from.addr + 10), sizeof(text) - 10, false },
		{ to, 5, true },
		{ GPA(to.addr + 5), 100, true },
	};
	int added = fake_guest_add(g, 0, bufs, 4, layout);

	assert_true(added >= 0);
	(void)fake_guest_kick(g, 0);
	assert_true(fake_guest_reap(g, 0, &head, &written));
	assert_int_equal(head, added);
	assert_int_equal(written, sizeof(text));
	assert_memory_equal(fake_guest_at(g, to), text, sizeof(text));
	assert_false(fake_guest_reap(g, 0, &head, &written));
}

static void chains_come_back_with_their_data(void **state)
{
	static const uint64_t features[] = { 0, VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC,
					     VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC };

	(void)state;
	for (unsigned f = 0; f < ARRAY_LEN(features); f++) {
		struct fake_guest g;
		struct echo echo;

		setup(&g, &echo, features[f], 8);
		for (unsigned i = 0; i < 23000; i++) {
			g.next_alloc = 0x100000; /* reuse: 64 MiB would not do */
			echo_once(&g, FAKE_DIRECT);
			if (features[f] & VIRTIO_F_INDIRECT_DESC) {
				echo_once(&g, FAKE_INDIRECT);
				echo_once(&g, FAKE_MIXED);
			}
		}
		assert_int_equal(echo.vdev.breaks, 0);
		fake_guest_fini(&g);
	}
}

static uint16_t used_flags(struct fake_guest *g)
{
	return *(uint16_t *)fake_guest_at(g, g->queues[0].used);
}

static void add_one(struct fake_guest *g)
{
	const struct fake_buf buf = { fake_guest_alloc(g, 64, 64), 4, true };

	assert_true(fake_guest_add(g, 0, &buf, 1, FAKE_DIRECT) >= 0);
}

static void without_event_idx_the_device_asks_for_rings_only_when_it_has_looked(void **state)
{
	struct fake_guest g;
	struct echo echo;
	struct virtq_chain chain;

	(void)state;
	setup(&g, &echo, 0, 8);
	assert_int_equal(used_flags(&g), 0);
	add_one(&g);
	assert_true(virtio_next_chain(&echo.vdev, 0, &chain));
	assert_int_equal(used_flags(&g), 1);
	add_one(&g);
	assert_false(fake_guest_notify(&g, 0));
	assert_true(virtio_next_chain(&echo.vdev, 0, &chain));
	assert_false(virtio_next_chain(&echo.vdev, 0, &chain));
	assert_int_equal(used_flags(&g), 0);
	add_one(&g);
	assert_true(fake_guest_notify(&g, 0));
	fake_guest_fini(&g);
}

static void with_event_idx_the_device_asks_for_one_ring_per_sleep(void **state)
{
	struct fake_guest g;
	struct echo echo;
	struct virtq_chain chain;

	(void)state;
	setup(&g, &echo, VIRTIO_F_EVENT_IDX, 8);
	for (unsigned i = 0; i < 20000; i++) {
		g.next_alloc = 0x100000;
		add_one(&g);
		assert_true(fake_guest_notify(&g, 0)); /* it sleeps */
		add_one(&g);
		assert_false(fake_guest_notify(&g, 0)); /* it is awake, or will be */
		for (unsigned j = 0; j < 2; j++) {
			uint32_t head, written;

			echo.vdev.chains_left[0] = 2;
			assert_true(virtio_next_chain(&echo.vdev, 0, &chain));
			virtio_finish_chain(&echo.vdev, 0, &chain, 0);
			assert_true(fake_guest_reap(&g, 0, &head, &written));
		}
		echo.vdev.chains_left[0] = 1;
		assert_false(virtio_next_chain(&echo.vdev, 0, &chain));
	}
	assert_int_equal(used_flags(&g), 0);
	fake_guest_fini(&g);
}

/* How many of the next 8 completions interrupt when the driver asks for one at @event. */
static unsigned interrupts_until(struct fake_guest *g, uint16_t event)
{
	unsigned interrupts = 0;

	fake_guest_set_used_event(g, 0, event);
	for (unsigned i = 0; i < 8; i++) {
		echo_once(g, FAKE_DIRECT);
		interrupts += fake_guest_interrupt(g) != 0;
	}
	return interrupts;
}

static void with_event_idx_the_driver_is_interrupted_where_it_asked(void **state)
{
	struct fake_guest g;
	struct echo echo;

	(void)state;
	setup(&g, &echo, VIRTIO_F_EVENT_IDX, 8);
	for (unsigned i = 0; i < 10000; i++) { /* past the wrap of the index */
		uint16_t seen = g.queues[0].used_seen;

		g.next_alloc = 0x100000;
		assert_int_equal(interrupts_until(&g, (uint16_t)(seen + i % 8)), 1);
		assert_int_equal(interrupts_until(&g, seen), 0);
		assert_int_equal(interrupts_until(&g, (uint16_t)(seen + 1000)), 0);
	}
	fake_guest_fini(&g);
}

static void without_event_idx_the_driver_can_ask_for_silence(void **state)
{
	struct fake_guest g;
	struct echo echo;

	(void)state;
	setup(&g, &echo, 0, 8);
	uint16_t *avail_flags = fake_guest_at(&g, g.queues[0].avail);

	echo_once(&g, FAKE_DIRECT);
	assert_int_equal(fake_guest_interrupt(&g), FAKE_INTERRUPT_QUEUE);
	*avail_flags = 1;
	echo_once(&g, FAKE_DIRECT);
	assert_int_equal(fake_guest_interrupt(&g), 0);
	*avail_flags = 0;
	echo_once(&g, FAKE_DIRECT);
	assert_int_equal(fake_guest_interrupt(&g), FAKE_INTERRUPT_QUEUE);
	fake_guest_fini(&g);
}

/* 2^16 completions without a decision: the index is where it was, and yet all are new. */
static void a_whole_lap_of_the_used_index_is_not_overlooked(void **state)
{
	struct fake_guest g;
	struct echo echo;
	struct virtq_chain chain;
	uint32_t head, written;

	(void)state;
	setup(&g, &echo, VIRTIO_F_EVENT_IDX, 8);
	fake_guest_set_used_event(&g, 0, 5);
	for (unsigned i = 0; i < 65536; i++) {
		g.next_alloc = 0x100000;
		add_one(&g);
		echo.vdev.chains_left[0] = 1;
		assert_true(virtio_next_chain(&echo.vdev, 0, &chain));
		virtio_finish_chain(&echo.vdev, 0, &chain, 0);
		assert_true(fake_guest_reap(&g, 0, &head, &written));
	}
	assert_int_equal(fake_guest_used_idx(&g, 0), 0);
	virtio_interrupt_queue(&echo.vdev, 0);
	assert_int_equal(fake_guest_interrupt(&g), FAKE_INTERRUPT_QUEUE);
	fake_guest_fini(&g);
}

static void chains_offered_before_driver_ok_are_served(void **state)
{
	struct fake_guest g;
	struct echo echo;
	struct ram *ram = fake_ram_open(64 * MIB_BYTES);
	uint32_t head, written;

	(void)state;
	echo_init(&echo, ram);
	fake_guest_init(&g, ram, &echo.vdev);
	assert_int_equal(fake_guest_negotiate(&g, 0), 11);
	fake_guest_alloc_queue(&g, 0, 8);
	fake_guest_program_queue(&g, 0);
	add_one(&g);
	assert_int_equal(fake_guest_driver_ok(&g), 15);
	assert_true(fake_guest_reap(&g, 0, &head, &written));
	fake_guest_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_come_back_with_their_data),
		cmocka_unit_test(
			without_event_idx_the_device_asks_for_rings_only_when_it_has_looked),
		cmocka_unit_test(with_event_idx_the_device_asks_for_one_ring_per_sleep),
		cmocka_unit_test(with_event_idx_the_driver_is_interrupted_where_it_asked),
		cmocka_unit_test(without_event_idx_the_driver_can_ask_for_silence),
		cmocka_unit_test(a_whole_lap_of_the_used_index_is_not_overlooked),
		cmocka_unit_test(chains_offered_before_driver_ok_are_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
