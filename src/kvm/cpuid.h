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

/**
 * cpuid_tell_clock() - tell a guest how fast its TSC and its APIC timer run, so that it need not measure it
 * @tsc_khz: of the vCPU; 0: not known, and the table stays as it is
 *
 * Adds leaf 0x4000_0010 beside KVM's own leaves; a set without those stays as it is. Pure; any thread.
 * Source: the timing leaf that hypervisors agreed on: Linux arch/x86/kernel/cpu/vmware.c, QEMU's
 * vmware-cpuid-freq; KVM's APIC bus runs at 1 GHz (KVM API, KVM_CAP_X86_APIC_BUS_CYCLES_NS).
 */
void cpuid_tell_clock(struct cpuid_table *table, uint32_t tsc_khz);

#endif
