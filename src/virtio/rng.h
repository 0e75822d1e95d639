/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* rng.h - virtio-rng: the host's getrandom(2), at a bounded rate.
 *
 * Threads: the I/O thread owns it.
 * Source: virtio 1.2 §5.4 "Entropy Device".
 */
#ifndef NEAP_VIRTIO_RNG_H
#define NEAP_VIRTIO_RNG_H

#include "base/units.h"
#include "virtio/virtio.h"

/* What a guest may take: so much in one request, so much at once, then so much a second. */
enum {
	RNG_REQUEST_MAX_BYTES = 64 * KIB_BYTES,
	RNG_BURST_BYTES = 256 * KIB_BYTES,
	RNG_BYTES_PER_S = 1000 * 1000,
	RNG_REQUEST_MIN_COST_BYTES = 64, /* a smaller request costs as much: bounds their number */
};

struct rng_config {
	struct ram *ram;
	uint64_t (*now_ns)(void); /* NULL: clock_now_ns() */
};

struct rng; /* opaque */

int rng_create(const struct rng_config *config, struct rng **ret_rng, struct err *err);
void rng_destroy(struct rng *rng);
struct virtio_device *rng_device(struct rng *rng);

/* Bytes handed out since creation. */
uint64_t rng_bytes(const struct rng *rng);

#endif
