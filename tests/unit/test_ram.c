/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_ram.c - guest RAM on frames of either size: test-ram 4K | 2M.
 *
 * With 2M the frames come from a private mount (support/hugemount.h) of POOL_FRAMES pages, so
 * that the counts are exact and nobody else is disturbed.
 */
#include "../support/sanitizers.h"
#include "../support/hugemount.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "memory/access.h"
#include "memory/discard.h"
#include "memory/backing.h"
#include "memory/ram_internal.h"
#include "memory/uffd.h"

enum { POOL_FRAMES = 16, RANDOM_STEPS = 4000, RACE_ROUNDS = 40000, RACE_FRAMES = 3 };

#if WITH_TSAN /* its shadow leaves no address space for two views of 1 TiB */
#define LARGEST_BYTES	   (GIB_BYTES * 64)
#define LARGEST_COST_BYTES (32 * MIB_BYTES)
#else
#define LARGEST_BYTES	   RAM_MAX_BYTES
#define LARGEST_COST_BYTES MIB_BYTES
#endif

static uint64_t frame_bytes;
static char mount_path[HUGEMOUNT_TEXT_BYTES];
static const char *pool_dir; /* NULL for 4 KiB frames */

static struct ram *open_ram(uint64_t ram_bytes)
{
	struct ram_config config = { .ram_bytes = ram_bytes,
				     .frame_bytes = frame_bytes,
				     .hugetlbfs_dir = pool_dir };
	struct err err = { 0 };
	struct ram *ram = NULL;

	if (ram_open(&config, &ram, &err))
		fail_msg("%s", err.text);
	return ram;
}

static gpa_t frame_gpa(const struct ram *ram, uint64_t frame)
{
	return ram_layout_gpa(ram_layout(ram), frame * frame_bytes);
}

/* Does the engine take the frame for one that has memory behind it? */
static bool is_known(struct ram *ram, uint64_t frame)
{
	if (ram->known.words)
		return known_find_set(&ram->known, frame, frame + 1) == frame;
	return frame_in_ram(frame_state_of(frames_peek(&ram->frames, frame)));
}

static uint64_t first_known(struct ram *ram, uint64_t first, uint64_t end)
{
	while (first < end && !is_known(ram, first))
		first++;
	return first;
}

static uint64_t first_unknown(struct ram *ram, uint64_t first, uint64_t end)
{
	while (first < end && is_known(ram, first))
		first++;
	return first;
}

static void fill_frame(struct ram *ram, uint64_t frame, uint8_t value)
{
	void *at;

	assert_int_equal(ram_ptr(ram, frame_gpa(ram, frame), frame_bytes, &at), 0);
	memset(at, value, frame_bytes);
}

/* Every byte of the frame; memcmp against itself shifted by one is the fastest plain way. */
static void assert_frame_is(struct ram *ram, uint64_t frame, uint8_t value)
{
	void *at;

	assert_int_equal(ram_ptr(ram, frame_gpa(ram, frame), frame_bytes, &at), 0);
	assert_int_equal(*(uint8_t *)at, value);
	assert_memory_equal(at, (uint8_t *)at + 1, frame_bytes - 1);
}

static void fresh_ram_holds_one_frame_and_is_zero(void **state)
{
	struct ram *ram = open_ram(8 * frame_bytes);

	(void)state;
	assert_int_equal(ram_resident_bytes(ram), frame_bytes);
	assert_frame_is(ram, 0, 0);
	assert_int_equal(ram_resident_bytes(ram), frame_bytes);
	assert_frame_is(ram, 7, 0);
	assert_int_equal(ram_resident_bytes(ram), 2 * frame_bytes);
	ram_close(ram);
}

static void both_views_and_access_see_the_same_bytes(void **state)
{
	struct ram *ram = open_ram(4 * GIB_BYTES);
	uint64_t written = UINT64_C(0x1122334455667788), seen = 0;
	uint8_t *above;

	(void)state;
	assert_int_equal(ram_layout(ram)->region_count, 2);
	assert_int_equal(ram_write(ram, GPA(RAM_HOLE_END + 8), &written, sizeof(written)), 0);
	above = ram_guest_view(ram, 1);
	memcpy(&seen, above + 8, sizeof(seen));
	assert_int_equal(seen, written);
	memcpy(&seen, ram->host.base + RAM_HOLE_START + 8, sizeof(seen));
	assert_int_equal(seen, written);
	assert_int_equal(ram_read(ram, GPA(RAM_HOLE_END + 8), &seen, sizeof(seen)), 0);
	assert_int_equal(seen, written);
	assert_int_equal(ram_zero(ram, GPA(RAM_HOLE_END + 8), sizeof(written)), 0);
	memcpy(&seen, above + 8, sizeof(seen));
	assert_int_equal(seen, 0);
	ram_close(ram);
}

/* VQ08-10 */
static void addresses_outside_ram_are_efault_and_change_nothing(void **state)
{
	struct ram *ram = open_ram(4 * GIB_BYTES);
	uint64_t resident = ram_resident_bytes(ram);
	static const struct {
		uint64_t addr, len_bytes;
	} bad[] = {
		{ UINT64_MAX, 1 },
		{ UINT64_MAX, UINT64_MAX },
		{ 0, UINT64_MAX },
		{ GUEST_PAGE_BYTES, UINT64_MAX - 1 },
		{ RAM_HOLE_START - 1, 2 },
		{ RAM_HOLE_START, 1 },
		{ RAM_HOLE_END - 1, 2 },
		{ 5 * GIB_BYTES - 1, 2 },
		{ 5 * GIB_BYTES, 0 },
		{ UINT64_C(0xffffffff) << GUEST_PAGE_SHIFT, GUEST_PAGE_BYTES },
	};
	uint8_t bytes[4] = { 1, 2, 3, 4 };
	void *untouched = bytes;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		gpa_t gpa = GPA(bad[i].addr);

		assert_int_equal(ram_ptr(ram, gpa, bad[i].len_bytes, &untouched), -EFAULT);
		assert_int_equal(ram_read(ram, gpa, bytes, bad[i].len_bytes), -EFAULT);
		assert_int_equal(ram_write(ram, gpa, bytes, bad[i].len_bytes), -EFAULT);
		assert_int_equal(ram_zero(ram, gpa, bad[i].len_bytes), -EFAULT);
		assert_int_equal(ram_back(ram, gpa, bad[i].len_bytes), -EFAULT);
		assert_false(ram_contains(ram, gpa, bad[i].len_bytes));
	}
	assert_ptr_equal(untouched, bytes);
	assert_int_equal(bytes[0], 1);
	assert_int_equal(ram_resident_bytes(ram), resident);
	ram_close(ram);
}

static void frames_are_numbered_through_the_hole(void **state)
{
	struct ram *ram = open_ram(4 * GIB_BYTES);
	uint64_t frame = 42;

	(void)state;
	assert_int_equal(ram_frame_count(ram), 4 * GIB_BYTES / frame_bytes);
	assert_true(ram_frame_of(ram, GPA(RAM_HOLE_START - 1), &frame));
	assert_int_equal(frame, RAM_HOLE_START / frame_bytes - 1);
	assert_true(ram_frame_of(ram, GPA(RAM_HOLE_END), &frame));
	assert_int_equal(frame, RAM_HOLE_START / frame_bytes);
	assert_false(ram_frame_of(ram, GPA(RAM_HOLE_START), &frame));
	assert_false(ram_frame_of(ram, GPA(UINT64_MAX), &frame));
	ram_close(ram);
}

/* BL05: what lies beside a discarded frame is bit-identical. */
static void discard_takes_whole_frames_and_leaves_the_neighbours(void **state)
{
	struct ram *ram = open_ram(5 * frame_bytes);

	(void)state;
	for (uint64_t frame = 0; frame < 5; frame++)
		fill_frame(ram, frame, (uint8_t)(0xa0 + frame));
	assert_int_equal(ram_resident_bytes(ram), 5 * frame_bytes);
	assert_int_equal(ram_discard(ram, 1, 2), 0);
	assert_int_equal(ram_resident_bytes(ram), 3 * frame_bytes);
	assert_int_equal(ram_discard(ram, 1, 2), 0);
	assert_int_equal(ram_resident_bytes(ram), 3 * frame_bytes);
	assert_frame_is(ram, 0, 0xa0);
	assert_frame_is(ram, 1, 0);
	assert_frame_is(ram, 2, 0);
	assert_frame_is(ram, 3, 0xa3);
	assert_frame_is(ram, 4, 0xa4);
	ram_close(ram);
}

static void discard_of_frames_that_do_not_exist_is_erange(void **state)
{
	struct ram *ram = open_ram(4 * frame_bytes);

	(void)state;
	fill_frame(ram, 3, 0x77);
	assert_int_equal(ram_discard(ram, 3, 2), -ERANGE);
	assert_int_equal(ram_discard(ram, 4, 1), -ERANGE);
	assert_int_equal(ram_discard(ram, 1, UINT64_MAX), -ERANGE);
	assert_int_equal(ram_discard(ram, UINT64_MAX, 2), -ERANGE);
	assert_int_equal(ram_discard(ram, 4, 0), 0);
	assert_frame_is(ram, 3, 0x77);
	ram_close(ram);
}

static void frames_the_guest_touched_itself_are_found_not_taken_twice(void **state)
{
	struct ram *ram = open_ram(4 * frame_bytes);
	uint8_t *view = ram_guest_view(ram, 0);
	uint64_t resident_bytes;

	(void)state;
	view[2 * frame_bytes + 1] = 0x5a;
	/* Who touched goes on as soon as it is mapped, maybe before the state says so. */
	(void)frames_lock(&ram->frames, (2 * frame_bytes) >> BLOCK_SHIFT);
	frames_unlock_same(&ram->frames, (2 * frame_bytes) >> BLOCK_SHIFT);
	resident_bytes = ram_resident_bytes(ram); /* small frames come in runs */
	/* A pager answered the touch, and so knows; the kernel does not tell us. */
	assert_int_equal(first_known(ram, 1, 4), ram_has_pager(ram) ? 2 : 4);
	assert_int_equal(ram_back(ram, GPA(2 * frame_bytes), frame_bytes), 0);
	assert_int_equal(ram_resident_bytes(ram), resident_bytes);
	assert_int_equal(view[2 * frame_bytes + 1], 0x5a);
	assert_int_equal(first_known(ram, 1, 4), 2);
	ram_close(ram);
}

static void an_access_backs_exactly_the_frames_it_touches(void **state)
{
	struct ram *ram = open_ram(8 * frame_bytes);
	uint8_t two[2] = { 1, 2 };

	(void)state;
	assert_int_equal(ram_write(ram, GPA(3 * frame_bytes - 1), two, sizeof(two)), 0);
	assert_int_equal(ram_resident_bytes(ram), 3 * frame_bytes);
	assert_int_equal(first_unknown(ram, 2, 8), 4);
	assert_int_equal(ram_write(ram, GPA(6 * frame_bytes), two, 0), 0);
	assert_int_equal(ram_write(ram, GPA(8 * frame_bytes - 1), two, 1), 0);
	assert_int_equal(ram_resident_bytes(ram), 4 * frame_bytes);
	ram_close(ram);
}

/* A model of RAM that is an array: any order of writes, reads and discards agrees with it. */
static void any_order_of_writes_and_discards_agrees_with_a_model(void **state)
{
	enum { FRAMES = POOL_FRAMES };
	struct test_random random = test_random_start();
	struct ram *ram = open_ram(FRAMES * frame_bytes);
	uint64_t model[FRAMES] = { 0 };
	bool held[FRAMES] = { true };

	(void)state;
	for (int i = 0; i < RANDOM_STEPS; i++) {
		uint64_t frame = test_random_below(&random, FRAMES);
		uint64_t count = 1 + test_random_below(&random, FRAMES - frame);
		uint64_t value = test_random_next(&random), seen, held_count = 0;
		gpa_t last_word = GPA((frame + 1) * frame_bytes - sizeof(value));

		switch (test_random_below(&random, 3)) {
		case 0:
			assert_int_equal(ram_write(ram, last_word, &value, sizeof(value)), 0);
			model[frame] = value;
			held[frame] = true;
			break;
		case 1:
			assert_int_equal(ram_read(ram, last_word, &seen, sizeof(seen)), 0);
			assert_int_equal(seen, model[frame]);
			held[frame] = true;
			break;
		default:
			assert_int_equal(ram_discard(ram, frame, count), 0);
			memset(model + frame, 0, count * sizeof(*model));
			memset(held + frame, 0, count * sizeof(*held));
		}
		for (int j = 0; j < FRAMES; j++)
			held_count += held[j];
		assert_int_equal(ram_resident_bytes(ram), held_count * frame_bytes);
	}
	ram_close(ram);
}

static uint64_t own_rss_bytes(void)
{
	char text[128] = "";
	unsigned long long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	assert_int_equal(sscanf(text, "%*u %llu", &pages), 1);
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void guest_of_one_tib_costs_nothing_until_it_is_used(void **state)
{
	uint64_t before = own_rss_bytes(), value = 42;
	struct ram *ram = open_ram(LARGEST_BYTES);
	gpa_t last = ram_layout_gpa(ram_layout(ram), LARGEST_BYTES - sizeof(value));

	(void)state;
	assert_int_equal(ram_write(ram, last, &value, sizeof(value)), 0);
	assert_int_equal(ram_resident_bytes(ram), 2 * frame_bytes);
	assert_int_equal(ram_discard(ram, 0, ram_frame_count(ram)), 0);
	assert_int_equal(ram_resident_bytes(ram), 0);
	/* Two frames' worth of page tables and bitmap words, and what fopen takes. */
	assert_in_range(own_rss_bytes() - before, 0, LARGEST_COST_BYTES);
	ram_close(ram);
}

struct progress {
	uint64_t last_bytes;
	unsigned calls;
};

static bool note_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
	struct progress *progress = ctx;

	assert_true(done_bytes > progress->last_bytes && done_bytes <= total_bytes);
	*progress = (struct progress){ done_bytes, progress->calls + 1 };
	return true;
}

static bool call_off(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
	(void)ctx;
	(void)done_bytes;
	(void)total_bytes;
	return false;
}

static void a_reservation_that_is_called_off_gives_everything_back(void **state)
{
	struct ram_config config = { .ram_bytes = POOL_FRAMES * HUGE_FRAME_BYTES,
				     .frame_bytes = frame_bytes,
				     .hugetlbfs_dir = pool_dir,
				     .reserve = true,
				     .progress = call_off };
	struct ram *ram = NULL;

	(void)state;
	assert_int_equal(ram_open(&config, &ram, NULL), -ECANCELED);
	assert_null(ram);
	config.progress = NULL; /* the pool holds exactly this much: nothing was kept */
	assert_int_equal(ram_open(&config, &ram, NULL), 0);
	ram_close(ram);
}

static void reserve_takes_every_frame_and_says_how_far_it_is(void **state)
{
	struct progress progress = { 0 };
	struct ram_config config = { .ram_bytes = POOL_FRAMES * HUGE_FRAME_BYTES,
				     .frame_bytes = frame_bytes,
				     .hugetlbfs_dir = pool_dir,
				     .reserve = true,
				     .progress = note_progress,
				     .progress_ctx = &progress };
	struct ram *ram = NULL;

	(void)state;
	assert_int_equal(ram_open(&config, &ram, NULL), 0);
	assert_int_equal(ram_resident_bytes(ram), config.ram_bytes);
	assert_int_equal(progress.last_bytes, config.ram_bytes);
	assert_true(progress.calls > 0);
	assert_int_equal(first_unknown(ram, 0, ram_frame_count(ram)), ram_frame_count(ram));
	ram_close(ram);
}

/* VmFlags: dd = not dumped, dc = not copied on fork. proc(5). */
static void guest_memory_stays_out_of_core_dumps_and_forks(void **state)
{
	struct ram *ram = open_ram(4 * frame_bytes);
	uintptr_t views[] = { (uintptr_t)ram->guest.base, (uintptr_t)ram->host.base };
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long long start, end, flagged = 0;
	char line[512];
	bool ours = false;

	(void)state;
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%llx-%llx ", &start, &end) == 2)
			ours = start == views[0] || start == views[1];
		else if (ours && strncmp(line, "VmFlags:", 8) == 0)
			flagged += strstr(line, " dd") && strstr(line, " dc");
	}
	fclose(file);
	assert_int_equal(flagged, 2);
	ram_close(ram);
}

/* The story of M2 in ram_internal.h: a vCPU backs frames while the I/O thread discards them and
 * touches them. Nobody touches guest memory otherwise, so whenever the lock is free to take, the
 * frames believed to be there are exactly those that are. */
struct race {
	struct ram *ram;
	atomic_bool stop;
	struct test_random random;
};

static void *back_random_frames(void *ctx)
{
	struct race *race = ctx;

	while (!atomic_load(&race->stop)) {
		uint64_t frame = test_random_below(&race->random, ram_frame_count(race->ram));
		int result = ram_back(race->ram, frame_gpa(race->ram, frame), frame_bytes);

		if (result)
			return ctx; /* not NULL: it failed */
	}
	return NULL;
}

static void assert_known_frames_are_the_resident_ones(struct ram *ram)
{
	uint64_t known_frames = 0, resident_bytes;

	for (uint64_t block = 0; block < ram->frames.block_count; block++)
		(void)frames_lock(&ram->frames, block);
	for (uint64_t frame = 0; frame < ram_frame_count(ram); frame++)
		known_frames += is_known(ram, frame);
	resident_bytes = ram_resident_bytes(ram);
	for (uint64_t block = 0; block < ram->frames.block_count; block++)
		frames_unlock_same(&ram->frames, block);
	assert_int_equal(known_frames * frame_bytes, resident_bytes);
}

static void backing_from_a_vcpu_while_devices_discard_never_lies(void **state)
{
	struct ram *ram = open_ram(RACE_FRAMES * frame_bytes);
	struct race race = { .ram = ram, .random = test_random_start() };
	struct test_random random = { .state = race.random.state + 1 };
	int rounds = pool_dir ? RACE_ROUNDS / 20 : RACE_ROUNDS; /* large frames must be zeroed */
	pthread_t vcpu;
	void *failed;

	(void)state;
	assert_int_equal(pthread_create(&vcpu, NULL, back_random_frames, &race), 0);
	for (int i = 0; i < rounds; i++) {
		uint64_t frame = test_random_below(&random, RACE_FRAMES), value = 42;

		assert_int_equal(ram_discard(ram, test_random_below(&random, RACE_FRAMES), 1), 0);
		assert_int_equal(ram_write(ram, frame_gpa(ram, frame), &value, sizeof(value)), 0);
		assert_known_frames_are_the_resident_ones(ram);
	}
	atomic_store(&race.stop, true);
	assert_int_equal(pthread_join(vcpu, &failed), 0);
	assert_null(failed);
	ram_close(ram);
}

/* HP01, HP02: famine. The pool is empty: an answer, not a signal; and everything goes on when pages
 * come back. */
static void empty_pool_is_enospc_and_ends_when_pages_return(void **state)
{
	struct ram *ram, *other;
	uint8_t byte = 0x42;
	void *at = NULL;

	(void)state;
	ram = open_ram(2 * POOL_FRAMES * frame_bytes);
	other = open_ram(frame_bytes);
	for (uint64_t frame = 0; frame < POOL_FRAMES - 1; frame++)
		fill_frame(ram, frame, (uint8_t)frame);
	assert_int_equal(ram_ptr(ram, frame_gpa(ram, POOL_FRAMES), 1, &at), -ENOSPC);
	assert_int_equal(ram_write(ram, frame_gpa(ram, POOL_FRAMES), &byte, 1), -ENOSPC);
	assert_int_equal(ram_back(ram, frame_gpa(ram, POOL_FRAMES), frame_bytes), -ENOSPC);
	assert_null(at);
	assert_int_equal(ram_resident_bytes(ram), (POOL_FRAMES - 1) * frame_bytes);
	ram_close(other); /* another VM ends */
	assert_int_equal(ram_write(ram, frame_gpa(ram, POOL_FRAMES), &byte, 1), 0);
	assert_int_equal(ram_ptr(ram, frame_gpa(ram, POOL_FRAMES + 1), 1, &at), -ENOSPC);
	assert_int_equal(ram_discard(ram, 3, 1), 0); /* or this one gives a frame back */
	assert_int_equal(ram_ptr(ram, frame_gpa(ram, POOL_FRAMES + 1), 1, &at), 0);
	for (uint64_t frame = 0; frame < POOL_FRAMES - 1; frame++) {
		if (frame != 3)
			assert_frame_is(ram, frame, (uint8_t)frame);
	}
	ram_close(ram);
}

static void assert_refused(const struct ram_config *config, const char *wanted, const char *remedy)
{
	struct err err = { 0 };
	struct ram *ram = NULL;

	assert_int_equal(ram_open(config, &ram, &err), -ENOMEM);
	assert_null(ram);
	if (!strstr(err.text, wanted) || !strstr(err.text, remedy))
		fail_msg("\"%s\" should say \"%s\" and \"%s\"", err.text, wanted, remedy);
}

static void too_few_pages_are_refused_with_the_command_that_helps(void **state)
{
	struct ram_config config = { .ram_bytes = 2 * POOL_FRAMES * frame_bytes,
				     .frame_bytes = frame_bytes,
				     .hugetlbfs_dir = pool_dir,
				     .reserve = true };
	struct ram *hog;

	(void)state;
	assert_refused(&config, "32 of 2 MiB needed, 16 free below the size= limit of",
		       "sudo mount -t hugetlbfs -o pagesize=2M,size=64M none /");
	hog = open_ram(POOL_FRAMES * frame_bytes);
	assert_int_equal(ram_back(hog, GPA(0), POOL_FRAMES * frame_bytes), 0);
	config.reserve = false; /* not one page left: also then, at once */
	assert_refused(&config, "32 of 2 MiB needed, 0 free below the size= limit of",
		       "sudo mount -t hugetlbfs -o pagesize=2M,size=64M none /");
	ram_close(hog);
}

static void a_directory_that_is_no_hugetlbfs_is_refused(void **state)
{
	struct ram_config config = { .ram_bytes = 4 * frame_bytes,
				     .frame_bytes = frame_bytes,
				     .hugetlbfs_dir = "/" };
	struct err err = { 0 };
	struct ram *ram = NULL;

	(void)state;
	assert_int_equal(ram_open(&config, &ram, &err), -EINVAL);
	assert_non_null(strstr(err.text, pool_dir ? "not a hugetlbfs mount" : "only 2 MiB"));
	config.hugetlbfs_dir = "/nonexistent";
	assert_true(ram_open(&config, &ram, &err) < 0);
	assert_null(ram);
}

static void choose_frames(const char *name)
{
	if (strcmp(name, "4K") == 0) {
		frame_bytes = GUEST_PAGE_BYTES;
		return;
	}
	frame_bytes = HUGE_FRAME_BYTES;
	hugemount_make(POOL_FRAMES, mount_path);
	pool_dir = mount_path;
}

/* Without a mount the frames come from the host's pool, which others use too: either answer is
 * right, as long as it is whole. */
/* Else the kernel tells KVM that a whole GiB is gone when one frame of it is. */
static void no_mapping_of_huge_pages_holds_a_whole_aligned_gib(void **state)
{
	struct ram *ram = open_ram(8 * GIB_BYTES);
	const uintptr_t base = (uintptr_t)ram->guest.base, host = (uintptr_t)ram->host.base;
	FILE *maps = fopen("/proc/self/maps", "re");
	uint64_t start, end, seen_bytes = 0;
	char line[4096];

	(void)state;
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		char rights[8];

		assert_int_equal(sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &start, &end, rights),
				 3);
		if ((start < base || start >= base + 16 * GIB_BYTES) &&
		    (start < host || start >= host + 8 * GIB_BYTES))
			continue;
		if (strcmp(rights, "rw-s") != 0)
			continue;
		seen_bytes += end - start;
		assert_true(align_down(end, GIB_BYTES) <=
			    align_down(start - 1, GIB_BYTES) + GIB_BYTES);
	}
	(void)fclose(maps);
	assert_true(seen_bytes == 2 * 8 * GIB_BYTES);
	ram_close(ram);
}

/* What is mapped at once may lie in two mappings. */
static void neighbours_in_two_mappings_are_mapped_at_once(void **state)
{
	struct ram *ram = open_ram(2 * GIB_BYTES);
	uint64_t piece = ram_piece_bytes(ram, (uintptr_t)ram->guest.base, 2 * GIB_BYTES);
	uint64_t first = piece / frame_bytes - 1;
	uint8_t *at = (uint8_t *)ram->guest.base + piece;

	(void)state;
	if (!ram_has_pager(ram)) {
		print_message("skipped: no userfaultfd here: %s\n", ram_why_no_pager(ram));
		skip();
	}
	assert_int_equal(backing_allocate(ram->fd, first * frame_bytes, 2 * frame_bytes), 0);
	assert_int_equal(uffd_map(ram, first * frame_bytes, 2 * frame_bytes), 0);
	at[-1] = 1; /* nobody has to answer these */
	at[0] = 2;
	assert_int_equal(uffd_unmap(ram, first * frame_bytes, 2 * frame_bytes), 0);
	ram_close(ram);
}

static void hugetlb_memfd_works_or_says_what_is_missing(void **state)
{
	struct ram_config config = { .ram_bytes = 2 * frame_bytes, .frame_bytes = frame_bytes };
	struct err err = { 0 };
	struct ram *ram = NULL;

	(void)state;
	if (ram_open(&config, &ram, &err) == -ENOMEM) {
		assert_non_null(strstr(err.text, "2 of 2 MiB needed, 0 free; reserve them with: "));
		return;
	}
	assert_non_null(ram);
	fill_frame(ram, 0, 0x11);
	assert_int_equal(ram_discard(ram, 0, 1), 0);
	assert_frame_is(ram, 0, 0);
	ram_close(ram);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fresh_ram_holds_one_frame_and_is_zero),
		cmocka_unit_test(both_views_and_access_see_the_same_bytes),
		cmocka_unit_test(addresses_outside_ram_are_efault_and_change_nothing),
		cmocka_unit_test(frames_are_numbered_through_the_hole),
		cmocka_unit_test(discard_takes_whole_frames_and_leaves_the_neighbours),
		cmocka_unit_test(discard_of_frames_that_do_not_exist_is_erange),
		cmocka_unit_test(frames_the_guest_touched_itself_are_found_not_taken_twice),
		cmocka_unit_test(an_access_backs_exactly_the_frames_it_touches),
		cmocka_unit_test(any_order_of_writes_and_discards_agrees_with_a_model),
		cmocka_unit_test(guest_of_one_tib_costs_nothing_until_it_is_used),
		cmocka_unit_test(reserve_takes_every_frame_and_says_how_far_it_is),
		cmocka_unit_test(a_reservation_that_is_called_off_gives_everything_back),
		cmocka_unit_test(guest_memory_stays_out_of_core_dumps_and_forks),
		cmocka_unit_test(backing_from_a_vcpu_while_devices_discard_never_lies),
		cmocka_unit_test(a_directory_that_is_no_hugetlbfs_is_refused),
	};

	/* 4 KiB frames come from all of the host's memory: no pool to be empty. */
	const struct CMUnitTest pool_tests[] = {
		cmocka_unit_test(empty_pool_is_enospc_and_ends_when_pages_return),
		cmocka_unit_test(too_few_pages_are_refused_with_the_command_that_helps),
		cmocka_unit_test(no_mapping_of_huge_pages_holds_a_whole_aligned_gib),
		cmocka_unit_test(neighbours_in_two_mappings_are_mapped_at_once),
		cmocka_unit_test(hugetlb_memfd_works_or_says_what_is_missing),
	};
	int failed;

	choose_frames(argc > 1 ? argv[1] : "4K");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	if (pool_dir)
		failed += cmocka_run_group_tests(pool_tests, NULL, NULL);
	return failed;
}
