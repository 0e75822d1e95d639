/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_watch.c - threads that die, are stopped, sleep too long; and those that only look like it.
 *
 * Threads of this program play the engine's. What happens to a whole VM: tests/kvm/test_watch.py.
 */
#include "../support/sanitizers.h"
#include "watch_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "memory/ram_internal.h"

enum { TRIES = 10, LONG_ENOUGH_MS = 50 };

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

/* To poll() and read() an O_PATH descriptor is a closed one, but no other thread can be given its
 * number meanwhile, as happens to one that is closed: that is another mistake (it "does not answer"). */
static int close_for_good(int fd)
{
	int closed = open("/", O_PATH | O_CLOEXEC);

	return closed < 0 ? closed : dup3(closed, fd, O_CLOEXEC);
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
	if (close_for_good(victim.ram->uffd) < 0) /* the mistake */
		return 6;
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
#if WITH_ASAN || WITH_TSAN
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uf01_a_dead_thread_is_noticed_in_time),
		cmocka_unit_test(a_thread_that_leaves_is_no_alarm),
		cmocka_unit_test(two_that_die_are_one_alarm),
		cmocka_unit_test(
			a_sleeper_with_work_is_noticed_and_who_rests_or_computes_or_gets_on_is_not),
		cmocka_unit_test(more_threads_than_there_is_room_for_are_refused),
		cmocka_unit_test(who_starves_is_told_once_for_all),
		cmocka_unit_test(a_descriptor_closed_by_mistake_ends_the_vm_and_shows_no_zeros),
		cmocka_unit_test(what_answers_faults_stays_in_ram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
