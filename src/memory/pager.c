/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pager.c - every first touch of a huge frame is answered by us, so an empty pool is a wait.
 *
 * Problem. Left to the kernel, a vCPU that touches a hole of hugetlbfs while the pool is empty gets
 * nowhere, in one of three ways: KVM_RUN fails with EFAULT; it comes back as MMIO inside RAM; or,
 * with a local APIC in the kernel, KVM makes the fault asynchronous, fails, and starts over for
 * ever without leaving KVM_RUN: a processor burns and nobody is told.
 *
 * Design. The guest view is registered for missing and minor faults. Whoever touches an unmapped
 * frame sleeps; this thread gets a message, allocates the frame with fallocate (which says ENOSPC
 * and means it) and maps it with UFFDIO_CONTINUE. A frame that cannot be had is kept in `starving`
 * and tried again every RETRY_MS.
 *
 * Invariants
 *  P1  This thread never touches the guest view; it would wait for itself.
 *  P2  What it does follows from the frame, never from the kind of the message: messages go stale.
 *  P3  A frame is in `starving` at most once. When there is no room, messages stay in the kernel
 *      until there is: their senders sleep on.
 *  P4  `starved(true)` and `starved(false)` alternate, both from this thread.
 *  P5  A frame that was punched between allocation and mapping (EFAULT) is allocated anew; after
 *      PUNCH_RACES of them the toucher is woken and asks again itself.
 *
 * Limits. 4 KiB frames are not registered: ordinary memory has no pool to run dry, and a fault
 * there would cost three times the kernel's. A toucher that sleeps in the kernel without a signal's
 * way out (KVM before 6.3, interrupts off in the guest) stays there until there is memory, or the
 * process ends.
 *
 * Sources. Linux Documentation/admin-guide/mm/userfaultfd.rst "Resolving Userfaults", "Minor
 * Faults"; virt/kvm/async_pf.c.
 */
#include "memory/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "memory/ram_internal.h"

enum { MAX_STARVING = 256, RETRY_MS = 2, PUNCH_RACES = 8, MESSAGES_PER_READ = 16 };

struct pager {
	struct ram *ram;
	struct ram_events events;
	int uffd;
	int stop_fd;
	bool running;
	pthread_t thread;
	unsigned starving_count;
	uint64_t starving[MAX_STARVING]; /* offsets in the file */
};

static uint64_t view_address(const struct pager *pager, uint64_t offset_bytes)
{
	return (uint64_t)(uintptr_t)pager->ram->guest.base +
	       ram_layout_gpa(&pager->ram->layout, offset_bytes).addr;
}

static int wake(const struct pager *pager, struct uffdio_range range)
{
	return ioctl(pager->uffd, UFFDIO_WAKE, &range) < 0 ? -errno : 0;
}

/* Map one frame that the file holds, and wake who waits for it. */
static int map_frame(const struct pager *pager, uint64_t offset_bytes)
{
	struct uffdio_continue request = {
		.range = { .start = view_address(pager, offset_bytes),
			   .len = pager->ram->layout.frame_bytes },
	};

	while (ioctl(pager->uffd, UFFDIO_CONTINUE, &request) < 0) {
		if (errno == EEXIST)
			return wake(pager, request.range);
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return 0;
}

/* 0: the frame is there, or its toucher was woken to ask again; -ENOSPC: not now. */
static int settle_frame(const struct pager *pager, uint64_t offset_bytes)
{
	uint64_t frame_bytes = pager->ram->layout.frame_bytes;
	int result = -EFAULT;

	for (int i = 0; i < PUNCH_RACES && result == -EFAULT; i++) { /* P5 */
		result = ram_allocate_offset(pager->ram, offset_bytes, frame_bytes);
		if (result == 0)
			result = map_frame(pager, offset_bytes);
	}
	if (result != -EFAULT)
		return result;
	return wake(pager, (struct uffdio_range){ .start = view_address(pager, offset_bytes),
						  .len = frame_bytes });
}

static void tell_starved(const struct pager *pager, uint64_t offset_bytes, bool starving)
{
	if (pager->events.starved)
		pager->events.starved(pager->events.ctx,
				      ram_layout_gpa(&pager->ram->layout, offset_bytes), starving);
}

static bool is_starving(const struct pager *pager, uint64_t offset_bytes)
{
	for (unsigned i = 0; i < pager->starving_count; i++)
		if (pager->starving[i] == offset_bytes)
			return true;
	return false;
}

/* False: an error that no retry mends. */
static bool serve(struct pager *pager, uint64_t offset_bytes)
{
	int result;

	if (is_starving(pager, offset_bytes)) /* P3 */
		return true;
	result = settle_frame(pager, offset_bytes);
	if (result == 0)
		return true;
	if (result != -ENOSPC && result != -ENOMEM)
		return false;
	pager->starving[pager->starving_count++] = offset_bytes;
	if (pager->starving_count == 1)
		tell_starved(pager, offset_bytes, true); /* P4 */
	return true;
}

/* Oldest first, until the pool is empty again. */
static void retry_starving(struct pager *pager)
{
	unsigned served = 0;
	uint64_t last = 0;

	while (served < pager->starving_count) {
		last = pager->starving[served];
		if (settle_frame(pager, last) != 0)
			break;
		served++;
	}
	if (served == 0)
		return;
	pager->starving_count -= served;
	for (unsigned i = 0; i < pager->starving_count; i++)
		pager->starving[i] = pager->starving[i + served];
	if (pager->starving_count == 0)
		tell_starved(pager, last, false); /* P4 */
}

static bool serve_message(struct pager *pager, const struct uffd_msg *message)
{
	uint64_t base = (uint64_t)(uintptr_t)pager->ram->guest.base;
	uint64_t offset_bytes;

	if (message->event != UFFD_EVENT_PAGEFAULT)
		return true;
	if (!ram_layout_offset(&pager->ram->layout, GPA(message->arg.pagefault.address - base), 1,
			       &offset_bytes))
		return false;
	return serve(pager, align_down(offset_bytes, pager->ram->layout.frame_bytes));
}

/* As many messages as there is room to starve for. */
static bool read_messages(struct pager *pager)
{
	struct uffd_msg messages[MESSAGES_PER_READ];
	size_t room = MAX_STARVING - pager->starving_count;
	size_t most = room < MESSAGES_PER_READ ? room : MESSAGES_PER_READ;
	ssize_t got = read(pager->uffd, messages, most * sizeof(messages[0]));

	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	for (size_t i = 0; i < (size_t)got / sizeof(messages[0]); i++)
		if (!serve_message(pager, &messages[i]))
			return false;
	return true;
}

static void *pager_thread(void *arg)
{
	struct pager *pager = arg;

	for (;;) {
		bool room = pager->starving_count < MAX_STARVING;
		struct pollfd ready[] = { { .fd = pager->stop_fd, .events = POLLIN },
					  { .fd = room ? pager->uffd : -1, .events = POLLIN } };

		if (poll(ready, ARRAY_LEN(ready), pager->starving_count ? RETRY_MS : -1) < 0 &&
		    errno != EINTR)
			break;
		if (ready[0].revents)
			return NULL;
		if (pager->starving_count)
			retry_starving(pager);
		if (ready[1].revents && !read_messages(pager))
			break;
	}
	if (pager->events.failed)
		pager->events.failed(pager->events.ctx,
				     "the thread that answers page faults failed");
	return NULL;
}

/* /dev/userfaultfd needs no privilege but the file's; the system call needs CAP_SYS_PTRACE or
 * vm.unprivileged_userfaultfd, since KVM touches guest memory from inside the kernel. */
static int open_uffd(void)
{
	CLEANUP(close_fd)
	int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	int uffd = -1;

	if (device >= 0)
		uffd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0)
		uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	return uffd < 0 ? -errno : uffd;
}

static int register_view(const struct pager *pager)
{
	struct uffdio_api api = { .api = UFFD_API,
				  .features = UFFD_FEATURE_MISSING_HUGETLBFS |
					      UFFD_FEATURE_MINOR_HUGETLBFS };
	const struct ram_layout *layout = &pager->ram->layout;

	if (ioctl(pager->uffd, UFFDIO_API, &api) < 0)
		return -errno;
	for (unsigned i = 0; i < layout->region_count; i++) {
		struct uffdio_register request = {
			.range = { .start = view_address(pager, layout->regions[i].offset_bytes),
				   .len = layout->regions[i].len_bytes },
			.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR,
		};

		if (ioctl(pager->uffd, UFFDIO_REGISTER, &request) < 0)
			return -errno;
	}
	return 0;
}

static int start_thread(struct pager *pager)
{
	int result = -pthread_create(&pager->thread, NULL, pager_thread, pager);

	if (result == 0) {
		pager->running = true;
		(void)pthread_setname_np(pager->thread, "pager");
	}
	return result;
}

int pager_start(struct ram *ram, const struct ram_events *events, struct pager **ret_pager,
		struct err *err)
{
	struct pager *pager = calloc(1, sizeof(*pager));
	int result;

	if (!pager)
		return err_set(err, -ENOMEM, "pager: out of memory");
	pager->ram = ram;
	pager->events = *events;
	pager->stop_fd = event_create();
	pager->uffd = open_uffd();
	result = pager->uffd < 0 ? pager->uffd : pager->stop_fd < 0 ? pager->stop_fd : 0;
	if (result == 0)
		result = register_view(pager);
	if (result == 0)
		result = start_thread(pager);
	if (result < 0) {
		pager_stop(pager);
		errno = -result;
		return err_set(err, result, "pager: userfaultfd: %m");
	}
	*ret_pager = pager;
	return 0;
}

void pager_stop(struct pager *pager)
{
	if (!pager)
		return;
	if (pager->running) {
		event_signal(pager->stop_fd);
		(void)pthread_join(pager->thread, NULL);
	}
	close_fd(&pager->uffd);
	close_fd(&pager->stop_fd);
	free(pager);
}

void pager_map(struct pager *pager, uint64_t offset_bytes, uint64_t len_bytes)
{
	uint64_t frame_bytes = pager->ram->layout.frame_bytes;

	for (uint64_t done = 0; done < len_bytes; done += frame_bytes)
		if (map_frame(pager, offset_bytes + done) < 0)
			return; /* it will fault, and be mapped then */
}
