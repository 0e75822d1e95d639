/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* main.c - where ring 3 begins, what the command line says, and where an exception ends.
 *
 * Start-up order is what a person waits for: the banner comes before anything but the command line
 * is looked at. `quiet` is for those who start many: each byte on a serial port costs an exit.
 */
#include "apic.h"
#include "balloon.h"
#include "boot_info.h"
#include "commands.h"
#include "console.h"
#include "cpu.h"
#include "machine.h"
#include "memory.h"
#include "status.h"
#include "text.h"
#include "virtio.h"

enum { OPTION_BYTES = 1024, DEFAULT_REPORT_DELAY_MS = 2000, STATUS_SCRIPT_FAILED = 1 };

static struct boot_info boot;
static char option[OPTION_BYTES];

/* start.S */
void bare_start(unsigned number, uint64_t start_info) __attribute__((noreturn));
void bare_fault(void) __attribute__((noreturn));

void bare_fault(void)
{
	const struct cpu *cpu = cpu_this();
	const struct cpu_fault *fault = &cpu->fault;

	console_break_lock();
	say("error exception vector=%lu code=0x%lx rip=0x%lx cr2=0x%lx rsp=0x%lx ring=%lu cpu=%u",
	    fault->vector, fault->error, fault->rip, fault->cr2, fault->rsp, fault->cs & 3,
	    cpu->number);
	cpu_exit(STATUS_EXCEPTION);
}

static void give_up(const char *why)
{
	say("error boot %s", why);
	cpu_exit(STATUS_INTERNAL);
}

static bool have_option(const char *key)
{
	return text_option(boot.cmdline, key, 0, option, sizeof(option));
}

static uint64_t number_option(const char *key, uint64_t value)
{
	if (have_option(key) && !text_to_bytes(option, &value))
		give_up("an option that is a number is not one");
	return value;
}

static void start_balloon(void)
{
	enum balloon_style style = BALLOON_AUTO;

	if (have_option("balloon") && !balloon_style_by_name(option, &style))
		give_up("balloon= is not auto, blocks, pages, scattered or off");
	balloon_init(style, number_option("report_delay", DEFAULT_REPORT_DELAY_MS));
}

static void start_machine(void)
{
	apic_init_this();
	cpu_init_clock(number_option("tsc_khz", 0));
	if (!memory_init(&boot))
		give_up("no room for tables behind the image: give the machine more memory");
	virtio_init(boot.cmdline);
	if (have_option("console") && text_equal(option, "virtio") && !console_use_virtio())
		give_up("console=virtio, but there is no virtio-console");
	console_start_input(have_option("echo") && text_equal(option, "on"));
	machine_init_button();
	machine_start_cpus(&boot);
	start_balloon();
}

static void say_banner(bool quiet)
{
	if (quiet)
		say("neap");
	else
		say("neap-bare: the embedded guest of neap; type help");
}

static void say_ready(void)
{
	struct memory_counts counts = memory_count();

	say("ready cpus=%u ram=%lu free=%lu tsc_khz=%lu", machine_cpu_count(),
	    counts.total_pages << ALLOC_PAGE_SHIFT, counts.pages[ALLOC_FREE] << ALLOC_PAGE_SHIFT,
	    cpu_tsc_khz());
}

static void serve_boot_cpu(void)
{
	if (have_option("run") && !command_run_all(option))
		cpu_exit(STATUS_SCRIPT_FAILED);
	for (;;) {
		char *line = console_poll_line();

		machine_poll();
		if (line)
			command_run_all(line);
		else
			machine_sleep(0);
	}
}

static void serve_cpu(struct cpu *cpu)
{
	apic_init_this();
	__atomic_store_n(&cpu->online, true, __ATOMIC_RELEASE);
	for (;;) {
		while (__atomic_load_n(&cpu->mailbox, __ATOMIC_ACQUIRE) == MAILBOX_EMPTY)
			cpu_wait(0);
		command_run(cpu->command);
		__atomic_store_n(&cpu->mailbox, MAILBOX_EMPTY, __ATOMIC_RELEASE);
	}
}

void bare_start(unsigned number, uint64_t start_info)
{
	bool quiet;

	if (number)
		serve_cpu(cpu_this());
	cpu_init_boot();
	console_init();
	if (!boot_info_read(start_info, &boot))
		give_up("there is no start_info with a memory map: not a PVH boot");
	quiet = text_flag(boot.cmdline, "quiet");
	say_banner(quiet);
	start_machine();
	if (!quiet)
		say_ready();
	serve_boot_cpu();
	__builtin_unreachable();
}
