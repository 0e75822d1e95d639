/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* jsonrpc.h - one message in, its answer out. Knows no socket: a function of bytes and a backend.
 *
 * Source: JSON-RPC 2.0 §4 "Request object", §5 "Response object", §6 "Batch".
 */
#ifndef NEAP_RPC_JSONRPC_H
#define NEAP_RPC_JSONRPC_H

#include <stddef.h>

#include "api/api.h"

enum { JSONRPC_MAX_DEPTH = 64, JSONRPC_MAX_BATCH = 64 };

struct jsonrpc {
	const struct api_backend *backend;
	/* For the backend, during a call: the request stands outside a batch and will be answered.
	 * vm.console, whose answer changes the connection, is legal only then. */
	bool alone;
};

/**
 * jsonrpc_answer() - do what a message asks
 * @untrusted_message: one frame, without its newline
 * @ret_answer:        malloc()ed text that ends with a newline; NULL when there is nothing to say
 *                     (notifications, and a message of white space only)
 *
 * Return: 0, or -ENOMEM.
 */
int jsonrpc_answer(struct jsonrpc *rpc, const char *untrusted_message, size_t len,
		   char **ret_answer);

/* One line of JSON text, with its newline; steals @json (NULL is fine). malloc()ed, or NULL. */
char *jsonrpc_line(json_t *json);

/* An error answer without a request, for what the connection itself refuses. malloc()ed, or NULL.
 */
char *jsonrpc_error_text(enum api_error code, const char *sentence);

#endif
