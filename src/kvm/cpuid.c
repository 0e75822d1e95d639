/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* cpuid.c - KVM's supported CPUID, with the topology of one package of single-threaded cores.
 *
 * Problem. KVM's supported set describes what features work; its topology leaves are the host
 * CPU's that happened to answer, or zero. A guest that believes them puts its vCPUs in the
 * wrong package, or finds siblings that are not there.
 *
 * Design. One function per leaf, from a table; each changes only its leaf. All of them say
 * the same: `count` cores in one package, APIC id = core number, level 1 and 2 caches of their
 * own, level 3 shared by all.
 *
 * Hidden: MONITOR/MWAIT (every one would exit), VMX and SVM (a reset does not put back nested
 * state), AMD's extended topology leaf 0x8000_0026 (guests fall back to 0xB, which is filled), and
 * asynchronous page faults: a vCPU that KVM put to sleep in ring 0 until a missing page is there
 * would never wake after a reset, which forgets the page but not the sleep. A guest without them wakes
 * by the page.
 *
 * Added: how fast its clocks run (leaf 0x4000_0010), which a guest would otherwise have to measure.
 *
 * Sources. Intel SDM 2A "CPUID-CPU Identification" leaves 1, 4, 0BH, 1FH. AMD APM 3 appendix E
 * "Obtaining Processor Information Via the CPUID Instruction". Linux x86/kvm/cpuid.rst.
 */
#include "kvm/cpuid.h"

#include <string.h>

#include "base/units.h"
#include "kvm/kvm_internal.h"

#define HYPERVISOR_LEAF UINT32_C(0x40000000)
#define CLOCK_LEAF	UINT32_C(0x40000010)
#define APIC_BUS_KHZ	UINT32_C(1000000) /* units: kHz, that is 1 GHz */

#define ECX1_MONITOR	  (UINT32_C(1) << 3)
#define ECX1_VMX	  (UINT32_C(1) << 5)
#define ECX1_CX16	  (UINT32_C(1) << 13)
#define ECX1_X2APIC	  (UINT32_C(1) << 21)
#define ECX1_TSC_DEADLINE (UINT32_C(1) << 24)
#define ECX1_HYPERVISOR	  (UINT32_C(1) << 31)
#define EDX1_HTT	  (UINT32_C(1) << 28)

#define ECX80000001_CMP_LEGACY (UINT32_C(1) << 1)
#define ECX80000001_SVM	       (UINT32_C(1) << 2)

#define KVM_FEATURE_LEAF_MSI_EXT_DEST_ID (UINT32_C(1) << 15)
/* KVM_FEATURE_ASYNC_PF, _ASYNC_PF_VMEXIT and _ASYNC_PF_INT. */
#define KVM_FEATURE_LEAF_ASYNC_PF (UINT32_C(1) << 4 | UINT32_C(1) << 10 | UINT32_C(1) << 14)

#define EBX0_INTEL UINT32_C(0x756e6547) /* "Genu" */

enum { TOPOLOGY_LEAF = 0xb, TOPOLOGY_SMT = 1, TOPOLOGY_CORE = 2, TOPOLOGY_LEVELS = 3 };

_Static_assert(offsetof(struct cpuid_table, entries) == offsetof(struct kvm_cpuid2, entries),
	       "cpuid_table is passed to KVM as a struct kvm_cpuid2");

struct topology {
	const struct kvm *kvm;
	unsigned index, count;
	unsigned id_bits; /* APIC id bits that tell cores apart: 2^id_bits >= count */
	bool intel, hide_cx16;
};

/* @value in bits @high..@low; the rest kept. What does not fit shows as the largest that does. */
static void set_bits(uint32_t *reg, unsigned high, unsigned low, uint32_t value)
{
	uint32_t max = (uint32_t)((UINT64_C(1) << (high - low + 1)) - 1);

	*reg &= ~(max << low);
	*reg |= (value < max ? value : max) << low;
}

static void set_flag(uint32_t *reg, uint32_t flag, bool on)
{
	*reg = on ? *reg | flag : *reg & ~flag;
}

static void set_basic(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
	(void)t;
	if (e->eax < TOPOLOGY_LEAF)
		e->eax = TOPOLOGY_LEAF;
}

static void set_features(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
	set_bits(&e->ebx, 23, 16, t->count);
	e->ebx = (e->ebx & 0x00ffffff) | (t->index & 0xff) << 24;
	set_flag(&e->edx, EDX1_HTT, t->count > 1);
	e->ecx &= ~(ECX1_MONITOR | ECX1_VMX);
	if (t->hide_cx16)
		e->ecx &= ~ECX1_CX16;
	e->ecx |= ECX1_X2APIC | ECX1_HYPERVISOR;
	set_flag(&e->ecx, ECX1_TSC_DEADLINE, t->kvm->has_tsc_deadline);
}

/* How many APIC ids share a cache of @level. */
static uint32_t sharing_ids(const struct topology *t, uint32_t level)
{
	return level >= 3 ? UINT32_C(1) << t->id_bits : 1;
}

static void set_intel_cache(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
	if (!t->intel || (e->eax & 0x1f) == 0)
		return;
	set_bits(&e->eax, 25, 14, sharing_ids(t, e->eax >> 5 & 7) - 1);
	set_bits(&e->eax, 31, 26, (UINT32_C(1) << t->id_bits) - 1);
}

static void set_monitor(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
	(void)t;
	e->eax = e->ebx = e->ecx = e->edx = 0;
}

static void set_topology(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
	e->eax = e->ebx = 0;
	e->ecx = e->index & 0xff;
	e->edx = t->index;
	if (e->index == 0) {
		e->ebx = 1;
		e->ecx |= TOPOLOGY_SMT << 8;
	} else if (e->index == 1) {
		e->eax = t->id_bits;
		e->ebx = t->count;
		e->ecx |= TOPOLOGY_CORE << 8;
	}
}

/* Extended destinations only with many vCPUs, so that a stock guest does not depend on them
 * elsewhere: interrupts can then name APIC ids above 255 without an IOMMU (irq.c). */
static void set_kvm_features(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
	e->eax &= ~KVM_FEATURE_LEAF_ASYNC_PF;
	if (t->count > 255 && t->kvm->has_x2apic_32bit_ids)
		e->eax |= KVM_FEATURE_LEAF_MSI_EXT_DEST_ID;
}

static void set_extended_features(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
	e->ecx &= ~ECX80000001_SVM;
	if (!t->intel)
		set_flag(&e->ecx, ECX80000001_CMP_LEGACY, t->count > 1);
}

static void set_amd_sizes(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
	if (t->intel)
		return;
	set_bits(&e->ecx, 7, 0, t->count - 1);
	set_bits(&e->ecx, 15, 12, t->id_bits);
}

static void set_amd_cache(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
	if (t->intel || (e->eax & 0x1f) == 0)
		return;
	set_bits(&e->eax, 25, 14, (e->eax >> 5 & 7) >= 3 ? t->count - 1 : 0);
}

static void set_amd_ids(struct kvm_cpuid_entry2 *e, const struct topology *t)
{
	if (t->intel)
		return;
	e->eax = t->index;
	e->ebx = t->index & 0xff;
	e->ecx = e->edx = 0;
}

static const struct {
	uint32_t function;
	void (*set)(struct kvm_cpuid_entry2 *entry, const struct topology *topology);
} leaves[] = {
	{ 0x0, set_basic },
	{ 0x1, set_features },
	{ 0x4, set_intel_cache },
	{ 0x5, set_monitor },
	{ 0xb, set_topology },
	{ 0x1f, set_topology },
	{ 0x40000001, set_kvm_features },
	{ 0x80000001, set_extended_features },
	{ 0x80000008, set_amd_sizes },
	{ 0x8000000a, set_monitor },
	{ 0x8000001d, set_amd_cache },
	{ 0x8000001e, set_amd_ids },
	{ 0x80000026, set_monitor },
};

static struct kvm_cpuid_entry2 *find(struct cpuid_table *table, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < table->count; i++)
		if (table->entries[i].function == function && table->entries[i].index == index)
			return &table->entries[i];
	return NULL;
}

/* The level is in the subleaf, so each needs an entry; KVM often has only the first. */
static void add_subleaves(struct cpuid_table *table, uint32_t function)
{
	for (uint32_t index = 0; index < TOPOLOGY_LEVELS; index++) {
		struct kvm_cpuid_entry2 *entry = find(table, function, index);

		if (!entry && table->count == CPUID_MAX_ENTRIES)
			return;
		if (!entry)
			entry = &table->entries[table->count++];
		*entry = (struct kvm_cpuid_entry2){
			.function = function,
			.index = index,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		};
	}
}

static unsigned bits_for(unsigned count)
{
	unsigned bits = 0;

	while (bits < 31 && (1U << bits) < count)
		bits++;
	return bits;
}

void cpuid_for_vcpu(struct cpuid_table *table, const struct kvm *kvm, unsigned index,
		    unsigned count, bool hide_cx16)
{
	const struct kvm_cpuid_entry2 *vendor = find(table, 0, 0);
	const struct topology topology = {
		.kvm = kvm,
		.index = index,
		.count = count,
		.id_bits = bits_for(count),
		.intel = vendor && vendor->ebx == EBX0_INTEL,
		.hide_cx16 = hide_cx16,
	};

	add_subleaves(table, TOPOLOGY_LEAF);
	if (find(table, 0x1f, 0))
		add_subleaves(table, 0x1f);
	for (uint32_t i = 0; i < table->count; i++)
		for (size_t leaf = 0; leaf < ARRAY_LEN(leaves); leaf++)
			if (leaves[leaf].function == table->entries[i].function)
				leaves[leaf].set(&table->entries[i], &topology);
}

void cpuid_tell_clock(struct cpuid_table *table, uint32_t tsc_khz)
{
	struct kvm_cpuid_entry2 *range = find(table, HYPERVISOR_LEAF, 0);
	struct kvm_cpuid_entry2 *clock = find(table, CLOCK_LEAF, 0);

	if (tsc_khz == 0 || !range || clock || table->count == CPUID_MAX_ENTRIES)
		return;
	if (range->eax < CLOCK_LEAF)
		range->eax = CLOCK_LEAF;
	table->entries[table->count++] = (struct kvm_cpuid_entry2){
		.function = CLOCK_LEAF,
		.eax = tsc_khz,
		.ebx = APIC_BUS_KHZ,
	};
}

int cpuid_read_supported(const struct kvm *kvm, struct cpuid_table *ret_table, struct err *err)
{
	struct cpuid_table table;
	int ret;

	memset(&table, 0, sizeof(table));
	table.count = CPUID_MAX_ENTRIES;
	ret = kvm_ioctl_ptr(kvm->sys, kvm->fd, KVM_GET_SUPPORTED_CPUID, &table);
	if (ret == -E2BIG)
		return err_set(err, ret, "this host's KVM has more than %d CPUID entries",
			       CPUID_MAX_ENTRIES);
	if (ret < 0)
		return err_set(err, ret, "KVM_GET_SUPPORTED_CPUID: %m");
	*ret_table = table;
	return 0;
}
