/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* block.h - the steps of a block's life, each whole under its lock. Inside memory/ only.
 *
 * What maps, unmaps, allocates and punches once the guest runs is behind this. Every function takes
 * the lock, does its system calls, moves the state and gives the lock back; none waits for I/O.
 * Return, where not said otherwise: 0; -EBUSY: the block's state or its users do not allow it now;
 * another negative errno.
 * Threads: any, unless it says so. None touches the guest view.
 */
#ifndef NEAP_MEMORY_BLOCK_H
#define NEAP_MEMORY_BLOCK_H

#include "memory/frames.h"
#include "memory/ram.h"
#include "memory/runs.h"

/* What became of a touch. */
enum touch {
	TOUCH_MAPPED,	 /* there and mapped; who slept was woken */
	TOUCH_NO_MEMORY, /* the host has no frame: try again */
	TOUCH_HELD,	 /* the VM may not take one now: the same. Not block_touch()'s */
	TOUCH_SWAPPED,	 /* it was SWAPPED and is READING now: the caller has it read back */
	TOUCH_READING,	 /* somebody reads it back already, and will wake who sleeps */
	TOUCH_FAILED	 /* an error that no retry mends */
};

/* Somebody touched the guest view at @offset_bytes of the file. On 4 KiB memory the missing pages of
 * @run around it are made at once; NULL: only that one. @ret_was_fresh (may be NULL): it had been
 * prepared. */
enum touch block_touch(struct ram *ram, uint64_t offset_bytes, const struct page_run *run,
		       bool *ret_was_fresh);

/* Ahead of need. */
int block_prepare(struct ram *ram, uint64_t block);    /* ABSENT -> SAMPLED, FRESH; -ENOSPC */
int block_map_ahead(struct ram *ram, uint64_t block);  /* SAMPLED -> RESIDENT */
int block_drop_fresh(struct ram *ram, uint64_t block); /* SAMPLED, FRESH -> ABSENT */

/* Sampling: RESIDENT -> SAMPLED. A touch makes it RESIDENT again. */
int block_unmap(struct ram *ram, uint64_t block);

/* Out. begin: RESIDENT or SAMPLED -> WRITING, FRAME_WRITER; its bytes are then read through
 * block_data(). end: -> SWAPPED or ABSENT, the frame given back, true; or false: the guest came
 * first (or @outcome says it was not stored): it stays in RAM, and what was stored is to be dropped. */
enum write_outcome { WRITE_STORED, WRITE_ZERO, WRITE_FAILED };
int block_write_begin(struct ram *ram, uint64_t block);
bool block_write_end(struct ram *ram, uint64_t block, enum write_outcome outcome);

/* In. begin: SWAPPED -> READING (block_touch() does it too). allocate: a zeroed frame behind
 * block_data(): -ENOSPC: not now, it stays READING. end: checked, and mapped if @map or if somebody
 * came to want it: -> RESIDENT, else SAMPLED; true: mapped. fail: the frame is given back,
 * -> SWAPPED; who sleeps sleeps on. */
int block_read_begin(struct ram *ram, uint64_t block);
int block_read_allocate(struct ram *ram, uint64_t block);
bool block_read_end(struct ram *ram, uint64_t block, bool map);
void block_read_fail(struct ram *ram, uint64_t block);

/* Give [first, first + count) blocks back, all of them or, where one is in use, as many as can be
 * now: -EBUSY then. Blocks that hold nothing cost a look each. */
int block_discard(struct ram *ram, uint64_t first_block, uint64_t block_count);

/* 4 KiB memory: give part of one block back. What is in swap stays there. */
int block_discard_part(struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes);

/* The block in the host view, and how long it is. Only between begin and end above. */
void *block_data(const struct ram *ram, uint64_t block);
uint64_t block_bytes(const struct ram *ram, uint64_t block);

/* The pages of a block whose content matters: in the file and not declared dead (ram_events.dead).
 * @ret_live: BLOCK_PAGE_WORDS words. Between write_begin and write_end. */
void block_live_pages(const struct ram *ram, uint64_t block, uint64_t *ret_live);

#endif
