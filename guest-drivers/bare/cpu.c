/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* cpu.c - time, waiting, and the ways a machine ends. See cpu.h. */
#include "apic.h"
#include "cpu.h"

enum {
	CPUID_HYPERVISOR = 0x40000000,
	CPUID_HYPERVISOR_TIMING = 0x40000010, /* eax = TSC kHz, by convention of several VMMs */
	CPUID_TSC = 0x15,
	SLEEP_S5_NOW = 5 << 2 | 1 << 5, /* SLP_TYP 5, SLP_EN */
	I8042_COMMAND_PORT = BOARD_I8042_PORT + 4,
	I8042_RESET = 0xfe,
};

static const uint64_t end_patience_cycles = 4000000000; /* a second or two */

struct cpu bare_cpus[BARE_MAX_CPUS];
static char boot_fault_stack[FAULT_STACK_BYTES] __attribute__((aligned(16)));
static uint64_t tsc_khz, ns_per_tsc, tsc_per_ns; /* the latter two in 1/2^32 */

static void init_cpu(unsigned number, char *fault_stack)
{
	struct cpu *cpu = &bare_cpus[number];

	cpu->self = cpu;
	cpu->number = number;
	cpu->fault_stack = fault_stack + FAULT_STACK_BYTES - 8;
}

void cpu_init_boot(void)
{
	init_cpu(0, boot_fault_stack);
}

void cpu_init_other(unsigned number, char *stacks)
{
	init_cpu(number, stacks);
	bare_cpus[number].stack = stacks + CPU_STACKS_BYTES - 8;
}

static void cpuid(uint32_t leaf, uint32_t words[4])
{
	words[0] = leaf;
	words[2] = 0;
	bare_gate(GATE_CPUID, (uint64_t)words, 0);
}

static uint64_t khz_from_cpuid(void)
{
	uint32_t words[4];

	cpuid(CPUID_HYPERVISOR, words);
	if (words[0] >= CPUID_HYPERVISOR_TIMING && words[0] < CPUID_HYPERVISOR + 0x100) {
		cpuid(CPUID_HYPERVISOR_TIMING, words);
		if (words[0])
			return words[0];
	}
	cpuid(0, words);
	if (words[0] < CPUID_TSC)
		return 0;
	cpuid(CPUID_TSC, words);
	if (!words[0] || !words[1] || !words[2])
		return 0;
	return (uint64_t)words[2] * words[1] / words[0] / 1000;
}

void cpu_init_clock(uint64_t khz)
{
	tsc_khz = khz ? khz : khz_from_cpuid();
	if (!tsc_khz)
		tsc_khz = apic_measure_tsc_khz();
	ns_per_tsc = (UINT64_C(1000000) << 32) / tsc_khz;
	tsc_per_ns = (tsc_khz << 32) / 1000000;
}

uint64_t cpu_tsc_khz(void)
{
	return tsc_khz;
}

uint64_t cpu_tsc_to_ns(uint64_t tsc)
{
	return (uint64_t)((unsigned __int128)tsc * ns_per_tsc >> 32);
}

uint64_t cpu_ns_to_tsc(uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * tsc_per_ns >> 32);
}

uint64_t cpu_now_ns(void)
{
	return cpu_tsc_to_ns(cpu_tsc());
}

void cpu_wait(uint64_t deadline_ns)
{
	if (deadline_ns) {
		uint64_t now_ns = cpu_now_ns();

		if (now_ns >= deadline_ns)
			return;
		apic_start_timer(deadline_ns - now_ns);
	}
	bare_gate(GATE_WAIT, 0, 0);
}

void cpu_triple_fault(void)
{
	for (;;)
		bare_gate(GATE_SHUTDOWN, 0, 0);
}

/* The machine may need a moment to end us; a crash would then be its verdict. */
static void __attribute__((noreturn)) crash_later(void)
{
	uint64_t end = cpu_tsc() + end_patience_cycles;

	while (cpu_tsc() < end)
		cpu_relax();
	cpu_triple_fault();
}

void cpu_exit(unsigned status)
{
	port_write32(BOARD_EXIT_PORT, status);
	crash_later();
}

void cpu_power_off(void)
{
	port_write8(BOARD_SLEEP_CONTROL_PORT, SLEEP_S5_NOW);
	crash_later();
}

void cpu_reboot(void)
{
	port_write8(BOARD_RESET_PORT, BOARD_RESET_VALUE);
	port_write8(I8042_COMMAND_PORT, I8042_RESET);
	crash_later();
}
