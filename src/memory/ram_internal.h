/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ram_internal.h - struct ram, for the files of memory/ only.
 *
 * Problem. The file behind guest RAM has holes: frames never touched, or given back. Touching a
 * hole when the huge page pool is empty is a SIGBUS, in the middle of a memcpy. So nothing in neap
 * touches guest memory that it does not know to be there, and knowing must cost one bit test.
 *
 * Invariants
 *  M1  known bit set => the frame has a page in the file. Only a punch removes pages (hugetlb is
 *      never reclaimed, a memfd's pages may go to the host's swap but stay readable), and only
 *      ram_discard() punches.
 *  M2  Bits change only under `lock`: ram_back holds it over "allocate, then set", ram_discard over
 *      "clear, then punch". Without the lock:
 *          vCPU: fallocate(f)              I/O: clear(f), punch(f)              vCPU: set(f)
 *      leaves f known but a hole, and the next device access dies. With it, whoever comes second
 *      wins, and both outcomes obey M1.
 *  M3  Readers take no lock. A bit they saw set stays true until the next ram_discard() of that
 *      frame. Devices and ram_discard() share one thread, so a pointer from ram_ptr() is good
 *      until its own thread discards. Other threads may call ram_back() at any time, but only
 *      use pointers while nothing discards (before the vCPUs start, or when they are paused).
 *  M4  `lock` is held for at most BACK_CHUNK_BYTES of allocation or DISCARD_CHUNK_BYTES of
 *      punching, and nothing else is taken under it.
 *
 * A frame that the guest discards and touches again at once (no deflate) is its own affair: the
 * pager gives it a fresh zero page, or lets it wait until there is one. Without a pager the kernel
 * does, or KVM reports that it cannot, and ram_back() is asked.
 */
#ifndef NEAP_MEMORY_RAM_INTERNAL_H
#define NEAP_MEMORY_RAM_INTERNAL_H

#include <pthread.h>

#include "memory/known.h"
#include "memory/ram.h"

#define BACK_CHUNK_BYTES    HUGE_FRAME_BYTES
#define DISCARD_CHUNK_BYTES (64 * MIB_BYTES)
#define RESERVE_CHUNK_BYTES (64 * MIB_BYTES)

/* A mapping with a guard frame of no access on either side. */
struct ram_view {
	void *mapping; /* what munmap wants */
	uint64_t mapping_bytes;
	uint8_t *base; /* frame aligned */
};

struct ram {
	struct ram_layout layout;
	unsigned frame_shift;
	int fd;
	struct ram_view guest; /* base + guest address */
	struct ram_view host;  /* base + offset in the file */
	struct known known;
	pthread_mutex_t lock; /* M2 */
	struct pager *pager;  /* NULL: the kernel answers page faults */
};

/* ram_back() by file offset, for ranges already checked. New frames are mapped into the guest view
 * as well; ram_allocate_offset() leaves that to its caller, the pager. */
int ram_back_offset(struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes);
int ram_allocate_offset(struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes);

#endif
