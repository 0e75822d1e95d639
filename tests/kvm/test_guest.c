/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_guest.c - hand-made guests on /dev/kvm: exits, memory that is not there, and reset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(port_io_of_every_width_reaches_the_ops, open_one,
						close_one),
		cmocka_unit_test_setup_teardown(string_io_handles_each_element_once_and_in_order,
						open_one, close_one),
		cmocka_unit_test_setup_teardown(mmio_outside_ram_reaches_the_ops, open_one,
						close_one),
		cmocka_unit_test_setup_teardown(
			a_triple_fault_is_a_shutdown_and_a_reset_revives_the_guest, open_one,
			close_one),
	};

	tiny_guest_skip();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
