/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* machine.h - all processors and devices together. */
#ifndef BARE_MACHINE_H
#define BARE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "boot_info.h"

/* Starts the other processors; each waits for commands. */
void machine_start_cpus(const struct boot_info *info);
unsigned machine_cpu_count(void);
unsigned machine_absent_cpus(void); /* in the MADT, but they did not start, or are too many */

/* Gives @command to another processor. False: it does not exist or is busy. */
bool machine_post(unsigned cpu, const char *command);
bool machine_is_busy(unsigned cpu);
void machine_wake(unsigned cpu);

/* Listens to the power button. */
void machine_init_button(void);

/* Boot processor: everything that is due at devices, except typed commands. */
void machine_poll(void);
/* Boot processor: halts until something happens or @deadline_ns (0: none), then polls. */
void machine_sleep(uint64_t deadline_ns);

#endif
