/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vcpu.c - a thread per vCPU, and the requests it obeys: pause, resume, kick, stop.
 *
 * Problem. A vCPU thread spends its life inside KVM_RUN. Whoever wants it out must neither be
 * forgotten (the request came just before KVM_RUN) nor cost anything while nobody asks.
 *
 * Design. kvm_run.immediate_exit is the doorbell: KVM looks at it on every entry, so the thread
 * itself looks at nothing between two exits. A requester changes the requests under the lock,
 * then sets immediate_exit, then signals. KVM_RUN returns EINTR for either. Only then does the
 * thread clear immediate_exit and read the requests (obey).
 *
 * Invariants
 *  R1  Requests change under `lock`, before immediate_exit is set. Only the vCPU's own thread
 *      clears immediate_exit, and always reads the requests under the lock afterwards.
 *      So a request is either seen by that reading, or its immediate_exit is still set.
 *  R2  Whoever changes immediate_exit from 0 to 1 sends the signal after it. If the thread has not
 *      entered the kernel yet, KVM sees immediate_exit; if it has, the signal is pending or ends
 *      KVM_RUN. There is no third place. Who finds a 1 relies on the one who set it, so at
 *      most one signal is on its way per clearing, however many ask.
 *  R3  parked_count changes under the lock. A parked thread does no KVM ioctl and calls no op, so
 *      while parked_count == count and control_lock is held, another thread may use the vCPUs' fds.
 *  R4  A resume and a new pause between two looks of a parked vCPU leave it parked and counted: it
 *      never was away.
 *  R5  An exit that waits for memory parks in the middle, stays pending, and is asked
 *      again after the pause. Only a reset or the end takes it away.
 *  R6  kick_count is read before the memory is asked for: a kick in between ends the wait at once.
 *
 * Transitions (of a thread)
 *  parked -> running   [stay_parked_locked]  nothing asks for a pause, not ended
 *  running -> parked   [vcpu_obey]     EINTR, and a pause was asked
 *  waiting -> parked   [vcpu_wait]     a pause in the middle of an exit
 *  running -> ended    [vcpu_end]      ops->ended was called; parks until vcpus_reset
 *  any -> gone         [vcpu_main]     stop_asked
 *
 * Limits. vcpus_pause and vcpus_destroy wait for a running op to return: ops must not wait for the
 * thread that calls these.
 *
 * Sources. KVM API 5 "The kvm_run structure", immediate_exit; 4.10 KVM_RUN; signal(7).
 */
#include "kvm/vcpu_internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"

enum { THREAD_NAME_BYTES = 16, END_TEXT_BYTES = 4096 };

static void ring_locked(struct vcpu *vcpu)
{
	if (!vcpu->has_thread)
		return;
	if (__atomic_exchange_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST) == 0)
		(void)pthread_kill(vcpu->thread, VCPU_KICK_SIGNAL); /* R2 */
}

static void ring_all_locked(struct vcpus *vcpus)
{
	(void)pthread_cond_broadcast(&vcpus->asked);
	for (unsigned i = 0; i < vcpus->count; i++)
		ring_locked(&vcpus->each[i]);
}

/* Stay while paused or ended; already counted as parked. False: the VM is ending. */
static bool stay_parked_locked(struct vcpu *vcpu)
{
	struct vcpus *all = vcpu->all;

	while ((all->pause_asked || vcpu->ended) && !all->stop_asked)
		(void)pthread_cond_wait(&all->asked, &all->lock);
	all->parked_count--;
	return !all->stop_asked;
}

static bool park_locked(struct vcpu *vcpu)
{
	if (++vcpu->all->parked_count == vcpu->all->count)
		(void)pthread_cond_broadcast(&vcpu->all->parked);
	return stay_parked_locked(vcpu);
}

/* Look at the requests, and park if they say so. False: the VM is ending. */
static bool vcpu_obey(struct vcpu *vcpu)
{
	struct vcpus *all = vcpu->all;
	bool go_on = true, parked;

	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST); /* R1: before reading */
	(void)pthread_mutex_lock(&all->lock);
	parked = all->pause_asked || vcpu->ended || all->stop_asked;
	if (parked)
		go_on = park_locked(vcpu);
	(void)pthread_mutex_unlock(&all->lock);
	/* A guest with a kvmclock learns that it stood still, and barks at no soft lock-up; any
	 * other guest makes this EINVAL. KVM API 4.81 KVM_KVMCLOCK_CTRL. */
	if (parked && go_on)
		(void)vcpu_ioctl(vcpu, KVM_KVMCLOCK_CTRL, NULL);
	return go_on;
}

static struct timespec deadline_in(unsigned ms)
{
	uint64_t at_ns = clock_now_ns() + ms * NS_PER_MS;

	return (struct timespec){ .tv_sec = (time_t)(at_ns / NS_PER_S),
				  .tv_nsec = (long)(at_ns % NS_PER_S) };
}

bool vcpu_wait(struct vcpu *vcpu, uint64_t kick_count)
{
	struct vcpus *all = vcpu->all;
	struct timespec deadline = deadline_in(VCPU_RETRY_MS);
	bool timed_out = false, again;

	(void)pthread_mutex_lock(&all->lock);
	vcpu->exit_pending = true;
	while (!all->pause_asked && !all->stop_asked && !timed_out &&
	       atomic_load(&all->kick_count) == kick_count)
		timed_out = pthread_cond_timedwait(&all->asked, &all->lock, &deadline) != 0;
	if (all->pause_asked)
		(void)park_locked(vcpu);
	again = vcpu->exit_pending && !all->stop_asked;
	vcpu->exit_pending = false;
	(void)pthread_mutex_unlock(&all->lock);
	return again;
}

enum vcpu_next vcpu_end(struct vcpu *vcpu, enum vcpu_end end, bool with_registers, const char *fmt,
			...)
{
	struct vcpus *all = vcpu->all;
	char text[END_TEXT_BYTES];
	size_t used;
	va_list args;

	used = (size_t)snprintf(text, sizeof(text), "vCPU %u: ", vcpu->index);
	va_start(args, fmt);
	used += (size_t)vsnprintf(text + used, sizeof(text) - used, fmt, args);
	va_end(args);
	if (with_registers && used < sizeof(text))
		(void)vcpu_dump(vcpu, text, sizeof(text), used);
	(void)pthread_mutex_lock(&all->lock);
	vcpu->ended = true;
	(void)pthread_mutex_unlock(&all->lock);
	all->ops->ended(all->ops_ctx, vcpu->index, end, text);
	return VCPU_NEXT_OBEY;
}

/* Signals are for the program's other threads; only the kick is for this one. */
static void enter_thread(const struct vcpu *vcpu)
{
	char name[THREAD_NAME_BYTES];
	sigset_t kick;

	(void)snprintf(name, sizeof(name), "vcpu%u", vcpu->index);
	(void)pthread_setname_np(pthread_self(), name);
	(void)sigemptyset(&kick);
	(void)sigaddset(&kick, VCPU_KICK_SIGNAL);
	(void)pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
}

/* Born parked: counted by vcpus_create, so that nobody waits for a thread to start. */
void *vcpu_main(void *arg)
{
	struct vcpu *vcpu = arg;
	bool go_on;

	enter_thread(vcpu);
	(void)pthread_mutex_lock(&vcpu->all->lock);
	go_on = stay_parked_locked(vcpu);
	(void)pthread_mutex_unlock(&vcpu->all->lock);
	while (go_on) {
		vcpu_run(vcpu);
		go_on = vcpu_obey(vcpu);
	}
	return NULL;
}

void vcpus_stop_threads(struct vcpus *vcpus)
{
	(void)pthread_mutex_lock(&vcpus->lock);
	vcpus->stop_asked = true;
	ring_all_locked(vcpus);
	(void)pthread_mutex_unlock(&vcpus->lock);
	for (unsigned i = 0; i < vcpus->count; i++)
		if (vcpus->each[i].has_thread)
			(void)pthread_join(vcpus->each[i].thread, NULL);
}

static void pause_locked(struct vcpus *vcpus)
{
	vcpus->pause_asked = true;
	ring_all_locked(vcpus);
	while (vcpus->parked_count < vcpus->count)
		(void)pthread_cond_wait(&vcpus->parked, &vcpus->lock);
}

void vcpus_pause(struct vcpus *vcpus)
{
	(void)pthread_mutex_lock(&vcpus->control_lock);
	(void)pthread_mutex_lock(&vcpus->lock);
	pause_locked(vcpus);
	(void)pthread_mutex_unlock(&vcpus->lock);
	(void)pthread_mutex_unlock(&vcpus->control_lock);
}

bool vcpus_pause_within(struct vcpus *vcpus, unsigned ms)
{
	struct timespec deadline = deadline_in(ms);
	bool timed_out = false, parked;

	(void)pthread_mutex_lock(&vcpus->control_lock);
	(void)pthread_mutex_lock(&vcpus->lock);
	vcpus->pause_asked = true;
	ring_all_locked(vcpus);
	while (vcpus->parked_count < vcpus->count && !timed_out)
		timed_out = pthread_cond_timedwait(&vcpus->parked, &vcpus->lock, &deadline) != 0;
	parked = vcpus->parked_count == vcpus->count;
	(void)pthread_mutex_unlock(&vcpus->lock);
	(void)pthread_mutex_unlock(&vcpus->control_lock);
	return parked;
}

void vcpus_resume(struct vcpus *vcpus)
{
	(void)pthread_mutex_lock(&vcpus->control_lock);
	(void)pthread_mutex_lock(&vcpus->lock);
	vcpus->pause_asked = false;
	(void)pthread_cond_broadcast(&vcpus->asked);
	(void)pthread_mutex_unlock(&vcpus->lock);
	(void)pthread_mutex_unlock(&vcpus->control_lock);
}

void vcpus_kick(struct vcpus *vcpus)
{
	(void)pthread_mutex_lock(&vcpus->lock);
	(void)atomic_fetch_add(&vcpus->kick_count, 1);
	ring_all_locked(vcpus);
	(void)pthread_mutex_unlock(&vcpus->lock);
}

static int check_parked(struct vcpus *vcpus, struct err *err)
{
	bool parked;

	(void)pthread_mutex_lock(&vcpus->lock);
	parked = vcpus->pause_asked && vcpus->parked_count == vcpus->count;
	(void)pthread_mutex_unlock(&vcpus->lock);
	if (parked)
		return 0;
	return err_set(err, -EBUSY, "the vCPUs are running: pause them first");
}

/* The caller holds control_lock, so nobody leaves the park. */
static int forget_exits(struct vcpus *vcpus, struct err *err)
{
	int ret = check_parked(vcpus, err);

	for (unsigned i = 0; i < vcpus->count && ret == 0; i++) {
		struct vcpu *vcpu = &vcpus->each[i];

		(void)pthread_mutex_lock(&vcpus->lock);
		vcpu->exit_pending = false;
		(void)pthread_mutex_unlock(&vcpus->lock);
		ret = vcpu_finish_exit(vcpu);
		if (ret < 0)
			(void)err_set(err, ret, "vCPU %u: KVM keeps its last exit: %m", i);
	}
	if (ret == 0)
		vcpus_drop_lazy_writes(vcpus);
	return ret;
}

int vcpus_forget_exits(struct vcpus *vcpus, struct err *err)
{
	int ret;

	(void)pthread_mutex_lock(&vcpus->control_lock);
	ret = forget_exits(vcpus, err);
	(void)pthread_mutex_unlock(&vcpus->control_lock);
	return ret;
}

static void forgive_ends(struct vcpus *vcpus)
{
	(void)pthread_mutex_lock(&vcpus->lock);
	for (unsigned i = 0; i < vcpus->count; i++)
		vcpus->each[i].ended = false;
	(void)pthread_mutex_unlock(&vcpus->lock);
}

int vcpus_reset(struct vcpus *vcpus, const struct vcpu_start *start, struct err *err)
{
	int ret;

	(void)pthread_mutex_lock(&vcpus->control_lock);
	ret = forget_exits(vcpus, err);
	for (unsigned i = 0; i < vcpus->count && ret == 0; i++)
		ret = vcpu_reset(&vcpus->each[i], i == 0 ? start : NULL, err);
	if (ret == 0)
		forgive_ends(vcpus);
	(void)pthread_mutex_unlock(&vcpus->control_lock);
	return ret;
}

unsigned vcpus_count(const struct vcpus *vcpus)
{
	return vcpus->count;
}

uint64_t vcpus_exit_count(const struct vcpus *vcpus)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < vcpus->count; i++)
		sum += atomic_load_explicit(&vcpus->each[i].exit_count, memory_order_relaxed);
	return sum;
}
