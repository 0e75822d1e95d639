/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* keeper.h - the thread of low priority that prepares blocks ahead of need and samples which are in
 * use. Inside memory/ only. sampler.h and ahead.h are its two jobs.
 */
#ifndef NEAP_MEMORY_KEEPER_H
#define NEAP_MEMORY_KEEPER_H

#include "memory/ram.h"

struct keeper; /* opaque */

int keeper_start(struct ram *ram, const struct ram_config *config, struct keeper **ret_keeper,
		 struct err *err);
void keeper_stop(struct keeper *keeper);

/* The pager's, after each answered touch; never blocks. Returns how many blocks next to @block the
 * pager shall map right away (they are prepared; the guest goes that way): block + 1, block + 2, ...
 * when positive, block - 1, ... when negative. */
int keeper_touched(struct keeper *keeper, uint64_t block);

/* @block will be locked by the caller, the pager: if we are at it, we go as fast as we may. */
void keeper_hurry(struct keeper *keeper, uint64_t block);

/* The pool is empty, any thread: gives prepared blocks back at once (a bounded number; the rest
 * follows soon, and none is prepared for a while); how many. */
uint64_t keeper_give_back(struct keeper *keeper);

/* Blocks that were discarded: none of them is prepared until it is touched or keeper_prepare() asks
 * for it, so that what was given back stays given back. Any thread, never blocks. */
void keeper_discarded(struct keeper *keeper, uint64_t first_block, uint64_t block_count);

/* These blocks will be touched soon: prepare some now (about 1 ms at most), the rest on our
 * thread. Any thread but the pager's. */
void keeper_prepare(struct keeper *keeper, uint64_t first_block, uint64_t block_count);

/* The VM's limit (ram_set_limit()): nothing is prepared beyond it. 0: none. Any thread. */
void keeper_set_limit(struct keeper *keeper, uint64_t limit_bytes);

/* And what it was granted of the host (ram_set_grant()). */
void keeper_set_grant(struct keeper *keeper, uint64_t grant_bytes);

void keeper_read_statistics(const struct keeper *keeper, struct ram_statistics *statistics);

/* Blocks that were sampled and not touched since, the coldest first: for the swapper. Any thread.
 * Returns how many were written to @ret_blocks. */
unsigned keeper_coldest(struct keeper *keeper, uint64_t *ret_blocks, unsigned room);

#endif
