/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* guest_map.c - see guest_map.h. */
#include "boot/guest_map.h"

uint64_t guest_low_ram_end(const struct ram *ram)
{
	const struct ram_region *low = &ram_layout(ram)->regions[0];

	return low->start.addr + low->len_bytes;
}

static void add_row(struct guest_map *map, uint64_t start, uint64_t end, enum guest_map_type type)
{
	if (end > start)
		map->rows[map->count++] = (struct guest_map_row){ start, end - start, type };
}

void guest_map_init(const struct ram *ram, struct guest_map *ret_map)
{
	const struct ram_layout *layout = ram_layout(ram);

	*ret_map = (struct guest_map){ 0 };
	add_row(ret_map, 0, GUEST_LOW_END, GUEST_MAP_RAM);
	add_row(ret_map, GUEST_ACPI_START, GUEST_ACPI_END, GUEST_MAP_RESERVED);
	add_row(ret_map, GUEST_KERNEL_MIN, guest_low_ram_end(ram), GUEST_MAP_RAM);
	for (unsigned i = 1; i < layout->region_count; i++) {
		const struct ram_region *region = &layout->regions[i];

		add_row(ret_map, region->start.addr, region->start.addr + region->len_bytes,
			GUEST_MAP_RAM);
	}
}
