/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_governor_host.c - how short a host is, read from the files of a made-up host. */
#include "../support/testing.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "balloon/governor_host.h"
#include "base/clock.h"
#include "base/units.h"

/* 16 GiB of RAM: MinFree is 6 % of 4 + 4 % of 8 + 2 % of 4 GiB, 655 MiB, and its soft mark 64 % of
 * that: 419 MiB. */
#define RAM_BYTES (16 * GIB_BYTES)

struct rig {
	char root[64];
	struct governor_host *host;
	uint64_t now_ns;
};

static void make_dirs(const char *path)
{
	char copy[512];

	(void)snprintf(copy, sizeof(copy), "%s", path);
	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		assert_true(mkdir(copy, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}
}

static void put(const struct rig *rig, const char *path, const char *text)
{
	char full[512];
	FILE *file;

	(void)snprintf(full, sizeof(full), "%s/%s", rig->root, path);
	make_dirs(full);
	file = fopen(full, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void put_number(const struct rig *rig, const char *path, uint64_t value)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%llu\n", (unsigned long long)value);
	put(rig, path, text);
}

static void put_available(const struct rig *rig, uint64_t bytes)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
		       "MemTotal:       %8llu kB\nMemFree:          123456 kB\n"
		       "MemAvailable:   %8llu kB\nBuffers:              12 kB\n",
		       (unsigned long long)(RAM_BYTES / KIB_BYTES),
		       (unsigned long long)(bytes / KIB_BYTES));
	put(rig, "proc/meminfo", text);
}

static void put_pressure(const struct rig *rig, const char *some, const char *full)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
		       "some avg10=%s avg60=99.00 avg300=99.00 total=1\n"
		       "full avg10=%s avg60=99.00 avg300=99.00 total=1\n",
		       some, full);
	put(rig, "proc/pressure/memory", text);
}

static void open_host(struct rig *rig)
{
	assert_int_equal(governor_host_create(
				 &(struct governor_host_config){ .frame_bytes = GUEST_PAGE_BYTES,
								 .root = rig->root },
				 &rig->host, NULL),
			 0);
}

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	(void)snprintf(rig->root, sizeof(rig->root), "/tmp/neap-host-XXXXXX");
	assert_non_null(mkdtemp(rig->root));
	rig->now_ns = NS_PER_S;
	put_available(rig, RAM_BYTES / 2);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;
	char command[128];

	governor_host_destroy(rig->host);
	(void)snprintf(command, sizeof(command), "rm -r %s", rig->root);
	assert_int_equal(system(command), 0);
	free(rig);
	return 0;
}

static enum host_state look(struct rig *rig, uint64_t *ret_free_bytes)
{
	enum host_state host_state = HOST_STATE_COUNT;
	uint64_t free_bytes = 0;

	rig->now_ns += 2 * NS_PER_S;
	assert_true(governor_host_read(rig->host, rig->now_ns, &host_state, &free_bytes));
	if (ret_free_bytes)
		*ret_free_bytes = free_bytes;
	return host_state;
}

static void what_is_above_the_soft_mark_can_be_had(void **state)
{
	struct rig *rig = *state;
	uint64_t free_bytes;

	open_host(rig);
	assert_int_equal(look(rig, &free_bytes), HOST_CLEAR);
	assert_in_range(bytes_to_mib(RAM_BYTES / 2 - free_bytes), 415, 425);
}

static void the_state_follows_what_is_available(void **state)
{
	struct rig *rig = *state;
	uint64_t free_bytes;

	open_host(rig);
	put_available(rig, 350 * MIB_BYTES);
	assert_int_equal(look(rig, &free_bytes), HOST_SOFT);
	assert_int_equal(free_bytes, 0);
	put_available(rig, 150 * MIB_BYTES);
	assert_int_equal(look(rig, NULL), HOST_HARD);
	put_available(rig, 50 * MIB_BYTES);
	assert_int_equal(look(rig, NULL), HOST_LOW);
	put_available(rig, RAM_BYTES / 2);
	assert_int_equal(look(rig, NULL), HOST_CLEAR);
}

static void readings_are_kept_for_a_moment(void **state)
{
	struct rig *rig = *state;
	enum host_state host_state;
	uint64_t free_bytes;

	open_host(rig);
	assert_int_equal(look(rig, NULL), HOST_CLEAR);
	put_available(rig, 50 * MIB_BYTES);
	assert_true(
		governor_host_read(rig->host, rig->now_ns + NS_PER_S, &host_state, &free_bytes));
	assert_int_equal(host_state, HOST_CLEAR); /* there was plenty */
	assert_int_equal(look(rig, NULL), HOST_LOW);
	put_available(rig, RAM_BYTES / 2);
	assert_true(governor_host_read(rig->host, rig->now_ns + 100 * NS_PER_MS, &host_state,
				       &free_bytes));
	assert_int_equal(host_state, HOST_LOW);
	assert_true(governor_host_read(rig->host, rig->now_ns + 300 * NS_PER_MS, &host_state,
				       &free_bytes));
	assert_int_equal(host_state, HOST_CLEAR);
}

static void a_limit_anywhere_up_the_tree_bounds_it(void **state)
{
	struct rig *rig = *state;
	uint64_t free_bytes;

	put(rig, "proc/self/cgroup", "0::/machine.slice/vm\n");
	put(rig, "sys/fs/cgroup/machine.slice/vm/memory.max", "max\n");
	put_number(rig, "sys/fs/cgroup/machine.slice/vm/memory.current", GIB_BYTES);
	put_number(rig, "sys/fs/cgroup/machine.slice/memory.max", 4 * GIB_BYTES);
	put_number(rig, "sys/fs/cgroup/machine.slice/memory.current", 3 * GIB_BYTES);
	put(rig, "sys/fs/cgroup/machine.slice/memory.stat", "anon 5\ninactive_file 0\n");
	open_host(rig);
	/* MinFree of 4 GiB is 245 MiB, its soft mark 157 MiB. */
	assert_int_equal(look(rig, &free_bytes), HOST_CLEAR);
	assert_in_range(bytes_to_mib(free_bytes), 860, 872);
	put_number(rig, "sys/fs/cgroup/machine.slice/memory.current", 4 * GIB_BYTES - MIB_BYTES);
	assert_int_equal(look(rig, NULL), HOST_LOW);
}

static void page_cache_of_the_cgroup_that_nobody_uses_is_free(void **state)
{
	struct rig *rig = *state;
	uint64_t free_bytes;

	put(rig, "proc/self/cgroup", "0::/vm\n");
	put_number(rig, "sys/fs/cgroup/vm/memory.max", 4 * GIB_BYTES);
	put_number(rig, "sys/fs/cgroup/vm/memory.current", 4 * GIB_BYTES);
	put(rig, "sys/fs/cgroup/vm/memory.stat", "anon 5\ninactive_file 1073741824\n");
	open_host(rig);
	assert_int_equal(look(rig, &free_bytes), HOST_CLEAR);
	assert_in_range(bytes_to_mib(free_bytes), 860, 872);
}

static void the_old_cgroups_are_read_as_well(void **state)
{
	struct rig *rig = *state;

	put(rig, "proc/self/cgroup", "4:memory:/vm\n3:cpuset:/\n");
	put_number(rig, "sys/fs/cgroup/memory/vm/memory.limit_in_bytes", GIB_BYTES);
	put_number(rig, "sys/fs/cgroup/memory/vm/memory.usage_in_bytes", GIB_BYTES - MIB_BYTES);
	put_number(rig, "sys/fs/cgroup/memory/memory.limit_in_bytes", 9223372036854771712U);
	put_number(rig, "sys/fs/cgroup/memory/memory.usage_in_bytes", 9 * GIB_BYTES);
	open_host(rig);
	assert_int_equal(look(rig, NULL), HOST_LOW);
}

static void tasks_that_wait_for_memory_are_a_shortage(void **state)
{
	struct rig *rig = *state;

	put_pressure(rig, "0.00", "0.00");
	open_host(rig);
	assert_int_equal(look(rig, NULL), HOST_CLEAR);
	put_pressure(rig, "10.50", "0.20");
	assert_int_equal(look(rig, NULL), HOST_SOFT);
	put_pressure(rig, "30.00", "11.00");
	assert_int_equal(look(rig, NULL), HOST_HARD);
	put_pressure(rig, "7.00", "2.00"); /* not calm yet */
	assert_int_equal(look(rig, NULL), HOST_SOFT);
	put_pressure(rig, "4.00", "0.00");
	assert_int_equal(look(rig, NULL), HOST_CLEAR);
}

static void files_with_nonsense_are_left_out(void **state)
{
	struct rig *rig = *state;
	enum host_state host_state;
	uint64_t free_bytes;

	put(rig, "proc/meminfo", "MemTotal: lots\n");
	put(rig, "proc/self/cgroup", "0\n::\n0::/../../../..\nnonsense:::/\n");
	put(rig, "proc/pressure/memory", "some avg10=\nfull\n");
	open_host(rig);
	assert_false(governor_host_read(rig->host, rig->now_ns, &host_state, &free_bytes));
}

static void a_host_without_these_files_says_nothing(void **state)
{
	struct rig *rig = *state;
	enum host_state host_state;
	uint64_t free_bytes;
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/proc/meminfo", rig->root);
	assert_int_equal(unlink(path), 0);
	open_host(rig);
	assert_false(governor_host_read(rig->host, rig->now_ns, &host_state, &free_bytes));
}

static void this_host_is_read_in_little_time(void **state)
{
	static const uint64_t frames[] = { GUEST_PAGE_BYTES, HUGE_FRAME_BYTES };
	enum { ROUNDS = 200 };
	enum host_state host_state;
	uint64_t free_bytes;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
		struct governor_host *host;
		uint64_t began_ns;
		bool known = false;

		assert_int_equal(governor_host_create(
					 &(struct governor_host_config){ .frame_bytes = frames[i],
									 .root = "" },
					 &host, NULL),
				 0);
		began_ns = clock_now_ns();
		for (uint64_t round = 1; round <= ROUNDS; round++)
			known = governor_host_read(host, round * 2 * NS_PER_S, &host_state,
						   &free_bytes);
		print_message("%s frames: %llu ns a reading%s\n", i ? "2 MiB" : "4 KiB",
			      (unsigned long long)((clock_now_ns() - began_ns) / ROUNDS),
			      known ? "" : " (nothing known)");
		if (frames[i] == GUEST_PAGE_BYTES)
			assert_true(known);
		governor_host_destroy(host);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		CASE(what_is_above_the_soft_mark_can_be_had),
		CASE(the_state_follows_what_is_available),
		CASE(readings_are_kept_for_a_moment),
		CASE(a_limit_anywhere_up_the_tree_bounds_it),
		CASE(page_cache_of_the_cgroup_that_nobody_uses_is_free),
		CASE(the_old_cgroups_are_read_as_well),
		CASE(tasks_that_wait_for_memory_are_a_shortage),
		CASE(files_with_nonsense_are_left_out),
		CASE(a_host_without_these_files_says_nothing),
		cmocka_unit_test(this_host_is_read_in_little_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
