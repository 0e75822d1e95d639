/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_trace.c - what was traced is what is read: from several threads, over the end of the ring,
 * while it is written, after a SIGKILL; and files that are no traces.
 */
#include "../support/testing.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/units.h"
#include "memory/frames.h"
#include "memory/layout.h"
#include "memory/trace.h"
#include "memory/trace_format.h"
#include "memory/trace_read.h"

enum { BLOCKS = 64, WRITERS = 4, EACH = 20000 };
#define RAM_BYTES (BLOCKS * BLOCK_BYTES)

static char dir[] = "/tmp/neap-test-trace-XXXXXX";
static char path[sizeof(dir) + 16], other[sizeof(dir) + 16];

static int make_names(void **state)
{
	(void)state;
	(void)snprintf(path, sizeof(path), "%s/trace", dir);
	(void)snprintf(other, sizeof(other), "%s/other", dir);
	(void)unlink(path);
	(void)unlink(other);
	return 0;
}

static struct trace *start_trace(void)
{
	struct trace *trace = NULL;
	struct err err = { 0 };

	if (trace_open(path, RAM_BYTES, &trace, &err) < 0)
		fail_msg("%s", err.text);
	return trace;
}

static struct trace_reader *start_reader(void)
{
	struct trace_reader *reader = NULL;
	struct err err = { 0 };

	if (trace_reader_open(path, &reader, &err) < 0)
		fail_msg("%s", err.text);
	return reader;
}

/* Everything about record @i follows from i. */
static void write_numbered(struct trace *trace, uint64_t i)
{
	trace_move(trace, i % BLOCKS, (enum frame_state)(i % FRAME_STATE_COUNT),
		   (enum frame_state)((i + 1) % FRAME_STATE_COUNT),
		   (unsigned)(i % FRAME_ACTOR_COUNT));
}

static void check_numbered(const struct trace_record *record)
{
	uint64_t i = record->number;

	assert_int_equal(record->block, i % BLOCKS);
	assert_int_equal(record->from, i % FRAME_STATE_COUNT);
	assert_int_equal(record->to, (i + 1) % FRAME_STATE_COUNT);
	assert_int_equal(record->actor, i % FRAME_ACTOR_COUNT);
}

static void what_is_written_is_read_in_order(void **state)
{
	struct trace *trace = start_trace();
	struct trace_reader *reader;
	struct trace_record record;
	uint64_t last_ns = 0;
	struct stat file;

	(void)state;
	for (uint64_t i = 0; i < EACH; i++)
		write_numbered(trace, i);
	reader = start_reader(); /* the writer is still there */
	assert_int_equal(trace_reader_info(reader)->written, EACH);
	assert_int_equal(trace_reader_info(reader)->block_count, BLOCKS);
	for (uint64_t i = 0; i < EACH; i++) {
		assert_int_equal(trace_reader_next(reader, &record), 1);
		assert_int_equal(record.number, i);
		check_numbered(&record);
		assert_true(record.time_ns >= last_ns && record.time_ns < 60 * NS_PER_S);
		last_ns = record.time_ns;
	}
	assert_int_equal(trace_reader_next(reader, &record), 0);
	assert_int_equal(trace_reader_counts(reader)->good, EACH);
	assert_int_equal(stat(path, &file), 0);
	assert_int_equal(file.st_mode & 07777, 0600);
	trace_reader_close(reader);
	trace_close(trace);
}

static void the_newest_are_kept_when_the_ring_is_full(void **state)
{
	const uint64_t total = TRACE_RING_RECORDS + TRACE_RING_RECORDS / 3;
	struct trace *trace = start_trace();
	struct trace_reader *reader;
	struct trace_record record;
	uint64_t next = total - TRACE_RING_RECORDS;

	(void)state;
	for (uint64_t i = 0; i < total; i++)
		write_numbered(trace, i);
	trace_close(trace);
	reader = start_reader();
	while (trace_reader_next(reader, &record) == 1) {
		assert_int_equal(record.number, next++);
		check_numbered(&record);
	}
	assert_int_equal(next, total);
	trace_reader_close(reader);
}

struct writer {
	struct trace *trace;
	unsigned number;
};

static void *write_own_block(void *arg)
{
	const struct writer *writer = arg;

	for (unsigned i = 0; i < EACH; i++)
		trace_move(writer->trace, writer->number, (enum frame_state)(i % FRAME_STATE_COUNT),
			   FRAME_ABSENT, writer->number);
	return NULL;
}

static void threads_lose_nothing_and_stay_in_their_own_order(void **state)
{
	struct trace *trace = start_trace();
	struct trace_reader *reader;
	struct trace_record record;
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS];
	unsigned seen[WRITERS] = { 0 };

	(void)state;
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ trace, i };
		assert_int_equal(pthread_create(&threads[i], NULL, write_own_block, &writers[i]),
				 0);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		(void)pthread_join(threads[i], NULL);
	reader = start_reader();
	while (trace_reader_next(reader, &record) == 1) {
		assert_in_range(record.block, 0, WRITERS - 1);
		assert_int_equal(record.actor, record.block);
		assert_int_equal(record.from, seen[record.block]++ % FRAME_STATE_COUNT);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		assert_int_equal(seen[i], EACH);
	trace_reader_close(reader);
	trace_close(trace);
}

static atomic_bool enough;

static void *write_without_end(void *arg)
{
	for (uint64_t i = 0; !atomic_load(&enough); i++)
		write_numbered(arg, i);
	return NULL;
}

/* One writer, so record n is write n, or it is not shown at all. */
static void a_trace_is_read_while_it_is_written(void **state)
{
	struct trace *trace = start_trace();
	const struct trace_counts *counts;
	struct trace_reader *reader;
	struct trace_record record;
	pthread_t thread;
	uint64_t seen = 0;

	(void)state;
	atomic_store(&enough, false);
	assert_int_equal(pthread_create(&thread, NULL, write_without_end, trace), 0);
	while (seen < UINT64_C(3) * TRACE_RING_RECORDS) {
		const struct trace_info *info;

		reader = start_reader();
		info = trace_reader_info(reader);
		while (trace_reader_next(reader, &record) == 1)
			check_numbered(&record);
		counts = trace_reader_counts(reader);
		assert_int_equal(counts->damaged, 0);
		assert_int_equal(counts->good + counts->overwritten + counts->torn,
				 info->written - info->first);
		seen = info->written;
		trace_reader_close(reader);
	}
	atomic_store(&enough, true);
	(void)pthread_join(thread, NULL);
	trace_close(trace);
}

static void a_killed_writer_leaves_a_trace_that_is_whole(void **state)
{
	struct trace_reader *reader;
	struct trace_record record;
	int pipe_fds[2], status;
	uint64_t good = 0;
	pid_t child;
	char byte;

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	child = fork();
	if (child == 0) {
		struct trace *trace = start_trace();

		for (uint64_t i = 0;; i++) {
			write_numbered(trace, i);
			if (i == EACH)
				(void)!write(pipe_fds[1], "+", 1);
		}
	}
	assert_int_equal(read(pipe_fds[0], &byte, 1), 1);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	reader = start_reader();
	while (trace_reader_next(reader, &record) == 1) {
		check_numbered(&record);
		good++;
	}
	assert_true(good >= EACH);
	assert_in_range(trace_reader_counts(reader)->torn, 0, 1);
	assert_int_equal(trace_reader_counts(reader)->damaged, 0);
	trace_reader_close(reader);
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
}

static void assert_not_written_to(const char *said)
{
	struct trace *trace = NULL;
	struct err err = { 0 };

	assert_true(trace_open(path, RAM_BYTES, &trace, &err) < 0);
	assert_null(trace);
	assert_non_null(strstr(err.text, path));
	if (!strstr(err.text, said))
		fail_msg("\"%s\" does not say \"%s\"", err.text, said);
}

static void put_file(const char *name, const void *bytes, size_t len)
{
	CLEANUP(close_fd)
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, bytes, len), 0);
}

/* TR01 */
static void only_our_own_plain_files_are_written_to(void **state)
{
	char precious[64] = "";
	struct trace *trace;

	(void)state;
	put_file(other, "precious", 8);
	assert_int_equal(symlink(other, path), 0);
	assert_not_written_to("symbolic link");
	(void)unlink(path);
	assert_int_equal(link(other, path), 0);
	assert_not_written_to("other names");
	(void)unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_not_written_to("not a regular file");
	(void)unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_not_written_to("directory");
	(void)rmdir(path);
	put_file(path, "precious", 8);
	assert_not_written_to("no trace");
	CLEANUP(close_fd)
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, precious, sizeof(precious)), 8);
	assert_string_equal(precious, "precious");
	(void)unlink(path);
	trace = start_trace();
	assert_not_written_to("another VM");
	trace_close(trace);
	trace_close(start_trace()); /* begins anew in an old one */
}

static void a_directory_that_is_not_there_is_said(void **state)
{
	struct trace *trace;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(trace_open("/nonexistent/trace", RAM_BYTES, &trace, &err), -ENOENT);
	assert_string_equal(err.text, "trace file /nonexistent/trace: No such file or directory");
}

static void assert_unreadable(const char *said)
{
	struct trace_reader *reader = NULL;
	struct err err = { 0 };

	assert_true(trace_reader_open(path, &reader, &err) < 0);
	assert_null(reader);
	if (!strstr(err.text, said))
		fail_msg("\"%s\" does not say \"%s\"", err.text, said);
}

static struct trace_header good_header(void)
{
	struct trace_header header = { .version = TRACE_VERSION,
				       .record_bytes = TRACE_RECORD_BYTES,
				       .ram_bytes = RAM_BYTES,
				       .block_bytes = BLOCK_BYTES,
				       .ring_records = 4,
				       .state_count = FRAME_STATE_COUNT,
				       .actor_count = FRAME_ACTOR_COUNT };

	memcpy(header.magic, TRACE_MAGIC, TRACE_MAGIC_BYTES);
	return header;
}

/* A file of that header and four records. */
static void put_trace(const struct trace_header *header, const uint64_t records[8])
{
	unsigned char bytes[TRACE_HEADER_BYTES + 4 * TRACE_RECORD_BYTES] = { 0 };

	memcpy(bytes, header, sizeof(*header));
	memcpy(bytes + TRACE_HEADER_BYTES, records, 8 * sizeof(records[0]));
	put_file(path, bytes, sizeof(bytes));
}

/* TR01 */
static void headers_that_make_no_sense_are_refused(void **state)
{
	static const struct {
		size_t offset;
		uint64_t value;
		const char *said;
	} cases[] = {
		{ offsetof(struct trace_header, magic), 0, "no trace" },
		{ offsetof(struct trace_header, version), TRACE_VERSION + 1, "version" },
		{ offsetof(struct trace_header, block_bytes), 0, "another build" },
		{ offsetof(struct trace_header, state_count), 99, "another build" },
		{ offsetof(struct trace_header, ram_bytes), 0, "no sense" },
		{ offsetof(struct trace_header, ram_bytes), UINT64_MAX, "no sense" },
		{ offsetof(struct trace_header, ring_records), 0, "no sense" },
		{ offsetof(struct trace_header, ring_records), 3, "no sense" },
		{ offsetof(struct trace_header, ring_records), UINT64_C(1) << 63, "no sense" },
		{ offsetof(struct trace_header, ring_records), 8, "cut short" },
	};
	const uint64_t none[8] = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct trace_header header = good_header();

		memcpy((char *)&header + cases[i].offset, &cases[i].value, sizeof(uint64_t));
		put_trace(&header, none);
		assert_unreadable(cases[i].said);
	}
	put_file(path, "", 0);
	assert_unreadable("no trace");
	put_file(path, TRACE_MAGIC, TRACE_MAGIC_BYTES);
	assert_unreadable("no trace");
	(void)unlink(path);
	assert_unreadable("No such file");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_unreadable("not a regular file");
}

/* Word 1 of a record. */
static uint64_t word(uint64_t block, uint64_t from, uint64_t to, uint64_t actor, uint64_t mark)
{
	return block << TRACE_BLOCK_SHIFT | to << TRACE_TO_SHIFT | from << TRACE_FROM_SHIFT |
	       actor << TRACE_ACTOR_SHIFT | mark;
}

static void records_that_make_no_sense_are_counted_and_left_out(void **state)
{
	struct trace_header header = good_header();
	const uint64_t damaged[8] = { 1, word(BLOCKS, 0, 1, 0, 1),
				      1, word(0, FRAME_STATE_COUNT, 1, 0, 1),
				      1, word(0, 0, 15, 0, 1),
				      1, word(0, 0, 1, 15, 1) };
	const uint64_t mixed[8] = { 1, word(1, 0, 1, 0, 1), 1, word(0, 0, 1, 0, 2),
				    2, word(0, 0, 1, 0, 2), 0, 0 };
	struct trace_reader *reader;
	struct trace_record record;

	(void)state;
	atomic_store(&header.written, 4);
	put_trace(&header, damaged);
	reader = start_reader();
	assert_int_equal(trace_reader_next(reader, &record), 0);
	assert_int_equal(trace_reader_counts(reader)->damaged, 4);
	trace_reader_close(reader);
	put_trace(&header, mixed);
	reader = start_reader();
	assert_int_equal(trace_reader_next(reader, &record), 1);
	assert_int_equal(record.block, 1);
	assert_int_equal(trace_reader_next(reader, &record), 0);
	assert_int_equal(trace_reader_counts(reader)->torn, 2);
	assert_int_equal(trace_reader_counts(reader)->overwritten, 1);
	trace_reader_close(reader);
	atomic_store(&header.written, UINT64_MAX);
	put_trace(&header, mixed);
	reader = start_reader();
	assert_int_equal(trace_reader_next(reader, &record), 0);
	trace_reader_close(reader);
}

static void a_file_that_shrinks_while_it_is_read_is_an_error(void **state)
{
	struct trace *trace = start_trace();
	struct trace_reader *reader;
	struct trace_record record;

	(void)state;
	write_numbered(trace, 0);
	trace_close(trace);
	reader = start_reader();
	assert_int_equal(truncate(path, TRACE_HEADER_BYTES), 0);
	assert_int_equal(trace_reader_next(reader, &record), -EIO);
	trace_reader_close(reader);
}

static void every_move_of_the_table_has_its_reason(void **state)
{
	(void)state;
	assert_string_equal(trace_move_reason(FRAME_RESIDENT, FRAME_ABSENT), "discarded");
	assert_null(trace_move_reason(FRAME_SWAPPED, FRAME_RESIDENT));
	for (unsigned i = 0; i < trace_actor_count(); i++)
		assert_true(strlen(trace_actor_name(i)) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_written_is_read_in_order, make_names),
		cmocka_unit_test_setup(the_newest_are_kept_when_the_ring_is_full, make_names),
		cmocka_unit_test_setup(threads_lose_nothing_and_stay_in_their_own_order,
				       make_names),
		cmocka_unit_test_setup(a_trace_is_read_while_it_is_written, make_names),
		cmocka_unit_test_setup(a_killed_writer_leaves_a_trace_that_is_whole, make_names),
		cmocka_unit_test_setup(only_our_own_plain_files_are_written_to, make_names),
		cmocka_unit_test_setup(a_directory_that_is_not_there_is_said, make_names),
		cmocka_unit_test_setup(headers_that_make_no_sense_are_refused, make_names),
		cmocka_unit_test_setup(records_that_make_no_sense_are_counted_and_left_out,
				       make_names),
		cmocka_unit_test_setup(a_file_that_shrinks_while_it_is_read_is_an_error,
				       make_names),
		cmocka_unit_test_setup(every_move_of_the_table_has_its_reason, make_names),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)make_names(NULL);
	(void)rmdir(dir);
	return failed;
}
