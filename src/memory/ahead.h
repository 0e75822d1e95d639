/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ahead.h - blocks of huge pages that are ready before the guest touches them. Inside memory/ only.
 *
 * For: choosing what to prepare, and giving it back when the host is short. Not for: how many that
 * may be (stock.h), where touches go (streams.h), the thread (keeper.h).
 * Threads: the keeper's calls ahead_step(), the pager's ahead_touched(); the rest any.
 */
#ifndef NEAP_MEMORY_AHEAD_H
#define NEAP_MEMORY_AHEAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "memory/hostmem.h"
#include "memory/known.h"
#include "memory/ram.h"
#include "memory/stock.h"
#include "memory/streams.h"

enum { AHEAD_WISHES = 32 };

/* What nobody wished for. */
enum ahead_kind { AHEAD_FRONT, AHEAD_STOCK, AHEAD_KINDS };

struct ahead_range {
	uint64_t first, end; /* blocks */
};

/* A stream as the keeper sees it. */
struct ahead_front {
	_Atomic uint64_t word; /* edge, window and way, packed by the pager */
	uint64_t seen;	       /* the keeper's: what it was last */
	uint64_t seen_ns;      /* and when it became so */
};

struct ahead {
	struct ram *ram;
	uint64_t most_blocks;  /* 0: nothing is prepared */
	const char *mount_dir; /* whose limit it is; NULL: the host's pool. The caller's text */
	struct hostmem_reader reader;
	struct streams streams; /* the pager's */
	struct ahead_front fronts[STREAMS];
	struct known gone; /* blocks that were given back: not prepared unless asked for */

	atomic_bool touched;	       /* the pager answered a touch */
	_Atomic uint64_t limit_blocks; /* of the VM; 0: none */
	_Atomic uint64_t grant_blocks; /* the same of who divides the host */
	_Atomic uint64_t famine_ns;    /* the last one; 0: none yet */
	_Atomic uint64_t room_blocks;  /* stock_room.ahead as of the latest reading */
	_Atomic uint64_t drop_cursor;
	_Atomic uint64_t at_block;	/* the keeper prepares it now; UINT64_MAX: none */
	_Atomic uint64_t rest_until_ns; /* who wishes does nothing itself before */
	atomic_bool resting;		/* there is no use in waking the keeper for a stream */

	/* The keeper's. */
	uint64_t pool_total, pool_available; /* at pool_read_ns */
	uint64_t pool_read_ns;		     /* 0: not yet */
	uint64_t look_again_ns;		     /* then the stock is filled, if it is not full */
	uint64_t begin_ns;	       /* without a touch, no stock before; 0: not known yet */
	uint64_t rest_ns[AHEAD_KINDS]; /* ahead_rest() */
	uint64_t prepared;	       /* blocks, on the keeper's thread */
	uint64_t busy_block;	       /* not this one now; UINT64_MAX: none */
	unsigned recent;	       /* the front that moved last */

	pthread_mutex_t lock;		     /* of the rest; never the pager's */
	uint64_t granted_blocks, granted_ns; /* prepared for wishes lately */
	struct ahead_range wishes[AHEAD_WISHES];
	unsigned wish_count;
};

/* 0 or a negative errno. config->hugetlbfs_dir is not copied: it outlives ahead. */
int ahead_init(struct ahead *ahead, struct ram *ram, const struct ram_config *config);
void ahead_fini(struct ahead *ahead); /* also on a zeroed one */

/* Prepare or give back a little. When to be called again, in clock_now_ns() time: not after @now_ns
 * means at once; UINT64_MAX: when something happens. */
uint64_t ahead_step(struct ahead *ahead, uint64_t now_ns);

/* The keeper's: prepare none of these before @until_ns. */
void ahead_rest(struct ahead *ahead, enum ahead_kind kind, uint64_t until_ns);
bool ahead_is_resting(const struct ahead *ahead, enum ahead_kind kind, uint64_t now_ns);

/* Is there a wish left? Any thread. */
bool ahead_is_wished(struct ahead *ahead);

/* As keeper_touched(). @ret_wake: there is work now. */
int ahead_touched(struct ahead *ahead, uint64_t block, bool *ret_wake);

/* As keeper_give_back(), and so on. */
uint64_t ahead_give_back(struct ahead *ahead, uint64_t now_ns);
void ahead_discarded(struct ahead *ahead, uint64_t first_block, uint64_t block_count);
void ahead_prepare(struct ahead *ahead, uint64_t first_block, uint64_t block_count);

#endif
