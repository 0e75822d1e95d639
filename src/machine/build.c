/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* build.c - the parts of a VM, in the order of one table; undone in reverse.
 *
 * The name is taken first (its socket), so that a second VM of that name fails before it costs
 * anything; memory comes before devices, the guest's kernel last. Each row says which exit code its
 * failure means.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "machine/devices.h"

static int up_loops(struct machine *machine, struct err *err)
{
	int ret = loop_init(&machine->control, err);

	if (ret < 0)
		return ret;
	ret = loop_init(&machine->io, err);
	if (ret < 0)
		loop_fini(&machine->control);
	return ret;
}

static void down_loops(struct machine *machine)
{
	loop_fini(&machine->io);
	loop_fini(&machine->control);
}

static int up_server(struct machine *machine, struct err *err)
{
	int ret = rpc_vm_path(machine->config->name, RPC_SOCKET_SUFFIX, machine->socket_path, err);

	if (ret < 0)
		return ret;
	machine_api_init(machine);
	ret = rpc_server_create(&machine->control.uv, machine->socket_path, &machine->backend,
				&machine->server, err);
	if (ret == -EADDRINUSE)
		return err_set(err, ret, "a VM named \"%s\" already runs; choose another --name",
			       machine->config->name);
	return ret;
}

static void down_server(struct machine *machine)
{
	rpc_server_destroy(machine->server);
	machine->server = NULL;
}

static int up_kvm(struct machine *machine, struct err *err)
{
	int ret = kvm_open(&machine->kvm, err);

	if (ret < 0)
		return ret;
	if (machine->config->cpus > machine->kvm.max_vcpus) {
		kvm_close(&machine->kvm);
		return err_set(err, -ERANGE, "%u vCPUs are more than this host's KVM can run: %u",
			       machine->config->cpus, machine->kvm.max_vcpus);
	}
	ret = vm_create(&machine->kvm, &machine->vm, err);
	if (ret < 0)
		kvm_close(&machine->kvm);
	return ret;
}

static void down_kvm(struct machine *machine)
{
	vm_destroy(machine->vm);
	kvm_close(&machine->kvm);
}

static size_t on_typed(void *ctx, const void *bytes, size_t len)
{
	struct machine *machine = ctx;

	if (machine->config->console == VM_CONSOLE_VIRTIO)
		return console_input(machine->console, bytes, len);
	return serial_input(machine->serial, bytes, len);
}

static void on_terminal_drained(void *ctx)
{
	struct machine *machine = ctx;

	serial_output_drained(machine->serial);
	console_output_drained(machine->console);
}

static void on_quit_key(void *ctx)
{
	lifecycle_request(ctx, REQUEST_KILL, 0, "ended with Ctrl-A x");
}

static int up_terminal(struct machine *machine, struct err *err)
{
	return terminal_create(&(struct terminal_config){ .io = &machine->io,
							  .foreground = machine->run->foreground,
							  .input = on_typed,
							  .drained = on_terminal_drained,
							  .quit = on_quit_key,
							  .ctx = machine },
			       &machine->terminal, err);
}

static void down_terminal(struct machine *machine)
{
	terminal_destroy(machine->terminal);
}

static int up_vcpus(struct machine *machine, struct err *err)
{
	return vcpus_create(machine->vm,
			    &(struct vcpus_config){ .count = machine->config->cpus,
						    .ops = &machine_vcpu_ops,
						    .ops_ctx = machine,
						    .hide_cx16 =
							    kvm_kind() == KVM_KIND_PAGE_TABLE },
			    &machine->vcpus, err);
}

static void down_vcpus(struct machine *machine)
{
	vcpus_destroy(machine->vcpus);
	machine->vcpus = NULL;
}

static int up_io_thread(struct machine *machine, struct err *err)
{
	return loop_start(&machine->io, "io", err);
}

static void down_io_thread(struct machine *machine)
{
	loop_stop(&machine->io);
	loop_join(&machine->io);
}

static const struct {
	int (*up)(struct machine *machine, struct err *err);
	void (*down)(struct machine *machine);
	enum exit_code code; /* what the process ends with when this part cannot be had */
	bool half;	     /* down() also takes apart what a failed up() left */
} parts[] = {
	{ up_loops, down_loops, EXIT_CODE_FAILED, false },
	{ lifecycle_init, lifecycle_fini, EXIT_CODE_FAILED, false },
	{ events_init, events_fini, EXIT_CODE_FAILED, false },
	{ up_server, down_server, EXIT_CODE_FAILED, false },
	{ up_kvm, down_kvm, EXIT_CODE_HOST, false },
	{ policy_create, policy_destroy, EXIT_CODE_FAILED, true },
	{ memory_create, memory_destroy, EXIT_CODE_HOST, true },
	{ grant_start, grant_stop, EXIT_CODE_FAILED, false },
	{ up_terminal, down_terminal, EXIT_CODE_FAILED, false },
	{ legacy_devices_create, legacy_devices_destroy, EXIT_CODE_FAILED, true },
	{ virtio_slots_create, virtio_slots_destroy, EXIT_CODE_FAILED, true },
	{ board_wire_lazy_writes, NULL, EXIT_CODE_HOST, false },
	{ up_vcpus, down_vcpus, EXIT_CODE_HOST, false },
	{ machine_load_guest, NULL, EXIT_CODE_USAGE, false },
	{ up_io_thread, down_io_thread, EXIT_CODE_FAILED, false },
	{ policy_start, policy_stop, EXIT_CODE_FAILED, true },
	{ usage_start, usage_stop, EXIT_CODE_FAILED, false },
};

/* vCPUs end before the I/O thread they may wait for; everything else in reverse. */
void machine_unbuild(struct machine *machine)
{
	if (machine->vcpus)
		down_vcpus(machine);
	while (machine->part_count > 0) {
		machine->part_count--;
		if (parts[machine->part_count].down)
			parts[machine->part_count].down(machine);
	}
	unreadable_fini(machine);
	(void)pthread_mutex_destroy(&machine->dead_pages.lock);
}

int machine_build(struct machine *machine, enum exit_code *ret_code, struct err *err)
{
	famine_init(machine);
	unreadable_init(machine);
	(void)pthread_mutex_init(&machine->dead_pages.lock, NULL);
	machine->serial_irq_fd = machine->ged.irq_fd = -1;
	while (machine->part_count < ARRAY_LEN(parts)) {
		int ret = parts[machine->part_count].up(machine, err);

		if (ret < 0) {
			*ret_code = parts[machine->part_count].code;
			machine->part_count += parts[machine->part_count].half;
			return ret;
		}
		machine->part_count++;
	}
	return 0;
}
