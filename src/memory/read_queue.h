/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* read_queue.h - a bounded queue of block numbers; many threads put, many take, none waits.
 *
 * Each place has a turn number. A place whose turn equals a putter's ticket is empty and his; when
 * he has written, the turn is ticket + 1, which is what the taker with that ticket looks for; the
 * taker leaves ticket + READ_QUEUE_ROOM behind, the next putter's. So a place is handed over by one
 * store and one load, and a thread that is preempted in between delays only its own place.
 * The rule was published by Dmitry Vyukov (1024cores.net, "Bounded MPMC queue").
 */
#ifndef NEAP_MEMORY_READ_QUEUE_H
#define NEAP_MEMORY_READ_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { READ_QUEUE_ROOM = 256 /* a power of two */, READ_QUEUE_LINE_BYTES = 64 };

struct read_queue_place {
	_Atomic uint64_t turn;
	uint64_t block;
};

struct read_queue {
	_Alignas(READ_QUEUE_LINE_BYTES) _Atomic uint64_t put_ticket;
	_Alignas(READ_QUEUE_LINE_BYTES) _Atomic uint64_t take_ticket;
	_Alignas(READ_QUEUE_LINE_BYTES) struct read_queue_place places[READ_QUEUE_ROOM];
};

static inline void read_queue_init(struct read_queue *queue)
{
	for (uint64_t i = 0; i < READ_QUEUE_ROOM; i++)
		atomic_init(&queue->places[i].turn, i);
	atomic_init(&queue->put_ticket, 0);
	atomic_init(&queue->take_ticket, 0);
}

/* A place whose turn is @offset past its ticket, taken for the caller; NULL: there is none. */
static inline struct read_queue_place *read_queue_claim(struct read_queue *queue,
							_Atomic uint64_t *tickets, uint64_t offset,
							uint64_t *ret_ticket)
{
	uint64_t ticket = atomic_load(tickets);

	for (;;) {
		struct read_queue_place *place = &queue->places[ticket % READ_QUEUE_ROOM];
		int64_t ahead = (int64_t)(atomic_load(&place->turn) - (ticket + offset));

		if (ahead < 0)
			return NULL;
		if (ahead > 0) {
			ticket = atomic_load(tickets);
		} else if (atomic_compare_exchange_weak(tickets, &ticket, ticket + 1)) {
			*ret_ticket = ticket;
			return place;
		}
	}
}

/* False: full. */
static inline bool read_queue_put(struct read_queue *queue, uint64_t block)
{
	uint64_t ticket;
	struct read_queue_place *place = read_queue_claim(queue, &queue->put_ticket, 0, &ticket);

	if (!place)
		return false;
	place->block = block;
	atomic_store(&place->turn, ticket + 1);
	return true;
}

/* False: empty. */
static inline bool read_queue_take(struct read_queue *queue, uint64_t *ret_block)
{
	uint64_t ticket;
	struct read_queue_place *place = read_queue_claim(queue, &queue->take_ticket, 1, &ticket);

	if (!place)
		return false;
	*ret_block = place->block;
	atomic_store(&place->turn, ticket + READ_QUEUE_ROOM);
	return true;
}

#endif
