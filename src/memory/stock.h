/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* stock.h - how many blocks may be prepared before they are touched. Inside memory/ only. Pure. */
#ifndef NEAP_MEMORY_STOCK_H
#define NEAP_MEMORY_STOCK_H

#include <stdbool.h>
#include <stdint.h>

/* All in blocks. */
struct stock_view {
	uint64_t pool_total;	 /* what the host has of such frames */
	uint64_t pool_available; /* of it, what anybody could take now */
	uint64_t fresh;		 /* prepared now and not touched */
	uint64_t most;		 /* ram_config.ahead_bytes */
	uint64_t limit_room;	 /* until the VM's own limit; UINT64_MAX: it has none */
	uint64_t above_limit;	 /* what it holds beyond it */
	uint64_t expected;	 /* what touches that go on one after the other will reach next */
	bool has_swapped;	 /* some of this VM is in swap */
	bool famine;		 /* somebody waited for a frame a moment ago */
};

struct stock_room {
	uint64_t stock; /* fill up to here where nothing says what is touched next */
	uint64_t ahead; /* fill up to here in front of touches that go on one after the other */
	uint64_t keep;	/* give back what is above this; never less than either may fill to */
};

struct stock_room stock_room(const struct stock_view *view);

#endif
