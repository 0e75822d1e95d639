/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* usage_glue.h - the numbers of this VM that others follow (api/usage.def), and their event.
 *
 * Inside machine/ only; the control thread's.
 */
#ifndef NEAP_MACHINE_USAGE_GLUE_H
#define NEAP_MACHINE_USAGE_GLUE_H

#include <uv.h>

#include "api/usage.h"
#include "base/err.h"

struct machine;

struct usage_glue {
	uv_timer_t timer, hurry;
	struct api_usage told; /* in the last event */
	uint64_t told_ns;
	bool is_up;
};

/* Parts of build.c: the last that is up. */
int usage_start(struct machine *machine, struct err *err);
void usage_stop(struct machine *machine);

/* Somebody waits for a larger grant: tell the numbers now, and not when they are due. */
void usage_hurry(struct machine *machine);

/* The numbers now. */
void usage_read(const struct machine *machine, struct api_usage *ret_usage);

#endif
