/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* keeper.c - see keeper.h: one thread that does what can wait, a step of at most a few system calls at
 * a time.
 *
 * The thread sleeps on an eventfd until the next thing is due. The pager signals it only when it
 * sleeps and there is work, so that a fault seldom costs a system call for us.
 *
 * Priority. SCHED_BATCH: it never preempts who runs when it wakes up, but has its share. SCHED_IDLE
 * would be too little: while it prepares a block it holds the block's lock, and a pager that comes for
 * this block waits; on a busy host an idle thread would let it wait for many times the 120 us. Even
 * so it may lose its processor in the middle of one, for milliseconds. So who comes for that very
 * block lends it real time (keeper_hurry()), until the step is over.
 *
 * Stepping back. What nobody wished for is prepared with processors that nobody else wants. Between
 * two blocks, when it holds no lock, the thread gives its processor away and looks whether there was
 * anybody (leisure.c); then it rests, longer each time. It looks before the first block after each
 * sleep, too. In front of a stream it goes on as long as it gets a processor when it wants one: these
 * blocks are zeroed by somebody in a moment. The stock may never be touched: for that a processor has
 * to be idle.
 */
#include "memory/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "memory/ahead.h"
#include "memory/leisure.h"
#include "memory/prepare.h"
#include "memory/ram_internal.h"
#include "memory/sampler.h"
#include "memory/watch.h"

enum { LOADAVG_BYTES = 128 };

struct keeper {
	struct ahead ahead;
	struct sampler sampler;
	int wake_fd;
	atomic_bool asleep, stop;
	atomic_bool hurried; /* real time was lent to the thread */
	int loadavg_fd;	     /* -1: cannot be read */
	uint64_t processors;
	uint64_t rested_ns[AHEAD_KINDS]; /* as leisure_rest_ns() wants it */
	bool running;
	pthread_t thread;
	struct watch *watch;
	struct watched watched;
};

static void wake(struct keeper *keeper)
{
	if (atomic_exchange(&keeper->asleep, false))
		event_signal(keeper->wake_fd);
}

/* `asleep` is set before the last look, so that who comes after the look signals. */
static void sleep_until(struct keeper *keeper, uint64_t wake_ns)
{
	struct pollfd signalled = { .fd = keeper->wake_fd, .events = POLLIN };
	uint64_t now_ns = clock_now_ns();
	uint64_t left_ns = wake_ns > now_ns ? wake_ns - now_ns : 0;
	struct timespec left = { .tv_sec = (time_t)(left_ns / NS_PER_S),
				 .tv_nsec = (long)(left_ns % NS_PER_S) };

	(void)ppoll(&signalled, 1, wake_ns == UINT64_MAX ? NULL : &left, NULL);
	(void)event_drain(keeper->wake_fd);
	atomic_store(&keeper->asleep, false);
}

static uint64_t cpu_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t step(struct keeper *keeper)
{
	uint64_t sampler_ns = sampler_step(&keeper->sampler, clock_now_ns());
	uint64_t ahead_ns = ahead_step(&keeper->ahead, clock_now_ns());

	return sampler_ns < ahead_ns ? sampler_ns : ahead_ns;
}

/* A piece of our work. */
struct turn {
	uint64_t start_ns, start_cpu_ns, prepared;
};

static struct turn begin_turn(const struct keeper *keeper)
{
	return (struct turn){ .start_ns = clock_now_ns(),
			      .start_cpu_ns = cpu_now_ns(),
			      .prepared = keeper->ahead.prepared };
}

static uint64_t count_runnable(const struct keeper *keeper)
{
	char text[LOADAVG_BYTES];
	ssize_t got = pread(keeper->loadavg_fd, text, sizeof(text) - 1, 0);

	if (got <= 0)
		return 0;
	text[got] = '\0';
	return leisure_parse_runnable(text);
}

/* Who never finds an idle processor prepares a block each LEISURE_MOST_NS. */
static void judge(struct keeper *keeper, enum ahead_kind kind, const struct leisure_view *view,
		  const struct turn *turn)
{
	uint64_t *rested_ns = &keeper->rested_ns[kind];
	bool prepared = keeper->ahead.prepared != turn->prepared;
	uint64_t rest_ns;

	if (ahead_is_resting(&keeper->ahead, kind, turn->start_ns))
		return;
	rest_ns = leisure_rest_ns(view, *rested_ns);
	if (rest_ns && (prepared || *rested_ns < LEISURE_MOST_NS))
		ahead_rest(&keeper->ahead, kind, turn->start_ns + view->wall_ns + rest_ns);
	if (rest_ns || prepared)
		*rested_ns = rest_ns ? rest_ns : *rested_ns / 2;
}

/* Let others go first, and see whether there are any. */
static void give_way(struct keeper *keeper, const struct turn *turn)
{
	struct leisure_view view = { .processors = keeper->processors };

	(void)sched_yield();
	view.wall_ns = clock_now_ns() - turn->start_ns;
	view.cpu_ns = cpu_now_ns() - turn->start_cpu_ns;
	judge(keeper, AHEAD_FRONT, &view, turn);
	if (ahead_is_resting(&keeper->ahead, AHEAD_STOCK, turn->start_ns))
		return;
	view.runnable = count_runnable(keeper);
	judge(keeper, AHEAD_STOCK, &view, turn);
}

static void be_patient(void)
{
	const struct sched_param none = { 0 };

	(void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
}

/* When to do the next. */
static uint64_t work(struct keeper *keeper)
{
	uint64_t wake_ns = step(keeper);

	if (atomic_exchange(&keeper->hurried, false))
		be_patient();
	return wake_ns;
}

/* Until there is something to do. */
static void rest(struct keeper *keeper)
{
	uint64_t wake_ns;

	atomic_store(&keeper->asleep, true);
	wake_ns = work(keeper);
	watch_idle(&keeper->watched, false);
	if (!atomic_load(&keeper->stop))
		sleep_until(keeper, wake_ns);
	watch_busy(&keeper->watched);
}

static void *keeper_thread(void *arg)
{
	struct keeper *keeper = arg;
	struct turn turn = begin_turn(keeper);

	(void)pthread_setname_np(pthread_self(), "keeper");
	/* It holds blocks' locks: if it stopped there, who wants the block would wait for ever. */
	(void)watch_enter(keeper->watch, &keeper->watched);
	watch_busy(&keeper->watched);
	be_patient();
	while (!atomic_load(&keeper->stop)) {
		uint64_t wake_ns = work(keeper);

		if (wake_ns > clock_now_ns()) {
			rest(keeper);
			turn = begin_turn(keeper);
			if (ahead_is_wished(&keeper->ahead))
				continue;
		}
		give_way(keeper, &turn);
		turn = begin_turn(keeper);
	}
	watch_leave(keeper->watch, &keeper->watched);
	return NULL;
}

static int start_thread(struct keeper *keeper)
{
	int result = -pthread_create(&keeper->thread, NULL, keeper_thread, keeper);

	keeper->running = result == 0;
	return result;
}

static void open_loadavg(struct keeper *keeper)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	keeper->processors = online > 0 ? (uint64_t)online : 1;
	keeper->loadavg_fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
}

static int init(struct keeper *keeper, struct ram *ram, const struct ram_config *config)
{
	uint64_t seed = clock_now_ns();
	int result;

	/* Not a secret: a guest that guesses the sample only fools itself. */
	(void)!getrandom(&seed, sizeof(seed), GRND_NONBLOCK);
	keeper->watch = ram->watch;
	keeper->watched = (struct watched){ .task = "prepares memory" };
	keeper->wake_fd = event_create();
	if (keeper->wake_fd < 0)
		return keeper->wake_fd;
	result = ahead_init(&keeper->ahead, ram, config);
	if (result == 0)
		result = sampler_init(&keeper->sampler, ram, config->sample_blocks,
				      config->sample_period_ns, seed);
	if (keeper->ahead.most_blocks)
		open_loadavg(keeper);
	return result ? result : start_thread(keeper);
}

int keeper_start(struct ram *ram, const struct ram_config *config, struct keeper **ret_keeper,
		 struct err *err)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	int result;

	if (!keeper)
		return err_set(err, -ENOMEM, "keeper: out of memory");
	keeper->loadavg_fd = keeper->wake_fd = -1;
	result = init(keeper, ram, config);
	if (result) {
		keeper_stop(keeper);
		errno = -result;
		return err_set(err, result, "keeper: starting its thread: %m");
	}
	*ret_keeper = keeper;
	return 0;
}

void keeper_stop(struct keeper *keeper)
{
	if (!keeper)
		return;
	if (keeper->running) {
		atomic_store(&keeper->stop, true);
		event_signal(keeper->wake_fd);
		(void)pthread_join(keeper->thread, NULL);
		watch_leave(keeper->watch, &keeper->watched); /* if it died */
	}
	sampler_fini(&keeper->sampler);
	ahead_fini(&keeper->ahead);
	close_fd(&keeper->wake_fd);
	close_fd(&keeper->loadavg_fd);
	free(keeper);
}

int keeper_touched(struct keeper *keeper, uint64_t block)
{
	bool work;
	int ready = ahead_touched(&keeper->ahead, block, &work);

	sampler_touched(&keeper->sampler, block);
	if (work)
		wake(keeper);
	return ready;
}

/* In this order: what the thread forgets before it is lent is forgotten after the next step. */
void keeper_hurry(struct keeper *keeper, uint64_t block)
{
	const struct sched_param first = { .sched_priority = sched_get_priority_min(SCHED_RR) };

	if (atomic_load_explicit(&keeper->ahead.at_block, memory_order_relaxed) != block)
		return;
	if (pthread_setschedparam(keeper->thread, SCHED_RR | SCHED_RESET_ON_FORK, &first) == 0)
		atomic_store(&keeper->hurried, true);
}

uint64_t keeper_give_back(struct keeper *keeper)
{
	uint64_t given = ahead_give_back(&keeper->ahead, clock_now_ns());

	if (given)
		wake(keeper);
	return given;
}

void keeper_discarded(struct keeper *keeper, uint64_t first_block, uint64_t block_count)
{
	ahead_discarded(&keeper->ahead, first_block, block_count);
}

void keeper_prepare(struct keeper *keeper, uint64_t first_block, uint64_t block_count)
{
	ahead_prepare(&keeper->ahead, first_block, block_count);
	wake(keeper);
}

void keeper_set_limit(struct keeper *keeper, uint64_t limit_bytes)
{
	atomic_store(&keeper->ahead.limit_blocks, limit_bytes >> BLOCK_SHIFT);
	wake(keeper);
}

void keeper_set_grant(struct keeper *keeper, uint64_t grant_bytes)
{
	uint64_t blocks = grant_bytes >> BLOCK_SHIFT;

	if (grant_bytes && blocks == 0)
		blocks = 1;
	if (atomic_exchange(&keeper->ahead.grant_blocks, blocks) != blocks)
		wake(keeper);
}

void keeper_read_statistics(const struct keeper *keeper, struct ram_statistics *statistics)
{
	sampler_read_statistics(&keeper->sampler, statistics);
}

unsigned keeper_coldest(struct keeper *keeper, uint64_t *ret_blocks, unsigned room)
{
	return sampler_coldest(&keeper->sampler, ret_blocks, room);
}

void ram_prepare(struct ram *ram, gpa_t gpa, uint64_t len_bytes)
{
	uint64_t offset_bytes, first, end;

	if (!ram->keeper || len_bytes == 0 ||
	    !ram_layout_offset(&ram->layout, gpa, len_bytes, &offset_bytes))
		return;
	first = offset_bytes >> BLOCK_SHIFT;
	end = (offset_bytes + len_bytes + BLOCK_BYTES - 1) >> BLOCK_SHIFT;
	keeper_prepare(ram->keeper, first, end - first);
}
