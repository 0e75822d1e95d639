/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* irq.c - interrupts into the guest: irqfds, the routes behind them, and single MSIs.
 *
 * Design. With a split irqchip KVM has local APICs only. Each I/O APIC pin is a GSI with one MSI
 * route; KVM takes the whole table at once, so the table is kept here and rewritten under a lock.
 * A route that did not change costs no system call: guests mask and unmask with the same values,
 * and KVM waits for all readers of the old table on every rewrite.
 *
 * Level-triggered routes (bit 15 of the data) make KVM exit with IOAPIC_EOI; it looks for them
 * among the first VM_GSI_COUNT GSIs, which were reserved when the irqchip was made.
 *
 * Sources. KVM API 4.52 KVM_SET_GSI_ROUTING, 4.70 KVM_SIGNAL_MSI, 4.75 KVM_IRQFD, 7.5
 * KVM_CAP_SPLIT_IRQCHIP, 7.8 KVM_CAP_X2APIC_API (bits 31:8 of a destination are bits 31:8 of
 * address_hi). x86/kvm/cpuid.rst KVM_FEATURE_MSI_EXT_DEST_ID (the guest writes bits 14:8 of it
 * to address bits 11:5).
 */
#include "kvm/vm_internal.h"

#include <string.h>

#define MSI_EXT_DEST_SHIFT 5
#define MSI_EXT_DEST_MASK  UINT32_C(0xfe0)
#define MSI_DEST_HI_SHIFT  8

static void msi_address(const struct vm *vm, uint64_t addr, uint32_t *ret_lo, uint32_t *ret_hi)
{
	uint32_t lo = (uint32_t)addr;

	*ret_lo = lo;
	*ret_hi = (uint32_t)(addr >> 32);
	if (!vm->kvm->has_x2apic_32bit_ids)
		return;
	*ret_lo = lo & ~MSI_EXT_DEST_MASK;
	*ret_hi |= (lo & MSI_EXT_DEST_MASK) >> MSI_EXT_DEST_SHIFT << MSI_DEST_HI_SHIFT;
}

int vm_add_irqfd(struct vm *vm, uint32_t gsi, int event_fd, struct err *err)
{
	struct kvm_irqfd irqfd = { .fd = (uint32_t)event_fd, .gsi = gsi };
	int ret;

	if (gsi >= VM_GSI_COUNT)
		return err_set(err, -EINVAL, "interrupt %u: there are only %d", gsi, VM_GSI_COUNT);
	ret = vm_ioctl_ptr(vm, KVM_IRQFD, &irqfd);
	if (ret < 0)
		return err_set(err, ret, "interrupt %u: KVM_IRQFD: %m", gsi);
	return 0;
}

/* struct kvm_irq_routing with room for its entries. */
struct route_table {
	uint32_t count, flags;
	struct kvm_irq_routing_entry entries[VM_GSI_COUNT];
};
_Static_assert(offsetof(struct route_table, entries) == offsetof(struct kvm_irq_routing, entries),
	       "route_table is passed to KVM as a struct kvm_irq_routing");

static int write_routes_locked(struct vm *vm)
{
	struct route_table table;
	uint32_t count = 0;

	memset(&table, 0, sizeof(table));
	for (uint32_t gsi = 0; gsi < VM_GSI_COUNT; gsi++) {
		const struct vm_msi *route = &vm->routes[gsi];
		struct kvm_irq_routing_entry *entry = &table.entries[count];

		if (!route->enabled)
			continue;
		entry->gsi = gsi;
		entry->type = KVM_IRQ_ROUTING_MSI;
		msi_address(vm, route->addr, &entry->u.msi.address_lo, &entry->u.msi.address_hi);
		entry->u.msi.data = route->data;
		count++;
	}
	table.count = count;
	return vm_ioctl_ptr(vm, KVM_SET_GSI_ROUTING, &table);
}

static bool same_route(const struct vm_msi *a, const struct vm_msi *b)
{
	if (!a->enabled && !b->enabled)
		return true;
	return a->enabled == b->enabled && a->addr == b->addr && a->data == b->data;
}

int vm_set_route(struct vm *vm, uint32_t gsi, const struct vm_msi *msi)
{
	struct vm_msi before;
	int ret = 0;

	if (gsi >= VM_GSI_COUNT)
		return -EINVAL;
	(void)pthread_mutex_lock(&vm->route_lock);
	before = vm->routes[gsi];
	if (!same_route(&before, msi)) {
		vm->routes[gsi] = *msi;
		ret = write_routes_locked(vm);
		if (ret < 0)
			vm->routes[gsi] = before;
	}
	(void)pthread_mutex_unlock(&vm->route_lock);
	return ret;
}

int vm_signal_msi(struct vm *vm, const struct vm_msi *msi)
{
	struct kvm_msi request = { .data = msi->data };
	int ret;

	msi_address(vm, msi->addr, &request.address_lo, &request.address_hi);
	ret = vm_ioctl_ptr(vm, KVM_SIGNAL_MSI, &request);
	return ret < 0 ? ret : 0;
}
