/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* watch.h - somebody looks after the threads that guest memory depends on. Inside memory/ only.
 *
 * For: noticing within WATCH_NOTICE_MS that such a thread has died, or was stopped while somebody has
 * work for the engine, and later that it does not answer; holding a second descriptor of the
 * userfaultfd; saying on a thread of its own what a signal handler must not say itself. Not for:
 * mending anything. What happens then is ram_events.failed's business: the VM has to end.
 *
 * While nobody has work it sleeps, and costs nothing.
 *
 * watch.c has the rules, and what is done against false alarms.
 * Threads: one of its own, named "watch".
 */
#ifndef NEAP_MEMORY_WATCH_H
#define NEAP_MEMORY_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/gpa.h"
#include "memory/ram.h"

enum {
	WATCH_MAX_THREADS = 8,
	WATCH_NOTICE_MS = 60,	/* dead or stopped, on a host that gives us a processor */
	WATCH_ASLEEP_MS = 5000, /* asleep with work before it */
	WATCH_CALM_MS = 30,	/* between two looks, while there is work */
	WATCH_REST_MS = 1000, /* the same while there is none, on a kernel that tells of no death */
	WATCH_ALERT_MS = 10,  /* the same, once something looks wrong */
	WATCH_LOOKS_TO_STOP = 4, /* looks in a row that find a thread stopped */
};

struct watch; /* opaque */

/* A thread's place in it; the thread's owner keeps it alive from watch_enter() to watch_leave(). */
struct watched {
	const char *task;	/* what it does, to put between "the thread that" and "died" */
	bool must_answer;	/* faults wait for it: it may not sleep for long while they do */
	_Atomic uint64_t beats; /* odd: it has taken work and not finished it */
	atomic_bool waited_for; /* it is done for now, but somebody still waits for it */
	struct watch *watch;	/* watch.c's, as all below */
	atomic_bool *rests;	/* whom to wake; NULL: nobody */
	int stat_fd, end_fd;
	uint64_t beats_seen;
	unsigned stopped_looks;
	uint64_t asleep_ns;
};

/**
 * watch_start() - start the thread
 * @events: failed() is called once at most, on the watching thread or that of watch_fail();
 *          starved() as watch_starved() says
 * Return: 0 or a negative errno with @err set.
 */
int watch_start(const struct ram_events *events, struct watch **ret_watch, struct err *err);
void watch_stop(struct watch *watch); /* every watched thread has left */

/* Keep a second descriptor of the userfaultfd until watch_stop(), so that closing the first one by
 * mistake does not let guests read zeros; and look at it for faults that nobody takes. */
int watch_keep_uffd(struct watch *watch, int uffd);

/**
 * watch_enter() - this thread is looked after from now on, until it calls watch_leave()
 * @watch: NULL: nobody looks; for tests of a part alone
 *
 * With task and must_answer set and the rest zero.
 * Return: 0; -ENOSPC: WATCH_MAX_THREADS; another negative errno: /proc cannot be read.
 * Source: proc(5) "/proc/[pid]/task", "/proc/[pid]/stat".
 */
int watch_enter(struct watch *watch, struct watched *self);
/* Also if it never entered, or has left. Of a thread that died, its owner calls it. */
void watch_leave(struct watch *watch, struct watched *self);

void watch_end_rest(struct watch *watch); /* watch_busy()'s */

/* The thread's own: it has taken work, or has got one step further with it. One atomic exchange; a
 * system call only if the watch rests and this thread must answer (W2). */
static inline void watch_busy(struct watched *self)
{
	uint64_t beats = atomic_load_explicit(&self->beats, memory_order_relaxed);

	atomic_store(&self->beats, (beats | 1) + 2);
	if (self->rests && atomic_load(self->rests))
		watch_end_rest(self->watch);
}

/* The thread's own: it is done with it. @waited_for: but somebody waits until it gets on, when others
 * have done theirs or after a while. */
static inline void watch_idle(struct watched *self, bool waited_for)
{
	uint64_t beats = atomic_load_explicit(&self->beats, memory_order_relaxed);

	atomic_store_explicit(&self->waited_for, waited_for, memory_order_relaxed); /* W4 */
	atomic_store_explicit(&self->beats, (beats | 1) + 1, memory_order_release);
}

/* The VM has to end. @why: a text that lives for ever. Any thread, also a signal handler: what calls
 * failed() is the watching thread. Only the first counts. */
void watch_fail(struct watch *watch, const char *why);

/* A thread waits for a frame at @gpa, outside the pager (true); it has got it (false). Signal
 * handlers too. starved() is called on the watching thread, for the first who waits and after the
 * last. */
void watch_starved(struct watch *watch, gpa_t gpa, bool starving);

#endif
