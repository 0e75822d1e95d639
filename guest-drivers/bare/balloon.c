/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* balloon.c - the balloon driver: inflating and deflating. See balloon.h.
 *
 * Design. A state machine driven by balloon_poll(): a batch of PFN lists is with the device, or
 * none is; when the last list is back the next batch is made in the direction of the target. Blocks
 * go as lists of 512 consecutive PFNs, many lists a kick; pages as a stock Linux driver does it,
 * one list of at most 256 PFNs a kick, and the next one after its answer.
 *
 * Invariants
 *
 *  B1  A page is the balloon's before its PFN is offered, and is given to nobody before the device
 *      has used the deflate list it is in (MUST_TELL_HOST, kept always).
 *
 *  B2  The lists of a batch stay untouched until it is back; inflate and deflate never overlap.
 *
 * Transitions
 *
 *  target > given -> inflating [start_inflate] -> idle [finish_batch]
 *
 *  target < given -> deflating [start_deflate] -> idle [finish_batch: pages are free]
 *
 *  no page to be had -> waiting retry_ns, as Linux does [start_inflate]
 */
#include "balloon.h"
#include "console.h"
#include "cpu.h"
#include "memory.h"
#include "reporting.h"
#include "statistics.h"
#include "status.h"
#include "virtio.h"

enum {
	CONFIG_NUM_PAGES = 0,
	CONFIG_ACTUAL = 4,

	F_STATISTICS = 1,
	F_DEFLATE_ON_OOM = 2,
	F_FREE_PAGE_HINT = 3,
	F_REPORTING = 5,

	STOCK_LIST_PFNS = 256,
	BATCH_LISTS = 32,
	ACTUAL_STEP_PAGES = 16384, /* `actual` is written at least every 64 MiB */
};
#define FEATURE(bit) (UINT64_C(1) << (bit))
static const uint64_t retry_ns = 200000000;

enum batch { BATCH_NONE, BATCH_INFLATE, BATCH_DEFLATE };

static struct {
	struct virtio_device *device;
	struct virtqueue inflate, deflate;
	struct balloon_state state;
	enum batch batch;
	unsigned lists_out, lists_back;
	uint64_t actual_pages;		/* last told to the device */
	uint64_t borrowed_pages;	/* taken back against the target, until it changes */
	volatile uint64_t wanted_pages; /* balloon_borrow() */
	bool at_target;
	uint64_t move_start_ns, retry_at_ns;
} balloon;

static uint32_t lists[BATCH_LISTS][ALLOC_BLOCK_PAGES] __attribute__((aligned(4096)));
static unsigned list_len[BATCH_LISTS];

static struct virtqueue *batch_queue(void)
{
	return balloon.batch == BATCH_INFLATE ? &balloon.inflate : &balloon.deflate;
}

static void tell_actual(void)
{
	if (balloon.actual_pages == balloon.state.given_pages)
		return;
	balloon.actual_pages = balloon.state.given_pages;
	virtio_config_write(balloon.device, CONFIG_ACTUAL, (uint32_t)balloon.actual_pages);
}

static void send_lists(enum batch batch, unsigned count)
{
	balloon.batch = batch;
	balloon.lists_out = count;
	struct virtqueue *queue = batch_queue();

	virtqueue_want_interrupts(queue, false);
	for (unsigned i = 0; i < count; i++) {
		unsigned number;

		if (!virtqueue_add(queue, lists[i], list_len[i] * (uint32_t)sizeof(lists[0][0]),
				   false, &number)) {
			say("error balloon queue %u is full", queue->index);
			cpu_exit(STATUS_INTERNAL);
		}
	}
	virtqueue_kick(queue);
	balloon.state.kicks++;
}

/* Lists of whole blocks; returns how many. */
static unsigned take_blocks(uint64_t pages)
{
	unsigned count = 0;
	uint64_t address;

	while (count < BATCH_LISTS && count < balloon.inflate.entries &&
	       pages >= ALLOC_BLOCK_PAGES &&
	       memory_take_block(ALLOC_BALLOON, ALLOC_HIGHEST, 0, &address)) {
		for (uint32_t i = 0; i < ALLOC_BLOCK_PAGES; i++)
			lists[count][i] = (uint32_t)(address >> ALLOC_PAGE_SHIFT) + i;
		list_len[count++] = ALLOC_BLOCK_PAGES;
		balloon.state.given_pages += ALLOC_BLOCK_PAGES;
		balloon.state.given_blocks++;
		pages -= ALLOC_BLOCK_PAGES;
	}
	return count;
}

/* One list of pages, as a stock driver's. */
static unsigned take_pages(uint64_t pages, enum alloc_order order)
{
	unsigned len = 0;
	uint64_t address;

	while (len < STOCK_LIST_PFNS && len < pages &&
	       memory_take_page(ALLOC_BALLOON, order, 0, &address))
		lists[0][len++] = (uint32_t)(address >> ALLOC_PAGE_SHIFT);
	list_len[0] = len;
	balloon.state.given_pages += len;
	return len > 0;
}

static void start_inflate(uint64_t pages)
{
	enum balloon_style style = balloon.state.style;
	unsigned count = 0;

	if (cpu_now_ns() < balloon.retry_at_ns)
		return;
	if (style == BALLOON_AUTO || style == BALLOON_BLOCKS)
		count = take_blocks(pages);
	if (!count && style != BALLOON_BLOCKS)
		count = take_pages(pages,
				   style == BALLOON_SCATTERED ? ALLOC_SCATTERED : ALLOC_HIGHEST);
	if (count) {
		send_lists(BATCH_INFLATE, count);
		return;
	}
	balloon.retry_at_ns = cpu_now_ns() + retry_ns;
	tell_actual();
}

/* A list ends with its block, so that whole blocks stay whole lists. */
static bool list_is_full(unsigned len, uint64_t next_address)
{
	return len == ALLOC_BLOCK_PAGES || next_address % ALLOC_BLOCK_BYTES == 0;
}

static void start_deflate(uint64_t pages)
{
	uint64_t next = 0, found;
	unsigned count = 0, len = 0, run;

	while (pages && count < BATCH_LISTS && count < balloon.deflate.entries &&
	       (run = memory_find_run(ALLOC_BALLOON, next, pages, &found))) {
		if (len && next >> ALLOC_BLOCK_SHIFT != found >> ALLOC_BLOCK_SHIFT) {
			list_len[count++] = len;
			len = 0;
			continue; /* this run again, in a new list */
		}
		for (unsigned i = 0; i < run; i++)
			lists[count][len++] = (uint32_t)(found >> ALLOC_PAGE_SHIFT) + i;
		next = found + run * ALLOC_PAGE_BYTES;
		pages -= run;
		if (list_is_full(len, next)) {
			list_len[count++] = len;
			len = 0;
		}
	}
	if (len)
		list_len[count++] = len;
	if (count)
		send_lists(BATCH_DEFLATE, count);
}

/* Frees the pages of a list, those that follow each other at once; all are in one block. */
static void give_back_list(const uint32_t *list, unsigned len)
{
	for (unsigned i = 0, run; i < len; i += run) {
		run = 1;
		while (i + run < len && list[i + run] == list[i] + run)
			run++;
		memory_give((uint64_t)list[i] << ALLOC_PAGE_SHIFT, run);
	}
	balloon.state.given_pages -= len;
}

/* False: some list of the batch is still with the device. */
static bool finish_batch(void)
{
	unsigned number;
	uint32_t len;

	while (virtqueue_next(batch_queue(), &number, &len))
		balloon.lists_back++;
	if (balloon.lists_back < balloon.lists_out)
		return false;
	balloon.lists_back = 0;
	for (unsigned i = 0; balloon.batch == BATCH_DEFLATE && i < balloon.lists_out; i++)
		give_back_list(lists[i], list_len[i]);
	balloon.batch = BATCH_NONE;
	return true;
}

static uint64_t pages_to_hold(void)
{
	uint64_t target = balloon.state.target_pages;

	return target > balloon.borrowed_pages ? target - balloon.borrowed_pages : 0;
}

static void say_at_target(void)
{
	uint64_t took_ns = cpu_now_ns() - balloon.move_start_ns;

	balloon.at_target = true;
	tell_actual();
	say("event balloon target_pages=%lu given_pages=%lu ns=%lu", balloon.state.target_pages,
	    balloon.state.given_pages, took_ns);
}

static void move(void)
{
	if (balloon.batch != BATCH_NONE && !finish_batch())
		return;
	uint64_t hold = pages_to_hold(), given = balloon.state.given_pages;

	if (balloon.state.style == BALLOON_OFF && given <= hold)
		return;
	if (given == hold) {
		if (!balloon.at_target)
			say_at_target();
		return;
	}
	uint64_t untold = given > balloon.actual_pages ? given - balloon.actual_pages
						       : balloon.actual_pages - given;

	if (untold >= ACTUAL_STEP_PAGES)
		tell_actual();
	if (given < hold)
		start_inflate(hold - given);
	else
		start_deflate(given - hold);
}

static void read_target(void)
{
	uint64_t target = virtio_config_read(balloon.device, CONFIG_NUM_PAGES);

	if (target == balloon.state.target_pages)
		return;
	balloon.state.target_pages = target;
	balloon.borrowed_pages = 0;
	balloon.at_target = false;
	balloon.retry_at_ns = 0;
	balloon.move_start_ns = cpu_now_ns();
}

/* Another part of the guest is out of memory. */
static void lend(void)
{
	uint64_t pages = __atomic_exchange_n(&balloon.wanted_pages, 0, __ATOMIC_ACQ_REL);
	uint64_t hold = pages_to_hold();

	if (!pages)
		return;
	hold = hold < balloon.state.given_pages ? hold : balloon.state.given_pages;
	hold = hold > pages ? hold - pages : 0;
	balloon.borrowed_pages = balloon.state.target_pages - hold;
	balloon.at_target = false;
	balloon.move_start_ns = cpu_now_ns();
}

bool balloon_borrow(uint64_t pages)
{
	if (!balloon.device || !(balloon.state.features & FEATURE(F_DEFLATE_ON_OOM)) ||
	    !balloon.state.given_pages)
		return false;
	__atomic_store_n(&balloon.wanted_pages, pages, __ATOMIC_RELEASE);
	return true;
}

static bool init_queues(uint64_t report_delay_ms)
{
	uint64_t offered = balloon.device->offered;
	unsigned next = 2;

	if (!virtqueue_init(&balloon.inflate, balloon.device, 0) ||
	    !virtqueue_init(&balloon.deflate, balloon.device, 1))
		return false;
	if ((balloon.state.features & FEATURE(F_STATISTICS)) &&
	    !statistics_init(balloon.device, next,
			     balloon.state.features & FEATURE(F_DEFLATE_ON_OOM)))
		return false;
	/* Devices number the queues of what they offer without gaps. */
	if (offered & FEATURE(F_STATISTICS))
		next++;
	if (offered & FEATURE(F_FREE_PAGE_HINT))
		next++;
	return !(balloon.state.features & FEATURE(F_REPORTING)) ||
	       reporting_init(balloon.device, next, report_delay_ms);
}

void balloon_init(enum balloon_style style, uint64_t report_delay_ms)
{
	struct virtio_device *device = virtio_find(VIRTIO_ID_BALLOON);

	balloon.state.style = style;
	if (!device)
		return;
	balloon.device = device;
	if (!virtio_begin(device, FEATURE(0) | FEATURE(F_STATISTICS) | FEATURE(F_DEFLATE_ON_OOM) |
					  FEATURE(F_REPORTING))) {
		say("error boot the balloon device declines our features");
		cpu_exit(STATUS_INTERNAL);
	}
	balloon.state.features = device->features;
	if (!init_queues(report_delay_ms)) {
		say("error boot the balloon device lacks a queue");
		cpu_exit(STATUS_INTERNAL);
	}
	balloon.state.present = true;
	balloon.at_target = true;
	virtio_ready(device);
	statistics_start();
	read_target();
}

void balloon_set_style(enum balloon_style style)
{
	balloon.state.style = style;
	balloon.retry_at_ns = 0;
}

static void poll_interrupt(void)
{
	if (!(virtio_poll(balloon.device) & VIRTIO_INTERRUPT_CONFIG))
		return;
	if (virtio_needs_reset(balloon.device)) {
		say("error balloon the device needs a reset");
		cpu_exit(STATUS_INTERNAL);
	}
	read_target();
}

void balloon_poll(void)
{
	if (!balloon.device)
		return;
	poll_interrupt();
	statistics_poll();
	reporting_poll();
	if (balloon.wanted_pages)
		lend();
	move();
}

bool balloon_is_busy(void)
{
	return balloon.batch != BATCH_NONE;
}

bool balloon_may_sleep(void)
{
	if (!balloon.device || balloon.batch == BATCH_NONE)
		return true;
	virtqueue_want_interrupts(batch_queue(), true);
	return !virtqueue_has_used(batch_queue());
}

uint64_t balloon_deadline_ns(void)
{
	uint64_t deadline_ns = reporting_deadline_ns();

	if (balloon.device && balloon.batch == BATCH_NONE && balloon.retry_at_ns &&
	    balloon.state.given_pages < pages_to_hold() && balloon.state.style != BALLOON_OFF &&
	    (!deadline_ns || balloon.retry_at_ns < deadline_ns))
		return balloon.retry_at_ns;
	return deadline_ns;
}

struct balloon_state balloon_state(void)
{
	balloon.state.statistics = statistics_count();
	balloon.state.reported_blocks = reporting_count();
	return balloon.state;
}

bool balloon_is_at_target(void)
{
	return balloon.at_target || !balloon.device;
}

bool balloon_round_trip(bool halt)
{
	static uint32_t list[1]; /* page 0 is never ballooned: the device ignores it */
	unsigned number;
	uint32_t len;

	if (!balloon.device || balloon.batch != BATCH_NONE)
		return false;
	virtqueue_want_interrupts(&balloon.deflate, halt);
	virtqueue_add(&balloon.deflate, list, sizeof(list), false, &number);
	virtqueue_kick(&balloon.deflate);
	while (!virtqueue_next(&balloon.deflate, &number, &len)) {
		if (halt)
			cpu_wait(0);
		poll_interrupt();
	}
	return true;
}
