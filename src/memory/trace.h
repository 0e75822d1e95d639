/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* trace.h - every move of a block, in a ring in a file. Inside memory/ only; trace_read.h decodes.
 *
 * For: finding out afterwards what the engine did, and when. The newest TRACE_RING_RECORDS moves
 * are kept. One costs a reading of the clock, one atomic addition and two stores; without a trace
 * it costs one test of a pointer.
 *
 * The file is mapped, so it can be read while the VM runs, and is whole after a SIGKILL. All its
 * room is allocated at the start: a disk that fills up later does no harm. On a disk, a store may
 * now and then wait for the kernel to write the page out; on tmpfs (/dev/shm) never. Whoever cuts
 * the file short while the VM runs ends the VM.
 */
#ifndef NEAP_MEMORY_TRACE_H
#define NEAP_MEMORY_TRACE_H

#include <stdint.h>

#include "base/err.h"
#include "memory/frame_state.h"

struct trace; /* opaque */

/**
 * trace_open() - create the file @path, or begin anew in a trace that is there
 *
 * Mode 0600. Refused: a symbolic link; what is no regular file, not ours, or has another name;
 * a file that holds something other than a trace; a trace that a running VM writes.
 *
 * Return: 0 or a negative errno with @err set.
 */
int trace_open(const char *path, uint64_t ram_bytes, struct trace **ret_trace, struct err *err);
void trace_close(struct trace *trace); /* also NULL */

/* Any thread, no lock. @actor: enum frame_actor. */
void trace_move(struct trace *trace, uint64_t block, enum frame_state from, enum frame_state to,
		unsigned actor);

#endif
