/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* acpi_dsdt.c - what neap's DSDT declares.
 *
 * In \_SB: a Processor Device per vCPU (_UID as in the MADT), COM1, a device LNRO0005 per
 * virtio-mmio slot, a control-method power button PWRB, and a Generic Event Device whose _EVT reads
 * (and so clears) the event register at ged_port and notifies PWRB. And \_S5, soft-off.
 *
 * Interrupts are edge-triggered and active high: they come from irqfds.
 *
 * Source: ACPI 6.4 §5.6.9 "Interrupt-signaled ACPI events", §4.8.2.2.1.2 "Control Method Power
 * Button", §7.4.2 "_Sx states". LNRO0005: Linux drivers/virtio/virtio_mmio.c (its ACPI match).
 */
#include "boot/acpi_dsdt.h"

enum { NOTIFY_BUTTON_PRESSED = 0x80 };

/* A letter and three hexadecimal digits. */
static void indexed_name(char letter, unsigned index, char ret_name[4])
{
	static const char digits[] = "0123456789ABCDEF";

	ret_name[0] = letter;
	for (unsigned i = 0; i < 3; i++)
		ret_name[1 + i] = digits[(index >> (8 - 4 * i)) & 0xf];
}

static size_t open_device(struct aml *aml, const char name[4])
{
	size_t device = aml_open(aml, AML_DEVICE);

	aml_segment(aml, name);
	return device;
}

static void add_cpu(struct aml *aml, unsigned index)
{
	char name[4];
	size_t device;

	indexed_name('C', index, name);
	device = open_device(aml, name);
	aml_name_string(aml, "_HID", "ACPI0007");
	aml_name_integer(aml, "_UID", index);
	aml_close(aml, device);
}

static void add_serial(struct aml *aml, const struct acpi_config *config)
{
	struct aml_resources resources;
	size_t device = open_device(aml, "COM1");

	aml_name_eisa_id(aml, "_HID", "PNP0501");
	aml_name_integer(aml, "_UID", 0);
	aml_resources_init(&resources);
	aml_add_ports(&resources, config->serial_port, 8);
	aml_add_interrupt(&resources, config->serial_gsi);
	aml_name_resources(aml, &resources);
	aml_close(aml, device);
}

static void add_virtio(struct aml *aml, unsigned index, const struct acpi_mmio_device *mmio)
{
	struct aml_resources resources;
	char name[4];
	size_t device;

	indexed_name('V', index, name);
	device = open_device(aml, name);
	aml_name_string(aml, "_HID", "LNRO0005");
	aml_name_integer(aml, "_UID", index);
	aml_resources_init(&resources);
	aml_add_memory(&resources, (uint32_t)mmio->start, mmio->len_bytes);
	aml_add_interrupt(&resources, mmio->gsi);
	aml_name_resources(aml, &resources);
	aml_close(aml, device);
}

static void add_power_button(struct aml *aml)
{
	size_t device = open_device(aml, "PWRB");

	aml_name_eisa_id(aml, "_HID", "PNP0C0C");
	aml_name_integer(aml, "_UID", 0);
	aml_close(aml, device);
}

/* OperationRegion(EVTR, SystemIO, port, 4); Field(EVTR, DWordAcc, NoLock) { EVTS, 32 } */
static void add_event_register(struct aml *aml, uint16_t port)
{
	size_t field;

	aml_op(aml, AML_REGION);
	aml_segment(aml, "EVTR");
	aml_raw(aml, 1, 1); /* SystemIO */
	aml_integer(aml, port);
	aml_integer(aml, 4);
	field = aml_open(aml, AML_FIELD);
	aml_segment(aml, "EVTR");
	aml_raw(aml, 0x03, 1); /* 32-bit access, no lock */
	aml_segment(aml, "EVTS");
	aml_raw(aml, 32, 1); /* bits, as a PkgLength of one byte */
	aml_close(aml, field);
}

/* Method(_EVT, 1, Serialized) { Local0 = EVTS; If (Local0 & 1) { Notify(PWRB, 0x80) } } */
static void add_event_method(struct aml *aml)
{
	size_t method = aml_open(aml, AML_METHOD);
	size_t condition;

	aml_segment(aml, "_EVT");
	aml_raw(aml, 1 | 1 << 3, 1); /* one argument, serialized */
	aml_op(aml, AML_STORE);
	aml_segment(aml, "EVTS");
	aml_op(aml, AML_LOCAL0);
	condition = aml_open(aml, AML_IF);
	aml_op(aml, AML_AND);
	aml_op(aml, AML_LOCAL0);
	aml_integer(aml, UINT64_C(1) << GED_EVENT_POWER_BUTTON);
	aml_raw(aml, 0, 1); /* the result goes nowhere else */
	aml_op(aml, AML_NOTIFY);
	aml_segment(aml, "PWRB");
	aml_integer(aml, NOTIFY_BUTTON_PRESSED);
	aml_close(aml, condition);
	aml_close(aml, method);
}

static void add_event_device(struct aml *aml, const struct acpi_config *config)
{
	struct aml_resources resources;
	size_t device = open_device(aml, "GED_");

	aml_name_string(aml, "_HID", "ACPI0013");
	aml_name_integer(aml, "_UID", 0);
	aml_resources_init(&resources);
	aml_add_interrupt(&resources, config->ged_gsi);
	aml_name_resources(aml, &resources);
	add_event_register(aml, config->ged_port);
	add_event_method(aml);
	aml_close(aml, device);
}

/* Name(_S5, Package(4) { 5, 0, 0, 0 }): the sleep type, and fields hardware-reduced ACPI ignores */
static void add_soft_off(struct aml *aml)
{
	size_t package;

	aml_op(aml, AML_NAME);
	aml_segment(aml, "_S5_");
	package = aml_open(aml, AML_PACKAGE);
	aml_raw(aml, 4, 1);
	aml_integer(aml, ACPI_SLEEP_TYPE_S5);
	for (unsigned i = 0; i < 3; i++)
		aml_integer(aml, 0);
	aml_close(aml, package);
}

void acpi_dsdt_body(struct aml *aml, const struct acpi_config *config)
{
	size_t scope = aml_open(aml, AML_SCOPE);

	aml_bytes(aml, "\\_SB_", 5);
	for (unsigned i = 0; i < config->cpu_count; i++)
		add_cpu(aml, i);
	add_serial(aml, config);
	for (unsigned i = 0; i < config->mmio_count; i++)
		add_virtio(aml, i, &config->mmio[i]);
	add_power_button(aml);
	add_event_device(aml, config);
	aml_close(aml, scope);
	add_soft_off(aml);
}
