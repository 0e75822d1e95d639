/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* wire.h - a connected UNIX socket on a loop: messages in, text and descriptors out, nothing ever
 * waits. Inside rpc/ only; loop thread.
 *
 * Embedded in its owner, who hears of it through ops. After wire_open() its memory may be freed only
 * in on_freed. It may be closed in any callback.
 */
#ifndef NEAP_RPC_WIRE_H
#define NEAP_RPC_WIRE_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "api/api.h"
#include "base/strbuf.h"
#include "rpc/frame.h"
#include "rpc/text.h"

enum { WIRE_READ_BYTES = 32 * KIB_BYTES };
#define WIRE_UNSENT_MAX_BYTES (UINT64_C(64) * MIB_BYTES)

struct wire;
struct wire_ops {
	void (*on_bytes)(struct wire *wire);	/* at most WIRE_READ_BYTES more are in wire->in */
	void (*on_writable)(struct wire *wire); /* it was asked for */
	/* 0: the other end sends no more, but may read; once, and then it is not read any more.
	 * A negative errno: there is nobody, or no memory; the owner closes. */
	void (*on_end)(struct wire *wire, int reason);
	void (*on_freed)(struct wire *wire);
};

struct wire_item {
	struct shared_text *text;
	int fd; /* goes with the first byte; -1: none */
};

struct wire {
	uv_poll_t poll;
	int fd; /* -1: closed */
	int watched;
	bool has_ended;
	bool takes_lines; /* the owner's to set: see W5 in wire.c */
	const struct wire_ops *ops;
	struct frame in;
	struct strbuf tail;	 /* what was said last, by us alone */
	struct wire_item *items; /* a ring, before the tail */
	unsigned first, count, capacity;
	size_t sent_bytes; /* of the first item */
	unsigned unsent_fds;
	uint64_t unsent_bytes; /* all of it */
};

/* Takes @fd, in any case. Failed: on_freed does not come. */
int wire_open(struct wire *wire, uv_loop_t *loop, int fd, const struct wire_ops *ops);
void wire_close(struct wire *wire);  /* any number of times */
int wire_take_fd(struct wire *wire); /* closes all but the descriptor */

static inline bool wire_is_closed(const struct wire *wire)
{
	return wire->fd < 0;
}

/* What to listen for; that the other end is gone is heard in any case. */
void wire_watch(struct wire *wire, bool for_bytes, bool for_room);

/* To be sent, in this order: at the next wire_flush(). 0; -ENOMEM; -ENOBUFS: too much waits. */
int wire_say_json(struct wire *wire, json_t *json);		  /* one line; steals @json */
int wire_say_by(struct wire *wire, api_write write, void *ctx);	  /* the same, as it writes it */
int wire_say_shared(struct wire *wire, struct shared_text *text); /* takes a reference of its own */
int wire_say_with_fd(struct wire *wire, json_t *json, int fd);	  /* steals both */

/* Sends what the other end takes now. 0, or a negative errno: it is gone. */
int wire_flush(struct wire *wire);

size_t wire_held_bytes(const struct wire *wire); /* of memory, without the struct */

#endif
