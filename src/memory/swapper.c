/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swapper.c - the threads that move blocks between RAM and the swap file; who does what next.
 *
 * Design. SWAPPER_WORKERS threads, each with its own way into the store (buffers, cipher). A worker
 * picks its next job under `lock`, does it without, and comes again. A job is one block, a
 * millisecond or two, and the order of picking is the priority:
 *     evictions of what is above the limit    or many reads at once would never let one go
 *     reads that somebody sleeps for          swapper_in.c
 *     evictions that somebody sleeps for      swapper_out.c; how many: pressure.c, which: victims.c
 *     reads ahead of a sweep                  readahead.c
 *     other evictions                         one worker at most, so that the other can read
 *     partly ballooned blocks                 swapper_balloon.c; while nothing is short
 *     bringing back                           swapper_back.c; when the shortage is over
 * The pager hands over reads through a queue without a lock (read_queue.h) and wakes a worker only
 * if one sleeps (wake.h): it never waits for us.
 *
 * Invariants
 *  W1  A block is READING => it is in the queue or in `pending`, once, or in one worker's hands.
 *  W2  What the store holds for a block is written, read or dropped by one thread at a time: the
 *      reader while it is READING; swapper_drop() under the block's lock while it is SWAPPED; and
 *      who evicts it from before WRITING until after the last look at what became of it, when it
 *      may be RESIDENT again already: no other worker chooses a block in `busy_block`.
 *  W3  A worker begins a read only while `pending` has room for what every worker may have to put
 *      there. So it never overflows; the queue fills instead, and the pager asks again.
 *  W4  No worker waits for a frame: the read goes to `pending`, and the worker evicts.
 *  W5  Nothing is allocated after swapper_start(). What a worker uses (its stack, this structure,
 *      the store's buffers) is locked in memory as far as RLIMIT_MEMLOCK lets us: reading a block
 *      back must not need a page of ours that the host has swapped. The program's text is not.
 *
 * Source. Linux Documentation/admin-guide/mm/userfaultfd.rst; futex(2).
 */
#include "memory/swapper.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "memory/swapper_internal.h"

#define IDLE_NS	    (1 * NS_PER_S)
#define RELIEF_NS   (10 * NS_PER_S)
#define BOUNDED_NS  (100 * NS_PER_MS)
#define CALM_NS	    (1 * NS_PER_S)
#define PRESSURE_NS (5 * NS_PER_MS)
#define WANTED_NS   (5 * NS_PER_MS) /* the pager asks every 2 ms while somebody sleeps */

/* Where we may, we go before those who wait for us, but after the pager. */
enum { STACK_BYTES = 128 * KIB_BYTES, WORKER_NICE = -10 };

bool swapper_is_untouched(void *swapper, uint64_t block)
{
	uint64_t word = frames_peek(&((struct swapper *)swapper)->ram->frames, block);

	return frame_state_of(word) == FRAME_SAMPLED && !(word & (FRAME_FRESH | FRAME_WRITER)) &&
	       frame_holds_of(word) == 0;
}

bool swapper_is_swapped(void *swapper, uint64_t block)
{
	return frame_state_of(frames_peek(&((struct swapper *)swapper)->ram->frames, block)) ==
	       FRAME_SWAPPED;
}

uint64_t swapper_in_ram_blocks(const struct swapper *swapper)
{
	const struct frames *frames = &swapper->ram->frames;

	return atomic_load(&frames->in_state[FRAME_RESIDENT]) +
	       atomic_load(&frames->in_state[FRAME_SAMPLED]);
}

/* The VM's own limit, and its grant; 0: neither. */
static uint64_t limit_of(const struct swapper *swapper)
{
	uint64_t limit_bytes = atomic_load_explicit(&swapper->limit_bytes, memory_order_relaxed);
	uint64_t most_bytes = grant_most_bytes(&swapper->ram->grant);

	if (most_bytes == GRANT_NONE || (limit_bytes && limit_bytes < most_bytes))
		return limit_bytes;
	return most_bytes;
}

struct pressure_now swapper_pressure_now(const struct swapper *swapper)
{
	uint64_t now_ns = clock_now_ns();

	return (struct pressure_now){
		.now_ns = now_ns,
		.held_bytes = ram_resident_bytes(swapper->ram),
		.limit_bytes = limit_of(swapper),
		.block_bytes = BLOCK_BYTES,
		.waiting = atomic_load(&swapper->starving) > 0 ||
			   (swapper->wanted_ns && now_ns - swapper->wanted_ns < WANTED_NS),
	};
}

unsigned swapper_dead_pages(const struct swapper *swapper, uint64_t block)
{
	const struct ram_events *events = &swapper->events;
	uint64_t dead[BLOCK_PAGE_WORDS] = { 0 };
	unsigned pages = 0;

	if (!events->dead || !events->dead(events->ctx, block * BLOCK_PAGES, dead))
		return 0;
	for (unsigned i = 0; i < BLOCK_PAGE_WORDS; i++)
		pages += (unsigned)__builtin_popcountll(dead[i]);
	return pages;
}

static bool pick_locked(struct swapper *swapper, struct swap_job *job)
{
	if (swapper->hushed) {
		swapper_cancel_reads_locked(swapper);
		return false;
	}
	return swapper_pick_excess_locked(swapper, job) || swapper_pick_read_locked(swapper, job) ||
	       swapper_pick_evict_locked(swapper, job) || swapper_pick_back_locked(swapper, job);
}

static void do_job(struct swapper *swapper, struct swap_thread *thread, const struct swap_job *job)
{
	switch (job->kind) {
	case JOB_NONE: break;
	case JOB_READ: swapper_do_read(swapper, thread, job); break;
	case JOB_EVICT: swapper_do_evict(swapper, thread, job); break;
	case JOB_DROP_FRESH: swapper_do_drop_fresh(swapper, job); break;
	}
}

/* Until the next look at what nobody wakes us for: memory that grows without a touch that we are told
 * of (devices, blocks prepared ahead), a sweep that goes on. */
static uint64_t look_again_ns(const struct swapper *swapper)
{
	struct pressure_now now = swapper_pressure_now(swapper);
	uint64_t limit_bytes = atomic_load_explicit(&swapper->limit_bytes, memory_order_relaxed);
	/* A grant is no reason to look: who comes near it wakes us (swapper_may_grow). */
	bool is_bounded = limit_bytes || swapper->pressure.ceiling_bytes != PRESSURE_NONE ||
			  (now.limit_bytes && pressure_calm_ns(&swapper->pressure, &now) < CALM_NS);

	if (!swapper_can_evict(swapper, UINT64_MAX - 1))
		return IDLE_NS;
	if (is_bounded && pressure_calm_ns(&swapper->pressure, &now) < CALM_NS)
		return PRESSURE_NS;
	if (swapper_is_sweeping_locked(swapper) && now.now_ns >= swapper->balloon.paused_until_ns)
		return PRESSURE_NS;
	return is_bounded ? BOUNDED_NS : IDLE_NS;
}

static uint64_t sooner(uint64_t patience_ns, uint64_t now_ns, uint64_t due_ns)
{
	if (due_ns <= now_ns)
		return patience_ns;
	return due_ns - now_ns < patience_ns ? due_ns - now_ns : patience_ns;
}

static bool does_another_attend_locked(const struct swapper *swapper)
{
	for (unsigned i = 0; i < SWAPPER_WORKERS; i++)
		if (swapper->threads[i].attends)
			return true;
	return false;
}

/* How long a worker that found nothing to do may sleep, if nobody wakes it. While all is calm one of
 * them looks for all; the others come now and then, should that one be held up. */
static uint64_t patience_ns_locked(const struct swapper *swapper, struct swap_thread *thread)
{
	uint64_t now_ns = clock_now_ns();
	uint64_t patience_ns = look_again_ns(swapper);

	if (patience_ns >= BOUNDED_NS && does_another_attend_locked(swapper))
		return RELIEF_NS;
	thread->attends = true;
	patience_ns = sooner(patience_ns, now_ns, swapper_next_pending_ns_locked(swapper));
	return swapper_may_bring_back(swapper) ? sooner(patience_ns, now_ns, swapper->back.next_ns)
					       : patience_ns;
}

/* One job, or a sleep. */
static void take_turn(struct swapper *swapper, struct swap_thread *thread)
{
	struct swap_job job = { .kind = JOB_NONE };
	uint32_t seen = wake_look(&swapper->wake);
	uint64_t patience_ns = 0;

	(void)pthread_mutex_lock(&swapper->lock);
	thread->attends = false;
	if (pick_locked(swapper, &job)) {
		swapper->busy_workers++;
		thread->busy_block = job.block;
	} else {
		patience_ns = patience_ns_locked(swapper, thread);
	}
	(void)pthread_mutex_unlock(&swapper->lock);
	if (job.kind == JOB_NONE) {
		if (!atomic_load(&swapper->stopping))
			wake_sleep(&swapper->wake, seen, patience_ns);
		return;
	}
	watch_busy(&thread->watched);
	do_job(swapper, thread, &job);
	watch_idle(&thread->watched, false);
	(void)pthread_mutex_lock(&swapper->lock);
	thread->busy_block = SWAPPER_NO_BLOCK;
	if (--swapper->busy_workers == 0)
		(void)pthread_cond_broadcast(&swapper->quiet);
	(void)pthread_mutex_unlock(&swapper->lock);
}

/* W5: this thread's stack, as deep as it gets. */
static void lock_stack(void)
{
	uint8_t here;
	uintptr_t top = (uintptr_t)&here;

	(void)mlock((void *)(top - STACK_BYTES), STACK_BYTES);
}

static void *worker_main(void *arg)
{
	struct swap_thread *thread = arg;
	char name[16];

	(void)snprintf(name, sizeof(name), "swap-%u",
		       (unsigned)(thread - thread->swapper->threads));
	(void)pthread_setname_np(pthread_self(), name);
	lock_stack();
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), WORKER_NICE);
	(void)watch_enter(thread->swapper->ram->watch, &thread->watched);
	while (!atomic_load(&thread->swapper->stopping))
		take_turn(thread->swapper, thread);
	watch_leave(thread->swapper->ram->watch, &thread->watched);
	return NULL;
}

/* Memory that is taken once and locked if we may (W5). */
static void *take_memory(size_t len_bytes)
{
	void *memory =
		mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	(void)mlock(memory, len_bytes);
	return memory;
}

static void give_memory(void *memory, size_t len_bytes)
{
	if (memory)
		(void)munmap(memory, len_bytes);
}

static int create_thread(struct swap_thread *thread)
{
	int result = -pthread_create(&thread->thread, NULL, worker_main, thread);

	thread->running = result == 0;
	return result;
}

static int start_threads(struct swapper *swapper, struct err *err)
{
	int result = 0;

	for (unsigned i = 0; i < SWAPPER_WORKERS && result == 0; i++) {
		struct swap_thread *thread = &swapper->threads[i];

		thread->swapper = swapper;
		thread->watched = (struct watched){ .task = "moves memory to swap and back" };
		thread->busy_block = SWAPPER_NO_BLOCK;
		result = swap_worker_open(swapper->store, &thread->store_worker, err);
	}
	for (unsigned i = 0; i < SWAPPER_WORKERS && result == 0; i++) {
		result = create_thread(&swapper->threads[i]);
		if (result) {
			errno = -result;
			(void)err_set(err, result, "swap: starting its threads: %m");
		}
	}
	return result;
}

static int open_store(struct swapper *swapper, const struct ram_config *config, struct err *err)
{
	const struct ram_swap_config *swap = &config->swap;
	struct swap_config store = {
		.dir = swap->dir,
		.size_bytes = swap->size_bytes ? swap->size_bytes : config->ram_bytes,
		.block_count = swapper->block_count,
		.encrypt = swap->encrypt,
		.compress = swap->compress,
	};

	_Static_assert(sizeof(store.vm_uuid) == sizeof(swap->vm_uuid), "a UUID is a UUID");
	memcpy(store.vm_uuid, swap->vm_uuid, sizeof(store.vm_uuid));
	return swap_store_open(&store, &swapper->store, err);
}

static void init(struct swapper *swapper, struct ram *ram, const struct ram_config *config)
{
	uint64_t seed = clock_now_ns();

	(void)getrandom(&seed, sizeof(seed), GRND_NONBLOCK); /* a poor seed is good enough */
	swapper->ram = ram;
	swapper->events = config->events;
	swapper->hugetlbfs_dir = config->hugetlbfs_dir;
	swapper->block_count = ram->frames.block_count;
	atomic_init(&swapper->limit_bytes, config->limit_bytes);
	for (unsigned i = 0; i < READAHEAD_STREAMS; i++)
		atomic_init(&swapper->markers[i], READAHEAD_NOWHERE);
	read_queue_init(&swapper->queue);
	(void)pthread_mutex_init(&swapper->lock, NULL);
	(void)pthread_cond_init(&swapper->quiet, NULL);
	victims_init(&swapper->victims, swapper->block_count, seed);
	pressure_init(&swapper->pressure);
	swapper->hushed = true;
}

int swapper_start(struct ram *ram, const struct ram_config *config, struct swapper **ret_swapper,
		  struct err *err)
{
	struct swapper *swapper = take_memory(sizeof(*swapper));
	int result;

	if (!swapper)
		return err_set(err, -ENOMEM, "swap: out of memory");
	init(swapper, ram, config);
	result = open_store(swapper, config, err);
	if (result == 0)
		result = start_threads(swapper, err);
	if (result) {
		swapper_stop(swapper);
		return result;
	}
	*ret_swapper = swapper;
	return 0;
}

void swapper_stop(struct swapper *swapper)
{
	if (!swapper)
		return;
	atomic_store(&swapper->stopping, true);
	wake_all(&swapper->wake);
	for (unsigned i = 0; i < SWAPPER_WORKERS; i++) {
		struct swap_thread *thread = &swapper->threads[i];

		if (thread->running) {
			(void)pthread_join(thread->thread, NULL);
			watch_leave(swapper->ram->watch, &thread->watched); /* if it died */
		}
		swap_worker_close(thread->store_worker);
	}
	swap_store_close(swapper->store);
	(void)pthread_cond_destroy(&swapper->quiet);
	(void)pthread_mutex_destroy(&swapper->lock);
	give_memory(swapper, sizeof(*swapper));
}

bool swapper_read(struct swapper *swapper, uint64_t block)
{
	if (!read_queue_put(&swapper->queue, block))
		return false;
	atomic_fetch_add_explicit(&swapper->counters.refaults, 1, memory_order_relaxed);
	wake_one(&swapper->wake);
	return true;
}

/* Over the limit, nobody waits for the next look at the clock. */
static bool is_over_limit(const struct swapper *swapper)
{
	uint64_t limit_bytes = limit_of(swapper);

	return limit_bytes && ram_resident_bytes(swapper->ram) > limit_bytes;
}

void swapper_touched(struct swapper *swapper, uint64_t block)
{
	bool wake = is_over_limit(swapper);

	for (unsigned i = 0; i < READAHEAD_STREAMS; i++) {
		uint64_t marker = block;

		if (atomic_load_explicit(&swapper->markers[i], memory_order_relaxed) == block &&
		    atomic_compare_exchange_strong(&swapper->markers[i], &marker,
						   READAHEAD_NOWHERE))
			wake |= read_queue_put(&swapper->queue, block | SWAPPER_MARKER_FLAG);
	}
	if (wake)
		wake_one(&swapper->wake);
}

void swapper_want_frames(struct swapper *swapper)
{
	atomic_store(&swapper->want_frames, true);
	wake_all(&swapper->wake);
}

bool swapper_can_make_room(const struct swapper *swapper)
{
	return swapper_can_evict(swapper, clock_now_ns());
}

bool swapper_may_grow(struct swapper *swapper)
{
	uint64_t limit_bytes = limit_of(swapper);

	if (!limit_bytes || !swapper_can_evict(swapper, clock_now_ns()) ||
	    ram_resident_bytes(swapper->ram) < limit_bytes)
		return true;
	wake_one(&swapper->wake);
	return false;
}

bool swapper_is_starving(const struct swapper *swapper)
{
	return atomic_load(&swapper->starving) > 0;
}

void swapper_set_limit(struct swapper *swapper, uint64_t limit_bytes)
{
	atomic_store(&swapper->limit_bytes, limit_bytes);
	wake_all(&swapper->wake);
}

void swapper_drop(struct swapper *swapper, uint64_t block)
{
	swap_store_drop(swapper->store, block);
}

void swapper_hush(struct swapper *swapper)
{
	(void)pthread_mutex_lock(&swapper->lock);
	swapper->hushed = true;
	while (swapper->busy_workers)
		(void)pthread_cond_wait(&swapper->quiet, &swapper->lock);
	swapper_cancel_reads_locked(swapper);
	(void)pthread_mutex_unlock(&swapper->lock);
}

void swapper_resume(struct swapper *swapper)
{
	(void)pthread_mutex_lock(&swapper->lock);
	swapper->hushed = false;
	pressure_init(&swapper->pressure);
	(void)pthread_mutex_unlock(&swapper->lock);
	wake_all(&swapper->wake);
	engine_arrived(swapper->ram); /* whoever slept for a read that was called off asks again */
}

static uint64_t counted(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void swapper_read_statistics(const struct swapper *swapper, struct ram_statistics *statistics)
{
	const struct swapper_counters *counters = &swapper->counters;
	struct swap_stats store;

	swap_store_stats(swapper->store, &store);
	statistics->limit_bytes = counted(&swapper->limit_bytes);
	statistics->swap_out_bytes = counted(&counters->out_bytes);
	statistics->swap_in_bytes = counted(&counters->in_bytes);
	statistics->swap_out_zero_bytes = counted(&counters->zero_bytes);
	statistics->swap_aborts = counted(&counters->aborts);
	statistics->refaults = counted(&counters->refaults);
	statistics->swap_size_bytes = store.size_bytes;
	statistics->swap_used_bytes = store.used_bytes;
	statistics->swap_write_errors = store.write_errors;
	statistics->swap_read_errors = store.read_errors + store.bad_blocks;
	statistics->swap_closed = store.closed_for_writing;
	statistics->swap_out_famine_bytes = counted(&counters->out_reason_bytes[SWAP_FAMINE]);
	statistics->swap_out_limit_bytes = counted(&counters->out_reason_bytes[SWAP_LIMIT]);
	statistics->swap_out_balloon_bytes = counted(&counters->out_reason_bytes[SWAP_BALLOON]);
	statistics->swap_ahead_bytes = counted(&counters->ahead_bytes);
	statistics->swap_back_bytes = counted(&counters->back_bytes);
}
