/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* acpi_tables.c - RSDP, XSDT, FADT, MADT and the frame of the DSDT.
 *
 * Hardware-reduced ACPI: no PM timer, no SCI, no SMI; sleep and reset are one byte-wide port each.
 * The FADT says what a PC would have and this machine has not (8042, VGA, a CMOS clock: a kernel
 * that believes in the clock loses 5 s looking for it).
 *
 * Everything lies in [GUEST_ACPI_START, GUEST_ACPI_END), which the memory map calls reserved. The
 * RSDP is in the last 64 bytes, where a kernel that was not told its address searches for it.
 *
 * Behind the RSDP, at f000:fff0, is a PC's reset vector, 9 bytes that write the reset register.
 * Linux up to at least 6.1 takes "hardware-reduced" to mean UEFI and does not try the register:
 * without UEFI its reboot ends in a jump to that address in real mode.
 *
 * Source: ACPI 6.4 §5.2 "ACPI System Description Tables".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "boot/acpi_aml.h"
#include "boot/acpi_dsdt.h"
#include "boot/boot.h"
#include "boot/guest_map.h"
#include "boot/image.h"
#include "memory/access.h"

enum {
	HEADER_BYTES = 36,
	RSDP_BYTES = 36,
	RSDP_CHECKSUM = 8,
	RSDP_VERSION_1_BYTES = 20,
	RSDP_EXTENDED_CHECKSUM = 32,
	TABLE_LENGTH = 4,
	TABLE_CHECKSUM = 9,
	TABLE_ALIGN = 16,
	RSDP_AREA_BYTES = 64,
	RESET_VECTOR_OFFSET = 48, /* in the RSDP's area: 16 bytes below 1 MiB */
};

_Static_assert(RSDP_BYTES <= RESET_VECTOR_OFFSET, "the reset vector is behind the RSDP");

/* FADT fields, ACPI 6.4 table 5.9 "FADT Format". */
enum {
	FADT_BYTES = 276,
	FADT_DSDT = 40,
	FADT_IAPC_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_MINOR_VERSION = 131,
	FADT_X_DSDT = 140,
	FADT_SLEEP_CONTROL_REG = 244,
	FADT_SLEEP_STATUS_REG = 256,
	FADT_HYPERVISOR_ID = 268,
};

enum {
	BOOT_ARCH_NO_VGA = 1 << 2,
	BOOT_ARCH_NO_CMOS_RTC = 1 << 5,
	FADT_WBINVD = 1 << 0,
	FADT_NO_FIXED_POWER_BUTTON = 1 << 4,
	FADT_NO_FIXED_SLEEP_BUTTON = 1 << 5,
	FADT_RESET_REG_SUP = 1 << 10,
	FADT_HW_REDUCED_ACPI = 1 << 20,
	GAS_SYSTEM_IO = 1,
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_LAPIC_NMI = 4,
	MADT_X2APIC = 9,
	MADT_CPU_ENABLED = 1,
	LAPIC_ID_END = 255, /* 255 is everybody; ids from here on need x2APIC entries */
};

static void free_bytes(uint8_t **bytes)
{
	free(*bytes);
}

static uint8_t checksum(const uint8_t *bytes, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return (uint8_t)-sum;
}

/* Open a table at the next aligned place; returns its offset in the area. */
static size_t table_open(struct aml *area, const char signature[4], uint8_t revision)
{
	size_t start;

	while (!area->full && area->len % TABLE_ALIGN != 0)
		aml_raw(area, 0, 1);
	start = area->len;
	aml_bytes(area, signature, 4);
	aml_raw(area, 0, 4); /* length: table_close() */
	aml_raw(area, revision, 1);
	aml_raw(area, 0, 1); /* checksum: table_close() */
	aml_bytes(area, "NEAP  ", 6);
	aml_bytes(area, "NEAPVM  ", 8);
	aml_raw(area, 1, 4);
	aml_bytes(area, "NEAP", 4);
	aml_raw(area, 1, 4);
	return start;
}

static uint64_t table_close(struct aml *area, size_t start)
{
	uint32_t len = (uint32_t)(area->len - start);

	if (area->full)
		return 0;
	memcpy(area->bytes + start + TABLE_LENGTH, &len, sizeof(len));
	area->bytes[start + TABLE_CHECKSUM] = checksum(area->bytes + start, len);
	return GUEST_ACPI_START + start;
}

static uint64_t add_dsdt(struct aml *area, const struct acpi_config *config)
{
	size_t start = table_open(area, "DSDT", 2);

	acpi_dsdt_body(area, config);
	return table_close(area, start);
}

static void put(uint8_t *bytes, unsigned offset, unsigned len, uint64_t value)
{
	memcpy(bytes + offset, &value, len);
}

/* A Generic Address Structure: one byte at an I/O port. */
static void put_port(uint8_t *bytes, unsigned offset, uint16_t port)
{
	put(bytes, offset, 1, GAS_SYSTEM_IO);
	put(bytes, offset + 1, 1, 8); /* bits */
	put(bytes, offset + 2, 1, 0);
	put(bytes, offset + 3, 1, 1); /* byte access */
	put(bytes, offset + 4, 8, port);
}

static uint64_t add_fadt(struct aml *area, const struct acpi_config *config, uint64_t dsdt)
{
	uint8_t fadt[FADT_BYTES] = { 0 }; /* its header is written by table_open() */
	size_t start = table_open(area, "FACP", 6);

	put(fadt, FADT_DSDT, 4, dsdt);
	put(fadt, FADT_IAPC_BOOT_ARCH, 2, BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_CMOS_RTC);
	put(fadt, FADT_FLAGS, 4,
	    FADT_WBINVD | FADT_NO_FIXED_POWER_BUTTON | FADT_NO_FIXED_SLEEP_BUTTON |
		    FADT_RESET_REG_SUP | FADT_HW_REDUCED_ACPI);
	put_port(fadt, FADT_RESET_REG, config->reset_port);
	put(fadt, FADT_RESET_VALUE, 1, config->reset_value);
	put(fadt, FADT_MINOR_VERSION, 1, 4);
	put(fadt, FADT_X_DSDT, 8, dsdt);
	put_port(fadt, FADT_SLEEP_CONTROL_REG, config->sleep_control_port);
	put_port(fadt, FADT_SLEEP_STATUS_REG, config->sleep_status_port);
	memcpy(fadt + FADT_HYPERVISOR_ID, "NEAP", 4);
	aml_bytes(area, fadt + HEADER_BYTES, sizeof(fadt) - HEADER_BYTES);
	return table_close(area, start);
}

static void add_madt_cpu(struct aml *area, unsigned id)
{
	if (id < LAPIC_ID_END) {
		aml_raw(area, MADT_LAPIC | 8 << 8, 2);
		aml_raw(area, id, 1); /* _UID */
		aml_raw(area, id, 1); /* APIC id */
		aml_raw(area, MADT_CPU_ENABLED, 4);
		return;
	}
	aml_raw(area, MADT_X2APIC | 16 << 8, 2);
	aml_raw(area, 0, 2);
	aml_raw(area, id, 4);
	aml_raw(area, MADT_CPU_ENABLED, 4);
	aml_raw(area, id, 4);
}

static uint64_t add_madt(struct aml *area, const struct acpi_config *config)
{
	size_t start = table_open(area, "APIC", 5);

	aml_raw(area, config->lapic_addr, 4);
	aml_raw(area, 0, 4); /* flags: no 8259 */
	for (unsigned i = 0; i < config->cpu_count; i++)
		add_madt_cpu(area, i);
	aml_raw(area, MADT_IOAPIC | 12 << 8, 2);
	aml_raw(area, 0, 2); /* id 0 */
	aml_raw(area, config->ioapic_addr, 4);
	aml_raw(area, 0, 4); /* its first pin is GSI 0 */
	aml_raw(area, MADT_LAPIC_NMI | 6 << 8, 2);
	aml_raw(area, 0xff, 1); /* every CPU */
	aml_raw(area, 0, 2);
	aml_raw(area, 1, 1); /* LINT1 */
	return table_close(area, start);
}

static uint64_t add_xsdt(struct aml *area, uint64_t fadt, uint64_t madt)
{
	size_t start = table_open(area, "XSDT", 1);

	aml_raw(area, fadt, 8);
	aml_raw(area, madt, 8);
	return table_close(area, start);
}

static void fill_rsdp(uint8_t rsdp[RSDP_BYTES], uint64_t xsdt)
{
	memset(rsdp, 0, RSDP_BYTES);
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "NEAP  ", 6);
	put(rsdp, 15, 1, 2); /* revision */
	put(rsdp, 20, 4, RSDP_BYTES);
	put(rsdp, 24, 8, xsdt);
	rsdp[RSDP_CHECKSUM] = checksum(rsdp, RSDP_VERSION_1_BYTES);
	rsdp[RSDP_EXTENDED_CHECKSUM] = checksum(rsdp, RSDP_BYTES);
}

/* mov dx, port; mov al, value; out dx, al; hlt; jmp to the hlt */
static void fill_reset_vector(uint8_t code[16], const struct acpi_config *config)
{
	const uint8_t instructions[] = { 0xba,
					 (uint8_t)config->reset_port,
					 (uint8_t)(config->reset_port >> 8),
					 0xb0,
					 config->reset_value,
					 0xee,
					 0xf4,
					 0xeb,
					 0xfd };

	memcpy(code, instructions, sizeof(instructions));
}

static int check_counts(const struct acpi_config *config, struct err *err)
{
	if (config->cpu_count <= ACPI_MAX_CPUS && config->mmio_count <= ACPI_MAX_MMIO_DEVICES)
		return 0;
	return err_set(err, -E2BIG, "ACPI tables: %u vCPUs and %u devices are more than %d and %d",
		       config->cpu_count, config->mmio_count, ACPI_MAX_CPUS, ACPI_MAX_MMIO_DEVICES);
}

/* RSDP, reset vector, zeros. */
static void fill_last_bytes(uint8_t last[RSDP_AREA_BYTES], uint64_t xsdt,
			    const struct acpi_config *config)
{
	memset(last, 0, RSDP_AREA_BYTES);
	fill_rsdp(last, xsdt);
	fill_reset_vector(last + RESET_VECTOR_OFFSET, config);
}

int acpi_write_tables(struct ram *ram, const struct acpi_config *config, gpa_t *ret_rsdp,
		      struct err *err)
{
	const gpa_t rsdp = GPA(GUEST_ACPI_END - RSDP_AREA_BYTES);
	uint8_t last[RSDP_AREA_BYTES];
	/* Built outside the guest, so that only pages that hold a table are touched in it. */
	struct aml area = { .capacity = rsdp.addr - GUEST_ACPI_START };
	uint64_t dsdt, fadt, madt;
	int failed = check_counts(config, err);

	if (failed)
		return failed;
	CLEANUP(free_bytes)
	uint8_t *bytes = malloc(area.capacity);
	if (!bytes)
		return err_set(err, -ENOMEM, "ACPI tables: no memory for %zu bytes", area.capacity);
	area.bytes = bytes;
	dsdt = add_dsdt(&area, config);
	fadt = add_fadt(&area, config, dsdt);
	madt = add_madt(&area, config);
	fill_last_bytes(last, add_xsdt(&area, fadt, madt), config);
	if (area.full)
		return err_set(err, -E2BIG, "the ACPI tables of %u vCPUs do not fit %zu bytes",
			       config->cpu_count, area.capacity);
	failed = ram_write(ram, GPA(GUEST_ACPI_START), area.bytes, area.len);
	if (!failed)
		failed = ram_write(ram, rsdp, last, sizeof(last));
	if (failed)
		return image_ram_failed(failed, "ACPI tables", GPA(GUEST_ACPI_START), err);
	*ret_rsdp = rsdp;
	return 0;
}
