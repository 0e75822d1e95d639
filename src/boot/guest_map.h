/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* guest_map.h - what lies where below 1 MiB when a guest starts, and which of it is RAM.
 *
 * Everything here fits the first 2 MiB frame, so that starting a guest touches one frame besides
 * its kernel's. The kernel's own memory begins at 1 MiB (GUEST_KERNEL_MIN).
 */
#ifndef NEAP_BOOT_GUEST_MAP_H
#define NEAP_BOOT_GUEST_MAP_H

#include "memory/ram.h"

#define GUEST_GDT	  UINT64_C(0x1000)
#define GUEST_START_INFO  UINT64_C(0x2000) /* hvm_start_info, module list, memory map */
#define GUEST_BOOT_PARAMS UINT64_C(0x3000) /* "zero page", 4 KiB */
#define GUEST_CMDLINE	  UINT64_C(0x4000) /* NUL-terminated */
#define GUEST_PAGE_TABLES UINT64_C(0x10000)
#define GUEST_LOW_END	  UINT64_C(0x9fc00) /* RAM ends here; a PC's EBDA and VGA follow */
#define GUEST_ACPI_START  UINT64_C(0xc0000) /* reserved: ACPI tables, RSDP in its last 64 bytes */
#define GUEST_ACPI_END	  UINT64_C(0x100000)
#define GUEST_KERNEL_MIN  UINT64_C(0x100000)

/* Linux's COMMAND_LINE_SIZE on x86 less its NUL. A PVH kernel cannot say what it takes, and Linux
 * cuts silently, so neap refuses more. */
enum { GUEST_CMDLINE_MAX_BYTES = 2047 };

/* Types of a row: the numbers of E820 and of hvm_memmap_table_entry, which agree. */
enum guest_map_type { GUEST_MAP_RAM = 1, GUEST_MAP_RESERVED = 2 };

struct guest_map_row {
	uint64_t start;
	uint64_t len_bytes;
	enum guest_map_type type;
};

enum { GUEST_MAP_MAX_ROWS = 3 + RAM_MAX_REGIONS };

struct guest_map {
	unsigned count;
	struct guest_map_row rows[GUEST_MAP_MAX_ROWS];
};

/* The end of RAM below the hole: kernels and initrds lie under it. */
uint64_t guest_low_ram_end(const struct ram *ram);

void guest_map_init(const struct ram *ram, struct guest_map *ret_map);

#endif
