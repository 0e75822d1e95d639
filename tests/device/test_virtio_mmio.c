/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_virtio_mmio.c - the register file: what a driver reads, and every access that it must not
 * make. MM09 (empty slots, ports nobody has) is test_bus.c's.
 */
#include "../support/testing.h"

#include <string.h>

#include "base/fd.h"
#include "base/units.h"
#include "device/bus.h"
#include "echo_device.h"

enum {
	NUM = 8,
	RUNNING = 15,
	BROKEN = VIRTIO_STATUS_NEEDS_RESET,
	FAILED = VIRTIO_STATUS_FAILED,
	FIRST_OFFSET = offsetof(struct echo_config, first),
	SECOND_OFFSET = offsetof(struct echo_config, second),
	WRITTEN_OFFSET = offsetof(struct echo_config, written),
	CONFIG_BYTES = WRITTEN_OFFSET + 4,
};

#define ALL_FEATURES (VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC)

struct fixture {
	struct fake_guest g;
	struct echo echo;
};

static void open_fixture(struct fixture *f)
{
	struct ram *ram = fake_ram_open(4 * GIB_BYTES);

	echo_init(&f->echo, ram);
	fake_guest_init(&f->g, ram, &f->echo.vdev);
}

static void close_fixture(struct fixture *f)
{
	fake_guest_fini(&f->g);
}

static void read_bytes(struct fixture *f, uint64_t offset, void *data, uint32_t len)
{
	virtio_mmio_bus_ops.read(f->g.mmio, offset, data, len);
}

static void write_bytes(struct fixture *f, uint64_t offset, const void *data, uint32_t len)
{
	virtio_mmio_bus_ops.write(f->g.mmio, offset, data, len);
}

static uint8_t status(struct fixture *f)
{
	return (uint8_t)fake_guest_read(&f->g, FAKE_STATUS);
}

/* Lazy writes reach the device with the next access that is for it. */
static void settle(struct fixture *f)
{
	(void)fake_guest_read(&f->g, FAKE_QUEUE_READY);
}

static void expect_works(struct fixture *f)
{
	gpa_t from = fake_guest_alloc(&f->g, 64, 64);
	const struct fake_buf bufs[] = { { from, 4, false }, { GPA(from.addr + 8), 4, true } };
	uint32_t head, written;

	assert_int_equal(fake_guest_start(&f->g, ALL_FEATURES, NUM), RUNNING);
	(void)fake_guest_add(&f->g, 1, bufs, 2, FAKE_DIRECT);
	(void)fake_guest_kick(&f->g, 1);
	assert_true(fake_guest_reap(&f->g, 1, &head, &written));
	assert_int_equal(written, 4);
}

static void a_driver_finds_what_the_specification_says(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	assert_int_equal(fake_guest_read(&f.g, FAKE_MAGIC), 0x74726976);
	assert_int_equal(fake_guest_read(&f.g, FAKE_VERSION), 2);
	assert_int_equal(fake_guest_read(&f.g, FAKE_DEVICE_ID), VIRTIO_ID_BLOCK);
	assert_int_equal(fake_guest_read(&f.g, FAKE_STATUS), 0);
	assert_int_equal(fake_guest_read(&f.g, FAKE_DEVICE_FEATURES), 1u << 28 | 1u << 29 | 1);
	fake_guest_write(&f.g, FAKE_DEVICE_FEATURES_SEL, 1);
	assert_int_equal(fake_guest_read(&f.g, FAKE_DEVICE_FEATURES), 1);
	assert_int_equal(fake_guest_read(&f.g, FAKE_QUEUE_NUM_MAX), VIRTQ_MAX_SIZE);
	fake_guest_write(&f.g, FAKE_QUEUE_SEL, 2);
	assert_int_equal(fake_guest_read(&f.g, FAKE_QUEUE_NUM_MAX), 0);
	fake_guest_write(&f.g, FAKE_SHM_SEL, 0);
	assert_int_equal(fake_guest_read(&f.g, FAKE_SHM_LEN_LOW), UINT32_MAX);
	assert_int_equal(fake_guest_read(&f.g, FAKE_SHM_LEN_HIGH), UINT32_MAX);
	assert_int_equal(fake_guest_read(&f.g, FAKE_SHM_BASE_LOW), UINT32_MAX);
	assert_int_equal(fake_guest_read(&f.g, FAKE_SHM_BASE_HIGH), UINT32_MAX);
	expect_works(&f);
	close_fixture(&f);
}

static void interrupts_are_set_signalled_and_acknowledged(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	expect_works(&f);
	assert_int_equal(fake_guest_interrupt(&f.g), FAKE_INTERRUPT_QUEUE);
	assert_int_equal(fake_guest_read(&f.g, FAKE_INTERRUPT_STATUS), 0);

	f.echo.config.first = 1;
	virtio_config_changed(&f.echo.vdev);
	assert_true(event_drain(f.g.irq_fd));
	virtio_mmio_reassert(f.g.mmio); /* the pin was masked: the guest saw nothing */
	assert_int_equal(fake_guest_interrupt(&f.g), FAKE_INTERRUPT_CONFIG);
	virtio_mmio_reassert(f.g.mmio);
	assert_int_equal(fake_guest_interrupt(&f.g), 0);
	close_fixture(&f);
}

static void a_reset_forgets_interrupts_and_doorbells(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	expect_works(&f);
	fake_guest_write(&f.g, FAKE_QUEUE_NOTIFY, 0);
	virtio_mmio_reset(f.g.mmio);
	assert_int_equal(fake_guest_read(&f.g, FAKE_INTERRUPT_STATUS), 0);
	assert_int_equal(fake_guest_run(&f.g, 10), 0);
	assert_int_equal(status(&f), 0);
	expect_works(&f);
	close_fixture(&f);
}

static void MM01_03_only_aligned_words_reach_control_registers(void **state)
{
	static const uint32_t lengths[] = { 1, 2, 4, 8 };
	static const uint8_t zeros[8], ones[8] = { 255, 255, 255, 255, 255, 255, 255, 255 };
	struct fixture f;

	(void)state;
	open_fixture(&f);
	expect_works(&f);
	for (uint64_t offset = 0; offset < FAKE_CONFIG; offset++)
		for (unsigned i = 0; i < ARRAY_LEN(lengths); i++) {
			uint8_t seen[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

			if (lengths[i] == 4 && offset % 4 == 0)
				continue;
			read_bytes(&f, offset, seen, lengths[i]);
			assert_memory_equal(seen, zeros, lengths[i]);
			write_bytes(&f, offset, zeros, lengths[i]); /* Status = 0 is a reset */
			write_bytes(&f, offset, ones, lengths[i]);
		}
	assert_int_equal(status(&f), RUNNING);
	assert_int_equal(f.echo.resets, 1);
	assert_int_equal(fake_guest_run(&f.g, 10), 0);
	close_fixture(&f);
}

static void MM04_write_only_registers_read_zero_and_read_only_ones_ignore_writes(void **state)
{
	static const uint32_t write_only[] = {
		FAKE_DEVICE_FEATURES_SEL, FAKE_DRIVER_FEATURES,	  FAKE_DRIVER_FEATURES_SEL,
		FAKE_QUEUE_SEL,		  FAKE_QUEUE_NUM,	  FAKE_QUEUE_NOTIFY,
		FAKE_INTERRUPT_ACK,	  FAKE_QUEUE_DESC_LOW,	  FAKE_QUEUE_DESC_HIGH,
		FAKE_QUEUE_DRIVER_LOW,	  FAKE_QUEUE_DRIVER_HIGH, FAKE_QUEUE_DEVICE_LOW,
		FAKE_QUEUE_DEVICE_HIGH,	  FAKE_SHM_SEL,		  FAKE_QUEUE_RESET,
	};
	static const uint32_t read_only[] = {
		FAKE_MAGIC,
		FAKE_VERSION,
		FAKE_DEVICE_ID,
		FAKE_VENDOR_ID,
		FAKE_DEVICE_FEATURES,
		FAKE_QUEUE_NUM_MAX,
		FAKE_INTERRUPT_STATUS,
		FAKE_SHM_LEN_LOW,
		FAKE_SHM_LEN_HIGH,
		FAKE_SHM_BASE_LOW,
		FAKE_SHM_BASE_HIGH,
		FAKE_CONFIG_GENERATION,
	};
	struct fixture f;

	(void)state;
	open_fixture(&f);
	expect_works(&f);
	for (unsigned i = 0; i < ARRAY_LEN(write_only); i++)
		assert_int_equal(fake_guest_read(&f.g, write_only[i]), 0);
	for (unsigned i = 0; i < ARRAY_LEN(read_only); i++) {
		uint32_t before = fake_guest_read(&f.g, read_only[i]);

		fake_guest_write(&f.g, read_only[i], ~before);
		assert_int_equal(fake_guest_read(&f.g, read_only[i]), before);
	}
	for (uint32_t offset = 0; offset < FAKE_CONFIG; offset += 4) /* holes in the map too */
		if (offset != FAKE_STATUS)
			fake_guest_write(&f.g, offset, 0xdeadbeef);
	assert_int_equal(status(&f), RUNNING);
	close_fixture(&f);
}

static void MM05_selectors_out_of_range_select_nothing(void **state)
{
	static const uint32_t selectors[] = { 2, 8, 255, 256, 0x10000, 0x80000000, 0xffffffff };
	struct fixture f;

	(void)state;
	open_fixture(&f);
	for (unsigned i = 0; i < ARRAY_LEN(selectors); i++) {
		fake_guest_write(&f.g, FAKE_STATUS, 0);
		fake_guest_write(&f.g, FAKE_STATUS, 1);
		fake_guest_write(&f.g, FAKE_STATUS, 3);
		fake_guest_write(&f.g, FAKE_DEVICE_FEATURES_SEL, selectors[i]);
		assert_int_equal(fake_guest_read(&f.g, FAKE_DEVICE_FEATURES), 0);
		fake_guest_write(&f.g, FAKE_DRIVER_FEATURES_SEL, selectors[i]);
		fake_guest_write(&f.g, FAKE_DRIVER_FEATURES, 0xffffffff);
		settle(&f);
		assert_int_equal(f.echo.vdev.negotiated, 0);
		assert_int_equal(fake_guest_negotiate(&f.g, 0), 11);
		fake_guest_write(&f.g, FAKE_QUEUE_SEL, selectors[i]);
		for (uint32_t offset = FAKE_QUEUE_NUM_MAX; offset < FAKE_SHM_SEL; offset += 4)
			if (offset != FAKE_STATUS) {
				fake_guest_write(&f.g, offset, 8);
				if (offset <= FAKE_QUEUE_READY)
					assert_int_equal(fake_guest_read(&f.g, offset), 0);
			}
		fake_guest_write(&f.g, FAKE_SHM_SEL, selectors[i]);
		assert_int_equal(fake_guest_read(&f.g, FAKE_SHM_LEN_LOW), UINT32_MAX);
	}
	expect_works(&f);
	close_fixture(&f);
}

/* Bring the device into @wanted, one of the states that can be reached. */
static void enter(struct fixture *f, uint8_t wanted)
{
	uint8_t base = wanted & (uint8_t) ~(BROKEN | FAILED);

	fake_guest_write(&f->g, FAKE_STATUS, 0);
	if (base >= 1)
		fake_guest_write(&f->g, FAKE_STATUS, 1);
	if (base >= 3)
		fake_guest_write(&f->g, FAKE_STATUS, 3);
	if (base >= 11)
		(void)fake_guest_negotiate(&f->g, 0);
	if (base >= RUNNING)
		(void)fake_guest_driver_ok(&f->g);
	if (wanted & BROKEN)
		virtio_break(&f->echo.vdev, "a test wants it");
	if (wanted & FAILED)
		fake_guest_write(&f->g, FAKE_STATUS, base | FAILED);
	assert_int_equal(status(f), wanted);
}

static uint8_t expected_status(uint8_t from, uint32_t written)
{
	if (written == 0)
		return 0;
	if (written > 255)
		return from;
	if (written & FAILED)
		return from | FAILED;
	if ((from == 0 && written == 1) || (from == 1 && written == 3) ||
	    (from == 11 && written == RUNNING))
		return (uint8_t)written;
	return from; /* 3 -> 11 as well: VERSION_1 is not acknowledged in that state here */
}

static void MM06_only_the_legal_edges_of_the_status_work(void **state)
{
	static const uint8_t states[] = { 0,
					  1,
					  3,
					  11,
					  RUNNING,
					  RUNNING | BROKEN,
					  FAILED,
					  1 | FAILED,
					  3 | FAILED,
					  11 | FAILED,
					  RUNNING | FAILED,
					  RUNNING | BROKEN | FAILED };
	struct fixture f;

	(void)state;
	open_fixture(&f);
	for (unsigned i = 0; i < ARRAY_LEN(states); i++)
		for (uint32_t written = 0; written < 256; written++) {
			enter(&f, states[i]);
			fake_guest_write(&f.g, FAKE_STATUS, written);
			assert_int_equal(status(&f), expected_status(states[i], written));
			enter(&f, states[i]);
			fake_guest_write(&f.g, FAKE_STATUS, written | 0x100);
			fake_guest_write(&f.g, FAKE_STATUS, written | 0x80000000);
			assert_int_equal(status(&f), states[i]);
			if (states[i] & (FAILED | BROKEN))
				assert_false(f.echo.vdev.active);
		}
	expect_works(&f);
	close_fixture(&f);
}

static void without_version_1_features_ok_does_not_stick(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	enter(&f, 3);
	fake_guest_write(&f.g, FAKE_STATUS, 11);
	assert_int_equal(status(&f), 3);
	/* It may try again with other features. */
	fake_guest_write(&f.g, FAKE_DRIVER_FEATURES_SEL, 1);
	fake_guest_write(&f.g, FAKE_DRIVER_FEATURES, 1);
	fake_guest_write(&f.g, FAKE_STATUS, 11);
	assert_int_equal(status(&f), 11);
	/* And they are final then. */
	fake_guest_write(&f.g, FAKE_DRIVER_FEATURES, 0xffffffff);
	assert_int_equal(f.echo.vdev.negotiated, VIRTIO_F_VERSION_1);
	close_fixture(&f);
}

static void a_device_that_cannot_start_needs_a_reset(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	f.echo.refuse_to_start = true;
	assert_int_equal(fake_guest_start(&f.g, 0, NUM), RUNNING | BROKEN);
	assert_int_equal(fake_guest_interrupt(&f.g), FAKE_INTERRUPT_CONFIG);
	f.echo.refuse_to_start = false;
	expect_works(&f);
	close_fixture(&f);
}

static void MM07_configuration_past_its_end_reads_zero_and_ignores_writes(void **state)
{
	static const uint32_t lengths[] = { 1, 2, 4, 8 };
	static const uint8_t zeros[8];
	struct fixture f;

	(void)state;
	open_fixture(&f);
	memset(&f.echo.config, 0xa5, sizeof(f.echo.config));
	for (uint64_t offset = 0; offset < VIRTIO_MMIO_BYTES - FAKE_CONFIG; offset++)
		for (unsigned i = 0; i < ARRAY_LEN(lengths); i++) {
			uint8_t seen[8] = { 0 }, inside[8];
			uint32_t written_before = f.echo.config.written;
			unsigned writes_before = f.echo.config_writes;
			bool is_inside = offset + lengths[i] <= CONFIG_BYTES;

			if (FAKE_CONFIG + offset + lengths[i] > VIRTIO_MMIO_BYTES)
				continue;
			read_bytes(&f, FAKE_CONFIG + offset, seen, lengths[i]);
			memset(inside, 0xa5, sizeof(inside));
			assert_memory_equal(seen, is_inside ? inside : zeros, lengths[i]);
			write_bytes(&f, FAKE_CONFIG + offset, zeros, lengths[i]);
			assert_int_equal(f.echo.config_writes - writes_before,
					 is_inside && offset % lengths[i] == 0);
			if (offset == WRITTEN_OFFSET && lengths[i] == 4)
				assert_int_equal(f.echo.config.written, 0);
			else
				assert_int_equal(f.echo.config.written, written_before);
			f.echo.config.written = 0xa5a5a5a5;
		}
	close_fixture(&f);
}

/* Any number of changes between the two halves of a read, announced or not, change the generation
 * unless the halves belong together all the same. */
static void MM07_a_torn_64_bit_field_shows_in_the_generation(void **state)
{
	struct fixture f;
	struct test_random random = test_random_start();
	unsigned torn = 0;

	(void)state;
	open_fixture(&f);
	expect_works(&f);
	for (unsigned round = 0; round < 20000; round++) {
		uint32_t generation = fake_guest_read(&f.g, FAKE_CONFIG_GENERATION);
		uint64_t low = fake_guest_read_config32(&f.g, SECOND_OFFSET);

		for (uint64_t n = test_random_below(&random, 3); n > 0; n--) {
			f.echo.config.second =
				test_random_below(&random, 2) * UINT64_C(0x100000001);
			if (test_random_below(&random, 2))
				virtio_config_changed(&f.echo.vdev);
		}
		uint64_t high = fake_guest_read_config32(&f.g, SECOND_OFFSET + 4);

		if (low != high) {
			torn++;
			assert_int_not_equal(fake_guest_read(&f.g, FAKE_CONFIG_GENERATION),
					     generation);
		}
	}
	assert_true(torn > 1000);
	close_fixture(&f);
}

static void the_generation_stands_still_while_nothing_changes(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	uint32_t generation = fake_guest_read(&f.g, FAKE_CONFIG_GENERATION);

	(void)fake_guest_read_config32(&f.g, FIRST_OFFSET);
	virtio_config_changed(&f.echo.vdev);
	assert_int_equal(fake_guest_read(&f.g, FAKE_CONFIG_GENERATION), generation);
	close_fixture(&f);
}

static void MM08_acknowledging_undefined_interrupts_is_ignored(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	expect_works(&f);
	virtio_config_changed(&f.echo.vdev);
	assert_int_equal(fake_guest_read(&f.g, FAKE_INTERRUPT_STATUS), 3);
	fake_guest_write(&f.g, FAKE_INTERRUPT_ACK, 0xfffffffc);
	assert_int_equal(fake_guest_read(&f.g, FAKE_INTERRUPT_STATUS), 3);
	fake_guest_write(&f.g, FAKE_INTERRUPT_ACK, 0xfffffffe);
	assert_int_equal(fake_guest_read(&f.g, FAKE_INTERRUPT_STATUS), 1);
	fake_guest_write(&f.g, FAKE_INTERRUPT_ACK, 0xffffffff);
	assert_int_equal(fake_guest_read(&f.g, FAKE_INTERRUPT_STATUS), 0);
	close_fixture(&f);
}

/* FEATURES_OK with good queues allocated but not programmed. */
static void prepare(struct fixture *f)
{
	assert_int_equal(fake_guest_negotiate(&f->g, ALL_FEATURES), 11);
	for (unsigned i = 0; i < 2; i++)
		fake_guest_alloc_queue(&f->g, i, NUM);
}

/* What was set up makes DRIVER_OK break the device; a reset heals it. */
static void expect_break_at_driver_ok(struct fixture *f)
{
	uint64_t breaks = f->echo.vdev.breaks;
	unsigned activations = f->echo.activations;

	for (unsigned i = 0; i < 2; i++)
		fake_guest_program_queue(&f->g, i);
	assert_int_equal(fake_guest_driver_ok(&f->g), RUNNING | BROKEN);
	assert_int_equal(f->echo.vdev.breaks, breaks + 1);
	assert_int_equal(f->echo.activations, activations);
	assert_true(fake_guest_interrupt(&f->g) & FAKE_INTERRUPT_CONFIG);
	fake_guest_ring(&f->g, 0);
	fake_guest_ring(&f->g, 1);
	expect_works(f);
}

static void VQ22_queue_sizes_that_cannot_be_served_break_at_driver_ok(void **state)
{
	static const uint32_t sizes[] = { 0, 3, 6, 257, 512, 0x8000, 65535, 0x10008, 0xffffffff };
	struct fixture f;

	(void)state;
	open_fixture(&f);
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		prepare(&f);
		fake_guest_write(&f.g, FAKE_QUEUE_SEL, 0);
		fake_guest_write(&f.g, FAKE_QUEUE_NUM, NUM); /* even after a good one */
		fake_guest_write(&f.g, FAKE_QUEUE_NUM, sizes[i]);
		settle(&f);
		assert_int_equal(f.echo.vdev.queues[0].num, 0);
		f.g.queues[0].num = 0;
		expect_break_at_driver_ok(&f);
	}
	close_fixture(&f);
}

static void each_power_of_two_up_to_the_maximum_is_served(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	for (unsigned num = 1; num <= VIRTQ_MAX_SIZE; num *= 2) {
		const struct fake_buf buf = { fake_guest_alloc(&f.g, 64, 64), 4, true };

		assert_int_equal(fake_guest_start(&f.g, ALL_FEATURES, (uint16_t)num), RUNNING);
		for (unsigned i = 0; i < num; i++)
			assert_true(fake_guest_add(&f.g, 0, &buf, 1, FAKE_DIRECT) >= 0);
		(void)fake_guest_kick(&f.g, 0);
		assert_int_equal(fake_guest_used_idx(&f.g, 0), num);
	}
	close_fixture(&f);
}

static void VQ23_unaligned_rings_break_at_driver_ok(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	for (uint64_t off = 1; off < 16; off++) {
		prepare(&f);
		f.g.queues[0].desc.addr += off;
		expect_break_at_driver_ok(&f);
	}
	prepare(&f);
	f.g.queues[0].avail.addr += 1;
	expect_break_at_driver_ok(&f);
	for (uint64_t off = 1; off < 4; off++) {
		prepare(&f);
		f.g.queues[1].used.addr += off;
		expect_break_at_driver_ok(&f);
	}
	close_fixture(&f);
}

static void VQ24_rings_that_are_not_ram_break_at_driver_ok(void **state)
{
	static const uint64_t addrs[] = {
		UINT64_MAX - 15,    /* wraps */
		UINT64_C(1) << 63,  /* outside */
		5 * GIB_BYTES,	    /* just outside */
		0xd0000000,	    /* its own registers */
		3 * GIB_BYTES,	    /* the hole */
		3 * GIB_BYTES - 16, /* straddles the hole's start */
		4 * GIB_BYTES - 16, /* and its end */
		5 * GIB_BYTES - 16, /* RAM's end */
	};
	struct fixture f;

	(void)state;
	open_fixture(&f);
	for (unsigned i = 0; i < ARRAY_LEN(addrs); i++) {
		prepare(&f);
		f.g.queues[0].desc = GPA(addrs[i]);
		expect_break_at_driver_ok(&f);
		prepare(&f);
		f.g.queues[1].avail = GPA(addrs[i]);
		expect_break_at_driver_ok(&f);
		prepare(&f);
		f.g.queues[1].used = GPA(addrs[i]);
		expect_break_at_driver_ok(&f);
	}
	close_fixture(&f);
}

static void VQ25_rings_that_overlap_break_at_driver_ok(void **state)
{
	/* Of desc, avail and used with NUM descriptors */
	static const uint64_t len_bytes[] = { UINT64_C(16) * NUM, 6 + UINT64_C(2) * NUM,
					      6 + UINT64_C(8) * NUM };
	static const uint64_t align[] = { 16, 2, 4 };
	struct fixture f;

	(void)state;
	open_fixture(&f);
	for (unsigned pair = 0; pair < 36; pair++) {
		gpa_t *areas[] = { &f.g.queues[0].desc, &f.g.queues[0].avail, &f.g.queues[0].used,
				   &f.g.queues[1].desc, &f.g.queues[1].avail, &f.g.queues[1].used };
		unsigned a = pair / 6, b = pair % 6;

		if (a == b)
			continue;
		prepare(&f);
		/* Only the last bytes of b are shared: the last place that a's alignment allows. */
		uint64_t last = areas[b]->addr + len_bytes[b % 3] - 1;

		areas[a]->addr = align_down(last, align[a % 3]);
		expect_break_at_driver_ok(&f);
	}
	close_fixture(&f);
}

static void rings_that_touch_but_do_not_overlap_work(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	prepare(&f);
	for (unsigned i = 0; i < 2; i++) {
		struct fake_queue *q = &f.g.queues[i];
		uint64_t at =
			3 * GIB_BYTES - 4096 + i * UINT64_C(256); /* desc 128, avail 22, used 70 */

		q->desc = GPA(at);
		q->avail = GPA(at + 128);
		q->used = GPA(at + 128 + 24);
		fake_guest_program_queue(&f.g, i);
	}
	assert_int_equal(fake_guest_driver_ok(&f.g), RUNNING);
	close_fixture(&f);
}

static void VQ29_queue_registers_are_closed_once_the_device_runs(void **state)
{
	struct fixture f;
	struct virtq before;
	uint32_t head, written;

	(void)state;
	open_fixture(&f);
	assert_int_equal(fake_guest_start(&f.g, ALL_FEATURES, NUM), RUNNING);
	const struct fake_buf buf = { fake_guest_alloc(&f.g, 64, 64), 4, true };

	fake_guest_write(&f.g, FAKE_QUEUE_SEL, 0);
	before = f.echo.vdev.queues[0];
	for (uint32_t offset = FAKE_QUEUE_NUM; offset <= FAKE_QUEUE_RESET; offset += 4)
		if (offset != FAKE_STATUS && offset != FAKE_QUEUE_NOTIFY)
			for (uint32_t value = 0; value < 3; value++)
				fake_guest_write(&f.g, offset, value);
	settle(&f);
	assert_memory_equal(&before, &f.echo.vdev.queues[0], sizeof(before));
	assert_int_equal(fake_guest_read(&f.g, FAKE_QUEUE_READY), 1);
	(void)fake_guest_add(&f.g, 0, &buf, 1, FAKE_DIRECT);
	(void)fake_guest_kick(&f.g, 0);
	assert_true(fake_guest_reap(&f.g, 0, &head, &written));
	close_fixture(&f);
}

static void queue_registers_are_closed_before_features_ok_and_while_ready(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	for (uint8_t at = 0; at <= 3; at = (uint8_t)(at * 2 + 1)) { /* 0, 1, 3 */
		enter(&f, at);
		fake_guest_write(&f.g, FAKE_QUEUE_NUM, NUM);
		fake_guest_write(&f.g, FAKE_QUEUE_READY, 1);
		assert_int_equal(f.echo.vdev.queues[0].num, 0);
		assert_int_equal(fake_guest_read(&f.g, FAKE_QUEUE_READY), 0);
	}
	prepare(&f);
	fake_guest_program_queue(&f.g, 0);
	fake_guest_write(&f.g, FAKE_QUEUE_NUM, 2);
	fake_guest_write(&f.g, FAKE_QUEUE_DESC_LOW, 0);
	settle(&f);
	assert_int_equal(f.echo.vdev.queues[0].num, NUM);
	assert_int_equal(f.echo.vdev.queues[0].desc.addr, f.g.queues[0].desc.addr);
	fake_guest_write(&f.g, FAKE_QUEUE_READY, 0);
	fake_guest_write(&f.g, FAKE_QUEUE_NUM, 2);
	settle(&f);
	assert_int_equal(f.echo.vdev.queues[0].num, 2);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_driver_finds_what_the_specification_says),
		cmocka_unit_test(interrupts_are_set_signalled_and_acknowledged),
		cmocka_unit_test(a_reset_forgets_interrupts_and_doorbells),
		cmocka_unit_test(MM01_03_only_aligned_words_reach_control_registers),
		cmocka_unit_test(
			MM04_write_only_registers_read_zero_and_read_only_ones_ignore_writes),
		cmocka_unit_test(MM05_selectors_out_of_range_select_nothing),
		cmocka_unit_test(MM06_only_the_legal_edges_of_the_status_work),
		cmocka_unit_test(without_version_1_features_ok_does_not_stick),
		cmocka_unit_test(a_device_that_cannot_start_needs_a_reset),
		cmocka_unit_test(MM07_configuration_past_its_end_reads_zero_and_ignores_writes),
		cmocka_unit_test(MM07_a_torn_64_bit_field_shows_in_the_generation),
		cmocka_unit_test(the_generation_stands_still_while_nothing_changes),
		cmocka_unit_test(MM08_acknowledging_undefined_interrupts_is_ignored),
		cmocka_unit_test(VQ22_queue_sizes_that_cannot_be_served_break_at_driver_ok),
		cmocka_unit_test(each_power_of_two_up_to_the_maximum_is_served),
		cmocka_unit_test(VQ23_unaligned_rings_break_at_driver_ok),
		cmocka_unit_test(VQ24_rings_that_are_not_ram_break_at_driver_ok),
		cmocka_unit_test(VQ25_rings_that_overlap_break_at_driver_ok),
		cmocka_unit_test(rings_that_touch_but_do_not_overlap_work),
		cmocka_unit_test(VQ29_queue_registers_are_closed_once_the_device_runs),
		cmocka_unit_test(queue_registers_are_closed_before_features_ok_and_while_ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
