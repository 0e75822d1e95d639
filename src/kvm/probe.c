/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* probe.c - what kind of KVM this is, and how fast it runs ring 0.
 *
 * Page-table KVM emulates guest ring 0 (about a million instructions a second) and runs ring 3
 * natively. Its module says what it is; the loop says what matters, on any KVM to come.
 *
 * The probe is a VM of one page without interrupts: a counted loop in 32-bit protected mode, then
 * HLT, which exits. The count grows until a run takes long enough to be measured, so that the whole
 * takes a few milliseconds on hardware and at most about 50 ms under emulation.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "kvm/kvm_internal.h"

static const struct {
	enum kvm_kind kind;
	const char *module;
	const char *name;
} kinds[] = {
	{ KVM_KIND_PAGE_TABLE, "kvm_pvm", "page-table KVM" },
	{ KVM_KIND_VMX, "kvm_intel", "VT-x" },
	{ KVM_KIND_SVM, "kvm_amd", "AMD-V" },
};

/* kvm_pvm first: it may be loaded beside one that cannot drive this processor. */
enum kvm_kind kvm_kind_in(const char *module_dir)
{
	char path[512];

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", module_dir, kinds[i].module);
		if (access(path, F_OK) == 0)
			return kinds[i].kind;
	}
	return KVM_KIND_UNKNOWN;
}

enum kvm_kind kvm_kind(void)
{
	return kvm_kind_in("/sys/module");
}

const char *kvm_kind_name(enum kvm_kind kind)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].kind == kind)
			return kinds[i].name;
	return "KVM of an unknown kind";
}

enum {
	CODE_ADDR = 0x1000,
	FIRST_LOOPS = 1000,
	MAX_LOOPS = 1 << 24,
	LOOPS_GROWTH = 4,
	REPEATS = 3,
	INSTRUCTIONS_PER_LOOP = 2,
	ENOUGH_NS = NS_PER_MS,
	TOTAL_NS = 50 * NS_PER_MS, /* no further repeat after this */
};

/* dec ecx; jnz back; hlt */
static const uint8_t code[] = { 0x49, 0x75, 0xfd, 0xf4 };

struct probe {
	const struct kvm *kvm;
	int vm_fd, vcpu_fd;
	void *page;
	struct kvm_run *run;
};

static int probe_ioctl(const struct probe *p, unsigned long request, void *arg)
{
	return kvm_ioctl_ptr(p->kvm->sys, p->vcpu_fd, request, arg);
}

static int map_code(struct probe *p)
{
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = CODE_ADDR,
		.memory_size = GUEST_PAGE_BYTES,
	};

	p->page = mmap(NULL, GUEST_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	if (p->page == MAP_FAILED)
		return -errno;
	memcpy(p->page, code, sizeof(code));
	region.userspace_addr = (uint64_t)(uintptr_t)p->page;
	return kvm_ioctl_ptr(p->kvm->sys, p->vm_fd, KVM_SET_USER_MEMORY_REGION, &region);
}

static int enter_protected_mode(const struct probe *p)
{
	struct kvm_segment flat = {
		.limit = UINT32_MAX, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1
	};
	struct kvm_sregs sregs;
	int ret = probe_ioctl(p, KVM_GET_SREGS, &sregs);

	if (ret < 0)
		return ret;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat;
	flat.type = 11;
	sregs.cs = flat;
	sregs.cr0 |= 1;
	return probe_ioctl(p, KVM_SET_SREGS, &sregs);
}

static int probe_open(struct probe *p)
{
	const struct kvm_sys *sys = p->kvm->sys;
	int ret;

	p->vm_fd = kvm_ioctl(sys, p->kvm->fd, KVM_CREATE_VM, 0);
	if (p->vm_fd < 0)
		return p->vm_fd;
	ret = map_code(p);
	if (ret < 0)
		return ret;
	p->vcpu_fd = kvm_ioctl(sys, p->vm_fd, KVM_CREATE_VCPU, 0);
	if (p->vcpu_fd < 0)
		return p->vcpu_fd;
	p->run = sys->mmap(p->vcpu_fd, p->kvm->run_bytes);
	if (p->run == MAP_FAILED)
		return -errno;
	return enter_protected_mode(p);
}

static void probe_close(struct probe *p)
{
	const struct kvm_sys *sys = p->kvm->sys;

	if (p->run != MAP_FAILED)
		(void)sys->munmap(p->run, p->kvm->run_bytes);
	if (p->vcpu_fd >= 0)
		(void)sys->close(p->vcpu_fd);
	if (p->vm_fd >= 0)
		(void)sys->close(p->vm_fd);
	if (p->page != MAP_FAILED)
		(void)munmap(p->page, GUEST_PAGE_BYTES);
}

/* One run of @loops; -EIO: it did not end in HLT. */
static int run_loop(const struct probe *p, uint64_t loops, uint64_t *ret_ns)
{
	struct kvm_regs regs = { .rip = CODE_ADDR, .rflags = 2, .rcx = loops };
	uint64_t start_ns;
	int ret = probe_ioctl(p, KVM_SET_REGS, &regs);

	start_ns = clock_now_ns();
	if (ret == 0)
		do
			ret = probe_ioctl(p, KVM_RUN, NULL);
		while (ret == -EINTR || ret == -EAGAIN);
	if (ret < 0)
		return ret;
	*ret_ns = clock_now_ns() - start_ns;
	return p->run->exit_reason == KVM_EXIT_HLT ? 0 : -EIO;
}

/* The fastest of a few: what else the host did meanwhile does not count. */
static int measure(const struct probe *p, uint64_t *ret_instructions_per_s)
{
	uint64_t loops = FIRST_LOOPS, ns = 0, best_ns, end_ns = clock_now_ns() + TOTAL_NS;
	int ret = run_loop(p, loops, &ns); /* warm up: the first run maps the page */

	if (ret == 0)
		ret = run_loop(p, loops, &ns);
	while (ret == 0 && ns < ENOUGH_NS && loops < MAX_LOOPS) {
		loops *= LOOPS_GROWTH;
		ret = run_loop(p, loops, &ns);
	}
	best_ns = ns;
	for (int left = REPEATS; left > 0 && ret == 0 && clock_now_ns() < end_ns; left--) {
		ret = run_loop(p, loops, &ns);
		if (ns < best_ns)
			best_ns = ns;
	}
	if (ret < 0)
		return ret;
	*ret_instructions_per_s =
		loops * INSTRUCTIONS_PER_LOOP * NS_PER_S / (best_ns ? best_ns : 1);
	return 0;
}

int kvm_measure_ring0(struct kvm *kvm, uint64_t *ret_instructions_per_s, struct err *err)
{
	struct probe probe = {
		.kvm = kvm, .vm_fd = -1, .vcpu_fd = -1, .page = MAP_FAILED, .run = MAP_FAILED
	};
	int ret = probe_open(&probe);

	if (ret == 0)
		ret = measure(&probe, ret_instructions_per_s);
	if (ret < 0) {
		errno = -ret;
		(void)err_set(err, ret, "measuring the guest's ring 0: %m");
	}
	probe_close(&probe);
	return ret;
}
