/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_extents.c - see swap_extents.h.
 *
 * Problem. Blocks take from one to 512 pages, come and go in any order, and the file does not grow.
 * Freed room must be found again in time that does not depend on how large the file is, with no
 * allocation, and free pages that lie scattered must still be of use.
 *
 * Design. The file is cut into groups of 512 pages: a bitmap, and the length of its longest free
 * run, in a heap of maxima over all groups. No run crosses a group, and nothing needs more than 512
 * pages, so the heap answers "is there a run this long, and where is the first" in one walk down:
 * 13 steps for 16 GiB. Whoever asks gets the first group that can hold it in one piece, and the
 * shortest run there that does; so small things gather at the front, and whole groups stay free for
 * whole blocks. Only when no run is long enough are the longest runs taken, up to four.
 *
 * Invariants
 *  X1  longest[leaf] is the longest run of clear bits of that group, and every inner node the
 *      larger of its two; true whenever `lock` is free.
 *  X2  A set bit belongs to exactly one place that was handed out, or to a retired piece.
 *
 * Limits. A file whose every free run is short refuses a large block although it has the pages:
 * that takes many small blocks that stay where large ones went. Pages of such a file are still
 * handed out to smaller blocks.
 */
#include "memory/swap_extents.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>

static void *map_zeros(uint64_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static uint64_t words_bytes(const struct swap_extents *extents)
{
	return extents->group_count * SWAP_GROUP_WORDS * sizeof(*extents->words);
}

static uint64_t longest_bytes(const struct swap_extents *extents)
{
	return 2 * extents->leaf_count * sizeof(*extents->longest);
}

static uint16_t larger(uint16_t a, uint16_t b)
{
	return a > b ? a : b;
}

static void fill_longest(struct swap_extents *extents)
{
	uint16_t *longest = extents->longest;

	for (uint64_t group = 0; group < extents->group_count; group++)
		longest[extents->leaf_count + group] = SWAP_GROUP_PAGES;
	for (uint64_t i = extents->leaf_count - 1; i > 0; i--)
		longest[i] = larger(longest[2 * i], longest[2 * i + 1]);
}

int swap_extents_init(struct swap_extents *extents, uint64_t group_count)
{
	*extents = (struct swap_extents){ .group_count = group_count, .leaf_count = 1 };
	while (extents->leaf_count < group_count)
		extents->leaf_count *= 2;
	(void)pthread_mutex_init(&extents->lock, NULL);
	extents->words = map_zeros(words_bytes(extents));
	extents->longest = map_zeros(longest_bytes(extents));
	if (!extents->words || !extents->longest) {
		swap_extents_fini(extents);
		return -ENOMEM;
	}
	fill_longest(extents);
	return 0;
}

void swap_extents_fini(struct swap_extents *extents)
{
	if (extents->words)
		(void)munmap(extents->words, words_bytes(extents));
	if (extents->longest)
		(void)munmap(extents->longest, longest_bytes(extents));
	if (extents->leaf_count > 0)
		(void)pthread_mutex_destroy(&extents->lock);
	*extents = (struct swap_extents){ 0 };
}

struct run {
	uint32_t first, pages;
};

/* The next run of free pages in a group, at or after @from; of no pages when there is none. */
static struct run next_run(const uint64_t *words, uint32_t from)
{
	struct run run = { from, 0 };

	while (run.first < SWAP_GROUP_PAGES) {
		uint64_t free_bits = ~words[run.first / 64] >> (run.first % 64);

		if (free_bits) {
			run.first += (uint32_t)__builtin_ctzll(free_bits);
			break;
		}
		run.first = (run.first / 64 + 1) * 64;
	}
	for (uint32_t at = run.first; at < SWAP_GROUP_PAGES; at = run.first + run.pages) {
		uint64_t used_bits = words[at / 64] >> (at % 64);

		if (used_bits) {
			run.pages += (uint32_t)__builtin_ctzll(used_bits);
			break;
		}
		run.pages += 64 - at % 64;
	}
	return run;
}

static void update_longest(struct swap_extents *extents, uint64_t group)
{
	const uint64_t *words = extents->words + group * SWAP_GROUP_WORDS;
	uint64_t at = extents->leaf_count + group;
	uint16_t most = 0;

	for (struct run run = next_run(words, 0); run.pages > 0;
	     run = next_run(words, run.first + run.pages))
		most = larger(most, (uint16_t)run.pages);
	extents->longest[at] = most;
	for (at /= 2; at > 0; at /= 2)
		extents->longest[at] =
			larger(extents->longest[2 * at], extents->longest[2 * at + 1]);
}

/* The bits of word @i that the pages @first .. @first + @pages - 1 of a group have. */
static uint64_t mask_in_word(uint32_t i, uint32_t first, uint32_t pages)
{
	uint32_t from = first > i * 64 ? first - i * 64 : 0;
	uint32_t end = first + pages - i * 64;

	return (~UINT64_C(0) << from) & (end < 64 ? ~(~UINT64_C(0) << end) : ~UINT64_C(0));
}

static void mark_locked(struct swap_extents *extents, uint32_t first_page, uint32_t pages,
			bool used)
{
	uint64_t group = first_page / SWAP_GROUP_PAGES;
	uint64_t *words = extents->words + group * SWAP_GROUP_WORDS;
	uint32_t first = first_page % SWAP_GROUP_PAGES;

	for (uint32_t i = first / 64; i * 64 < first + pages; i++) {
		if (used)
			words[i] |= mask_in_word(i, first, pages);
		else
			words[i] &= ~mask_in_word(i, first, pages);
	}
	update_longest(extents, group);
	extents->used_pages += used ? pages : -(uint64_t)pages;
}

/* The first group with a run of @pages; there is one. */
static uint64_t first_group_with(const struct swap_extents *extents, uint32_t pages)
{
	uint64_t at = 1;

	while (at < extents->leaf_count) {
		at *= 2;
		if (extents->longest[at] < pages)
			at++;
	}
	return at - extents->leaf_count;
}

/* The shortest run of that group that holds @pages. */
static struct run shortest_run_with(const uint64_t *words, uint32_t pages)
{
	struct run best = { 0, SWAP_GROUP_PAGES + 1 };

	for (struct run run = next_run(words, 0); run.pages > 0;
	     run = next_run(words, run.first + run.pages))
		if (run.pages >= pages && run.pages < best.pages)
			best = run;
	return best;
}

static uint32_t take_piece_locked(struct swap_extents *extents, uint32_t pages)
{
	uint64_t group = first_group_with(extents, pages);
	struct run run = shortest_run_with(extents->words + group * SWAP_GROUP_WORDS, pages);
	uint32_t first_page = (uint32_t)(group * SWAP_GROUP_PAGES) + run.first;

	mark_locked(extents, first_page, pages, true);
	return first_page;
}

static void give_locked(struct swap_extents *extents, const struct swap_place *place)
{
	for (unsigned i = 0; i < SWAP_MAX_PIECES && place->len_pages[i] > 0; i++)
		mark_locked(extents, place->first_page[i], place->len_pages[i], false);
}

static int take_locked(struct swap_extents *extents, uint32_t pages, struct swap_place *place)
{
	for (unsigned i = 0; pages > 0; i++) {
		uint32_t now = extents->longest[1] < pages ? extents->longest[1] : pages;

		if (now == 0 || i == SWAP_MAX_PIECES) {
			give_locked(extents, place);
			return -ENOSPC;
		}
		place->first_page[i] = take_piece_locked(extents, now);
		place->len_pages[i] = (uint16_t)now;
		pages -= now;
	}
	return 0;
}

int swap_extents_take(struct swap_extents *extents, uint32_t pages, struct swap_place *ret_place)
{
	struct swap_place place = { 0 };
	int result;

	(void)pthread_mutex_lock(&extents->lock);
	result = take_locked(extents, pages, &place);
	(void)pthread_mutex_unlock(&extents->lock);
	if (result == 0)
		*ret_place = place;
	return result;
}

void swap_extents_give(struct swap_extents *extents, const struct swap_place *place)
{
	(void)pthread_mutex_lock(&extents->lock);
	give_locked(extents, place);
	(void)pthread_mutex_unlock(&extents->lock);
}

void swap_extents_retire(struct swap_extents *extents, const struct swap_place *place,
			 unsigned bad_piece)
{
	(void)pthread_mutex_lock(&extents->lock);
	for (unsigned i = 0; i < SWAP_MAX_PIECES && place->len_pages[i] > 0; i++)
		if (i != bad_piece)
			mark_locked(extents, place->first_page[i], place->len_pages[i], false);
	extents->used_pages -= place->len_pages[bad_piece];
	extents->retired_pages += place->len_pages[bad_piece];
	(void)pthread_mutex_unlock(&extents->lock);
}

void swap_extents_count(struct swap_extents *extents, uint64_t *ret_used_pages,
			uint64_t *ret_retired_pages)
{
	(void)pthread_mutex_lock(&extents->lock);
	*ret_used_pages = extents->used_pages;
	*ret_retired_pages = extents->retired_pages;
	(void)pthread_mutex_unlock(&extents->lock);
}

uint32_t swap_place_pages(const struct swap_place *place)
{
	uint32_t pages = 0;

	for (unsigned i = 0; i < SWAP_MAX_PIECES && place->len_pages[i] > 0; i++)
		pages += place->len_pages[i];
	return pages;
}
