/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* lazy.c - MMIO writes that wait for the next exit instead of being one.
 *
 * Problem. An exit to user space costs a guest 5 to 35 us, and most of what a driver writes while it
 * sets up a device (selectors, halves of addresses) means nothing before it touches another register.
 *
 * Design. KVM keeps such writes in a ring that it shares with us and lets the guest run on. The ring
 * is the VM's, not a vCPU's. Whichever vCPU exits next hands over all that is in it, in its order,
 * before its own exit is looked at.
 *
 * Invariants
 *  Z1  Before an exit is handled, every lazy write that came before it has been handled. One of the
 *      same vCPU is in the ring already. One of another vCPU that the guest's software ordered
 *      before (a lock, a flag in memory) is, too: KVM put it there before that vCPU went on to
 *      the lock. KVM appends under a lock of its own, so the ring's order is one that agrees
 *      with the order of the guest's memory.
 *  Z2  A write leaves the ring (`first`, release) when it has been handled, and one thread at a time
 *      empties it. So who finds the ring empty without the lock (`first`, acquire) sees what those
 *      writes did.
 *  Z3  While every vCPU is parked the ring is empty: only a vCPU inside KVM_RUN fills it, and it
 *      empties it when it comes out, whatever for. Finishing a parked vCPU's exit is the
 *      exception: what that leaves belongs to a guest that is gone, and is dropped.
 *  Z4  Emptying takes at most as many writes as the ring holds: up to the end as it was found. What
 *      other vCPUs add meanwhile is their exits' business.
 *
 * Limits. A guest that fills the ring (RING_WRITES of them) gets an exit for the next
 * write, as without all this; so does every guest where KVM lacks the capability. Values are the
 * guest's, as in any exit. A handler must not wait for a vCPU.
 *
 * Source. KVM API 4.116 KVM_(UN)REGISTER_COALESCED_MMIO.
 */
#include <inttypes.h>
#include <string.h>

#include "base/units.h"
#include "kvm/vcpu_internal.h"

/* KVM_COALESCED_MMIO_MAX, with the page size of the only processor there is. */
#define RING_WRITES                                                               \
	((uint32_t)((GUEST_PAGE_BYTES - sizeof(struct kvm_coalesced_mmio_ring)) / \
		    sizeof(struct kvm_coalesced_mmio)))

int vm_add_lazy_writes(struct vm *vm, gpa_t start, uint32_t len_bytes, struct err *err)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = start.addr, .size = len_bytes };
	int ret;

	if (vm->kvm->lazy_ring_page == 0)
		return 0;
	ret = vm_ioctl_ptr(vm, KVM_REGISTER_COALESCED_MMIO, &zone);
	if (ret < 0)
		return err_set(err, ret,
			       "lazy writes at 0x%" PRIx64 ": KVM_REGISTER_COALESCED_MMIO: %m",
			       start.addr);
	return 0;
}

/* Every vCPU's mapping shows the same ring. NULL: this KVM has none. */
static struct kvm_coalesced_mmio_ring *ring_of(const struct vcpus *vcpus)
{
	uint32_t page = vcpus->vm->kvm->lazy_ring_page;
	char *run = (char *)vcpus->each[0].run;

	return page ? (void *)(run + (size_t)page * GUEST_PAGE_BYTES) : NULL;
}

static void hand_over(const struct vcpus *vcpus, const struct kvm_coalesced_mmio *slot)
{
	struct kvm_coalesced_mmio write = *slot;

	if (write.len <= sizeof(write.data))
		vcpus->ops->mmio_write(vcpus->ops_ctx, write.phys_addr, write.data, write.len);
}

void vcpus_do_lazy_writes(struct vcpus *vcpus)
{
	struct kvm_coalesced_mmio_ring *ring = ring_of(vcpus);
	uint32_t next, end;

	if (!ring || __atomic_load_n(&ring->first, __ATOMIC_ACQUIRE) ==
			     __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE)) /* Z2 */
		return;
	(void)pthread_mutex_lock(&vcpus->lazy_lock);
	next = ring->first;
	end = __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE) % RING_WRITES; /* Z4 */
	while (next != end) {
		hand_over(vcpus, &ring->coalesced_mmio[next]);
		next = (next + 1) % RING_WRITES;
		__atomic_store_n(&ring->first, next, __ATOMIC_RELEASE);
	}
	(void)pthread_mutex_unlock(&vcpus->lazy_lock);
}

void vcpus_drop_lazy_writes(struct vcpus *vcpus)
{
	struct kvm_coalesced_mmio_ring *ring = ring_of(vcpus);

	if (ring)
		ring->first = ring->last; /* nobody else is there: Z3 */
}
