/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_ram_cgroup.c - HP03: a limit of the hugetlb cgroup is hit while the guest runs.
 *
 * The pool has pages, the cgroup forbids them: for the guest that is famine like any other, and it
 * ends when the limit is raised. Needs a cgroup v2 hierarchy with the hugetlb controller, and root.
 */
#include "../support/hugemount.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "memory/access.h"
#include "memory/discard.h"
#include "memory/hostmem.h"

enum { LIMIT_FRAMES = 4, POOL_FRAMES = 8, PATH_BYTES = 512 };

static char root[PATH_BYTES], group[PATH_BYTES], pool_dir[HUGEMOUNT_TEXT_BYTES];
static bool enabled_here;

static bool write_file(const char *dir, const char *name, const char *text)
{
	char path[2 * PATH_BYTES];
	int fd;
	bool done;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	done = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	(void)close(fd);
	return done;
}

static bool file_says(const char *dir, const char *name, const char *word)
{
	char path[2 * PATH_BYTES], text[PATH_BYTES] = "";
	FILE *file;
	bool found;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "re");
	if (!file)
		return false;
	found = fgets(text, sizeof(text), file) && strstr(text, word);
	(void)fclose(file);
	return found;
}

static bool find_hierarchy(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	bool found = false;
	struct mntent *mount;

	if (!mounts)
		return false;
	while (!found && (mount = getmntent(mounts))) {
		found = strcmp(mount->mnt_type, "cgroup2") == 0 &&
			file_says(mount->mnt_dir, "cgroup.controllers", "hugetlb");
		if (found)
			(void)snprintf(root, sizeof(root), "%s", mount->mnt_dir);
	}
	(void)endmntent(mounts);
	return found;
}

static void leave_group(void)
{
	(void)write_file(root, "cgroup.procs", "0");
	(void)rmdir(group);
	if (enabled_here)
		(void)write_file(root, "cgroup.subtree_control", "-hugetlb");
}

static bool enter_group(void)
{
	if (!file_says(root, "cgroup.subtree_control", "hugetlb")) {
		enabled_here = write_file(root, "cgroup.subtree_control", "+hugetlb");
		if (!enabled_here)
			return false;
	}
	(void)snprintf(group, sizeof(group), "%.*s/neap-test-%d", PATH_BYTES / 2, root, getpid());
	return mkdir(group, S_IRWXU) == 0 && write_file(group, "hugetlb.2MB.max", "8M") &&
	       write_file(group, "cgroup.procs", "0");
}

static void limit_of_the_cgroup_is_famine_and_ends_when_it_is_raised(void **state)
{
	struct ram_config config = { .ram_bytes = POOL_FRAMES * HUGE_FRAME_BYTES,
				     .frame_bytes = HUGE_FRAME_BYTES,
				     .hugetlbfs_dir = pool_dir };
	gpa_t beyond = GPA(LIMIT_FRAMES * HUGE_FRAME_BYTES);
	uint8_t byte = 0x42, seen = 0;
	struct ram *ram = NULL;

	(void)state;
	assert_int_equal(ram_open(&config, &ram, NULL), 0);
	assert_int_equal(ram_back(ram, GPA(0), LIMIT_FRAMES * HUGE_FRAME_BYTES), 0);
	assert_int_equal(ram_write(ram, GPA(HUGE_FRAME_BYTES), &byte, 1), 0);
	assert_int_equal(ram_write(ram, beyond, &byte, 1), -ENOSPC);
	assert_int_equal(ram_discard(ram, 0, 1), 0);
	assert_int_equal(ram_write(ram, beyond, &byte, 1), 0);
	assert_int_equal(ram_back(ram, GPA(0), 1), -ENOSPC);
	assert_true(write_file(group, "hugetlb.2MB.max", "16M"));
	assert_int_equal(ram_back(ram, GPA(0), config.ram_bytes), 0);
	assert_int_equal(ram_read(ram, GPA(HUGE_FRAME_BYTES), &seen, 1), 0);
	assert_int_equal(seen, byte);
	ram_close(ram);
}

/* When others on this host have taken the pool meanwhile, that is what it says instead. */
static void reservation_the_cgroup_forbids_says_where_to_look(void **state)
{
	struct hostmem_pool pool;
	struct ram_config config = { .ram_bytes = POOL_FRAMES * HUGE_FRAME_BYTES,
				     .frame_bytes = HUGE_FRAME_BYTES,
				     .hugetlbfs_dir = pool_dir,
				     .reserve = true };
	struct err err = { 0 };
	struct ram *ram = NULL;

	(void)state;
	assert_true(write_file(group, "hugetlb.2MB.max", "8M"));
	assert_int_equal(ram_open(&config, &ram, &err), -ENOMEM);
	assert_int_equal(hostmem_read_pool(HUGE_FRAME_BYTES, &pool, NULL), 0);
	if (!strstr(err.text,
		    hostmem_available_frames(&pool) < POOL_FRAMES ? "needed" : "hugetlb.*.max"))
		fail_msg("%s", err.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limit_of_the_cgroup_is_famine_and_ends_when_it_is_raised),
		cmocka_unit_test(reservation_the_cgroup_forbids_says_where_to_look),
	};

	hugemount_make(POOL_FRAMES, pool_dir);
	if (!find_hierarchy())
		test_skip_program("no cgroup v2 hierarchy here has the hugetlb controller");
	(void)atexit(leave_group);
	if (!enter_group())
		test_skip_program("no right to make a cgroup (run as root)");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
