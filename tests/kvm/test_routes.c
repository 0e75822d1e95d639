/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_routes.c - the table of interrupt routes that KVM is given, over a made-up KVM. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "fake_kvm.h"
#include "kvm/vm.h"

struct bench {
	struct kvm kvm;
	struct vm *vm;
};

static int open_vm(void **state)
{
	static struct bench b;
	struct err err = { 0 };

	fake_kvm_reset();
	assert_int_equal(kvm_open_with(&fake_kvm_sys, &b.kvm, &err), 0);
	assert_int_equal(vm_create(&b.kvm, &b.vm, &err), 0);
	*state = &b;
	return 0;
}

static int close_vm(void **state)
{
	struct bench *b = *state;

	vm_destroy(b->vm);
	kvm_close(&b->kvm);
	assert_int_equal(fake_kvm.open_fds, 0);
	return 0;
}

static const struct vm_msi first = { .addr = 0xfee01000, .data = 0x31, .enabled = true };
static const struct vm_msi second = { .addr = 0xfee02000, .data = 0x32, .enabled = true };
static const struct vm_msi none = { .enabled = false };

static void assert_route(unsigned place, uint32_t gsi, const struct vm_msi *msi)
{
	const struct kvm_irq_routing_entry *route = &fake_kvm.routes[place];

	assert_int_equal(route->type, KVM_IRQ_ROUTING_MSI);
	assert_int_equal(route->gsi, gsi);
	assert_int_equal(route->u.msi.address_lo, msi->addr);
	assert_int_equal(route->u.msi.address_hi, 0);
	assert_int_equal(route->u.msi.data, msi->data);
}

static void the_table_holds_each_enabled_pin_once(void **state)
{
	struct bench *b = *state;

	assert_int_equal(vm_set_route(b->vm, 9, &first), 0);
	assert_int_equal(vm_set_route(b->vm, 4, &second), 0);
	assert_int_equal(fake_kvm.route_count, 2);
	assert_route(0, 4, &second);
	assert_route(1, 9, &first);
	assert_int_equal(vm_set_route(b->vm, 9, &second), 0);
	assert_int_equal(fake_kvm.route_count, 2);
	assert_route(1, 9, &second);
	assert_int_equal(vm_set_route(b->vm, 4, &none), 0);
	assert_int_equal(fake_kvm.route_count, 1);
	assert_route(0, 9, &second);
}

static void all_pins_fit(void **state)
{
	struct bench *b = *state;

	for (uint32_t gsi = 0; gsi < VM_GSI_COUNT; gsi++)
		assert_int_equal(vm_set_route(b->vm, gsi, &first), 0);
	assert_int_equal(fake_kvm.route_count, VM_GSI_COUNT);
	assert_route(VM_GSI_COUNT - 1, VM_GSI_COUNT - 1, &first);
}

static void a_route_that_does_not_change_costs_no_system_call(void **state)
{
	struct bench *b = *state;
	const struct vm_msi masked = { .addr = 0xfee03000, .data = 0x33, .enabled = false };

	assert_int_equal(vm_set_route(b->vm, 3, &masked), 0);
	assert_int_equal(vm_set_route(b->vm, 3, &none), 0);
	assert_int_equal(fake_kvm.routings, 0);
	assert_int_equal(vm_set_route(b->vm, 3, &first), 0);
	assert_int_equal(vm_set_route(b->vm, 3, &first), 0);
	assert_int_equal(fake_kvm.routings, 1);
}

static void a_table_that_kvm_refuses_is_not_remembered(void **state)
{
	struct bench *b = *state;

	fake_kvm.failing_request = KVM_SET_GSI_ROUTING;
	fake_kvm.failing_errno = ENOMEM;
	assert_int_equal(vm_set_route(b->vm, 3, &first), -ENOMEM);
	fake_kvm.failing_request = 0;
	assert_int_equal(vm_set_route(b->vm, 3, &first), 0);
	assert_int_equal(fake_kvm.routings, 1);
}

static void destinations_above_255_move_to_the_upper_half_of_the_address(void **state)
{
	struct bench *b = *state;
	/* Destination 0x7f12: 0x12 in bits 19:12, 0x7f in bits 11:5; bit 3 is the redirection hint.
	 */
	const struct vm_msi far = { .addr = 0xfee12fe8, .data = 0x40, .enabled = true };

	assert_int_equal(vm_signal_msi(b->vm, &far), 0);
	assert_int_equal(fake_kvm.last_msi.address_lo, 0xfee12008);
	assert_int_equal(fake_kvm.last_msi.address_hi, 0x7f00);
	assert_int_equal(vm_set_route(b->vm, 0, &far), 0);
	assert_int_equal(fake_kvm.routes[0].u.msi.address_lo, 0xfee12008);
	assert_int_equal(fake_kvm.routes[0].u.msi.address_hi, 0x7f00);
}

static void without_32_bit_ids_the_address_goes_through_as_it_is(void **state)
{
	struct bench *b = *state;
	const struct vm_msi far = { .addr = 0xfee12fe0, .data = 0x40, .enabled = true };

	b->kvm.has_x2apic_32bit_ids = false;
	assert_int_equal(vm_signal_msi(b->vm, &far), 0);
	assert_int_equal(fake_kvm.last_msi.address_lo, 0xfee12fe0);
	assert_int_equal(fake_kvm.last_msi.address_hi, 0);
}

static void an_msi_that_kvm_refuses_is_an_errno(void **state)
{
	struct bench *b = *state;

	fake_kvm.failing_request = KVM_SIGNAL_MSI;
	fake_kvm.failing_errno = EINVAL;
	assert_int_equal(vm_signal_msi(b->vm, &first), -EINVAL);
}

#define WITH_VM(test) cmocka_unit_test_setup_teardown(test, open_vm, close_vm)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_VM(the_table_holds_each_enabled_pin_once),
		WITH_VM(all_pins_fit),
		WITH_VM(a_route_that_does_not_change_costs_no_system_call),
		WITH_VM(a_table_that_kvm_refuses_is_not_remembered),
		WITH_VM(destinations_above_255_move_to_the_upper_half_of_the_address),
		WITH_VM(without_32_bit_ids_the_address_goes_through_as_it_is),
		WITH_VM(an_msi_that_kvm_refuses_is_an_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
