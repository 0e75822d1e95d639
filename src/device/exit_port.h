/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* exit_port.h - a port through which the embedded guest ends its machine with a status.
 *
 * A 32-bit write of n to BOARD_EXIT_PORT calls exit(n). Reads and other widths: as if nobody
 * claimed the port. Threads: any vCPU; no state.
 */
#ifndef NEAP_DEVICE_EXIT_PORT_H
#define NEAP_DEVICE_EXIT_PORT_H

#include "device/bus.h"

enum { EXIT_PORT_BYTES = 4 };

struct exit_port {
	void (*exit)(void *ctx, uint32_t untrusted_status); /* vCPU thread; returns at once */
	void *ctx;
};

extern const struct bus_ops exit_port_bus_ops; /* device = struct exit_port * */

#endif
