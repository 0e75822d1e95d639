/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ps.h - the rows of `neap ps` that come from the host's daemon. Inside cli/ only. */
#ifndef NEAP_CLI_PS_H
#define NEAP_CLI_PS_H

#include <jansson.h>

#include "cli/daemon.h"
#include "cli/output.h"

/* The daemon's VMs as `neap ps --json` has them: an array. 0, or as rpc_client_call(). */
int ps_daemon_rows(struct daemon *daemon, const char *selector, json_t **ret_rows, struct err *err);
bool ps_has_row(const json_t *rows, const char *name);

/* Of @rows, those of the daemon and others. */
void ps_print_daemon_rows(const json_t *rows);

enum out_colour ps_state_colour(const char *state);

/* "env=prod,web": into @text, cut with dots where it is too long. "-": none. Returns @text. */
const char *ps_labels(const json_t *labels, char text[], size_t text_bytes);

#endif
