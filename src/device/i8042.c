/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* i8042.c - see i8042.h. */
#include "device/i8042.h"

#include <string.h>

enum { DATA = 0, STATUS_COMMAND = 4, COMMAND_PULSE_RESET = 0xfe };

static void read_port(void *device, uint64_t offset, void *data, uint32_t len)
{
	bool ours = len == 1 && (offset == DATA || offset == STATUS_COMMAND);

	(void)device;
	memset(data, ours ? 0x00 : 0xff, len);
}

static void write_port(void *device, uint64_t offset, const void *data, uint32_t len)
{
	struct i8042 *i8042 = device;

	if (len == 1 && offset == STATUS_COMMAND && *(const uint8_t *)data == COMMAND_PULSE_RESET)
		i8042->reset(i8042->ctx);
}

const struct bus_ops i8042_bus_ops = { .name = "i8042", .read = read_port, .write = write_port };
