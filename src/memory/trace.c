/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* trace.c - see trace.h; the format, and why a torn record is seen, is trace_format.h's.
 *
 * Invariants
 *  T1  Nothing is written before the file is known to be ours alone: opened without following a
 *      link, regular, with one name, our own, empty or a trace, and locked against another VM.
 *  T2  Every page of the mapping has its room on disk before the first store, so no store is a
 *      SIGBUS, whatever fills the disk later.
 *  T3  A writer owns the number that it took from `written`, so two never write one record. One
 *      that is overtaken by a whole lap in between leaves a slot whose marks differ.
 */
#include "memory/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "memory/frames.h"
#include "memory/trace_format.h"

#define FILE_BYTES (TRACE_HEADER_BYTES + (uint64_t)TRACE_RING_RECORDS * TRACE_RECORD_BYTES)

struct trace {
	struct trace_header *header; /* the mapping */
	_Atomic uint64_t *words;     /* its ring */
	uint64_t started_ns;
	int fd; /* holds the lock */
};

static int check_is_trace(int fd, const struct stat *file, struct err *err)
{
	char magic[TRACE_MAGIC_BYTES] = "";

	if (file->st_size == 0)
		return 0;
	if (fd_read_full(fd, magic, sizeof(magic), 0) == 0 &&
	    memcmp(magic, TRACE_MAGIC, sizeof(magic)) == 0)
		return 0;
	return err_set(err, -EEXIST, "holds something that is no trace; name another file");
}

/* T1 */
static int check_file(int fd, struct err *err)
{
	struct stat file;

	if (fstat(fd, &file) < 0)
		return err_set(err, -errno, "%m");
	if (!S_ISREG(file.st_mode))
		return err_set(err, -EINVAL, "is not a regular file");
	if (file.st_uid != geteuid())
		return err_set(err, -EPERM, "belongs to user %u", (unsigned)file.st_uid);
	if (file.st_nlink != 1)
		return err_set(err, -EPERM, "has other names (hard links)");
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, -errno, "%s",
			       errno == EWOULDBLOCK ? "another VM writes its trace there"
						    : strerror(errno));
	return check_is_trace(fd, &file, err);
}

/* T2 */
static int make_room(int fd, struct err *err)
{
	int result;

	if (fchmod(fd, S_IRUSR | S_IWUSR) < 0 || ftruncate(fd, 0) < 0)
		return err_set(err, -errno, "%m");
	result = posix_fallocate(fd, 0, (off_t)FILE_BYTES);
	if (result == 0)
		return 0;
	(void)ftruncate(fd, 0);
	return err_set(err, -result, "16 MiB for it: %s", strerror(result));
}

static void write_header(struct trace *trace, uint64_t ram_bytes)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	trace->started_ns = clock_now_ns();
	*trace->header = (struct trace_header){
		.version = TRACE_VERSION,
		.record_bytes = TRACE_RECORD_BYTES,
		.ram_bytes = ram_bytes,
		.block_bytes = BLOCK_BYTES,
		.ring_records = TRACE_RING_RECORDS,
		.started_realtime_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec,
		.started_monotonic_ns = trace->started_ns,
		.state_count = FRAME_STATE_COUNT,
		.actor_count = FRAME_ACTOR_COUNT,
	};
	memcpy(trace->header->magic, TRACE_MAGIC, TRACE_MAGIC_BYTES);
}

static int map_file(struct trace *trace, struct err *err)
{
	void *mapping = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			     trace->fd, 0);

	if (mapping == MAP_FAILED)
		return err_set(err, -errno, "mapping it: %m");
	(void)madvise(mapping, FILE_BYTES, MADV_DONTFORK);
	(void)mlock(mapping, FILE_BYTES); /* without the right to, it may be read back from disk */
	trace->header = mapping;
	trace->words = (void *)((char *)mapping + TRACE_HEADER_BYTES);
	return 0;
}

static int open_file(struct trace *trace, const char *path, struct err *err)
{
	int result;

	trace->fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
			 S_IRUSR | S_IWUSR);
	if (trace->fd < 0)
		return err_set(err, -errno, "%s",
			       errno == ELOOP ? "is a symbolic link" : strerror(errno));
	result = check_file(trace->fd, err);
	if (result == 0)
		result = make_room(trace->fd, err);
	return result ? result : map_file(trace, err);
}

int trace_open(const char *path, uint64_t ram_bytes, struct trace **ret_trace, struct err *err)
{
	struct trace *trace = malloc(sizeof(*trace));
	int result;

	if (!trace)
		return err_set(err, -ENOMEM, "trace: out of memory");
	*trace = (struct trace){ .fd = -1 };
	result = open_file(trace, path, err);
	if (result != 0 || !trace->header) {
		trace_close(trace);
		return err ? err_wrap(err, "trace file %.200s", path) : result;
	}
	write_header(trace, ram_bytes);
	*ret_trace = trace;
	return 0;
}

void trace_close(struct trace *trace)
{
	if (!trace)
		return;
	if (trace->header)
		(void)munmap(trace->header, FILE_BYTES);
	close_fd(&trace->fd);
	free(trace);
}

void trace_move(struct trace *trace, uint64_t block, enum frame_state from, enum frame_state to,
		unsigned actor)
{
	uint64_t ticks = (clock_now_ns() - trace->started_ns) >> TRACE_TICK_SHIFT;
	uint64_t index = atomic_fetch_add_explicit(&trace->header->written, 1,
						   memory_order_relaxed); /* T3 */
	uint64_t mark = trace_mark(index, TRACE_RING_RECORDS);
	_Atomic uint64_t *record = &trace->words[index % TRACE_RING_RECORDS * TRACE_RECORD_WORDS];

	atomic_store_explicit(&record[0], ticks << TRACE_MARK_BITS | mark, memory_order_relaxed);
	atomic_store_explicit(&record[1],
			      block << TRACE_BLOCK_SHIFT | (uint64_t)to << TRACE_TO_SHIFT |
				      (uint64_t)from << TRACE_FROM_SHIFT |
				      (uint64_t)actor << TRACE_ACTOR_SHIFT | mark,
			      memory_order_relaxed);
}
