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

enum {
	VIRTIO_MAX_QUEUES = 8,
	VIRTIO_MAX_CONFIG_BYTES = 64,
	/* Chains a device gets in one turn of the loop; then others go first. */
	VIRTIO_CHAINS_PER_KICK = 256,
};

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
	/* The host could not back guest memory, or a rate limit was hit: handle_queue(index) wants
	 * to be called again soon. */
	void (*stalled)(void *transport, unsigned index);
	/* There is more to do, after everybody else had a turn: as if the guest rang @index. */
	void (*again)(void *transport, unsigned index);
};

struct virtio_device {
	const struct virtio_ops *ops;
	struct ram *ram;
	uint64_t offered;    /* what this instance offers: ops->features less what was switched off,
			      * plus ring features and VERSION_1 */
	uint64_t negotiated; /* what the driver acknowledged; final once FEATURES_OK */
	uint8_t status;
	bool active; /* DRIVER_OK and not broken: queues may be looked at */
	struct virtq queues[VIRTIO_MAX_QUEUES];
	unsigned chains_left[VIRTIO_MAX_QUEUES]; /* of VIRTIO_CHAINS_PER_KICK, in this turn */
	uint32_t config_generation;
	uint8_t config_seen[VIRTIO_MAX_CONFIG_BYTES]; /* at config_generation */
	const struct virtio_transport_ops *transport_ops;
	void *transport;
	uint64_t bad_requests;	  /* chains refused with an error (verdict R) */
	uint64_t breaks;	  /* times the guest made us set NEEDS_RESET (verdict N) */
	const char *break_reason; /* of the last one; a literal */
};

/* ---- For devices ---- */

/* For a device's create(): fill the common part. @features: subset of ops->features to offer. */
void virtio_init(struct virtio_device *vdev, const struct virtio_ops *ops, struct ram *ram,
		 uint64_t features);

/* Raise the used-buffer interrupt if the guest wants one for @index. */
void virtio_interrupt_queue(struct virtio_device *vdev, unsigned index);

/* Configuration changed (e.g. the balloon's num_pages): new generation, interrupt if active. */
void virtio_config_changed(struct virtio_device *vdev);

/* The guest broke the rules: NEEDS_RESET, config interrupt, rings left alone until reset. */
void virtio_break(struct virtio_device *vdev, const char *reason);

/* Take the next chain of a queue, doing what a failure asks for: true = *ret_chain is valid.
 * False = nothing more now (empty, broken, stalled and announced to the transport, or the turn is
 * over and another one was asked for). */
bool virtio_next_chain(struct virtio_device *vdev, unsigned index, struct virtq_chain *ret_chain);

/* Push a chain back; breaks the device when that fails. Does not interrupt. */
void virtio_finish_chain(struct virtio_device *vdev, unsigned index,
			 const struct virtq_chain *chain, uint32_t written_bytes);

/* The chain just taken asks for nothing we can do: counted, and given back with nothing written. */
void virtio_refuse_chain(struct virtio_device *vdev, unsigned index,
			 const struct virtq_chain *chain);

/* The chain just taken cannot be served now (chain_read or chain_write said -ENOSPC): it goes back
 * into the ring as the next one, and the transport asks again soon. */
void virtio_stall_chain(struct virtio_device *vdev, unsigned index,
			const struct virtq_chain *chain);

/* Ask for handle_queue(index): soon, when the host may have memory or a rate limit lets more
 * through; or in the next turn. */
void virtio_stall(struct virtio_device *vdev, unsigned index);
void virtio_again(struct virtio_device *vdev, unsigned index);

/* ---- For transports ---- */

/* The driver wrote the device status field: one edge of the state machine in virtio.c, or nothing.
 */
void virtio_write_status(struct virtio_device *vdev, uint8_t status);

/* As if the driver wrote 0. Returns when no guest memory will be touched any more. */
void virtio_reset(struct virtio_device *vdev);

/* May the driver write features now? May it configure queues? */
bool virtio_features_open(const struct virtio_device *vdev);
bool virtio_queues_open(const struct virtio_device *vdev);

/* Queue @index rang. Ignored unless the device is active and the queue ready. */
void virtio_handle_queue(struct virtio_device *vdev, unsigned index);

/* Configuration space; an access that leaves the structure reads zeros and writes nothing. */
void virtio_read_config(struct virtio_device *vdev, uint64_t offset, void *data, unsigned len);
void virtio_write_config(struct virtio_device *vdev, uint64_t offset, const void *data,
			 unsigned len);

/* Changes whenever what virtio_read_config() shows has changed since it was last looked at. */
uint32_t virtio_config_generation(struct virtio_device *vdev);

#endif
