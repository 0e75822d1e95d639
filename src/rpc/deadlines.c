/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* deadlines.c - see deadlines.h. A binary heap in an array; each member knows its place, so one that
 * is answered in time leaves in log(n).
 */
#include "rpc/deadlines.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 16 };

void deadlines_fini(struct deadlines *deadlines)
{
	for (unsigned i = 0; i < deadlines->count; i++)
		deadlines->heap[i]->place = 0;
	free(deadlines->heap);
	*deadlines = (struct deadlines){ 0 };
}

static void put(struct deadlines *deadlines, unsigned index, struct deadline *deadline)
{
	deadlines->heap[index] = deadline;
	deadline->place = index + 1;
}

/* Finds the place of @deadline, for which @index is free. */
static void rise(struct deadlines *deadlines, unsigned index, struct deadline *deadline)
{
	while (index > 0 && deadlines->heap[(index - 1) / 2]->at_ns > deadline->at_ns) {
		put(deadlines, index, deadlines->heap[(index - 1) / 2]);
		index = (index - 1) / 2;
	}
	put(deadlines, index, deadline);
}

static void sink(struct deadlines *deadlines, unsigned index, struct deadline *deadline)
{
	for (;;) {
		unsigned child = 2 * index + 1;

		if (child + 1 < deadlines->count &&
		    deadlines->heap[child + 1]->at_ns < deadlines->heap[child]->at_ns)
			child++;
		if (child >= deadlines->count || deadlines->heap[child]->at_ns >= deadline->at_ns)
			break;
		put(deadlines, index, deadlines->heap[child]);
		index = child;
	}
	rise(deadlines, index, deadline);
}

static int grow(struct deadlines *deadlines)
{
	unsigned capacity = deadlines->capacity ? 2 * deadlines->capacity : FIRST_CAPACITY;
	struct deadline **heap = realloc(deadlines->heap, capacity * sizeof(struct deadline *));

	if (!heap)
		return -ENOMEM;
	deadlines->heap = heap;
	deadlines->capacity = capacity;
	return 0;
}

int deadlines_add(struct deadlines *deadlines, struct deadline *deadline, uint64_t at_ns)
{
	if (deadlines->count == deadlines->capacity && grow(deadlines) < 0)
		return -ENOMEM;
	deadline->at_ns = at_ns;
	rise(deadlines, deadlines->count++, deadline);
	return 0;
}

void deadlines_remove(struct deadlines *deadlines, struct deadline *deadline)
{
	unsigned index = deadline->place - 1;
	struct deadline *last;

	if (deadline->place == 0)
		return;
	deadline->place = 0;
	last = deadlines->heap[--deadlines->count];
	if (last != deadline)
		sink(deadlines, index, last);
	if (deadlines->count == 0)
		deadlines_fini(deadlines);
}

uint64_t deadlines_next_ns(const struct deadlines *deadlines)
{
	return deadlines->count > 0 ? deadlines->heap[0]->at_ns : DEADLINES_NONE;
}

struct deadline *deadlines_take_due(struct deadlines *deadlines, uint64_t now_ns)
{
	struct deadline *first = deadlines->count > 0 ? deadlines->heap[0] : NULL;

	if (!first || first->at_ns > now_ns)
		return NULL;
	deadlines_remove(deadlines, first);
	return first;
}
