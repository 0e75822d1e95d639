/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* hugemount.h - a private hugetlbfs mount with exactly so many 2 MiB pages: a small pool of our
 * own.
 *
 * min_size makes the kernel promise us the pages when it mounts, so that others on this host cannot
 * take them; size is the limit that makes famine come when the test wants it. The mount lives in a
 * mount namespace of this process alone, and goes with it.
 */
#ifndef NEAP_TESTS_SUPPORT_HUGEMOUNT_H
#define NEAP_TESTS_SUPPORT_HUGEMOUNT_H

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "testing.h"

enum { HUGEMOUNT_TEXT_BYTES = 160 };

/* Once per process, before hugemount_make(). Ends the program as skipped without the rights. */
TESTING_INLINE void hugemount_enter(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		test_skip_program("no right to make a mount namespace (run as root)");
	if (mount("neap-test", "/mnt", "tmpfs", 0, NULL) < 0)
		test_skip_program("no right to mount (run as root)");
}

/* A mount of @frames pages at @dir (a fresh path below /mnt). Skips when they cannot be had. */
TESTING_INLINE void hugemount_make(const char *dir, unsigned frames)
{
	char text[HUGEMOUNT_TEXT_BYTES];

	snprintf(text, sizeof(text), "pagesize=2M,size=%uM,min_size=%uM", 2 * frames, 2 * frames);
	if (mkdir(dir, S_IRWXU) == 0 && mount("neap-test", dir, "hugetlbfs", 0, text) == 0)
		return;
	snprintf(text, sizeof(text), "no %u free huge pages of 2 MiB (%s)", frames,
		 strerror(errno));
	test_skip_program(text);
}

TESTING_INLINE void hugemount_remove(const char *dir)
{
	assert_int_equal(umount(dir), 0);
}

#endif
