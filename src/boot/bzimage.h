/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bzimage.h - Linux's compressed image, entered at its 64-bit entry. */
#ifndef NEAP_BOOT_BZIMAGE_H
#define NEAP_BOOT_BZIMAGE_H

#include "boot/guest_map.h"
#include "boot/image.h"
#include "boot/placement.h"

/* boot_params, and where in it the setup header of a bzImage lies: at the same offset as in the
 * file, up to BZIMAGE_HEADER_MAX. */
enum { BOOT_PARAMS_BYTES = 4096, BZIMAGE_HEADER_MAX = 0x290 };

struct bzimage {
	gpa_t entry;
	uint64_t kernel_end;	    /* the first address it leaves alone */
	uint64_t initrd_end;	    /* the first address an initrd may not touch */
	uint64_t cmdline_max_bytes; /* without the NUL */
	uint8_t header[BZIMAGE_HEADER_MAX];
};

/* "HdrS" where a bzImage has it? */
bool bzimage_detect(const struct image *image);

/**
 * bzimage_load() - check the setup header and copy the protected-mode kernel to its place
 * Return: 0; -EINVAL: @err says what is wrong with the file; -ENOSPC: the host cannot back it.
 * Source: Linux Documentation/x86/boot.rst, "The Real-Mode Kernel Header", "64-bit Boot Protocol".
 */
int bzimage_load(const struct image *image, struct ram *ram, struct bzimage *ret_kernel,
		 struct err *err);

/**
 * bzimage_write_boot_params() - the "zero page" at GUEST_BOOT_PARAMS
 * Return: 0 or a negative errno with @err set.
 * Source: Linux Documentation/x86/zero-page.rst.
 */
int bzimage_write_boot_params(const struct bzimage *kernel, struct ram *ram,
			      const struct guest_map *map, gpa_t rsdp,
			      const struct placed_initrd *initrd, struct err *err);

#endif
