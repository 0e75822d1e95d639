/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fleet_daemon.c - a fleet's VMs as a daemon tells of them. See fleet.h.
 *
 * Each look is one call of vm.list, which costs the VMs nothing: the daemon has their numbers. They
 * become what vm.memory would have said, as far as they go. What is missing, such as the rule that bound
 * the last decision, is asked for one VM (the one somebody looks at) or for all (for a table that is
 * printed once), by calls of their own, so that a VM that does not answer keeps no other's away.
 */
#include <stdio.h>
#include <string.h>

#include "api/usage.h"
#include "base/clock.h"
#include "cli/fleet.h"
#include "cli/output.h"
#include "policy/policy.h"

enum { ID_LIST = 1, IDS_FROM = 16 };
#define PATIENCE_NS ((uint64_t)FLEET_PATIENCE_MS * NS_PER_MS)

bool fleet_daemon_is_there(struct fleet *fleet)
{
	pid_t pid;

	if (fleet->daemon.fd >= 0)
		return true;
	fleet->daemon_is_silent = false;
	return fleet_link_open(&fleet->daemon, fleet->daemon_path, &pid) == 0;
}

static int new_id(struct fleet *fleet)
{
	fleet->last_id = fleet->last_id < IDS_FROM || fleet->last_id == INT32_MAX
				 ? IDS_FROM
				 : fleet->last_id + 1;
	return fleet->last_id;
}

void fleet_daemon_ask(struct fleet *fleet, uint64_t now_ns)
{
	if (fleet->daemon.asked_ns > 0) {
		fleet->daemon_is_silent = now_ns - fleet->daemon.asked_ns >= PATIENCE_NS;
		return;
	}
	if (fleet_link_put(&fleet->daemon, fleet_link_call(ID_LIST, "vm.list", NULL)))
		fleet->daemon.asked_ns = now_ns;
}

bool fleet_daemon_set(struct fleet *fleet, struct fleet_vm *vm, json_t *params)
{
	vm->set_id = new_id(fleet);
	(void)json_object_set_new(params, "vm", json_string(vm->name));
	return fleet_link_put(&fleet->daemon, fleet_link_call(vm->set_id, "vm.memory.set", params));
}

bool fleet_daemon_is_settled(const struct fleet *fleet)
{
	if (fleet->daemon.asked_ns > 0)
		return false;
	for (unsigned i = 0; i < fleet->count; i++)
		if (fleet->vms[i]->detail_id > 0)
			return false;
	return true;
}

/* --- a list ----------------------------------------------------------------------------------- */

static const char *name_of(const struct api_usage *usage, enum api_usage_id id,
			   const char *const *names, unsigned count)
{
	uint64_t number = api_usage_get(usage, id);

	return number < count ? names[number] : "unknown";
}

static void put(json_t *object, const struct api_usage *usage, enum api_usage_id id)
{
	if (api_usage_has(usage, id))
		(void)json_object_set_new(object, api_usage_rows[id].key,
					  json_integer((json_int_t)usage->value[id]));
}

static json_t *policy_of(const struct api_usage *usage)
{
	static const enum api_usage_id ids[] = {
		API_USAGE_minimum_bytes,    API_USAGE_demand_bytes, API_USAGE_want_bytes,
		API_USAGE_assigned_bytes,   API_USAGE_target_bytes, API_USAGE_weight,
		API_USAGE_pressure_percent,
	};
	json_t *policy = json_pack(
		"{s:s, s:s}", "mode",
		name_of(usage, API_USAGE_mode, policy_mode_names, POLICY_MODE_COUNT), "status",
		name_of(usage, API_USAGE_status, policy_status_names, POLICY_STATUS_COUNT));

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		put(policy, usage, ids[i]);
	return policy;
}

/* As vm.memory would have it; NULL: the VM has not told its numbers yet. */
static json_t *memory_of(const json_t *untrusted_usage)
{
	static const enum api_usage_id ids[] = { API_USAGE_maximum_bytes, API_USAGE_resident_bytes,
						 API_USAGE_stall_us, API_USAGE_starved_us };
	struct api_usage usage;
	json_t *memory;

	api_usage_from_json(untrusted_usage, &usage);
	if (!api_usage_has(&usage, API_USAGE_maximum_bytes))
		return NULL;
	memory = json_pack("{s:{s:I}}", "frames", "swapped",
			   (json_int_t)api_usage_get(&usage, API_USAGE_swapped_bytes));
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		put(memory, &usage, ids[i]);
	if (api_usage_has(&usage, API_USAGE_status))
		(void)json_object_set_new(memory, "policy", policy_of(&usage));
	return memory;
}

static bool wants_details(const struct fleet *fleet, const struct fleet_vm *vm)
{
	if (vm->detail_id > 0 || vm->health == FLEET_PENDING || vm->health == FLEET_SILENT)
		return false;
	if (vm->health == FLEET_NEW) /* it has not told the daemon its numbers */
		return true;
	return fleet->details == FLEET_DETAILS_ALL || strcmp(vm->name, fleet->detailed) == 0;
}

static void ask_for_details(struct fleet *fleet, struct fleet_vm *vm)
{
	int id = new_id(fleet);

	if (fleet_link_put(&fleet->daemon,
			   fleet_link_call(id, "vm.memory",
					   json_pack("{s:s, s:i}", "vm", vm->name, "deadline_ms",
						     (int)FLEET_PATIENCE_MS))))
		vm->detail_id = id;
}

void fleet_look_closer(struct fleet *fleet)
{
	struct fleet_vm *vm = fleet_find(fleet, fleet->detailed);

	if (fleet->by_daemon && fleet->daemon.fd >= 0 && vm && wants_details(fleet, vm))
		ask_for_details(fleet, vm);
}

static void take_row(struct fleet *fleet, struct fleet_vm *vm, json_t *row)
{
	json_t *memory = memory_of(json_object_get(row, "usage"));

	json_decref(vm->info);
	vm->info = json_incref(row);
	vm->pid = (pid_t)out_u64(row, "pid");
	if (vm->pid == 0)
		vm->health = FLEET_PENDING;
	else if (strcmp(out_text(row, "state"), "silent") == 0)
		vm->health = FLEET_SILENT;
	else
		vm->health = memory || vm->now.memory ? FLEET_ANSWERS : FLEET_NEW;
	/* Of one that is asked for itself there is more to come. */
	if (memory && !(vm->now.memory && wants_details(fleet, vm)))
		fleet_take_memory(vm, memory);
	json_decref(memory);
	if (wants_details(fleet, vm))
		ask_for_details(fleet, vm);
}

/* It has memory, or is about to. */
static bool is_shown(const json_t *row)
{
	const char *state = out_text(row, "state");

	return *out_text(row, "name") && (out_u64(row, "pid") > 0 || strcmp(state, "pending") == 0);
}

static void take_list(struct fleet *fleet, const json_t *rows)
{
	json_t *names = json_array();

	for (size_t i = 0; i < json_array_size(rows); i++)
		if (is_shown(json_array_get(rows, i)))
			(void)json_array_append(names,
						json_object_get(json_array_get(rows, i), "name"));
	if (fleet_list(fleet, names)) {
		for (size_t i = 0; i < json_array_size(rows); i++) {
			json_t *row = json_array_get(rows, i);
			struct fleet_vm *vm = fleet_find(fleet, out_text(row, "name"));

			if (vm && fleet->daemon.fd >= 0)
				take_row(fleet, vm, row);
		}
	}
	json_decref(names);
}

/* --- answers ------------------------------------------------------------------------------------ */

/* Of one VM, by the number of the question. */
static void take_one(struct fleet *fleet, json_int_t id, const json_t *answer)
{
	json_t *result = json_object_get(answer, "result");
	const json_t *error = json_object_get(answer, "error");

	for (unsigned i = 0; i < fleet->count; i++) {
		struct fleet_vm *vm = fleet->vms[i];

		if (vm->detail_id == id) {
			vm->detail_id = 0;
			if (json_is_object(result)) {
				fleet_take_memory(vm, result);
				vm->health = FLEET_ANSWERS;
			}
		} else if (vm->set_ns > 0 && vm->set_id == id) {
			fleet_end_setting(fleet, vm,
					  !error			? NULL
					  : *out_text(error, "message") ? out_text(error, "message")
									: "neapd gave no reason");
		}
	}
}

static void take_message(void *ctx, const json_t *message)
{
	struct fleet *fleet = ctx;
	json_int_t id = json_integer_value(json_object_get(message, "id"));

	if (id >= IDS_FROM) {
		take_one(fleet, id, message);
		return;
	}
	fleet->daemon.asked_ns = 0;
	fleet->daemon_is_silent = false;
	if (id == ID_LIST)
		take_list(fleet, json_object_get(json_object_get(message, "result"), "vms"));
}

static void forget_questions(struct fleet *fleet)
{
	for (unsigned i = 0; i < fleet->count; i++) {
		fleet->vms[i]->detail_id = 0;
		fleet_end_setting(fleet, fleet->vms[i], "neapd is gone");
	}
}

void fleet_daemon_read(struct fleet *fleet)
{
	fleet_link_read(&fleet->daemon, take_message, fleet);
	if (fleet->daemon.fd < 0)
		forget_questions(fleet);
}
