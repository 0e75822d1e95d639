/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ram.h - guest RAM: one file of huge pages, seen through two mappings.
 *
 * For: creating the memory behind a guest, telling KVM's slots where it is, knowing what it holds
 * of the host. Not for: reading guest bytes (access.h), giving memory back (discard.h).
 *
 * guest view: what KVM's slots and the device models use. host view: a second mapping of the same
 * file for the pager and the swapper; no guest ever waits on it.
 * Owner: machine creates and closes it. The views stay mapped for the life of struct ram.
 */
#ifndef NEAP_MEMORY_RAM_H
#define NEAP_MEMORY_RAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/uuid.h"
#include "memory/frame_state.h"
#include "memory/layout.h"

struct ram; /* opaque; ram_internal.h inside memory/ */

enum { BLOCK_PAGES = 512, BLOCK_PAGE_WORDS = BLOCK_PAGES / 64 };

/* What the memory tells and asks by itself, on its own threads; each may be NULL. They return at
 * once. */
struct ram_events {
	/* A frame at @gpa is wanted, and the pool is empty or the grant used up (true); the last such
	 * frame was found (false). Whoever touched it sleeps in between. */
	void (*starved)(void *ctx, gpa_t gpa, bool starving);
	/* Somebody waits who would take a frame beyond what ram_set_grant() allows. Told at once, and
	 * again after something was taken, or granted, in between. */
	void (*wanting)(void *ctx);
	/* Somebody begins to wait until a block is read back or the host has a frame, and
	 * ram_statistics.kept_waiting_ns grows; for each who does. */
	void (*waits)(void *ctx);
	/* Page faults are not answered any more: the VM has to end. */
	void (*failed)(void *ctx, const char *why);
	/* The block at @gpa cannot be read back from swap now (true); it could at last (false).
	 * Whoever touched it sleeps; it is tried again every second, and never made up. */
	void (*unreadable)(void *ctx, gpa_t gpa, const char *why, bool lost);
	/* Which of the pages from @first_page (of the file) on hold nothing that matters: a set bit
	 * in @ret_dead, zeroed before, BLOCK_PAGE_WORDS words. True if any. Such a page may read as
	 * zeros afterwards. It is asked after the pages were unmapped from the guest. */
	bool (*dead)(void *ctx, uint64_t first_page, uint64_t *ret_dead);
	void *ctx;
};

struct ram_swap_config {
	const char *dir;     /* NULL: no swap */
	uint64_t size_bytes; /* 0: as large as guest RAM */
	bool encrypt, compress;
	uint8_t vm_uuid[UUID_BYTES];
};

struct ram_config {
	uint64_t ram_bytes;	   /* a multiple of frame_bytes */
	uint64_t frame_bytes;	   /* HUGE_FRAME_BYTES (hugetlb) or GUEST_PAGE_BYTES (memfd) */
	const char *hugetlbfs_dir; /* a hugetlbfs mount to take the file from; NULL: a memfd */
	bool reserve;		   /* allocate every frame now, or fail */
	/* Called now and then while reserving, so that a long start can show it; may be NULL.
	 * False calls the reservation off: -ECANCELED, and everything goes back. */
	bool (*progress)(void *ctx, uint64_t done_bytes, uint64_t total_bytes);
	void *progress_ctx;
	struct ram_swap_config swap;
	uint64_t limit_bytes; /* most of the host's memory to hold, with swap; 0: no limit */
	uint64_t ahead_bytes; /* most to prepare before it is touched, while the host has plenty */
	uint64_t sample_blocks; /* per period; 0: no sampling */
	uint64_t sample_period_ns;
	const char *trace_path; /* NULL: no trace */
	struct ram_events events;
};

/* Counters since the start unless it says now. All are exact but read one by one. */
struct ram_statistics {
	uint64_t state_bytes[FRAME_STATE_COUNT]; /* now; by enum frame_state */
	uint64_t fresh_bytes;			 /* now: prepared ahead of need, not yet touched */
	uint64_t limit_bytes;			 /* now */
	uint64_t faults;			 /* touches that the pager answered */
	uint64_t stall_ns;			 /* sum of the time that those who touched slept */
	uint64_t
		kept_waiting_ns; /* of it, by touches that could not be answered at once: the host had
				   * no frame, or the block was in swap */
	uint64_t starved_ns;	 /* of it, because the host had no frame */
	uint64_t over_grant_ns;	   /* of it, because the VM's grant allows no more */
	uint64_t grant_most_bytes; /* now: what the VM may hold by its grant; 0: there is none */
	uint64_t ahead_hits;	   /* first touches that found a prepared block */
	uint64_t swap_out_bytes, swap_in_bytes;	   /* of guest RAM, moved */
	uint64_t swap_out_zero_bytes;		   /* of it, all zeros: nothing was stored */
	uint64_t swap_out_famine_bytes;		   /* of it, why: the host had no frame, */
	uint64_t swap_out_limit_bytes;		   /* limit_bytes, */
	uint64_t swap_out_balloon_bytes;	   /* or most of it was in the balloon already */
	uint64_t swap_ahead_bytes;		   /* of swap_in_bytes: before they were touched */
	uint64_t swap_back_bytes;		   /* of it, since nothing was short any more */
	uint64_t swap_aborts;			   /* evictions that the guest came before */
	uint64_t refaults;			   /* touches of swapped blocks */
	uint64_t swap_size_bytes, swap_used_bytes; /* now */
	uint64_t swap_write_errors, swap_read_errors;
	bool swap_closed;	 /* now: after errors nothing more is swapped out */
	uint64_t sample_periods; /* finished */
	uint64_t sampled_blocks; /* of the last period */
	unsigned active_percent; /* of the last period: share touched again; valid when
						    sample_periods > 0 */
};

/**
 * ram_open() - create guest RAM
 *
 * Too few huge pages, with reserve or for the first frame: -ENOMEM, and @err says how many are
 * needed, how many are free, and the command that reserves them.
 * Where this process may not use userfaultfd, huge frames are all reserved, and swap is an error.
 * Else, without reserve, only the first frame is allocated, so that a host without any memory for us is
 * an error here and not a guest that waits for ever; the others appear when they are first touched.
 *
 * The views do not survive fork(): a process that detaches does so before.
 *
 * Return: 0 or a negative errno with @err set.
 * Source: memfd_create(2) MFD_HUGETLB; hugetlbpage.rst "Using Huge Pages".
 */
int ram_open(const struct ram_config *config, struct ram **ret_ram, struct err *err);
void ram_close(struct ram *ram);

const struct ram_layout *ram_layout(const struct ram *ram);

/* The start of region @index in the guest view, page aligned: userspace_addr of its KVM slot. */
void *ram_guest_view(const struct ram *ram, unsigned index);

/* Are touches of what is not mapped answered by us, so that an empty pool is a wait and not an
 * error? False where this process may not use userfaultfd. */
bool ram_has_pager(const struct ram *ram);

/* Was every frame taken at the start, because it was asked for or because there is no pager? */
bool ram_is_reserved(const struct ram *ram);

/* Why there is no pager, and what mends it, in words; NULL when there is one. */
const char *ram_why_no_pager(const struct ram *ram);

/* Any thread. */
void ram_read_statistics(const struct ram *ram, struct ram_statistics *ret_statistics);

/* The state of a block of 2 MiB of the file now; later it may be another. Any thread. */
enum frame_state ram_block_state(const struct ram *ram, uint64_t block);

/* Change limit_bytes while the guest runs: what is above it goes to swap, coldest first. 0: no
 * limit. Returns at once; -EOPNOTSUPP: there is no swap. Any thread. */
int ram_set_limit(struct ram *ram, uint64_t limit_bytes);

/**
 * ram_set_grant() - the most that the VM may hold of the host; while the guest runs
 * @grant_bytes: 0: no grant from now on
 * @slack_bytes: held beyond that without waiting, so that a guest that gives back can run
 *
 * A VM that holds more keeps it, but gets nothing more, beyond the slack, before it holds less. Who would
 * take a frame too many waits as for an empty pool, until there is a larger grant or until something
 * was given back. Nothing beyond the grant itself is prepared ahead, and what is prepared goes back first;
 * with swap, cold blocks go after that. Without a pager nothing is done.
 * Any thread, one at a time; returns at once.
 */
void ram_set_grant(struct ram *ram, uint64_t grant_bytes, uint64_t slack_bytes);

/* Is somebody waiting for a larger grant now? Any thread. */
bool ram_wants_grant(const struct ram *ram);

/* Bytes of the host's memory that the backing file holds now (exact; one fstat). Any thread. */
uint64_t ram_resident_bytes(const struct ram *ram);

/**
 * ram_back() - make sure the host has memory behind [gpa, gpa + len_bytes)
 *
 * Allocates with fallocate, never by touching, so an empty pool is an answer and not a SIGBUS.
 * Any thread. Costs one bit test per frame already known to be there.
 *
 * Return: 0; -EFAULT: not RAM; -ENOSPC: the pool is empty now, try again later: no guest byte
 * changed, and frames gained on the way stay for the next try.
 */
int ram_back(struct ram *ram, gpa_t gpa, uint64_t len_bytes);

#endif
