/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_probe.c - what kind of KVM this host has, and how fast ring 0 is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/testing.h"
#include "base/clock.h"
#include "fake_kvm.h"

static void make_dir(const char *parent, const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", parent, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void drop_dir(const char *parent, const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", parent, name);
	assert_int_equal(rmdir(path), 0);
}

static void the_kind_is_read_from_the_loaded_module(void **state)
{
	static const struct {
		const char *module;
		enum kvm_kind kind;
		const char *name;
	} cases[] = {
		{ "kvm_intel", KVM_KIND_VMX, "VT-x" },
		{ "kvm_amd", KVM_KIND_SVM, "AMD-V" },
		{ "kvm_pvm", KVM_KIND_PAGE_TABLE, "page-table KVM" },
	};
	char dir[] = "/tmp/test-probe-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(dir));
	make_dir(dir, "kvm");
	assert_int_equal(kvm_kind_in(dir), KVM_KIND_UNKNOWN);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		make_dir(dir, cases[i].module);
		assert_int_equal(kvm_kind_in(dir), cases[i].kind);
		assert_string_equal(kvm_kind_name(cases[i].kind), cases[i].name);
		drop_dir(dir, cases[i].module);
	}
	drop_dir(dir, "kvm");
	assert_int_equal(rmdir(dir), 0);
	assert_non_null(kvm_kind_name(KVM_KIND_UNKNOWN));
}

static void ring_0_is_measured_in_little_time(void **state)
{
	uint64_t per_s = 0, start_ns, took_ns;
	struct err err = { 0 };
	struct kvm kvm;

	(void)state;
	if (access("/dev/kvm", R_OK | W_OK) < 0)
		test_skip_case("/dev/kvm cannot be opened here");
	assert_int_equal(kvm_open(&kvm, &err), 0);
	start_ns = clock_now_ns();
	if (kvm_measure_ring0(&kvm, &per_s, &err) < 0)
		fail_msg("%s", err.text);
	took_ns = clock_now_ns() - start_ns;
	print_message("%s: %llu.%llu M instructions/s in ring 0, measured in %llu ms\n",
		      kvm_kind_name(kvm_kind()), (unsigned long long)(per_s / 1000000),
		      (unsigned long long)(per_s / 100000 % 10),
		      (unsigned long long)(took_ns / NS_PER_MS));
	assert_true(per_s > 10000);
	/* Page-table KVM is slow in ring 0, hardware is not: else the kind is wrong. */
	if (kvm_kind() == KVM_KIND_PAGE_TABLE)
		assert_true(per_s < 50000000);
	kvm_close(&kvm);
}

static void a_probe_that_kvm_refuses_leaves_nothing_open(void **state)
{
	static const unsigned long requests[] = { KVM_CREATE_VM, KVM_SET_USER_MEMORY_REGION,
						  KVM_CREATE_VCPU, KVM_SET_SREGS, KVM_RUN };
	uint64_t per_s;
	struct kvm kvm;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		struct err err = { 0 };

		fake_kvm_reset();
		fake_kvm.failing_request = requests[i];
		fake_kvm.failing_errno = ENOMEM;
		assert_int_equal(kvm_open_with(&fake_kvm_sys, &kvm, &err), 0);
		assert_int_equal(kvm_measure_ring0(&kvm, &per_s, &err), -ENOMEM);
		assert_string_equal(err.text,
				    "measuring the guest's ring 0: Cannot allocate memory");
		kvm_close(&kvm);
		assert_int_equal(fake_kvm.open_fds, 0);
		assert_int_equal(fake_kvm.mappings, 0);
	}
}

static void a_probe_that_does_not_halt_is_an_error(void **state)
{
	struct err err = { 0 };
	struct kvm kvm;
	uint64_t per_s;

	(void)state;
	fake_kvm_reset();
	fake_kvm_add_step((struct fake_step){ .exit_reason = KVM_EXIT_SHUTDOWN });
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &kvm, &err), 0);
	assert_int_equal(kvm_measure_ring0(&kvm, &per_s, &err), -EIO);
	kvm_close(&kvm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kind_is_read_from_the_loaded_module),
		cmocka_unit_test(ring_0_is_measured_in_little_time),
		cmocka_unit_test(a_probe_that_kvm_refuses_leaves_nothing_open),
		cmocka_unit_test(a_probe_that_does_not_halt_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
