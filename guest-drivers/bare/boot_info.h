/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* boot_info.h - what the loader told us, copied before its memory is given to anyone.
 *
 * Source: Xen "x86/HVM direct boot ABI" (struct hvm_start_info); ACPI 6.4 §5.2.5 "Root System
 * Description Pointer", §5.2.12 "Multiple APIC Description Table".
 */
#ifndef BARE_BOOT_INFO_H
#define BARE_BOOT_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BOOT_MAX_RANGES = 32, BOOT_CMDLINE_BYTES = 2048, BOOT_RANGE_RAM = 1 };

struct boot_range {
	uint64_t start, len_bytes;
	uint32_t type; /* e820: BOOT_RANGE_RAM or not RAM */
	uint32_t reserved;
};

struct boot_info {
	char cmdline[BOOT_CMDLINE_BYTES];
	unsigned range_count;
	struct boot_range ranges[BOOT_MAX_RANGES];
	uint64_t rsdp;
};

/* False: @start_info is not one. */
bool boot_info_read(uint64_t start_info, struct boot_info *ret_info);

/* The usable processors' APIC ids by the MADT, this one's first in any case; returns the count. */
unsigned boot_info_cpus(const struct boot_info *info, uint8_t self, uint8_t *ret_apic_ids,
			unsigned capacity);

#endif
