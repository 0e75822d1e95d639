/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_lazy_ring.c - the ring of lazy writes over a made-up KVM: what a real one never shows. */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/units.h"
#include "fake_kvm.h"
#include "kvm/vcpu_internal.h"

enum { RING_PAGE = 1, RING_WRITES = 170, LOG_MAX = 1024, PORT_NUMBER = 0x80 };

struct bench {
	struct kvm kvm;
	struct vm *vm;
	struct vcpus *vcpus;
	sem_t done;
	unsigned count;
	uint64_t values[LOG_MAX];
};

static struct bench bench;

static void note(const void *data, uint32_t len)
{
	uint64_t value = 0;

	memcpy(&value, data, len);
	if (bench.count < LOG_MAX)
		bench.values[bench.count++] = value;
}

static void on_mmio_write(void *ctx, uint64_t addr, const void *data, uint32_t len)
{
	(void)ctx, (void)addr;
	note(data, len);
}

static void on_pio_write(void *ctx, uint16_t port, const void *data, uint32_t len)
{
	(void)ctx, (void)port;
	note(data, len);
	(void)sem_post(&bench.done);
}

static const struct vcpu_ops ops = { .mmio_write = on_mmio_write, .pio_write = on_pio_write };

static int open_bench(void **state)
{
	const struct vcpus_config config = { .count = 1, .ops = &ops };
	struct err err = { 0 };

	(void)state;
	memset(&bench, 0, sizeof(bench));
	(void)sem_init(&bench.done, 0, 0);
	fake_kvm_reset();
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &bench.kvm, &err), 0);
	assert_int_equal(bench.kvm.lazy_ring_page, RING_PAGE);
	assert_int_equal(vm_create(&bench.kvm, &bench.vm, &err), 0);
	assert_int_equal(vcpus_create(bench.vm, &config, &bench.vcpus, &err), 0);
	return 0;
}

static int close_bench(void **state)
{
	(void)state;
	vcpus_destroy(bench.vcpus);
	vm_destroy(bench.vm);
	kvm_close(&bench.kvm);
	assert_int_equal(fake_kvm.mappings, 0);
	return 0;
}

static struct kvm_coalesced_mmio_ring *ring_of(struct kvm_run *run)
{
	return (void *)((char *)run + RING_PAGE * GUEST_PAGE_BYTES);
}

static void put(struct kvm_run *run, uint32_t value, uint32_t len)
{
	struct kvm_coalesced_mmio_ring *ring = ring_of(run);
	struct kvm_coalesced_mmio *write = &ring->coalesced_mmio[ring->last];

	*write = (struct kvm_coalesced_mmio){ .phys_addr = 0xd0000000, .len = len };
	memcpy(write->data, &value, sizeof(value));
	ring->last = (ring->last + 1) % RING_WRITES;
}

static void fill_out(struct kvm_run *run)
{
	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = KVM_EXIT_IO_OUT;
	run->io.port = PORT_NUMBER;
	run->io.size = 4;
	run->io.count = 1;
	run->io.data_offset = offsetof(struct kvm_run, padding) + 64;
	memcpy((uint8_t *)run + run->io.data_offset, &(uint32_t){ 1000 }, 4);
}

static void three_writes_and_an_out(struct kvm_run *run)
{
	for (uint32_t i = 1; i <= 3; i++)
		put(run, i, 4);
	fill_out(run);
}

static void start(void)
{
	const struct vcpu_start at = { .rip = 0x1000 };
	struct err err = { 0 };

	assert_int_equal(vcpus_reset(bench.vcpus, &at, &err), 0);
	vcpus_resume(bench.vcpus);
}

static void await_done(void)
{
	struct timespec deadline;

	(void)clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 10;
	while (sem_timedwait(&bench.done, &deadline) < 0)
		if (errno != EINTR)
			fail_msg("nothing happened in 10 s");
}

static void expect(const uint64_t *values, unsigned count)
{
	assert_int_equal(bench.count, count);
	assert_memory_equal(bench.values, values, count * sizeof(values[0]));
}

static void writes_are_handled_before_the_exit_they_came_with(void **state)
{
	(void)state;
	fake_kvm_add_step(
		(struct fake_step){ .exit_reason = KVM_EXIT_IO, .fill = three_writes_and_an_out });
	start();
	await_done();
	vcpus_pause(bench.vcpus);
	expect((const uint64_t[]){ 1, 2, 3, 1000 }, 4);
}

static void three_writes(struct kvm_run *run)
{
	for (uint32_t i = 1; i <= 3; i++)
		put(run, i, 4);
}

static void writes_are_handled_when_kvm_run_fails(void **state)
{
	(void)state;
	fake_kvm_add_step((struct fake_step){ .code = EINTR, .fill = three_writes });
	fake_kvm_add_step((struct fake_step){ .exit_reason = KVM_EXIT_IO, .fill = fill_out });
	start();
	await_done();
	vcpus_pause(bench.vcpus);
	expect((const uint64_t[]){ 1, 2, 3, 1000 }, 4);
}

/* All but one place, as KVM leaves one free, from where the last ones ended. */
static void a_full_ring(struct kvm_run *run)
{
	for (uint32_t i = 0; i < RING_WRITES - 1; i++)
		put(run, i, 4);
	fill_out(run);
}

static void a_full_ring_goes_round_its_end(void **state)
{
	enum { ROUNDS = 5 };

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++)
		fake_kvm_add_step(
			(struct fake_step){ .exit_reason = KVM_EXIT_IO, .fill = a_full_ring });
	start();
	for (unsigned i = 0; i < ROUNDS; i++)
		await_done();
	vcpus_pause(bench.vcpus);
	assert_int_equal(bench.count, ROUNDS * RING_WRITES);
	for (unsigned i = 0; i < bench.count; i++)
		assert_int_equal(bench.values[i],
				 i % RING_WRITES == RING_WRITES - 1 ? 1000 : i % RING_WRITES);
}

static void nonsense(struct kvm_run *run)
{
	put(run, 1, 4);
	put(run, 2, 9);
	put(run, 3, UINT32_MAX);
	put(run, 4, 2);
	fill_out(run);
}

static void a_length_that_no_access_has_is_passed_over(void **state)
{
	(void)state;
	fake_kvm_add_step((struct fake_step){ .exit_reason = KVM_EXIT_IO, .fill = nonsense });
	start();
	await_done();
	vcpus_pause(bench.vcpus);
	expect((const uint64_t[]){ 1, 4, 1000 }, 3);
}

/* KVM finishes an instruction that the reset interrupts, and its other half is a lazy write. */
static void write_while_finishing(struct kvm_run *run)
{
	put(run, 0xbad, 4);
}

static void on_run(unsigned long request)
{
	if (request == KVM_RUN && bench.vcpus->pause_asked)
		write_while_finishing(bench.vcpus->each[0].run);
}

static void a_reset_drops_what_finishing_an_exit_wrote(void **state)
{
	(void)state;
	fake_kvm_add_step((struct fake_step){ .exit_reason = KVM_EXIT_IO, .fill = fill_out });
	start();
	await_done();
	vcpus_pause(bench.vcpus);
	bench.count = 0;
	fake_kvm.on_request = on_run;
	assert_int_equal(vcpus_forget_exits(bench.vcpus, NULL), 0);
	fake_kvm.on_request = NULL;
	fake_kvm_add_step((struct fake_step){ .exit_reason = KVM_EXIT_IO, .fill = fill_out });
	start();
	await_done();
	vcpus_pause(bench.vcpus);
	expect((const uint64_t[]){ 1000 }, 1);
}

static void a_vm_without_the_capability_has_no_lazy_writes_and_no_error(void **state)
{
	struct err err = { 0 };
	struct kvm kvm;
	struct vm *vm;

	(void)state;
	fake_kvm_reset();
	fake_kvm.missing_capability = KVM_CAP_COALESCED_MMIO;
	fake_kvm.failing_request = KVM_REGISTER_COALESCED_MMIO;
	fake_kvm.failing_errno = EINVAL;
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &kvm, &err), 0);
	assert_int_equal(kvm.lazy_ring_page, 0);
	assert_int_equal(vm_create(&kvm, &vm, &err), 0);
	assert_int_equal(vm_add_lazy_writes(vm, GPA(0xd0000000), 64, &err), 0);
	vm_destroy(vm);
	kvm_close(&kvm);
}

static void a_ring_outside_of_the_mapping_is_no_ring(void **state)
{
	struct err err = { 0 };
	struct kvm kvm;

	(void)state;
	fake_kvm_reset();
	fake_kvm.run_bytes = (int)GUEST_PAGE_BYTES;
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &kvm, &err), 0);
	assert_int_equal(kvm.lazy_ring_page, 0);
	kvm_close(&kvm);
}

static void a_refused_range_is_named(void **state)
{
	struct err err = { 0 };

	(void)state;
	fake_kvm.failing_request = KVM_REGISTER_COALESCED_MMIO;
	fake_kvm.failing_errno = ENOSPC;
	assert_int_equal(vm_add_lazy_writes(bench.vm, GPA(0xd0000014), 48, &err), -ENOSPC);
	assert_string_equal(err.text, "lazy writes at 0xd0000014: KVM_REGISTER_COALESCED_MMIO: No "
				      "space left on device");
}

#define WITH_VM(test) cmocka_unit_test_setup_teardown(test, open_bench, close_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_VM(writes_are_handled_before_the_exit_they_came_with),
		WITH_VM(writes_are_handled_when_kvm_run_fails),
		WITH_VM(a_full_ring_goes_round_its_end),
		WITH_VM(a_length_that_no_access_has_is_passed_over),
		WITH_VM(a_reset_drops_what_finishing_an_exit_wrote),
		WITH_VM(a_refused_range_is_named),
		cmocka_unit_test(a_vm_without_the_capability_has_no_lazy_writes_and_no_error),
		cmocka_unit_test(a_ring_outside_of_the_mapping_is_no_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
