/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* queue.h - the split virtqueue, device side. The guest is hostile.
 *
 * For: taking chains from a guest and giving them back. Not for: what is in them.
 * Threads: the I/O thread owns a queue once its device is active.
 * Every field is read from guest memory once, checked, and used from the copy. Bounds are our
 * arrays' bounds. No pointer into guest memory outlives a call.
 * Source: virtio 1.2 §2.7 "Split Virtqueues".
 */
#ifndef NEAP_VIRTIO_QUEUE_H
#define NEAP_VIRTIO_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bitmap.h"
#include "base/gpa.h"
#include "memory/ram.h"

enum {
	VIRTQ_MAX_SIZE = 256, /* QueueNumMax we offer */
	VIRTQ_MAX_BUFS = 256, /* buffers in one chain, direct and indirect together */
};

/* A completion that could not be published yet: the host had no memory for the used ring. */
struct virtq_done {
	uint16_t head;
	uint32_t written_bytes;
};

/* What the guest was last told about ringing. */
enum virtq_notify {
	VIRTQ_NOTIFY_UNSET, /* nothing yet: the ring is as the guest set it up */
	VIRTQ_NOTIFY_ON,    /* to ring, and the ring was empty after that */
	VIRTQ_NOTIFY_OFF,   /* not to: we are looking anyway */
};

struct virtq {
	struct ram *ram;
	uint16_t num; /* descriptors; 0 until configured */
	bool ready;
	gpa_t desc, avail, used;
	uint64_t features;    /* negotiated: INDIRECT_DESC, EVENT_IDX */
	uint16_t last_avail;  /* next avail entry to look at */
	uint16_t used_idx;    /* what we published */
	uint32_t unsignalled; /* published since the last interrupt decision */
	enum virtq_notify notify;
	uint16_t deferred_count;
	uint64_t in_flight[BITMAP_WORDS(VIRTQ_MAX_SIZE)]; /* heads popped, not yet pushed */
	struct virtq_done deferred[VIRTQ_MAX_SIZE];
	const char *fault; /* why the last call answered -EPROTO; a literal */
};

struct virtq_buf {
	gpa_t addr;
	uint32_t len_bytes; /* may be 0: then addr means nothing */
};

/* One chain: first all device-readable buffers, then all device-writable ones. */
struct virtq_chain {
	uint16_t head;
	uint16_t readable_count;
	uint16_t writable_count;
	uint64_t readable_bytes;
	uint64_t writable_bytes;
	struct virtq_buf bufs[VIRTQ_MAX_BUFS]; /* readable ones first */
};

/* Why a queue operation could not go on. */
enum {
	VIRTQ_EMPTY = 0,
	VIRTQ_GOT = 1,
	/* negative: -EPROTO the guest broke the rules: virtio_break(); -ENOSPC the host cannot back
	 * guest memory now: nothing was consumed, call again later (virtio_stall()). */
};

/* As after reset: not configured, nothing in flight, nothing deferred. Keeps @vq->ram. */
void virtq_reset(struct virtq *vq);

/* Are the addresses and size as configured usable? Called at DRIVER_OK. 0 or -EPROTO. */
int virtq_check(const struct virtq *vq, const char **ret_fault);

/* Does any ring area of @a share a byte with one of @b? Both passed virtq_check(). */
bool virtq_overlaps(const struct virtq *a, const struct virtq *b);

/* Next chain, whole and checked: VIRTQ_GOT, VIRTQ_EMPTY, -EPROTO or -ENOSPC. When it answers
 * VIRTQ_EMPTY, notifications from the guest are enabled and the ring was looked at once more. */
int virtq_pop(struct virtq *vq, struct virtq_chain *ret_chain);

/* Undo the last virtq_pop(): the chain will be the next one again. Only before another pop. */
void virtq_unpop(struct virtq *vq, const struct virtq_chain *chain);

/**
 * virtq_push() - give a chain back with the number of bytes written into its writable part
 *
 * Return: 0; -EPROTO: @head is not in flight (e.g. the queue was reset meanwhile): nothing written;
 *         -ENOSPC: kept in the queue; virtq_flush() or any later push or pop publishes it.
 */
int virtq_push(struct virtq *vq, uint16_t head, uint32_t written_bytes);

/* Publish what an earlier virtq_push() had to keep. 0, -EPROTO or -ENOSPC. */
int virtq_flush(struct virtq *vq);

/* Does the guest want an interrupt for what was pushed since the last call? */
bool virtq_should_interrupt(struct virtq *vq);

/* Copy out of the readable part / into the writable part, from @offset. Fewer bytes than asked
 * only at the end of the part: returns the count, or -EPROTO (the chain is not in flight) /
 * -ENOSPC. */
int64_t chain_read(struct virtq *vq, const struct virtq_chain *chain, uint64_t offset, void *to,
		   uint64_t len_bytes);
int64_t chain_write(struct virtq *vq, const struct virtq_chain *chain, uint64_t offset,
		    const void *from, uint64_t len_bytes);

#endif
