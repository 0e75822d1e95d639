/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* file.c - see file.h. Sources: rename(2); fsync(2): the directory needs one of its own. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/units.h"

/* Anybody who can write the file decides what we do. */
static int check_file(const struct stat *file, size_t bytes_max, struct err *err)
{
	char most[UNITS_TEXT_BYTES];

	if (!S_ISREG(file->st_mode))
		return err_set(err, -EINVAL, "is not a regular file");
	if (file->st_uid != geteuid() && file->st_uid != 0)
		return err_set(err, -EPERM, "belongs to user %u; it must be yours or root's",
			       (unsigned)file->st_uid);
	if (file->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, -EPERM, "others may write it (mode %04o); chmod go-w it first",
			       (unsigned)file->st_mode & 07777);
	if (file->st_size < 0 || (size_t)file->st_size > bytes_max)
		return err_set(err, -EFBIG, "is larger than %s",
			       units_format_size(bytes_max, most));
	return 0;
}

static int open_to_read(int dir_fd, const char *path, unsigned flags, struct err *err)
{
	int follow = flags & FILE_FOLLOW_LINKS ? 0 : O_NOFOLLOW;
	int fd = openat(dir_fd, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | follow);

	if (fd < 0 && errno == ELOOP && follow)
		return err_set(err, -ELOOP, "is a symbolic link");
	return fd < 0 ? err_set(err, -errno, "cannot open it: %m") : fd;
}

int file_read_trusted(int dir_fd, const char *path, unsigned flags, size_t bytes_max,
		      char **ret_text, size_t *ret_len, struct err *err)
{
	CLEANUP(close_fd)
	int fd = open_to_read(dir_fd, path, flags, err);
	CLEANUP(free_text)
	char *text = NULL;
	struct stat file;
	int ret;

	if (fd < 0)
		return fd;
	if (fstat(fd, &file) < 0)
		return err_set(err, -errno, "cannot look at it: %m");
	ret = check_file(&file, bytes_max, err);
	if (ret < 0)
		return ret;
	text = malloc((size_t)file.st_size + 1);
	if (!text)
		return err_set(err, -ENOMEM, "out of memory");
	ret = fd_read_full(fd, text, (size_t)file.st_size, 0);
	if (ret < 0)
		return err_set(err, ret, "cannot read it: %s", strerror(-ret));
	text[file.st_size] = '\0';
	*ret_len = (size_t)file.st_size;
	*ret_text = text;
	text = NULL;
	return 0;
}

/* Written, and on the disk if @durable; closed in any case. A full disk may tell only now. */
static int write_new(int dir_fd, const char *name, const void *bytes, size_t len, bool durable)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int ret;

	if (fd < 0)
		return -errno;
	ret = fd_write_full(fd, bytes, len);
	if (ret == 0 && durable && fsync(fd) < 0)
		ret = -errno;
	if (close(fd) < 0 && ret == 0)
		ret = -errno;
	return ret;
}

int file_replace(int dir_fd, const char *name, const void *bytes, size_t len, bool durable,
		 struct err *err)
{
	char beside[NAME_MAX + 1];
	int ret;

	if ((size_t)snprintf(beside, sizeof(beside), ".%s.new", name) >= sizeof(beside))
		return err_set(err, -ENAMETOOLONG, "the name is too long");
	(void)unlinkat(dir_fd, beside, 0);
	ret = write_new(dir_fd, beside, bytes, len, durable);
	if (ret == 0 && renameat(dir_fd, beside, dir_fd, name) < 0)
		ret = -errno;
	if (ret < 0) {
		(void)unlinkat(dir_fd, beside, 0);
		return err_set(err, ret, "cannot write it: %s", strerror(-ret));
	}
	if (durable && fsync(dir_fd) < 0)
		return err_set(err, -errno,
			       "written, but perhaps not there after a power failure: %m");
	return 0;
}
