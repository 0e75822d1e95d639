/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* watch_rig.h - threads that play the engine's, and somebody who is told about them. For test_watch.c
 * and test_watch_rest.c.
 */
#ifndef NEAP_TESTS_UNIT_WATCH_RIG_H
#define NEAP_TESTS_UNIT_WATCH_RIG_H

#include "../support/sanitizers.h"
#include "../support/testing.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "memory/watch.h"

enum { PATIENCE_S = 60, CALM_LOOKS = 10, WHY_BYTES = 160 };

/* What was told, and a way to wait for it. */
struct told {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned failures, starved, fed;
	char why[WHY_BYTES];
	gpa_t where;
};

TESTING_INLINE void on_failed(void *ctx, const char *why)
{
	struct told *told = ctx;

	pthread_mutex_lock(&told->lock);
	told->failures++;
	(void)snprintf(told->why, sizeof(told->why), "%s", why);
	pthread_cond_broadcast(&told->changed);
	pthread_mutex_unlock(&told->lock);
}

TESTING_INLINE void on_starved(void *ctx, gpa_t gpa, bool starving)
{
	struct told *told = ctx;

	pthread_mutex_lock(&told->lock);
	told->starved += starving;
	told->fed += !starving;
	told->where = gpa;
	pthread_cond_broadcast(&told->changed);
	pthread_mutex_unlock(&told->lock);
}

TESTING_INLINE struct watch *start(struct told *told)
{
	struct ram_events events = { .failed = on_failed, .starved = on_starved, .ctx = told };
	struct watch *watch = NULL;
	struct err err = { 0 };

	*told = (struct told){ .lock = PTHREAD_MUTEX_INITIALIZER,
			       .changed = PTHREAD_COND_INITIALIZER };
	if (watch_start(&events, &watch, &err))
		fail_msg("%s", err.text);
	return watch;
}

TESTING_INLINE void await(struct told *told, const unsigned *count, unsigned wanted)
{
	struct timespec deadline;

	(void)clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&told->lock);
	while (*count < wanted)
		assert_int_equal(pthread_cond_timedwait(&told->changed, &told->lock, &deadline), 0);
	pthread_mutex_unlock(&told->lock);
}

TESTING_INLINE unsigned failures_of(struct told *told)
{
	unsigned failures;

	pthread_mutex_lock(&told->lock);
	failures = told->failures;
	pthread_mutex_unlock(&told->lock);
	return failures;
}

enum what {
	DIE,	   /* as no thread of ours would */
	LEAVE,	   /* as they should */
	SLEEP,	   /* with work taken */
	REST,	   /* without */
	COMPUTE,   /* with work taken */
	STEP_ALONG /* sleep often, but get on */
};

struct player {
	struct watch *watch;
	struct watched watched;
	enum what what;
	atomic_int tid;
	atomic_bool stop;
	sem_t go_on;
	pthread_t thread;
};

TESTING_INLINE void nap(void)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = (long)NS_PER_MS }, NULL);
}

TESTING_INLINE void play(struct player *player)
{
	if (player->what == REST)
		watch_idle(&player->watched, false);
	else
		watch_busy(&player->watched);
	atomic_store(&player->tid, gettid());
	while (!atomic_load(&player->stop)) {
		if (player->what == STEP_ALONG) {
			nap();
			watch_busy(&player->watched);
		} else if (player->what != COMPUTE) {
			(void)sem_wait(&player->go_on);
		}
	}
}

TESTING_INLINE void *player_thread(void *arg)
{
	struct player *player = arg;

	assert_int_equal(watch_enter(player->watch, &player->watched), 0);
	if (player->what != DIE && player->what != LEAVE)
		play(player);
	if (player->what == DIE)
		(void)syscall(SYS_exit, 0);
	watch_leave(player->watch, &player->watched);
	return NULL;
}

TESTING_INLINE void player_start(struct player *player, struct watch *watch, enum what what)
{
	*player = (struct player){
		.watch = watch,
		.watched = { .task = "plays", .must_answer = true },
		.what = what,
	};
	assert_int_equal(sem_init(&player->go_on, 0, 0), 0);
	assert_int_equal(pthread_create(&player->thread, NULL, player_thread, player), 0);
}

TESTING_INLINE void player_end(struct player *player)
{
	atomic_store(&player->stop, true);
	(void)sem_post(&player->go_on);
	assert_int_equal(pthread_join(player->thread, NULL), 0);
}

/* So many looks that nothing came of. */
TESTING_INLINE void stay_calm(struct told *told)
{
	uint64_t until_ns = clock_now_ns() + CALM_LOOKS * WATCH_CALM_MS * NS_PER_MS;

	while (clock_now_ns() < until_ns) {
		assert_int_equal(failures_of(told), 0);
		nap();
	}
}

TESTING_INLINE void await_rest_of(const struct watched *thread)
{
	uint64_t until_ns = clock_now_ns() + PATIENCE_S * NS_PER_S;

	while (!atomic_load(thread->rests)) {
		assert_true(clock_now_ns() < until_ns);
		nap();
	}
}

/* A thread that ends behind its library's back upsets their accounts of it. */
TESTING_INLINE void skip_if_nobody_may_die(void)
{
#if WITH_ASAN || WITH_TSAN
	test_skip_case("sanitizers want threads to end as they should");
#endif
}

#endif
