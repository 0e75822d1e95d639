/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* rng.c - see rng.h.
 *
 * Design. Each byte handed out moves `paid_until_ns` by its share of a second; a guest may be at
 * most a burst ahead of the clock. One that is further waits in its ring, and the transport asks
 * again soon: nothing is dropped, and a guest that asks 10^6 times a second costs what one costs
 * that asks slowly.
 */
#include "virtio/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"

enum { STEP_BYTES = 4096, QUEUE = 0 };

#define NS_PER_BYTE (NS_PER_S / RNG_BYTES_PER_S)
#define BURST_NS    (NS_PER_BYTE * RNG_BURST_BYTES)

struct rng {
	struct virtio_device vdev; /* first: ops cast back */
	uint64_t (*now_ns)(void);
	uint64_t paid_until_ns;
	uint64_t bytes;
};

static struct rng *to_rng(struct virtio_device *vdev)
{
	return (struct rng *)(void *)vdev;
}

/* Bytes that may be handed out now; 0 when that is less than the least cost of a request. */
static uint64_t allowance_bytes(struct rng *rng)
{
	uint64_t now_ns = rng->now_ns();

	if (rng->paid_until_ns < now_ns)
		rng->paid_until_ns = now_ns;
	uint64_t ahead_ns = rng->paid_until_ns - now_ns;
	uint64_t bytes = ahead_ns < BURST_NS ? (BURST_NS - ahead_ns) / NS_PER_BYTE : 0;

	return bytes < RNG_REQUEST_MIN_COST_BYTES ? 0 : bytes;
}

static void pay(struct rng *rng, uint64_t bytes)
{
	uint64_t cost_bytes = bytes;

	if (cost_bytes < RNG_REQUEST_MIN_COST_BYTES)
		cost_bytes = RNG_REQUEST_MIN_COST_BYTES;
	rng->paid_until_ns += cost_bytes * NS_PER_BYTE;
	rng->bytes += bytes;
}

/* Bytes written, fewer than @want_bytes only at the end of the chain; -EAGAIN or -ENOSPC: none can
 * be had now. */
static int64_t fill(struct virtq *vq, const struct virtq_chain *chain, uint64_t want_bytes)
{
	uint8_t bytes[STEP_BYTES];
	uint64_t done = 0;

	while (done < want_bytes) {
		uint64_t step = want_bytes - done < STEP_BYTES ? want_bytes - done : STEP_BYTES;
		ssize_t got = getrandom(bytes, step, GRND_NONBLOCK);

		if (got <= 0)
			return -EAGAIN;
		int64_t put = chain_write(vq, chain, done, bytes, (uint64_t)got);

		if (put < 0)
			return put;
		done += (uint64_t)put;
	}
	return (int64_t)done;
}

/* False: not now; the chain is back in the ring. */
static bool serve(struct rng *rng, const struct virtq_chain *chain, uint64_t allowed_bytes)
{
	uint64_t want_bytes = chain->writable_bytes;

	if (chain->readable_count > 0 || want_bytes == 0) {
		pay(rng, 0);
		virtio_refuse_chain(&rng->vdev, QUEUE, chain);
		return true;
	}
	if (want_bytes > RNG_REQUEST_MAX_BYTES)
		want_bytes = RNG_REQUEST_MAX_BYTES;
	if (want_bytes > allowed_bytes)
		want_bytes = allowed_bytes;
	int64_t written = fill(&rng->vdev.queues[QUEUE], chain, want_bytes);

	if (written < 0) {
		virtio_stall_chain(&rng->vdev, QUEUE, chain);
		return false;
	}
	pay(rng, (uint64_t)written);
	virtio_finish_chain(&rng->vdev, QUEUE, chain, (uint32_t)written);
	return true;
}

static void handle_queue(struct virtio_device *vdev, unsigned index)
{
	struct rng *rng = to_rng(vdev);
	struct virtq_chain chain;

	for (;;) {
		uint64_t allowed_bytes = allowance_bytes(rng);

		if (allowed_bytes == 0) {
			virtio_stall(vdev, index);
			break;
		}
		if (!virtio_next_chain(vdev, index, &chain) || !serve(rng, &chain, allowed_bytes))
			break;
	}
	virtio_interrupt_queue(vdev, index);
}

static int activate(struct virtio_device *vdev)
{
	return vdev->queues[QUEUE].ready ? 0 : -EINVAL;
}

static void reset(struct virtio_device *vdev)
{
	(void)vdev; /* holds no chain between calls */
}

static const struct virtio_ops rng_ops = {
	.name = "rng",
	.device_id = VIRTIO_ID_RNG,
	.queue_count = 1,
	.activate = activate,
	.handle_queue = handle_queue,
	.reset = reset,
};

int rng_create(const struct rng_config *config, struct rng **ret_rng, struct err *err)
{
	struct rng *rng = calloc(1, sizeof(*rng));

	if (!rng)
		return err_set(err, -ENOMEM, "virtio-rng: out of memory");
	virtio_init(&rng->vdev, &rng_ops, config->ram, 0);
	rng->now_ns = config->now_ns ? config->now_ns : clock_now_ns;
	*ret_rng = rng;
	return 0;
}

void rng_destroy(struct rng *rng)
{
	free(rng);
}

struct virtio_device *rng_device(struct rng *rng)
{
	return &rng->vdev;
}

uint64_t rng_bytes(const struct rng *rng)
{
	return rng->bytes;
}
