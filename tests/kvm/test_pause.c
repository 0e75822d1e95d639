/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_pause.c - pause, resume, kick and destroy against guests that never stop by themselves.
 *
 * NEAP_STRESS_ROUNDS sets how many rounds the races take (100000 when in doubt); without it they
 * end after a second, whatever else the machine does. NEAP_SEED sets the seed, which is printed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tiny_guest.h"

enum {
	COUNTER = 0x40000,
	DEFAULT_ROUNDS = 3000,
	DEFAULT_NS = 1000000000,
	WATCHDOG_S = 25,
	ROUNDS_PER_S_SHIFT = 9,
};

/* In ring 3, which runs natively even on page-table KVM. */
GUEST64(count, LOAD_TABLES TO_RING3 "1: incl 0x40000\n"
				    "jmp 1b\n");

static uint32_t counter(const struct tiny_guest *g)
{
	return __atomic_load_n((const uint32_t *)(const void *)(g->ram + COUNTER),
			       __ATOMIC_SEQ_CST);
}

static void await_count(const struct tiny_guest *g)
{
	uint32_t before = counter(g);

	while (counter(g) == before)
		;
}

static unsigned stress_rounds(void)
{
	const char *text = getenv("NEAP_STRESS_ROUNDS");
	unsigned rounds = text ? (unsigned)strtoul(text, NULL, 10) : DEFAULT_ROUNDS;

	return rounds > 0 ? rounds : DEFAULT_ROUNDS;
}

static bool is_enough(uint64_t start_ns)
{
	return !getenv("NEAP_STRESS_ROUNDS") && clock_now_ns() - start_ns > DEFAULT_NS;
}

static unsigned seed(void)
{
	const char *text = getenv("NEAP_SEED");
	unsigned value = text ? (unsigned)strtoul(text, NULL, 10) : 1;

	print_message("seed %u\n", value);
	return value;
}

/* A lost wake-up shows as a test that never ends. */
static void watch(unsigned rounds)
{
	(void)alarm(WATCHDOG_S + (rounds >> ROUNDS_PER_S_SHIFT));
}

static int open_counting(void **state)
{
	static struct tiny_guest guest;

	tiny_guest_open(&guest, 1);
	tiny_guest_run64(&guest, count, 0);
	watch(0);
	await_count(&guest);
	*state = &guest;
	return 0;
}

static int close_counting(void **state)
{
	tiny_guest_close(*state);
	(void)alarm(0);
	return 0;
}

static void spin_ns(uint64_t duration_ns)
{
	uint64_t end_ns = clock_now_ns() + duration_ns;

	while (clock_now_ns() < end_ns)
		;
}

static void assert_stands_still(const struct tiny_guest *g, uint64_t duration_ns)
{
	uint32_t before = counter(g);

	spin_ns(duration_ns);
	assert_int_equal(counter(g), before);
}

static void a_paused_guest_stands_still_and_a_resumed_one_goes_on(void **state)
{
	struct tiny_guest *g = *state;

	vcpus_pause(g->vcpus);
	assert_stands_still(g, 10 * NS_PER_MS);
	vcpus_resume(g->vcpus);
	await_count(g);
}

static void pause_and_resume_are_idempotent(void **state)
{
	struct tiny_guest *g = *state;

	vcpus_resume(g->vcpus);
	vcpus_pause(g->vcpus);
	vcpus_pause(g->vcpus);
	vcpus_kick(g->vcpus);
	assert_stands_still(g, NS_PER_MS);
	vcpus_resume(g->vcpus);
	vcpus_resume(g->vcpus);
	await_count(g);
}

struct racer {
	struct tiny_guest *guest;
	atomic_bool stop;
	unsigned seed;
	pthread_t thread;
};

static void *kick_at_random(void *arg)
{
	struct racer *racer = arg;

	while (!atomic_load(&racer->stop)) {
		vcpus_kick(racer->guest->vcpus);
		spin_ns((uint64_t)rand_r(&racer->seed) % 200000);
	}
	return NULL;
}

static void *pause_and_resume_at_random(void *arg)
{
	struct racer *racer = arg;

	while (!atomic_load(&racer->stop)) {
		vcpus_pause(racer->guest->vcpus);
		spin_ns((uint64_t)rand_r(&racer->seed) % 5000);
		vcpus_resume(racer->guest->vcpus);
		spin_ns((uint64_t)rand_r(&racer->seed) % 100000);
	}
	return NULL;
}

static void racer_start(struct racer *racer, void *(*run)(void *))
{
	assert_int_equal(pthread_create(&racer->thread, NULL, run, racer), 0);
}

static void racer_stop(struct racer *racer)
{
	atomic_store(&racer->stop, true);
	assert_int_equal(pthread_join(racer->thread, NULL), 0);
}

static void no_wake_up_is_lost_in_races_of_pause_resume_and_kick(void **state)
{
	struct tiny_guest *g = *state;
	unsigned rounds = stress_rounds(), random = seed(), done = 0;
	struct racer kicker = { .guest = g, .seed = random + 1 };
	uint64_t start_ns = clock_now_ns();

	watch(rounds);
	racer_start(&kicker, kick_at_random);
	for (; done < rounds && !is_enough(start_ns); done++) {
		vcpus_pause(g->vcpus);
		assert_stands_still(g, (uint64_t)rand_r(&random) % 2000);
		vcpus_resume(g->vcpus);
		if (rand_r(&random) % 4 == 0)
			await_count(g);
		else
			spin_ns((uint64_t)rand_r(&random) % 30000);
	}
	await_count(g);
	racer_stop(&kicker);
	print_message("%u rounds, %llu exits, %llu ms\n", done,
		      (unsigned long long)vcpus_exit_count(g->vcpus),
		      (unsigned long long)((clock_now_ns() - start_ns) / NS_PER_MS));
}

static void pausing_threads_take_turns(void **state)
{
	struct tiny_guest *g = *state;
	unsigned rounds = stress_rounds() / 4, random = seed();
	struct racer other = { .guest = g, .seed = random + 1 };
	uint64_t start_ns = clock_now_ns();

	watch(rounds);
	racer_start(&other, pause_and_resume_at_random);
	for (unsigned i = 0; i < rounds && !is_enough(start_ns); i++) {
		vcpus_pause(g->vcpus);
		vcpus_resume(g->vcpus);
	}
	racer_stop(&other);
	vcpus_pause(g->vcpus);
	assert_stands_still(g, NS_PER_MS);
	vcpus_resume(g->vcpus);
	await_count(g);
}

static void a_kick_brings_a_running_vcpu_out(void **state)
{
	struct tiny_guest *g = *state;

	for (unsigned i = 0; i < 100; i++) {
		uint64_t before;

		/* Inside the guest again: a kick on the way there would join the one before. */
		await_count(g);
		before = vcpus_exit_count(g->vcpus);
		vcpus_kick(g->vcpus);
		while (vcpus_exit_count(g->vcpus) == before)
			;
	}
	await_count(g);
}

static void a_reset_of_a_running_guest_is_refused(void **state)
{
	struct tiny_guest *g = *state;
	const struct vcpu_start start = { .rip = TINY_ENTRY };
	struct err err = { 0 };

	assert_int_equal(vcpus_reset(g->vcpus, &start, &err), -EBUSY);
	assert_non_null(strstr(err.text, "pause"));
	assert_int_equal(vcpus_forget_exits(g->vcpus, &err), -EBUSY);
	await_count(g);
}

static void a_reset_while_paused_starts_over_any_number_of_times(void **state)
{
	struct tiny_guest *g = *state;

	for (unsigned i = 0; i < 100; i++) {
		vcpus_pause(g->vcpus);
		memset(g->ram + COUNTER, 0, sizeof(uint32_t));
		tiny_guest_start(g, true, 0);
		await_count(g);
	}
}

static bool has_thread_named(const char *name)
{
	DIR *tasks = opendir("/proc/self/task");
	bool found = false;

	assert_non_null(tasks);
	for (struct dirent *task; (task = readdir(tasks)) && !found;) {
		char path[300], comm[32] = "";
		FILE *file;

		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
		file = fopen(path, "re");
		if (file && fgets(comm, sizeof(comm), file))
			found = strncmp(comm, name, strlen(name)) == 0 &&
				comm[strlen(name)] == '\n';
		if (file)
			(void)fclose(file);
	}
	(void)closedir(tasks);
	return found;
}

static void each_vcpu_is_a_named_thread(void **state)
{
	(void)state;
	assert_true(has_thread_named("vcpu0"));
	assert_false(has_thread_named("vcpu1"));
}

static void destroy_ends_a_guest_that_runs(void **state)
{
	(void)state;
	watch(0);
	for (unsigned i = 0; i < 20; i++) {
		struct tiny_guest g;

		tiny_guest_open(&g, 1);
		tiny_guest_run64(&g, count, 0);
		if (i % 2)
			await_count(&g);
		tiny_guest_close(&g);
	}
	(void)alarm(0);
}

static void destroy_ends_vcpus_that_never_ran(void **state)
{
	(void)state;
	watch(0);
	for (unsigned i = 0; i < 20; i++) {
		struct tiny_guest g;

		tiny_guest_open(&g, 2);
		if (i % 2)
			tiny_guest_run64(&g, count, 0); /* vCPU 1 waits for INIT-SIPI in KVM */
		tiny_guest_close(&g);
	}
	(void)alarm(0);
}

#define WITH_COUNTING(test) cmocka_unit_test_setup_teardown(test, open_counting, close_counting)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_COUNTING(a_paused_guest_stands_still_and_a_resumed_one_goes_on),
		WITH_COUNTING(pause_and_resume_are_idempotent),
		WITH_COUNTING(no_wake_up_is_lost_in_races_of_pause_resume_and_kick),
		WITH_COUNTING(pausing_threads_take_turns),
		WITH_COUNTING(a_kick_brings_a_running_vcpu_out),
		WITH_COUNTING(a_reset_of_a_running_guest_is_refused),
		WITH_COUNTING(a_reset_while_paused_starts_over_any_number_of_times),
		WITH_COUNTING(each_vcpu_is_a_named_thread),
		cmocka_unit_test(destroy_ends_a_guest_that_runs),
		cmocka_unit_test(destroy_ends_vcpus_that_never_ran),
	};

	tiny_guest_skip();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
