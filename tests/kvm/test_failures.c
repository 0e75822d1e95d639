/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_failures.c - what a KVM can refuse, and every way KVM_RUN can come back, over a made-up KVM.
 *
 * KV01 no /dev/kvm, no permission. KV02 another API version, missing capabilities. KV03 errnos of
 * KVM_RUN. KV04 exits that end the guest, or that nobody knows.
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

/* --- opening --- */

static void assert_says(const struct err *err, const char *words)
{
	if (!strstr(err->text, words))
		fail_msg("'%s' is not in: %s", words, err->text);
}

static int fresh(void **state)
{
	(void)state;
	fake_kvm_reset();
	return 0;
}

static int nothing_is_left_open(void **state)
{
	(void)state;
	assert_int_equal(fake_kvm.open_fds, 0);
	assert_int_equal(fake_kvm.mappings, 0);
	return 0;
}

static void kv01_without_the_device_the_advice_is_module_and_firmware(void **state)
{
	struct kvm kvm;
	struct err err = { 0 };

	(void)state;
	fake_kvm.open_errno = ENOENT;
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &kvm, &err), -ENOENT);
	assert_says(&err, "/dev/kvm");
	assert_says(&err, "modprobe");
	assert_says(&err, "BIOS");
}

static void kv01_without_permission_the_advice_is_the_group(void **state)
{
	struct kvm kvm;
	struct err err = { 0 };

	(void)state;
	fake_kvm.open_errno = EACCES;
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &kvm, &err), -EACCES);
	assert_says(&err, "/dev/kvm: Permission denied");
	assert_says(&err, "usermod -aG kvm");
}

static void kv01_a_device_without_a_driver_is_said(void **state)
{
	struct kvm kvm;
	struct err err = { 0 };

	(void)state;
	fake_kvm.open_errno = ENODEV;
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &kvm, &err), -ENODEV);
	assert_says(&err, "kvm_amd");
}

static void kv01_any_other_failure_is_named(void **state)
{
	struct kvm kvm;
	struct err err = { 0 };

	(void)state;
	fake_kvm.open_errno = EMFILE;
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &kvm, &err), -EMFILE);
	assert_says(&err, "Too many open files");
}

static void kv02_another_api_version_is_refused_with_both_numbers(void **state)
{
	struct kvm kvm;
	struct err err = { 0 };

	(void)state;
	fake_kvm.api_version = 11;
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &kvm, &err), -EOPNOTSUPP);
	assert_says(&err, "API 11");
	assert_says(&err, "speaks 12");
}

static void kv02_a_device_that_is_not_kvm_is_refused(void **state)
{
	struct kvm kvm;
	struct err err = { 0 };

	(void)state;
	fake_kvm.failing_request = KVM_GET_API_VERSION;
	fake_kvm.failing_errno = ENOTTY;
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &kvm, &err), -ENODEV);
	assert_says(&err, "does not answer as KVM");
}

static void kv02_each_missing_capability_is_named_with_what_it_is_for(void **state)
{
	struct kvm kvm;

	(void)state;
	assert_true(kvm_needed_count >= 10);
	for (size_t i = 0; i < kvm_needed_count; i++) {
		struct err err = { 0 };

		fake_kvm.missing_capability = kvm_needed[i].number;
		assert_int_equal(kvm_open_with(&fake_kvm_sys, &kvm, &err), -EOPNOTSUPP);
		assert_says(&err, kvm_needed[i].name);
		assert_says(&err, kvm_needed[i].use);
		assert_says(&err, kvm_needed[i].since);
		assert_says(&err, "use a kernel of Linux");
	}
}

static void kv02_a_kvm_with_no_capability_at_all_still_gets_one_sentence(void **state)
{
	struct kvm kvm;
	struct err err = { 0 };

	(void)state;
	fake_kvm.failing_request = KVM_CHECK_EXTENSION;
	fake_kvm.failing_errno = EINVAL;
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &kvm, &err), -EOPNOTSUPP);
	assert_says(&err, "KVM_CAP_USER_MEMORY (guest RAM), KVM_CAP_EXT_CPUID");
	assert_says(&err, "Linux 4.13 or newer");
}

static void kv02_a_kvm_run_that_is_too_small_is_refused(void **state)
{
	struct kvm kvm;
	struct err err = { 0 };

	(void)state;
	fake_kvm.run_bytes = 1024;
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &kvm, &err), -EOPNOTSUPP);
	assert_says(&err, "1024 bytes");
}

static void without_32_bit_apic_ids_255_vcpus_are_the_limit(void **state)
{
	struct kvm kvm;
	struct err err = { 0 };

	(void)state;
	fake_kvm.max_vcpus = 1024;
	fake_kvm.missing_capability = KVM_CAP_X2APIC_API;
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &kvm, &err), 0);
	assert_int_equal(kvm.max_vcpus, 255);
	assert_false(kvm.has_x2apic_32bit_ids);
	kvm_close(&kvm);
	fake_kvm.missing_capability = -1;
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &kvm, &err), 0);
	assert_int_equal(kvm.max_vcpus, 1024);
	kvm_close(&kvm);
}

/* --- a VM over it --- */

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
	return nothing_is_left_open(state);
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
	assert_true(clock_now_ns() - start_ns < TRIES * VCPU_RETRY_MS * NS_PER_MS / 2);
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

/* --- building --- */

static void build_fails(unsigned long request, unsigned after, int code, const char *words)
{
	const struct vcpus_config config = { .count = 4, .ops = &bench_ops };
	struct err err = { 0 };
	struct vcpus *vcpus = NULL;
	struct vm *vm = NULL;
	struct kvm kvm;
	int ret;

	fake_kvm.failing_request = request;
	fake_kvm.failing_errno = code;
	fake_kvm.failing_after = after;
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &kvm, &err), 0);
	ret = vm_create(&kvm, &vm, &err);
	if (ret == 0)
		ret = vcpus_create(vm, &config, &vcpus, &err);
	assert_int_equal(ret, -code);
	assert_null(vcpus);
	assert_says(&err, words);
	vm_destroy(vm);
	kvm_close(&kvm);
}

static void a_vm_that_kvm_refuses_is_an_error_with_nothing_left(void **state)
{
	(void)state;
	build_fails(KVM_CREATE_VM, 0, ENOMEM, "cannot create a VM: Cannot allocate memory");
	build_fails(KVM_ENABLE_CAP, 0, EINVAL, "split irqchip");
	build_fails(KVM_ENABLE_CAP, 1, EINVAL, "32-bit APIC ids");
}

static void vcpus_that_kvm_refuses_are_an_error_with_nothing_left(void **state)
{
	(void)state;
	build_fails(KVM_CREATE_VCPU, 2, ENOMEM, "vCPU 2: KVM_CREATE_VCPU: Cannot allocate memory");
	build_fails(KVM_SET_CPUID2, 3, EINVAL, "vCPU 3: KVM_SET_CPUID2: Invalid argument");
	build_fails(KVM_GET_SUPPORTED_CPUID, 0, E2BIG, "more than 256 CPUID entries");
	build_fails(KVM_GET_LAPIC, 1, EIO, "vCPU 1: reading its first state");
}

static void a_signal_while_the_vm_is_created_is_tried_again(void **state)
{
	struct err err = { 0 };
	struct kvm kvm;
	struct vm *vm;

	(void)state;
	fake_kvm.failing_request = KVM_CREATE_VM;
	fake_kvm.failing_errno = EINTR;
	fake_kvm.failing_times = 2;
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &kvm, &err), 0);
	assert_int_equal(vm_create(&kvm, &vm, &err), 0);
	assert_int_equal(vm_add_memory(vm, GPA(0), &kvm, 0, &err), -EINVAL);
	fake_kvm.failing_request = KVM_SET_USER_MEMORY_REGION;
	fake_kvm.failing_errno = EEXIST;
	fake_kvm.failing_times = 0;
	assert_int_equal(vm_add_memory(vm, GPA(0x1000), &kvm, 4096, &err), -EEXIST);
	assert_says(&err, "at 0x1000 (slot 0): File exists");
	vm_destroy(vm);
	kvm_close(&kvm);
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
	assert_says(&err, "vCPU 1: resetting its local APIC: Invalid argument");
}

#define PLAIN(test)   cmocka_unit_test_setup_teardown(test, fresh, nothing_is_left_open)
#define WITH_VM(test) cmocka_unit_test_setup_teardown(test, bench_open, bench_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLAIN(kv01_without_the_device_the_advice_is_module_and_firmware),
		PLAIN(kv01_without_permission_the_advice_is_the_group),
		PLAIN(kv01_a_device_without_a_driver_is_said),
		PLAIN(kv01_any_other_failure_is_named),
		PLAIN(kv02_another_api_version_is_refused_with_both_numbers),
		PLAIN(kv02_a_device_that_is_not_kvm_is_refused),
		PLAIN(kv02_each_missing_capability_is_named_with_what_it_is_for),
		PLAIN(kv02_a_kvm_with_no_capability_at_all_still_gets_one_sentence),
		PLAIN(kv02_a_kvm_run_that_is_too_small_is_refused),
		PLAIN(without_32_bit_apic_ids_255_vcpus_are_the_limit),
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
		PLAIN(a_vm_that_kvm_refuses_is_an_error_with_nothing_left),
		PLAIN(vcpus_that_kvm_refuses_are_an_error_with_nothing_left),
		PLAIN(a_signal_while_the_vm_is_created_is_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
