/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* serial.h - a 16550A UART: the guest's terminal.
 *
 * For: byte streams in and out with flow control in both directions. Not for: real speed, parity
 * or framing; a byte is sent the moment the sink takes it, and divisor and frame format are only
 * remembered.
 * Output. The sink says for each byte whether it took it. When it did not, the byte waits in the
 * transmit FIFO and LSR.THRE and TEMT stay clear, so a guest that follows the rules waits;
 * the sink calls serial_output_drained() when it has room. A guest that writes more than the
 * FIFO holds loses those bytes, counted.
 * Input. serial_input() takes what fits, and nothing before the guest listens; when it took less
 * than it was given, input_wanted() is called once there is room again. Interrupts. An edge on
 * irq_fd each time the UART's output line rises. MCR.OUT2 connects the line, as on a PC.
 *
 * Threads: registers on vCPU threads, input and drained on the I/O thread; one mutex inside, held
 * during output() and not during input_wanted(). output() must not call back.
 * Source: National Semiconductor PC16550D data sheet §8 "Registers".
 */
#ifndef NEAP_DEVICE_SERIAL_H
#define NEAP_DEVICE_SERIAL_H

#include <stddef.h>

#include "device/bus.h"

enum {
	SERIAL_PORT_BYTES = 8,
	SERIAL_TX_FIFO_BYTES = 16,
	SERIAL_RX_FIFO_BYTES = 256,
};

struct serial_config {
	int irq_fd; /* eventfd, borrowed */
	/* One byte of the guest's output. False: no room; keep it, and call
	 * serial_output_drained() when there is some. */
	bool (*output)(void *ctx, uint8_t byte);
	/* There is room for input again; on the thread that made it. May be NULL. */
	void (*input_wanted)(void *ctx);
	void *ctx;
};

struct serial_counters {
	uint64_t output_bytes;
	uint64_t input_bytes;
	uint64_t lost_bytes; /* written while the transmit FIFO was full, or in it at a reset */
};

struct serial; /* opaque */

int serial_create(const struct serial_config *config, struct serial **ret_serial, struct err *err);
void serial_destroy(struct serial *serial);

extern const struct bus_ops serial_bus_ops; /* device = struct serial *, at BOARD_SERIAL_PORT */

/* Returns how many of the @len bytes were taken, from the first on. */
size_t serial_input(struct serial *serial, const void *bytes, size_t len);
size_t serial_input_space(struct serial *serial);

void serial_output_drained(struct serial *serial);

/* The I/O APIC pin was unmasked: signal again if the line is high. Any thread. */
void serial_reassert(struct serial *serial);

/* Machine reset: registers as at power-on, FIFOs empty; counters go on. */
void serial_reset(struct serial *serial);

void serial_read_counters(struct serial *serial, struct serial_counters *ret_counters);

#endif
