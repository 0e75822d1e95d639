/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* update.h - vm.update: change a stored VM, at once where that is possible, else at its next start.
 *
 * Threads: the loop's.
 */
#ifndef NEAP_HOST_UPDATE_H
#define NEAP_HOST_UPDATE_H

#include "host/hosted.h"

struct job;

void update_vm(struct job *job);

/* The keys of options by which the stored configuration differs from the one that it runs with, less those
 * that were changed while it runs: a new array. */
json_t *update_next_start(const struct hosted *vm);

#endif
