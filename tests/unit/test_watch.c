/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_watch.c - threads that die, are stopped, sleep too long; and those that only look like it.
 *
 * Threads of this program play the engine's. What happens to a whole VM: tests/kvm/test_watch.py.
 */
#include "../support/testing.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "memory/ram_internal.h"
#include "memory/watch.h"

enum { PATIENCE_S = 60, TRIES = 10, CALM_LOOKS = 10, LONG_ENOUGH_MS = 50, WHY_BYTES = 160 };

/* What was told, and a way to wait for it. */
struct told {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned failures, starved, fed;
	char why[WHY_BYTES];
	gpa_t where;
};

static void on_failed(void *ctx, const char *why)
{
	struct told *told = ctx;

	pthread_mutex_lock(&told->lock);
	told->failures++;
	(void)snprintf(told->why, sizeof(told->why), "%s", why);
	pthread_cond_broadcast(&told->changed);
	pthread_mutex_unlock(&told->lock);
}

static void on_starved(void *ctx, gpa_t gpa, bool starving)
{
	struct told *told = ctx;

	pthread_mutex_lock(&told->lock);
	told->starved += starving;
	told->fed += !starving;
	told->where = gpa;
	pthread_cond_broadcast(&told->changed);
	pthread_mutex_unlock(&told->lock);
}

static struct watch *start(struct told *told)
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

static void await(struct told *told, const unsigned *count, unsigned wanted)
{
	struct timespec deadline;

	(void)clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&told->lock);
	while (*count < wanted)
		assert_int_equal(pthread_cond_timedwait(&told->changed, &told->lock, &deadline), 0);
	pthread_mutex_unlock(&told->lock);
}

static unsigned failures_of(struct told *told)
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

static void nap(void)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = (long)NS_PER_MS }, NULL);
}

static void play(struct player *player)
{
	if (player->what == REST)
		watch_idle(&player->watched);
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

static void *player_thread(void *arg)
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

static void player_start(struct player *player, struct watch *watch, enum what what)
{
	*player = (struct player){
		.watch = watch,
		.watched = { .task = "plays", .must_answer = true },
		.what = what,
	};
	assert_int_equal(sem_init(&player->go_on, 0, 0), 0);
	assert_int_equal(pthread_create(&player->thread, NULL, player_thread, player), 0);
}

static void player_end(struct player *player)
{
	atomic_store(&player->stop, true);
	(void)sem_post(&player->go_on);
	assert_int_equal(pthread_join(player->thread, NULL), 0);
}

/* So many looks that nothing came of. */
static void stay_calm(struct told *told)
{
	uint64_t until_ns = clock_now_ns() + CALM_LOOKS * WATCH_CALM_MS * NS_PER_MS;

	while (clock_now_ns() < until_ns) {
		assert_int_equal(failures_of(told), 0);
		nap();
	}
}

/* A thread that ends behind its library's back upsets their accounts of it. */
static void skip_if_nobody_may_die(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	test_skip_case("sanitizers want threads to end as they should");
#endif
}

static uint64_t notice_death_ns(void)
{
	struct player player;
	struct told told;
	struct watch *watch = start(&told);
	uint64_t started_ns, took_ns;

	player_start(&player, watch, DIE);
	assert_int_equal(pthread_join(player.thread, NULL), 0);
	started_ns = clock_now_ns();
	await(&told, &told.failures, 1);
	took_ns = clock_now_ns() - started_ns;
	assert_string_equal(told.why, "the thread that plays died");
	watch_leave(watch, &player.watched);
	watch_stop(watch);
	return took_ns;
}

static void uf01_a_dead_thread_is_noticed_in_time(void **state)
{
	uint64_t best_ns = UINT64_MAX;

	(void)state;
	skip_if_nobody_may_die();
	for (int i = 0; i < TRIES && best_ns > WATCH_NOTICE_MS * NS_PER_MS; i++)
		best_ns = notice_death_ns();
	print_message("noticed after %llu us\n", (unsigned long long)(best_ns / NS_PER_US));
	assert_true(best_ns <= WATCH_NOTICE_MS * NS_PER_MS);
}

static void a_thread_that_leaves_is_no_alarm(void **state)
{
	struct player player;
	struct told told;
	struct watch *watch = start(&told);

	(void)state;
	player_start(&player, watch, LEAVE);
	player_end(&player);
	stay_calm(&told);
	watch_stop(watch);
}

static void two_that_die_are_one_alarm(void **state)
{
	struct player players[2];
	struct told told;
	struct watch *watch;

	(void)state;
	skip_if_nobody_may_die();
	watch = start(&told);
	for (int i = 0; i < 2; i++)
		player_start(&players[i], watch, DIE);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(players[i].thread, NULL), 0);
	await(&told, &told.failures, 1);
	watch_fail(watch, "something else");
	watch_starved(watch, GPA(0), true);
	await(&told, &told.starved, 1);		 /* it has looked at all that came before */
	assert_int_equal(failures_of(&told), 1); /* A2 */
	for (int i = 0; i < 2; i++)
		watch_leave(watch, &players[i].watched);
	watch_stop(watch);
}

/* In a process of its own: stop @tid until a byte arrives. */
static _Noreturn void trace(pid_t tid, int go_fd, int stopped_fd)
{
	char byte = 0;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0 ||
	    ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0 || waitpid(tid, NULL, __WALL) != tid)
		_exit(errno == EPERM ? TEST_EXIT_SKIP : 1);
	(void)!write(stopped_fd, &byte, 1);
	(void)!read(go_fd, &byte, 1);
	(void)ptrace(PTRACE_DETACH, tid, NULL, NULL);
	_exit(0);
}

static void uf02_a_stopped_thread_is_noticed(void **state)
{
	int go[2], stopped[2], status = 0;
	struct player player;
	struct told told;
	struct watch *watch = start(&told);
	char byte;
	pid_t tracer;

	(void)state;
	player_start(&player, watch, REST);
	while (atomic_load(&player.tid) == 0)
		(void)sched_yield();
	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(stopped), 0);
	tracer = fork();
	if (tracer == 0)
		trace(atomic_load(&player.tid), go[0], stopped[1]);
	(void)close(stopped[1]);
	if (read(stopped[0], &byte, 1) == 1) {
		await(&told, &told.failures, 1);
		assert_string_equal(told.why, "the thread that plays was stopped");
	}
	(void)!write(go[1], "", 1);
	assert_int_equal(waitpid(tracer, &status, 0), tracer);
	player_end(&player);
	watch_stop(watch);
	if (WEXITSTATUS(status) == TEST_EXIT_SKIP)
		test_skip_case("this user may not trace a program of its own");
	assert_int_equal(status, 0);
}

/* All at once, since the one that is an alarm takes WATCH_ASLEEP_MS. */
static void a_sleeper_with_work_is_noticed_and_who_rests_or_computes_or_gets_on_is_not(void **state)
{
	static const enum what others[] = { REST, COMPUTE, STEP_ALONG };
	struct watch *watch[ARRAY_LEN(others)], *sleepers;
	struct player player[ARRAY_LEN(others)], sleeper, worked_for, worker;
	struct told told[ARRAY_LEN(others)], sleepers_told, pair_told;
	struct watch *pair = start(&pair_told);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		watch[i] = start(&told[i]);
		player_start(&player[i], watch[i], others[i]);
	}
	/* It sleeps, but perhaps for the other one, who is at work. */
	player_start(&worked_for, pair, SLEEP);
	player_start(&worker, pair, COMPUTE);
	sleepers = start(&sleepers_told);
	player_start(&sleeper, sleepers, SLEEP);

	await(&sleepers_told, &sleepers_told.failures, 1);
	assert_string_equal(sleepers_told.why, "the thread that plays does not answer");
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		assert_int_equal(failures_of(&told[i]), 0);
		player_end(&player[i]);
		watch_stop(watch[i]);
	}
	assert_int_equal(failures_of(&pair_told), 0);
	player_end(&worked_for);
	player_end(&worker);
	watch_stop(pair);
	player_end(&sleeper);
	watch_stop(sleepers);
}

static void more_threads_than_there_is_room_for_are_refused(void **state)
{
	struct watched threads[WATCH_MAX_THREADS + 1] = { 0 };
	struct told told;
	struct watch *watch = start(&told);

	(void)state;
	for (int i = 0; i < WATCH_MAX_THREADS; i++) {
		threads[i].task = "plays";
		assert_int_equal(watch_enter(watch, &threads[i]), 0);
	}
	assert_int_equal(watch_enter(watch, &threads[WATCH_MAX_THREADS]), -ENOSPC);
	watch_leave(watch, &threads[WATCH_MAX_THREADS]); /* nothing happens */
	for (int i = 0; i < WATCH_MAX_THREADS; i++)
		watch_leave(watch, &threads[i]);
	assert_int_equal(watch_enter(watch, &threads[WATCH_MAX_THREADS]), 0);
	watch_leave(watch, &threads[WATCH_MAX_THREADS]);
	watch_stop(watch);
}

static void who_starves_is_told_once_for_all(void **state)
{
	struct told told;
	struct watch *watch = start(&told);

	(void)state;
	watch_starved(watch, GPA(HUGE_FRAME_BYTES), true);
	await(&told, &told.starved, 1);
	assert_int_equal(told.where.addr, HUGE_FRAME_BYTES);
	watch_starved(watch, GPA(0), true);
	watch_starved(watch, GPA(HUGE_FRAME_BYTES), false);
	watch_starved(watch, GPA(0), false);
	await(&told, &told.fed, 1);
	assert_int_equal(told.starved, 1); /* A3 */
	watch_stop(watch);
}

struct victim {
	struct ram *ram;
	struct told told;
	atomic_bool touching;
	atomic_int seen; /* -1: nothing yet */
};

static void *touch_last_page(void *arg)
{
	struct victim *victim = arg;
	volatile uint8_t *view = ram_guest_view(victim->ram, 0);

	atomic_store(&victim->touching, true);
	atomic_store(&victim->seen, view[ram_layout(victim->ram)->ram_bytes - 1]);
	return NULL;
}

/* In a process of its own, since the sleeper can never be joined. */
static int lose_a_descriptor(void)
{
	struct ram_config config = { .ram_bytes = 8 * MIB_BYTES, .frame_bytes = GUEST_PAGE_BYTES };
	struct victim victim = { .told = { .lock = PTHREAD_MUTEX_INITIALIZER,
					   .changed = PTHREAD_COND_INITIALIZER } };
	struct err err = { 0 };
	pthread_t thread;

	atomic_store(&victim.seen, -1);
	config.events = (struct ram_events){ .failed = on_failed, .ctx = &victim.told };
	if (ram_open(&config, &victim.ram, &err))
		return 2;
	if (!ram_has_pager(victim.ram))
		return TEST_EXIT_SKIP;
	(void)close(victim.ram->uffd); /* the mistake */
	if (pthread_create(&thread, NULL, touch_last_page, &victim))
		return 3;
	for (int i = 0; i < PATIENCE_S * 1000 && failures_of(&victim.told) == 0; i++)
		nap(); /* no assertions in this process */
	while (!atomic_load(&victim.touching))
		nap();
	for (int i = 0; i < LONG_ENOUGH_MS; i++)
		nap();
	if (atomic_load(&victim.seen) != -1)
		return 4; /* it saw a zero that nobody wrote */
	return strcmp(victim.told.why, "the thread that answers page faults failed") ? 5 : 0;
}

static void a_descriptor_closed_by_mistake_ends_the_vm_and_shows_no_zeros(void **state)
{
	pid_t child = fork();
	int status = 0;

	(void)state;
	if (child == 0)
		(void)syscall(SYS_exit_group, lose_a_descriptor()); /* whoever still sleeps */
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_EXIT_SKIP)
		test_skip_case("this process may not use userfaultfd");
	assert_int_equal(status, 0);
}

/* "lo" in the flags of the mapping that @address lies in. */
static bool is_locked(const void *address)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	unsigned long start, end;
	bool inside = false, locked = false;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)address >= start && (uintptr_t)address < end;
		if (inside && strncmp(line, "VmFlags:", 8) == 0)
			locked = strstr(line, " lo") != NULL;
	}
	if (maps)
		(void)fclose(maps);
	return locked;
}

static void what_answers_faults_stays_in_ram(void **state)
{
	struct ram_config config = { .ram_bytes = 8 * MIB_BYTES, .frame_bytes = GUEST_PAGE_BYTES };
	struct rlimit limit;
	struct ram *ram = NULL;
	struct err err = { 0 };

	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	test_skip_case("sanitizers lock no memory");
#endif
	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur < 8 * MIB_BYTES)
		test_skip_case("this user may lock less than 8 MiB");
	if (ram_open(&config, &ram, &err))
		fail_msg("%s", err.text);
	if (!ram_has_pager(ram)) {
		ram_close(ram);
		test_skip_case("this process may not use userfaultfd");
	}
	*(volatile uint8_t *)ram_guest_view(ram, 0) = 1;
	((volatile uint8_t *)ram_guest_view(ram, 0))[5 * MIB_BYTES] = 1; /* it has answered */
	assert_true(is_locked(ram->pager));
	assert_true(is_locked((const void *)ram->frames.words));
	while (!is_locked(
		(const void *)(uintptr_t)memcpy)) /* the library's code; the watch does it */
		nap();
	assert_true(is_locked((const void *)(uintptr_t)ram_open));
	assert_false(is_locked(ram_guest_view(ram, 0))); /* that is the guest's */
	ram_close(ram);
}

static double cpu_share(uint64_t wall_ns)
{
	struct timespec before, after;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	(void)nanosleep(&(struct timespec){ .tv_nsec = (long)wall_ns }, NULL);
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	return ((double)(after.tv_sec - before.tv_sec) * (double)NS_PER_S +
		(double)(after.tv_nsec - before.tv_nsec)) /
	       (double)wall_ns;
}

/* Three threads, as an engine with swap has them; in ten parts of a second. */
static void watching_costs_next_to_nothing(void **state)
{
	struct watched threads[3] = { { .task = "plays" },
				      { .task = "plays" },
				      { .task = "plays" } };
	struct told told;
	struct watch *watch = start(&told);
	double best = 1;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(watch_enter(watch, &threads[i]), 0);
	for (int i = 0; i < 3; i++) {
		double share = cpu_share(NS_PER_S / 3);

		best = share < best ? share : best;
	}
	print_message("watching three threads takes %.3f %% of a processor\n", best * 100);
	assert_true(best < 0.01);
	for (int i = 0; i < 3; i++)
		watch_leave(watch, &threads[i]);
	watch_stop(watch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uf01_a_dead_thread_is_noticed_in_time),
		cmocka_unit_test(a_thread_that_leaves_is_no_alarm),
		cmocka_unit_test(two_that_die_are_one_alarm),
		cmocka_unit_test(uf02_a_stopped_thread_is_noticed),
		cmocka_unit_test(
			a_sleeper_with_work_is_noticed_and_who_rests_or_computes_or_gets_on_is_not),
		cmocka_unit_test(more_threads_than_there_is_room_for_are_refused),
		cmocka_unit_test(who_starves_is_told_once_for_all),
		cmocka_unit_test(a_descriptor_closed_by_mistake_ends_the_vm_and_shows_no_zeros),
		cmocka_unit_test(what_answers_faults_stays_in_ram),
		cmocka_unit_test(watching_costs_next_to_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
