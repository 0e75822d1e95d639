/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* page_reader.h - one follower's place in the history, and the next thing it should be told.
 *
 * A follower has no queue. It has a step up to which it knows everything; what it lacks is made from the
 * history when there is room to send it. So one that just came, one that comes back after its connection
 * broke, and one that reads slowly are the same case, and each costs one message of memory.
 *
 * Messages are server-sent events. Between "begin" and each "now" the follower is told what changed:
 *   begin  {"epoch", "from", "step_ms", "kept", "version", "host"}; from 0: forget everything
 *   track  {"i": number, "info": {...}, "s": first step, "v": [column: [value, repeats, ...], ...]};
 *          "new": true: forget what was known of it; info and v only when they changed; a value of -1 is
 *          none; what is not told goes on as it was
 *   gone   {"i": number}
 *   note   {...}, see page.c
 *   now    {"n": step, "left_out": count}; everything up to that step was told. Its id is EPOCH-STEP
 * Source: HTML Standard (WHATWG) "Server-sent events", "Parsing an event stream".
 */
#ifndef NEAP_HOST_PAGE_READER_H
#define NEAP_HOST_PAGE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "host/page_history.h"

enum page_stage { PAGE_BEGINS, PAGE_RESTS, PAGE_TRACKS, PAGE_NOTED };

struct page_reader {
	const struct page_history *history;
	uint64_t epoch;	 /* which history this is: steps of another mean nothing */
	uint64_t known;	 /* the step up to which everything was told */
	uint64_t target; /* the step that is being told */
	enum page_stage stage;
	char key[PAGE_KEY_BYTES]; /* of the last track that was told */
	uint64_t note;		  /* number of the next note to look at */
	struct strbuf message;	  /* what is to be sent */
};

/* @untrusted_last: the last id that the follower saw, or NULL. */
void page_reader_init(struct page_reader *reader, const struct page_history *history,
		      uint64_t epoch, const char *untrusted_last);
void page_reader_fini(struct page_reader *reader);

/* Put the next message, if there is one, into the empty reader->message. False: all was told. */
bool page_reader_next(struct page_reader *reader);

#endif
