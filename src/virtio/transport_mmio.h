/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* transport_mmio.h - virtio over MMIO, version 2 ("modern").
 *
 * Carries one virtio_device. A doorbell is an eventfd per queue (machine hands it to KVM as an
 * ioeventfd on QueueNotify with the queue's index as data); an interrupt is an eventfd (irqfd).
 * Registers that change the device or ask it are executed on the I/O thread through `call`, lazy ones
 * (bus.h) together with the next that is not. What a running guest uses needs no other thread.
 * Source: virtio 1.2 §4.2 "Virtio Over MMIO".
 */
#ifndef NEAP_VIRTIO_TRANSPORT_MMIO_H
#define NEAP_VIRTIO_TRANSPORT_MMIO_H

#include "device/bus.h"
#include "virtio/virtio.h"

enum { VIRTIO_MMIO_BYTES = 0x200, VIRTIO_MMIO_QUEUE_NOTIFY = 0x50 };

/* What the world does for a transport. */
struct virtio_mmio_host {
	/* Run fn(arg) on the thread that owns the device and return when it has run. May run it
	 * directly (tests, or already on that thread). */
	void (*call)(void *ctx, void (*fn)(void *arg), void *arg);
	/* A queue of this device cannot go on now, for want of host memory or for a rate limit:
	 * signal its doorbell soon (some milliseconds). I/O thread. */
	void (*stalled)(void *ctx, int doorbell_fd);
	void *ctx;
};

struct virtio_mmio; /* opaque */

/* Creates doorbells; @irq_fd is borrowed. The device outlives the transport. */
int virtio_mmio_create(struct virtio_device *vdev, const struct virtio_mmio_host *host, int irq_fd,
		       struct virtio_mmio **ret_transport, struct err *err);
void virtio_mmio_destroy(struct virtio_mmio *transport);

extern const struct bus_ops virtio_mmio_bus_ops; /* device = struct virtio_mmio * */

int virtio_mmio_doorbell(const struct virtio_mmio *transport,
			 unsigned index); /* eventfd, borrowed */

/* I/O thread: the doorbell of queue @index rang (already drained). */
void virtio_mmio_kick(struct virtio_mmio *transport, unsigned index);

/* The guest may have missed an interrupt (I/O APIC entry unmasked): signal again if one is pending.
 */
void virtio_mmio_reassert(struct virtio_mmio *transport);

/* Machine reset: as if the driver wrote 0 to Status. I/O thread, vCPUs stopped. */
void virtio_mmio_reset(struct virtio_mmio *transport);

#endif
