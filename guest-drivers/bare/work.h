/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* work.h - the workloads: what fills memory, reads it back, and loses nothing.
 *
 * Threads: any processor. On the boot processor they keep the devices going.
 */
#ifndef BARE_WORK_H
#define BARE_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "alloc.h"
#include "pattern.h"

/* Looks after the devices (boot processor; nothing on others). Called by all long work. */
void work_poll(void);

/* Adds @bytes to the working set; returns what was added: less when memory ran out. @order: of the
 * addresses. */
uint64_t work_fill(uint64_t bytes, uint32_t seed, enum alloc_order order);

struct work_verdict {
	uint64_t pages, bad_pages, bad_bytes;
	uint64_t first_bad; /* address */
	uint8_t expected, seen;
};
struct work_verdict work_verify(void);

/* One bit of one byte, anywhere in the working set. False: it is empty. */
bool work_spoil(uint64_t *ret_address);

struct work_latency {
	uint64_t pages, total_ns, worst_ns;
};
/* Writes to @bytes of the working set, page by page around it, at @bytes_per_s (0: as fast as it
 * goes). */
struct work_latency work_touch(uint64_t bytes, uint64_t bytes_per_s);

/* Takes from the working set; returns the bytes. */
uint64_t work_free(uint64_t bytes, bool whole_blocks);

/* Spins for @ns. Returns rounds of a loop, a measure of speed. */
uint64_t work_spin(uint64_t ns);

/* Sleeps until @ns have gone by. */
void work_sleep(uint64_t ns);

#endif
