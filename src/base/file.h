/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* file.h - small files that others rely on: read only when nobody else can have written them, and
 * replaced so that whoever looks finds the old one or the new one.
 *
 * Names are relative to a directory's descriptor, so a directory that is renamed or mounted over
 * meanwhile does no harm. Threads: any; calls block for as long as the disk does.
 */
#ifndef NEAP_BASE_FILE_H
#define NEAP_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { FILE_FOLLOW_LINKS = 1 << 0 };

/**
 * file_read_trusted() - the whole of a file that nobody but us or root can have written
 * @dir_fd:    AT_FDCWD: @path is as given
 * @flags:     FILE_FOLLOW_LINKS, or 0: a symbolic link is refused
 * @bytes_max: a larger file is refused
 * @ret_text:  malloc()ed; a NUL follows the *ret_len bytes
 *
 * Refused, too: what is not a regular file (a FIFO is not waited for), belongs to another user, or
 * may be written by group or others.
 *
 * Return: 0; -ENOENT; another negative errno. @err says what is wrong, without the path.
 */
int file_read_trusted(int dir_fd, const char *path, unsigned flags, size_t bytes_max,
		      char **ret_text, size_t *ret_len, struct err *err);

/**
 * file_replace() - make @name in @dir_fd a file (0600) of these bytes
 * @durable: the bytes and the name are on the disk before it returns; @dir_fd is then no O_PATH one
 *
 * The new file is written beside the old one as .NAME.new and renamed. A .NAME.new that an earlier
 * process left there goes away.
 *
 * Return: 0; a negative errno (-ENOSPC, -EROFS, ...), @err says what failed, without the path; the
 *         old file, if any, is as it was.
 */
int file_replace(int dir_fd, const char *name, const void *bytes, size_t len, bool durable,
		 struct err *err);

#endif
