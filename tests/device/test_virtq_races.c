/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_virtq_races.c - a guest that writes while we read, and resets while we work.
 *
 * Made for ThreadSanitizer as well: the guest's side writes by atomic accesses, so every report
 * is about our side.
 */
#include "../support/testing.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "base/fd.h"
#include "base/units.h"
#include "echo_device.h"
#include "memory/access.h"

enum { NUM = 16, RUNNING = 15, BROKEN = VIRTIO_STATUS_NEEDS_RESET };

#define RAM_BYTES    (16 * MIB_BYTES)
#define ALL_FEATURES (VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC)

enum { SCRIBBLES_PER_TURN = 64, RACES = 1000000, RESETS = 100000, THREADED_RESETS = 3000 };

/* ---- VQ21 ---- */

struct scribbler {
	struct fake_guest *g;
	gpa_t data; /* a page: buffers and an indirect table */
	struct test_random random;
	atomic_uint count;
	atomic_bool stop;
};

/* Mostly what a driver would write, so that many chains are good, and sometimes anything. */
static void scribble_desc(struct scribbler *s, uint64_t *desc)
{
	uint64_t r = test_random_next(&s->random);
	uint64_t addr = s->data.addr + (r & 0x7ff);
	uint64_t len_bytes = (r >> 12) & 0x3f;
	uint64_t flags = (r >> 20) & (FAKE_DESC_NEXT | FAKE_DESC_WRITE) & (r >> 50);
	uint64_t next = (r >> 24) % NUM;

	if ((r >> 32) % 16 == 0) {
		addr = s->data.addr + 2048;
		len_bytes = 16 * ((r >> 40) % NUM);
		flags = FAKE_DESC_INDIRECT;
	} else if ((r >> 32) % 64 == 1) {
		addr = test_random_next(&s->random);
		len_bytes = (r >> 40) & 0xffffff;
	}
	__atomic_store_n(&desc[0], addr, __ATOMIC_RELAXED);
	__atomic_store_n(&desc[1], len_bytes | flags << 32 | next << 48, __ATOMIC_RELAXED);
}

static void scribble_once(struct scribbler *s)
{
	struct fake_queue *q = &s->g->queues[0];
	uint16_t *avail = fake_guest_at(s->g, q->avail);
	uint16_t *used = fake_guest_at(s->g, q->used);
	uint64_t *table = fake_guest_at(s->g, q->desc);
	uint64_t *indirect = fake_guest_at(s->g, GPA(s->data.addr + 2048));
	uint64_t *data = fake_guest_at(s->g, s->data);
	uint64_t r = test_random_next(&s->random);
	uint16_t index = (uint16_t)((r >> 8) % NUM);

	switch (r % 16) {
	case 0:
	case 1: scribble_desc(s, table + UINT64_C(2) * index); break;
	case 2: scribble_desc(s, indirect + UINT64_C(2) * index); break;
	case 3:
		__atomic_store_n(&avail[2 + index], (uint16_t)((r >> 20) % (NUM + (r >> 40) % 2)),
				 __ATOMIC_RELAXED);
		break;
	case 4: __atomic_store_n(&data[(r >> 20) % 256], r, __ATOMIC_RELAXED); break;
	case 5: __atomic_store_n(&avail[2 + NUM], (uint16_t)(r >> 20), __ATOMIC_RELAXED); break;
	default: {
		uint16_t ahead = (uint16_t)(1 + (r >> 20) % NUM);

		if ((r >> 32) % 4096 == 0)
			ahead = (uint16_t)(r >> 48);
		__atomic_store_n(&avail[1],
				 (uint16_t)(__atomic_load_n(&used[1], __ATOMIC_RELAXED) + ahead),
				 __ATOMIC_RELEASE);
	}
	}
}

static void *scribble(void *arg)
{
	struct scribbler *s = arg;

	while (!atomic_load_explicit(&s->stop, memory_order_relaxed)) {
		for (unsigned i = 0; i < SCRIBBLES_PER_TURN; i++)
			scribble_once(s);
		atomic_fetch_add_explicit(&s->count, SCRIBBLES_PER_TURN, memory_order_relaxed);
		(void)sched_yield(); /* on a busy machine the two would hardly meet */
	}
	return NULL;
}

/* What a chain promises, whatever is written meanwhile. */
static void check_chain(struct fake_guest *g, const struct virtq_chain *chain)
{
	unsigned count = chain->readable_count + chain->writable_count;
	uint64_t sums[2] = { 0, 0 };

	assert_true(chain->head < NUM && count <= NUM);
	for (unsigned i = 0; i < count; i++) {
		const struct virtq_buf *buf = &chain->bufs[i];

		assert_true(buf->len_bytes == 0 || ram_contains(g->ram, buf->addr, buf->len_bytes));
		sums[i >= chain->readable_count] += buf->len_bytes;
	}
	assert_int_equal(sums[0], chain->readable_bytes);
	assert_int_equal(sums[1], chain->writable_bytes);
}

/* The same rings again, both indices at zero. */
static void restart(struct fake_guest *g)
{
	uint16_t *avail = fake_guest_at(g, g->queues[0].avail);
	uint16_t *used = fake_guest_at(g, g->queues[0].used);

	assert_int_equal(fake_guest_negotiate(g, ALL_FEATURES), 11);
	fake_guest_program_queue(g, 0);
	__atomic_store_n(&used[1], 0, __ATOMIC_RELAXED);
	__atomic_store_n(&avail[1], 0, __ATOMIC_RELAXED);
	(void)fake_guest_driver_ok(g); /* may break at once: the guest is writing already */
}

static void VQ21_chains_are_whole_while_another_vcpu_rewrites_everything(void **state)
{
	struct fake_guest g;
	struct echo echo;
	struct ram *ram = fake_ram_open(RAM_BYTES);
	struct scribbler s = { .g = &g, .random = test_random_start() };
	static struct virtq_chain chain;
	uint8_t bytes[64];
	pthread_t thread;
	unsigned chains = 0, breaks = 0;

	(void)state;
	echo_init(&echo, ram);
	fake_guest_init(&g, ram, &echo.vdev);
	s.data = fake_guest_alloc(&g, GUEST_PAGE_BYTES, GUEST_PAGE_BYTES);
	fake_guest_alloc_queue(&g, 0, NUM);
	restart(&g);
	assert_int_equal(pthread_create(&thread, NULL, scribble, &s), 0);
	while (atomic_load_explicit(&s.count, memory_order_relaxed) < RACES) {
		if (!echo.vdev.active) {
			breaks++;
			restart(&g);
			continue;
		}
		echo.vdev.chains_left[0] = VIRTIO_CHAINS_PER_KICK;
		if (!virtio_next_chain(&echo.vdev, 0, &chain)) {
			(void)sched_yield();
			continue;
		}
		check_chain(&g, &chain);
		chains++;
		int64_t got = chain_read(&echo.vdev.queues[0], &chain, 0, bytes, sizeof(bytes));

		assert_true(got >= 0);
		(void)chain_write(&echo.vdev.queues[0], &chain, 0, bytes, (uint64_t)got);
		virtio_finish_chain(&echo.vdev, 0, &chain, (uint32_t)got);
		virtio_interrupt_queue(&echo.vdev, 0);
	}
	atomic_store(&s.stop, true);
	(void)pthread_join(thread, NULL);
	print_message("%u writes, %u chains, %u breaks\n", RACES, chains, breaks);
	assert_true(chains > RACES / 1000);
	assert_true(breaks > 0);
	fake_guest_fini(&g);
}

/* ---- VQ27, VQ28 ---- */

/* Guest memory that a driver gave to a device: rings of both queues and a page of data. */
enum { GIVEN_BYTES = 8192 };

static void fill_queue(struct fake_guest *g, gpa_t data, struct test_random *random)
{
	for (unsigned i = 0; i < 3; i++) {
		const struct fake_buf bufs[] = {
			{ data, 32, false },
			{ GPA(data.addr + 1024 + 64 * test_random_below(random, 16)), 32, true },
		};

		(void)fake_guest_add(g, i % 2, bufs, 2,
				     test_random_below(random, 2) ? FAKE_DIRECT : FAKE_INDIRECT);
	}
}

static void VQ27_28_nothing_is_written_after_a_reset_in_the_middle_of_work(void **state)
{
	struct test_random random = test_random_start();
	struct fake_guest g;
	struct echo echo;
	struct ram *ram = fake_ram_open(RAM_BYTES);
	static uint8_t before[GIVEN_BYTES];

	(void)state;
	echo_init(&echo, ram);
	fake_guest_init(&g, ram, &echo.vdev);
	gpa_t given = fake_guest_alloc(&g, 2 * GUEST_PAGE_BYTES, GUEST_PAGE_BYTES);
	uint8_t *memory = fake_guest_at(&g, given);

	for (unsigned i = 0; i < RESETS; i++) {
		g.next_alloc = given.addr + GUEST_PAGE_BYTES;
		assert_int_equal(fake_guest_start(&g, ALL_FEATURES, NUM), RUNNING);
		echo.hold = true;
		fill_queue(&g, given, &random);
		fake_guest_ring(&g, 0);
		fake_guest_ring(&g, 1);
		/* What a device with I/O under way keeps; it forgets to drop it at reset. */
		struct virtq_chain late = echo.held;

		assert_true(echo.held_count > 0);
		fake_guest_write(&g, FAKE_QUEUE_SEL, (uint32_t)test_random_below(&random, 2));
		fake_guest_write(&g, FAKE_QUEUE_READY, (uint32_t)test_random_below(&random, 2));
		fake_guest_write(&g, FAKE_QUEUE_RESET, (uint32_t)test_random_below(&random, 2));
		fake_guest_write(&g, FAKE_STATUS, 0);
		memcpy(before, memory, GIVEN_BYTES);
		for (unsigned queue = 0; queue < 2; queue++) {
			struct virtq *vq = &echo.vdev.queues[queue];

			assert_true(chain_write(vq, &late, 0, "late", 4) < 0);
			assert_true(virtq_push(vq, late.head, 4) < 0);
			virtio_finish_chain(&echo.vdev, queue, &late, 4);
			fake_guest_ring(&g, queue);
		}
		assert_memory_equal(memory, before, GIVEN_BYTES);
	}
	assert_int_equal(echo.vdev.breaks, 0);
	fake_guest_fini(&g);
}

/* The I/O thread of a VM, reduced: doorbells, calls from vCPUs, and work that finishes late. */
struct io_thread {
	struct fake_guest *g;
	struct echo *echo;
	int call_fd, done_fd;
	void (*fn)(void *arg);
	void *arg;
	bool stop;
	unsigned late; /* completions that came later than the doorbell */
};

static void wait_for(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	while (!event_drain(fd))
		(void)poll(&poll_fd, 1, -1);
}

static void call_io_thread(void *ctx, void (*fn)(void *arg), void *arg)
{
	struct io_thread *io = ctx;

	io->fn = fn;
	io->arg = arg;
	event_signal(io->call_fd);
	wait_for(io->done_fd);
}

static void stop_io_thread(void *arg)
{
	((struct io_thread *)arg)->stop = true;
}

static void *run_io_thread(void *arg)
{
	struct io_thread *io = arg;
	struct pollfd fds[] = {
		{ .fd = io->call_fd, .events = POLLIN },
		{ .fd = virtio_mmio_doorbell(io->g->mmio, 0), .events = POLLIN },
		{ .fd = virtio_mmio_doorbell(io->g->mmio, 1), .events = POLLIN },
	};

	while (!io->stop) {
		(void)poll(fds, 3, -1);
		(void)fake_guest_run(io->g, 4);
		if (event_drain(io->call_fd)) {
			io->fn(io->arg);
			event_signal(io->done_fd);
		} else if (io->echo->held_count > 0) {
			echo_finish_held(io->echo, 0);
			io->late++;
		}
	}
	return NULL;
}

static void VQ28_a_reset_by_a_vcpu_returns_when_the_io_thread_has_let_go(void **state)
{
	struct test_random random = test_random_start();
	struct fake_guest g;
	struct echo echo;
	struct ram *ram = fake_ram_open(RAM_BYTES);
	struct io_thread io = { .g = &g, .echo = &echo };
	static uint8_t before[GIVEN_BYTES];
	pthread_t thread;

	(void)state;
	io.call_fd = event_create();
	io.done_fd = event_create();
	assert_true(io.call_fd >= 0 && io.done_fd >= 0);
	echo_init(&echo, ram);
	echo.hold = true;
	fake_guest_init_calling(&g, ram, &echo.vdev, call_io_thread, &io);
	gpa_t given = fake_guest_alloc(&g, 2 * GUEST_PAGE_BYTES, GUEST_PAGE_BYTES);
	uint8_t *memory = fake_guest_at(&g, given);

	assert_int_equal(pthread_create(&thread, NULL, run_io_thread, &io), 0);
	for (unsigned i = 0; i < THREADED_RESETS; i++) {
		g.next_alloc = given.addr + GUEST_PAGE_BYTES;
		assert_int_equal(fake_guest_start(&g, ALL_FEATURES, NUM), RUNNING);
		fill_queue(&g, given, &random);
		fake_guest_write(&g, FAKE_QUEUE_NOTIFY, 0);
		fake_guest_write(&g, FAKE_QUEUE_NOTIFY, 1);
		for (uint64_t n = test_random_below(&random, 3); n > 0; n--)
			(void)fake_guest_read(&g, FAKE_CONFIG_GENERATION);
		fake_guest_write(&g, FAKE_STATUS, 0);
		memcpy(before, memory, GIVEN_BYTES);
		fake_guest_write(&g, FAKE_QUEUE_NOTIFY, 0);
		(void)fake_guest_read(&g, FAKE_STATUS); /* the I/O thread has been round */
		assert_memory_equal(memory, before, GIVEN_BYTES);
	}
	call_io_thread(&io, stop_io_thread, &io);
	(void)pthread_join(thread, NULL);
	print_message("%u resets, %u completions came late\n", THREADED_RESETS, io.late);
	assert_true(io.late > 0);
	fake_guest_fini(&g);
	close_fd(&io.call_fd);
	close_fd(&io.done_fd);
}

/* ---- Sleeping on both sides ---- */

enum { AWAKE_CHAINS = 40000, LOST_AFTER_MS = 20000 };

struct traffic {
	struct fake_guest *g;
	struct fake_buf bufs[2];
	struct test_random random;
	unsigned sent, came, rings, interrupts;
};

/* Fill the queue in a few steps, ringing after each if the device asks for it: it may run in
 * between. */
static void send_all(struct traffic *t)
{
	bool full = false;

	while (!full && t->sent < AWAKE_CHAINS) {
		uint64_t want = 1 + test_random_below(&t->random, NUM / 2);

		while (!full && want-- > 0 && t->sent < AWAKE_CHAINS) {
			full = fake_guest_add(t->g, 0, t->bufs, 2, FAKE_DIRECT) < 0;
			t->sent += !full;
		}
		t->rings += fake_guest_notify(t->g, 0);
	}
}

/* Take what is there, and ask for an interrupt at one of the chains that are outstanding. */
static void take_all(struct traffic *t)
{
	uint16_t *seen = &t->g->queues[0].used_seen;
	uint32_t head, written;
	uint16_t ahead;

	do {
		while (fake_guest_reap(t->g, 0, &head, &written))
			t->came++;
		ahead = (uint16_t)test_random_below(&t->random, NUM / 4);
		if (ahead >= t->sent - t->came)
			ahead = 0;
		fake_guest_set_used_event(t->g, 0, (uint16_t)(*seen + ahead));
	} while ((uint16_t)(fake_guest_used_idx(t->g, 0) - *seen) > ahead);
}

/* Both sides sleep whenever they may. One wake-up that is lost, and this never ends. */
static void no_wakeup_is_lost(uint64_t features)
{
	struct fake_guest g;
	struct echo echo;
	struct ram *ram = fake_ram_open(RAM_BYTES);
	struct io_thread io = { .g = &g, .echo = &echo };
	struct traffic t = { .g = &g, .random = test_random_start() };
	pthread_t thread;

	io.call_fd = event_create();
	io.done_fd = event_create();
	assert_true(io.call_fd >= 0 && io.done_fd >= 0);
	echo_init(&echo, ram);
	fake_guest_init_calling(&g, ram, &echo.vdev, call_io_thread, &io);
	assert_int_equal(pthread_create(&thread, NULL, run_io_thread, &io), 0);
	assert_int_equal(fake_guest_start(&g, features, NUM), RUNNING);
	gpa_t data = fake_guest_alloc(&g, 64, 64);

	t.bufs[0] = (struct fake_buf){ data, 4, false };
	t.bufs[1] = (struct fake_buf){ GPA(data.addr + 8), 4, true };
	while (t.came < AWAKE_CHAINS) {
		struct pollfd irq = { .fd = g.irq_fd, .events = POLLIN };

		send_all(&t);
		assert_int_equal(poll(&irq, 1, LOST_AFTER_MS), 1);
		t.interrupts += fake_guest_interrupt(&g) != 0;
		take_all(&t);
	}
	assert_int_equal(t.came, t.sent);
	call_io_thread(&io, stop_io_thread, &io);
	(void)pthread_join(thread, NULL);
	print_message("%u chains, %u rings, %u interrupts\n", t.came, t.rings, t.interrupts);
	fake_guest_fini(&g);
	close_fd(&io.call_fd);
	close_fd(&io.done_fd);
}

static void no_wakeup_is_lost_with_event_idx(void **state)
{
	(void)state;
	no_wakeup_is_lost(ALL_FEATURES);
}

static void no_wakeup_is_lost_with_flags(void **state)
{
	(void)state;
	no_wakeup_is_lost(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(VQ21_chains_are_whole_while_another_vcpu_rewrites_everything),
		cmocka_unit_test(VQ27_28_nothing_is_written_after_a_reset_in_the_middle_of_work),
		cmocka_unit_test(no_wakeup_is_lost_with_event_idx),
		cmocka_unit_test(no_wakeup_is_lost_with_flags),
		cmocka_unit_test(VQ28_a_reset_by_a_vcpu_returns_when_the_io_thread_has_let_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
