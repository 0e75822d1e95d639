/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_elf.c - any bytes as a kernel: refused in words, or loaded inside RAM. Never a crash.
 *
 * Shared by fuzz_bzimage.c, which differs in its corpus only: the loader picks by content.
 */
#include <stdint.h>
#include <stdlib.h>

#include "boot/boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { FUZZ_RAM_MIB = 4 };

static struct ram *guest_ram(void)
{
	static struct ram *ram;
	const struct ram_config config = { .ram_bytes = FUZZ_RAM_MIB * MIB_BYTES,
					   .frame_bytes = GUEST_PAGE_BYTES };

	if (!ram && ram_open(&config, &ram, NULL) < 0)
		abort();
	return ram;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct acpi_config acpi = { .cpu_count = 1 };
	struct boot_config config = { .ram = guest_ram(),
				      .kernel_image = data,
				      .kernel_image_bytes = len,
				      .cmdline = "console=ttyS0",
				      .acpi = &acpi };
	struct boot_entry entry = { 0 };
	struct err err = { 0 };
	int result = boot_load(&config, &entry, &err);

	/* The promises: a sentence for every refusal, and an entry inside RAM for every success. */
	if (result < 0 && (err.code != result || err.text[0] == 0))
		abort();
	if (result == 0 &&
	    (entry.entry.addr < MIB_BYTES || entry.entry.addr >= FUZZ_RAM_MIB * MIB_BYTES))
		abort();
	return 0;
}
