/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* echo_device.c - see echo_device.h. */
#include "echo_device.h"

#include <errno.h>
#include <string.h>

enum { ECHO_QUEUES = 2, ECHO_STEP_BYTES = 256 };

static struct echo *to_echo(struct virtio_device *vdev)
{
	return (struct echo *)(void *)vdev;
}

/* False: the host had no memory, the chain is back in the ring. */
static bool serve(struct virtio_device *vdev, unsigned index, const struct virtq_chain *chain)
{
	struct virtq *vq = &vdev->queues[index];
	uint8_t bytes[ECHO_STEP_BYTES];
	uint64_t done = 0;

	while (done < chain->writable_bytes) {
		int64_t got = chain_read(vq, chain, done, bytes, sizeof(bytes));
		int64_t put = got <= 0 ? got : chain_write(vq, chain, done, bytes, (uint64_t)got);

		if (put < 0) {
			virtio_stall_chain(vdev, index, chain);
			return false;
		}
		if (put == 0)
			break;
		done += (uint64_t)put;
	}
	virtio_finish_chain(vdev, index, chain, (uint32_t)done);
	return true;
}

static void handle_queue(struct virtio_device *vdev, unsigned index)
{
	struct echo *echo = to_echo(vdev);
	struct virtq_chain chain;
	bool finished = false;

	while (virtio_next_chain(vdev, index, &chain)) {
		if (echo->hold) {
			echo->held = chain;
			echo->held_count++;
		} else if (serve(vdev, index, &chain)) {
			finished = true;
		} else {
			break;
		}
	}
	if (finished)
		virtio_interrupt_queue(vdev, index);
}

void echo_finish_held(struct echo *echo, unsigned index)
{
	struct virtio_device *vdev = &echo->vdev;

	if (echo->held_count == 0)
		return;
	echo->held_count = 0;
	(void)serve(vdev, index, &echo->held);
	virtio_interrupt_queue(vdev, index);
}

static int activate(struct virtio_device *vdev)
{
	to_echo(vdev)->activations++;
	return to_echo(vdev)->refuse_to_start ? -EIO : 0;
}

static void reset(struct virtio_device *vdev)
{
	to_echo(vdev)->resets++;
	to_echo(vdev)->held_count = 0;
}

static void read_config(struct virtio_device *vdev, void *config)
{
	memcpy(config, &to_echo(vdev)->config, offsetof(struct echo_config, written) + 4);
}

static void write_config(struct virtio_device *vdev, unsigned offset, const void *data,
			 unsigned len)
{
	to_echo(vdev)->config_writes++;
	if (offset == offsetof(struct echo_config, written) && len == sizeof(uint32_t))
		memcpy(&to_echo(vdev)->config.written, data, len);
}

static const struct virtio_ops echo_ops = {
	.name = "echo",
	.device_id = VIRTIO_ID_BLOCK,
	.queue_count = ECHO_QUEUES,
	.config_bytes = offsetof(struct echo_config, written) + 4,
	.features = ECHO_FEATURE,
	.activate = activate,
	.handle_queue = handle_queue,
	.reset = reset,
	.read_config = read_config,
	.write_config = write_config,
};

void echo_init(struct echo *echo, struct ram *ram)
{
	memset(echo, 0, sizeof(*echo));
	virtio_init(&echo->vdev, &echo_ops, ram, ECHO_FEATURE);
}
