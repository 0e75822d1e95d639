/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* known.h - which frames are known to have host memory behind them. One bit per frame.
 *
 * A set bit is a promise: touching the frame cannot be a SIGBUS. A clear bit promises nothing:
 * the guest may have touched the frame itself; one fallocate finds out.
 * Memory: 32 KiB per GiB of guest on 4 KiB frames, 64 bytes on 2 MiB frames; mapped without being
 * charged, so that the bits of frames nobody uses cost nothing.
 * Threads: reads are lock-free from any thread; writers hold the block's (frames.h).
 */
#ifndef NEAP_MEMORY_KNOWN_H
#define NEAP_MEMORY_KNOWN_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/bitmap.h"

struct known {
	_Atomic uint64_t *words;
	uint64_t frame_count;
};

/* 0 or a negative errno; all bits clear. */
int known_init(struct known *known, uint64_t frame_count);
void known_fini(struct known *known); /* also on a zeroed one */

/* Frames [first, first + count) must lie below frame_count. */
void known_set(struct known *known, uint64_t first, uint64_t count);
void known_clear(struct known *known, uint64_t first, uint64_t count);

/* The first frame in [first, end) that is (known_find_set) or is not (known_find_clear) known;
 * @end if there is none. */
uint64_t known_find_set(const struct known *known, uint64_t first, uint64_t end);
uint64_t known_find_clear(const struct known *known, uint64_t first, uint64_t end);
uint64_t known_count(const struct known *known, uint64_t first, uint64_t end);

#endif
