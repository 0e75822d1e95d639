/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* discard.h - give whole frames back to the host. What was in them reads as zeros afterwards.
 *
 * By fallocate(PUNCH_HOLE) on the file and only for whole frames: a smaller punch inside a
 * hugetlb frame zeroes the bytes, frees nothing and returns 0. madvise frees nothing on a shared
 * mapping. Frames that hold nothing cost next to nothing.
 */
#ifndef NEAP_MEMORY_DISCARD_H
#define NEAP_MEMORY_DISCARD_H

#include "memory/ram.h"

/* Frame number of a guest address in RAM; false when it is not RAM. */
bool ram_frame_of(const struct ram *ram, gpa_t gpa, uint64_t *ret_frame);
uint64_t ram_frame_count(const struct ram *ram);

/**
 * ram_discard() - give @frame_count frames from @first_frame back
 * Return: 0; -EBUSY: some are held, or on their way to swap or back: the others are gone, try again;
 * -ERANGE: not frames of this RAM; another negative errno from fallocate.
 * Not zeros afterwards: 4 KiB frames, fewer than a block, while their block is in swap; they come back as
 * they were.
 * Context: the I/O thread (the one that also touches guest memory for devices).
 */
int ram_discard(struct ram *ram, uint64_t first_frame, uint64_t frame_count);

#endif
