/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* devices.h - what sits on the board, and how it is wired. Inside machine/ only. */
#ifndef NEAP_MACHINE_DEVICES_H
#define NEAP_MACHINE_DEVICES_H

#include "machine/machine_internal.h"

/* A new eventfd whose writes become edges on @gsi. */
int board_wire_interrupt(struct machine *machine, uint32_t gsi, int *ret_fd, struct err *err);

/* When every device is on the bus: which guest writes need not be exits. */
int board_wire_lazy_writes(struct machine *machine, struct err *err);

int legacy_devices_create(struct machine *machine, struct err *err);
void legacy_devices_destroy(struct machine *machine);
void legacy_devices_reset(struct machine *machine); /* io, vCPUs parked */

int virtio_slots_create(struct machine *machine, struct err *err);
void virtio_slots_destroy(struct machine *machine);
void virtio_slots_reset(struct machine *machine);			   /* io, vCPUs parked */
void virtio_slots_ask_statistics(struct machine *machine, uint64_t in_ms); /* io; then as before */
void virtio_slots_balloon_busy(void *machine); /* io: frames wait; balloon_retry() soon */

#endif
