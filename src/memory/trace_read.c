/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* trace_read.c - see trace_read.h; the format is trace_format.h's.
 *
 * Which slot holds what. `written` is read once. Record n is in its slot if both words bear its
 * mark. A mark that is ahead, by up to half of all marks, means that a newer record has taken the
 * slot meanwhile; marks that differ, or one that is behind, that n was begun and not finished.
 */
#include "memory/trace_read.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/units.h"
#include "memory/frames.h"
#include "memory/layout.h"
#include "memory/trace_format.h"

enum { CHUNK_RECORDS = 4096 };

struct trace_reader {
	int fd;
	struct trace_info info;
	struct trace_counts counts;
	uint64_t next;			 /* number of the next record */
	uint64_t chunk_first, chunk_end; /* numbers whose slots are in words */
	uint64_t words[CHUNK_RECORDS * TRACE_RECORD_WORDS];
};

static const char *const actor_names[] = {
	[ACTOR_PAGER] = "pager",     [ACTOR_DEVICE] = "device", [ACTOR_SWAP] = "swap",
	[ACTOR_SAMPLER] = "sampler", [ACTOR_AHEAD] = "ahead",
};

_Static_assert(ARRAY_LEN(actor_names) == FRAME_ACTOR_COUNT, "every actor has a name");

unsigned trace_actor_count(void)
{
	return FRAME_ACTOR_COUNT;
}

const char *trace_actor_name(unsigned actor)
{
	return actor_names[actor];
}

const char *trace_move_reason(enum frame_state from, enum frame_state to)
{
	return frames_move_reason(from, to);
}

/* Is what the header says something that this program would have written? */
static int check_header(const struct trace_header *untrusted, uint64_t file_bytes, struct err *err)
{
	uint64_t ring = le64toh(untrusted->ring_records);
	uint64_t ram_bytes = le64toh(untrusted->ram_bytes);

	if (memcmp(untrusted->magic, TRACE_MAGIC, TRACE_MAGIC_BYTES) != 0)
		return err_set(err, -EINVAL, "is no trace of neap's");
	if (le32toh(untrusted->version) != TRACE_VERSION)
		return err_set(err, -EINVAL,
			       "has version %u of the format; this program knows version %u",
			       le32toh(untrusted->version), (unsigned)TRACE_VERSION);
	if (le32toh(untrusted->record_bytes) != TRACE_RECORD_BYTES ||
	    le32toh(untrusted->state_count) != FRAME_STATE_COUNT ||
	    le32toh(untrusted->actor_count) != FRAME_ACTOR_COUNT ||
	    le64toh(untrusted->block_bytes) != BLOCK_BYTES)
		return err_set(err, -EINVAL, "was written by another build of neap");
	if (ring == 0 || ring > TRACE_READ_MAX_RECORDS || (ring & (ring - 1)) || ram_bytes == 0 ||
	    ram_bytes > RAM_MAX_BYTES)
		return err_set(err, -EINVAL, "is damaged: its header makes no sense");
	if (file_bytes < TRACE_HEADER_BYTES + ring * TRACE_RECORD_BYTES)
		return err_set(err, -EINVAL, "was cut short");
	return 0;
}

static void read_info(const struct trace_header *header, struct trace_info *ret_info)
{
	uint64_t written = le64toh(atomic_load_explicit(&header->written, memory_order_relaxed));
	uint64_t ring = le64toh(header->ring_records);
	uint64_t block_end = le64toh(header->ram_bytes) + BLOCK_BYTES - 1;

	*ret_info = (struct trace_info){
		.ram_bytes = le64toh(header->ram_bytes),
		.block_bytes = BLOCK_BYTES,
		.block_count = block_end / BLOCK_BYTES,
		.ring_records = ring,
		.started_realtime_ns = le64toh(header->started_realtime_ns),
		.written = written,
		.first = written > ring ? written - ring : 0,
	};
}

static int open_and_check(struct trace_reader *reader, const char *path, struct err *err)
{
	struct trace_header header;
	struct stat file;
	int result;

	reader->fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (reader->fd < 0 || fstat(reader->fd, &file) < 0)
		return err_set(err, -errno, "%m");
	if (!S_ISREG(file.st_mode))
		return err_set(err, -EINVAL, "is not a regular file");
	result = fd_read_full(reader->fd, &header, sizeof(header), 0);
	if (result == -EIO && file.st_size < (off_t)sizeof(header))
		return err_set(err, -EINVAL, "is no trace of neap's");
	if (result < 0)
		return err_set(err, result, "%s", strerror(-result));
	result = check_header(&header, (uint64_t)file.st_size, err);
	if (result == 0)
		read_info(&header, &reader->info);
	return result;
}

int trace_reader_open(const char *path, struct trace_reader **ret_reader, struct err *err)
{
	struct trace_reader *reader = calloc(1, sizeof(*reader));
	int result;

	if (!reader)
		return err_set(err, -ENOMEM, "trace: out of memory");
	result = open_and_check(reader, path, err);
	if (result < 0) {
		trace_reader_close(reader);
		return err ? err_wrap(err, "%.200s", path) : result;
	}
	reader->next = reader->chunk_first = reader->chunk_end = reader->info.first;
	*ret_reader = reader;
	return 0;
}

void trace_reader_close(struct trace_reader *reader)
{
	if (!reader)
		return;
	close_fd(&reader->fd);
	free(reader);
}

const struct trace_info *trace_reader_info(const struct trace_reader *reader)
{
	return &reader->info;
}

const struct trace_counts *trace_reader_counts(const struct trace_reader *reader)
{
	return &reader->counts;
}

/* Slots from that of `next` on, up to the end of the ring. */
static int read_chunk(struct trace_reader *reader)
{
	uint64_t slot = reader->next % reader->info.ring_records;
	uint64_t count = reader->info.ring_records - slot;
	int result;

	if (count > reader->info.written - reader->next)
		count = reader->info.written - reader->next;
	if (count > CHUNK_RECORDS)
		count = CHUNK_RECORDS;
	result = fd_read_full(reader->fd, reader->words, count * TRACE_RECORD_BYTES,
			      (off_t)(TRACE_HEADER_BYTES + slot * TRACE_RECORD_BYTES));
	if (result == 0) {
		reader->chunk_first = reader->next;
		reader->chunk_end = reader->next + count;
	}
	return result;
}

/* Where the slot's words stand against record @number; counts what is not it. */
static bool bears_mark(struct trace_reader *reader, uint64_t number, const uint64_t words[2])
{
	uint64_t wanted = trace_mark(number, reader->info.ring_records);
	uint64_t first = words[0] & TRACE_MARK_MASK, second = words[1] & TRACE_MARK_MASK;

	if (first == wanted && second == wanted)
		return true;
	/* units: half of all marks */
	if (first == second && ((first - wanted) & TRACE_MARK_MASK) <= TRACE_MARK_MASK / 2)
		reader->counts.overwritten++;
	else
		reader->counts.torn++;
	return false;
}

static bool decode(struct trace_reader *reader, uint64_t number, const uint64_t words[2],
		   struct trace_record *ret_record)
{
	uint64_t from = words[1] >> TRACE_FROM_SHIFT & TRACE_FIELD_MASK;
	uint64_t to = words[1] >> TRACE_TO_SHIFT & TRACE_FIELD_MASK;
	uint64_t actor = words[1] >> TRACE_ACTOR_SHIFT & TRACE_FIELD_MASK;
	uint64_t block = words[1] >> TRACE_BLOCK_SHIFT;

	if (!bears_mark(reader, number, words))
		return false;
	if (from >= FRAME_STATE_COUNT || to >= FRAME_STATE_COUNT || actor >= FRAME_ACTOR_COUNT ||
	    block >= reader->info.block_count || (words[1] & TRACE_ZERO_MASK)) {
		reader->counts.damaged++;
		return false;
	}
	reader->counts.good++;
	*ret_record = (struct trace_record){
		.number = number,
		.time_ns = words[0] >> TRACE_MARK_BITS << TRACE_TICK_SHIFT,
		.block = block,
		.from = (enum frame_state)from,
		.to = (enum frame_state)to,
		.actor = (unsigned)actor,
	};
	return true;
}

int trace_reader_next(struct trace_reader *reader, struct trace_record *ret_record)
{
	while (reader->next < reader->info.written) {
		const uint64_t *raw;
		uint64_t words[TRACE_RECORD_WORDS];

		if (reader->next == reader->chunk_end) {
			int result = read_chunk(reader);

			if (result < 0)
				return result;
		}
		raw = &reader->words[(reader->next - reader->chunk_first) * TRACE_RECORD_WORDS];
		words[0] = le64toh(raw[0]);
		words[1] = le64toh(raw[1]);
		if (decode(reader, reader->next++, words, ret_record))
			return 1;
	}
	return 0;
}
