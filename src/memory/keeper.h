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

/* The pager's, after each answered touch; never blocks. Returns how many blocks after @block the
 * pager shall map right away (they are prepared; the guest goes that way). */
unsigned keeper_touched(struct keeper *keeper, uint64_t block, bool was_fresh);

/* The pager's: the pool is empty. Gives prepared blocks back at once; how many. */
uint64_t keeper_give_back(struct keeper *keeper);

void keeper_read_statistics(const struct keeper *keeper, struct ram_statistics *statistics);

/* Blocks that were sampled and not touched since, the coldest first: for the swapper. Any thread.
 * Returns how many were written to @ret_blocks. */
unsigned keeper_coldest(struct keeper *keeper, uint64_t *ret_blocks, unsigned room);

#endif
