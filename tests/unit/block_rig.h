/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* block_rig.h - guest RAM whose swap is an array here, for tests of blocks' single steps.
 *
 * The linker gives the rig two calls that are meant for the swapper: engine_read_back() and
 * engine_forget(). Blocks "on disk" are buffers; a thread reads them back when the pager asks, or
 * only when the test says so (rig_read_by_hand()).
 */
#ifndef NEAP_TESTS_UNIT_BLOCK_RIG_H
#define NEAP_TESTS_UNIT_BLOCK_RIG_H

#include "../support/hugemount.h"

#include "memory/block.h"
#include "memory/ram_internal.h"

enum {
	RIG_BLOCKS = 6,
	RIG_LAST = RIG_BLOCKS - 1, /* on 4 KiB memory this one is short */
	RIG_LAST_PAGES = 5,
	RIG_POOL_FRAMES = 8,
	RIG_PATIENCE_S = 20
};

/* From main(): the frames of this run, "2M" or "4K". Skips the program where it cannot run. */
void rig_choose_frames(int argc, char **argv);
bool rig_is_huge(void);
const char *rig_pool_dir(void);

/* RIG_BLOCKS blocks, all ABSENT but perhaps the first. @dead as in struct ram_events. */
struct ram *rig_open(bool (*dead)(void *ctx, uint64_t first_page, uint64_t *ret_dead));
void rig_close(struct ram *ram); /* and checks that all counters add up */

/* Reads that the pager asks for wait until rig_serve(). */
void rig_read_by_hand(bool by_hand);

/* READING -> RESIDENT or SAMPLED, with the bytes that rig_store() kept. */
bool rig_serve(struct ram *ram, uint64_t block, bool map);

/* WRITING: keep the block's bytes, as a worker does between begin and end. */
void rig_store(const struct ram *ram, uint64_t block);

/* RESIDENT or SAMPLED -> SWAPPED: begin, store, end. 0, -EBUSY, or -ECANCELED: it was aborted. */
int rig_evict(struct ram *ram, uint64_t block);

/* Wait for the pager to let go of the block's lock: it wakes who slept before it does. */
void rig_quiet(struct ram *ram, uint64_t block);

/* How often engine_forget() was called for @block. */
unsigned rig_drops(uint64_t block);

enum frame_state rig_state(const struct ram *ram, uint64_t block);
uint64_t rig_flags(const struct ram *ram, uint64_t block);

/* Yield until the block is in @state with all of @flags; fails after RIG_PATIENCE_S. */
void rig_await(const struct ram *ram, uint64_t block, enum frame_state state, uint64_t flags);

/* Through the guest view, as a guest does it. */
void rig_fill(struct ram *ram, uint64_t block, uint64_t seed);
void rig_assert_filled(struct ram *ram, uint64_t block, uint64_t seed);
void rig_assert_zeros(struct ram *ram, uint64_t block);
volatile uint64_t *rig_word(const struct ram *ram, uint64_t block, uint64_t index);

#endif
