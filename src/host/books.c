/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* books.c - see books.h. */
#include "host/books.h"

#include "base/clock.h"
#include "config/host_config.h"
#include "host/contact.h"
#include "host/definition.h"
#include "host/host_internal.h"

enum { SOON_MS = 50 };

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

void books_leave(struct hosted *vm)
{
	if (vm->broker_vm)
		broker_remove(vm->host->broker, vm->broker_vm);
	vm->broker_vm = NULL;
}

/* --- the broker ---------------------------------------------------------------------------------- */

static void tell_grant(void *ctx, uint64_t grant_bytes)
{
	contact_tell(ctx, "vm.memory.grant",
		     json_pack("{s:I}", "grant_bytes", (json_int_t)grant_bytes));
}

static void tell_event(void *ctx, void *vm, const char *kind, json_t *data)
{
	host_publish(ctx, vm, kind, data);
}

static int create_broker(struct host *host, struct err *err)
{
	const struct broker_config config = { .root = "", .grants = host->config->broker.grants };
	const struct broker_ops ops = { .grant = tell_grant, .tell = tell_event, .ctx = host };

	return broker_create(&config, &ops, &host->broker, err);
}

static void on_soon(uv_timer_t *timer)
{
	struct host *host = timer->data;

	broker_tick(host->broker, clock_now_ns());
}

/* A VM that needs memory does not wait for the second; many that do wait for each other a little. */
static void before_sleep(uv_prepare_t *prepare)
{
	struct host *host = prepare->data;

	if (broker_wants_tick(host->broker) && !uv_is_active((uv_handle_t *)&host->soon))
		(void)uv_timer_start(&host->soon, on_soon, SOON_MS, 0);
}

int books_open(struct host *host, struct err *err)
{
	int ret = create_broker(host, err);

	if (ret < 0)
		return ret;
	(void)uv_timer_init(&host->loop, &host->soon);
	(void)uv_prepare_init(&host->loop, &host->before_sleep);
	host->soon.data = host->before_sleep.data = host;
	(void)uv_prepare_start(&host->before_sleep, before_sleep);
	return 0;
}
