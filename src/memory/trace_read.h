/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* trace_read.h - the moves in a trace file, one after the other, oldest first.
 *
 * For: `neap trace`. The file may be written at the moment, be left by a VM that was killed, or be
 * anything at all: nothing in it is believed, and what does not fit is counted and passed over.
 * Work and memory are bounded by TRACE_READ_MAX_RECORDS and RAM_MAX_BYTES.
 * Threads: a reader belongs to one.
 */
#ifndef NEAP_MEMORY_TRACE_READ_H
#define NEAP_MEMORY_TRACE_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "memory/frame_state.h"

#define TRACE_READ_MAX_RECORDS (UINT64_C(1) << 22)

struct trace_info {
	uint64_t ram_bytes, block_bytes, block_count;
	uint64_t ring_records;	      /* room for so many */
	uint64_t started_realtime_ns; /* since 1970 */
	uint64_t written;	      /* records since the start */
	uint64_t first;		      /* number of the oldest that can still be there */
};

struct trace_record {
	uint64_t number;  /* since the start of the VM */
	uint64_t time_ns; /* since the start of the trace */
	uint64_t block;	  /* less than block_count */
	enum frame_state from, to;
	unsigned actor; /* less than trace_actor_count() */
};

/* What became of the numbers first .. written - 1 so far. */
struct trace_counts {
	uint64_t good;
	uint64_t overwritten; /* while the file was read */
	uint64_t torn;	      /* begun and never finished: the writer was in it, or was killed */
	uint64_t damaged;     /* nothing that neap writes */
};

struct trace_reader; /* opaque */

/* Return: 0; a negative errno with @err set: not a file that can be read, or no trace of ours. */
int trace_reader_open(const char *path, struct trace_reader **ret_reader, struct err *err);
void trace_reader_close(struct trace_reader *reader); /* also NULL */

const struct trace_info *trace_reader_info(const struct trace_reader *reader);
const struct trace_counts *trace_reader_counts(const struct trace_reader *reader);

/* 1: *ret_record is the next one; 0: there is none; a negative errno: reading failed. */
int trace_reader_next(struct trace_reader *reader, struct trace_record *ret_record);

/* "pager", "device", ... of a record's actor. */
unsigned trace_actor_count(void);
const char *trace_actor_name(unsigned actor);

/* Why blocks move so, in words; NULL: they do not. */
const char *trace_move_reason(enum frame_state from, enum frame_state to);

#endif
