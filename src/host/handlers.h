/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* handlers.h - the verbs of a daemon, one function each; handlers.c has the table. Inside host/ only. */
#ifndef NEAP_HOST_HANDLERS_H
#define NEAP_HOST_HANDLERS_H

#include "host/host_internal.h"

/* handlers_store.c: what is stored */

/* The VM that vm.create and vm.run ask for, checked and on the roster. 0, or an enum api_error. */
int handlers_add_vm(struct host *host, const struct api_request *request, bool is_transient,
		    struct hosted **ret_vm, struct err *err);
json_t *handlers_describe_created(const struct hosted *vm); /* {name, uuid} */
int handle_create(void *ctx, struct api_request *request, json_t **ret_result, struct err *err);
int handle_delete(void *ctx, struct api_request *request, json_t **ret_result, struct err *err);
int handle_update(void *ctx, struct api_request *request, json_t **ret_result, struct err *err);

/* handlers_look.c: what is told */

/* The file that the VM writes: ours, or that of `neap run --detach`. */
void handlers_log_path(const struct hosted *vm, char ret_path[STORE_PATH_BYTES]);
int handle_info(void *ctx, struct api_request *request, json_t **ret_result, struct err *err);
int handle_host_info(void *ctx, struct api_request *request, json_t **ret_result, struct err *err);
int handle_pools(void *ctx, struct api_request *request, json_t **ret_result, struct err *err);

/* list.c, console.c, logs.c */
int handle_list(void *ctx, struct api_request *request, json_t **ret_result, struct err *err);
int handle_console(void *ctx, struct api_request *request, json_t **ret_result, struct err *err);
int handle_logs(void *ctx, struct api_request *request, json_t **ret_result, struct err *err);

#endif
