/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* balloon.c - the device: queues, configuration and counters. See balloon.h; the accounting is
 * inflate.c's, reported ranges report.c's, statistics stats.c's.
 *
 * Invariants
 *  B1  A request is acknowledged after everything it means was done: inflated frames are given back
 *      and deflated pages forgotten before the buffer is pushed, since from then on the guest may
 *      use its pages again.
 *  B2  A request that cannot go on (the host cannot back the list itself) or that had its share of
 *      this turn goes back into the ring; done_bytes says where the next turn goes on. So nothing
 *      is counted twice. A guest that changes the request meanwhile gets what it asks for.
 *  B3  At most one statistics buffer is held; more of them wait in the ring.
 *  B4  Nothing here runs unless a guest rings, a target changes or the statistics timer ticks. A
 *      guest that never obeys costs nothing.
 *  B5  `tells` is false whenever a page may be used before it is deflated: it is set when a driver
 *      with MUST_TELL_HOST begins, and cleared before anything is forgotten.
 *
 * Which queue is what. §5.5.2 "Virtqueues" numbers them 0 to 4, with gaps for features that were
 * not negotiated. Linux (6.1, and others) instead numbers those it uses without gaps, so its
 * reporting queue is 3, or 2 without statistics. We never offer free page hinting, so all three
 * numbers can mean reporting, and no driver is disappointed.
 *
 * Limits. A list has at most LIST_MAX_PAGES pages, a turn about TURN_WORK units of work: 30 ms in
 * the slowest case, 4 KiB frames one by one.
 *
 * Not done: free page hinting (migration), page poisoning.
 *
 * Sources: virtio 1.2 §5.5 "Traditional Memory Balloon Device"; for the tags of 6.12 Linux
 * include/uapi/linux/virtio_balloon.h.
 */
#include "balloon/balloon.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "balloon/inflate.h"
#include "balloon/published.h"
#include "balloon/report.h"
#include "balloon/stats.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/ratelimit.h"
#include "base/units.h"
#include "memory/discard.h"
#include "memory/prepare.h"

enum {
	INFLATE_QUEUE,
	DEFLATE_QUEUE,
	STATS_QUEUE,
	HINT_QUEUE, /* never offered as such */
	REPORTING_QUEUE,
	QUEUE_COUNT,
};

enum {
	PFN_BYTES = 4,
	PIECE_PAGES = 256, /* read from the guest at a time */
	LIST_MAX_PAGES = 32768,
	TURN_WORK = 4096, /* units: a piece read, or a frame given back; 1 to 7 us each */
};

struct balloon_config_space {
	uint32_t num_pages;
	uint32_t actual;
};

struct balloon {
	struct virtio_device vdev;
	struct balloon_config config;
	struct inflate inflate;
	uint64_t target_pages;
	uint32_t untrusted_actual;	  /* little-endian, as written */
	uint64_t done_bytes[QUEUE_COUNT]; /* of the request next in the ring (B2) */
	int64_t work_left;		  /* in this turn */
	uint64_t report_failures;
	struct ratelimit log_limit;
	atomic_bool tells; /* B5 */
	bool stats_held;
	struct virtq_chain stats_chain; /* valid while stats_held */
	struct balloon_counters counters;
	struct balloon_guest_stats stats;
	struct published published_counters, published_stats;
};

static struct balloon *of(struct virtio_device *vdev)
{
	return (struct balloon *)vdev; /* the first member */
}

static bool negotiated(const struct balloon *b, uint64_t feature)
{
	return b->vdev.negotiated & feature;
}

static uint64_t saturated_actual(const struct balloon *b)
{
	uint64_t ram_pages = bytes_to_pages(ram_layout(b->config.ram)->ram_bytes);
	uint64_t actual = le32toh(b->untrusted_actual);

	return actual < ram_pages ? actual : ram_pages;
}

/* Gather what every thread may know. True: somebody should hear of it. */
static bool refresh_counters(struct balloon *b)
{
	const struct inflate_counters *inflated = &b->inflate.counters;
	struct balloon_counters was = b->counters, *now = &b->counters;

	now->driver_ready = b->vdev.active;
	now->features = b->vdev.active ? b->vdev.negotiated : 0;
	now->asked_bytes = pages_to_bytes(b->target_pages);
	now->taken_bytes = pages_to_bytes(inflated->taken_pages);
	now->returned_bytes = inflated->returned_frames * ram_layout(b->config.ram)->frame_bytes;
	now->inflated_total_pages = inflated->inflated_total_pages;
	now->deflated_total_pages = inflated->deflated_total_pages;
	now->ignored_pages = inflated->ignored_pages;
	now->discard_failures = inflated->discard_failures + b->report_failures;
	now->guest_actual_pages = saturated_actual(b);
	return was.taken_bytes != now->taken_bytes || was.returned_bytes != now->returned_bytes ||
	       was.driver_ready != now->driver_ready;
}

/* The end of every turn: show the numbers, tell the owner. */
static void publish(struct balloon *b, bool worth_telling)
{
	worth_telling |= refresh_counters(b);
	published_write(&b->published_counters, &b->counters, sizeof(b->counters));
	if (worth_telling && b->config.changed)
		b->config.changed(b->config.ctx);
}

static int discard_frames(void *ctx, uint64_t first_frame, uint64_t frame_count)
{
	return ram_discard(ctx, first_frame, frame_count);
}

static void prepare_frames(void *ctx, uint64_t first_frame, uint64_t frame_count)
{
	const struct ram_layout *layout = ram_layout(ctx);

	ram_prepare(ctx, ram_layout_gpa(layout, first_frame * layout->frame_bytes),
		    frame_count * layout->frame_bytes);
}

bool balloon_retry(struct balloon *b)
{
	bool more = inflate_retry(&b->inflate);

	publish(b, false);
	return more;
}

/* Frames that devices use now go later; the owner sees to it. */
static void retry(struct balloon *b)
{
	if (inflate_retry(&b->inflate) && b->config.busy)
		b->config.busy(b->config.ctx);
}

/* ---- Inflate and deflate ---- */

static bool list_acceptable(const struct virtq_chain *chain)
{
	return chain->writable_count == 0 && chain->readable_bytes > 0 &&
	       chain->readable_bytes % PFN_BYTES == 0 &&
	       chain->readable_bytes <= (uint64_t)LIST_MAX_PAGES * PFN_BYTES;
}

/* Read and apply the list piece by piece, as far as this turn's work allows. What chain_read()
 * said last: 0 is the end of the list. */
static int64_t apply_list(struct balloon *b, unsigned index, const struct virtq_chain *chain)
{
	uint32_t untrusted_pfns[PIECE_PAGES];
	int64_t got = 1;

	while (b->work_left > 0) {
		uint64_t asked_before = b->inflate.counters.asked_frames;

		got = chain_read(&b->vdev.queues[index], chain, b->done_bytes[index],
				 untrusted_pfns, sizeof(untrusted_pfns));
		if (got <= 0)
			break;
		if (index == INFLATE_QUEUE)
			inflate_take(&b->inflate, untrusted_pfns, (size_t)got / PFN_BYTES);
		else
			inflate_release(&b->inflate, untrusted_pfns, (size_t)got / PFN_BYTES);
		b->done_bytes[index] += (uint64_t)got;
		b->work_left -= 1 + (int64_t)(b->inflate.counters.asked_frames - asked_before);
	}
	return got;
}

/* True: done, the chain may be pushed. False: not now, or never; it was dealt with. */
static bool serve_list(struct balloon *b, unsigned index, const struct virtq_chain *chain)
{
	int64_t result;

	if (index == INFLATE_QUEUE)
		inflate_begin(&b->inflate, negotiated(b, BALLOON_F_MUST_TELL_HOST),
			      b->done_bytes[index] > 0);
	result = apply_list(b, index, chain);
	inflate_end(&b->inflate); /* B1 */
	if (result == -ENOSPC)
		virtio_stall_chain(&b->vdev, index, chain);
	else if (result < 0)
		virtio_break(&b->vdev, "page list became unreadable");
	else if (result > 0)
		virtq_unpop(&b->vdev.queues[index], chain);
	return result == 0;
}

/* Nonsense from the guest is counted, and shown to whoever debugs it. */
static void log_ignored(struct balloon *b, uint64_t ignored_before)
{
	uint64_t ignored = b->inflate.counters.ignored_pages - ignored_before;

	if (ignored && ratelimit_pass(&b->log_limit, clock_now_ns()))
		log_debug("balloon", "ignored %" PRIu64 " pages: not RAM, twice, or never inflated",
			  ignored);
}

static void handle_lists(struct balloon *b, unsigned index)
{
	uint64_t ignored_before = b->inflate.counters.ignored_pages;
	struct virtq_chain chain;

	while (b->work_left > 0 && virtio_next_chain(&b->vdev, index, &chain)) {
		if (!list_acceptable(&chain))
			virtio_refuse_chain(&b->vdev, index, &chain);
		else if (serve_list(b, index, &chain))
			virtio_finish_chain(&b->vdev, index, &chain, 0);
		else
			break;
		b->done_bytes[index] = 0;
	}
	retry(b);
	log_ignored(b, ignored_before);
}

/* ---- Free page reporting ---- */

static void discard_report(struct balloon *b, uint64_t first_frame, uint64_t frame_count)
{
	int result = ram_discard(b->config.ram, first_frame, frame_count);

	if (result == 0) {
		b->counters.reported_total_bytes +=
			inflate_note_discarded(&b->inflate, first_frame, frame_count) *
			ram_layout(b->config.ram)->frame_bytes;
	} else if (result == -EBUSY && frame_count > 1) { /* the others have gone */
		for (uint64_t i = 0; i < frame_count; i++)
			discard_report(b, first_frame + i, 1);
	} else {
		b->report_failures++;
	}
}

/* Give the whole frames of one reported buffer back, as far as this turn's work allows. Returns how
 * many bytes of it are dealt with. */
static uint64_t discard_reported(struct balloon *b, gpa_t start, uint64_t len_bytes)
{
	const struct ram_layout *layout = ram_layout(b->config.ram);
	struct frame_range frames = report_whole_frames(layout, start, len_bytes);
	bool all = frames.count <= (uint64_t)b->work_left;
	uint64_t count = all ? frames.count : (uint64_t)b->work_left;

	if (count > 0)
		discard_report(b, frames.first, count);
	b->work_left -= (int64_t)count;
	if (all)
		return len_bytes;
	return ram_layout_gpa(layout, (frames.first + count) * layout->frame_bytes).addr -
	       start.addr;
}

static bool serve_report(struct balloon *b, unsigned index, const struct virtq_chain *chain)
{
	uint64_t skip_bytes = b->done_bytes[index];

	for (unsigned i = 0; i < chain->writable_count; i++) {
		const struct virtq_buf *buf = &chain->bufs[i];
		uint64_t left;

		if (skip_bytes >= buf->len_bytes) {
			skip_bytes -= buf->len_bytes;
			continue;
		}
		left = buf->len_bytes - skip_bytes;
		if (b->work_left <= 0)
			break;
		uint64_t done = discard_reported(b, GPA(buf->addr.addr + skip_bytes), left);

		b->done_bytes[index] += done;
		if (done < left)
			break;
		skip_bytes = 0;
	}
	if (b->done_bytes[index] >= chain->writable_bytes)
		return true;
	virtq_unpop(&b->vdev.queues[index], chain);
	return false;
}

static void handle_reports(struct balloon *b, unsigned index)
{
	struct virtq_chain chain;

	while (b->work_left > 0 && virtio_next_chain(&b->vdev, index, &chain)) {
		if (chain.readable_count > 0)
			virtio_refuse_chain(&b->vdev, index, &chain);
		else if (serve_report(b, index, &chain))
			virtio_finish_chain(&b->vdev, index, &chain, 0);
		else
			break;
		b->done_bytes[index] = 0;
	}
}

/* ---- Statistics ---- */

/* Parse the buffer just taken. True: it can be held. */
static bool read_stats(struct balloon *b, uint64_t now_ns, bool *ret_came)
{
	uint8_t untrusted_bytes[STATS_MAX_BYTES];
	struct balloon_guest_stats stats;
	int64_t got = chain_read(&b->vdev.queues[STATS_QUEUE], &b->stats_chain, 0, untrusted_bytes,
				 sizeof(untrusted_bytes));

	if (got == -ENOSPC) {
		virtio_stall_chain(&b->vdev, STATS_QUEUE, &b->stats_chain);
	} else if (got < 0) {
		virtio_break(&b->vdev, "statistics became unreadable");
	} else if (stats_parse(untrusted_bytes, (size_t)got, &stats) > 0) {
		stats.at_ns = now_ns;
		b->stats = stats;
		published_write(&b->published_stats, &b->stats, sizeof(b->stats));
		*ret_came = true;
	}
	return got >= 0;
}

/* Let the driver ring for its next buffer: that takes an empty ring (queue.h), so one more look. A
 * buffer that should not be there waits (B3). */
static void await_stats(struct balloon *b)
{
	struct virtq_chain untimely;

	if (virtio_next_chain(&b->vdev, STATS_QUEUE, &untimely))
		virtq_unpop(&b->vdev.queues[STATS_QUEUE], &untimely);
}

/* True: new statistics came. */
static bool take_stats(struct balloon *b, uint64_t now_ns)
{
	bool came = false;

	if (b->stats_held || !virtio_next_chain(&b->vdev, STATS_QUEUE, &b->stats_chain))
		return false;
	b->stats_held = read_stats(b, now_ns, &came);
	if (b->stats_held)
		await_stats(b);
	return came;
}

void balloon_poll_stats(struct balloon *b, uint64_t now_ns)
{
	bool came = false;

	if (!b->vdev.active)
		return;
	retry(b);
	if (!negotiated(b, BALLOON_F_STATS_VQ)) {
		publish(b, false);
		return;
	}
	if (b->stats_held) {
		b->stats_held = false;
		virtio_finish_chain(&b->vdev, STATS_QUEUE, &b->stats_chain, 0);
		virtio_interrupt_queue(&b->vdev, STATS_QUEUE);
	} else {
		came = take_stats(b, now_ns);
	}
	publish(b, came);
}

/* ---- The device ---- */

static void handle_queue(struct virtio_device *vdev, unsigned index)
{
	struct balloon *b = of(vdev);
	bool worth_telling = false;

	b->work_left = TURN_WORK;
	if (index <= DEFLATE_QUEUE) {
		handle_lists(b, index);
	} else if (index == STATS_QUEUE && negotiated(b, BALLOON_F_STATS_VQ)) {
		worth_telling = take_stats(b, clock_now_ns());
	} else if (negotiated(b, BALLOON_F_REPORTING)) {
		uint64_t before = b->counters.reported_total_bytes;

		handle_reports(b, index);
		worth_telling = b->counters.reported_total_bytes != before;
	}
	if (b->work_left <= 0)
		virtio_again(vdev, index);
	virtio_interrupt_queue(vdev, index);
	publish(b, worth_telling);
}

static int activate(struct virtio_device *vdev)
{
	struct balloon *b = of(vdev);

	atomic_store(&b->tells, negotiated(b, BALLOON_F_MUST_TELL_HOST));
	publish(b, true);
	return 0;
}

static void reset(struct virtio_device *vdev)
{
	struct balloon *b = of(vdev);

	atomic_store(&b->tells, false); /* B5 */
	inflate_forget(&b->inflate);
	memset(b->done_bytes, 0, sizeof(b->done_bytes));
	b->stats_held = false;
	b->untrusted_actual = 0;
	memset(&b->stats, 0, sizeof(b->stats));
	published_write(&b->published_stats, &b->stats, sizeof(b->stats));
	publish(b, false);
}

static void read_config(struct virtio_device *vdev, void *config)
{
	const struct balloon *b = of(vdev);
	struct balloon_config_space space = { .num_pages = htole32((uint32_t)b->target_pages),
					      .actual = b->untrusted_actual };

	memcpy(config, &space, sizeof(space));
}

/* Only `actual` can be written; legacy-minded drivers do it byte by byte. */
static void write_config(struct virtio_device *vdev, unsigned offset, const void *data,
			 unsigned len)
{
	struct balloon *b = of(vdev);
	const unsigned actual = offsetof(struct balloon_config_space, actual);

	if (offset < actual || offset + len > sizeof(struct balloon_config_space))
		return;
	memcpy((uint8_t *)&b->untrusted_actual + (offset - actual), data, len);
	publish(b, false);
}

static const struct virtio_ops balloon_ops = {
	.name = "balloon",
	.device_id = VIRTIO_ID_BALLOON,
	.queue_count = QUEUE_COUNT,
	.config_bytes = sizeof(struct balloon_config_space),
	.features = BALLOON_F_MUST_TELL_HOST | BALLOON_F_STATS_VQ | BALLOON_F_DEFLATE_ON_OOM |
		    BALLOON_F_REPORTING,
	.activate = activate,
	.handle_queue = handle_queue,
	.reset = reset,
	.read_config = read_config,
	.write_config = write_config,
};

int balloon_create(const struct balloon_config *config, struct balloon **ret_balloon,
		   struct err *err)
{
	struct balloon *b = calloc(1, sizeof(*b));
	struct inflate_config inflate_config = { .layout = ram_layout(config->ram),
						 .discard = discard_frames,
						 .wanted = prepare_frames,
						 .ctx = config->ram };
	int result;

	if (!b)
		return err_set(err, -ENOMEM, "balloon: out of memory");
	result = inflate_init(&b->inflate, &inflate_config, err);
	if (result) {
		free(b);
		return result;
	}
	b->config = *config;
	b->log_limit = (struct ratelimit)RATELIMIT_GUEST_LOG;
	virtio_init(&b->vdev, &balloon_ops, config->ram, config->features);
	publish(b, false);
	*ret_balloon = b;
	return 0;
}

void balloon_destroy(struct balloon *balloon)
{
	if (!balloon)
		return;
	inflate_fini(&balloon->inflate);
	free(balloon);
}

struct virtio_device *balloon_device(struct balloon *balloon)
{
	return &balloon->vdev;
}

int balloon_set_target(struct balloon *b, uint64_t bytes)
{
	uint64_t pages = bytes_to_pages(bytes);

	if (bytes > ram_layout(b->config.ram)->ram_bytes)
		return -ERANGE;
	if (pages == b->target_pages)
		return 0;
	b->target_pages = pages;
	publish(b, false);
	virtio_config_changed(&b->vdev);
	return 0;
}

void balloon_read_counters(const struct balloon *balloon, struct balloon_counters *ret_counters)
{
	published_read(&balloon->published_counters, ret_counters, sizeof(*ret_counters));
}

void balloon_read_stats(const struct balloon *balloon, struct balloon_guest_stats *ret_stats)
{
	published_read(&balloon->published_stats, ret_stats, sizeof(*ret_stats));
}

bool balloon_dead_pages(const struct balloon *balloon, uint64_t first_page, uint64_t *ret_dead)
{
	return atomic_load(&balloon->tells) &&
	       inflate_dead_pages(&balloon->inflate, first_page, ret_dead);
}

uint64_t balloon_gone_bytes(const struct balloon *balloon, balloon_is_gone is_gone, void *ctx)
{
	if (!atomic_load(&balloon->tells))
		return 0;
	return pages_to_bytes(inflate_gone_pages(&balloon->inflate, is_gone, ctx));
}
