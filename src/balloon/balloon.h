/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* balloon.h - virtio-balloon that really gives memory back on 2 MiB frames.
 *
 * asked:    what the host wants the guest to hand over (num_pages).
 * taken:    what the guest has handed over, counted by us page by page, never by `actual`.
 * returned: bytes of whole frames that are ballooned and were given back to the host. A guest that
 *           touches one without deflating it has it again, as zeros, and is not noticed here:
 *           ram_resident_bytes() always knows what the host really gives. What the host got back by
 *           swapping a partly ballooned block out is balloon_gone_bytes(), and comes on top.
 * They are three numbers, everywhere.
 *
 * Threads: the I/O thread owns a balloon. What says "any thread" may be called from any.
 * Source: virtio 1.2 §5.5 "Traditional Memory Balloon Device".
 */
#ifndef NEAP_BALLOON_BALLOON_H
#define NEAP_BALLOON_BALLOON_H

#include "virtio/virtio.h"

/* Feature bits, virtio 1.2 §5.5.3 "Feature bits". */
#define BALLOON_F_MUST_TELL_HOST (UINT64_C(1) << 0)
#define BALLOON_F_STATS_VQ	 (UINT64_C(1) << 1)
#define BALLOON_F_DEFLATE_ON_OOM (UINT64_C(1) << 2)
#define BALLOON_F_REPORTING	 (UINT64_C(1) << 5)

/* Tags, virtio 1.2 §5.5.6.4 "Memory Statistics Tags"; the order is the tag's number. */
enum balloon_stat {
	BALLOON_STAT_SWAP_IN,
	BALLOON_STAT_SWAP_OUT,
	BALLOON_STAT_MAJFLT,
	BALLOON_STAT_MINFLT,
	BALLOON_STAT_MEMFREE,
	BALLOON_STAT_MEMTOT,
	BALLOON_STAT_AVAIL,
	BALLOON_STAT_CACHES,
	BALLOON_STAT_HTLB_PGALLOC,
	BALLOON_STAT_HTLB_PGFAIL,
	/* Linux 6.12 and later */
	BALLOON_STAT_OOM_KILL,
	BALLOON_STAT_ALLOC_STALL,
	BALLOON_STAT_ASYNC_SCAN,
	BALLOON_STAT_DIRECT_SCAN,
	BALLOON_STAT_ASYNC_RECLAIM,
	BALLOON_STAT_DIRECT_RECLAIM,
	BALLOON_STAT_COUNT,
};

/* One row per tag: name in the API, and whether it is bytes. Defined in stats.c. */
struct balloon_stat_row {
	const char *name; /* "free_bytes", "major_faults", ... */
	bool is_bytes;
};
extern const struct balloon_stat_row balloon_stat_rows[BALLOON_STAT_COUNT];

struct balloon_guest_stats {
	uint64_t at_ns;			    /* monotonic time of arrival; 0 = never */
	uint32_t present;		    /* bit per tag */
	uint64_t value[BALLOON_STAT_COUNT]; /* as the guest says: a claim, not a fact */
};

struct balloon_counters {
	bool driver_ready; /* a driver is bound (DRIVER_OK) */
	uint64_t features; /* negotiated */
	uint64_t asked_bytes;
	uint64_t taken_bytes;
	uint64_t returned_bytes;
	/* Free page reporting: bytes of whole frames given back since start, whether or not there
	 * was host memory behind them. */
	uint64_t reported_total_bytes;
	uint64_t inflated_total_pages, deflated_total_pages;
	uint64_t ignored_pages;	     /* PFNs outside RAM, doubled, or never inflated (verdict I) */
	uint64_t guest_actual_pages; /* what the guest wrote into `actual`: a claim */
	uint64_t discard_failures;
};

struct balloon_config {
	struct ram *ram;
	uint64_t features; /* which of the BALLOON_F_ bits to offer */
	/* Told on the I/O thread whenever taken/returned changed, or statistics came; may be NULL.
	 */
	void (*changed)(void *ctx);
	/* Told on the I/O thread: frames that are in use now wait to be given back; call
	 * balloon_retry() soon. May be NULL. */
	void (*busy)(void *ctx);
	void *ctx;
};

struct balloon; /* opaque */

int balloon_create(const struct balloon_config *config, struct balloon **ret_balloon,
		   struct err *err);
void balloon_destroy(struct balloon *balloon);
struct virtio_device *balloon_device(struct balloon *balloon);

/* Ask the guest to hand over @bytes in all (rounded down to pages). -ERANGE: more than RAM.
 * I/O thread. With no driver yet it is told when it comes. */
int balloon_set_target(struct balloon *balloon, uint64_t bytes);

/* The statistics timer: asks the guest for fresh numbers if it has answered the last time. I/O
 * thread. */
void balloon_poll_stats(struct balloon *balloon, uint64_t now_ns);

/* Give back what could not go before. True: something is left; call again soon. I/O thread. */
bool balloon_retry(struct balloon *balloon);

/* Which pages of the block of 2 MiB that begins at page @first_page of the file are in the balloon,
 * and so hold nothing that matters: BLOCK_PAGE_WORDS words, zeroed before. True if any. Never any
 * without MUST_TELL_HOST: such a driver may use a page before it says so. Any thread. To be asked
 * after the block was taken from the guest. */
bool balloon_dead_pages(const struct balloon *balloon, uint64_t first_page, uint64_t *ret_dead);

/* Bytes of ballooned pages that returned_bytes does not count, in blocks that hold nothing of the
 * host, as @is_gone tells of a block. Any thread. */
typedef bool (*balloon_is_gone)(void *ctx, uint64_t block);
uint64_t balloon_gone_bytes(const struct balloon *balloon, balloon_is_gone is_gone, void *ctx);

/* Any thread; a consistent copy. */
void balloon_read_counters(const struct balloon *balloon, struct balloon_counters *ret_counters);
void balloon_read_stats(const struct balloon *balloon, struct balloon_guest_stats *ret_stats);

#endif
