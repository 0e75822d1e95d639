/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* governor.c - see governor.h.
 *
 * Design. A tick gathers what is known, asks policy_step(), hands the decision to its owner and
 * keeps a record of it. Ticks come
 *   at once when somebody wakes the governor (statistics, an empty pool, a reset), or when settings
 *   or the grant changed;
 *   when a second has passed without such a one, at a phase of this VM's own, so that the VMs of a
 *   host do not all look at its free memory at one moment and then all take it. A guest that sends
 *   its statistics each second costs one tick a second;
 *   when the guest waits for memory. Who lets it wait must not wait for anybody, so it only says that
 *   a wait begins (governor_waits()); how long it takes is read from a counter each LOOK_NS until
 *   nobody waits any more. The policy thinks in shares of time. So a tick for a stall is two: one for
 *   the look before, when all was well, and one for now; else a second of calm would hide it.
 *
 * Invariants
 *  V1  In mode auto nothing but `act` moves the balloon; in the others the governor never does
 *      (its owner checks the mode again on the thread that moves it: a tick may be under way).
 *  V2  Two ticks are LEAST_GAP_NS apart, whatever the guest does: a guest that deflates and inflates
 *      all the time costs 50 ticks a second.
 *  V3  The policy's state belongs to whoever calls governor_step(); the lock is held for copies only.
 *  V4  While observe() says no (a pause), time does not pass for the policy: it sees one long period.
 *  V5  No wait is missed: `rests` is set before the counter is read once more, and a wait is in the
 *      counter before governor_waits() takes `rests`; both by an exchange. So either we see that the
 *      counter has moved, or the exchange of the other side sees us rest, and wakes us.
 */
#include "balloon/governor.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"

#define TICK_NS	      NS_PER_S
#define LOOK_NS	      (50 * NS_PER_MS)
#define FIRST_LOOK_NS (LOOK_NS / 2)
#define LEAST_GAP_NS  (GOVERNOR_LEAST_GAP_MS * NS_PER_MS)

/* What counts as waiting: a fifth of one vCPU's time between two looks. First touches of a guest that
 * grows cost it that much as well; then a tick more does no harm. */
#define STALL_SHARE 5

struct governor {
	struct governor_config config;
	uint64_t phase_ns;
	int wake_fd;
	atomic_uint causes; /* bit per enum governor_cause, or CHANGED */
	atomic_bool stopping;
	atomic_bool rests; /* nobody waits, as far as we know (V5) */
	bool has_thread;
	pthread_t thread;

	/* Of the thread: */
	struct policy_state state;
	uint64_t ticked_ns, looked_ns; /* 0: never */
	uint64_t next_tick_ns, next_look_ns;
	uint64_t look_stall_ns;
	bool may_stall; /* it has given memory away */
	bool looks;	/* somebody waited a moment ago */
	bool pending;	/* a tick waits for the end of the gap (V2) */

	pthread_mutex_t lock; /* the rest */
	struct policy_settings settings;
	bool has_grant;
	uint64_t grant_bytes;
	struct governor_counters counters;
	struct policy_record kept[GOVERNOR_KEPT]; /* number n at (n - 1) % GOVERNOR_KEPT */
};

enum { CHANGED = 1U << GOVERNOR_CAUSE_COUNT };

static uint64_t thread_cpu_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- One tick ---- */

static const struct policy_record *newest(const struct governor *g)
{
	return g->counters.ticks ? &g->kept[(g->counters.ticks - 1) % GOVERNOR_KEPT] : NULL;
}

static void keep(struct governor *g, const struct policy_record *record, uint64_t began_cpu_ns)
{
	/* Before its first decision a guest has all. */
	const struct policy_decision all = { .assigned_bytes = record->settings.maximum_bytes,
					     .target_bytes = record->settings.maximum_bytes };
	const struct policy_record *before;
	uint64_t took_ns;

	(void)pthread_mutex_lock(&g->lock);
	before = newest(g);
	policy_count(&g->counters.moved, before ? &before->decision : &all, &record->decision);
	g->kept[g->counters.ticks++ % GOVERNOR_KEPT] = *record;
	took_ns = thread_cpu_ns() - began_cpu_ns;
	g->counters.tick_ns_total += took_ns;
	if (took_ns > g->counters.tick_ns_worst)
		g->counters.tick_ns_worst = took_ns;
	(void)pthread_mutex_unlock(&g->lock);
}

static struct policy_record begin_record(struct governor *g, uint64_t now_ns)
{
	struct policy_record record = { .input.now_ns = now_ns };

	(void)pthread_mutex_lock(&g->lock);
	record.settings = g->settings;
	record.input.has_grant = g->has_grant;
	record.input.grant_bytes = g->grant_bytes;
	(void)pthread_mutex_unlock(&g->lock);
	return record;
}

/* What is known now, as if it were @then_ns, and the stall counter stood at @stall_ns. */
static void tick(struct governor *g, uint64_t then_ns, uint64_t stall_ns)
{
	uint64_t began_cpu_ns = thread_cpu_ns();
	struct policy_record record = begin_record(g, then_ns);
	const struct governor_ops *ops = &g->config.ops;

	if (!ops->observe(g->config.ctx, &record.input)) /* V4 */
		return;
	record.input.stall_ns = stall_ns;
	policy_step(&record.settings, &record.input, &g->state, &record.decision);
	g->may_stall = record.input.taken_bytes > 0 || record.input.swapped_bytes > 0 ||
		       record.decision.target_bytes < record.settings.maximum_bytes;
	if (record.settings.mode != POLICY_MODE_OFF)
		ops->act(g->config.ctx, &record);
	keep(g, &record, began_cpu_ns);
	if (ops->decided)
		ops->decided(g->config.ctx, &record);
}

void governor_tick(struct governor *g, uint64_t now_ns)
{
	g->look_stall_ns = g->config.ops.stall_ns(g->config.ctx);
	g->ticked_ns = g->looked_ns = now_ns;
	g->next_look_ns = now_ns + LOOK_NS;
	g->pending = false;
	tick(g, now_ns, g->look_stall_ns);
}

/* ---- When ---- */

/* The first moment of this VM's phase after @now_ns. */
static uint64_t next_of_phase(const struct governor *g, uint64_t now_ns)
{
	uint64_t second_ns = now_ns - now_ns % TICK_NS;

	return now_ns % TICK_NS < g->phase_ns ? second_ns + g->phase_ns
					      : second_ns + TICK_NS + g->phase_ns;
}

/* When all was well. */
static void tick_for_look_before(struct governor *g)
{
	if (g->looks && g->looked_ns > g->ticked_ns)
		tick(g, g->looked_ns, g->look_stall_ns);
}

/* Did vCPUs wait for memory, for a share of the time since the last look? */
static void look_for_stall(struct governor *g, uint64_t now_ns)
{
	uint64_t stall_ns = g->config.ops.stall_ns(g->config.ctx);
	uint64_t waited_ns = stall_ns > g->look_stall_ns ? stall_ns - g->look_stall_ns : 0;

	if (waited_ns > (now_ns - g->looked_ns) / STALL_SHARE) {
		tick_for_look_before(g);
		g->pending = true;
	}
	g->looks = waited_ns > 0;
	g->look_stall_ns = stall_ns;
	g->looked_ns = now_ns;
	g->next_look_ns = now_ns + LOOK_NS;
}

/* What the counter was is known: we rested. */
static void begin_to_look(struct governor *g, uint64_t now_ns)
{
	if (g->looks)
		return;
	g->looks = true;
	g->looked_ns = now_ns;
	g->next_look_ns = now_ns + FIRST_LOOK_NS;
}

/* V5 */
static void rest(struct governor *g, uint64_t now_ns)
{
	(void)atomic_exchange(&g->rests, true);
	if (g->config.ops.stall_ns(g->config.ctx) != g->look_stall_ns)
		begin_to_look(g, now_ns);
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns < b_ns ? a_ns : b_ns;
}

/* Is a tick due that nobody woke us for? */
static bool is_due(struct governor *g, uint64_t now_ns)
{
	if (g->next_tick_ns == 0 || now_ns + TICK_NS < g->ticked_ns) /* first, or time ran back */
		g->next_tick_ns = now_ns;
	if (now_ns < g->next_tick_ns)
		return false;
	g->next_tick_ns = next_of_phase(g, now_ns);
	return true;
}

static bool is_gap_over(const struct governor *g, uint64_t now_ns) /* V2 */
{
	return g->ticked_ns == 0 || now_ns >= g->ticked_ns + LEAST_GAP_NS || now_ns < g->ticked_ns;
}

uint64_t governor_step(struct governor *g, uint64_t now_ns, unsigned causes)
{
	bool woken = causes & ~(1U << GOVERNOR_WAITS), due = is_due(g, now_ns), look;

	if (g->may_stall && causes & 1U << GOVERNOR_WAITS)
		begin_to_look(g, now_ns);
	g->pending = g->pending || due || woken;
	look = !woken && g->may_stall && g->looks && now_ns >= g->next_look_ns;
	if (look)
		look_for_stall(g, now_ns);
	if (g->pending && is_gap_over(g, now_ns)) {
		if (!look)
			tick_for_look_before(g);
		governor_tick(g, now_ns);
		if (!due)
			g->next_tick_ns = next_of_phase(g, now_ns + TICK_NS - 1);
	}
	if (g->pending)
		return g->ticked_ns + LEAST_GAP_NS;
	if (g->may_stall && !g->looks)
		rest(g, now_ns);
	return g->may_stall && g->looks ? earlier(g->next_tick_ns, g->next_look_ns)
					: g->next_tick_ns;
}

/* ---- The thread ---- */

static void sleep_until(const struct governor *g, uint64_t then_ns)
{
	uint64_t now_ns = clock_now_ns();
	uint64_t left_ns = then_ns > now_ns ? then_ns - now_ns : 0;
	struct timespec timeout = { .tv_sec = (time_t)(left_ns / NS_PER_S),
				    .tv_nsec = (long)(left_ns % NS_PER_S) };
	struct pollfd wake = { .fd = g->wake_fd, .events = POLLIN };

	(void)ppoll(&wake, 1, &timeout, NULL);
	(void)event_drain(g->wake_fd); /* before `causes` is taken */
}

static void *governor_thread(void *arg)
{
	struct governor *g = arg;

	(void)pthread_setname_np(pthread_self(), "governor");
	while (!atomic_load(&g->stopping)) {
		unsigned causes = atomic_exchange(&g->causes, 0);

		sleep_until(g, governor_step(g, clock_now_ns(), causes));
	}
	return NULL;
}

int governor_create(const struct governor_config *config, struct governor **ret_governor,
		    struct err *err)
{
	struct governor *g = calloc(1, sizeof(*g));

	if (!g)
		return err_set(err, -ENOMEM, "governor: out of memory");
	g->config = *config;
	g->settings = config->settings;
	g->phase_ns = config->phase_seed % TICK_NS;
	g->wake_fd = event_create();
	if (g->wake_fd < 0) {
		int result = err_set(err, g->wake_fd, "governor: %s", strerror(-g->wake_fd));

		free(g);
		return result;
	}
	policy_init(&g->state);
	(void)pthread_mutex_init(&g->lock, NULL);
	*ret_governor = g;
	return 0;
}

void governor_destroy(struct governor *g)
{
	if (!g)
		return;
	governor_stop(g);
	(void)pthread_mutex_destroy(&g->lock);
	close_fd(&g->wake_fd);
	free(g);
}

int governor_start(struct governor *g, struct err *err)
{
	int result = pthread_create(&g->thread, NULL, governor_thread, g);

	if (result != 0)
		return err_set(err, -result, "thread \"governor\": %s", strerror(result));
	g->has_thread = true;
	return 0;
}

void governor_stop(struct governor *g)
{
	if (!g || !g->has_thread)
		return;
	atomic_store(&g->stopping, true);
	event_signal(g->wake_fd);
	(void)pthread_join(g->thread, NULL);
	g->has_thread = false;
}

/* ---- From other threads ---- */

static void wake(struct governor *g, unsigned bit)
{
	if (!(atomic_fetch_or(&g->causes, bit) & bit))
		event_signal(g->wake_fd);
}

void governor_wake(struct governor *g, enum governor_cause cause)
{
	wake(g, 1U << cause);
}

void governor_waits(struct governor *g)
{
	if (atomic_exchange(&g->rests, false))
		governor_wake(g, GOVERNOR_WAITS);
}

void governor_set(struct governor *g, const struct policy_settings *settings)
{
	(void)pthread_mutex_lock(&g->lock);
	g->settings = *settings;
	(void)pthread_mutex_unlock(&g->lock);
	wake(g, CHANGED);
}

void governor_grant(struct governor *g, bool has_grant, uint64_t grant_bytes)
{
	(void)pthread_mutex_lock(&g->lock);
	g->has_grant = has_grant;
	g->grant_bytes = has_grant ? grant_bytes : 0;
	(void)pthread_mutex_unlock(&g->lock);
	wake(g, CHANGED);
}

void governor_read(struct governor *g, struct governor_status *ret_status)
{
	(void)pthread_mutex_lock(&g->lock);
	*ret_status = (struct governor_status){ .settings = g->settings,
						.has_grant = g->has_grant,
						.grant_bytes = g->grant_bytes,
						.counters = g->counters };
	if (newest(g))
		ret_status->record = *newest(g);
	(void)pthread_mutex_unlock(&g->lock);
}

unsigned governor_read_records(struct governor *g, uint64_t after,
			       struct policy_record *ret_records, unsigned room, uint64_t *ret_last)
{
	unsigned count = 0;
	uint64_t first;

	(void)pthread_mutex_lock(&g->lock);
	first = g->counters.ticks > GOVERNOR_KEPT ? g->counters.ticks - GOVERNOR_KEPT : 0;
	for (uint64_t i = after > first ? after : first; i < g->counters.ticks && count < room; i++)
		ret_records[count++] = g->kept[i % GOVERNOR_KEPT];
	*ret_last = g->counters.ticks;
	(void)pthread_mutex_unlock(&g->lock);
	return count;
}
