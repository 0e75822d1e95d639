/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* long_mode.h - the GDT and page tables that a kernel entered in 64-bit mode finds.
 *
 * GDT: row 2 (selector 0x10) flat 64-bit code, row 3 (0x18) flat data, as Linux's 64-bit boot
 * protocol asks; rows 0 and 1 are null. Pages: 2 MiB, identity, the first 4 GiB.
 */
#ifndef NEAP_BOOT_LONG_MODE_H
#define NEAP_BOOT_LONG_MODE_H

#include "base/err.h"
#include "memory/ram.h"

/* At GUEST_GDT and GUEST_PAGE_TABLES. 0 or a negative errno with @err set. */
int long_mode_write(struct ram *ram, struct err *err);

#endif
