/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_locked.c - see swap_locked.h. Sources: mlock(2); madvise(2); memfd_secret(2). */
#include "memory/swap_locked.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/units.h"

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447 /* Linux 5.14; the headers of Debian 12 may lack it */
#endif

static int say_limit(uint64_t len_bytes, int code, struct err *err)
{
	char text[UNITS_TEXT_BYTES];

	return err_set(err, code,
		       "swap: cannot lock %s in memory (%s): raise the limit on locked memory "
		       "(ulimit -l, LimitMEMLOCK=)",
		       units_format_size(len_bytes, text), strerror(-code));
}

static void *map_secret(uint64_t len_bytes)
{
	CLEANUP(close_fd)
	int fd = (int)syscall(SYS_memfd_secret, FD_CLOEXEC);
	void *at;

	if (fd < 0 || ftruncate(fd, (off_t)len_bytes) < 0)
		return MAP_FAILED;
	at = mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return at;
}

static void *map_anonymous(uint64_t len_bytes)
{
	return mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Both are hints that no kernel since 3.4 refuses for memory of our own. */
static void hide(void *at, uint64_t len_bytes)
{
	(void)madvise(at, len_bytes, MADV_DONTDUMP);
	(void)madvise(at, len_bytes, MADV_DONTFORK);
}

int locked_map_key(uint64_t len_bytes, struct locked_area *ret_area, struct err *err)
{
	void *at = map_secret(len_bytes);

	if (at == MAP_FAILED) {
		at = map_anonymous(len_bytes);
		if (at == MAP_FAILED)
			return say_limit(len_bytes, -errno, err);
		if (mlock(at, len_bytes) < 0) {
			int code = -errno;

			(void)munmap(at, len_bytes);
			return say_limit(len_bytes, code, err);
		}
	}
	hide(at, len_bytes);
	*ret_area = (struct locked_area){ at, len_bytes, len_bytes };
	return 0;
}

/* Unmap what lies before @aligned and after its end, of a mapping that is 2 MiB too long. */
static void trim(uint8_t *mapped, uint8_t *aligned, uint64_t len_bytes)
{
	uint64_t before_bytes = (uint64_t)(aligned - mapped);

	if (before_bytes > 0)
		(void)munmap(mapped, before_bytes);
	if (before_bytes < HUGE_FRAME_BYTES)
		(void)munmap(aligned + len_bytes, HUGE_FRAME_BYTES - before_bytes);
}

int locked_map_buffers(uint64_t locked_bytes, struct locked_area *ret_area, struct err *err)
{
	uint64_t len_bytes, start;
	uint8_t *mapped, *at;

	if (!align_up(locked_bytes, HUGE_FRAME_BYTES, &len_bytes))
		return -ERANGE;
	mapped = map_anonymous(len_bytes + HUGE_FRAME_BYTES);
	if (mapped == MAP_FAILED)
		return err_set(err, -errno, "swap: buffers: %m");
	(void)align_up((uintptr_t)mapped, HUGE_FRAME_BYTES, &start);
	at = mapped + (start - (uintptr_t)mapped);
	trim(mapped, at, len_bytes);
	(void)madvise(at, len_bytes, MADV_HUGEPAGE);
	hide(at, len_bytes);
	/* Touched before it is locked: locking less than a huge page would touch it piecemeal. */
	memset(at, 0, len_bytes);
	if (mlock(at, locked_bytes) < 0) {
		int code = -errno;

		(void)munmap(at, len_bytes);
		return say_limit(locked_bytes, code, err);
	}
	*ret_area = (struct locked_area){ at, len_bytes, locked_bytes };
	return 0;
}

void locked_unmap(struct locked_area *area)
{
	if (!area->base)
		return;
	explicit_bzero(area->base, area->locked_bytes);
	(void)munmap(area->base, area->len_bytes);
	*area = (struct locked_area){ 0 };
}
