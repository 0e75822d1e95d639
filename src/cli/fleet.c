/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fleet.c - see fleet.h. Here: who is there, and VMs by their own sockets; fleet_daemon.c: by a daemon.
 *
 * Nothing here blocks but the one poll. A question to a VM is one line, a batch of two calls, so its
 * answers come together; a setting is a line of its own. A VM that stopped reading is never written to
 * again before it has answered, so what waits to be sent is bounded by one question and one setting.
 */
#include "cli/fleet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { ID_INFO = 1, ID_MEMORY, ID_SET, FLEET_LOOKS_APART_MS = 300 };
#define FLEET_PATIENCE_NS ((uint64_t)FLEET_PATIENCE_MS * NS_PER_MS)

static void forget_look(struct fleet_look *look)
{
	json_decref(look->memory);
	*look = (struct fleet_look){ 0 };
}

static void destroy_vm(struct fleet_vm *vm)
{
	fleet_link_close(&vm->link);
	json_decref(vm->info);
	forget_look(&vm->now);
	forget_look(&vm->before);
	free(vm);
}

void fleet_init(struct fleet *fleet, const char *daemon_path, bool daemon_is_named)
{
	*fleet = (struct fleet){ .daemon_is_named = daemon_is_named };
	(void)snprintf(fleet->daemon_path, sizeof(fleet->daemon_path), "%s", daemon_path);
	fleet_link_init(&fleet->daemon);
}

void fleet_fini(struct fleet *fleet)
{
	for (unsigned i = 0; i < fleet->count; i++)
		destroy_vm(fleet->vms[i]);
	free(fleet->vms);
	free(fleet->pollers);
	fleet_link_close(&fleet->daemon);
	fleet_init(fleet, "", false);
}

struct fleet_vm *fleet_find(const struct fleet *fleet, const char *name)
{
	unsigned low = 0, high = fleet->sorted;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		int order = strcmp(fleet->vms[middle]->name, name);

		if (order == 0)
			return fleet->vms[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (unsigned i = fleet->sorted; i < fleet->count; i++)
		if (strcmp(fleet->vms[i]->name, name) == 0)
			return fleet->vms[i];
	return NULL;
}

static struct fleet_vm *create_vm(const char *name)
{
	struct fleet_vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return NULL;
	(void)snprintf(vm->name, sizeof(vm->name), "%s", name);
	vm->is_listed = true;
	fleet_link_init(&vm->link);
	return vm;
}

/* --- who is there --------------------------------------------------------------------------- */

static void drop_unlisted(struct fleet *fleet)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < fleet->count; i++) {
		if (fleet->vms[i]->is_listed)
			fleet->vms[kept++] = fleet->vms[i];
		else
			destroy_vm(fleet->vms[i]);
	}
	fleet->count = kept;
}

static int compare_vms(const void *a, const void *b)
{
	return strcmp((*(struct fleet_vm *const *)a)->name, (*(struct fleet_vm *const *)b)->name);
}

/* For one of each that may come, the daemon, and the caller's. */
static bool make_room(struct fleet *fleet, size_t room)
{
	struct fleet_vm **vms = realloc(fleet->vms, room * sizeof(struct fleet_vm *));
	struct pollfd *pollers;

	if (!vms)
		return false;
	fleet->vms = vms;
	pollers = realloc(fleet->pollers, (room + 1 + FLEET_FDS_MAX) * sizeof(struct pollfd));
	if (!pollers)
		return false;
	fleet->pollers = pollers;
	return true;
}

bool fleet_list(struct fleet *fleet, const json_t *names)
{
	if (!make_room(fleet, fleet->count + json_array_size(names) + 1))
		return false;
	for (unsigned i = 0; i < fleet->count; i++)
		fleet->vms[i]->is_listed = false;
	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));
		struct fleet_vm *vm = fleet_find(fleet, name);

		if (vm)
			vm->is_listed = true;
		else if ((vm = create_vm(name)))
			fleet->vms[fleet->count++] = vm;
	}
	drop_unlisted(fleet);
	qsort(fleet->vms, fleet->count, sizeof(struct fleet_vm *), compare_vms);
	fleet->sorted = fleet->count;
	return true;
}

/* False: there is nobody to ask. */
static bool is_connected(struct fleet_vm *vm)
{
	char path[RPC_PATH_BYTES];
	int ret;

	if (vm->link.fd >= 0)
		return true;
	ret = rpc_vm_path(vm->name, RPC_SOCKET_SUFFIX, path, NULL);
	if (ret == 0)
		ret = fleet_link_open(&vm->link, path, &vm->pid);
	if (ret == -ENOENT)
		vm->is_listed = false; /* gone since the list was made */
	if (ret < 0)
		vm->health = ret == -ECONNREFUSED ? FLEET_LEFT_OVER : FLEET_SILENT;
	return ret == 0;
}

void fleet_end_setting(struct fleet *fleet, struct fleet_vm *vm, const char *error)
{
	if (vm->set_ns == 0)
		return;
	vm->set_ns = 0;
	if (fleet->was_set)
		fleet->was_set(fleet->ctx, vm, error);
}

/* --- questions ------------------------------------------------------------------------------ */

static void ask(struct fleet_vm *vm, uint64_t now_ns)
{
	if (vm->link.asked_ns > 0) {
		if (now_ns - vm->link.asked_ns >= FLEET_PATIENCE_NS)
			vm->health = FLEET_SILENT;
		return;
	}
	if (is_connected(vm) &&
	    fleet_link_put(&vm->link, json_pack("[o, o]", fleet_link_call(ID_INFO, "vm.info", NULL),
						fleet_link_call(ID_MEMORY, "vm.memory", NULL))))
		vm->link.asked_ns = now_ns;
}

static int look_at_sockets(struct fleet *fleet, uint64_t now_ns, struct err *err)
{
	json_t *names = vm_names(err);
	bool is_listed;

	if (!names)
		return err && err->code ? err->code : -EIO;
	is_listed = fleet_list(fleet, names);
	json_decref(names);
	if (!is_listed)
		return err_set(err, -ENOMEM, "no memory for the list of VMs");
	for (unsigned i = 0; i < fleet->count; i++)
		ask(fleet->vms[i], now_ns);
	drop_unlisted(fleet);
	return 0;
}

static void end_late_settings(struct fleet *fleet, uint64_t now_ns)
{
	for (unsigned i = 0; i < fleet->count; i++) {
		struct fleet_vm *vm = fleet->vms[i];
		bool is_gone = !fleet->by_daemon && vm->link.fd < 0;

		if (vm->set_ns > 0 && (is_gone || now_ns - vm->set_ns >= FLEET_PATIENCE_NS))
			fleet_end_setting(fleet, vm, "the VM does not answer");
	}
}

/* A daemon that comes or goes while it is followed is nothing to speak of: the other way is taken. */
int fleet_look(struct fleet *fleet, struct err *err)
{
	uint64_t now_ns = clock_now_ns();
	bool was_by_daemon = fleet->by_daemon;

	end_late_settings(fleet, now_ns);
	fleet->by_daemon = *fleet->daemon_path && fleet_daemon_is_there(fleet);
	if (!fleet->by_daemon && fleet->daemon_is_named && *fleet->daemon_path)
		return err_set(err, -ECONNREFUSED, "no neapd answers at %s", fleet->daemon_path);
	if (!fleet->by_daemon)
		return look_at_sockets(fleet, now_ns, err);
	for (unsigned i = 0; i < fleet->count && !was_by_daemon; i++)
		fleet_link_close(&fleet->vms[i]->link);
	if (!make_room(fleet, fleet->count + 1))
		return err_set(err, -ENOMEM, "no memory for the list of VMs");
	fleet_daemon_ask(fleet, now_ns);
	return 0;
}

bool fleet_set(struct fleet *fleet, struct fleet_vm *vm, json_t *params)
{
	if (vm->set_ns > 0 || vm->health == FLEET_SILENT ||
	    (!fleet->by_daemon && vm->link.fd < 0)) {
		json_decref(params);
		return false;
	}
	if (fleet->by_daemon
		    ? !fleet_daemon_set(fleet, vm, params)
		    : !fleet_link_put(&vm->link, fleet_link_call(ID_SET, "vm.memory.set", params)))
		return false;
	vm->set_ns = clock_now_ns();
	return true;
}

/* --- answers -------------------------------------------------------------------------------- */

/* Of two looks that are close together the newer one is enough: rates are made of what lies between. */
void fleet_take_memory(struct fleet_vm *vm, json_t *memory)
{
	uint64_t now_ns = clock_now_ns();
	bool is_close = vm->now.memory && now_ns - vm->now.at_ns < FLEET_LOOKS_APART_MS * NS_PER_MS;

	if (is_close) {
		forget_look(&vm->now);
	} else {
		forget_look(&vm->before);
		vm->before = vm->now;
	}
	vm->now = (struct fleet_look){ json_incref(memory), now_ns };
}

static void take_setting(struct fleet *fleet, struct fleet_vm *vm, const json_t *answer)
{
	const json_t *error = json_object_get(answer, "error");
	const char *sentence = json_string_value(json_object_get(error, "message"));

	if (error && !sentence)
		sentence = "the VM gave no reason";
	fleet_end_setting(fleet, vm, error ? sentence : NULL);
}

static void take_answer(struct fleet *fleet, struct fleet_vm *vm, const json_t *answer)
{
	json_t *result = json_object_get(answer, "result");

	switch (json_integer_value(json_object_get(answer, "id"))) {
	case ID_INFO:
		if (json_is_object(result)) {
			json_decref(vm->info);
			vm->info = json_incref(result);
		}
		vm->health = FLEET_ANSWERS;
		break;
	case ID_MEMORY:
		vm->link.asked_ns = 0;
		if (json_is_object(result))
			fleet_take_memory(vm, result);
		break;
	case ID_SET: take_setting(fleet, vm, answer); break;
	default: vm->link.asked_ns = 0; break; /* the connection itself objects */
	}
}

struct listener {
	struct fleet *fleet;
	struct fleet_vm *vm;
};

static void take_message(void *ctx, const json_t *message)
{
	struct listener *listener = ctx;

	if (!message) /* it talks, but says nothing */
		listener->vm->health = FLEET_SILENT;
	else if (json_is_array(message))
		for (size_t i = 0; i < json_array_size(message); i++)
			take_answer(listener->fleet, listener->vm, json_array_get(message, i));
	else
		take_answer(listener->fleet, listener->vm, message);
}

/* --- waiting -------------------------------------------------------------------------------- */

static struct pollfd poller_of(const struct fleet_link *link)
{
	return (struct pollfd){ .fd = link->fd,
				.events = link->out.len > 0 ? POLLIN | POLLOUT : POLLIN };
}

static bool has_bytes(const struct fleet_link *link, const struct pollfd *poller)
{
	return link->fd >= 0 && poller->revents & (POLLIN | POLLHUP | POLLERR);
}

static void serve_vms(struct fleet *fleet, const struct pollfd *pollers)
{
	for (unsigned i = 0; i < fleet->count; i++) {
		struct listener listener = { fleet, fleet->vms[i] };
		struct fleet_link *link = &fleet->vms[i]->link;

		if (pollers[i].revents & POLLOUT)
			fleet_link_send(link);
		if (has_bytes(link, &pollers[i]))
			fleet_link_read(link, take_message, &listener);
	}
}

void fleet_wait(struct fleet *fleet, struct pollfd *fds, unsigned fd_count, int timeout_ms)
{
	struct pollfd *pollers = fleet->pollers;
	unsigned count = fleet->by_daemon ? 1 : fleet->count;
	struct pollfd alone[FLEET_FDS_MAX + 1];

	if (!pollers) { /* nobody was ever there */
		pollers = alone;
		count = 0;
	}
	for (unsigned i = 0; i < count; i++)
		pollers[i] = poller_of(fleet->by_daemon ? &fleet->daemon : &fleet->vms[i]->link);
	for (unsigned i = 0; i < fd_count; i++)
		pollers[count + i] = fds[i];
	if (poll(pollers, count + fd_count, timeout_ms) < 0)
		for (unsigned i = 0; i < count + fd_count; i++)
			pollers[i].revents = 0;
	for (unsigned i = 0; i < fd_count; i++)
		fds[i].revents = pollers[count + i].revents;
	if (!fleet->by_daemon) {
		serve_vms(fleet, pollers);
		return;
	}
	if (count > 0 && pollers[0].revents & POLLOUT)
		fleet_link_send(&fleet->daemon);
	if (count > 0 && has_bytes(&fleet->daemon, &pollers[0]))
		fleet_daemon_read(fleet);
}

bool fleet_is_settled(const struct fleet *fleet)
{
	if (fleet->by_daemon)
		return fleet_daemon_is_settled(fleet);
	for (unsigned i = 0; i < fleet->count; i++)
		if (fleet->vms[i]->link.asked_ns > 0)
			return false;
	return true;
}

void fleet_give_up(struct fleet *fleet)
{
	if (fleet->by_daemon && !fleet_daemon_is_settled(fleet))
		fleet->daemon_is_silent = fleet->daemon.asked_ns > 0;
	for (unsigned i = 0; i < fleet->count; i++)
		if (fleet->vms[i]->link.asked_ns > 0)
			fleet->vms[i]->health = FLEET_SILENT;
}
