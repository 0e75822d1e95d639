/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* main.c - where ring 3 begins, and where an exception ends. */
#include "apic.h"
#include "console.h"
#include "cpu.h"
#include "status.h"
#include "text.h"

char bare_stacks[BARE_MAX_CPUS][RING3_STACK_BYTES] __attribute__((aligned(16)));

/* start.S */
void bare_start(unsigned number, uint64_t start_info);
void bare_fault(void);

void bare_fault(void)
{
	const struct cpu *cpu = cpu_this();
	const struct cpu_fault *fault = &cpu->fault;

	say("error exception vector=%lu code=0x%lx rip=0x%lx cr2=0x%lx rsp=0x%lx ring=%lu cpu=%u",
	    fault->vector, fault->error, fault->rip, fault->cr2, fault->rsp, fault->cs & 3,
	    cpu->number);
	cpu_exit(STATUS_EXCEPTION);
}

void bare_start(unsigned number, uint64_t start_info)
{
	cpu_init_this(number);
	console_init();
	say("neap-bare: ring 3, start_info=0x%lx", start_info);
	apic_init_this();
	cpu_init_clock(0);
	say("tsc_khz=%lu", cpu_tsc_khz());
	console_start_input(false);
	for (;;) {
		char *line = console_poll_line();

		if (line && text_equal(line, "poweroff"))
			cpu_power_off();
		if (line && text_equal(line, "fault"))
			cpu_triple_fault();
		if (line && text_equal(line, "exit"))
			cpu_exit(0);
		if (!line)
			cpu_wait(0);
	}
}
