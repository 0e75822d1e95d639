/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ram_internal.h - struct ram, for the files of memory/ only.
 *
 * Problem. The file behind guest RAM has holes: frames never touched, given back, or swapped.
 * Touching a hole when the huge page pool is empty is a SIGBUS in the middle of a memcpy, and a
 * frame that comes or goes while somebody else looks at it is a lost byte.
 * Design. Every change goes through one block's lock (frames.c, block.c). Nothing in neap touches
 * guest memory that it has not made sure of, and being sure costs one look at an atomic word.
 *
 * Invariants
 *  M1  The state of a block says what is in the file (B3); on 4 KiB memory known.h says it for
 *      every page. Only punches remove pages, and only under the block's lock.
 *  M2  With a pager, a touch of the guest view never fails: it waits. So a pointer from ram_ptr()
 *      stays good whatever becomes of the frame; at worst its user waits. The pager's own threads
 *      use the host view and never wait for themselves.
 *  M3  Without a pager nothing is ever unmapped or swapped, and frames go only by ram_discard(),
 *      which shares a thread with the devices: a pointer from ram_ptr() is good until its own
 *      thread discards. Other threads may call ram_back() at any time, but only use pointers while
 *      nothing discards (before the vCPUs start, or when they are paused).
 *
 * A frame that the guest discards and touches again at once (no deflate) is its own affair: the
 * pager gives it a fresh zero page, or lets it wait until there is one. Without a pager the kernel
 * does, or KVM reports that it cannot, and ram_back() is asked.
 */
#ifndef NEAP_MEMORY_RAM_INTERNAL_H
#define NEAP_MEMORY_RAM_INTERNAL_H

#include <pthread.h>

#include "memory/frames.h"
#include "memory/grant.h"
#include "memory/known.h"
#include "memory/ram.h"
#include "memory/rights.h"
#include "memory/sigbus.h"

/* A mapping with a guard frame of no access on either side. */
struct ram_view {
	void *mapping; /* what munmap wants */
	uint64_t mapping_bytes;
	uint8_t *base; /* frame aligned */
};

struct keeper;
struct pager;
struct swapper;
struct trace;
struct watch;

struct ram {
	struct ram_layout layout;
	unsigned frame_shift;
	int fd;
	struct ram_view guest; /* base + guest address */
	struct ram_view host;  /* base + offset in the file */
	struct frames frames;
	struct known known; /* 4 KiB memory; else without words */
	struct known torn;  /* the same, a bit per block: something of it was given back */
	struct ram_events events;
	int uffd;			  /* -1: the kernel answers page faults */
	struct userfaultfd_rights rights; /* what made it so */
	char why_no_pager[3 * RIGHTS_TEXT_BYTES];
	bool reserved; /* every frame was taken at the start */
	struct grant grant;

	/* engine.c: */
	struct pager *pager;	 /* NULL without userfaultfd */
	struct swapper *swapper; /* NULL without swap */
	struct keeper *keeper;	 /* NULL without pager */
	struct trace *trace;	 /* NULL: none is kept */
	struct watch *watch;
	struct sigbus_guard guard;

	pthread_mutex_t arrival_lock;
	pthread_cond_t arrival; /* a block came back: who waits in ram_back() looks again */
};

/* engine.c: the threads that serve this RAM. Started after the first frames were taken. */
int engine_start(struct ram *ram, const struct ram_config *config, struct err *err);
void engine_stop(struct ram *ram);

/* The host has no frame for us: give back what was only prepared, ask for more. True: try again at
 * once. Any thread. */
bool engine_make_room(struct ram *ram);

/* @block is READING: have it read. False: not now, nothing was begun. Any thread. */
bool engine_read_back(struct ram *ram, uint64_t block);

/* May a touch of @offset_bytes be answered now? Else ask again when engine_arrived() has been called, or
 * in a little while. Any thread. */
enum growth {
	GROWTH_FREE,
	GROWTH_SWAPS, /* it would be beyond the VM's own limit: a block of its own goes first */
	GROWTH_HELD   /* it would be beyond its grant, and nothing of its own can go */
};
enum growth engine_growth(struct ram *ram, uint64_t offset_bytes);

/* How much the VM may take beyond what it holds, by its grant. */
uint64_t engine_room_bytes(struct ram *ram);

/* The pager's, after each touch that it answered. */
void engine_touched(struct ram *ram, uint64_t block);

/* Blocks that were sampled and not touched since, the coldest first; how many. Any thread. */
unsigned engine_coldest(struct ram *ram, uint64_t *ret_blocks, unsigned room);

/* Does a read wait for the host to have a frame? */
bool engine_is_starving(const struct ram *ram);

/* A block is back from swap, or one has gone there: whoever waits for either may look again. */
void engine_arrived(struct ram *ram);

/* What swap holds for @block is not needed any more. Its lock is held. */
void engine_forget(struct ram *ram, uint64_t block);

/* ram_back() by file offset, for ranges already checked. */
int ram_back_offset(struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes);

/* The same for the one frame at @offset_bytes, and mapped: its block is RESIDENT for a moment. */
int ram_map_offset(struct ram *ram, uint64_t offset_bytes);

/* fallocate(PUNCH_HOLE), through signals. */
int ram_punch(const struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes);

/* How much of @len_bytes from @address, in either view, is one mapping of the kernel's: UFFDIO_CONTINUE
 * goes across no boundary. */
uint64_t ram_piece_bytes(const struct ram *ram, uintptr_t address, uint64_t len_bytes);

#endif
