/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* long_mode.c - see long_mode.h.
 *
 * Sources: AMD64 APM vol. 2, 4.8 "Long-Mode Segment Descriptors", 5.3 "Long-Mode Page
 * Translation"; Linux Documentation/x86/boot.rst "64-bit Boot Protocol".
 */
#include "boot/long_mode.h"

#include "boot/guest_map.h"
#include "boot/image.h"
#include "memory/access.h"

#define GDT_CODE64 UINT64_C(0x00af9b000000ffff) /* present, ring 0, execute/read, long */
#define GDT_DATA   UINT64_C(0x00cf93000000ffff) /* present, ring 0, read/write, 4 GiB */

#define PAGE_PRESENT  (UINT64_C(1) << 0)
#define PAGE_WRITABLE (UINT64_C(1) << 1)
#define PAGE_LARGE    (UINT64_C(1) << 7)

enum { TABLE_ROWS = 512, IDENTITY_GIB = 4, TABLE_COUNT = 2 + IDENTITY_GIB };

_Static_assert(GUEST_PAGE_TABLES + TABLE_COUNT * GUEST_PAGE_BYTES <= GUEST_LOW_END, "below 1 MiB");

static uint64_t table_addr(unsigned index)
{
	return GUEST_PAGE_TABLES + index * GUEST_PAGE_BYTES;
}

/* Table 0 is the PML4, table 1 the PDPT, the rest a page directory per GiB. */
static void fill_tables(uint64_t tables[TABLE_COUNT][TABLE_ROWS])
{
	tables[0][0] = table_addr(1) | PAGE_PRESENT | PAGE_WRITABLE;
	for (unsigned gib = 0; gib < IDENTITY_GIB; gib++) {
		tables[1][gib] = table_addr(2 + gib) | PAGE_PRESENT | PAGE_WRITABLE;
		for (unsigned row = 0; row < TABLE_ROWS; row++)
			tables[2 + gib][row] = (gib * GIB_BYTES + row * HUGE_FRAME_BYTES) |
					       PAGE_PRESENT | PAGE_WRITABLE | PAGE_LARGE;
	}
}

int long_mode_write(struct ram *ram, struct err *err)
{
	const uint64_t gdt[] = { 0, 0, GDT_CODE64, GDT_DATA };
	const uint64_t tables_bytes = TABLE_COUNT * GUEST_PAGE_BYTES;
	void *tables;
	int failed = ram_write(ram, GPA(GUEST_GDT), gdt, sizeof(gdt));

	if (!failed)
		failed = ram_zero(ram, GPA(GUEST_PAGE_TABLES), tables_bytes);
	if (!failed)
		failed = ram_ptr(ram, GPA(GUEST_PAGE_TABLES), tables_bytes, &tables);
	if (failed)
		return image_ram_failed(failed, "page tables", GPA(GUEST_PAGE_TABLES), err);
	fill_tables(tables);
	return 0;
}
