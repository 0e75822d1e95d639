/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* link.h - a lasting connection to one VM's socket, for a program that follows many: calls without
 * waiting, and the VM's events. The blocking client for a person's commands is in rpc.h.
 *
 * What a VM sends is as untrusted as what a client sends: same limits, and a VM that sends nonsense or
 * too much loses its link, with a reason.
 * Threads: the loop's. A link may be closed in any of its callbacks.
 */
#ifndef NEAP_RPC_LINK_H
#define NEAP_RPC_LINK_H

#include <jansson.h>
#include <sys/types.h>
#include <uv.h>

#include "base/err.h"

struct rpc_link; /* opaque */

struct rpc_link_ops {
	/* @data: borrowed. May be NULL: nobody listens. */
	void (*on_event)(void *ctx, const char *kind, const json_t *data);
	/* Once; calls that were waiting have failed with -EPIPE before. Not after rpc_link_close(), which
	 * is still to be called, now or later.
	 * @reason: 0: the VM closed it; -EPROTO: it sent nonsense, -EMSGSIZE: a message that is too
	 * long, -EDQUOT: more events than anybody needs; another negative errno. */
	void (*on_closed)(void *ctx, int reason);
};

/* The same in words. */
const char *rpc_link_reason(int reason);

/**
 * rpc_link_open() - connect to the VM's socket at @path
 *
 * Return: 0; -ENOENT, -ECONNREFUSED (left over), -EAGAIN (its backlog is full: it does not answer),
 *         -EPERM (it belongs to somebody else), ...
 */
int rpc_link_open(uv_loop_t *loop, const char *path, const struct rpc_link_ops *ops, void *ctx,
		  struct rpc_link **ret_link, struct err *err);
void rpc_link_close(struct rpc_link *link); /* NULL is fine; waiting calls are dropped silently */
pid_t rpc_link_peer_pid(const struct rpc_link *link);

/* @code: 0, an enum api_error, -ETIMEDOUT or -EPIPE. @result: borrowed, NULL unless @code is 0.
 * @sentence: never NULL. */
typedef void (*rpc_link_done)(void *ctx, int code, const json_t *result, const char *sentence);

/**
 * rpc_link_call() - one call; steals @params (may be NULL)
 * @timeout_ms: negative: as long as it takes
 * @done:       NULL: nobody wants to know
 *
 * Return: 0: @done is called once, later, unless the link is closed by rpc_link_close() first;
 *         -EAGAIN: too much waits to be sent or answered (the VM does not read); -EPIPE: the link is
 *         closed; -ENOMEM. @done is not called then.
 */
int rpc_link_call(struct rpc_link *link, const char *method, json_t *params, int timeout_ms,
		  rpc_link_done done, void *ctx);

/* @fd: the console's stream, with O_NONBLOCK, the callee's from now on; -1 unless @code is 0. */
typedef void (*rpc_link_console_done)(void *ctx, int code, int fd, const char *sentence);

/**
 * rpc_link_console() - vm.console: the link's socket becomes the console
 *
 * For a link of its own that nothing else was asked on. When it was done the link is an empty shell
 * without on_closed, that rpc_link_close() ends. Returns as rpc_link_call().
 */
int rpc_link_console(struct rpc_link *link, int timeout_ms, rpc_link_console_done done, void *ctx);

#endif
