/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* statistics.h - what the balloon device may know of this guest: numbers of its own allocator.
 *
 * Without statistics_init() all of it does nothing. Threads: the boot processor.
 * Source: virtio 1.2 §5.5.6.3 "Memory Statistics".
 */
#ifndef BARE_STATISTICS_H
#define BARE_STATISTICS_H

#include "virtio.h"

bool statistics_init(struct virtio_device *device, unsigned index, bool deflates_on_oom);
void statistics_start(void); /* after virtio_ready() */
void statistics_poll(void);
uint64_t statistics_count(void); /* how often the device asked */

#endif
