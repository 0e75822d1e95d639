/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* info.h - parts of `neap info` that lie in files of their own. Inside cli/ only. */
#ifndef NEAP_CLI_INFO_H
#define NEAP_CLI_INFO_H

#include <jansson.h>

/* @memory: the result of vm.memory. The states of the blocks of guest RAM as a bar and a table, and
 * how many of them are in use. */
void info_print_blocks(const json_t *memory);

/* What went to swap and came back. Nothing without swap. */
void info_print_swap(const json_t *memory);

/* Its dynamic memory: settings, the last decision, what was moved. Nothing for a VM without. */
void info_print_policy(const json_t *memory, const char *vm_name);

#endif
