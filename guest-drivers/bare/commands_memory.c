/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* commands_memory.c - the commands that fill, walk, count and check memory. */
#include "call.h"
#include "count.h"
#include "cpu.h"
#include "fresh.h"
#include "work.h"

enum { DEFAULT_RAMP_MS = 100, DEFAULT_SEED = 1 };
static const uint64_t ns_per_ms = 1000000;

static void add_speed(struct call *call, uint64_t bytes, uint64_t took_ns)
{
	call_answer(call, "ns=%lu mib_per_s=%lu", took_ns,
		    took_ns ? bytes / 1024 * 1000000 / 1024 * 1000 / took_ns : 0);
}

static void add_times(struct call *call, const struct histogram *times)
{
	call_answer(call, "mean_ns=%lu p50_ns=%lu p99_ns=%lu worst_ns=%lu",
		    times->count ? times->total_ns / times->count : 0, histogram_at_ns(times, 500),
		    histogram_at_ns(times, 990), times->worst_ns);
}

static bool try_change(struct call *call)
{
	bool may = count_try_change();

	if (!may)
		call_fail(call, "processors are counting: join first");
	return may;
}

static bool is_grain(uint64_t bytes)
{
	return bytes >= ALLOC_PAGE_BYTES && (bytes & (bytes - 1)) == 0;
}

/* [random [GRAIN [SEED]]], of which @word is the first or NULL; @grain_bytes: when there is none. */
static bool read_way(struct call *call, const char *word, uint64_t grain_bytes,
		     struct work_way *ret_way)
{
	struct work_way way = { word != NULL, grain_bytes, DEFAULT_SEED };

	if (word && !text_equal(word, "random"))
		call_fail(call, "goes upwards or 'random', not '%s'", word);
	else if (call_may_have_number(call, &way.grain_bytes) &&
		 call_may_have_number(call, &way.seed) && !is_grain(way.grain_bytes))
		call_fail(call, "wants a grain that is a power of two from 4K on");
	if (!word)
		way.grain_bytes = ALLOC_BLOCK_BYTES; /* upwards it is only how often we poll */
	*ret_way = way;
	return !call->failed;
}

/* The same after an optional number. */
static bool read_number_and_way(struct call *call, uint64_t *value, uint64_t grain_bytes,
				struct work_way *ret_way)
{
	const char *word = text_next_word(&call->rest);

	if (word && text_to_bytes(word, value))
		word = text_next_word(&call->rest);
	return read_way(call, word, grain_bytes, ret_way);
}

void command_fill(struct call *call)
{
	uint64_t bytes, seed = 1, start_ns = cpu_now_ns();

	if (!call_want_bytes(call, &bytes) || !call_may_have_number(call, &seed))
		return;
	const char *where = text_next_word(&call->rest);

	if (where && !text_equal(where, "top")) {
		call_fail(call, "fills from the bottom or from the 'top', not '%s'", where);
		return;
	}
	if (!try_change(call))
		return;
	uint64_t filled = work_fill(bytes, (uint32_t)seed, where ? ALLOC_HIGHEST : ALLOC_LOWEST);

	count_end_change();
	call_answer(call, "bytes=%lu seed=%u", filled, (uint32_t)seed);
	if (filled < (bytes & ~(ALLOC_PAGE_BYTES - 1)))
		call_fail(call, "out of memory asked=%lu", bytes);
	else
		add_speed(call, filled, cpu_now_ns() - start_ns);
}

void command_verify(struct call *call)
{
	uint64_t start_ns = cpu_now_ns();
	struct work_way way;

	if (!read_way(call, text_next_word(&call->rest), ALLOC_PAGE_BYTES, &way))
		return;
	struct work_verdict verdict = work_verify(&way);

	call_answer(call, "pages=%lu bad_pages=%lu bad_bytes=%lu", verdict.pages, verdict.bad_pages,
		    verdict.bad_bytes);
	if (verdict.bad_pages)
		call_fail(call, "address=0x%lx expected=0x%x seen=0x%x", verdict.first_bad,
			  verdict.expected, verdict.seen);
	else
		add_speed(call, verdict.pages << ALLOC_PAGE_SHIFT, cpu_now_ns() - start_ns);
}

void command_spoil(struct call *call)
{
	uint64_t address;

	if (work_spoil(&address))
		call_answer(call, "address=0x%lx", address);
	else
		call_fail(call, "the working set is empty: fill first");
}

void command_touch(struct call *call)
{
	uint64_t bytes, rate = 0, start_ns = cpu_now_ns();
	struct histogram times;
	struct work_way way;

	if (!call_want_bytes(call, &bytes) ||
	    !read_number_and_way(call, &rate, ALLOC_PAGE_BYTES, &way))
		return;
	work_touch(bytes, rate, &way, &times);
	if (!times.count)
		call_fail(call, "the working set is empty: fill first");
	call_answer(call, "pages=%lu", times.count);
	add_times(call, &times);
	add_speed(call, times.count << ALLOC_PAGE_SHIFT, cpu_now_ns() - start_ns);
}

void command_hot(struct call *call)
{
	uint64_t percent, ms, seed = DEFAULT_SEED;

	if (!call_want_bytes(call, &percent) || !call_want_bytes(call, &ms) ||
	    !call_may_have_number(call, &seed))
		return;
	if (percent > 100) {
		call_fail(call, "wants at most 100 percent");
		return;
	}
	struct work_hot hot = work_hot(percent, ms * ns_per_ms, seed);

	call_answer(call, "blocks=%lu of_blocks=%lu touches=%lu ms=%lu", hot.blocks, hot.of_blocks,
		    hot.touches, ms);
	if (!hot.of_blocks)
		call_fail(call, "the working set is empty: fill first");
}

void command_fresh(struct call *call)
{
	uint64_t bytes, stride = ALLOC_PAGE_BYTES;
	struct fresh_result result;
	struct histogram times;
	struct work_way way;

	if (!call_want_bytes(call, &bytes) ||
	    !read_number_and_way(call, &stride, ALLOC_BLOCK_BYTES, &way))
		return;
	if (!is_grain(stride) || stride > way.grain_bytes) {
		call_fail(call, "wants a stride that is a power of two from 4K to the grain");
		return;
	}
	if (!fresh_touch(bytes, stride, &way, &result, &times)) {
		call_fail(call, "finds no free blocks side by side");
		return;
	}
	call_answer(call, "blocks=%lu touches=%lu wrong=%lu", result.blocks, result.touches,
		    result.wrong);
	if (result.wrong)
		call_fail(call, "address=0x%lx", result.address);
	add_times(call, &times);
	add_speed(call, result.blocks << ALLOC_BLOCK_SHIFT, result.total_ns);
}

void command_count(struct call *call)
{
	uint64_t rounds, start_ns = cpu_now_ns();
	struct count_result result;
	struct work_way way;

	if (!call_want_bytes(call, &rounds) ||
	    !read_way(call, text_next_word(&call->rest), ALLOC_PAGE_BYTES, &way))
		return;
	if (!count_run(rounds, &way, &result)) {
		call_fail(call,
			  "counts on processors 0 to %u, while nobody changes the working set",
			  COUNTERS_CPUS - 1);
		return;
	}
	call_answer(call, "rounds=%lu pages=%lu increments=%lu wrong=%lu", rounds, result.pages,
		    result.increments, result.wrong);
	if (result.wrong)
		call_fail(call, "address=0x%lx expected=%lu seen=%lu", result.address,
			  result.expected, result.seen);
	call_answer(call, "ns=%lu", cpu_now_ns() - start_ns);
}

void command_tally(struct call *call)
{
	struct count_tally tally;

	if (!count_tally(&tally)) {
		call_fail(call, "processors are counting: join first");
		return;
	}
	call_answer(call, "pages=%lu counted=%lu expected=%lu", tally.pages,
		    tally.counted[COUNTERS_SHARED], tally.expected[COUNTERS_SHARED]);
	if (tally.counted[COUNTERS_SHARED] != tally.expected[COUNTERS_SHARED])
		call_fail(call, "shared=wrong");
	for (unsigned i = 0; i < COUNTERS_CPUS; i++)
		if (tally.counted[i] != tally.expected[i])
			call_fail(call, "on=%u counted=%lu expected=%lu", i, tally.counted[i],
				  tally.expected[i]);
}

void command_free(struct call *call)
{
	uint64_t bytes;

	if (!call_want_bytes(call, &bytes))
		return;
	const char *how = text_next_word(&call->rest);

	if (how && !text_equal(how, "scattered") && !text_equal(how, "blocks")) {
		call_fail(call, "frees 'scattered' or 'blocks', not '%s'", how);
		return;
	}
	if (!try_change(call))
		return;
	uint64_t freed = work_free(bytes, how && text_equal(how, "blocks"));

	count_end_change();
	call_answer(call, "bytes=%lu", freed);
	if (freed < (bytes & ~(ALLOC_PAGE_BYTES - 1)))
		call_fail(call, "the working set was smaller than that");
}

void command_ramp(struct call *call)
{
	uint64_t bytes, step, ms = DEFAULT_RAMP_MS, filled = 0;

	if (!call_want_bytes(call, &bytes) || !call_want_bytes(call, &step) ||
	    !call_may_have_number(call, &ms))
		return;
	if (step < ALLOC_PAGE_BYTES) {
		call_fail(call, "wants steps of at least 4K");
		return;
	}
	if (!try_change(call))
		return;
	while (filled < bytes) {
		uint64_t part = step < bytes - filled ? step : bytes - filled;
		uint64_t got = work_fill(part, 1, ALLOC_LOWEST);

		filled += got;
		if (got < (part & ~(ALLOC_PAGE_BYTES - 1))) {
			call_fail(call, "out of memory");
			break;
		}
		if (part < ALLOC_PAGE_BYTES)
			break;
		work_sleep(ms * ns_per_ms);
	}
	count_end_change();
	call_answer(call, "bytes=%lu", filled);
}
