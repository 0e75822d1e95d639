/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_pager.c - who touches a huge frame that is not there waits, and is told about; nobody dies.
 *
 * The frames come from a private pool; a second RAM is the neighbour who holds the rest of it.
 */
#include "../support/sanitizers.h"
#include "../support/hugemount.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "memory/access.h"
#include "memory/discard.h"
#include "memory/ram_internal.h"

enum { POOL_FRAMES = 8, TOUCHERS = 4, RACE_ROUNDS = 3000, RACE_FRAMES = 4, PATIENCE_S = 20 };

static char pool_dir[HUGEMOUNT_TEXT_BYTES];

/* What the pager told, and a way to wait for it. */
struct told {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool starving;
	unsigned times; /* starved(true) */
	gpa_t where;
};

static void on_starved(void *ctx, gpa_t gpa, bool starving)
{
	struct told *told = ctx;

	pthread_mutex_lock(&told->lock);
	assert_int_not_equal(told->starving, starving); /* P4 */
	told->starving = starving;
	told->times += starving;
	if (starving)
		told->where = gpa;
	pthread_cond_broadcast(&told->changed);
	pthread_mutex_unlock(&told->lock);
}

static void on_failed(void *ctx, const char *why)
{
	(void)ctx;
	fail_msg("the pager failed: %s", why);
}

static void wait_until(struct told *told, bool starving)
{
	struct timespec deadline;

	(void)clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&told->lock);
	while (told->starving != starving)
		assert_int_equal(pthread_cond_timedwait(&told->changed, &told->lock, &deadline), 0);
	pthread_mutex_unlock(&told->lock);
}

static struct ram *open_ram(uint64_t frames, struct told *told, bool reserve)
{
	struct ram_config config = { .ram_bytes = frames * HUGE_FRAME_BYTES,
				     .frame_bytes = HUGE_FRAME_BYTES,
				     .hugetlbfs_dir = pool_dir,
				     .reserve = reserve };
	struct ram *ram = NULL;
	struct err err = { 0 };

	if (told) {
		*told = (struct told){ .lock = PTHREAD_MUTEX_INITIALIZER,
				       .changed = PTHREAD_COND_INITIALIZER };
		config.events = (struct ram_events){ .starved = on_starved,
						     .failed = on_failed,
						     .ctx = told };
	}
	if (ram_open(&config, &ram, &err))
		fail_msg("%s", err.text);
	if (!ram_has_pager(ram))
		test_skip_program("this process may not use userfaultfd");
	return ram;
}

struct toucher {
	struct ram *ram;
	uint64_t frame;
	uint8_t seen; /* the byte that was there */
	pthread_t thread;
};

static void *touch_frame(void *arg)
{
	struct toucher *toucher = arg;
	volatile uint8_t *byte =
		(uint8_t *)ram_guest_view(toucher->ram, 0) + toucher->frame * HUGE_FRAME_BYTES;

	toucher->seen = *byte;
	*byte = (uint8_t)(toucher->frame + 1);
	return NULL;
}

static void start_touch(struct toucher *toucher, struct ram *ram, uint64_t frame)
{
	*toucher = (struct toucher){ .ram = ram, .frame = frame, .seen = UINT8_MAX };
	assert_int_equal(pthread_create(&toucher->thread, NULL, touch_frame, toucher), 0);
}

static void end_touch(struct toucher *toucher)
{
	uint8_t now = 0;

	assert_int_equal(pthread_join(toucher->thread, NULL), 0);
	assert_int_equal(toucher->seen, 0); /* a new frame is zeros */
	assert_int_equal(ram_read(toucher->ram, GPA(toucher->frame * HUGE_FRAME_BYTES), &now, 1),
			 0);
	assert_int_equal(now, (uint8_t)(toucher->frame + 1));
}

static void a_touch_is_answered_with_zeros(void **state)
{
	struct toucher toucher;
	struct told told;
	struct ram *ram = open_ram(4, &told, false);

	(void)state;
	start_touch(&toucher, ram, 2);
	end_touch(&toucher);
	assert_int_equal(told.times, 0);
	assert_int_equal(ram_resident_bytes(ram), 2 * HUGE_FRAME_BYTES); /* and the first */
	ram_close(ram);
}

static void a_touch_in_an_empty_pool_waits_is_told_and_goes_on(void **state)
{
	struct toucher toucher;
	struct told told;
	struct ram *ram = open_ram(4, &told, false);
	struct ram *neighbour = open_ram(POOL_FRAMES - 1, NULL, true);

	(void)state;
	start_touch(&toucher, ram, 3);
	wait_until(&told, true);
	assert_int_equal(told.where.addr, 3 * HUGE_FRAME_BYTES);
	assert_int_equal(ram_back(ram, GPA(3 * HUGE_FRAME_BYTES), 1), -ENOSPC);
	assert_int_equal(ram_discard(neighbour, 0, 1), 0);
	wait_until(&told, false);
	end_touch(&toucher);
	assert_int_equal(told.times, 1);
	ram_close(neighbour);
	ram_close(ram);
}

static void many_who_wait_are_told_once_and_all_go_on(void **state)
{
	struct toucher touchers[TOUCHERS];
	struct told told;
	struct ram *ram = open_ram(TOUCHERS + 1, &told, false);
	struct ram *neighbour = open_ram(POOL_FRAMES - 1, NULL, true);

	(void)state;
	for (unsigned i = 0; i < TOUCHERS; i++)
		start_touch(&touchers[i], ram, i + 1);
	wait_until(&told, true);
	assert_int_equal(ram_discard(neighbour, 0, POOL_FRAMES - 1), 0);
	for (unsigned i = 0; i < TOUCHERS; i++)
		end_touch(&touchers[i]);
	wait_until(&told, false);
	ram_close(neighbour);
	ram_close(ram);
}

static long minor_faults(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_minflt;
}

#if WITH_TSAN || WITH_ASAN
static const bool counts_faults = false; /* the sanitizer's shadow memory faults as well */
#else
static const bool counts_faults = true;
#endif

static void reserved_frames_are_mapped_and_never_fault(void **state)
{
	struct ram *ram = open_ram(POOL_FRAMES, NULL, true);
	volatile uint8_t *view = ram_guest_view(ram, 0);
	long before = minor_faults();

	(void)state;
	for (unsigned frame = 0; frame < POOL_FRAMES; frame++)
		view[frame * HUGE_FRAME_BYTES] = 1;
	if (counts_faults)
		assert_int_equal(minor_faults(), before);
	ram_close(ram);
}

struct race {
	struct ram *ram;
	atomic_bool stop;
	struct test_random random;
};

static void *touch_at_random(void *arg)
{
	struct race *race = arg;
	volatile uint8_t *view = ram_guest_view(race->ram, 0);

	while (!atomic_load(&race->stop))
		view[test_random_below(&race->random, RACE_FRAMES) * HUGE_FRAME_BYTES] += 1;
	return NULL;
}

/* P5: whoever comes second wins, and nobody hangs or dies. UF03: a flood of removals; they are not events
 * for the pager, or discards would wait for it, and it for itself. */
static void frames_discarded_while_they_are_touched_come_back_as_zeros(void **state)
{
	struct told told;
	struct race race = { .ram = open_ram(RACE_FRAMES, &told, false),
			     .random = test_random_start() };
	struct test_random random = { .state = race.random.state + 1 };
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, touch_at_random, &race), 0);
	for (int i = 0; i < RACE_ROUNDS; i++)
		assert_int_equal(ram_discard(race.ram, test_random_below(&random, RACE_FRAMES), 1),
				 0);
	atomic_store(&race.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_in_range(ram_resident_bytes(race.ram), 0, RACE_FRAMES * HUGE_FRAME_BYTES);
	assert_int_equal(told.times, 0); /* the pool holds them all */
	ram_close(race.ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_touch_is_answered_with_zeros),
		cmocka_unit_test(a_touch_in_an_empty_pool_waits_is_told_and_goes_on),
		cmocka_unit_test(many_who_wait_are_told_once_and_all_go_on),
		cmocka_unit_test(reserved_frames_are_mapped_and_never_fault),
		cmocka_unit_test(frames_discarded_while_they_are_touched_come_back_as_zeros),
	};

	hugemount_make(POOL_FRAMES, pool_dir);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
