/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ioeventfd.c - doorbells: a guest's write that ends in an eventfd instead of an exit. */
#include "kvm/vm_internal.h"

#include <inttypes.h>

enum { DOORBELL_BYTES = 4 };

int vm_add_ioeventfd(struct vm *vm, gpa_t addr, uint32_t value, int event_fd, struct err *err)
{
	struct kvm_ioeventfd doorbell = {
		.datamatch = value,
		.addr = addr.addr,
		.len = DOORBELL_BYTES,
		.fd = event_fd,
		.flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
	};
	int ret = vm_ioctl_ptr(vm, KVM_IOEVENTFD, &doorbell);

	if (ret < 0)
		return err_set(err, ret, "doorbell %u at 0x%" PRIx64 ": KVM_IOEVENTFD: %m", value,
			       addr.addr);
	return 0;
}
