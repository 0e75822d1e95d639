/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* scratch.h - a directory of a test's own, gone at its end, and a small file system that can be full
 * or read-only.
 */
#ifndef NEAP_TESTS_SUPPORT_SCRATCH_H
#define NEAP_TESTS_SUPPORT_SCRATCH_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testing.h"

static char scratch_dir[] = "/tmp/neap-test-XXXXXX";

TESTING_INLINE int scratch_make(void **state)
{
	(void)state;
	memcpy(scratch_dir + sizeof(scratch_dir) - 7, "XXXXXX", 6);
	return mkdtemp(scratch_dir) ? 0 : -1;
}

TESTING_INLINE int scratch_remove(void **state)
{
	char command[sizeof(scratch_dir) + 16];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf %s", scratch_dir);
	return system(command);
}

/* One of a few buffers: good for one expression. */
TESTING_INLINE const char *scratch_path(const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	(void)snprintf(path, PATH_MAX, "%s/%s", scratch_dir, name);
	return path;
}

TESTING_INLINE void scratch_write(const char *name, const char *text)
{
	int fd = open(scratch_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

/* What the file holds, cut at 1 MiB; a static buffer. NULL: there is none. */
TESTING_INLINE const char *scratch_read(const char *name)
{
	static char text[1 << 20];
	int fd = open(scratch_path(name), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		(void)close(fd);
	if (len < 0)
		return NULL;
	text[len] = '\0';
	return text;
}

TESTING_INLINE bool scratch_has(const char *name)
{
	return faccessat(AT_FDCWD, scratch_path(name), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Mounts a tmpfs of @kib at @name; seen by this process alone. False: not allowed (not root). */
TESTING_INLINE bool scratch_mount(const char *name, unsigned kib)
{
	static bool is_apart;
	char size[32];

	(void)snprintf(size, sizeof(size), "size=%uk,mode=0700", kib);
	if (!is_apart && unshare(CLONE_NEWNS) < 0)
		return false;
	if (!is_apart && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	is_apart = true;
	assert_true(mkdir(scratch_path(name), 0700) == 0 || errno == EEXIST);
	return mount("neap-test", scratch_path(name), "tmpfs", 0, size) == 0;
}

TESTING_INLINE void scratch_unmount(const char *name)
{
	assert_int_equal(umount2(scratch_path(name), MNT_DETACH), 0);
}

TESTING_INLINE void scratch_set_read_only(const char *name, bool is_read_only)
{
	assert_int_equal(mount(NULL, scratch_path(name), NULL,
			       MS_REMOUNT | (is_read_only ? MS_RDONLY : 0), NULL),
			 0);
}

/* Until there is no room for one byte more. */
TESTING_INLINE void scratch_fill(const char *name)
{
	static const char page[4096];
	int fd = open(scratch_path(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	while (write(fd, page, sizeof(page)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(close(fd), 0);
}

#endif
