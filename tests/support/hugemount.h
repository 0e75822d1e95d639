/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* hugemount.h - a private hugetlbfs mount with exactly so many 2 MiB pages: a small pool of our
 * own.
 *
 * min_size makes the kernel promise us the pages when it mounts, so that others on this host cannot
 * take them; size is the limit that makes famine come when the test wants it. The mount is attached
 * nowhere: only this process can reach it, through a descriptor, and it goes with the process.
 * Source: fsopen(2), fsmount(2) (Linux 5.2).
 */
#ifndef NEAP_TESTS_SUPPORT_HUGEMOUNT_H
#define NEAP_TESTS_SUPPORT_HUGEMOUNT_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "testing.h"

enum { HUGEMOUNT_TEXT_BYTES = 160 };

TESTING_INLINE int hugemount_open(unsigned frames)
{
	char size[32];
	int context = fsopen("hugetlbfs", FSOPEN_CLOEXEC), mount = -1;

	if (context < 0)
		return -1;
	(void)snprintf(size, sizeof(size), "%uM", 2 * frames);
	if (fsconfig(context, FSCONFIG_SET_STRING, "pagesize", "2M", 0) == 0 &&
	    fsconfig(context, FSCONFIG_SET_STRING, "size", size, 0) == 0 &&
	    fsconfig(context, FSCONFIG_SET_STRING, "min_size", size, 0) == 0 &&
	    fsconfig(context, FSCONFIG_SET_STRING, "mode", "0777", 0) == 0 &&
	    fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mount = fsmount(context, FSMOUNT_CLOEXEC, 0);
	(void)close(context);
	return mount;
}

/* The path of a mount of @frames pages, for this process; the caller keeps @path. Ends the program
 * as skipped when the pages cannot be had. */
TESTING_INLINE void hugemount_make(unsigned frames, char path[HUGEMOUNT_TEXT_BYTES])
{
	int mount = hugemount_open(frames);

	if (mount < 0) {
		(void)snprintf(path, HUGEMOUNT_TEXT_BYTES,
			       "cannot mount %u free huge pages of 2 MiB: %s", frames,
			       errno == EPERM ? "not root" : strerror(errno));
		test_skip_program(path);
	}
	(void)snprintf(path, HUGEMOUNT_TEXT_BYTES, "/proc/self/fd/%d", mount);
}

#endif
