/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_reserve.c - memory reserved at the start, by several threads: test-reserve 4K | 2M.
 *
 * With 2M the frames come from a private pool of exactly POOL_FRAMES.
 */
#include "../support/hugemount.h"

#include <pthread.h>

#include "memory/ram.h"

enum { POOL_FRAMES = 72, ROUNDS = 5 };

#define RAM_BYTES (POOL_FRAMES * HUGE_FRAME_BYTES) /* three chunks, the last one short */

static char mount_path[HUGEMOUNT_TEXT_BYTES];
static const char *pool_dir;
static uint64_t frame_bytes;

struct progress {
	pthread_t thread;
	uint64_t last_bytes;
	unsigned calls, call_off_at;
};

static bool note_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
	struct progress *progress = ctx;

	assert_true(pthread_equal(pthread_self(), progress->thread)); /* R2 */
	assert_true(done_bytes > progress->last_bytes && done_bytes <= total_bytes);
	progress->last_bytes = done_bytes;
	return ++progress->calls != progress->call_off_at;
}

static struct ram_config config_of(struct progress *progress, uint64_t ram_bytes)
{
	*progress = (struct progress){ .thread = pthread_self() };
	return (struct ram_config){ .ram_bytes = ram_bytes,
				    .frame_bytes = frame_bytes,
				    .hugetlbfs_dir = pool_dir,
				    .reserve = true,
				    .progress = note_progress,
				    .progress_ctx = progress };
}

static void all_of_it_is_there_counted_and_zero(void **state)
{
	struct progress progress;
	struct ram_config config = config_of(&progress, RAM_BYTES);
	struct ram_statistics statistics;
	struct err err = { 0 };
	struct ram *ram;
	const uint8_t *view;

	(void)state;
	if (ram_open(&config, &ram, &err))
		fail_msg("%s", err.text);
	assert_int_equal(ram_resident_bytes(ram), RAM_BYTES);
	ram_read_statistics(ram, &statistics);
	assert_int_equal(statistics.state_bytes[FRAME_RESIDENT], RAM_BYTES);
	view = ram_guest_view(ram, 0);
	assert_int_equal(view[0], 0);
	assert_memory_equal(view, view + 1, RAM_BYTES - 1);
	ram_read_statistics(ram, &statistics);
	if (pool_dir) /* the host may reclaim ordinary memory at any time */
		assert_int_equal(statistics.faults, 0);
	assert_int_equal(progress.last_bytes, RAM_BYTES);
	ram_close(ram);
}

static void called_off_everything_goes_back(void **state)
{
	struct progress progress;
	struct ram_config config = config_of(&progress, RAM_BYTES);
	struct err err = { 0 };
	struct ram *ram = NULL;

	(void)state;
	progress.call_off_at = 1;
	assert_int_equal(ram_open(&config, &ram, &err), -ECANCELED);
	assert_non_null(strstr(err.text, "called off"));
	assert_int_equal(progress.calls, 1);
	config = config_of(&progress, RAM_BYTES); /* the pool holds exactly this much */
	if (ram_open(&config, &ram, &err))
		fail_msg("%s", err.text);
	ram_close(ram);
}

static void *reserve_at_once(void *arg)
{
	struct ram **ret_ram = arg;
	struct progress progress;
	struct ram_config config = config_of(&progress, RAM_BYTES);
	struct err err = { 0 };
	int result = ram_open(&config, ret_ram, &err);

	assert_true(result == 0 || (result == -ENOMEM && err.text[0]));
	return NULL;
}

/* Each is told that there is room, and then one takes what the other counted on. */
static void two_that_want_the_same_frames_do_not_both_get_them(void **state)
{
	struct ram *rams[2];
	pthread_t threads[2];

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < 2; i++) {
			rams[i] = NULL;
			assert_int_equal(
				pthread_create(&threads[i], NULL, reserve_at_once, &rams[i]), 0);
		}
		for (int i = 0; i < 2; i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(!rams[0] || !rams[1]);
		ram_close(rams[0]);
		ram_close(rams[1]);
	}
	reserve_at_once(&rams[0]);
	assert_non_null(rams[0]); /* nothing was left behind */
	ram_close(rams[0]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest any[] = {
		cmocka_unit_test(all_of_it_is_there_counted_and_zero),
		cmocka_unit_test(called_off_everything_goes_back),
	};
	const struct CMUnitTest with_a_pool[] = {
		cmocka_unit_test(two_that_want_the_same_frames_do_not_both_get_them),
	};

	frame_bytes = GUEST_PAGE_BYTES;
	if (argc < 2 || strcmp(argv[1], "2M") != 0)
		return cmocka_run_group_tests(any, NULL, NULL);
	frame_bytes = HUGE_FRAME_BYTES;
	hugemount_make(POOL_FRAMES, mount_path);
	pool_dir = mount_path;
	return cmocka_run_group_tests(any, NULL, NULL) +
	       cmocka_run_group_tests(with_a_pool, NULL, NULL);
}
