/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* boot_fixture.h - small kernels made in memory, files that hold them, and RAM to load them into.
 *
 * The kernels are the smallest that neap takes: one segment, or one payload, of a known pattern.
 * A test spoils one field and says what must come of it.
 */
#ifndef NEAP_TESTS_BOOT_FIXTURE_H
#define NEAP_TESTS_BOOT_FIXTURE_H

#include <elf.h>
#include <stdint.h>

#include "boot/boot.h"

enum {
	FIXTURE_RAM_MIB = 64,
	FIXTURE_ENTRY = 0x200010,	/* PVH entry, inside the segment */
	FIXTURE_SEGMENT = 0x200000,	/* where the ELF's segment goes */
	FIXTURE_SEGMENT_FILE = 0x304,	/* its bytes in the file */
	FIXTURE_SEGMENT_MEMORY = 0x900, /* and in memory */
	FIXTURE_PREF_ADDRESS = 0x1000000,
	FIXTURE_INIT_SIZE = 0x200000,
	FIXTURE_CMDLINE_MAX = 300,
};

struct elf_image {
	Elf64_Ehdr header;
	Elf64_Phdr load, note;
	struct {
		Elf64_Nhdr header;
		char name[4];
		uint32_t entry;
	} pvh;
	uint8_t code[FIXTURE_SEGMENT_FILE];
};

struct elf_image elf_image_good(void);

enum {
	BZIMAGE_SETUP_SECTS = 2,
	BZIMAGE_CODE_OFFSET = (BZIMAGE_SETUP_SECTS + 1) * 512,
	BZIMAGE_CODE_BYTES = 0x800,
	BZIMAGE_FIXTURE_BYTES = BZIMAGE_CODE_OFFSET + BZIMAGE_CODE_BYTES,
};

struct bzimage_image {
	uint8_t bytes[BZIMAGE_FIXTURE_BYTES];
};

struct bzimage_image bzimage_good(void);
void bzimage_set(struct bzimage_image *image, unsigned offset, unsigned len, uint64_t value);

/* 4 KiB frames, so that no huge page is needed. */
struct ram *fixture_ram(uint64_t mib);
const struct acpi_config *fixture_acpi(void);

/* A file of its own, deleted by fixture_unlink(). */
struct fixture_file {
	char path[64];
};
struct fixture_file fixture_file(const void *bytes, uint64_t len_bytes);
void fixture_unlink(struct fixture_file *file);

/* boot_load() of an image in memory with cmdline "quiet", unless @cmdline says other. */
int fixture_boot(struct ram *ram, const void *image, uint64_t len_bytes, const char *cmdline,
		 const char *initrd, struct boot_entry *ret_entry, struct err *err);

/* One little-endian number of guest memory; fails the test when it is not RAM. */
uint64_t fixture_peek(struct ram *ram, uint64_t addr, unsigned len);

#endif
