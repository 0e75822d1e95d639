/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vm.c - create a VM with a split irqchip, and give it memory slots. */
#include "kvm/vm_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/units.h"

/* Four pages for VT-x processors that cannot run real mode: KVM keeps a page table and a TSS of
 * its own in guest physical space. Above every device of the hole below 4 GiB, below its end.
 * Source: KVM API 4.44 KVM_SET_IDENTITY_MAP_ADDR, 4.13 KVM_SET_TSS_ADDR. */
#define IDENTITY_MAP_ADDR UINT64_C(0xfffbc000)
#define TSS_ADDR	  UINT64_C(0xfffbd000)

enum { CREATE_VM_TRIES = 5 };

/* A signal that arrives while the kernel starts the VM's worker thread makes this EINTR. */
static int create_fd(const struct kvm *kvm)
{
	int fd = -EINTR;

	for (int left = CREATE_VM_TRIES; left > 0 && fd == -EINTR; left--)
		fd = kvm_ioctl(kvm->sys, kvm->fd, KVM_CREATE_VM, 0);
	return fd;
}

static int enable(const struct vm *vm, uint32_t capability, uint64_t arg)
{
	struct kvm_enable_cap cap = { .cap = capability, .args = { arg } };

	return vm_ioctl_ptr(vm, KVM_ENABLE_CAP, &cap);
}

static int set_up_irqchip(const struct vm *vm, struct err *err)
{
	int ret = enable(vm, KVM_CAP_SPLIT_IRQCHIP, VM_GSI_COUNT);

	if (ret < 0)
		return err_set(err, ret, "KVM refuses a split irqchip of %d pins: %m",
			       VM_GSI_COUNT);
	if (!vm->kvm->has_x2apic_32bit_ids)
		return 0;
	ret = enable(vm, KVM_CAP_X2APIC_API,
		     KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	if (ret < 0)
		return err_set(err, ret, "KVM refuses 32-bit APIC ids: %m");
	return 0;
}

/* Only VT-x wants these pages; another KVM may refuse them, and then needs none. */
static void place_vmx_pages(const struct vm *vm)
{
	uint64_t identity_map = IDENTITY_MAP_ADDR;

	(void)vm_ioctl_ptr(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
	(void)kvm_ioctl(vm->kvm->sys, vm->fd, KVM_SET_TSS_ADDR, TSS_ADDR);
}

int vm_create(const struct kvm *kvm, struct vm **ret_vm, struct err *err)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int ret;

	if (!vm)
		return err_set(err, -ENOMEM, "no memory for a VM");
	vm->kvm = kvm;
	(void)pthread_mutex_init(&vm->route_lock, NULL);
	vm->fd = create_fd(kvm);
	if (vm->fd < 0)
		ret = err_set(err, vm->fd, "KVM cannot create a VM: %m");
	else
		ret = set_up_irqchip(vm, err);
	if (ret < 0) {
		vm_destroy(vm);
		return ret;
	}
	place_vmx_pages(vm);
	*ret_vm = vm;
	return 0;
}

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	if (vm->fd >= 0)
		(void)vm->kvm->sys->close(vm->fd);
	(void)pthread_mutex_destroy(&vm->route_lock);
	free(vm);
}

int vm_fd(const struct vm *vm)
{
	return vm->fd;
}

int vm_add_memory(struct vm *vm, gpa_t start, void *host, uint64_t len_bytes, struct err *err)
{
	struct kvm_userspace_memory_region region = {
		.slot = vm->slot_count,
		.guest_phys_addr = start.addr,
		.memory_size = len_bytes,
		.userspace_addr = (uint64_t)(uintptr_t)host,
	};
	int ret;

	/* Length 0 would delete the slot. */
	if (len_bytes == 0)
		return err_set(err, -EINVAL, "guest memory at 0x%" PRIx64 " has no length",
			       start.addr);
	ret = vm_ioctl_ptr(vm, KVM_SET_USER_MEMORY_REGION, &region);
	if (ret < 0)
		return err_set(err, ret,
			       "KVM refuses %" PRIu64 " MiB of guest memory at 0x%" PRIx64
			       " (slot %u): %m",
			       bytes_to_mib(len_bytes), start.addr, region.slot);
	vm->slot_count++;
	return 0;
}
