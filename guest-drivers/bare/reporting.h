/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* reporting.h - tells the device which whole 2 MiB blocks are free.
 *
 * Without reporting_init() all of it does nothing. Threads: the boot processor.
 * Source: virtio 1.2 §5.5.6.6 "Free Page Reporting".
 */
#ifndef BARE_REPORTING_H
#define BARE_REPORTING_H

#include "virtio.h"

/* @delay_ms: how long a block has been free before it is reported. */
bool reporting_init(struct virtio_device *device, unsigned index, uint64_t delay_ms);
void reporting_poll(void);
uint64_t reporting_deadline_ns(void); /* when reporting_poll() is due; 0: at an interrupt */
uint64_t reporting_count(void);	      /* blocks reported, ever */

/* Reports every free block at once and waits for it. False: the device does not offer that. */
bool reporting_now(uint64_t *ret_blocks);

#endif
