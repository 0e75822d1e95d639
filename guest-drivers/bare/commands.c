/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* commands.c - the table of commands and their words. See commands.h. */
#include "balloon.h"
#include "bench.h"
#include "commands.h"
#include "console.h"
#include "cpu.h"
#include "machine.h"
#include "memory.h"
#include "reporting.h"
#include "text.h"
#include "virtio.h"
#include "work.h"

enum where { ANY, BOOT };
enum {
	DEFAULT_MS = 1000,
	DEFAULT_RAMP_MS = 100,
	DEFAULT_TARGET_MS = 10000,
	DEFAULT_BENCH_COUNT = 1000,
	LARGEST_STATUS = 59, /* above are the guest's own: status.h */
};
static const uint64_t ns_per_ms = 1000000;

struct call {
	const char *name;
	char *rest; /* of the line */
	bool failed;
	char answer_bytes[LINE_BYTES - 32];
	struct text answer;
};

static void answer(struct call *call, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void fail(struct call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void answer(struct call *call, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	text_add(&call->answer, " ");
	text_add_list(&call->answer, format, list);
	va_end(list);
}

static void fail(struct call *call, const char *format, ...)
{
	va_list list;

	call->failed = true;
	va_start(list, format);
	text_add(&call->answer, " ");
	text_add_list(&call->answer, format, list);
	va_end(list);
}

static bool want_bytes(struct call *call, uint64_t *ret_bytes)
{
	const char *word = text_next_word(&call->rest);

	if (!word || !text_to_bytes(word, ret_bytes)) {
		fail(call, "wants a size such as 64M, not '%s'", word ? word : "");
		return false;
	}
	return true;
}

/* An optional number; *@value is the default. */
static bool may_have_number(struct call *call, uint64_t *value)
{
	const char *word = text_next_word(&call->rest);

	if (word && !text_to_bytes(word, value)) {
		fail(call, "wants a number, not '%s'", word);
		return false;
	}
	return true;
}

static void add_speed(struct call *call, uint64_t bytes, uint64_t start_ns)
{
	uint64_t took_ns = cpu_now_ns() - start_ns;

	answer(call, "ns=%lu mib_per_s=%lu", took_ns,
	       took_ns ? bytes / 1024 * 1000000 / 1024 * 1000 / took_ns : 0);
}

static void command_fill(struct call *call)
{
	uint64_t bytes, seed = 1, start_ns = cpu_now_ns();

	if (!want_bytes(call, &bytes) || !may_have_number(call, &seed))
		return;
	const char *where = text_next_word(&call->rest);

	if (where && !text_equal(where, "top")) {
		fail(call, "fills from the bottom or from the 'top', not '%s'", where);
		return;
	}
	uint64_t filled = work_fill(bytes, (uint32_t)seed, where ? ALLOC_HIGHEST : ALLOC_LOWEST);

	answer(call, "bytes=%lu seed=%u", filled, (uint32_t)seed);
	if (filled < (bytes & ~(ALLOC_PAGE_BYTES - 1)))
		fail(call, "out of memory asked=%lu", bytes);
	else
		add_speed(call, filled, start_ns);
}

static void command_verify(struct call *call)
{
	uint64_t start_ns = cpu_now_ns();
	struct work_verdict verdict = work_verify();

	answer(call, "pages=%lu bad_pages=%lu bad_bytes=%lu", verdict.pages, verdict.bad_pages,
	       verdict.bad_bytes);
	if (verdict.bad_pages)
		fail(call, "address=0x%lx expected=0x%x seen=0x%x", verdict.first_bad,
		     verdict.expected, verdict.seen);
	else
		add_speed(call, verdict.pages << ALLOC_PAGE_SHIFT, start_ns);
}

static void command_spoil(struct call *call)
{
	uint64_t address;

	if (work_spoil(&address))
		answer(call, "address=0x%lx", address);
	else
		fail(call, "the working set is empty: fill first");
}

static void command_touch(struct call *call)
{
	uint64_t bytes, rate = 0, start_ns = cpu_now_ns();

	if (!want_bytes(call, &bytes) || !may_have_number(call, &rate))
		return;
	struct work_latency latency = work_touch(bytes, rate);

	if (!latency.pages)
		fail(call, "the working set is empty: fill first");
	answer(call, "pages=%lu mean_ns=%lu worst_ns=%lu", latency.pages,
	       latency.pages ? latency.total_ns / latency.pages : 0, latency.worst_ns);
	add_speed(call, latency.pages << ALLOC_PAGE_SHIFT, start_ns);
}

static void command_free(struct call *call)
{
	uint64_t bytes;

	if (!want_bytes(call, &bytes))
		return;
	const char *how = text_next_word(&call->rest);

	if (how && !text_equal(how, "scattered") && !text_equal(how, "blocks")) {
		fail(call, "frees 'scattered' or 'blocks', not '%s'", how);
		return;
	}
	uint64_t freed = work_free(bytes, how && text_equal(how, "blocks"));

	answer(call, "bytes=%lu", freed);
	if (freed < (bytes & ~(ALLOC_PAGE_BYTES - 1)))
		fail(call, "the working set was smaller than that");
}

static void command_ramp(struct call *call)
{
	uint64_t bytes, step, ms = DEFAULT_RAMP_MS, filled = 0;

	if (!want_bytes(call, &bytes) || !want_bytes(call, &step) || !may_have_number(call, &ms))
		return;
	if (step < ALLOC_PAGE_BYTES) {
		fail(call, "wants steps of at least 4K");
		return;
	}
	while (filled < bytes) {
		uint64_t part = step < bytes - filled ? step : bytes - filled;
		uint64_t got = work_fill(part, 1, ALLOC_LOWEST);

		filled += got;
		if (got < (part & ~(ALLOC_PAGE_BYTES - 1))) {
			fail(call, "out of memory");
			break;
		}
		if (part < ALLOC_PAGE_BYTES)
			break;
		work_sleep(ms * ns_per_ms);
	}
	answer(call, "bytes=%lu", filled);
}

static void command_idle(struct call *call)
{
	uint64_t ms = DEFAULT_MS;

	if (may_have_number(call, &ms)) {
		work_sleep(ms * ns_per_ms);
		answer(call, "ms=%lu", ms);
	}
}

static void command_spin(struct call *call)
{
	uint64_t ms = DEFAULT_MS;

	if (may_have_number(call, &ms))
		answer(call, "ms=%lu rounds=%lu", ms, work_spin(ms * ns_per_ms));
}

static void command_report(struct call *call)
{
	uint64_t blocks;

	if (!reporting_now(&blocks))
		fail(call, "the balloon has no free page reporting");
	else
		answer(call, "blocks=%lu bytes=%lu", blocks, blocks << ALLOC_BLOCK_SHIFT);
}

static void command_balloon(struct call *call)
{
	const char *name = text_next_word(&call->rest);
	enum balloon_style style;

	if (name && !balloon_style_by_name(name, &style)) {
		fail(call, "has no style '%s'", name);
		return;
	}
	if (name)
		balloon_set_style(style);
	struct balloon_state state = balloon_state();

	answer(call,
	       "present=%u style=%s target_pages=%lu given_pages=%lu given_blocks=%lu "
	       "kicks=%lu statistics=%lu reported_blocks=%lu features=0x%lx",
	       state.present, balloon_style_name(state.style), state.target_pages,
	       state.given_pages, state.given_blocks, state.kicks, state.statistics,
	       state.reported_blocks, state.features);
}

static void command_target(struct call *call)
{
	uint64_t ms = DEFAULT_TARGET_MS;

	if (!may_have_number(call, &ms))
		return;
	uint64_t end_ns = cpu_now_ns() + ms * ns_per_ms;

	while (!balloon_is_at_target() && cpu_now_ns() < end_ns)
		machine_sleep(end_ns);
	struct balloon_state state = balloon_state();

	answer(call, "target_pages=%lu given_pages=%lu", state.target_pages, state.given_pages);
	if (!balloon_is_at_target())
		fail(call, "not reached in %lu ms", ms);
}

static void command_stat(struct call *call)
{
	struct memory_counts counts = memory_count();

	answer(call,
	       "total=%lu free=%lu work=%lu balloon=%lu system=%lu free_blocks=%lu now_ns=%lu",
	       counts.total_pages << ALLOC_PAGE_SHIFT, counts.pages[ALLOC_FREE] << ALLOC_PAGE_SHIFT,
	       counts.pages[ALLOC_WORK] << ALLOC_PAGE_SHIFT,
	       counts.pages[ALLOC_BALLOON] << ALLOC_PAGE_SHIFT,
	       (counts.total_pages - counts.pages[ALLOC_FREE] - counts.pages[ALLOC_WORK] -
		counts.pages[ALLOC_BALLOON])
		       << ALLOC_PAGE_SHIFT,
	       counts.whole_blocks, cpu_now_ns());
}

static void command_vcpus(struct call *call)
{
	answer(call, "count=%u absent=%u busy=", machine_cpu_count(), machine_absent_cpus());
	for (unsigned i = 0, listed = 0; i < machine_cpu_count(); i++)
		if (machine_is_busy(i))
			text_add(&call->answer, listed++ ? ",%u" : "%u", i);
}

static void command_devices(struct call *call)
{
	struct virtio_device *device;

	for (unsigned i = 0; (device = virtio_nth(i)); i++)
		answer(call, "%u@0x%lx:%u", device->device_id, device->base, device->gsi);
}

static void command_on(struct call *call)
{
	const char *word = text_next_word(&call->rest);
	uint64_t cpu;

	if (!word || !text_to_u64(word, &cpu) || !cpu || cpu >= machine_cpu_count()) {
		fail(call, "wants a processor from 1 to %u", machine_cpu_count() - 1);
		return;
	}
	if (machine_post((unsigned)cpu, call->rest))
		answer(call, "started=%lu", cpu);
	else
		fail(call, "processor %lu is busy", cpu);
}

static bool any_busy(void)
{
	for (unsigned i = 1; i < machine_cpu_count(); i++)
		if (machine_is_busy(i))
			return true;
	return false;
}

static void command_join(struct call *call)
{
	while (any_busy())
		machine_sleep(cpu_now_ns() + ns_per_ms);
	answer(call, "count=%u", machine_cpu_count());
}

static void command_bench(struct call *call)
{
	const char *name = text_next_word(&call->rest);
	uint64_t count = DEFAULT_BENCH_COUNT;
	struct bench_result result;

	if (!may_have_number(call, &count))
		return;
	if (!name || !count || !bench_run(name, count, &result)) {
		fail(call, "cannot time '%s' here", name ? name : "");
		return;
	}
	answer(call, "what=%s count=%lu mean_ns=%lu median_ns=%lu min_ns=%lu mean_cycles=%lu", name,
	       count, result.mean_ns, result.median_ns, result.min_ns, result.mean_cycles);
}

static void command_echo(struct call *call)
{
	answer(call, "%s", call->rest);
}

static void command_fault(struct call *call)
{
	const char *kind = text_next_word(&call->rest);

	if (kind && text_equal(kind, "page"))
		__asm__ volatile("movb $1, 8"); /* page 0 is nobody's */
	cpu_triple_fault();
}

static void command_reboot(struct call *call)
{
	(void)call;
	cpu_reboot();
}

static void command_poweroff(struct call *call)
{
	(void)call;
	cpu_power_off();
}

static void command_exit(struct call *call)
{
	uint64_t status = 0;

	if (!may_have_number(call, &status))
		return;
	if (status > LARGEST_STATUS)
		fail(call, "takes a status of at most %u", LARGEST_STATUS);
	else
		cpu_exit((unsigned)status);
}

static void command_help(struct call *call);

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

static void command_help(struct call *call)
{
	const char *name, *help;

	for (unsigned i = 0; i < COMMAND_COUNT; i++)
		say("help %s %s: %s", commands[i].name, commands[i].arguments, commands[i].help);
	for (unsigned i = 0; balloon_style_describe(i, &name, &help); i++)
		say("help balloon %s: %s", name, help);
	answer(call, "commands=%u", COMMAND_COUNT);
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
		fail(&call, "is not a command: try help");
	else if (command->where == BOOT && cpu)
		fail(&call, "runs on the boot processor only");
	else
		command->run(&call);
	if (cpu)
		answer(&call, "cpu=%u", cpu);
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
