/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* prepare.h - guest memory that will be touched in a moment: have it ready.
 *
 * For: whoever knows what the guest touches next (a deflating balloon). A wish, not an order: nothing
 * is prepared while the host is short, and nothing fails.
 */
#ifndef NEAP_MEMORY_PREPARE_H
#define NEAP_MEMORY_PREPARE_H

#include "memory/ram.h"

/* [gpa, gpa + len_bytes) of RAM. Takes at most about 1 ms; what is left is done in the background.
 * Any thread that may wait that long. */
void ram_prepare(struct ram *ram, gpa_t gpa, uint64_t len_bytes);

#endif
