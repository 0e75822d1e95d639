/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* frame.c - see frame.h.
 *
 * Each byte is looked at once however slowly it comes: `scanned` remembers where the search for a
 * newline stopped. What was consumed is moved out only when room is needed, so a burst of small
 * messages costs no copying between them.
 *
 * Limits: one message and one read of the connection may wait here, FRAME_SLACK_BYTES beyond the
 * longest message; the caller takes messages out before it reads more.
 */
#include "rpc/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

#define FRAME_FIRST_BYTES (UINT64_C(4) * KIB_BYTES)
#define FRAME_SLACK_BYTES (UINT64_C(64) * KIB_BYTES)

void frame_fini(struct frame *frame)
{
	free(frame->bytes);
	*frame = (struct frame){ 0 };
}

size_t frame_waiting(const struct frame *frame)
{
	return frame->end - frame->start;
}

static void drop_consumed(struct frame *frame)
{
	if (frame->start == 0)
		return;
	memmove(frame->bytes, frame->bytes + frame->start, frame_waiting(frame));
	frame->end -= frame->start;
	frame->scanned -= frame->start;
	frame->start = 0;
}

static int make_room(struct frame *frame, size_t len)
{
	size_t capacity = frame->capacity ? frame->capacity : FRAME_FIRST_BYTES;
	char *bytes;

	drop_consumed(frame);
	if (len > FRAME_MAX_BYTES + FRAME_SLACK_BYTES - frame->end)
		return -EMSGSIZE;
	while (capacity < frame->end + len)
		capacity *= 2;
	if (capacity == frame->capacity)
		return 0;
	bytes = realloc(frame->bytes, capacity);
	if (!bytes)
		return -ENOMEM;
	frame->bytes = bytes;
	frame->capacity = capacity;
	return 0;
}

int frame_append(struct frame *frame, const char *untrusted_bytes, size_t len)
{
	if (len == 0)
		return 0;
	if (len > frame->capacity - frame->end) {
		int ret = make_room(frame, len);

		if (ret < 0)
			return ret;
	}
	memcpy(frame->bytes + frame->end, untrusted_bytes, len);
	frame->end += len;
	return 0;
}

int frame_next(struct frame *frame, const char **ret_message, size_t *ret_len)
{
	const char *newline = NULL;

	if (frame_waiting(frame) == 0) {
		frame_fini(frame);
		return 0;
	}
	if (frame->scanned < frame->end)
		newline = memchr(frame->bytes + frame->scanned, '\n', frame->end - frame->scanned);
	frame->scanned = newline ? (size_t)(newline - frame->bytes) : frame->end;
	if (frame->scanned - frame->start > FRAME_MAX_BYTES)
		return -EMSGSIZE;
	if (!newline)
		return 0;
	*ret_message = frame->bytes + frame->start;
	*ret_len = frame->scanned - frame->start;
	frame->scanned++;
	frame->start = frame->scanned;
	return 1;
}
