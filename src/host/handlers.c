/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* handlers.c - the table of verbs, and those that start, end and ask VMs.
 *
 * A verb that a VM has too (verbs.def, FORWARDED) is passed on as it came, less vm and selector. Those that
 * change whether a VM runs go by its life instead, since a VM that waits to start can be stopped, and one
 * that does not answer can be killed.
 */
#include "host/handlers.h"

#include <string.h>

#include "host/contact.h"
#include "host/idempotency.h"
#include "host/jobs.h"
#include "host/life_words.h"
#include "host/lifecycle.h"

static bool wants_wait(const struct api_request *request)
{
	return json_is_true(json_object_get(request->params, "wait"));
}

static void start(struct job *job)
{
	life_start(job, wants_wait(job->request));
}

static bool has_key(const struct hosted *vm, const char *key)
{
	return key && vm->start_pid > 0 && vm->start_key.text &&
	       strcmp(vm->start_key.text, key) == 0;
}

/* Of a request that a daemon before us had, or began: what it had started is not started again. */
static void start_once(struct job *job)
{
	const char *key =
		json_string_value(json_object_get(job->request->params, "idempotency_key"));
	const struct hosted *vm = job->vm;

	if (has_key(vm, key))
		job_done(job,
			 life_describe_start(vm->start_pid, api_state_name(API_STATE_RUNNING)));
	else
		start(job);
}

static int run_start(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	const struct host *host = ctx;
	const char *key = json_string_value(json_object_get(request->params, "idempotency_key"));

	for (unsigned i = 0; key && i < host->vm_count; i++)
		if (has_key(host->vms[i], key) &&
		    host->vms[i]->start_key.digest != idempotency_digest(request))
			return idempotency_refuse(err);
	return jobs_run(ctx, request, start_once, ret_result, err);
}

static int handle_start(void *ctx, struct api_request *request, json_t **ret_result,
			struct err *err)
{
	struct host *host = ctx;

	return idempotency_run(host->idempotency, run_start, host, request, ret_result, err);
}

static void on_ran(struct job *job, int code, const json_t *result, const char *sentence)
{
	json_t *ran;

	if (code != 0) {
		job_fail(job, code, "%s", sentence);
		return;
	}
	ran = handlers_describe_created(job->vm);
	(void)json_object_update(ran, (json_t *)result);
	job_done(job, ran);
}

static void run(struct job *job)
{
	job->then = on_ran;
	start(job);
}

static int run_run(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct hosted *vm;
	int code = handlers_add_vm(ctx, request, true, &vm, err);

	if (code != 0)
		return code;
	return jobs_run_on(vm, request, run, ret_result, err);
}

static int handle_run(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct host *host = ctx;

	return idempotency_run(host->idempotency, run_run, host, request, ret_result, err);
}

static int handle_stop(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	return jobs_run(ctx, request, life_stop, ret_result, err);
}

static int handle_kill(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	return jobs_run(ctx, request, life_kill, ret_result, err);
}

static void forward(struct job *job)
{
	json_t *params = json_copy(job->request->params);

	(void)json_object_del(params, "vm");
	(void)json_object_del(params, "selector");
	contact_ask(job, job->request->verb->method, params);
}

static int handle_forwarded(void *ctx, struct api_request *request, json_t **ret_result,
			    struct err *err)
{
	return jobs_run(ctx, request, forward, ret_result, err);
}

#define FORWARDED(id) [API_HOST_OWN_COUNT + API_##id]

const api_handler host_handlers[API_HOST_VERB_COUNT] = {
	[API_HOST_VM_CREATE] = handle_create,
	[API_HOST_VM_RUN] = handle_run,
	[API_HOST_VM_START] = handle_start,
	[API_HOST_VM_DELETE] = handle_delete,
	[API_HOST_VM_UPDATE] = handle_update,
	[API_HOST_VM_LIST] = handle_list,
	[API_HOST_VM_INFO] = handle_info,
	[API_HOST_VM_CONSOLE] = handle_console,
	[API_HOST_VM_LOGS] = handle_logs,
	[API_HOST_INFO] = handle_host_info,
	[API_HOST_POOLS] = handle_pools,
	FORWARDED(VM_MEMORY) = handle_forwarded,
	FORWARDED(VM_MEMORY_SET) = handle_forwarded,
	FORWARDED(VM_MEMORY_WHY) = handle_forwarded,
	FORWARDED(VM_MEMORY_TRACE) = handle_forwarded,
	FORWARDED(VM_MEMORY_LIMIT) = handle_forwarded,
	FORWARDED(VM_PAUSE) = handle_forwarded,
	FORWARDED(VM_RESUME) = handle_forwarded,
	FORWARDED(VM_RESET) = handle_forwarded,
	FORWARDED(VM_STOP) = handle_stop,
	FORWARDED(VM_KILL) = handle_kill,
};
