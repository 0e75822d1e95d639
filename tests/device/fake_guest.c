/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fake_guest.c - see fake_guest.h. */
#include "fake_guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/units.h"

enum { FAKE_FIRST_BYTE = 0x10000, FAKE_USED_FLAG_NO_NOTIFY = 1, FAKE_RUN_KICKS = 100000 };

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "fake_guest: %s\n", what);
	abort();
}

struct ram *fake_ram_open(uint64_t ram_bytes)
{
	struct ram_config config = { .ram_bytes = ram_bytes, .frame_bytes = GUEST_PAGE_BYTES };
	struct ram *ram = NULL;
	struct err err = { 0 };

	must(ram_open(&config, &ram, &err) == 0, err.text);
	return ram;
}

static void call_owner(void *ctx, void (*fn)(void *arg), void *arg)
{
	struct fake_guest *g = ctx;

	if (g->call)
		g->call(g->call_ctx, fn, arg);
	else
		fn(arg);
}

static void count_stall(void *ctx, int doorbell_fd)
{
	struct fake_guest *g = ctx;

	(void)doorbell_fd;
	g->stalls++;
}

void fake_guest_init(struct fake_guest *g, struct ram *ram, struct virtio_device *vdev)
{
	fake_guest_init_calling(g, ram, vdev, NULL, NULL);
}

void fake_guest_init_calling(struct fake_guest *g, struct ram *ram, struct virtio_device *vdev,
			     void (*call)(void *ctx, void (*fn)(void *arg), void *arg),
			     void *call_ctx)
{
	struct virtio_mmio_host host = { .call = call_owner, .stalled = count_stall, .ctx = g };
	struct err err = { 0 };

	memset(g, 0, sizeof(*g));
	g->ram = ram;
	g->vdev = vdev;
	g->call = call;
	g->call_ctx = call_ctx;
	g->next_alloc = FAKE_FIRST_BYTE;
	g->irq_fd = event_create();
	must(g->irq_fd >= 0, "no eventfd");
	must(virtio_mmio_create(vdev, &host, g->irq_fd, &g->mmio, &err) == 0, err.text);
}

void fake_guest_fini(struct fake_guest *g)
{
	virtio_mmio_destroy(g->mmio);
	close_fd(&g->irq_fd);
	ram_close(g->ram);
}

gpa_t fake_guest_alloc(struct fake_guest *g, uint64_t len_bytes, uint64_t align)
{
	uint64_t at;

	must(align_up(g->next_alloc, align, &at), "bad alignment");
	must(at + len_bytes <= ram_layout(g->ram)->regions[0].len_bytes, "guest memory used up");
	g->next_alloc = at + len_bytes;
	return GPA(at);
}

void *fake_guest_at(const struct fake_guest *g, gpa_t gpa)
{
	const struct ram_layout *layout = ram_layout(g->ram);

	for (unsigned i = 0; i < layout->region_count; i++) {
		const struct ram_region *region = &layout->regions[i];

		if (gpa.addr >= region->start.addr &&
		    gpa.addr - region->start.addr < region->len_bytes)
			return (uint8_t *)ram_guest_view(g->ram, i) +
			       (gpa.addr - region->start.addr);
	}
	must(false, "test asks for a guest address outside RAM");
	return NULL;
}

uint32_t fake_guest_read(struct fake_guest *g, uint32_t offset)
{
	uint32_t value;

	virtio_mmio_bus_ops.read(g->mmio, offset, &value, sizeof(value));
	return value;
}

void fake_guest_write(struct fake_guest *g, uint32_t offset, uint32_t value)
{
	virtio_mmio_bus_ops.write(g->mmio, offset, &value, sizeof(value));
}

uint32_t fake_guest_read_config32(struct fake_guest *g, uint32_t offset)
{
	return fake_guest_read(g, FAKE_CONFIG + offset);
}

void fake_guest_write_config32(struct fake_guest *g, uint32_t offset, uint32_t value)
{
	fake_guest_write(g, FAKE_CONFIG + offset, value);
}

uint8_t fake_guest_negotiate(struct fake_guest *g, uint64_t features)
{
	g->features = features | VIRTIO_F_VERSION_1;
	fake_guest_write(g, FAKE_STATUS, 0);
	fake_guest_write(g, FAKE_STATUS, 1);
	fake_guest_write(g, FAKE_STATUS, 3);
	for (uint32_t i = 0; i < 2; i++) {
		fake_guest_write(g, FAKE_DRIVER_FEATURES_SEL, i);
		fake_guest_write(g, FAKE_DRIVER_FEATURES, (uint32_t)(g->features >> (32 * i)));
	}
	fake_guest_write(g, FAKE_STATUS, 11);
	return (uint8_t)fake_guest_read(g, FAKE_STATUS);
}

/* A driver zeroes its rings; a test may have set next_alloc back to use memory again. */
static gpa_t alloc_zeroed(struct fake_guest *g, uint64_t len_bytes, uint64_t align)
{
	gpa_t gpa = fake_guest_alloc(g, len_bytes, align);

	memset(fake_guest_at(g, gpa), 0, len_bytes);
	return gpa;
}

void fake_guest_alloc_queue(struct fake_guest *g, unsigned index, uint16_t num)
{
	struct fake_queue *q = &g->queues[index];

	memset(q, 0, sizeof(*q));
	q->num = num;
	q->desc = alloc_zeroed(g, UINT64_C(16) * num, 16);
	q->avail = alloc_zeroed(g, UINT64_C(6) + UINT64_C(2) * num, 2);
	q->used = alloc_zeroed(g, UINT64_C(6) + UINT64_C(8) * num, 4);
	q->free_count = num;
	for (uint16_t i = 0; i < num; i++)
		q->free_descs[i] = (uint16_t)(num - 1 - i);
}

static void write_address(struct fake_guest *g, uint32_t low_register, gpa_t gpa)
{
	fake_guest_write(g, low_register, (uint32_t)gpa.addr);
	fake_guest_write(g, low_register + 4, (uint32_t)(gpa.addr >> 32));
}

void fake_guest_program_queue(struct fake_guest *g, unsigned index)
{
	const struct fake_queue *q = &g->queues[index];

	fake_guest_write(g, FAKE_QUEUE_SEL, index);
	fake_guest_write(g, FAKE_QUEUE_NUM, q->num);
	write_address(g, FAKE_QUEUE_DESC_LOW, q->desc);
	write_address(g, FAKE_QUEUE_DRIVER_LOW, q->avail);
	write_address(g, FAKE_QUEUE_DEVICE_LOW, q->used);
	fake_guest_write(g, FAKE_QUEUE_READY, 1);
}

uint8_t fake_guest_driver_ok(struct fake_guest *g)
{
	fake_guest_write(g, FAKE_STATUS, 15);
	return (uint8_t)fake_guest_read(g, FAKE_STATUS);
}

uint8_t fake_guest_start(struct fake_guest *g, uint64_t features, uint16_t num)
{
	uint8_t status = fake_guest_negotiate(g, features);

	if (!(status & VIRTIO_STATUS_FEATURES_OK))
		return status;
	for (unsigned i = 0; i < g->vdev->ops->queue_count; i++) {
		fake_guest_alloc_queue(g, i, num);
		fake_guest_program_queue(g, i);
	}
	return fake_guest_driver_ok(g);
}

static struct fake_desc *desc_table(struct fake_guest *g, unsigned index)
{
	return fake_guest_at(g, g->queues[index].desc);
}

static uint16_t *avail_words(struct fake_guest *g, unsigned index)
{
	return fake_guest_at(g, g->queues[index].avail);
}

static uint16_t *used_words(struct fake_guest *g, unsigned index)
{
	return fake_guest_at(g, g->queues[index].used);
}

static struct fake_desc to_desc(const struct fake_buf *buf)
{
	return (struct fake_desc){ .addr = buf->addr.addr,
				   .len_bytes = buf->len_bytes,
				   .flags = buf->writable ? FAKE_DESC_WRITE : 0 };
}

static struct fake_desc indirect_table(struct fake_guest *g, const struct fake_buf *bufs,
				       unsigned count)
{
	gpa_t table = fake_guest_alloc(g, UINT64_C(16) * count, 16);
	struct fake_desc *descs = fake_guest_at(g, table);

	for (unsigned i = 0; i < count; i++) {
		descs[i] = to_desc(&bufs[i]);
		if (i + 1 < count) {
			descs[i].flags |= FAKE_DESC_NEXT;
			descs[i].next = (uint16_t)(i + 1);
		}
	}
	return (struct fake_desc){ .addr = table.addr,
				   .len_bytes = 16 * count,
				   .flags = FAKE_DESC_INDIRECT };
}

int fake_guest_add(struct fake_guest *g, unsigned index, const struct fake_buf *bufs,
		   unsigned count, enum fake_layout layout)
{
	struct fake_queue *q = &g->queues[index];
	unsigned direct = layout == FAKE_DIRECT ? count : layout == FAKE_MIXED ? 1 : 0;
	unsigned needed = direct + (layout == FAKE_DIRECT ? 0 : 1);
	struct fake_desc *table = desc_table(g, index);
	uint16_t previous = 0, head = 0;

	if (needed > q->free_count)
		return -1;
	for (unsigned i = 0; i < needed; i++) {
		uint16_t at = q->free_descs[--q->free_count];

		table[at] = i < direct ? to_desc(&bufs[i])
				       : indirect_table(g, bufs + direct, count - direct);
		if (i == 0) {
			head = at;
		} else {
			table[previous].flags |= FAKE_DESC_NEXT;
			table[previous].next = at;
			q->chain_descs[previous] = at;
		}
		q->chain_descs[at] = at; /* the last one points at itself */
		previous = at;
	}
	fake_guest_offer(g, index, head);
	return head;
}

void fake_guest_offer(struct fake_guest *g, unsigned index, uint16_t head)
{
	struct fake_queue *q = &g->queues[index];
	uint16_t *avail = avail_words(g, index);

	__atomic_store_n(&avail[2 + q->avail_idx % q->num], head, __ATOMIC_RELAXED);
	q->avail_idx++;
	__atomic_store_n(&avail[1], q->avail_idx, __ATOMIC_SEQ_CST);
}

void fake_guest_put_desc(struct fake_guest *g, unsigned index, uint16_t at, struct fake_desc desc)
{
	desc_table(g, index)[at] = desc;
}

void fake_guest_ring(struct fake_guest *g, unsigned index)
{
	fake_guest_write(g, FAKE_QUEUE_NOTIFY, index);
	(void)fake_guest_run(g, FAKE_RUN_KICKS);
}

uint16_t fake_guest_used_idx(struct fake_guest *g, unsigned index)
{
	return __atomic_load_n(&used_words(g, index)[1], __ATOMIC_ACQUIRE);
}

static bool device_wants_ring(struct fake_guest *g, unsigned index)
{
	struct fake_queue *q = &g->queues[index];
	const uint16_t *used = used_words(g, index);
	uint16_t since = (uint16_t)(q->avail_idx - q->kicked_at);

	q->kicked_at = q->avail_idx;
	if (!(g->features & VIRTIO_F_EVENT_IDX))
		return !(__atomic_load_n(&used[0], __ATOMIC_SEQ_CST) & FAKE_USED_FLAG_NO_NOTIFY);

	uint16_t event = __atomic_load_n(&used[2 + 4 * q->num], __ATOMIC_SEQ_CST);

	return (uint16_t)(q->avail_idx - event - 1) < since;
}

bool fake_guest_notify(struct fake_guest *g, unsigned index)
{
	bool ring = device_wants_ring(g, index);

	if (ring)
		fake_guest_write(g, FAKE_QUEUE_NOTIFY, index);
	return ring;
}

bool fake_guest_kick(struct fake_guest *g, unsigned index)
{
	bool ring = fake_guest_notify(g, index);

	(void)fake_guest_run(g, FAKE_RUN_KICKS);
	return ring;
}

unsigned fake_guest_run(struct fake_guest *g, unsigned max_kicks)
{
	unsigned delivered = 0;
	bool rang = true;

	while (rang && delivered < max_kicks) {
		rang = false;
		for (unsigned i = 0; i < g->vdev->ops->queue_count; i++) {
			if (!event_drain(virtio_mmio_doorbell(g->mmio, i)))
				continue;
			virtio_mmio_kick(g->mmio, i);
			rang = true;
			delivered++;
		}
	}
	g->kicks += delivered;
	return delivered;
}

bool fake_guest_reap(struct fake_guest *g, unsigned index, uint32_t *ret_head,
		     uint32_t *ret_written_bytes)
{
	struct fake_queue *q = &g->queues[index];
	uint16_t *used = used_words(g, index);
	const struct fake_used *ring = (const struct fake_used *)(const void *)&used[2];

	if (__atomic_load_n(&used[1], __ATOMIC_ACQUIRE) == q->used_seen)
		return false;
	struct fake_used elem = ring[q->used_seen % q->num];

	q->used_seen++;
	must(elem.id < q->num, "used element names no descriptor");
	for (uint16_t at = (uint16_t)elem.id;; at = q->chain_descs[at]) {
		must(q->free_count < q->num, "descriptor given back twice");
		q->free_descs[q->free_count++] = at;
		if (q->chain_descs[at] == at)
			break;
	}
	*ret_head = elem.id;
	*ret_written_bytes = elem.len_bytes;
	return true;
}

uint32_t fake_guest_interrupt(struct fake_guest *g)
{
	if (!event_drain(g->irq_fd))
		return 0;
	uint32_t status = fake_guest_read(g, FAKE_INTERRUPT_STATUS);

	fake_guest_write(g, FAKE_INTERRUPT_ACK, status);
	return status;
}

void fake_guest_set_used_event(struct fake_guest *g, unsigned index, uint16_t event)
{
	__atomic_store_n(&avail_words(g, index)[2 + g->queues[index].num], event, __ATOMIC_SEQ_CST);
}
