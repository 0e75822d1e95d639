/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* count.c - see count.h.
 *
 * Invariants
 *  N1  A processor that does not count has counted every page of the working set `rounds` times;
 *      one that counts, once more or not yet. A new page joins at `rounds` (counters_join).
 *  N2  So a reader knows what a page may stand at: at least the rounds before it looked, at most
 *      those after, and one more for a processor that still counts then. `active` is read first:
 *      read last, a round that ends in between would be missed.
 *  N3  `users` is positive while processors count, negative while the working set changes.
 */
#include "count.h"
#include "cpu.h"
#include "memory.h"

static uint64_t rounds_of[COUNTERS_CPUS];
static bool active[COUNTERS_CPUS];
static int users;

static bool try_enter(int step)
{
	int seen = __atomic_load_n(&users, __ATOMIC_RELAXED);

	do
		if (step > 0 ? seen < 0 : seen > 0)
			return false;
	while (!__atomic_compare_exchange_n(&users, &seen, seen + step, false, __ATOMIC_ACQ_REL,
					    __ATOMIC_RELAXED));
	return true;
}

bool count_try_change(void)
{
	return try_enter(-1);
}

void count_end_change(void)
{
	__atomic_fetch_add(&users, 1, __ATOMIC_RELEASE);
}

const uint64_t *count_rounds(void)
{
	return rounds_of;
}

void count_before_look(struct counters_bounds *ret_bounds)
{
	ret_bounds->least[COUNTERS_SHARED] = 0;
	for (unsigned i = 0; i < COUNTERS_CPUS; i++) {
		ret_bounds->least[i] = __atomic_load_n(&rounds_of[i], __ATOMIC_ACQUIRE);
		ret_bounds->least[COUNTERS_SHARED] += ret_bounds->least[i];
	}
}

void count_after_look(struct counters_bounds *bounds)
{
	bounds->most[COUNTERS_SHARED] = 0;
	for (unsigned i = 0; i < COUNTERS_CPUS; i++) {
		bounds->most[i] = __atomic_load_n(&active[i], __ATOMIC_ACQUIRE);
		bounds->most[i] += __atomic_load_n(&rounds_of[i], __ATOMIC_ACQUIRE);
		bounds->most[COUNTERS_SHARED] += bounds->most[i];
	}
}

static void count_page(const struct memory_look *look, unsigned cpu, struct count_result *result)
{
	void *page = (void *)look->address;
	uint64_t seen = counters_add(page, look->address, look->seed, cpu);

	counters_add(page, look->address, look->seed, COUNTERS_SHARED);
	result->increments++;
	if (seen == rounds_of[cpu] || result->wrong++)
		return;
	result->address = look->address;
	result->expected = rounds_of[cpu];
	result->seen = seen;
}

static void count_round(const struct order *order, unsigned cpu, struct count_result *result)
{
	struct memory_look look;

	for (uint64_t i = 0; i < order->pieces; i++) {
		struct piece piece = order_piece(order, i);

		while (memory_next_work(piece.start, piece.end, &look)) {
			count_page(&look, cpu, result);
			piece.start = look.address + ALLOC_PAGE_BYTES;
		}
		work_poll();
	}
}

bool count_run(uint64_t rounds, const struct work_way *way, struct count_result *ret_result)
{
	struct count_result result = { 0 };
	unsigned cpu = cpu_this()->number;
	struct order order;

	if (cpu >= COUNTERS_CPUS || !try_enter(1))
		return false;
	work_order(way, &order);
	__atomic_store_n(&active[cpu], true, __ATOMIC_SEQ_CST);
	for (uint64_t i = 0; i < rounds; i++) {
		count_round(&order, cpu, &result);
		__atomic_store_n(&rounds_of[cpu], rounds_of[cpu] + 1, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&active[cpu], false, __ATOMIC_RELEASE);
	__atomic_fetch_sub(&users, 1, __ATOMIC_RELEASE);
	result.pages = rounds ? result.increments / rounds : 0;
	*ret_result = result;
	return true;
}

/* Pages may still be taken from the working set meanwhile: none is added up that was. */
static void tally_page(const struct memory_look *look, struct count_tally *tally)
{
	uint64_t counts[PATTERN_COUNTERS];

	counters_read((const void *)look->address, look->address, look->seed, counts);
	if (!memory_still(look))
		return;
	tally->pages++;
	for (unsigned i = 0; i < PATTERN_COUNTERS; i++)
		tally->counted[i] += counts[i];
}

bool count_tally(struct count_tally *ret_tally)
{
	struct memory_look look;
	uint64_t start, end;

	if (!count_try_change())
		return false;
	*ret_tally = (struct count_tally){ 0 };
	memory_work_span(&start, &end);
	while (memory_next_work(start, end, &look)) {
		tally_page(&look, ret_tally);
		start = look.address + ALLOC_PAGE_BYTES;
		if (start % ALLOC_BLOCK_BYTES == 0)
			work_poll();
	}
	for (unsigned i = 0; i < COUNTERS_CPUS; i++) {
		ret_tally->expected[i] = rounds_of[i] * ret_tally->pages;
		ret_tally->expected[COUNTERS_SHARED] += ret_tally->expected[i];
	}
	count_end_change();
	return true;
}
