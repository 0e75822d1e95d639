/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_irq.c - interrupts without an I/O APIC in KVM, doorbells, and several vCPUs. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/units.h"
#include "tiny_guest.h"

enum {
	VECTOR = 0x40,
	READY = 0x600d,
	GSI = 5,
	/* The handler begins behind the jump at TINY_ENTRY. */
	HANDLER = TINY_ENTRY + 5,
	MSI_LEVEL = 0xc000,
};

#define MSI_TO_VCPU0 UINT64_C(0xfee00000)

/* Handler: its stack's saved CS tells which ring it came from. Then wait for interrupts. */
#define LISTEN                                         \
	".byte 0xe9\n.long 772f - . - 4\n"             \
	"mov $0x40, %eax\n"                            \
	"mov $0xfee00000, %ecx\n"                      \
	"movl $0, 0x0b0(%rcx)\n"                       \
	"out %eax, $0x81\n"                            \
	"mov 8(%rsp), %eax\n"                          \
	"out %eax, $0x80\n"                            \
	"iretq\n"                                      \
	"772:\n" LOAD_TABLES "mov $0xfee00000, %ecx\n" \
	"movl $0x1ff, 0x0f0(%rcx)\n"

GUEST64(halting, LISTEN "sti\n"
			"mov $0x600d, %eax\n"
			"out %eax, $0x81\n"
			"1: hlt\n"
			"jmp 1b\n");

GUEST64(spinning, LISTEN TO_RING3 "mov $0x600d, %eax\n"
				  "out %eax, $0x81\n"
				  "1: jmp 1b\n");

static int open_one(void **state)
{
	static struct tiny_guest guest;

	tiny_guest_open(&guest, 1);
	tiny_guest_set_gate(&guest, VECTOR, HANDLER);
	*state = &guest;
	return 0;
}

static int close_one(void **state)
{
	tiny_guest_close(*state);
	return 0;
}

static void await_value(struct tiny_guest *g, uint32_t value)
{
	tiny_guest_wait(&g->done);
	(void)pthread_mutex_lock(&g->lock);
	for (unsigned i = 0; i < g->log_count; i++)
		if (g->log[i] == value) {
			g->log[i] = 0;
			(void)pthread_mutex_unlock(&g->lock);
			return;
		}
	(void)pthread_mutex_unlock(&g->lock);
	fail_msg("the guest reported something else than 0x%x", value);
}

static unsigned times_logged(const struct tiny_guest *g, uint32_t value)
{
	unsigned count = 0;

	for (unsigned i = 0; i < g->log_count; i++)
		count += g->log[i] == value;
	return count;
}

static void an_msi_wakes_a_halted_guest(void **state)
{
	struct tiny_guest *g = *state;
	const struct vm_msi msi = { .addr = MSI_TO_VCPU0, .data = VECTOR, .enabled = true };

	tiny_guest_run64(g, halting, 0);
	await_value(g, READY);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(vm_signal_msi(g->vm, &msi), 0);
		await_value(g, VECTOR);
	}
}

static void an_msi_interrupts_ring_3(void **state)
{
	struct tiny_guest *g = *state;
	const struct vm_msi msi = { .addr = MSI_TO_VCPU0, .data = VECTOR, .enabled = true };

	tiny_guest_run64(g, spinning, 0);
	await_value(g, READY);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(vm_signal_msi(g->vm, &msi), 0);
		await_value(g, VECTOR);
	}
}

static void an_irqfd_follows_the_route_of_its_pin(void **state)
{
	struct tiny_guest *g = *state;
	struct vm_msi route = { .addr = MSI_TO_VCPU0, .data = VECTOR, .enabled = true };
	struct err err = { 0 };
	int fd = event_create();

	assert_int_equal(vm_add_irqfd(g->vm, GSI, fd, &err), 0);
	tiny_guest_run64(g, halting, 0);
	await_value(g, READY);
	assert_int_equal(vm_set_route(g->vm, GSI, &route), 0);
	assert_int_equal(vm_set_route(g->vm, GSI, &route), 0);
	for (unsigned i = 0; i < 10; i++) {
		event_signal(fd);
		await_value(g, VECTOR);
	}
	/* Without a route the edge goes nowhere, as on a masked pin. */
	route.enabled = false;
	assert_int_equal(vm_set_route(g->vm, GSI, &route), 0);
	event_signal(fd);
	vcpus_pause(g->vcpus);
	assert_int_equal(sem_trywait(&g->done), -1);
	close_fd(&fd);
}

static void a_level_triggered_route_reports_its_eoi(void **state)
{
	struct tiny_guest *g = *state;
	const struct vm_msi route = { .addr = MSI_TO_VCPU0,
				      .data = VECTOR | MSI_LEVEL,
				      .enabled = true };
	struct err err = { 0 };
	int fd = event_create();

	assert_int_equal(vm_add_irqfd(g->vm, GSI, fd, &err), 0);
	assert_int_equal(vm_set_route(g->vm, GSI, &route), 0);
	tiny_guest_run64(g, halting, 0);
	await_value(g, READY);
	event_signal(fd);
	/* The EOI comes first in the handler, but KVM may report it after the port write. */
	tiny_guest_wait(&g->done);
	tiny_guest_wait(&g->done);
	vcpus_pause(g->vcpus);
	assert_int_equal(times_logged(g, VECTOR), 1);
	assert_int_equal(times_logged(g, TINY_EOI_LOG + VECTOR), 1);
	close_fd(&fd);
}

static void pins_beyond_the_last_are_refused(void **state)
{
	struct tiny_guest *g = *state;
	const struct vm_msi msi = { .enabled = true };
	struct err err = { 0 };

	assert_int_equal(vm_set_route(g->vm, VM_GSI_COUNT, &msi), -EINVAL);
	assert_int_equal(vm_add_irqfd(g->vm, VM_GSI_COUNT, 0, &err), -EINVAL);
	assert_int_equal(vm_set_route(g->vm, VM_GSI_COUNT - 1, &msi), 0);
}

GUEST64(doorbells, "mov $0xd0000050, %edi\n"
		   "movl $3, (%rdi)\n"
		   "movl $4, (%rdi)\n"
		   "movw $3, (%rdi)\n"
		   "movl $3, (%rdi)\n"
		   "out %al, $0x81\n"
		   "hlt\n");

static void a_doorbell_takes_only_its_value_and_width(void **state)
{
	struct tiny_guest *g = *state;
	struct err err = { 0 };
	int three = event_create(), five = event_create();

	assert_int_equal(vm_add_ioeventfd(g->vm, GPA(TINY_MMIO_ADDR + 0x50), 3, three, &err), 0);
	assert_int_equal(vm_add_ioeventfd(g->vm, GPA(TINY_MMIO_ADDR + 0x50), 5, five, &err), 0);
	assert_int_equal(vm_add_ioeventfd(g->vm, GPA(TINY_MMIO_ADDR + 0x50), 5, five, &err),
			 -EEXIST);
	assert_non_null(strstr(err.text, "doorbell 5 at 0xd0000050"));
	tiny_guest_run64(g, doorbells, 0);
	tiny_guest_wait(&g->done);
	assert_true(event_drain(three));
	assert_false(event_drain(five));
	assert_int_equal(g->mmio_writes, 2); /* the 4, and the two bytes */
	close_fd(&three);
	close_fd(&five);
}

/* INIT and SIPI to everybody else through the xAPIC; then report and halt. */
GUEST64(boots_others, LOAD_TABLES "mov $0xfee00000, %ecx\n"
				  "movl $0x1ff, 0x0f0(%rcx)\n"
				  "mov $0xfee00000, %ecx\n"
				  "movl $0xc4500, 0x300(%rcx)\n"
				  "mov $0xfee00000, %ecx\n"
				  "movl $0xc4607, 0x300(%rcx)\n"
				  "mov $0x600d, %eax\n"
				  "out %eax, $0x81\n"
				  "1: hlt\n"
				  "jmp 1b\n");

/* At 0x7000, in real mode: leaf 1's APIC id in bits 31:24, and leaf 0xB's EDX. */
GUEST16(second, "mov $1, %eax\n"
		"cpuid\n"
		"mov %ebx, %eax\n"
		"shr $24, %eax\n"
		"or $0xa0000, %eax\n"
		"out %eax, $0x81\n"
		"mov $0xb, %eax\n"
		"mov $1, %ecx\n"
		"cpuid\n"
		"mov %edx, %eax\n"
		"or $0xb0000, %eax\n"
		"out %eax, $0x81\n"
		"1: hlt\n"
		"jmp 1b\n");

enum { SIPI_ADDR = 0x7000, VCPUS = 4 };

static void boot_others(struct tiny_guest *g, unsigned count)
{
	g->log_count = 0;
	memcpy(g->ram + SIPI_ADDR, guest_second, (size_t)(guest_second_end - guest_second));
	tiny_guest_run64(g, boots_others, 0);
	for (unsigned i = 0; i < 1 + 2 * (count - 1); i++)
		tiny_guest_wait(&g->done);
	vcpus_pause(g->vcpus);
	assert_int_equal(times_logged(g, READY), 1);
	for (unsigned i = 1; i < count; i++) {
		assert_int_equal(times_logged(g, 0xa0000 + i), 1);
		assert_int_equal(times_logged(g, 0xb0000 + i), 1);
	}
}

static void init_and_sipi_bring_up_every_other_vcpu(void **state)
{
	struct tiny_guest g;

	(void)state;
	tiny_guest_open(&g, VCPUS);
	assert_int_equal(vcpus_count(g.vcpus), VCPUS);
	boot_others(&g, VCPUS);
	tiny_guest_close(&g);
}

static void after_a_reset_other_vcpus_wait_for_init_and_sipi_again(void **state)
{
	struct tiny_guest g;

	(void)state;
	tiny_guest_open(&g, 2);
	for (unsigned round = 0; round < 3; round++) {
		boot_others(&g, 2);
		g.log_count = 0;
		tiny_guest_set_gate(&g, VECTOR, HANDLER);
		tiny_guest_run64(&g, halting, 0);
		await_value(&g, READY);
		vcpus_pause(g.vcpus);
		assert_int_equal(g.log_count, 1);
	}
	tiny_guest_close(&g);
}

static void many_vcpus_are_made_and_ended(void **state)
{
	struct tiny_guest g;

	(void)state;
	for (unsigned count = 1; count <= 64; count *= 8) {
		tiny_guest_open(&g, count);
		tiny_guest_run64(&g, boots_others, 0);
		await_value(&g, READY);
		tiny_guest_close(&g);
	}
}

static void more_vcpus_than_kvm_allows_are_refused_with_the_limit(void **state)
{
	static const struct vcpu_ops no_ops;
	struct vcpus_config config = { .ops = &no_ops };
	struct tiny_guest g;
	struct vcpus *vcpus;
	struct err err = { 0 };
	char limit[32];

	(void)state;
	tiny_guest_open(&g, 1);
	(void)snprintf(limit, sizeof(limit), "1 to %u", g.kvm.max_vcpus);
	config.count = g.kvm.max_vcpus + 1;
	assert_int_equal(vcpus_create(g.vm, &config, &vcpus, &err), -EINVAL);
	assert_non_null(strstr(err.text, limit));
	config.count = 0;
	assert_int_equal(vcpus_create(g.vm, &config, &vcpus, &err), -EINVAL);
	tiny_guest_close(&g);
}

/* x2APIC mode by MSR; INIT and SIPI to APIC id 256. */
GUEST64(boots_256, LOAD_TABLES "mov $0x1b, %ecx\n"
			       "rdmsr\n"
			       "or $0xc00, %eax\n"
			       "wrmsr\n"
			       "mov $0x830, %ecx\n"
			       "mov $256, %edx\n"
			       "mov $0x4500, %eax\n"
			       "wrmsr\n"
			       "mov $0x4607, %eax\n"
			       "wrmsr\n"
			       "mov $0x600d, %eax\n"
			       "out %eax, $0x81\n"
			       "1: hlt\n"
			       "jmp 1b\n");

/* At 0x7800, in real mode: what a non-maskable interrupt runs. */
GUEST16(nmi, "mov $0xc0000, %eax\n"
	     "out %eax, $0x81\n"
	     "iret\n");

enum { NMI_ADDR = 0x7800, NMI_VECTOR = 2, MSI_NMI = 0x400, LAST_ID = 256 };

/* Bits 14:8 of the destination travel in bits 11:5 of the address. */
#define MSI_TO_256 (UINT64_C(0xfee00000) | LAST_ID >> 8 << 5)

static void an_apic_id_above_255_can_be_started_and_interrupted(void **state)
{
	const struct vm_msi nmi = { .addr = MSI_TO_256, .data = MSI_NMI, .enabled = true };
	const uint16_t pointer[2] = { NMI_ADDR, 0 };
	struct tiny_guest g;

	(void)state;
	tiny_guest_open(&g, LAST_ID + 1);
	memcpy(g.ram + SIPI_ADDR, guest_second, (size_t)(guest_second_end - guest_second));
	memcpy(g.ram + NMI_ADDR, guest_nmi, (size_t)(guest_nmi_end - guest_nmi));
	memcpy(g.ram + NMI_VECTOR * sizeof(pointer), pointer, sizeof(pointer));
	tiny_guest_run64(&g, boots_256, 0);
	for (unsigned i = 0; i < 3; i++)
		tiny_guest_wait(&g.done);
	assert_int_equal(times_logged(&g, 0xa0000), 1);
	assert_int_equal(times_logged(&g, 0xb0000 + LAST_ID), 1);
	assert_int_equal(vm_signal_msi(g.vm, &nmi), 0);
	tiny_guest_wait(&g.done);
	assert_int_equal(times_logged(&g, 0xc0000), 1);
	tiny_guest_close(&g);
}

#define WITH_ONE(test) cmocka_unit_test_setup_teardown(test, open_one, close_one)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ONE(an_msi_wakes_a_halted_guest),
		WITH_ONE(an_msi_interrupts_ring_3),
		WITH_ONE(an_irqfd_follows_the_route_of_its_pin),
		WITH_ONE(a_level_triggered_route_reports_its_eoi),
		WITH_ONE(pins_beyond_the_last_are_refused),
		WITH_ONE(a_doorbell_takes_only_its_value_and_width),
		cmocka_unit_test(init_and_sipi_bring_up_every_other_vcpu),
		cmocka_unit_test(after_a_reset_other_vcpus_wait_for_init_and_sipi_again),
		cmocka_unit_test(many_vcpus_are_made_and_ended),
		cmocka_unit_test(more_vcpus_than_kvm_allows_are_refused_with_the_limit),
		cmocka_unit_test(an_apic_id_above_255_can_be_started_and_interrupted),
	};

	tiny_guest_skip();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
