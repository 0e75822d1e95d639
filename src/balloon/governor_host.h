/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* governor_host.h - how short the host is, as one VM without a broker sees it.
 *
 * For: the pool its frames come from, and every limit on this process, as one state and one number.
 * Not for: dividing the host among VMs. Reads files only, and writes nothing.
 * Threads: one at a time (the governor's).
 */
#ifndef NEAP_BALLOON_GOVERNOR_HOST_H
#define NEAP_BALLOON_GOVERNOR_HOST_H

#include "policy/host_policy.h"

struct governor_host; /* opaque */

struct governor_host_config {
	uint64_t frame_bytes;	   /* HUGE_FRAME_BYTES: the huge page pool; GUEST_PAGE_BYTES: RAM */
	const char *hugetlbfs_dir; /* the mount that the frames come from; NULL: none */
	const char *root;	   /* before /proc and /sys: "", or a made-up host's (tests) */
};

/* What cannot be opened is left out; with nothing left, governor_host_read() says so. */
int governor_host_create(const struct governor_host_config *config, struct governor_host **ret_host,
			 struct err *err);
void governor_host_destroy(struct governor_host *host);

/**
 * governor_host_read() - the worst of all that bounds this VM
 * @ret_free_bytes: what it could get before the next of them is below its soft mark
 *
 * Readings are kept for HOST_FRESH_MS, or HOST_PLENTY_MS while more than a quarter of the host's RAM
 * is free (frames of 4 KiB). False: nothing can be read here.
 */
bool governor_host_read(struct governor_host *host, uint64_t now_ns, enum host_state *ret_state,
			uint64_t *ret_free_bytes);
enum { HOST_FRESH_MS = 200, HOST_PLENTY_MS = 1900 };

#endif
