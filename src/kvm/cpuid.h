/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* cpuid.h - what the guest is told its processor is: KVM's supported set, with our topology. */
#ifndef NEAP_KVM_CPUID_H
#define NEAP_KVM_CPUID_H

#include <linux/kvm.h>

#include "kvm/kvm.h"

enum { CPUID_MAX_ENTRIES = 256 };

struct cpuid_table {
	struct kvm_cpuid2 header;
	struct kvm_cpuid_entry2 entries[CPUID_MAX_ENTRIES];
};

int cpuid_read_supported(const struct kvm *kvm, struct cpuid_table *ret_table, struct err *err);

/* Pure: the table for one vCPU of @count: leaves 1, 4, 0xB, 0x1F, 0x8000_0008, 0x8000_001D/1E,
 * APIC id, TSC deadline, hypervisor bit. One package, @count cores, one thread each. */
void cpuid_for_vcpu(struct cpuid_table *table, const struct kvm *kvm, unsigned index,
		    unsigned count, bool hide_cx16);

#endif
