/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* daemon.h - the host's daemon as commands reach it: where its socket is, and whether anybody is there.
 *
 * Commands do without one. --host SOCKET, or else $NEAP_HOST_SOCKET, names a socket, and then that daemon
 * and no other is meant: it must answer, and what it does not know is not looked for elsewhere. The
 * word none means: no daemon. Otherwise the usual places are tried; a socket there that nobody listens
 * to costs a note, and the command goes on with single VMs.
 * Functions that return an enum exit_code have said what is wrong when it is not EXIT_CODE_OK.
 */
#ifndef NEAP_CLI_DAEMON_H
#define NEAP_CLI_DAEMON_H

#include <jansson.h>

#include "cli/commands.h"
#include "rpc/rpc.h"

/* A daemon answers by the deadline that it is given; this is how much later we stop listening. */
enum { DAEMON_SLACK_MS = 2000, DAEMON_LIST_TIMEOUT_MS = 10000 };

/* How often, and after which time, one that ended while it was asked is looked for again. */
enum { DAEMON_AGAIN_TRIES = 50, DAEMON_AGAIN_MS = 10 };

struct daemon {
	struct rpc_client *client; /* NULL: there is none */
	bool is_named;		   /* by --host or the environment: it alone is meant */
	char path[RPC_PATH_BYTES];
};

/* @call NULL: as if there were no flags. */
int daemon_open(const struct cli_call *call, struct daemon *ret_daemon); /* an enum exit_code */

/* The same where there must be one: @what cannot be had without, a sentence's beginning. */
int daemon_need(const struct cli_call *call, const char *what, struct daemon *ret_daemon);
void daemon_close(struct daemon *daemon);

/* rpc_client_call() with the deadline told. Steals @params. */
int daemon_ask(struct rpc_client *client, const char *method, json_t *params, int timeout_ms,
	       json_t **ret_result, struct err *err);

/* The same with the failure said: an enum exit_code. */
int daemon_call(struct daemon *daemon, const char *method, json_t *params, int timeout_ms,
		json_t **ret_result);

/* The exit code for what daemon_ask() returned, with its sentence said; @about: a VM's name, or NULL. */
int daemon_say_failure(const char *about, int code, const struct err *err);

/* Where it would be looked for first: for what connects by itself. False: --host none. */
bool daemon_socket(const struct cli_call *call, char ret_path[RPC_PATH_BYTES], bool *ret_is_named);

#endif
