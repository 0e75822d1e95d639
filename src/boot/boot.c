/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* boot.c - the order in which a guest's first memory is written; guest_map.h says where.
 *
 * An image is recognised by its first bytes, never by its name. Everything is written anew each
 * time, so a reset starts from the same state as the first start whatever the guest left behind.
 */
#include "boot/boot.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "boot/bzimage.h"
#include "boot/elf_pvh.h"
#include "boot/guest_map.h"
#include "boot/image.h"
#include "boot/long_mode.h"
#include "boot/placement.h"

struct boot_common {
	const struct boot_config *config;
	struct guest_map map;
	gpa_t rsdp;
};

static int load_elf(const struct boot_common *common, const struct image *image,
		    struct boot_entry *ret_entry, struct err *err)
{
	const struct boot_config *config = common->config;
	struct placed_initrd initrd;
	uint64_t kernel_end;
	gpa_t entry;
	int failed = elf_pvh_load(image, config->ram, &entry, &kernel_end, err);

	if (!failed)
		failed = cmdline_write(config->ram, config->cmdline, GUEST_CMDLINE_MAX_BYTES, err);
	if (!failed)
		failed = initrd_load(config->initrd_path, config->ram, kernel_end,
				     guest_low_ram_end(config->ram), &initrd, err);
	if (!failed)
		failed = elf_pvh_write_start_info(config->ram, &common->map, common->rsdp, &initrd,
						  err);
	if (failed)
		return failed;
	*ret_entry = (struct boot_entry){ .protocol = BOOT_PVH,
					  .entry = entry,
					  .parameter = GPA(GUEST_START_INFO) };
	return 0;
}

static int load_bzimage(const struct boot_common *common, const struct image *image,
			struct boot_entry *ret_entry, struct err *err)
{
	const struct boot_config *config = common->config;
	struct placed_initrd initrd;
	struct bzimage kernel;
	int failed = bzimage_load(image, config->ram, &kernel, err);

	if (!failed)
		failed = cmdline_write(config->ram, config->cmdline, kernel.cmdline_max_bytes, err);
	if (!failed)
		failed = initrd_load(config->initrd_path, config->ram, kernel.kernel_end,
				     kernel.initrd_end, &initrd, err);
	if (!failed)
		failed = bzimage_write_boot_params(&kernel, config->ram, &common->map, common->rsdp,
						   &initrd, err);
	if (!failed)
		failed = long_mode_write(config->ram, err);
	if (failed)
		return failed;
	*ret_entry = (struct boot_entry){ .protocol = BOOT_LINUX64,
					  .entry = kernel.entry,
					  .parameter = GPA(GUEST_BOOT_PARAMS),
					  .gdt = GPA(GUEST_GDT),
					  .page_table = GPA(GUEST_PAGE_TABLES) };
	return 0;
}

static int load_kernel(const struct boot_common *common, const struct image *image,
		       struct boot_entry *ret_entry, struct err *err)
{
	char magic[SELFMAG] = "";
	int failed = 0;

	if (image_holds(image, 0, sizeof(magic)))
		failed = image_read(image, 0, magic, sizeof(magic), err);
	if (failed)
		return failed;
	if (memcmp(magic, ELFMAG, SELFMAG) == 0)
		return load_elf(common, image, ret_entry, err);
	if (bzimage_detect(image))
		return load_bzimage(common, image, ret_entry, err);
	return image_refuse(image, err, "it is neither a bzImage nor an ELF file");
}

static int open_kernel(const struct boot_config *config, struct image *ret_image, struct err *err)
{
	if (config->kernel_path)
		return image_open(config->kernel_path, "kernel", ret_image, err);
	if (!config->kernel_image || config->kernel_image_bytes == 0)
		return err_set(err, -EINVAL, "no kernel was given");
	image_from_memory(config->kernel_image, config->kernel_image_bytes, "the built-in guest",
			  ret_image);
	return 0;
}

int boot_load(const struct boot_config *config, struct boot_entry *ret_entry, struct err *err)
{
	struct boot_common common = { .config = config };
	CLEANUP(image_close)
	struct image image = { .fd = -1 };
	struct boot_entry entry;
	int failed = open_kernel(config, &image, err);

	if (failed)
		return failed;
	if (guest_low_ram_end(config->ram) <= GUEST_KERNEL_MIN)
		return err_set(err, -EINVAL, "a guest needs more than 1 MiB of memory");
	guest_map_init(config->ram, &common.map);
	failed = acpi_write_tables(config->ram, config->acpi, &common.rsdp, err);
	if (!failed)
		failed = load_kernel(&common, &image, &entry, err);
	if (!failed)
		failed = image_check_unchanged(&image, err);
	if (failed)
		return failed;
	*ret_entry = entry;
	return 0;
}
