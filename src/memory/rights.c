/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* rights.c - see rights.h.
 *
 * Three things allow it, each alone: a readable and writable /dev/userfaultfd (Linux 6.1), the
 * capability SYS_PTRACE, or vm.unprivileged_userfaultfd=1. The device is tried first, because it
 * is the only one that can be given to one user alone. What is missing is told from what the
 * attempts said, not guessed beforehand.
 */
#include "memory/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"

#define DEVICE "/dev/userfaultfd"
#define SYSCTL "vm.unprivileged_userfaultfd"

static bool has_capability(unsigned number)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[CAP_TO_INDEX(number)].effective & CAP_TO_MASK(number);
}

static void __attribute__((format(printf, 2, 3)))
say(char text[RIGHTS_TEXT_BYTES], const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, RIGHTS_TEXT_BYTES, fmt, args);
	va_end(args);
}

/* The userfaultfd, or a negative errno. */
static int open_by_device(void)
{
	CLEANUP(close_fd)
	int device = open(DEVICE, O_RDWR | O_CLOEXEC);
	int uffd;

	if (device < 0)
		return -errno;
	uffd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	return uffd < 0 ? -errno : uffd;
}

static int open_by_call(void)
{
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	return uffd < 0 ? -errno : uffd;
}

static void say_missing(struct userfaultfd_rights *rights, int device_error, int call_error)
{
	if (call_error == -ENOSYS) {
		say(rights->missing, "this kernel has no userfaultfd");
		say(rights->mend, "use a kernel with CONFIG_USERFAULTFD");
		return;
	}
	if (call_error != -EPERM) {
		say(rights->missing, "userfaultfd: %s", strerror(-call_error));
		say(rights->mend, call_error == -EMFILE
					  ? "raise the limit of open files: ulimit -n 1024"
					  : "free memory on this host");
		return;
	}
	say(rights->missing,
	    "no right to use userfaultfd (%s: %s; no CAP_SYS_PTRACE; " SYSCTL " is 0)", DEVICE,
	    strerror(-device_error));
	if (device_error == -EACCES || device_error == -EPERM)
		say(rights->mend,
		    "sudo setfacl -m u:%u:rw " DEVICE ", or: sudo sysctl " SYSCTL "=1",
		    (unsigned)geteuid());
	else
		say(rights->mend, "sudo sysctl " SYSCTL "=1");
}

int rights_open_userfaultfd(struct userfaultfd_rights *ret_rights)
{
	struct userfaultfd_rights rights = { 0 };
	int by_device = open_by_device();
	int uffd = by_device >= 0 ? by_device : open_by_call();

	rights.allowed = uffd >= 0;
	if (by_device >= 0)
		say(rights.how, DEVICE);
	else if (uffd >= 0)
		say(rights.how, has_capability(CAP_SYS_PTRACE) ? "CAP_SYS_PTRACE" : SYSCTL "=1");
	else
		say_missing(&rights, by_device, uffd);
	if (ret_rights)
		*ret_rights = rights;
	return uffd;
}

void rights_deny(struct userfaultfd_rights *rights)
{
	rights->allowed = false;
	say(rights->missing, "this kernel's userfaultfd cannot serve shared memory");
	say(rights->mend, "use Linux 5.14 or later");
}

void rights_check_userfaultfd(struct userfaultfd_rights *ret_rights)
{
	CLEANUP(close_fd)
	int uffd = rights_open_userfaultfd(ret_rights);
	struct uffdio_api api = { .api = UFFD_API,
				  .features = UFFD_FEATURE_MISSING_HUGETLBFS |
					      UFFD_FEATURE_MINOR_HUGETLBFS };

	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) == 0)
		return;
	rights_deny(ret_rights);
}
