/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_file.h - a file without a name, and whole transfers to and from it.
 *
 * Threads: any; each transfer waits for the disk.
 */
#ifndef NEAP_MEMORY_SWAP_FILE_H
#define NEAP_MEMORY_SWAP_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* pread and pwrite; tests put their own here. */
struct swap_io {
	ssize_t (*read)(int fd, void *buf, size_t len, off_t offset);
	ssize_t (*write)(int fd, const void *buf, size_t len, off_t offset);
	/* A transfer that went by itself (@out: to the disk) ended with @result, bytes or -errno:
	 * what it is to be taken for. NULL: none goes by itself. */
	ssize_t (*arrived)(void *buf, bool out, ssize_t result);
};

extern const struct swap_io swap_io_kernel;

/**
 * swap_file_open() - a file of @size_bytes in @dir, all of it allocated, for direct I/O
 *
 * What is refused, and why, is at swap_store_open(). Direct I/O by 4 KiB is tried out.
 *
 * Return: a descriptor, or a negative errno with @err set.
 */
int swap_file_open(const char *dir, uint64_t size_bytes, struct err *err);

/**
 * swap_file_write() - @len bytes of @buf, all of them, to @offset
 * @buf, @len, @offset: multiples of 4 KiB
 * Return: 0; -EIO: refused or short; -ENOMEM: the kernel lacks memory.
 */
int swap_file_write(const struct swap_io *io, int fd, const uint8_t *buf, size_t len, off_t offset);
/* 0; -EIO: refused, or the file ends too early. */
int swap_file_read(const struct swap_io *io, int fd, uint8_t *buf, size_t len, off_t offset);

#endif
