/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_failures.c - what a KVM can refuse while a VM is made, over a made-up KVM.
 *
 * KV01 no /dev/kvm, no permission. KV02 another API version, missing capabilities.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "fake_kvm.h"
#include "kvm/vcpu.h"

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

static const struct vcpu_ops no_ops;

static void build_fails(unsigned long request, unsigned after, int code, const char *words)
{
	const struct vcpus_config config = { .count = 4, .ops = &no_ops };
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

#define PLAIN(test) cmocka_unit_test_setup_teardown(test, fresh, nothing_is_left_open)

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
		PLAIN(a_vm_that_kvm_refuses_is_an_error_with_nothing_left),
		PLAIN(vcpus_that_kvm_refuses_are_an_error_with_nothing_left),
		PLAIN(a_signal_while_the_vm_is_created_is_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
