/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_watch_rest.c - while nobody has work the watch sleeps, and misses nothing.
 *
 * W1 to W5 of memory/watch.c.
 */
#include "watch_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

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

/* A thread that a process of its own has stopped while nobody had work. */
struct held {
	int go_fd;
	pid_t tracer;
	bool is_stopped;
};

static struct held hold(struct player *player)
{
	int go[2], stopped[2];
	struct held held;
	char byte;

	while (atomic_load(&player->tid) == 0)
		(void)sched_yield();
	await_rest_of(&player->watched);
	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(stopped), 0);
	held.tracer = fork();
	if (held.tracer == 0)
		trace(atomic_load(&player->tid), go[0], stopped[1]);
	(void)close(stopped[1]);
	held.is_stopped = read(stopped[0], &byte, 1) == 1;
	held.go_fd = go[1];
	(void)close(stopped[0]);
	(void)close(go[0]);
	return held;
}

static void let_go(const struct held *held)
{
	int status = 0;

	(void)!write(held->go_fd, "", 1);
	(void)close(held->go_fd);
	assert_int_equal(waitpid(held->tracer, &status, 0), held->tracer);
	if (WEXITSTATUS(status) == TEST_EXIT_SKIP)
		test_skip_case("this user may not trace a program of its own");
	assert_int_equal(status, 0);
}

static void uf02_a_thread_stopped_while_idle_is_noticed_when_another_has_work(void **state)
{
	struct player player, worker;
	struct told told;
	struct watch *watch = start(&told);
	struct held held;

	(void)state;
	player_start(&player, watch, REST);
	held = hold(&player);
	if (held.is_stopped) {
		stay_calm(&told);
		player_start(&worker, watch, STEP_ALONG);
		await(&told, &told.failures, 1);
		assert_string_equal(told.why, "the thread that plays was stopped");
		player_end(&worker);
	}
	let_go(&held);
	player_end(&player);
	watch_stop(watch);
}

/* A page that nobody puts there until it is given. */
struct trap {
	int uffd;
	void *page;
	pthread_t toucher;
};

static void *touch(void *page)
{
	*(volatile uint8_t *)page = 1;
	return NULL;
}

static void trap_set(struct trap *trap)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .range.len = GUEST_PAGE_BYTES,
					 .mode = UFFDIO_REGISTER_MODE_MISSING };

	trap->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (trap->uffd < 0)
		test_skip_case("this process may not use userfaultfd");
	assert_int_equal(ioctl(trap->uffd, UFFDIO_API, &api), 0);
	trap->page = mmap(NULL, GUEST_PAGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(trap->page, MAP_FAILED);
	range.range.start = (uintptr_t)trap->page;
	assert_int_equal(ioctl(trap->uffd, UFFDIO_REGISTER, &range), 0);
}

static void trap_open(struct trap *trap)
{
	struct uffdio_zeropage zero = { .range = { .start = (uintptr_t)trap->page,
						   .len = GUEST_PAGE_BYTES } };

	assert_int_equal(ioctl(trap->uffd, UFFDIO_ZEROPAGE, &zero), 0);
	assert_int_equal(pthread_join(trap->toucher, NULL), 0);
	(void)munmap(trap->page, GUEST_PAGE_BYTES);
	(void)close(trap->uffd);
}

static void uf02_a_thread_stopped_while_idle_is_noticed_at_the_first_fault(void **state)
{
	struct player player;
	struct told told;
	struct watch *watch;
	struct held held;
	struct trap trap;

	(void)state;
	trap_set(&trap);
	watch = start(&told);
	assert_int_equal(watch_keep_uffd(watch, trap.uffd), 0);
	player_start(&player, watch, REST);
	held = hold(&player);
	assert_int_equal(pthread_create(&trap.toucher, NULL, touch, trap.page), 0);
	if (held.is_stopped) {
		await(&told, &told.failures, 1);
		assert_string_equal(told.why, "the thread that plays was stopped");
	}
	trap_open(&trap);
	let_go(&held);
	player_end(&player);
	watch_stop(watch);
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

static void enter_all(struct watch *watch, struct watched *threads, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		threads[i] = (struct watched){ .task = "plays", .must_answer = true };
		assert_int_equal(watch_enter(watch, &threads[i]), 0);
	}
}

static void leave_all(struct watch *watch, struct watched *threads, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		watch_leave(watch, &threads[i]);
	watch_stop(watch);
}

/* Three threads, as an engine with swap has them; one of them is always at it. */
static void watching_those_at_work_costs_next_to_nothing(void **state)
{
	struct watched threads[3];
	struct told told;
	struct watch *watch = start(&told);
	double best = 1;

	(void)state;
	enter_all(watch, threads, 3);
	watch_busy(&threads[0]);
	for (int i = 0; i < 3; i++) {
		double share = cpu_share(NS_PER_S / 3);

		best = share < best ? share : best;
	}
	print_message("watching three threads takes %.3f %% of a processor\n", best * 100);
	assert_true(best < 0.01);
	assert_int_equal(failures_of(&told), 0);
	leave_all(watch, threads, 3);
}

/* How often a thread of this name went to sleep. */
static unsigned long long sleeps_of(const char *name)
{
	unsigned long long sleeps = 0;
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;

	while (tasks && (task = readdir(tasks))) {
		char path[sizeof(task->d_name) + 64], line[128];
		bool is_it = false;
		FILE *status;

		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/status", task->d_name);
		status = fopen(path, "re");
		while (status && fgets(line, sizeof(line), status)) {
			if (strncmp(line, "Name:", 5) == 0)
				is_it = strstr(line, name) != NULL;
			if (is_it)
				(void)sscanf(line, "voluntary_ctxt_switches: %llu", &sleeps);
		}
		if (status)
			(void)fclose(status);
	}
	if (tasks)
		(void)closedir(tasks);
	assert_true(sleeps > 0);
	return sleeps;
}

static void while_nobody_works_nobody_looks(void **state)
{
	struct watched threads[3];
	struct told told;
	struct watch *watch = start(&told);
	unsigned long long sleeps;

	(void)state;
	enter_all(watch, threads, 3);
	if (threads[0].end_fd < 0) {
		leave_all(watch, threads, 3);
		test_skip_case("this kernel tells of no thread's end");
	}
	await_rest_of(&threads[0]);
	nap(); /* it falls asleep */
	sleeps = sleeps_of("watch");
	for (unsigned i = 0; i < CALM_LOOKS * WATCH_CALM_MS; i++)
		nap();
	assert_int_equal(sleeps_of("watch"), sleeps);
	leave_all(watch, threads, 3);
}

static void who_need_not_answer_works_without_waking_it(void **state)
{
	struct watched answers, other = { .task = "plays" };
	struct told told;
	struct watch *watch = start(&told);

	(void)state;
	enter_all(watch, &answers, 1);
	assert_int_equal(watch_enter(watch, &other), 0);
	await_rest_of(&answers);
	watch_busy(&other);
	assert_true(atomic_load(answers.rests));
	watch_busy(&answers);
	assert_false(atomic_load(answers.rests));
	watch_idle(&answers, false);
	for (unsigned i = 0; i < CALM_LOOKS * WATCH_CALM_MS; i++) { /* it sees both now */
		assert_false(atomic_load(answers.rests));
		nap();
	}
	watch_idle(&other, false);
	await_rest_of(&answers);
	watch_leave(watch, &other);
	leave_all(watch, &answers, 1);
}

static void who_is_waited_for_is_looked_after_though_it_sleeps(void **state)
{
	struct watched thread;
	struct told told;
	struct watch *watch = start(&told);

	(void)state;
	enter_all(watch, &thread, 1);
	watch_busy(&thread);
	watch_idle(&thread, true);
	for (unsigned i = 0; i < CALM_LOOKS * WATCH_CALM_MS; i++) {
		assert_false(atomic_load(thread.rests));
		nap();
	}
	watch_busy(&thread);
	watch_idle(&thread, false);
	await_rest_of(&thread);
	leave_all(watch, &thread, 1);
}

enum { WATCHES = 32, ROUNDS = 20, SPREAD_NS = 400000, BETWEEN_NS = 1000000 };

/* A rest that begins just now ends by itself; one that is missed goes on. */
static void expect_no_rest(const struct watched *thread)
{
	for (int naps = 0; naps < 100; naps++) {
		if (!atomic_load(thread->rests))
			return;
		nap();
	}
	fail_msg("it rests though there is work");
}

static void sleep_until(uint64_t then_ns)
{
	struct timespec then = { .tv_sec = (time_t)(then_ns / NS_PER_S),
				 .tv_nsec = (long)(then_ns % NS_PER_S) };

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL);
}

static void work_a_moment(struct watched *thread)
{
	watch_busy(thread);
	watch_idle(thread, false);
}

/* Many, one after another, each at its own moment of the turn to rest, which comes two looks after the
 * last work: whoever takes work finds no rest, or ends it (W2). */
static void no_work_is_taken_that_a_rest_misses(void **state)
{
	const uint64_t to_rest_ns = (WATCH_ALERT_MS + WATCH_CALM_MS) * NS_PER_MS;
	struct test_random random = test_random_start();
	struct watch *watches[WATCHES];
	struct watched threads[WATCHES];
	struct told told[WATCHES];
	unsigned before = 0;

	(void)state;
	for (int i = 0; i < WATCHES; i++) {
		watches[i] = start(&told[i]);
		enter_all(watches[i], &threads[i], 1);
	}
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t worked_ns[WATCHES];

		for (int i = 0; i < WATCHES; i++) {
			await_rest_of(&threads[i]);
			worked_ns[i] = clock_now_ns();
			work_a_moment(&threads[i]);
			sleep_until(worked_ns[i] + BETWEEN_NS);
		}
		for (int i = 0; i < WATCHES; i++) {
			sleep_until(worked_ns[i] + to_rest_ns +
				    test_random_below(&random, SPREAD_NS));
			before += !atomic_load(threads[i].rests);
			watch_busy(&threads[i]);
		}
		for (int i = 0; i < WATCHES; i++) {
			expect_no_rest(&threads[i]);
			watch_idle(&threads[i], false);
		}
	}
	print_message("%d times work was taken, %u of them before the rest\n", ROUNDS * WATCHES,
		      before);
	for (int i = 0; i < WATCHES; i++)
		leave_all(watches[i], &threads[i], 1);
}

/* As on a kernel before 6.9; here there is no descriptor left. */
static void uf01_where_no_end_is_told_a_look_a_second_finds_it(void **state)
{
	struct rlimit limit, tight;
	struct player player;
	struct told told;
	struct watch *watch;
	int lowest;

	(void)state;
	skip_if_nobody_may_die();
	watch = start(&told);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	lowest = dup(STDIN_FILENO);
	assert_true(lowest >= 0);
	(void)close(lowest);
	tight = (struct rlimit){ .rlim_cur = (rlim_t)lowest + 1, .rlim_max = limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	player_start(&player, watch, DIE);
	assert_int_equal(pthread_join(player.thread, NULL), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(player.watched.end_fd < 0);
	await(&told, &told.failures, 1);
	assert_string_equal(told.why, "the thread that plays died");
	watch_leave(watch, &player.watched);
	watch_stop(watch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uf01_where_no_end_is_told_a_look_a_second_finds_it),
		cmocka_unit_test(uf02_a_thread_stopped_while_idle_is_noticed_when_another_has_work),
		cmocka_unit_test(uf02_a_thread_stopped_while_idle_is_noticed_at_the_first_fault),
		cmocka_unit_test(watching_those_at_work_costs_next_to_nothing),
		cmocka_unit_test(while_nobody_works_nobody_looks),
		cmocka_unit_test(who_need_not_answer_works_without_waking_it),
		cmocka_unit_test(who_is_waited_for_is_looked_after_though_it_sleeps),
		cmocka_unit_test(no_work_is_taken_that_a_rest_misses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
