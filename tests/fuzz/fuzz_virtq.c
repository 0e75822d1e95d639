/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_virtq.c - the input is a guest: register accesses, guest memory and doorbells of a device.
 *
 * The first byte chooses the device (echo_device.h: every part of the common code; or the
 * console), the rest is a list of 16-byte steps. Whatever the steps are, the device is in a state
 * that exists, its books add up, and no doorbell keeps it busy for ever.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../device/echo_device.h"
#include "base/units.h"
#include "memory/discard.h"
#include "virtio/console.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define RAM_BYTES (256 * KIB_BYTES)

enum { NUM = 16, MAX_STEPS = 512, MAX_KICKS = 64 };

struct step {
	uint8_t code;
	uint8_t queue; /* and small choices */
	uint16_t at;
	uint32_t value;
	uint64_t wide;
};

static struct fake_guest guest;
static struct echo echo;
static struct console *console;
static uint64_t output_bytes;

static void check(bool ok)
{
	if (!ok)
		abort();
}

static struct ram *guest_ram(void)
{
	static struct ram *ram;

	if (!ram)
		ram = fake_ram_open(RAM_BYTES);
	memset(ram_guest_view(ram, 0), 0, RAM_BYTES);
	return ram;
}

static bool count_output(void *ctx, const void *bytes, size_t len)
{
	const uint8_t *first = bytes;

	(void)ctx;
	output_bytes += len;
	return *first != 0xff; /* now and then a sink that is full */
}

static void open_guest(bool want_console)
{
	struct ram *ram = guest_ram();
	struct console_config config = {
		.ram = ram, .cols = 80, .rows = 25, .output = count_output
	};

	output_bytes = 0;
	echo_init(&echo, ram);
	if (want_console)
		check(console_create(&config, &console, NULL) == 0);
	fake_guest_init(&guest, ram, want_console ? console_device(console) : &echo.vdev);
	for (unsigned i = 0; i < 2; i++)
		fake_guest_alloc_queue(&guest, i, NUM);
}

static void close_guest(void)
{
	guest.ram = NULL; /* used again */
	fake_guest_fini(&guest);
	console_destroy(console);
	console = NULL;
}

/* What holds after every step. */
static void check_device(void)
{
	const struct virtio_device *vdev = guest.vdev;
	uint8_t base = vdev->status & (uint8_t) ~(VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED);

	check(base == 0 || base == 1 || base == 3 || base == 11 || base == 15);
	check(!vdev->active || vdev->status == 15);
	check(fake_guest_read(&guest, FAKE_STATUS) == vdev->status);
	check(!(vdev->status & VIRTIO_STATUS_NEEDS_RESET) || base == 15);
	check(base < 11 || (vdev->negotiated & ~vdev->offered) == 0);
	for (unsigned i = 0; i < 2; i++) {
		const struct virtq *vq = &vdev->queues[i];
		unsigned in_flight = 0;

		for (unsigned word = 0; word < ARRAY_LEN(vq->in_flight); word++)
			in_flight += (unsigned)__builtin_popcountll(vq->in_flight[word]);
		check(in_flight + vq->deferred_count <= vq->num);
		check(!vdev->active || !vq->ready || virtq_check(vq, &(const char *){ NULL }) == 0);
	}
}

static void run(void)
{
	/* Echo and console finish or wait: a ring of NUM cannot keep them busy longer. */
	(void)fake_guest_run(&guest, MAX_KICKS);
}

static void access_register(const struct step *step, bool write)
{
	uint32_t len = 1u << (step->queue & 3);
	uint64_t offset = step->at % VIRTIO_MMIO_BYTES;
	uint8_t data[8];

	memcpy(data, &step->wide, sizeof(data));
	if (offset + len > VIRTIO_MMIO_BYTES)
		return;
	if (write)
		virtio_mmio_bus_ops.write(guest.mmio, offset, data, len);
	else
		virtio_mmio_bus_ops.read(guest.mmio, offset, data, len);
}

static void start(const struct step *step)
{
	(void)fake_guest_negotiate(&guest, step->wide & guest.vdev->offered);
	for (unsigned i = 0; i < 2; i++)
		fake_guest_program_queue(&guest, i);
	(void)fake_guest_driver_ok(&guest);
}

static uint8_t *guest_byte(uint64_t addr)
{
	return fake_guest_at(&guest, GPA(addr % (RAM_BYTES - sizeof(uint64_t))));
}

static void touch_queue(const struct step *step, unsigned index)
{
	struct fake_queue *q = &guest.queues[index];
	struct fake_desc desc = { .addr = step->wide,
				  .len_bytes = step->value,
				  .flags = step->queue >> 1,
				  .next = step->at >> 8 };
	uint16_t *avail = fake_guest_at(&guest, q->avail);

	switch (step->code % 16) {
	case 3: fake_guest_put_desc(&guest, index, step->at % NUM, desc); break;
	case 4: /* the same with an address that is RAM */
		desc.addr %= RAM_BYTES;
		desc.len_bytes %= GUEST_PAGE_BYTES;
		fake_guest_put_desc(&guest, index, step->at % NUM, desc);
		break;
	case 5: fake_guest_offer(&guest, index, step->at); break;
	case 6: avail[1] = step->at; break;
	case 7: fake_guest_ring(&guest, index); break;
	default: (void)ram_discard(guest.ram, q->used.addr / GUEST_PAGE_BYTES, 1); break;
	}
}

static void disturb(const struct step *step)
{
	switch (step->queue % 8) {
	case 0: echo.hold = !echo.hold; break;
	case 1: echo_finish_held(&echo, step->at & 1); break;
	case 2: echo.refuse_to_start = !echo.refuse_to_start; break;
	case 3: echo.config.first = step->wide; break;
	case 4: virtio_config_changed(guest.vdev); break;
	case 5: virtio_mmio_reset(guest.mmio); break;
	case 6: virtio_mmio_reassert(guest.mmio); break;
	default:
		if (console) {
			(void)console_input(console, &step->wide, sizeof(step->wide));
			console_output_drained(console);
		}
	}
}

static void run_step(const struct step *step)
{
	switch (step->code % 16) {
	case 0: access_register(step, true); break;
	case 1: access_register(step, false); break;
	case 2: start(step); break;
	case 8: memcpy(guest_byte(step->value), &step->wide, sizeof(step->wide)); break;
	case 9: fake_guest_write(&guest, FAKE_STATUS, step->value); break;
	case 10: disturb(step); break;
	case 11: run(); break;
	case 12: (void)fake_guest_interrupt(&guest); break;
	default: touch_queue(step, step->queue & 1); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct step step;

	if (len == 0)
		return 0;
	open_guest(data[0] & 1);
	for (size_t at = 1, steps = 0; at + sizeof(step) <= len && steps < MAX_STEPS; steps++) {
		memcpy(&step, data + at, sizeof(step));
		at += sizeof(step);
		run_step(&step);
		check_device();
	}
	close_guest();
	return 0;
}
