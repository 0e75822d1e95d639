/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* backing.c - see backing.h.
 *
 * Sources: memfd_create(2); open(2) O_TMPFILE; fallocate(2); Linux
 * Documentation/admin-guide/mm/hugetlbpage.rst "Using Huge Pages".
 */
#include "memory/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "memory/hostmem.h"

enum { BACKING_PATH_BYTES = 4096 };

static int open_memfd(uint64_t frame_bytes, struct err *err)
{
	unsigned flags = MFD_CLOEXEC;
	int fd;

	if (frame_bytes == HUGE_FRAME_BYTES)
		flags |= MFD_HUGETLB | MFD_HUGE_2MB;
	fd = memfd_create("neap-ram", flags);
	if (fd < 0 && frame_bytes == HUGE_FRAME_BYTES)
		return err_set(err, -errno,
			       "guest RAM: this kernel gives no 2 MiB pages (memfd_create: %m)");
	if (fd < 0)
		return err_set(err, -errno, "guest RAM: memfd_create: %m");
	return fd;
}

/* hugetlbfs learned O_TMPFILE in Linux 5.6; before that, a name that lives for a moment. */
static int open_named(const char *dir, struct err *err)
{
	char path[BACKING_PATH_BYTES];
	int len = snprintf(path, sizeof(path), "%s/neap-ram-XXXXXX", dir);
	int fd;

	if (len < 0 || (size_t)len >= sizeof(path))
		return err_set(err, -ENAMETOOLONG, "guest RAM: the path %.80s... is too long", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "guest RAM: creating a file in %s: %m", dir);
	(void)unlink(path);
	return fd;
}

static int open_on_mount(const struct ram_config *config, struct err *err)
{
	const char *dir = config->hugetlbfs_dir;
	struct hostmem_pool pool;
	int fd, result;

	if (config->frame_bytes != HUGE_FRAME_BYTES)
		return err_set(err, -EINVAL,
			       "guest RAM: a hugetlbfs mount (%s) serves only 2 MiB pages", dir);
	result = hostmem_read_mount(dir, config->frame_bytes, &pool, err);
	if (result)
		return result;
	fd = open(dir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
	if (fd >= 0)
		return fd;
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
		return err_set(err, -errno, "guest RAM: creating a file in %s: %m", dir);
	return open_named(dir, err);
}

int backing_open(const struct ram_config *config, struct err *err)
{
	CLEANUP(close_fd)
	int fd = config->hugetlbfs_dir ? open_on_mount(config, err)
				       : open_memfd(config->frame_bytes, err);
	char text[UNITS_TEXT_BYTES];

	if (fd < 0)
		return fd;
	if (ftruncate(fd, (off_t)config->ram_bytes) < 0)
		return err_set(err, -errno, "guest RAM: a file of %s: %m",
			       units_format_size(config->ram_bytes, text));
	return take_fd(&fd);
}

/* The pool that a file of @config takes from: its mount's when that has a limit of its own. */
static int read_pool(const struct ram_config *config, struct hostmem_pool *ret_pool,
		     struct err *err)
{
	if (config->hugetlbfs_dir)
		return hostmem_read_mount(config->hugetlbfs_dir, config->frame_bytes, ret_pool,
					  err);
	return hostmem_read_pool(config->frame_bytes, ret_pool, err);
}

static int check_pool(const struct ram_config *config, const struct hostmem_pool *pool,
		      uint64_t first_frames, struct err *err)
{
	if (first_frames <= hostmem_available_frames(pool))
		return 0;
	return hostmem_say_short(pool, config->ram_bytes / config->frame_bytes, err);
}

int backing_check_room(const struct ram_config *config, uint64_t first_frames, struct err *err)
{
	struct hostmem_pool pool;
	int result;

	if (config->frame_bytes != HUGE_FRAME_BYTES)
		return 0;
	result = read_pool(config, &pool, err);
	return result ? result : check_pool(config, &pool, first_frames, err);
}

int backing_explain_failure(const struct ram_config *config, uint64_t first_frames, struct err *err)
{
	struct hostmem_pool pool;
	char text[UNITS_TEXT_BYTES];
	int result = backing_check_room(config, first_frames, err);

	/* Below a mount's limit it is the host's pool that ran out. */
	if (result == 0 && config->hugetlbfs_dir &&
	    hostmem_read_pool(config->frame_bytes, &pool, err) == 0)
		result = check_pool(config, &pool, first_frames, err);
	if (result)
		return result;
	return err_set(
		err, -ENOMEM,
		"guest RAM: the host refused %s of memory although it seems to have it; look "
		"for a cgroup limit (memory.max, hugetlb.*.max)",
		units_format_size(first_frames * config->frame_bytes, text));
}

int backing_allocate(int fd, uint64_t offset_bytes, uint64_t len_bytes)
{
	/* A signal (a vCPU's kick) interrupts it; what it got so far stays or is undone, either way
	 * the next call goes on. */
	while (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset_bytes, (off_t)len_bytes) < 0) {
		if (errno == ENOMEM || errno == EDQUOT)
			return -ENOSPC;
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* Newer than Debian 11's headers. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int backing_populate(int fd, void *at, uint64_t offset_bytes, uint64_t len_bytes)
{
	while (madvise(at, len_bytes, MADV_POPULATE_WRITE) < 0) {
		if (errno == EINVAL) /* an old kernel */
			return backing_allocate(fd, offset_bytes, len_bytes);
		if (errno == EFAULT || errno == ENOMEM) /* a touch would have been a SIGBUS */
			return -ENOSPC;
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
	return 0;
}
