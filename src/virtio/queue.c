/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* queue.c - take chains off the avail ring, put completions on the used ring.
 *
 * Problem. Three areas of guest memory are shared with a guest that may write anything at any
 * time, and whose memory the host may be unable to back for a while (an empty huge-page pool).
 *
 * Design. Ring indices and flags are single atomic loads and stores through a pointer that
 * memory/access checked in the same call. Descriptors are chain.c's.
 *
 * Invariants
 *  Q1  avail.idx is ahead of last_avail by at most num, or the guest is at fault. That bounds every
 *      loop over the ring, and catches an index that moved backwards.
 *  Q2  A head is in flight from pop to push, once. Offering it again meanwhile is a fault, so at
 *      most num chains are in flight.
 *  Q3  A used element is written before used.idx is (release). avail.idx is read before the entry
 *      it covers, and that before the descriptors (acquire).
 *  Q4  used.idx is stored before used_event or avail.flags is loaded, and avail_event or used.flags
 *      before avail.idx is loaded again: all sequentially consistent, since each side of the ring
 *      stores its own index and then reads the other's. The guest's barrier does its half. So
 *      neither side goes to sleep while the other believes that it was told.
 *  Q5  A completion is never lost. When the used ring cannot be backed, virtq_push() keeps it in
 *      `deferred`; it is published, in order, before any later completion and before any further
 *      pop. Since nothing is popped while something is deferred, deferred and in-flight heads are
 *      distinct: together at most num, the array's size.
 *  Q6  Nothing is consumed by a pop that fails: last_avail and in_flight move only when the whole
 *      chain was read and found good.
 *
 * Sources. virtio 1.2 §2.7.6 "The Virtqueue Available Ring", §2.7.7 "Used Buffer Notification
 * Suppression", §2.7.8 "The Virtqueue Used Ring", §2.7.10 "Available Buffer Notification
 * Suppression".
 */
#include "virtio/queue_internal.h"

#include <string.h>

#include "base/units.h"
#include "base/fd.h"
#include "memory/access.h"
#include "memory/hold.h"
#include "virtio/virtio.h"

enum { AVAIL_F_NO_INTERRUPT = 1, USED_F_NO_NOTIFY = 1 };

enum { DESC_ALIGN = 16, AVAIL_ALIGN = 2, USED_ALIGN = 4 };

struct vring_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[]; /* num entries, then used_event */
};

struct vring_used_elem {
	uint32_t id;
	uint32_t len_bytes;
};

struct vring_used {
	uint16_t flags;
	uint16_t idx;
	struct vring_used_elem ring[]; /* num entries, then avail_event */
};

/* Sizes with the event field, which a driver must provide whether or not EVENT_IDX is negotiated
 * (§2.7 "Split Virtqueues", table of alignments and sizes). */
static uint64_t desc_bytes(const struct virtq *vq)
{
	return sizeof(struct vring_desc) * (uint64_t)vq->num;
}

static uint64_t avail_bytes(const struct virtq *vq)
{
	return sizeof(struct vring_avail) + sizeof(uint16_t) * (vq->num + UINT64_C(1));
}

static uint64_t used_bytes(const struct virtq *vq)
{
	return sizeof(struct vring_used) + sizeof(struct vring_used_elem) * (uint64_t)vq->num +
	       sizeof(uint16_t);
}

static bool has_event_idx(const struct virtq *vq)
{
	return vq->features & VIRTIO_F_EVENT_IDX;
}

/* A ring while we work on it: held (memory/hold.h), so that it stays where it is. */
struct ring {
	struct ram *ram; /* NULL: nothing is held */
	gpa_t start;
	uint64_t len_bytes;
	union {
		struct vring_avail *avail;
		struct vring_used *used;
		void *pointer;
	};
};

static int hold_ring(struct virtq *vq, struct ring *ret_ring, gpa_t start, uint64_t len_bytes,
		     const char *fault)
{
	struct ring held = { .ram = vq->ram, .start = start, .len_bytes = len_bytes };
	int result = ram_hold(vq->ram, start, len_bytes, &held.pointer);

	if (result < 0)
		return result == -EFAULT ? virtq_fault(vq, fault) : -ENOSPC;
	*ret_ring = held;
	return 0;
}

static void release_ring(struct ring *ring)
{
	if (ring->ram)
		ram_release(ring->ram, ring->start, ring->len_bytes);
}

static int hold_avail(struct virtq *vq, struct ring *ret_ring)
{
	return hold_ring(vq, ret_ring, vq->avail, avail_bytes(vq), "avail ring is not in RAM");
}

static int hold_used(struct virtq *vq, struct ring *ret_ring)
{
	return hold_ring(vq, ret_ring, vq->used, used_bytes(vq), "used ring is not in RAM");
}

void virtq_reset(struct virtq *vq)
{
	struct ram *ram = vq->ram;

	memset(vq, 0, sizeof(*vq));
	vq->ram = ram;
}

struct area {
	uint64_t start, len_bytes;
};

static bool areas_overlap(const struct area *a, const struct area *b)
{
	return a->start < b->start + b->len_bytes && b->start < a->start + a->len_bytes;
}

enum { AREA_COUNT = 3 };

static void areas_of(const struct virtq *vq, struct area areas[AREA_COUNT])
{
	areas[0] = (struct area){ vq->desc.addr, desc_bytes(vq) };
	areas[1] = (struct area){ vq->avail.addr, avail_bytes(vq) };
	areas[2] = (struct area){ vq->used.addr, used_bytes(vq) };
}

bool virtq_overlaps(const struct virtq *a, const struct virtq *b)
{
	struct area of_a[AREA_COUNT], of_b[AREA_COUNT];

	areas_of(a, of_a);
	areas_of(b, of_b);
	for (unsigned i = 0; i < AREA_COUNT; i++)
		for (unsigned j = 0; j < AREA_COUNT; j++)
			if (areas_overlap(&of_a[i], &of_b[j]))
				return true;
	return false;
}

static const char *check_fault(const struct virtq *vq)
{
	struct area areas[AREA_COUNT];

	if (vq->num == 0 || vq->num > VIRTQ_MAX_SIZE || (vq->num & (vq->num - 1)) != 0)
		return "queue size is not a power of two up to the maximum";
	if (!is_aligned(vq->desc.addr, DESC_ALIGN) || !is_aligned(vq->avail.addr, AVAIL_ALIGN) ||
	    !is_aligned(vq->used.addr, USED_ALIGN))
		return "ring is not aligned";
	areas_of(vq, areas);
	for (unsigned i = 0; i < AREA_COUNT; i++)
		if (!ram_contains(vq->ram, GPA(areas[i].start), areas[i].len_bytes))
			return "ring is not in RAM";
	for (unsigned i = 0; i < AREA_COUNT; i++)
		for (unsigned j = i + 1; j < AREA_COUNT; j++)
			if (areas_overlap(&areas[i], &areas[j]))
				return "rings of a queue overlap";
	return NULL;
}

int virtq_check(const struct virtq *vq, const char **ret_fault)
{
	const char *fault = check_fault(vq);

	if (!fault)
		return 0;
	*ret_fault = fault;
	return -EPROTO;
}

/* The head that the guest offers next, or VIRTQ_EMPTY. */
static int next_head(struct virtq *vq, uint16_t *ret_head)
{
	CLEANUP(release_ring)
	struct ring ring = { 0 };
	int result = hold_avail(vq, &ring);

	if (result < 0)
		return result;
	uint16_t ahead =
		(uint16_t)(__atomic_load_n(&ring.avail->idx, __ATOMIC_SEQ_CST) - vq->last_avail);

	if (ahead == 0)
		return VIRTQ_EMPTY;
	if (ahead > vq->num)
		return virtq_fault(vq, "avail.idx is not within a queue size of where it was");

	uint16_t head = __atomic_load_n(&ring.avail->ring[vq->last_avail & (vq->num - 1)],
					__ATOMIC_RELAXED);

	if (head >= vq->num)
		return virtq_fault(vq, "head is outside the descriptor table");
	if (bitmap_test(vq->in_flight, head))
		return virtq_fault(vq, "head is offered while it is in flight");
	*ret_head = head;
	return VIRTQ_GOT;
}

static int enable_notify(struct virtq *vq)
{
	CLEANUP(release_ring)
	struct ring ring = { 0 };
	int result = hold_used(vq, &ring);

	if (result < 0)
		return result;
	if (has_event_idx(vq)) {
		uint16_t *avail_event = (uint16_t *)(void *)&ring.used->ring[vq->num];

		__atomic_store_n(avail_event, vq->last_avail, __ATOMIC_SEQ_CST);
	} else {
		__atomic_store_n(&ring.used->flags, 0, __ATOMIC_SEQ_CST);
	}
	vq->notify = VIRTQ_NOTIFY_ON;
	return 0;
}

/* With EVENT_IDX an avail_event that has been passed suppresses by itself. */
static void suppress_notify(struct virtq *vq)
{
	CLEANUP(release_ring)
	struct ring ring = { 0 };

	if (vq->notify == VIRTQ_NOTIFY_OFF)
		return;
	vq->notify = VIRTQ_NOTIFY_OFF;
	/* A hint: when the ring cannot be backed now the guest rings once too often. */
	if (!has_event_idx(vq) && hold_used(vq, &ring) == 0)
		__atomic_store_n(&ring.used->flags, USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
}

int virtq_pop(struct virtq *vq, struct virtq_chain *ret_chain)
{
	uint16_t head;

	if (!vq->ready)
		return VIRTQ_EMPTY;
	int result = virtq_flush(vq); /* Q5 */

	if (result < 0)
		return result;
	result = next_head(vq, &head);
	if (result == VIRTQ_EMPTY && vq->notify != VIRTQ_NOTIFY_ON) {
		result = enable_notify(vq);
		if (result == 0)
			result = next_head(vq, &head); /* Q4 */
	}
	if (result != VIRTQ_GOT)
		return result;
	suppress_notify(vq);
	result = chain_walk(vq, head, ret_chain);
	if (result < 0)
		return result;
	(void)bitmap_set(vq->in_flight, head);
	vq->last_avail++;
	return VIRTQ_GOT;
}

void virtq_unpop(struct virtq *vq, const struct virtq_chain *chain)
{
	if (chain->head < vq->num && bitmap_clear(vq->in_flight, chain->head))
		vq->last_avail--;
}

static int publish(struct virtq *vq, uint16_t head, uint32_t written_bytes)
{
	CLEANUP(release_ring)
	struct ring ring = { 0 };
	int result = hold_used(vq, &ring);

	if (result < 0)
		return result;
	struct vring_used_elem *elem = &ring.used->ring[vq->used_idx & (vq->num - 1)];

	__atomic_store_n(&elem->id, head, __ATOMIC_RELAXED);
	__atomic_store_n(&elem->len_bytes, written_bytes, __ATOMIC_RELAXED);
	vq->used_idx++;
	if (vq->unsignalled < UINT32_MAX)
		vq->unsignalled++;
	__atomic_store_n(&ring.used->idx, vq->used_idx, __ATOMIC_SEQ_CST);
	return 0;
}

int virtq_flush(struct virtq *vq)
{
	uint16_t done = 0;
	int result = 0;

	if (vq->deferred_count == 0)
		return 0;
	while (done < vq->deferred_count && result == 0) {
		result = publish(vq, vq->deferred[done].head, vq->deferred[done].written_bytes);
		if (result == 0)
			done++;
	}
	vq->deferred_count = (uint16_t)(vq->deferred_count - done);
	memmove(vq->deferred, vq->deferred + done, vq->deferred_count * sizeof(vq->deferred[0]));
	return result;
}

int virtq_push(struct virtq *vq, uint16_t head, uint32_t written_bytes)
{
	if (!vq->ready || head >= vq->num || !bitmap_clear(vq->in_flight, head))
		return virtq_fault(vq, "completion of a chain that is not in flight");
	int result = virtq_flush(vq);

	if (result == 0)
		result = publish(vq, head, written_bytes);
	if (result == -ENOSPC)
		vq->deferred[vq->deferred_count++] =
			(struct virtq_done){ .head = head, .written_bytes = written_bytes };
	return result;
}

bool virtq_should_interrupt(struct virtq *vq)
{
	CLEANUP(release_ring)
	struct ring ring = { 0 };
	uint32_t since = vq->unsignalled;

	if (!vq->ready || since == 0)
		return false;
	vq->unsignalled = 0;
	/* Not to be asked now: an interrupt too many is harmless, a missing one is not. */
	if (hold_avail(vq, &ring) < 0)
		return true;
	if (!has_event_idx(vq))
		return !(__atomic_load_n(&ring.avail->flags, __ATOMIC_SEQ_CST) &
			 AVAIL_F_NO_INTERRUPT);

	uint16_t used_event = __atomic_load_n(&ring.avail->ring[vq->num], __ATOMIC_SEQ_CST);

	/* Was the entry the guest waits for among the last @since ones? 2^16 of them are all. */
	return since > UINT16_MAX || (uint16_t)(vq->used_idx - used_event - 1) < since;
}
