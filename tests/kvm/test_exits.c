/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_exits.c - every way KVM_RUN can come back, over a made-up KVM.
 *
 * KV03 errnos of KVM_RUN. KV04 exits that end the guest, or that nobody knows.
 */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "fake_kvm.h"
#include "kvm/vcpu_internal.h"

struct bench {
	struct kvm kvm;
	struct vm *vm;
	struct vcpus *vcpus;
	sem_t ended, done;
	enum vcpu_end end;
	char text[4096];
	bool kicks_while_asked; /* the memory comes while KVM's fault is being looked at */
	unsigned asked_to_back;
	int back_answers[FAKE_MAX_STEPS];
	bool back_known[FAKE_MAX_STEPS];
	uint64_t back_addr[FAKE_MAX_STEPS];
	uint16_t ports[8];
	unsigned port_count;
};

static void bench_pio_read(void *ctx, uint16_t port, void *data, uint32_t len)
{
	(void)ctx, (void)port;
	memset(data, 0x77, len);
}

static void bench_pio_write(void *ctx, uint16_t port, const void *data, uint32_t len)
{
	struct bench *b = ctx;

	(void)data, (void)len;
	b->ports[b->port_count++ % 8] = port;
	(void)sem_post(&b->done);
}

static int bench_cannot_back(void *ctx, bool known, uint64_t addr, uint64_t len_bytes)
{
	struct bench *b = ctx;
	unsigned i = b->asked_to_back++;

	(void)len_bytes;
	b->back_known[i] = known;
	b->back_addr[i] = addr;
	if (b->kicks_while_asked)
		vcpus_kick(b->vcpus);
	return b->back_answers[i];
}

static bool bench_is_ram(void *ctx, uint64_t addr, uint32_t len)
{
	(void)ctx, (void)addr, (void)len;
	return true;
}

static int bench_ram(void *ctx, uint64_t addr, void *data, uint32_t len)
{
	(void)ctx, (void)addr, (void)data, (void)len;
	return -EFAULT;
}

static void bench_ended(void *ctx, unsigned index, enum vcpu_end end, const char *text)
{
	struct bench *b = ctx;

	assert_int_equal(index, 0);
	b->end = end;
	(void)snprintf(b->text, sizeof(b->text), "%s", text);
	(void)sem_post(&b->ended);
}

static const struct vcpu_ops bench_ops = {
	.pio_read = bench_pio_read,
	.pio_write = bench_pio_write,
	.is_ram = bench_is_ram,
	.ram_read = bench_ram,
	.cannot_back = bench_cannot_back,
	.ended = bench_ended,
};

static void await(sem_t *event)
{
	struct timespec deadline;

	(void)clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 10;
	while (sem_timedwait(event, &deadline) < 0)
		if (errno != EINTR)
			fail_msg("nothing happened in 10 s");
}

static int bench_open(void **state)
{
	static struct bench b;
	const struct vcpus_config config = { .count = 2, .ops = &bench_ops, .ops_ctx = &b };
	struct err err = { 0 };

	memset(&b, 0, sizeof(b));
	(void)sem_init(&b.ended, 0, 0);
	(void)sem_init(&b.done, 0, 0);
	fake_kvm_reset();
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &b.kvm, &err), 0);
	assert_int_equal(vm_create(&b.kvm, &b.vm, &err), 0);
	assert_int_equal(vcpus_create(b.vm, &config, &b.vcpus, &err), 0);
	*state = &b;
	return 0;
}

static int bench_close(void **state)
{
	struct bench *b = *state;

	vcpus_destroy(b->vcpus);
	vm_destroy(b->vm);
	kvm_close(&b->kvm);
	assert_int_equal(fake_kvm.open_fds, 0);
	assert_int_equal(fake_kvm.mappings, 0);
	return 0;
}

static void fill_out(struct kvm_run *run)
{
	run->io.direction = KVM_EXIT_IO_OUT;
	run->io.size = 1;
	run->io.count = 1;
	run->io.port = 0x80;
	run->io.data_offset = 4096;
}

/* An OUT is how a script shows that the guest went on. */
static void add_out(void)
{
	fake_kvm_add_step((struct fake_step){ .exit_reason = KVM_EXIT_IO, .fill = fill_out });
}

static void start(struct bench *b)
{
	const struct vcpu_start at = { .rip = 0x1000 };
	struct err err = { 0 };

	assert_int_equal(vcpus_reset(b->vcpus, &at, &err), 0);
	vcpus_resume(b->vcpus);
}

static void assert_ends(struct bench *b, enum vcpu_end end, const char *words)
{
	start(b);
	await(&b->ended);
	assert_int_equal(b->end, end);
	if (!strstr(b->text, words))
		fail_msg("'%s' is not in: %s", words, b->text);
}

static void assert_text_has_registers(const struct bench *b)
{
	static const char *const names[] = { "rip ", "rflags ", "rax ", "r15 ",	 "cr0 ",
					     "cr2 ", "cr3 ",	"cr4 ", "efer ", "cs ",
					     "ss ",  "tr ",	"gdt ", "idt " };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strstr(b->text, names[i]))
			fail_msg("no '%s' in: %s", names[i], b->text);
}

static void kv03_eintr_and_eagain_go_on(void **state)
{
	struct bench *b = *state;

	fake_kvm_add_step((struct fake_step){ .code = EINTR });
	fake_kvm_add_step((struct fake_step){ .code = EAGAIN });
	fake_kvm_add_step((struct fake_step){ .exit_reason = KVM_EXIT_INTR });
	add_out();
	start(b);
	await(&b->done);
	vcpus_pause(b->vcpus);
	assert_int_equal(sem_trywait(&b->ended), -1);
}

static void fill_fault(struct kvm_run *run)
{
	const struct kvm_memory_fault_exit fault = { .gpa = 0x123000, .size = 0x1000 };

	memcpy(run->padding, &fault, sizeof(fault));
}

static void kv03_efault_asks_for_memory_with_the_address_when_it_is_known(void **state)
{
	struct bench *b = *state;

	b->back_answers[1] = -EAGAIN;
	fake_kvm_add_step((struct fake_step){
		.code = EFAULT, .exit_reason = KVM_EXIT_MEMORY_FAULT, .fill = fill_fault });
	fake_kvm_add_step((struct fake_step){ .code = EFAULT });
	fake_kvm_add_step((struct fake_step){ .code = EFAULT });
	add_out();
	start(b);
	await(&b->done);
	vcpus_pause(b->vcpus);
	assert_int_equal(b->asked_to_back, 3);
	assert_true(b->back_known[0]);
	assert_int_equal(b->back_addr[0], 0x123000);
	assert_false(b->back_known[1]);
	assert_false(b->back_known[2]);
}

static void kv03_an_old_fault_does_not_explain_a_new_one(void **state)
{
	struct bench *b = *state;

	fake_kvm_add_step((struct fake_step){
		.code = EFAULT, .exit_reason = KVM_EXIT_MEMORY_FAULT, .fill = fill_fault });
	fake_kvm_add_step((struct fake_step){ .code = EINTR });
	fake_kvm_add_step((struct fake_step){ .code = EFAULT });
	add_out();
	start(b);
	await(&b->done);
	vcpus_pause(b->vcpus);
	assert_true(b->back_known[0]);
	assert_false(b->back_known[1]);
}

static void kv03_efault_without_memory_ends_the_guest_with_the_reason(void **state)
{
	struct bench *b = *state;

	b->back_answers[0] = -ENOSPC;
	fake_kvm_add_step((struct fake_step){
		.code = EFAULT, .exit_reason = KVM_EXIT_MEMORY_FAULT, .fill = fill_fault });
	assert_ends(b, VCPU_END_INTERNAL_ERROR, "no memory behind 0x123000");
	assert_non_null(strstr(b->text, "No space left on device"));
	assert_text_has_registers(b);
}

static void a_kick_that_comes_before_the_wait_ends_it(void **state)
{
	enum { TRIES = 100 };
	struct bench *b = *state;
	uint64_t start_ns = clock_now_ns();

	b->kicks_while_asked = true;
	for (unsigned i = 0; i < TRIES; i++) {
		b->back_answers[i] = -EAGAIN;
		fake_kvm_add_step((struct fake_step){ .code = EFAULT });
	}
	add_out();
	start(b);
	await(&b->done);
	/* Each wait that missed its kick would take VCPU_RETRY_MS. */
	assert_true(clock_now_ns() - start_ns < NS_PER_MS * TRIES * VCPU_RETRY_MS / 2);
	vcpus_pause(b->vcpus);
	assert_int_equal(b->asked_to_back, TRIES);
}

static void kv03_any_other_errno_ends_the_guest_and_is_named(void **state)
{
	struct bench *b = *state;

	fake_kvm_add_step((struct fake_step){ .code = ENOSYS });
	assert_ends(b, VCPU_END_INTERNAL_ERROR, "KVM_RUN: Function not implemented");
	assert_text_has_registers(b);
}

static void kv03_broken_host_memory_ends_the_guest(void **state)
{
	fake_kvm_add_step((struct fake_step){ .code = EHWPOISON });
	assert_ends(*state, VCPU_END_INTERNAL_ERROR, "memory behind the guest is broken");
}

static void kv04_shutdown_is_a_triple_fault_with_registers(void **state)
{
	fake_kvm_add_step((struct fake_step){ .exit_reason = KVM_EXIT_SHUTDOWN });
	assert_ends(*state, VCPU_END_SHUTDOWN, "triple fault");
	assert_text_has_registers(*state);
}

static void fill_fail_entry(struct kvm_run *run)
{
	run->fail_entry.hardware_entry_failure_reason = 0x80000021;
	run->fail_entry.cpu = 5;
}

static void kv04_fail_entry_tells_the_hardware_reason(void **state)
{
	fake_kvm_add_step(
		(struct fake_step){ .exit_reason = KVM_EXIT_FAIL_ENTRY, .fill = fill_fail_entry });
	assert_ends(*state, VCPU_END_FAIL_ENTRY, "reason 0x80000021 on host CPU 5");
	assert_text_has_registers(*state);
}

static void fill_emulation_failure(struct kvm_run *run)
{
	static const uint8_t cmpxchg16b[] = { 0xf0, 0x48, 0x0f, 0xc7, 0x0f };

	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.ndata = 3;
	run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	run->emulation_failure.insn_size = sizeof(cmpxchg16b);
	memcpy(run->emulation_failure.insn_bytes, cmpxchg16b, sizeof(cmpxchg16b));
}

static void kv04_internal_error_shows_the_instruction_and_the_registers(void **state)
{
	fake_kvm_add_step((struct fake_step){ .exit_reason = KVM_EXIT_INTERNAL_ERROR,
					      .fill = fill_emulation_failure });
	assert_ends(*state, VCPU_END_INTERNAL_ERROR,
		    "it cannot emulate an instruction at f0 48 0f c7 0f\n");
	assert_text_has_registers(*state);
}

static void fill_liar(struct kvm_run *run)
{
	fill_emulation_failure(run);
	run->emulation_failure.insn_size = 255;
}

static void kv04_an_instruction_longer_than_fifteen_bytes_is_cut(void **state)
{
	fake_kvm_add_step(
		(struct fake_step){ .exit_reason = KVM_EXIT_INTERNAL_ERROR, .fill = fill_liar });
	assert_ends(*state, VCPU_END_INTERNAL_ERROR, " 00 00\nrip");
}

static void fill_delivery(struct kvm_run *run)
{
	run->internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
	run->internal.ndata = 0;
}

static void kv04_other_internal_errors_are_named(void **state)
{
	fake_kvm_add_step((struct fake_step){ .exit_reason = KVM_EXIT_INTERNAL_ERROR,
					      .fill = fill_delivery });
	assert_ends(*state, VCPU_END_INTERNAL_ERROR, "error 3: an exit while an event");
}

static void kv04_an_exit_nobody_knows_ends_the_guest_by_number(void **state)
{
	fake_kvm_add_step((struct fake_step){ .exit_reason = 4242 });
	assert_ends(*state, VCPU_END_INTERNAL_ERROR, "KVM exit 4242");
	assert_text_has_registers(*state);
}

static void fill_hardware_reason(struct kvm_run *run)
{
	run->hw.hardware_exit_reason = 0x77;
}

static void kv04_a_hardware_exit_kvm_does_not_know_ends_the_guest(void **state)
{
	fake_kvm_add_step((struct fake_step){ .exit_reason = KVM_EXIT_UNKNOWN,
					      .fill = fill_hardware_reason });
	assert_ends(*state, VCPU_END_INTERNAL_ERROR, "reason 0x77");
}

static void fill_reset(struct kvm_run *run)
{
	run->system_event.type = KVM_SYSTEM_EVENT_RESET;
}

static void a_system_event_asks_for_a_reset(void **state)
{
	fake_kvm_add_step(
		(struct fake_step){ .exit_reason = KVM_EXIT_SYSTEM_EVENT, .fill = fill_reset });
	assert_ends(*state, VCPU_END_SYSTEM_RESET, "reset");
}

static void fill_ram_read(struct kvm_run *run)
{
	run->mmio.phys_addr = 0x5000;
	run->mmio.len = 4;
	run->mmio.is_write = 0;
}

static void ram_that_the_owner_cannot_read_ends_the_guest(void **state)
{
	fake_kvm_add_step(
		(struct fake_step){ .exit_reason = KVM_EXIT_MMIO, .fill = fill_ram_read });
	assert_ends(*state, VCPU_END_INTERNAL_ERROR, "guest RAM at 0x5000 cannot be accessed");
}

static void assert_msr_is_refused(const struct kvm_run *run)
{
	assert_int_equal(run->msr.error, 1);
}

static void an_unknown_msr_is_a_general_protection_fault(void **state)
{
	struct bench *b = *state;

	fake_kvm_add_step((struct fake_step){ .exit_reason = KVM_EXIT_X86_RDMSR,
					      .check = assert_msr_is_refused });
	fake_kvm_add_step((struct fake_step){ .exit_reason = KVM_EXIT_X86_WRMSR,
					      .check = assert_msr_is_refused });
	add_out();
	start(b);
	await(&b->done);
}

static void a_halt_that_exits_waits_and_goes_on(void **state)
{
	struct bench *b = *state;

	fake_kvm_add_step((struct fake_step){ .exit_reason = KVM_EXIT_HLT });
	add_out();
	start(b);
	await(&b->done);
}

static void an_ended_vcpu_stays_parked_until_a_reset(void **state)
{
	struct bench *b = *state;
	unsigned runs;

	fake_kvm_add_step((struct fake_step){ .exit_reason = KVM_EXIT_SHUTDOWN });
	assert_ends(b, VCPU_END_SHUTDOWN, "triple fault");
	vcpus_pause(b->vcpus);
	add_out();
	runs = fake_kvm.steps_done;
	vcpus_resume(b->vcpus);
	vcpus_kick(b->vcpus);
	vcpus_pause(b->vcpus);
	assert_int_equal(fake_kvm.steps_done, runs);
	start(b);
	await(&b->done);
}

static void a_reset_that_kvm_refuses_names_the_registers(void **state)
{
	struct bench *b = *state;
	const struct vcpu_start at = { .rip = 0x1000 };
	struct err err = { 0 };

	/* The first time a vCPU is new, and its local APIC is left alone. */
	assert_int_equal(vcpus_reset(b->vcpus, &at, &err), 0);
	fake_kvm.failing_request = KVM_SET_LAPIC;
	fake_kvm.failing_errno = EINVAL;
	fake_kvm.failing_after = 1;
	assert_int_equal(vcpus_reset(b->vcpus, &at, &err), -EINVAL);
	assert_string_equal(err.text, "vCPU 1: resetting its local APIC: Invalid argument");
}

#define WITH_VM(test) cmocka_unit_test_setup_teardown(test, bench_open, bench_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_VM(kv03_eintr_and_eagain_go_on),
		WITH_VM(kv03_efault_asks_for_memory_with_the_address_when_it_is_known),
		WITH_VM(kv03_an_old_fault_does_not_explain_a_new_one),
		WITH_VM(kv03_efault_without_memory_ends_the_guest_with_the_reason),
		WITH_VM(a_kick_that_comes_before_the_wait_ends_it),
		WITH_VM(kv03_any_other_errno_ends_the_guest_and_is_named),
		WITH_VM(kv03_broken_host_memory_ends_the_guest),
		WITH_VM(kv04_shutdown_is_a_triple_fault_with_registers),
		WITH_VM(kv04_fail_entry_tells_the_hardware_reason),
		WITH_VM(kv04_internal_error_shows_the_instruction_and_the_registers),
		WITH_VM(kv04_an_instruction_longer_than_fifteen_bytes_is_cut),
		WITH_VM(kv04_other_internal_errors_are_named),
		WITH_VM(kv04_an_exit_nobody_knows_ends_the_guest_by_number),
		WITH_VM(kv04_a_hardware_exit_kvm_does_not_know_ends_the_guest),
		WITH_VM(a_system_event_asks_for_a_reset),
		WITH_VM(ram_that_the_owner_cannot_read_ends_the_guest),
		WITH_VM(an_unknown_msr_is_a_general_protection_fault),
		WITH_VM(a_halt_that_exits_waits_and_goes_on),
		WITH_VM(an_ended_vcpu_stays_parked_until_a_reset),
		WITH_VM(a_reset_that_kvm_refuses_names_the_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
