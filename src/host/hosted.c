/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* hosted.c - words for what hosted.h names. */
#include "host/hosted.h"

#include "base/clock.h"

const char *const hosted_restart_names[] = {
	[HOSTED_RESTART_NEVER] = "never",
	[HOSTED_RESTART_ON_FAILURE] = "on-failure",
	[HOSTED_RESTART_ALWAYS] = "always",
	NULL,
};

json_t *hosted_usage_json(struct hosted *vm)
{
	if (!vm->usage_json)
		vm->usage_json = api_usage_to_json(&vm->usage);
	return json_incref(vm->usage_json);
}

void hosted_set_usage(struct hosted *vm, const struct api_usage *usage)
{
	vm->usage = *usage;
	vm->usage_at_ns = clock_now_ns();
	json_decref(vm->usage_json);
	vm->usage_json = NULL;
}
