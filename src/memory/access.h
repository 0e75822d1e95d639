/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* access.h - the only place that turns a guest address into a pointer.
 *
 * Every function checks that the whole range is RAM within one region and makes sure that the host
 * has memory behind it (allocating it, or having it read back from swap, if need be).
 *
 * ram_read(), ram_write() and ram_zero() hold the frames (hold.h) while they work on them, so they
 * never wait for a frame that went away in between. A pointer of ram_ptr() can be used without
 * SIGBUS until the caller's thread next gives frames back, but its user may have to wait: it is for
 * before the guest runs. Devices hold instead.
 *
 * Return, all: 0; -EFAULT: not RAM, wraps, or straddles the hole; -ENOSPC: the host cannot back
 * it now: leave the guest's request as it is and try again later. No guest byte was changed.
 * An empty range is RAM when its address is.
 * Threads: any with a pager; without one, the I/O thread (which also discards), or any while
 * nothing can discard: before the vCPUs start, or when they are paused. Guest memory changes under
 * you all the same: read each field once, check the copy, use it.
 * Cost: two atomic operations per 2 MiB block that is there; a zeroed frame or a read from swap for
 * one that is not (150 us, 2 ms), so bound a length that a guest chose.
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
