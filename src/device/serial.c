/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* serial.c - see serial.h.
 *
 * Invariants
 *  S1  line is high exactly when an enabled interrupt source is pending, OUT2 is set and the UART
 *      is not in loopback; irq_fd was signalled at each rise.
 *  S2  tx is non-empty only between output() refusing a byte and serial_output_drained().
 *  S3  A write to THR lowers the "transmitter empty" interrupt before it may rise again, so a guest
 *      that never reads IIR still gets an edge per byte.
 *  S4  Input is held back until the guest would notice it: the receive interrupt is enabled and
 *      connected, or it has looked at LSR POLLING_LOOKS times in a row and sent nothing. A driver
 *      clears the FIFOs when it starts, and what was typed before must not get lost by that.
 * Limits. There is no character time: the receive timeout interrupt (fewer bytes than the trigger
 * level) is due at once.
 */
#include "device/serial.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"

enum {
	REG_DATA = 0,
	REG_IER = 1,
	REG_IIR_FCR = 2,
	REG_LCR = 3,
	REG_MCR = 4,
	REG_LSR = 5,
	REG_MSR = 6,
	REG_SCRATCH = 7,
};

enum { IER_RX = 1, IER_TX = 2, IER_LINE = 4, IER_MODEM = 8, IER_ALL = 0x0f };
enum {
	IIR_MODEM = 0x00,
	IIR_NONE = 0x01,
	IIR_TX = 0x02,
	IIR_RX = 0x04,
	IIR_LINE = 0x06,
	IIR_RX_TIMEOUT = 0x0c,
	IIR_FIFO = 0xc0,
};
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_CLEAR_TX = 4, FCR_TRIGGER_SHIFT = 6 };
enum { LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 0x10, MCR_ALL = 0x1f };
enum { LSR_READY = 1, LSR_OVERRUN = 2, LSR_THR_EMPTY = 0x20, LSR_TX_EMPTY = 0x40 };
enum {
	MSR_CTS = 0x10,
	MSR_DSR = 0x20,
	MSR_RI = 0x40,
	MSR_DCD = 0x80,
	MSR_DELTA_SHIFT = 4,
	MSR_CONNECTED = MSR_CTS | MSR_DSR | MSR_DCD,
};
enum { DIVISOR_9600 = 12, POLLING_LOOKS = 64 };

struct byte_fifo {
	uint16_t head, count;
	uint8_t bytes[SERIAL_RX_FIFO_BYTES];
};

struct serial {
	struct serial_config config;
	pthread_mutex_t lock; /* everything below */
	uint8_t ier, fcr, lcr, mcr, scratch;
	uint8_t modem_lines, modem_deltas; /* the two halves of MSR */
	uint16_t divisor;
	bool overrun;	 /* LSR.OE until read */
	bool tx_pending; /* "transmitter empty" interrupt, until read in IIR or THR is written */
	bool line;
	bool input_short; /* serial_input() took less than it was given */
	unsigned looks;	  /* at LSR with nothing to wait for, since something was sent */
	bool polls;	  /* for input: S4 */
	struct byte_fifo rx, tx;
	struct serial_counters counters;
};

static bool fifo_push(struct byte_fifo *fifo, unsigned capacity, uint8_t byte)
{
	if (fifo->count >= capacity)
		return false;
	fifo->bytes[(fifo->head + fifo->count) % SERIAL_RX_FIFO_BYTES] = byte;
	fifo->count++;
	return true;
}

static uint8_t fifo_pop(struct byte_fifo *fifo)
{
	uint8_t byte = fifo->bytes[fifo->head];

	fifo->head = (uint16_t)((fifo->head + 1) % SERIAL_RX_FIFO_BYTES);
	fifo->count--;
	return byte;
}

static unsigned rx_trigger(const struct serial *serial)
{
	static const uint8_t levels[] = { 1, 4, 8, 14 };

	return (serial->fcr & FCR_ENABLE) ? levels[serial->fcr >> FCR_TRIGGER_SHIFT] : 1;
}

/* The pending source of highest priority, PC16550D table IV "Interrupt Control Functions". */
static uint8_t interrupt_id(const struct serial *serial)
{
	if ((serial->ier & IER_LINE) && serial->overrun)
		return IIR_LINE;
	if ((serial->ier & IER_RX) && serial->rx.count)
		return serial->rx.count >= rx_trigger(serial) ? IIR_RX : IIR_RX_TIMEOUT;
	if ((serial->ier & IER_TX) && serial->tx_pending)
		return IIR_TX;
	if ((serial->ier & IER_MODEM) && serial->modem_deltas)
		return IIR_MODEM;
	return IIR_NONE;
}

static bool is_connected(const struct serial *serial)
{
	return (serial->mcr & MCR_OUT2) && !(serial->mcr & MCR_LOOP);
}

/* S4: would the guest notice a byte? */
static bool listens(const struct serial *serial)
{
	return serial->polls || ((serial->ier & IER_RX) && is_connected(serial));
}

static void update_line(struct serial *serial)
{
	bool line = is_connected(serial) && interrupt_id(serial) != IIR_NONE;

	if (line && !serial->line)
		event_signal(serial->config.irq_fd);
	serial->line = line;
}

static void update_modem_lines(struct serial *serial)
{
	uint8_t mcr = serial->mcr, lines = MSR_CONNECTED, changed;

	if (mcr & MCR_LOOP)
		lines = (uint8_t)(((mcr & MCR_RTS) ? MSR_CTS : 0) |
				  ((mcr & MCR_DTR) ? MSR_DSR : 0) |
				  ((mcr & MCR_OUT1) ? MSR_RI : 0) |
				  ((mcr & MCR_OUT2) ? MSR_DCD : 0));
	changed = serial->modem_lines ^ lines;
	if (lines & MSR_RI) /* only its trailing edge counts */
		changed &= (uint8_t)~MSR_RI;
	serial->modem_deltas |= (uint8_t)(changed >> MSR_DELTA_SHIFT);
	serial->modem_lines = lines;
}

/* Hand the transmit FIFO to the sink; when all of it went, the transmitter is empty again. */
static void pump_output(struct serial *serial)
{
	while (serial->tx.count) {
		if (!serial->config.output(serial->config.ctx, serial->tx.bytes[serial->tx.head]))
			return;
		(void)fifo_pop(&serial->tx);
		serial->counters.output_bytes++;
	}
	serial->tx_pending = true;
}

static void transmit(struct serial *serial, uint8_t byte)
{
	bool waiting = serial->tx.count > 0;

	serial->looks = 0;
	serial->tx_pending = false;
	update_line(serial); /* S3 */
	if (serial->mcr & MCR_LOOP) {
		if (!fifo_push(&serial->rx, SERIAL_RX_FIFO_BYTES, byte))
			serial->overrun = true;
		serial->tx_pending = !waiting;
		return;
	}
	if (!fifo_push(&serial->tx, SERIAL_TX_FIFO_BYTES, byte))
		serial->counters.lost_bytes++;
	if (!waiting)
		pump_output(serial);
}

static uint8_t receive(struct serial *serial)
{
	return serial->rx.count ? fifo_pop(&serial->rx) : 0;
}

/* True once when there is room again for input that was refused. */
static bool input_wanted(struct serial *serial)
{
	if (!serial->input_short || !listens(serial) || serial->rx.count > SERIAL_RX_FIFO_BYTES / 2)
		return false;
	serial->input_short = false;
	return true;
}

static uint8_t read_iir(struct serial *serial)
{
	uint8_t id = interrupt_id(serial);

	if (id == IIR_TX)
		serial->tx_pending = false;
	return id | ((serial->fcr & FCR_ENABLE) ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct serial *serial)
{
	uint8_t lsr =
		(uint8_t)((serial->rx.count ? LSR_READY : 0) | (serial->overrun ? LSR_OVERRUN : 0) |
			  (serial->tx.count ? 0 : LSR_THR_EMPTY | LSR_TX_EMPTY));

	serial->overrun = false;
	if (!serial->tx.count && !(serial->mcr & MCR_LOOP) && ++serial->looks == POLLING_LOOKS)
		serial->polls = true;
	return lsr;
}

static uint8_t read_msr(struct serial *serial)
{
	uint8_t msr = serial->modem_lines | serial->modem_deltas;

	serial->modem_deltas = 0;
	return msr;
}

static uint8_t read_register(struct serial *serial, uint64_t offset)
{
	bool dlab = serial->lcr & LCR_DLAB;

	switch (offset) {
	case REG_DATA: return dlab ? (uint8_t)serial->divisor : receive(serial);
	case REG_IER: return dlab ? (uint8_t)(serial->divisor >> 8) : serial->ier;
	case REG_IIR_FCR: return read_iir(serial);
	case REG_LCR: return serial->lcr;
	case REG_MCR: return serial->mcr;
	case REG_LSR: return read_lsr(serial);
	case REG_MSR: return read_msr(serial);
	default: return serial->scratch;
	}
}

static void write_ier(struct serial *serial, uint8_t value)
{
	uint8_t rising = (uint8_t)(value & ~serial->ier);

	serial->ier = value & IER_ALL;
	/* Enabling the interrupt while the transmitter is empty makes it pending: drivers start
	 * sending that way. */
	if ((rising & IER_TX) && !serial->tx.count)
		serial->tx_pending = true;
}

static void write_fcr(struct serial *serial, uint8_t value)
{
	if ((value ^ serial->fcr) & FCR_ENABLE)
		value |= FCR_CLEAR_RX | FCR_CLEAR_TX;
	if (value & FCR_CLEAR_RX)
		serial->rx.count = 0;
	if ((value & FCR_CLEAR_TX) && serial->tx.count) {
		serial->tx.count = 0;
		serial->tx_pending = true;
	}
	serial->fcr = value;
}

static void write_register(struct serial *serial, uint64_t offset, uint8_t value)
{
	bool dlab = serial->lcr & LCR_DLAB;

	if (offset == REG_DATA && dlab)
		serial->divisor = (uint16_t)((serial->divisor & 0xff00) | value);
	else if (offset == REG_DATA)
		transmit(serial, value);
	else if (offset == REG_IER && dlab)
		serial->divisor = (uint16_t)((serial->divisor & 0x00ff) | value << 8);
	else if (offset == REG_IER)
		write_ier(serial, value);
	else if (offset == REG_IIR_FCR)
		write_fcr(serial, value);
	else if (offset == REG_LCR)
		serial->lcr = value;
	else if (offset == REG_MCR)
		serial->mcr = value & MCR_ALL;
	else if (offset == REG_SCRATCH)
		serial->scratch = value;
	if (offset == REG_MCR)
		update_modem_lines(serial);
}

/* What every access ends with: the interrupt line follows, the lock is released. */
static void finish_access(struct serial *serial)
{
	bool wanted = input_wanted(serial);

	update_line(serial);
	pthread_mutex_unlock(&serial->lock);
	if (wanted && serial->config.input_wanted)
		serial->config.input_wanted(serial->config.ctx);
}

static void port_read(void *device, uint64_t offset, void *data, uint32_t len)
{
	struct serial *serial = device;

	memset(data, 0xff, len);
	if (len != 1)
		return;
	pthread_mutex_lock(&serial->lock);
	*(uint8_t *)data = read_register(serial, offset);
	finish_access(serial);
}

static void port_write(void *device, uint64_t offset, const void *data, uint32_t len)
{
	struct serial *serial = device;

	if (len != 1)
		return;
	pthread_mutex_lock(&serial->lock);
	write_register(serial, offset, *(const uint8_t *)data);
	finish_access(serial);
}

const struct bus_ops serial_bus_ops = { .name = "serial", .read = port_read, .write = port_write };

size_t serial_input(struct serial *serial, const void *bytes, size_t len)
{
	const uint8_t *next = bytes;
	size_t taken = 0;

	pthread_mutex_lock(&serial->lock);
	while (listens(serial) && taken < len &&
	       fifo_push(&serial->rx, SERIAL_RX_FIFO_BYTES, next[taken]))
		taken++;
	serial->counters.input_bytes += taken;
	serial->input_short = taken < len;
	update_line(serial);
	pthread_mutex_unlock(&serial->lock);
	return taken;
}

size_t serial_input_space(struct serial *serial)
{
	size_t space;

	pthread_mutex_lock(&serial->lock);
	space = listens(serial) ? SERIAL_RX_FIFO_BYTES - (size_t)serial->rx.count : 0;
	pthread_mutex_unlock(&serial->lock);
	return space;
}

void serial_output_drained(struct serial *serial)
{
	pthread_mutex_lock(&serial->lock);
	if (serial->tx.count) {
		pump_output(serial);
		update_line(serial);
	}
	pthread_mutex_unlock(&serial->lock);
}

void serial_reassert(struct serial *serial)
{
	pthread_mutex_lock(&serial->lock);
	if (serial->line)
		event_signal(serial->config.irq_fd);
	pthread_mutex_unlock(&serial->lock);
}

static void power_on(struct serial *serial)
{
	serial->ier = serial->fcr = serial->lcr = serial->mcr = serial->scratch = 0;
	serial->modem_lines = MSR_CONNECTED;
	serial->modem_deltas = 0;
	serial->divisor = DIVISOR_9600;
	serial->overrun = serial->tx_pending = serial->line = false;
	serial->rx.count = serial->tx.count = 0;
	serial->polls = false;
	serial->looks = 0;
}

void serial_reset(struct serial *serial)
{
	pthread_mutex_lock(&serial->lock);
	serial->counters.lost_bytes += serial->tx.count;
	power_on(serial);
	finish_access(serial);
}

void serial_read_counters(struct serial *serial, struct serial_counters *ret_counters)
{
	pthread_mutex_lock(&serial->lock);
	*ret_counters = serial->counters;
	pthread_mutex_unlock(&serial->lock);
}

int serial_create(const struct serial_config *config, struct serial **ret_serial, struct err *err)
{
	struct serial *serial = calloc(1, sizeof(*serial));

	if (!serial)
		return err_set(err, -ENOMEM, "serial port: out of memory");
	serial->config = *config;
	(void)pthread_mutex_init(&serial->lock, NULL);
	power_on(serial);
	*ret_serial = serial;
	return 0;
}

void serial_destroy(struct serial *serial)
{
	if (!serial)
		return;
	(void)pthread_mutex_destroy(&serial->lock);
	free(serial);
}
