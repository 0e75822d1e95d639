/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_metadata.c - what the memory engine maps for itself per GiB of guest RAM: frame table, map of
 * pages, the sampler's periods, what is prepared ahead, and what swap keeps of every block and of its
 * file. Measured from outside (VmData), as the difference of two guests of different sizes, so that
 * threads and buffers do not count; each in a process of its own, so that the allocator's past does
 * not.
 */
#include "../support/sanitizers.h"
#include "../support/testing.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "memory/ram.h"

enum { SMALL_GIB = 1, LARGE_GIB = 5, NO_SUCH_HOST = 1 };

#define MOST_BYTES_PER_GIB (64 * KIB_BYTES)

static uint64_t data_bytes(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	unsigned long long kib = 0;
	char line[128];

	assert_non_null(status);
	while (fgets(line, sizeof(line), status))
		if (sscanf(line, "VmData: %llu kB", &kib) == 1)
			break;
	(void)fclose(status);
	assert_int_not_equal(kib, 0);
	return kib * KIB_BYTES;
}

static struct ram *open_ram(uint64_t gib, uint64_t frame_bytes, const char *swap_dir)
{
	struct ram_config config = { .ram_bytes = gib * GIB_BYTES,
				     .frame_bytes = frame_bytes,
				     .ahead_bytes = GIB_BYTES,
				     .sample_blocks = 100,
				     .sample_period_ns = 30 * NS_PER_S,
				     .swap = {
					     .dir = swap_dir, .encrypt = true, .compress = true } };
	struct err err = { 0 };
	struct ram *ram = NULL;

	if (ram_open(&config, &ram, &err)) {
		print_message("%s\n", err.text);
		return NULL;
	}
	return ram;
}

/* In a child: tells the parent what is mapped for a guest of @gib, threads and buffers included. */
static _Noreturn void tell_cost(int to, uint64_t gib, uint64_t frame_bytes, const char *swap_dir)
{
	uint64_t before = data_bytes(), cost;

	if (!open_ram(gib, frame_bytes, swap_dir))
		_exit(NO_SUCH_HOST);
	cost = data_bytes() - before;
	_exit(write(to, &cost, sizeof(cost)) != sizeof(cost));
}

static uint64_t cost_of(uint64_t gib, uint64_t frame_bytes, const char *swap_dir)
{
	uint64_t cost = 0;
	int pipe_fds[2], status;
	pid_t child;

	assert_int_equal(pipe(pipe_fds), 0);
	child = fork();
	if (child == 0)
		tell_cost(pipe_fds[1], gib, frame_bytes, swap_dir);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status != 0)
		test_skip_case("no such memory or swap here");
	assert_int_equal(read(pipe_fds[0], &cost, sizeof(cost)), sizeof(cost));
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
	return cost;
}

static uint64_t cost_per_gib(uint64_t frame_bytes, const char *swap_dir)
{
	uint64_t small = cost_of(SMALL_GIB, frame_bytes, swap_dir);
	uint64_t large = cost_of(LARGE_GIB, frame_bytes, swap_dir);

	assert_true(large > small);
	return (large - small) / (LARGE_GIB - SMALL_GIB);
}

static void assert_cost(uint64_t frame_bytes, const char *name)
{
	uint64_t plain = cost_per_gib(frame_bytes, NULL);
	uint64_t with_swap = cost_per_gib(frame_bytes, ".");

	print_message("%s: %.1f KiB per GiB, with swap as large as RAM %.1f KiB\n", name,
		      (double)plain / KIB_BYTES, (double)with_swap / KIB_BYTES);
	assert_in_range(with_swap, plain + 1, MOST_BYTES_PER_GIB);
}

static void huge_frames_cost_at_most_64_kib_per_gib_with_swap(void **state)
{
	(void)state;
	assert_cost(HUGE_FRAME_BYTES, "2 MiB frames");
}

static void small_frames_cost_at_most_64_kib_per_gib_with_swap(void **state)
{
	(void)state;
	assert_cost(GUEST_PAGE_BYTES, "4 KiB frames");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(huge_frames_cost_at_most_64_kib_per_gib_with_swap),
		cmocka_unit_test(small_frames_cost_at_most_64_kib_per_gib_with_swap),
	};

#if WITH_TSAN || WITH_ASAN
	test_skip_program("the sanitizer's own memory is counted as well");
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
