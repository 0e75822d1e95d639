/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* balloon_rig.h - a balloon, RAM on frames of either size, and a driver that talks to it.
 *
 * With 2 MiB frames RAM comes from a private mount of RIG_POOL_FRAMES pages (hugemount.h); it is
 * larger than that, so that a test can use the pool up.
 */
#ifndef NEAP_TESTS_DEVICE_BALLOON_RIG_H
#define NEAP_TESTS_DEVICE_BALLOON_RIG_H

#include "balloon/balloon.h"
#include "fake_guest.h"

enum { RIG_RAM_FRAMES = 24, RIG_POOL_FRAMES = 16 }; /* of 2 MiB */
enum { RIG_FRAME_PAGES = 512 };			    /* pages in 2 MiB */
enum {
	RIG_DATA_PFN = 2 * RIG_FRAME_PAGES
}; /* what tests send begins here; rings and lists are below */
enum { RIG_INFLATE, RIG_DEFLATE, RIG_STATS, RIG_REPORTING_LINUX, RIG_REPORTING, RIG_QUEUES };
enum { RIG_QUEUE_SIZE = 64, RIG_LIST_PAGES = 40000 };

#define RIG_RAM_BYTES (RIG_RAM_FRAMES * HUGE_FRAME_BYTES)
#define RIG_ALL_FEATURES                                                            \
	(BALLOON_F_MUST_TELL_HOST | BALLOON_F_STATS_VQ | BALLOON_F_DEFLATE_ON_OOM | \
	 BALLOON_F_REPORTING | VIRTIO_F_INDIRECT_DESC)

struct rig {
	struct ram *ram;
	struct balloon *balloon;
	struct fake_guest guest;
	gpa_t list; /* RIG_LIST_PAGES entries, in the first 2 MiB */
	unsigned changes;
	unsigned told_busy;
};

/* Set by main from the command line. */
extern uint64_t rig_frame_bytes;

/* "4K" or "2M" (then the mount is made). */
void rig_choose_frames(int argc, char **argv);

void rig_init(struct rig *rig, uint64_t features); /* a driver is up */
void rig_fini(struct rig *rig);

/* cmocka's fixtures: *state is a struct rig, with all features or without one. */
int rig_setup(void **state);
int rig_setup_without_must_tell(void **state);
int rig_setup_without_stats(void **state);
int rig_teardown(void **state);

bool rig_on_huge_frames(void);

/* Offer one buffer, ring, and take back what was used. True: it was used. */
bool rig_send(struct rig *rig, unsigned queue, gpa_t buf, uint32_t len_bytes, bool writable);

/* Take one used buffer back; false when there is none. */
bool rig_reap(struct rig *rig, unsigned queue);

/* Send PFNs in one request from the rig's list buffer. True: acknowledged. */
bool rig_send_pfns(struct rig *rig, unsigned queue, const uint32_t *pfns, uint32_t count);

/* @count pages from @first going by @step, @per_request in a request; all acknowledged. */
void rig_send_series(struct rig *rig, unsigned queue, uint32_t first, int step, uint32_t count,
		     uint32_t per_request);

struct balloon_counters rig_counters(const struct rig *rig);
uint64_t rig_bad_requests(const struct rig *rig);
bool rig_broken(struct rig *rig);

/* Every page of guest memory carries its own number; whoever loses one is found. */
void rig_fill(struct rig *rig, uint32_t first_pfn, uint32_t count);
bool rig_page_intact(struct rig *rig, uint32_t pfn);
bool rig_page_zero(struct rig *rig, uint32_t pfn);

#endif
