/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* help.h - help on the screen and the manual page, from the same tables. Inside cli/ only. */
#ifndef NEAP_CLI_HELP_H
#define NEAP_CLI_HELP_H

#include "cli/commands.h"

/* The rows of base/exit_codes.def; returns how many. */
unsigned help_exit_codes(const int **ret_numbers, const char *const **ret_helps);

int man_print(void); /* neap(1) as troff on standard output; an enum exit_code */

#endif
