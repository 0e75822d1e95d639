/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* board.h - where everything is: ports, addresses and interrupt pins of neap's machine.
 *
 * The one copy. machine wires devices by it and hands it to boot for the ACPI tables; the embedded
 * guest includes it too (no other header, freestanding).
 */
#ifndef NEAP_DEVICE_BOARD_H
#define NEAP_DEVICE_BOARD_H

/* Legacy ports */
#define BOARD_I8042_PORT  0x60 /* 0x60 data, 0x64 command: reset only */
#define BOARD_SERIAL_PORT 0x3f8
#define BOARD_SERIAL_GSI  4

/* ACPI, hardware-reduced */
#define BOARD_ACPI_PORT		 0x600 /* BOARD_ACPI_PORT_BYTES of it */
#define BOARD_ACPI_PORT_BYTES	 8
#define BOARD_SLEEP_CONTROL_PORT 0x600
#define BOARD_SLEEP_STATUS_PORT	 0x601
#define BOARD_RESET_PORT	 0x602
#define BOARD_RESET_VALUE	 0x01
#define BOARD_GED_PORT		 0x604 /* 4 bytes: pending events; reading clears */
#define BOARD_GED_GSI		 5
#define BOARD_GED_POWER_BUTTON	 0 /* bit of the pending events */
#define BOARD_SLEEP_TYPE_S5	 5 /* SLP_TYP of soft-off */

/* The guest's exit status: a 32-bit write of n ends the VM with status n. Embedded guest only. */
#define BOARD_EXIT_PORT 0x610

/* Memory-mapped: the hole is 3 GiB to 4 GiB */
#define BOARD_VIRTIO_BASE   0xd0000000
#define BOARD_VIRTIO_STRIDE 0x1000 /* a page each, so that a guest can map one alone */
#define BOARD_VIRTIO_BYTES  0x200
#define BOARD_VIRTIO_GSI    16 /* slot n has pin 16 + n */
#define BOARD_VIRTIO_SLOTS  8
#define BOARD_IOAPIC_BASE   0xfec00000
#define BOARD_IOAPIC_BYTES  0x1000
#define BOARD_LAPIC_BASE    0xfee00000
#define BOARD_PIN_COUNT	    64 /* I/O APIC pins = GSIs */

#endif
