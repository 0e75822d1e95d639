/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_lazy.c - lazy writes on /dev/kvm: they are no exits, and nothing can be seen of that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tiny_guest.h"

/* Half of the page is lazy. */
enum { LAZY_BYTES = 0x800, RING_WRITES = 170, BURST = 1000 };

static void open_guest(struct tiny_guest *g, unsigned vcpu_count, bool lazy)
{
	struct err err = { 0 };

	tiny_guest_open(g, vcpu_count);
	g->log_mmio = true;
	if (!lazy)
		g->kvm.lazy_ring_page = 0; /* as a KVM that cannot */
	assert_int_equal(vm_add_lazy_writes(g->vm, GPA(TINY_MMIO_ADDR), LAZY_BYTES, &err), 0);
}

static bool can_do_it(void)
{
	struct kvm kvm;
	struct err err = { 0 };
	bool can;

	assert_int_equal(kvm_open(&kvm, &err), 0);
	can = kvm.lazy_ring_page > 0;
	kvm_close(&kvm);
	if (!can)
		print_message("skipped: this KVM lacks KVM_CAP_COALESCED_MMIO\n");
	return can;
}

static uint64_t exits_of(struct tiny_guest *g)
{
	vcpus_pause(g->vcpus);
	return vcpus_exit_count(g->vcpus);
}

/* Three lazy writes, one that is not, one lazy, one read, a port. */
GUEST32(mixed, "mov $0xd0000000, %edi\n"
	       "movl $1, (%edi)\n"
	       "movl $2, 4(%edi)\n"
	       "movw $3, 8(%edi)\n"
	       "movl $4, 0x800(%edi)\n"
	       "movl $5, (%edi)\n"
	       "mov (%edi), %eax\n"
	       "movb $6, 0x7ff(%edi)\n"
	       "mov $7, %eax\n"
	       "out %eax, $0x81\n"
	       "1: hlt\n"
	       "jmp 1b\n");

static unsigned run_mixed(bool lazy)
{
	struct tiny_guest g;
	uint64_t exits;

	open_guest(&g, 1, lazy);
	tiny_guest_run(&g, mixed, 0);
	tiny_guest_wait(&g.done);
	exits = exits_of(&g);
	assert_int_equal(g.log_count, 7);
	for (uint32_t i = 0; i < g.log_count; i++)
		assert_int_equal(g.log[i], i + 1);
	assert_int_equal(g.mmio_reads, 1);
	tiny_guest_close(&g);
	return (unsigned)exits;
}

static void lazy_writes_come_in_order_and_before_any_other_access(void **state)
{
	unsigned eager_exits = run_mixed(false), lazy_exits;

	(void)state;
	if (!can_do_it())
		return;
	lazy_exits = run_mixed(true);
	print_message("%u exits, of them lazy writes %u\n", eager_exits, eager_exits - lazy_exits);
	assert_int_equal(eager_exits - lazy_exits, 5);
}

/* BURST writes that count up, and a port. */
GUEST32(burst, "mov $0xd0000000, %edi\n"
	       "mov $0, %eax\n"
	       "1: mov %eax, (%edi)\n"
	       "inc %eax\n"
	       "cmp $1000, %eax\n"
	       "jne 1b\n"
	       "out %eax, $0x81\n"
	       "1: hlt\n"
	       "jmp 1b\n");

static void a_guest_that_fills_the_ring_gets_an_exit_and_loses_nothing(void **state)
{
	struct tiny_guest g;
	uint64_t exits;

	(void)state;
	if (!can_do_it())
		return;
	open_guest(&g, 1, true);
	tiny_guest_run(&g, burst, 0);
	tiny_guest_wait(&g.done);
	exits = exits_of(&g);
	assert_int_equal(g.log_count, BURST + 1);
	for (uint32_t i = 0; i < g.log_count; i++)
		assert_int_equal(g.log[i], i);
	print_message("%u lazy writes, %llu exits\n", BURST, (unsigned long long)exits);
	assert_in_range(exits, BURST / RING_WRITES, 4 * BURST / RING_WRITES);
	tiny_guest_close(&g);
}

/* One lazy write, and then it computes for ever. */
GUEST32(silent, "mov $0xd0000000, %edi\n"
		"movl $0xaffe, (%edi)\n"
		"movl $1, 0x40000\n"
		"1: jmp 1b\n");

static void await_flag(const struct tiny_guest *g)
{
	const uint64_t end_ns = clock_now_ns() + 10 * NS_PER_S;

	while (__atomic_load_n((const uint32_t *)(const void *)(g->ram + 0x40000),
			       __ATOMIC_SEQ_CST) == 0)
		if (clock_now_ns() > end_ns)
			fail_msg("the guest did not come so far in 10 s");
}

static void a_pause_leaves_no_lazy_write_behind(void **state)
{
	struct tiny_guest g;

	(void)state;
	open_guest(&g, 1, true);
	tiny_guest_run(&g, silent, 0);
	await_flag(&g);
	vcpus_pause(g.vcpus);
	assert_int_equal(g.log_count, 1);
	assert_int_equal(g.log[0], 0xaffe);
	tiny_guest_close(&g);
}

static void after_a_reset_nothing_of_the_old_guest_is_written(void **state)
{
	struct tiny_guest g;

	(void)state;
	open_guest(&g, 1, true);
	for (unsigned round = 0; round < 3; round++) {
		memset(g.ram + 0x40000, 0, 4);
		tiny_guest_run(&g, silent, 0);
		await_flag(&g);
		vcpus_pause(g.vcpus);
		assert_int_equal(g.log_count, 1);
		g.log_count = 0;
		tiny_guest_run(&g, mixed, 0);
		tiny_guest_wait(&g.done);
		vcpus_pause(g.vcpus);
		assert_int_equal(g.log_count, 7);
		assert_int_equal(g.log[0], 1);
		g.log_count = 0;
	}
	tiny_guest_close(&g);
}

/* Two vCPUs take turns by a word of memory: who sees its own parity there writes the word to the lazy
 * half of the page and adds one. That is a lock, as guests have them. */
#define TAKE_TURNS(parity)        \
	"mov $0xd0000000, %edi\n" \
	"1: mov 0x40000, %eax\n"  \
	"cmp $500, %eax\n"        \
	"jae 2f\n"                \
	"mov %eax, %edx\n"        \
	"and $1, %edx\n"          \
	"cmp $" parity ", %edx\n" \
	"jne 1b\n"                \
	"mov %eax, (%edi)\n"      \
	"lock incl 0x40000\n"     \
	"jmp 1b\n"                \
	"2: out %eax, $0x81\n"    \
	"3: hlt\n"                \
	"jmp 3b\n"

enum {
	TURNS = 500,
	FLAT_GDT = 0x6000, /* 8: code, 16: data, 32 bits, 4 GiB */
	FLAT_GDT_PTR = 0x6100,
	SECOND_REAL = 0x7000, /* where SIPI 7 leads */
	SECOND_FLAT = 0x7100,
};

GUEST32(first, "mov $0xfee00000, %ecx\n"
	       "movl $0x1ff, 0x0f0(%ecx)\n"
	       "movl $0xc4500, 0x300(%ecx)\n"
	       "movl $0xc4607, 0x300(%ecx)\n" TAKE_TURNS("0"));
GUEST16(second_real, "xor %ax, %ax\n"
		     "mov %ax, %ds\n"
		     "lgdtl 0x6100\n"
		     "mov %cr0, %eax\n"
		     "or $1, %eax\n"
		     "mov %eax, %cr0\n"
		     "ljmpl $0x8, $0x7100\n");
GUEST32(second_flat, "mov $0x10, %eax\n"
		     "mov %eax, %ds\n" TAKE_TURNS("1"));

static void place(struct tiny_guest *g, uint32_t at, const uint8_t *code, const uint8_t *end)
{
	memcpy(g->ram + at, code, (size_t)(end - code));
}

static void what_a_lock_orders_between_vcpus_stays_in_order(void **state)
{
	static const uint64_t flat[] = { 0, 0x00cf9b000000ffff, 0x00cf93000000ffff };
	static const uint16_t flat_ptr[] = { sizeof(flat) - 1, FLAT_GDT, 0 };
	struct tiny_guest g;

	(void)state;
	open_guest(&g, 2, true);
	memcpy(g.ram + FLAT_GDT, flat, sizeof(flat));
	memcpy(g.ram + FLAT_GDT_PTR, flat_ptr, sizeof(flat_ptr));
	place(&g, SECOND_REAL, guest_second_real, guest_second_real_end);
	place(&g, SECOND_FLAT, guest_second_flat, guest_second_flat_end);
	tiny_guest_run(&g, first, 0);
	tiny_guest_wait(&g.done);
	tiny_guest_wait(&g.done);
	print_message("%u turns, %llu exits\n", TURNS, (unsigned long long)exits_of(&g));
	assert_int_equal(g.log_count, TURNS + 2);
	for (uint32_t i = 0; i < TURNS; i++)
		assert_int_equal(g.log[i], i);
	tiny_guest_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lazy_writes_come_in_order_and_before_any_other_access),
		cmocka_unit_test(a_guest_that_fills_the_ring_gets_an_exit_and_loses_nothing),
		cmocka_unit_test(a_pause_leaves_no_lazy_write_behind),
		cmocka_unit_test(what_a_lock_orders_between_vcpus_stays_in_order),
		cmocka_unit_test(after_a_reset_nothing_of_the_old_guest_is_written),
	};

	tiny_guest_skip();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
