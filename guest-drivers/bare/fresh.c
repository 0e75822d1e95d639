/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fresh.c - see fresh.h. */
#include "cpu.h"
#include "fresh.h"
#include "memory.h"
#include "mix.h"

static void write_words(const struct piece *piece, uint64_t stride_bytes)
{
	for (uint64_t at = piece->start; at < piece->end; at += stride_bytes)
		*(volatile uint64_t *)at = mix(at);
}

static void touch_all(const struct order *order, uint64_t stride_bytes, struct histogram *times)
{
	for (uint64_t i = 0; i < order->pieces; i++) {
		struct piece piece = order_piece(order, i);
		uint64_t before = cpu_tsc();

		write_words(&piece, stride_bytes);
		histogram_add(times, cpu_tsc_to_ns(cpu_tsc() - before));
		work_poll();
	}
}

static void read_all(const struct order *order, uint64_t stride_bytes, struct fresh_result *result)
{
	for (uint64_t at = order->start; at < order->end; at += stride_bytes) {
		result->touches++;
		if (*(volatile uint64_t *)at != mix(at) && !result->wrong++)
			result->address = at;
		if (at % ALLOC_BLOCK_BYTES == 0)
			work_poll();
	}
}

bool fresh_touch(uint64_t bytes, uint64_t stride_bytes, const struct work_way *way,
		 struct fresh_result *ret_result, struct histogram *ret_times)
{
	struct fresh_result result = { .blocks = (bytes + ALLOC_BLOCK_BYTES - 1) /
						 ALLOC_BLOCK_BYTES };
	struct order order;
	uint64_t start;

	histogram_init(ret_times);
	if (!memory_take_side_by_side(result.blocks, &start))
		return false;
	order_init(&order, start, start + result.blocks * ALLOC_BLOCK_BYTES, way->grain_bytes);
	if (way->shuffled)
		order_shuffle(&order, way->seed);
	result.total_ns = cpu_now_ns();
	touch_all(&order, stride_bytes, ret_times);
	result.total_ns = cpu_now_ns() - result.total_ns;
	read_all(&order, stride_bytes, &result);
	for (uint64_t i = 0; i < result.blocks; i++)
		memory_give(start + i * ALLOC_BLOCK_BYTES, ALLOC_BLOCK_PAGES);
	*ret_result = result;
	return true;
}
