/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* loop.c - see loop.h.
 *
 * Invariants
 *  L1  A task is linked at most once (`queued`), so a poster that repeats itself costs nothing.
 *  L2  `queued` is cleared before the task runs: a post during the run runs it once more.
 *  L3  A loop that stops first runs what is queued: a loop_call() always returns.
 *
 * Why not uv_async_t: its receiver spins with sched_yield() while the sender is between two steps.
 * A vCPU thread that is preempted there by the very loop it wakes (two threads, one CPU) held up
 * the console for a whole time slice, 15 ms.
 */
#include "machine/loop.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

static _Thread_local struct loop *running_here; /* the loop whose owner this thread is */

static struct loop_task *loop_take_task(struct loop *loop)
{
	struct loop_task *task;

	pthread_mutex_lock(&loop->lock);
	task = loop->first;
	if (task) {
		loop->first = task->next;
		if (!loop->first)
			loop->last = NULL;
		task->queued = false; /* L2 */
	}
	pthread_mutex_unlock(&loop->lock);
	return task;
}

static void run_tasks(struct loop *loop)
{
	struct loop_task *task;

	while ((task = loop_take_task(loop)))
		task->run(task->arg);
}

static void wake_up(struct loop *loop)
{
	(void)eventfd_write(loop->wake_fd, 1); /* full means that it is awake */
}

static void on_wake(uv_poll_t *wake, int status, int events)
{
	struct loop *loop = wake->data;
	eventfd_t wakes;

	(void)status;
	(void)events;
	(void)eventfd_read(loop->wake_fd, &wakes); /* before the queue is looked at */
	run_tasks(loop);
	if (atomic_load(&loop->stopping))
		uv_stop(&loop->uv);
}

static int watch_wake_fd(struct loop *loop)
{
	int ret;

	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0)
		return -errno;
	ret = uv_poll_init(&loop->uv, &loop->wake, loop->wake_fd);
	if (ret < 0) {
		(void)close(loop->wake_fd);
		return ret;
	}
	loop->wake.data = loop;
	return uv_poll_start(&loop->wake, UV_READABLE, on_wake); /* cannot fail on a new handle */
}

int loop_init(struct loop *loop, struct err *err)
{
	int ret = uv_loop_init(&loop->uv);

	if (ret < 0)
		return err_set(err, ret, "event loop: %s", uv_strerror(ret));
	ret = watch_wake_fd(loop);
	if (ret < 0) {
		(void)uv_loop_close(&loop->uv);
		return err_set(err, ret, "event loop: %s", uv_strerror(ret));
	}
	loop->first = loop->last = NULL;
	loop->has_thread = false;
	atomic_init(&loop->stopping, false);
	atomic_init(&loop->has_owner, false);
	(void)pthread_mutex_init(&loop->lock, NULL);
	return 0;
}

void loop_fini(struct loop *loop)
{
	run_tasks(loop);
	loop_close_handle((uv_handle_t *)&loop->wake);
	(void)uv_run(&loop->uv, UV_RUN_NOWAIT);
	(void)uv_loop_close(&loop->uv);
	(void)close(loop->wake_fd);
	(void)pthread_mutex_destroy(&loop->lock);
}

void loop_run(struct loop *loop)
{
	running_here = loop;
	atomic_store(&loop->has_owner, true);
	if (!atomic_load(&loop->stopping))
		(void)uv_run(&loop->uv, UV_RUN_DEFAULT);
	atomic_store(&loop->has_owner, false);
	run_tasks(loop); /* L3 */
	running_here = NULL;
}

static void *loop_thread(void *arg)
{
	struct loop *loop = arg;

	(void)pthread_setname_np(pthread_self(), loop->name);
	loop_run(loop);
	return NULL;
}

int loop_start(struct loop *loop, const char *name, struct err *err)
{
	int ret;

	loop->name = name;
	atomic_store(&loop->has_owner, true); /* from now on, calls are posted */
	ret = pthread_create(&loop->thread, NULL, loop_thread, loop);
	if (ret != 0) {
		atomic_store(&loop->has_owner, false);
		return err_set(err, -ret, "thread \"%s\": %s", name, uv_strerror(-ret));
	}
	loop->has_thread = true;
	return 0;
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stopping, true);
	wake_up(loop);
}

void loop_join(struct loop *loop)
{
	if (loop->has_thread)
		(void)pthread_join(loop->thread, NULL);
	loop->has_thread = false;
}

bool loop_join_within(struct loop *loop, unsigned ms)
{
	uint64_t at_ns = clock_now_ns() + ms * NS_PER_MS;
	struct timespec deadline = { .tv_sec = (time_t)(at_ns / NS_PER_S),
				     .tv_nsec = (long)(at_ns % NS_PER_S) };

	if (loop->has_thread &&
	    pthread_clockjoin_np(loop->thread, NULL, CLOCK_MONOTONIC, &deadline) == 0)
		loop->has_thread = false;
	return !loop->has_thread;
}

void loop_post(struct loop *loop, struct loop_task *task)
{
	bool was_empty;

	pthread_mutex_lock(&loop->lock);
	was_empty = !loop->first;
	if (!task->queued) {
		task->queued = true;
		task->next = NULL;
		if (loop->last)
			loop->last->next = task;
		else
			loop->first = task;
		loop->last = task;
	}
	pthread_mutex_unlock(&loop->lock);
	if (was_empty)
		wake_up(loop);
}

struct call {
	void (*fn)(void *arg);
	void *arg;
	uv_sem_t done;
};

static void run_call(void *arg)
{
	struct call *call = arg;

	call->fn(call->arg);
	uv_sem_post(&call->done);
}

void loop_call(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct call call = { .fn = fn, .arg = arg };
	struct loop_task task = { .run = run_call, .arg = &call };

	if (!atomic_load(&loop->has_owner) || running_here == loop) {
		fn(arg);
		return;
	}
	if (uv_sem_init(&call.done, 0) < 0) {
		fn(arg); /* cannot happen on Linux; better unordered than not at all */
		return;
	}
	loop_post(loop, &task);
	uv_sem_wait(&call.done);
	uv_sem_destroy(&call.done);
}

void loop_close_handle(uv_handle_t *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}
