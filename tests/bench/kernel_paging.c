/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* kernel_paging.c - what to link into neap so that the kernel answers the guest's page faults.
 *
 * Problem. A first touch under neap is to be compared with the kernel's own: with the same guest,
 * monitor and mappings, and nothing else different.
 * Design. The linker leads neap's calls here (--wrap). The registration with userfaultfd succeeds
 * and does nothing, so no fault ever becomes a message; an allocation succeeds and does nothing, so
 * nothing is there before it is touched. All else passes through, punching holes too. The memory
 * engine goes on believing in what it does, and the kernel does the work.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_fallocate64(int fd, int mode, off_t offset, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t len);
int __real_madvise(void *address, size_t len, int advice);
int __wrap_madvise(void *address, size_t len, int advice);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list list;

	va_start(list, request);
	void *argument = va_arg(list, void *);

	va_end(list);
	if (request == UFFDIO_REGISTER || request == UFFDIO_CONTINUE)
		return 0;
	return __real_ioctl(fd, request, argument);
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t len)
{
	return mode & FALLOC_FL_PUNCH_HOLE ? __real_fallocate64(fd, mode, offset, len) : 0;
}

int __wrap_madvise(void *address, size_t len, int advice)
{
	return advice == MADV_POPULATE_WRITE ? 0 : __real_madvise(address, len, advice);
}
