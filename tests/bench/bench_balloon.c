/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bench_balloon.c - how fast the balloon takes and gives, and how much of it the host gets back.
 *
 * The driver's side is a ring in guest memory, filled before the clock starts; the clock runs over
 * the device: reading lists, accounting, and giving frames back to the host with real punches of
 * frames that hold a page each. No guest and no exits: what a guest adds is measured by others.
 *   stock  256 PFNs per request, descending, as Linux sends them, one request per kick
 *   block  512 consecutive PFNs per request, RING requests per kick
 *   block_long_lists  16 blocks per request
 *   scattered  256 PFNs per request, all pages in random order: the worst there is
 * Prints "name value unit". Frames come from a private mount (tests/support/hugemount.h). Each
 * rate is the median of ROUNDS rounds after one that is thrown away.
 */
#include "../support/hugemount.h"

#include <inttypes.h>

#include "../device/fake_guest.h"
#include "balloon/balloon.h"
#include "base/clock.h"

enum { ROUNDS = 9, FRAMES = 64, FIRST_FRAME = 2, RING = 64, F = 512 };
enum { INFLATE, DEFLATE };

#define DATA_BYTES (FRAMES * HUGE_FRAME_BYTES)
#define DATA_PAGES (FRAMES * F)

static struct ram *ram;
static struct balloon *balloon;
static struct fake_guest guest;
static gpa_t lists;
static char pool_dir[HUGEMOUNT_TEXT_BYTES];

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "failed: %s\n", what);
	exit(EXIT_FAILURE);
}

static void say(const char *name, double value, const char *unit)
{
	printf("balloon_%s %.3f %s\n", name, value, unit);
}

static struct balloon_counters counters_now(void)
{
	struct balloon_counters counters;

	balloon_read_counters(balloon, &counters);
	return counters;
}

/* Every frame backed, and mapped in the guest view. */
static void touch_all(void)
{
	for (unsigned frame = FIRST_FRAME; frame < FIRST_FRAME + FRAMES; frame++) {
		gpa_t at = GPA(frame * HUGE_FRAME_BYTES);

		must(ram_back(ram, at, HUGE_FRAME_BYTES) == 0, "backing a frame");
		*(volatile uint8_t *)fake_guest_at(&guest, at) = 1;
	}
}

/* Requests of @per_request pages in the order of @pfns, RING of them per kick if @deep. Returns the
 * time the device took. */
static uint64_t run(unsigned queue, const uint32_t *pfns, unsigned per_request, bool deep)
{
	uint64_t spent_ns = 0;
	uint32_t head, written;

	for (unsigned sent = 0; sent < DATA_PAGES;) {
		for (unsigned i = 0; i < (deep ? RING : 1) && sent < DATA_PAGES; i++) {
			unsigned count =
				DATA_PAGES - sent < per_request ? DATA_PAGES - sent : per_request;
			gpa_t at = GPA(lists.addr + UINT64_C(4) * sent);
			struct fake_buf buf = { .addr = at, .len_bytes = 4 * count };

			memcpy(fake_guest_at(&guest, at), pfns + sent, UINT64_C(4) * count);
			must(fake_guest_add(&guest, queue, &buf, 1, FAKE_DIRECT) >= 0, "adding");
			sent += count;
		}
		uint64_t start_ns = clock_now_ns();

		virtio_mmio_kick(guest.mmio, queue);
		spent_ns += clock_now_ns() - start_ns;
		(void)fake_guest_run(&guest, 100);
		while (fake_guest_reap(&guest, queue, &head, &written))
			continue;
	}
	return spent_ns;
}

static int by_value(const void *left, const void *right)
{
	const uint64_t *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

static double median_gib_per_s(uint64_t *samples)
{
	qsort(samples, ROUNDS, sizeof(*samples), by_value);
	return (double)DATA_BYTES / (double)GIB_BYTES /
	       ((double)samples[ROUNDS / 2] / (double)NS_PER_S);
}

static void bench(const char *name, const uint32_t *pfns, unsigned per_request, bool deep)
{
	uint64_t in_ns[ROUNDS], out_ns[ROUNDS];
	char text[64];

	for (int i = -1; i < ROUNDS; i++) {
		touch_all();
		uint64_t resident_bytes = ram_resident_bytes(ram);
		uint64_t in = run(INFLATE, pfns, per_request, deep);
		uint64_t back_bytes = resident_bytes - ram_resident_bytes(ram);

		must(counters_now().taken_bytes == DATA_BYTES, "taking everything");
		must(back_bytes == counters_now().returned_bytes, "counting what went back");
		uint64_t out = run(DEFLATE, pfns, per_request, deep);

		must(counters_now().taken_bytes == 0, "giving everything");
		if (i < 0) {
			snprintf(text, sizeof(text), "%s_returned_per_taken", name);
			say(text, (double)back_bytes / (double)DATA_BYTES, "bytes/byte");
			continue;
		}
		in_ns[i] = in;
		out_ns[i] = out;
	}
	snprintf(text, sizeof(text), "%s_inflate", name);
	say(text, median_gib_per_s(in_ns), "GiB/s");
	snprintf(text, sizeof(text), "%s_deflate", name);
	say(text, median_gib_per_s(out_ns), "GiB/s");
}

/* All pages, shuffled. */
static void fill_scattered(uint32_t *pfns)
{
	struct test_random random = test_random_start();

	for (uint32_t i = 0; i < DATA_PAGES; i++)
		pfns[i] = FIRST_FRAME * F + i;
	for (uint32_t i = DATA_PAGES - 1; i > 0; i--) {
		uint32_t j = (uint32_t)test_random_below(&random, i + 1), kept = pfns[i];

		pfns[i] = pfns[j];
		pfns[j] = kept;
	}
}

static void start(void)
{
	struct ram_config config = { .ram_bytes = DATA_BYTES + FIRST_FRAME * HUGE_FRAME_BYTES,
				     .frame_bytes = HUGE_FRAME_BYTES,
				     .hugetlbfs_dir = pool_dir };
	struct balloon_config balloon_config = { .features = UINT64_MAX };
	struct err err = { 0 };

	hugemount_make(FRAMES + FIRST_FRAME, pool_dir);
	must(ram_open(&config, &ram, &err) == 0, err.text);
	balloon_config.ram = ram;
	must(balloon_create(&balloon_config, &balloon, &err) == 0, err.text);
	fake_guest_init(&guest, ram, balloon_device(balloon));
	must(fake_guest_start(&guest, BALLOON_F_MUST_TELL_HOST, RING) == 15, "starting");
	lists = fake_guest_alloc(&guest, UINT64_C(4) * DATA_PAGES, GUEST_PAGE_BYTES);
}

int main(void)
{
	static uint32_t up[DATA_PAGES], down[DATA_PAGES], scattered[DATA_PAGES];

	start();
	for (uint32_t i = 0; i < DATA_PAGES; i++) {
		up[i] = FIRST_FRAME * F + i;
		down[i] = FIRST_FRAME * F + DATA_PAGES - 1 - i;
	}
	fill_scattered(scattered);
	bench("stock", down, 256, false);
	bench("block", up, F, true);
	bench("block_long_lists", up, 16 * F, true);
	bench("scattered", scattered, 256, false);
	fake_guest_fini(&guest);
	balloon_destroy(balloon);
	return 0;
}
