/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* device_types.h - the virtio devices a VM can have, one row each, in the order of their slots. */
#ifndef NEAP_MACHINE_DEVICE_TYPES_H
#define NEAP_MACHINE_DEVICE_TYPES_H

#include "machine/machine_internal.h"

struct device_type {
	const char *name;
	bool (*wanted)(const struct vm_config *config);
	/* Creates the device and hands out its common part, which lives as long as the device. */
	int (*create)(struct machine *machine, struct virtio_device **ret_vdev, struct err *err);
	void (*destroy)(struct machine *machine);
};

extern const struct device_type device_types[];
extern const unsigned device_type_count;

#endif
