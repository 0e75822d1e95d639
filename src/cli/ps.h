/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ps.h - the rows of `neap ps` that come from the host's daemon. Inside cli/ only. */
#ifndef NEAP_CLI_PS_H
#define NEAP_CLI_PS_H

#include <jansson.h>

#include "cli/daemon.h"
#include "cli/output.h"

/* What is told in numbers of a VM that answers: members of its row of `neap ps --json`, whoever tells them. */
struct ps_column {
	const char *key;
	bool is_of_memory; /* in vm.memory's answer; else in vm.info's */
	const char *less;  /* a daemon has it not, but maximum_bytes and what that is less it */
};
enum { PS_COLUMN_COUNT = 8 };
extern const struct ps_column ps_columns[PS_COLUMN_COUNT];

/* The daemon's VMs as `neap ps --json` has them: an array. 0, or as rpc_client_call(). */
int ps_daemon_rows(struct daemon *daemon, const char *selector, json_t **ret_rows, struct err *err);

/* Of @rows, those of the daemon and others. */
void ps_print_daemon_rows(const json_t *rows);

enum out_colour ps_state_colour(const char *state);

/* "env=prod,web": into @text, cut with dots where it is too long. "-": none. Returns @text. */
const char *ps_labels(const json_t *labels, char text[], size_t text_bytes);

#endif
