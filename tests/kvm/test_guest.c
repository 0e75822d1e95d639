/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_guest.c - hand-made guests on /dev/kvm: exits, memory that is not there, and reset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tiny_guest.h"

static int open_one(void **state)
{
	static struct tiny_guest guest;

	tiny_guest_open(&guest, 1);
	*state = &guest;
	return 0;
}

static int close_one(void **state)
{
	tiny_guest_close(*state);
	return 0;
}

GUEST32(ports, "mov $0x1234abcd, %eax\n"
	       "out %al, $0x80\n"
	       "out %ax, $0x80\n"
	       "out %eax, $0x80\n"
	       "in $0x80, %al\n"
	       "out %al, $0x80\n"
	       "mov %ebx, %eax\n"
	       "out %eax, $0x81\n"
	       "hlt\n");

static void port_io_of_every_width_reaches_the_ops(void **state)
{
	struct tiny_guest *g = *state;

	tiny_guest_run(g, ports, 0xfeedbeef);
	tiny_guest_wait(&g->done);
	assert_int_equal(g->log_count, 5);
	assert_int_equal(g->log[0], 0xcd);
	assert_int_equal(g->log[1], 0xabcd);
	assert_int_equal(g->log[2], 0x1234abcd);
	assert_int_equal(g->log[3], 1);
	assert_int_equal(g->log[4], 0xfeedbeef);
}

GUEST32(strings, "mov $0x20000, %esi\n"
		 "mov $0x80, %edx\n"
		 "mov $200, %ecx\n"
		 "cld\n"
		 "rep outsw\n"
		 "mov $0x30000, %edi\n"
		 "mov $100, %ecx\n"
		 "rep insb\n"
		 "out %al, $0x81\n"
		 "hlt\n");

static void string_io_handles_each_element_once_and_in_order(void **state)
{
	struct tiny_guest *g = *state;
	uint64_t exits;

	for (unsigned i = 0; i < 200; i++)
		memcpy(g->ram + 0x20000 + (size_t)2 * i, &(uint16_t){ (uint16_t)(1000 + i) }, 2);
	tiny_guest_run(g, strings, 0);
	tiny_guest_wait(&g->done);
	assert_int_equal(g->log_count, 201);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(g->log[i], 1000 + i);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(g->ram[0x30000 + i], i + 1);
	exits = vcpus_exit_count(g->vcpus);
	print_message("301 elements in %llu exits\n", (unsigned long long)exits);
}

GUEST32(mmio, "mov $0xd0000010, %edi\n"
	      "movl $0xcafe0001, (%edi)\n"
	      "mov 4(%edi), %eax\n"
	      "out %eax, $0x80\n"
	      "movb $0x5a, 1(%edi)\n"
	      "out %eax, $0x81\n"
	      "hlt\n");

static void mmio_outside_ram_reaches_the_ops(void **state)
{
	struct tiny_guest *g = *state;

	tiny_guest_run(g, mmio, 0);
	tiny_guest_wait(&g->done);
	assert_int_equal(g->log[0], 0x55667788);
	assert_int_equal(g->mmio_writes, 2);
	assert_int_equal(g->mmio_reads, 1);
	assert_int_equal(g->mmio_last_addr, TINY_MMIO_ADDR + 0x11);
	assert_int_equal(g->mmio_last_len, 1);
	assert_int_equal(g->mmio_last_value, 0x5a);
}

/* A fault with an empty interrupt table is a double fault, and that a triple one. */
GUEST32(triple, "lidt 0x20000\n"
		"ud2\n");

static void a_triple_fault_is_a_shutdown_and_a_reset_revives_the_guest(void **state)
{
	struct tiny_guest *g = *state;

	for (unsigned round = 0; round < 3; round++) {
		memset(g->ram + 0x20000, 0, 16);
		tiny_guest_run(g, triple, 0);
		tiny_guest_wait(&g->ended);
		assert_int_equal(g->end, VCPU_END_SHUTDOWN);
		assert_non_null(strstr(g->end_text, "triple fault"));
		vcpus_pause(g->vcpus);
		g->log_count = 0;
		tiny_guest_run(g, ports, 7);
		tiny_guest_wait(&g->done);
		assert_int_equal(g->log[4], 7);
		vcpus_pause(g->vcpus);
	}
}

/* Writes 0x5eed0001 to memory that no slot covers but that the owner calls RAM, and reads it back.
 */
GUEST32(hole, "mov $0xd1000000, %edi\n"
	      "movl $0x5eed0001, 8(%edi)\n"
	      "mov 8(%edi), %eax\n"
	      "out %eax, $0x81\n"
	      "hlt\n");

/* The read alone: KVM finishes a read only when it comes back with the data. */
GUEST32(hole_read, "mov $0xd1000000, %edi\n"
		   "mov 8(%edi), %eax\n"
		   "out %eax, $0x81\n"
		   "hlt\n");

#define HOLE_START UINT64_C(0xd1000000)
enum { HOLE_VALUE = 0x5eed0001, REFUSE_FOR_EVER = -1 };

static void open_hole(struct tiny_guest *g, int refusals)
{
	g->hole_start = HOLE_START;
	g->hole_bytes = sizeof(g->hole_data);
	atomic_store(&g->hole_refusals, refusals);
}

static void assert_hole_was_written(const struct tiny_guest *g)
{
	uint32_t value;

	memcpy(&value, g->hole_data + 8, sizeof(value));
	assert_int_equal(value, HOLE_VALUE);
	assert_int_equal(g->log[0], HOLE_VALUE);
	assert_int_equal(g->mmio_reads + g->mmio_writes, 0);
}

/* MM10 */
static void mmio_in_ram_is_done_by_the_owner_and_never_reaches_a_device(void **state)
{
	struct tiny_guest *g = *state;

	open_hole(g, 0);
	tiny_guest_run(g, hole, 0);
	tiny_guest_wait(&g->done);
	assert_hole_was_written(g);
}

/* MM10 */
static void an_access_that_cannot_be_backed_is_asked_again_and_not_dropped(void **state)
{
	struct tiny_guest *g = *state;

	open_hole(g, 3);
	tiny_guest_run(g, hole, 0);
	tiny_guest_wait(&g->done);
	assert_hole_was_written(g);
}

/* MM10 */
static void a_vcpu_that_waits_for_memory_pauses_and_finishes_after_the_pause(void **state)
{
	struct tiny_guest *g = *state;
	unsigned asked = 0;

	open_hole(g, REFUSE_FOR_EVER);
	tiny_guest_run(g, hole, 0);
	for (unsigned i = 0; i < 20; i++) {
		tiny_guest_wait(&g->hole_asked);
		vcpus_pause(g->vcpus);
		vcpus_resume(g->vcpus);
	}
	vcpus_pause(g->vcpus);
	while (sem_trywait(&g->hole_asked) == 0)
		asked++;
	assert_int_equal(sem_trywait(&g->done), -1);
	atomic_store(&g->hole_refusals, 0);
	vcpus_resume(g->vcpus);
	tiny_guest_wait(&g->done);
	assert_hole_was_written(g);
	print_message("asked %u more times\n", asked);
}

static void a_kick_makes_a_waiting_vcpu_ask_again_at_once(void **state)
{
	struct tiny_guest *g = *state;
	enum { KICKS = 200 };
	uint64_t start_ns, took_ns;

	open_hole(g, REFUSE_FOR_EVER);
	tiny_guest_run(g, hole, 0);
	tiny_guest_wait(&g->hole_asked);
	start_ns = clock_now_ns();
	for (unsigned i = 0; i < KICKS; i++) {
		vcpus_kick(g->vcpus);
		tiny_guest_wait(&g->hole_asked);
	}
	took_ns = clock_now_ns() - start_ns;
	atomic_store(&g->hole_refusals, 0);
	vcpus_kick(g->vcpus);
	tiny_guest_wait(&g->done);
	assert_hole_was_written(g);
	print_message("%llu us a kick\n", (unsigned long long)(took_ns / KICKS / NS_PER_US));
}

static void a_reset_takes_away_an_access_that_waits(void **state)
{
	struct tiny_guest *g = *state;
	struct err err = { 0 };

	for (unsigned i = 0; i < 10; i++) {
		memset(g->hole_data, 0, sizeof(g->hole_data));
		open_hole(g, REFUSE_FOR_EVER);
		g->log_count = 0;
		if (i % 2)
			tiny_guest_run(g, hole, 0);
		else
			tiny_guest_run(g, hole_read, 0);
		tiny_guest_wait(&g->hole_asked);
		vcpus_pause(g->vcpus);
		if (i % 4 < 2)
			assert_int_equal(vcpus_forget_exits(g->vcpus, &err), 0);
		atomic_store(&g->hole_refusals, 0);
		tiny_guest_run(g, ports, i);
		tiny_guest_wait(&g->done);
		vcpus_pause(g->vcpus);
		assert_int_equal(g->log_count, 5);
		assert_int_equal(g->log[4], i);
		assert_int_equal(g->hole_data[8], 0);
		while (sem_trywait(&g->hole_asked) == 0)
			;
	}
}

static void destroy_ends_a_vcpu_that_waits_for_memory(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		struct tiny_guest g;

		tiny_guest_open(&g, 1);
		open_hole(&g, REFUSE_FOR_EVER);
		tiny_guest_run(&g, hole, 0);
		tiny_guest_wait(&g.hole_asked);
		if (i % 2)
			vcpus_pause(g.vcpus);
		tiny_guest_close(&g);
	}
}

GUEST64(reports_start, "mov %esi, %eax\n"
		       "out %eax, $0x80\n"
		       "mov %cs, %eax\n"
		       "out %eax, $0x80\n"
		       "mov %ss, %eax\n"
		       "out %eax, $0x80\n"
		       "mov %cr4, %rax\n"
		       "out %eax, $0x80\n"
		       "mov $0xc0000080, %ecx\n"
		       "rdmsr\n"
		       "out %eax, $0x81\n"
		       "hlt\n");

static void long_mode_starts_as_linux_wants_it(void **state)
{
	struct tiny_guest *g = *state;

	tiny_guest_run64(g, reports_start, 0x12345678);
	tiny_guest_wait(&g->done);
	assert_int_equal(g->log[0], 0x12345678); /* rsi: boot_params */
	assert_int_equal(g->log[1], 0x10);	 /* __BOOT_CS */
	assert_int_equal(g->log[2], 0x18);	 /* __BOOT_DS */
	assert_int_equal(g->log[3], 0x20);	 /* CR4: PAE */
	assert_int_equal(g->log[4], 0x500);	 /* EFER: LME, LMA */
}

/* Turns on kvmclock at 0x50000, then waits in ring 0. */
GUEST64(uses_clock, "mov $0x4b564d01, %ecx\n"
		    "mov $0x50001, %eax\n"
		    "xor %edx, %edx\n"
		    "wrmsr\n"
		    "out %al, $0x81\n"
		    "1: hlt\n"
		    "jmp 1b\n");

enum { CLOCK_PAGE = 0x50000, CLOCK_BYTES = 32 };

static bool clock_is_written(const struct tiny_guest *g)
{
	static const uint8_t zero[CLOCK_BYTES];

	return memcmp(g->ram + CLOCK_PAGE, zero, CLOCK_BYTES) != 0;
}

static void after_a_reset_kvm_writes_no_clock_of_the_old_guest(void **state)
{
	struct tiny_guest *g = *state;

	tiny_guest_run64(g, uses_clock, 0);
	tiny_guest_wait(&g->done);
	vcpus_pause(g->vcpus);
	vcpus_resume(g->vcpus);
	vcpus_pause(g->vcpus);
	assert_true(clock_is_written(g));
	memset(g->ram + CLOCK_PAGE, 0, CLOCK_BYTES);
	for (unsigned i = 0; i < 20; i++) {
		tiny_guest_run(g, ports, 0);
		tiny_guest_wait(&g->done);
		vcpus_pause(g->vcpus);
		assert_false(clock_is_written(g));
	}
}

/* Ring 3 with SSE: keeps what xmm7 was at 0x60000, and leaves its own mark in it. */
GUEST64(uses_sse, LOAD_TABLES "mov %cr4, %rax\n"
			      "or $0x200, %eax\n"
			      "mov %rax, %cr4\n" TO_RING3 "movdqu %xmm7, 0x60000\n"
			      "stmxcsr 0x60010\n"
			      "pcmpeqd %xmm7, %xmm7\n"
			      "out %al, $0x81\n"
			      "1: jmp 1b\n");

static void a_reset_forgets_vector_registers(void **state)
{
	static const uint8_t zero[16];
	struct tiny_guest *g = *state;
	uint32_t mxcsr;

	for (unsigned i = 0; i < 3; i++) {
		memset(g->ram + 0x60000, 0xaa, 32);
		tiny_guest_run64(g, uses_sse, 0);
		tiny_guest_wait(&g->done);
		vcpus_pause(g->vcpus);
		assert_memory_equal(g->ram + 0x60000, zero, sizeof(zero));
		memcpy(&mxcsr, g->ram + 0x60010, sizeof(mxcsr));
		assert_int_equal(mxcsr, 0x1f80);
	}
}

#define WITH_ONE(test) cmocka_unit_test_setup_teardown(test, open_one, close_one)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ONE(port_io_of_every_width_reaches_the_ops),
		WITH_ONE(string_io_handles_each_element_once_and_in_order),
		WITH_ONE(mmio_outside_ram_reaches_the_ops),
		WITH_ONE(a_triple_fault_is_a_shutdown_and_a_reset_revives_the_guest),
		WITH_ONE(mmio_in_ram_is_done_by_the_owner_and_never_reaches_a_device),
		WITH_ONE(an_access_that_cannot_be_backed_is_asked_again_and_not_dropped),
		WITH_ONE(a_vcpu_that_waits_for_memory_pauses_and_finishes_after_the_pause),
		WITH_ONE(a_kick_makes_a_waiting_vcpu_ask_again_at_once),
		WITH_ONE(a_reset_takes_away_an_access_that_waits),
		cmocka_unit_test(destroy_ends_a_vcpu_that_waits_for_memory),
		WITH_ONE(long_mode_starts_as_linux_wants_it),
		WITH_ONE(after_a_reset_kvm_writes_no_clock_of_the_old_guest),
		WITH_ONE(a_reset_forgets_vector_registers),
	};

	tiny_guest_skip();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
