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

#include "base/gpa.h"
#include "memory/ram.h"

enum {
	VIRTQ_MAX_SIZE = 256, /* QueueNumMax we offer */
	VIRTQ_MAX_BUFS = 256, /* buffers in one chain, direct and indirect together */
};

struct virtq {
	struct ram *ram;
	uint16_t num; /* descriptors; 0 until configured */
	bool ready;
	gpa_t desc, avail, used;
	uint64_t features;	 /* negotiated: INDIRECT_DESC, EVENT_IDX */
	uint16_t last_avail;	 /* next avail entry to look at */
	uint16_t used_idx;	 /* what we published */
	uint16_t signalled_used; /* used_idx at the last interrupt decision */
	bool signalled_used_valid;
	uint64_t in_flight[VIRTQ_MAX_SIZE / 64]; /* heads popped, not yet pushed */
};

struct virtq_buf {
	gpa_t addr;
	uint32_t len_bytes;
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

/* Are the addresses and size as configured usable? Called at DRIVER_OK. 0 or -EPROTO. */
int virtq_check(const struct virtq *vq);

/* Next chain, whole and checked: VIRTQ_GOT, VIRTQ_EMPTY, -EPROTO or -ENOSPC. When it answers
 * VIRTQ_EMPTY, notifications from the guest are enabled and the ring was looked at once more. */
int virtq_pop(struct virtq *vq, struct virtq_chain *ret_chain);

/* Give a chain back with the number of bytes written into its writable part. 0, -EPROTO or -ENOSPC.
 */
int virtq_push(struct virtq *vq, uint16_t head, uint32_t written_bytes);

/* Does the guest want an interrupt for what was pushed since the last call? */
bool virtq_should_interrupt(struct virtq *vq);

/* Copy out of the readable part / into the writable part, from @offset. Fewer bytes than asked
 * only at the end of the part: returns the count, or -EPROTO / -ENOSPC. */
int64_t chain_read(struct virtq *vq, const struct virtq_chain *chain, uint64_t offset, void *to,
		   uint64_t len_bytes);
int64_t chain_write(struct virtq *vq, const struct virtq_chain *chain, uint64_t offset,
		    const void *from, uint64_t len_bytes);

#endif
