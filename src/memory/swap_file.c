/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_file.c - see swap_file.h.
 *
 * Direct I/O, because a write must have failed when it failed: through the page cache the error
 * comes later, to somebody else, or never; and because the host is short of memory when we write.
 * What else counts is huge pages for the buffers (swap_locked.h).
 *
 * Not done: on a file system that writes every block to a new place (btrfs without its "no copy on
 * write" attribute) room that was allocated can still run out later; such a write fails, and the
 * block stays in memory.
 *
 * Sources: open(2) O_TMPFILE, O_EXCL, O_DIRECT; fallocate(2); setrlimit(2) RLIMIT_FSIZE.
 */
#include "memory/swap_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/units.h"

static ssize_t as_it_is(void *buf, bool out, ssize_t result)
{
	(void)buf;
	(void)out;
	return result;
}

const struct swap_io swap_io_kernel = { .read = pread, .write = pwrite, .arrived = as_it_is };

static const char *kind_of_memory(int dir_fd)
{
	struct statfs fs;

	if (fstatfs(dir_fd, &fs) < 0)
		return NULL;
	switch ((unsigned long)fs.f_type) {
	case TMPFS_MAGIC: return "tmpfs";
	case RAMFS_MAGIC: return "ramfs";
	case HUGETLBFS_MAGIC: return "hugetlbfs";
	default: return NULL;
	}
}

static int say_no_directory(const char *dir, int code, struct err *err)
{
	struct stat status;

	if (lstat(dir, &status) == 0 && S_ISLNK(status.st_mode))
		return err_set(err, code,
			       "swap: %s is a symbolic link; name the directory it leads to", dir);
	return err_set(err, code, "swap: %s: %s%s", dir, strerror(-code),
		       code == -ENOENT ? "; make it, or name a directory on a disk" : "");
}

static int open_dir(const char *dir, struct err *err)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	const char *memory;

	if (fd < 0)
		return say_no_directory(dir, -errno, err);
	memory = kind_of_memory(fd);
	if (!memory)
		return fd;
	(void)close(fd);
	return err_set(err, -EINVAL,
		       "swap: %s is on %s, which is memory itself; name a directory on a disk", dir,
		       memory);
}

/* Past RLIMIT_FSIZE the kernel does not only refuse: it sends SIGXFSZ, which ends the process. */
static int check_limit(uint64_t size_bytes, struct err *err)
{
	char text[UNITS_TEXT_BYTES];
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ||
	    size_bytes <= limit.rlim_cur)
		return 0;
	return err_set(err, -EFBIG,
		       "swap: a file of %s is over this process's limit: raise it (ulimit -f, "
		       "LimitFSIZE=)",
		       units_format_size(size_bytes, text));
}

/* Asked first: allocating more than there is fills the disk for everybody before it fails. */
static int check_room(int fd, const char *dir, uint64_t size_bytes, struct err *err)
{
	char wanted[UNITS_TEXT_BYTES], free_text[UNITS_TEXT_BYTES];
	struct statvfs fs;

	if (fstatvfs(fd, &fs) < 0 || fs.f_blocks == 0 || fs.f_bavail >= size_bytes / fs.f_frsize)
		return 0;
	return err_set(
		err, -ENOSPC,
		"swap: %s in %s: only %s are free there; free some, or make the swap smaller",
		units_format_size(size_bytes, wanted), dir,
		units_format_size(fs.f_bavail * fs.f_frsize, free_text));
}

static int allocate(int fd, const char *dir, uint64_t size_bytes, struct err *err)
{
	char text[UNITS_TEXT_BYTES];
	int result;

	do
		result = fallocate(fd, 0, 0, (off_t)size_bytes);
	while (result < 0 && errno == EINTR);
	if (result == 0)
		return 0;
	if (errno == EOPNOTSUPP)
		return err_set(err, -errno,
			       "swap: the file system of %s cannot set room aside; use ext4 or xfs",
			       dir);
	return err_set(err, -errno, "swap: %s in %s: %m; free some, or make the swap smaller",
		       units_format_size(size_bytes, text), dir);
}

/* Write and read one page. Also finds devices whose blocks are larger than 4 KiB. */
static int try_out(int fd, const char *dir, struct err *err)
{
	uint8_t *page = mmap(NULL, GUEST_PAGE_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int result;

	if (page == MAP_FAILED)
		return err_set(err, -errno, "swap: a page to try the file with: %m");
	result = swap_file_write(&swap_io_kernel, fd, page, GUEST_PAGE_BYTES, 0);
	if (result == 0)
		result = swap_file_read(&swap_io_kernel, fd, page, GUEST_PAGE_BYTES, 0);
	(void)munmap(page, GUEST_PAGE_BYTES);
	if (result)
		return err_set(err, result,
			       "swap: a file in %s does no direct I/O by 4 KiB; name a directory "
			       "on another file system",
			       dir);
	return 0;
}

int swap_file_open(const char *dir, uint64_t size_bytes, struct err *err)
{
	CLEANUP(close_fd)
	int dir_fd = open_dir(dir, err);
	CLEANUP(close_fd)
	int fd = -1;
	int result;

	if (dir_fd < 0)
		return dir_fd;
	result = check_limit(size_bytes, err);
	if (result)
		return result;
	/* From the directory that was looked at, whatever @dir means by now. */
	fd = openat(dir_fd, ".", O_TMPFILE | O_EXCL | O_RDWR | O_DIRECT | O_CLOEXEC, 0);
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EINVAL || errno == EISDIR))
		return err_set(err, -EOPNOTSUPP,
			       "swap: the file system of %s has no files without a name "
			       "(O_TMPFILE) or no direct I/O; use ext4 or xfs",
			       dir);
	if (fd < 0)
		return err_set(err, -errno, "swap: a file in %s: %m", dir);
	result = check_room(fd, dir, size_bytes, err);
	if (result == 0)
		result = allocate(fd, dir, size_bytes, err);
	if (result == 0)
		result = try_out(fd, dir, err);
	return result ? result : take_fd(&fd);
}

/* Both ends of the wire: go on after a signal and after part of it. */
int swap_file_write(const struct swap_io *io, int fd, const uint8_t *buf, size_t len, off_t offset)
{
	while (len > 0) {
		ssize_t done = io->write(fd, buf, len, offset);

		if (done < 0 && errno == EINTR)
			continue;
		/* We write when memory is short: that this one could not be is no fault of the disk. */
		if (done < 0 && errno == ENOMEM)
			return -ENOMEM;
		if (done <= 0 || (size_t)done > len)
			return -EIO;
		buf += done;
		len -= (size_t)done;
		offset += done;
	}
	return 0;
}

int swap_file_read(const struct swap_io *io, int fd, uint8_t *buf, size_t len, off_t offset)
{
	while (len > 0) {
		ssize_t done = io->read(fd, buf, len, offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0 || (size_t)done > len)
			return -EIO;
		buf += done;
		len -= (size_t)done;
		offset += done;
	}
	return 0;
}
