/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* trace_format.h - what a trace file holds. For trace.c, which writes it, and trace_read.c.
 *
 *   0 .. TRACE_HEADER_BYTES      struct trace_header, then zeros
 *   TRACE_HEADER_BYTES ..        a ring of ring_records records of 16 bytes
 *
 * Record number n (counted from 0 since the start) lies in slot n % ring_records. A record is two
 * words, each with the same mark: the low bits of the lap it was written in, plus one. So a reader
 * knows without a lock, from a file that is being written or whose writer was killed, whether a
 * slot holds the record it looks for, another lap's, or half of two.
 *
 *   word 0   time since started_monotonic_ns, in units of 64 ns   52 bits (9 years)   | mark 12
 *   word 1   block 32 | to 4 | from 4 | actor 4 | zero 8                              | mark 12
 *
 * Everything is little-endian.
 */
#ifndef NEAP_MEMORY_TRACE_FORMAT_H
#define NEAP_MEMORY_TRACE_FORMAT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_MAGIC "neap\ntrc"

enum {
	TRACE_MAGIC_BYTES = 8,
	TRACE_VERSION = 1,
	TRACE_HEADER_BYTES = 4096,
	TRACE_RECORD_WORDS = 2,
	TRACE_RECORD_BYTES = 16,
	TRACE_RING_RECORDS = 1 << 20, /* 16 MiB */

	TRACE_MARK_BITS = 12,
	TRACE_TICK_SHIFT = 6,
	TRACE_BLOCK_SHIFT = 32,
	TRACE_TO_SHIFT = 28,
	TRACE_FROM_SHIFT = 24,
	TRACE_ACTOR_SHIFT = 20,
};

#define TRACE_MARK_MASK	 ((UINT64_C(1) << TRACE_MARK_BITS) - 1)
#define TRACE_FIELD_MASK UINT64_C(15)
#define TRACE_ZERO_MASK	 (UINT64_C(255) << TRACE_MARK_BITS)

struct trace_header {
	char magic[TRACE_MAGIC_BYTES];
	uint32_t version, record_bytes;
	uint64_t ram_bytes, block_bytes;
	uint64_t ring_records; /* a power of two */
	uint64_t started_realtime_ns, started_monotonic_ns;
	uint32_t state_count, actor_count;
	uint64_t unused[8];
	_Atomic uint64_t written; /* records begun since the start; alone in its cache line */
};

_Static_assert(offsetof(struct trace_header, written) == 128, "part of the format");

/* The mark of record @index in a ring of @ring_records. */
static inline uint64_t trace_mark(uint64_t index, uint64_t ring_records)
{
	return (index / ring_records + 1) & TRACE_MARK_MASK;
}

#endif
