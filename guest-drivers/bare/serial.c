/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* serial.c - the 16550. Source: PC16550D data sheet, "Registers". */
#include "apic.h"
#include "cpu.h"
#include "serial.h"

enum {
	DATA = BOARD_SERIAL_PORT,
	INTERRUPT_ENABLE = BOARD_SERIAL_PORT + 1,
	FIFO_CONTROL = BOARD_SERIAL_PORT + 2,
	MODEM_CONTROL = BOARD_SERIAL_PORT + 4,
	LINE_STATUS = BOARD_SERIAL_PORT + 5,

	FIFO_ENABLE_AND_CLEAR = 0x07,
	RECEIVED_INTERRUPT = 0x01,
	MODEM_OUT2_RTS_DTR = 0x0b, /* OUT2 lets the interrupt line out on a PC */
	STATUS_RECEIVED = 0x01,
	STATUS_TRANSMITTER_EMPTY = 0x20,
	FIFO_BYTES = 16,
};

static uint32_t seen_irqs;

void serial_init(void)
{
	port_write8(FIFO_CONTROL, FIFO_ENABLE_AND_CLEAR);
}

void serial_start_input(void)
{
	apic_route(BOARD_SERIAL_GSI);
	port_write8(MODEM_CONTROL, MODEM_OUT2_RTS_DTR);
	port_write8(INTERRUPT_ENABLE, RECEIVED_INTERRUPT);
	/* What came before is in the FIFO without an edge: look once. */
	seen_irqs = cpu_this()->irqs[BOARD_SERIAL_GSI] - 1;
}

void serial_write(const char *bytes, size_t len)
{
	while (len) {
		size_t part = len < FIFO_BYTES ? len : FIFO_BYTES;

		while (!(port_read8(LINE_STATUS) & STATUS_TRANSMITTER_EMPTY))
			cpu_relax();
		port_write_string(DATA, bytes, part);
		bytes += part;
		len -= part;
	}
}

size_t serial_read(char *bytes, size_t capacity)
{
	uint32_t irqs = bare_cpus[0].irqs[BOARD_SERIAL_GSI];
	size_t len = 0;

	if (irqs == seen_irqs)
		return 0;
	while (len < capacity && (port_read8(LINE_STATUS) & STATUS_RECEIVED))
		bytes[len++] = (char)port_read8(DATA);
	if (len < capacity)
		seen_irqs = irqs;
	return len;
}
