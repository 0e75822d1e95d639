/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* run.c - KVM_RUN, and what its errnos mean.
 *
 * Nothing is checked between two entries: immediate_exit does that inside KVM (vcpu.c, R1).
 *
 *  EINTR     a signal or immediate_exit: look at the requests
 *  EAGAIN    a vCPU that waited for INIT-SIPI got it: look at the requests, enter again
 *  EFAULT    KVM found no host memory behind a guest address: the owner backs it, or the VM ends
 *  EHWPOISON the host's memory broke under the guest: the VM ends
 *  other     this KVM cannot run the guest: the VM ends
 *
 * Source. KVM API 4.10 KVM_RUN; 5 "The kvm_run structure", KVM_EXIT_MEMORY_FAULT (comes with
 * EFAULT or EHWPOISON; after any other errno exit_reason is stale).
 */
#include "kvm/vcpu_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* An instruction has at most two pieces of MMIO left; a rep string stops after 1024 of them. */
enum { FINISH_MAX_EXITS = 4096 };

static enum vcpu_next cannot_back(struct vcpu *vcpu, bool known, uint64_t addr, uint64_t len_bytes)
{
	const struct vcpus *all = vcpu->all;
	uint64_t kick_count = atomic_load(&all->kick_count);
	int ret = all->ops->cannot_back(all->ops_ctx, known, addr, len_bytes);
	char where[32] = "a guest address";

	if (ret == 0)
		return VCPU_NEXT_RUN;
	if (ret == -EAGAIN) {
		/* KVM redoes the whole instruction, so no exit is left to come back to. */
		(void)vcpu_wait(vcpu, kick_count);
		return VCPU_NEXT_OBEY;
	}
	if (known)
		(void)snprintf(where, sizeof(where), "0x%" PRIx64, addr);
	errno = -ret;
	return vcpu_end(vcpu, VCPU_END_INTERNAL_ERROR, true,
			"the host has no memory behind %s (KVM_RUN: EFAULT): %m", where);
}

enum vcpu_next vcpu_handle_memory_fault(struct vcpu *vcpu)
{
	struct kvm_memory_fault_exit fault;

	memcpy(&fault, vcpu->run->padding, sizeof(fault));
	return cannot_back(vcpu, true, fault.gpa, fault.size);
}

static enum vcpu_next handle_efault(struct vcpu *vcpu)
{
	bool known = vcpu->all->vm->kvm->has_memory_fault_info &&
		     vcpu->run->exit_reason == KVM_EXIT_MEMORY_FAULT;

	/* An older fault must not explain the next one. */
	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	return known ? vcpu_handle_memory_fault(vcpu) : cannot_back(vcpu, false, 0, 0);
}

static enum vcpu_next handle_errno(struct vcpu *vcpu, int code)
{
	switch (code) {
	case -EINTR:
	case -EAGAIN: return VCPU_NEXT_OBEY;
	case -EFAULT: return handle_efault(vcpu);
	case -EHWPOISON:
		return vcpu_end(vcpu, VCPU_END_INTERNAL_ERROR, true,
				"the host's memory behind the guest is broken (KVM_RUN: %m)");
	default:
		return vcpu_end(vcpu, VCPU_END_INTERNAL_ERROR, true,
				"KVM cannot run this guest (KVM_RUN: %m)");
	}
}

static void count_exit(struct vcpu *vcpu)
{
	uint64_t count = atomic_load_explicit(&vcpu->exit_count, memory_order_relaxed);

	atomic_store_explicit(&vcpu->exit_count, count + 1, memory_order_relaxed);
}

void vcpu_run(struct vcpu *vcpu)
{
	enum vcpu_next next;

	do {
		int ret = vcpu_ioctl(vcpu, KVM_RUN, NULL);

		count_exit(vcpu);
		vcpus_do_lazy_writes(vcpu->all);
		next = ret < 0 ? handle_errno(vcpu, ret) : vcpu_handle_exit(vcpu);
	} while (next == VCPU_NEXT_RUN);
}

/* KVM finishes the exit on the next entry, and with immediate_exit goes no further. What the
 * instruction reads is all ones. */
int vcpu_finish_exit(struct vcpu *vcpu)
{
	if (atomic_load_explicit(&vcpu->exit_count, memory_order_relaxed) == 0)
		return 0; /* never ran */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	for (int left = FINISH_MAX_EXITS; left > 0; left--) {
		if (vcpu->run->exit_reason == KVM_EXIT_MMIO && !vcpu->run->mmio.is_write)
			memset(vcpu->run->mmio.data, 0xff, sizeof(vcpu->run->mmio.data));
		if (vcpu_ioctl(vcpu, KVM_RUN, NULL) < 0)
			return 0;
	}
	errno = ELOOP;
	return -ELOOP;
}
