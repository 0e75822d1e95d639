/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* call.h - one request from its arrival until its handler has done with it. For jsonrpc.c. */
#ifndef NEAP_RPC_CALL_H
#define NEAP_RPC_CALL_H

#include "rpc/jsonrpc.h"

/* The answers of a batch, until all are there. */
struct batch {
	unsigned pending; /* calls, and one for whoever fills it */
	json_t *answers;
	bool has_failed; /* there was no memory for one of them */
};

struct batch *batch_create(void);			  /* NULL: no memory */
void batch_add(struct batch *batch, json_t *answer);	  /* steals @answer */
void batch_put(struct batch *batch, struct jsonrpc *rpc); /* the last one sends it */

/**
 * call_run() - let the backend do it, and answer if it could at once
 * @id:            to answer with, stolen; NULL: a notification
 * @batch:         NULL: it stands alone
 * @message_bytes: what it counts for
 *
 * Return: 0, or -ENOMEM.
 */
int call_run(struct jsonrpc *rpc, const char *untrusted_method, const json_t *untrusted_params,
	     json_t *id, struct batch *batch, size_t message_bytes);

/* Steals @id; NULL stands for null. */
json_t *call_error(json_t *id, int code, const char *untrusted_sentence);

#endif
