/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* set.h - the parts of `neap set`: what it may say, and what a daemon keeps of it. Inside cli/ only. */
#ifndef NEAP_CLI_SET_H
#define NEAP_CLI_SET_H

#include "cli/vms.h"
#include "config/suggest.h"

/* Every key that can be set, and what its value is called. */
typedef void (*set_take_key)(void *ctx, const char *key, const char *metavar, const char *help);
void set_each_key(set_take_key take, void *ctx);

/* --- what a daemon keeps (set_options.c): parameters of vm.update ------------------------------------- */

void set_each_kept_key(set_take_key take, void *ctx);

/**
 * set_keep() - add "KEY=VALUE" to @update
 * Return: EXIT_CODE_OK; EXIT_CODE_USAGE, said; -ENOENT: no such key.
 */
int set_keep(json_t *update, const char *text);

/* vm.update was done: what holds at once, and what at the next start. */
void set_say_kept(const char *vm_name, const json_t *result);

/* vm.update of all that --selector selects. */
int set_keep_selected(const struct cli_call *call, json_t *update);

#endif
