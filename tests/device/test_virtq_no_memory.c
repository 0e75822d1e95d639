/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_virtq_no_memory.c - the host cannot back guest memory for a while: any access may answer
 * -ENOSPC. Work waits; no chain, byte or interrupt is lost or comes twice.
 *
 * The linker puts this file between virtio and memory (--wrap), so the pool is never touched.
 */
#include "../support/testing.h"

#include <errno.h>
#include <string.h>

#include "base/units.h"
#include "echo_device.h"
#include "memory/access.h"
#include "memory/hold.h"
#include "virtio/console.h"
#include "virtio/rng.h"

enum { NUM = 8, RUNNING = 15, IDLE_LOOKS = 100000 };

int __real_ram_hold(struct ram *ram, gpa_t gpa, uint64_t len_bytes, void **ret_pointer);
int __real_ram_read(struct ram *ram, gpa_t gpa, void *to, uint64_t len_bytes);
int __real_ram_write(struct ram *ram, gpa_t gpa, const void *from, uint64_t len_bytes);
int __wrap_ram_hold(struct ram *ram, gpa_t gpa, uint64_t len_bytes, void **ret_pointer);
int __wrap_ram_read(struct ram *ram, gpa_t gpa, void *to, uint64_t len_bytes);
int __wrap_ram_write(struct ram *ram, gpa_t gpa, const void *from, uint64_t len_bytes);

/* What the host cannot back now: one page, or anything with some probability. */
static struct {
	uint64_t page; /* 0: none */
	uint64_t permille;
	struct test_random random;
	unsigned refusals;
} famine;

static bool refused(gpa_t gpa)
{
	bool no = (famine.page && align_down(gpa.addr, GUEST_PAGE_BYTES) == famine.page) ||
		  (famine.permille && test_random_below(&famine.random, 1000) < famine.permille);

	famine.refusals += no;
	return no;
}

int __wrap_ram_hold(struct ram *ram, gpa_t gpa, uint64_t len_bytes, void **ret_pointer)
{
	return refused(gpa) ? -ENOSPC : __real_ram_hold(ram, gpa, len_bytes, ret_pointer);
}

int __wrap_ram_read(struct ram *ram, gpa_t gpa, void *to, uint64_t len_bytes)
{
	return refused(gpa) ? -ENOSPC : __real_ram_read(ram, gpa, to, len_bytes);
}

int __wrap_ram_write(struct ram *ram, gpa_t gpa, const void *from, uint64_t len_bytes)
{
	return refused(gpa) ? -ENOSPC : __real_ram_write(ram, gpa, from, len_bytes);
}

static int no_famine(void **state)
{
	(void)state;
	memset(&famine, 0, sizeof(famine));
	return 0;
}

/* Rings in pages of their own, so that one of them can be short of memory. */
static void start(struct fake_guest *g, uint64_t features)
{
	assert_int_equal(fake_guest_negotiate(g, features), 11);
	for (unsigned i = 0; i < g->vdev->ops->queue_count; i++) {
		fake_guest_alloc_queue(g, i, NUM);
		g->queues[i].desc = fake_guest_alloc(g, GUEST_PAGE_BYTES, GUEST_PAGE_BYTES);
		g->queues[i].avail = fake_guest_alloc(g, GUEST_PAGE_BYTES, GUEST_PAGE_BYTES);
		g->queues[i].used = fake_guest_alloc(g, GUEST_PAGE_BYTES, GUEST_PAGE_BYTES);
		fake_guest_program_queue(g, i);
	}
	assert_int_equal(fake_guest_driver_ok(g), RUNNING);
}

/* What the transport's host does: a queue that stalled is rung again later. */
static void retry_stalls(struct fake_guest *g, unsigned queue, unsigned *stalls_seen)
{
	if (g->stalls == *stalls_seen)
		return;
	*stalls_seen = g->stalls;
	virtio_mmio_kick(g->mmio, queue);
	(void)fake_guest_run(g, 1000);
}

/* A driver that rings only when asked to and looks only when interrupted: whatever is lost, it
 * waits for for ever. */
static void drive(uint64_t features, enum fake_layout layout, uint64_t permille, uint32_t chains)
{
	struct fake_guest g;
	struct echo echo;
	struct ram *ram = fake_ram_open(64 * MIB_BYTES);
	uint32_t sent = 0, came = 0, head, written;
	unsigned stalls_seen = 0, idle = 0;

	echo_init(&echo, ram);
	fake_guest_init(&g, ram, &echo.vdev);
	start(&g, features);
	gpa_t slots = fake_guest_alloc(&g, UINT64_C(64) * NUM, GUEST_PAGE_BYTES);
	uint64_t tables = g.next_alloc;

	famine.permille = permille;
	while (came < chains && idle < IDLE_LOOKS) {
		uint32_t slot = sent % (NUM / 2);
		gpa_t at = GPA(slots.addr + UINT64_C(64) * slot);
		const struct fake_buf bufs[] = { { at, 4, false }, { GPA(at.addr + 8), 4, true } };

		g.next_alloc = tables + UINT64_C(256) * slot;
		if (sent < chains && sent - came < NUM / 2) {
			memcpy(fake_guest_at(&g, at), &sent, 4);
			assert_true(fake_guest_add(&g, 0, bufs, 2, layout) >= 0);
			sent++;
			(void)fake_guest_kick(&g, 0);
		}
		retry_stalls(&g, 0, &stalls_seen);
		idle++;
		if (fake_guest_interrupt(&g) == 0)
			continue;
		do {
			while (fake_guest_reap(&g, 0, &head, &written)) {
				uint32_t value;
				gpa_t from =
					GPA(slots.addr + 8 + UINT64_C(64) * (came % (NUM / 2)));

				memcpy(&value, fake_guest_at(&g, from), 4);
				assert_int_equal(written, 4);
				assert_int_equal(value, came);
				came++;
				idle = 0;
			}
			fake_guest_set_used_event(&g, 0, g.queues[0].used_seen);
		} while (fake_guest_used_idx(&g, 0) != g.queues[0].used_seen);
	}
	famine.permille = 0;
	assert_int_equal(came, chains);
	assert_int_equal(echo.vdev.breaks, 0);
	assert_int_equal(fake_guest_used_idx(&g, 0), chains % 65536);
	assert_true(famine.refusals > 0 || permille == 0);
	fake_guest_fini(&g);
}

static void chains_and_interrupts_survive_any_pattern_of_refusals(void **state)
{
	static const struct {
		uint64_t permille;
		uint32_t chains;
	} rounds[] = { { 0, 70000 }, { 10, 10000 }, { 100, 5000 }, { 300, 1000 } };

	(void)state;
	famine.random = test_random_start();
	for (unsigned i = 0; i < ARRAY_LEN(rounds); i++) {
		uint64_t permille = rounds[i].permille;
		uint32_t chains = rounds[i].chains;

		drive(0, FAKE_DIRECT, permille, chains);
		drive(VIRTIO_F_EVENT_IDX, FAKE_DIRECT, permille, chains);
		drive(VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC, FAKE_INDIRECT, permille, chains);
		drive(VIRTIO_F_INDIRECT_DESC, FAKE_MIXED, permille, chains);
	}
}

struct taken {
	struct fake_guest g;
	struct echo echo;
	struct virtq_chain chains[NUM];
};

/* A device with its whole queue in flight. */
static void open_taken(struct taken *t)
{
	struct ram *ram = fake_ram_open(64 * MIB_BYTES);

	echo_init(&t->echo, ram);
	fake_guest_init(&t->g, ram, &t->echo.vdev);
	start(&t->g, VIRTIO_F_EVENT_IDX);
	const struct fake_buf buf = { fake_guest_alloc(&t->g, 64, 64), 64, true };

	for (unsigned i = 0; i < NUM; i++)
		(void)fake_guest_add(&t->g, 0, &buf, 1, FAKE_DIRECT);
	for (unsigned i = 0; i < NUM; i++)
		assert_true(virtio_next_chain(&t->echo.vdev, 0, &t->chains[i]));
}

static void completions_that_cannot_be_published_wait_in_order(void **state)
{
	static struct taken t;
	uint32_t head, written;

	(void)state;
	open_taken(&t);
	famine.page = t.g.queues[0].used.addr;
	for (uint32_t i = 0; i < NUM; i++)
		virtio_finish_chain(&t.echo.vdev, 0, &t.chains[(i * 3) % NUM], i);
	assert_int_equal(t.echo.vdev.queues[0].deferred_count, NUM);
	assert_int_equal(t.g.stalls, NUM);
	virtio_mmio_kick(t.g.mmio, 0);
	assert_int_equal(t.g.stalls, NUM + 1);
	assert_int_equal(fake_guest_used_idx(&t.g, 0), 0);
	assert_int_equal(fake_guest_interrupt(&t.g), 0);

	famine.page = 0;
	virtio_mmio_kick(t.g.mmio, 0);
	assert_int_equal(fake_guest_interrupt(&t.g), FAKE_INTERRUPT_QUEUE);
	for (uint32_t i = 0; i < NUM; i++) {
		assert_true(fake_guest_reap(&t.g, 0, &head, &written));
		assert_int_equal(head, t.chains[(i * 3) % NUM].head);
		assert_int_equal(written, i);
	}
	assert_false(fake_guest_reap(&t.g, 0, &head, &written));
	assert_int_equal(t.echo.vdev.breaks, 0);
	fake_guest_fini(&t.g);
}

/* A guest that offers a head again before it was given back could fill `deferred` twice. */
static void nothing_is_taken_while_completions_wait(void **state)
{
	static struct taken t;
	struct virtq_chain chain;

	(void)state;
	open_taken(&t);
	famine.page = t.g.queues[0].used.addr;
	for (uint32_t i = 0; i < NUM; i++)
		virtio_finish_chain(&t.echo.vdev, 0, &t.chains[i], i);
	for (unsigned head = 0; head < NUM; head++)
		fake_guest_offer(&t.g, 0, (uint16_t)head);
	for (unsigned i = 0; i < 3 * NUM; i++)
		assert_false(virtio_next_chain(&t.echo.vdev, 0, &chain));
	assert_int_equal(t.echo.vdev.queues[0].deferred_count, NUM);
	assert_int_equal(t.echo.vdev.queues[0].last_avail, NUM);
	fake_guest_fini(&t.g);
}

static void a_reset_forgets_completions_that_wait(void **state)
{
	static struct taken t;

	(void)state;
	open_taken(&t);
	famine.page = t.g.queues[0].used.addr;
	for (uint32_t i = 0; i < NUM; i++)
		virtio_finish_chain(&t.echo.vdev, 0, &t.chains[i], i);
	fake_guest_write(&t.g, FAKE_STATUS, 0);
	famine.page = 0;
	virtio_mmio_kick(t.g.mmio, 0);
	assert_int_equal(virtq_flush(&t.echo.vdev.queues[0]), 0);
	assert_int_equal(fake_guest_used_idx(&t.g, 0), 0);
	fake_guest_fini(&t.g);
}

static void a_chain_is_not_consumed_while_any_part_of_it_is_missing(void **state)
{
	struct fake_guest g;
	struct echo echo;
	struct ram *ram = fake_ram_open(64 * MIB_BYTES);
	uint32_t head, written;

	(void)state;
	echo_init(&echo, ram);
	fake_guest_init(&g, ram, &echo.vdev);
	start(&g, VIRTIO_F_INDIRECT_DESC);
	gpa_t from = fake_guest_alloc(&g, GUEST_PAGE_BYTES, GUEST_PAGE_BYTES);
	gpa_t to = fake_guest_alloc(&g, GUEST_PAGE_BYTES, GUEST_PAGE_BYTES);
	gpa_t table = fake_guest_alloc(&g, GUEST_PAGE_BYTES, GUEST_PAGE_BYTES);
	const gpa_t parts[] = { g.queues[0].desc, g.queues[0].avail, table, from, to };
	const struct fake_buf bufs[] = { { from, 4, false }, { to, 4, true } };

	for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
		unsigned stalls = g.stalls;

		g.next_alloc = table.addr;
		(void)fake_guest_add(&g, 0, bufs, 2, FAKE_INDIRECT);
		famine.page = parts[i].addr;
		fake_guest_ring(&g, 0);
		fake_guest_ring(&g, 0);
		assert_int_equal(g.stalls, stalls + 2);
		assert_false(fake_guest_reap(&g, 0, &head, &written));
		famine.page = 0;
		virtio_mmio_kick(g.mmio, 0);
		assert_true(fake_guest_reap(&g, 0, &head, &written));
		assert_int_equal(written, 4);
	}
	fake_guest_fini(&g);
}

struct stream {
	uint32_t came, wrong;
};

static bool on_output(void *ctx, const void *bytes, size_t len)
{
	struct stream *stream = ctx;

	for (size_t i = 0; i < len; i++)
		stream->wrong += ((const uint8_t *)bytes)[i] != (uint8_t)(stream->came++ * 7);
	return true;
}

static void console_bytes_come_once_and_in_order(void **state)
{
	enum { BYTES = 20000, PIECE = 50 };
	struct fake_guest g;
	struct stream stream = { 0 };
	struct console *console;
	struct ram *ram = fake_ram_open(64 * MIB_BYTES);
	struct console_config config = { .ram = ram, .output = on_output, .ctx = &stream };
	uint32_t sent = 0, typed = 0, read = 0, head, written;
	unsigned stalls_seen = 0;

	(void)state;
	famine.random = test_random_start();
	assert_int_equal(console_create(&config, &console, NULL), 0);
	fake_guest_init(&g, ram, console_device(console));
	start(&g, VIRTIO_F_EVENT_IDX);
	uint8_t *page = fake_guest_at(&g, GPA(g.next_alloc));
	const struct fake_buf out[] = { { GPA(g.next_alloc), 20, false },
					{ GPA(g.next_alloc + 20), PIECE - 20, false } };
	const struct fake_buf in[] = { { GPA(g.next_alloc + 2048), 3, true },
				       { GPA(g.next_alloc + 2051), PIECE, true } };
	bool out_busy = false, in_busy = false;

	famine.permille = 300;
	for (unsigned i = 0; i < 1000000 && (stream.came < BYTES || read < BYTES); i++) {
		if (!out_busy && sent < BYTES) {
			for (unsigned j = 0; j < PIECE; j++)
				page[j] = (uint8_t)(sent++ * 7);
			out_busy = fake_guest_add(&g, 1, out, 2, FAKE_DIRECT) >= 0;
			(void)fake_guest_kick(&g, 1);
		}
		if (!in_busy) {
			in_busy = fake_guest_add(&g, 0, in, 2, FAKE_DIRECT) >= 0;
			(void)fake_guest_kick(&g, 0);
		}
		uint8_t key = (uint8_t)(typed * 11);

		if (typed < BYTES)
			typed += (uint32_t)console_input(console, &key, 1);
		if (g.stalls != stalls_seen) {
			stalls_seen = g.stalls;
			virtio_mmio_kick(g.mmio, 0);
			virtio_mmio_kick(g.mmio, 1);
		}
		if (fake_guest_reap(&g, 1, &head, &written))
			out_busy = false;
		if (fake_guest_reap(&g, 0, &head, &written)) {
			in_busy = false;
			for (unsigned j = 0; j < written; j++)
				assert_int_equal(page[2048 + j], (uint8_t)(read++ * 11));
		}
	}
	assert_int_equal(stream.came, BYTES);
	assert_int_equal(stream.wrong, 0);
	assert_int_equal(read, BYTES);
	fake_guest_fini(&g);
	console_destroy(console);
}

static void a_request_for_random_bytes_waits_for_its_buffer(void **state)
{
	struct fake_guest g;
	struct rng *rng;
	struct ram *ram = fake_ram_open(64 * MIB_BYTES);
	struct rng_config config = { .ram = ram };
	uint32_t head, written;

	(void)state;
	assert_int_equal(rng_create(&config, &rng, NULL), 0);
	fake_guest_init(&g, ram, rng_device(rng));
	start(&g, 0);
	const struct fake_buf buf = { fake_guest_alloc(&g, 4096, 4096), 64, true };

	famine.page = buf.addr.addr;
	(void)fake_guest_add(&g, 0, &buf, 1, FAKE_DIRECT);
	(void)fake_guest_kick(&g, 0);
	assert_int_equal(g.stalls, 1);
	assert_false(fake_guest_reap(&g, 0, &head, &written));
	famine.page = 0;
	virtio_mmio_kick(g.mmio, 0);
	assert_true(fake_guest_reap(&g, 0, &head, &written));
	assert_int_equal(written, 64);
	fake_guest_fini(&g);
	rng_destroy(rng);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(chains_and_interrupts_survive_any_pattern_of_refusals,
				       no_famine),
		cmocka_unit_test_setup(completions_that_cannot_be_published_wait_in_order,
				       no_famine),
		cmocka_unit_test_setup(nothing_is_taken_while_completions_wait, no_famine),
		cmocka_unit_test_setup(a_reset_forgets_completions_that_wait, no_famine),
		cmocka_unit_test_setup(a_chain_is_not_consumed_while_any_part_of_it_is_missing,
				       no_famine),
		cmocka_unit_test_setup(console_bytes_come_once_and_in_order, no_famine),
		cmocka_unit_test_setup(a_request_for_random_bytes_waits_for_its_buffer, no_famine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
