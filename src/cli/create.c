/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* create.c - `neap create, start, delete`: VMs that the host's daemon keeps. */
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "cli/bulk.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/vms.h"

enum { START_TIMEOUT_S = 120 };

/* --label KEY=VALUE, or KEY alone. NULL: none, or @ret_code says what is wrong with one. */
static json_t *read_labels(const struct cli_call *call, int *ret_code)
{
	json_t *labels = call->label_count > 0 ? json_object() : NULL;

	*ret_code = EXIT_CODE_OK;
	for (unsigned i = 0; i < call->label_count; i++) {
		const char *text = call->labels[i];
		size_t key_len = strcspn(text, "=");
		const char *value = text[key_len] ? text + key_len + 1 : "";
		CLEANUP(free_text)
		char *key = strndup(text, key_len);

		if (key && key_len > 0 && json_object_set_new(labels, key, json_string(value)) == 0)
			continue;
		*ret_code = out_fail(EXIT_CODE_USAGE,
				     "\"%.60s\" is no label; write: --label KEY=VALUE", text);
		json_decref(labels);
		return NULL;
	}
	return labels;
}

static json_t *read_config(const struct cli_call *call)
{
	CLEANUP(free_text)
	char *text = vm_config_to_json(&call->config);

	return text ? json_loads(text, 0, NULL) : NULL;
}

/* --- start -------------------------------------------------------------------------------------- */

static json_t *start_params(bool waits)
{
	return waits ? json_pack("{s:b}", "wait", 1) : NULL;
}

/* One who waits is told first what for. */
static int start_one(struct vm *vm, bool waits, int timeout_ms, json_t **ret_result)
{
	struct err err = { 0 };
	int ret = vm_ask(vm, "vm.start", NULL, timeout_ms, ret_result, &err);

	if (ret == API_ERROR_NO_MEMORY && waits) {
		out_note("%s; waiting", err.text);
		ret = vm_ask(vm, "vm.start", start_params(true), timeout_ms, ret_result, &err);
	}
	if (ret == API_ERROR_DEADLINE)
		return out_fail(
			EXIT_CODE_FAILED,
			"%s: does not run yet; its start goes on (neap info %s, neap logs %s)",
			vm->name, vm->name, vm->name);
	if (ret == API_ERROR_NO_MEMORY && !waits)
		return out_fail(EXIT_CODE_HOST, "%s (--wait starts it when there is room)",
				err.text);
	return ret == 0 ? EXIT_CODE_OK : vm_say_failure(vm, ret, &err);
}

static int start_timeout(const struct cli_call *call, int *ret_timeout_ms)
{
	uint64_t default_s = cli_flag(call, "wait") ? API_DEADLINE_MAX_MS / 1000 : START_TIMEOUT_S;
	uint64_t timeout_ns;
	int ret = cli_seconds(cli_flag(call, "timeout"), default_s, &timeout_ns);

	*ret_timeout_ms = (int)(timeout_ns / NS_PER_MS);
	return ret;
}

static int start(const struct cli_call *call, const struct daemon *daemon, int timeout_ms)
{
	json_t *result = NULL;
	struct vm vm;
	int ret = vm_open_by(daemon, call->args[0], &vm);

	if (ret == EXIT_CODE_OK)
		ret = start_one(&vm, cli_flag(call, "wait") != NULL, timeout_ms, &result);
	if (ret == EXIT_CODE_OK && cli_wants_json(call))
		return out_json(result) ? EXIT_CODE_OK : EXIT_CODE_FAILED;
	if (ret == EXIT_CODE_OK)
		out_about(vm.name, out_text(result, "state"));
	json_decref(result);
	return ret;
}

int cli_start(struct cli_call *call)
{
	struct daemon daemon;
	int timeout_ms, ret = start_timeout(call, &timeout_ms);

	if (ret == EXIT_CODE_OK && !call->args[0])
		return bulk_do(call, "vm.start", start_params(cli_flag(call, "wait")), timeout_ms);
	if (ret == EXIT_CODE_OK)
		ret = daemon_need(call, "Stored VMs are started", &daemon);
	if (ret != EXIT_CODE_OK)
		return ret;
	ret = start(call, &daemon, timeout_ms);
	daemon_close(&daemon);
	return ret;
}

/* --- create and delete -------------------------------------------------------------------------- */

static int create_params(const struct cli_call *call, json_t **ret_params)
{
	struct err err = { 0 };
	json_t *labels;
	int ret;

	if (vm_config_check(&call->config, &err) < 0)
		return out_fail(EXIT_CODE_USAGE, "%s", err.text);
	labels = read_labels(call, &ret);
	if (ret != EXIT_CODE_OK)
		return ret;
	*ret_params = json_pack("{s:o*, s:o*, s:s*}", "config", read_config(call), "labels", labels,
				"restart", cli_flag(call, "restart"));
	if (cli_flag(call, "autostart"))
		(void)json_object_set_new(*ret_params, "autostart", json_true());
	return EXIT_CODE_OK;
}

/* Adds pid and state to what create answered. */
static int start_created(const struct cli_call *call, const struct daemon *daemon, json_t *created)
{
	json_t *started = NULL;
	struct vm vm;
	int timeout_ms, ret = start_timeout(call, &timeout_ms);

	if (ret == EXIT_CODE_OK)
		ret = vm_open_by(daemon, out_text(created, "name"), &vm);
	if (ret == EXIT_CODE_OK)
		ret = start_one(&vm, cli_flag(call, "wait") != NULL, timeout_ms, &started);
	if (ret != EXIT_CODE_OK)
		out_note("%s is stored and does not run (neap start %s tries again)",
			 out_text(created, "name"), out_text(created, "name"));
	(void)json_object_update_missing(created, started);
	json_decref(started);
	return ret;
}

static int create(const struct cli_call *call, struct daemon *daemon, json_t *params)
{
	json_t *created = NULL;
	int ret = daemon_call(daemon, "vm.create", params, VM_CALL_TIMEOUT_MS, &created);

	if (ret == EXIT_CODE_OK && cli_flag(call, "start"))
		ret = start_created(call, daemon, created);
	if (created && cli_wants_json(call)) {
		if (!out_json(json_incref(created)) && ret == EXIT_CODE_OK)
			ret = EXIT_CODE_FAILED;
	} else if (created) {
		out_words(out_text(created, "name"));
		(void)putchar('\n');
	}
	json_decref(created);
	return ret;
}

int cli_create(struct cli_call *call)
{
	json_t *params = NULL;
	struct daemon daemon;
	int ret = create_params(call, &params);

	if (ret != EXIT_CODE_OK)
		return ret;
	ret = daemon_need(call, "VMs are stored", &daemon);
	if (ret != EXIT_CODE_OK) {
		json_decref(params);
		return ret;
	}
	ret = create(call, &daemon, params);
	daemon_close(&daemon);
	return ret;
}

static int delete_one(const struct cli_call *call, const struct daemon *daemon)
{
	json_t *result = NULL;
	struct vm vm;
	int ret = vm_open_by(daemon, call->args[0], &vm);

	if (ret == EXIT_CODE_OK)
		ret = vm_call(&vm, "vm.delete", NULL, &result);
	if (ret == EXIT_CODE_OK && cli_wants_json(call))
		return out_json(result) ? EXIT_CODE_OK : EXIT_CODE_FAILED;
	if (ret == EXIT_CODE_OK)
		out_about(out_text(result, "name"), "deleted");
	json_decref(result);
	return ret;
}

static const char *say_deleted(const json_t *result, char text[], size_t text_bytes)
{
	(void)result;
	(void)snprintf(text, text_bytes, "deleted");
	return text;
}

int cli_delete(struct cli_call *call)
{
	json_t *results = NULL;
	struct daemon daemon;
	int ret = daemon_need(call, "Stored VMs are deleted", &daemon);

	if (ret != EXIT_CODE_OK)
		return ret;
	if (call->args[0])
		ret = delete_one(call, &daemon);
	else
		ret = bulk_call(call, &daemon, "vm.delete", NULL, VM_CHANGE_TIMEOUT_MS, &results);
	daemon_close(&daemon);
	return results ? bulk_report(call, results, say_deleted) : ret;
}
