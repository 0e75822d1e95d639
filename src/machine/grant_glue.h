/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* grant_glue.h - what a broker lets this VM have of the host, and what happens when that is not enough.
 *
 * Inside machine/ only. grant_glue.c has the rules. Control thread, but for grant_wanting().
 */
#ifndef NEAP_MACHINE_GRANT_GLUE_H
#define NEAP_MACHINE_GRANT_GLUE_H

#include <uv.h>

#include "api/api.h"
#include "balloon/governor_host.h"
#include "machine/loop.h"

struct machine;

enum { GRANT_TEXT_BYTES = 320 };

struct grant_glue {
	uint64_t told_bytes;  /* the broker's word; 0: none, or it lapsed */
	uint64_t told_ns;     /* when it came last */
	uint64_t limit_bytes; /* what guest RAM was given: that, or what the pool allows; 0: none */
	uint64_t waits_ns;    /* since when somebody waits for more; 0: nobody */
	bool lapsed; /* the broker was not heard while somebody waited: we look at the pool */
	struct loop_task want; /* -> control */
	uv_timer_t timer;      /* while somebody waits */
	bool is_up;
	struct governor_host *host; /* once it lapsed */
	char text[GRANT_TEXT_BYTES];
};

int grant_start(struct machine *machine, struct err *err); /* a part of build.c: after guest RAM */
void grant_stop(struct machine *machine);

void grant_wanting(struct machine *machine); /* any thread; returns at once */

/* Why a guest waits, if it is for its grant: a sentence; NULL: it is not. Until the next call. */
const char *grant_explain(struct machine *machine);

int grant_vm_memory_grant(void *ctx, struct api_request *request, json_t **ret_result,
			  struct err *err);

#endif
