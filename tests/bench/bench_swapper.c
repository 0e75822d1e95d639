/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bench_swapper.c - what swapping costs whoever touches the guest view, and how fast blocks leave.
 *
 * Prints "name value unit". 2 MiB memory from a private pool, blocks of random bytes (nothing to
 * compress), the disk that holds the swap file read and written directly in the same rounds. The
 * first round is thrown away.
 *     evict      blocks above a limit that was just set, until they have left: both workers
 *     swap_in    one touch of a swapped block, in random order, nothing else going on
 *     sweep      the same in ascending order: what reading ahead is worth, per block
 *     thrash     touches at random of 1.5 times what the pool holds: all of them, hits included
 *     zeros      a touch of a block that was evicted as zeros
 *     first      a touch of a block that was never there, for comparison
 */
#include "../support/hugemount.h"
#include "../support/swapdir.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "memory/discard.h"
#include "memory/ram_internal.h"

enum {
	ROUNDS = 5,
	BLOCKS = 96,
	POOL_BLOCKS = 100,
	KEPT_BLOCKS = 4,
	MOST = ROUNDS * BLOCKS,
	THRASH_TOUCHES = 1000
};

static char pool_dir[HUGEMOUNT_TEXT_BYTES];
static const char *mode;
static uint64_t guest_blocks = BLOCKS;
static struct test_random randomness = { .state = 1 };

struct figure {
	uint64_t samples[MOST];
	unsigned count;
};

static int by_value(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

static void note(struct figure *figure, int round, uint64_t ns)
{
	if (round >= 0 && figure->count < MOST)
		figure->samples[figure->count++] = ns;
}

static void say_us(const char *name, struct figure *figure)
{
	if (!figure->count)
		return;
	qsort(figure->samples, figure->count, sizeof(figure->samples[0]), by_value);
	printf("swapper_%s_%s_p50 %.1f us\n", name, mode,
	       (double)figure->samples[figure->count / 2] / (double)NS_PER_US);
	printf("swapper_%s_%s_p90 %.1f us\n", name, mode,
	       (double)figure->samples[figure->count * 9 / 10] / (double)NS_PER_US);
}

static void say_rate(const char *name, struct figure *figure)
{
	if (!figure->count)
		return;
	qsort(figure->samples, figure->count, sizeof(figure->samples[0]), by_value);
	printf("swapper_%s_%s %.3f GiB/s\n", name, mode,
	       (double)HUGE_FRAME_BYTES / (double)GIB_BYTES * (double)NS_PER_S /
		       (double)figure->samples[figure->count / 2]);
}

static void must(bool well, const char *what)
{
	if (!well) {
		fprintf(stderr, "%s: %s\n", what, strerror(errno));
		exit(EXIT_FAILURE);
	}
}

static struct ram *open_ram(bool encrypt)
{
	struct ram_config config = {
		.ram_bytes = guest_blocks * HUGE_FRAME_BYTES,
		.frame_bytes = HUGE_FRAME_BYTES,
		.hugetlbfs_dir = pool_dir,
		.swap = { .dir = swapdir(), .encrypt = encrypt, .compress = true }
	};
	struct err err = { 0 };
	struct ram *ram;

	if (ram_open(&config, &ram, &err)) {
		fprintf(stderr, "%s\n", err.text);
		exit(EXIT_FAILURE);
	}
	return ram;
}

static _Atomic uint64_t *block_words(struct ram *ram, uint64_t block)
{
	return (_Atomic uint64_t *)(void *)((uint8_t *)ram_guest_view(ram, 0) +
					    block * HUGE_FRAME_BYTES);
}

static void fill(struct ram *ram, bool zeros)
{
	for (uint64_t block = 0; block < guest_blocks; block++)
		for (uint64_t word = 0; word < HUGE_FRAME_BYTES / sizeof(uint64_t); word++)
			atomic_store_explicit(block_words(ram, block) + word,
					      zeros ? 0 : test_random_next(&randomness),
					      memory_order_relaxed);
}

static uint64_t in_state(struct ram *ram, enum frame_state state)
{
	struct ram_statistics statistics;

	ram_read_statistics(ram, &statistics);
	return statistics.state_bytes[state] / HUGE_FRAME_BYTES;
}

/* Returns nanoseconds per block. */
static uint64_t evict(struct ram *ram)
{
	uint64_t before = in_state(ram, FRAME_SWAPPED) + in_state(ram, FRAME_ABSENT);
	uint64_t start_ns = clock_now_ns(), took_ns;

	must(ram_set_limit(ram, KEPT_BLOCKS * HUGE_FRAME_BYTES) == 0, "limit");
	while (ram_resident_bytes(ram) > KEPT_BLOCKS * HUGE_FRAME_BYTES)
		(void)usleep(100);
	took_ns = clock_now_ns() - start_ns;
	must(ram_set_limit(ram, 0) == 0, "limit");
	return took_ns / (in_state(ram, FRAME_SWAPPED) + in_state(ram, FRAME_ABSENT) - before);
}

static void shuffle(uint64_t *order)
{
	for (uint64_t i = 0; i < BLOCKS; i++)
		order[i] = i;
	for (uint64_t i = BLOCKS - 1; i > 0; i--) {
		uint64_t other = test_random_below(&randomness, i + 1), keep = order[i];

		order[i] = order[other];
		order[other] = keep;
	}
}

static uint64_t touch(struct ram *ram, uint64_t block)
{
	uint64_t start_ns = clock_now_ns();

	atomic_fetch_add(block_words(ram, block), 1);
	return clock_now_ns() - start_ns;
}

static void touch_those(struct ram *ram, enum frame_state state, const uint64_t *order, int round,
			struct figure *figure)
{
	for (uint64_t i = 0; i < BLOCKS; i++)
		if (frame_state_of(frames_peek(&ram->frames, order[i])) == state)
			note(figure, round, touch(ram, order[i]));
		else
			(void)touch(ram, order[i]);
}

/* All blocks in ascending order; nanoseconds per swapped block. */
static void sweep(struct ram *ram, int round, struct figure *figure)
{
	uint64_t swapped = in_state(ram, FRAME_SWAPPED), start_ns = clock_now_ns();

	for (uint64_t block = 0; block < BLOCKS; block++)
		(void)touch(ram, block);
	note(figure, round, (clock_now_ns() - start_ns) / swapped);
}

/* What is being read ahead still is waited for. */
static void discard_all(struct ram *ram)
{
	int result = -EBUSY;

	while (result == -EBUSY)
		result = ram_discard(ram, 0, BLOCKS);
	must(result == 0, "discard");
}

static void bench_mode(bool encrypt)
{
	static struct figure evicted, evicted_zeros, in, swept, zeros, first;
	struct ram *ram = open_ram(encrypt);
	uint64_t order[BLOCKS];

	mode = encrypt ? "sealed" : "plain";
	evicted.count = evicted_zeros.count = in.count = 0;
	swept.count = zeros.count = first.count = 0;
	for (int round = -1; round < ROUNDS; round++) {
		shuffle(order);
		discard_all(ram);
		touch_those(ram, FRAME_ABSENT, order, round, &first);
		fill(ram, false);
		note(&evicted, round, evict(ram));
		touch_those(ram, FRAME_SWAPPED, order, round, &in);
		note(&evicted, round, evict(ram));
		sweep(ram, round, &swept);
		fill(ram, true);
		note(&evicted_zeros, round, evict(ram));
		touch_those(ram, FRAME_ABSENT, order, round, &zeros);
	}
	say_rate("evict", &evicted);
	say_rate("evict_zeros", &evicted_zeros);
	say_us("swap_in", &in);
	say_us("sweep", &swept);
	say_us("zeros", &zeros);
	say_us("first", &first);
	ram_close(ram);
}

/* No limit here: what is above the pool is found by hitting it. */
static void bench_thrash(bool encrypt)
{
	static struct figure touches;
	struct ram_statistics before, after;
	uint64_t start_ns;
	struct ram *ram;

	guest_blocks = POOL_BLOCKS * 3 / 2;
	ram = open_ram(encrypt);
	touches.count = 0;
	fill(ram, false);
	ram_read_statistics(ram, &before);
	start_ns = clock_now_ns();
	for (int i = 0; i < THRASH_TOUCHES; i++)
		(void)touch(ram, test_random_below(&randomness, guest_blocks));
	note(&touches, 0, (clock_now_ns() - start_ns) / THRASH_TOUCHES);
	ram_read_statistics(ram, &after);
	say_us("thrash", &touches);
	printf("swapper_thrash_%s_refaults %.3f per_touch\n", mode,
	       (double)(after.refaults - before.refaults) / THRASH_TOUCHES);
	printf("swapper_thrash_%s_reads %.3f per_touch\n", mode,
	       (double)(after.swap_in_bytes - before.swap_in_bytes) / HUGE_FRAME_BYTES /
		       THRASH_TOUCHES);
	printf("swapper_thrash_%s_starved %.1f us\n", mode,
	       (double)(after.starved_ns - before.starved_ns) / THRASH_TOUCHES / (double)NS_PER_US);
	ram_close(ram);
	guest_blocks = BLOCKS;
}

static void bench_raw(void)
{
	static struct figure reads, writes;
	int fd = open(swapdir(), O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0);
	uint8_t *buffer = mmap(NULL, HUGE_FRAME_BYTES, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	uint64_t order[BLOCKS];

	must(fd >= 0 && buffer != MAP_FAILED, "raw file");
	must(fallocate(fd, 0, 0, BLOCKS * HUGE_FRAME_BYTES) == 0, "raw file");
	mode = "raw";
	for (int round = -1; round < ROUNDS; round++) {
		shuffle(order);
		for (uint64_t i = 0; i < BLOCKS; i++) {
			off_t at = (off_t)(order[i] * HUGE_FRAME_BYTES);
			uint64_t start_ns = clock_now_ns();

			must(pwrite(fd, buffer, HUGE_FRAME_BYTES, at) == HUGE_FRAME_BYTES, "write");
			note(&writes, round, clock_now_ns() - start_ns);
		}
		for (uint64_t i = 0; i < BLOCKS; i++) {
			off_t at = (off_t)(order[i] * HUGE_FRAME_BYTES);
			uint64_t start_ns = clock_now_ns();

			must(pread(fd, buffer, HUGE_FRAME_BYTES, at) == HUGE_FRAME_BYTES, "read");
			note(&reads, round, clock_now_ns() - start_ns);
		}
	}
	say_rate("write", &writes);
	say_us("read", &reads);
	(void)close(fd);
}

int main(void)
{
	swapdir_need();
	hugemount_make(POOL_BLOCKS, pool_dir);
	bench_raw();
	bench_mode(false);
	bench_thrash(false);
	bench_mode(true);
	bench_thrash(true);
	return EXIT_SUCCESS;
}
