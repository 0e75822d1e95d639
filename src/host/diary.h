/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* diary.h - what the daemon's log says of the events that it publishes. Threads: the loop's. */
#ifndef NEAP_HOST_DIARY_H
#define NEAP_HOST_DIARY_H

#include <jansson.h>

/* One line, or none: grants, and what VMs tell of themselves, have no place in a log. @vm_name NULL: of the
 * host. */
void diary_write(const char *vm_name, const char *kind, const json_t *data);

#endif
