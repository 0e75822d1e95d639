/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vcpu_internal.h - what vcpu.c (requests), run.c (KVM_RUN), exit.c, regs.c and dump.c share. */
#ifndef NEAP_KVM_VCPU_INTERNAL_H
#define NEAP_KVM_VCPU_INTERNAL_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "kvm/cpuid.h"
#include "kvm/vcpu.h"
#include "kvm/vm_internal.h"

/* A standard signal and not a real-time one: those need queue memory, which is limited per user,
 * so that another program could make a kick fail. */
enum { VCPU_KICK_SIGNAL = SIGUSR1 };

enum { VCPU_RETRY_MS = 5 }; /* between two tries at memory that is not there yet */

/* What a vCPU does after an exit. */
enum vcpu_next {
	VCPU_NEXT_RUN,	/* enter the guest again */
	VCPU_NEXT_OBEY, /* look at the requests first */
};

struct vcpu {
	struct vcpus *all;
	unsigned index; /* also the APIC id */
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool has_thread;
	atomic_uint_fast64_t exit_count; /* written by the vCPU's thread only */

	/* Under all->lock. */
	bool ended;	   /* parks until a reset, whatever else is asked */
	bool exit_pending; /* waits in the middle of an exit; a reset takes this away */

	/* Under all->control_lock: it is no longer as KVM made it. */
	bool was_reset;
	/* As KVM made it: what a reset goes back to. */
	struct kvm_sregs fresh_sregs;
	struct kvm_lapic_state fresh_lapic;
};

struct vcpus {
	struct vm *vm;
	const struct vcpu_ops *ops;
	void *ops_ctx;
	unsigned count;
	struct vcpu *each;

	pthread_mutex_t control_lock; /* first: one pause, resume or reset at a time */

	pthread_mutex_t lazy_lock; /* one empties the ring of lazy writes: lazy.c, Z2 */

	pthread_mutex_t lock;  /* second: the requests and who is parked */
	pthread_cond_t asked;  /* a request changed; vCPUs wait here */
	pthread_cond_t parked; /* the last vCPU parked; vcpus_pause waits here */
	bool pause_asked, stop_asked;
	unsigned parked_count;
	atomic_uint_fast64_t kick_count; /* written under the lock */
};

static inline const struct kvm_sys *vcpu_sys(const struct vcpu *vcpu)
{
	return vcpu->all->vm->kvm->sys;
}

static inline int vcpu_ioctl(const struct vcpu *vcpu, unsigned long request, void *arg)
{
	return kvm_ioctl_ptr(vcpu_sys(vcpu), vcpu->fd, request, arg);
}

/* run.c: enter the guest until a request is to be looked at. On the vCPU's thread. */
void vcpu_run(struct vcpu *vcpu);

/* run.c: finish an exit that KVM still holds, without entering the guest. Only while parked. */
int vcpu_finish_exit(struct vcpu *vcpu);

/* lazy.c: hand over all writes that KVM kept back. On a vCPU's thread, before its exit is handled. */
void vcpus_do_lazy_writes(struct vcpus *vcpus);

/* lazy.c: forget them. While all are parked. */
void vcpus_drop_lazy_writes(struct vcpus *vcpus);

/* exit.c: what KVM_RUN's return with 0 asks for. */
enum vcpu_next vcpu_handle_exit(struct vcpu *vcpu);

/* run.c: KVM_EXIT_MEMORY_FAULT. */
enum vcpu_next vcpu_handle_memory_fault(struct vcpu *vcpu);

/* vcpu.c: wait VCPU_RETRY_MS, or until a kick that is newer than @kick_count, or as long as a pause
 * lasts. True: try again. False: the VM is ending, or a reset took the exit away: forget it. */
bool vcpu_wait(struct vcpu *vcpu, uint64_t kick_count);

/* vcpu.c: the guest cannot go on: tell the owner, with the registers when @with_registers. */
enum vcpu_next vcpu_end(struct vcpu *vcpu, enum vcpu_end end, bool with_registers, const char *fmt,
			...) __attribute__((format(printf, 4, 5)));

/* vcpu.c: a thread's whole life; and the end of all of them. */
void *vcpu_main(void *vcpu);
void vcpus_stop_threads(struct vcpus *vcpus);

/* regs.c: remember what KVM made, and go back to it. While parked. */
int vcpu_save_fresh(struct vcpu *vcpu, struct err *err);
/* @start NULL: wait for INIT and SIPI. */
int vcpu_reset(struct vcpu *vcpu, const struct vcpu_start *start, struct err *err);

/* dump.c: the registers as text, appended at @used; the new length. Always NUL-terminated. */
size_t vcpu_dump(const struct vcpu *vcpu, char *text, size_t text_bytes, size_t used);

#endif
