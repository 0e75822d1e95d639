/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* frames.c - the frame table; see frames.h.
 *
 *     ABSENT ---touch---> RESIDENT <--touch--- SAMPLED <--prepared--- ABSENT
 *                            |  ---unmapped--->   |
 *                            +------chosen--------+---> WRITING ---stored---> SWAPPED ---> READING
 *     WRITING: touch -> RESIDENT; not stored -> SAMPLED; all zeros -> ABSENT
 *     READING: read back -> RESIDENT or SAMPLED; not now -> SWAPPED
 *     RESIDENT, SAMPLED, SWAPPED: discarded -> ABSENT
 *
 * frame_moves.def has every arrow with its reason.
 *
 * A word: bits 0-2 the state; bit 3 LOCKED; bits 4-6 FRAME_FLAGS; bits 8-19 the holds.
 *
 * Invariants
 *  B1  A word's state changes only under its lock, by frames_unlock(), and only along a MOVE.
 *  B2  The lock is held over the system calls of one step and never over I/O, another block's lock
 *      or a callback; a run of neighbours may be locked together in ascending order (discard).
 *  B3  ABSENT: the block has no page in the file. RESIDENT, SAMPLED, WRITING: its pages are in the
 *      file. SWAPPED: it has none there. READING: it may, and only its reader looks at them. (On
 *      4 KiB memory "its pages" are those in known.h; a missing one is a page of zeros.)
 *  B4  RESIDENT: mapped in the guest view, or about to be by who holds the lock. All other states
 *      are unmapped there: whoever touches them asks the pager.
 *  B5  holds > 0 => the state is RESIDENT or SAMPLED. FRAME_WRITER or holds > 0 => nobody
 *      punches. FRAME_WRITER is set by block_write_begin() and cleared by block_write_end(), so a
 *      block has one writer at most, even if the guest aborts it and it is chosen again.
 *  B6  FRAME_FRESH => SAMPLED and all zeros. FRAME_WANTED => READING.
 *
 * Memory: 8 bytes per block, 4 KiB per GiB of guest RAM.
 */
#include "memory/frames.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>

#include "memory/trace.h"

#define WORD_STATE  UINT64_C(7)
#define WORD_LOCKED (UINT64_C(1) << 3)
#define WORD_HOLD   (UINT64_C(1) << HOLD_SHIFT)
#define WORD_HOLDS  (UINT64_C(0xfff) << HOLD_SHIFT)

enum { HOLD_SHIFT = 8, SPINS = 64, YIELDS = 4 };

const char *const frame_state_names[FRAME_STATE_COUNT] = {
#define STATE(id, name, help) [FRAME_##id] = name,
#include "memory/frame_states.def"
#undef STATE
};

static const char *const move_reasons[FRAME_STATE_COUNT][FRAME_STATE_COUNT] = {
#define MOVE(from, to, why) [FRAME_##from][FRAME_##to] = why,
#include "memory/frame_moves.def"
#undef MOVE
};

bool frames_may_move(enum frame_state from, enum frame_state to)
{
	return frames_move_reason(from, to) != NULL;
}

const char *frames_move_reason(enum frame_state from, enum frame_state to)
{
	return move_reasons[from][to];
}

static size_t words_bytes(uint64_t block_count)
{
	return block_count * sizeof(uint64_t);
}

int frames_init(struct frames *frames, uint64_t block_count)
{
	void *words = mmap(NULL, words_bytes(block_count), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (words == MAP_FAILED)
		return -errno;
	*frames = (struct frames){ .words = words, .block_count = block_count };
	atomic_store(&frames->in_state[FRAME_ABSENT], block_count);
	return 0;
}

void frames_fini(struct frames *frames)
{
	if (frames->words)
		(void)munmap((void *)frames->words, words_bytes(frames->block_count));
	*frames = (struct frames){ 0 };
}

unsigned frame_holds_of(uint64_t word)
{
	return (unsigned)((word & WORD_HOLDS) >> HOLD_SHIFT);
}

uint64_t frames_peek(const struct frames *frames, uint64_t block)
{
	return atomic_load_explicit(&frames->words[block], memory_order_acquire);
}

bool frames_try_lock(struct frames *frames, uint64_t block, uint64_t *ret_word)
{
	uint64_t word =
		atomic_load_explicit(&frames->words[block], memory_order_relaxed) & ~WORD_LOCKED;

	if (!atomic_compare_exchange_strong_explicit(&frames->words[block], &word,
						     word | WORD_LOCKED, memory_order_acquire,
						     memory_order_relaxed))
		return false;
	*ret_word = word;
	return true;
}

uint64_t frames_lock(struct frames *frames, uint64_t block)
{
	/* Zeroing a frame takes 150 us; whoever does may have lost its CPU, maybe to us. */
	static const struct timespec nap = { .tv_nsec = 10 * (long)NS_PER_US };
	uint64_t word;

	for (unsigned tries = 0; !frames_try_lock(frames, block, &word); tries++) {
		if (tries < SPINS)
			__builtin_ia32_pause();
		else if (tries < SPINS + YIELDS)
			(void)sched_yield();
		else
			(void)nanosleep(&nap, NULL);
	}
	return word;
}

/* The words of holds change without the lock (frames_release), so no plain store. */
static void put(struct frames *frames, uint64_t block, uint64_t state_and_flags)
{
	_Atomic uint64_t *word = &frames->words[block];
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(word, &old,
						      (old & WORD_HOLDS) | state_and_flags,
						      memory_order_release, memory_order_relaxed))
		;
}

static void count_move(struct frames *frames, enum frame_state from, enum frame_state to)
{
	atomic_fetch_sub_explicit(&frames->in_state[from], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&frames->in_state[to], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&frames->moves[from][to], 1, memory_order_relaxed);
}

static void count_fresh(struct frames *frames, uint64_t old, uint64_t flags)
{
	if ((old ^ flags) & FRAME_FRESH)
		atomic_fetch_add_explicit(&frames->fresh_blocks,
					  flags & FRAME_FRESH ? 1 : UINT64_MAX,
					  memory_order_relaxed);
}

bool frames_unlock(struct frames *frames, uint64_t block, enum frame_state to, uint64_t flags,
		   enum frame_actor actor)
{
	uint64_t old = atomic_load_explicit(&frames->words[block], memory_order_relaxed);
	enum frame_state from = frame_state_of(old);

	if (from != to && !frames_may_move(from, to)) {
		frames_unlock_same(frames, block);
		return false;
	}
	if (from != to) {
		count_move(frames, from, to);
		if (frames->trace)
			trace_move(frames->trace, block, from, to, actor);
	}
	count_fresh(frames, old, flags);
	put(frames, block, (uint64_t)to | (flags & FRAME_FLAGS));
	return true;
}

void frames_unlock_same(struct frames *frames, uint64_t block)
{
	atomic_fetch_and_explicit(&frames->words[block], ~WORD_LOCKED, memory_order_release);
}

/* Whoever takes the lock after this sees the hold: both change the same word. */
bool frames_hold(struct frames *frames, uint64_t block)
{
	uint64_t word = atomic_load_explicit(&frames->words[block], memory_order_relaxed);

	while (frame_state_of(word) == FRAME_RESIDENT && !(word & WORD_LOCKED) &&
	       (word & WORD_HOLDS) != WORD_HOLDS)
		if (atomic_compare_exchange_weak_explicit(&frames->words[block], &word,
							  word + WORD_HOLD, memory_order_acquire,
							  memory_order_relaxed))
			return true;
	return false;
}

bool frames_hold_locked(struct frames *frames, uint64_t block)
{
	uint64_t word = atomic_load_explicit(&frames->words[block], memory_order_relaxed);

	if ((word & WORD_HOLDS) == WORD_HOLDS)
		return false; /* releases only make it fewer, and adding needs the lock we have */
	atomic_fetch_add_explicit(&frames->words[block], WORD_HOLD, memory_order_relaxed);
	return true;
}

void frames_release(struct frames *frames, uint64_t block)
{
	atomic_fetch_sub_explicit(&frames->words[block], WORD_HOLD, memory_order_release);
}
