/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* inflate.h - which pages are in the balloon, and which frames that makes free. Inside balloon/.
 *
 * For: exact accounting from lists of page frame numbers that a hostile guest wrote. Not for:
 * rings, or memory itself: whole frames leave through a callback, so it is tested without either.
 * Threads: one owner, the I/O thread, but for inflate_dead_pages() and inflate_gone_pages().
 */
#ifndef NEAP_BALLOON_INFLATE_H
#define NEAP_BALLOON_INFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "memory/layout.h"
#include "memory/ram.h"

struct inflate_config {
	const struct ram_layout *layout; /* outlives the accounting */
	/* Give whole frames back to the host: 0 or a negative errno. -EBUSY: some are in use, the
	 * others have gone. */
	int (*discard)(void *ctx, uint64_t first_frame, uint64_t frame_count);
	/* Frames that had been given back and that the guest will use now; may be NULL. Told before
	 * inflate_end() returns. Not for frames of one page. */
	void (*wanted)(void *ctx, uint64_t first_frame, uint64_t frame_count);
	void *ctx;
};

struct inflate_counters {
	uint64_t taken_pages;	  /* in the balloon now */
	uint64_t returned_frames; /* all pages in the balloon, and nothing on the host */
	uint64_t inflated_total_pages, deflated_total_pages;
	uint64_t ignored_pages;
	uint64_t discard_failures;
	uint64_t asked_frames; /* frames the host was asked to take: a measure of work */
};

struct inflate_fill; /* how full one frame is */

struct inflate_run {
	uint64_t first, count; /* frames */
};

struct inflate {
	struct inflate_config config;
	uint64_t page_count, frame_count;
	unsigned frame_shift;	    /* pages per frame, as a power of two */
	uint64_t *pages;	    /* a bit per page */
	uint64_t *kept;		    /* a bit per frame that is full and was not given back */
	struct inflate_fill *fills; /* NULL when a frame is a page */
	uint64_t kept_frames;
	uint64_t retry_frame; /* where the next retry looks */
	uint64_t request;     /* number of the current one */
	bool must_tell;
	struct inflate_run batch;  /* full frames not yet given back; empty outside a request */
	struct inflate_run wanted; /* no longer full, not yet told; empty outside a request */
	struct inflate_counters counters;
};

/* 0; -ENOMEM. At most 40 KiB of memory per GiB of guest, taken as it is used. */
int inflate_init(struct inflate *inflate, const struct inflate_config *config, struct err *err);
void inflate_fini(struct inflate *inflate); /* also on a zeroed one */

/**
 * inflate_begin() - a request to inflate starts, or goes on after inflate_end()
 * @must_tell: MUST_TELL_HOST was negotiated: a page stays ours until its deflation
 * @goes_on:   more of the request that was last begun
 */
void inflate_begin(struct inflate *inflate, bool must_tell, bool goes_on);

/* Put pages into the balloon: @count little-endian PFNs, at most INFLATE_LIST_PAGES. */
void inflate_take(struct inflate *inflate, const uint32_t *untrusted_pfns, size_t count);

/* Frames that became full are given back, those that are wanted told. To be called before the request is acknowledged or
 * anything else happens to the balloon. */
void inflate_end(struct inflate *inflate);

/* Take pages out of the balloon. */
void inflate_release(struct inflate *inflate, const uint32_t *untrusted_pfns, size_t count);

/* Frames [first, first + count) were given back for another reason (a report). Returns how many of
 * them the balloon had not given back before. */
uint64_t inflate_note_discarded(struct inflate *inflate, uint64_t first_frame,
				uint64_t frame_count);

/* Try again what the host refused, a little at a time. True: something is left to try. */
bool inflate_retry(struct inflate *inflate);

/* The guest was reset: nothing is in the balloon. Totals stay. */
void inflate_forget(struct inflate *inflate);

/* Which pages of the block that begins at @first_page are in the balloon: BLOCK_PAGE_WORDS words,
 * zeroed before. True if any. Any thread. */
bool inflate_dead_pages(const struct inflate *inflate, uint64_t first_page, uint64_t *ret_dead);

/* Pages in the balloon that returned_frames does not count though the host has back what was behind
 * them: their whole block holds nothing, which @is_gone tells. Any thread; looks at a word per 64
 * pages of RAM. */
typedef bool (*inflate_is_gone)(void *ctx, uint64_t block);
uint64_t inflate_gone_pages(const struct inflate *inflate, inflate_is_gone is_gone, void *ctx);

#endif
