/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vm.h - one KVM virtual machine: memory slots, split irqchip, doorbells and interrupt wires.
 *
 * Split irqchip: local APICs in the kernel, the I/O APIC is device/ioapic.c; each of its unmasked
 * pins is an MSI route here. Closing a split VM takes 0.4 ms, a full irqchip 15 ms.
 * Threads: routes may be changed by any vCPU thread (a lock inside); the rest while building.
 */
#ifndef NEAP_KVM_VM_H
#define NEAP_KVM_VM_H

#include "base/gpa.h"
#include "kvm/kvm.h"

enum { VM_GSI_COUNT = 64 }; /* I/O APIC pins = GSIs 0 .. 63 */

struct vm; /* opaque */

int vm_create(const struct kvm *kvm, struct vm **ret_vm, struct err *err);
void vm_destroy(struct vm *vm);
int vm_fd(const struct vm *vm);

/* KVM API 4.35 KVM_SET_USER_MEMORY_REGION. Slots are numbered in the order of the calls. @host
 * stays mapped as long as the VM lives. */
int vm_add_memory(struct vm *vm, gpa_t start, void *host, uint64_t len_bytes, struct err *err);

/* KVM API 4.75 KVM_IRQFD: a write to @event_fd becomes an edge on @gsi. */
int vm_add_irqfd(struct vm *vm, uint32_t gsi, int event_fd, struct err *err);

/* KVM API 4.59 KVM_IOEVENTFD: a 4-byte guest write of @value at @addr becomes a write to @event_fd.
 */
int vm_add_ioeventfd(struct vm *vm, gpa_t addr, uint32_t value, int event_fd, struct err *err);

/* KVM API 4.116 KVM_(UN)REGISTER_COALESCED_MMIO: guest writes in this range need not be exits. They
 * reach vcpu_ops.mmio_write in order, before the next exit of any vCPU does. For registers whose
 * effect nobody can see earlier than that. Where KVM cannot do it, nothing changes. */
int vm_add_lazy_writes(struct vm *vm, gpa_t start, uint32_t len_bytes, struct err *err);

/* An I/O APIC pin's redirection, as an MSI. enabled=false removes it. KVM API 4.52. Any thread.
 * @addr is what the guest programmed: destination in bits 19:12, and, where the host's KVM has
 * 32-bit APIC ids, bits 14:8 of the destination in bits 11:5 (KVM_FEATURE_MSI_EXT_DEST_ID). */
struct vm_msi {
	uint64_t addr;
	uint32_t data;
	bool enabled;
};
int vm_set_route(struct vm *vm, uint32_t gsi, const struct vm_msi *msi); /* 0 or -errno */

/* Inject one MSI now (an I/O APIC service without irqfd). 0, also when the guest masks it; or a
 * negative errno. KVM API 4.70 KVM_SIGNAL_MSI. Any thread. */
int vm_signal_msi(struct vm *vm, const struct vm_msi *msi);

#endif
