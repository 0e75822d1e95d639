/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* machine.c - processors, power button, waiting. See machine.h.
 *
 * Processors start one at a time: the trampoline's page holds the number of the one that is next.
 */
#include "apic.h"
#include "balloon.h"
#include "console.h"
#include "cpu.h"
#include "libc.h"
#include "machine.h"
#include "memory.h"
#include "text.h"

enum {
	TRAMPOLINE_PAGE = 8, /* 0x8000; what lies there is put back */
	GED_POWER_BUTTON = 1 << 0,
};
/* A busy host may keep a processor waiting for seconds, and one that comes late would run into the next
 * one's trampoline: the same number, the same task segment, a triple fault. */
static const uint64_t start_patience_ns = 20000000000;
static const uint64_t startup_again_ns = 50000000; /* one may be lost, as the SDM says */
static const uint64_t spin_before_halt_ns = 100000;

extern const char bare_trampoline[], bare_trampoline_cpu[], bare_trampoline_end[];

static unsigned cpu_count = 1, absent_cpus;
static uint32_t seen_button_irqs;

static bool start_cpu(unsigned number, uint8_t apic_id)
{
	static char saved[256];
	char *page = (char *)((uint64_t)TRAMPOLINE_PAGE << 12);
	size_t len = (size_t)(bare_trampoline_end - bare_trampoline);
	uint64_t now_ns = cpu_now_ns(), deadline_ns = now_ns + start_patience_ns, next_ns = now_ns;

	memcpy(saved, page, len);
	memcpy(page, bare_trampoline, len);
	memcpy(page + (bare_trampoline_cpu - bare_trampoline), &number, sizeof(number));
	apic_send_init(apic_id);
	while (!bare_cpus[number].online && (now_ns = cpu_now_ns()) < deadline_ns) {
		if (now_ns >= next_ns) {
			apic_send_startup(apic_id, TRAMPOLINE_PAGE);
			next_ns = now_ns + startup_again_ns;
		}
		cpu_relax();
	}
	memcpy(page, saved, len);
	return bare_cpus[number].online;
}

/* Stacks for @count processors; NULL: no memory. Never given back. */
static char *take_stacks(unsigned count)
{
	uint64_t address;

	_Static_assert(BARE_MAX_CPUS * CPU_STACKS_BYTES <= ALLOC_BLOCK_BYTES, "one block");
	if (!count || !memory_take_block(ALLOC_SYSTEM, ALLOC_LOWEST, 0, &address))
		return NULL;
	return (char *)address;
}

void machine_start_cpus(const struct boot_info *info)
{
	static uint8_t ids[256];
	unsigned count = boot_info_cpus(info, cpu_this()->apic_id, ids, sizeof(ids));

	char *stacks = take_stacks(count - 1);

	for (unsigned i = 1; i < count; i++) {
		bool fits = stacks && cpu_count < BARE_MAX_CPUS;

		if (fits)
			cpu_init_other(cpu_count, stacks + cpu_count * CPU_STACKS_BYTES);
		if (fits && start_cpu(cpu_count, ids[i]))
			cpu_count++;
		else
			absent_cpus++;
	}
}

unsigned machine_cpu_count(void)
{
	return cpu_count;
}

unsigned machine_absent_cpus(void)
{
	return absent_cpus;
}

bool machine_is_busy(unsigned cpu)
{
	return bare_cpus[cpu].mailbox == MAILBOX_FULL;
}

void machine_wake(unsigned cpu)
{
	apic_send_wake(bare_cpus[cpu].apic_id);
}

bool machine_post(unsigned cpu, const char *command)
{
	if (!cpu || cpu >= cpu_count || machine_is_busy(cpu))
		return false;
	struct text text = { .bytes = bare_cpus[cpu].command, .capacity = COMMAND_BYTES };

	text_add(&text, "%s", command);
	__atomic_store_n(&bare_cpus[cpu].mailbox, MAILBOX_FULL, __ATOMIC_RELEASE);
	machine_wake(cpu);
	return true;
}

void machine_init_button(void)
{
	apic_route(BOARD_GED_GSI);
	seen_button_irqs = cpu_this()->irqs[BOARD_GED_GSI];
}

static void poll_button(void)
{
	uint32_t irqs = bare_cpus[0].irqs[BOARD_GED_GSI];

	if (irqs == seen_button_irqs)
		return;
	seen_button_irqs = irqs;
	uint32_t events = port_read32(BOARD_GED_PORT);

	if (events != UINT32_MAX && (events & GED_POWER_BUTTON)) {
		say("event power-button");
		cpu_power_off();
	}
}

void machine_poll(void)
{
	poll_button();
	balloon_poll();
}

/* A device with our buffers answers in microseconds; a halt and an interrupt cost more. */
static bool spin_while_busy(void)
{
	uint64_t end_ns = cpu_now_ns() + spin_before_halt_ns;

	while (balloon_is_busy() && cpu_now_ns() < end_ns) {
		machine_poll();
		cpu_relax();
	}
	return !balloon_is_busy();
}

void machine_sleep(uint64_t deadline_ns)
{
	uint64_t device_ns = balloon_deadline_ns();

	if (balloon_is_busy() && spin_while_busy())
		return;
	if (!balloon_may_sleep()) {
		machine_poll();
		return;
	}
	if (device_ns && (!deadline_ns || device_ns < deadline_ns))
		deadline_ns = device_ns;
	cpu_wait(deadline_ns);
	machine_poll();
}
