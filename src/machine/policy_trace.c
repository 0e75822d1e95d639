/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* policy_trace.c - the governor's decisions into a file of CSV (--policy-trace FILE).
 *
 * Problem. Disks are slow, full, or gone, and the governor must not care.
 * Design. The governor keeps its newest records anyhow. This thread copies those it has not written
 * yet, and writes a line for each, straight to the file. When it is held up for longer than the
 * governor keeps records, lines are missing and nothing else.
 *
 * Invariants
 *  T1  Nothing is written before the file is known to be ours alone: opened without following a
 *      link, regular, with one name, our own, empty or a trace of this kind, and locked.
 *  T2  The file ends with a whole line: what was written of one for which there was no room is cut
 *      off again, and the line is tried again with the next record.
 *  T3  At most 2 x TRACE_FILE_BYTES: at that size FILE becomes FILE.1, in place of the one before, and
 *      a new FILE begins with its own header. If that fails, nothing more is written.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/units.h"
#include "machine/policy_glue.h"

#define TRACE_FILE_BYTES (32 * MIB_BYTES) /* a day at a row a second */

enum { TRACE_COPY_RECORDS = 16 };

struct policy_trace {
	struct governor *governor;
	char *path;
	int fd; /* -1: closed after an error that lasts */
	int poke_fd;
	uint64_t file_bytes;
	uint64_t written; /* number of the last record that is in a file */
	bool told;	  /* that it cannot be written; until it can */
	atomic_bool stopping;
	bool has_thread;
	pthread_t thread;
};

/* ---- The file ---- */

static int check_content(int fd, struct err *err)
{
	char header[POLICY_RECORD_BYTES], begins[POLICY_RECORD_BYTES];
	size_t len = policy_record_header(header);
	struct stat file;

	if (fstat(fd, &file) < 0)
		return err_set(err, -errno, "%m");
	if (file.st_size == 0 ||
	    (fd_read_full(fd, begins, len, 0) == 0 && memcmp(begins, header, len) == 0))
		return 0;
	return err_set(err, -EEXIST,
		       "holds something that is no trace of this neap's policy; name another file");
}

static int check_file(int fd, struct err *err) /* T1 */
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
	return check_content(fd, err);
}

/* All of @text, or nothing of it (T2). */
static int append(struct policy_trace *trace, const char *text, size_t len)
{
	int result = fd_write_full(trace->fd, text, len);

	if (result < 0)
		(void)ftruncate(trace->fd, (off_t)trace->file_bytes);
	else
		trace->file_bytes += len;
	return result;
}

static int begin_file(struct policy_trace *trace, struct err *err)
{
	char header[POLICY_RECORD_BYTES];
	int result;

	trace->fd =
		open(trace->path,
		     O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
		     S_IRUSR | S_IWUSR);
	if (trace->fd < 0)
		return err_set(err, -errno, "%m");
	result = check_file(trace->fd, err);
	if (result < 0)
		return result;
	trace->file_bytes = 0;
	if (ftruncate(trace->fd, 0) < 0)
		return err_set(err, -errno, "%m");
	result = append(trace, header, policy_record_header(header));
	return result < 0 ? err_set(err, result, "%s", strerror(-result)) : 0;
}

static void turn_over(struct policy_trace *trace) /* T3 */
{
	struct err err = { 0 };
	char *old = NULL;

	if (trace->file_bytes < TRACE_FILE_BYTES)
		return;
	close_fd(&trace->fd);
	if (asprintf(&old, "%s.1", trace->path) < 0)
		return;
	if (rename(trace->path, old) < 0)
		(void)err_set(&err, -errno, "cannot be renamed: %m");
	else
		(void)begin_file(trace, &err);
	free(old);
	if (!err.code)
		return;
	log_warn("policy", "%s: %s; the trace ends here", trace->path, err.text);
	close_fd(&trace->fd);
}

/* ---- The thread ---- */

/* False: not now. */
static bool write_record(struct policy_trace *trace, const struct policy_record *record)
{
	char line[POLICY_RECORD_BYTES];
	int result;

	turn_over(trace);
	if (trace->fd < 0)
		return false;
	result = append(trace, line, policy_record_format(record, line));
	if (result < 0 && !trace->told)
		log_warn("policy", "%s: %s; lines will be missing", trace->path, strerror(-result));
	trace->told = result < 0;
	return result == 0;
}

/* Everything that is there. */
static void write_new(struct policy_trace *trace)
{
	struct policy_record records[TRACE_COPY_RECORDS];
	uint64_t last;
	unsigned count;

	do {
		count = governor_read_records(trace->governor, trace->written, records,
					      TRACE_COPY_RECORDS, &last);
		/* The oldest that are kept may be newer than the next. */
		if (count > 0 && last - trace->written > GOVERNOR_KEPT)
			trace->written = last - GOVERNOR_KEPT;
		for (unsigned i = 0; i < count; i++) {
			if (!write_record(trace, &records[i]))
				return;
			trace->written++;
		}
	} while (count == TRACE_COPY_RECORDS);
}

static void *trace_thread(void *arg)
{
	struct policy_trace *trace = arg;
	eventfd_t pokes;

	(void)pthread_setname_np(pthread_self(), "policy-trace");
	while (!atomic_load(&trace->stopping)) {
		(void)read(trace->poke_fd, &pokes, sizeof(pokes));
		write_new(trace);
	}
	write_new(trace);
	return NULL;
}

int policy_trace_open(const char *path, struct governor *governor, struct policy_trace **ret_trace,
		      struct err *err)
{
	struct policy_trace *trace = calloc(1, sizeof(*trace));
	int result = -ENOMEM;

	if (!trace)
		return err_set(err, -ENOMEM, "policy trace: out of memory");
	trace->governor = governor;
	trace->fd = -1;
	trace->poke_fd = eventfd(0, EFD_CLOEXEC); /* its reader sleeps in it */
	trace->path = strdup(path);
	if (trace->path && trace->poke_fd >= 0)
		result = begin_file(trace, err);
	else
		(void)err_set(err, result, "out of memory or descriptors");
	if (result == 0) {
		result = -pthread_create(&trace->thread, NULL, trace_thread, trace);
		if (result < 0)
			(void)err_set(err, result, "its thread: %s", strerror(-result));
	}
	if (result < 0) {
		policy_trace_close(trace);
		return err_wrap(err, "policy trace %s", path);
	}
	trace->has_thread = true;
	*ret_trace = trace;
	return 0;
}

void policy_trace_poke(struct policy_trace *trace)
{
	event_signal(trace->poke_fd);
}

void policy_trace_close(struct policy_trace *trace)
{
	if (!trace)
		return;
	atomic_store(&trace->stopping, true);
	if (trace->has_thread) {
		event_signal(trace->poke_fd);
		(void)pthread_join(trace->thread, NULL);
	}
	close_fd(&trace->fd);
	close_fd(&trace->poke_fd);
	free(trace->path);
	free(trace);
}
