/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* kvm.h - /dev/kvm: is it there, is it the right one, can it do what neap needs?
 *
 * Threads: open once; read-only afterwards.
 */
#ifndef NEAP_KVM_KVM_H
#define NEAP_KVM_KVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct kvm_sys; /* the system calls underneath; replaced only by tests */

/* Outlives every VM made from it. */
struct kvm {
	const struct kvm_sys *sys;
	int fd;
	size_t run_bytes;	    /* size of a vCPU's kvm_run mapping */
	unsigned max_vcpus;	    /* this host's limit; 255 without has_x2apic_32bit_ids */
	bool has_tsc_deadline;	    /* KVM_CAP_TSC_DEADLINE_TIMER */
	bool has_memory_fault_info; /* KVM_CAP_MEMORY_FAULT_INFO */
	bool has_x2apic_32bit_ids;  /* KVM_CAP_X2APIC_API: APIC ids above 255 */
	uint32_t lazy_ring_page; /* KVM_CAP_COALESCED_MMIO: where it is in that mapping; 0: none */
};

/**
 * kvm_open() - open /dev/kvm and check API 12 and every capability neap needs
 *
 * Return: 0; -ENOENT, -EACCES, -ENODEV, -EOPNOTSUPP with a sentence that names what is missing
 * and what to do about it.
 * Source: KVM API 4.1 KVM_GET_API_VERSION, 4.4 KVM_CHECK_EXTENSION.
 */
int kvm_open(struct kvm *ret_kvm, struct err *err);
void kvm_close(struct kvm *kvm);

/* What kind of KVM this is, for `neap doctor` and for tests that choose. */
enum kvm_kind { KVM_KIND_VMX, KVM_KIND_SVM, KVM_KIND_PAGE_TABLE, KVM_KIND_UNKNOWN };
enum kvm_kind kvm_kind(void);
const char *kvm_kind_name(enum kvm_kind kind);

/**
 * kvm_measure_ring0() - run a short counted loop in guest ring 0 and say how fast it went
 * Under 50 million a second means that ring 0 is emulated (page-table KVM): stock kernels crawl.
 */
int kvm_measure_ring0(struct kvm *kvm, uint64_t *ret_instructions_per_s, struct err *err);

#endif
