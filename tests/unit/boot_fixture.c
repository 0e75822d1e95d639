/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* boot_fixture.c - see boot_fixture.h. */
#include "boot_fixture.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "device/board.h"
#include "memory/access.h"

_Static_assert(sizeof(struct elf_image) == offsetof(struct elf_image, code) + FIXTURE_SEGMENT_FILE,
	       "no padding after it");

struct elf_image elf_image_good(void)
{
	struct elf_image image = {
		.header = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
					 ELFDATA2LSB, EV_CURRENT },
			    .e_type = ET_EXEC,
			    .e_machine = EM_X86_64,
			    .e_version = EV_CURRENT,
			    .e_phoff = offsetof(struct elf_image, load),
			    .e_ehsize = sizeof(Elf64_Ehdr),
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = 2 },
		.load = { .p_type = PT_LOAD,
			  .p_offset = offsetof(struct elf_image, code),
			  .p_paddr = FIXTURE_SEGMENT,
			  .p_filesz = FIXTURE_SEGMENT_FILE,
			  .p_memsz = FIXTURE_SEGMENT_MEMORY },
		.note = { .p_type = PT_NOTE,
			  .p_offset = offsetof(struct elf_image, pvh),
			  .p_filesz = sizeof(image.pvh),
			  .p_memsz = sizeof(image.pvh),
			  .p_align = 4 },
		.pvh = { .header = { .n_namesz = 4, .n_descsz = 4, .n_type = 18 },
			 .name = "Xen",
			 .entry = FIXTURE_ENTRY },
	};

	for (unsigned i = 0; i < sizeof(image.code); i++)
		image.code[i] = (uint8_t)(i * 7 + 1);
	return image;
}

void bzimage_set(struct bzimage_image *image, unsigned offset, unsigned len, uint64_t value)
{
	memcpy(image->bytes + offset, &value, len);
}

struct bzimage_image bzimage_good(void)
{
	struct bzimage_image image = { 0 };

	for (unsigned i = BZIMAGE_CODE_OFFSET; i < sizeof(image.bytes); i++)
		image.bytes[i] = (uint8_t)(i * 5 + 3);
	bzimage_set(&image, 0x1f1, 1, BZIMAGE_SETUP_SECTS);
	bzimage_set(&image, 0x1f4, 4, BZIMAGE_CODE_BYTES / 16);
	bzimage_set(&image, 0x1fe, 2, 0xaa55);
	bzimage_set(&image, 0x200, 2, 0x6aeb); /* jump over the header: it ends at 0x26c */
	memcpy(image.bytes + 0x202, "HdrS", 4);
	bzimage_set(&image, 0x206, 2, 0x20f);
	bzimage_set(&image, 0x211, 1, 1); /* LOADED_HIGH */
	bzimage_set(&image, 0x22c, 4, 0x7fffffff);
	bzimage_set(&image, 0x230, 4, 0x200000);
	bzimage_set(&image, 0x234, 1, 1);
	bzimage_set(&image, 0x236, 2, 1); /* XLF_KERNEL_64 */
	bzimage_set(&image, 0x238, 4, FIXTURE_CMDLINE_MAX);
	bzimage_set(&image, 0x248, 4, 0x300);
	bzimage_set(&image, 0x24c, 4, 0x400);
	bzimage_set(&image, 0x250, 8, 0x1234); /* setup_data: not for a file to say */
	bzimage_set(&image, 0x258, 8, FIXTURE_PREF_ADDRESS);
	bzimage_set(&image, 0x260, 4, FIXTURE_INIT_SIZE);
	return image;
}

struct ram *fixture_ram(uint64_t mib)
{
	struct ram_config config = { .ram_bytes = mib << MIB_SHIFT,
				     .frame_bytes = GUEST_PAGE_BYTES };
	struct err err = { 0 };
	struct ram *ram;

	if (ram_open(&config, &ram, &err) < 0)
		fail_msg("%s", err.text);
	return ram;
}

const struct acpi_config *fixture_acpi(void)
{
	static const struct acpi_config config = {
		.cpu_count = 2,
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
		.mmio_count = 2,
		.mmio = { { BOARD_VIRTIO_BASE, BOARD_VIRTIO_BYTES, BOARD_VIRTIO_GSI },
			  { BOARD_VIRTIO_BASE + BOARD_VIRTIO_STRIDE, BOARD_VIRTIO_BYTES,
			    BOARD_VIRTIO_GSI + 1 } },
	};

	return &config;
}

struct fixture_file fixture_file(const void *bytes, uint64_t len_bytes)
{
	struct fixture_file file = { "/tmp/neap-boot-XXXXXX" };
	int fd = mkstemp(file.path);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, bytes, len_bytes), 0);
	close(fd);
	return file;
}

void fixture_unlink(struct fixture_file *file)
{
	unlink(file->path);
}

int fixture_boot(struct ram *ram, const void *image, uint64_t len_bytes, const char *cmdline,
		 const char *initrd, struct boot_entry *ret_entry, struct err *err)
{
	struct boot_config config = { .ram = ram,
				      .kernel_image = image,
				      .kernel_image_bytes = len_bytes,
				      .initrd_path = initrd,
				      .cmdline = cmdline ? cmdline : "quiet",
				      .acpi = fixture_acpi() };

	return boot_load(&config, ret_entry, err);
}

uint64_t fixture_peek(struct ram *ram, uint64_t addr, unsigned len)
{
	uint64_t value = 0;

	assert_int_equal(ram_read(ram, GPA(addr), &value, len), 0);
	return value;
}
