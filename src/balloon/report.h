/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* report.h - free page reporting: which whole frames a reported range holds. Inside balloon/.
 *
 * A driver says "these bytes are free, I shall ask for nothing they held". Only frames that lie in
 * one reported range as a whole can be given back. Ranges are not added up: unlike ballooned pages,
 * reported ones may be used again at any time without notice once the report was acknowledged.
 * Source: virtio 1.2 §5.5.6.7 "Free Page Reporting".
 */
#ifndef NEAP_BALLOON_REPORT_H
#define NEAP_BALLOON_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "memory/layout.h"

struct frame_range {
	uint64_t first, count;
};

/* Rounded inward; count is 0 when no whole frame is inside, or it is not RAM. Any thread. */
struct frame_range report_whole_frames(const struct ram_layout *layout, gpa_t untrusted_gpa,
				       uint64_t untrusted_len_bytes);

#endif
