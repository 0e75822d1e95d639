/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_policy_trace.c - the governor's decisions in a file: complete, in order, bounded. */
#include "../support/testing.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "machine/policy_glue.h"

enum { BATCH = 100, PATIENCE_S = 60 };
#define TURN_BYTES (32 * MIB_BYTES)

struct rig {
	char dir[64], path[80], old_path[96];
	struct governor *governor;
	struct policy_trace *trace;
	uint64_t now_ns;
};

static bool observe(void *ctx, struct policy_input *input)
{
	(void)ctx;
	input->guest_start_ns = 1;
	input->driver_ready = true;
	return true;
}

static uint64_t no_stall_ns(void *ctx)
{
	(void)ctx;
	return 0;
}

static void act(void *ctx, const struct policy_record *record)
{
	(void)ctx;
	(void)record;
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct governor_config config = {
		.settings = { .mode = POLICY_MODE_AUTO,
			      .startup_bytes = GIB_BYTES,
			      .minimum_bytes = 64 * MIB_BYTES,
			      .maximum_bytes = GIB_BYTES,
			      .buffer_percent = 20,
			      .weight = 1000,
			      .frame_bytes = HUGE_FRAME_BYTES },
		.ops = { .observe = observe, .stall_ns = no_stall_ns, .act = act },
	};

	assert_non_null(rig);
	(void)snprintf(rig->dir, sizeof(rig->dir), "/tmp/neap-policy-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	(void)snprintf(rig->path, sizeof(rig->path), "%s/trace", rig->dir);
	(void)snprintf(rig->old_path, sizeof(rig->old_path), "%s.1", rig->path);
	assert_int_equal(governor_create(&config, &rig->governor, NULL), 0);
	assert_int_equal(policy_trace_open(rig->path, rig->governor, &rig->trace, NULL), 0);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	policy_trace_close(rig->trace);
	governor_destroy(rig->governor);
	(void)unlink(rig->path);
	(void)unlink(rig->old_path);
	(void)rmdir(rig->dir);
	free(rig);
	return 0;
}

/* Returns how many bytes of lines that makes. */
static uint64_t decide(struct rig *rig, unsigned count)
{
	char line[POLICY_RECORD_BYTES];
	uint64_t bytes = 0, last;
	struct policy_record record;

	for (unsigned i = 0; i < count; i++) {
		governor_tick(rig->governor, rig->now_ns += NS_PER_S);
		assert_int_equal(governor_read_records(rig->governor, rig->now_ns / NS_PER_S - 1,
						       &record, 1, &last),
				 1);
		bytes += policy_record_format(&record, line);
	}
	policy_trace_poke(rig->trace);
	return bytes;
}

/* The times of a file's lines must go on by a second each from @after_ns; returns the last. */
static uint64_t check_lines(const char *path, uint64_t after_ns, uint64_t *ret_lines)
{
	struct policy_record_layout layout;
	struct policy_record record;
	char line[POLICY_RECORD_BYTES];
	FILE *file = fopen(path, "re");
	struct err err = { 0 };

	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	assert_int_equal(policy_record_read_header(line, &layout, &err), 0);
	*ret_lines = 0;
	while (fgets(line, sizeof(line), file)) {
		assert_int_equal(line[strlen(line) - 1], '\n');
		assert_int_equal(policy_record_parse(&layout, line, &record, &err), 0);
		if (after_ns)
			assert_true(record.input.now_ns == after_ns + NS_PER_S);
		after_ns = record.input.now_ns;
		++*ret_lines;
	}
	(void)fclose(file);
	return after_ns;
}

static void every_decision_is_a_line_when_it_is_closed(void **state)
{
	struct rig *rig = *state;
	uint64_t lines;

	(void)decide(rig, BATCH);
	policy_trace_close(rig->trace);
	rig->trace = NULL;
	assert_true(check_lines(rig->path, 0, &lines) == BATCH * NS_PER_S);
	assert_int_equal(lines, BATCH);
}

static void a_writer_that_comes_late_writes_what_is_still_kept(void **state)
{
	struct rig *rig = *state;
	uint64_t lines;

	for (int i = 0; i < 1000; i++) /* nobody pokes it */
		governor_tick(rig->governor, rig->now_ns += NS_PER_S);
	policy_trace_close(rig->trace);
	rig->trace = NULL;
	assert_true(check_lines(rig->path, 0, &lines) == 1000 * NS_PER_S);
	assert_int_equal(lines, GOVERNOR_KEPT);
}

static void two_vms_do_not_write_one_file(void **state)
{
	struct rig *rig = *state;
	struct policy_trace *second = NULL;
	struct err err = { 0 };

	assert_true(policy_trace_open(rig->path, rig->governor, &second, &err) < 0);
	assert_null(second);
	assert_non_null(strstr(err.text, "another VM"));
}

static uint64_t file_bytes(const char *path)
{
	struct stat file;

	return stat(path, &file) == 0 ? (uint64_t)file.st_size : 0;
}

/* Until so much is in the files. */
static void await_written(const struct rig *rig, uint64_t bytes)
{
	uint64_t deadline_ns = clock_now_ns() + PATIENCE_S * NS_PER_S;

	while (file_bytes(rig->path) + file_bytes(rig->old_path) < bytes &&
	       clock_now_ns() < deadline_ns)
		(void)nanosleep(&(struct timespec){ .tv_nsec = (long)(NS_PER_MS / 10) }, NULL);
}

static void at_32_mib_the_file_is_turned_over_and_no_line_is_lost(void **state)
{
	struct rig *rig = *state;
	char header[POLICY_RECORD_BYTES];
	uint64_t old_lines, new_lines, last_ns, bytes = policy_record_header(header);

	while (file_bytes(rig->old_path) == 0) {
		bytes += decide(rig, BATCH);
		await_written(rig, bytes);
		assert_true(file_bytes(rig->path) <= TURN_BYTES + POLICY_RECORD_BYTES);
	}
	(void)decide(rig, BATCH);
	policy_trace_close(rig->trace);
	rig->trace = NULL;
	assert_in_range(file_bytes(rig->old_path), TURN_BYTES, TURN_BYTES + POLICY_RECORD_BYTES);
	last_ns = check_lines(rig->old_path, 0, &old_lines);
	last_ns = check_lines(rig->path, last_ns, &new_lines);
	assert_true(last_ns == rig->now_ns);
	assert_int_equal(old_lines + new_lines, rig->now_ns / NS_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		CASE(every_decision_is_a_line_when_it_is_closed),
		CASE(a_writer_that_comes_late_writes_what_is_still_kept),
		CASE(two_vms_do_not_write_one_file),
		CASE(at_32_mib_the_file_is_turned_over_and_no_line_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
