/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* order.c - see order.h.
 *
 * The shuffle is a four-round Feistel network over the next even power of two, walked along until
 * it lands on a piece: a bijection for every count, at less than four steps on average.
 * Source: Black and Rogaway, "Ciphers with Arbitrary Finite Domains" (cycle-walking cipher).
 */
#include "order.h"
#include "mix.h"

enum { FEISTEL_ROUNDS = 4 };

void order_init(struct order *order, uint64_t start, uint64_t end, uint64_t grain_bytes)
{
	uint64_t first = start / grain_bytes, last = (end + grain_bytes - 1) / grain_bytes;

	*order = (struct order){ .start = start, .end = end, .grain_bytes = grain_bytes };
	order->pieces = end > start ? last - first : 0;
	order->half_bits = 1;
	while (order->half_bits < 32 && order->pieces >> 2 * order->half_bits)
		order->half_bits++;
}

void order_shuffle(struct order *order, uint64_t seed)
{
	order->shuffled = true;
	order->seed = mix(seed);
}

static uint64_t permute(const struct order *order, uint64_t x)
{
	uint64_t mask = (UINT64_C(1) << order->half_bits) - 1;
	uint64_t left = x >> order->half_bits, right = x & mask;

	for (unsigned i = 0; i < FEISTEL_ROUNDS; i++) {
		uint64_t turned = left ^ (mix(order->seed + right * FEISTEL_ROUNDS + i) & mask);

		left = right;
		right = turned;
	}
	return left << order->half_bits | right;
}

struct piece order_piece(const struct order *order, uint64_t nth)
{
	if (order->shuffled)
		do
			nth = permute(order, nth);
		while (nth >= order->pieces);
	uint64_t base = order->start / order->grain_bytes * order->grain_bytes;
	struct piece piece = { base + nth * order->grain_bytes,
			       base + (nth + 1) * order->grain_bytes };

	if (piece.start < order->start)
		piece.start = order->start;
	if (piece.end > order->end)
		piece.end = order->end;
	return piece;
}
