/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_virtq_hostile.c - rings and chains that no driver would make.
 *
 * "Breaks" below is one verdict, checked whole each time: DEVICE_NEEDS_RESET with a configuration
 * interrupt and a reason; nothing is given back and the ring is left alone from then on; another
 * device of the same guest goes on; after a reset the device works again.
 */
#include "../support/testing.h"

#include <string.h>

#include "base/units.h"
#include "echo_device.h"
#include "memory/discard.h"

enum { NUM = 8, RUNNING = 15 };

#define RAM_BYTES    (4 * GIB_BYTES) /* 3 GiB, the hole, and 1 GiB above it */
#define OTHER_BYTES  (GIB_BYTES)     /* from here on the other device's driver allocates */
#define ALL_FEATURES (VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC)

struct fixture {
	struct fake_guest g;
	struct echo echo;
	gpa_t data;		   /* a page */
	struct fake_guest other_g; /* another device in the same RAM */
	struct echo other;
};

static void open_fixture(struct fixture *f, uint64_t features)
{
	struct ram *ram = fake_ram_open(RAM_BYTES);

	echo_init(&f->echo, ram);
	fake_guest_init(&f->g, ram, &f->echo.vdev);
	assert_int_equal(fake_guest_start(&f->g, features, NUM), RUNNING);
	f->data = fake_guest_alloc(&f->g, GUEST_PAGE_BYTES, GUEST_PAGE_BYTES);
	echo_init(&f->other, ram);
	fake_guest_init(&f->other_g, ram, &f->other.vdev);
	f->other_g.next_alloc = OTHER_BYTES;
	assert_int_equal(fake_guest_start(&f->other_g, features, NUM), RUNNING);
}

static void close_fixture(struct fixture *f)
{
	f->other_g.ram = NULL; /* it is g's */
	fake_guest_fini(&f->other_g);
	fake_guest_fini(&f->g);
}

static void put(struct fixture *f, unsigned at, gpa_t addr, uint32_t len_bytes, unsigned flags,
		unsigned next)
{
	fake_guest_put_desc(&f->g, 0, (uint16_t)at,
			    (struct fake_desc){ addr.addr, len_bytes, (uint16_t)flags,
						(uint16_t)next });
}

/* A good chain on @queue comes back. */
static void expect_echo_of(struct fake_guest *g, unsigned queue)
{
	gpa_t from = fake_guest_alloc(g, 64, 64), to = fake_guest_alloc(g, 64, 64);
	const struct fake_buf bufs[] = { { from, 4, false }, { to, 4, true } };
	uint32_t head, written;

	memcpy(fake_guest_at(g, from), "good", 4);
	assert_true(fake_guest_add(g, queue, bufs, 2, FAKE_DIRECT) >= 0);
	fake_guest_ring(g, queue);
	assert_true(fake_guest_reap(g, queue, &head, &written));
	assert_int_equal(written, 4);
	assert_memory_equal(fake_guest_at(g, to), "good", 4);
}

static void expect_echo(struct fixture *f, unsigned queue)
{
	expect_echo_of(&f->g, queue);
}

static void expect_works_after_reset(struct fixture *f)
{
	assert_int_equal(fake_guest_start(&f->g, f->g.features, NUM), RUNNING);
	expect_echo(f, 0);
	expect_echo(f, 1);
}

/* Rings and expects the whole verdict. */
static void expect_break(struct fixture *f)
{
	uint16_t used_before = fake_guest_used_idx(&f->g, 0);
	uint64_t breaks_before = f->echo.vdev.breaks;

	(void)fake_guest_interrupt(&f->g);
	fake_guest_ring(&f->g, 0);
	assert_int_equal(fake_guest_read(&f->g, FAKE_STATUS), RUNNING | VIRTIO_STATUS_NEEDS_RESET);
	assert_true(fake_guest_interrupt(&f->g) & FAKE_INTERRUPT_CONFIG);
	assert_int_equal(f->echo.vdev.breaks, breaks_before + 1);
	assert_non_null(f->echo.vdev.break_reason);
	assert_int_equal(fake_guest_used_idx(&f->g, 0), used_before);

	/* The ring is left alone, even when what is in it is good by now. */
	put(f, 0, f->data, 4, 0, 0);
	fake_guest_offer(&f->g, 0, 0);
	fake_guest_ring(&f->g, 0);
	assert_int_equal(fake_guest_used_idx(&f->g, 0), used_before);
	assert_int_equal(fake_guest_interrupt(&f->g), 0);
	assert_int_equal(f->echo.vdev.breaks, breaks_before + 1);
	expect_echo_of(&f->other_g, 0);
	expect_works_after_reset(f);
}

/* Rings, and the chain is answered with @written bytes. */
static void expect_served(struct fixture *f, uint32_t written_bytes)
{
	struct fake_queue *q = &f->g.queues[0];
	const struct fake_used *used =
		(const struct fake_used *)(const void *)((uint8_t *)fake_guest_at(&f->g, q->used) +
							 4);
	uint16_t used_before = fake_guest_used_idx(&f->g, 0);

	fake_guest_ring(&f->g, 0);
	assert_int_equal(fake_guest_read(&f->g, FAKE_STATUS), RUNNING);
	assert_int_equal(fake_guest_used_idx(&f->g, 0), (uint16_t)(used_before + 1));
	assert_int_equal(used[used_before % NUM].len_bytes, written_bytes);
}

static void VQ01_a_cycle_of_descriptors_breaks(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	for (unsigned length = 1; length <= NUM; length++) {
		for (unsigned i = 0; i < length; i++)
			put(&f, i, f.data, i & 1, FAKE_DESC_NEXT, (i + 1) % length);
		fake_guest_offer(&f.g, 0, 0);
		expect_break(&f);
	}
	close_fixture(&f);
}

static struct fake_desc *indirect(struct fixture *f, uint16_t flags, uint32_t len_bytes)
{
	gpa_t table = fake_guest_alloc(&f->g, GUEST_PAGE_BYTES, 16);

	put(f, 0, table, len_bytes, (uint16_t)(FAKE_DESC_INDIRECT | flags), 0);
	fake_guest_offer(&f->g, 0, 0);
	return fake_guest_at(&f->g, table);
}

static void VQ01_a_cycle_inside_an_indirect_table_breaks(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	for (unsigned length = 1; length <= NUM; length++) {
		struct fake_desc *table = indirect(&f, 0, 16u * length);

		for (unsigned i = 0; i < length; i++)
			table[i] = (struct fake_desc){ f.data.addr, 1, FAKE_DESC_NEXT,
						       (uint16_t)((i + 1) % length) };
		expect_break(&f);
	}
	close_fixture(&f);
}

static void VQ02_next_outside_the_table_breaks(void **state)
{
	static const uint16_t nexts[] = { NUM, NUM + 1, 0x7fff, 0xffff };
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	for (unsigned i = 0; i < ARRAY_LEN(nexts); i++) {
		put(&f, 0, f.data, 1, FAKE_DESC_NEXT, nexts[i]);
		fake_guest_offer(&f.g, 0, 0);
		expect_break(&f);
		*indirect(&f, 0, 16 * NUM) =
			(struct fake_desc){ f.data.addr, 1, FAKE_DESC_NEXT, nexts[i] };
		expect_break(&f);
	}
	close_fixture(&f);
}

static void VQ03_a_head_outside_the_table_breaks(void **state)
{
	static const uint16_t heads[] = { NUM, NUM + 1, 0x8000, 0xffff };
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	for (unsigned i = 0; i < ARRAY_LEN(heads); i++) {
		fake_guest_offer(&f.g, 0, heads[i]);
		expect_break(&f);
	}
	close_fixture(&f);
}

static void set_avail_idx(struct fixture *f, uint16_t idx)
{
	uint16_t *avail = fake_guest_at(&f->g, f->g.queues[0].avail);

	avail[1] = idx;
}

static void VQ04_an_index_too_far_ahead_breaks(void **state)
{
	static const uint16_t aheads[] = { NUM + 1, NUM * 2, 0x7fff, 0x8000 };
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	for (unsigned i = 0; i < ARRAY_LEN(aheads); i++) {
		set_avail_idx(&f, (uint16_t)(f.g.queues[0].avail_idx + aheads[i]));
		expect_break(&f);
	}
	close_fixture(&f);
}

static void VQ05_an_index_that_moves_backwards_breaks(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	for (uint16_t back = 1; back <= 3; back++) {
		expect_echo(&f, 0); /* the index stands at 2 or more */
		expect_echo(&f, 0);
		set_avail_idx(&f, (uint16_t)(f.g.queues[0].avail_idx - back));
		expect_break(&f);
	}
	close_fixture(&f);
}

static void VQ06_a_head_offered_while_in_flight_breaks(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	f.echo.hold = true;
	put(&f, 3, f.data, 4, FAKE_DESC_WRITE, 0);
	fake_guest_offer(&f.g, 0, 3);
	fake_guest_ring(&f.g, 0);
	assert_int_equal(f.echo.held_count, 1);
	f.echo.hold = false;
	fake_guest_offer(&f.g, 0, 3);
	expect_break(&f);
	close_fixture(&f);
}

static void VQ06_the_whole_table_can_be_in_flight_but_no_more(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	f.echo.hold = true;
	for (unsigned i = 0; i < NUM; i++) {
		put(&f, i, f.data, 4, FAKE_DESC_WRITE, 0);
		fake_guest_offer(&f.g, 0, (uint16_t)i);
	}
	fake_guest_ring(&f.g, 0);
	assert_int_equal(f.echo.held_count, NUM);
	f.echo.hold = false;
	fake_guest_offer(&f.g, 0, 0);
	expect_break(&f);
	close_fixture(&f);
}

static void VQ07_empty_buffers_are_answered(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	for (unsigned i = 0; i < NUM; i++) /* an address that means nothing is not looked at */
		put(&f, i, GPA(UINT64_MAX), 0, i + 1 < NUM ? FAKE_DESC_NEXT : 0, (uint16_t)(i + 1));
	fake_guest_offer(&f.g, 0, 0);
	expect_served(&f, 0);

	put(&f, 0, GPA(0), 0, 0, 0); /* all zero */
	fake_guest_offer(&f.g, 0, 0);
	expect_served(&f, 0);
	close_fixture(&f);
}

static void VQ08_10_buffers_that_are_not_ram_break(void **state)
{
	static const struct {
		uint64_t addr;
		uint32_t len_bytes;
	} bad[] = {
		{ UINT64_MAX, 1 },			  /* VQ08: outside, and wraps with more */
		{ UINT64_MAX, 2 },			  /* VQ08 */
		{ UINT64_MAX - 4095, 4096 },		  /* VQ08: ends exactly at 2^64 */
		{ UINT64_MAX - 100, UINT32_MAX },	  /* VQ08 */
		{ 5 * GIB_BYTES, 1 },			  /* VQ09: first byte past RAM */
		{ UINT64_C(1) << 52, 4096 },		  /* VQ09 */
		{ 0xd0000000, 4 },			  /* VQ09: its own registers */
		{ 0xfee00000, 4096 },			  /* VQ09: the local APIC */
		{ 3 * GIB_BYTES, 1 },			  /* VQ09: first byte of the hole */
		{ 4 * GIB_BYTES - 1, 1 },		  /* VQ09: last byte of the hole */
		{ 3 * GIB_BYTES - 1, 2 },		  /* VQ10: straddles the hole's start */
		{ 4 * GIB_BYTES - 1, 2 },		  /* VQ10: and its end */
		{ 3 * GIB_BYTES - 1, 1 + GIB_BYTES + 1 }, /* VQ10: all of it */
		{ 5 * GIB_BYTES - 1, 2 },		  /* VQ10: RAM's end */
		{ 0, UINT32_MAX },			  /* VQ10 */
	};
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		for (unsigned flags = 0; flags <= FAKE_DESC_WRITE; flags += FAKE_DESC_WRITE) {
			put(&f, 0, GPA(bad[i].addr), bad[i].len_bytes, flags, 0);
			fake_guest_offer(&f.g, 0, 0);
			expect_break(&f);
		}
	close_fixture(&f);
}

static void buffers_at_the_very_edges_of_ram_are_served(void **state)
{
	static const uint64_t edges[] = { 0, 3 * GIB_BYTES - 4, 4 * GIB_BYTES, 5 * GIB_BYTES - 4 };
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	for (unsigned i = 0; i < ARRAY_LEN(edges); i++) {
		put(&f, 0, f.data, 4, FAKE_DESC_NEXT, 1);
		put(&f, 1, GPA(edges[i]), 4, FAKE_DESC_WRITE, 0);
		fake_guest_offer(&f.g, 0, 0);
		expect_served(&f, 4);
	}
	close_fixture(&f);
}

static void VQ11_buffers_on_the_rings_themselves_do_no_harm_to_us(void **state)
{
	struct fixture f;
	struct test_random random = test_random_start();

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	for (unsigned round = 0; round < 300; round++) {
		struct fake_queue *q = &f.g.queues[0];
		const gpa_t targets[] = { q->desc, q->avail, q->used };
		gpa_t target = targets[round % 3];
		uint64_t *data = fake_guest_at(&f.g, f.data);

		for (unsigned i = 0; i < 32; i++)
			data[i] = test_random_next(&random);
		put(&f, 0, f.data, 128, FAKE_DESC_NEXT, 1);
		put(&f, 1, target, 20 + (uint32_t)test_random_below(&random, 60), FAKE_DESC_WRITE,
		    0);
		fake_guest_offer(&f.g, 0, 0);
		fake_guest_ring(&f.g, 0);
		/* Served, or broken by what it wrote: nothing else, and a reset heals both. */
		assert_int_equal(fake_guest_read(&f.g, FAKE_STATUS) & RUNNING, RUNNING);
		expect_works_after_reset(&f);
	}
	close_fixture(&f);
}

static void VQ12_a_chain_may_hold_2_to_the_32_bytes_but_no_more(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	for (unsigned i = 0; i < 4; i++)
		put(&f, i, GPA(0), 1u << 30, i < 3 ? FAKE_DESC_NEXT : 0, (uint16_t)(i + 1));
	fake_guest_offer(&f.g, 0, 0);
	expect_served(&f, 0);

	put(&f, 3, GPA(0), 1u << 30, FAKE_DESC_NEXT, 4);
	put(&f, 4, GPA(0), 1, FAKE_DESC_WRITE, 0);
	fake_guest_offer(&f.g, 0, 0);
	expect_break(&f);
	close_fixture(&f);
}

static void VQ13_a_readable_buffer_after_a_writable_one_breaks(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	put(&f, 0, f.data, 4, FAKE_DESC_WRITE | FAKE_DESC_NEXT, 1);
	put(&f, 1, f.data, 4, 0, 0);
	fake_guest_offer(&f.g, 0, 0);
	expect_break(&f);
	close_fixture(&f);
}

static void VQ14_an_indirect_table_that_was_not_negotiated_breaks(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, VIRTIO_F_EVENT_IDX);
	*indirect(&f, 0, 16) = (struct fake_desc){ f.data.addr, 4, 0, 0 };
	expect_break(&f);
	close_fixture(&f);
}

static void VQ15_an_indirect_table_in_an_indirect_table_breaks(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	*indirect(&f, 0, 16) = (struct fake_desc){ f.data.addr, 16, FAKE_DESC_INDIRECT, 0 };
	expect_break(&f);
	close_fixture(&f);
}

static void VQ16_an_indirect_table_that_has_a_next_breaks(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	*indirect(&f, FAKE_DESC_NEXT, 16) = (struct fake_desc){ f.data.addr, 4, 0, 0 };
	expect_break(&f);
	close_fixture(&f);
}

static void VQ17_an_indirect_table_of_a_bad_length_breaks(void **state)
{
	static const uint32_t lengths[] = { 0, 1, 15, 17, 16 * NUM + 16, 0xfffffff0, UINT32_MAX };
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	for (unsigned i = 0; i < ARRAY_LEN(lengths); i++) {
		*indirect(&f, 0, lengths[i]) = (struct fake_desc){ f.data.addr, 4, 0, 0 };
		expect_break(&f);
	}
	close_fixture(&f);
}

static void VQ18_an_indirect_table_that_is_not_ram_breaks(void **state)
{
	static const uint64_t addrs[] = { UINT64_MAX - 15, 5 * GIB_BYTES,     3 * GIB_BYTES - 8,
					  0xd0000000,	   5 * GIB_BYTES - 8, UINT64_MAX };
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	for (unsigned i = 0; i < ARRAY_LEN(addrs); i++) {
		put(&f, 0, GPA(addrs[i]), 32, FAKE_DESC_INDIRECT, 0);
		fake_guest_offer(&f.g, 0, 0);
		expect_break(&f);
	}
	close_fixture(&f);
}

static void VQ19_a_write_flag_on_an_indirect_descriptor_is_ignored(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	struct fake_desc *table = indirect(&f, FAKE_DESC_WRITE, 32);

	table[0] = (struct fake_desc){ f.data.addr, 4, FAKE_DESC_NEXT, 1 };
	table[1] = (struct fake_desc){ f.data.addr + 64, 4, FAKE_DESC_WRITE, 0 };
	expect_served(&f, 4);
	close_fixture(&f);
}

static void VQ20_direct_buffers_then_an_indirect_table_work(void **state)
{
	struct fixture f;
	gpa_t table_at;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	table_at = fake_guest_alloc(&f.g, 64, 16);
	/* An odd address: only the descriptor table has to be aligned. */
	table_at = GPA(table_at.addr + 1);
	const struct fake_desc table[] = { { f.data.addr + 2, 2, FAKE_DESC_NEXT, 1 },
					   { f.data.addr + 64, 64, FAKE_DESC_WRITE, 0 } };

	memcpy(fake_guest_at(&f.g, f.data), "abcd", 4);
	memcpy(fake_guest_at(&f.g, table_at), table, sizeof(table));
	put(&f, 0, f.data, 1, FAKE_DESC_NEXT, 5);
	put(&f, 5, GPA(f.data.addr + 1), 1, FAKE_DESC_NEXT, 2);
	put(&f, 2, table_at, sizeof(table), FAKE_DESC_INDIRECT, 0);
	fake_guest_offer(&f.g, 0, 0);
	expect_served(&f, 4);
	assert_memory_equal((uint8_t *)fake_guest_at(&f.g, f.data) + 64, "abcd", 4);
	close_fixture(&f);
}

static void a_chain_longer_than_the_queue_breaks_also_through_a_table(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	gpa_t table_at = fake_guest_alloc(&f.g, UINT64_C(16) * NUM, 16);
	struct fake_desc *table = fake_guest_at(&f.g, table_at);

	for (unsigned i = 0; i < NUM; i++)
		table[i] = (struct fake_desc){ f.data.addr, 1, i + 1 < NUM ? FAKE_DESC_NEXT : 0,
					       (uint16_t)(i + 1) };
	put(&f, 1, table_at, 16 * NUM, FAKE_DESC_INDIRECT, 0);
	fake_guest_offer(&f.g, 0, 1);
	expect_served(&f, 0);
	put(&f, 0, f.data, 1, FAKE_DESC_NEXT, 1);
	fake_guest_offer(&f.g, 0, 0);
	expect_break(&f);
	close_fixture(&f);
}

static void VQ26_rings_given_back_to_the_host_later_do_no_harm(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	for (unsigned area = 0; area < 3; area++) {
		struct fake_queue *q = &f.g.queues[0];
		const gpa_t areas[] = { q->desc, q->avail, q->used };
		uint64_t frame;

		expect_echo(&f, 0);
		assert_true(ram_frame_of(f.g.ram, areas[area], &frame));
		assert_int_equal(ram_discard(f.g.ram, frame, 1), 0);
		fake_guest_ring(&f.g, 0);
		/* Reads as zeros: an empty chain is served, or an index that went backwards
		 * breaks. Either way a reset heals. */
		assert_int_equal(fake_guest_read(&f.g, FAKE_STATUS) & RUNNING, RUNNING);
		expect_works_after_reset(&f);
	}
	close_fixture(&f);
}

static void VQ30_a_doorbell_without_a_queue_is_ignored(void **state)
{
	static const uint32_t indices[] = { 2, 7, 8, 255, 0x10000, 0x7fffffff, 0xffffffff };
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	for (unsigned i = 0; i < ARRAY_LEN(indices); i++) {
		fake_guest_write(&f.g, FAKE_QUEUE_NOTIFY, indices[i]);
		assert_int_equal(fake_guest_run(&f.g, 10), 0);
		virtio_mmio_kick(f.g.mmio, indices[i]);
	}
	expect_echo(&f, 0);

	/* A queue that is not ready */
	assert_int_equal(fake_guest_negotiate(&f.g, ALL_FEATURES), 11);
	fake_guest_alloc_queue(&f.g, 0, NUM);
	fake_guest_program_queue(&f.g, 0);
	assert_int_equal(fake_guest_driver_ok(&f.g), RUNNING);
	fake_guest_ring(&f.g, 1);
	expect_echo(&f, 0);

	/* Before DRIVER_OK, and after a reset */
	assert_int_equal(fake_guest_negotiate(&f.g, ALL_FEATURES), 11);
	fake_guest_ring(&f.g, 0);
	fake_guest_write(&f.g, FAKE_STATUS, 0);
	fake_guest_ring(&f.g, 0);
	expect_works_after_reset(&f);
	assert_int_equal(f.echo.vdev.breaks, 0);
	close_fixture(&f);
}

static void VQ31_a_million_doorbells_are_one_kick(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	for (unsigned i = 0; i < 1000000; i++)
		fake_guest_write(&f.g, FAKE_QUEUE_NOTIFY, 0);
	assert_int_equal(fake_guest_run(&f.g, 10), 1);
	expect_echo(&f, 0);
	close_fixture(&f);
}

/* A guest that refills while we look: never more than a turn, then another doorbell. */
static void VQ31_a_ring_refilled_without_end_gives_others_their_turn(void **state)
{
	struct fixture f;
	struct virtq_chain chain;
	unsigned served = 0;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	fake_guest_ring(&f.g, 0);
	put(&f, 0, f.data, 4, FAKE_DESC_WRITE, 0);
	for (unsigned i = 0; i < 100000; i++) {
		fake_guest_offer(&f.g, 0, 0);
		if (!virtio_next_chain(&f.echo.vdev, 0, &chain))
			break;
		virtio_finish_chain(&f.echo.vdev, 0, &chain, 0);
		served++;
	}
	assert_int_equal(served, VIRTIO_CHAINS_PER_KICK);
	assert_int_equal(fake_guest_run(&f.g, 10), 1);
	assert_int_equal(fake_guest_used_idx(&f.g, 0), VIRTIO_CHAINS_PER_KICK + 1);
	close_fixture(&f);
}

static void VQ32_garbage_used_event_costs_interrupts_only(void **state)
{
	struct fixture f;
	struct test_random random = test_random_start();

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	for (unsigned i = 0; i < 20000; i++) {
		uint16_t *used = fake_guest_at(&f.g, f.g.queues[0].used);

		f.g.next_alloc = 16 * MIB_BYTES;
		fake_guest_set_used_event(&f.g, 0, (uint16_t)test_random_next(&random));
		used[2 + 4 * NUM] = (uint16_t)test_random_next(&random); /* avail_event */
		used[0] = (uint16_t)test_random_next(&random);
		expect_echo(&f, 0);
	}
	close_fixture(&f);
}

static void VQ33_flags_of_the_packed_ring_are_ignored(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	put(&f, 0, f.data, 4, (uint16_t)(FAKE_DESC_NEXT | 0xff80 | 0x78), 1);
	put(&f, 1, f.data, 4, (uint16_t)(FAKE_DESC_WRITE | 0xff80 | 0x78), 0);
	fake_guest_offer(&f.g, 0, 0);
	expect_served(&f, 4);
	close_fixture(&f);
}

static void VQ34_features_that_were_not_offered_do_not_stick(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, ALL_FEATURES);
	uint64_t offered = f.echo.vdev.offered;

	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t feature = UINT64_C(1) << bit;

		assert_int_equal(fake_guest_negotiate(&f.g, feature), offered & feature ? 11 : 3);
		if (offered & feature)
			continue;
		assert_int_equal(fake_guest_driver_ok(&f.g), 3);
		fake_guest_ring(&f.g, 0);
	}
	f.g.features = ALL_FEATURES;
	expect_works_after_reset(&f);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(VQ01_a_cycle_of_descriptors_breaks),
		cmocka_unit_test(VQ01_a_cycle_inside_an_indirect_table_breaks),
		cmocka_unit_test(VQ02_next_outside_the_table_breaks),
		cmocka_unit_test(VQ03_a_head_outside_the_table_breaks),
		cmocka_unit_test(VQ04_an_index_too_far_ahead_breaks),
		cmocka_unit_test(VQ05_an_index_that_moves_backwards_breaks),
		cmocka_unit_test(VQ06_a_head_offered_while_in_flight_breaks),
		cmocka_unit_test(VQ06_the_whole_table_can_be_in_flight_but_no_more),
		cmocka_unit_test(VQ07_empty_buffers_are_answered),
		cmocka_unit_test(VQ08_10_buffers_that_are_not_ram_break),
		cmocka_unit_test(buffers_at_the_very_edges_of_ram_are_served),
		cmocka_unit_test(VQ11_buffers_on_the_rings_themselves_do_no_harm_to_us),
		cmocka_unit_test(VQ12_a_chain_may_hold_2_to_the_32_bytes_but_no_more),
		cmocka_unit_test(VQ13_a_readable_buffer_after_a_writable_one_breaks),
		cmocka_unit_test(VQ14_an_indirect_table_that_was_not_negotiated_breaks),
		cmocka_unit_test(VQ15_an_indirect_table_in_an_indirect_table_breaks),
		cmocka_unit_test(VQ16_an_indirect_table_that_has_a_next_breaks),
		cmocka_unit_test(VQ17_an_indirect_table_of_a_bad_length_breaks),
		cmocka_unit_test(VQ18_an_indirect_table_that_is_not_ram_breaks),
		cmocka_unit_test(VQ19_a_write_flag_on_an_indirect_descriptor_is_ignored),
		cmocka_unit_test(VQ20_direct_buffers_then_an_indirect_table_work),
		cmocka_unit_test(a_chain_longer_than_the_queue_breaks_also_through_a_table),
		cmocka_unit_test(VQ26_rings_given_back_to_the_host_later_do_no_harm),
		cmocka_unit_test(VQ30_a_doorbell_without_a_queue_is_ignored),
		cmocka_unit_test(VQ31_a_million_doorbells_are_one_kick),
		cmocka_unit_test(VQ31_a_ring_refilled_without_end_gives_others_their_turn),
		cmocka_unit_test(VQ32_garbage_used_event_costs_interrupts_only),
		cmocka_unit_test(VQ33_flags_of_the_packed_ring_are_ignored),
		cmocka_unit_test(VQ34_features_that_were_not_offered_do_not_stick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
