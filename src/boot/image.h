/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* image.h - a kernel or initrd to read: a file that may lie, or bytes already in memory.
 *
 * A file is opened without waiting, must be a regular file, and is read with pread, never mapped:
 * a file cut short under a mapping would be a SIGBUS. A header is read once into a local, checked
 * there and used from there. image_check_unchanged() after the last read tells a file that was
 * rewritten meanwhile.
 */
#ifndef NEAP_BOOT_IMAGE_H
#define NEAP_BOOT_IMAGE_H

#include <sys/stat.h>

#include "base/err.h"
#include "memory/ram.h"

struct image {
	const char *name; /* for messages: the path; borrowed */
	const char *role; /* "kernel" or "initrd" */
	int fd;		  /* -1 when bytes is set */
	const uint8_t *bytes;
	uint64_t len_bytes;
	struct stat opened; /* as it was found */
};

/* 0; -ENOENT, -EACCES...: cannot be opened; -EINVAL: not a regular file, or empty. */
int image_open(const char *path, const char *role, struct image *ret_image, struct err *err);
void image_from_memory(const void *bytes, uint64_t len_bytes, const char *name,
		       struct image *ret_image);
void image_close(struct image *image); /* usable with CLEANUP */

/* Are the bytes [offset, offset + len_bytes) inside the image? */
bool image_holds(const struct image *image, uint64_t offset, uint64_t len_bytes);

/* Whole reads; the range must be inside. 0 or a negative errno with @err set. */
int image_read(const struct image *image, uint64_t offset, void *to, uint64_t len_bytes,
	       struct err *err);
int image_read_to_ram(const struct image *image, uint64_t offset, struct ram *ram, gpa_t to,
		      uint64_t len_bytes, struct err *err);

/* 0; -EBUSY: its length or times are not those found at open. */
int image_check_unchanged(const struct image *image, struct err *err);

/* -EINVAL, with "NAME is not a kernel neap can boot: REASON". */
int image_refuse(const struct image *image, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Words for a failure of memory/access.h at @gpa. Returns @code. */
int image_ram_failed(int code, const char *what, gpa_t gpa, struct err *err);

#endif
