/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* memory_view.c - where this VM's memory is, as the API tells it.
 *
 * Every number is read where it is kept, when it is asked for; nothing is stored here.
 * What the guest says of itself is passed on as its claim, with its age.
 */
#include <string.h>

#include "base/clock.h"
#include "machine/machine_internal.h"
#include "memory/hostmem.h"

static json_t *integer(uint64_t value)
{
	return json_integer((json_int_t)value);
}

int memory_view_pool(const struct machine *machine, struct hostmem_pool *ret_pool)
{
	const char *dir = machine->config->memory.hugetlbfs_dir;
	uint64_t frame_bytes = vm_config_frame_bytes(machine->config);

	return dir ? hostmem_read_mount(dir, frame_bytes, ret_pool, NULL)
		   : hostmem_read_pool(frame_bytes, ret_pool, NULL);
}

bool memory_view_pool_is_empty(const struct machine *machine)
{
	struct hostmem_pool pool;

	return memory_view_pool(machine, &pool) == 0 && pool.free_frames == 0;
}

static json_t *view_pool(const struct machine *machine)
{
	struct hostmem_pool pool;

	if (vm_config_frame_bytes(machine->config) != HUGE_FRAME_BYTES ||
	    memory_view_pool(machine, &pool) < 0)
		return NULL;
	return json_pack("{s:o, s:o, s:o}", "frame_bytes", integer(pool.frame_bytes), "total_bytes",
			 integer(pool.total_frames * pool.frame_bytes), "free_bytes",
			 integer(pool.free_frames * pool.frame_bytes));
}

static struct balloon_counters counters_of(const struct machine *machine)
{
	struct balloon_counters counters = { 0 };

	if (machine->balloon)
		balloon_read_counters(machine->balloon, &counters);
	return counters;
}

static bool holds_nothing(void *ctx, uint64_t block)
{
	const struct machine *machine = ctx;
	enum frame_state state = ram_block_state(machine->ram, block);

	return state == FRAME_SWAPPED || state == FRAME_ABSENT;
}

/* Whole frames that the balloon gave back, and what it holds in blocks that went to swap. */
static uint64_t returned_bytes(const struct machine *machine,
			       const struct balloon_counters *counters)
{
	if (counters->taken_bytes <= counters->returned_bytes || !machine->ram)
		return counters->returned_bytes;
	return counters->returned_bytes +
	       balloon_gone_bytes(machine->balloon, holds_nothing, (void *)machine);
}

uint64_t memory_view_returned_bytes(const struct machine *machine)
{
	struct balloon_counters counters = counters_of(machine);

	return returned_bytes(machine, &counters);
}

json_t *memory_view_balloon(struct machine *machine)
{
	struct balloon_counters counters = counters_of(machine);

	return json_pack("{s:o, s:o, s:o}", "asked_bytes", integer(counters.asked_bytes),
			 "taken_bytes", integer(counters.taken_bytes), "returned_bytes",
			 integer(returned_bytes(machine, &counters)));
}

static json_t *view_driver(const struct balloon_counters *counters)
{
	static const struct {
		uint64_t bit;
		const char *name;
	} features[] = {
		{ BALLOON_F_MUST_TELL_HOST, "must_tell_host" },
		{ BALLOON_F_STATS_VQ, "statistics" },
		{ BALLOON_F_DEFLATE_ON_OOM, "deflate_on_oom" },
		{ BALLOON_F_REPORTING, "free_page_reporting" },
	};
	json_t *names = json_array();

	for (size_t i = 0; i < ARRAY_LEN(features); i++)
		if (counters->features & features[i].bit)
			(void)json_array_append_new(names, json_string(features[i].name));
	return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o}", "driver_ready", counters->driver_ready,
			 "features", names, "inflated_total_pages",
			 integer(counters->inflated_total_pages), "deflated_total_pages",
			 integer(counters->deflated_total_pages), "ignored_pages",
			 integer(counters->ignored_pages), "guest_actual_pages",
			 integer(counters->guest_actual_pages));
}

json_t *memory_view_statistics(struct machine *machine)
{
	struct balloon_guest_stats stats = { 0 };
	json_t *view;

	if (machine->balloon)
		balloon_read_stats(machine->balloon, &stats);
	if (stats.at_ns == 0)
		return NULL;
	view = json_pack("{s:o}", "age_ns", integer(clock_now_ns() - stats.at_ns));
	for (unsigned tag = 0; tag < BALLOON_STAT_COUNT; tag++)
		if (stats.present & (UINT32_C(1) << tag))
			(void)json_object_set_new(view, balloon_stat_rows[tag].name,
						  integer(stats.value[tag]));
	return view;
}

static void set_if(json_t *object, const char *key, json_t *value)
{
	if (value)
		(void)json_object_set_new(object, key, value);
}

static json_t *view_frames(const struct ram_statistics *statistics)
{
	json_t *view = json_object();

	for (unsigned state = 0; state < FRAME_STATE_COUNT; state++)
		set_if(view, frame_state_names[state], integer(statistics->state_bytes[state]));
	return view;
}

static json_t *view_swap(const struct ram_statistics *statistics)
{
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{ "size_bytes", statistics->swap_size_bytes },
		{ "used_bytes", statistics->swap_used_bytes },
		{ "out_bytes", statistics->swap_out_bytes },
		{ "in_bytes", statistics->swap_in_bytes },
		{ "zero_bytes", statistics->swap_out_zero_bytes },
		{ "aborts", statistics->swap_aborts },
		{ "refaults", statistics->refaults },
		{ "write_errors", statistics->swap_write_errors },
		{ "read_errors", statistics->swap_read_errors },
	};
	json_t *view = json_object();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		set_if(view, rows[i].name, integer(rows[i].value));
	set_if(view, "closed", json_boolean(statistics->swap_closed));
	return view;
}

static json_t *view_sampler(const struct ram_statistics *statistics)
{
	return json_pack("{s:i, s:o, s:o}", "active_percent", (int)statistics->active_percent,
			 "sampled_blocks", integer(statistics->sampled_blocks), "periods",
			 integer(statistics->sample_periods));
}

/* Without a pager nobody sees the guest's touches of 4 KiB memory but the file behind it. */
static void read_statistics(const struct ram *ram, struct ram_statistics *ret_statistics)
{
	uint64_t resident_bytes = ram_resident_bytes(ram), ram_bytes = ram_layout(ram)->ram_bytes;

	ram_read_statistics(ram, ret_statistics);
	if (ram_has_pager(ram))
		return;
	memset(ret_statistics->state_bytes, 0, sizeof(ret_statistics->state_bytes));
	ret_statistics->state_bytes[FRAME_RESIDENT] = resident_bytes;
	ret_statistics->state_bytes[FRAME_ABSENT] =
		ram_bytes > resident_bytes ? ram_bytes - resident_bytes : 0;
}

/* What the memory engine knows. */
static void view_engine(const struct machine *machine, json_t *view)
{
	struct ram_statistics statistics = { 0 };

	if (machine->ram)
		read_statistics(machine->ram, &statistics);
	set_if(view, "limit_bytes", integer(statistics.limit_bytes));
	set_if(view, "frames", view_frames(&statistics));
	set_if(view, "fresh_bytes", integer(statistics.fresh_bytes));
	set_if(view, "faults", integer(statistics.faults));
	set_if(view, "stall_us", integer(statistics.stall_ns / NS_PER_US));
	set_if(view, "starved_us", integer(statistics.starved_ns / NS_PER_US));
	set_if(view, "over_grant_us", integer(statistics.over_grant_ns / NS_PER_US));
	if (statistics.grant_most_bytes)
		set_if(view, "grant_most_bytes", integer(statistics.grant_most_bytes));
	set_if(view, "ahead_hits", integer(statistics.ahead_hits));
	if (machine->config->swap.dir)
		set_if(view, "swap", view_swap(&statistics));
	if (statistics.sample_periods > 0)
		set_if(view, "sampler", view_sampler(&statistics));
}

static json_t *view_usage(const struct machine *machine)
{
	struct api_usage usage;

	usage_read(machine, &usage);
	return api_usage_to_json(&usage);
}

json_t *memory_view(struct machine *machine)
{
	struct balloon_counters counters = counters_of(machine);
	json_t *view = memory_view_balloon(machine);

	set_if(view, "maximum_bytes", integer(machine->config->memory.maximum_bytes));
	set_if(view, "resident_bytes",
	       integer(machine->ram ? ram_resident_bytes(machine->ram) : 0));
	set_if(view, "reported_total_bytes", integer(counters.reported_total_bytes));
	set_if(view, "waiting", json_boolean(atomic_load(&machine->famine.waiting) > 0));
	set_if(view, "waits", integer(atomic_load(&machine->famine.waits)));
	set_if(view, "waited_ns", integer(famine_waited_ns(machine)));
	view_engine(machine, view);
	set_if(view, "balloon", view_driver(&counters));
	set_if(view, "statistics", memory_view_statistics(machine));
	set_if(view, "pool", view_pool(machine));
	set_if(view, "policy", policy_view(machine));
	set_if(view, "usage", view_usage(machine));
	return view;
}
