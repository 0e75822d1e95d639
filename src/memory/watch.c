/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* watch.c - see watch.h.
 *
 * Problem. While a userfaultfd is open and nobody answers it, the guest hangs for ever; once its
 * last descriptor is closed, frames that are not mapped read as zeros. So the thread that answers
 * must not disappear unnoticed. A false alarm kills a healthy VM, which is worse than a late one.
 * And looking has a price: 33 looks a second of an idle VM were most of what it cost.
 *
 * Design. Each thread opens its own /proc/thread-self/stat and leaves it to us: one read tells
 * whether it lives (a dead thread's file says ESRCH, whoever got its number since) and what it
 * does. Its `beats` tell whether it gets on. While there is work we look at all of them, every
 * WATCH_CALM_MS:
 *
 *  dead      ESRCH, or state X or Z.                           Alarm at once.
 *  stopped   State T or t, and no beat, WATCH_LOOKS_TO_STOP looks in a row.  Alarm.
 *            One such look is nothing: strace stops a thread at every system call.
 *  asleep    State S and no beat for WATCH_ASLEEP_MS, with work before it (taken, or to be read
 *            from the userfaultfd), and no other watched thread running or in the kernel, for whom it
 *            could be waiting. Only for threads that must answer.                Alarm.
 *  R, D      It waits for a processor or for the kernel, however long: never an alarm. A loaded
 *            host and a slow disk look like this.
 *
 * Rest. When a look finds that nobody has work (W1), we sleep until one of these tells us:
 *  - a thread that must answer and takes work, by wake_fd, if it finds that we rest (watch_busy());
 *  - the userfaultfd: a fault that nobody has read yet. A pager that was stopped while it was idle
 *    takes no work, but it is then that it is missed;
 *  - a thread's end, by its pidfd (Linux 6.9; where there is none, a look every WATCH_REST_MS).
 * So a thread that is stopped while nobody needs it is noticed when somebody does: whoever waits for a
 * block that it holds, or was to fetch, waits in a fault, and the looks that follow are at all
 * threads. The keeper's own small steps, each second, wake nobody.
 *
 * Invariants
 *  W1  We rest only when, at a look, no beat was new, no thread had taken work (odd beats) or was
 *      waited for (waited_for), and none looked wrong.
 *  W2  `rests` is set before the beats are compared once more, and the beats of one who must answer
 *      are odd before it reads `rests`; all four are sequentially consistent. So either we see the work and do not
 *      rest, or the thread sees that we do, and wakes us. No work is taken in between unseen.
 *  W3  Who wakes us clears `rests` by an exchange, so a rest ends by one signal however many take
 *      work. W1 asks for a look without new beats: a thread that is always at it pays for no signal.
 *  W4  waited_for is written while beats are odd, and published by the store that makes them even: we
 *      never see a thread idle and miss that it left somebody waiting.
 *  W5  The userfaultfd is polled only while we rest. While there is work, a look finds unread faults;
 *      and a fault during the turn to rest is found by poll() itself, which is asked after W2.
 *  A1  Only time that we were awake in counts. Where looks do not follow each other closely (we
 *      rested, the process was stopped and continued, the host suspended, or we got no processor) the
 *      gap is nothing, and looks at stopped threads are counted anew. So SIGSTOP for a minute and
 *      SIGCONT is no alarm, however the clock has jumped.
 *  A2  failed() is called at most once.
 *  A3  starved(true) and starved(false) alternate, both from this thread.
 *  A4  What watch_fail() and watch_starved() do is allowed in a signal handler.
 *
 * Limits. A pager that computes for ever is not told from one that gets no processor. Nobody looks
 * after this thread: it touches no guest memory, takes no lock that others hold for long, and does
 * little. A guest that faults all the time pays 0.3 % of a processor for it, an idle one nothing;
 * the first fault after a rest wakes it beside the pager: 20 us on two busy CPUs.
 *
 * Not done: robust mutexes tell of a death on old kernels, too, but only to who waits for nothing
 * else (FUTEX_WAITV); nothing tells of a stop.
 *
 * Sources. proc(5) "/proc/[pid]/stat"; pidfd_open(2) "PIDFD_THREAD"; signal-safety(7).
 */
#include "memory/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "memory/steady.h"

enum { STAT_TEXT_BYTES = 128, WHY_BYTES = 160, GAP_FACTOR = 3 };

/* linux/pidfd.h of Linux 6.9: PIDFD_THREAD. */
enum { PIDFD_OF_THREAD = O_EXCL };

enum look { LOOK_DEAD, LOOK_STOPPED, LOOK_ASLEEP, LOOK_BUSY };

enum pace { PACE_ALERT, PACE_CALM, PACE_REST };

struct watch {
	struct ram_events events;
	pthread_t thread;
	int wake_fd;
	atomic_bool rests, stop;
	_Atomic(const char *) failure; /* A4 */
	_Atomic uint64_t starving;     /* who waits outside the pager */
	_Atomic uint64_t starving_gpa;

	pthread_mutex_t lock; /* the three below */
	int uffd;	      /* ours; -1: none */
	unsigned count;
	struct watched *threads[WATCH_MAX_THREADS];

	bool told_failed, told_starved; /* our thread's, as all below */
	bool hears_deaths;
	gpa_t told_gpa;
	uint64_t looked_ns;
	char why[WHY_BYTES];
};

/* proc(5): pid (comm) state ...; comm may hold anything, also ")". */
static enum look look_at(const struct watched *who)
{
	char text[STAT_TEXT_BYTES];
	ssize_t len = pread(who->stat_fd, text, sizeof(text) - 1, 0);
	const char *state;

	if (len < 0)
		return errno == ESRCH ? LOOK_DEAD : LOOK_BUSY;
	text[len] = '\0';
	state = strrchr(text, ')');
	if (!state || state[1] != ' ')
		return LOOK_BUSY;
	switch (state[2]) {
	case 'X':
	case 'Z': return LOOK_DEAD;
	case 'T':
	case 't': return LOOK_STOPPED;
	case 'S': return LOOK_ASLEEP;
	default: return LOOK_BUSY;
	}
}

static bool uffd_has_faults(const struct watch *watch)
{
	struct pollfd uffd = { .fd = watch->uffd, .events = POLLIN };

	return watch->uffd >= 0 && poll(&uffd, 1, 0) > 0 && (uffd.revents & POLLIN);
}

/* What is known of a thread after this look; true: it looks wrong. */
static bool suspect_locked(const struct watch *watch, struct watched *who, enum look look,
			   bool alone, uint64_t elapsed_ns)
{
	uint64_t beats = atomic_load_explicit(&who->beats, memory_order_relaxed);
	bool same = beats == who->beats_seen;

	who->beats_seen = beats;
	who->stopped_looks = look == LOOK_STOPPED && same ? who->stopped_looks + 1
			     : look == LOOK_STOPPED	  ? 1
							  : 0;
	if (look == LOOK_ASLEEP && same && alone && who->must_answer &&
	    (beats % 2 == 1 || uffd_has_faults(watch)))
		who->asleep_ns += elapsed_ns;
	else
		who->asleep_ns = 0;
	return who->stopped_looks > 0;
}

static const char *verdict(const struct watched *who, enum look look)
{
	if (look == LOOK_DEAD)
		return "died";
	if (who->stopped_looks >= WATCH_LOOKS_TO_STOP)
		return "was stopped";
	if (who->asleep_ns >= WATCH_ASLEEP_MS * NS_PER_MS)
		return "does not answer";
	return NULL;
}

static void forget_stops_locked(struct watch *watch)
{
	for (unsigned i = 0; i < watch->count; i++)
		watch->threads[i]->stopped_looks = 0;
}

/* W1 */
static bool is_any_at_work_locked(const struct watch *watch)
{
	for (unsigned i = 0; i < watch->count; i++) {
		struct watched *who = watch->threads[i];
		uint64_t beats = atomic_load(&who->beats);

		if (beats != who->beats_seen || beats % 2 == 1 || atomic_load(&who->waited_for))
			return true;
	}
	return false;
}

/* How soon to look again. */
static enum pace look_around_locked(struct watch *watch, uint64_t elapsed_ns)
{
	enum look looks[WATCH_MAX_THREADS];
	unsigned busy = 0;
	bool at_work = is_any_at_work_locked(watch), suspicious = false;

	for (unsigned i = 0; i < watch->count; i++) {
		looks[i] = look_at(watch->threads[i]);
		busy += looks[i] == LOOK_BUSY;
	}
	for (unsigned i = 0; i < watch->count; i++) {
		struct watched *who = watch->threads[i];
		const char *what;

		suspicious =
			suspect_locked(watch, who, looks[i], busy == 0, elapsed_ns) || suspicious;
		what = verdict(who, looks[i]);
		if (!what || watch->told_failed)
			continue;
		(void)snprintf(watch->why, sizeof(watch->why), "the thread that %s %s", who->task,
			       what);
		watch_fail(watch, watch->why);
	}
	return suspicious ? PACE_ALERT : at_work ? PACE_CALM : PACE_REST;
}

static int wait_ms(const struct watch *watch, enum pace pace)
{
	switch (pace) {
	case PACE_ALERT: return WATCH_ALERT_MS;
	case PACE_CALM: return WATCH_CALM_MS;
	default: return watch->hears_deaths ? -1 : WATCH_REST_MS;
	}
}

static enum pace look_around(struct watch *watch, enum pace pace)
{
	uint64_t now_ns = clock_now_ns(), elapsed_ns = now_ns - watch->looked_ns;

	watch->looked_ns = now_ns;
	(void)pthread_mutex_lock(&watch->lock);
	if (pace == PACE_REST ||
	    elapsed_ns > GAP_FACTOR * (uint64_t)wait_ms(watch, pace) * NS_PER_MS) { /* A1 */
		forget_stops_locked(watch);
		elapsed_ns = 0;
	}
	pace = look_around_locked(watch, elapsed_ns);
	(void)pthread_mutex_unlock(&watch->lock);
	return pace;
}

static void tell_failed(struct watch *watch)
{
	const char *why = atomic_load(&watch->failure);

	if (!why || watch->told_failed)
		return;
	watch->told_failed = true; /* A2 */
	if (watch->events.failed)
		watch->events.failed(watch->events.ctx, why);
}

static void tell_starved(struct watch *watch)
{
	bool starving = atomic_load(&watch->starving) > 0;

	if (starving == watch->told_starved)
		return;
	watch->told_starved = starving; /* A3 */
	if (starving)
		watch->told_gpa = GPA(atomic_load(&watch->starving_gpa));
	if (watch->events.starved)
		watch->events.starved(watch->events.ctx, watch->told_gpa, starving);
}

/* May this wait be a rest? W2 */
static enum pace settle(struct watch *watch, enum pace pace)
{
	bool at_work;

	if (pace != PACE_REST)
		return pace;
	atomic_store(&watch->rests, true);
	(void)pthread_mutex_lock(&watch->lock);
	at_work = is_any_at_work_locked(watch);
	(void)pthread_mutex_unlock(&watch->lock);
	if (at_work)
		atomic_store(&watch->rests, false);
	return at_work ? PACE_CALM : PACE_REST;
}

enum { HEARS_WAKE, HEARS_FAULTS, HEARS_ENDS, HEARS_MAX = HEARS_ENDS + WATCH_MAX_THREADS };

/* Whom to hear meanwhile. Returns how many watched threads there are. A descriptor that is closed
 * and opened anew before it is polled is heard once at most, in vain. */
static unsigned listen(struct watch *watch, enum pace pace, struct pollfd *ret_fds)
{
	unsigned count;

	for (unsigned i = 0; i < HEARS_MAX; i++)
		ret_fds[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	ret_fds[HEARS_WAKE].fd = watch->wake_fd;
	(void)pthread_mutex_lock(&watch->lock);
	count = watch->told_failed ? 0 : watch->count;
	watch->hears_deaths = true;
	for (unsigned i = 0; i < count; i++) {
		ret_fds[HEARS_ENDS + i].fd = watch->threads[i]->end_fd;
		watch->hears_deaths = watch->hears_deaths && watch->threads[i]->end_fd >= 0;
	}
	if (count && pace == PACE_REST)
		ret_fds[HEARS_FAULTS].fd = watch->uffd;
	(void)pthread_mutex_unlock(&watch->lock);
	return count;
}

static bool has_ended(const struct pollfd *fds)
{
	for (unsigned i = HEARS_ENDS; i < HEARS_MAX; i++)
		if (fds[i].revents)
			return true;
	return false;
}

/* One wait and what comes of it. How soon to look again. */
static enum pace take_turn(struct watch *watch, enum pace wanted)
{
	struct pollfd fds[HEARS_MAX];
	enum pace pace = settle(watch, wanted);
	bool some = listen(watch, pace, fds) > 0;
	int heard = poll(fds, HEARS_MAX, some ? wait_ms(watch, pace) : -1);

	atomic_store(&watch->rests, false);
	if (heard > 0 && fds[HEARS_WAKE].revents)
		(void)event_drain(watch->wake_fd);
	if (!some)
		return PACE_CALM;
	if (heard == 0 || (heard > 0 && has_ended(fds)) ||
	    (pace != PACE_REST && clock_now_ns() - watch->looked_ns >= WATCH_ALERT_MS * NS_PER_MS))
		return look_around(watch, pace);
	if (pace != PACE_REST)
		return pace;
	watch->looked_ns = clock_now_ns(); /* A1 */
	return PACE_ALERT;
}

static void *watch_thread(void *arg)
{
	struct watch *watch = arg;
	enum pace pace = PACE_CALM;

	(void)pthread_setname_np(pthread_self(), "watch");
	steady_program();
	watch->looked_ns = clock_now_ns();
	while (!atomic_load(&watch->stop)) {
		pace = take_turn(watch, pace);
		tell_failed(watch);
		tell_starved(watch);
	}
	return NULL;
}

int watch_start(const struct ram_events *events, struct watch **ret_watch, struct err *err)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	int result;

	if (!watch)
		return err_set(err, -ENOMEM, "watching the memory's threads: out of memory");
	watch->events = *events;
	watch->uffd = -1;
	(void)pthread_mutex_init(&watch->lock, NULL);
	watch->wake_fd = event_create();
	result = watch->wake_fd < 0 ? watch->wake_fd
				    : -pthread_create(&watch->thread, NULL, watch_thread, watch);
	if (result < 0) {
		close_fd(&watch->wake_fd);
		free(watch);
		errno = -result;
		return err_set(err, result, "watching the memory's threads: %m");
	}
	*ret_watch = watch;
	return 0;
}

void watch_stop(struct watch *watch)
{
	if (!watch)
		return;
	atomic_store(&watch->stop, true);
	event_signal(watch->wake_fd);
	(void)pthread_join(watch->thread, NULL);
	close_fd(&watch->uffd);
	close_fd(&watch->wake_fd);
	(void)pthread_mutex_destroy(&watch->lock);
	free(watch);
}

int watch_keep_uffd(struct watch *watch, int uffd)
{
	int kept = fcntl(uffd, F_DUPFD_CLOEXEC, 0);

	if (kept < 0)
		return -errno;
	(void)pthread_mutex_lock(&watch->lock);
	close_fd(&watch->uffd);
	watch->uffd = kept;
	(void)pthread_mutex_unlock(&watch->lock);
	event_signal(watch->wake_fd); /* so that it is listened to */
	return 0;
}

static void forget(struct watched *self)
{
	self->rests = NULL;
	close_fd(&self->end_fd);
	close_fd(&self->stat_fd);
}

int watch_enter(struct watch *watch, struct watched *self)
{
	int result = -ENOSPC;

	if (!watch)
		return 0;
	self->stat_fd = open("/proc/thread-self/stat", O_RDONLY | O_CLOEXEC);
	if (self->stat_fd < 0)
		return -errno;
	self->end_fd = (int)syscall(SYS_pidfd_open, gettid(), PIDFD_OF_THREAD);
	self->watch = watch;
	self->rests = self->must_answer ? &watch->rests : NULL;
	(void)pthread_mutex_lock(&watch->lock);
	if (watch->count < WATCH_MAX_THREADS) {
		watch->threads[watch->count++] = self;
		result = 0;
	}
	(void)pthread_mutex_unlock(&watch->lock);
	if (result)
		forget(self);
	else
		event_signal(watch->wake_fd); /* it may have had nobody to look at */
	return result;
}

void watch_leave(struct watch *watch, struct watched *self)
{
	if (!watch)
		return;
	(void)pthread_mutex_lock(&watch->lock);
	for (unsigned i = 0; i < watch->count; i++) {
		if (watch->threads[i] != self)
			continue;
		watch->threads[i] = watch->threads[--watch->count];
		forget(self);
	}
	(void)pthread_mutex_unlock(&watch->lock);
}

void watch_end_rest(struct watch *watch)
{
	if (atomic_exchange(&watch->rests, false)) /* W3 */
		event_signal(watch->wake_fd);
}

void watch_fail(struct watch *watch, const char *why)
{
	const char *none = NULL;

	if (atomic_compare_exchange_strong(&watch->failure, &none, why))
		event_signal(watch->wake_fd);
}

void watch_starved(struct watch *watch, gpa_t gpa, bool starving)
{
	if (starving) {
		if (atomic_load(&watch->starving) == 0)
			atomic_store(&watch->starving_gpa, gpa.addr);
		atomic_fetch_add(&watch->starving, 1);
	} else {
		atomic_fetch_sub(&watch->starving, 1);
	}
	event_signal(watch->wake_fd);
}
