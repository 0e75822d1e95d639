/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* commands.h - one line in, one answer out: `ok NAME key=value...` or `error NAME text`.
 *
 * Threads: any processor; an answer from another than the boot processor ends in cpu=N.
 */
#ifndef BARE_COMMANDS_H
#define BARE_COMMANDS_H

#include <stdbool.h>

/* Runs one command; cuts up @line. False: it answered with an error. */
bool command_run(char *line);

/* Runs commands separated by ';'. False: one answered with an error; those after it did not run. */
bool command_run_all(char *script);

#endif
