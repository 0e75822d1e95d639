/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ioapic.h - the I/O APIC of a VM whose local APICs live in the kernel (KVM's split irqchip).
 *
 * Problem. A device's interrupt is an eventfd that KVM turns into an MSI without waking us; we only
 * keep the guest's redirection table and say what each pin's MSI is. So an edge that arrives while
 * a pin is masked finds no route and is gone.
 * Design. When a pin becomes deliverable the device is asked to signal again what it still has
 * pending (`unmasked`). A level-triggered pin asks at each EOI as well, which is what "level"
 * means.
 *
 * Threads: registers on any vCPU thread; a mutex inside, held during set_route and not during
 * unmasked.
 *
 * Limits: BOARD_PIN_COUNT pins. Remote IRR and delivery status read as 0: deliveries go from an
 * irqfd to the local APIC and are not seen here. Delivery modes SMI and ExtINT have no source on
 * this board and are never delivered, nor are fixed vectors below 16.
 *
 * Sources: Intel 82093AA data sheet §3 "Register Description"; KVM API 4.52 KVM_SET_GSI_ROUTING;
 * Linux Documentation/virt/kvm/x86/cpuid.rst KVM_FEATURE_MSI_EXT_DEST_ID.
 */
#ifndef NEAP_DEVICE_IOAPIC_H
#define NEAP_DEVICE_IOAPIC_H

#include "device/bus.h"

/* What a pin's edge becomes. Destination bits 8-14 (redirection bits 49-55) are in addr bits
 * 40-46, where KVM_X2APIC_API_USE_32BIT_IDS wants them. */
struct ioapic_route {
	uint64_t addr;
	uint32_t data;
	bool enabled;
};

struct ioapic_host {
	/* The pin's MSI changed. Under the I/O APIC's lock, so that the last write wins. */
	void (*set_route)(void *ctx, uint32_t pin, const struct ioapic_route *route);
	/* The pin's device: signal again if an interrupt is pending. No lock held. */
	void (*unmasked)(void *ctx, uint32_t pin);
	void *ctx;
};

struct ioapic; /* opaque */

int ioapic_create(const struct ioapic_host *host, struct ioapic **ret_ioapic, struct err *err);
void ioapic_destroy(struct ioapic *ioapic);

extern const struct bus_ops ioapic_bus_ops; /* device = struct ioapic *, at BOARD_IOAPIC_BASE */

/* A local APIC ended a level-triggered interrupt (KVM_EXIT_IOAPIC_EOI). Any vCPU thread. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);

/* Machine reset: every pin masked, every route gone. vCPUs stopped. */
void ioapic_reset(struct ioapic *ioapic);

#endif
