/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* handlers_store.c - vm.create, vm.delete, vm.update: what is stored of VMs.
 *
 * A change is on the disk before it is answered, and what the disk refuses has not happened.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/options.h"
#include "config/suggest.h"
#include "host/definition.h"
#include "host/handlers.h"
#include "host/idempotency.h"
#include "host/jobs.h"
#include "host/lifecycle.h"
#include "host/update.h"

static int make_definition(const struct host *host, const struct api_request *request,
			   struct definition *ret_definition, struct err *err)
{
	const json_t *params = request->params;
	const char *restart = json_string_value(json_object_get(params, "restart"));
	struct definition definition;
	int code = 0;

	if (definition_make(&definition, json_object_get(params, "config"),
			    json_object_get(params, "labels"), err) < 0)
		return API_ERROR_INVALID_PARAMS;
	definition.autostart = json_is_true(json_object_get(params, "autostart"));
	if (restart && definition_read_restart(restart, &definition.restart, err) < 0)
		code = API_ERROR_INVALID_PARAMS;
	if (code == 0)
		code = roster_check_new(host, &definition, err);
	if (code != 0) {
		definition_fini(&definition);
		return code;
	}
	idempotency_key_set(&definition.key, request);
	*ret_definition = definition;
	return 0;
}

int handlers_add_vm(struct host *host, const struct api_request *request, bool is_transient,
		    struct hosted **ret_vm, struct err *err)
{
	struct definition definition;
	struct hosted *vm;
	int code = make_definition(host, request, &definition, err);

	if (code != 0)
		return code;
	vm = roster_add(host, &definition, is_transient);
	definition_fini(&definition);
	if (!vm)
		return err_set(err, -ENOMEM, "out of memory"), API_ERROR_INTERNAL;
	*ret_vm = vm;
	return 0;
}

json_t *handlers_describe_created(const struct hosted *vm)
{
	return json_pack("{s:s, s:s}", "name", vm->definition.name, "uuid", vm->definition.uuid);
}

static int run_create(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct host *host = ctx;
	struct hosted *vm;
	int code = handlers_add_vm(host, request, false, &vm, err);

	if (code != 0)
		return code;
	if (roster_store(vm, err) < 0) {
		roster_remove(vm);
		return API_ERROR_INTERNAL;
	}
	host_publish(host, vm, "vm.created", json_pack("{s:s}", "uuid", vm->definition.uuid));
	*ret_result = handlers_describe_created(vm);
	return 0;
}

int handle_create(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	struct host *host = ctx;

	return idempotency_run(host->idempotency, run_create, host, request, ret_result, err);
}

static void delete_vm(struct job *job)
{
	struct hosted *vm = job->vm;
	struct err err = { 0 };

	if (vm->is_transient || !life_is_at_rest(vm)) {
		job_fail(job, API_ERROR_STATE,
			 vm->is_transient ? "%s is not stored (%s); it is forgotten when it ends"
					  : "%s is %s; stop it first",
			 vm->definition.name, vm->state);
		return;
	}
	if (store_remove(vm->host->store, STORE_VMS, vm->definition.name, &err) < 0) {
		job_fail(job, API_ERROR_INTERNAL, "%s", err.text);
		return;
	}
	/* A VM that comes later by the same name shall not show what this one said. */
	store_remove_log(vm->host->store, vm->definition.name);
	host_publish(vm->host, vm, "vm.deleted", json_pack("{s:s}", "uuid", vm->definition.uuid));
	roster_remove(vm);
	job_done(job, json_pack("{s:s}", "name", vm->definition.name));
}

int handle_delete(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	return jobs_run(ctx, request, delete_vm, ret_result, err);
}

int handle_update(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	const json_t *params = request->params;

	if (!json_object_get(params, "set") && !json_object_get(params, "labels") &&
	    !json_object_get(params, "autostart") && !json_object_get(params, "restart"))
		return err_set(err, -EINVAL,
			       "vm.update: say what shall change: set, labels, autostart or "
			       "restart"),
		       API_ERROR_INVALID_PARAMS;
	return jobs_run(ctx, request, update_vm, ret_result, err);
}
