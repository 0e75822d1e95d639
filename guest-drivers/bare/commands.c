/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* commands.c - the table of commands and their words. See commands.h. */
#include "balloon.h"
#include "bench.h"
#include "call.h"
#include "commands.h"
#include "console.h"
#include "cpu.h"
#include "machine.h"
#include "memory.h"
#include "reporting.h"
#include "virtio.h"
#include "work.h"

enum where { ANY, BOOT };
enum {
	DEFAULT_MS = 1000,
	DEFAULT_TARGET_MS = 10000,
	DEFAULT_BENCH_COUNT = 1000,
	LARGEST_STATUS = 59, /* above are the guest's own: status.h */
};
static const uint64_t ns_per_ms = 1000000;

void command_idle(struct call *call)
{
	uint64_t ms = DEFAULT_MS;

	if (call_may_have_number(call, &ms)) {
		work_sleep(ms * ns_per_ms);
		call_answer(call, "ms=%lu", ms);
	}
}

void command_spin(struct call *call)
{
	uint64_t ms = DEFAULT_MS;

	if (call_may_have_number(call, &ms))
		call_answer(call, "ms=%lu rounds=%lu", ms, work_spin(ms * ns_per_ms));
}

void command_report(struct call *call)
{
	uint64_t blocks;

	if (!reporting_now(&blocks))
		call_fail(call, "the balloon has no free page reporting");
	else
		call_answer(call, "blocks=%lu bytes=%lu", blocks, blocks << ALLOC_BLOCK_SHIFT);
}

void command_balloon(struct call *call)
{
	const char *name = text_next_word(&call->rest);
	enum balloon_style style;

	if (name && !balloon_style_by_name(name, &style)) {
		call_fail(call, "has no style '%s'", name);
		return;
	}
	if (name)
		balloon_set_style(style);
	struct balloon_state state = balloon_state();

	call_answer(call,
		    "present=%u style=%s target_pages=%lu given_pages=%lu given_blocks=%lu "
		    "kicks=%lu statistics=%lu reported_blocks=%lu features=0x%lx",
		    state.present, balloon_style_name(state.style), state.target_pages,
		    state.given_pages, state.given_blocks, state.kicks, state.statistics,
		    state.reported_blocks, state.features);
}

void command_target(struct call *call)
{
	uint64_t ms = DEFAULT_TARGET_MS;

	if (!call_may_have_number(call, &ms))
		return;
	uint64_t end_ns = cpu_now_ns() + ms * ns_per_ms;

	while (!balloon_is_at_target() && cpu_now_ns() < end_ns)
		machine_sleep(end_ns);
	struct balloon_state state = balloon_state();

	call_answer(call, "target_pages=%lu given_pages=%lu", state.target_pages,
		    state.given_pages);
	if (!balloon_is_at_target())
		call_fail(call, "not reached in %lu ms", ms);
}

void command_stat(struct call *call)
{
	struct memory_counts counts = memory_count();

	call_answer(call,
		    "total=%lu free=%lu work=%lu balloon=%lu system=%lu free_blocks=%lu now_ns=%lu",
		    counts.total_pages << ALLOC_PAGE_SHIFT,
		    counts.pages[ALLOC_FREE] << ALLOC_PAGE_SHIFT,
		    counts.pages[ALLOC_WORK] << ALLOC_PAGE_SHIFT,
		    counts.pages[ALLOC_BALLOON] << ALLOC_PAGE_SHIFT,
		    (counts.total_pages - counts.pages[ALLOC_FREE] - counts.pages[ALLOC_WORK] -
		     counts.pages[ALLOC_BALLOON])
			    << ALLOC_PAGE_SHIFT,
		    counts.whole_blocks, cpu_now_ns());
}

void command_vcpus(struct call *call)
{
	call_answer(call, "count=%u absent=%u busy=", machine_cpu_count(), machine_absent_cpus());
	for (unsigned i = 0, listed = 0; i < machine_cpu_count(); i++)
		if (machine_is_busy(i))
			text_add(&call->answer, listed++ ? ",%u" : "%u", i);
}

void command_devices(struct call *call)
{
	struct virtio_device *device;

	for (unsigned i = 0; (device = virtio_nth(i)); i++)
		call_answer(call, "%u@0x%lx:%u", device->device_id, device->base, device->gsi);
}

void command_on(struct call *call)
{
	const char *word = text_next_word(&call->rest);
	uint64_t cpu;

	if (!word || !text_to_u64(word, &cpu) || !cpu || cpu >= machine_cpu_count()) {
		call_fail(call, "wants a processor from 1 to %u", machine_cpu_count() - 1);
		return;
	}
	if (machine_post((unsigned)cpu, call->rest))
		call_answer(call, "started=%lu", cpu);
	else
		call_fail(call, "processor %lu is busy", cpu);
}

static bool any_busy(void)
{
	for (unsigned i = 1; i < machine_cpu_count(); i++)
		if (machine_is_busy(i))
			return true;
	return false;
}

void command_join(struct call *call)
{
	while (any_busy())
		machine_sleep(cpu_now_ns() + ns_per_ms);
	call_answer(call, "count=%u", machine_cpu_count());
}

void command_bench(struct call *call)
{
	const char *name = text_next_word(&call->rest);
	uint64_t count = DEFAULT_BENCH_COUNT;
	struct bench_result result;

	if (!call_may_have_number(call, &count))
		return;
	if (!name || !count || !bench_run(name, count, &result)) {
		call_fail(call, "cannot time '%s' here", name ? name : "");
		return;
	}
	call_answer(call, "what=%s count=%lu mean_ns=%lu median_ns=%lu min_ns=%lu mean_cycles=%lu",
		    name, count, result.mean_ns, result.median_ns, result.min_ns,
		    result.mean_cycles);
}

void command_echo(struct call *call)
{
	call_answer(call, "%s", call->rest);
}

void command_fault(struct call *call)
{
	const char *kind = text_next_word(&call->rest);

	if (kind && text_equal(kind, "page"))
		__asm__ volatile("movb $1, 8"); /* page 0 is nobody's */
	cpu_triple_fault();
}

void command_reboot(struct call *call)
{
	(void)call;
	cpu_reboot();
}

void command_poweroff(struct call *call)
{
	(void)call;
	cpu_power_off();
}

void command_exit(struct call *call)
{
	uint64_t status = 0;

	if (!call_may_have_number(call, &status))
		return;
	if (status > LARGEST_STATUS)
		call_fail(call, "takes a status of at most %u", LARGEST_STATUS);
	else
		cpu_exit((unsigned)status);
}

static const struct command {
	const char *name, *arguments;
	enum where where;
	const char *help;
	void (*run)(struct call *call);
} commands[] = {
#define COMMAND(name, arguments, where, help) { #name, arguments, where, help, command_##name },
#include "commands.def"
#undef COMMAND
};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

void command_help(struct call *call)
{
	const char *name, *help;

	for (unsigned i = 0; i < COMMAND_COUNT; i++)
		say("help %s %s: %s", commands[i].name, commands[i].arguments, commands[i].help);
	for (unsigned i = 0; balloon_style_describe(i, &name, &help); i++)
		say("help balloon %s: %s", name, help);
	call_answer(call, "commands=%u", COMMAND_COUNT);
}

static const struct command *find_command(const char *name)
{
	for (unsigned i = 0; i < COMMAND_COUNT; i++)
		if (text_equal(commands[i].name, name))
			return &commands[i];
	return NULL;
}

bool command_run(char *line)
{
	struct call call = { .rest = line };
	unsigned cpu = cpu_this()->number;

	call.answer = (struct text){ call.answer_bytes, 0, sizeof(call.answer_bytes) };
	call.answer_bytes[0] = '\0';
	call.name = text_next_word(&call.rest);
	if (!call.name)
		return true;
	const struct command *command = find_command(call.name);

	if (!command)
		call_fail(&call, "is not a command: try help");
	else if (command->where == BOOT && cpu)
		call_fail(&call, "runs on the boot processor only");
	else
		command->run(&call);
	if (cpu)
		call_answer(&call, "cpu=%u", cpu);
	say("%s %s%s", call.failed ? "error" : "ok", call.name, call.answer_bytes);
	return !call.failed;
}

bool command_run_all(char *script)
{
	char *line;

	while ((line = text_next_command(&script)))
		if (!command_run(line))
			return false;
	return true;
}
