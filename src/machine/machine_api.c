/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* machine_api.c - what each verb of the control socket does to this VM.
 *
 * Parameters and states were checked against api/verbs.def before a handler runs.
 * Threads: control; devices are reached by loop_call().
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "machine/device_types.h"
#include "machine/machine_internal.h"

static enum api_state get_state(void *ctx)
{
	return lifecycle_state(ctx);
}

static int give_state(struct machine *machine, json_t **ret_result)
{
	*ret_result = json_pack("{s:s}", "state", api_state_name(lifecycle_state(machine)));
	return *ret_result ? 0 : API_ERROR_INTERNAL;
}

struct device_list {
	struct machine *machine;
	json_t *list;
};

/* On the I/O thread, which owns the devices. */
static void list_devices(void *arg)
{
	struct device_list *list = arg;

	for (unsigned i = 0; i < list->machine->slot_count; i++) {
		const struct virtio_slot *slot = &list->machine->slots[i];
		const struct virtio_device *vdev = slot->vdev;
		json_t *row = json_pack("{s:s, s:i, s:b, s:b, s:I, s:I}", "name", vdev->ops->name,
					"status", (int)vdev->status, "active", vdev->active,
					"broken", (vdev->status & VIRTIO_STATUS_NEEDS_RESET) != 0,
					"bad_requests", (json_int_t)vdev->bad_requests, "breaks",
					(json_int_t)vdev->breaks);

		if (vdev->break_reason)
			(void)json_object_set_new(row, "break_reason",
						  json_string(vdev->break_reason));
		(void)json_array_append_new(list->list, row);
	}
}

static json_t *config_as_json(const struct vm_config *config)
{
	char *text = vm_config_to_json(config);
	json_t *object = text ? json_loads(text, 0, NULL) : NULL;

	free(text);
	return object ? object : json_object();
}

static void add_pager(const struct machine *machine, json_t *info)
{
	bool has_pager = machine->ram && ram_has_pager(machine->ram);
	const char *why = machine->ram ? ram_why_no_pager(machine->ram) : NULL;

	(void)json_object_set_new(info, "pager", json_boolean(has_pager));
	if (!has_pager && why)
		(void)json_object_set_new(info, "pager_reason", json_string(why));
}

static int vm_info(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct machine *machine = ctx;
	const struct vm_config *config = machine->config;
	struct device_list devices = { .machine = machine, .list = json_array() };

	(void)request;
	loop_call(&machine->io, list_devices, &devices);
	*ret_result = json_pack(
		"{s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:I, s:I, s:s, s:I, s:I, s:I, s:o, s:o}",
		"name", config->name, "uuid", config->uuid, "state",
		api_state_name(lifecycle_state(machine)), "reason", lifecycle_reason(machine),
		"pid", (int)getpid(), "neap_version", NEAP_VERSION, "cpus", (int)config->cpus,
		"memory_maximum_bytes", (json_int_t)config->memory.maximum_bytes, "frame_bytes",
		(json_int_t)vm_config_frame_bytes(config), "kernel",
		config->boot.kernel_path ? config->boot.kernel_path : "embedded", "uptime_ns",
		(json_int_t)(clock_now_ns() - machine->life.started_ns), "exits",
		(json_int_t)(machine->vcpus ? vcpus_exit_count(machine->vcpus) : 0), "resets",
		(json_int_t)machine->life.resets, "devices", devices.list, "config",
		config_as_json(config));
	if (*ret_result)
		add_pager(machine, *ret_result);
	return *ret_result ? 0 : err_set(err, API_ERROR_INTERNAL, "out of memory");
}

static int vm_usage(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct machine *machine = ctx;
	struct api_usage usage;

	(void)request;
	usage_read(machine, &usage);
	*ret_result = json_pack("{s:s, s:s, s:s, s:I, s:o}", "uuid", machine->config->uuid, "state",
				api_state_name(lifecycle_state(machine)), "reason",
				lifecycle_reason(machine), "uptime_ns",
				(json_int_t)(clock_now_ns() - machine->life.started_ns), "usage",
				api_usage_to_json(&usage));
	return *ret_result ? 0 : err_set(err, API_ERROR_INTERNAL, "out of memory");
}

static int vm_memory(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)request;
	*ret_result = memory_view(ctx);
	return *ret_result ? 0 : err_set(err, API_ERROR_INTERNAL, "out of memory");
}

static int vm_memory_limit(void *ctx, struct api_request *request, json_t **ret_result,
			   struct err *err)
{
	struct machine *machine = ctx;
	json_int_t limit_bytes =
		json_integer_value(json_object_get(request->params, "limit_bytes"));
	struct ram_statistics statistics;
	int ret;

	if (!vm_config_limit_fits((uint64_t)limit_bytes, err))
		return API_ERROR_INVALID_PARAMS;
	ret = policy_set_user_limit(machine, (uint64_t)limit_bytes);
	if (ret == -EOPNOTSUPP)
		return err_set(err, API_ERROR_UNSUPPORTED,
			       "this VM has no swap to take what is above a limit; start it with "
			       "--swap DIR");
	if (ret < 0)
		return err_set(err, API_ERROR_INTERNAL, "the limit: %s", strerror(-ret));
	ram_read_statistics(machine->ram, &statistics);
	*ret_result = json_pack("{s:I}", "limit_bytes", (json_int_t)statistics.limit_bytes);
	return *ret_result ? 0 : API_ERROR_INTERNAL;
}

static int vm_pause(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)request;
	(void)err;
	lifecycle_pause(ctx);
	return give_state(ctx, ret_result);
}

static int vm_resume(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)request;
	(void)err;
	lifecycle_resume(ctx);
	return give_state(ctx, ret_result);
}

static int vm_stop(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct machine *machine = ctx;

	(void)request;
	(void)err;
	acpi_ged_power_button(&machine->ged);
	return give_state(machine, ret_result);
}

static int vm_reset(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)request;
	(void)err;
	lifecycle_reset(ctx, "request");
	return give_state(ctx, ret_result);
}

static int vm_kill(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)request;
	(void)err;
	lifecycle_end(ctx, EXIT_CODE_KILLED, "killed on request");
	return give_state(ctx, ret_result);
}

static int vm_console(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	(void)ctx;
	(void)request;
	*ret_result = json_pack("{s:b}", "stream", 1);
	return *ret_result ? 0 : err_set(err, API_ERROR_INTERNAL, "out of memory");
}

struct console_fd {
	struct machine *machine;
	int fd;
};

static void attach_console(void *arg)
{
	struct console_fd *console = arg;

	terminal_attach(console->machine->terminal, console->fd);
}

static void take_console(void *ctx, int fd)
{
	struct console_fd console = { .machine = ctx, .fd = fd };

	loop_call(&console.machine->io, attach_console, &console);
}

void machine_api_init(struct machine *machine)
{
	static const api_handler handlers[API_VERB_COUNT] = {
		[API_VM_INFO] = vm_info,
		[API_VM_MEMORY] = vm_memory,
		[API_VM_USAGE] = vm_usage,
		[API_VM_MEMORY_SET] = policy_vm_memory_set,
		[API_VM_MEMORY_LIMIT] = vm_memory_limit,
		[API_VM_MEMORY_WHY] = policy_vm_memory_why,
		[API_VM_MEMORY_GRANT] = grant_vm_memory_grant,
		[API_VM_MEMORY_TRACE] = policy_vm_memory_trace,
		[API_VM_PAUSE] = vm_pause,
		[API_VM_RESUME] = vm_resume,
		[API_VM_STOP] = vm_stop,
		[API_VM_RESET] = vm_reset,
		[API_VM_KILL] = vm_kill,
		[API_VM_CONSOLE] = vm_console,
	};

	machine->backend = (struct api_backend){
		.set = &api_vm_set,
		.state = get_state,
		.handlers = handlers,
		.take_console = take_console,
		.ctx = machine,
	};
}
