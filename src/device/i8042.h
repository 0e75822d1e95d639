/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* i8042.h - of the keyboard controller only what a reboot needs.
 *
 * Writing 0xfe to port 0x64 pulses the reset line. There is no keyboard: the status register says
 * "nothing to read, ready for a command", so that a kernel waiting to send 0xfe does not wait.
 * The FADT says there is no controller, so that a kernel does not probe for one.
 * The range lies over 0x61-0x63 too; those answer as if nobody claimed them.
 * Threads: any vCPU; no state.
 */
#ifndef NEAP_DEVICE_I8042_H
#define NEAP_DEVICE_I8042_H

#include "device/bus.h"

enum { I8042_PORT_BYTES = 5 };

struct i8042 {
	void (*reset)(void *ctx); /* on the vCPU thread that wrote; returns at once */
	void *ctx;
};

extern const struct bus_ops i8042_bus_ops; /* device = struct i8042 * */

#endif
