/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bench_memory.c - what the memory room costs: bench-memory 4k | 2m.
 *
 * Prints "name value unit". Each figure is the median of ROUNDS rounds after one that is thrown
 * away: the first touch of the host's memory can be ten times slower. 2M takes its frames from a
 * private mount, so that nobody else on the host is in the way (tests/support/hugemount.h).
 */
#include "../support/hugemount.h"

#include <inttypes.h>

#include "base/clock.h"
#include "memory/access.h"
#include "memory/discard.h"

enum { ROUNDS = 7, FRAMES_2M = 128, FRAMES_4K = 65536, POINTERS = 10000000, PLACES = 1024 };

static uint64_t frame_bytes, frames;
static const char *pool_dir, *frame_name;

static void say(const char *name, double value, const char *unit)
{
	printf("memory_%s_%s %.3f %s\n", name, frame_name, value, unit);
}

static int by_value(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

static uint64_t median_ns(uint64_t *samples)
{
	qsort(samples, ROUNDS, sizeof(*samples), by_value);
	return samples[ROUNDS / 2];
}

static double gib_per_s(uint64_t bytes, uint64_t ns)
{
	return (double)bytes / (double)GIB_BYTES / ((double)ns / (double)NS_PER_S);
}

static struct ram *open_ram(bool reserve)
{
	struct ram_config config = { .ram_bytes = frames * frame_bytes,
				     .frame_bytes = frame_bytes,
				     .hugetlbfs_dir = pool_dir,
				     .reserve = reserve };
	struct err err = { 0 };
	struct ram *ram;

	if (ram_open(&config, &ram, &err)) {
		fprintf(stderr, "%s\n", err.text);
		exit(EXIT_FAILURE);
	}
	return ram;
}

static void must(int result)
{
	if (result) {
		fprintf(stderr, "failed: %s\n", strerror(-result));
		exit(EXIT_FAILURE);
	}
}

static void bench_reserve(void)
{
	uint64_t samples[ROUNDS];

	for (int i = -1; i < ROUNDS; i++) {
		uint64_t start_ns = clock_now_ns();
		struct ram *ram = open_ram(true);

		if (i >= 0)
			samples[i] = clock_now_ns() - start_ns;
		ram_close(ram);
	}
	say("reserve", gib_per_s(frames * frame_bytes, median_ns(samples)), "GiB/s");
}

static void bench_open(void)
{
	uint64_t samples[ROUNDS];

	for (int i = -1; i < ROUNDS; i++) {
		uint64_t start_ns = clock_now_ns();
		struct ram *ram = open_ram(false);

		if (i >= 0)
			samples[i] = clock_now_ns() - start_ns;
		ram_close(ram);
	}
	say("open", (double)median_ns(samples) / (double)NS_PER_US, "us");
}

/* Give all frames back, @batch_frames a call; the guest has touched them all through its view. */
static void bench_discard(const char *name, uint64_t batch_frames)
{
	struct ram *ram = open_ram(false);
	uint8_t *view = ram_guest_view(ram, 0);
	uint64_t samples[ROUNDS];

	for (int i = -1; i < ROUNDS; i++) {
		must(ram_back(ram, GPA(0), frames * frame_bytes));
		for (uint64_t frame = 0; frame < frames; frame++)
			view[frame * frame_bytes] = 1;
		uint64_t start_ns = clock_now_ns();

		for (uint64_t frame = 0; frame < frames; frame += batch_frames)
			must(ram_discard(ram, frame, batch_frames));
		if (i >= 0)
			samples[i] = clock_now_ns() - start_ns;
	}
	if (ram_resident_bytes(ram))
		must(-EIO);
	say(name, gib_per_s(frames * frame_bytes, median_ns(samples)), "GiB/s");
	ram_close(ram);
}

/* The guest touches memory nobody has touched: on 2 MiB frames the pager answers. */
static void bench_first_touch(void)
{
	struct ram *ram = open_ram(false);
	uint8_t *view = ram_guest_view(ram, 0);
	uint64_t samples[ROUNDS];

	for (int i = -1; i < ROUNDS; i++) {
		must(ram_discard(ram, 0, frames));
		uint64_t start_ns = clock_now_ns();

		for (uint64_t frame = 0; frame < frames; frame++)
			view[frame * frame_bytes] = 1;
		if (i >= 0)
			samples[i] = clock_now_ns() - start_ns;
	}
	say("first_touch", (double)median_ns(samples) / (double)NS_PER_US / (double)frames, "us");
	ram_close(ram);
}

/* One device access to a frame that is there, at addresses that jump about. */
static void bench_pointer(void)
{
	static gpa_t places[PLACES];
	struct ram *ram = open_ram(true);
	struct test_random random = { .state = 1 };
	uint64_t samples[ROUNDS], sum = 0;

	for (int i = 0; i < PLACES; i++)
		places[i] = GPA(test_random_below(&random, frames * frame_bytes / 8) * 8);
	for (int i = -1; i < ROUNDS; i++) {
		uint64_t start_ns = clock_now_ns();

		for (int j = 0; j < POINTERS; j++) {
			void *at = NULL;

			must(ram_ptr(ram, places[j % PLACES], sizeof(uint64_t), &at));
			sum += (uintptr_t)at;
		}
		if (i >= 0)
			samples[i] = clock_now_ns() - start_ns;
	}
	if (sum == 0)
		must(-EIO);
	say("pointer", (double)median_ns(samples) / POINTERS, "ns");
	ram_close(ram);
}

int main(int argc, char **argv)
{
	char mount_path[HUGEMOUNT_TEXT_BYTES];

	frame_name = argc > 1 ? argv[1] : "4k";
	frames = FRAMES_4K;
	frame_bytes = GUEST_PAGE_BYTES;
	if (strcmp(frame_name, "2m") == 0) {
		frames = FRAMES_2M;
		frame_bytes = HUGE_FRAME_BYTES;
		hugemount_make(FRAMES_2M, mount_path);
		pool_dir = mount_path;
	}
	bench_open();
	bench_reserve();
	bench_discard("discard_batched", frames);
	bench_discard("discard_single", 1);
	bench_first_touch();
	bench_pointer();
	return 0;
}
