/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* apic.h - local APICs and the I/O APIC, driven from ring 3 by their registers in memory.
 *
 * All interrupt lines are edges: a driver that is woken looks at its device until it is quiet.
 * Source: Intel SDM vol. 3 "Advanced Programmable Interrupt Controller (APIC)"; 82093AA data sheet.
 */
#ifndef BARE_APIC_H
#define BARE_APIC_H

#include <stdbool.h>
#include <stdint.h>

/* This processor's local APIC on. */
void apic_init_this(void);

/* Line @gsi to this processor as vector VECTOR_GSI + @gsi; false: the I/O APIC has no such pin. */
bool apic_route(unsigned gsi);

/* One timer interrupt on this processor, about @ns from now (never later, if maybe sooner). */
void apic_start_timer(uint64_t ns);

/* KVM's and QEMU's APIC timers count nanoseconds: the yardstick when nothing else is known. */
uint64_t apic_measure_tsc_khz(void);

void apic_send_wake(uint8_t apic_id);

/* INIT, then start-up at @page (address / 4096, below 1 MiB). Who runs already takes no notice of a
 * start-up. */
void apic_send_init(uint8_t apic_id);
void apic_send_startup(uint8_t apic_id, uint8_t page);

#endif
