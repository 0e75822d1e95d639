/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_extents.c - see swap_extents.h.
 *
 * Problem. Blocks take from one to 512 pages, come and go in any order, and the file does not grow.
 * Freed room must be found again in time that does not depend on how large the file is, with no
 * allocation, and free pages that lie scattered must still be of use. A bit per page would answer all
 * that, and cost as much as everything else that swap keeps.
 *
 * Design. The file is cut into groups of 512 pages. What a block has is a list of pieces, runs of
 * pages; no piece crosses a group, and each group has the list of its pieces in the order of pages:
 * what lies between them is free. Groups are found by how much their longest free run lacks to the
 * whole, the least of every 64 in a level above, and so on: since nothing needs more than 512 pages,
 * "is there a run this long, and where is the first" is one walk down, over at most 64 numbers a
 * level. Whoever asks gets the first group that can hold it in one piece, and the shortest run there
 * that does; so small things gather at the front, and whole groups stay free for whole blocks. Only
 * when no run is long enough are the longest runs taken, up to four.
 *
 * The first piece of a block is its own, found by its number. Second to fourth ones, and retired
 * ones, are taken from spare pieces, one for every two blocks. Zeros are the right contents of
 * everything at the start, so what is never used is never touched.
 *
 * Invariants
 *  X1  lacks[0] is SWAP_GROUP_PAGES less the longest free run of that group, and each level above the
 *      least of the one below; true whenever `lock` is free.
 *  X2  A piece with pages is in its group's list exactly once, and belongs to one block or is retired;
 *      no two overlap.
 *  X3  SWAP_RETIRED_ROOM spare pieces are never taken for blocks.
 *
 * Limits. A group of single pages is a list of 512. A file whose every free run is short refuses a
 * large block although it has the pages: that takes many small blocks that stay where large ones
 * went. Pages of such a file are still handed out to smaller blocks.
 */
#include "memory/swap_extents.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

enum { BLOCKS_PER_SPARE = 2, MOST_SPARES = (1 << 22) - 1 };

static uint64_t level_length(const struct swap_extents *extents, unsigned level)
{
	uint64_t length = extents->group_count;

	while (level-- > 0)
		length = (length + SWAP_FAN_OUT - 1) / SWAP_FAN_OUT;
	return length;
}

static uint64_t all_levels_length(const struct swap_extents *extents)
{
	uint64_t length = 0;

	for (unsigned level = 0; level < extents->level_count; level++)
		length += level_length(extents, level);
	return length;
}

static size_t pieces_bytes(const struct swap_extents *extents)
{
	return (extents->block_count + extents->spare_count) * sizeof(struct swap_piece);
}

/* Everything is in one mapping: pieces, links, levels. */
static size_t map_bytes(const struct swap_extents *extents)
{
	return pieces_bytes(extents) + extents->group_count * sizeof(*extents->first_links) +
	       all_levels_length(extents) * sizeof(**extents->lacks);
}

static int map_all(struct swap_extents *extents)
{
	void *at = mmap(NULL, map_bytes(extents), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint16_t *levels;

	if (at == MAP_FAILED)
		return -ENOMEM;
	extents->pieces = at;
	extents->first_links = (uint32_t *)(void *)((uint8_t *)at + pieces_bytes(extents));
	levels = (uint16_t *)(void *)(extents->first_links + extents->group_count);
	for (unsigned level = 0; level < extents->level_count; level++) {
		extents->lacks[level] = levels;
		levels += level_length(extents, level);
	}
	return 0;
}

int swap_extents_init(struct swap_extents *extents, uint64_t group_count, uint64_t block_count)
{
	uint64_t spares = block_count / BLOCKS_PER_SPARE + SWAP_RETIRED_ROOM;

	*extents = (struct swap_extents){
		.group_count = group_count,
		.block_count = block_count,
		.spare_count = spares < MOST_SPARES ? spares : MOST_SPARES,
		.level_count = 1,
	};
	extents->spare_free = extents->spare_count;
	while (level_length(extents, extents->level_count - 1) > SWAP_FAN_OUT)
		extents->level_count++;
	(void)pthread_mutex_init(&extents->lock, NULL);
	if (map_all(extents)) {
		swap_extents_fini(extents);
		return -ENOMEM;
	}
	return 0;
}

void swap_extents_fini(struct swap_extents *extents)
{
	if (extents->pieces)
		(void)munmap(extents->pieces, map_bytes(extents));
	if (extents->level_count > 0)
		(void)pthread_mutex_destroy(&extents->lock);
	*extents = (struct swap_extents){ 0 };
}

static uint32_t end_page(const struct swap_piece *piece)
{
	return piece->first_page + piece->len_pages;
}

/* Free pages of a group: those after the piece of @after_link and before the one of @next_link. */
struct gap {
	uint32_t after_link, next_link; /* 0: the group's begin; its end */
	uint32_t first_page, pages;	/* may be none */
};

static struct gap gap_after(const struct swap_extents *extents, uint64_t group, uint32_t after_link)
{
	const struct swap_piece *pieces = extents->pieces;
	struct gap gap = { .after_link = after_link,
			   .next_link = extents->first_links[group],
			   .first_page = (uint32_t)(group * SWAP_GROUP_PAGES) };
	uint32_t group_end = gap.first_page + SWAP_GROUP_PAGES; /* 0 after the last possible one */

	if (after_link) {
		gap.next_link = pieces[after_link - 1].next_link;
		gap.first_page = end_page(&pieces[after_link - 1]);
	}
	gap.pages =
		(gap.next_link ? pieces[gap.next_link - 1].first_page : group_end) - gap.first_page;
	return gap;
}

/* The shortest gap of a group that is at least @least pages long; or the longest, for none. */
static struct gap find_gap(const struct swap_extents *extents, uint64_t group, uint32_t least)
{
	struct gap gap = gap_after(extents, group, 0), best = gap;

	while (gap.next_link) {
		gap = gap_after(extents, group, gap.next_link);
		if (best.pages < least ? gap.pages > best.pages
				       : gap.pages >= least && gap.pages < best.pages)
			best = gap;
	}
	return best;
}

static uint16_t least_of(const uint16_t *numbers, uint64_t count)
{
	uint16_t least = numbers[0];

	for (uint64_t i = 1; i < count; i++)
		least = numbers[i] < least ? numbers[i] : least;
	return least;
}

/* How many of a level belong together, from @first. */
static uint64_t siblings(const struct swap_extents *extents, unsigned level, uint64_t first)
{
	uint64_t rest = level_length(extents, level) - first;

	return rest < SWAP_FAN_OUT ? rest : SWAP_FAN_OUT;
}

/* X1, after a change in @group. */
static void update_lacks(struct swap_extents *extents, uint64_t group)
{
	uint32_t longest = find_gap(extents, group, SWAP_GROUP_PAGES).pages;
	uint64_t at = group;

	extents->lacks[0][at] = (uint16_t)(SWAP_GROUP_PAGES - longest);
	for (unsigned level = 1; level < extents->level_count; level++) {
		uint64_t first = align_down(at, SWAP_FAN_OUT);

		at /= SWAP_FAN_OUT;
		extents->lacks[level][at] = least_of(extents->lacks[level - 1] + first,
						     siblings(extents, level - 1, first));
	}
}

static uint32_t longest_run(const struct swap_extents *extents)
{
	unsigned top = extents->level_count - 1;

	return SWAP_GROUP_PAGES -
	       (uint32_t)least_of(extents->lacks[top], siblings(extents, top, 0));
}

/* The first group with a run of @pages; there is one. */
static uint64_t first_group_with(const struct swap_extents *extents, uint32_t pages)
{
	uint64_t at = 0;

	for (unsigned level = extents->level_count; level-- > 0;) {
		uint64_t first = at * SWAP_FAN_OUT, count = siblings(extents, level, first);

		for (at = first; at < first + count - 1; at++)
			if (extents->lacks[level][at] <= SWAP_GROUP_PAGES - pages)
				break;
	}
	return at;
}

static uint32_t *link_to(struct swap_extents *extents, uint64_t group, uint32_t after_link)
{
	return after_link ? &extents->pieces[after_link - 1].next_link
			  : &extents->first_links[group];
}

/* Give @piece, numbered @link - 1, the first @pages of @gap. */
static void put_piece(struct swap_extents *extents, uint32_t link, const struct gap *gap,
		      uint32_t pages)
{
	struct swap_piece *piece = &extents->pieces[link - 1];
	uint64_t group = gap->first_page / SWAP_GROUP_PAGES;

	piece->first_page = gap->first_page;
	piece->next_link = gap->next_link;
	piece->len_pages = pages & 0x3ff;
	piece->more_link = 0;
	extents->used_pages += pages;
	*link_to(extents, group, gap->after_link) = link;
	update_lacks(extents, group);
}

/* The link that leads to the piece of @link. */
static uint32_t *find_link(struct swap_extents *extents, uint32_t link)
{
	uint32_t *at =
		&extents->first_links[extents->pieces[link - 1].first_page / SWAP_GROUP_PAGES];

	while (*at != link)
		at = &extents->pieces[*at - 1].next_link;
	return at;
}

/* 0: none, or only @kept ones. */
static uint32_t take_spare(struct swap_extents *extents, uint64_t kept)
{
	uint32_t link = extents->spare_link;

	if (extents->spare_free <= kept)
		return 0;
	extents->spare_free--;
	if (!link)
		return (uint32_t)(extents->block_count + ++extents->spare_used);
	extents->spare_link = extents->pieces[link - 1].next_link;
	return link;
}

static void give_spare(struct swap_extents *extents, uint32_t link)
{
	extents->pieces[link - 1].next_link = extents->spare_link;
	extents->spare_link = link;
	extents->spare_free++;
}

/* The link to the block's first piece; 0: it has none. */
static uint32_t first_of(const struct swap_extents *extents, uint64_t block)
{
	return extents->pieces[block].len_pages > 0 ? (uint32_t)block + 1 : 0;
}

static uint32_t more_of(const struct swap_extents *extents, uint32_t link)
{
	uint32_t more = extents->pieces[link - 1].more_link;

	return more ? (uint32_t)extents->block_count + more : 0;
}

/* It has no pages any more. */
static void clear_piece(struct swap_extents *extents, uint32_t link)
{
	struct swap_piece *piece = &extents->pieces[link - 1];

	extents->used_pages -= piece->len_pages;
	piece->len_pages = 0;
	piece->more_link = 0;
	if (link > extents->block_count)
		give_spare(extents, link);
}

static void give_piece(struct swap_extents *extents, uint32_t link)
{
	const struct swap_piece *piece = &extents->pieces[link - 1];

	*find_link(extents, link) = piece->next_link;
	update_lacks(extents, piece->first_page / SWAP_GROUP_PAGES);
	clear_piece(extents, link);
}

/* A spare piece, which nobody has, takes its place. */
static void retire_piece(struct swap_extents *extents, uint32_t link)
{
	struct swap_piece *piece = &extents->pieces[link - 1];
	uint32_t spare = take_spare(extents, 0);

	if (!spare) { /* more failures than a store survives */
		give_piece(extents, link);
		return;
	}
	extents->retired_pages += piece->len_pages;
	extents->pieces[spare - 1] = *piece;
	*find_link(extents, link) = spare;
	clear_piece(extents, link);
}

/* All of the block's pieces go, but for number @bad, which is retired. */
static void give_locked(struct swap_extents *extents, uint64_t block, unsigned bad)
{
	uint32_t link = first_of(extents, block);

	for (unsigned i = 0; link; i++) {
		uint32_t more = more_of(extents, link);

		if (i == bad)
			retire_piece(extents, link);
		else
			give_piece(extents, link);
		link = more;
	}
}

/* The block's next piece, after the one of @before_link (0: its first). 0: no spare one. */
static uint32_t take_piece(struct swap_extents *extents, uint64_t block, uint32_t before_link,
			   uint32_t pages)
{
	uint32_t link =
		before_link ? take_spare(extents, SWAP_RETIRED_ROOM) : (uint32_t)block + 1; /* X3 */
	struct gap gap;

	if (!link)
		return 0;
	gap = find_gap(extents, first_group_with(extents, pages), pages);
	put_piece(extents, link, &gap, pages);
	if (before_link)
		extents->pieces[before_link - 1].more_link =
			(link - (uint32_t)extents->block_count) & MOST_SPARES;
	return link;
}

static int take_locked(struct swap_extents *extents, uint64_t block, uint32_t pages)
{
	uint32_t link = 0;

	for (unsigned i = 0; pages > 0; i++) {
		uint32_t longest = longest_run(extents), now = longest < pages ? longest : pages;

		if (now > 0 && i < SWAP_MAX_PIECES)
			link = take_piece(extents, block, link, now);
		if (now == 0 || i == SWAP_MAX_PIECES || !link) {
			give_locked(extents, block, SWAP_MAX_PIECES);
			return -ENOSPC;
		}
		pages -= now;
	}
	return 0;
}

int swap_extents_take(struct swap_extents *extents, uint64_t block, uint32_t pages)
{
	int result;

	(void)pthread_mutex_lock(&extents->lock);
	result = take_locked(extents, block, pages);
	(void)pthread_mutex_unlock(&extents->lock);
	return result;
}

void swap_extents_give(struct swap_extents *extents, uint64_t block)
{
	swap_extents_retire(extents, block, SWAP_MAX_PIECES);
}

void swap_extents_retire(struct swap_extents *extents, uint64_t block, unsigned bad_piece)
{
	(void)pthread_mutex_lock(&extents->lock);
	give_locked(extents, block, bad_piece);
	(void)pthread_mutex_unlock(&extents->lock);
}

struct swap_place swap_extents_place(const struct swap_extents *extents, uint64_t block)
{
	struct swap_place place = { 0 };
	uint32_t link = first_of(extents, block);

	for (unsigned i = 0; link; link = more_of(extents, link), i++) {
		place.first_page[i] = extents->pieces[link - 1].first_page;
		place.len_pages[i] = extents->pieces[link - 1].len_pages;
	}
	return place;
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
