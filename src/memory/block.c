/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* block.c - see block.h; states and invariants B1-B6 are in frames.c.
 *
 * Why no byte is lost. A block leaves RAM in three steps: unmapped (from here on every access
 * sleeps until the pager has moved the state), copied from the host view, punched. The punch
 * happens under the lock and only if the state is still WRITING, so either the guest's touch comes
 * first and finds its frame, or the punch does and the touch finds SWAPPED. It comes back the same
 * way: whatever the reader does, nobody sees the frame before block_read_end() maps it.
 *
 * What a message of the kernel says about a fault (missing, minor) is not asked: between the fault
 * and its reading the block may have moved several times.
 *
 * 4 KiB memory: which pages of a block are in the file is in known.h; its bits change under the
 * block's lock. On 2 MiB memory the state says it.
 */
#include "memory/block.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "memory/backing.h"
#include "memory/ram_internal.h"
#include "memory/uffd.h"

static uint64_t block_start(uint64_t block)
{
	return block << BLOCK_SHIFT;
}

uint64_t block_bytes(const struct ram *ram, uint64_t block)
{
	uint64_t left = ram->layout.ram_bytes - block_start(block);

	return left < BLOCK_BYTES ? left : BLOCK_BYTES;
}

void *block_data(const struct ram *ram, uint64_t block)
{
	return ram->host.base + block_start(block);
}

static bool has_known(const struct ram *ram)
{
	return ram->known.words != NULL;
}

static uint64_t first_page(uint64_t block)
{
	return block * BLOCK_PAGES;
}

static uint64_t end_page(const struct ram *ram, uint64_t block)
{
	return first_page(block) + bytes_to_pages(block_bytes(ram, block));
}

int ram_punch(const struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes)
{
	while (fallocate(ram->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset_bytes,
			 (off_t)len_bytes) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* Locked. Give all of the block back. */
static int punch_block(struct ram *ram, uint64_t block)
{
	if (has_known(ram))
		known_clear(&ram->known, first_page(block),
			    end_page(ram, block) - first_page(block));
	return ram_punch(ram, block_start(block), block_bytes(ram, block));
}

/* Locked. All pages of the block into the file. */
static int allocate_block(struct ram *ram, uint64_t block)
{
	int result = backing_allocate(ram->fd, block_start(block), block_bytes(ram, block));

	if (result == 0 && has_known(ram))
		known_set(&ram->known, first_page(block), end_page(ram, block) - first_page(block));
	return result;
}

/* The same, for threads that do it side by side. */
static int fill_block(struct ram *ram, uint64_t block)
{
	if (has_known(ram))
		return allocate_block(ram, block);
	return backing_populate(ram->fd, block_data(ram, block), block_start(block), BLOCK_BYTES);
}

/* Locked. Map all that the file holds of the block. */
static int map_block(struct ram *ram, uint64_t block)
{
	uint64_t end = end_page(ram, block), first = first_page(block);
	int result = 0;

	if (!has_known(ram))
		return uffd_map(ram, block_start(block), BLOCK_BYTES);
	while (result == 0 && (first = known_find_set(&ram->known, first, end)) < end) {
		uint64_t stop = known_find_clear(&ram->known, first, end);

		result = uffd_map(ram, pages_to_bytes(first), pages_to_bytes(stop - first));
		first = stop;
	}
	return result;
}

/* Locked. Is the page at @offset_bytes in the file? */
static bool is_present(const struct ram *ram, uint64_t word, uint64_t offset_bytes)
{
	uint64_t page = bytes_to_pages(offset_bytes);

	if (!has_known(ram))
		return frame_in_ram(frame_state_of(word));
	return known_find_set(&ram->known, page, page + 1) == page;
}

/* The missing pages of @run that @page is one of, next to each other. */
static struct page_run missing_run(const struct ram *ram, uint64_t page, struct page_run run)
{
	uint64_t end = known_find_set(&ram->known, page, run.first + run.count);
	uint64_t first = run.first;

	while (known_find_set(&ram->known, first, page) < page)
		first = known_find_set(&ram->known, first, page) + 1;
	return (struct page_run){ .first = first, .count = end - first };
}

/* Locked. Allocate what is missing around the page at @offset_bytes: its frame, or a run of small
 * ones. */
static int make_missing(struct ram *ram, uint64_t offset_bytes, const struct page_run *wanted,
			struct page_run *ret_made)
{
	uint64_t block = offset_bytes >> BLOCK_SHIFT, page = bytes_to_pages(offset_bytes);
	struct page_run one = { .first = page, .count = 1 };
	int result;

	*ret_made = (struct page_run){ .first = first_page(block), .count = BLOCK_PAGES };
	if (!has_known(ram))
		return fill_block(ram, block);
	*ret_made = missing_run(ram, page, wanted ? *wanted : one);
	result = backing_allocate(ram->fd, pages_to_bytes(ret_made->first),
				  pages_to_bytes(ret_made->count));
	if (result == 0)
		known_set(&ram->known, ret_made->first, ret_made->count);
	return result;
}

static enum touch touch_failed(struct ram *ram, uint64_t block, int error)
{
	frames_unlock_same(&ram->frames, block);
	return error == -ENOSPC || error == -ENOMEM ? TOUCH_NO_MEMORY : TOUCH_FAILED;
}

/* Locked. The other missing pages of @run. Nobody waits for them: what cannot be had is left out. */
static void make_the_rest(struct ram *ram, const struct page_run *run)
{
	uint64_t first = run->first, end = run->first + run->count;

	if (known_find_clear(&ram->known, first, end) == end ||
	    backing_allocate(ram->fd, pages_to_bytes(first), pages_to_bytes(run->count)))
		return;
	while ((first = known_find_clear(&ram->known, first, end)) < end) {
		uint64_t stop = known_find_set(&ram->known, first, end);

		if (uffd_map(ram, pages_to_bytes(first), pages_to_bytes(stop - first)))
			return;
		known_set(&ram->known, first, stop - first);
		first = stop;
	}
}

/* Locked; ABSENT, RESIDENT, SAMPLED or WRITING. */
static enum touch touch_ram(struct ram *ram, uint64_t word, uint64_t offset_bytes,
			    const struct page_run *wanted)
{
	uint64_t block = offset_bytes >> BLOCK_SHIFT;
	struct page_run made = { .first = bytes_to_pages(offset_bytes),
				 .count = bytes_to_pages(ram->layout.frame_bytes) };
	enum frame_state state = frame_state_of(word);
	bool whole = state == FRAME_SAMPLED || state == FRAME_WRITING;
	int result = 0;

	if (!is_present(ram, word, offset_bytes))
		result = make_missing(ram, offset_bytes, wanted, &made);
	if (result == 0)
		result = whole ? map_block(ram, block)
			       : uffd_map(ram, pages_to_bytes(made.first),
					  pages_to_bytes(made.count));
	if (result)
		return touch_failed(ram, block, result);
	if (wanted && has_known(ram))
		make_the_rest(ram, wanted);
	frames_unlock(&ram->frames, block, FRAME_RESIDENT, word & FRAME_WRITER, ACTOR_PAGER);
	return TOUCH_MAPPED;
}

enum touch block_touch(struct ram *ram, uint64_t offset_bytes, const struct page_run *run,
		       bool *ret_was_fresh)
{
	uint64_t block = offset_bytes >> BLOCK_SHIFT;
	uint64_t word = frames_lock(&ram->frames, block);

	if (ret_was_fresh)
		*ret_was_fresh = word & FRAME_FRESH;
	switch (frame_state_of(word)) {
	case FRAME_SWAPPED:
		frames_unlock(&ram->frames, block, FRAME_READING, FRAME_WANTED, ACTOR_PAGER);
		return TOUCH_SWAPPED;
	case FRAME_READING:
		frames_unlock(&ram->frames, block, FRAME_READING, FRAME_WANTED, ACTOR_PAGER);
		return TOUCH_READING;
	default:
		return touch_ram(ram, word, align_down(offset_bytes, ram->layout.frame_bytes), run);
	}
}

/* Lock @block if it is in @state with nobody using it; else -EBUSY and not locked. */
static int lock_in(struct ram *ram, uint64_t block, enum frame_state state, uint64_t *ret_word)
{
	if (frame_state_of(frames_peek(&ram->frames, block)) != state ||
	    !frames_try_lock(&ram->frames, block, ret_word))
		return -EBUSY;
	if (frame_state_of(*ret_word) == state && !(*ret_word & FRAME_WRITER) &&
	    frame_holds_of(*ret_word) == 0)
		return 0;
	frames_unlock_same(&ram->frames, block);
	return -EBUSY;
}

/* Give the lock back: to @state with @flags if @result is 0, else as it was. */
static int finish(struct ram *ram, uint64_t block, int result, enum frame_state state,
		  uint64_t flags, enum frame_actor actor)
{
	if (result)
		frames_unlock_same(&ram->frames, block);
	else
		frames_unlock(&ram->frames, block, state, flags, actor);
	return result;
}

/* fallocate, although populating is as fast: while that zeroes, whoever maps or unmaps anything in this
 * process waits for it, and every fault of the guest waits for him. The pager can populate another
 * block meanwhile. */
int block_prepare(struct ram *ram, uint64_t block)
{
	uint64_t word;
	int result = lock_in(ram, block, FRAME_ABSENT, &word);

	if (result)
		return result;
	return finish(ram, block, allocate_block(ram, block), FRAME_SAMPLED, FRAME_FRESH,
		      ACTOR_AHEAD);
}

int block_map_ahead(struct ram *ram, uint64_t block)
{
	uint64_t word;
	int result = lock_in(ram, block, FRAME_SAMPLED, &word);

	if (result)
		return result;
	return finish(ram, block, map_block(ram, block), FRAME_RESIDENT, 0, ACTOR_AHEAD);
}

int block_drop_fresh(struct ram *ram, uint64_t block)
{
	uint64_t word;
	int result = lock_in(ram, block, FRAME_SAMPLED, &word);

	if (result)
		return result;
	return finish(ram, block, word & FRAME_FRESH ? punch_block(ram, block) : -EBUSY,
		      FRAME_ABSENT, 0, ACTOR_AHEAD);
}

int block_unmap(struct ram *ram, uint64_t block)
{
	uint64_t word;
	int result = lock_in(ram, block, FRAME_RESIDENT, &word);

	if (result)
		return result;
	return finish(ram, block, uffd_unmap(ram, block_start(block), block_bytes(ram, block)),
		      FRAME_SAMPLED, 0, ACTOR_SAMPLER);
}

int block_write_begin(struct ram *ram, uint64_t block)
{
	enum frame_state state = frame_state_of(frames_peek(&ram->frames, block));
	uint64_t word;
	int result;

	if (state != FRAME_RESIDENT && state != FRAME_SAMPLED)
		return -EBUSY;
	result = lock_in(ram, block, state, &word);
	if (result)
		return result;
	if (word & FRAME_FRESH)
		result = -EBUSY;
	else if (state == FRAME_RESIDENT)
		result = uffd_unmap(ram, block_start(block), block_bytes(ram, block));
	return finish(ram, block, result, FRAME_WRITING, FRAME_WRITER, ACTOR_SWAP);
}

bool block_write_end(struct ram *ram, uint64_t block, enum write_outcome outcome)
{
	static const enum frame_state next[] = {
		[WRITE_STORED] = FRAME_SWAPPED,
		[WRITE_ZERO] = FRAME_ABSENT,
		[WRITE_FAILED] = FRAME_SAMPLED,
	};
	uint64_t word = frames_lock(&ram->frames, block);
	enum frame_state state = frame_state_of(word);
	bool gone =
		state == FRAME_WRITING && outcome != WRITE_FAILED && punch_block(ram, block) == 0;

	if (state == FRAME_WRITING)
		state = gone ? next[outcome] : FRAME_SAMPLED;
	frames_unlock(&ram->frames, block, state, 0, ACTOR_SWAP);
	return gone;
}

int block_read_begin(struct ram *ram, uint64_t block)
{
	uint64_t word;
	int result = lock_in(ram, block, FRAME_SWAPPED, &word);

	return result ? result : finish(ram, block, 0, FRAME_READING, 0, ACTOR_SWAP);
}

int block_read_allocate(struct ram *ram, uint64_t block)
{
	return fill_block(ram, block);
}

bool block_read_end(struct ram *ram, uint64_t block, bool map)
{
	uint64_t word = frames_lock(&ram->frames, block);

	map = map || (word & FRAME_WANTED);
	if (map)
		map = map_block(ram, block) == 0;
	frames_unlock(&ram->frames, block, map ? FRAME_RESIDENT : FRAME_SAMPLED, 0, ACTOR_SWAP);
	return map;
}

void block_read_fail(struct ram *ram, uint64_t block)
{
	(void)frames_lock(&ram->frames, block);
	(void)punch_block(ram, block);
	frames_unlock(&ram->frames, block, FRAME_SWAPPED, 0, ACTOR_SWAP);
}

static uint64_t known_word(const struct ram *ram, uint64_t page, uint64_t end)
{
	uint64_t mask = end <= page	  ? 0
			: end - page < 64 ? (UINT64_C(1) << (end - page)) - 1
					  : UINT64_MAX;

	if (mask && has_known(ram))
		mask &= atomic_load(&ram->known.words[page / BITMAP_WORD_BITS]);
	return mask;
}

void block_live_pages(const struct ram *ram, uint64_t block, uint64_t *ret_live)
{
	uint64_t dead[BLOCK_PAGE_WORDS] = { 0 };
	uint64_t end = end_page(ram, block);

	if (ram->events.dead)
		(void)ram->events.dead(ram->events.ctx, first_page(block), dead);
	for (unsigned i = 0; i < BLOCK_PAGE_WORDS; i++)
		ret_live[i] =
			known_word(ram, first_page(block) + (uint64_t)i * BITMAP_WORD_BITS, end) &
			~dead[i];
}
