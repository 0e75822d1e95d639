/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* page_feed.c - see page_feed.h. What a follower is told is page_reader.c's; here it is sent as there is
 * room, and the connection rests when all was told.
 */
#include "host/page_feed.h"

#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "host/page_reader.h"

enum { BLOCK_BYTES = 4 * KIB_BYTES };

struct page_follower {
	struct page_feed *feed;
	struct http_peer *peer;
	struct page_reader reader;
	size_t sent; /* of the reader's message */
	struct page_follower *prev, *next;
};

/* True: there is something to send. */
static bool fill(struct page_follower *follower)
{
	struct strbuf *message = &follower->reader.message;

	if (follower->sent < message->len)
		return true;
	follower->sent = 0;
	do {
		strbuf_fini(message);
		message->failed = false; /* no memory for one message: it is left out */
		if (!page_reader_next(&follower->reader))
			return false;
	} while (message->failed || message->len == 0);
	return true;
}

static ssize_t on_room(void *ctx, uint64_t position, char *buffer, size_t max_len)
{
	struct page_follower *follower = ctx;
	const struct strbuf *message = &follower->reader.message;
	size_t len = 0;

	(void)position;
	while (len < max_len && fill(follower)) {
		size_t part = message->len - follower->sent;

		if (part > max_len - len)
			part = max_len - len;
		memcpy(buffer + len, message->text + follower->sent, part);
		follower->sent += part;
		len += part;
	}
	if (len > 0)
		return (ssize_t)len;
	return http_peer_rest(follower->peer) ? 0 : MHD_CONTENT_READER_END_OF_STREAM;
}

static void on_gone(void *ctx)
{
	struct page_follower *follower = ctx;

	if (follower->next)
		follower->next->prev = follower->prev;
	if (follower->prev)
		follower->prev->next = follower->next;
	else
		follower->feed->first = follower->next;
	page_reader_fini(&follower->reader);
	free(follower);
}

struct MHD_Response *page_feed_open(struct page_feed *feed, const struct page *page,
				    struct http_peer *peer, const char *untrusted_last)
{
	struct page_follower *follower = calloc(1, sizeof(*follower));
	struct MHD_Response *response;

	if (!follower)
		return NULL;
	follower->feed = feed;
	follower->peer = peer;
	page_reader_init(&follower->reader, page_history(page), page_epoch(page), untrusted_last);
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, on_room,
						     follower, on_gone);
	if (!response) {
		page_reader_fini(&follower->reader);
		free(follower);
		return NULL;
	}
	follower->next = feed->first;
	if (follower->next)
		follower->next->prev = follower;
	feed->first = follower;
	return response;
}

void page_feed_step(struct page_feed *feed)
{
	for (struct page_follower *each = feed->first; each; each = each->next)
		http_peer_wake(each->peer);
}
