/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* page.h - what the page is drawn from: looks at the host each PAGE_STEP_MS, and keeps the last ten minutes
 * (page_history.h). The page itself is page/, made into one text at build time.
 * Threads: the loop's.
 */
#ifndef NEAP_HOST_PAGE_H
#define NEAP_HOST_PAGE_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "host/page_history.h"

struct host;
struct page;

/* What the columns of a track are, in MiB where nothing else is said. The page's script knows them too:
 * page/tide.js, VM and POOL. */
enum page_vm_column {
	PAGE_VM_MINIMUM,
	PAGE_VM_DEMAND,
	PAGE_VM_ASSIGNED,
	PAGE_VM_MAXIMUM,
	PAGE_VM_RESIDENT,
	PAGE_VM_SWAPPED,
	PAGE_VM_GRANT,
	PAGE_VM_STATUS /* as in usage.def */
};
enum page_pool_column {
	PAGE_POOL_TOTAL,
	PAGE_POOL_USED,
	PAGE_POOL_GRANTED,
	PAGE_POOL_PROMISED,
	PAGE_POOL_OTHERS,
	PAGE_POOL_FREE,
	PAGE_POOL_STATE,  /* enum host_state */
	PAGE_POOL_WAITING /* VMs */
};

/* @on_step: after each. The host's listener is the page's from now on (host_set_listener()). */
int page_create(uv_loop_t *loop, struct host *host, void (*on_step)(void *ctx), void *ctx,
		struct page **ret_page, struct err *err);
void page_destroy(struct page *page); /* runs the loop; NULL is fine */

const struct page_history *page_history(const struct page *page);
uint64_t page_epoch(const struct page *page); /* of this history; another daemon has another */

/* Made from page/: the document, and the Content-Security-Policy that fits it. */
extern const char page_html[];
extern const size_t page_html_bytes;
extern const char page_policy[];

#endif
