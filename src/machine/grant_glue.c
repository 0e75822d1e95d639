/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* grant_glue.c - see grant_glue.h. Holding a guest is memory/grant.c's; here is who is told, and what if
 * nobody answers.
 *
 * Problem. A guest that touches more than it was granted waits. Who granted must hear of it at once and not
 * when numbers are due; and if he is gone, or stopped, nobody would ever raise the grant.
 * Design. Each time that somebody begins to wait the VM's numbers are told (usage_hurry()): a daemon that
 * follows them has its answer here within milliseconds, and goes on answering, be it with the same grant,
 * as long as somebody waits (host/broker.c).
 * Not heard for GRANT_SILENT_S while somebody waits, it counts as gone: the grant lapses. From then on the
 * policy looks at the host by itself, as a VM's without a daemon does, and what guest RAM may hold is
 * raised as long as the host's pool is above its soft mark: by a quarter, and at most by half of what is
 * free above that. A guest without a balloon cannot take the rest of a pool that way either.
 *  N1  A grant is in force when the answer to vm.memory.grant is sent: a smaller one holds from the next
 *      touch on, a larger one lets go on who waits.
 *  N2  In every mode: in manual and off somebody else moves the balloon, or nobody does, but what was
 *      promised to other VMs stays theirs. A VM that reserved all its memory holds it already.
 *  N3  Without a balloon there is no slack: nothing would ever come back.
 *  N4  A wait ends by a larger grant, by what the guest gives back, or by a pool that has room once
 *      the daemon is gone. Only a host without memory lets a guest wait for ever.
 */
#include "machine/grant_glue.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "machine/machine_internal.h"

enum { GRANT_SILENT_S = 10, LOOK_MS = 100, RAISE_PART = 4, ROOM_PART = 2 };

static void apply(struct machine *machine, uint64_t limit_bytes)
{
	bool has_balloon = machine->config->balloon.enabled;
	uint64_t slack_bytes = has_balloon ? policy_grant_slack_bytes(limit_bytes) : 0; /* N3 */

	machine->grant.limit_bytes = limit_bytes;
	if (!ram_is_reserved(machine->ram)) /* N2 */
		ram_set_grant(machine->ram, limit_bytes, slack_bytes);
}

static void tell_policy(struct machine *machine)
{
	uint64_t told_bytes = machine->grant.told_bytes;

	if (machine->policy.governor)
		governor_grant(machine->policy.governor, told_bytes > 0, told_bytes);
}

/* ---- When nobody raises it ---- */

/* Of the host, above its soft mark. One that cannot be read has none. */
static uint64_t room_of_host(const struct machine *machine)
{
	uint64_t free_bytes = 0;
	enum host_state state;

	if (!machine->grant.host ||
	    !governor_host_read(machine->grant.host, clock_now_ns(), &state, &free_bytes))
		return 0;
	return free_bytes;
}

static void raise_by_pool(struct machine *machine)
{
	uint64_t held_bytes = ram_resident_bytes(machine->ram);
	uint64_t step_bytes = held_bytes / RAISE_PART + HUGE_FRAME_BYTES;
	uint64_t room_bytes = room_of_host(machine) / ROOM_PART;

	if (room_bytes < step_bytes)
		step_bytes = room_bytes;
	if (step_bytes >= vm_config_frame_bytes(machine->config))
		apply(machine, held_bytes + step_bytes);
}

static void lapse(struct machine *machine)
{
	const struct governor_host_config host = {
		.frame_bytes = vm_config_frame_bytes(machine->config),
		.hugetlbfs_dir = machine->config->memory.hugetlbfs_dir,
		.root = "",
	};
	struct grant_glue *glue = &machine->grant;
	struct err err;

	if (!glue->host && governor_host_create(&host, &glue->host, &err) < 0)
		log_warn("memory", "%s", err.text);
	glue->lapsed = true;
	glue->told_bytes = 0;
	log_warn("memory",
		 "the guest waits for more memory than it was granted, and who granted it has not "
		 "been heard for %d s: the VM looks at the host by itself",
		 GRANT_SILENT_S);
	tell_policy(machine);
}

static void look(struct machine *machine)
{
	struct grant_glue *glue = &machine->grant;
	uint64_t now_ns = clock_now_ns();
	uint64_t since_ns;

	if (!ram_wants_grant(machine->ram)) {
		glue->waits_ns = 0;
		(void)uv_timer_stop(&glue->timer);
		return;
	}
	if (glue->waits_ns == 0)
		glue->waits_ns = now_ns;
	since_ns = glue->told_ns > glue->waits_ns ? glue->told_ns : glue->waits_ns;
	if (!glue->lapsed && now_ns - since_ns >= GRANT_SILENT_S * NS_PER_S)
		lapse(machine);
	if (glue->lapsed)
		raise_by_pool(machine);
}

static void on_timer(uv_timer_t *timer)
{
	look(timer->data);
}

static void on_want(void *arg)
{
	struct machine *machine = arg;

	if (!machine->grant.is_up)
		return;
	usage_hurry(machine);
	if (!uv_is_active((uv_handle_t *)&machine->grant.timer))
		(void)uv_timer_start(&machine->grant.timer, on_timer, LOOK_MS, LOOK_MS);
	look(machine);
}

void grant_wanting(struct machine *machine)
{
	loop_post(&machine->control, &machine->grant.want);
}

/* ---- In words ---- */

const char *grant_explain(struct machine *machine)
{
	struct grant_glue *glue = &machine->grant;
	char held[UNITS_TEXT_BYTES], most[UNITS_TEXT_BYTES], told[UNITS_TEXT_BYTES];
	struct ram_statistics statistics;

	if (!machine->ram || !ram_wants_grant(machine->ram))
		return NULL;
	ram_read_statistics(machine->ram, &statistics);
	(void)units_format_size(ram_resident_bytes(machine->ram), held);
	(void)units_format_size(statistics.grant_most_bytes, most);
	(void)units_format_size(glue->told_bytes, told);
	if (glue->lapsed)
		(void)snprintf(
			glue->text, sizeof(glue->text),
			"the guest holds %s of the host's memory, its daemon is gone, and the "
			"pool has no more to spare; the guest goes on when there is",
			held);
	else
		(void)snprintf(glue->text, sizeof(glue->text),
			       "the guest is over its grant: it holds %s of the host's memory, was "
			       "granted %s, and may hold %s; it goes on when it is granted more or "
			       "gives something back",
			       held, told, most);
	return glue->text;
}

/* ---- The verb ---- */

static void tell_change(struct machine *machine, uint64_t was_bytes, uint64_t now_bytes)
{
	if (was_bytes == now_bytes)
		return;
	events_publish(machine, "memory.settings",
		       json_pack("{s:s, s:I, s:I}", "cause", "grant", "grant_bytes",
				 (json_int_t)now_bytes, "old_grant_bytes", (json_int_t)was_bytes));
}

int grant_vm_memory_grant(void *ctx, struct api_request *request, json_t **ret_result,
			  struct err *err)
{
	struct machine *machine = ctx;
	struct grant_glue *glue = &machine->grant;
	json_int_t asked = json_integer_value(json_object_get(request->params, "grant_bytes"));
	uint64_t was_bytes = glue->told_bytes, now_bytes = asked > 0 ? (uint64_t)asked : 0;

	glue->told_bytes = now_bytes;
	glue->told_ns = clock_now_ns();
	glue->lapsed = false;
	apply(machine, now_bytes); /* N1 */
	if (was_bytes != now_bytes)
		tell_policy(machine);
	tell_change(machine, was_bytes, now_bytes);
	*ret_result = json_pack("{s:I}", "grant_bytes", (json_int_t)now_bytes);
	return *ret_result ? 0 : err_set(err, API_ERROR_INTERNAL, "out of memory");
}

/* ---- From beginning to end ---- */

int grant_start(struct machine *machine, struct err *err)
{
	struct grant_glue *glue = &machine->grant;

	(void)err;
	glue->want = (struct loop_task){ .run = on_want, .arg = machine };
	(void)uv_timer_init(&machine->control.uv, &glue->timer);
	glue->timer.data = machine;
	glue->is_up = true;
	glue->told_ns = clock_now_ns();
	glue->told_bytes = machine->run->grant_bytes;
	apply(machine, glue->told_bytes);
	tell_policy(machine);
	return 0;
}

void grant_stop(struct machine *machine)
{
	machine->grant.is_up = false;
	apply(machine, 0); /* from here on nobody is told that somebody waits */
	loop_close_handle((uv_handle_t *)&machine->grant.timer);
	governor_host_destroy(machine->grant.host);
	machine->grant.host = NULL;
}
