/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* virtio.h - virtio-mmio (version 2) devices and split rings, the driver's side.
 *
 * Registers and rings are worked from ring 3. Threads: the boot processor only.
 * Source: virtio 1.2 §4.2 "Virtio Over MMIO", §2.7 "Split Virtqueues", §3.1 "Device
 * Initialization".
 */
#ifndef BARE_VIRTIO_H
#define BARE_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

enum { VIRTIO_ID_CONSOLE = 3, VIRTIO_ID_BALLOON = 5 };

#define VIRTIO_F_VERSION_1 (UINT64_C(1) << 32)

enum virtio_interrupt { VIRTIO_INTERRUPT_USED = 1, VIRTIO_INTERRUPT_CONFIG = 2 };

enum { VIRTQUEUE_ENTRIES = 64 };

struct virtio_device {
	uint64_t base;
	unsigned gsi, device_id;
	uint64_t offered, features; /* since virtio_begin() */
	uint32_t seen_irqs;
};

struct virtqueue_rings;

struct virtqueue {
	struct virtio_device *device;
	struct virtqueue_rings *rings;
	unsigned index, entries;
	unsigned added; /* buffers ever made available, and ever seen used */
	unsigned used;
	uint64_t free; /* bit per descriptor */
	bool ready;
};

/* Where to look: at what @cmdline names (virtio_mmio.device=SIZE@BASE:GSI), else all over the board. */
void virtio_init(const char *cmdline);

/* The first device of that kind, or NULL; @nth: for listing, by number, whatever it is. */
struct virtio_device *virtio_find(unsigned device_id);
struct virtio_device *virtio_nth(unsigned nth);

/* Reset, features (those of @wanted that are offered), interrupt line. False: it declines. */
bool virtio_begin(struct virtio_device *device, uint64_t wanted);
bool virtqueue_init(struct virtqueue *queue, struct virtio_device *device, unsigned index);
void virtio_ready(struct virtio_device *device);

/* One buffer of one descriptor; its number (below entries) comes back by virtqueue_next(). False:
 * the queue is full. */
bool virtqueue_add(struct virtqueue *queue, const void *bytes, uint32_t len, bool writable,
		   unsigned *ret_number);
void virtqueue_kick(struct virtqueue *queue);
/* The next buffer the device is done with. False: none now. */
bool virtqueue_next(struct virtqueue *queue, unsigned *ret_number, uint32_t *ret_len);
bool virtqueue_has_used(const struct virtqueue *queue);
/* A wish: the device may interrupt all the same. */
void virtqueue_want_interrupts(struct virtqueue *queue, bool wanted);

/* What has happened since the last call: enum virtio_interrupt bits. Costs no exit if nothing. */
unsigned virtio_poll(struct virtio_device *device);
bool virtio_needs_reset(const struct virtio_device *device);

uint32_t virtio_config_read(const struct virtio_device *device, unsigned offset);
void virtio_config_write(const struct virtio_device *device, unsigned offset, uint32_t value);

#endif
