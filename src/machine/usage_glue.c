/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* usage_glue.c - the numbers of this VM that others follow: the event memory.usage.
 *
 * Problem. Who follows two hundred VMs must not ask each of them each second, and a VM whose numbers
 * stand still must cost its follower nothing.
 * Design. Once a second the numbers are read where their owners publish them, 10 us, and compared
 * with those that were told last. The event has all of them, so that each stands for itself.
 *  U1  Told at most once per USAGE_EVENT_MS, and only if a size moved by a frame (and 1 MiB: on 4 KiB
 *      memory it always moves a little), or any other number by one.
 *  U2  Smaller moves and counters are told USAGE_CALM_MS after the last event, if there are any: so
 *      what was told is never wrong by more for longer.
 *  U4  Who waits for a larger grant is told of HURRY_MS after the last event at the latest: a daemon's
 *      answer is what it waits for.
 *  U3  Nobody listens: nothing is read, and no timer runs. Who begins to is told within
 *      USAGE_EVENT_MS, whatever moved; vm.memory has the numbers at once, as `usage`.
 */
#include <string.h>

#include "base/clock.h"
#include "machine/machine_internal.h"

enum { USAGE_EVENT_MS = 1000, USAGE_CALM_MS = 10000, HURRY_MS = 10 };

static void read_engine(const struct machine *machine, struct api_usage *usage)
{
	struct ram_statistics statistics = { 0 };

	if (!machine->ram)
		return;
	ram_read_statistics(machine->ram, &statistics);
	api_usage_put(usage, API_USAGE_resident_bytes, ram_resident_bytes(machine->ram));
	api_usage_put(usage, API_USAGE_swapped_bytes, statistics.state_bytes[FRAME_SWAPPED]);
	api_usage_put(usage, API_USAGE_swap_out_bytes, statistics.swap_out_bytes);
	api_usage_put(usage, API_USAGE_swap_in_bytes, statistics.swap_in_bytes);
	if (statistics.sample_periods > 0)
		api_usage_put(usage, API_USAGE_active_percent, statistics.active_percent);
	if (!ram_has_pager(machine->ram))
		return;
	api_usage_put(usage, API_USAGE_stall_us, statistics.stall_ns / NS_PER_US);
	api_usage_put(usage, API_USAGE_starved_us, statistics.starved_ns / NS_PER_US);
	api_usage_put(usage, API_USAGE_over_grant_us, statistics.over_grant_ns / NS_PER_US);
	api_usage_put(usage, API_USAGE_faults, statistics.faults);
}

static void put_settings(const struct policy_settings *settings, struct api_usage *usage)
{
	api_usage_put(usage, API_USAGE_maximum_bytes, settings->maximum_bytes);
	api_usage_put(usage, API_USAGE_startup_bytes, settings->startup_bytes);
	api_usage_put(usage, API_USAGE_minimum_bytes, settings->minimum_bytes);
	api_usage_put(usage, API_USAGE_weight, settings->weight);
	api_usage_put(usage, API_USAGE_mode, settings->mode);
	api_usage_put(usage, API_USAGE_reserved, settings->reserved);
}

static void put_decision(const struct policy_decision *decision, struct api_usage *usage)
{
	api_usage_put(usage, API_USAGE_want_bytes, decision->want_bytes);
	api_usage_put(usage, API_USAGE_assigned_bytes, decision->assigned_bytes);
	api_usage_put(usage, API_USAGE_target_bytes, decision->target_bytes);
	api_usage_put(usage, API_USAGE_status, decision->status);
	if (!decision->has_demand)
		return;
	api_usage_put(usage, API_USAGE_demand_bytes, decision->demand_bytes);
	api_usage_put(usage, API_USAGE_pressure_percent, decision->pressure_percent);
}

/* A VM without a balloon has what it was given, and nobody looks. */
static void put_without_policy(const struct machine *machine, struct api_usage *usage)
{
	struct policy_settings settings = vm_config_policy(machine->config);

	settings.mode = POLICY_MODE_OFF;
	settings.reserved = machine->ram && ram_is_reserved(machine->ram);
	put_settings(&settings, usage);
	api_usage_put(usage, API_USAGE_want_bytes, settings.maximum_bytes);
	api_usage_put(usage, API_USAGE_assigned_bytes, settings.maximum_bytes);
}

static void read_policy(const struct machine *machine, struct api_usage *usage)
{
	struct governor_status now;

	if (!machine->policy.governor) {
		put_without_policy(machine, usage);
		return;
	}
	governor_read(machine->policy.governor, &now);
	put_settings(&now.settings, usage);
	if (now.counters.ticks > 0)
		put_decision(&now.record.decision, usage);
	api_usage_put(usage, API_USAGE_added_bytes, now.counters.moved.added_bytes);
	api_usage_put(usage, API_USAGE_removed_bytes, now.counters.moved.removed_bytes);
}

static enum api_usage_waits_for waits_for(const struct machine *machine)
{
	if (machine->ram && ram_wants_grant(machine->ram))
		return API_USAGE_WAITS_FOR_GRANT;
	return atomic_load(&machine->famine.waiting) > 0 ? API_USAGE_WAITS_FOR_POOL
							 : API_USAGE_WAITS_FOR_NOTHING;
}

void usage_read(const struct machine *machine, struct api_usage *ret_usage)
{
	*ret_usage = (struct api_usage){ 0 };
	read_engine(machine, ret_usage);
	read_policy(machine, ret_usage);
	if (machine->balloon)
		api_usage_put(ret_usage, API_USAGE_returned_bytes,
			      memory_view_returned_bytes(machine));
	api_usage_put(ret_usage, API_USAGE_resets, machine->life.resets);
	api_usage_put(ret_usage, API_USAGE_waits_for, waits_for(machine));
	if (machine->grant.told_bytes)
		api_usage_put(ret_usage, API_USAGE_grant_bytes, machine->grant.told_bytes);
}

/* ---- The event ---- */

/* By how much a number has to move to be told at once. */
static uint64_t least_move(const struct machine *machine, enum api_usage_id id)
{
	uint64_t frame_bytes = vm_config_frame_bytes(machine->config);
	const char *key = api_usage_rows[id].key;

	if (!strstr(key, "_bytes"))
		return 1;
	return frame_bytes > MIB_BYTES ? frame_bytes : MIB_BYTES;
}

static bool moved_much(const struct machine *machine, const struct api_usage *was,
		       const struct api_usage *now)
{
	if (was->present != now->present)
		return true;
	for (unsigned id = 0; id < API_USAGE_COUNT; id++) {
		uint64_t a = was->value[id], b = now->value[id];

		if (api_usage_rows[id].kind == API_USAGE_GAUGE &&
		    (a > b ? a - b : b - a) >= least_move(machine, id))
			return true;
	}
	return false;
}

static bool moved_at_all(const struct api_usage *was, const struct api_usage *now)
{
	return memcmp(was->value, now->value, sizeof(was->value)) != 0;
}

static bool somebody_listens(const struct machine *machine)
{
	return machine->server && rpc_server_has_subscriber(machine->server, "memory.usage");
}

static void tell(struct machine *machine, const struct api_usage *now)
{
	machine->usage.told = *now;
	machine->usage.told_ns = clock_now_ns();
	events_publish(machine, "memory.usage", api_usage_to_json(now));
}

static void on_usage_timer(uv_timer_t *timer)
{
	struct machine *machine = timer->data;
	struct usage_glue *glue = &machine->usage;
	uint64_t now_ns = clock_now_ns();
	struct api_usage now;

	if (!somebody_listens(machine)) {
		glue->told = (struct api_usage){ 0 }; /* U3 */
		(void)uv_timer_stop(timer);
		return;
	}
	usage_read(machine, &now);
	if (!moved_much(machine, &glue->told, &now) && /* U1, U2 */
	    (now_ns - glue->told_ns < USAGE_CALM_MS * NS_PER_MS ||
	     !moved_at_all(&glue->told, &now)))
		return;
	tell(machine, &now);
}

static void on_hurry(uv_timer_t *timer) /* U4 */
{
	struct machine *machine = timer->data;
	struct api_usage now;

	if (!somebody_listens(machine))
		return;
	usage_read(machine, &now);
	tell(machine, &now);
}

void usage_hurry(struct machine *machine)
{
	struct usage_glue *glue = &machine->usage;
	uint64_t since_ms = (clock_now_ns() - glue->told_ns) / NS_PER_MS;

	if (!glue->is_up || uv_is_active((uv_handle_t *)&glue->hurry))
		return;
	if (since_ms >= HURRY_MS)
		on_hurry(&glue->hurry);
	else
		(void)uv_timer_start(&glue->hurry, on_hurry, HURRY_MS - since_ms, 0);
}

static void on_subscribed(void *arg)
{
	struct machine *machine = arg;
	uv_timer_t *timer = &machine->usage.timer;

	events_subscribed(machine);
	if (somebody_listens(machine) && !uv_is_active((uv_handle_t *)timer))
		(void)uv_timer_start(timer, on_usage_timer, 0, USAGE_EVENT_MS);
}

int usage_start(struct machine *machine, struct err *err)
{
	(void)err;
	(void)uv_timer_init(&machine->control.uv, &machine->usage.timer);
	machine->usage.timer.data = machine;
	(void)uv_timer_init(&machine->control.uv, &machine->usage.hurry);
	machine->usage.hurry.data = machine;
	machine->usage.is_up = true;
	if (machine->server)
		rpc_server_on_subscribed(machine->server, on_subscribed, machine);
	on_subscribed(machine); /* somebody may have been quick */
	return 0;
}

void usage_stop(struct machine *machine)
{
	machine->usage.is_up = false;
	if (machine->server)
		rpc_server_on_subscribed(machine->server, NULL, NULL);
	loop_close_handle((uv_handle_t *)&machine->usage.hurry);
	loop_close_handle((uv_handle_t *)&machine->usage.timer);
}
