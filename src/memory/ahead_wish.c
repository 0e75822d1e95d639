/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ahead_wish.c - blocks that somebody says will be touched (a deflating balloon); see ahead.c.
 *
 *  A5  Who wishes works on it for WISH_NOW_NS at most, and then not for WISH_REST_NS, however many
 *      wishes there are: it is the thread of the devices.
 */
#include <errno.h>

#include "base/clock.h"
#include "memory/ahead_internal.h"
#include "memory/block.h"

#define WISH_LIFE_NS (2 * NS_PER_S)
#define WISH_NOW_NS  NS_PER_MS
#define WISH_REST_NS (5 * NS_PER_MS)

enum { WISH_NOW_BLOCKS = 4 };

/* What was prepared for a wish is kept for a while. */
static void grant_locked(struct ahead *ahead)
{
	ahead->granted_blocks++;
	ahead->granted_ns = clock_now_ns();
}

bool ahead_next_wish(struct ahead *ahead, uint64_t *ret_block)
{
	bool found = false;

	(void)pthread_mutex_lock(&ahead->lock);
	while (ahead->wish_count && !found) {
		struct ahead_range *wish = &ahead->wishes[ahead->wish_count - 1];

		while (wish->first < wish->end &&
		       (!ahead_is_absent(ahead, wish->first) || ahead_is_gone(ahead, wish->first)))
			wish->first++;
		found = wish->first < wish->end;
		if (found)
			*ret_block = wish->first++;
		else
			ahead->wish_count--;
	}
	if (found)
		grant_locked(ahead);
	(void)pthread_mutex_unlock(&ahead->lock);
	return found;
}

bool ahead_is_wished(struct ahead *ahead)
{
	bool wished;

	(void)pthread_mutex_lock(&ahead->lock);
	wished = ahead->wish_count > 0;
	(void)pthread_mutex_unlock(&ahead->lock);
	return wished;
}

uint64_t ahead_count_wished(struct ahead *ahead, uint64_t now_ns)
{
	uint64_t count;

	(void)pthread_mutex_lock(&ahead->lock);
	if (now_ns > ahead->granted_ns + WISH_LIFE_NS)
		ahead->granted_blocks = 0;
	count = ahead->granted_blocks;
	for (unsigned i = 0; i < ahead->wish_count; i++)
		count += ahead->wishes[i].end - ahead->wishes[i].first;
	(void)pthread_mutex_unlock(&ahead->lock);
	return count;
}

/* What does not fit any more is forgotten: it is only a wish. */
static void add_wish_locked(struct ahead *ahead, uint64_t first, uint64_t end)
{
	struct ahead_range *last = &ahead->wishes[ahead->wish_count - (ahead->wish_count > 0)];

	if (first >= end)
		return;
	if (ahead->wish_count && first == last->end)
		last->end = end;
	else if (ahead->wish_count && end == last->first)
		last->first = first;
	else if (ahead->wish_count < AHEAD_WISHES)
		ahead->wishes[ahead->wish_count++] = (struct ahead_range){ first, end };
}

static void grant(struct ahead *ahead)
{
	(void)pthread_mutex_lock(&ahead->lock);
	grant_locked(ahead);
	(void)pthread_mutex_unlock(&ahead->lock);
}

/* Prepare now what may take WISH_NOW_NS together. The first block that is left over. */
static uint64_t prepare_now(struct ahead *ahead, uint64_t first, uint64_t end)
{
	uint64_t room = atomic_load_explicit(&ahead->room_blocks, memory_order_relaxed);
	uint64_t start_ns = clock_now_ns();

	if (start_ns < atomic_load_explicit(&ahead->rest_until_ns, memory_order_relaxed))
		return first;
	for (unsigned prepared = 0; first < end && prepared < WISH_NOW_BLOCKS; first++) {
		if (!ahead_is_absent(ahead, first))
			continue;
		if (ahead_count_fresh(ahead) >= room || clock_now_ns() - start_ns >= WISH_NOW_NS ||
		    block_prepare(ahead->ram, first) == -ENOSPC)
			break;
		grant(ahead);
		prepared++;
		atomic_store_explicit(&ahead->rest_until_ns, clock_now_ns() + WISH_REST_NS,
				      memory_order_relaxed); /* A5 */
	}
	return first;
}

void ahead_prepare(struct ahead *ahead, uint64_t first_block, uint64_t block_count)
{
	uint64_t end = first_block + block_count;

	if (ahead->most_blocks == 0)
		return;
	known_clear(&ahead->gone, first_block, block_count);
	first_block = prepare_now(ahead, first_block, end);
	(void)pthread_mutex_lock(&ahead->lock);
	add_wish_locked(ahead, first_block, end);
	(void)pthread_mutex_unlock(&ahead->lock);
}
