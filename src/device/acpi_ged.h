/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* acpi_ged.h - the registers of hardware-reduced ACPI: sleep, reset and the event device.
 *
 *   BOARD_SLEEP_CONTROL_PORT  1 byte   SLP_TYP bits 2-4, SLP_EN bit 5 (reads as 0)
 *   BOARD_SLEEP_STATUS_PORT   1 byte   WAK_STS bit 7, write 1 to clear
 *   BOARD_RESET_PORT          1 byte   writing BOARD_RESET_VALUE resets the machine
 *   BOARD_GED_PORT            4 bytes  pending events; reading clears, atomically
 *
 * Soft-off is the only sleep there is; any other sleep type wakes at once, so that a guest that
 * tries one goes on instead of waiting for ever. Every other access reads 0 and does nothing.
 *
 * Threads: registers on any vCPU thread, acpi_ged_power_button() on any; no lock, atomics only.
 * Source: ACPI 6.4 §4.8.3.7 "Sleep Control and Status Registers", §4.8.3.6 "Reset Register",
 * §5.6.9 "Interrupt-signaled ACPI events".
 */
#ifndef NEAP_DEVICE_ACPI_GED_H
#define NEAP_DEVICE_ACPI_GED_H

#include <stdatomic.h>

#include "device/bus.h"

struct acpi_ged {
	/* Both on the vCPU thread that wrote the register; they return at once. */
	void (*power_off)(void *ctx);
	void (*reset)(void *ctx);
	void *ctx;
	int irq_fd; /* eventfd on BOARD_GED_GSI, borrowed */

	_Atomic uint32_t pending_events; /* bit per event, BOARD_GED_POWER_BUTTON */
	_Atomic uint8_t sleep_type;	 /* SLP_TYP as written */
	_Atomic bool woken;		 /* WAK_STS */
};

extern const struct bus_ops acpi_ged_bus_ops; /* device = struct acpi_ged *, at BOARD_ACPI_PORT */

/* Somebody pressed the power button. Any thread. */
void acpi_ged_power_button(struct acpi_ged *ged);

/* The I/O APIC pin was unmasked: signal again what is pending. Any thread. */
void acpi_ged_reassert(struct acpi_ged *ged);

/* Machine reset: nothing pending. Callbacks and irq_fd stay. */
void acpi_ged_machine_reset(struct acpi_ged *ged);

#endif
