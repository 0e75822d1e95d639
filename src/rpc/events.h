/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* events.h - events as text, the last of them kept, and who wants which. Inside rpc/ only; loop
 * thread.
 */
#ifndef NEAP_RPC_EVENTS_H
#define NEAP_RPC_EVENTS_H

#include <stdbool.h>

#include "api/api.h"
#include "rpc/text.h"

struct event {
	uint64_t seq;
	unsigned kind;		       /* row of the set */
	const char *vm_name, *vm_uuid; /* NULL: of no VM */
	struct shared_text *text;
};

/* --- the last events ------------------------------------------------------------------------- */

struct event_ring {
	struct event *events; /* event seq stands at seq % capacity */
	unsigned capacity;
	uint64_t first_seq;  /* of the first event there was */
	uint64_t next_seq;   /* of the event to come */
	uint64_t oldest_seq; /* == next_seq: none is kept */
	uint64_t held_bytes;
};

int event_ring_init(struct event_ring *ring, unsigned capacity, uint64_t first_seq);
void event_ring_fini(struct event_ring *ring);

/* Keeps a copy of @event, whose seq is next_seq, and forgets the oldest where needed. */
void event_ring_push(struct event_ring *ring, const struct event *event);

/* NULL: not kept. */
const struct event *event_ring_at(const struct event_ring *ring, uint64_t seq);

/* --- who wants which ------------------------------------------------------------------------- */

struct subscription {	/* zeroed: to nothing */
	uint64_t kinds; /* bit per event of the set */
	json_t *vms;	/* an object whose keys are names and UUIDs; NULL: all, and of no VM too */
};

/* From the parameters kinds and vms, checked against their row. API_ERROR_INVALID_PARAMS and a
 * sentence: nothing changed. */
int subscription_set(struct subscription *subscription, const struct api_set *set,
		     const json_t *params, struct err *err);
void subscription_fini(struct subscription *subscription);
bool subscription_wants(const struct subscription *subscription, const struct event *event);

#endif
