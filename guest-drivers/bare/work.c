/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* work.c - the workloads. See work.h.
 *
 * Invariants
 *  W1  A page is published to the working set after all its words are written.
 *  W2  A mismatch counts only if the page was the working set's all the while: the reader
 *      has no lock, so it asks again what it had looked at (memory_still) before it says so.
 */
#include "balloon.h"
#include "count.h"
#include "cpu.h"
#include "machine.h"
#include "memory.h"
#include "work.h"

enum { BORROW_PAGES = ALLOC_BLOCK_PAGES };
static const uint64_t borrow_patience_ns = 2000000000;

void work_poll(void)
{
	if (cpu_this()->number == 0)
		machine_poll();
}

/* One block, or a page when @pages is less or no block is left. 0: out of memory. */
static unsigned take(uint64_t pages, uint32_t seed, enum alloc_order order, uint64_t *ret_address)
{
	if (pages >= ALLOC_BLOCK_PAGES && memory_take_block(ALLOC_WORK, order, seed, ret_address))
		return ALLOC_BLOCK_PAGES;
	return memory_take_page(ALLOC_WORK, order, seed, ret_address);
}

/* As take(), with the balloon's pages if the host agreed to that. */
static unsigned take_or_borrow(uint64_t pages, uint32_t seed, enum alloc_order order,
			       uint64_t *ret_address)
{
	unsigned taken = take(pages, seed, order, ret_address);

	if (taken || !balloon_borrow(BORROW_PAGES))
		return taken;
	uint64_t deadline_ns = cpu_now_ns() + borrow_patience_ns;

	if (cpu_this()->number)
		machine_wake(0);
	while (!(taken = take(pages, seed, order, ret_address)) && cpu_now_ns() < deadline_ns)
		work_poll();
	return taken;
}

uint64_t work_fill(uint64_t bytes, uint32_t seed, enum alloc_order order)
{
	uint64_t left = bytes >> ALLOC_PAGE_SHIFT, address;

	while (left) {
		unsigned taken = take_or_borrow(left, seed, order, &address);

		if (!taken)
			break;
		for (unsigned i = 0; i < taken; i++) {
			uint64_t page = address + i * ALLOC_PAGE_BYTES;

			pattern_write((void *)page, page, seed);
			counters_join((void *)page, count_rounds());
		}
		memory_publish(address, taken);
		left -= taken;
		work_poll();
	}
	return (bytes & ~(ALLOC_PAGE_BYTES - 1)) - (left << ALLOC_PAGE_SHIFT);
}

void work_order(const struct work_way *way, struct order *ret_order)
{
	uint64_t start, end;

	memory_work_span(&start, &end);
	order_init(ret_order, start, end, way->grain_bytes);
	if (way->shuffled)
		order_shuffle(ret_order, way->seed);
}

static bool check_page(const struct memory_look *look, struct pattern_fault *ret_fault)
{
	const void *page = (const void *)look->address;
	uint64_t counts[PATTERN_COUNTERS];
	struct counters_bounds bounds;

	if (!pattern_check(page, look->address, look->seed, ret_fault))
		return false;
	count_before_look(&bounds);
	counters_read(page, look->address, look->seed, counts);
	count_after_look(&bounds);
	return counters_check(counts, look->address, look->seed, &bounds, ret_fault);
}

/* False: the page was given away meanwhile, look again. */
static bool verify_page(const struct memory_look *look, struct work_verdict *verdict)
{
	struct pattern_fault fault;

	if (!check_page(look, &fault)) {
		if (!memory_still(look)) /* W2 */
			return false;
		if (!verdict->bad_pages++) {
			verdict->first_bad = look->address + fault.offset;
			verdict->expected = fault.expected;
			verdict->seen = fault.seen;
		}
		verdict->bad_bytes += fault.wrong_bytes;
	}
	verdict->pages++;
	return true;
}

struct work_verdict work_verify(const struct work_way *way)
{
	struct work_verdict verdict = { 0 };
	struct memory_look look;
	struct order order;

	work_order(way, &order);
	for (uint64_t i = 0; i < order.pieces; i++) {
		struct piece piece = order_piece(&order, i);

		while (memory_next_work(piece.start, piece.end, &look))
			if (verify_page(&look, &verdict))
				piece.start = look.address + ALLOC_PAGE_BYTES;
		work_poll();
	}
	return verdict;
}

bool work_spoil(uint64_t *ret_address)
{
	uint64_t page, random = cpu_tsc();

	if (!memory_find(ALLOC_WORK, 0, &page))
		return false;
	*ret_address = page + random % ALLOC_PAGE_BYTES;
	*(volatile uint8_t *)*ret_address ^= (uint8_t)(1 << random / ALLOC_PAGE_BYTES % 8);
	return true;
}

/* A write that changes nothing: the page is dirty, its pattern stays. Returns the time it took. */
static uint64_t touch_page(uint64_t address)
{
	uint64_t before = cpu_tsc();

	__asm__ volatile("lock; orq $0, (%0)" ::"r"(address) : "memory");
	return cpu_tsc_to_ns(cpu_tsc() - before);
}

/* Sleeps as long as @pages were too early for @bytes_per_s. */
static void keep_rate(uint64_t start_ns, uint64_t pages, uint64_t bytes_per_s)
{
	uint64_t due_ns = start_ns + (pages << ALLOC_PAGE_SHIFT) * 1000000 / bytes_per_s * 1000;
	uint64_t now_ns = cpu_now_ns();

	if (due_ns > now_ns)
		work_sleep(due_ns - now_ns);
}

void work_touch(uint64_t bytes, uint64_t bytes_per_s, const struct work_way *way,
		struct histogram *ret_times)
{
	uint64_t start_ns = cpu_now_ns(), left = bytes >> ALLOC_PAGE_SHIFT, before_pass;
	struct memory_look look;
	struct order order;

	histogram_init(ret_times);
	work_order(way, &order);
	do {
		before_pass = left;
		for (uint64_t i = 0; i < order.pieces && left; i++) {
			struct piece piece = order_piece(&order, i);

			while (left && memory_next_work(piece.start, piece.end, &look)) {
				histogram_add(ret_times, touch_page(look.address));
				piece.start = look.address + ALLOC_PAGE_BYTES;
				left--;
				work_poll();
				if (bytes_per_s)
					keep_rate(start_ns, ret_times->count, bytes_per_s);
			}
		}
	} while (left && left < before_pass);
}

/* A page of the working set in @piece, another one in each @pass. */
static bool page_of_pass(const struct piece *piece, uint64_t pass, struct memory_look *ret_look)
{
	uint64_t start = piece->start + pass % ALLOC_BLOCK_PAGES * ALLOC_PAGE_BYTES;

	return memory_next_work(start, piece->end, ret_look) ||
	       memory_next_work(piece->start, piece->end, ret_look);
}

/* Writes once to each of the first @wanted blocks that hold pages. Returns their number. */
static uint64_t touch_blocks(const struct order *order, uint64_t wanted, uint64_t pass,
			     uint64_t end_ns)
{
	struct memory_look look;
	uint64_t touched = 0;

	for (uint64_t i = 0; i < order->pieces && touched < wanted && cpu_now_ns() < end_ns; i++) {
		struct piece piece = order_piece(order, i);

		if (page_of_pass(&piece, pass, &look)) {
			touch_page(look.address);
			touched++;
		}
		work_poll();
	}
	return touched;
}

struct work_hot work_hot(uint64_t percent, uint64_t ns, uint64_t seed)
{
	struct work_way way = { true, ALLOC_BLOCK_BYTES, seed };
	uint64_t end_ns = cpu_now_ns() + ns;
	struct work_hot hot = { 0 };
	struct memory_look look;
	struct order order;

	work_order(&way, &order);
	for (uint64_t i = 0; i < order.pieces; i++) {
		struct piece piece = order_piece(&order, i);

		hot.of_blocks += memory_next_work(piece.start, piece.end, &look);
	}
	hot.blocks = (hot.of_blocks * percent + 99) / 100;
	for (uint64_t pass = 0; hot.blocks && cpu_now_ns() < end_ns; pass++)
		hot.touches += touch_blocks(&order, hot.blocks, pass, end_ns);
	return hot;
}

uint64_t work_free(uint64_t bytes, bool whole_blocks)
{
	uint64_t left = bytes >> ALLOC_PAGE_SHIFT, freed = 0;
	unsigned pages;

	while (freed < left && memory_shrink_work(whole_blocks, &pages))
		freed += pages;
	return freed << ALLOC_PAGE_SHIFT;
}

uint64_t work_spin(uint64_t ns)
{
	uint64_t end = cpu_tsc() + cpu_ns_to_tsc(ns), rounds = 0;

	do {
		for (volatile unsigned i = 0; i < 1000; i++)
			;
		rounds += 1000;
		work_poll();
	} while (cpu_tsc() < end);
	return rounds;
}

void work_sleep(uint64_t ns)
{
	uint64_t end_ns = cpu_now_ns() + ns;

	while (cpu_now_ns() < end_ns) {
		if (cpu_this()->number == 0)
			machine_sleep(end_ns);
		else
			cpu_wait(end_ns);
	}
}
