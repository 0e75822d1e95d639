/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* alloc.c - the page table of owners. See alloc.h.
 *
 * Invariants
 *  A1  Working-set pages of one block have one seed: a page of another seed is never put there.
 *  A2  pages[] counts each page that was ever added, once.
 *  A3  A block is `reported` only while it is wholly free.
 *  A4  The four hints are bounds, not positions: taking tightens them, giving widens them.
 */
#include "alloc.h"

static unsigned page_index(uint64_t address)
{
	return (unsigned)(address >> ALLOC_PAGE_SHIFT) % ALLOC_BLOCK_PAGES;
}

static uint64_t page_address(uint64_t block, unsigned index)
{
	return (block << ALLOC_BLOCK_SHIFT) + ((uint64_t)index << ALLOC_PAGE_SHIFT);
}

/* Bit per page of word @word that belongs to @owner. */
static uint64_t owner_mask(const struct alloc_block *block, unsigned word, enum alloc_owner owner)
{
	uint64_t low = block->low[word], high = block->high[word];

	return (owner & 1 ? low : ~low) & (owner & 2 ? high : ~high);
}

/* Bits [first, first + count) of a word; count is 1 to 64. */
static uint64_t bits(unsigned first, unsigned count)
{
	return (~UINT64_C(0) >> (64 - count)) << first;
}

static void set_owners(struct alloc_block *block, unsigned index, unsigned pages,
		       enum alloc_owner owner)
{
	while (pages) {
		unsigned word = index / 64, first = index % 64;
		unsigned count = pages < 64 - first ? pages : 64 - first;
		uint64_t mask = bits(first, count);

		block->low[word] = owner & 1 ? block->low[word] | mask : block->low[word] & ~mask;
		block->high[word] =
			owner & 2 ? block->high[word] | mask : block->high[word] & ~mask;
		index += count;
		pages -= count;
	}
}

enum alloc_owner alloc_owner_of(const struct alloc *alloc, uint64_t address)
{
	const struct alloc_block *block = alloc_block_of(alloc, address);
	unsigned index = page_index(address);
	unsigned low = block->low[index / 64] >> index % 64 & 1;
	unsigned high = block->high[index / 64] >> index % 64 & 1;

	return (enum alloc_owner)(low | high << 1);
}

uint64_t alloc_random(struct alloc *alloc)
{
	alloc->random ^= alloc->random << 13; /* xorshift64, Marsaglia */
	alloc->random ^= alloc->random >> 7;
	alloc->random ^= alloc->random << 17;
	return alloc->random;
}

void alloc_init(struct alloc *alloc, struct alloc_block *blocks, uint64_t block_count)
{
	*alloc = (struct alloc){ .blocks = blocks,
				 .block_count = block_count,
				 .random = 88172645463325252 };
	for (uint64_t i = 0; i < block_count; i++) {
		blocks[i] = (struct alloc_block){ 0 };
		for (unsigned word = 0; word < ALLOC_BLOCK_WORDS; word++)
			blocks[i].low[word] = blocks[i].high[word] = ~UINT64_C(0);
	}
	alloc->low_block = alloc->low_whole = block_count;
}

static void widen(struct alloc *alloc, uint64_t number)
{
	if (number < alloc->low_block)
		alloc->low_block = number;
	if (number > alloc->high_block)
		alloc->high_block = number;
	if (alloc->blocks[number].free_pages < ALLOC_BLOCK_PAGES)
		return;
	if (number < alloc->low_whole)
		alloc->low_whole = number;
	if (number > alloc->high_whole)
		alloc->high_whole = number;
}

/* All pages of a block that was the system's. */
static void add_block(struct alloc *alloc, uint64_t number)
{
	struct alloc_block *block = &alloc->blocks[number];

	set_owners(block, 0, ALLOC_BLOCK_PAGES, ALLOC_FREE);
	block->free_pages = ALLOC_BLOCK_PAGES;
	alloc->pages[ALLOC_FREE] += ALLOC_BLOCK_PAGES;
	widen(alloc, number);
}

static void add_page(struct alloc *alloc, uint64_t address)
{
	struct alloc_block *block = alloc_block_of(alloc, address);

	if (alloc_owner_of(alloc, address) == ALLOC_FREE)
		return;
	set_owners(block, page_index(address), 1, ALLOC_FREE);
	block->free_pages++;
	alloc->pages[ALLOC_FREE]++;
	widen(alloc, address >> ALLOC_BLOCK_SHIFT);
}

void alloc_add_ram(struct alloc *alloc, uint64_t start, uint64_t end, uint64_t now_ns)
{
	uint64_t limit = alloc->block_count << ALLOC_BLOCK_SHIFT;

	start = (start + ALLOC_PAGE_BYTES - 1) & ~(ALLOC_PAGE_BYTES - 1);
	end = (end < limit ? end : limit) & ~(ALLOC_PAGE_BYTES - 1);
	while (start < end) {
		bool is_block = start % ALLOC_BLOCK_BYTES == 0 &&
				end - start >= ALLOC_BLOCK_BYTES &&
				!alloc_block_of(alloc, start)->free_pages;

		alloc_block_of(alloc, start)->free_since_ns = now_ns;
		if (is_block)
			add_block(alloc, start >> ALLOC_BLOCK_SHIFT);
		else
			add_page(alloc, start);
		start += is_block ? ALLOC_BLOCK_BYTES : ALLOC_PAGE_BYTES;
	}
}

void alloc_reserve(struct alloc *alloc, uint64_t start, uint64_t end)
{
	for (start &= ~(ALLOC_PAGE_BYTES - 1); start < end; start += ALLOC_PAGE_BYTES) {
		if (start >> ALLOC_BLOCK_SHIFT >= alloc->block_count ||
		    alloc_owner_of(alloc, start) != ALLOC_FREE)
			continue;
		set_owners(alloc_block_of(alloc, start), page_index(start), 1, ALLOC_SYSTEM);
		alloc_block_of(alloc, start)->free_pages--;
		alloc->pages[ALLOC_FREE]--;
		alloc->pages[ALLOC_SYSTEM]++;
	}
}

/* Pages that were free get @owner; until published, the working set's are the system's. */
static void take(struct alloc *alloc, uint64_t address, unsigned pages, enum alloc_owner owner,
		 uint32_t seed)
{
	struct alloc_block *block = alloc_block_of(alloc, address);

	if (owner == ALLOC_WORK) {
		block->seed = seed;
		block->work_pages = (uint16_t)(block->work_pages + pages);
		owner = ALLOC_SYSTEM;
	}
	set_owners(block, page_index(address), pages, owner);
	block->free_pages = (uint16_t)(block->free_pages - pages);
	block->reported = false;
	alloc->pages[ALLOC_FREE] -= pages;
	alloc->pages[owner] += pages;
}

void alloc_take_at(struct alloc *alloc, uint64_t address, unsigned pages, enum alloc_owner owner)
{
	take(alloc, address, pages, owner, 0);
}

static bool is_whole(const struct alloc *alloc, uint64_t number)
{
	return alloc->blocks[number].free_pages == ALLOC_BLOCK_PAGES;
}

/* A wholly free block in @order, with the bounds tightened to what the search has seen. */
static bool find_whole(struct alloc *alloc, enum alloc_order order, uint64_t *ret_number)
{
	uint64_t *low = &alloc->low_whole, *high = &alloc->high_whole;

	while (*low < alloc->block_count && *low <= *high && !is_whole(alloc, *low))
		++*low;
	if (*low >= alloc->block_count || *low > *high)
		return false;
	while (!is_whole(alloc, *high)) /* ends at *low at the latest */
		--*high;
	*ret_number = order == ALLOC_LOWEST ? *low : *high;
	if (order == ALLOC_SCATTERED) {
		uint64_t number = *low + alloc_random(alloc) % (*high - *low + 1);

		while (!is_whole(alloc, number))
			number++; /* ends at *high */
		*ret_number = number;
	}
	return true;
}

bool alloc_take_block(struct alloc *alloc, enum alloc_owner owner, enum alloc_order order,
		      uint32_t seed, uint64_t *ret_address)
{
	uint64_t number;

	if (!find_whole(alloc, order, &number))
		return false;
	*ret_address = page_address(number, 0);
	take(alloc, *ret_address, ALLOC_BLOCK_PAGES, owner, seed);
	return true;
}

static bool has_room(const struct alloc_block *block, enum alloc_owner owner, uint32_t seed)
{
	if (!block->free_pages)
		return false;
	return owner != ALLOC_WORK || !block->work_pages || block->seed == seed;
}

/* A block with a free page that may become @owner's. */
static bool find_room(struct alloc *alloc, enum alloc_owner owner, enum alloc_order order,
		      uint32_t seed, uint64_t *ret_number)
{
	uint64_t *low = &alloc->low_block, *high = &alloc->high_block, number, tries;

	while (*low < alloc->block_count && *low <= *high && !alloc->blocks[*low].free_pages)
		++*low;
	if (*low >= alloc->block_count || *low > *high)
		return false;
	while (!alloc->blocks[*high].free_pages)
		--*high;
	tries = *high - *low + 1;
	number = order == ALLOC_LOWEST	  ? *low
		 : order == ALLOC_HIGHEST ? *high
					  : *low + alloc_random(alloc) % tries;
	while (tries--) {
		if (has_room(&alloc->blocks[number], owner, seed)) {
			*ret_number = number;
			return true;
		}
		if (order == ALLOC_HIGHEST)
			number = number == *low ? *high : number - 1;
		else
			number = number == *high ? *low : number + 1;
	}
	return false;
}

/* The free page of @block to take: there is one. */
static unsigned choose_page(struct alloc *alloc, const struct alloc_block *block,
			    enum alloc_order order)
{
	unsigned start =
		order == ALLOC_SCATTERED ? (unsigned)alloc_random(alloc) % ALLOC_BLOCK_WORDS : 0;

	for (unsigned i = 0; i < ALLOC_BLOCK_WORDS; i++) {
		unsigned word = order == ALLOC_HIGHEST ? ALLOC_BLOCK_WORDS - 1 - i
						       : (start + i) % ALLOC_BLOCK_WORDS;
		uint64_t free = owner_mask(block, word, ALLOC_FREE);

		if (!free)
			continue;
		if (order == ALLOC_HIGHEST)
			return word * 64 + 63 - (unsigned)__builtin_clzll(free);
		if (order == ALLOC_SCATTERED) {
			unsigned turn = (unsigned)alloc_random(alloc) % 64;
			uint64_t turned = free >> turn | free << (64 - turn) % 64;

			return word * 64 + (turn + (unsigned)__builtin_ctzll(turned)) % 64;
		}
		return word * 64 + (unsigned)__builtin_ctzll(free);
	}
	return 0;
}

bool alloc_take_page(struct alloc *alloc, enum alloc_owner owner, enum alloc_order order,
		     uint32_t seed, uint64_t *ret_address)
{
	uint64_t number;

	if (!find_room(alloc, owner, order, seed, &number))
		return false;
	*ret_address = page_address(number, choose_page(alloc, &alloc->blocks[number], order));
	take(alloc, *ret_address, 1, owner, seed);
	return true;
}

void alloc_publish(struct alloc *alloc, uint64_t address, unsigned pages)
{
	struct alloc_block *block = alloc_block_of(alloc, address);

	set_owners(block, page_index(address), pages, ALLOC_WORK);
	alloc->pages[ALLOC_SYSTEM] -= pages;
	alloc->pages[ALLOC_WORK] += pages;
}

void alloc_give(struct alloc *alloc, uint64_t address, unsigned pages, uint64_t now_ns)
{
	struct alloc_block *block = alloc_block_of(alloc, address);
	enum alloc_owner owner = alloc_owner_of(alloc, address);

	set_owners(block, page_index(address), pages, ALLOC_FREE);
	if (owner == ALLOC_WORK)
		block->work_pages = (uint16_t)(block->work_pages - pages);
	block->free_pages = (uint16_t)(block->free_pages + pages);
	block->free_since_ns = now_ns;
	block->generation++;
	alloc->pages[owner] -= pages;
	alloc->pages[ALLOC_FREE] += pages;
	widen(alloc, address >> ALLOC_BLOCK_SHIFT);
}

/* The first page of @owner in block @number with an index of at least @from. */
static bool find_in_block(const struct alloc *alloc, enum alloc_owner owner, uint64_t number,
			  unsigned from, uint64_t *ret_address)
{
	for (unsigned word = from / 64; word < ALLOC_BLOCK_WORDS; word++) {
		uint64_t mask = owner_mask(&alloc->blocks[number], word, owner);

		if (word == from / 64)
			mask &= ~UINT64_C(0) << from % 64;
		if (mask) {
			*ret_address =
				page_address(number, word * 64 + (unsigned)__builtin_ctzll(mask));
			return true;
		}
	}
	return false;
}

bool alloc_find(const struct alloc *alloc, enum alloc_owner owner, uint64_t address,
		uint64_t *ret_address)
{
	uint64_t number = address >> ALLOC_BLOCK_SHIFT;
	unsigned from = page_index(address);

	if (number >= alloc->block_count) {
		number = 0;
		from = 0;
	}
	for (uint64_t i = 0; i <= alloc->block_count; i++) {
		if (find_in_block(alloc, owner, number, from, ret_address))
			return true;
		from = 0;
		number = number + 1 == alloc->block_count ? 0 : number + 1;
	}
	return false;
}

bool alloc_find_before(const struct alloc *alloc, enum alloc_owner owner, uint64_t address,
		       uint64_t end, uint64_t *ret_address)
{
	unsigned from = page_index(address);
	uint64_t found;

	for (uint64_t number = address >> ALLOC_BLOCK_SHIFT;
	     number < alloc->block_count && page_address(number, from) < end; number++) {
		if (find_in_block(alloc, owner, number, from, &found)) {
			if (found < end)
				*ret_address = found;
			return found < end;
		}
		from = 0;
	}
	return false;
}

bool alloc_work_span(const struct alloc *alloc, uint64_t *ret_start, uint64_t *ret_end)
{
	uint64_t first = 0, end = alloc->block_count;

	while (first < end && !alloc->blocks[first].work_pages)
		first++;
	if (first == end)
		return false;
	while (!alloc->blocks[end - 1].work_pages)
		end--;
	*ret_start = page_address(first, 0);
	*ret_end = page_address(end, 0);
	return true;
}

bool alloc_find_side_by_side(const struct alloc *alloc, uint64_t blocks, uint64_t *ret_address)
{
	uint64_t run = 0;

	for (uint64_t i = alloc->low_whole; i < alloc->block_count && i <= alloc->high_whole; i++) {
		run = is_whole(alloc, i) ? run + 1 : 0;
		if (run && run == blocks) {
			*ret_address = page_address(i + 1 - blocks, 0);
			return true;
		}
	}
	return false;
}

unsigned alloc_run(const struct alloc *alloc, uint64_t address)
{
	enum alloc_owner owner = alloc_owner_of(alloc, address);
	const struct alloc_block *block = alloc_block_of(alloc, address);
	unsigned start = page_index(address), index = start;

	while (index < ALLOC_BLOCK_PAGES) {
		uint64_t others = ~owner_mask(block, index / 64, owner) >> index % 64;

		if (others)
			return index - start + (unsigned)__builtin_ctzll(others);
		index += 64 - index % 64;
	}
	return index - start;
}

uint64_t alloc_whole_blocks(const struct alloc *alloc)
{
	uint64_t count = 0;

	for (uint64_t i = alloc->low_whole; i < alloc->block_count && i <= alloc->high_whole; i++)
		count += is_whole(alloc, i);
	return count;
}
