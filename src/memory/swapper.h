/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swapper.h - the threads that take blocks to the swap file and back. Inside memory/ only.
 *
 * For: reading back what was touched (first), choosing and writing out what is cold when memory is
 * short or above the limit, reading ahead, bringing back when the shortage is over. Not for: what a
 * block may do (block.h), where its bytes are on disk (swap_store.h).
 */
#ifndef NEAP_MEMORY_SWAPPER_H
#define NEAP_MEMORY_SWAPPER_H

#include "memory/ram.h"

struct swapper; /* opaque */

/* Nothing is done before swapper_resume(): the pager has to be there first. */
int swapper_start(struct ram *ram, const struct ram_config *config, struct swapper **ret_swapper,
		  struct err *err);
void swapper_stop(struct swapper *swapper); /* nobody touches the guest view any more */

/* The pager's: @block is READING, somebody sleeps for it. False: the queue is full, ask again. Never
 * blocks. When a block was read back, could not be, or was evicted, engine_arrived() is called. */
bool swapper_read(struct swapper *swapper, uint64_t block);

/* The pager's, after a touch of a block that was in RAM already but not mapped (or was not there at
 * all): sweeps are followed by it, and the limit is looked after. Never blocks. */
void swapper_touched(struct swapper *swapper, uint64_t block);

/* The host has no frame for a touch: give some back soon. Any thread, never blocks. */
void swapper_want_frames(struct swapper *swapper);

/* May this VM take one more block, or is it at its limit? False wakes a worker; ask again when one
 * was evicted. True whenever nothing can be evicted: nobody waits for ever because of a limit. Any
 * thread, never blocks. */
bool swapper_may_grow(struct swapper *swapper);

/* Can anything be evicted now, as far as we know? Any thread. */
bool swapper_can_make_room(const struct swapper *swapper);

/* A read waits for a frame now. Any thread. */
bool swapper_is_starving(const struct swapper *swapper);

void swapper_set_limit(struct swapper *swapper, uint64_t limit_bytes);
void swapper_read_statistics(const struct swapper *swapper, struct ram_statistics *statistics);

/* What was stored for a block that is discarded now is not needed. Any thread; the block's lock is
 * held and it is still SWAPPED, or what the next eviction stores would be dropped. */
void swapper_drop(struct swapper *swapper, uint64_t block);

/* Both: no worker begins anything new between them. For a reset that discards everything. */
void swapper_hush(struct swapper *swapper);
void swapper_resume(struct swapper *swapper);

#endif
