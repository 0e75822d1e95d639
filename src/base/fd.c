/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fd.c - see fd.h. */
#include "base/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

void close_fd(int *fd)
{
	int saved_errno = errno;

	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = saved_errno;
}

int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

void free_text(char **pointer)
{
	free(*pointer);
	*pointer = NULL;
}

int fd_read_full(int fd, void *buf, size_t len, off_t offset)
{
	uint8_t *to = buf;

	while (len > 0) {
		ssize_t got = pread(fd, to, len, offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -EIO;
		to += got;
		len -= (size_t)got;
		offset += got;
	}
	return 0;
}

int fd_write_full(int fd, const void *buf, size_t len)
{
	const uint8_t *from = buf;

	while (len > 0) {
		ssize_t put = write(fd, from, len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		from += put;
		len -= (size_t)put;
	}
	return 0;
}

int event_create(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void event_signal(int fd)
{
	/* EAGAIN means the counter is full: the reader is already told. */
	(void)!write(fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

bool event_drain(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count) && count > 0;
}
