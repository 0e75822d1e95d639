/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* policy_glue.h - dynamic memory in this machine: what the governor sees of it, and what it moves.
 *
 * Inside machine/ only. The governor knows no machine; here are its callbacks, and the hooks that
 * wake it. policy_api.c has the verbs, policy_trace.c the file.
 */
#ifndef NEAP_MACHINE_POLICY_GLUE_H
#define NEAP_MACHINE_POLICY_GLUE_H

#include <pthread.h>
#include <stdatomic.h>

#include "api/api.h"
#include "balloon/governor.h"
#include "balloon/governor_host.h"
#include "machine/loop.h"

struct machine;
struct policy_trace;

struct policy_glue {
	struct governor *governor;  /* fixed; NULL without a balloon */
	struct governor_host *host; /* governor */
	struct policy_trace *trace; /* fixed; NULL: none is written */

	_Atomic uint64_t guest_start_ns;
	atomic_bool running; /* vCPUs run, or would if there were memory */

	/* Who moves the balloon, and whereto. See policy_glue.c. */
	_Atomic enum policy_mode mode;
	_Atomic uint64_t balloon_bytes; /* what the policy wants in it */
	struct loop_task move;		/* -> io */
	_Atomic uint64_t report_in_ns;	/* statistics are wanted then, not after their period */
	struct loop_task ask;		/* -> io */
	uint64_t asked_after_ns;	/* governor: of these statistics that was said */

	pthread_mutex_t limit_lock; /* the two below: any thread */
	uint64_t user_limit_bytes, policy_limit_bytes;

	_Atomic enum policy_status status; /* of the last decision */
	struct loop_task status_changed;   /* -> control */
	enum policy_status status_told;	   /* control */

	uint64_t io_taken_bytes, io_asked_bytes, io_stats_at_ns; /* io: seen last */
};

/* Parts of build.c: made before guest RAM, running after everything else. */
int policy_create(struct machine *machine, struct err *err);
void policy_destroy(struct machine *machine);
int policy_start(struct machine *machine, struct err *err);
void policy_stop(struct machine *machine);

/* What the balloon is asked for before the policy's first word. */
uint64_t policy_first_balloon_bytes(const struct machine *machine);

/* Hooks. */
void policy_balloon_changed(struct machine *machine); /* io */
void policy_waits(struct machine *machine);	      /* the pager's thread; returns at once */
void policy_starved(struct machine *machine);	      /* any thread; returns at once */
void policy_guest_reset(struct machine *machine);     /* control */
void policy_state_changed(struct machine *machine, enum api_state now); /* control */

/* Moving by hand; control. */
void policy_set_mode(struct machine *machine,
		     enum policy_mode mode); /* before the balloon is moved */
int policy_set_user_limit(struct machine *machine, uint64_t limit_bytes);

/* policy_api.c; control */
json_t *policy_view(struct machine *machine); /* NULL without a balloon */
int policy_vm_memory_set(void *ctx, struct api_request *request, json_t **ret_result,
			 struct err *err);
int policy_vm_memory_why(void *ctx, struct api_request *request, json_t **ret_result,
			 struct err *err);
int policy_vm_memory_trace(void *ctx, struct api_request *request, json_t **ret_result,
			   struct err *err);

/* policy_trace.c: the governor's records into a file, on a thread of its own. */
int policy_trace_open(const char *path, struct governor *governor, struct policy_trace **ret_trace,
		      struct err *err);
void policy_trace_poke(struct policy_trace *trace); /* any thread: there are new records */
void policy_trace_close(struct policy_trace *trace);

#endif
