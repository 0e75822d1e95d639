/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* events.c - see events.h.
 *
 * Limits: the ring holds at most RING_MAX_BYTES of text, if need be fewer events than it was made for:
 * part of what an event says comes from VMs, and a message of theirs may be 1 MiB. A subscription
 * names at most VMS_MAX.
 */
#include "rpc/events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

enum { VMS_MAX = 4096 };
#define RING_MAX_BYTES (UINT64_C(8) * MIB_BYTES)

static struct event *place_of(const struct event_ring *ring, uint64_t seq)
{
	return &ring->events[seq % ring->capacity];
}

int event_ring_init(struct event_ring *ring, unsigned capacity, uint64_t first_seq)
{
	*ring = (struct event_ring){ .capacity = capacity,
				     .first_seq = first_seq,
				     .next_seq = first_seq,
				     .oldest_seq = first_seq };
	ring->events = capacity > 0 ? calloc(capacity, sizeof(*ring->events)) : NULL;
	return capacity > 0 && !ring->events ? -ENOMEM : 0;
}

static uint64_t bytes_of(const struct event *event)
{
	return event->text->len + (event->vm_name ? strlen(event->vm_name) : 0);
}

static void forget_oldest(struct event_ring *ring)
{
	uint64_t seq = ring->oldest_seq++;
	struct event *oldest;

	if (ring->capacity == 0)
		return;
	oldest = place_of(ring, seq);
	if (!oldest->text)
		return;
	ring->held_bytes -= bytes_of(oldest);
	shared_text_put(oldest->text);
	free((char *)oldest->vm_name);
	free((char *)oldest->vm_uuid);
	*oldest = (struct event){ 0 };
}

static void forget_all(struct event_ring *ring)
{
	while (ring->oldest_seq < ring->next_seq)
		forget_oldest(ring);
}

void event_ring_fini(struct event_ring *ring)
{
	forget_all(ring);
	free(ring->events);
	*ring = (struct event_ring){ 0 };
}

/* False: no memory for it. Then nothing is kept, so that what is kept has no gap. */
static bool keep(struct event_ring *ring, const struct event *event)
{
	struct event *place = place_of(ring, event->seq);

	if (!event->text)
		return false;
	*place = *event;
	place->vm_name = event->vm_name ? strdup(event->vm_name) : NULL;
	place->vm_uuid = event->vm_uuid ? strdup(event->vm_uuid) : NULL;
	event->text->references++;
	ring->held_bytes += bytes_of(place);
	return !event->vm_name == !place->vm_name && !event->vm_uuid == !place->vm_uuid;
}

void event_ring_push(struct event_ring *ring, const struct event *event)
{
	bool is_kept;

	if (ring->capacity > 0 && ring->next_seq - ring->oldest_seq == ring->capacity)
		forget_oldest(ring);
	is_kept = ring->capacity > 0 && keep(ring, event);
	ring->next_seq++;
	if (!is_kept)
		forget_all(ring);
	while (ring->held_bytes > RING_MAX_BYTES)
		forget_oldest(ring);
}

const struct event *event_ring_at(const struct event_ring *ring, uint64_t seq)
{
	return seq >= ring->oldest_seq && seq < ring->next_seq ? place_of(ring, seq) : NULL;
}

/* --- who wants which ------------------------------------------------------------------------- */

static int read_kinds(const struct api_set *set, const json_t *kinds, uint64_t *ret_wanted,
		      struct err *err)
{
	uint64_t wanted = kinds ? 0 : UINT64_MAX;

	for (size_t i = 0; i < json_array_size(kinds); i++) {
		const char *kind = json_string_value(json_array_get(kinds, i));
		int index = kind ? api_event_by_kind(set, kind) : -1;

		if (index < 0)
			return err_set(err, -EINVAL,
				       "there is no event \"%.40s\"; rpc.discover lists them",
				       kind ? kind : "");
		wanted |= UINT64_C(1) << index;
	}
	*ret_wanted = wanted;
	return 0;
}

static int read_vms(const json_t *vms, json_t **ret_wanted, struct err *err)
{
	json_t *wanted = vms ? json_object() : NULL;

	if (json_array_size(vms) > VMS_MAX) {
		json_decref(wanted);
		return err_set(err, -EINVAL, "vms may name at most %d VMs; leave it out for all",
			       VMS_MAX);
	}
	for (size_t i = 0; i < json_array_size(vms); i++)
		(void)json_object_set_new(wanted, json_string_value(json_array_get(vms, i)),
					  json_true());
	*ret_wanted = wanted;
	return 0;
}

int subscription_set(struct subscription *subscription, const struct api_set *set,
		     const json_t *params, struct err *err)
{
	struct subscription wanted = { 0 };

	if (read_kinds(set, json_object_get(params, "kinds"), &wanted.kinds, err) < 0 ||
	    read_vms(json_object_get(params, "vms"), &wanted.vms, err) < 0)
		return API_ERROR_INVALID_PARAMS;
	subscription_fini(subscription);
	*subscription = wanted;
	return 0;
}

void subscription_fini(struct subscription *subscription)
{
	json_decref(subscription->vms);
	*subscription = (struct subscription){ 0 };
}

bool subscription_wants(const struct subscription *subscription, const struct event *event)
{
	if (!(subscription->kinds >> event->kind & 1))
		return false;
	if (!subscription->vms)
		return true;
	return (event->vm_name && json_object_get(subscription->vms, event->vm_name)) ||
	       (event->vm_uuid && json_object_get(subscription->vms, event->vm_uuid));
}
