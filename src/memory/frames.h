/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* frames.h - the frame table: the one state of every block of guest RAM. Inside memory/ only.
 *
 * A block is 2 MiB of guest RAM, aligned in the backing file, and has one state. On huge pages it
 * is one frame; on 4 KiB memory, 512 frames that are swapped, sampled and prepared together (the
 * last block may be shorter). Six states for every 4 KiB would cost four times the memory that
 * this table may have.
 *
 * For: who may do what to a block now. Not for: doing it (block.h).
 * frames.c has the drawing, the invariants and what a word holds.
 * Threads: any; nothing allocates after frames_init(), nothing sleeps but frames_lock(), which
 * waits for another thread's step on the same block (a system call or two).
 */
#ifndef NEAP_MEMORY_FRAMES_H
#define NEAP_MEMORY_FRAMES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/units.h"
#include "memory/frame_state.h"

#define BLOCK_BYTES HUGE_FRAME_BYTES

enum { BLOCK_SHIFT = HUGE_FRAME_SHIFT };

/* Who moved a block: for the trace. */
enum frame_actor {
	ACTOR_PAGER,
	ACTOR_DEVICE, /* ram_back(), ram_discard(): a device or a vCPU's exit */
	ACTOR_SWAP,
	ACTOR_SAMPLER,
	ACTOR_AHEAD,
	FRAME_ACTOR_COUNT
};

/* The rest of a word. */
#define FRAME_FRESH (UINT64_C(1) << 4) /* never touched since it was allocated: all zeros */
#define FRAME_WRITER \
	(UINT64_C(1) << 5) /* a swap worker reads it: not to be punched, whatever its state */
#define FRAME_WANTED (UINT64_C(1) << 6) /* somebody sleeps until it was read back */
#define FRAME_FLAGS  (FRAME_FRESH | FRAME_WRITER | FRAME_WANTED)

struct trace;

struct frames {
	_Atomic uint64_t *words;
	uint64_t block_count;
	struct trace *trace;			      /* NULL: none is kept */
	_Atomic uint64_t in_state[FRAME_STATE_COUNT]; /* blocks; ABSENT is what remains */
	_Atomic uint64_t fresh_blocks;
	_Atomic uint64_t moves[FRAME_STATE_COUNT][FRAME_STATE_COUNT];
};

/* 0 or a negative errno; every block ABSENT. */
int frames_init(struct frames *frames, uint64_t block_count);
void frames_fini(struct frames *frames); /* also on a zeroed one */

bool frames_may_move(enum frame_state from, enum frame_state to);
const char *frames_move_reason(enum frame_state from, enum frame_state to); /* NULL: not allowed */

/* A word, taken apart. */
static inline enum frame_state frame_state_of(uint64_t word)
{
	return (enum frame_state)(word & 7);
}

static inline bool frame_in_ram(enum frame_state state)
{
	return state == FRAME_RESIDENT || state == FRAME_SAMPLED || state == FRAME_WRITING;
}

unsigned frame_holds_of(uint64_t word);

/* A look without the lock: true now, maybe not later. */
uint64_t frames_peek(const struct frames *frames, uint64_t block);

/* Take the block's lock, for one short step. Returns the word. */
uint64_t frames_lock(struct frames *frames, uint64_t block);
bool frames_try_lock(struct frames *frames, uint64_t block, uint64_t *ret_word);

/* Give the lock back with a new state and FRAME_FLAGS; holds stay. An illegal move is refused: the
 * state stays, false (a defect of ours; tests see it, a guest does not). */
bool frames_unlock(struct frames *frames, uint64_t block, enum frame_state to, uint64_t flags,
		   enum frame_actor actor);
/* Nothing changed. */
void frames_unlock_same(struct frames *frames, uint64_t block);

/**
 * frames_hold() - count one more user of a block: a device, or the kernel on its behalf
 *
 * While a block is held it is neither unmapped, nor punched, nor stored. Takes no lock: one
 * compare-and-swap. False: it is not RESIDENT, or somebody has its lock, or the count is full
 * (4095): see to that, or take the lock and use frames_hold_locked().
 */
bool frames_hold(struct frames *frames, uint64_t block);
bool frames_hold_locked(struct frames *frames, uint64_t block); /* false: the count is full */
void frames_release(struct frames *frames, uint64_t block);	/* without the lock */

#endif
