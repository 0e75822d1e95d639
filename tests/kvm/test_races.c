/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_races.c - pause, resume and kick against vCPU threads over a made-up KVM.
 *
 * Without a real KVM_RUN a round takes microseconds, so that windows of a few instructions are
 * met. A lost request shows as a test that never ends. NEAP_STRESS_ROUNDS and NEAP_SEED as in
 * test_pause.c.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake_kvm.h"
#include "kvm/vcpu.h"

enum {
	DEFAULT_ROUNDS = 10000,
	DEFAULT_NS = 1000000000,
	WATCHDOG_S = 25,
	ROUNDS_PER_S_SHIFT = 10,
	VCPUS = 2,
};

struct bench {
	struct kvm kvm;
	struct vm *vm;
	struct vcpus *vcpus;
	unsigned rounds, random;
	uint64_t start_ns;
};

static unsigned number_from(const char *name, unsigned fallback)
{
	const char *text = getenv(name);
	unsigned value = text ? (unsigned)strtoul(text, NULL, 10) : fallback;

	return value > 0 ? value : fallback;
}

static void no_end(void *ctx, unsigned index, enum vcpu_end end, const char *text)
{
	(void)ctx, (void)index, (void)end;
	fail_msg("%s", text);
}

static int open_vcpus(void **state)
{
	static const struct vcpu_ops ops = { .ended = no_end };
	static const struct vcpus_config config = { .count = VCPUS, .ops = &ops };
	static struct bench b;
	struct err err = { 0 };

	fake_kvm_reset();
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &b.kvm, &err), 0);
	assert_int_equal(vm_create(&b.kvm, &b.vm, &err), 0);
	assert_int_equal(vcpus_create(b.vm, &config, &b.vcpus, &err), 0);
	b.rounds = number_from("NEAP_STRESS_ROUNDS", DEFAULT_ROUNDS);
	b.start_ns = clock_now_ns();
	b.random = number_from("NEAP_SEED", 1);
	print_message("seed %u, %u rounds\n", b.random, b.rounds);
	(void)alarm(WATCHDOG_S + (b.rounds >> ROUNDS_PER_S_SHIFT));
	*state = &b;
	return 0;
}

static int close_vcpus(void **state)
{
	struct bench *b = *state;

	vcpus_destroy(b->vcpus);
	vm_destroy(b->vm);
	kvm_close(&b->kvm);
	(void)alarm(0);
	assert_int_equal(fake_kvm.open_fds, 0);
	assert_int_equal(fake_kvm.mappings, 0);
	return 0;
}

/* Without NEAP_STRESS_ROUNDS each race ends after a second, whatever else the machine does. */
static bool is_enough(const struct bench *b)
{
	return !getenv("NEAP_STRESS_ROUNDS") && clock_now_ns() - b->start_ns > DEFAULT_NS;
}

static void spin_a_little(struct bench *b)
{
	uint64_t end_ns = clock_now_ns() + (uint64_t)rand_r(&b->random) % 20000;

	while (clock_now_ns() < end_ns)
		;
}

/* No vCPU enters KVM_RUN while all are parked. */
static void assert_nobody_runs(struct bench *b)
{
	unsigned runs = atomic_load(&fake_kvm.runs);

	spin_a_little(b);
	assert_int_equal(atomic_load(&fake_kvm.runs), runs);
}

static void every_pause_is_obeyed(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < b->rounds && !is_enough(b); i++) {
		vcpus_resume(b->vcpus);
		spin_a_little(b);
		vcpus_pause(b->vcpus);
		if (i % 8 == 0)
			assert_nobody_runs(b);
	}
}

struct kicker {
	struct bench *bench;
	atomic_bool stop;
};

static void *kick(void *arg)
{
	struct kicker *kicker = arg;

	while (!atomic_load(&kicker->stop))
		vcpus_kick(kicker->bench->vcpus);
	return NULL;
}

static void every_pause_is_obeyed_among_kicks(void **state)
{
	struct bench *b = *state;
	struct kicker kicker = { .bench = b };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, kick, &kicker), 0);
	for (unsigned i = 0; i < b->rounds / 8 && !is_enough(b); i++) {
		vcpus_resume(b->vcpus);
		spin_a_little(b);
		vcpus_pause(b->vcpus);
	}
	atomic_store(&kicker.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void every_reset_finds_the_vcpus_parked(void **state)
{
	const struct vcpu_start start = { .rip = 0x1000 };
	struct bench *b = *state;
	struct err err = { 0 };

	for (unsigned i = 0; i < b->rounds / 8 && !is_enough(b); i++) {
		assert_int_equal(vcpus_reset(b->vcpus, &start, &err), 0);
		vcpus_resume(b->vcpus);
		spin_a_little(b);
		vcpus_pause(b->vcpus);
	}
}

static struct vcpus *kicked;
static atomic_uint kicks_before_entry;

/* KVM_KVMCLOCK_CTRL is what a vCPU does between reading its requests and entering the guest. */
static void kick_before_entry(unsigned long request)
{
	if (request == KVM_KVMCLOCK_CTRL && atomic_fetch_add(&kicks_before_entry, 1) == 0)
		vcpus_kick(kicked);
}

static void a_request_after_the_last_look_is_seen_by_kvm_on_entry(void **state)
{
	struct bench *b = *state;
	unsigned runs;

	vcpus_resume(b->vcpus);
	while (atomic_load(&fake_kvm.runs) < VCPUS)
		;
	vcpus_pause(b->vcpus);
	runs = atomic_load(&fake_kvm.runs);
	kicked = b->vcpus;
	fake_kvm.on_request = kick_before_entry;
	vcpus_resume(b->vcpus);
	/* Unseen, the next entry of each vCPU would be its last. */
	while (atomic_load(&fake_kvm.runs) < runs + 2 * VCPUS)
		;
	vcpus_pause(b->vcpus);
	fake_kvm.on_request = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_request_after_the_last_look_is_seen_by_kvm_on_entry, open_vcpus,
			close_vcpus),
		cmocka_unit_test_setup_teardown(every_pause_is_obeyed, open_vcpus, close_vcpus),
		cmocka_unit_test_setup_teardown(every_pause_is_obeyed_among_kicks, open_vcpus,
						close_vcpus),
		cmocka_unit_test_setup_teardown(every_reset_finds_the_vcpus_parked, open_vcpus,
						close_vcpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
