/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swapper_internal.h - struct swapper, for swapper*.c only. swapper.c has the design. */
#ifndef NEAP_MEMORY_SWAPPER_INTERNAL_H
#define NEAP_MEMORY_SWAPPER_INTERNAL_H

#include <pthread.h>

#include "memory/block.h"
#include "memory/pressure.h"
#include "memory/ram_internal.h"
#include "memory/read_queue.h"
#include "memory/readahead.h"
#include "memory/swap_store.h"
#include "memory/swapper.h"
#include "memory/victims.h"
#include "memory/wake.h"
#include "memory/watch.h"

enum {
	SWAPPER_WORKERS = 2,
	SWAPPER_PENDING_ROOM = 1024,
	SWAPPER_AHEAD_ROOM = 4 * READAHEAD_MOST,
	SWAPPER_COLDEST_ROOM = 32
};

/* In the read queue: not a refault, but a touched marker. */
#define SWAPPER_MARKER_FLAG (UINT64_C(1) << 63)

#define SWAPPER_NO_BLOCK UINT64_MAX

/* A read that cannot be done now. */
struct pending_read {
	uint64_t block;
	uint64_t due_ns;
	bool begun;	 /* it is READING, and waits for a frame; else it is SWAPPED */
	bool unreadable; /* and somebody was told */
};

enum swap_job_kind { JOB_NONE, JOB_READ, JOB_EVICT, JOB_DROP_FRESH };

/* What one worker does next, without the lock. */
struct swap_job {
	enum swap_job_kind kind;
	uint64_t block;
	bool wanted;  /* somebody sleeps for it */
	bool map;     /* else it is brought back unmapped */
	bool starved; /* there was no frame for it a moment ago */
	bool background;
	enum swap_reason reason;
	struct readahead_plan plan; /* its `passed` is looked at after the read */
};

/* swapper_balloon.c */
enum {
	DEAD_LEVEL_PAGES = 64,
	DEAD_LEVELS = BLOCK_PAGES / DEAD_LEVEL_PAGES + 1,
	COOLING_ROOM = 512
};

struct cooling {
	uint64_t block;
	uint64_t until_ns;
	unsigned strikes;
};

struct balloon_work {
	uint64_t next_sweep_ns;
	bool counting; /* dead_pages, as far as the cursor is */
	uint64_t dead_pages[DEAD_LEVELS];
	uint64_t cursor;
	unsigned level;		    /* blocks with so many dead pages / DEAD_LEVEL_PAGES go now */
	unsigned lowest_level;	    /* > level: nothing to do */
	uint64_t refaults_permille; /* leaky: in thousandths of one */
	uint64_t leaked_ns;
	uint64_t pause_ns; /* how long the last pause was */
	uint64_t paused_until_ns;
	struct cooling cooling[COOLING_ROOM];
};

/* swapper_back.c */
struct back_work {
	uint64_t next_ns;
	uint64_t cursor;
	bool running; /* one at a time */
};

struct swapper_counters {
	_Atomic uint64_t out_bytes, in_bytes, zero_bytes, aborts, refaults;
	_Atomic uint64_t out_reason_bytes[SWAP_REASON_COUNT];
	_Atomic uint64_t ahead_bytes, back_bytes;
};

struct swap_thread {
	struct swapper *swapper;
	struct swap_worker *store_worker;
	pthread_t thread;
	bool running;
	struct watched watched;
	uint64_t busy_block; /* W2; under the lock, as the next */
	bool attends;	     /* it sleeps, and looks again after what nobody wakes a worker for */
};

struct swapper {
	struct ram *ram;
	struct ram_events events;
	struct swap_store *store;
	const char *hugetlbfs_dir;
	uint64_t block_count;

	/* Without the lock. */
	struct wake wake;
	struct read_queue queue;
	_Atomic uint64_t limit_bytes;
	_Atomic bool want_frames, stopping;
	_Atomic unsigned starving;
	/* No victim was found, or the store is full or (for ever) closed. */
	_Atomic uint64_t no_evict_until_ns;
	_Atomic uint64_t markers[READAHEAD_STREAMS];
	struct swapper_counters counters;

	pthread_mutex_t lock; /* all below */
	pthread_cond_t quiet; /* busy_workers is 0 */
	bool hushed;
	unsigned busy_workers, evicting;
	unsigned pending_count, ahead_first, ahead_count, coldest_count;
	struct pending_read pending[SWAPPER_PENDING_ROOM];
	uint64_t ahead_blocks[SWAPPER_AHEAD_ROOM];
	uint64_t coldest[SWAPPER_COLDEST_ROOM];
	uint64_t coldest_ns; /* when the keeper was asked last */
	uint64_t fresh_cursor;
	uint64_t wanted_ns; /* when somebody found no frame last */
	struct victims victims;
	struct readahead readahead;
	struct pressure pressure;
	struct balloon_work balloon;
	struct back_work back;
	struct swap_thread threads[SWAPPER_WORKERS];
};

/* A block's word, taken apart. */
bool swapper_is_untouched(void *swapper, uint64_t block);
bool swapper_is_swapped(void *swapper, uint64_t block);
uint64_t swapper_in_ram_blocks(const struct swapper *swapper);
struct pressure_now swapper_pressure_now(const struct swapper *swapper);
unsigned swapper_dead_pages(const struct swapper *swapper, uint64_t block);

/* swapper_in.c: reading back. _locked: the caller holds the lock. */
bool swapper_may_read_locked(const struct swapper *swapper); /* W3 */
bool swapper_pick_read_locked(struct swapper *swapper, struct swap_job *ret_job);
bool swapper_pick_ahead_locked(struct swapper *swapper, struct swap_job *ret_job);
void swapper_do_read(struct swapper *swapper, struct swap_thread *thread,
		     const struct swap_job *job);
void swapper_cancel_reads_locked(struct swapper *swapper);
void swapper_frame_came_free_locked(struct swapper *swapper);
uint64_t swapper_next_pending_ns_locked(const struct swapper *swapper);

/* swapper_out.c: evicting */
bool swapper_pick_evict_locked(struct swapper *swapper, struct swap_job *ret_job);
bool swapper_pick_excess_locked(struct swapper *swapper, struct swap_job *ret_job);
void swapper_do_evict(struct swapper *swapper, struct swap_thread *thread,
		      const struct swap_job *job);
void swapper_do_drop_fresh(struct swapper *swapper, const struct swap_job *job);
bool swapper_watch(void *swapper, uint64_t block);
bool swapper_is_busy_locked(const struct swapper *swapper, uint64_t block);
bool swapper_can_evict(const struct swapper *swapper, uint64_t now_ns);
void swapper_store_has_room_locked(struct swapper *swapper);

/* swapper_balloon.c: partly ballooned blocks, while nothing is short */
bool swapper_pick_balloon_locked(struct swapper *swapper, uint64_t now_ns, uint64_t *ret_block);
bool swapper_pick_dead_locked(struct swapper *swapper, uint64_t now_ns, uint64_t *ret_block);
bool swapper_is_sweeping_locked(const struct swapper *swapper);		    /* and wants to go on */
void swapper_note_refault_locked(struct swapper *swapper, uint64_t now_ns); /* it will be read */
void swapper_note_back_locked(struct swapper *swapper, uint64_t block); /* it was, for whomever */

/* swapper_back.c: bringing back when the shortage is over */
/* Is anything in swap at all? */
bool swapper_may_bring_back(const struct swapper *swapper);
bool swapper_pick_back_locked(struct swapper *swapper, struct swap_job *ret_job);
void swapper_back_done_locked(struct swapper *swapper, uint64_t took_ns);

#endif
