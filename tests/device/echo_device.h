/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* echo_device.h - the smallest virtio device that uses every part of the common code.
 *
 * Copies the readable part of a chain into its writable part. Two queues alike; a configuration
 * of two 64-bit numbers and a writable 32-bit one.
 */
#ifndef NEAP_TESTS_ECHO_DEVICE_H
#define NEAP_TESTS_ECHO_DEVICE_H

#include "fake_guest.h"

struct echo_config {
	uint64_t first, second;
	uint32_t written;
};

struct echo {
	struct virtio_device vdev;
	struct echo_config config;
	bool hold;	      /* leave chains taken in `held` */
	bool refuse_to_start; /* activate fails */
	unsigned held_count;
	struct virtq_chain held; /* the last one held */
	unsigned activations, resets, config_writes;
};

#define ECHO_FEATURE UINT64_C(1)

void echo_init(struct echo *echo, struct ram *ram);

/* Finish the held chain now, as an asynchronous device would. */
void echo_finish_held(struct echo *echo, unsigned index);

#endif
