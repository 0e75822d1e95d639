/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* page_feed.h - the followers of the page: responses that do not end. Loop thread. */
#ifndef NEAP_HOST_PAGE_FEED_H
#define NEAP_HOST_PAGE_FEED_H

#include <microhttpd.h>

#include "host/metrics_http.h"
#include "host/page.h"

struct page_follower;

struct page_feed {
	struct page_follower *first;
};

/* A response for this request alone: what the follower missed since @untrusted_last (NULL: everything),
 * and then each step. NULL: no memory. It must be gone before the page is. */
struct MHD_Response *page_feed_open(struct page_feed *feed, const struct page *page,
				    struct http_peer *peer, const char *untrusted_last);

void page_feed_step(struct page_feed *feed); /* there is more to tell */

#endif
