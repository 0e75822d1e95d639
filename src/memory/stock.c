/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* stock.c - see stock.h.
 *
 * The rule. Let H be what the host would have available if we had prepared nothing.
 *  - In front of a stream: at most the smaller of what the VM may prepare and H / 4. It will be
 *    touched within milliseconds, and waits for nobody then.
 *  - The stock: at most 3/4 of what the VM may prepare, H / 4, and what H is above half of the pool:
 *    a host with three quarters free has a full stock, one with half has none, and in between it
 *    shrinks step by step, so that nothing flaps. The last quarter is left to streams. While some of
 *    the VM is in swap there is no stock: that is brought back first.
 *  - Neither takes the VM above its limit or its grant; one that is above gives these back first. After
 *    a famine there is nothing at all for a while.
 * Several VMs on a host each take at most a quarter of what is left, so all of them together leave
 * some, and all of them shrink before the pool is half empty.
 */
#include "memory/stock.h"

#include "base/bounds.h"

static uint64_t plus(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

struct stock_room stock_room(const struct stock_view *view)
{
	uint64_t have = plus(view->pool_available, view->fresh);
	uint64_t half = view->pool_total / 2;
	uint64_t own = view->fresh > view->above_limit ? view->fresh - view->above_limit : 0;
	struct stock_room room = { 0 };

	if (view->famine)
		return room;
	room.ahead = least(least(view->most, have / 4), plus(own, view->limit_room));
	if (have > half && !view->has_swapped)
		room.stock = least(least(view->most - view->most / 4, room.ahead), have - half);
	room.keep = least(plus(room.stock, view->expected), room.ahead);
	return room;
}
