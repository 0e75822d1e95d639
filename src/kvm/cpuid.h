/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* cpuid.h - what the guest is told its processor is: KVM's supported set, with our topology. */
#ifndef NEAP_KVM_CPUID_H
#define NEAP_KVM_CPUID_H

#include <linux/kvm.h>

#include "kvm/kvm.h"

enum { CPUID_MAX_ENTRIES = 256 };

/* struct kvm_cpuid2 with room for its entries. */
struct cpuid_table {
	uint32_t count, padding;
	struct kvm_cpuid_entry2 entries[CPUID_MAX_ENTRIES];
};

/* What this host's KVM can show a guest. KVM API 4.46 KVM_GET_SUPPORTED_CPUID. */
int cpuid_read_supported(const struct kvm *kvm, struct cpuid_table *ret_table, struct err *err);

/**
 * cpuid_for_vcpu() - make a supported set the table of one vCPU
 * @table: in: KVM's supported set; out: vCPU @index of @count, APIC id = @index
 *
 * One package, @count cores, one thread each: leaves 1, 4, 0xB, 0x1F, 0x8000_0001, 0x8000_0008,
 * 0x8000_001D, 0x8000_001E. TSC deadline and x2APIC as KVM has them, the hypervisor bit set, KVM's
 * own leaves kept; MWAIT and nested virtualisation hidden. Pure; any thread.
 *
 * @hide_cx16: without cmpxchg16b: page-table KVM cannot emulate it in ring 0, where stock kernels
 *             die of it.
 */
void cpuid_for_vcpu(struct cpuid_table *table, const struct kvm *kvm, unsigned index,
		    unsigned count, bool hide_cx16);

#endif
