/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* console.h - virtio-console with one port: bytes out, bytes in, and the size of the window.
 *
 * Not for: what happens to the bytes. They are passed on as the guest wrote them, terminal escapes
 * included; whoever shows or stores them bounds and filters.
 * Threads: the I/O thread owns it; callbacks run on it.
 * Source: virtio 1.2 §5.3 "Console Device".
 */
#ifndef NEAP_VIRTIO_CONSOLE_H
#define NEAP_VIRTIO_CONSOLE_H

#include <stddef.h>

#include "base/units.h"
#include "virtio/virtio.h"

#define CONSOLE_F_SIZE (UINT64_C(1) << 0)

enum {
	CONSOLE_INPUT_BYTES = 4096,	      /* held for a guest that does not read */
	CONSOLE_TURN_BYTES = 256 * KIB_BYTES, /* output in one turn of the loop */
};

struct console_config {
	struct ram *ram;
	uint16_t cols, rows; /* of the window; 0: unknown, and F_SIZE is not offered */
	/* Takes all of it (true) or nothing (false), and does not block. After false nothing more
	 * is offered until console_output_drained(); the guest's chains wait in its ring. */
	bool (*output)(void *ctx, const void *bytes, size_t len);
	/* console_input() took less than it was offered, and now there is room; may be NULL. */
	void (*input_wanted)(void *ctx);
	void *ctx;
};

struct console; /* opaque */

int console_create(const struct console_config *config, struct console **ret_console,
		   struct err *err);
void console_destroy(struct console *console);
struct virtio_device *console_device(struct console *console);

/* Offer input. How many of the bytes were taken: fewer than @len when the guest does not read. */
size_t console_input(struct console *console, const void *bytes, size_t len);

/* Whoever refused output has room again. */
void console_output_drained(struct console *console);

/* The window changed. Nothing happens when the size was unknown at creation. */
void console_resize(struct console *console, uint16_t cols, uint16_t rows);

#endif
