/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fleet.c - see fleet.h.
 *
 * A socket of this kind is connected at once or not at all (a full backlog is EAGAIN), and nothing
 * here blocks but the one poll. A question is one line, a batch of two calls, so its answers come
 * together; a setting is a line of its own. A VM that stopped reading is never written to again
 * before it has answered, so what waits to be sent is bounded by one question and one setting.
 */
#include "cli/fleet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "config/json_strict.h"
#include "rpc/jsonrpc.h"

enum { ID_INFO = 1, ID_MEMORY, ID_SET, FLEET_DEPTH = JSONRPC_MAX_DEPTH + 8, READ_BYTES = 16384 };
#define FLEET_PATIENCE_NS   ((uint64_t)FLEET_PATIENCE_MS * NS_PER_MS)
#define FLEET_OUT_MAX_BYTES KIB_BYTES

static void forget_look(struct fleet_look *look)
{
	json_decref(look->memory);
	*look = (struct fleet_look){ 0 };
}

static void disconnect(struct fleet_vm *vm)
{
	close_fd(&vm->fd);
	frame_fini(&vm->in);
	vm->in = (struct frame){ 0 };
	strbuf_fini(&vm->out);
	strbuf_init(&vm->out, FLEET_OUT_MAX_BYTES);
	vm->asked_ns = 0;
}

static void destroy_vm(struct fleet_vm *vm)
{
	disconnect(vm);
	strbuf_fini(&vm->out);
	json_decref(vm->info);
	forget_look(&vm->now);
	forget_look(&vm->before);
	free(vm);
}

void fleet_fini(struct fleet *fleet)
{
	for (unsigned i = 0; i < fleet->count; i++)
		destroy_vm(fleet->vms[i]);
	free(fleet->vms);
	free(fleet->pollers);
	*fleet = (struct fleet){ 0 };
}

struct fleet_vm *fleet_find(const struct fleet *fleet, const char *name)
{
	for (unsigned i = 0; i < fleet->count; i++)
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
	vm->fd = -1;
	vm->is_listed = true;
	strbuf_init(&vm->out, FLEET_OUT_MAX_BYTES);
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

static int list_vms(struct fleet *fleet, const json_t *names)
{
	size_t room = fleet->count + json_array_size(names) + 1;
	struct fleet_vm **vms = realloc(fleet->vms, room * sizeof(struct fleet_vm *));
	struct pollfd *pollers;

	if (!vms)
		return -ENOMEM;
	fleet->vms = vms;
	pollers = realloc(fleet->pollers, (room + FLEET_FDS_MAX) * sizeof(struct pollfd));
	if (!pollers)
		return -ENOMEM;
	fleet->pollers = pollers;
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
	return 0;
}

static int open_socket(const char *name, pid_t *ret_pid)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char path[RPC_PATH_BYTES];
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (rpc_vm_path(name, RPC_SOCKET_SUFFIX, path, NULL) < 0)
		return -ENOENT;
	CLEANUP(close_fd)
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_pid = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		*ret_pid = peer.pid;
	return take_fd(&fd);
}

/* False: there is nobody to ask. */
static bool is_connected(struct fleet_vm *vm)
{
	if (vm->fd >= 0)
		return true;
	vm->fd = open_socket(vm->name, &vm->pid);
	if (vm->fd >= 0)
		return true;
	if (vm->fd == -ENOENT)
		vm->is_listed = false; /* gone since the list was made */
	vm->health = vm->fd == -ECONNREFUSED ? FLEET_LEFT_OVER : FLEET_SILENT;
	vm->fd = -1;
	return false;
}

static void end_setting(struct fleet *fleet, struct fleet_vm *vm, const char *error)
{
	if (vm->set_ns == 0)
		return;
	vm->set_ns = 0;
	if (fleet->was_set)
		fleet->was_set(fleet->ctx, vm, error);
}

/* --- questions ------------------------------------------------------------------------------ */

static void send_some(struct fleet_vm *vm)
{
	ssize_t put;

	if (vm->out.len == 0)
		return;
	put = send(vm->fd, vm->out.text, vm->out.len, MSG_NOSIGNAL);
	if (put > 0)
		strbuf_drop_front(&vm->out, (size_t)put);
	else if (put < 0 && errno != EAGAIN && errno != EINTR)
		disconnect(vm);
}

static json_t *call_object(int id, const char *method, json_t *params)
{
	return json_pack("{s:s, s:i, s:s, s:o*}", "jsonrpc", "2.0", "id", id, "method", method,
			 "params", params);
}

/* Steals @request. */
static bool put_line(struct fleet_vm *vm, json_t *request)
{
	CLEANUP(free_text)
	char *line = jsonrpc_line(request);

	if (!line)
		return false;
	strbuf_append(&vm->out, line, strlen(line));
	if (vm->out.failed) {
		disconnect(vm);
		return false;
	}
	send_some(vm);
	return vm->fd >= 0;
}

static void ask(struct fleet_vm *vm, uint64_t now_ns)
{
	if (vm->asked_ns > 0) {
		if (now_ns - vm->asked_ns >= FLEET_PATIENCE_NS)
			vm->health = FLEET_SILENT;
		return;
	}
	if (is_connected(vm) &&
	    put_line(vm, json_pack("[o, o]", call_object(ID_INFO, "vm.info", NULL),
				   call_object(ID_MEMORY, "vm.memory", NULL))))
		vm->asked_ns = now_ns;
}

int fleet_look(struct fleet *fleet, struct err *err)
{
	json_t *names = vm_names(err);
	uint64_t now_ns = clock_now_ns();
	int ret;

	if (!names)
		return err && err->code ? err->code : -EIO;
	ret = list_vms(fleet, names);
	json_decref(names);
	if (ret < 0)
		return err_set(err, ret, "no memory for the list of VMs");
	for (unsigned i = 0; i < fleet->count; i++) {
		struct fleet_vm *vm = fleet->vms[i];

		if (vm->set_ns > 0 && (vm->fd < 0 || now_ns - vm->set_ns >= FLEET_PATIENCE_NS))
			end_setting(fleet, vm, "the VM does not answer");
		ask(vm, now_ns);
	}
	drop_unlisted(fleet);
	return 0;
}

bool fleet_set(struct fleet_vm *vm, json_t *params)
{
	if (vm->set_ns > 0 || vm->fd < 0 || vm->health == FLEET_SILENT) {
		json_decref(params);
		return false;
	}
	if (!put_line(vm, call_object(ID_SET, "vm.memory.set", params)))
		return false;
	vm->set_ns = clock_now_ns();
	return true;
}

/* --- answers -------------------------------------------------------------------------------- */

static void take_setting(struct fleet *fleet, struct fleet_vm *vm, const json_t *answer)
{
	const json_t *error = json_object_get(answer, "error");
	const char *sentence = json_string_value(json_object_get(error, "message"));

	if (error && !sentence)
		sentence = "the VM gave no reason";
	end_setting(fleet, vm, error ? sentence : NULL);
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
		vm->asked_ns = 0;
		if (!json_is_object(result))
			break;
		forget_look(&vm->before);
		vm->before = vm->now;
		vm->now = (struct fleet_look){ json_incref(result), clock_now_ns() };
		break;
	case ID_SET: take_setting(fleet, vm, answer); break;
	default: vm->asked_ns = 0; break; /* the connection itself objects */
	}
}

static void take_message(struct fleet *fleet, struct fleet_vm *vm, const char *text, size_t len)
{
	json_t *message = NULL;

	if (json_strict_parse(text, len, FLEET_DEPTH, &message, NULL) < 0) {
		vm->health = FLEET_SILENT; /* it talks, but says nothing */
		return;
	}
	if (json_is_array(message))
		for (size_t i = 0; i < json_array_size(message); i++)
			take_answer(fleet, vm, json_array_get(message, i));
	else
		take_answer(fleet, vm, message);
	json_decref(message);
}

/* One read: a VM that sends without end does not keep the others from being heard. */
static void read_some(struct fleet *fleet, struct fleet_vm *vm)
{
	char bytes[READ_BYTES];
	ssize_t got = recv(vm->fd, bytes, sizeof(bytes), 0);
	const char *text;
	size_t len;
	int ret;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	ret = got > 0 ? frame_append(&vm->in, bytes, (size_t)got) : -EPIPE;
	while (ret >= 0 && (ret = frame_next(&vm->in, &text, &len)) > 0)
		take_message(fleet, vm, text, len);
	if (ret < 0)
		disconnect(vm);
}

void fleet_wait(struct fleet *fleet, struct pollfd *fds, unsigned fd_count, int timeout_ms)
{
	struct pollfd *pollers = fleet->pollers;
	unsigned count = fleet->count;

	for (unsigned i = 0; i < count; i++) {
		const struct fleet_vm *vm = fleet->vms[i];
		short events = vm->out.len > 0 ? POLLIN | POLLOUT : POLLIN;

		pollers[i] = (struct pollfd){ .fd = vm->fd, .events = events };
	}
	for (unsigned i = 0; i < fd_count; i++)
		pollers[count + i] = fds[i];
	if (poll(pollers, count + fd_count, timeout_ms) < 0)
		for (unsigned i = 0; i < count + fd_count; i++)
			pollers[i].revents = 0;
	for (unsigned i = 0; i < count; i++) {
		if (pollers[i].revents & POLLOUT)
			send_some(fleet->vms[i]);
		if (fleet->vms[i]->fd >= 0 && pollers[i].revents & (POLLIN | POLLHUP | POLLERR))
			read_some(fleet, fleet->vms[i]);
	}
	for (unsigned i = 0; i < fd_count; i++)
		fds[i].revents = pollers[count + i].revents;
}

bool fleet_is_settled(const struct fleet *fleet)
{
	for (unsigned i = 0; i < fleet->count; i++)
		if (fleet->vms[i]->asked_ns > 0)
			return false;
	return true;
}

void fleet_give_up(struct fleet *fleet)
{
	for (unsigned i = 0; i < fleet->count; i++)
		if (fleet->vms[i]->asked_ns > 0)
			fleet->vms[i]->health = FLEET_SILENT;
}
