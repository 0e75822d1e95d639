/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* report.c - see report.h. */
#include "balloon/report.h"

#include "base/units.h"

struct frame_range report_whole_frames(const struct ram_layout *layout, gpa_t untrusted_gpa,
				       uint64_t untrusted_len_bytes)
{
	uint64_t start, first, end;

	if (!ram_layout_offset(layout, untrusted_gpa, untrusted_len_bytes, &start) ||
	    !align_up(start, layout->frame_bytes, &first))
		return (struct frame_range){ 0 };
	end = align_down(start + untrusted_len_bytes, layout->frame_bytes);
	if (end <= first)
		return (struct frame_range){ 0 };
	return (struct frame_range){ .first = first / layout->frame_bytes,
				     .count = (end - first) / layout->frame_bytes };
}
