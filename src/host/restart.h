/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* restart.h - the restart policy: whether, and after how long. Pure. */
#ifndef NEAP_HOST_RESTART_H
#define NEAP_HOST_RESTART_H

#include "host/hosted.h"

/* How long to wait before the restart number @restarts in a row (from 1): doubles from the least to the most. */
uint64_t restart_backoff_ms(unsigned restarts, uint64_t least_ms, uint64_t most_ms);

/* Does the policy start a VM again after such an end? What somebody ended (EXIT_CODE_KILLED) did not end by
 * itself. An end that nobody saw is a failure. */
bool restart_follows(enum hosted_restart restart, const struct process_end *end);

/* It could not even start: what its exit code means, when nobody saw it. */
bool restart_never_ran(const struct process_end *end);

#endif
