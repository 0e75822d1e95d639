/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* boot_guest.c - kernel and tables into RAM, vCPU 0 at the first instruction.
 *
 * Stock kernels find the devices through ACPI. The embedded guest reads no ACPI: it gets them on
 * its command line, in the words Linux uses for virtio-mmio.
 */
#include <errno.h>

#include "bare/image.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "machine/machine_internal.h"

#define CMDLINE_MAX_BYTES (64 * KIB_BYTES)

static struct acpi_config acpi_of_board(const struct machine *machine)
{
	struct acpi_config acpi = {
		.cpu_count = machine->config->cpus,
		.lapic_addr = BOARD_LAPIC_BASE,
		.ioapic_addr = BOARD_IOAPIC_BASE,
		.serial_port = BOARD_SERIAL_PORT,
		.serial_gsi = BOARD_SERIAL_GSI,
		.ged_port = BOARD_GED_PORT,
		.ged_gsi = BOARD_GED_GSI,
		.sleep_control_port = BOARD_SLEEP_CONTROL_PORT,
		.sleep_status_port = BOARD_SLEEP_STATUS_PORT,
		.reset_port = BOARD_RESET_PORT,
		.reset_value = BOARD_RESET_VALUE,
		.mmio_count = machine->slot_count,
	};

	for (unsigned i = 0; i < machine->slot_count; i++)
		acpi.mmio[i] = (struct acpi_mmio_device){
			.start = BOARD_VIRTIO_BASE + (uint64_t)i * BOARD_VIRTIO_STRIDE,
			.len_bytes = BOARD_VIRTIO_BYTES,
			.gsi = BOARD_VIRTIO_GSI + i,
		};
	return acpi;
}

static void add_device_words(struct strbuf *words, const struct acpi_config *acpi)
{
	for (unsigned i = 0; i < acpi->mmio_count; i++)
		strbuf_printf(words, " virtio_mmio.device=%u@%#llx:%u", acpi->mmio[i].len_bytes,
			      (unsigned long long)acpi->mmio[i].start, acpi->mmio[i].gsi);
}

static struct vcpu_start start_of(const struct boot_entry *entry)
{
	return (struct vcpu_start){
		.long_mode = entry->protocol == BOOT_LINUX64,
		.rip = entry->entry.addr,
		.parameter = entry->parameter.addr,
		.gdt = entry->gdt.addr,
		.page_table = entry->page_table.addr,
	};
}

int machine_load_guest(struct machine *machine, struct err *err)
{
	const struct vm_config *config = machine->config;
	bool embedded = !config->boot.kernel_path;
	struct acpi_config acpi = acpi_of_board(machine);
	__attribute__((cleanup(strbuf_fini))) struct strbuf cmdline;
	struct boot_config boot = {
		.ram = machine->ram,
		.kernel_path = config->boot.kernel_path,
		.kernel_image = embedded ? bare_guest_image : NULL,
		.kernel_image_bytes = embedded ? bare_guest_image_bytes : 0,
		.initrd_path = config->boot.initrd_path,
		.acpi = &acpi,
	};
	struct boot_entry entry;
	struct vcpu_start start;
	int ret;

	strbuf_init(&cmdline, CMDLINE_MAX_BYTES);
	strbuf_printf(&cmdline, "%s", config->boot.cmdline ? config->boot.cmdline : "");
	if (embedded)
		add_device_words(&cmdline, &acpi);
	if (cmdline.failed)
		return err_set(err, -E2BIG, "the kernel command line is longer than %llu bytes",
			       (unsigned long long)CMDLINE_MAX_BYTES);
	boot.cmdline = cmdline.text ? cmdline.text : "";
	ret = boot_load(&boot, &entry, err);
	if (ret < 0)
		return ret;
	start = start_of(&entry);
	return vcpus_reset(machine->vcpus, &start, err);
}
