/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* wake.h - threads that sleep until there is something to do, woken without a lock.
 *
 * A sleeper reads the count, looks for work, and sleeps only if the count is still the same; a
 * waker makes the work visible first and counts then. So work that appears between the look and
 * the sleep is never slept over, and a waker pays for a system call only when somebody sleeps.
 * Source: futex(2) FUTEX_WAIT, "compare the value and sleep" as one step.
 */
#ifndef NEAP_MEMORY_WAKE_H
#define NEAP_MEMORY_WAKE_H

#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

struct wake {
	_Atomic uint32_t count;
	_Atomic uint32_t sleepers;
};

static inline uint32_t wake_look(struct wake *wake)
{
	return atomic_load(&wake->count);
}

/* Until a wake_some() after @seen was read, or @timeout_ns have passed, or for no reason. */
static inline void wake_sleep(struct wake *wake, uint32_t seen, uint64_t timeout_ns)
{
	struct timespec timeout = { .tv_sec = (time_t)(timeout_ns / NS_PER_S),
				    .tv_nsec = (long)(timeout_ns % NS_PER_S) };

	atomic_fetch_add(&wake->sleepers, 1);
	(void)syscall(SYS_futex, &wake->count, FUTEX_WAIT_PRIVATE, seen, &timeout, NULL, 0);
	atomic_fetch_sub(&wake->sleepers, 1);
}

static inline void wake_some(struct wake *wake, int sleepers)
{
	atomic_fetch_add(&wake->count, 1);
	if (atomic_load(&wake->sleepers))
		(void)syscall(SYS_futex, &wake->count, FUTEX_WAKE_PRIVATE, sleepers, NULL, NULL, 0);
}

static inline void wake_one(struct wake *wake)
{
	wake_some(wake, 1);
}

static inline void wake_all(struct wake *wake)
{
	wake_some(wake, INT_MAX);
}

#endif
