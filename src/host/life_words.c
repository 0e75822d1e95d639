/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* life_words.c - see life_words.h. */
#include "host/life_words.h"

void life_tell_started(struct hosted *vm)
{
	host_publish(vm->host, vm, "vm.started",
		     json_pack("{s:s, s:i, s:i}", "uuid", vm->definition.uuid, "pid",
			       (int)process_identity(vm->process)->pid, "restarts",
			       (int)vm->restarts));
}

void life_tell_adopted(struct hosted *vm)
{
	host_publish(vm->host, vm, "vm.adopted",
		     json_pack("{s:s, s:i}", "uuid", vm->definition.uuid, "pid",
			       (int)process_identity(vm->process)->pid));
}

void life_tell_ended(struct hosted *vm, bool restarts, uint64_t in_ms)
{
	json_t *data =
		json_pack("{s:s, s:s}", "uuid", vm->definition.uuid, "reason", vm->end.reason);

	if (vm->end.has_exit_code)
		(void)json_object_set_new(data, "exit_code", json_integer(vm->end.exit_code));
	if (restarts)
		(void)json_object_set_new(data, "restart_in_ms", json_integer((json_int_t)in_ms));
	host_publish(vm->host, vm, "vm.ended", data);
}

json_t *life_describe_start(pid_t pid, const char *state)
{
	return json_pack("{s:i, s:s}", "pid", (int)pid, "state", state);
}

json_t *life_describe_state(const struct hosted *vm)
{
	return json_pack("{s:s}", "state", vm->state);
}
