/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bench_virtio.c - what a chain costs on the device's side: taken from the ring and given back.
 *
 * Prints "name value unit". Each figure is the median of ROUNDS rounds after one that is thrown
 * away; the driver's half (fake_guest.h) runs between the measured stretches.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../device/echo_device.h"
#include "base/clock.h"
#include "base/units.h"

enum { ROUNDS = 7, NUM = 256, TURNS = 400, COPY_BYTES = 64 * 1024 };

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_virtio: %s\n", what);
	exit(EXIT_FAILURE);
}

static int by_value(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

static void say(const char *name, uint64_t samples[ROUNDS], uint64_t per)
{
	qsort(samples, ROUNDS, sizeof(samples[0]), by_value);
	uint64_t median_ns = samples[ROUNDS / 2];

	printf("virtio_%s %.1f ns\n", name, (double)median_ns / (double)per);
}

static void open_device(struct fake_guest *g, struct echo *echo, uint64_t features)
{
	struct ram *ram = fake_ram_open(64 * MIB_BYTES);

	echo_init(echo, ram);
	fake_guest_init(g, ram, &echo->vdev);
	must(fake_guest_start(g, features, NUM) == 15, "the device does not start");
}

/* Nanoseconds for virtio_next_chain() and virtio_finish_chain() on a full ring of chains. */
static uint64_t turn_ns(struct virtio_device *vdev, struct virtq_chain *chain)
{
	uint64_t start_ns = clock_now_ns();

	vdev->chains_left[0] = VIRTIO_CHAINS_PER_KICK;
	for (unsigned i = 0; i < NUM; i++) {
		must(virtio_next_chain(vdev, 0, chain), "a chain is missing");
		virtio_finish_chain(vdev, 0, chain, 0);
	}
	return clock_now_ns() - start_ns;
}

static void bench_chains(const char *name, uint64_t features, unsigned bufs_per_chain,
			 enum fake_layout layout)
{
	static struct virtq_chain chain;
	struct fake_guest g;
	struct echo echo;
	struct fake_buf bufs[16];
	uint64_t samples[ROUNDS];
	uint32_t head, written;

	open_device(&g, &echo, features);
	gpa_t data = fake_guest_alloc(&g, GUEST_PAGE_BYTES, GUEST_PAGE_BYTES);
	uint64_t tables = g.next_alloc;

	for (unsigned i = 0; i < bufs_per_chain; i++)
		bufs[i] = (struct fake_buf){ data, 64, true };
	for (int round = -1; round < ROUNDS; round++) {
		uint64_t sum_ns = 0;

		for (unsigned turn = 0; turn < TURNS; turn++) {
			g.next_alloc = tables;
			for (unsigned i = 0; i < NUM; i++)
				must(fake_guest_add(&g, 0, bufs, bufs_per_chain, layout) >= 0,
				     "the ring is full");
			sum_ns += turn_ns(&echo.vdev, &chain);
			while (fake_guest_reap(&g, 0, &head, &written))
				;
		}
		if (round >= 0)
			samples[round] = sum_ns;
	}
	say(name, samples, (uint64_t)TURNS * NUM);
	fake_guest_fini(&g);
}

/* One copy of COPY_BYTES out of a chain of pages, and in. */
static void bench_copy(void)
{
	static uint8_t bytes[COPY_BYTES];
	static struct virtq_chain chain;
	struct fake_guest g;
	struct echo echo;
	struct fake_buf bufs[32];
	uint64_t reads[ROUNDS], writes[ROUNDS];

	open_device(&g, &echo, 0);
	gpa_t data = fake_guest_alloc(&g, 32 * GUEST_PAGE_BYTES, GUEST_PAGE_BYTES);

	for (unsigned i = 0; i < 32; i++)
		bufs[i] = (struct fake_buf){ GPA(data.addr + i * GUEST_PAGE_BYTES),
					     GUEST_PAGE_BYTES, i >= 16 };
	must(fake_guest_add(&g, 0, bufs, 32, FAKE_DIRECT) >= 0, "the ring is full");
	must(virtio_next_chain(&echo.vdev, 0, &chain), "a chain is missing");
	for (int round = -1; round < ROUNDS; round++) {
		uint64_t start_ns = clock_now_ns();

		for (unsigned i = 0; i < TURNS; i++)
			must(chain_read(&echo.vdev.queues[0], &chain, 0, bytes, COPY_BYTES) ==
				     COPY_BYTES,
			     "short read");
		uint64_t middle_ns = clock_now_ns();

		for (unsigned i = 0; i < TURNS; i++)
			must(chain_write(&echo.vdev.queues[0], &chain, 0, bytes, COPY_BYTES) ==
				     COPY_BYTES,
			     "short write");
		if (round >= 0) {
			reads[round] = middle_ns - start_ns;
			writes[round] = clock_now_ns() - middle_ns;
		}
	}
	say("read_64k", reads, TURNS);
	say("write_64k", writes, TURNS);
	fake_guest_fini(&g);
}

int main(void)
{
	bench_chains("chain_direct_1", VIRTIO_F_EVENT_IDX, 1, FAKE_DIRECT);
	bench_chains("chain_direct_1_flags", 0, 1, FAKE_DIRECT);
	bench_chains("chain_indirect_1", VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC, 1,
		     FAKE_INDIRECT);
	bench_chains("chain_indirect_16", VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC, 16,
		     FAKE_INDIRECT);
	bench_copy();
	return 0;
}
