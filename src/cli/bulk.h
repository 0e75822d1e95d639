/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bulk.h - one command for all VMs that --selector selects, with a result for each. Inside cli/ only. */
#ifndef NEAP_CLI_BULK_H
#define NEAP_CLI_BULK_H

#include <jansson.h>

#include "cli/daemon.h"

/**
 * bulk_call() - call @method for every VM that --selector selects
 * @params:      beside the selector; stolen
 * @ret_results: an array with, per VM, vm and either result or error
 *
 * Return: EXIT_CODE_OK even if VMs failed; another exit code, said, when nothing was done.
 */
int bulk_call(const struct cli_call *call, struct daemon *daemon, const char *method,
	      json_t *params, int timeout_ms, json_t **ret_results);

/* What a success is in words: in @text, or a constant. */
typedef const char *(*bulk_say)(const json_t *result, char text[], size_t text_bytes);

/**
 * bulk_report() - print @results, as a table or as JSON, and steal them
 * @say: NULL: the state in a result, or "done"
 *
 * Return: EXIT_CODE_OK; EXIT_CODE_FAILED: a VM failed; EXIT_CODE_NO_VM: none was selected.
 */
int bulk_report(const struct cli_call *call, json_t *results, bulk_say say);

/* Both. */
int bulk_do(const struct cli_call *call, const char *method, json_t *params, int timeout_ms);

#endif
