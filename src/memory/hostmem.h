/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* hostmem.h - what the host has: huge page pools, as the kernel tells it. Reads only, writes
 * nothing.
 */
#ifndef NEAP_MEMORY_HOSTMEM_H
#define NEAP_MEMORY_HOSTMEM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct hostmem_pool {
	uint64_t frame_bytes;
	uint64_t total_frames;
	uint64_t free_frames;	  /* includes frames already promised */
	uint64_t reserved_frames; /* promised to mappings, not yet given */
	uint64_t surplus_frames;
	uint64_t overcommit_frames; /* surplus limit */
	const char *mount_dir;	    /* the mount whose size= these are (the caller's text), or NULL
				     * when they are the host's */
};

/* /sys/kernel/mm/hugepages/hugepages-NkB, for 2 MiB frames. -ENOENT: this kernel has none. */
int hostmem_read_pool(uint64_t frame_bytes, struct hostmem_pool *ret_pool, struct err *err);

/* For who reads it again and again: five short reads, 3 us. */
enum { HOSTMEM_POOL_FILES = 5 };

struct hostmem_reader {
	uint64_t frame_bytes;
	int fds[HOSTMEM_POOL_FILES];
};

int hostmem_reader_open(uint64_t frame_bytes, struct hostmem_reader *ret_reader, struct err *err);
int hostmem_reader_open_at(const char *root, uint64_t frame_bytes,
			   struct hostmem_reader *ret_reader,
			   struct err *err); /* root/sys/...: "", or a made-up host's (tests) */
void hostmem_reader_close(struct hostmem_reader *reader);
int hostmem_reader_read(const struct hostmem_reader *reader, struct hostmem_pool *ret_pool,
			struct err *err);

/* The same for one hugetlbfs mount with its own size= limit (statfs); a mount without a limit
 * answers with the global pool. -EINVAL: not a hugetlbfs mount of that frame size. */
int hostmem_read_mount(const char *dir, uint64_t frame_bytes, struct hostmem_pool *ret_pool,
		       struct err *err);

/* How many frames one could take now: free, not promised to others, or still to be overcommitted.
 */
uint64_t hostmem_available_frames(const struct hostmem_pool *pool);

/* The sentence for "too few huge pages": needed, free, and the exact command. Into @err, -ENOMEM.
 * @needed_frames is more than are available. */
int hostmem_say_short(const struct hostmem_pool *pool, uint64_t needed_frames, struct err *err);

#endif
