/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* virtio.h - what every virtio device is, whatever carries it.
 *
 * A device is a const ops table in its own file and one line in machine/device_types.c. It learns
 * of the world only through its arguments. It knows no event loop: it takes a kick and returns.
 *
 * Threads: ops are called on the I/O thread (in a test: the test's). Register accesses by vCPUs
 * reach the device through the transport, which runs them on the I/O thread by `call`.
 * Source: virtio 1.2 §2 "Basic Facilities of a Virtio Device", §3.1 "Device Initialization".
 */
#ifndef NEAP_VIRTIO_VIRTIO_H
#define NEAP_VIRTIO_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "memory/ram.h"
#include "virtio/queue.h"

enum virtio_device_id {
	VIRTIO_ID_NET = 1,
	VIRTIO_ID_BLOCK = 2,
	VIRTIO_ID_CONSOLE = 3,
	VIRTIO_ID_RNG = 4,
	VIRTIO_ID_BALLOON = 5,
};

#define VIRTIO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VIRTIO_F_EVENT_IDX     (UINT64_C(1) << 29)
#define VIRTIO_F_VERSION_1     (UINT64_C(1) << 32)

enum {
	VIRTIO_STATUS_ACKNOWLEDGE = 1,
	VIRTIO_STATUS_DRIVER = 2,
	VIRTIO_STATUS_DRIVER_OK = 4,
	VIRTIO_STATUS_FEATURES_OK = 8,
	VIRTIO_STATUS_NEEDS_RESET = 64,
	VIRTIO_STATUS_FAILED = 128,
};

enum { VIRTIO_MAX_QUEUES = 8, VIRTIO_MAX_CONFIG_BYTES = 64 };

struct virtio_device;

struct virtio_ops {
	const char *name;
	enum virtio_device_id device_id;
	unsigned queue_count;
	unsigned
		config_bytes; /* of the device-specific configuration, <= VIRTIO_MAX_CONFIG_BYTES */
	uint64_t features;    /* device feature bits; ring features are added by virtio.c */

	int (*activate)(struct virtio_device *vdev); /* DRIVER_OK seen; failure = NEEDS_RESET */
	void (*handle_queue)(struct virtio_device *vdev, unsigned index);
	void (*reset)(struct virtio_device *vdev); /* idempotent; then no guest memory is touched */
	void (*read_config)(struct virtio_device *vdev, void *config); /* fills config_bytes */
	/* One aligned write inside the structure; NULL: configuration is read-only. */
	void (*write_config)(struct virtio_device *vdev, unsigned offset, const void *data,
			     unsigned len);
};

/* What the carrier does for a device. Set by the transport. */
struct virtio_transport_ops {
	void (*interrupt_queue)(void *transport);  /* used buffer notification */
	void (*interrupt_config)(void *transport); /* configuration change notification */
	/* The host could not back guest memory: handle_queue(index) wants to be called again soon.
	 */
	void (*stalled)(void *transport, unsigned index);
};

struct virtio_device {
	const struct virtio_ops *ops;
	struct ram *ram;
	uint64_t offered;    /* what this instance offers: ops->features less what was switched off,
			      * plus ring features and VERSION_1 */
	uint64_t negotiated; /* valid once FEATURES_OK */
	uint8_t status;
	bool active; /* DRIVER_OK and not broken: queues may be looked at */
	struct virtq queues[VIRTIO_MAX_QUEUES];
	const struct virtio_transport_ops *transport_ops;
	void *transport;
	uint64_t bad_requests;	  /* chains refused with an error (verdict R) */
	uint64_t breaks;	  /* times the guest made us set NEEDS_RESET (verdict N) */
	const char *break_reason; /* of the last one; a literal */
};

/* For a device's create(): fill the common part. @features: subset of ops->features to offer. */
void virtio_init(struct virtio_device *vdev, const struct virtio_ops *ops, struct ram *ram,
		 uint64_t features);

/* For devices: raise the used-buffer interrupt if the guest wants one for @index. */
void virtio_interrupt_queue(struct virtio_device *vdev, unsigned index);

/* Configuration changed (e.g. the balloon's num_pages): new generation, interrupt if active. */
void virtio_config_changed(struct virtio_device *vdev);

/* The guest broke the rules: NEEDS_RESET, config interrupt, rings left alone until reset. */
void virtio_break(struct virtio_device *vdev, const char *reason);

/* Take the next chain of a queue, doing what a failure asks for: true = *ret_chain is valid.
 * False = nothing more now (empty, broken, or stalled and announced to the transport). */
bool virtio_next_chain(struct virtio_device *vdev, unsigned index, struct virtq_chain *ret_chain);

/* Push a chain back; breaks the device when that fails. Does not interrupt. */
void virtio_finish_chain(struct virtio_device *vdev, unsigned index,
			 const struct virtq_chain *chain, uint32_t written_bytes);

#endif
