/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* acpi_ged.c - see acpi_ged.h. */
#include "device/acpi_ged.h"

#include <string.h>

#include "base/fd.h"
#include "device/board.h"

enum {
	SLEEP_CONTROL = BOARD_SLEEP_CONTROL_PORT - BOARD_ACPI_PORT,
	SLEEP_STATUS = BOARD_SLEEP_STATUS_PORT - BOARD_ACPI_PORT,
	RESET = BOARD_RESET_PORT - BOARD_ACPI_PORT,
	EVENTS = BOARD_GED_PORT - BOARD_ACPI_PORT,

	SLP_TYP_SHIFT = 2,
	SLP_TYP_MASK = 0x7,
	SLP_EN = 1 << 5,
	WAK_STS = 1 << 7,
};

static uint8_t read_byte(struct acpi_ged *ged, uint64_t offset)
{
	switch (offset) {
	case SLEEP_CONTROL: return (uint8_t)(atomic_load(&ged->sleep_type) << SLP_TYP_SHIFT);
	case SLEEP_STATUS: return atomic_load(&ged->woken) ? WAK_STS : 0;
	default: return 0;
	}
}

static void read_port(void *device, uint64_t offset, void *data, uint32_t len)
{
	struct acpi_ged *ged = device;
	uint32_t events;

	memset(data, 0, len);
	if (len == 1) {
		*(uint8_t *)data = read_byte(ged, offset);
	} else if (len == sizeof(events) && offset == EVENTS) {
		events = atomic_exchange(&ged->pending_events, 0);
		memcpy(data, &events, sizeof(events));
	}
}

static void write_sleep_control(struct acpi_ged *ged, uint8_t value)
{
	uint8_t type = (value >> SLP_TYP_SHIFT) & SLP_TYP_MASK;

	atomic_store(&ged->sleep_type, type);
	if (!(value & SLP_EN))
		return;
	if (type == BOARD_SLEEP_TYPE_S5)
		ged->power_off(ged->ctx);
	else
		atomic_store(&ged->woken, true);
}

static void write_port(void *device, uint64_t offset, const void *data, uint32_t len)
{
	struct acpi_ged *ged = device;
	uint8_t value = *(const uint8_t *)data;

	if (len != 1)
		return;
	if (offset == SLEEP_CONTROL)
		write_sleep_control(ged, value);
	else if (offset == SLEEP_STATUS && (value & WAK_STS))
		atomic_store(&ged->woken, false);
	else if (offset == RESET && value == BOARD_RESET_VALUE)
		ged->reset(ged->ctx);
}

const struct bus_ops acpi_ged_bus_ops = { .name = "acpi", .read = read_port, .write = write_port };

void acpi_ged_power_button(struct acpi_ged *ged)
{
	atomic_fetch_or(&ged->pending_events, UINT32_C(1) << BOARD_GED_POWER_BUTTON);
	event_signal(ged->irq_fd);
}

void acpi_ged_reassert(struct acpi_ged *ged)
{
	if (atomic_load(&ged->pending_events))
		event_signal(ged->irq_fd);
}

void acpi_ged_machine_reset(struct acpi_ged *ged)
{
	atomic_store(&ged->pending_events, 0);
	atomic_store(&ged->sleep_type, 0);
	atomic_store(&ged->woken, false);
}
