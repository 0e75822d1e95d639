/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* frame.h - a stream of bytes cut into messages at each newline, of at most FRAME_MAX_BYTES.
 *
 * A frame owns one buffer that grows with the longest message seen and is freed when it is empty:
 * an idle connection holds none. One owner thread.
 */
#ifndef NEAP_RPC_FRAME_H
#define NEAP_RPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>

#include "base/units.h"

enum { FRAME_MAX_BYTES = MIB_BYTES }; /* without the newline */

struct frame {
	char *bytes;
	size_t capacity;
	size_t start;	/* first byte of the message being read */
	size_t end;	/* after the last byte that arrived */
	size_t scanned; /* no newline before here */
};

void frame_fini(struct frame *frame); /* a zeroed frame is an empty one */

/**
 * frame_append() - bytes that arrived
 * Return: 0; -EMSGSIZE: too much is waiting to be read; -ENOMEM. Nothing is kept then.
 */
int frame_append(struct frame *frame, const char *untrusted_bytes, size_t len);

/**
 * frame_next() - the next whole message, without its newline
 * @ret_message: points into the frame; good until the next call of any frame function
 *
 * Return: 1; 0: none is whole yet; -EMSGSIZE: the one that is arriving is already too long.
 */
int frame_next(struct frame *frame, const char **ret_message, size_t *ret_len);

/* Bytes behind the last message that frame_next() gave. */
size_t frame_waiting(const struct frame *frame);

#endif
