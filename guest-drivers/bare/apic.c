/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* apic.c - local APICs and the I/O APIC. See apic.h. */
#include "apic.h"
#include "cpu.h"

enum {
	LAPIC_ID = 0x20,
	LAPIC_SPURIOUS = 0xf0,
	LAPIC_COMMAND_LOW = 0x300,
	LAPIC_COMMAND_HIGH = 0x310,
	LAPIC_TIMER = 0x320,
	LAPIC_TIMER_INITIAL = 0x380,
	LAPIC_TIMER_CURRENT = 0x390,
	LAPIC_TIMER_DIVIDE = 0x3e0,

	LAPIC_ENABLE = 0x100,
	DIVIDE_BY_1 = 0xb,
	COMMAND_INIT = 0x500,
	COMMAND_STARTUP = 0x600,
	COMMAND_ASSERT = 0x4000,

	IOAPIC_SELECT = 0x00,
	IOAPIC_WINDOW = 0x10,
	IOAPIC_VERSION = 1,
	IOAPIC_ROUTES = 0x10,

	CALIBRATION_NS = 2000000,
};

static uint32_t lapic_read(unsigned offset)
{
	return mmio_read32(BOARD_LAPIC_BASE + offset);
}

static void lapic_write(unsigned offset, uint32_t value)
{
	mmio_write32(BOARD_LAPIC_BASE + offset, value);
}

void apic_init_this(void)
{
	lapic_write(LAPIC_SPURIOUS, LAPIC_ENABLE | VECTOR_SPURIOUS);
	lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_1);
	lapic_write(LAPIC_TIMER, VECTOR_TIMER);
	cpu_this()->apic_id = (uint8_t)(lapic_read(LAPIC_ID) >> 24);
}

static void ioapic_write(unsigned index, uint32_t value)
{
	mmio_write32(BOARD_IOAPIC_BASE + IOAPIC_SELECT, index);
	mmio_write32(BOARD_IOAPIC_BASE + IOAPIC_WINDOW, value);
}

static unsigned last_pin(void)
{
	static unsigned last;

	if (!last) {
		mmio_write32(BOARD_IOAPIC_BASE + IOAPIC_SELECT, IOAPIC_VERSION);
		last = mmio_read32(BOARD_IOAPIC_BASE + IOAPIC_WINDOW) >> 16 & 0xff;
	}
	return last;
}

bool apic_route(unsigned gsi)
{
	if (gsi > last_pin() || gsi >= VECTOR_GSIS)
		return false;
	ioapic_write(IOAPIC_ROUTES + 2 * gsi + 1, (uint32_t)cpu_this()->apic_id << 24);
	ioapic_write(IOAPIC_ROUTES + 2 * gsi, VECTOR_GSI + gsi);
	return true;
}

void apic_start_timer(uint64_t ns)
{
	lapic_write(LAPIC_TIMER_INITIAL, ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns);
}

uint64_t apic_measure_tsc_khz(void)
{
	lapic_write(LAPIC_TIMER_INITIAL, UINT32_MAX);
	uint32_t timer_start = lapic_read(LAPIC_TIMER_CURRENT), elapsed_ns;
	uint64_t tsc_start = cpu_tsc(), elapsed_tsc;

	do {
		elapsed_ns = timer_start - lapic_read(LAPIC_TIMER_CURRENT);
		elapsed_tsc = cpu_tsc() - tsc_start;
	} while (elapsed_ns < CALIBRATION_NS);
	lapic_write(LAPIC_TIMER_INITIAL, 0);
	return elapsed_tsc * 1000000 / elapsed_ns;
}

static void send(uint8_t apic_id, uint32_t command)
{
	lapic_write(LAPIC_COMMAND_HIGH, (uint32_t)apic_id << 24);
	lapic_write(LAPIC_COMMAND_LOW, command);
}

void apic_send_wake(uint8_t apic_id)
{
	send(apic_id, COMMAND_ASSERT | VECTOR_IPI);
}

void apic_send_init(uint8_t apic_id)
{
	send(apic_id, COMMAND_ASSERT | COMMAND_INIT);
}

void apic_send_startup(uint8_t apic_id, uint8_t page)
{
	send(apic_id, COMMAND_ASSERT | COMMAND_STARTUP | page);
}
