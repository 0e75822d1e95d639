/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ahead.c - see ahead.h.
 *
 * Problem. A first touch costs the guest 150 to 250 us, nearly all of it the kernel's zeroing of 2 MiB.
 * Nothing zeroes them faster (measured: fallocate, MADV_POPULATE_WRITE, UFFDIO_COPY of one page of
 * zeros that stays in the cache: 117 to 124 us each), and a frame never comes unzeroed. So it is
 * done before, beside the guest.
 * Design. In this order, as far as stock.c allows:
 *  1. wishes: what somebody said will be touched (a deflating balloon);
 *  2. fronts: what comes after the edge of a stream that moved within FRONT_LIFE_NS;
 *  3. the stock: what comes after the stream that moved last, else what is nearest to the latest
 *     touch. What is used is replaced some POOL_LIFE_NS later, not while the guest touches on: on a
 *     busy host that made it wait for us. Not for STOCK_REST_NS after some of it went back: a host
 *     whose use goes up and down would have us zero the same frames again and again.
 * The stock is begun when the machine is up: BEGIN_NS after its memory, or with the first touch that
 * the pager answers. Whether the host has a processor to spare for fronts and the stock the keeper
 * says (ahead_rest()).
 * When the guest runs faster than one thread zeroes, the pager zeroes what is touched and the keeper
 * what comes next, side by side.
 *
 * Invariants
 *  A1  Only ABSENT blocks are prepared, only with block_prepare(), and only FRESH ones given back:
 *      the frame table is the one truth about what is prepared.
 *  A2  A block that was discarded is not put into stock until it is touched or wished for: a
 *      balloon gets nothing back otherwise. (All of RAM at once is a reset, though.) A front may reach
 *      such blocks (a guest that goes through memory it had reported free), but none with a page in
 *      the balloon.
 *  A3  At most STEP_BLOCKS system calls between two looks at everything.
 *  A4  The blocks right after a stream's edge or a touch come after a few others: a guest at full
 *      speed touches it before it could be ready, and the pager, who would have to wait for our lock,
 *      makes it at the same time as we make the one after.
 *      On a host without a processor to spare we would be put aside while we hold that lock
 *      (measured with ten threads for each processor: 1.3 to 4.6 times the time of the pager alone):
 *      one more reason to rest.
 *  A5  is in ahead_wish.c.
 *
 * The pool is read every POOL_LIFE_NS while blocks are prepared, every POOL_IDLE_NS otherwise: 3 us
 * for the host's, 2 us for a mount's. -ENOSPC counts as a famine.
 *
 * Limits. 4 KiB memory is not prepared: there, runs.c does it. Preparing looks through the frame
 * table from the place that it looks for on: 8 bytes per block.
 */
#include "memory/ahead.h"

#include <errno.h>

#include "base/bounds.h"
#include "base/clock.h"
#include "memory/ahead_internal.h"
#include "memory/block.h"

#define POOL_LIFE_NS   (100 * NS_PER_MS)
#define POOL_IDLE_NS   NS_PER_S
#define FRONT_LIFE_NS  NS_PER_S
#define FAMINE_LIFE_NS (2 * NS_PER_S)
#define STOCK_REST_NS  (2 * NS_PER_S)
#define BEGIN_NS       NS_PER_MS

enum { NEXT_COMES_AFTER = 3, STEP_BLOCKS = 8, GIVE_BACK_BLOCKS = 32 };

/* struct ahead_front.word: bits 0-7 the window, bits 8-9 the way + 1, from bit 10 the edge. */
enum { FRONT_WAY_SHIFT = 8, FRONT_EDGE_SHIFT = 10, FRONT_WINDOW_MASK = 0xff, FRONT_WAY_MASK = 3 };

static uint64_t pack_front(const struct stream_step *step)
{
	return step->edge << FRONT_EDGE_SHIFT | (uint64_t)(step->way + 1) << FRONT_WAY_SHIFT |
	       step->window_blocks;
}

static uint64_t front_edge(uint64_t word)
{
	return word >> FRONT_EDGE_SHIFT;
}

static int front_way(uint64_t word)
{
	return (int)(word >> FRONT_WAY_SHIFT & FRONT_WAY_MASK) - 1;
}

static uint64_t front_window(uint64_t word)
{
	return word & FRONT_WINDOW_MASK;
}

/* A mount without a limit of its own is the host's pool. Where neither can be read nothing is ever
 * prepared. */
static void open_pool(struct ahead *ahead, const char *hugetlbfs_dir)
{
	struct hostmem_pool pool = { 0 };
	struct err err;

	if (hugetlbfs_dir &&
	    hostmem_read_mount(hugetlbfs_dir, HUGE_FRAME_BYTES, &pool, &err) == 0 && pool.mount_dir)
		ahead->mount_dir = hugetlbfs_dir;
	else if (hostmem_reader_open(HUGE_FRAME_BYTES, &ahead->reader, &err))
		ahead->most_blocks = 0;
}

int ahead_init(struct ahead *ahead, struct ram *ram, const struct ram_config *config)
{
	*ahead = (struct ahead){ .ram = ram,
				 .reader = { .fds = { -1, -1, -1, -1, -1 } },
				 .busy_block = UINT64_MAX,
				 .at_block = UINT64_MAX };
	(void)pthread_mutex_init(&ahead->lock, NULL);
	if (config->frame_bytes == HUGE_FRAME_BYTES)
		ahead->most_blocks = config->ahead_bytes >> BLOCK_SHIFT;
	if (ahead->most_blocks)
		open_pool(ahead, config->hugetlbfs_dir);
	atomic_store(&ahead->limit_blocks, config->limit_bytes >> BLOCK_SHIFT);
	return known_init(&ahead->gone, ram->frames.block_count);
}

void ahead_fini(struct ahead *ahead)
{
	if (!ahead->ram)
		return;
	hostmem_reader_close(&ahead->reader);
	known_fini(&ahead->gone);
	(void)pthread_mutex_destroy(&ahead->lock);
	*ahead = (struct ahead){ 0 };
}

static bool is_fresh(const struct ahead *ahead, uint64_t block)
{
	return frames_peek(&ahead->ram->frames, block) & FRAME_FRESH;
}

static uint64_t count_in(const struct ahead *ahead, enum frame_state state)
{
	return atomic_load_explicit(&ahead->ram->frames.in_state[state], memory_order_relaxed);
}

/* Is there a block @distance after @edge? */
static bool beyond(const struct ahead *ahead, uint64_t edge, int way, uint64_t distance,
		   uint64_t *ret_block)
{
	if (way > 0 ? distance >= ahead->ram->frames.block_count - edge : distance > edge)
		return false;
	*ret_block = way > 0 ? edge + distance : edge - distance;
	return true;
}

/* How many blocks after @block are prepared, @most at most. */
static unsigned count_ready(const struct ahead *ahead, uint64_t block, int way, unsigned most)
{
	unsigned ready = 0;
	uint64_t next;

	while (ready < most && beyond(ahead, block, way, ready + 1, &next) && is_fresh(ahead, next))
		ready++;
	return ready;
}

/* Half of the window is enough to wake the keeper for: it then does several at once. */
static bool is_behind(const struct ahead *ahead, const struct stream_step *step)
{
	uint64_t middle;

	return step->way &&
	       beyond(ahead, step->edge, step->way, step->window_blocks / 2, &middle) &&
	       ahead_is_absent(ahead, middle);
}

/* Is this the first touch? */
static bool begins(struct ahead *ahead)
{
	if (atomic_load_explicit(&ahead->touched, memory_order_relaxed))
		return false;
	atomic_store_explicit(&ahead->touched, true, memory_order_relaxed);
	return true;
}

int ahead_touched(struct ahead *ahead, uint64_t block, bool *ret_wake)
{
	struct stream_step step;
	unsigned ready;

	*ret_wake = false;
	if (ahead->most_blocks == 0)
		return 0;
	if (ahead_is_gone(ahead, block))
		known_clear(&ahead->gone, block, 1);
	step = streams_touched(&ahead->streams, block);
	ready = block == step.edge ? count_ready(ahead, block, step.way, step.map_blocks) : 0;
	if (ready) {
		streams_mapped(&ahead->streams, step.index, ready);
		step.edge = step.way > 0 ? step.edge + ready : step.edge - ready;
	}
	atomic_store_explicit(&ahead->fronts[step.index].word, pack_front(&step),
			      memory_order_relaxed);
	*ret_wake = begins(ahead) || (is_behind(ahead, &step) &&
				      !atomic_load_explicit(&ahead->resting, memory_order_relaxed));
	return step.way * (int)ready;
}

static bool is_live(const struct ahead_front *front, uint64_t now_ns)
{
	return front->seen_ns && now_ns - front->seen_ns < FRONT_LIFE_NS;
}

static void look_at_fronts(struct ahead *ahead, uint64_t now_ns)
{
	for (unsigned i = 0; i < STREAMS; i++) {
		struct ahead_front *front = &ahead->fronts[i];
		uint64_t word = atomic_load_explicit(&front->word, memory_order_relaxed);

		if (word == front->seen)
			continue;
		front->seen = word;
		front->seen_ns = now_ns;
		ahead->recent = i;
	}
}

static void read_pool(struct ahead *ahead, uint64_t now_ns)
{
	struct hostmem_pool pool = { 0 };
	struct err err;
	int result = ahead->mount_dir
			     ? hostmem_read_mount(ahead->mount_dir, HUGE_FRAME_BYTES, &pool, &err)
			     : hostmem_reader_read(&ahead->reader, &pool, &err);

	if (result)
		pool = (struct hostmem_pool){ 0 }; /* not knowing is not plenty */
	ahead->pool_total = pool.total_frames;
	ahead->pool_available = hostmem_available_frames(&pool);
	ahead->pool_read_ns = now_ns;
}

static uint64_t count_expected(struct ahead *ahead, uint64_t now_ns)
{
	uint64_t expected = 0;

	for (unsigned i = 0; i < STREAMS; i++)
		if (is_live(&ahead->fronts[i], now_ns))
			expected += front_window(ahead->fronts[i].seen);
	return expected + ahead_count_wished(ahead, now_ns);
}

static bool in_famine(const struct ahead *ahead, uint64_t now_ns)
{
	uint64_t famine_ns = atomic_load_explicit(&ahead->famine_ns, memory_order_relaxed);

	return famine_ns && (now_ns < famine_ns || now_ns - famine_ns < FAMINE_LIFE_NS);
}

static void look_at_limit(const struct ahead *ahead, struct stock_view *view)
{
	uint64_t limit = atomic_load_explicit(&ahead->limit_blocks, memory_order_relaxed);
	uint64_t grant = atomic_load_explicit(&ahead->grant_blocks, memory_order_relaxed);
	uint64_t held = ahead->ram->frames.block_count - count_in(ahead, FRAME_ABSENT) -
			count_in(ahead, FRAME_SWAPPED);

	if (grant && (limit == 0 || grant < limit))
		limit = grant;
	if (limit == 0)
		view->limit_room = UINT64_MAX;
	else if (held < limit)
		view->limit_room = limit - held;
	else
		view->above_limit = held - limit;
}

static struct stock_room room_now(struct ahead *ahead, uint64_t now_ns)
{
	struct stock_view view = {
		.pool_total = ahead->pool_total,
		.pool_available = ahead->pool_available,
		.fresh = ahead_count_fresh(ahead),
		.most = ahead->most_blocks,
		.expected = count_expected(ahead, now_ns),
		.has_swapped = count_in(ahead, FRAME_SWAPPED) > 0,
		.famine = in_famine(ahead, now_ns),
	};
	struct stock_room room;

	look_at_limit(ahead, &view);
	room = stock_room(&view);
	atomic_store_explicit(&ahead->room_blocks, room.ahead, memory_order_relaxed);
	return room;
}

static bool is_expected(const struct ahead *ahead, uint64_t block, uint64_t now_ns)
{
	for (unsigned i = 0; i < STREAMS; i++) {
		const struct ahead_front *front = &ahead->fronts[i];
		uint64_t edge = front_edge(front->seen), window = front_window(front->seen);

		if (!is_live(front, now_ns))
			continue;
		if (front_way(front->seen) > 0 ? block > edge && block - edge <= window
					       : block < edge && edge - block <= window)
			return true;
	}
	return false;
}

/* Give back up to @most prepared blocks, those that no stream expects (@now_ns; 0: any), going down
 * from where the last one was. */
static uint64_t drop(struct ahead *ahead, uint64_t most, uint64_t now_ns)
{
	uint64_t total = ahead->ram->frames.block_count, dropped = 0;
	uint64_t block = atomic_load_explicit(&ahead->drop_cursor, memory_order_relaxed);

	for (uint64_t seen = 0; seen < total && dropped < most && ahead_count_fresh(ahead);
	     seen++) {
		block = block == 0 || block > total ? total - 1 : block - 1;
		if (!is_fresh(ahead, block) || (now_ns && is_expected(ahead, block, now_ns)))
			continue;
		dropped += block_drop_fresh(ahead->ram, block) == 0;
	}
	atomic_store_explicit(&ahead->drop_cursor, block, memory_order_relaxed);
	return dropped;
}

uint64_t ahead_give_back(struct ahead *ahead, uint64_t now_ns)
{
	atomic_store_explicit(&ahead->famine_ns, now_ns, memory_order_relaxed);
	return drop(ahead, GIVE_BACK_BLOCKS, 0);
}

void ahead_discarded(struct ahead *ahead, uint64_t first_block, uint64_t block_count)
{
	if (ahead->most_blocks == 0)
		return;
	if (block_count ==
	    ahead->ram->frames.block_count) /* a reset: nobody's, and soon used again */
		known_clear(&ahead->gone, first_block, block_count);
	else
		known_set(&ahead->gone, first_block, block_count);
}

/* A2 */
static bool is_ballooned(const struct ahead *ahead, uint64_t block)
{
	const struct ram_events *events = &ahead->ram->events;
	uint64_t dead[BLOCK_PAGE_WORDS] = { 0 };

	return ahead_is_gone(ahead, block) && events->dead &&
	       events->dead(events->ctx, block * BLOCK_PAGES, dead);
}

/* The block at @distance after the edge of @front, if it should be prepared. */
static bool is_wanted(const struct ahead *ahead, uint64_t front, uint64_t distance,
		      uint64_t *ret_block)
{
	uint64_t block;

	if (distance > front_window(front) ||
	    !beyond(ahead, front_edge(front), front_way(front), distance, &block) ||
	    block == ahead->busy_block || !ahead_is_absent(ahead, block) ||
	    is_ballooned(ahead, block))
		return false;
	*ret_block = block;
	return true;
}

/* The distances 1, 2, 3... in another order: the very next only after NEXT_COMES_AFTER others (A4). */
static uint64_t distance_of(uint64_t i)
{
	return i < NEXT_COMES_AFTER ? i + 2 : i == NEXT_COMES_AFTER ? 1 : i + 1;
}

static bool next_in_front(const struct ahead *ahead, uint64_t now_ns, uint64_t *ret_block)
{
	for (uint64_t i = 0; i < STREAM_WINDOW_MOST_BLOCKS; i++) {
		uint64_t distance = distance_of(i);

		for (unsigned k = 0; k < STREAMS; k++)
			if (is_live(&ahead->fronts[k], now_ns) &&
			    is_wanted(ahead, ahead->fronts[k].seen, distance, ret_block))
				return true;
	}
	return false;
}

static bool is_stock(const struct ahead *ahead, uint64_t edge, int way, uint64_t distance,
		     uint64_t *ret_block)
{
	return beyond(ahead, edge, way, distance, ret_block) && *ret_block != ahead->busy_block &&
	       ahead_is_absent(ahead, *ret_block) && !ahead_is_gone(ahead, *ret_block);
}

/* The nearest one to @edge that way; 0: either way. */
static bool next_from(const struct ahead *ahead, uint64_t edge, int way, uint64_t *ret_block)
{
	for (uint64_t i = 0; i < ahead->ram->frames.block_count; i++) {
		uint64_t distance = i ? distance_of(i - 1) : 0;

		if ((way >= 0 && is_stock(ahead, edge, 1, distance, ret_block)) ||
		    (way <= 0 && is_stock(ahead, edge, -1, distance, ret_block)))
			return true;
	}
	return false;
}

static bool next_of_stock(const struct ahead *ahead, uint64_t *ret_block)
{
	uint64_t recent = ahead->fronts[ahead->recent].seen;
	uint64_t edge = recent ? front_edge(recent) : 0;

	if (recent && front_way(recent) && next_from(ahead, edge, front_way(recent), ret_block))
		return true;
	return next_from(ahead, edge, 0, ret_block);
}

void ahead_rest(struct ahead *ahead, enum ahead_kind kind, uint64_t until_ns)
{
	ahead->rest_ns[kind] = until_ns;
}

static uint64_t rests_until_ns(const struct ahead *ahead, enum ahead_kind kind)
{
	if (kind == AHEAD_STOCK && !atomic_load_explicit(&ahead->touched, memory_order_relaxed) &&
	    ahead->begin_ns > ahead->rest_ns[kind])
		return ahead->begin_ns;
	return ahead->rest_ns[kind];
}

bool ahead_is_resting(const struct ahead *ahead, enum ahead_kind kind, uint64_t now_ns)
{
	return now_ns < rests_until_ns(ahead, kind);
}

static bool choose(struct ahead *ahead, const struct stock_room *room, uint64_t now_ns,
		   uint64_t *ret_block)
{
	uint64_t fresh = ahead_count_fresh(ahead);

	if (fresh < room->ahead && ahead_next_wish(ahead, ret_block))
		return true;
	if (fresh < room->ahead && !ahead_is_resting(ahead, AHEAD_FRONT, now_ns) &&
	    next_in_front(ahead, now_ns, ret_block))
		return true;
	return fresh < room->stock && !ahead_is_resting(ahead, AHEAD_STOCK, now_ns) &&
	       now_ns >= ahead->look_again_ns && next_of_stock(ahead, ret_block);
}

static uint64_t next_reading(const struct ahead *ahead)
{
	return ahead->pool_read_ns + (ahead_count_fresh(ahead) ? POOL_LIFE_NS : POOL_IDLE_NS);
}

/* A block whose lock is taken is being made by the pager: the next time another one is chosen. What is
 * known of the pool changes as we take from it: no need to read it for that. */
static void note_prepared(struct ahead *ahead, uint64_t block, int result, uint64_t now_ns)
{
	ahead->busy_block = result == -EBUSY ? block : UINT64_MAX;
	if (result == 0 && ahead->pool_available)
		ahead->pool_available--;
	else if (result == -ENOSPC)
		atomic_store_explicit(&ahead->famine_ns, now_ns, memory_order_relaxed);
}

static void prepare(struct ahead *ahead, uint64_t block, uint64_t now_ns)
{
	int result;

	atomic_store_explicit(&ahead->at_block, block, memory_order_relaxed);
	result = block_prepare(ahead->ram, block);
	ahead->prepared++;
	atomic_store_explicit(&ahead->at_block, UINT64_MAX, memory_order_relaxed);
	note_prepared(ahead, block, result, now_ns);
}

static bool give_back(struct ahead *ahead, uint64_t blocks, uint64_t now_ns)
{
	uint64_t dropped = drop(ahead, blocks < STEP_BLOCKS ? blocks : STEP_BLOCKS, now_ns);

	ahead->pool_available += dropped;
	ahead->look_again_ns = now_ns + STOCK_REST_NS;
	return dropped > 0;
}

/* When to look again, now that there is nothing to do. */
static uint64_t next_look(struct ahead *ahead, uint64_t now_ns)
{
	bool front_rests = ahead_is_resting(ahead, AHEAD_FRONT, now_ns);
	uint64_t next_ns = next_reading(ahead);

	atomic_store_explicit(&ahead->resting, front_rests, memory_order_relaxed);
	if (front_rests)
		next_ns = least(next_ns, rests_until_ns(ahead, AHEAD_FRONT));
	if (ahead_is_resting(ahead, AHEAD_STOCK, now_ns))
		return least(next_ns, rests_until_ns(ahead, AHEAD_STOCK));
	if (now_ns >= ahead->look_again_ns)
		ahead->look_again_ns = next_reading(ahead);
	return least(next_ns, ahead->look_again_ns);
}

uint64_t ahead_step(struct ahead *ahead, uint64_t now_ns)
{
	struct stock_room room;
	uint64_t block, fresh;

	if (ahead->most_blocks == 0)
		return UINT64_MAX;
	if (ahead->begin_ns == 0)
		ahead->begin_ns = now_ns + BEGIN_NS;
	look_at_fronts(ahead, now_ns);
	if (ahead->pool_read_ns == 0 || now_ns >= next_reading(ahead))
		read_pool(ahead, now_ns);
	room = room_now(ahead, now_ns);
	fresh = ahead_count_fresh(ahead);
	if (fresh > room.keep) {
		if (give_back(ahead, fresh - room.keep, now_ns))
			return now_ns;
	} else if (choose(ahead, &room, now_ns, &block)) {
		prepare(ahead, block, now_ns);
		return now_ns;
	}
	return next_look(ahead, now_ns);
}
