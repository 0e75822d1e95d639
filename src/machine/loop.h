/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* loop.h - a libuv loop with an owner thread, and the two ways to reach it from another thread.
 *
 * Data has one owner thread; others post. A VM has two loops: control (the main thread: sockets,
 * states) and io (devices, console). Order of waiting, so that nobody waits in a circle:
 *   vCPU threads may call io; control may call io and wait for vCPU threads; io waits for nobody.
 */
#ifndef NEAP_MACHINE_LOOP_H
#define NEAP_MACHINE_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <uv.h>

#include "base/err.h"

/* A piece of work for a loop. The poster owns it and keeps it alive; while it is queued, posting
 * it again does nothing, so a task is also a flag that something is to be done. */
struct loop_task {
	void (*run)(void *arg);
	void *arg;
	bool queued; /* under the loop's lock */
	struct loop_task *next;
};

struct loop {
	uv_loop_t uv;
	int wake_fd; /* an eventfd; written when the queue is no longer empty, or to stop */
	uv_poll_t wake;
	pthread_t thread;      /* of loop_start(), for loop_join() */
	bool has_thread;       /* started and not joined: the owner's */
	const char *name;      /* of the thread */
	atomic_bool has_owner; /* somebody runs it, or is about to */
	pthread_mutex_t lock;
	struct loop_task *first, *last; /* under lock */
	atomic_bool stopping;
};

int loop_init(struct loop *loop, struct err *err);
void loop_fini(struct loop *loop); /* every other handle is closed; not running any more */

/* Run on this thread until loop_stop(). */
void loop_run(struct loop *loop);

/* Run on a new thread of that name, which is kept, until loop_stop(); loop_join() waits for its end,
 * once. */
int loop_start(struct loop *loop, const char *name, struct err *err);
void loop_stop(struct loop *loop); /* any thread */
void loop_join(struct loop *loop);
/* The same for at most @ms. False: its thread does something that takes longer. */
bool loop_join_within(struct loop *loop, unsigned ms);

/* Run task->run(task->arg) on the loop's thread, soon. Any thread; allocates nothing. */
void loop_post(struct loop *loop, struct loop_task *task);

/* Run fn(arg) on the loop's thread and return when it has run. Directly if this is that thread,
 * or if the loop has no owner yet (the machine is being built) or any more. */
void loop_call(struct loop *loop, void (*fn)(void *arg), void *arg);

/* Close a handle, once. On its loop's thread, or when that does not run; the handle's memory
 * must outlive loop_fini(). */
void loop_close_handle(uv_handle_t *handle);

#endif
