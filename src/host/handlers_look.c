/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* handlers_look.c - vm.info, host.info, host.pools: what is told, from what is known. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/contact.h"
#include "host/handlers.h"
#include "host/jobs.h"
#include "host/metrics.h"
#include "host/update.h"

void handlers_log_path(const struct hosted *vm, char ret_path[STORE_PATH_BYTES])
{
	store_path(vm->host->store, STORE_FILE_LOG, vm->definition.name, ret_path);
	if (access(ret_path, F_OK) < 0 && vm->is_adopted)
		(void)rpc_vm_path(vm->definition.name, RPC_LOG_SUFFIX, ret_path, NULL);
}

static json_t *host_part(const struct hosted *vm)
{
	const struct definition *definition = &vm->definition;
	uint64_t grant_bytes = vm->broker_vm ? broker_grant_bytes(vm->broker_vm) : 0;
	char log_path[STORE_PATH_BYTES];
	json_t *part;

	handlers_log_path(vm, log_path);
	part = json_pack("{s:O, s:b, s:s, s:i, s:b, s:b, s:s, s:o}", "labels", definition->labels,
			 "autostart", definition->autostart, "restart",
			 hosted_restart_names[definition->restart], "restarts", (int)vm->restarts,
			 "transient", vm->is_transient, "adopted", vm->is_adopted, "log_path",
			 log_path, "next_start", update_next_start(vm));
	if (part && grant_bytes > 0)
		(void)json_object_set_new(part, "grant_bytes",
					  json_integer((json_int_t)grant_bytes));
	if (part && vm->ended_ns > 0) {
		uint64_t ago_ms = (clock_now_ns() - vm->ended_ns) / NS_PER_MS;

		(void)json_object_set_new(part, "ended_ago_ms", json_integer((json_int_t)ago_ms));
		if (vm->end.has_exit_code)
			(void)json_object_set_new(part, "exit_code",
						  json_integer(vm->end.exit_code));
	}
	return part;
}

/* @told: the VM's own answer, or NULL. */
static json_t *describe(const struct hosted *vm, const json_t *told)
{
	json_t *info = told ? json_copy((json_t *)told) : json_object();
	json_t *config = vm->running_config ? vm->running_config : vm->definition.config;

	if (!info)
		return NULL;
	(void)json_object_set_new(info, "name", json_string(vm->definition.name));
	(void)json_object_set_new(info, "uuid", json_string(vm->definition.uuid));
	(void)json_object_set_new(info, "host", host_part(vm));
	if (told)
		return info;
	(void)json_object_set_new(info, "state", json_string(vm->state));
	(void)json_object_set_new(info, "reason", json_string(vm->reason));
	(void)json_object_set(info, "config", config);
	if (vm->process)
		(void)json_object_set_new(info, "pid",
					  json_integer(process_identity(vm->process)->pid));
	return info;
}

/* What it does not say itself is told from here. */
static void on_told(struct job *job, int code, const json_t *result, const char *sentence)
{
	(void)sentence;
	job_done(job, describe(job->vm, code == 0 ? result : NULL));
}

static void info(struct job *job)
{
	job->then = on_told;
	contact_ask(job, "vm.info", NULL);
}

int handle_info(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	return jobs_run(ctx, request, info, ret_result, err);
}

static json_t *count_states(const struct host *host)
{
	json_t *counts = json_object();

	for (size_t i = 0; i < api_host_set.state_count; i++)
		(void)json_object_set_new(counts, api_host_set.states[i].name, json_integer(0));
	for (unsigned i = 0; i < host->vm_count; i++) {
		json_t *count = json_object_get(counts, host->vms[i]->state);

		(void)json_integer_set(count, json_integer_value(count) + 1);
	}
	return counts;
}

static json_t *describe_doors(const struct metrics *metrics)
{
	struct metrics_door doors[METRICS_DOORS];
	unsigned count = metrics ? metrics_doors(metrics, doors) : 0;
	json_t *rows = json_array();

	for (unsigned i = 0; i < count; i++)
		(void)json_array_append_new(rows, json_pack("{s:s, s:s*}", "at", doors[i].at,
							    "error", doors[i].error));
	return rows;
}

int handle_host_info(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	const struct host *host = ctx;

	(void)request;
	*ret_result =
		json_pack("{s:s, s:i, s:I, s:s, s:o, s:i, s:o, s:o}", "neap_version", NEAP_VERSION,
			  "pid", (int)getpid(), "uptime_ns",
			  (json_int_t)(clock_now_ns() - host->started_ns), "state_dir",
			  host->config->state_dir, "vms", count_states(host), "connections",
			  (int)rpc_server_connections(host->server), "set_aside",
			  store_set_aside(host->store), "metrics", describe_doors(host->metrics));
	return *ret_result ? 0 : (err_set(err, -ENOMEM, "out of memory"), API_ERROR_INTERNAL);
}

int handle_pools(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	const struct host *host = ctx;

	(void)request;
	*ret_result = json_pack("{s:o}", "pools", broker_describe(host->broker));
	return *ret_result ? 0 : (err_set(err, -ENOMEM, "out of memory"), API_ERROR_INTERNAL);
}
