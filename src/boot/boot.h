/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* boot.h - put a kernel, its initrd and its tables into guest RAM, and say how to enter it.
 *
 * For: ELF64 kernels with a PVH note, and bzImages by the 64-bit entry. Files are untrusted.
 * Not for: vCPU registers (machine turns struct boot_entry into kvm's), devices.
 * Threads: runs before any vCPU. Owner: keeps nothing; all of it ends up in guest RAM.
 */
#ifndef NEAP_BOOT_BOOT_H
#define NEAP_BOOT_BOOT_H

#include <stddef.h>

#include "base/err.h"
#include "base/gpa.h"
#include "memory/ram.h"

enum boot_protocol {
	BOOT_PVH,     /* 32-bit protected mode, flat segments, paging off, ebx = start_info */
	BOOT_LINUX64, /* 64-bit long mode, identity map of low 4 GiB, rsi = boot_params, cs = 0x10,
			 data 0x18 */
};

struct boot_entry {
	enum boot_protocol protocol;
	gpa_t entry;	  /* first instruction */
	gpa_t parameter;  /* hvm_start_info or boot_params */
	gpa_t gdt;	  /* BOOT_LINUX64: see long_mode.h for its rows */
	gpa_t page_table; /* BOOT_LINUX64: cr3 */
};

/* A virtio-mmio device, the serial port and so on, for the DSDT. */
struct acpi_mmio_device {
	uint64_t start;
	uint32_t len_bytes;
	uint32_t gsi;
};

enum { ACPI_MAX_MMIO_DEVICES = 16 };

/* Where the machine's parts are. One struct, filled by machine from its board table. */
struct acpi_config {
	unsigned cpu_count; /* APIC id = index; more than 255 use x2APIC entries */
	uint32_t lapic_addr, ioapic_addr;
	uint16_t serial_port;
	uint32_t serial_gsi;
	uint16_t ged_port; /* 4 bytes: pending events, read and cleared by the GED's _EVT */
	uint32_t ged_gsi;
	uint16_t sleep_control_port, sleep_status_port, reset_port; /* 1 byte each */
	uint8_t reset_value;
	unsigned mmio_count;
	struct acpi_mmio_device mmio[ACPI_MAX_MMIO_DEVICES]; /* virtio-mmio, _HID LNRO0005 */
};

/* GED events: bit n of the ged_port register. */
enum { GED_EVENT_POWER_BUTTON = 0 };
/* SLP_TYP of soft-off in _S5. */
enum { ACPI_SLEEP_TYPE_S5 = 5 };

struct boot_config {
	struct ram *ram;
	/* The kernel: a file, or an image already in memory (the embedded guest). */
	const char *kernel_path;
	const void *kernel_image;
	size_t kernel_image_bytes;
	const char *initrd_path; /* or NULL */
	const char *cmdline;
	const struct acpi_config *acpi;
};

/**
 * boot_load() - everything a guest finds in RAM when it starts
 * Return: 0; -EINVAL/-E2BIG/-ENOENT...: one sentence in @err that names the file and what is wrong.
 */
int boot_load(const struct boot_config *config, struct boot_entry *ret_entry, struct err *err);

/* Writes RSDP, XSDT, FADT, MADT, DSDT and the reset vector into the ACPI area; @ret_rsdp for
 * start_info/boot_params. */
int acpi_write_tables(struct ram *ram, const struct acpi_config *config, gpa_t *ret_rsdp,
		      struct err *err);

#endif
