/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* virtio.c - see virtio.h.
 *
 * Invariants
 *  V1  A descriptor is free, or the device's: `free` has its bit, or it is between avail and used.
 *  V2  Interrupt lines are edges: after one, InterruptStatus is read and acknowledged until it is
 *      zero, or a second reason that came in between would be lost.
 * Limits. VIRTQUEUE_ENTRIES descriptors per queue, MAX_QUEUES queues, MAX_DEVICES devices.
 */
#include "apic.h"
#include "console.h"
#include "cpu.h"
#include "status.h"
#include "text.h"
#include "virtio.h"

enum {
	REG_MAGIC = 0x000,
	REG_VERSION = 0x004,
	REG_DEVICE_ID = 0x008,
	REG_DEVICE_FEATURES = 0x010,
	REG_DEVICE_FEATURES_SELECT = 0x014,
	REG_DRIVER_FEATURES = 0x020,
	REG_DRIVER_FEATURES_SELECT = 0x024,
	REG_QUEUE_SELECT = 0x030,
	REG_QUEUE_SIZE_MAX = 0x034,
	REG_QUEUE_SIZE = 0x038,
	REG_QUEUE_READY = 0x044,
	REG_QUEUE_NOTIFY = 0x050,
	REG_INTERRUPT_STATUS = 0x060,
	REG_INTERRUPT_ACK = 0x064,
	REG_STATUS = 0x070,
	REG_QUEUE_DESCRIPTORS = 0x080, /* low; high is 4 further, for all three */
	REG_QUEUE_DRIVER = 0x090,
	REG_QUEUE_DEVICE = 0x0a0,
	REG_CONFIG = 0x100,

	MAGIC = 0x74726976, /* "virt" */
	VERSION_MODERN = 2,

	STATUS_ACKNOWLEDGE = 1,
	STATUS_DRIVER = 2,
	STATUS_DRIVER_OK = 4,
	STATUS_FEATURES_OK = 8,
	STATUS_NEEDS_RESET = 64,
	STATUS_FAILED = 128,

	DESCRIPTOR_WRITABLE = 2,
	AVAIL_NO_INTERRUPT = 1,
	USED_NO_NOTIFY = 1,

	MAX_DEVICES = 16,
	MAX_QUEUES = 12,
};

struct descriptor {
	uint64_t address;
	uint32_t len;
	uint16_t flags, next;
};

struct virtqueue_rings {
	struct descriptor descriptors[VIRTQUEUE_ENTRIES];
	struct {
		uint16_t flags, index, ring[VIRTQUEUE_ENTRIES], used_event;
	} avail;
	struct {
		uint16_t flags, index;
		struct {
			uint32_t id, len;
		} ring[VIRTQUEUE_ENTRIES];
		uint16_t avail_event;
	} used __attribute__((aligned(4)));
} __attribute__((aligned(4096)));

/* Where devices may be; which they are is looked at when one is asked for. */
static struct place {
	uint64_t base;
	unsigned gsi;
} places[MAX_DEVICES];
static unsigned place_count, places_probed;
static struct virtio_device devices[MAX_DEVICES];
static unsigned device_count;
static struct virtqueue_rings rings[MAX_QUEUES];
static unsigned rings_used;

static uint32_t read_register(const struct virtio_device *device, unsigned offset)
{
	return mmio_read32(device->base + offset);
}

static void write_register(const struct virtio_device *device, unsigned offset, uint32_t value)
{
	mmio_write32(device->base + offset, value);
}

static void note_place(uint64_t base, uint64_t gsi)
{
	if (place_count < MAX_DEVICES)
		places[place_count++] = (struct place){ base, (unsigned)gsi };
}

/* What is at the next place. False: there is none. */
static bool probe_next(void)
{
	if (places_probed == place_count)
		return false;
	const struct place *place = &places[places_probed++];
	struct virtio_device device = { .base = place->base, .gsi = place->gsi };

	if (read_register(&device, REG_MAGIC) != MAGIC ||
	    read_register(&device, REG_VERSION) != VERSION_MODERN)
		return true;
	device.device_id = read_register(&device, REG_DEVICE_ID);
	if (device.device_id)
		devices[device_count++] = device;
	return true;
}

/* SIZE@BASE:GSI[:ID] */
static bool parse_device(const char *option, uint64_t *ret_base, uint64_t *ret_gsi)
{
	char word[64];
	unsigned len = 0, field = 0;
	uint64_t values[3];

	for (;; option++) {
		if (*option && *option != '@' && *option != ':') {
			if (len + 1 == sizeof(word))
				return false;
			word[len++] = *option;
			continue;
		}
		word[len] = '\0';
		len = 0;
		if (!text_to_bytes(word, &values[field++]))
			return false;
		if (field == 3 || !*option)
			break;
	}
	*ret_base = values[1];
	*ret_gsi = values[2];
	return field == 3;
}

void virtio_init(const char *cmdline)
{
	char option[64];
	uint64_t base, gsi;
	bool named = false;

	for (unsigned i = 0; text_option(cmdline, "virtio_mmio.device", i, option, sizeof(option));
	     i++) {
		named = true;
		if (parse_device(option, &base, &gsi))
			note_place(base, gsi);
		else
			say("error boot cannot read virtio_mmio.device=%s", option);
	}
	for (unsigned i = 0; !named && i < BOARD_VIRTIO_SLOTS; i++)
		note_place(BOARD_VIRTIO_BASE + i * BOARD_VIRTIO_STRIDE, BOARD_VIRTIO_GSI + i);
}

struct virtio_device *virtio_nth(unsigned nth)
{
	while (nth >= device_count)
		if (!probe_next())
			return NULL;
	return &devices[nth];
}

struct virtio_device *virtio_find(unsigned device_id)
{
	struct virtio_device *device;

	for (unsigned i = 0; (device = virtio_nth(i)); i++)
		if (device->device_id == device_id)
			return device;
	return NULL;
}

static uint64_t read_offered(const struct virtio_device *device)
{
	uint64_t features;

	write_register(device, REG_DEVICE_FEATURES_SELECT, 0);
	features = read_register(device, REG_DEVICE_FEATURES);
	write_register(device, REG_DEVICE_FEATURES_SELECT, 1);
	return features | (uint64_t)read_register(device, REG_DEVICE_FEATURES) << 32;
}

bool virtio_begin(struct virtio_device *device, uint64_t wanted)
{
	write_register(device, REG_STATUS, 0);
	while (read_register(device, REG_STATUS))
		cpu_relax();
	write_register(device, REG_STATUS, STATUS_ACKNOWLEDGE);
	write_register(device, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	device->offered = read_offered(device);
	device->features = device->offered & (wanted | VIRTIO_F_VERSION_1);
	write_register(device, REG_DRIVER_FEATURES_SELECT, 0);
	write_register(device, REG_DRIVER_FEATURES, (uint32_t)device->features);
	write_register(device, REG_DRIVER_FEATURES_SELECT, 1);
	write_register(device, REG_DRIVER_FEATURES, (uint32_t)(device->features >> 32));
	write_register(device, REG_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
	if (!(device->features & VIRTIO_F_VERSION_1) ||
	    !(read_register(device, REG_STATUS) & STATUS_FEATURES_OK) || !apic_route(device->gsi)) {
		write_register(device, REG_STATUS, STATUS_FAILED);
		return false;
	}
	device->seen_irqs = bare_cpus[0].irqs[device->gsi];
	return true;
}

void virtio_ready(struct virtio_device *device)
{
	write_register(device, REG_STATUS,
		       STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

bool virtio_needs_reset(const struct virtio_device *device)
{
	return read_register(device, REG_STATUS) & STATUS_NEEDS_RESET;
}

static void write_address(const struct virtio_device *device, unsigned offset, const void *address)
{
	write_register(device, offset, (uint32_t)(uint64_t)address);
	write_register(device, offset + 4, (uint32_t)((uint64_t)address >> 32));
}

bool virtqueue_init(struct virtqueue *queue, struct virtio_device *device, unsigned index)
{
	write_register(device, REG_QUEUE_SELECT, index);
	unsigned max = read_register(device, REG_QUEUE_SIZE_MAX);

	if (!max || rings_used == MAX_QUEUES)
		return false;
	*queue = (struct virtqueue){ .device = device,
				     .rings = &rings[rings_used++],
				     .index = index };
	queue->entries = max < VIRTQUEUE_ENTRIES ? max : VIRTQUEUE_ENTRIES;
	queue->free = queue->entries == 64 ? ~UINT64_C(0) : (UINT64_C(1) << queue->entries) - 1;
	write_register(device, REG_QUEUE_SIZE, queue->entries);
	write_address(device, REG_QUEUE_DESCRIPTORS, queue->rings->descriptors);
	write_address(device, REG_QUEUE_DRIVER, &queue->rings->avail);
	write_address(device, REG_QUEUE_DEVICE, &queue->rings->used);
	write_register(device, REG_QUEUE_READY, 1);
	queue->ready = true;
	return true;
}

bool virtqueue_add(struct virtqueue *queue, const void *bytes, uint32_t len, bool writable,
		   unsigned *ret_number)
{
	if (!queue->free)
		return false;
	unsigned number = (unsigned)__builtin_ctzll(queue->free);
	struct virtqueue_rings *ring = queue->rings;

	queue->free &= queue->free - 1;
	ring->descriptors[number] =
		(struct descriptor){ (uint64_t)bytes, len, writable ? DESCRIPTOR_WRITABLE : 0, 0 };
	ring->avail.ring[queue->added % queue->entries] = (uint16_t)number;
	queue->added++;
	__atomic_store_n(&ring->avail.index, (uint16_t)queue->added, __ATOMIC_RELEASE);
	*ret_number = number;
	return true;
}

void virtqueue_kick(struct virtqueue *queue)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* the index before the flag */
	if (!(__atomic_load_n(&queue->rings->used.flags, __ATOMIC_RELAXED) & USED_NO_NOTIFY))
		write_register(queue->device, REG_QUEUE_NOTIFY, queue->index);
}

bool virtqueue_has_used(const struct virtqueue *queue)
{
	return queue->ready && __atomic_load_n(&queue->rings->used.index, __ATOMIC_ACQUIRE) !=
				       (uint16_t)queue->used;
}

bool virtqueue_next(struct virtqueue *queue, unsigned *ret_number, uint32_t *ret_len)
{
	if (!virtqueue_has_used(queue))
		return false;
	unsigned at = queue->used % queue->entries, number = queue->rings->used.ring[at].id;

	if (number >= queue->entries || queue->free >> number & 1) {
		say("error virtio gsi=%u queue=%u used descriptor %u that it does not have",
		    queue->device->gsi, queue->index, number);
		cpu_exit(STATUS_INTERNAL);
	}
	*ret_number = number;
	*ret_len = queue->rings->used.ring[at].len;
	queue->free |= UINT64_C(1) << number;
	queue->used++;
	return true;
}

void virtqueue_want_interrupts(struct virtqueue *queue, bool wanted)
{
	__atomic_store_n(&queue->rings->avail.flags, wanted ? 0 : AVAIL_NO_INTERRUPT,
			 __ATOMIC_SEQ_CST);
}

unsigned virtio_poll(struct virtio_device *device)
{
	uint32_t irqs = bare_cpus[0].irqs[device->gsi], status;
	unsigned happened = 0;

	if (irqs == device->seen_irqs)
		return 0;
	device->seen_irqs = irqs;
	while ((status = read_register(device, REG_INTERRUPT_STATUS))) {
		write_register(device, REG_INTERRUPT_ACK, status);
		happened |= status;
	}
	return happened;
}

uint32_t virtio_config_read(const struct virtio_device *device, unsigned offset)
{
	return read_register(device, REG_CONFIG + offset);
}

void virtio_config_write(const struct virtio_device *device, unsigned offset, uint32_t value)
{
	write_register(device, REG_CONFIG + offset, value);
}
