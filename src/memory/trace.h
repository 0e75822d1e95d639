/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* trace.h - every move of a block, in a ring in a file. Inside memory/ only (and its decoder).
 *
 * For: finding out afterwards what the engine did, and when. One record is 16 bytes and costs two
 * atomic operations; without a trace it costs one test of a pointer.
 */
#ifndef NEAP_MEMORY_TRACE_H
#define NEAP_MEMORY_TRACE_H

#include <stdint.h>

#include "base/err.h"
#include "memory/frame_state.h"

struct trace; /* opaque */

/* Creates (or overwrites) the regular file @path. */
int trace_open(const char *path, uint64_t ram_bytes, struct trace **ret_trace, struct err *err);
void trace_close(struct trace *trace); /* also NULL */

/* Any thread, no lock. @actor: enum frame_actor. */
void trace_move(struct trace *trace, uint64_t block, enum frame_state from, enum frame_state to,
		unsigned actor);

#endif
