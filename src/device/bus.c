/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bus.c - see bus.h. Ranges are kept sorted and never overlap, so one binary search answers. */
#include "device/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* How many ranges start at or below @addr. */
static unsigned count_at_or_below(const struct bus *bus, uint64_t addr)
{
	unsigned low = 0, high = bus->count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (bus->ranges[middle].start <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool contains(const struct bus_range *range, uint64_t addr, uint32_t len)
{
	uint64_t offset = addr - range->start;

	return offset < range->len_bytes && len <= range->len_bytes - offset;
}

static const struct bus_range *find(const struct bus *bus, uint64_t addr, uint32_t len)
{
	unsigned below = count_at_or_below(bus, addr);

	if (below == 0 || len == 0 || len > 8 || (len & (len - 1)))
		return NULL;
	return contains(&bus->ranges[below - 1], addr, len) ? &bus->ranges[below - 1] : NULL;
}

/* Does a new range at sorted position @at leave its neighbours alone? */
static bool fits(const struct bus *bus, unsigned at, uint64_t start, uint64_t len_bytes)
{
	const struct bus_range *before = at > 0 ? &bus->ranges[at - 1] : NULL;
	const struct bus_range *after = at < bus->count ? &bus->ranges[at] : NULL;

	if (before && start - before->start < before->len_bytes)
		return false;
	return !after || after->start - start >= len_bytes;
}

int bus_add(struct bus *bus, uint64_t start, uint64_t len_bytes, const struct bus_ops *ops,
	    void *device, struct err *err)
{
	unsigned at = count_at_or_below(bus, start);

	if (len_bytes == 0 || start + (len_bytes - 1) < start)
		return err_set(err, -EINVAL, "%s: %" PRIu64 " bytes at 0x%" PRIx64 " is no range",
			       ops->name, len_bytes, start);
	if (!fits(bus, at, start, len_bytes))
		return err_set(err, -EEXIST, "%s: 0x%" PRIx64 " belongs to another device already",
			       ops->name, start);
	if (bus->count == BUS_MAX_RANGES)
		return err_set(err, -ENOSPC, "%s: the bus has no place for another range",
			       ops->name);
	memmove(&bus->ranges[at + 1], &bus->ranges[at], (bus->count - at) * sizeof(bus->ranges[0]));
	bus->ranges[at] = (struct bus_range){
		.start = start, .len_bytes = len_bytes, .ops = ops, .device = device
	};
	bus->count++;
	return 0;
}

void bus_read(const struct bus *bus, uint64_t addr, void *data, uint32_t len)
{
	const struct bus_range *range = find(bus, addr, len);

	memset(data, 0xff, len);
	if (range && range->ops->read)
		range->ops->read(range->device, addr - range->start, data, len);
}

void bus_write(const struct bus *bus, uint64_t addr, const void *data, uint32_t len)
{
	const struct bus_range *range = find(bus, addr, len);

	if (range && range->ops->write)
		range->ops->write(range->device, addr - range->start, data, len);
}

bool bus_claims(const struct bus *bus, uint64_t addr, uint32_t len)
{
	return find(bus, addr, len) != NULL;
}
