/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* exit_port.c - see exit_port.h. */
#include "device/exit_port.h"

#include <string.h>

static void write_port(void *device, uint64_t offset, const void *data, uint32_t len)
{
	struct exit_port *port = device;
	uint32_t untrusted_status;

	if (offset != 0 || len != sizeof(untrusted_status))
		return;
	memcpy(&untrusted_status, data, sizeof(untrusted_status));
	port->exit(port->ctx, untrusted_status);
}

const struct bus_ops exit_port_bus_ops = { .name = "exit port", .write = write_port };
