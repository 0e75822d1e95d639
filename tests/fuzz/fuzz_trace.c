/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_trace.c - any bytes as a trace file. What is read fits the file's own header, in order; what
 * is not shown is counted; and a refusal is a sentence.
 *
 * The bytes are the head of a file: TRACE_HEADER_BYTES of header would drown the search, so the
 * records come right after the members, and are moved to their place.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "memory/trace_format.h"
#include "memory/trace_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_BYTES = 64 * 1024 };

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_records(struct trace_reader *reader)
{
	const struct trace_info *info = trace_reader_info(reader);
	const struct trace_counts *counts = trace_reader_counts(reader);
	uint64_t next = info->first, good = 0;
	struct trace_record record;
	int result;

	while ((result = trace_reader_next(reader, &record)) == 1) {
		require(record.number >= next && record.number < info->written);
		require(record.block < info->block_count && record.from < FRAME_STATE_COUNT &&
			record.to < FRAME_STATE_COUNT && record.actor < trace_actor_count());
		next = record.number + 1;
		good++;
	}
	require(result == 0 && counts->good == good);
	require(good + counts->overwritten + counts->torn + counts->damaged ==
		info->written - info->first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t head = size < sizeof(struct trace_header) ? size : sizeof(struct trace_header);
	CLEANUP(close_fd)
	int fd = memfd_create("fuzz-trace", MFD_CLOEXEC);
	struct trace_reader *reader = NULL;
	struct err err = { 0 };
	char path[64];

	if (size > MOST_BYTES || fd < 0)
		return 0;
	require(pwrite(fd, data, head, 0) == (ssize_t)head);
	if (size > head)
		require(pwrite(fd, data + head, size - head, TRACE_HEADER_BYTES) ==
			(ssize_t)(size - head));
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (trace_reader_open(path, &reader, &err) == 0)
		check_records(reader);
	else
		require(err.code < 0 && err.text[0] && !strchr(err.text, '\n'));
	trace_reader_close(reader);
	return 0;
}
