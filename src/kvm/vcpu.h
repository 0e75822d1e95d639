/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vcpu.h - the vCPUs of a VM: a named thread each, run, paused, kicked and ended together.
 *
 * Talk upward is only through struct vcpu_ops, on the vCPU's own thread.
 * No wake-up is lost: a kick sets immediate_exit and then signals; a vCPU looks for requests
 * after every exit and before every entry.
 */
#ifndef NEAP_KVM_VCPU_H
#define NEAP_KVM_VCPU_H

#include "base/gpa.h"
#include "kvm/vm.h"

struct vcpus; /* all of one VM; opaque */

/* Why a guest cannot go on. The text tells the rest (registers, codes). */
enum vcpu_end {
	VCPU_END_SHUTDOWN,	 /* triple fault, KVM_EXIT_SHUTDOWN */
	VCPU_END_FAIL_ENTRY,	 /* KVM_EXIT_FAIL_ENTRY */
	VCPU_END_INTERNAL_ERROR, /* KVM_EXIT_INTERNAL_ERROR, an unknown exit, or an errno of KVM_RUN
				  */
	VCPU_END_SYSTEM_RESET,
	VCPU_END_SYSTEM_SHUTDOWN, /* KVM_EXIT_SYSTEM_EVENT */
};

struct vcpu_ops {
	void (*pio_read)(void *ctx, uint16_t port, void *data, uint32_t len);
	void (*pio_write)(void *ctx, uint16_t port, const void *data, uint32_t len);
	void (*mmio_read)(void *ctx, uint64_t addr, void *data, uint32_t len);
	void (*mmio_write)(void *ctx, uint64_t addr, const void *data, uint32_t len);
	/* Is this address RAM? Then an MMIO exit on it means "the host cannot back this frame". */
	bool (*is_ram)(void *ctx, uint64_t addr, uint32_t len);
	/* RAM access that KVM could not do: back the frame, then do the access on the guest's
	 * behalf. 0: done; -EAGAIN: not yet: the vCPU waits a little, obeying pause and stop, and
	 * asks again. */
	int (*ram_read)(void *ctx, uint64_t addr, void *data, uint32_t len);
	int (*ram_write)(void *ctx, uint64_t addr, const void *data, uint32_t len);
	/* KVM_RUN failed with EFAULT. @known: @addr is the faulting address
	 * (KVM_EXIT_MEMORY_FAULT). 0: try again at once; -EAGAIN: wait a little first; other: the
	 * VM cannot go on. */
	int (*cannot_back)(void *ctx, bool known, uint64_t addr, uint64_t len_bytes);
	/* KVM_EXIT_IOAPIC_EOI for a level-triggered pin's vector. */
	void (*ioapic_eoi)(void *ctx, uint8_t vector);
	/* The guest cannot go on. The vCPU parks; the owner stops or resets the VM from another
	 * thread. */
	void (*ended)(void *ctx, unsigned vcpu_index, enum vcpu_end end, const char *text);
};

struct vcpus_config {
	unsigned count; /* 1 .. kvm.max_vcpus */
	const struct vcpu_ops *ops;
	void *ops_ctx;
	bool hide_cx16; /* page-table KVM: stock kernels die on cmpxchg16b in ring 0 */
};

/* Created paused: no thread runs guest code before vcpus_resume(). APIC id = index. */
int vcpus_create(struct vm *vm, const struct vcpus_config *config, struct vcpus **ret_vcpus,
		 struct err *err);
void vcpus_destroy(struct vcpus *vcpus); /* ends the threads, whatever they do, and joins them */

/* How vCPU 0 starts; the others wait for INIT-SIPI. Only while paused; also used for reset: every
 * register that a guest can change goes back to what KVM made. -EBUSY: not paused. */
struct vcpu_start {
	bool long_mode; /* else 32-bit protected mode without paging (PVH) */
	uint64_t rip;
	uint64_t parameter;	  /* rsi in long mode, ebx in PVH */
	uint64_t gdt, page_table; /* long mode */
};
int vcpus_reset(struct vcpus *vcpus, const struct vcpu_start *start, struct err *err);

/* Drop what a paused vCPU was in the middle of. vcpus_reset() does it too; on a reboot call this
 * before guest memory is rewritten, or the last instruction of the old guest could still write. */
int vcpus_forget_exits(struct vcpus *vcpus, struct err *err);

/* Return when every vCPU is out of KVM_RUN and parked. Idempotent; callers on several threads take
 * turns. Waits for ops that are running. Not from a vCPU thread. */
void vcpus_pause(struct vcpus *vcpus);

/* The same, but give up after @ms: false, and some vCPU sleeps where no signal reaches it. Those that
 * are out stay out. For ending. */
bool vcpus_pause_within(struct vcpus *vcpus, unsigned ms);
void vcpus_resume(struct vcpus *vcpus);

/* Ask everybody to look at their requests (e.g. memory came back). Any thread. */
void vcpus_kick(struct vcpus *vcpus);

unsigned vcpus_count(const struct vcpus *vcpus);

/* Exits since start, for `neap info`. Any thread. */
uint64_t vcpus_exit_count(const struct vcpus *vcpus);

#endif
