/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* access.h - the only place that turns a guest address into a pointer.
 *
 * Every function checks that the whole range is RAM within one region and that the host has
 * memory behind it (allocating it if need be), so the returned pointer can be used without SIGBUS
 * until the caller's thread next gives frames back. Do not keep pointers across that.
 *
 * Return, all: 0; -EFAULT: not RAM, wraps, or straddles the hole; -ENOSPC: the host cannot back
 * it now: leave the guest's request as it is and try again later. No guest byte was changed.
 * An empty range is RAM when its address is.
 * Threads: the I/O thread (which also discards), or any while nothing can discard: before the
 * vCPUs start, or when they are paused. Guest memory changes under you all the same: read each
 * field once, check the copy, use it.
 * Cost: one bit test per 64 frames once they are known to be there; a fallocate for those not yet
 * known (150 us per 2 MiB if they must be zeroed), so bound a length that a guest chose.
 */
#ifndef NEAP_MEMORY_ACCESS_H
#define NEAP_MEMORY_ACCESS_H

#include "memory/ram.h"

int ram_ptr(struct ram *ram, gpa_t gpa, uint64_t len_bytes, void **ret_pointer);
int ram_read(struct ram *ram, gpa_t gpa, void *to, uint64_t len_bytes);
int ram_write(struct ram *ram, gpa_t gpa, const void *from, uint64_t len_bytes);
int ram_zero(struct ram *ram, gpa_t gpa, uint64_t len_bytes);

/* Is [gpa, gpa + len_bytes) RAM within one region? Touches nothing. */
bool ram_contains(const struct ram *ram, gpa_t gpa, uint64_t len_bytes);

#endif
