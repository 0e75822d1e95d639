/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* events.c - what the VM tells by itself, from whichever thread it starts on.
 *
 * The socket's server lives on the control thread; other threads post a task, and the task reads
 * the present numbers when it runs. So a burst becomes one event with the newest numbers, and no
 * thread ever waits for a client.
 *  E1  memory.balloon is told at most once per BALLOON_EVENT_MS, and always once after the last
 *      change.
 *  E2  What nobody listens to wakes nobody. The first who listens to memory.balloon is told of moves
 *      from then on.
 */
#include "base/clock.h"
#include "base/log.h"
#include "machine/machine_internal.h"

enum { BALLOON_EVENT_MS = 100 };

void events_publish(struct machine *machine, const char *kind, json_t *data)
{
	if (machine->server)
		rpc_server_publish(machine->server, kind, data);
	else
		json_decref(data);
}

void events_state(struct machine *machine)
{
	enum api_state state = lifecycle_state(machine);

	const char *reason = lifecycle_reason(machine);

	log_info("vm", "%s%s%s", api_state_name(state), *reason ? ": " : "", reason);
	events_publish(machine, "vm.state",
		       json_pack("{s:s, s:s}", "state", api_state_name(state), "reason", reason));
}

static void tell_balloon(struct machine *machine)
{
	struct events *events = &machine->events;
	json_t *view = memory_view_balloon(machine);

	/* Statistics and reports wake us, too. */
	if (!json_equal(view, events->balloon_told)) {
		events->balloon_told_ns = clock_now_ns();
		json_decref(events->balloon_told);
		events->balloon_told = json_incref(view);
		events_publish(machine, "memory.balloon", json_incref(view));
	}
	json_decref(view);
}

static void on_balloon_later(uv_timer_t *timer)
{
	tell_balloon(timer->data);
}

static void on_balloon_moved(void *arg)
{
	struct machine *machine = arg;
	struct events *events = &machine->events;
	uint64_t since_ns = clock_now_ns() - events->balloon_told_ns;

	if (uv_is_active((uv_handle_t *)&events->balloon_later))
		return;
	if (since_ns >= BALLOON_EVENT_MS * NS_PER_MS)
		tell_balloon(machine);
	else
		(void)uv_timer_start(&events->balloon_later, on_balloon_later,
				     BALLOON_EVENT_MS - since_ns / NS_PER_MS, 0); /* E1 */
}

static void on_stats_arrived(void *arg)
{
	struct machine *machine = arg;
	json_t *view = memory_view_statistics(machine);

	if (view)
		events_publish(machine, "memory.statistics", view);
}

static bool is_heard(const struct machine *machine, const char *kind)
{
	return machine->server && rpc_server_has_subscriber(machine->server, kind);
}

void events_subscribed(struct machine *machine) /* E2 */
{
	struct events *events = &machine->events;

	if (!is_heard(machine, "memory.balloon") || !atomic_exchange(&events->untold, false))
		return;
	json_decref(events->balloon_told);
	events->balloon_told = memory_view_balloon(machine);
}

void events_balloon_changed(void *arg)
{
	struct machine *machine = arg;
	struct balloon_guest_stats stats;

	balloon_read_stats(machine->balloon, &stats);
	if (stats.at_ns != machine->events.stats_told_at_ns) {
		machine->events.stats_told_at_ns = stats.at_ns;
		if (is_heard(machine, "memory.statistics"))
			loop_post(&machine->control, &machine->events.stats_arrived);
	}
	if (is_heard(machine, "memory.balloon"))
		loop_post(&machine->control, &machine->events.balloon_moved);
	else
		atomic_store(&machine->events.untold, true);
	policy_balloon_changed(machine);
}

struct broken_list {
	struct machine *machine;
	json_t *list;
};

/* On the I/O thread, which owns the devices. */
static void list_newly_broken(void *arg)
{
	struct broken_list *broken = arg;

	for (unsigned i = 0; i < broken->machine->slot_count; i++) {
		struct virtio_slot *slot = &broken->machine->slots[i];

		if (slot->breaks_told == slot->vdev->breaks)
			continue;
		slot->breaks_told = slot->vdev->breaks;
		(void)json_array_append_new(broken->list,
					    json_pack("{s:s, s:s}", "device", slot->vdev->ops->name,
						      "reason", slot->vdev->break_reason));
	}
}

/* A guest can break a device as often as it likes; the log tells ten at once, then one a second. */
static void on_device_broken(void *arg)
{
	struct machine *machine = arg;
	struct broken_list broken = { .machine = machine, .list = json_array() };
	json_t *row;
	size_t i;

	loop_call(&machine->io, list_newly_broken, &broken);
	json_array_foreach(broken.list, i, row)
	{
		if (!ratelimit_pass(&machine->events.broken_limit, clock_now_ns()))
			continue;
		log_warn("virtio", "%s: its driver broke the rules: %s",
			 json_string_value(json_object_get(row, "device")),
			 json_string_value(json_object_get(row, "reason")));
		events_publish(machine, "device.broken", json_incref(row));
	}
	json_decref(broken.list);
}

int events_init(struct machine *machine, struct err *err)
{
	struct events *events = &machine->events;

	(void)err;
	events->balloon_moved = (struct loop_task){ .run = on_balloon_moved, .arg = machine };
	events->stats_arrived = (struct loop_task){ .run = on_stats_arrived, .arg = machine };
	events->device_broken = (struct loop_task){ .run = on_device_broken, .arg = machine };
	events->broken_limit = (struct ratelimit)RATELIMIT_GUEST_LOG;
	(void)uv_timer_init(&machine->control.uv, &events->balloon_later);
	events->balloon_later.data = machine;
	return 0;
}

void events_fini(struct machine *machine)
{
	struct events *events = &machine->events;

	loop_close_handle((uv_handle_t *)&events->balloon_later);
	json_decref(events->balloon_told);
	events->balloon_told = NULL;
}
