/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vms.c - see vms.h. */
#include "cli/vms.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/exit_code.h"
#include "base/fd.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "cli/output.h"
#include "config/suggest.h"

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Length of the VM's name in "NAME.sock", or 0. */
static size_t name_len(const char *file)
{
	size_t len = strlen(file), suffix_len = strlen(RPC_SOCKET_SUFFIX);

	if (len <= suffix_len || len - suffix_len >= VM_NAME_BYTES || file[0] == '.')
		return 0;
	return strcmp(file + len - suffix_len, RPC_SOCKET_SUFFIX) == 0 ? len - suffix_len : 0;
}

static json_t *sorted_strings(char **names, size_t count)
{
	json_t *array = json_array();

	qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 0; i < count; i++) {
		(void)json_array_append_new(array, json_string(names[i]));
		free(names[i]);
	}
	return array;
}

static bool make_room(char ***names, size_t count, size_t *room)
{
	size_t wanted = count < 64 ? 64 : 2 * count;
	char **more = count < *room ? *names : realloc(*names, wanted * sizeof(**names));

	if (!more)
		return false;
	*room = count < *room ? *room : wanted;
	*names = more;
	return true;
}

json_t *vm_names(struct err *err)
{
	char dir_path[RPC_PATH_BYTES];
	size_t room = 0;
	char **names = NULL;
	struct dirent *entry;
	size_t count = 0;
	json_t *sorted;
	DIR *dir;

	if (rpc_runtime_dir(dir_path, sizeof(dir_path), err) < 0)
		return NULL;
	dir = opendir(dir_path);
	if (!dir) {
		(void)err_set(err, -errno, "%s: %m", dir_path);
		return NULL;
	}
	while ((entry = readdir(dir)) && count < VM_LIST_MAX) {
		size_t len = name_len(entry->d_name);

		if (len > 0 && make_room(&names, count, &room) &&
		    (names[count] = strndup(entry->d_name, len)))
			count++;
	}
	(void)closedir(dir);
	sorted = sorted_strings(names, count);
	free(names);
	return sorted;
}

json_t *vm_list(struct rpc_client *client, const char *selector, int timeout_ms, int *ret_code,
		struct err *err)
{
	json_t *params = selector ? json_pack("{s:s}", "selector", selector) : NULL;
	json_t *result = NULL, *vms;

	*ret_code = daemon_ask(client, "vm.list", params, timeout_ms, &result, err);
	vms = json_incref(json_object_get(result, "vms"));
	json_decref(result);
	return vms;
}

/* --- who is not there ------------------------------------------------------------------------- */

/* The names that a daemon knows. */
static json_t *daemon_names(struct rpc_client *client)
{
	json_t *names = json_array();
	int code;
	json_t *vms = vm_list(client, NULL, VM_CALL_TIMEOUT_MS, &code, NULL);

	for (size_t i = 0; i < json_array_size(vms); i++)
		(void)json_array_append(names, json_object_get(json_array_get(vms, i), "name"));
	json_decref(vms);
	return names;
}

/* "running: a, b", or that none runs. */
static void list_names(struct strbuf *ret_list, const json_t *names, const char *none,
		       const char *some)
{
	size_t count = json_array_size(names);

	if (count == 0)
		strbuf_printf(ret_list, "%s", none);
	for (size_t i = 0; i < count && i < 10; i++)
		strbuf_printf(ret_list, "%s%s", i ? ", " : some,
			      json_string_value(json_array_get(names, i)));
	if (count > 10)
		strbuf_printf(ret_list, ", and %zu more", count - 10);
}

int vm_say_unknown(const char *name, struct rpc_client *client)
{
	struct suggest suggest = suggest_start(name);
	char quoted[QUOTE_BYTES], hint[HINT_BYTES];
	CLEANUP(strbuf_fini)
	struct strbuf list;
	json_t *names = client ? daemon_names(client) : vm_names(NULL);

	strbuf_init(&list, KIB_BYTES);
	list_names(&list, names, client ? "it knows none" : "none is running",
		   client ? "it knows " : "running: ");
	for (size_t i = 0; i < json_array_size(names); i++)
		suggest_offer(&suggest, json_string_value(json_array_get(names, i)));
	(void)out_fail(EXIT_CODE_NO_VM,
		       client ? "neapd knows no VM named %s%s (%s)" : "no VM named %s runs%s (%s)",
		       quote_text(name, quoted), suggest_hint(&suggest, "", hint),
		       list.text ? list.text : "");
	json_decref(names);
	return EXIT_CODE_NO_VM;
}

static int say_silent(const char *name)
{
	return out_fail(EXIT_CODE_FAILED,
			"the VM \"%s\" does not answer; it may be stopped or overloaded (neap kill "
			"%s ends it in any case)",
			name, name);
}

int vm_say_failure(const struct vm *vm, int code, const struct err *err)
{
	if (code == API_ERROR_SILENT || code == API_ERROR_DEADLINE)
		return say_silent(vm->name);
	if (code == API_ERROR_NO_VM)
		return vm_say_unknown(vm->name, vm->client);
	if (code == -ETIMEDOUT && !vm->by_daemon)
		return say_silent(vm->name);
	if (code == -EPIPE && !vm->by_daemon)
		return out_fail(EXIT_CODE_NO_VM, "the VM \"%s\" ended before it answered",
				vm->name);
	return daemon_say_failure(vm->name, code, err);
}

/* --- one VM ------------------------------------------------------------------------------------- */

/* -ENOENT: it has no socket. */
static int open_own_socket(struct vm *vm, struct err *err)
{
	int ret = rpc_vm_path(vm->name, RPC_SOCKET_SUFFIX, vm->path, err);

	if (ret < 0) /* without a runtime directory it is not known what there is */
		return ret == -ENOENT ? -EIO : ret;
	return rpc_client_open(vm->path, &vm->client, err);
}

static int say_not_opened(const struct vm *vm, int code, const struct err *err)
{
	switch (code) {
	case -EINVAL:
	case -ENAMETOOLONG:
	case -ENOENT: return vm_say_unknown(vm->name, NULL);
	case -ECONNREFUSED:
		return out_fail(EXIT_CODE_NO_VM,
				"the VM \"%s\" has ended without cleaning up (%s is left over; the "
				"next VM of that name replaces it)",
				vm->name, vm->path);
	case -ETIMEDOUT: return say_silent(vm->name);
	default: return out_fail(EXIT_CODE_FAILED, "%s", err->text);
	}
}

int vm_open_own(const char *name, struct vm *ret_vm)
{
	struct vm vm = { 0 };
	struct err err = { 0 };
	int ret;

	if (strlen(name) >= sizeof(vm.name))
		return vm_say_unknown(name, NULL);
	(void)snprintf(vm.name, sizeof(vm.name), "%s", name);
	ret = open_own_socket(&vm, &err);
	if (ret < 0)
		return say_not_opened(&vm, ret, &err);
	*ret_vm = vm;
	return EXIT_CODE_OK;
}

int vm_open_by(const struct daemon *daemon, const char *name, struct vm *ret_vm)
{
	struct vm vm = { .client = daemon->client, .by_daemon = true };

	if (strlen(name) >= sizeof(vm.name))
		return vm_say_unknown(name, daemon->client);
	(void)snprintf(vm.name, sizeof(vm.name), "%s", name);
	(void)snprintf(vm.path, sizeof(vm.path), "%s", daemon->path);
	*ret_vm = vm;
	return EXIT_CODE_OK;
}

int vm_open(const struct cli_call *call, const char *name, struct vm *ret_vm)
{
	struct daemon daemon;
	int ret = daemon_open(call, &daemon);

	if (ret != EXIT_CODE_OK)
		return ret;
	if (!daemon.client)
		return vm_open_own(name, ret_vm);
	ret = vm_open_by(&daemon, name, ret_vm);
	if (ret == EXIT_CODE_OK)
		ret_vm->may_be_own = !daemon.is_named;
	else
		daemon_close(&daemon);
	return ret;
}

void vm_close(struct vm *vm)
{
	rpc_client_close(vm->client);
	vm->client = NULL;
}

/* The daemon does not know it, or has gone. 0: it is reached by its own socket from now on. */
static int turn_to_own_socket(struct vm *vm)
{
	struct vm own = *vm;
	int ret = vm->may_be_own ? open_own_socket(&own, NULL) : -EPERM;

	if (ret < 0)
		return ret;
	rpc_client_close(vm->client);
	own.by_daemon = own.may_be_own = false;
	*vm = own;
	return 0;
}

static int ask_daemon(struct vm *vm, const char *method, const json_t *params, int timeout_ms,
		      json_t **ret_result, struct err *err)
{
	json_t *named = params ? json_copy((json_t *)params) : json_object();

	(void)json_object_set_new(named, "vm", json_string(vm->name));
	return daemon_ask(vm->client, method, named, timeout_ms, ret_result, err);
}

static bool only_reads(const char *method)
{
	const struct api_verb_row *verb = api_verb_by_method(&api_host_set, method);

	return verb && verb->access == API_READS;
}

/* The daemon ended while it was asked: it may be back, or not at all, or still be ending and take a
 * connection. Only for what may be asked twice. */
static int ask_again(struct vm *vm, const char *method, const json_t *params, int timeout_ms,
		     json_t **ret_result, struct err *err)
{
	int ret = -EPIPE;

	for (int tries = 0; ret == -EPIPE && tries < DAEMON_AGAIN_TRIES; tries++) {
		struct rpc_client *client;

		if (rpc_client_open(vm->path, &client, NULL) == 0) {
			rpc_client_close(vm->client);
			vm->client = client;
			ret = ask_daemon(vm, method, params, timeout_ms, ret_result, err);
		} else if (turn_to_own_socket(vm) == 0) {
			return 0;
		}
		if (ret == -EPIPE)
			(void)poll(NULL, 0, DAEMON_AGAIN_MS);
	}
	return ret;
}

int vm_ask(struct vm *vm, const char *method, json_t *params, int timeout_ms, json_t **ret_result,
	   struct err *err)
{
	int ret = 0;

	if (vm->by_daemon)
		ret = ask_daemon(vm, method, params, timeout_ms, ret_result, err);
	if (ret == -EPIPE && only_reads(method))
		ret = ask_again(vm, method, params, timeout_ms, ret_result, err);
	if (!vm->by_daemon || (ret == API_ERROR_NO_VM && turn_to_own_socket(vm) == 0))
		return rpc_client_call(vm->client, method, params, timeout_ms, ret_result, err);
	json_decref(params);
	return ret;
}

int vm_call_within(struct vm *vm, const char *method, json_t *params, int timeout_ms,
		   json_t **ret_result)
{
	struct err err = { 0 };
	int ret = vm_ask(vm, method, params, timeout_ms, ret_result, &err);

	return ret == 0 ? EXIT_CODE_OK : vm_say_failure(vm, ret, &err);
}

int vm_call(struct vm *vm, const char *method, json_t *params, json_t **ret_result)
{
	return vm_call_within(vm, method, params, VM_CALL_TIMEOUT_MS, ret_result);
}

static int subscribe(struct vm *vm, json_t *kinds, struct err *err)
{
	json_t *params = json_pack("{s:o*}", "kinds", kinds), *result = NULL;
	int ret;

	if (vm->by_daemon) {
		(void)json_object_set_new(params, "vms", json_pack("[s]", vm->name));
		ret = daemon_ask(vm->client, "events.subscribe", params, VM_CALL_TIMEOUT_MS,
				 &result, err);
	} else {
		ret = rpc_client_call(vm->client, "events.subscribe", params, VM_CALL_TIMEOUT_MS,
				      &result, err);
	}
	json_decref(result);
	return ret;
}

int vm_subscribe(struct vm *vm, json_t *kinds)
{
	struct err err = { 0 };
	int ret = subscribe(vm, kinds, &err);

	return ret == 0 ? EXIT_CODE_OK : vm_say_failure(vm, ret, &err);
}

/* --- its end ------------------------------------------------------------------------------------ */

/* Of one that a daemon looks after: it has no process (now). */
static bool has_no_process(struct vm *vm)
{
	json_t *info = NULL;
	int ret = vm_ask(vm, "vm.info", NULL, VM_CALL_TIMEOUT_MS, &info, NULL);
	bool is_gone = ret == API_ERROR_NO_VM || (ret == 0 && !json_object_get(info, "pid"));

	json_decref(info);
	return is_gone;
}

int vm_wait_gone(struct vm *vm, int timeout_ms)
{
	uint64_t deadline_ns = clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
	uint64_t now_ns;

	if (vm->by_daemon && !vm->follows_end)
		vm->follows_end = subscribe(vm, json_pack("[s]", "vm.ended"), NULL) == 0;
	if (vm->by_daemon && has_no_process(vm))
		return 0;
	while ((now_ns = clock_now_ns()) < deadline_ns) {
		json_t *event;
		int left_ms = (int)((deadline_ns - now_ns) / NS_PER_MS) + 1;
		int ret = rpc_client_next_event(vm->client, left_ms, &event, NULL);

		if (ret == 0)
			json_decref(event);
		else if (ret != -ETIMEDOUT && !vm->by_daemon)
			return 0;
		else if (ret != -ETIMEDOUT && (ret = turn_to_own_socket(vm)) < 0)
			return ret == -EPERM ? -ETIMEDOUT : 0;
		if (vm->by_daemon && has_no_process(vm))
			return 0;
	}
	return -ETIMEDOUT;
}
