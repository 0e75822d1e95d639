/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* transport_mmio.c - the register file between vCPUs and one virtio_device.
 *
 * Threads. vCPU threads call in through the bus. What a running guest uses needs no other thread:
 * QueueNotify writes an eventfd, InterruptStatus and InterruptACK are one atomic word. Nor does what
 * never changes, nor the selectors, which belong to vCPU threads under a lock. Whatever changes the
 * device or asks it runs on the thread that owns it; so everything else here has that one owner, and
 * a Status write of 0 returns to the guest only when the device has let go of its memory. Each way
 * there and back costs two wake-ups. So lazy writes (bus.h), most of a driver's set-up, wait in
 * `waiting`, each with its selector, and go there together with the next access that must.
 *
 * Invariants
 *  M1  An interrupt's bit is set before its eventfd is written, and only InterruptACK clears bits
 *      (or a reset). A guest woken by it always finds the reason.
 *  M2  Control registers answer aligned 4-byte accesses only; anything else reads 0 and writes
 *      nothing. So do a write-only register that is read and a read-only one that is written.
 *  M3  A queue's registers are open only in the state FEATURES_OK and while it is not ready.
 *      A QueueNum that we cannot serve leaves the queue without a size: it will not pass
 *      virtq_check() at DRIVER_OK.
 *  M4  The owner sees a guest's accesses in the guest's order: whatever goes there takes all that
 *      waits with it, first. Two vCPUs that order their accesses do it by memory, and a write
 *      waits under the lock before its vCPU goes on. A register that is read without the owner
 *      depends on nothing that waits.
 *  M5  A machine reset forgets what waits: nobody is there who wrote it. A reset by the driver is
 *      one of its accesses, and keeps the order (M4).
 *  M6  `status` is the device's as the owner left it: after each access, each reset, and before the
 *      interrupt that tells of a breakdown. The owner alone writes it.
 *
 * Source: virtio 1.2 §4.2.2 "MMIO Device Register Layout".
 */
#include "virtio/transport_mmio.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/units.h"

enum {
	REG_MAGIC = 0x000,
	REG_VERSION = 0x004,
	REG_DEVICE_ID = 0x008,
	REG_VENDOR_ID = 0x00c,
	REG_DEVICE_FEATURES = 0x010,
	REG_DEVICE_FEATURES_SEL = 0x014,
	REG_DRIVER_FEATURES = 0x020,
	REG_DRIVER_FEATURES_SEL = 0x024,
	REG_QUEUE_SEL = 0x030,
	REG_QUEUE_NUM_MAX = 0x034,
	REG_QUEUE_NUM = 0x038,
	REG_QUEUE_READY = 0x044,
	REG_QUEUE_NOTIFY = VIRTIO_MMIO_QUEUE_NOTIFY,
	REG_INTERRUPT_STATUS = 0x060,
	REG_INTERRUPT_ACK = 0x064,
	REG_STATUS = 0x070,
	REG_QUEUE_DESC_LOW = 0x080,
	REG_QUEUE_DESC_HIGH = 0x084,
	REG_QUEUE_DRIVER_LOW = 0x090,
	REG_QUEUE_DRIVER_HIGH = 0x094,
	REG_QUEUE_DEVICE_LOW = 0x0a0,
	REG_QUEUE_DEVICE_HIGH = 0x0a4,
	REG_SHM_LEN_LOW = 0x0b0,
	REG_SHM_LEN_HIGH = 0x0b4,
	REG_SHM_BASE_LOW = 0x0b8,
	REG_SHM_BASE_HIGH = 0x0bc,
	REG_CONFIG_GENERATION = 0x0fc,
	REG_CONFIG = 0x100,
};

enum {
	MAGIC = 0x74726976,	/* "virt" */
	VERSION = 2,		/* modern */
	VENDOR_ID = 0x7061656e, /* "neap" */
	STATUS_MASK = 0xff,
};

enum { INTERRUPT_QUEUE = 1, INTERRUPT_CONFIG = 2, INTERRUPT_ALL = 3 };

/* Selectors, features, a queue's size and addresses. What is between them are registers that are
 * read-only or do not exist, and ignoring a write can wait, too. Not QueueReady, QueueNotify,
 * InterruptACK and Status: those act at once. Source: virtio 1.2 §4.2.2, table 4.1. */
static const struct bus_span lazy[] = {
	{ REG_DEVICE_FEATURES_SEL, REG_QUEUE_READY },
	{ REG_QUEUE_DESC_LOW, REG_QUEUE_DEVICE_HIGH + sizeof(uint32_t) },
};

/* More than a driver writes for one queue. Who writes more goes to the owner more often. */
enum { WAITING_MAX = 32 };

struct register_write {
	uint32_t offset, selector, value;
};

struct virtio_mmio {
	struct virtio_device *vdev;
	struct virtio_mmio_host host;
	int irq_fd; /* borrowed */
	int doorbell_fds[VIRTIO_MAX_QUEUES];
	uint32_t interrupt_status; /* atomic */
	uint32_t status;	   /* atomic; M6 */

	pthread_mutex_t lock; /* all that follows */
	uint32_t device_features_sel, driver_features_sel, queue_sel;
	unsigned waiting_count;
	struct register_write waiting[WAITING_MAX];
};

static void show_status(struct virtio_mmio *mmio) /* M6 */
{
	__atomic_store_n(&mmio->status, mmio->vdev->status, __ATOMIC_SEQ_CST);
}

static void interrupt(struct virtio_mmio *mmio, uint32_t bit)
{
	(void)__atomic_fetch_or(&mmio->interrupt_status, bit, __ATOMIC_SEQ_CST);
	event_signal(mmio->irq_fd); /* M1 */
}

static void on_interrupt_queue(void *transport)
{
	interrupt(transport, INTERRUPT_QUEUE);
}

static void on_interrupt_config(void *transport)
{
	show_status(transport);
	interrupt(transport, INTERRUPT_CONFIG);
}

static void on_stalled(void *transport, unsigned index)
{
	struct virtio_mmio *mmio = transport;

	mmio->host.stalled(mmio->host.ctx, mmio->doorbell_fds[index]);
}

static void on_again(void *transport, unsigned index)
{
	struct virtio_mmio *mmio = transport;

	event_signal(mmio->doorbell_fds[index]);
}

static const struct virtio_transport_ops transport_ops = {
	.interrupt_queue = on_interrupt_queue,
	.interrupt_config = on_interrupt_config,
	.stalled = on_stalled,
	.again = on_again,
};

int virtio_mmio_create(struct virtio_device *vdev, const struct virtio_mmio_host *host, int irq_fd,
		       struct virtio_mmio **ret_transport, struct err *err)
{
	struct virtio_mmio *mmio = calloc(1, sizeof(*mmio));

	if (!mmio)
		return err_set(err, -ENOMEM, "virtio-%s: out of memory", vdev->ops->name);
	*mmio = (struct virtio_mmio){ .vdev = vdev, .host = *host, .irq_fd = irq_fd };
	memset(mmio->doorbell_fds, -1, sizeof(mmio->doorbell_fds));
	(void)pthread_mutex_init(&mmio->lock, NULL);
	for (unsigned i = 0; i < vdev->ops->queue_count; i++) {
		int fd = event_create();

		if (fd < 0) {
			virtio_mmio_destroy(mmio);
			return err_set(err, fd, "virtio-%s: doorbell: %s", vdev->ops->name,
				       strerror(-fd));
		}
		mmio->doorbell_fds[i] = fd;
	}
	vdev->transport_ops = &transport_ops;
	vdev->transport = mmio;
	*ret_transport = mmio;
	return 0;
}

void virtio_mmio_destroy(struct virtio_mmio *transport)
{
	if (!transport)
		return;
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		close_fd(&transport->doorbell_fds[i]);
	(void)pthread_mutex_destroy(&transport->lock);
	free(transport);
}

int virtio_mmio_doorbell(const struct virtio_mmio *transport, unsigned index)
{
	return index < VIRTIO_MAX_QUEUES ? transport->doorbell_fds[index] : -1;
}

void virtio_mmio_kick(struct virtio_mmio *transport, unsigned index)
{
	if (index < transport->vdev->ops->queue_count)
		virtio_handle_queue(transport->vdev, index);
}

void virtio_mmio_reassert(struct virtio_mmio *transport)
{
	if (__atomic_load_n(&transport->interrupt_status, __ATOMIC_SEQ_CST) != 0)
		event_signal(transport->irq_fd);
}

/* What says which of several a register is about. */
static uint32_t selector_of(const struct virtio_mmio *mmio, uint64_t offset)
{
	switch (offset) {
	case REG_DEVICE_FEATURES: return mmio->device_features_sel;
	case REG_DRIVER_FEATURES: return mmio->driver_features_sel;
	default: return mmio->queue_sel;
	}
}

static uint32_t read_selector(struct virtio_mmio *mmio, uint64_t offset)
{
	uint32_t selector;

	pthread_mutex_lock(&mmio->lock);
	selector = selector_of(mmio, offset);
	pthread_mutex_unlock(&mmio->lock);
	return selector;
}

/* All that waits, in order; returns how many. */
static unsigned take_waiting(struct virtio_mmio *mmio, struct register_write writes[WAITING_MAX])
{
	unsigned count;

	pthread_mutex_lock(&mmio->lock);
	count = mmio->waiting_count;
	memcpy(writes, mmio->waiting, count * sizeof(writes[0]));
	mmio->waiting_count = 0;
	pthread_mutex_unlock(&mmio->lock);
	return count;
}

/* A lazy write. False: it cannot wait, for there is no room. */
static bool put_lazy(struct virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
	bool fits = true;

	pthread_mutex_lock(&mmio->lock);
	if (offset == REG_DEVICE_FEATURES_SEL)
		mmio->device_features_sel = value;
	else if (offset == REG_DRIVER_FEATURES_SEL)
		mmio->driver_features_sel = value;
	else if (offset == REG_QUEUE_SEL)
		mmio->queue_sel = value;
	else if (mmio->waiting_count < WAITING_MAX)
		mmio->waiting[mmio->waiting_count++] =
			(struct register_write){ .offset = (uint32_t)offset,
						 .selector = selector_of(mmio, offset),
						 .value = value };
	else
		fits = false;
	pthread_mutex_unlock(&mmio->lock);
	return fits;
}

/* The register state that a reset clears with the device. */
static void reset(struct virtio_mmio *mmio)
{
	virtio_reset(mmio->vdev);
	show_status(mmio);
	__atomic_store_n(&mmio->interrupt_status, 0, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < mmio->vdev->ops->queue_count; i++)
		(void)event_drain(mmio->doorbell_fds[i]);
}

void virtio_mmio_reset(struct virtio_mmio *transport)
{
	reset(transport);
	pthread_mutex_lock(&transport->lock);
	transport->waiting_count = 0; /* M5 */
	transport->device_features_sel = 0;
	transport->driver_features_sel = 0;
	transport->queue_sel = 0;
	pthread_mutex_unlock(&transport->lock);
}

static struct virtq *queue_of(struct virtio_mmio *mmio, uint32_t selector)
{
	return selector < mmio->vdev->ops->queue_count ? &mmio->vdev->queues[selector] : NULL;
}

static uint32_t half(uint64_t value, uint32_t which)
{
	return which > 1 ? 0 : (uint32_t)(value >> (32 * which));
}

static void set_half(uint64_t *value, uint32_t which, uint32_t bits)
{
	if (which > 1)
		return;
	*value &= ~(UINT64_C(0xffffffff) << (32 * which));
	*value |= (uint64_t)bits << (32 * which);
}

/* Needs no owner: what never changes, or is kept for this. */
static bool read_at_once(struct virtio_mmio *mmio, uint64_t offset, uint32_t *ret_value)
{
	switch (offset) {
	case REG_QUEUE_READY:
	case REG_CONFIG_GENERATION: return false;
	case REG_MAGIC: *ret_value = MAGIC; break;
	case REG_VERSION: *ret_value = VERSION; break;
	case REG_DEVICE_ID: *ret_value = mmio->vdev->ops->device_id; break;
	case REG_VENDOR_ID: *ret_value = VENDOR_ID; break;
	case REG_DEVICE_FEATURES:
		*ret_value = half(mmio->vdev->offered, read_selector(mmio, offset));
		break;
	case REG_QUEUE_NUM_MAX:
		*ret_value = queue_of(mmio, read_selector(mmio, offset)) ? VIRTQ_MAX_SIZE : 0;
		break;
	case REG_INTERRUPT_STATUS:
		*ret_value = __atomic_load_n(&mmio->interrupt_status, __ATOMIC_SEQ_CST);
		break;
	case REG_STATUS: *ret_value = __atomic_load_n(&mmio->status, __ATOMIC_SEQ_CST); break;
	case REG_SHM_LEN_LOW:
	case REG_SHM_LEN_HIGH:
	case REG_SHM_BASE_LOW:
	case REG_SHM_BASE_HIGH: *ret_value = UINT32_MAX; break; /* there is no such region */
	default: *ret_value = 0; break;
	}
	return true;
}

static uint32_t read_of_owner(struct virtio_mmio *mmio, uint64_t offset, uint32_t selector)
{
	const struct virtq *vq = queue_of(mmio, selector);

	if (offset == REG_CONFIG_GENERATION)
		return virtio_config_generation(mmio->vdev);
	return vq && vq->ready;
}

static bool size_is_served(uint32_t num)
{
	return num > 0 && num <= VIRTQ_MAX_SIZE && (num & (num - 1)) == 0;
}

/* Registers of the selected queue. */
static void write_queue_register(struct virtio_mmio *mmio, const struct register_write *write)
{
	struct virtq *vq = queue_of(mmio, write->selector);
	uint32_t value = write->value;

	if (!vq || !virtio_queues_open(mmio->vdev))
		return;
	if (write->offset == REG_QUEUE_READY) {
		vq->ready = value & 1;
		return;
	}
	if (vq->ready)
		return;
	switch (write->offset) {
	case REG_QUEUE_NUM: vq->num = size_is_served(value) ? (uint16_t)value : 0; break;
	case REG_QUEUE_DESC_LOW: set_half(&vq->desc.addr, 0, value); break;
	case REG_QUEUE_DESC_HIGH: set_half(&vq->desc.addr, 1, value); break;
	case REG_QUEUE_DRIVER_LOW: set_half(&vq->avail.addr, 0, value); break;
	case REG_QUEUE_DRIVER_HIGH: set_half(&vq->avail.addr, 1, value); break;
	case REG_QUEUE_DEVICE_LOW: set_half(&vq->used.addr, 0, value); break;
	case REG_QUEUE_DEVICE_HIGH: set_half(&vq->used.addr, 1, value); break;
	default: break;
	}
}

static void write_status(struct virtio_mmio *mmio, uint32_t value)
{
	if (value == 0)
		reset(mmio);
	else if (value <= STATUS_MASK)
		virtio_write_status(mmio->vdev, (uint8_t)value);
}

static void write_register(struct virtio_mmio *mmio, const struct register_write *write)
{
	switch (write->offset) {
	case REG_STATUS: write_status(mmio, write->value); break;
	case REG_DRIVER_FEATURES:
		if (virtio_features_open(mmio->vdev))
			set_half(&mmio->vdev->negotiated, write->selector, write->value);
		break;
	default: write_queue_register(mmio, write); break;
	}
}

/* One access on its way to the owner thread. */
struct access {
	struct virtio_mmio *mmio;
	uint64_t offset;
	uint32_t len;
	uint32_t selector, value; /* of a control register */
	void *to;
	const void *from;
};

static void run_access(void *arg)
{
	struct access *access = arg;
	struct virtio_mmio *mmio = access->mmio;
	struct register_write earlier[WAITING_MAX];
	unsigned count = take_waiting(mmio, earlier);

	for (unsigned i = 0; i < count; i++) /* M4 */
		write_register(mmio, &earlier[i]);

	if (access->offset >= REG_CONFIG && access->to)
		virtio_read_config(mmio->vdev, access->offset - REG_CONFIG, access->to,
				   access->len);
	else if (access->offset >= REG_CONFIG)
		virtio_write_config(mmio->vdev, access->offset - REG_CONFIG, access->from,
				    access->len);
	else if (access->to)
		access->value = read_of_owner(mmio, access->offset, access->selector);
	else
		write_register(mmio, &(struct register_write){ .offset = (uint32_t)access->offset,
							       .selector = access->selector,
							       .value = access->value });
	show_status(mmio);
}

static void call_owner(struct access *access)
{
	struct virtio_mmio *mmio = access->mmio;

	access->selector = read_selector(mmio, access->offset);
	mmio->host.call(mmio->host.ctx, run_access, access);
}

static bool is_control(uint64_t offset, uint32_t len)
{
	return offset < REG_CONFIG && len == sizeof(uint32_t) && is_aligned(offset, len);
}

static bool is_lazy(uint64_t offset)
{
	for (size_t i = 0; i < ARRAY_LEN(lazy); i++)
		if (offset >= lazy[i].start && offset < lazy[i].end)
			return true;
	return false;
}

static void mmio_read(void *device, uint64_t offset, void *data, uint32_t len)
{
	struct virtio_mmio *mmio = device;
	struct access access = { .mmio = mmio, .offset = offset, .len = len, .to = data };

	memset(data, 0, len);
	if (offset >= REG_CONFIG) {
		call_owner(&access);
	} else if (is_control(offset, len)) { /* M2 */
		if (!read_at_once(mmio, offset, &access.value))
			call_owner(&access);
		memcpy(data, &access.value, sizeof(access.value));
	}
}

static void mmio_write(void *device, uint64_t offset, const void *data, uint32_t len)
{
	struct virtio_mmio *mmio = device;
	struct access access = { .mmio = mmio, .offset = offset, .len = len, .from = data };

	if (offset >= REG_CONFIG) {
		call_owner(&access);
		return;
	}
	if (!is_control(offset, len)) /* M2 */
		return;
	memcpy(&access.value, data, sizeof(access.value));
	if (offset == REG_QUEUE_NOTIFY) {
		if (access.value < mmio->vdev->ops->queue_count)
			event_signal(mmio->doorbell_fds[access.value]);
	} else if (offset == REG_INTERRUPT_ACK) {
		(void)__atomic_fetch_and(&mmio->interrupt_status, ~(access.value & INTERRUPT_ALL),
					 __ATOMIC_SEQ_CST);
	} else if (!is_lazy(offset) || !put_lazy(mmio, offset, access.value)) {
		call_owner(&access);
	}
}

const struct bus_ops virtio_mmio_bus_ops = {
	.name = "virtio-mmio",
	.read = mmio_read,
	.write = mmio_write,
	.lazy = lazy,
	.lazy_count = ARRAY_LEN(lazy),
};
