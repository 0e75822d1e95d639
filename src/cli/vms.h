/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vms.h - from a name to a VM that answers, with the sentence for each way it may not.
 *
 * Names are exact: a command that ends a VM never guesses. Functions that return an enum exit_code
 * have said what is wrong when it is not EXIT_CODE_OK.
 */
#ifndef NEAP_CLI_VMS_H
#define NEAP_CLI_VMS_H

#include <jansson.h>

#include "config/vm_config.h"
#include "rpc/rpc.h"

/* A question is answered at once; a change may have to empty memory and load a kernel. */
enum { VM_CALL_TIMEOUT_MS = 3000, VM_CHANGE_TIMEOUT_MS = 60000, VM_LIST_MAX = 4096 };

struct vm {
	char name[VM_NAME_BYTES];
	char path[RPC_PATH_BYTES];
	struct rpc_client *client;
};

int vm_open(const char *name, struct vm *ret_vm); /* an enum exit_code */
void vm_close(struct vm *vm);

/* One call within VM_CALL_TIMEOUT_MS, or within @timeout_ms. Steals @params. */
int vm_call(struct vm *vm, const char *method, json_t *params, json_t **ret_result);
int vm_call_within(struct vm *vm, const char *method, json_t *params, int timeout_ms,
		   json_t **ret_result);

/* The exit code for what rpc_client_call() returned, with its sentence said. */
int vm_say_failure(const struct vm *vm, int code, const struct err *err);

/* The names that have a socket, sorted; left over ones too. A JSON array of strings, or NULL with
 * @err. */
json_t *vm_names(struct err *err);

/* The VM's process ended (its end of the connection is closed). 0, or -ETIMEDOUT. */
int vm_wait_gone(struct vm *vm, int timeout_ms);

#endif
