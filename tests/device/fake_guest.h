/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fake_guest.h - a guest for device tests: RAM, a driver's rings, and the registers of one device.
 *
 * It drives a device as a driver does, over the MMIO registers and the rings in guest memory, on
 * the caller's thread; no KVM. It is obedient unless asked not to be: for hostile input a test
 * writes through fake_guest_at(), or into `queues[i]`, whatever it likes.
 *
 *	struct fake_guest g;
 *
 *	fake_guest_init(&g, fake_ram_open(64 * MIB_BYTES), device);
 *	fake_guest_start(&g, VIRTIO_F_EVENT_IDX, 64);
 *	gpa_t data = fake_guest_alloc(&g, 4096, 4096);
 *	fake_guest_add(&g, 0, (struct fake_buf[]){ { data, 4096, true } }, 1, FAKE_DIRECT);
 *	fake_guest_kick(&g, 0);                 and the device has run
 *	while (fake_guest_reap(&g, 0, &head, &written)) ...
 *	fake_guest_fini(&g);                    closes the RAM too; the device is the test's
 *
 * Failures of the host (no memory, no eventfd) end the test.
 */
#ifndef NEAP_TESTS_FAKE_GUEST_H
#define NEAP_TESTS_FAKE_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "memory/ram.h"
#include "virtio/transport_mmio.h"
#include "virtio/virtio.h"

/* virtio 1.2 §4.2.2 "MMIO Device Register Layout": the driver's own copy, on purpose. */
enum fake_register {
	FAKE_MAGIC = 0x000,
	FAKE_VERSION = 0x004,
	FAKE_DEVICE_ID = 0x008,
	FAKE_VENDOR_ID = 0x00c,
	FAKE_DEVICE_FEATURES = 0x010,
	FAKE_DEVICE_FEATURES_SEL = 0x014,
	FAKE_DRIVER_FEATURES = 0x020,
	FAKE_DRIVER_FEATURES_SEL = 0x024,
	FAKE_QUEUE_SEL = 0x030,
	FAKE_QUEUE_NUM_MAX = 0x034,
	FAKE_QUEUE_NUM = 0x038,
	FAKE_QUEUE_READY = 0x044,
	FAKE_QUEUE_NOTIFY = 0x050,
	FAKE_INTERRUPT_STATUS = 0x060,
	FAKE_INTERRUPT_ACK = 0x064,
	FAKE_STATUS = 0x070,
	FAKE_QUEUE_DESC_LOW = 0x080,
	FAKE_QUEUE_DESC_HIGH = 0x084,
	FAKE_QUEUE_DRIVER_LOW = 0x090,
	FAKE_QUEUE_DRIVER_HIGH = 0x094,
	FAKE_QUEUE_DEVICE_LOW = 0x0a0,
	FAKE_QUEUE_DEVICE_HIGH = 0x0a4,
	FAKE_SHM_SEL = 0x0ac,
	FAKE_SHM_LEN_LOW = 0x0b0,
	FAKE_SHM_LEN_HIGH = 0x0b4,
	FAKE_SHM_BASE_LOW = 0x0b8,
	FAKE_SHM_BASE_HIGH = 0x0bc,
	FAKE_QUEUE_RESET = 0x0c0,
	FAKE_CONFIG_GENERATION = 0x0fc,
	FAKE_CONFIG = 0x100,
};

enum { FAKE_INTERRUPT_QUEUE = 1, FAKE_INTERRUPT_CONFIG = 2 };

enum { FAKE_DESC_NEXT = 1, FAKE_DESC_WRITE = 2, FAKE_DESC_INDIRECT = 4 };

struct fake_desc {
	uint64_t addr;
	uint32_t len_bytes;
	uint16_t flags;
	uint16_t next;
};

struct fake_used {
	uint32_t id;
	uint32_t len_bytes;
};

/* The driver's side of one queue. Addresses may be changed between fake_guest_alloc_queue() and
 * fake_guest_program_queue(). */
struct fake_queue {
	uint16_t num;
	gpa_t desc, avail, used;
	uint16_t avail_idx; /* as published */
	uint16_t used_seen; /* up to where reaped */
	uint16_t kicked_at; /* avail_idx at the last decision about ringing */
	uint16_t free_count;
	uint16_t free_descs[VIRTQ_MAX_SIZE];  /* a stack */
	uint16_t chain_descs[VIRTQ_MAX_SIZE]; /* by head: descriptors to give back; follows next */
};

struct fake_guest {
	struct ram *ram;
	struct virtio_device *vdev;
	struct virtio_mmio *mmio;
	int irq_fd;
	uint64_t features;   /* acknowledged */
	uint64_t next_alloc; /* bump allocator */
	struct fake_queue queues[VIRTIO_MAX_QUEUES];
	void (*call)(void *ctx, void (*fn)(void *arg), void *arg); /* NULL: directly */
	void *call_ctx;
	unsigned stalls; /* times the transport said that host memory is short */
	unsigned kicks;	 /* doorbells delivered to the device */
};

struct fake_buf {
	gpa_t addr;
	uint32_t len_bytes;
	bool writable;
};

enum fake_layout {
	FAKE_DIRECT,
	FAKE_INDIRECT, /* all buffers in one indirect table */
	FAKE_MIXED,    /* the first one direct, the rest in an indirect table */
};

/* Guest RAM of 4 KiB frames, nothing of it allocated yet. */
struct ram *fake_ram_open(uint64_t ram_bytes);

/* Takes over @ram. @vdev outlives the guest. With @call, register accesses run through it, so that
 * a test can have its own I/O thread; NULL: on the caller's thread. */
void fake_guest_init(struct fake_guest *g, struct ram *ram, struct virtio_device *vdev);
void fake_guest_init_calling(struct fake_guest *g, struct ram *ram, struct virtio_device *vdev,
			     void (*call)(void *ctx, void (*fn)(void *arg), void *arg),
			     void *call_ctx);
void fake_guest_fini(struct fake_guest *g);

/* Guest memory below 3 GiB: zeroed, and not used again unless the test sets next_alloc back.
 * A pointer into the guest's own view of it. */
gpa_t fake_guest_alloc(struct fake_guest *g, uint64_t len_bytes, uint64_t align);
void *fake_guest_at(const struct fake_guest *g, gpa_t gpa);

uint32_t fake_guest_read(struct fake_guest *g, uint32_t offset);
void fake_guest_write(struct fake_guest *g, uint32_t offset, uint32_t value);
uint32_t fake_guest_read_config32(struct fake_guest *g, uint32_t offset);
void fake_guest_write_config32(struct fake_guest *g, uint32_t offset, uint32_t value);

/* Reset, then ACKNOWLEDGE, DRIVER, features (VERSION_1 is added), FEATURES_OK. The status read
 * back. */
uint8_t fake_guest_negotiate(struct fake_guest *g, uint64_t features);
void fake_guest_alloc_queue(struct fake_guest *g, unsigned index, uint16_t num);
void fake_guest_program_queue(struct fake_guest *g, unsigned index); /* and QueueReady = 1 */
uint8_t fake_guest_driver_ok(struct fake_guest *g);

/* All of that for all queues of the device. The status read back: 15 when all is well. */
uint8_t fake_guest_start(struct fake_guest *g, uint64_t features, uint16_t num);

/* Make a chain available without ringing. Its head, or -1 when the queue has too few descriptors
 * left. */
int fake_guest_add(struct fake_guest *g, unsigned index, const struct fake_buf *bufs,
		   unsigned count, enum fake_layout layout);

/* Put @head on the avail ring as it is. */
void fake_guest_offer(struct fake_guest *g, unsigned index, uint16_t head);

/* A descriptor as hostile as the test likes. */
void fake_guest_put_desc(struct fake_guest *g, unsigned index, uint16_t at, struct fake_desc desc);

/* Ring whether or not the device wants it, then fake_guest_run(). */
void fake_guest_ring(struct fake_guest *g, unsigned index);

/* used.idx as the device published it. */
uint16_t fake_guest_used_idx(struct fake_guest *g, unsigned index);

/* Ring if the device wants to be told. True: it was rung. The second one then runs the device. */
bool fake_guest_notify(struct fake_guest *g, unsigned index);
bool fake_guest_kick(struct fake_guest *g, unsigned index);

/* Deliver doorbells until none rings (at most @max_kicks): what the I/O thread does. Returns how
 * many were delivered. */
unsigned fake_guest_run(struct fake_guest *g, unsigned max_kicks);

/* The next used element; its descriptors are free again. */
bool fake_guest_reap(struct fake_guest *g, unsigned index, uint32_t *ret_head,
		     uint32_t *ret_written_bytes);

/* What the interrupt handler sees: InterruptStatus if the wire moved (0 if not), acknowledged. */
uint32_t fake_guest_interrupt(struct fake_guest *g);

/* For EVENT_IDX: used_event, where the driver asks for the next interrupt. */
void fake_guest_set_used_event(struct fake_guest *g, unsigned index, uint16_t event);

#endif
