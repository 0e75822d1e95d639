/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bus.h - which device answers an address, for port I/O and for memory-mapped I/O.
 *
 * Filled while the machine is built, immutable once vCPUs run: lookups take no lock.
 * An address nobody claims reads as all ones and swallows writes, as on a real board.
 */
#ifndef NEAP_DEVICE_BUS_H
#define NEAP_DEVICE_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* @offset is from the start of the device's range; @len is 1, 2, 4 or 8 and ends inside the range.
 * Called on a vCPU thread. A handler bounds its own time. */
struct bus_ops {
	const char *name;
	void (*read)(void *device, uint64_t offset, void *data, uint32_t len);
	void (*write)(void *device, uint64_t offset, const void *data, uint32_t len);
	/* Where writes are lazy: nobody can see what they do before the guest's next access to the
	 * device that is not such a write. So they may be held back until then, in their order. */
	const struct bus_span *lazy;
	unsigned lazy_count;
};

struct bus_span {
	uint32_t start, end; /* offsets; the end is not in it */
};

enum { BUS_MAX_RANGES = 64 };

struct bus_range {
	uint64_t start;
	uint64_t len_bytes;
	const struct bus_ops *ops;
	void *device;
};

struct bus {
	unsigned count;
	struct bus_range ranges[BUS_MAX_RANGES]; /* sorted by start */
};

/* 0; -EEXIST: overlaps another range; -ENOSPC: BUS_MAX_RANGES. */
int bus_add(struct bus *bus, uint64_t start, uint64_t len_bytes, const struct bus_ops *ops,
	    void *device, struct err *err);

/* Any length; an access that leaves its range is treated as unclaimed. */
void bus_read(const struct bus *bus, uint64_t addr, void *data, uint32_t len);
void bus_write(const struct bus *bus, uint64_t addr, const void *data, uint32_t len);

/* Does any device claim it? */
bool bus_claims(const struct bus *bus, uint64_t addr, uint32_t len);

#endif
