/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* regs.c - the state a vCPU starts in, the first time and after every reset.
 *
 * Design. Registers whose reset value KVM knows (segments, local APIC) are saved when the vCPU is
 * new and put back; what a guest can reach beyond them is written from the tables below. So a
 * reset needs no new vCPU, and starting is a reset that leaves out what is new anyway.
 *
 * Order, where it matters
 *  1  KVM_GET_MP_STATE makes KVM take INIT and SIPI that are still pending; else an AP of the old
 *     guest would start in the new one.
 *  2  kvmclock and its relatives are turned off before anything else: each names a guest page that
 *     KVM would go on writing.
 *  3  Special registers before the local APIC: apic_base chooses xAPIC or x2APIC mode.
 *  4  MP_STATE last: KVM makes some vCPUs runnable as a side effect of the rest.
 *
 * Not done. Nested virtualisation has state of its own; cpuid.c hides VMX and SVM. The time-stamp
 * counters go on: guests see them start anywhere, and writing them would part the vCPUs.
 *
 * Sources. xen/include/public/arch-x86/hvm/start_info.h (PVH); Linux x86/boot.rst, "64-bit Boot
 * Protocol"; Intel SDM 3A §10.1.1 "Processor State After Reset", 3A §12.11 "Memory Type Range
 * Registers (MTRRs)"; KVM x86/msr.rst.
 */
#include "kvm/vcpu_internal.h"

#include <string.h>

#include "base/units.h"

#define CR0_PE	    UINT64_C(0x1)
#define CR0_ET	    UINT64_C(0x10)
#define CR0_PG	    UINT64_C(0x80000000)
#define CR4_PAE	    UINT64_C(0x20)
#define EFER_LME    UINT64_C(0x100)
#define EFER_LMA    UINT64_C(0x400)
#define RFLAGS_1    UINT64_C(0x2) /* always set */
#define XCR0_X87    UINT64_C(0x1)
#define DR6_RESET   UINT64_C(0xffff0ff0)
#define DR7_RESET   UINT64_C(0x400)
#define FCW_RESET   0x37f  /* all x87 exceptions masked: as after FNINIT */
#define MXCSR_RESET 0x1f80 /* all SSE exceptions masked */

/* Linux's __BOOT_CS and __BOOT_DS; the GDT has these rows and two before them. */
enum { BOOT_CS = 0x10, BOOT_DS = 0x18, BOOT_GDT_LIMIT = 0x1f };

enum { SEGMENT_DATA = 3, SEGMENT_CODE = 11, SEGMENT_TSS_BUSY = 11, TSS_LIMIT = 0x67 };

#define MSR_KVM_ASYNC_PF_EN 0x4b564d02

static const struct msr_reset {
	uint32_t index;
	uint64_t value;
} msr_resets[] = {
	{ MSR_KVM_ASYNC_PF_EN, 0 },	    /* a page that KVM writes; first: is_set_already() */
	{ 0x4b564d01, 0 },		    /* KVM_SYSTEM_TIME_NEW: likewise */
	{ 0x4b564d03, 0 },		    /* KVM_STEAL_TIME: likewise */
	{ 0x4b564d04, 0 },		    /* KVM_PV_EOI_EN: likewise */
	{ 0x00000012, 0 },		    /* KVM_SYSTEM_TIME, the old number */
	{ 0x4b564d05, 1 },		    /* KVM_POLL_CONTROL: the host may poll */
	{ 0x000006e0, 0 },		    /* IA32_TSC_DEADLINE */
	{ 0x00000277, 0x0007040600070406 }, /* IA32_PAT */
	{ 0x000002ff, 0x806 }, /* IA32_MTRR_DEF_TYPE: on, write-back: Linux wants PAT and MTRRs */
	{ 0x000001a0, 1 },     /* IA32_MISC_ENABLE: fast strings */
	{ 0x00000174, 0 },     /* IA32_SYSENTER_CS */
	{ 0x00000175, 0 },     /* IA32_SYSENTER_ESP */
	{ 0x00000176, 0 },     /* IA32_SYSENTER_EIP */
	{ 0xc0000081, 0 },     /* STAR */
	{ 0xc0000082, 0 },     /* LSTAR */
	{ 0xc0000083, 0 },     /* CSTAR */
	{ 0xc0000084, 0 },     /* FMASK */
	{ 0xc0000102, 0 },     /* KERNEL_GS_BASE */
	{ 0xc0000103, 0 },     /* TSC_AUX */
};

/* struct kvm_msrs with room for its entries. */
struct msr_list {
	uint32_t count, padding;
	struct kvm_msr_entry entries[ARRAY_LEN(msr_resets)];
};
_Static_assert(offsetof(struct msr_list, entries) == offsetof(struct kvm_msrs, entries),
	       "msr_list is passed to KVM as a struct kvm_msrs");

int vcpu_save_fresh(struct vcpu *vcpu, struct err *err)
{
	int ret = vcpu_ioctl(vcpu, KVM_GET_SREGS, &vcpu->fresh_sregs);

	if (ret == 0)
		ret = vcpu_ioctl(vcpu, KVM_GET_LAPIC, &vcpu->fresh_lapic);
	if (ret < 0)
		return err_set(err, ret, "vCPU %u: reading its first state: %m", vcpu->index);
	return 0;
}

/* Writing KVM_ASYNC_PF_EN forgets the page fault that KVM is just waiting for, and the vCPU that
 * it put to sleep until then would never wake. A guest that did not enable it needs no write. */
static bool is_set_already(const struct vcpu *vcpu, const struct msr_reset *reset)
{
	struct msr_list msrs = { .count = 1, .entries = { { .index = reset->index } } };

	return reset->index == MSR_KVM_ASYNC_PF_EN && vcpu_ioctl(vcpu, KVM_GET_MSRS, &msrs) == 1 &&
	       msrs.entries[0].data == reset->value;
}

/* KVM stops at the first MSR it does not have; that one has nothing to reset, so go on behind. */
static int reset_msrs(const struct vcpu *vcpu, const struct vcpu_start *start)
{
	(void)start;
	struct msr_list msrs;
	size_t first = is_set_already(vcpu, &msr_resets[0]); /* then go on behind it */

	while (first < ARRAY_LEN(msr_resets)) {
		size_t count = ARRAY_LEN(msr_resets) - first;
		int done;

		memset(&msrs, 0, sizeof(msrs));
		msrs.count = (uint32_t)count;
		for (size_t i = 0; i < count; i++) {
			msrs.entries[i].index = msr_resets[first + i].index;
			msrs.entries[i].data = msr_resets[first + i].value;
		}
		done = vcpu_ioctl(vcpu, KVM_SET_MSRS, &msrs);
		if (done < 0)
			return done;
		first += (size_t)done + ((size_t)done < count);
	}
	return 0;
}

static int reset_fpu(const struct vcpu *vcpu, const struct vcpu_start *start)
{
	(void)start;
	/* The area of FXSAVE, then the XSAVE header: components absent from XSTATE_BV go to their
	 * first state, so the upper halves of vector registers are forgotten as well. */
	enum { FCW_BYTE = 0, MXCSR_BYTE = 24, XSTATE_BV_BYTE = 512 };
	const uint16_t fcw = FCW_RESET;
	const uint32_t mxcsr = MXCSR_RESET;
	const uint64_t x87_and_sse = 3;
	struct kvm_xsave xsave;
	uint8_t *bytes = (uint8_t *)&xsave;

	memset(&xsave, 0, sizeof(xsave));
	memcpy(bytes + FCW_BYTE, &fcw, sizeof(fcw));
	memcpy(bytes + MXCSR_BYTE, &mxcsr, sizeof(mxcsr));
	memcpy(bytes + XSTATE_BV_BYTE, &x87_and_sse, sizeof(x87_and_sse));
	return vcpu_ioctl(vcpu, KVM_SET_XSAVE, &xsave);
}

static int reset_xcrs(const struct vcpu *vcpu, const struct vcpu_start *start)
{
	(void)start;
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = XCR0_X87 } } };
	int ret = vcpu_ioctl(vcpu, KVM_SET_XCRS, &xcrs);

	/* A processor without XSAVE has none. */
	return ret == -EINVAL ? 0 : ret;
}

static int reset_debug(const struct vcpu *vcpu, const struct vcpu_start *start)
{
	(void)start;
	struct kvm_debugregs debug = { .dr6 = DR6_RESET, .dr7 = DR7_RESET };

	return vcpu_ioctl(vcpu, KVM_SET_DEBUGREGS, &debug);
}

static int reset_events(const struct vcpu *vcpu, const struct vcpu_start *start)
{
	(void)start;
	struct kvm_vcpu_events events = {
		.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
			 KVM_VCPUEVENT_VALID_SHADOW,
	};

	return vcpu_ioctl(vcpu, KVM_SET_VCPU_EVENTS, &events);
}

static int drain_mp_events(const struct vcpu *vcpu, const struct vcpu_start *start)
{
	(void)start;
	struct kvm_mp_state state;

	return vcpu_ioctl(vcpu, KVM_GET_MP_STATE, &state);
}

static int set_mp_state(const struct vcpu *vcpu, const struct vcpu_start *start)
{
	struct kvm_mp_state state = {
		.mp_state = start ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED,
	};

	return vcpu_ioctl(vcpu, KVM_SET_MP_STATE, &state);
}

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type, bool long_code)
{
	return (struct kvm_segment){
		.limit = UINT32_MAX,
		.selector = selector,
		.type = type,
		.present = 1,
		.db = !long_code,
		.s = 1,
		.l = long_code,
		.g = 1,
	};
}

static void set_flat_segments(struct kvm_sregs *sregs, bool long_mode)
{
	struct kvm_segment data = flat_segment(BOOT_DS, SEGMENT_DATA, false);

	sregs->cs = flat_segment(BOOT_CS, SEGMENT_CODE, long_mode);
	sregs->ds = sregs->es = sregs->ss = data;
	sregs->fs = sregs->gs = data;
	sregs->tr =
		(struct kvm_segment){ .limit = TSS_LIMIT, .type = SEGMENT_TSS_BUSY, .present = 1 };
	sregs->ldt = (struct kvm_segment){ .unusable = 1 };
	sregs->cr0 = CR0_PE | CR0_ET;
}

static void set_long_mode(struct kvm_sregs *sregs, const struct vcpu_start *start)
{
	sregs->cr0 |= CR0_PG;
	sregs->cr3 = start->page_table;
	sregs->cr4 = CR4_PAE;
	sregs->efer = EFER_LME | EFER_LMA;
	sregs->gdt = (struct kvm_dtable){ .base = start->gdt, .limit = BOOT_GDT_LIMIT };
}

static int reset_sregs(const struct vcpu *vcpu, const struct vcpu_start *start)
{
	struct kvm_sregs sregs = vcpu->fresh_sregs;

	if (start) {
		set_flat_segments(&sregs, start->long_mode);
		if (start->long_mode)
			set_long_mode(&sregs, start);
	}
	return vcpu_ioctl(vcpu, KVM_SET_SREGS, &sregs);
}

static int reset_regs(const struct vcpu *vcpu, const struct vcpu_start *start)
{
	struct kvm_regs regs = { .rflags = RFLAGS_1 };

	if (start) {
		regs.rip = start->rip;
		if (start->long_mode)
			regs.rsi = start->parameter;
		else
			regs.rbx = start->parameter;
	}
	return vcpu_ioctl(vcpu, KVM_SET_REGS, &regs);
}

static int reset_lapic(const struct vcpu *vcpu, const struct vcpu_start *start)
{
	(void)start;
	struct kvm_lapic_state lapic = vcpu->fresh_lapic;

	return vcpu_ioctl(vcpu, KVM_SET_LAPIC, &lapic);
}

/* In the order that the top of the file explains. A new vCPU is as KVM makes it (SDM 3A §10.1.1),
 * so only what differs from that is written: each of these calls costs some 50 us on page-table
 * KVM. */
static const struct {
	const char *what;
	int (*apply)(const struct vcpu *vcpu, const struct vcpu_start *start);
	bool when_new;
} steps[] = {
	{ "INIT and SIPI", drain_mp_events, false },
	{ "MSRs", reset_msrs, true },
	{ "control registers and segments", reset_sregs, true },
	{ "general registers", reset_regs, true },
	{ "local APIC", reset_lapic, false },
	{ "floating point", reset_fpu, false },
	{ "XCR0", reset_xcrs, false },
	{ "debug registers", reset_debug, false },
	{ "pending events", reset_events, false },
	{ "run state", set_mp_state, true },
};

int vcpu_reset(struct vcpu *vcpu, const struct vcpu_start *start, struct err *err)
{
	bool is_new = !vcpu->was_reset;

	vcpu->was_reset = true;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		if (is_new && !steps[i].when_new)
			continue;
		int ret = steps[i].apply(vcpu, start);

		if (ret < 0)
			return err_set(err, ret, "vCPU %u: resetting its %s: %m", vcpu->index,
				       steps[i].what);
	}
	return 0;
}
