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
#include "histogram.h"
#include "order.h"
#include "pattern.h"

/* Looks after the devices (boot processor; nothing on others). Called by all long work. */
void work_poll(void);

/* Adds @bytes to the working set; returns what was added: less when memory ran out. @order: of the
 * addresses. Not while processors count: count_try_change(). */
uint64_t work_fill(uint64_t bytes, uint32_t seed, enum alloc_order order);

/* How the working set is walked: upwards, or in pieces of @grain_bytes, shuffled. */
struct work_way {
	bool shuffled;
	uint64_t grain_bytes, seed;
};
void work_order(const struct work_way *way, struct order *ret_order);

struct work_verdict {
	uint64_t pages, bad_pages, bad_bytes;
	uint64_t first_bad; /* address */
	uint8_t expected, seen;
};
struct work_verdict work_verify(const struct work_way *way);

/* One bit of one byte, anywhere in the working set. False: it is empty. */
bool work_spoil(uint64_t *ret_address);

/* Writes to @bytes of the working set, page by page around it, at @bytes_per_s (0: as fast as it
 * goes). @ret_times: of the writes. */
void work_touch(uint64_t bytes, uint64_t bytes_per_s, const struct work_way *way,
		struct histogram *ret_times);

struct work_hot {
	uint64_t blocks, of_blocks, touches;
};
/* Writes for @ns to @percent of the blocks that hold pages of the working set, the same ones over
 * and over, chosen by @seed, and leaves the others alone. */
struct work_hot work_hot(uint64_t percent, uint64_t ns, uint64_t seed);

/* Takes from the working set; returns the bytes. As work_fill(). */
uint64_t work_free(uint64_t bytes, bool whole_blocks);

/* Spins for @ns. Returns rounds of a loop, a measure of speed. */
uint64_t work_spin(uint64_t ns);

/* Sleeps until @ns have gone by. */
void work_sleep(uint64_t ns);

#endif
