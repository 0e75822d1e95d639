/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* memory.c - RAM mapped and handed out. See memory.h.
 *
 * Design. start.S maps the first GiB and the device GiB; the rest is built here, in ring 3, page
 * directory by page directory, and linked by the gate. The tables lie behind the image: page
 * directories first, then struct alloc_block per 2 MiB up to the highest RAM.
 * Limits. RAM above 512 GiB (one page directory pointer table) is left alone.
 */
#include "cpu.h"
#include "libc.h"
#include "memory.h"

#define GIB_BYTES (UINT64_C(1) << 30)
enum {
	GIB_SHIFT = 30,
	GIB_MAX = 512,
	GIB_OF_DEVICES = 3,
	PAGE_RING3_2M = 0x87, /* present, writable, ring 3, 2 MiB */
	LOW_BYTES = 0x200000, /* the loader's data, ring 0, where processors start */
};

extern char bare_end[]; /* bare.lds */

static struct alloc alloc;
static struct spinlock lock;
static uint64_t total_pages;
static uint64_t table_end; /* first byte behind our tables */

static void map_gib(uint64_t number)
{
	uint64_t *directory = (uint64_t *)table_end;

	table_end += ALLOC_PAGE_BYTES;
	for (uint64_t i = 0; i < 512; i++)
		directory[i] = (number << GIB_SHIFT) + (i << ALLOC_BLOCK_SHIFT) + PAGE_RING3_2M;
	bare_gate(GATE_LINK_PD, number, (uint64_t)directory);
}

static void map_range(const struct boot_range *range, bool *mapped)
{
	uint64_t last = (range->start + range->len_bytes - 1) >> GIB_SHIFT;

	for (uint64_t gib = range->start >> GIB_SHIFT; gib <= last && gib < GIB_MAX; gib++) {
		if (!mapped[gib])
			map_gib(gib);
		mapped[gib] = true;
	}
}

static bool is_usable(const struct boot_range *range)
{
	return range->type == BOOT_RANGE_RAM && range->len_bytes &&
	       range->start < GIB_MAX * GIB_BYTES;
}

/* The end of the RAM range that holds the image: as far as tables may go. */
static uint64_t table_limit(const struct boot_info *info)
{
	for (unsigned i = 0; i < info->range_count; i++) {
		const struct boot_range *range = &info->ranges[i];
		uint64_t end = range->start + range->len_bytes;

		if (is_usable(range) && range->start <= table_end && table_end < end)
			return end < GIB_BYTES ? end : GIB_BYTES;
	}
	return 0;
}

static uint64_t highest_ram(const struct boot_info *info)
{
	uint64_t highest = 0;

	for (unsigned i = 0; i < info->range_count; i++) {
		const struct boot_range *range = &info->ranges[i];

		if (is_usable(range) && range->start + range->len_bytes > highest)
			highest = range->start + range->len_bytes;
	}
	return highest < GIB_MAX * GIB_BYTES ? highest : GIB_MAX * GIB_BYTES;
}

bool memory_init(const struct boot_info *info)
{
	static bool mapped[GIB_MAX];
	uint64_t blocks = highest_ram(info) >> ALLOC_BLOCK_SHIFT;

	table_end = ((uint64_t)bare_end + ALLOC_PAGE_BYTES - 1) & ~(ALLOC_PAGE_BYTES - 1);
	uint64_t need = ((highest_ram(info) >> GIB_SHIFT) + 1) * ALLOC_PAGE_BYTES +
			(blocks + 1) * sizeof(struct alloc_block);

	if (table_end + need > table_limit(info))
		return false;
	mapped[0] = mapped[GIB_OF_DEVICES] = true;
	for (unsigned i = 0; i < info->range_count; i++)
		if (is_usable(&info->ranges[i]))
			map_range(&info->ranges[i], mapped);
	alloc_init(&alloc, (struct alloc_block *)table_end, blocks);
	table_end += blocks * sizeof(struct alloc_block);
	for (unsigned i = 0; i < info->range_count; i++) {
		const struct boot_range *range = &info->ranges[i];

		if (is_usable(range)) {
			alloc_add_ram(&alloc, range->start, range->start + range->len_bytes,
				      cpu_now_ns());
			total_pages += range->len_bytes >> ALLOC_PAGE_SHIFT;
		}
	}
	alloc_reserve(&alloc, 0, LOW_BYTES);
	alloc_reserve(&alloc, LOW_BYTES, table_end);
	return true;
}

bool memory_take_block(enum alloc_owner owner, enum alloc_order order, uint32_t seed,
		       uint64_t *ret_address)
{
	spin_lock(&lock);
	bool taken = alloc_take_block(&alloc, owner, order, seed, ret_address);
	spin_unlock(&lock);
	return taken;
}

bool memory_take_page(enum alloc_owner owner, enum alloc_order order, uint32_t seed,
		      uint64_t *ret_address)
{
	spin_lock(&lock);
	bool taken = alloc_take_page(&alloc, owner, order, seed, ret_address);
	spin_unlock(&lock);
	return taken;
}

void memory_publish(uint64_t address, unsigned pages)
{
	spin_lock(&lock);
	alloc_publish(&alloc, address, pages);
	spin_unlock(&lock);
}

void memory_give(uint64_t address, unsigned pages)
{
	uint64_t now_ns = cpu_now_ns();

	spin_lock(&lock);
	alloc_give(&alloc, address, pages, now_ns);
	spin_unlock(&lock);
}

bool memory_take_unreported(uint64_t age_ns, uint64_t *ret_address)
{
	uint64_t now_ns = cpu_now_ns();
	bool taken = false;

	spin_lock(&lock);
	for (uint64_t i = alloc.low_whole; !taken && i < alloc.block_count && i <= alloc.high_whole;
	     i++) {
		const struct alloc_block *block = &alloc.blocks[i];

		if (block->free_pages < ALLOC_BLOCK_PAGES || block->reported ||
		    now_ns - block->free_since_ns < age_ns)
			continue;
		alloc_take_at(&alloc, i << ALLOC_BLOCK_SHIFT, ALLOC_BLOCK_PAGES, ALLOC_SYSTEM);
		*ret_address = i << ALLOC_BLOCK_SHIFT;
		taken = true;
	}
	spin_unlock(&lock);
	return taken;
}

void memory_reported(uint64_t address)
{
	memory_give(address, ALLOC_BLOCK_PAGES);
	spin_lock(&lock);
	alloc_block_of(&alloc, address)->reported =
		alloc_block_of(&alloc, address)->free_pages == ALLOC_BLOCK_PAGES;
	spin_unlock(&lock);
}

static void look_at(uint64_t address, struct memory_look *ret_look)
{
	const struct alloc_block *block = alloc_block_of(&alloc, address);

	*ret_look = (struct memory_look){ address, block->seed, block->generation };
}

void memory_work_span(uint64_t *ret_start, uint64_t *ret_end)
{
	spin_lock(&lock);
	if (!alloc_work_span(&alloc, ret_start, ret_end))
		*ret_start = *ret_end = 0;
	spin_unlock(&lock);
}

bool memory_take_side_by_side(uint64_t blocks, uint64_t *ret_address)
{
	spin_lock(&lock);
	bool found = alloc_find_side_by_side(&alloc, blocks, ret_address);

	for (uint64_t i = 0; found && i < blocks; i++)
		alloc_take_at(&alloc, *ret_address + i * ALLOC_BLOCK_BYTES, ALLOC_BLOCK_PAGES,
			      ALLOC_SYSTEM);
	spin_unlock(&lock);
	return found;
}

bool memory_next_work(uint64_t address, uint64_t end, struct memory_look *ret_look)
{
	uint64_t found;

	spin_lock(&lock);
	bool any = alloc_find_before(&alloc, ALLOC_WORK, address, end, &found);

	if (any)
		look_at(found, ret_look);
	spin_unlock(&lock);
	return any;
}

bool memory_still(const struct memory_look *look)
{
	struct memory_look now;

	spin_lock(&lock);
	look_at(look->address, &now);
	spin_unlock(&lock);
	return now.seed == look->seed && now.generation == look->generation;
}

bool memory_shrink_work(bool whole, unsigned *ret_pages)
{
	uint64_t now_ns = cpu_now_ns(), address;
	unsigned pages = 0;

	spin_lock(&lock);
	uint64_t start = alloc_random(&alloc) % (alloc.block_count << ALLOC_BLOCK_SHIFT);

	if (whole)
		start &= ~(ALLOC_BLOCK_BYTES - 1);
	while (alloc_find(&alloc, ALLOC_WORK, start, &address)) {
		if (pages && address >> ALLOC_BLOCK_SHIFT != start >> ALLOC_BLOCK_SHIFT)
			break;
		alloc_give(&alloc, address, 1, now_ns);
		pages++;
		if (!whole)
			break;
		start = address;
	}
	spin_unlock(&lock);
	if (pages)
		*ret_pages = pages;
	return pages > 0;
}

bool memory_find(enum alloc_owner owner, uint64_t address, uint64_t *ret_address)
{
	spin_lock(&lock);
	bool found = alloc_find(&alloc, owner, address, ret_address);
	spin_unlock(&lock);
	return found;
}

unsigned memory_find_run(enum alloc_owner owner, uint64_t address, uint64_t max,
			 uint64_t *ret_address)
{
	unsigned pages = 0;
	uint64_t found;

	spin_lock(&lock);
	if (alloc_find(&alloc, owner, address, &found) && found >= address) {
		pages = alloc_run(&alloc, found);
		*ret_address = found;
	}
	spin_unlock(&lock);
	return pages < max ? pages : (unsigned)max;
}

struct memory_counts memory_count(void)
{
	struct memory_counts counts = { .total_pages = total_pages };

	spin_lock(&lock);
	for (unsigned i = 0; i < ALLOC_OWNERS; i++)
		counts.pages[i] = alloc.pages[i];
	counts.whole_blocks = alloc_whole_blocks(&alloc);
	spin_unlock(&lock);
	return counts;
}
