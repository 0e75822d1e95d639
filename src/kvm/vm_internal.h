/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vm_internal.h - what vm.c, irq.c and ioeventfd.c share of one VM. */
#ifndef NEAP_KVM_VM_INTERNAL_H
#define NEAP_KVM_VM_INTERNAL_H

#include <pthread.h>

#include "kvm/kvm_internal.h"
#include "kvm/vm.h"

struct vm {
	const struct kvm *kvm;
	int fd;
	uint32_t slot_count;
	pthread_mutex_t route_lock; /* routes, and the order of their ioctls */
	struct vm_msi routes[VM_GSI_COUNT];
};

static inline int vm_ioctl_ptr(const struct vm *vm, unsigned long request, void *arg)
{
	return kvm_ioctl_ptr(vm->kvm->sys, vm->fd, request, arg);
}

#endif
