/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* layout.h - where guest RAM lies in guest physical space, and in the backing file.
 *
 *   0 ............... 3 GiB   RAM (region 0)
 *   3 GiB ........... 4 GiB   the hole: devices, I/O APIC, local APICs. Never RAM.
 *   4 GiB ...                 RAM (region 1), the rest
 *
 * Offsets in the backing file run through both regions without a gap. Frame number =
 * offset / frame_bytes. RAM is a multiple of frame_bytes, so no frame straddles anything.
 * Pure: no I/O, no allocation. Threads: immutable after init.
 */
#ifndef NEAP_MEMORY_LAYOUT_H
#define NEAP_MEMORY_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/gpa.h"
#include "base/units.h"

#define RAM_HOLE_START (3 * GIB_BYTES)
#define RAM_HOLE_END   (4 * GIB_BYTES)
#define RAM_MAX_BYTES  (TIB_BYTES - (RAM_HOLE_END - RAM_HOLE_START)) /* 1 TiB of address space */

enum { RAM_MAX_REGIONS = 2 };

struct ram_region {
	gpa_t start;
	uint64_t len_bytes;
	uint64_t offset_bytes; /* of its first byte in the backing file */
};

struct ram_layout {
	uint64_t ram_bytes;
	uint64_t frame_bytes;
	unsigned region_count;
	struct ram_region regions[RAM_MAX_REGIONS];
};

/* 0; -EINVAL: zero or not a multiple of the frame; -ERANGE: more than RAM_MAX_BYTES. */
int ram_layout_init(uint64_t ram_bytes, uint64_t frame_bytes, struct ram_layout *ret_layout,
		    struct err *err);

/* True when [gpa, gpa + len_bytes) is RAM within one region; then its offset in the backing file.
 */
bool ram_layout_offset(const struct ram_layout *layout, gpa_t gpa, uint64_t len_bytes,
		       uint64_t *ret_offset_bytes);

/* The guest address of a backing-file offset below ram_bytes. */
gpa_t ram_layout_gpa(const struct ram_layout *layout, uint64_t offset_bytes);

#endif
