/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* statistics.c - see statistics.h. The device has one buffer of ours; giving it back asks for new
 * numbers, which are counted then and not before. */
#include "cpu.h"
#include "memory.h"
#include "statistics.h"

/* Tags, virtio 1.2 §5.5.6.4 "Memory Statistics Tags". */
enum {
	STAT_SWAP_IN,
	STAT_SWAP_OUT,
	STAT_MAJFLT,
	STAT_MINFLT,
	STAT_FREE,
	STAT_TOTAL,
	STAT_AVAILABLE,
	STAT_CACHES,
	STAT_COUNT
};

struct statistic {
	uint16_t tag;
	uint64_t value;
} __attribute__((packed));

static struct virtqueue queue;
static struct statistic statistics[STAT_COUNT];
static uint64_t answers;
static bool keeps_balloon; /* in its total, as Linux does when it may deflate by itself */

bool statistics_init(struct virtio_device *device, unsigned index, bool deflates_on_oom)
{
	keeps_balloon = deflates_on_oom;
	return virtqueue_init(&queue, device, index);
}

static void offer(void)
{
	struct memory_counts counts = memory_count();
	uint64_t ballooned = counts.pages[ALLOC_BALLOON];
	unsigned number;
	/* Nothing is swapped, faulted in or cached by this guest: those zeros are true. */
	uint64_t values[STAT_COUNT] = {
		[STAT_FREE] = counts.pages[ALLOC_FREE] << ALLOC_PAGE_SHIFT,
		[STAT_TOTAL] = (counts.total_pages - (keeps_balloon ? 0 : ballooned))
			       << ALLOC_PAGE_SHIFT,
		[STAT_AVAILABLE] = counts.pages[ALLOC_FREE] << ALLOC_PAGE_SHIFT,
	};

	for (uint16_t tag = 0; tag < STAT_COUNT; tag++)
		statistics[tag] = (struct statistic){ tag, values[tag] };
	virtqueue_add(&queue, statistics, sizeof(statistics), false, &number);
	virtqueue_kick(&queue);
}

void statistics_poll(void)
{
	unsigned number;
	uint32_t len;

	while (queue.ready && virtqueue_next(&queue, &number, &len)) {
		answers++;
		offer();
	}
}

void statistics_start(void)
{
	if (queue.ready)
		offer();
}

uint64_t statistics_count(void)
{
	return answers;
}
