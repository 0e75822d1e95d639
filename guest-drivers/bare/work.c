/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* work.c - the workloads. See work.h.
 *
 * Invariants
 *  W1  A page is published to the working set after all its words are written.
 *  W2  A mismatch counts only if the page was the working set's all the while: the reader
 *      has no lock, so it asks again what it had looked at (memory_still) before it says so.
 */
#include "balloon.h"
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
		}
		memory_publish(address, taken);
		left -= taken;
		work_poll();
	}
	return (bytes & ~(ALLOC_PAGE_BYTES - 1)) - (left << ALLOC_PAGE_SHIFT);
}

/* False: the page was given away meanwhile, look again. */
static bool verify_page(const struct memory_look *look, struct work_verdict *verdict)
{
	struct pattern_fault fault;

	if (!pattern_check((const void *)look->address, look->address, look->seed, &fault)) {
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

struct work_verdict work_verify(void)
{
	struct work_verdict verdict = { 0 };
	struct memory_look look;
	uint64_t address = 0;

	while (memory_next_work(address, &look)) {
		if (verify_page(&look, &verdict))
			address = look.address + ALLOC_PAGE_BYTES;
		if (look.address % ALLOC_BLOCK_BYTES == 0)
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

/* A write that changes nothing: the page is dirty, its pattern stays. */
static void touch_page(uint64_t address)
{
	__asm__ volatile("lock; orq $0, (%0)" ::"r"(address) : "memory");
}

struct work_latency work_touch(uint64_t bytes, uint64_t bytes_per_s)
{
	struct work_latency latency = { 0 };
	uint64_t start_ns = cpu_now_ns(), address = 0;

	for (; bytes >= ALLOC_PAGE_BYTES; bytes -= ALLOC_PAGE_BYTES) {
		if (!memory_find(ALLOC_WORK, address, &address))
			break;
		uint64_t before = cpu_tsc();

		touch_page(address);
		uint64_t took_ns = cpu_tsc_to_ns(cpu_tsc() - before);

		address += ALLOC_PAGE_BYTES;
		latency.pages++;
		latency.total_ns += took_ns;
		if (took_ns > latency.worst_ns)
			latency.worst_ns = took_ns;
		work_poll();
		if (!bytes_per_s)
			continue;
		uint64_t due_ns = start_ns + (latency.pages << ALLOC_PAGE_SHIFT) * 1000000 /
						     bytes_per_s * 1000;
		uint64_t now_ns = cpu_now_ns();

		if (due_ns > now_ns)
			work_sleep(due_ns - now_ns);
	}
	return latency;
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
