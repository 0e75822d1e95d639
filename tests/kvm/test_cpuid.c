/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_cpuid.c - the processor a guest is told about. Pure, but for the last test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/testing.h"
#include "base/units.h"
#include "kvm/cpuid.h"

#define INDEXED KVM_CPUID_FLAG_SIGNIFCANT_INDEX

static const struct kvm kvm = { .has_tsc_deadline = true, .has_x2apic_32bit_ids = true };

/* What a host with 64 siblings and every feature might pass on. */
static const struct kvm_cpuid_entry2 intel[] = {
	{ .function = 0, .eax = 0x1f, .ebx = 0x756e6547, .ecx = 0x6c65746e, .edx = 0x49656e69 },
	{ .function = 1, .ebx = 0x55400800, .ecx = 0x7efafbff, .edx = 0xbfebfbff },
	{ .function = 4, .index = 0, .flags = INDEXED, .eax = 0xfc004121 },
	{ .function = 4, .index = 1, .flags = INDEXED, .eax = 0xfc004122 },
	{ .function = 4, .index = 2, .flags = INDEXED, .eax = 0xfc004143 },
	{ .function = 4, .index = 3, .flags = INDEXED, .eax = 0xfc1fc163 },
	{ .function = 4, .index = 4, .flags = INDEXED },
	{ .function = 5, .eax = 0x40, .ebx = 0x40, .ecx = 3, .edx = 0x2020 },
	{ .function = 0xb,
	  .index = 0,
	  .flags = INDEXED,
	  .eax = 1,
	  .ebx = 2,
	  .ecx = 0x100,
	  .edx = 9 },
	{ .function = 0xb, .index = 1, .flags = INDEXED, .eax = 7, .ebx = 99, .ecx = 0x201 },
	{ .function = 0x1f, .index = 0, .flags = INDEXED, .eax = 1, .ebx = 2, .ecx = 0x100 },
	{ .function = 0x40000000, .eax = 0x40000001, .ebx = 0x4b4d564b },
	{ .function = 0x40000001, .eax = 0x01007efb },
	{ .function = 0x80000001, .ecx = 0x121 },
	{ .function = 0x80000008, .eax = 0x3028, .ecx = 0 },
};

static const struct kvm_cpuid_entry2 amd[] = {
	{ .function = 0, .eax = 0x10, .ebx = 0x68747541, .ecx = 0x444d4163, .edx = 0x69746e65 },
	{ .function = 1, .ebx = 0x11020800, .ecx = 0x81202008, .edx = 0x078bfbff },
	{ .function = 0xb, .index = 0, .flags = INDEXED },
	{ .function = 0x40000001, .eax = 0x01007efb },
	{ .function = 0x80000001, .ecx = 0x00400395 },
	{ .function = 0x80000008, .eax = 0x3030, .ecx = 0x7001 },
	{ .function = 0x8000000a, .eax = 1, .ebx = 0x8000 },
	{ .function = 0x8000001d, .index = 0, .flags = INDEXED, .eax = 0x00004121 },
	{ .function = 0x8000001d, .index = 2, .flags = INDEXED, .eax = 0x00004143 },
	{ .function = 0x8000001d, .index = 3, .flags = INDEXED, .eax = 0x0001c163 },
	{ .function = 0x8000001d, .index = 4, .flags = INDEXED },
	{ .function = 0x8000001e, .eax = 3, .ebx = 0x101, .ecx = 0x301 },
	{ .function = 0x80000026, .index = 0, .flags = INDEXED, .eax = 1, .ebx = 2, .ecx = 0x100 },
};

#define TABLE(name, source)                                                \
	static struct cpuid_table name(void)                               \
	{                                                                  \
		struct cpuid_table table = { .count = ARRAY_LEN(source) }; \
		memcpy(table.entries, source, sizeof(source));             \
		return table;                                              \
	}
TABLE(intel_table, intel)
TABLE(amd_table, amd)

static const struct kvm_cpuid_entry2 *leaf(const struct cpuid_table *table, uint32_t function,
					   uint32_t index)
{
	const struct kvm_cpuid_entry2 *found = NULL;

	for (uint32_t i = 0; i < table->count; i++)
		if (table->entries[i].function == function && table->entries[i].index == index) {
			assert_null(found); /* no leaf twice */
			found = &table->entries[i];
		}
	assert_non_null(found);
	return found;
}

static uint32_t bits(uint32_t value, unsigned high, unsigned low)
{
	return (uint32_t)((value >> low) & ((UINT64_C(1) << (high - low + 1)) - 1));
}

static void leaf_1_has_the_apic_id_and_the_count(void **state)
{
	struct cpuid_table table = intel_table();
	const struct kvm_cpuid_entry2 *e;

	(void)state;
	cpuid_for_vcpu(&table, &kvm, 3, 4, false);
	e = leaf(&table, 1, 0);
	assert_int_equal(bits(e->ebx, 31, 24), 3);
	assert_int_equal(bits(e->ebx, 23, 16), 4);
	assert_int_equal(bits(e->ebx, 15, 8), 8); /* CLFLUSH is the host's business */
	assert_int_equal(bits(e->edx, 28, 28), 1);
}

static void the_guest_is_told_how_fast_its_clocks_run(void **state)
{
	struct cpuid_table table = intel_table(), without = amd_table();
	uint32_t before = table.count;

	(void)state;
	cpuid_tell_clock(&table, 0);
	assert_int_equal(table.count, before);
	before = without.count;
	cpuid_tell_clock(&without, 2600000); /* no range of a hypervisor's leaves to stand in */
	assert_int_equal(without.count, before);
	cpuid_tell_clock(&table, 2600000);
	cpuid_tell_clock(&table, 2600000);
	assert_int_equal(leaf(&table, 0x40000000, 0)->eax, 0x40000010);
	assert_int_equal(leaf(&table, 0x40000010, 0)->eax, 2600000);
	assert_int_equal(leaf(&table, 0x40000010, 0)->ebx, 1000000);
}

static void one_vcpu_has_no_siblings(void **state)
{
	struct cpuid_table table = amd_table();

	(void)state;
	cpuid_for_vcpu(&table, &kvm, 0, 1, false);
	assert_int_equal(bits(leaf(&table, 1, 0)->edx, 28, 28), 0);
	assert_int_equal(bits(leaf(&table, 1, 0)->ebx, 23, 16), 1);
	assert_int_equal(bits(leaf(&table, 0x80000001, 0)->ecx, 1, 1), 0);
	assert_int_equal(bits(leaf(&table, 0x80000008, 0)->ecx, 7, 0), 0);
	assert_int_equal(bits(leaf(&table, 0x80000008, 0)->ecx, 15, 12), 0);
	assert_int_equal(leaf(&table, 0xb, 1)->eax, 0);
	assert_int_equal(leaf(&table, 0xb, 1)->ebx, 1);
}

static void leaf_1_has_hypervisor_and_x2apic_but_no_mwait_nor_nesting(void **state)
{
	struct cpuid_table table = intel_table();
	uint32_t ecx;

	(void)state;
	cpuid_for_vcpu(&table, &kvm, 0, 2, false);
	ecx = leaf(&table, 1, 0)->ecx;
	assert_int_equal(bits(ecx, 31, 31), 1);
	assert_int_equal(bits(ecx, 21, 21), 1);
	assert_int_equal(bits(ecx, 13, 13), 1); /* CX16 */
	assert_int_equal(bits(ecx, 3, 3), 0);	/* MONITOR */
	assert_int_equal(bits(ecx, 5, 5), 0);	/* VMX */
	assert_int_equal(leaf(&table, 5, 0)->edx, 0);
	table = amd_table();
	cpuid_for_vcpu(&table, &kvm, 0, 2, false);
	assert_int_equal(bits(leaf(&table, 0x80000001, 0)->ecx, 2, 2), 0); /* SVM */
	assert_int_equal(leaf(&table, 0x8000000a, 0)->eax, 0);
}

static void the_tsc_deadline_bit_follows_the_capability(void **state)
{
	const struct kvm without = { .has_tsc_deadline = false };
	struct cpuid_table table = intel_table();

	(void)state;
	cpuid_for_vcpu(&table, &kvm, 0, 1, false);
	assert_int_equal(bits(leaf(&table, 1, 0)->ecx, 24, 24), 1);
	cpuid_for_vcpu(&table, &without, 0, 1, false);
	assert_int_equal(bits(leaf(&table, 1, 0)->ecx, 24, 24), 0);
}

static void cx16_is_hidden_when_asked(void **state)
{
	struct cpuid_table table = amd_table();

	(void)state;
	cpuid_for_vcpu(&table, &kvm, 0, 1, true);
	assert_int_equal(bits(leaf(&table, 1, 0)->ecx, 13, 13), 0);
}

static void leaf_0xb_tells_cores_apart_by_apic_id(void **state)
{
	static const struct {
		unsigned count, shift;
	} cases[] = { { 1, 0 }, { 2, 1 },   { 3, 2 },	{ 4, 2 },
		      { 5, 3 }, { 256, 8 }, { 257, 9 }, { 1024, 10 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cpuid_table table = amd_table();
		unsigned last = cases[i].count - 1;

		cpuid_for_vcpu(&table, &kvm, last, cases[i].count, false);
		assert_int_equal(leaf(&table, 0xb, 0)->eax, 0);
		assert_int_equal(leaf(&table, 0xb, 0)->ebx, 1);
		assert_int_equal(leaf(&table, 0xb, 0)->ecx, 0x100);
		assert_int_equal(leaf(&table, 0xb, 1)->eax, cases[i].shift);
		assert_int_equal(leaf(&table, 0xb, 1)->ebx, cases[i].count);
		assert_int_equal(leaf(&table, 0xb, 1)->ecx, 0x201);
		assert_int_equal(leaf(&table, 0xb, 2)->ebx, 0);
		assert_int_equal(leaf(&table, 0xb, 2)->ecx, 2);
		for (uint32_t level = 0; level < 3; level++)
			assert_int_equal(leaf(&table, 0xb, level)->edx, last);
		/* Every id of the package has the same upper bits. */
		assert_int_equal(last >> cases[i].shift, 0);
	}
}

static void leaf_0x1f_says_the_same_where_the_host_has_it(void **state)
{
	struct cpuid_table table = intel_table();

	(void)state;
	cpuid_for_vcpu(&table, &kvm, 5, 6, false);
	for (uint32_t level = 0; level < 3; level++) {
		const struct kvm_cpuid_entry2 *b = leaf(&table, 0xb, level);
		const struct kvm_cpuid_entry2 *f = leaf(&table, 0x1f, level);

		assert_int_equal(b->eax, f->eax);
		assert_int_equal(b->ebx, f->ebx);
		assert_int_equal(b->ecx, f->ecx);
		assert_int_equal(b->edx, f->edx);
	}
}

static void leaf_0xb_is_added_where_the_host_has_none(void **state)
{
	struct cpuid_table table = { .count = 1, .entries = { { .function = 0, .eax = 7 } } };

	(void)state;
	cpuid_for_vcpu(&table, &kvm, 1, 2, false);
	assert_int_equal(leaf(&table, 0, 0)->eax, 0xb);
	assert_int_equal(leaf(&table, 0xb, 1)->ebx, 2);
	assert_int_equal(leaf(&table, 0xb, 1)->flags, INDEXED);
}

static void a_full_table_is_not_overrun(void **state)
{
	struct cpuid_table table = { .count = CPUID_MAX_ENTRIES };

	(void)state;
	for (uint32_t i = 0; i < CPUID_MAX_ENTRIES; i++)
		table.entries[i].function = 0x1000 + i;
	cpuid_for_vcpu(&table, &kvm, 1, 2, false);
	assert_int_equal(table.count, CPUID_MAX_ENTRIES);
}

static void intel_caches_are_private_but_for_the_last(void **state)
{
	struct cpuid_table table = intel_table();

	(void)state;
	cpuid_for_vcpu(&table, &kvm, 0, 6, false);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(bits(leaf(&table, 4, i)->eax, 25, 14), 0);
		assert_int_equal(bits(leaf(&table, 4, i)->eax, 31, 26), 7);
	}
	assert_int_equal(bits(leaf(&table, 4, 3)->eax, 25, 14), 7); /* 8 ids for 6 cores */
	assert_int_equal(bits(leaf(&table, 4, 3)->eax, 13, 0), 0x163);
	assert_int_equal(leaf(&table, 4, 4)->eax, 0);
}

static void intel_fields_hold_their_largest_value_for_many_cores(void **state)
{
	struct cpuid_table table = intel_table();

	(void)state;
	cpuid_for_vcpu(&table, &kvm, 999, 1000, false);
	assert_int_equal(bits(leaf(&table, 4, 3)->eax, 31, 26), 63);
	assert_int_equal(bits(leaf(&table, 4, 3)->eax, 25, 14), 1023);
	assert_int_equal(bits(leaf(&table, 1, 0)->ebx, 23, 16), 255);
	assert_int_equal(bits(leaf(&table, 1, 0)->ebx, 31, 24), 999 & 0xff);
	assert_int_equal(leaf(&table, 0xb, 1)->edx, 999);
}

static void amd_sizes_ids_and_caches_agree(void **state)
{
	struct cpuid_table table = amd_table();

	(void)state;
	cpuid_for_vcpu(&table, &kvm, 4, 6, false);
	assert_int_equal(bits(leaf(&table, 0x80000001, 0)->ecx, 1, 1), 1);
	assert_int_equal(bits(leaf(&table, 0x80000008, 0)->ecx, 7, 0), 5);
	assert_int_equal(bits(leaf(&table, 0x80000008, 0)->ecx, 15, 12), 3);
	assert_int_equal(leaf(&table, 0x80000008, 0)->eax, 0x3030);
	assert_int_equal(leaf(&table, 0x8000001e, 0)->eax, 4);
	assert_int_equal(leaf(&table, 0x8000001e, 0)->ebx, 4);
	assert_int_equal(leaf(&table, 0x8000001e, 0)->ecx, 0);
	assert_int_equal(bits(leaf(&table, 0x8000001d, 0)->eax, 25, 14), 0);
	assert_int_equal(bits(leaf(&table, 0x8000001d, 2)->eax, 25, 14), 0);
	assert_int_equal(bits(leaf(&table, 0x8000001d, 3)->eax, 25, 14), 5);
	assert_int_equal(leaf(&table, 0x8000001d, 4)->eax, 0);
	assert_int_equal(leaf(&table, 0x80000026, 0)->ebx, 0);
}

static void an_intel_guest_keeps_amd_leaves_as_they_are(void **state)
{
	struct cpuid_table table = intel_table();

	(void)state;
	cpuid_for_vcpu(&table, &kvm, 1, 4, false);
	assert_int_equal(leaf(&table, 0x80000008, 0)->ecx, 0);
	assert_int_equal(bits(leaf(&table, 0x80000001, 0)->ecx, 1, 1), 0);
}

/* 0x01007efb without asynchronous page faults: bits 4, 10 and 14. */
enum { KVM_FEATURES_SHOWN = 0x01003aeb };

static void kvm_leaves_stay_and_extended_destinations_come_with_many_vcpus(void **state)
{
	struct cpuid_table table = intel_table();

	(void)state;
	cpuid_for_vcpu(&table, &kvm, 0, 255, false);
	assert_int_equal(leaf(&table, 0x40000000, 0)->ebx, 0x4b4d564b);
	assert_int_equal(leaf(&table, 0x40000001, 0)->eax, KVM_FEATURES_SHOWN);
	cpuid_for_vcpu(&table, &kvm, 0, 256, false);
	assert_int_equal(leaf(&table, 0x40000001, 0)->eax, KVM_FEATURES_SHOWN | 1 << 15);
}

static void this_host_has_a_supported_set(void **state)
{
	struct cpuid_table table;
	struct err err = { 0 };
	struct kvm host;

	(void)state;
	if (access("/dev/kvm", R_OK | W_OK) < 0)
		test_skip_case("/dev/kvm cannot be opened here");
	assert_int_equal(kvm_open(&host, &err), 0);
	assert_int_equal(cpuid_read_supported(&host, &table, &err), 0);
	assert_in_range(table.count, 10, CPUID_MAX_ENTRIES);
	cpuid_for_vcpu(&table, &host, 1, 2, false);
	assert_int_equal(leaf(&table, 0xb, 1)->edx, 1);
	kvm_close(&host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaf_1_has_the_apic_id_and_the_count),
		cmocka_unit_test(the_guest_is_told_how_fast_its_clocks_run),
		cmocka_unit_test(one_vcpu_has_no_siblings),
		cmocka_unit_test(leaf_1_has_hypervisor_and_x2apic_but_no_mwait_nor_nesting),
		cmocka_unit_test(the_tsc_deadline_bit_follows_the_capability),
		cmocka_unit_test(cx16_is_hidden_when_asked),
		cmocka_unit_test(leaf_0xb_tells_cores_apart_by_apic_id),
		cmocka_unit_test(leaf_0x1f_says_the_same_where_the_host_has_it),
		cmocka_unit_test(leaf_0xb_is_added_where_the_host_has_none),
		cmocka_unit_test(a_full_table_is_not_overrun),
		cmocka_unit_test(intel_caches_are_private_but_for_the_last),
		cmocka_unit_test(intel_fields_hold_their_largest_value_for_many_cores),
		cmocka_unit_test(amd_sizes_ids_and_caches_agree),
		cmocka_unit_test(an_intel_guest_keeps_amd_leaves_as_they_are),
		cmocka_unit_test(kvm_leaves_stay_and_extended_destinations_come_with_many_vcpus),
		cmocka_unit_test(this_host_has_a_supported_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
