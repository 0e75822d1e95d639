/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pager.c - every touch of a block that is not mapped is answered by us.
 *
 * Problem. Left to the kernel, a vCPU that touches a hole of hugetlbfs while the pool is empty gets
 * nowhere, in one of three ways: KVM_RUN fails with EFAULT; it comes back as MMIO inside RAM; or,
 * with a local APIC in the kernel, KVM makes the fault asynchronous, fails, and starts over for
 * ever without leaving KVM_RUN: a processor burns and nobody is told. And what went to swap must
 * come back before anybody sees zeros in its place.
 *
 * Design. The guest view is registered for missing and minor faults. Whoever touches an unmapped
 * frame sleeps; this thread gets a message and does what the block's state asks (block_touch()):
 * most touches end there, mapped. One that cannot be answered now, because the host has no frame, or
 * none for this VM (grant.c), or because a swap worker reads the block, is kept in `sleepers`, and
 * looked at again when somebody pokes, and every RETRY_MS while there is no frame: memory may return
 * from anywhere.
 *
 * Invariants
 *  P1  This thread never touches the guest view; it would wait for itself. It does no I/O, takes no
 *      lock but a block's, allocates nothing, and calls back only what returns at once.
 *  P2  What it does follows from the state, never from the kind of the message: messages go stale.
 *  P3  Every message read is answered at once or in `sleepers` until it is. When there is no room,
 *      messages stay in the kernel until there is: their senders sleep on.
 *  P4  `starved(true)` and `starved(false)` alternate, both from this thread. With swap, or at the end
 *      of a grant, the first is told only when TELL_AFTER_NS have not helped.
 *
 * Stall. The time from the message's arrival (as far as we can see it: when we woke up for it) to
 * the mapping, summed over all messages: what vCPUs and devices waited for us. The kernel's own
 * part of a fault, a few microseconds, is not in it.
 *
 * Limits. A toucher that sleeps in the kernel without a signal's way out (KVM before 6.3,
 * interrupts off in the guest) stays there until it is answered, or the process ends.
 *
 * Sources. Linux Documentation/admin-guide/mm/userfaultfd.rst; virt/kvm/async_pf.c.
 */
#include "memory/pager.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "memory/block.h"
#include "memory/keeper.h"
#include "memory/ram_internal.h"
#include "memory/runs.h"
#include "memory/steady.h"
#include "memory/watch.h"

enum { MAX_SLEEPERS = 2048, RETRY_MS = 2, MESSAGES_PER_READ = 16, PAGER_NICE = -15 };

#define TELL_AFTER_NS (20 * NS_PER_MS)

struct sleeper {
	uint64_t offset_bytes;
	uint64_t since_ns;
	bool starving; /* there was no frame for it when we last looked */
	bool held;     /* because of the VM's grant */
};

/* A time that goes on, or not; written by the thread. */
struct spell {
	_Atomic uint64_t since_ns; /* 0: not now */
	_Atomic uint64_t past_ns;
};

struct pager {
	struct ram *ram;
	int stop_fd, poke_fd;
	bool running;
	bool told; /* P4 */
	pthread_t thread;
	unsigned sleeper_count, starving_count;
	struct sleeper sleepers[MAX_SLEEPERS];
	struct runs runs; /* 4 KiB memory */
	struct watched watched;

	/* Written by the thread, read by any. */
	_Atomic uint64_t faults, stall_ns, kept_waiting_ns, ahead_hits;
	_Atomic uint64_t asleep, asleep_since_sum_ns; /* of those who sleep now */
	struct spell starved, over_grant;	      /* at most one of them goes on */
};

static void add(_Atomic uint64_t *counter, uint64_t value)
{
	atomic_fetch_add_explicit(counter, value, memory_order_relaxed);
}

/* Map what the keeper says comes next. How many. */
static unsigned map_ahead(struct ram *ram, uint64_t block)
{
	int ready = ram->keeper ? keeper_touched(ram->keeper, block) : 0;
	unsigned mapped = 0;

	for (int i = 1; i <= abs(ready); i++)
		mapped += block_map_ahead(ram, ready > 0 ? block + (uint64_t)i
							 : block - (uint64_t)i) == 0;
	return mapped;
}

/* Answer one touch. False: an error that no retry mends. */
static bool settle(struct pager *pager, const struct sleeper *sleeper, const struct page_run *run,
		   enum touch *ret_touch)
{
	struct ram *ram = pager->ram;
	uint64_t block = sleeper->offset_bytes >> BLOCK_SHIFT;
	bool was_fresh = false;

	if (ram->keeper)
		keeper_hurry(ram->keeper, block);
	switch (engine_growth(ram, sleeper->offset_bytes)) {
	case GROWTH_FREE: break;
	case GROWTH_SWAPS: *ret_touch = TOUCH_NO_MEMORY; return true;
	case GROWTH_HELD: *ret_touch = TOUCH_HELD; return true;
	}
	do
		*ret_touch = block_touch(ram, sleeper->offset_bytes, run, &was_fresh);
	while (*ret_touch == TOUCH_NO_MEMORY && engine_make_room(ram));
	if (*ret_touch == TOUCH_SWAPPED && !engine_read_back(ram, block))
		block_read_fail(ram, block); /* no room to ask: SWAPPED again, and asked again */
	if (*ret_touch == TOUCH_MAPPED) {
		engine_touched(ram, block);
		add(&pager->ahead_hits, was_fresh + map_ahead(ram, block));
	}
	return *ret_touch != TOUCH_FAILED;
}

static void set_why(struct sleeper *sleeper, enum touch touch)
{
	sleeper->held = touch == TOUCH_HELD;
	sleeper->starving = sleeper->held || touch == TOUCH_NO_MEMORY;
}

static void put_to_sleep(struct pager *pager, struct sleeper sleeper, enum touch touch)
{
	const struct ram_events *events = &pager->ram->events;

	set_why(&sleeper, touch);
	pager->starving_count += sleeper.starving;
	pager->sleepers[pager->sleeper_count++] = sleeper;
	add(&pager->asleep, 1);
	add(&pager->asleep_since_sum_ns, sleeper.since_ns);
	if (events->waits)
		events->waits(events->ctx);
}

static void count_awake(struct pager *pager, const struct sleeper *sleeper, uint64_t now_ns)
{
	add(&pager->stall_ns, now_ns - sleeper->since_ns);
	add(&pager->kept_waiting_ns, now_ns - sleeper->since_ns);
	add(&pager->asleep, UINT64_MAX);
	add(&pager->asleep_since_sum_ns, 0 - sleeper->since_ns);
}

/* Oldest first. Once the host has no frame for one, the others who need one are not tried. */
static bool look_again(struct pager *pager)
{
	enum touch touch, none = TOUCH_NO_MEMORY;
	unsigned kept = 0, starving = 0;

	for (unsigned i = 0; i < pager->sleeper_count; i++) {
		struct sleeper sleeper = pager->sleepers[i];

		touch = none;
		if (!(starving && sleeper.starving) && !settle(pager, &sleeper, NULL, &touch))
			return false;
		if (touch == TOUCH_MAPPED) {
			count_awake(pager, &sleeper, clock_now_ns());
			continue;
		}
		set_why(&sleeper, touch);
		if (sleeper.starving)
			none = touch;
		starving += sleeper.starving;
		pager->sleepers[kept++] = sleeper;
	}
	pager->sleeper_count = kept;
	pager->starving_count = starving;
	return true;
}

/* The one who stands for all that there is no frame for; NULL: a block that is read back does. */
static const struct sleeper *first_starving(const struct pager *pager)
{
	for (unsigned i = 0; i < pager->sleeper_count; i++)
		if (pager->sleepers[i].starving)
			return &pager->sleepers[i];
	return NULL;
}

static gpa_t starving_gpa(const struct pager *pager)
{
	const struct sleeper *sleeper = first_starving(pager);

	if (!sleeper && pager->sleeper_count)
		sleeper = &pager->sleepers[0];
	return sleeper ? ram_layout_gpa(&pager->ram->layout, sleeper->offset_bytes) : GPA(0);
}

static void note_spell(struct spell *spell, bool goes_on)
{
	uint64_t since_ns = atomic_load(&spell->since_ns);

	if (goes_on == (since_ns != 0))
		return;
	if (!goes_on)
		add(&spell->past_ns, clock_now_ns() - since_ns);
	atomic_store(&spell->since_ns, goes_on ? clock_now_ns() : 0);
}

/* With swap, some block of ours leaves in a moment, and a larger grant comes in one: a famine is when
 * nothing does. */
static bool is_news(const struct pager *pager)
{
	uint64_t held_ns = atomic_load(&pager->over_grant.since_ns);
	uint64_t since_ns = held_ns ? held_ns : atomic_load(&pager->starved.since_ns);

	return (!held_ns && !pager->ram->swapper) || clock_now_ns() - since_ns >= TELL_AFTER_NS;
}

static void tell(struct pager *pager)
{
	const struct ram_events *events = &pager->ram->events;
	bool starving = pager->starving_count > 0 ||
			(pager->sleeper_count > 0 && engine_is_starving(pager->ram));
	bool held = pager->starving_count > 0 && first_starving(pager)->held;

	note_spell(&pager->over_grant, held);
	note_spell(&pager->starved, starving && !held);
	if (starving == pager->told || (starving && !is_news(pager))) /* P4 */
		return;
	pager->told = starving;
	if (events->starved)
		events->starved(events->ctx, starving_gpa(pager), starving);
}

/* Pages of the block of @page; 0 if some of it was given back: what is in the balloon shall stay. */
static uint64_t count_there(const struct ram *ram, uint64_t page, uint64_t page_count)
{
	uint64_t first = align_down(page, BLOCK_PAGES), block = page / BLOCK_PAGES;
	uint64_t end = first + BLOCK_PAGES < page_count ? first + BLOCK_PAGES : page_count;

	return known_find_set(&ram->torn, block, block + 1) == block
		       ? 0
		       : known_count(&ram->known, first, end);
}

static const struct page_run *run_around(struct pager *pager, const struct sleeper *sleeper,
					 struct page_run *ret_run)
{
	const struct ram *ram = pager->ram;
	uint64_t page_count = bytes_to_pages(ram->layout.ram_bytes);
	uint64_t page = bytes_to_pages(sleeper->offset_bytes);

	if (ram->layout.frame_bytes != GUEST_PAGE_BYTES)
		return NULL;
	*ret_run = runs_touched(&pager->runs, page, page_count, count_there(ram, page, page_count));
	return pages_to_bytes(ret_run->count) <= engine_room_bytes(pager->ram) ? ret_run : NULL;
}

static bool serve_message(struct pager *pager, const struct uffd_msg *message, uint64_t now_ns)
{
	uint64_t base = (uint64_t)(uintptr_t)pager->ram->guest.base;
	struct sleeper sleeper = { .since_ns = now_ns };
	struct page_run run;
	enum touch touch;

	if (message->event != UFFD_EVENT_PAGEFAULT)
		return true;
	if (!ram_layout_offset(&pager->ram->layout, GPA(message->arg.pagefault.address - base), 1,
			       &sleeper.offset_bytes))
		return false;
	add(&pager->faults, 1);
	if (!settle(pager, &sleeper, run_around(pager, &sleeper, &run), &touch))
		return false;
	if (touch == TOUCH_MAPPED)
		add(&pager->stall_ns, clock_now_ns() - now_ns);
	else
		put_to_sleep(pager, sleeper, touch);
	return true;
}

static unsigned room(const struct pager *pager)
{
	return MAX_SLEEPERS - pager->sleeper_count;
}

/* As many messages as there is room for. */
static bool read_messages(struct pager *pager, uint64_t now_ns)
{
	struct uffd_msg messages[MESSAGES_PER_READ];
	size_t most = room(pager) < MESSAGES_PER_READ ? room(pager) : MESSAGES_PER_READ;
	ssize_t got = read(pager->ram->uffd, messages, most * sizeof(messages[0]));

	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	if (got == 0 || (size_t)got % sizeof(messages[0]))
		return false; /* somebody closed our descriptor, and opened something else */
	for (size_t i = 0; i < (size_t)got / sizeof(messages[0]); i++)
		if (!serve_message(pager, &messages[i], now_ns))
			return false;
	return true;
}

static bool is_starving(const struct pager *pager)
{
	return atomic_load(&pager->starved.since_ns) || atomic_load(&pager->over_grant.since_ns);
}

enum turn { TURN_AGAIN, TURN_STOP, TURN_FAILED };

static enum turn take_turn(struct pager *pager)
{
	struct pollfd ready[] = { { .fd = pager->stop_fd, .events = POLLIN },
				  { .fd = pager->poke_fd, .events = POLLIN },
				  { .fd = room(pager) ? pager->ram->uffd : -1, .events = POLLIN } };
	uint64_t now_ns;
	bool well = true;

	watch_idle(&pager->watched, pager->sleeper_count > 0);
	if (poll(ready, ARRAY_LEN(ready), is_starving(pager) ? RETRY_MS : -1) < 0 && errno != EINTR)
		return TURN_FAILED;
	now_ns = clock_now_ns();
	watch_busy(&pager->watched);
	if (ready[0].revents)
		return TURN_STOP;
	if (ready[1].revents)
		(void)event_drain(pager->poke_fd);
	if (pager->sleeper_count && (ready[1].revents || is_starving(pager)))
		well = look_again(pager);
	if (well && ready[2].revents)
		well = read_messages(pager, now_ns);
	tell(pager);
	return well ? TURN_AGAIN : TURN_FAILED;
}

/* Who sleeps for us is a vCPU, and what we do for it is short: where we may, we go before others.
 * A lower nice value is not enough. Linux lets who runs go on for its slice (EEVDF), so a pager that
 * is woken beside the keeper waited for the other CPU to come and take it: 100 us a touch. */
static void go_first(void)
{
	const struct sched_param first = { .sched_priority = sched_get_priority_min(SCHED_RR) };

	if (pthread_setschedparam(pthread_self(), SCHED_RR | SCHED_RESET_ON_FORK, &first))
		(void)setpriority(PRIO_PROCESS, (id_t)gettid(), PAGER_NICE);
}

static void *pager_thread(void *arg)
{
	struct pager *pager = arg;
	struct watch *watch = pager->ram->watch;
	enum turn turn;

	(void)pthread_setname_np(pthread_self(), "pager");
	go_first();
	steady_stack(); /* P1 */
	steady_memory(pager, sizeof(*pager));
	steady_memory((const void *)pager->ram->frames.words,
		      pager->ram->frames.block_count * sizeof(uint64_t));
	if (watch_enter(watch, &pager->watched) < 0)
		watch_fail(watch, "the thread that answers page faults cannot be watched: is /proc "
				  "mounted?");
	do
		turn = take_turn(pager);
	while (turn == TURN_AGAIN);
	watch_leave(watch, &pager->watched);
	if (turn == TURN_FAILED)
		watch_fail(watch, "the thread that answers page faults failed");
	return NULL;
}

static int start_thread(struct pager *pager)
{
	int result = -pthread_create(&pager->thread, NULL, pager_thread, pager);

	pager->running = result == 0;
	return result;
}

int pager_start(struct ram *ram, struct pager **ret_pager, struct err *err)
{
	struct pager *pager = calloc(1, sizeof(*pager));
	int result;

	if (!pager)
		return err_set(err, -ENOMEM, "pager: out of memory");
	pager->ram = ram;
	pager->watched = (struct watched){ .task = "answers page faults", .must_answer = true };
	pager->stop_fd = event_create();
	pager->poke_fd = event_create();
	result = pager->stop_fd < 0 ? pager->stop_fd : pager->poke_fd < 0 ? pager->poke_fd : 0;
	if (result == 0)
		result = start_thread(pager);
	if (result < 0) {
		pager_stop(pager);
		errno = -result;
		return err_set(err, result, "pager: starting its thread: %m");
	}
	*ret_pager = pager;
	return 0;
}

void pager_stop(struct pager *pager)
{
	if (!pager)
		return;
	if (pager->running) {
		event_signal(pager->stop_fd);
		(void)pthread_join(pager->thread, NULL);
		watch_leave(pager->ram->watch, &pager->watched); /* if it died */
	}
	close_fd(&pager->stop_fd);
	close_fd(&pager->poke_fd);
	free(pager);
}

void pager_poke(struct pager *pager)
{
	event_signal(pager->poke_fd);
}

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint64_t spell_ns(const struct spell *spell, uint64_t now_ns)
{
	uint64_t since_ns = read_counter(&spell->since_ns);

	return read_counter(&spell->past_ns) +
	       (since_ns && since_ns < now_ns ? now_ns - since_ns : 0);
}

void pager_read_statistics(const struct pager *pager, struct ram_statistics *statistics)
{
	uint64_t now_ns = clock_now_ns();
	uint64_t asleep_ns =
		read_counter(&pager->asleep) * now_ns - read_counter(&pager->asleep_since_sum_ns);

	statistics->faults = read_counter(&pager->faults);
	statistics->ahead_hits = read_counter(&pager->ahead_hits);
	statistics->stall_ns = read_counter(&pager->stall_ns) + asleep_ns;
	statistics->kept_waiting_ns = read_counter(&pager->kept_waiting_ns) + asleep_ns;
	statistics->starved_ns = spell_ns(&pager->starved, now_ns);
	statistics->over_grant_ns = spell_ns(&pager->over_grant, now_ns);
}
