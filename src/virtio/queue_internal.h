/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* queue_internal.h - what queue.c and chain.c share. Only inside virtio/.
 *
 * Fields are little-endian in the specification; neap runs on x86-64 only.
 * Source: virtio 1.2 §2.7.5 "The Virtqueue Descriptor Table".
 */
#ifndef NEAP_VIRTIO_QUEUE_INTERNAL_H
#define NEAP_VIRTIO_QUEUE_INTERNAL_H

#include <errno.h>

#include "virtio/queue.h"

enum { VRING_DESC_F_NEXT = 1, VRING_DESC_F_WRITE = 2, VRING_DESC_F_INDIRECT = 4 };

struct vring_desc {
	uint64_t addr;
	uint32_t len_bytes;
	uint16_t flags;
	uint16_t next;
};

static inline int virtq_fault(struct virtq *vq, const char *reason)
{
	vq->fault = reason;
	return -EPROTO;
}

/* Collect the chain that starts at @head < vq->num. 0, -EPROTO or -ENOSPC. */
int chain_walk(struct virtq *vq, uint16_t head, struct virtq_chain *ret_chain);

#endif
