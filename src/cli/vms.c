/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vms.c - see vms.h. */
#include "cli/vms.h"

#include <dirent.h>
#include <errno.h>
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

json_t *vm_names(struct err *err)
{
	char dir_path[RPC_PATH_BYTES];
	char *names[VM_LIST_MAX];
	struct dirent *entry;
	size_t count = 0;
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

		if (len > 0 && (names[count] = strndup(entry->d_name, len)))
			count++;
	}
	(void)closedir(dir);
	return sorted_strings(names, count);
}

/* " (running: a, b)", or that none runs. */
static void list_names(struct strbuf *ret_list, const json_t *names)
{
	size_t count = json_array_size(names);

	if (count == 0)
		strbuf_printf(ret_list, "none is running");
	for (size_t i = 0; i < count && i < 10; i++)
		strbuf_printf(ret_list, "%s%s",
			      i ? ", " : "running: ", json_string_value(json_array_get(names, i)));
	if (count > 10)
		strbuf_printf(ret_list, ", and %zu more", count - 10);
}

static int say_no_vm(const char *name)
{
	struct suggest suggest = suggest_start(name);
	char quoted[QUOTE_BYTES], hint[HINT_BYTES];
	CLEANUP(strbuf_fini)
	struct strbuf list;
	json_t *names = vm_names(NULL);

	strbuf_init(&list, KIB_BYTES);
	list_names(&list, names);
	for (size_t i = 0; i < json_array_size(names); i++)
		suggest_offer(&suggest, json_string_value(json_array_get(names, i)));
	(void)out_fail(EXIT_CODE_NO_VM, "no VM named %s runs%s (%s)", quote_text(name, quoted),
		       suggest_hint(&suggest, "", hint), list.text ? list.text : "");
	json_decref(names);
	return EXIT_CODE_NO_VM;
}

static int say_silent(const struct vm *vm)
{
	return out_fail(EXIT_CODE_FAILED,
			"the VM \"%s\" does not answer; it may be stopped or overloaded (neap kill "
			"%s ends it in any case)",
			vm->name, vm->name);
}

int vm_say_failure(const struct vm *vm, int code, const struct err *err)
{
	switch (code) {
	case API_ERROR_STATE: return out_fail(EXIT_CODE_STATE, "%s: %s", vm->name, err->text);
	case API_ERROR_INVALID_PARAMS:
		return out_fail(EXIT_CODE_USAGE, "%s: %s", vm->name, err->text);
	case -ETIMEDOUT: return say_silent(vm);
	case -EPIPE:
		return out_fail(EXIT_CODE_NO_VM, "the VM \"%s\" ended before it answered",
				vm->name);
	default: return out_fail(EXIT_CODE_FAILED, "%s: %s", vm->name, err->text);
	}
}

int vm_open(const char *name, struct vm *ret_vm)
{
	struct vm vm = { 0 };
	struct err err = { 0 };
	int ret = rpc_vm_path(name, RPC_SOCKET_SUFFIX, vm.path, &err);

	if (ret == -EINVAL || ret == -ENAMETOOLONG)
		return say_no_vm(name);
	if (ret < 0)
		return out_fail(EXIT_CODE_FAILED, "%s", err.text);
	(void)snprintf(vm.name, sizeof(vm.name), "%s", name);
	ret = rpc_client_open(vm.path, &vm.client, &err);
	if (ret == 0) {
		*ret_vm = vm;
		return EXIT_CODE_OK;
	}
	if (ret == -ENOENT)
		return say_no_vm(name);
	if (ret == -ECONNREFUSED)
		return out_fail(EXIT_CODE_NO_VM,
				"the VM \"%s\" has ended without cleaning up (%s is left over; the "
				"next VM of that name replaces it)",
				vm.name, vm.path);
	if (ret == -ETIMEDOUT)
		return say_silent(&vm);
	return out_fail(EXIT_CODE_FAILED, "%s", err.text);
}

void vm_close(struct vm *vm)
{
	rpc_client_close(vm->client);
	vm->client = NULL;
}

int vm_call_within(struct vm *vm, const char *method, json_t *params, int timeout_ms,
		   json_t **ret_result)
{
	struct err err = { 0 };
	int ret = rpc_client_call(vm->client, method, params, timeout_ms, ret_result, &err);

	return ret == 0 ? EXIT_CODE_OK : vm_say_failure(vm, ret, &err);
}

int vm_call(struct vm *vm, const char *method, json_t *params, json_t **ret_result)
{
	return vm_call_within(vm, method, params, VM_CALL_TIMEOUT_MS, ret_result);
}

int vm_wait_gone(struct vm *vm, int timeout_ms)
{
	uint64_t deadline_ns = clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
	uint64_t now_ns;

	while ((now_ns = clock_now_ns()) < deadline_ns) {
		json_t *event;
		int left_ms = (int)((deadline_ns - now_ns) / NS_PER_MS) + 1;
		int ret = rpc_client_next_event(vm->client, left_ms, &event, NULL);

		if (ret == 0)
			json_decref(event);
		else if (ret != -ETIMEDOUT)
			return 0;
	}
	return -ETIMEDOUT;
}
