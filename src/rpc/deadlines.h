/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* deadlines.h - which of many comes first: a heap of points in time. Knows no timer; whoever has
 * one asks deadlines_next_ns(). One owner thread.
 */
#ifndef NEAP_RPC_DEADLINES_H
#define NEAP_RPC_DEADLINES_H

#include <stdint.h>

/* Inside what waits; zeroed: it is in no heap. */
struct deadline {
	uint64_t at_ns;
	unsigned place; /* in the heap, from 1; 0: in none */
};

struct deadlines {
	struct deadline **heap;
	unsigned count, capacity;
};

#define DEADLINES_NONE UINT64_MAX

void deadlines_fini(struct deadlines *deadlines); /* what is in it is let go */
int deadlines_add(struct deadlines *deadlines, struct deadline *deadline, uint64_t at_ns);
void deadlines_remove(struct deadlines *deadlines, struct deadline *deadline); /* in it or not */

uint64_t deadlines_next_ns(const struct deadlines *deadlines); /* DEADLINES_NONE: nobody waits */

/* Takes out one that is due at @now_ns, the earliest first; NULL: none. */
struct deadline *deadlines_take_due(struct deadlines *deadlines, uint64_t now_ns);

#endif
