/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* virtio.c - status, features, configuration and queues of a device, as every transport needs them.
 *
 * Invariants
 *  V1  active is true only between a DRIVER_OK that was accepted and the next break, FAILED or
 *      reset. Rings are looked at only while active, so a broken device reads no guest memory.
 *  V2  A queue is used only if virtq_check() passed at DRIVER_OK and it overlaps no other queue;
 *      its registers are closed from then on (virtio_queues_open).
 *  V3  The configuration that a driver reads in pieces cannot be torn unnoticed: the generation is
 *      derived from the contents. Whoever looks compares them with what was last shown, and a
 *      difference is a new generation, whether or not the device said that it changed something.
 *  V4  A turn is at most VIRTIO_CHAINS_PER_KICK chains. A guest that refills a ring as fast as it
 *      is emptied waits for the other devices of its VM.
 *
 * Transitions of the status (driver writes; everything else is ignored)
 *   0 -> 1 ACKNOWLEDGE -> 3 DRIVER -> 11 FEATURES_OK [features_acceptable, or it stays 3]
 *     -> 15 DRIVER_OK [activate]
 *   any -> any | FAILED: device stops, only 0 helps.     any -> 0 [virtio_reset]
 *   any -> any | NEEDS_RESET [virtio_break]: ours alone.
 *
 * Sources. virtio 1.2 §2.1 "Device Status Field", §2.2 "Feature Bits", §2.5 "Device Configuration
 * Space", §3.1.1 "Driver Requirements: Device Initialization".
 */
#include "virtio/virtio.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/units.h"

#define RING_FEATURES (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)

enum {
	STATUS_RESET = 0,
	STATUS_ACKNOWLEDGED = VIRTIO_STATUS_ACKNOWLEDGE,
	STATUS_DRIVER = STATUS_ACKNOWLEDGED | VIRTIO_STATUS_DRIVER,
	STATUS_FEATURES = STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK,
	STATUS_RUNNING = STATUS_FEATURES | VIRTIO_STATUS_DRIVER_OK,
};

void virtio_init(struct virtio_device *vdev, const struct virtio_ops *ops, struct ram *ram,
		 uint64_t features)
{
	assert(ops->queue_count <= VIRTIO_MAX_QUEUES);
	assert(ops->config_bytes <= VIRTIO_MAX_CONFIG_BYTES);
	memset(vdev, 0, sizeof(*vdev));
	vdev->ops = ops;
	vdev->ram = ram;
	vdev->offered = (features & ops->features) | RING_FEATURES | VIRTIO_F_VERSION_1;
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++)
		vdev->queues[i].ram = ram;
}

void virtio_interrupt_queue(struct virtio_device *vdev, unsigned index)
{
	if (vdev->active && virtq_should_interrupt(&vdev->queues[index]))
		vdev->transport_ops->interrupt_queue(vdev->transport);
}

void virtio_config_changed(struct virtio_device *vdev)
{
	if (vdev->active)
		vdev->transport_ops->interrupt_config(vdev->transport);
}

void virtio_break(struct virtio_device *vdev, const char *reason)
{
	if (!vdev->active)
		return;
	vdev->active = false;
	vdev->status |= VIRTIO_STATUS_NEEDS_RESET;
	vdev->breaks++;
	vdev->break_reason = reason;
	vdev->transport_ops->interrupt_config(vdev->transport);
}

void virtio_stall(struct virtio_device *vdev, unsigned index)
{
	if (vdev->active)
		vdev->transport_ops->stalled(vdev->transport, index);
}

void virtio_again(struct virtio_device *vdev, unsigned index)
{
	if (vdev->active)
		vdev->transport_ops->again(vdev->transport, index);
}

/* What a failed queue operation asks for. */
static void queue_failed(struct virtio_device *vdev, unsigned index, int error)
{
	if (error == -ENOSPC)
		virtio_stall(vdev, index);
	else
		virtio_break(vdev, vdev->queues[index].fault);
}

bool virtio_next_chain(struct virtio_device *vdev, unsigned index, struct virtq_chain *ret_chain)
{
	if (!vdev->active)
		return false;
	if (vdev->chains_left[index] == 0) {
		virtio_again(vdev, index);
		return false;
	}
	int result = virtq_pop(&vdev->queues[index], ret_chain);

	if (result < 0)
		queue_failed(vdev, index, result);
	if (result != VIRTQ_GOT)
		return false;
	vdev->chains_left[index]--;
	return true;
}

void virtio_finish_chain(struct virtio_device *vdev, unsigned index,
			 const struct virtq_chain *chain, uint32_t written_bytes)
{
	if (!vdev->active)
		return;
	int result = virtq_push(&vdev->queues[index], chain->head, written_bytes);

	if (result < 0)
		queue_failed(vdev, index, result);
}

void virtio_refuse_chain(struct virtio_device *vdev, unsigned index,
			 const struct virtq_chain *chain)
{
	vdev->bad_requests++;
	virtio_finish_chain(vdev, index, chain, 0);
}

void virtio_stall_chain(struct virtio_device *vdev, unsigned index, const struct virtq_chain *chain)
{
	virtq_unpop(&vdev->queues[index], chain);
	virtio_stall(vdev, index);
}

void virtio_handle_queue(struct virtio_device *vdev, unsigned index)
{
	if (!vdev->active || !vdev->queues[index].ready)
		return;
	vdev->chains_left[index] = VIRTIO_CHAINS_PER_KICK;

	int result = virtq_flush(&vdev->queues[index]);

	if (result < 0) {
		queue_failed(vdev, index, result);
		return;
	}
	virtio_interrupt_queue(vdev, index); /* for what the flush published */
	vdev->ops->handle_queue(vdev, index);
}

void virtio_reset(struct virtio_device *vdev)
{
	vdev->active = false;
	vdev->status = STATUS_RESET;
	vdev->negotiated = 0;
	vdev->ops->reset(vdev);
	for (unsigned i = 0; i < vdev->ops->queue_count; i++)
		virtq_reset(&vdev->queues[i]);
}

static bool features_acceptable(const struct virtio_device *vdev)
{
	return (vdev->negotiated & ~vdev->offered) == 0 && (vdev->negotiated & VIRTIO_F_VERSION_1);
}

static const char *check_queues(const struct virtio_device *vdev)
{
	const char *fault = NULL;

	for (unsigned i = 0; i < vdev->ops->queue_count; i++) {
		if (!vdev->queues[i].ready)
			continue;
		if (virtq_check(&vdev->queues[i], &fault) < 0)
			return fault;
		for (unsigned j = 0; j < i; j++)
			if (vdev->queues[j].ready &&
			    virtq_overlaps(&vdev->queues[i], &vdev->queues[j]))
				return "rings of two queues overlap";
	}
	return NULL;
}

static void activate(struct virtio_device *vdev)
{
	const char *fault = check_queues(vdev);

	vdev->status = STATUS_RUNNING;
	vdev->active = true;
	if (fault) {
		virtio_break(vdev, fault);
		return;
	}
	for (unsigned i = 0; i < vdev->ops->queue_count; i++)
		vdev->queues[i].features = vdev->negotiated;
	if (vdev->ops->activate(vdev) < 0) {
		virtio_break(vdev, "device could not be activated");
		return;
	}
	/* A driver may have filled its rings already, and a ring before DRIVER_OK was ignored. */
	for (unsigned i = 0; i < vdev->ops->queue_count; i++)
		virtio_handle_queue(vdev, i);
}

void virtio_write_status(struct virtio_device *vdev, uint8_t status)
{
	if (status == STATUS_RESET) {
		virtio_reset(vdev);
	} else if (status & VIRTIO_STATUS_FAILED) {
		vdev->status |= VIRTIO_STATUS_FAILED;
		vdev->active = false; /* V1 */
	} else if (vdev->status == STATUS_FEATURES && status == STATUS_RUNNING) {
		activate(vdev);
	} else if ((vdev->status == STATUS_RESET && status == STATUS_ACKNOWLEDGED) ||
		   (vdev->status == STATUS_ACKNOWLEDGED && status == STATUS_DRIVER) ||
		   (vdev->status == STATUS_DRIVER && status == STATUS_FEATURES &&
		    features_acceptable(vdev))) {
		vdev->status = status;
	}
}

bool virtio_features_open(const struct virtio_device *vdev)
{
	return vdev->status == STATUS_DRIVER;
}

bool virtio_queues_open(const struct virtio_device *vdev)
{
	return vdev->status == STATUS_FEATURES;
}

/* V3 */
static void look_at_config(struct virtio_device *vdev)
{
	uint8_t config[VIRTIO_MAX_CONFIG_BYTES] = { 0 };

	if (vdev->ops->config_bytes == 0)
		return;
	vdev->ops->read_config(vdev, config);
	if (memcmp(config, vdev->config_seen, sizeof(config)) == 0)
		return;
	memcpy(vdev->config_seen, config, sizeof(config));
	vdev->config_generation++;
}

static bool in_config(const struct virtio_device *vdev, uint64_t offset, unsigned len)
{
	return offset < vdev->ops->config_bytes && len <= vdev->ops->config_bytes - offset;
}

void virtio_read_config(struct virtio_device *vdev, uint64_t offset, void *data, unsigned len)
{
	memset(data, 0, len);
	if (!in_config(vdev, offset, len))
		return;
	look_at_config(vdev);
	memcpy(data, vdev->config_seen + offset, len);
}

void virtio_write_config(struct virtio_device *vdev, uint64_t offset, const void *data,
			 unsigned len)
{
	if (vdev->ops->write_config && in_config(vdev, offset, len) && is_aligned(offset, len))
		vdev->ops->write_config(vdev, (unsigned)offset, data, len);
}

uint32_t virtio_config_generation(struct virtio_device *vdev)
{
	look_at_config(vdev);
	return vdev->config_generation;
}
