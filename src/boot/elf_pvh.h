/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* elf_pvh.h - ELF64 kernels that carry a PVH entry note. */
#ifndef NEAP_BOOT_ELF_PVH_H
#define NEAP_BOOT_ELF_PVH_H

#include "boot/guest_map.h"
#include "boot/image.h"
#include "boot/placement.h"

/**
 * elf_pvh_load() - copy an ELF's segments into guest RAM and find its PVH entry
 *
 * Return: 0; -EINVAL: @err says what is wrong with the file; -ENOSPC: the host cannot back it.
 * Source: System V ABI, "Program Header"; Xen public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY.
 */
int elf_pvh_load(const struct image *image, struct ram *ram, gpa_t *ret_entry,
		 uint64_t *ret_kernel_end, struct err *err);

/**
 * elf_pvh_write_start_info() - hvm_start_info, its module list and memory map
 * Return: 0 or a negative errno with @err set.
 * Source: Xen docs/misc/pvh.pandoc "Memory layout"; public/arch-x86/hvm/start_info.h, version 1.
 */
int elf_pvh_write_start_info(struct ram *ram, const struct guest_map *map, gpa_t rsdp,
			     const struct placed_initrd *initrd, struct err *err);

#endif
