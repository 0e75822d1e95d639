/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_reset.c - a reset leaves nothing of the guest before it in a vCPU.
 *
 * The state that KVM shows of a vCPU is read after its first start, then everything that can be set
 * is set to something else, and after another reset the state is the same again, byte for byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/units.h"
#include "kvm/vcpu_internal.h"
#include "tiny_guest.h"

enum { VCPUS = 2, LAPIC_TPR = 0x80, LAPIC_SVR = 0xf0, LAPIC_LVT_TIMER = 0x320, MXCSR_MASK = 28 };
enum { X87_BYTES = 8 * 16, XMM_BYTES = 16 * 16 };

static const uint32_t msr_indexes[] = {
	0x4b564d01, 0x4b564d02, 0x4b564d03, 0x4b564d04, 0x12,  0x277,
	0x2ff,	    0x1a0,	0x174,	    0x175,	0x176, 0xc0000081,
	0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102,
};

struct msr_list {
	uint32_t count, padding;
	struct kvm_msr_entry entries[ARRAY_LEN(msr_indexes)];
};

struct state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debug;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp_state;
	struct kvm_lapic_state lapic;
	struct msr_list msrs;
	uint8_t legacy_fpu[160 + XMM_BYTES]; /* up to and with the XMM registers */
};

static void must(const struct vcpu *vcpu, unsigned long request, void *arg, const char *name)
{
	if (vcpu_ioctl(vcpu, request, arg) < 0)
		fail_msg("%s: %s", name, strerror(errno));
}

#define MUST(vcpu, request, arg) must(vcpu, request, arg, #request)

static void read_state(const struct vcpu *vcpu, struct state *ret_state)
{
	struct kvm_xsave xsave;

	memset(ret_state, 0, sizeof(*ret_state));
	memset(&xsave, 0, sizeof(xsave));
	MUST(vcpu, KVM_GET_MP_STATE, &ret_state->mp_state);
	MUST(vcpu, KVM_GET_REGS, &ret_state->regs);
	MUST(vcpu, KVM_GET_SREGS, &ret_state->sregs);
	MUST(vcpu, KVM_GET_XCRS, &ret_state->xcrs);
	MUST(vcpu, KVM_GET_DEBUGREGS, &ret_state->debug);
	MUST(vcpu, KVM_GET_VCPU_EVENTS, &ret_state->events);
	MUST(vcpu, KVM_GET_LAPIC, &ret_state->lapic);
	MUST(vcpu, KVM_GET_XSAVE, &xsave);
	memcpy(ret_state->legacy_fpu, &xsave, sizeof(ret_state->legacy_fpu));
	/* MXCSR_MASK is the processor's and shows only after a save. */
	memset(ret_state->legacy_fpu + MXCSR_MASK, 0, sizeof(uint32_t));
	ret_state->msrs.count = ARRAY_LEN(msr_indexes);
	for (size_t i = 0; i < ARRAY_LEN(msr_indexes); i++)
		ret_state->msrs.entries[i].index = msr_indexes[i];
	MUST(vcpu, KVM_GET_MSRS, &ret_state->msrs);
}

/* Long mode, x2APIC, breakpoints, a pending NMI and every other register full of ones and zeros. */
static void dirty(const struct vcpu *vcpu, const struct state *clean)
{
	struct state s = *clean;
	struct kvm_xsave xsave;
	uint8_t *bytes = (uint8_t *)&xsave;
	const uint32_t svr = 0x1ff, masked_deadline = 0x500ef, tpr = 0x40;

	MUST(vcpu, KVM_GET_XSAVE, &xsave);
	memset(bytes + 32, 0x5a, X87_BYTES);  /* x87 */
	memset(bytes + 160, 0x5a, XMM_BYTES); /* XMM */
	bytes[0] = 0x40;
	bytes[512] |= 3;
	MUST(vcpu, KVM_SET_XSAVE, &xsave);
	memset(&s.regs, 0x33, sizeof(s.regs));
	s.regs.rflags = 0x246;
	MUST(vcpu, KVM_SET_REGS, &s.regs);
	s.xcrs.xcrs[0].value = 3;
	MUST(vcpu, KVM_SET_XCRS, &s.xcrs);
	s.debug.db[0] = s.debug.db[3] = 0x1234;
	s.debug.dr7 = 0x401;
	MUST(vcpu, KVM_SET_DEBUGREGS, &s.debug);
	s.sregs.cr2 = 0x4444;
	s.sregs.cr3 = TINY_PAGE_TABLES;
	s.sregs.cr4 = 0x620;
	s.sregs.efer = 0x501;
	s.sregs.cr0 = 0x80010033;
	s.sregs.cr8 = 4;
	s.sregs.cs.l = 1;
	s.sregs.cs.db = 0;
	s.sregs.gs.base = 0x7777000;
	s.sregs.fs.base = 0x8888000;
	s.sregs.idt.base = TINY_IDT;
	s.sregs.gdt.base = TINY_GDT;
	s.sregs.apic_base |= 0xc00;
	MUST(vcpu, KVM_SET_SREGS, &s.sregs);
	MUST(vcpu, KVM_GET_LAPIC, &s.lapic);
	memcpy(s.lapic.regs + LAPIC_SVR, &svr, sizeof(svr));
	memcpy(s.lapic.regs + LAPIC_LVT_TIMER, &masked_deadline, sizeof(masked_deadline));
	memcpy(s.lapic.regs + LAPIC_TPR, &tpr, sizeof(tpr));
	MUST(vcpu, KVM_SET_LAPIC, &s.lapic);
	for (size_t i = 0; i < ARRAY_LEN(msr_indexes); i++)
		s.msrs.entries[i].data = 0x60000;
	s.msrs.entries[0].data = s.msrs.entries[4].data = 0x60001;
	s.msrs.entries[3].data = 0x60001;
	for (size_t i = 0; i < ARRAY_LEN(msr_indexes); i++) {
		struct msr_list one = { .count = 1, .entries = { s.msrs.entries[i] } };

		(void)vcpu_ioctl(vcpu, KVM_SET_MSRS, &one);
	}
	s.events.nmi.pending = 1;
	s.events.interrupt.shadow = 1;
	s.events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	MUST(vcpu, KVM_SET_VCPU_EVENTS, &s.events);
	s.mp_state.mp_state = KVM_MP_STATE_HALTED;
	MUST(vcpu, KVM_SET_MP_STATE, &s.mp_state);
}

#define ASSERT_SAME(part) assert_memory_equal(&after.part, &before.part, sizeof(after.part))

static void assert_reset_restores(struct tiny_guest *g, const struct vcpu_start *start)
{
	struct state before, after, between;
	struct err err = { 0 };

	for (unsigned i = 0; i < VCPUS; i++) {
		const struct vcpu *vcpu = &g->vcpus->each[i];

		assert_int_equal(vcpus_reset(g->vcpus, start, &err), 0);
		read_state(vcpu, &before);
		dirty(vcpu, &before);
		read_state(vcpu, &between);
		assert_memory_not_equal(&between.sregs, &before.sregs, sizeof(before.sregs));
		assert_memory_not_equal(&between.lapic, &before.lapic, sizeof(before.lapic));
		assert_memory_not_equal(&between.msrs, &before.msrs, sizeof(before.msrs));
		assert_memory_not_equal(&between.xcrs, &before.xcrs, sizeof(before.xcrs));
		if (vcpus_reset(g->vcpus, start, &err) < 0)
			fail_msg("%s", err.text);
		read_state(vcpu, &after);
		ASSERT_SAME(mp_state);
		ASSERT_SAME(regs);
		ASSERT_SAME(sregs);
		ASSERT_SAME(xcrs);
		ASSERT_SAME(debug);
		ASSERT_SAME(events);
		ASSERT_SAME(lapic);
		ASSERT_SAME(msrs);
		ASSERT_SAME(legacy_fpu);
	}
}

static void a_reset_to_protected_mode_restores_all_state(void **state)
{
	const struct vcpu_start start = { .rip = 0x1000, .parameter = 0x2000 };

	assert_reset_restores(*state, &start);
}

static void a_reset_to_long_mode_restores_all_state(void **state)
{
	const struct vcpu_start start = {
		.long_mode = true,
		.rip = 0x1000,
		.parameter = 0x2000,
		.gdt = TINY_GDT,
		.page_table = TINY_PAGE_TABLES,
	};

	assert_reset_restores(*state, &start);
}

/* xen/include/public/arch-x86/hvm/start_info.h: flat segments, PE alone, ebx. */
static void pvh_starts_as_the_protocol_says(void **state)
{
	const struct vcpu_start start = { .rip = 0x123456, .parameter = 0x789000 };
	struct tiny_guest *g = *state;
	struct err err = { 0 };
	struct state s;

	assert_int_equal(vcpus_reset(g->vcpus, &start, &err), 0);
	read_state(&g->vcpus->each[0], &s);
	assert_int_equal(s.regs.rip, 0x123456);
	assert_int_equal(s.regs.rbx, 0x789000);
	assert_int_equal(s.regs.rflags, 2);
	assert_int_equal(s.sregs.cr0 & ~UINT64_C(0x10), 1);
	assert_int_equal(s.sregs.cr4, 0);
	assert_int_equal(s.sregs.efer, 0);
	assert_int_equal(s.sregs.cs.base, 0);
	assert_int_equal(s.sregs.cs.limit, UINT32_MAX);
	assert_int_equal(s.sregs.cs.type & 0xa, 0xa); /* code, readable */
	assert_int_equal(s.sregs.cs.db, 1);
	assert_int_equal(s.sregs.ds.base, 0);
	assert_int_equal(s.sregs.ds.limit, UINT32_MAX);
	assert_int_equal(s.sregs.ds.type & 0xa, 2); /* data, writable */
	assert_int_equal(s.sregs.tr.limit, 0x67);
	assert_int_equal(s.mp_state.mp_state, KVM_MP_STATE_RUNNABLE);
	read_state(&g->vcpus->each[1], &s);
	assert_int_equal(s.mp_state.mp_state, KVM_MP_STATE_UNINITIALIZED);
}

static int open_two(void **state)
{
	static struct tiny_guest guest;

	tiny_guest_open(&guest, VCPUS);
	*state = &guest;
	return 0;
}

static int close_two(void **state)
{
	tiny_guest_close(*state);
	return 0;
}

#define WITH_TWO(test) cmocka_unit_test_setup_teardown(test, open_two, close_two)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_TWO(a_reset_to_protected_mode_restores_all_state),
		WITH_TWO(a_reset_to_long_mode_restores_all_state),
		WITH_TWO(pvh_starts_as_the_protocol_says),
	};

	tiny_guest_skip();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
