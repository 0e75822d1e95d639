/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vms.h - from a name to a VM that answers, with the sentence for each way it may not.
 *
 * A VM is reached through the host's daemon when there is one (daemon.h), and then by its UUID, too; a
 * VM that the daemon does not know, or any without a daemon, by its own socket. What is asked and
 * answered is the same.
 *
 * Names are exact: a command that ends a VM never guesses. Functions that return an enum exit_code
 * have said what is wrong when it is not EXIT_CODE_OK.
 */
#ifndef NEAP_CLI_VMS_H
#define NEAP_CLI_VMS_H

#include <jansson.h>

#include "cli/daemon.h"
#include "config/vm_config.h"
#include "rpc/rpc.h"

/* A question is answered at once; a change may have to empty memory and load a kernel. */
enum { VM_CALL_TIMEOUT_MS = 3000, VM_CHANGE_TIMEOUT_MS = 60000, VM_LIST_MAX = 65536 };

struct vm {
	char name[VM_NAME_BYTES];  /* or its UUID */
	char path[RPC_PATH_BYTES]; /* of the socket: its own, or the daemon's */
	struct rpc_client *client;
	bool by_daemon;	  /* @client is the daemon's */
	bool may_be_own;  /* its own socket is tried when the daemon does not know it */
	bool follows_end; /* subscribed to its end */
};

int vm_open(const struct cli_call *call, const char *name,
	    struct vm *ret_vm);			      /* an enum exit_code */
int vm_open_own(const char *name, struct vm *ret_vm); /* never through a daemon */
int vm_open_by(const struct daemon *daemon, const char *name,
	       struct vm *ret_vm); /* borrows its client */
void vm_close(struct vm *vm);

/* One call. Steals @params. As rpc_client_call(): 0, a negative errno or an error's code, nothing said. */
int vm_ask(struct vm *vm, const char *method, json_t *params, int timeout_ms, json_t **ret_result,
	   struct err *err);

/* The same within VM_CALL_TIMEOUT_MS, or within @timeout_ms: an enum exit_code. */
int vm_call(struct vm *vm, const char *method, json_t *params, json_t **ret_result);
int vm_call_within(struct vm *vm, const char *method, json_t *params, int timeout_ms,
		   json_t **ret_result);

/* Its events come on this connection from now on, of @kinds (an array; stolen) or, with NULL, of all. */
int vm_subscribe(struct vm *vm, json_t *kinds); /* an enum exit_code */

/* The exit code for what vm_ask() returned, with its sentence said. */
int vm_say_failure(const struct vm *vm, int code, const struct err *err);

/* That no VM of that name is known, and what is. EXIT_CODE_NO_VM. @client: the daemon's, or NULL. */
int vm_say_unknown(const char *name, struct rpc_client *client);

/* The names that have a socket, sorted; left over ones too. A JSON array of strings, or NULL with
 * @err. */
json_t *vm_names(struct err *err);

/* What the daemon's vm.list says of @selector (NULL: all): an array, or NULL with the reason in @err. */
json_t *vm_list(struct rpc_client *client, const char *selector, int timeout_ms, int *ret_code,
		struct err *err);

/* The VM's process ended. 0, or -ETIMEDOUT. */
int vm_wait_gone(struct vm *vm, int timeout_ms);

#endif
