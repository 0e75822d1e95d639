/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* layout.c - see layout.h. */
#include "memory/layout.h"

#include <errno.h>
#include <inttypes.h>

static int check_size(uint64_t ram_bytes, uint64_t frame_bytes, struct err *err)
{
	char text[UNITS_TEXT_BYTES], unit[UNITS_TEXT_BYTES];

	if (frame_bytes != HUGE_FRAME_BYTES && frame_bytes != GUEST_PAGE_BYTES)
		return err_set(err, -EINVAL, "guest RAM: pages of %s are not supported",
			       units_format_exact(frame_bytes, text));
	if (ram_bytes > RAM_MAX_BYTES)
		return err_set(err, -ERANGE, "guest RAM of %s is too large; the most is %s",
			       units_format_size(ram_bytes, text),
			       units_format_exact(RAM_MAX_BYTES, unit));
	if (ram_bytes == 0 || !is_aligned(ram_bytes, frame_bytes))
		return err_set(err, -EINVAL, "guest RAM of %s is not a multiple of its %s pages",
			       units_format_exact(ram_bytes, text),
			       units_format_exact(frame_bytes, unit));
	return 0;
}

int ram_layout_init(uint64_t ram_bytes, uint64_t frame_bytes, struct ram_layout *ret_layout,
		    struct err *err)
{
	uint64_t low_bytes = ram_bytes < RAM_HOLE_START ? ram_bytes : RAM_HOLE_START;
	int result = check_size(ram_bytes, frame_bytes, err);

	if (result)
		return result;
	*ret_layout = (struct ram_layout){
		.ram_bytes = ram_bytes,
		.frame_bytes = frame_bytes,
		.region_count = ram_bytes > low_bytes ? 2 : 1,
		.regions = {
			{ .start = GPA(0), .len_bytes = low_bytes },
			{ .start = GPA(RAM_HOLE_END),
			  .len_bytes = ram_bytes - low_bytes,
			  .offset_bytes = low_bytes },
		},
	};
	return 0;
}

bool ram_layout_offset(const struct ram_layout *layout, gpa_t gpa, uint64_t len_bytes,
		       uint64_t *ret_offset_bytes)
{
	for (unsigned i = 0; i < layout->region_count; i++) {
		const struct ram_region *region = &layout->regions[i];
		uint64_t into = gpa.addr - region->start.addr;

		/* Below the region, `into` has wrapped and is larger than any region. */
		if (into >= region->len_bytes)
			continue;
		if (len_bytes > region->len_bytes - into)
			return false;
		*ret_offset_bytes = region->offset_bytes + into;
		return true;
	}
	return false;
}

gpa_t ram_layout_gpa(const struct ram_layout *layout, uint64_t offset_bytes)
{
	const struct ram_region *last = &layout->regions[layout->region_count - 1];

	if (offset_bytes >= last->offset_bytes)
		return GPA(last->start.addr + (offset_bytes - last->offset_bytes));
	return GPA(layout->regions[0].start.addr + offset_bytes);
}
