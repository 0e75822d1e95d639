/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* legacy_devices.c - the board without virtio: serial port, I/O APIC, reset, power, exit port.
 *
 * Interrupts are eventfds handed to KVM as irqfds. A pin's route is the guest's redirection entry;
 * when a pin is unmasked whoever owns it signals again what it still has pending.
 */
#include "base/fd.h"
#include "machine/devices.h"

#include <stdio.h>

static void on_guest_reset(void *ctx)
{
	lifecycle_request(ctx, REQUEST_RESET, 0, "");
}

static void on_power_off(void *ctx)
{
	lifecycle_request(ctx, REQUEST_POWER_OFF, 0, "");
}

static void on_exit_status(void *ctx, uint32_t untrusted_status)
{
	lifecycle_request(ctx, REQUEST_STATUS, untrusted_status, "");
}

static bool on_serial_output(void *ctx, uint8_t byte)
{
	struct machine *machine = ctx;

	return terminal_output(machine->terminal, &byte, 1);
}

static void on_serial_input_wanted(void *ctx)
{
	struct machine *machine = ctx;

	terminal_input_wanted(machine->terminal);
}

static void on_route(void *ctx, uint32_t pin, const struct ioapic_route *route)
{
	struct machine *machine = ctx;

	(void)vm_set_route(machine->vm, pin,
			   &(struct vm_msi){ .addr = route->addr,
					     .data = route->data,
					     .enabled = route->enabled });
}

static void on_unmasked(void *ctx, uint32_t pin)
{
	struct machine *machine = ctx;

	if (pin == BOARD_SERIAL_GSI)
		serial_reassert(machine->serial);
	else if (pin == BOARD_GED_GSI)
		acpi_ged_reassert(&machine->ged);
	else if (pin >= BOARD_VIRTIO_GSI && pin - BOARD_VIRTIO_GSI < machine->slot_count)
		virtio_mmio_reassert(machine->slots[pin - BOARD_VIRTIO_GSI].transport);
}

int board_wire_interrupt(struct machine *machine, uint32_t gsi, int *ret_fd, struct err *err)
{
	CLEANUP(close_fd)
	int fd = event_create();
	int ret;

	if (fd < 0)
		return err_set(err, fd, "interrupt %u: no eventfd", gsi);
	ret = vm_add_irqfd(machine->vm, gsi, fd, err);
	if (ret < 0)
		return ret;
	*ret_fd = take_fd(&fd);
	return 0;
}

int board_wire_lazy_writes(struct machine *machine, struct err *err)
{
	int ret = 0;

	for (unsigned i = 0; i < machine->mmio.count && ret == 0; i++) {
		const struct bus_range *range = &machine->mmio.ranges[i];

		for (unsigned j = 0; j < range->ops->lazy_count && ret == 0; j++)
			ret = vm_add_lazy_writes(
				machine->vm, GPA(range->start + range->ops->lazy[j].start),
				range->ops->lazy[j].end - range->ops->lazy[j].start, err);
	}
	return ret;
}

static int create_serial(struct machine *machine, struct err *err)
{
	int ret = board_wire_interrupt(machine, BOARD_SERIAL_GSI, &machine->serial_irq_fd, err);

	if (ret < 0)
		return ret;
	return serial_create(&(struct serial_config){ .irq_fd = machine->serial_irq_fd,
						      .output = on_serial_output,
						      .input_wanted = on_serial_input_wanted,
						      .ctx = machine },
			     &machine->serial, err);
}

static int create_ioapic(struct machine *machine, struct err *err)
{
	return ioapic_create(&(struct ioapic_host){ .set_route = on_route,
						    .unmasked = on_unmasked,
						    .ctx = machine },
			     &machine->ioapic, err);
}

static int create_power(struct machine *machine, struct err *err)
{
	machine->i8042 = (struct i8042){ .reset = on_guest_reset, .ctx = machine };
	machine->exit_port = (struct exit_port){ .exit = on_exit_status, .ctx = machine };
	machine->ged.power_off = on_power_off;
	machine->ged.reset = on_guest_reset;
	machine->ged.ctx = machine;
	return board_wire_interrupt(machine, BOARD_GED_GSI, &machine->ged.irq_fd, err);
}

/* Who answers which address. The exit port is for our own guest: another guest's kernel that
 * happens to write there shall not end its VM. */
static int claim_addresses(struct machine *machine, struct err *err)
{
	const struct {
		struct bus *bus;
		uint64_t start, len_bytes;
		const struct bus_ops *ops;
		void *device;
		bool absent;
	} rows[] = {
		{ &machine->pio, BOARD_SERIAL_PORT, SERIAL_PORT_BYTES, &serial_bus_ops,
		  machine->serial, false },
		{ &machine->pio, BOARD_I8042_PORT, I8042_PORT_BYTES, &i8042_bus_ops,
		  &machine->i8042, false },
		{ &machine->pio, BOARD_ACPI_PORT, BOARD_ACPI_PORT_BYTES, &acpi_ged_bus_ops,
		  &machine->ged, false },
		{ &machine->pio, BOARD_EXIT_PORT, EXIT_PORT_BYTES, &exit_port_bus_ops,
		  &machine->exit_port, machine->config->boot.kernel_path != NULL },
		{ &machine->mmio, BOARD_IOAPIC_BASE, BOARD_IOAPIC_BYTES, &ioapic_bus_ops,
		  machine->ioapic, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int ret = rows[i].absent ? 0
					 : bus_add(rows[i].bus, rows[i].start, rows[i].len_bytes,
						   rows[i].ops, rows[i].device, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

int legacy_devices_create(struct machine *machine, struct err *err)
{
	int ret = create_serial(machine, err);

	if (ret == 0)
		ret = create_ioapic(machine, err);
	if (ret == 0)
		ret = create_power(machine, err);
	return ret == 0 ? claim_addresses(machine, err) : ret;
}

void legacy_devices_destroy(struct machine *machine)
{
	ioapic_destroy(machine->ioapic);
	serial_destroy(machine->serial);
	close_fd(&machine->serial_irq_fd);
	close_fd(&machine->ged.irq_fd);
	machine->ioapic = NULL;
	machine->serial = NULL;
}

void legacy_devices_reset(struct machine *machine)
{
	ioapic_reset(machine->ioapic);
	serial_reset(machine->serial);
	acpi_ged_machine_reset(&machine->ged);
}
