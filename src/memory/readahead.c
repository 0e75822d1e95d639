/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* readahead.c - a sweep over swapped blocks finds them in RAM already.
 *
 * Problem. Reading a block takes a millisecond or more, working on it often less. A guest that goes
 * through swapped memory in order would wait for every block in turn.
 *
 * Design. Two refaults one after the other, with nothing swapped between them, are a stream. Each
 * further step reads `window` blocks in its direction: 1, 2, 4, up to READAHEAD_MOST. They are
 * brought back unmapped, so that their first touch is seen: a touch of the first block of a window
 * (the marker) orders the next one, and so there are always one to two windows in front of the
 * guest. When a window is left behind and most of it was not touched, the size halves.
 *
 * Invariants
 *  A1  A stream's window is at most READAHEAD_MOST, whatever the guest does.
 *  A2  Every block that was read for a stream is named in some later plan's `passed` once, unless
 *      the stream just stops; so what was read for nothing is the first to go.
 *
 * Limits. READAHEAD_STREAMS at once; the least recently used is forgotten.
 */
#include "memory/readahead.h"

#include <stddef.h>

static void window_add(struct readahead_window *window, uint64_t block)
{
	window->blocks[window->count++] = block;
}

static void pass(struct readahead_plan *plan, const struct readahead_window *window)
{
	for (unsigned i = 0; i < window->count; i++)
		plan->passed[plan->passed_count++] = window->blocks[i];
}

/* The next swapped block from @block on, at most READAHEAD_GAP away. */
static uint64_t next_swapped(const struct readahead_view *view, uint64_t block, int step)
{
	for (unsigned i = 0; i < READAHEAD_GAP; i++) {
		if (step > 0 ? block + 1 >= view->block_count : block == 0)
			break;
		block = step > 0 ? block + 1 : block - 1;
		if (view->is_swapped(view->ctx, block))
			return block;
	}
	return READAHEAD_NOWHERE;
}

/* Is @block, just wanted, the next one after the stream's edge? */
static bool follows(const struct readahead_view *view, const struct readahead_stream *stream,
		    uint64_t block, int step)
{
	uint64_t distance = step > 0 ? block - stream->edge : stream->edge - block;
	uint64_t next;

	if (distance == 0 || distance > READAHEAD_GAP) /* a wrong direction is far away, too */
		return false;
	next = next_swapped(view, stream->edge, step);
	return next == READAHEAD_NOWHERE || (step > 0 ? next >= block : next <= block);
}

static struct readahead_stream *find_stream(struct readahead *ahead,
					    const struct readahead_view *view, uint64_t block)
{
	for (unsigned i = 0; i < READAHEAD_STREAMS; i++) {
		struct readahead_stream *stream = &ahead->streams[i];

		if (!stream->live)
			continue;
		if (stream->step >= 0 && follows(view, stream, block, 1)) {
			stream->step = 1;
			return stream;
		}
		if (stream->step <= 0 && follows(view, stream, block, -1)) {
			stream->step = -1;
			return stream;
		}
	}
	return NULL;
}

static struct readahead_stream *oldest_stream(struct readahead *ahead)
{
	struct readahead_stream *oldest = &ahead->streams[0];

	for (unsigned i = 1; i < READAHEAD_STREAMS; i++)
		if (ahead->streams[i].used < oldest->used)
			oldest = &ahead->streams[i];
	return oldest;
}

static bool was_wasted(const struct readahead_view *view, const struct readahead_window *window)
{
	unsigned untouched = 0;

	for (unsigned i = 0; i < window->count; i++)
		untouched += view->is_untouched(view->ctx, window->blocks[i]);
	return 2 * untouched > window->count;
}

static void resize(struct readahead_stream *stream, const struct readahead_view *view)
{
	if (was_wasted(view, &stream->before))
		stream->window /= 2;
	else
		stream->window = stream->window ? 2 * stream->window : 1;
	if (stream->window > READAHEAD_MOST) /* A1 */
		stream->window = READAHEAD_MOST;
}

/* One window further. */
static void advance(struct readahead_stream *stream, const struct readahead_view *view,
		    unsigned room, struct readahead_plan *plan)
{
	unsigned most = stream->window < room ? stream->window : room;

	stream->marker = READAHEAD_NOWHERE;
	while (plan->read_count < most) {
		uint64_t block = next_swapped(view, stream->edge, stream->step);

		if (block == READAHEAD_NOWHERE)
			break;
		if (plan->read_count == 0)
			stream->marker = block;
		plan->read[plan->read_count++] = block;
		window_add(&stream->now, block);
		stream->edge = block;
	}
}

static void leave_window(struct readahead_stream *stream, const struct readahead_view *view,
			 struct readahead_plan *plan)
{
	resize(stream, view);
	pass(plan, &stream->before);
	stream->before = stream->now;
	stream->now.count = 0;
}

void readahead_refault(struct readahead *ahead, const struct readahead_view *view, uint64_t block,
		       unsigned room, struct readahead_plan *ret_plan)
{
	struct readahead_stream *stream = find_stream(ahead, view, block);

	ret_plan->read_count = ret_plan->passed_count = 0;
	if (stream) {
		leave_window(stream, view, ret_plan);
		stream->edge = block;
		window_add(&stream->now, block);
		advance(stream, view, room, ret_plan);
	} else {
		stream = oldest_stream(ahead);
		pass(ret_plan, &stream->before);
		pass(ret_plan, &stream->now);
		*stream = (struct readahead_stream){ .live = true,
						     .edge = block,
						     .marker = READAHEAD_NOWHERE };
		window_add(&stream->now, block);
	}
	stream->used = ++ahead->turn;
}

void readahead_touched(struct readahead *ahead, const struct readahead_view *view, uint64_t block,
		       unsigned room, struct readahead_plan *ret_plan)
{
	ret_plan->read_count = ret_plan->passed_count = 0;
	for (unsigned i = 0; i < READAHEAD_STREAMS; i++) {
		struct readahead_stream *stream = &ahead->streams[i];

		if (!stream->live || stream->marker != block)
			continue;
		leave_window(stream, view, ret_plan);
		advance(stream, view, room, ret_plan);
		stream->used = ++ahead->turn;
		return;
	}
}
