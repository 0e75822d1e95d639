/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* image.c - see image.h. */
#include "boot/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "memory/access.h"

/* One step of a read into guest RAM: bounds what the host must back at once. */
#define READ_STEP_BYTES (8 * MIB_BYTES)

int image_open(const char *path, const char *role, struct image *ret_image, struct err *err)
{
	/* O_NONBLOCK: opening a FIFO returns at once instead of waiting for its writer. */
	CLEANUP(close_fd)
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct stat opened;

	if (fd < 0)
		return err_set(err, -errno, "cannot open the %s %s: %m", role, path);
	if (fstat(fd, &opened) < 0)
		return err_set(err, -errno, "cannot examine the %s %s: %m", role, path);
	if (!S_ISREG(opened.st_mode))
		return err_set(err, -EINVAL, "the %s %s is not a regular file", role, path);
	if (opened.st_size <= 0)
		return err_set(err, -EINVAL, "the %s %s is empty", role, path);
	*ret_image = (struct image){ .name = path,
				     .role = role,
				     .fd = take_fd(&fd),
				     .len_bytes = (uint64_t)opened.st_size,
				     .opened = opened };
	return 0;
}

void image_from_memory(const void *bytes, uint64_t len_bytes, const char *name,
		       struct image *ret_image)
{
	*ret_image = (struct image){
		.name = name, .role = "kernel", .fd = -1, .bytes = bytes, .len_bytes = len_bytes
	};
}

void image_close(struct image *image)
{
	if (!image->bytes)
		close_fd(&image->fd);
}

bool image_holds(const struct image *image, uint64_t offset, uint64_t len_bytes)
{
	return offset <= image->len_bytes && len_bytes <= image->len_bytes - offset;
}

int image_read(const struct image *image, uint64_t offset, void *to, uint64_t len_bytes,
	       struct err *err)
{
	int failed;

	if (!image_holds(image, offset, len_bytes))
		return image_refuse(image, err, "it ends inside what its headers promise");
	if (image->bytes) {
		memcpy(to, image->bytes + offset, len_bytes);
		return 0;
	}
	failed = fd_read_full(image->fd, to, len_bytes, (off_t)offset);
	if (failed)
		return err_set(err, failed,
			       "cannot read %" PRIu64 " bytes at %" PRIu64 " of the %s %s: %s",
			       len_bytes, offset, image->role, image->name, strerror(-failed));
	return 0;
}

int image_read_to_ram(const struct image *image, uint64_t offset, struct ram *ram, gpa_t to,
		      uint64_t len_bytes, struct err *err)
{
	while (len_bytes > 0) {
		uint64_t step_bytes = len_bytes < READ_STEP_BYTES ? len_bytes : READ_STEP_BYTES;
		void *pointer;
		int failed = ram_ptr(ram, to, step_bytes, &pointer);

		if (failed)
			return image_ram_failed(failed, image->role, to, err);
		failed = image_read(image, offset, pointer, step_bytes, err);
		if (failed)
			return failed;
		offset += step_bytes;
		to.addr += step_bytes;
		len_bytes -= step_bytes;
	}
	return 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

int image_check_unchanged(const struct image *image, struct err *err)
{
	struct stat now;

	if (image->bytes)
		return 0;
	if (fstat(image->fd, &now) < 0)
		return err_set(err, -errno, "cannot examine the %s %s: %m", image->role,
			       image->name);
	if (now.st_size != image->opened.st_size ||
	    !same_time(&now.st_mtim, &image->opened.st_mtim))
		return err_set(err, -EBUSY,
			       "the %s %s changed while it was being read; start again",
			       image->role, image->name);
	return 0;
}

int image_refuse(const struct image *image, struct err *err, const char *fmt, ...)
{
	char reason[ERR_TEXT_BYTES];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(reason, sizeof(reason), fmt, args);
	va_end(args);
	return err_set(err, -EINVAL, "%s is not a kernel neap can boot: %s", image->name, reason);
}

int image_ram_failed(int code, const char *what, gpa_t gpa, struct err *err)
{
	if (code == -ENOSPC)
		return err_set(
			err, code,
			"the host has no memory left to put the %s at guest address 0x%" PRIx64
			": free or reserve huge pages, or use --pages 4K",
			what, gpa.addr);
	return err_set(err, code, "the %s does not fit guest RAM at address 0x%" PRIx64, what,
		       gpa.addr);
}
