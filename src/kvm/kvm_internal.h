/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* kvm_internal.h - the system calls that this room makes, as a table.
 *
 * Everything a KVM can answer (another API version, no permission, an errno of KVM_RUN, an exit
 * nobody has heard of) must be tried without owning a host that answers so. Tests pass their own
 * table; programs use kvm_sys_linux. The table costs one indirect call beside a system call.
 */
#ifndef NEAP_KVM_KVM_INTERNAL_H
#define NEAP_KVM_KVM_INTERNAL_H

#include <errno.h>
#include <linux/kvm.h>

#include "kvm/kvm.h"

/* Each member behaves as the system call of its name: -1 and errno, or the result. */
struct kvm_sys {
	int (*open)(const char *path, int flags);
	int (*close)(int fd);
	int (*ioctl)(int fd, unsigned long request, unsigned long arg);
	void *(*mmap)(int fd, size_t len_bytes); /* shared, read and write, offset 0 */
	int (*munmap)(void *pointer, size_t len_bytes);
};

extern const struct kvm_sys kvm_sys_linux;

/* kvm_open() over another table. */
int kvm_open_with(const struct kvm_sys *sys, struct kvm *ret_kvm, struct err *err);

/* What kvm_open() insists on. */
struct kvm_capability {
	int number;
	const char *name;
	const char *since; /* the Linux that brought it */
	const char *use;
};
extern const struct kvm_capability kvm_needed[];
extern const size_t kvm_needed_count;

/* kvm_kind() with another /sys/module. */
enum kvm_kind kvm_kind_in(const char *module_dir);

/* 0 or more, or a negative errno; errno is set as well, for %m. */
static inline int kvm_ioctl(const struct kvm_sys *sys, int fd, unsigned long request,
			    unsigned long arg)
{
	int result = sys->ioctl(fd, request, arg);

	return result < 0 ? -errno : result;
}

static inline int kvm_ioctl_ptr(const struct kvm_sys *sys, int fd, unsigned long request, void *arg)
{
	return kvm_ioctl(sys, fd, request, (unsigned long)arg);
}

/* Newer than the oldest <linux/kvm.h> that neap builds with (Linux 6.1). Source: KVM API 8.35
 * KVM_CAP_MEMORY_FAULT_INFO and 5. "The kvm_run structure". */
#ifndef KVM_CAP_MEMORY_FAULT_INFO
#define KVM_CAP_MEMORY_FAULT_INFO 232
#endif
#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT 39
#endif

/* The part of struct kvm_run that belongs to KVM_EXIT_MEMORY_FAULT. */
struct kvm_memory_fault_exit {
	__u64 flags;
	__u64 gpa;
	__u64 size;
};

#endif
