/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* vcpu_glue.c - what a vCPU's exits reach: the buses, guest RAM that KVM could not back, the end.
 *
 * Threads: all of it on vCPU threads.
 */
#include <errno.h>

#include "machine/machine_internal.h"
#include "memory/access.h"

static void glue_pio_read(void *ctx, uint16_t port, void *data, uint32_t len)
{
	struct machine *machine = ctx;

	bus_read(&machine->pio, port, data, len);
}

static void glue_pio_write(void *ctx, uint16_t port, const void *data, uint32_t len)
{
	struct machine *machine = ctx;

	bus_write(&machine->pio, port, data, len);
}

static void glue_mmio_read(void *ctx, uint64_t addr, void *data, uint32_t len)
{
	struct machine *machine = ctx;

	bus_read(&machine->mmio, addr, data, len);
}

static void glue_mmio_write(void *ctx, uint64_t addr, const void *data, uint32_t len)
{
	struct machine *machine = ctx;

	bus_write(&machine->mmio, addr, data, len);
}

static bool glue_is_ram(void *ctx, uint64_t addr, uint32_t len)
{
	struct machine *machine = ctx;

	return ram_contains(machine->ram, GPA(addr), len);
}

/* The host has no frame: wait. Anything else: the wait, if there was one, is over. */
static int settle(struct machine *machine, uint64_t addr, int ret)
{
	if (ret == -ENOSPC)
		return famine_wait(machine, addr);
	famine_over(machine);
	return ret;
}

static int glue_ram_read(void *ctx, uint64_t addr, void *data, uint32_t len)
{
	struct machine *machine = ctx;

	return settle(machine, addr, ram_read(machine->ram, GPA(addr), data, len));
}

static int glue_ram_write(void *ctx, uint64_t addr, const void *data, uint32_t len)
{
	struct machine *machine = ctx;

	return settle(machine, addr, ram_write(machine->ram, GPA(addr), data, len));
}

/* KVM does not always say which address it was, so there is nothing to allocate: the vCPU tries
 * again in a little while. It is famine as long as the pool is empty. */
static int cannot_back_unknown(struct machine *machine)
{
	if (memory_view_pool_is_empty(machine))
		return famine_wait(machine, 0);
	famine_over(machine);
	return -EAGAIN;
}

static int glue_cannot_back(void *ctx, bool known, uint64_t addr, uint64_t len_bytes)
{
	struct machine *machine = ctx;

	if (!known)
		return cannot_back_unknown(machine);
	return settle(machine, addr, ram_back(machine->ram, GPA(addr), len_bytes ? len_bytes : 1));
}

static void glue_ioapic_eoi(void *ctx, uint8_t vector)
{
	struct machine *machine = ctx;

	ioapic_eoi(machine->ioapic, vector);
}

static void glue_ended(void *ctx, unsigned vcpu_index, enum vcpu_end end, const char *text)
{
	static const enum machine_request requests[] = {
		[VCPU_END_SHUTDOWN] = REQUEST_CRASH,
		[VCPU_END_FAIL_ENTRY] = REQUEST_CRASH,
		[VCPU_END_INTERNAL_ERROR] = REQUEST_CRASH,
		[VCPU_END_SYSTEM_RESET] = REQUEST_RESET,
		[VCPU_END_SYSTEM_SHUTDOWN] = REQUEST_POWER_OFF,
	};
	struct machine *machine = ctx;

	lifecycle_request(machine, requests[end], vcpu_index, text);
}

const struct vcpu_ops machine_vcpu_ops = {
	.pio_read = glue_pio_read,
	.pio_write = glue_pio_write,
	.mmio_read = glue_mmio_read,
	.mmio_write = glue_mmio_write,
	.is_ram = glue_is_ram,
	.ram_read = glue_ram_read,
	.ram_write = glue_ram_write,
	.cannot_back = glue_cannot_back,
	.ioapic_eoi = glue_ioapic_eoi,
	.ended = glue_ended,
};
