/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fake_kvm.c - see fake_kvm.h. */
#include "fake_kvm.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { FD_DEVICE = 1000, FD_VM, FD_VCPU, RUN_BYTES = 12288, MANY = 300 };

struct fake_kvm fake_kvm;
static struct kvm_run *runs[FAKE_MAX_VCPUS];

void fake_kvm_reset(void)
{
	memset(&fake_kvm, 0, sizeof(fake_kvm));
	fake_kvm.api_version = KVM_API_VERSION;
	fake_kvm.missing_capability = -1;
	fake_kvm.max_vcpus = MANY;
	fake_kvm.run_bytes = RUN_BYTES;
}

void fake_kvm_add_step(struct fake_step step)
{
	fake_kvm.steps[fake_kvm.step_count++] = step;
}

static int fail_with(int code)
{
	errno = code;
	return -1;
}

static int fake_open(const char *path, int flags)
{
	(void)path, (void)flags;
	if (fake_kvm.open_errno)
		return fail_with(fake_kvm.open_errno);
	atomic_fetch_add(&fake_kvm.open_fds, 1);
	return FD_DEVICE;
}

static int fake_close(int fd)
{
	(void)fd;
	atomic_fetch_sub(&fake_kvm.open_fds, 1);
	return 0;
}

static void *fake_mmap(int fd, size_t len_bytes)
{
	struct kvm_run *run = calloc(1, len_bytes);

	atomic_fetch_add(&fake_kvm.mappings, 1);
	runs[fd - FD_VCPU] = run;
	return run;
}

static int fake_munmap(void *pointer, size_t len_bytes)
{
	(void)len_bytes;
	free(pointer);
	atomic_fetch_sub(&fake_kvm.mappings, 1);
	return 0;
}

static int open_fd(int fd)
{
	atomic_fetch_add(&fake_kvm.open_fds, 1);
	return fd;
}

static int capability(int number)
{
	if (number == fake_kvm.missing_capability)
		return 0;
	if (number == KVM_CAP_MAX_VCPUS)
		return fake_kvm.max_vcpus;
	if (number == KVM_CAP_X2APIC_API)
		return KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
	return 1;
}

static bool rings(const struct kvm_run *run)
{
	return __atomic_load_n(&run->immediate_exit, __ATOMIC_SEQ_CST) != 0;
}

/* Only vCPU 0 plays the script. */
static int run_vcpu(int index)
{
	struct kvm_run *run = runs[index];
	unsigned done = atomic_load(&fake_kvm.steps_done);
	const struct fake_step *step = &fake_kvm.steps[done];

	atomic_fetch_add(&fake_kvm.runs, 1);
	if (index == 0 && done > 0 && step[-1].check)
		step[-1].check(run);
	if (rings(run) || index > 0 || done >= fake_kvm.step_count) {
		while (!rings(run))
			(void)sched_yield();
		return fail_with(EINTR);
	}
	/* With an errno KVM may leave the last exit's reason standing. */
	if (step->exit_reason != KVM_EXIT_UNKNOWN || step->code == 0)
		run->exit_reason = step->exit_reason;
	if (step->fill)
		step->fill(run);
	atomic_fetch_add(&fake_kvm.steps_done, 1);
	return step->code ? fail_with(step->code) : 0;
}

static bool request_fails(unsigned long request)
{
	if (request != fake_kvm.failing_request)
		return false;
	if (fake_kvm.failing_after > 0) {
		fake_kvm.failing_after--;
		return false;
	}
	if (fake_kvm.failing_times == 1)
		fake_kvm.failing_request = 0;
	else if (fake_kvm.failing_times > 1)
		fake_kvm.failing_times--;
	return true;
}

static int set_routing(const struct kvm_irq_routing *routing)
{
	if (routing->nr > FAKE_MAX_ROUTES)
		return fail_with(E2BIG);
	fake_kvm.routings++;
	fake_kvm.route_count = routing->nr;
	memcpy(fake_kvm.routes, routing->entries, routing->nr * sizeof(routing->entries[0]));
	return 0;
}

static int signal_msi(const struct kvm_msi *msi)
{
	fake_kvm.last_msi = *msi;
	return 1;
}

static int fake_ioctl(int fd, unsigned long request, unsigned long arg)
{
	/* As the kernel does: what the number means depends on the request. */
	void *pointer = (void *)arg; /* NOLINT(performance-no-int-to-ptr) */

	if (fake_kvm.on_request)
		fake_kvm.on_request(request);
	if (request_fails(request))
		return fail_with(fake_kvm.failing_errno);
	switch (request) {
	case KVM_GET_API_VERSION: return fake_kvm.api_version;
	case KVM_CHECK_EXTENSION: return capability((int)arg);
	case KVM_GET_VCPU_MMAP_SIZE: return fake_kvm.run_bytes;
	case KVM_CREATE_VM: return open_fd(FD_VM);
	case KVM_CREATE_VCPU: return open_fd(FD_VCPU + (int)arg);
	case KVM_GET_SUPPORTED_CPUID: ((struct kvm_cpuid2 *)pointer)->nent = 0; return 0;
	case KVM_SET_MSRS: return (int)((struct kvm_msrs *)pointer)->nmsrs;
	case KVM_SET_GSI_ROUTING: return set_routing(pointer);
	case KVM_SIGNAL_MSI: return signal_msi(pointer);
	case KVM_RUN: return run_vcpu(fd - FD_VCPU);
	default: return 0;
	}
}

const struct kvm_sys fake_kvm_sys = {
	.open = fake_open,
	.close = fake_close,
	.ioctl = fake_ioctl,
	.mmap = fake_mmap,
	.munmap = fake_munmap,
};
