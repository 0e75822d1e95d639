/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* hold.h - guest memory that the kernel works on: keep its frames where they are.
 *
 * A read or write that the kernel does on guest memory (O_DIRECT, io_uring, a socket) pins the
 * page it found; if that frame were given back or swapped meanwhile, the data would land in a page
 * nobody sees. So: hold, start the I/O, and release when it is done. Holds count; they may overlap.
 * A held frame is not sampled, swapped or discarded; a discard answers -EBUSY and is tried again.
 * Threads: any.
 */
#ifndef NEAP_MEMORY_HOLD_H
#define NEAP_MEMORY_HOLD_H

#include "memory/ram.h"

/**
 * ram_hold() - make [gpa, gpa + len_bytes) present and keep it so; @ret_pointer is where
 *
 * Brings back what is in swap (waits for at most HOLD_WAIT_MS for it).
 * Return: 0; -EFAULT: not RAM in one region; -ENOSPC: cannot be backed now, try again later;
 * -EBUSY: too many holds. Nothing is held unless 0.
 */
int ram_hold(struct ram *ram, gpa_t gpa, uint64_t len_bytes, void **ret_pointer);

/* Exactly what was held. */
void ram_release(struct ram *ram, gpa_t gpa, uint64_t len_bytes);

enum { HOLD_WAIT_MS = 50 };

#endif
