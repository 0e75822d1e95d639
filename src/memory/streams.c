/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* streams.c - see streams.h.
 *
 * Design. A touch at most GAP_BLOCKS beyond a stream's end goes on with it: two processors that
 * share a ramp do not touch strictly in order. The window doubles with every touch that goes on, up to
 * STREAM_WINDOW_MOST_BLOCKS, and so does what is mapped at once, up to STREAM_MAP_MOST_BLOCKS: the
 * less a guess has been right, the less it may cost. A touch elsewhere begins a stream in the place
 * of the one that was used longest ago, those of one touch first.
 */
#include "memory/streams.h"

#include <stdbool.h>
#include <stddef.h>

enum { GAP_BLOCKS = 2 };

static unsigned doubled(unsigned steps, unsigned most)
{
	return steps < 31 && 1U << steps < most ? 1U << steps : most;
}

static struct stream_step step_of(const struct streams *streams, const struct stream *stream)
{
	struct stream_step step = { .index = (unsigned)(stream - streams->streams),
				    .way = stream->way,
				    .edge = stream->way < 0 ? stream->low : stream->high };

	if (stream->way) {
		step.window_blocks = doubled(stream->length, STREAM_WINDOW_MOST_BLOCKS);
		step.map_blocks = doubled(stream->length - 1, STREAM_MAP_MOST_BLOCKS);
	}
	return step;
}

static bool is_above(const struct stream *stream, uint64_t block)
{
	return stream->way >= 0 && block > stream->high && block - stream->high <= GAP_BLOCKS;
}

static bool is_below(const struct stream *stream, uint64_t block)
{
	return stream->way <= 0 && block < stream->low && stream->low - block <= GAP_BLOCKS;
}

/* False: @block has nothing to do with it. */
static bool go_on(struct stream *stream, uint64_t block)
{
	if (stream->last_used == 0)
		return false;
	if (is_above(stream, block)) {
		stream->high = block;
		stream->way = 1;
		stream->length++;
	} else if (is_below(stream, block)) {
		stream->low = block;
		stream->way = -1;
		stream->length++;
	} else {
		return block >= stream->low && block <= stream->high;
	}
	return true;
}

static bool goes_before(const struct stream *a, const struct stream *b)
{
	if ((a->length == 0) != (b->length == 0))
		return a->length == 0;
	return a->last_used < b->last_used;
}

static struct stream *replace(struct streams *streams, uint64_t block)
{
	struct stream *victim = &streams->streams[0];

	for (size_t i = 1; i < STREAMS; i++)
		if (goes_before(&streams->streams[i], victim))
			victim = &streams->streams[i];
	*victim = (struct stream){ .low = block, .high = block };
	return victim;
}

struct stream_step streams_touched(struct streams *streams, uint64_t block)
{
	struct stream *stream = NULL;

	streams->touches++;
	for (size_t i = 0; i < STREAMS && !stream; i++)
		if (go_on(&streams->streams[i], block))
			stream = &streams->streams[i];
	if (!stream)
		stream = replace(streams, block);
	stream->last_used = streams->touches;
	return step_of(streams, stream);
}

void streams_mapped(struct streams *streams, unsigned index, unsigned count)
{
	struct stream *stream = &streams->streams[index];

	if (stream->way > 0)
		stream->high += count;
	else
		stream->low -= count;
}
