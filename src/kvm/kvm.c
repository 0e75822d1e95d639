/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* kvm.c - open /dev/kvm, and refuse with advice when it cannot carry a VM.
 *
 * Design. One table of capabilities, each with what neap uses it for and the Linux that brought
 * it; all that are missing are named in one sentence. Nothing later in this room checks again.
 */
#include "kvm/kvm_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/units.h"

#define DEVICE_PATH "/dev/kvm"

enum { MAX_XAPIC_VCPUS = 255, MAX_VCPUS_WHEN_UNSAID = 4 };

static int linux_open(const char *path, int flags)
{
	return open(path, flags);
}

static int linux_ioctl(int fd, unsigned long request, unsigned long arg)
{
	return ioctl(fd, request, arg);
}

static void *linux_mmap(int fd, size_t len_bytes)
{
	return mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

const struct kvm_sys kvm_sys_linux = {
	.open = linux_open,
	.close = close,
	.ioctl = linux_ioctl,
	.mmap = linux_mmap,
	.munmap = munmap,
};

/* Oldest first: the last that is missing says which kernel to use. */
const struct kvm_capability kvm_needed[] = {
	{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY", "2.6.25", "guest RAM" },
	{ KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID", "2.6.26", "the guest's CPUID" },
	{ KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE", "2.6.26", "several vCPUs" },
	{ KVM_CAP_SYNC_MMU, "KVM_CAP_SYNC_MMU", "2.6.27", "giving guest RAM back" },
	{ KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING", "2.6.30", "interrupts" },
	{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD", "2.6.32", "interrupts from devices" },
	{ KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD", "2.6.32", "doorbells of devices" },
	{ KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS", "2.6.33", "reset" },
	{ KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS", "2.6.34", "reset" },
	{ KVM_CAP_XSAVE, "KVM_CAP_XSAVE", "2.6.36", "reset" },
	{ KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI", "3.5", "interrupts from devices" },
	{ KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP", "4.5", "local APICs" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT", "4.13", "pausing a vCPU" },
};
const size_t kvm_needed_count = ARRAY_LEN(kvm_needed);

static int open_device(const struct kvm_sys *sys, struct err *err)
{
	int fd = sys->open(DEVICE_PATH, O_RDWR | O_CLOEXEC);
	int code = -errno;

	if (fd >= 0)
		return fd;
	switch (code) {
	case -ENOENT:
		return err_set(
			err, code,
			DEVICE_PATH
			" does not exist: load KVM (modprobe kvm_intel, or kvm_amd);"
			" if the module refuses, turn on virtualisation (VT-x, AMD-V/SVM) in the"
			" firmware setup (BIOS), or in a cloud VM choose one with nested"
			" virtualisation");
	case -EACCES:
	case -EPERM:
		return err_set(err, code,
			       DEVICE_PATH
			       ": %m: join the group that owns it, usually kvm (sudo usermod"
			       " -aG kvm $USER, then log in again)");
	case -ENODEV:
	case -ENXIO:
		return err_set(err, code,
			       DEVICE_PATH
			       ": %m: the node is there but no KVM answers: load kvm_intel or"
			       " kvm_amd, or turn on virtualisation in the firmware setup (BIOS)");
	default: return err_set(err, code, DEVICE_PATH ": %m");
	}
}

static int check_version(const struct kvm *kvm, struct err *err)
{
	int version = kvm_ioctl(kvm->sys, kvm->fd, KVM_GET_API_VERSION, 0);

	if (version == KVM_API_VERSION)
		return 0;
	if (version < 0)
		return err_set(err, -ENODEV,
			       DEVICE_PATH
			       " does not answer as KVM does (KVM_GET_API_VERSION: %m): is it"
			       " the device of the kvm module? (ls -l " DEVICE_PATH
			       " shows 10, 232)");
	return err_set(err, -EOPNOTSUPP,
		       DEVICE_PATH
		       " speaks KVM API %d and neap speaks %d: use a kernel of Linux 2.6.22"
		       " or newer",
		       version, KVM_API_VERSION);
}

static int capability(const struct kvm *kvm, int number)
{
	return kvm_ioctl(kvm->sys, kvm->fd, KVM_CHECK_EXTENSION, (unsigned long)number);
}

static int check_needed(const struct kvm *kvm, struct err *err)
{
	char missing[ERR_TEXT_BYTES * 3 / 4] = "";
	const char *since = NULL;
	size_t used = 0;

	for (size_t i = 0; i < kvm_needed_count; i++) {
		if (capability(kvm, kvm_needed[i].number) > 0)
			continue;
		since = kvm_needed[i].since;
		if (used < sizeof(missing))
			used += (size_t)snprintf(missing + used, sizeof(missing) - used,
						 "%s%s (%s)", used ? ", " : "", kvm_needed[i].name,
						 kvm_needed[i].use);
	}
	if (!since)
		return 0;
	return err_set(
		err, -EOPNOTSUPP,
		"this host's KVM lacks %s: use a kernel of Linux %s or newer, with KVM for x86",
		missing, since);
}

/* KVM API 4.4: the capability's value is the page of the ring. Nothing depends on it but speed. */
static void read_lazy_ring(struct kvm *kvm)
{
	int page = capability(kvm, KVM_CAP_COALESCED_MMIO);

	if (page > 0 && (size_t)page < kvm->run_bytes / GUEST_PAGE_BYTES)
		kvm->lazy_ring_page = (uint32_t)page;
}

static void read_limits(struct kvm *kvm)
{
	int count = capability(kvm, KVM_CAP_MAX_VCPUS);
	int x2apic = capability(kvm, KVM_CAP_X2APIC_API);
	int want = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;

	/* KVM API 4.4: without an answer to MAX_VCPUS, ask NR_VCPUS; without that, assume 4. */
	if (count <= 0)
		count = capability(kvm, KVM_CAP_NR_VCPUS);
	kvm->max_vcpus = count > 0 ? (unsigned)count : MAX_VCPUS_WHEN_UNSAID;
	kvm->has_x2apic_32bit_ids = x2apic > 0 && (x2apic & want) == want;
	if (!kvm->has_x2apic_32bit_ids && kvm->max_vcpus > MAX_XAPIC_VCPUS)
		kvm->max_vcpus = MAX_XAPIC_VCPUS;
	kvm->has_tsc_deadline = capability(kvm, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	kvm->has_memory_fault_info = capability(kvm, KVM_CAP_MEMORY_FAULT_INFO) > 0;
	read_lazy_ring(kvm);
}

static int check_run_size(struct kvm *kvm, struct err *err)
{
	int run_bytes = kvm_ioctl(kvm->sys, kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (run_bytes < 0)
		return err_set(err, run_bytes, DEVICE_PATH ": KVM_GET_VCPU_MMAP_SIZE: %m");
	if ((size_t)run_bytes < sizeof(struct kvm_run))
		return err_set(err, -EOPNOTSUPP,
			       DEVICE_PATH
			       " offers %d bytes per vCPU where struct kvm_run has %zu: use a"
			       " newer kernel",
			       run_bytes, sizeof(struct kvm_run));
	kvm->run_bytes = (size_t)run_bytes;
	return 0;
}

static int check_all(struct kvm *kvm, struct err *err)
{
	int ret = check_version(kvm, err);

	if (ret == 0)
		ret = check_needed(kvm, err);
	if (ret == 0)
		ret = check_run_size(kvm, err);
	if (ret == 0)
		read_limits(kvm);
	return ret;
}

int kvm_open_with(const struct kvm_sys *sys, struct kvm *ret_kvm, struct err *err)
{
	struct kvm kvm = { .sys = sys };
	int ret;

	kvm.fd = open_device(sys, err);
	if (kvm.fd < 0)
		return kvm.fd;
	ret = check_all(&kvm, err);
	if (ret < 0)
		kvm_close(&kvm);
	else
		*ret_kvm = kvm;
	return ret;
}

int kvm_open(struct kvm *ret_kvm, struct err *err)
{
	return kvm_open_with(&kvm_sys_linux, ret_kvm, err);
}

void kvm_close(struct kvm *kvm)
{
	if (kvm->sys && kvm->fd >= 0)
		(void)kvm->sys->close(kvm->fd);
	kvm->fd = -1;
}
