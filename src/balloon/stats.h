/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* stats.h - what a guest says about its memory. Inside balloon/.
 *
 * Source: virtio 1.2 §5.5.6.3 "Memory Statistics": an array of 10-byte entries, a 16-bit tag and a
 * 64-bit value. The same section asks drivers for buffers in multiples of 6 bytes, which fits
 * no entry and no driver; only whole entries count here.
 */
#ifndef NEAP_BALLOON_STATS_H
#define NEAP_BALLOON_STATS_H

#include <stddef.h>

#include "balloon/balloon.h"

enum {
	STATS_ENTRY_BYTES = 10,
	STATS_MAX_ENTRIES = 64,
	STATS_MAX_BYTES =
		STATS_ENTRY_BYTES * STATS_MAX_ENTRIES, /* the rest of a buffer is ignored */
};

/**
 * stats_parse() - read the entries of one buffer
 *
 * All tags are optional, in any order; unknown ones are ignored, of equal ones the last counts, a
 * partial entry at the end is ignored. Values are taken as they are. @ret_stats holds nothing but
 * this buffer's entries; at_ns is the caller's.
 *
 * Return: how many entries had a known tag.
 */
unsigned stats_parse(const void *untrusted_bytes, size_t len,
		     struct balloon_guest_stats *ret_stats);

#endif
