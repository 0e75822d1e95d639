/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* console.c - see console.h.
 *
 * Invariants
 *  K1  Output is passed on in order and exactly once, at most CONSOLE_TURN_BYTES in a turn. A
 *      longer chain is held with an offset, and continued in the next turn: a guest that writes
 *      4 GiB at once uses no memory of ours and delays nobody.
 *  K2  Input that was taken is delivered in order, or still in `input`. It outlives a reset of the
 *      device, since a driver begins with one and a person may have typed by then.
 *  K3  Output that was refused stays in the guest's chain and is read again later: a sink that is
 *      behind costs no memory of ours and no byte of the guest's.
 *  K4  After a reset no chain is held.
 */
#include "virtio/console.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { RECEIVE_QUEUE, TRANSMIT_QUEUE, QUEUE_COUNT };

enum { STEP_BYTES = 4096 };

struct console_registers {
	uint16_t cols, rows;
	uint32_t max_nr_ports;
	uint32_t emerg_wr;
};

struct console {
	struct virtio_device vdev; /* first: ops cast back */
	struct console_config config;
	struct console_registers registers;

	bool sending;	     /* `out` is held */
	bool output_refused; /* until console_output_drained() */
	uint64_t out_done_bytes;
	struct virtq_chain out;

	bool input_refused;
	size_t input_start, input_len;
	uint8_t input[CONSOLE_INPUT_BYTES]; /* a ring */
};

static struct console *to_console(struct virtio_device *vdev)
{
	return (struct console *)(void *)vdev;
}

/* Pass on what is left of the held chain. False: turn over, or its memory cannot be read now. */
static bool send(struct console *console, uint64_t *turn_left_bytes)
{
	struct virtq *vq = &console->vdev.queues[TRANSMIT_QUEUE];
	uint8_t bytes[STEP_BYTES];

	while (console->out_done_bytes < console->out.readable_bytes) {
		if (*turn_left_bytes == 0) {
			virtio_again(&console->vdev, TRANSMIT_QUEUE);
			return false;
		}
		uint64_t step = *turn_left_bytes < sizeof(bytes) ? *turn_left_bytes : sizeof(bytes);
		int64_t got = chain_read(vq, &console->out, console->out_done_bytes, bytes, step);

		if (got <= 0) {
			virtio_stall(&console->vdev, TRANSMIT_QUEUE);
			return false;
		}
		console->output_refused =
			!console->config.output(console->config.ctx, bytes, (size_t)got);
		if (console->output_refused)
			return false; /* K3 */
		console->out_done_bytes += (uint64_t)got;
		*turn_left_bytes -= (uint64_t)got;
	}
	return true;
}

static void transmit(struct console *console)
{
	struct virtio_device *vdev = &console->vdev;
	uint64_t turn_left_bytes = CONSOLE_TURN_BYTES;

	while (!console->output_refused) {
		if (!console->sending) {
			if (!virtio_next_chain(vdev, TRANSMIT_QUEUE, &console->out))
				break;
			if (console->out.readable_count == 0 || console->out.writable_count > 0) {
				virtio_refuse_chain(vdev, TRANSMIT_QUEUE, &console->out);
				continue;
			}
			console->sending = true;
			console->out_done_bytes = 0;
		}
		if (!send(console, &turn_left_bytes))
			break;
		console->sending = false;
		virtio_finish_chain(vdev, TRANSMIT_QUEUE, &console->out, 0);
	}
	virtio_interrupt_queue(vdev, TRANSMIT_QUEUE);
}

/* The longest piece at the front of the ring. */
static size_t input_piece(const struct console *console)
{
	size_t to_end = CONSOLE_INPUT_BYTES - console->input_start;

	return console->input_len < to_end ? console->input_len : to_end;
}

static void input_drop(struct console *console, size_t len)
{
	console->input_start = (console->input_start + len) % CONSOLE_INPUT_BYTES;
	console->input_len -= len;
}

/* Fill one chain from the front of the input. False: not now; the chain is back in the ring. */
static bool receive_one(struct console *console, const struct virtq_chain *chain)
{
	struct virtq *vq = &console->vdev.queues[RECEIVE_QUEUE];
	uint64_t done = 0;

	if (chain->readable_count > 0 || chain->writable_bytes == 0) {
		virtio_refuse_chain(&console->vdev, RECEIVE_QUEUE, chain);
		return true;
	}
	while (console->input_len > 0 && done < chain->writable_bytes) {
		int64_t put = chain_write(vq, chain, done, console->input + console->input_start,
					  input_piece(console));

		if (put < 0 && done == 0) {
			virtio_stall_chain(&console->vdev, RECEIVE_QUEUE, chain);
			return false;
		}
		if (put <= 0)
			break; /* what is in the chain goes first, the rest with the next one */
		input_drop(console, (size_t)put);
		done += (uint64_t)put;
	}
	virtio_finish_chain(&console->vdev, RECEIVE_QUEUE, chain, (uint32_t)done);
	return true;
}

static void receive(struct console *console)
{
	struct virtq_chain chain;

	while (console->input_len > 0 && virtio_next_chain(&console->vdev, RECEIVE_QUEUE, &chain) &&
	       receive_one(console, &chain))
		;
	virtio_interrupt_queue(&console->vdev, RECEIVE_QUEUE);
}

static void tell_room(struct console *console)
{
	if (!console->input_refused || console->input_len == CONSOLE_INPUT_BYTES)
		return;
	console->input_refused = false;
	if (console->config.input_wanted)
		console->config.input_wanted(console->config.ctx);
}

static void handle_queue(struct virtio_device *vdev, unsigned index)
{
	struct console *console = to_console(vdev);

	if (index == TRANSMIT_QUEUE) {
		transmit(console);
	} else {
		receive(console);
		tell_room(console);
	}
}

static int activate(struct virtio_device *vdev)
{
	return vdev->queues[RECEIVE_QUEUE].ready && vdev->queues[TRANSMIT_QUEUE].ready ? 0
										       : -EINVAL;
}

static void reset(struct virtio_device *vdev)
{
	to_console(vdev)->sending = false; /* K4 */
}

static void read_config(struct virtio_device *vdev, void *config)
{
	memcpy(config, &to_console(vdev)->registers, sizeof(struct console_registers));
}

static const struct virtio_ops console_ops = {
	.name = "console",
	.device_id = VIRTIO_ID_CONSOLE,
	.queue_count = QUEUE_COUNT,
	.config_bytes = sizeof(struct console_registers),
	.features = CONSOLE_F_SIZE,
	.activate = activate,
	.handle_queue = handle_queue,
	.reset = reset,
	.read_config = read_config,
};

int console_create(const struct console_config *config, struct console **ret_console,
		   struct err *err)
{
	bool has_size = config->cols > 0 && config->rows > 0;
	struct console *console = calloc(1, sizeof(*console));

	if (!console)
		return err_set(err, -ENOMEM, "virtio-console: out of memory");
	virtio_init(&console->vdev, &console_ops, config->ram, has_size ? CONSOLE_F_SIZE : 0);
	console->config = *config;
	if (has_size)
		console->registers =
			(struct console_registers){ .cols = config->cols, .rows = config->rows };
	*ret_console = console;
	return 0;
}

void console_destroy(struct console *console)
{
	free(console);
}

struct virtio_device *console_device(struct console *console)
{
	return &console->vdev;
}

static size_t input_take(struct console *console, const uint8_t *bytes, size_t len)
{
	size_t taken = 0;

	while (taken < len && console->input_len < CONSOLE_INPUT_BYTES) {
		size_t end = (console->input_start + console->input_len) % CONSOLE_INPUT_BYTES;

		console->input[end] = bytes[taken++];
		console->input_len++;
	}
	return taken;
}

size_t console_input(struct console *console, const void *bytes, size_t len)
{
	size_t taken = 0, step;

	do {
		step = input_take(console, (const uint8_t *)bytes + taken, len - taken);
		taken += step;
		receive(console);
	} while (step > 0 && taken < len);
	console->input_refused = taken < len;
	return taken;
}

void console_output_drained(struct console *console)
{
	if (!console->output_refused)
		return;
	console->output_refused = false;
	virtio_again(&console->vdev, TRANSMIT_QUEUE);
}

void console_resize(struct console *console, uint16_t cols, uint16_t rows)
{
	if (!(console->vdev.offered & CONSOLE_F_SIZE))
		return;
	console->registers.cols = cols;
	console->registers.rows = rows;
	virtio_config_changed(&console->vdev);
}
