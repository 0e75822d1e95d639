/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* reporting.c - free page reporting. See reporting.h.
 *
 * A block that is with the device is the system's (memory_take_unreported), so nobody writes to it
 * meanwhile; what is free afterwards has no contents to lose.
 */
#include "cpu.h"
#include "memory.h"
#include "reporting.h"

enum { REPORT_BLOCKS = 32 };

static struct {
	struct virtqueue queue;
	uint64_t delay_ns, at_ns; /* at_ns: the next look for blocks */
	unsigned out;
	uint64_t count;
	uint64_t blocks[VIRTQUEUE_ENTRIES]; /* address, by the number of the buffer */
} reporting;

bool reporting_init(struct virtio_device *device, unsigned index, uint64_t delay_ms)
{
	reporting.delay_ns = delay_ms * 1000000;
	reporting.at_ns = cpu_now_ns() + reporting.delay_ns;
	return virtqueue_init(&reporting.queue, device, index);
}

static unsigned send_reports(uint64_t age_ns)
{
	uint64_t address;

	while (reporting.out < REPORT_BLOCKS && reporting.queue.free &&
	       memory_take_unreported(age_ns, &address)) {
		unsigned number = 0;

		virtqueue_add(&reporting.queue, (const void *)address, ALLOC_BLOCK_BYTES, true,
			      &number);
		reporting.blocks[number] = address;
		reporting.out++;
	}
	if (reporting.out)
		virtqueue_kick(&reporting.queue);
	return reporting.out;
}

void reporting_poll(void)
{
	unsigned number;
	uint32_t len;

	if (!reporting.queue.ready)
		return;
	while (virtqueue_next(&reporting.queue, &number, &len)) {
		memory_reported(reporting.blocks[number]);
		reporting.out--;
		reporting.count++;
	}
	uint64_t now_ns = cpu_now_ns();

	if (reporting.out || now_ns < reporting.at_ns)
		return;
	if (!send_reports(reporting.delay_ns))
		reporting.at_ns = now_ns + reporting.delay_ns;
}

bool reporting_now(uint64_t *ret_blocks)
{
	uint64_t before = reporting.count;

	if (!reporting.queue.ready)
		return false;
	do {
		if (!reporting.out && !send_reports(0))
			break;
		reporting.at_ns = cpu_now_ns() + reporting.delay_ns;
		while (reporting.out)
			reporting_poll();
	} while (true);
	*ret_blocks = reporting.count - before;
	return true;
}

uint64_t reporting_deadline_ns(void)
{
	return reporting.queue.ready && !reporting.out ? reporting.at_ns : 0;
}

uint64_t reporting_count(void)
{
	return reporting.count;
}
