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
#include "memory/layout.h"

struct ram; /* opaque; ram_internal.h inside memory/ */

/* What the memory tells by itself, on its own thread; both may be NULL. They return at once. */
struct ram_events {
	/* A frame at @gpa is wanted and the pool is empty (true); the last such frame was found
	 * (false). Whoever touched it sleeps in between. */
	void (*starved)(void *ctx, gpa_t gpa, bool starving);
	/* Page faults are not answered any more: the VM has to end. */
	void (*failed)(void *ctx, const char *why);
	void *ctx;
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
	struct ram_events events;
};

/**
 * ram_open() - create guest RAM
 *
 * Too few huge pages, with reserve or for the first frame: -ENOMEM, and @err says how many are
 * needed, how many are free, and the command that reserves them.
 * Without reserve only the first frame is allocated, so that a host without any memory for us is
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

/* Are first touches of huge frames answered by us, so that an empty pool is a wait and not an
 * error? False on 4 KiB frames, and where this process may not use userfaultfd. */
bool ram_has_pager(const struct ram *ram);

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
