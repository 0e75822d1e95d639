/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* sigbus.c - see sigbus.h.
 *
 * Problem. A signal handler may do next to nothing, the process has only one of them, and there may
 * be several RAMs.
 *
 * Design. A table of guards that is only read here. What has to be told is told by the guard's
 * watching thread (watch.h, A4). What the handler does itself are system calls: fallocate, which
 * says ENOSPC and means it, and a short sleep before it tries again.
 *
 *  a hole in our views     BUS_ADRERR        Allocate its frame, however long that takes; the
 *                                            instruction then runs again. Counts as famine.
 *  lost memory of ours     BUS_MCEERR_AR     failed(); this thread sleeps until the process ends,
 *                                            because its instruction can never be finished.
 *                          BUS_MCEERR_AO     failed(); this thread goes on.
 *  anything else           any               The action from before: another's handler, or death
 *                                            with the terminal put in order.
 *
 * Invariants
 *  G1  A slot of the table changes only while nobody touches the views it speaks of, so a handler
 *      that finds its address in a guard may use the guard.
 *  G2  The action from before is never put back: a process that guards once keeps the handler, and
 *      an empty table passes everything on. Who takes the signal after us has it until the next
 *      sigbus_guard(); that one passes on to them.
 *
 * Source: Linux mm/memory-failure.c kill_proc; Documentation/mm/hwpoison.rst.
 */
#include "memory/sigbus.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/tty.h"
#include "memory/watch.h"

static _Atomic(const struct sigbus_guard *) guards[SIGBUS_MAX_GUARDS];
static struct sigaction before; /* written before the handler can run */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const char broken_text[] = "the host's hardware lost memory of this guest (SIGBUS)";
static const char lost_text[] = "the file behind guest memory cannot be used any more (SIGBUS)";

/* True when @address is in one of the guard's views: its offset in the file. */
static bool find_offset(const struct sigbus_guard *guard, const uint8_t *address,
			uint64_t *ret_offset_bytes)
{
	uintptr_t at = (uintptr_t)address;
	uint64_t in_host = at - (uintptr_t)guard->host_view;

	if (at >= (uintptr_t)guard->host_view && in_host < guard->layout->ram_bytes) {
		*ret_offset_bytes = in_host;
		return true;
	}
	return at >= (uintptr_t)guard->guest_view &&
	       ram_layout_offset(guard->layout, GPA(at - (uintptr_t)guard->guest_view), 1,
				 ret_offset_bytes);
}

static const struct sigbus_guard *find_guard(const uint8_t *address, uint64_t *ret_offset_bytes)
{
	for (unsigned i = 0; i < SIGBUS_MAX_GUARDS; i++) {
		const struct sigbus_guard *guard = atomic_load(&guards[i]);

		if (guard && find_offset(guard, address, ret_offset_bytes))
			return guard;
	}
	return NULL;
}

/* 0; -EAGAIN: not now; another negative errno that no waiting mends. */
static int fill(const struct sigbus_guard *guard, uint64_t offset_bytes)
{
	uint64_t frame_bytes = guard->layout->frame_bytes;

	if (fallocate(guard->fd, FALLOC_FL_KEEP_SIZE, (off_t)align_down(offset_bytes, frame_bytes),
		      (off_t)frame_bytes) == 0)
		return 0;
	return errno == ENOSPC || errno == ENOMEM || errno == EDQUOT || errno == EINTR ? -EAGAIN
										       : -errno;
}

static void nap(void)
{
	const struct timespec retry = { .tv_nsec = (long)(SIGBUS_RETRY_MS * NS_PER_MS) };

	(void)nanosleep(&retry, NULL);
}

static void give_up(const struct sigbus_guard *guard, const char *why, bool must_not_return)
{
	watch_fail(guard->watch, why);
	while (must_not_return)
		nap();
}

static void wait_for_frame(const struct sigbus_guard *guard, uint64_t offset_bytes)
{
	gpa_t gpa = ram_layout_gpa(guard->layout, offset_bytes);
	int result = fill(guard, offset_bytes);

	if (result == -EAGAIN) {
		watch_starved(guard->watch, gpa, true);
		do {
			nap();
			result = fill(guard, offset_bytes);
		} while (result == -EAGAIN);
		watch_starved(guard->watch, gpa, false);
	}
	if (result)
		give_up(guard, lost_text, true);
}

static void pass_on(int number, siginfo_t *info, void *context)
{
	struct sigaction fallback = { .sa_handler = SIG_DFL };

	if (before.sa_flags & SA_SIGINFO) {
		before.sa_sigaction(number, info, context);
		return;
	}
	if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
		before.sa_handler(number);
		return;
	}
	if (before.sa_handler == SIG_IGN && info->si_code <= 0)
		return; /* sent by somebody, and meant to be ignored */
	tty_restore();
	(void)sigaction(number, &fallback, NULL);
	if (info->si_code <= 0) /* no instruction will bring it back */
		(void)raise(number);
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	int code = info->si_code, kept_errno = errno;
	uint64_t offset_bytes = 0;
	const struct sigbus_guard *guard =
		code > 0 ? find_guard(info->si_addr, &offset_bytes) : NULL;

	if (!guard)
		pass_on(number, info, context);
	else if (code == BUS_MCEERR_AR || code == BUS_MCEERR_AO)
		give_up(guard, broken_text, code == BUS_MCEERR_AR);
	else
		wait_for_frame(guard, offset_bytes);
	errno = kept_errno;
}

static int install_locked(void)
{
	struct sigaction action = { .sa_sigaction = on_sigbus,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
	struct sigaction now;

	if (sigaction(SIGBUS, NULL, &now) < 0)
		return -errno;
	if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_sigbus)
		return 0;
	before = now; /* G2 */
	(void)sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

int sigbus_guard(const struct sigbus_guard *guard)
{
	int result;

	(void)pthread_mutex_lock(&lock);
	result = install_locked();
	for (unsigned i = 0; i < SIGBUS_MAX_GUARDS && result == 0; i++) {
		const struct sigbus_guard *none = NULL;

		if (atomic_compare_exchange_strong(&guards[i], &none, guard))
			goto out; /* G1 */
	}
	if (result == 0)
		result = -ENOSPC;
out:
	(void)pthread_mutex_unlock(&lock);
	return result;
}

void sigbus_unguard(const struct sigbus_guard *guard)
{
	for (unsigned i = 0; i < SIGBUS_MAX_GUARDS; i++) {
		const struct sigbus_guard *mine = guard;

		(void)atomic_compare_exchange_strong(&guards[i], &mine, NULL);
	}
}
