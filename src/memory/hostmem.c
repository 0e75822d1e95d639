/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* hostmem.c - see hostmem.h.
 *
 * Sources: Linux Documentation/admin-guide/mm/hugetlbpage.rst, for what the files in
 * /sys/kernel/mm/hugepages mean; fs/hugetlbfs/inode.c hugetlbfs_statfs: f_blocks is the mount's
 * size= in huge pages, and 0 when it has none.
 */
#include "memory/hostmem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/units.h"

#define POOL_DIR_FORMAT "/sys/kernel/mm/hugepages/hugepages-%" PRIu64 "kB"

enum { POOL_PATH_BYTES = 512, POOL_TEXT_BYTES = 32 };

static const char *const pool_files[HOSTMEM_POOL_FILES] = {
	"nr_hugepages",	     "free_hugepages",		"resv_hugepages",
	"surplus_hugepages", "nr_overcommit_hugepages",
};

static int read_number(int fd, uint64_t *ret_number)
{
	char text[POOL_TEXT_BYTES], *end;
	uint64_t number;
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);

	if (got <= 0)
		return got < 0 ? -errno : -EIO;
	text[got] = '\0';
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || end == text)
		return -EIO;
	*ret_number = number;
	return 0;
}

int hostmem_reader_open(uint64_t frame_bytes, struct hostmem_reader *ret_reader, struct err *err)
{
	return hostmem_reader_open_at("", frame_bytes, ret_reader, err);
}

int hostmem_reader_open_at(const char *root, uint64_t frame_bytes,
			   struct hostmem_reader *ret_reader, struct err *err)
{
	struct hostmem_reader reader = { .frame_bytes = frame_bytes };
	char path[POOL_PATH_BYTES];
	int result = 0;

	(void)snprintf(path, sizeof(path), "%s" POOL_DIR_FORMAT, root, frame_bytes / KIB_BYTES);
	CLEANUP(close_fd)
	int dir_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return err_set(err, -errno, "huge pages: %s: %m (does this kernel have them?)",
			       path);
	for (size_t i = 0; i < HOSTMEM_POOL_FILES; i++) {
		reader.fds[i] = openat(dir_fd, pool_files[i], O_RDONLY | O_CLOEXEC);
		if (reader.fds[i] < 0 && result == 0)
			result = err_set(err, -errno, "huge pages: %s/%s: %m", path, pool_files[i]);
	}
	if (result)
		hostmem_reader_close(&reader);
	else
		*ret_reader = reader;
	return result;
}

void hostmem_reader_close(struct hostmem_reader *reader)
{
	for (size_t i = 0; i < HOSTMEM_POOL_FILES; i++)
		close_fd(&reader->fds[i]);
}

int hostmem_reader_read(const struct hostmem_reader *reader, struct hostmem_pool *ret_pool,
			struct err *err)
{
	struct hostmem_pool pool = { .frame_bytes = reader->frame_bytes };
	uint64_t *const numbers[HOSTMEM_POOL_FILES] = {
		&pool.total_frames,   &pool.free_frames,       &pool.reserved_frames,
		&pool.surplus_frames, &pool.overcommit_frames,
	};

	for (size_t i = 0; i < HOSTMEM_POOL_FILES; i++) {
		int result = read_number(reader->fds[i], numbers[i]);

		if (result)
			return err_set(err, result, "huge pages: cannot read %s", pool_files[i]);
	}
	*ret_pool = pool;
	return 0;
}

int hostmem_read_pool(uint64_t frame_bytes, struct hostmem_pool *ret_pool, struct err *err)
{
	CLEANUP(hostmem_reader_close)
	struct hostmem_reader reader = { .fds = { -1, -1, -1, -1, -1 } };
	int result = hostmem_reader_open(frame_bytes, &reader, err);

	return result ? result : hostmem_reader_read(&reader, ret_pool, err);
}

int hostmem_read_mount(const char *dir, uint64_t frame_bytes, struct hostmem_pool *ret_pool,
		       struct err *err)
{
	char text[UNITS_TEXT_BYTES];
	struct statfs stat;

	if (statfs(dir, &stat) < 0)
		return err_set(err, -errno, "huge pages: %s: %m", dir);
	if (stat.f_type != HUGETLBFS_MAGIC)
		return err_set(err, -EINVAL,
			       "huge pages: %s is not a hugetlbfs mount; make one with: "
			       "sudo mount -t hugetlbfs -o pagesize=%s none %s",
			       dir, units_format_exact(frame_bytes, text), dir);
	if ((uint64_t)stat.f_bsize != frame_bytes)
		return err_set(err, -EINVAL,
			       "huge pages: the pages of %s are not of %s; mount it with -o "
			       "pagesize=%s",
			       dir, units_format_exact(frame_bytes, text), text);
	if (stat.f_blocks == 0 || stat.f_blocks == (fsblkcnt_t)-1)
		return hostmem_read_pool(frame_bytes, ret_pool, err);
	*ret_pool = (struct hostmem_pool){ .frame_bytes = frame_bytes,
					   .total_frames = stat.f_blocks,
					   .free_frames = stat.f_bfree,
					   .mount_dir = dir };
	return 0;
}

static uint64_t minus(uint64_t from, uint64_t what)
{
	return from > what ? from - what : 0;
}

uint64_t hostmem_available_frames(const struct hostmem_pool *pool)
{
	return minus(pool->free_frames, pool->reserved_frames) +
	       minus(pool->overcommit_frames, pool->surplus_frames);
}

/* Remounting with another size= succeeds and changes nothing (hugetlbfs has no reconfigure), and
 * unmounting fails while a VM runs. A second mount over the first always works. */
static int say_mount_short(const struct hostmem_pool *pool, uint64_t needed_frames, struct err *err)
{
	char page[UNITS_TEXT_BYTES], exact[UNITS_TEXT_BYTES], size[UNITS_TEXT_BYTES];

	return err_set(err, -ENOMEM,
		       "not enough huge pages: %" PRIu64 " of %s needed, %" PRIu64
		       " free below the size= limit of %s; mount a larger one over it with: "
		       "sudo mount -t hugetlbfs -o pagesize=%s,size=%s none %s",
		       needed_frames, units_format_size(pool->frame_bytes, page),
		       hostmem_available_frames(pool), pool->mount_dir,
		       units_format_exact(pool->frame_bytes, exact),
		       units_format_exact(needed_frames * pool->frame_bytes, size),
		       pool->mount_dir);
}

int hostmem_say_short(const struct hostmem_pool *pool, uint64_t needed_frames, struct err *err)
{
	uint64_t available = hostmem_available_frames(pool);
	uint64_t total = pool->total_frames + minus(needed_frames, available);
	char page[UNITS_TEXT_BYTES];

	if (pool->mount_dir)
		return say_mount_short(pool, needed_frames, err);
	return err_set(err, -ENOMEM,
		       "not enough huge pages: %" PRIu64 " of %s needed, %" PRIu64
		       " free; reserve them with: echo %" PRIu64 " | sudo tee " POOL_DIR_FORMAT
		       "/nr_hugepages",
		       needed_frames, units_format_size(pool->frame_bytes, page), available, total,
		       pool->frame_bytes / KIB_BYTES);
}
