/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* books.c - see books.h. */
#include "host/books.h"

#include "host/definition.h"
#include "host/host_internal.h"

static struct broker_vm_config broker_config(const struct hosted *vm,
					     const struct vm_config *config)
{
	struct policy_settings settings = vm_config_policy(config);

	return (struct broker_vm_config){
		.name = vm->definition.name,
		.uuid = vm->definition.uuid,
		.frame_bytes = settings.frame_bytes,
		.hugetlbfs_dir = config->memory.hugetlbfs_dir,
		.startup_bytes = settings.startup_bytes,
		.minimum_bytes = settings.minimum_bytes,
		.maximum_bytes = settings.maximum_bytes,
		.weight = settings.weight,
		.reserved = settings.reserved,
	};
}

int books_admit(struct hosted *vm, bool may_wait,
		void (*on_room)(void *vm, struct broker_vm *broker_vm),
		struct broker_wait **ret_wait, struct err *err)
{
	struct broker_vm_config shown;
	struct vm_config config;
	int ret = definition_read_config(vm->definition.config, &config, err);

	if (ret < 0)
		return ret;
	shown = broker_config(vm, &config);
	ret = broker_admit(vm->host->broker, &shown, vm, may_wait, on_room, &vm->broker_vm,
			   ret_wait, err);
	vm_config_fini(&config);
	return ret;
}

int books_enter(struct hosted *vm, struct err *err)
{
	const json_t *known = vm->running_config ? vm->running_config : vm->definition.config;
	struct broker_vm_config shown;
	struct vm_config config;
	int ret = definition_read_config(known, &config, err);

	if (ret < 0)
		return ret;
	shown = broker_config(vm, &config);
	ret = broker_add(vm->host->broker, &shown, vm, &vm->broker_vm, err);
	vm_config_fini(&config);
	return ret;
}

uint64_t books_first_grant_bytes(const struct hosted *vm)
{
	return vm->broker_vm ? broker_first_grant_bytes(vm->host->broker, vm->broker_vm) : 0;
}

void books_leave(struct hosted *vm)
{
	if (vm->broker_vm)
		broker_remove(vm->host->broker, vm->broker_vm);
	vm->broker_vm = NULL;
}
