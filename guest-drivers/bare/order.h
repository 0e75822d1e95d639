/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* order.h - in which order memory is visited: piece by piece upwards, or shuffled. Pure.
 *
 * A shuffle needs no list: order_piece() computes the nth piece.
 */
#ifndef BARE_ORDER_H
#define BARE_ORDER_H

#include <stdbool.h>
#include <stdint.h>

struct order {
	uint64_t start, end; /* addresses */
	uint64_t grain_bytes;
	uint64_t pieces;
	bool shuffled;
	uint64_t seed;
	unsigned half_bits;
};

struct piece {
	uint64_t start, end;
};

/* Upwards through [start, end) in pieces that begin at multiples of @grain_bytes (a power of
 * two). */
void order_init(struct order *order, uint64_t start, uint64_t end, uint64_t grain_bytes);

/* From now on in an order of its own for each @seed. */
void order_shuffle(struct order *order, uint64_t seed);

/* The @nth piece, @nth < pieces; each piece comes once. */
struct piece order_piece(const struct order *order, uint64_t nth);

#endif
