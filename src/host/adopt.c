/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* adopt.c - see adopt.h.
 *
 * Two ways lead to a running VM. Its record (STORE_RUNS) names a process by pid and the time it started
 * at; when that process lives, it is the VM, whether it answers or not. Else its socket: whoever
 * listens there is asked vm.info, and is then the stored VM of that name and UUID, or a transient one.
 *
 *  A1  A socket is asked once, until the directory changes. One that refuses is left over, or is not
 *      listening yet: LOOKS_AGAIN looks follow.
 *  A2  Nobody is taken for a stored VM whose name it bears with another UUID.
 *  A3  At most PROBES_MAX are asked at once; the others' turn comes at the next look.
 */
#include "host/adopt.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "host/contact.h"
#include "host/definition.h"
#include "host/handlers.h"
#include "host/idempotency.h"
#include "host/life_words.h"
#include "host/lifecycle.h"
#include "host/restart.h"

enum {
	PROBES_MAX = 256,
	PROBE_MS = 3000,
	LOOK_SOON_MS = 10, /* a burst of sockets is one look */
	LOOKS_AGAIN = 3,
};

/* A socket whose owner was asked who it is. */
struct probe {
	struct adopt *adopt;
	struct rpc_link *link;
	char name[VM_NAME_BYTES];
	bool is_answered;
	struct probe *next;
};

struct adopt {
	struct host *host;
	char dir[RPC_PATH_BYTES];
	uv_fs_event_t watch;
	uv_timer_t soon;
	unsigned looks_left;
	struct probe *probes;
	unsigned probe_count;
	unsigned handles; /* of libuv, when they are closed */
};

/* --- by record ----------------------------------------------------------------------------------- */

static bool read_identity(const json_t *object, struct process_identity *ret_identity)
{
	json_int_t pid = json_integer_value(json_object_get(object, "pid"));
	json_int_t ticks = json_integer_value(json_object_get(object, "start_ticks"));

	*ret_identity =
		(struct process_identity){ .pid = (pid_t)pid, .start_ticks = (uint64_t)ticks };
	return pid > 1 && pid <= INT32_MAX && ticks > 0;
}

static struct hosted *add_transient(struct host *host, const json_t *object, struct err *err)
{
	struct definition definition;
	struct hosted *vm;

	if (definition_from_json(&definition, object, err) < 0)
		return NULL;
	vm = roster_check_new(host, &definition, err) == 0 ? roster_add(host, &definition, true)
							   : NULL;
	definition_fini(&definition);
	return vm;
}

/* vm.run or vm.start may be asked again, of us: by whoever had it started, whether it runs or has run. */
static void remember_start(struct hosted *vm, pid_t pid)
{
	json_t *ran;

	if (vm->start_pid == 0)
		vm->start_pid = pid;
	if (!vm->process && restart_never_ran(&vm->end))
		vm->start_pid = 0;
	if (vm->start_pid == 0 || !vm->is_transient || !vm->definition.key.text)
		return;
	ran = handlers_describe_created(vm);
	(void)json_object_update_new(ran, life_describe_start(vm->start_pid,
							      api_state_name(API_STATE_RUNNING)));
	idempotency_remember(vm->host->idempotency, &vm->definition.key, ran);
}

static void recall(struct hosted *vm, const json_t *object)
{
	idempotency_key_from_json(&vm->start_key, object);
	vm->start_pid = (pid_t)json_integer_value(json_object_get(object, "start_pid"));
	vm->restarts = (unsigned)json_integer_value(json_object_get(object, "restarts"));
	vm->failures = (unsigned)json_integer_value(json_object_get(object, "failures"));
	vm->end_is_wanted = json_is_true(json_object_get(object, "end_is_wanted"));
}

/* It was going to be started. */
static void take_wait(struct hosted *vm, const json_t *object)
{
	const char *reason = json_string_value(json_object_get(object, "reason"));

	hosted_set_reason(vm, reason ? reason : "");
	life_go_on_waiting(vm);
}

/* True: the record is fine, or its VM is gone for good. */
static bool take_record(void *ctx, const char *name, const json_t *object, struct err *err)
{
	struct host *host = ctx;
	const char *uuid = json_string_value(json_object_get(object, "uuid"));
	bool is_transient = json_is_true(json_object_get(object, "transient"));
	struct process_identity identity;
	struct hosted *vm = host_find(host, name);
	bool has_process = json_object_get(object, "pid") != NULL;

	if (!uuid || ((has_process || is_transient) && !read_identity(object, &identity)))
		return err_set(err, -EINVAL, "it names no process"), false;
	if (!vm && is_transient)
		vm = add_transient(host, json_object_get(object, "definition"), err);
	if (!vm && is_transient)
		return false;
	if (!vm || strcmp(vm->definition.uuid, uuid) != 0)
		return err_set(err, -ENOENT, "no VM %s of that UUID is stored", name), false;
	recall(vm, object);
	if (!has_process) {
		take_wait(vm, object);
	} else if (life_adopt(vm, &identity, err) < 0) {
		log_info("host", "%s ended meanwhile", name);
		life_ended_unseen(vm);
	}
	if (has_process)
		remember_start(vm, identity.pid);
	return true;
}

/* --- by socket ----------------------------------------------------------------------------------- */

static void free_probe(struct probe *probe)
{
	struct adopt *adopt = probe->adopt;
	struct probe **link = &adopt->probes;

	while (*link != probe)
		link = &(*link)->next;
	*link = probe->next;
	adopt->probe_count--;
	rpc_link_close(probe->link);
	free(probe);
}

static struct hosted *vm_of(struct host *host, const char *name, const json_t *info,
			    struct err *err)
{
	const char *uuid = json_string_value(json_object_get(info, "uuid"));
	struct hosted *vm = host_find(host, name);

	if (!uuid)
		return err_set(err, -EINVAL, "it has no UUID"), NULL;
	if (!vm)
		return add_transient(host, info, err); /* it has `config`, as a definition has */
	if (strcmp(vm->definition.uuid, uuid) == 0)
		return vm;
	(void)snprintf(
		vm->reason, sizeof(vm->reason),
		"another VM of that name runs, with UUID %.36s; to start this one, end it: neap "
		"kill %s --host none",
		uuid, name); /* A2 */
	return err_set(err, -EEXIST, "a VM of that name is stored, with another UUID"), NULL;
}

static int take_answer(struct host *host, const char *name, pid_t pid, const json_t *info,
		       struct err *err)
{
	const char *told_name = json_string_value(json_object_get(info, "name"));
	struct process_identity identity;
	struct hosted *vm;
	int ret;

	if (!told_name || strcmp(told_name, name) != 0)
		return err_set(err, -EINVAL, "its socket has another name than itself");
	ret = process_identify(pid, &identity);
	if (ret < 0)
		return err_set(err, ret, "its process is gone");
	vm = vm_of(host, name, info, err);
	if (!vm)
		return err->code < 0 ? err->code : -EEXIST;
	if (vm->process)
		return 0;
	ret = life_adopt(vm, &identity, err);
	if (ret < 0 && vm->is_transient)
		roster_remove(vm);
	return ret;
}

static void on_info(void *ctx, int code, const json_t *result, const char *sentence)
{
	struct probe *probe = ctx;
	struct host *host = probe->adopt->host;
	pid_t pid = rpc_link_peer_pid(probe->link);
	struct err err = { 0 };

	probe->is_answered = true; /* the link is closed at the next tick: we are called by it */
	if (code == 0 && take_answer(host, probe->name, pid, result, &err) == 0)
		return;
	log_info("host", "the VM %s (process %d) is not taken over: %s", probe->name, (int)pid,
		 err.text[0] ? err.text : sentence);
}

static void on_event(void *ctx, const char *kind, const json_t *data)
{
	(void)ctx;
	(void)kind;
	(void)data;
}

static void on_closed(void *ctx, int reason)
{
	struct probe *probe = ctx;

	(void)reason;
	free_probe(probe);
}

static void probe_socket(struct adopt *adopt, const char *name)
{
	static const struct rpc_link_ops ops = { .on_event = on_event, .on_closed = on_closed };
	struct probe *probe;
	char path[RPC_PATH_BYTES];
	struct err err = { 0 };

	for (probe = adopt->probes; probe; probe = probe->next)
		if (strcmp(probe->name, name) == 0)
			return;
	if (adopt->probe_count >= PROBES_MAX ||
	    rpc_vm_path(name, RPC_SOCKET_SUFFIX, path, &err) < 0)
		return;
	probe = calloc(1, sizeof(*probe));
	if (!probe)
		return;
	probe->adopt = adopt;
	(void)snprintf(probe->name, sizeof(probe->name), "%s", name);
	if (rpc_link_open(&adopt->host->loop, path, &ops, probe, &probe->link, &err) < 0) {
		free(probe); /* A1 */
		return;
	}
	probe->next = adopt->probes;
	adopt->probes = probe;
	adopt->probe_count++;
	if (rpc_link_call(probe->link, "vm.info", NULL, PROBE_MS, on_info, probe) < 0)
		free_probe(probe);
}

/* The name before ".sock", or false. */
static bool name_of(const char *file, char ret_name[VM_NAME_BYTES])
{
	size_t len = strlen(file), suffix = sizeof(RPC_SOCKET_SUFFIX) - 1;

	if (file[0] == '.' || len <= suffix || len - suffix >= VM_NAME_BYTES ||
	    strcmp(file + len - suffix, RPC_SOCKET_SUFFIX) != 0)
		return false;
	memcpy(ret_name, file, len - suffix);
	ret_name[len - suffix] = '\0';
	return true;
}

static void look(struct adopt *adopt)
{
	DIR *dir = opendir(adopt->dir);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char name[VM_NAME_BYTES];
		const struct hosted *vm;

		if (!name_of(entry->d_name, name))
			continue;
		vm = host_find(adopt->host, name);
		if (!vm || !vm->process)
			probe_socket(adopt, name);
	}
	if (dir)
		(void)closedir(dir);
}

static void on_soon(uv_timer_t *timer)
{
	look(timer->data);
}

static void look_soon(struct adopt *adopt)
{
	adopt->looks_left = LOOKS_AGAIN;
	if (!uv_is_active((uv_handle_t *)&adopt->soon))
		(void)uv_timer_start(&adopt->soon, on_soon, LOOK_SOON_MS, 0);
}

static void on_change(uv_fs_event_t *watch, const char *file, int events, int status)
{
	char name[VM_NAME_BYTES];

	(void)events;
	if (status < 0 || !file || name_of(file, name))
		look_soon(watch->data);
}

static void free_answered(struct adopt *adopt)
{
	struct probe *next;

	for (struct probe *probe = adopt->probes; probe; probe = next) {
		next = probe->next;
		if (probe->is_answered)
			free_probe(probe);
	}
}

void adopt_tick(struct host *host)
{
	struct adopt *adopt = host->adopt;

	free_answered(adopt);
	if (adopt->looks_left == 0)
		return;
	adopt->looks_left--;
	look(adopt);
}

bool adopt_is_settled(const struct host *host)
{
	for (const struct probe *probe = host->adopt->probes; probe; probe = probe->next)
		if (!probe->is_answered)
			return false;
	for (unsigned i = 0; i < host->vm_count; i++)
		if (!contact_is_settled(host->vms[i]))
			return false;
	return true;
}

int adopt_start(struct host *host, struct err *err)
{
	struct adopt *adopt = calloc(1, sizeof(*adopt));
	int ret;

	if (!adopt)
		return err_set(err, -ENOMEM, "out of memory");
	host->adopt = adopt;
	adopt->host = host;
	(void)uv_fs_event_init(&host->loop, &adopt->watch);
	(void)uv_timer_init(&host->loop, &adopt->soon);
	adopt->watch.data = adopt->soon.data = adopt;
	ret = rpc_runtime_dir(adopt->dir, sizeof(adopt->dir), err);
	if (ret < 0)
		return ret;
	ret = uv_fs_event_start(&adopt->watch, on_change, adopt->dir, 0);
	if (ret < 0)
		log_warn("host", "%s cannot be watched (%s): VMs that others start are not seen",
			 adopt->dir, uv_strerror(ret));
	ret = store_load(host->store, STORE_RUNS, take_record, host, err);
	if (ret < 0)
		return ret;
	look(adopt);
	adopt->looks_left = LOOKS_AGAIN;
	return 0;
}

static void on_stopped(uv_handle_t *handle)
{
	struct adopt *adopt = handle->data;

	if (--adopt->handles == 0)
		free(adopt);
}

void adopt_stop(struct host *host)
{
	struct adopt *adopt = host->adopt;

	if (!adopt)
		return;
	host->adopt = NULL;
	while (adopt->probes)
		free_probe(adopt->probes);
	adopt->handles = 2;
	uv_close((uv_handle_t *)&adopt->watch, on_stopped);
	uv_close((uv_handle_t *)&adopt->soon, on_stopped);
}
