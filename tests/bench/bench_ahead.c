/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bench_ahead.c - first touches of huge pages by a thread of this process, and what sampling costs.
 *
 * Prints "name value unit". "kernel" is the same file of the same pool without userfaultfd; its runs
 * alternate with ours, the first is thrown away, and each figure is the median of ROUNDS. "stock":
 * all that is touched was prepared before; "front": nothing was, and the keeper has to run in front of
 * a thread that does nothing but touch; "alone": nothing is prepared. What a guest sees is in
 * bench_first_touch.py.
 */
#include "../support/hugemount.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "memory/ram_internal.h"

enum { ROUNDS = 9, POOL_FRAMES = 200, BLOCKS = 40, PATIENCE_S = 10, SAMPLE_BLOCKS = 32 };

#define SAMPLE_PERIOD_NS (200 * NS_PER_MS)

static char pool_dir[HUGEMOUNT_TEXT_BYTES];
static unsigned order[BLOCKS];

static void say(const char *name, double value, const char *unit)
{
	printf("ahead_%s %.3f %s\n", name, value, unit);
	(void)fflush(stdout);
}

static int by_value(const void *left, const void *right)
{
	const double *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

static double median(double *samples)
{
	qsort(samples, ROUNDS, sizeof(*samples), by_value);
	return samples[ROUNDS / 2];
}

static void must(int result, const char *what)
{
	if (result) {
		fprintf(stderr, "%s: %s\n", what, strerror(result < 0 ? -result : errno));
		exit(EXIT_FAILURE);
	}
}

/* Microseconds per block. */
static double touch_all(volatile uint8_t *view, bool shuffled)
{
	uint64_t start_ns = clock_now_ns();

	for (unsigned i = 0; i < BLOCKS; i++)
		view[(shuffled ? order[i] : i) * BLOCK_BYTES] = 1;
	return (double)(clock_now_ns() - start_ns) / (double)NS_PER_US / BLOCKS;
}

static double touch_kernels(bool shuffled)
{
	int dir = open(pool_dir, O_PATH | O_CLOEXEC);
	int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
	double us;
	void *view;

	must(fd < 0, "a file in the pool");
	must(ftruncate(fd, BLOCKS * BLOCK_BYTES), "its length");
	view = mmap(NULL, BLOCKS * BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		    fd, 0);
	must(view == MAP_FAILED, "mapping it");
	us = touch_all(view, shuffled);
	(void)munmap(view, BLOCKS * BLOCK_BYTES);
	(void)close(fd);
	(void)close(dir);
	return us;
}

static struct ram *open_ram(uint64_t ahead_bytes, uint64_t sample_blocks)
{
	struct ram_config config = { .ram_bytes = (BLOCKS + 1) * BLOCK_BYTES,
				     .frame_bytes = HUGE_FRAME_BYTES,
				     .hugetlbfs_dir = pool_dir,
				     .ahead_bytes = ahead_bytes,
				     .sample_blocks = sample_blocks,
				     .sample_period_ns = SAMPLE_PERIOD_NS };
	struct err err = { 0 };
	struct ram *ram;

	if (ram_open(&config, &ram, &err)) {
		fprintf(stderr, "%s\n", err.text);
		exit(EXIT_FAILURE);
	}
	if (!ram_has_pager(ram))
		test_skip_program("this process may not use userfaultfd");
	return ram;
}

static void await_stock(struct ram *ram)
{
	uint64_t end_ns = clock_now_ns() + PATIENCE_S * NS_PER_S;

	while (atomic_load(&ram->frames.fresh_blocks) < BLOCKS && clock_now_ns() < end_ns)
		(void)sched_yield();
	must(atomic_load(&ram->frames.fresh_blocks) < BLOCKS ? -ETIME : 0, "filling a stock");
}

/* The first block is there since the start. */
static double touch_ours(uint64_t ahead_bytes, bool stock, bool shuffled)
{
	struct ram *ram = open_ram(ahead_bytes, 0);
	double us;

	if (stock)
		await_stock(ram);
	us = touch_all((uint8_t *)ram_guest_view(ram, 0) + BLOCK_BYTES, shuffled);
	ram_close(ram);
	return us;
}

static const struct {
	const char *name;
	uint64_t ahead_bytes;
	bool stock, shuffled;
} cases[] = {
	{ "stock_upwards", GIB_BYTES, true, false },  { "front_upwards", GIB_BYTES, false, false },
	{ "alone_upwards", 0, false, false },	      { "stock_shuffled", GIB_BYTES, true, true },
	{ "front_shuffled", GIB_BYTES, false, true }, { "alone_shuffled", 0, false, true },
};

static void bench_touch(size_t i)
{
	double ours[ROUNDS], kernels[ROUNDS], ratios[ROUNDS];
	char name[64];

	for (int round = -1; round < ROUNDS; round++) {
		double kernel = touch_kernels(cases[i].shuffled);
		double our = touch_ours(cases[i].ahead_bytes, cases[i].stock, cases[i].shuffled);

		if (round < 0)
			continue;
		kernels[round] = kernel;
		ours[round] = our;
		ratios[round] = our / kernel;
	}
	(void)snprintf(name, sizeof(name), "%s", cases[i].name);
	say(name, median(ours), "us");
	(void)snprintf(name, sizeof(name), "%s_kernel", cases[i].name);
	say(name, median(kernels), "us");
	(void)snprintf(name, sizeof(name), "%s_per_kernel", cases[i].name);
	say(name, median(ratios), "x");
}

static uint64_t cpu_ns(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* What the pager and the keeper used. */
static uint64_t others_cpu_ns(void)
{
	return cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* A guest that is always busy with all of its memory: the dearest one. @periods long; what it waited
 * for the pager, and what all our threads used, is the cost. */
static void bench_sampler(uint64_t periods)
{
	struct ram *ram = open_ram(0, SAMPLE_BLOCKS);
	volatile uint8_t *view = ram_guest_view(ram, 0);
	struct ram_statistics before, now;
	uint64_t start_cpu_ns;
	double blocks, stall_us, cpu_us;

	for (unsigned i = 0; i <= BLOCKS; i++)
		view[i * BLOCK_BYTES] = 1;
	ram_read_statistics(ram, &before);
	start_cpu_ns = others_cpu_ns();
	do {
		struct timespec rest = { .tv_nsec = NS_PER_MS / 2 };

		for (unsigned i = 0; i <= BLOCKS; i++)
			view[i * BLOCK_BYTES] += 1;
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, NULL);
		ram_read_statistics(ram, &now);
	} while (now.sample_periods < before.sample_periods + periods);
	blocks = (double)(periods * now.sampled_blocks);
	stall_us = (double)(now.stall_ns - before.stall_ns) / (double)NS_PER_US / blocks;
	cpu_us = (double)(others_cpu_ns() - start_cpu_ns) / (double)NS_PER_US / blocks;
	say("sampler_active", now.active_percent, "percent");
	say("sampler_stall_per_block", stall_us, "us");
	say("sampler_cpu_per_block", cpu_us, "us");
	say("sampler_100_per_30s", (stall_us + cpu_us) * 100 / 30e6 * 100, "percent_of_a_cpu");
	ram_close(ram);
}

int main(void)
{
	struct test_random random = test_random_start();

	for (unsigned i = 0; i < BLOCKS; i++) {
		unsigned j = (unsigned)test_random_below(&random, i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	hugemount_make(POOL_FRAMES, pool_dir);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		bench_touch(i);
	bench_sampler(20);
	return 0;
}
