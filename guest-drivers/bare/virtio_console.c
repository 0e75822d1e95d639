/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* virtio_console.c - see virtio_console.h. */
#include "console.h"
#include "cpu.h"
#include "libc.h"
#include "virtio.h"
#include "virtio_console.h"

enum { QUEUE_RECEIVE = 0, QUEUE_TRANSMIT = 1, RECEIVE_BYTES = 256 };

static struct virtio_device *device;
static struct virtqueue receive, transmit;
static char received[RECEIVE_BYTES], sending[LINE_BYTES];
static uint32_t received_len, received_at;

static void offer_buffer(void)
{
	unsigned number;

	received_len = received_at = 0;
	virtqueue_add(&receive, received, sizeof(received), true, &number);
	virtqueue_kick(&receive);
}

bool virtio_console_init(void)
{
	device = virtio_find(VIRTIO_ID_CONSOLE);
	if (!device || !virtio_begin(device, 0) ||
	    !virtqueue_init(&receive, device, QUEUE_RECEIVE) ||
	    !virtqueue_init(&transmit, device, QUEUE_TRANSMIT))
		return false;
	virtqueue_want_interrupts(&transmit, false);
	virtio_ready(device);
	offer_buffer();
	return true;
}

void virtio_console_write(const char *bytes, size_t len)
{
	unsigned number;
	uint32_t written;

	len = len < sizeof(sending) ? len : sizeof(sending);
	memcpy(sending, bytes, len);
	virtqueue_add(&transmit, sending, (uint32_t)len, false, &number);
	virtqueue_kick(&transmit);
	while (!virtqueue_next(&transmit, &number, &written))
		cpu_relax();
}

bool virtio_console_read(char *ret_byte)
{
	unsigned number;

	if (!receive.ready)
		return false;
	virtio_poll(device);
	if (received_at == received_len) {
		if (received_len)
			offer_buffer();
		if (!virtqueue_next(&receive, &number, &received_len) || !received_len)
			return false;
		if (received_len > sizeof(received))
			received_len = sizeof(received);
	}
	*ret_byte = received[received_at++];
	return true;
}
