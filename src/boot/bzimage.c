/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bzimage.c - check a bzImage's setup header, copy its kernel, fill boot_params.
 *
 * The 64-bit entry is 0x200 past the load address; it needs long mode, an identity map and
 * rsi = boot_params, and no real-mode code runs. A kernel says it has one by XLF_KERNEL_64, which
 * came with protocol 2.12 (Linux 3.8); older images are refused.
 *
 * A relocatable kernel is still put at its preferred address: lower is no use (Linux moves itself
 * back up), higher wastes memory.
 */
#include "boot/bzimage.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "memory/access.h"

/* Offsets in the file and in boot_params. */
enum {
	BP_ACPI_RSDP_ADDR = 0x070,
	BP_E820_ROWS = 0x1e8,
	BP_E820_TABLE = 0x2d0,
	BP_E820_ROW_BYTES = 20,
	HDR_START = 0x1f1,
	HDR_SETUP_SECTS = 0x1f1,
	HDR_SYSSIZE = 0x1f4,
	HDR_VID_MODE = 0x1fa,
	HDR_BOOT_FLAG = 0x1fe,
	HDR_JUMP_LEN = 0x201,
	HDR_MAGIC = 0x202,
	HDR_VERSION = 0x206,
	HDR_TYPE_OF_LOADER = 0x210,
	HDR_LOADFLAGS = 0x211,
	HDR_CODE32_START = 0x214,
	HDR_RAMDISK_IMAGE = 0x218,
	HDR_RAMDISK_SIZE = 0x21c,
	HDR_CMD_LINE_PTR = 0x228,
	HDR_INITRD_ADDR_MAX = 0x22c,
	HDR_KERNEL_ALIGNMENT = 0x230,
	HDR_RELOCATABLE = 0x234,
	HDR_XLOADFLAGS = 0x236,
	HDR_CMDLINE_SIZE = 0x238,
	HDR_PAYLOAD_OFFSET = 0x248,
	HDR_PAYLOAD_LENGTH = 0x24c,
	HDR_SETUP_DATA = 0x250,
	HDR_PREF_ADDRESS = 0x258,
	HDR_INIT_SIZE = 0x260,
	HDR_NEEDED = 0x264, /* up to here every header of protocol 2.12 reaches */
};

enum {
	SECTOR_BYTES = 512,
	PARAGRAPH_BYTES = 16, /* unit of syssize */
	BOOT_FLAG = 0xaa55,
	HDR_MAGIC_HDRS = 0x53726448, /* "HdrS" */
	VERSION_NEEDED = 0x20c,
	LOADED_HIGH = 1 << 0,
	XLF_KERNEL_64 = 1 << 0,
	LOADER_UNDEFINED = 0xff,
	VID_MODE_NORMAL = 0xffff,
	ENTRY_64_OFFSET = 0x200,
};

static uint64_t get(const uint8_t *bytes, unsigned offset, unsigned len)
{
	uint64_t value = 0;

	memcpy(&value, bytes + offset, len);
	return value;
}

static void put(uint8_t *bytes, unsigned offset, unsigned len, uint64_t value)
{
	memcpy(bytes + offset, &value, len);
}

bool bzimage_detect(const struct image *image)
{
	uint32_t magic;

	return image_holds(image, HDR_MAGIC, sizeof(magic)) &&
	       image_read(image, HDR_MAGIC, &magic, sizeof(magic), NULL) == 0 &&
	       magic == HDR_MAGIC_HDRS;
}

static int check_kind(const struct image *image, const uint8_t *header, struct err *err)
{
	unsigned version = (unsigned)get(header, HDR_VERSION, 2);

	/* Looked at again: these bytes were read anew since bzimage_detect(). */
	if (get(header, HDR_MAGIC, 4) != HDR_MAGIC_HDRS ||
	    get(header, HDR_BOOT_FLAG, 2) != BOOT_FLAG)
		return image_refuse(image, err, "its boot sector lacks the marks 0xAA55 and HdrS");
	if (version < VERSION_NEEDED)
		return image_refuse(image, err,
				    "it speaks boot protocol %u.%02u; the 64-bit entry needs 2.12 "
				    "(Linux 3.8)",
				    version >> 8, version & 0xff);
	if (!(get(header, HDR_LOADFLAGS, 1) & LOADED_HIGH))
		return image_refuse(image, err, "it is a zImage, which loads below 1 MiB");
	if (!(get(header, HDR_XLOADFLAGS, 2) & XLF_KERNEL_64))
		return image_refuse(image, err, "it has no 64-bit entry (a 32-bit kernel?)");
	if (HDR_MAGIC + get(header, HDR_JUMP_LEN, 1) < HDR_NEEDED)
		return image_refuse(image, err, "its setup header is too short");
	return 0;
}

/* Where the protected-mode kernel lies in the file. */
static int find_code(const struct image *image, const uint8_t *header, uint64_t *ret_offset,
		     uint64_t *ret_len, struct err *err)
{
	uint64_t setup_sects = get(header, HDR_SETUP_SECTS, 1);
	uint64_t offset = (setup_sects + 1) * SECTOR_BYTES;
	uint64_t len = get(header, HDR_SYSSIZE, 4) * PARAGRAPH_BYTES;
	uint64_t payload_end =
		get(header, HDR_PAYLOAD_OFFSET, 4) + get(header, HDR_PAYLOAD_LENGTH, 4);

	if (setup_sects == 0)
		return image_refuse(image, err, "its setup part has no size (setup_sects is 0)");
	/* The last paragraph may be cut; what follows it (a signature) is not the kernel's. */
	if (offset > image->len_bytes || len > image->len_bytes - offset + PARAGRAPH_BYTES - 1)
		return image_refuse(image, err,
				    "the file is cut: it has %" PRIu64 " of %" PRIu64 " bytes",
				    image->len_bytes, offset + len);
	if (len > image->len_bytes - offset)
		len = image->len_bytes - offset;
	if (len <= ENTRY_64_OFFSET || payload_end > len)
		return image_refuse(image, err, "its size (syssize) does not cover its payload");
	*ret_offset = offset;
	*ret_len = len;
	return 0;
}

/* Where it goes in RAM, and the end of the memory it works in before it knows the map. */
static int find_place(const struct image *image, const uint8_t *header, uint64_t code_len,
		      uint64_t ram_end, uint64_t *ret_start, uint64_t *ret_end, struct err *err)
{
	uint64_t align = get(header, HDR_KERNEL_ALIGNMENT, 4);
	uint64_t start = get(header, HDR_PREF_ADDRESS, 8);
	uint64_t need = get(header, HDR_INIT_SIZE, 4);
	char need_text[UNITS_TEXT_BYTES], have_text[UNITS_TEXT_BYTES];
	uint64_t end;

	if (align == 0 || (align & (align - 1)) != 0)
		return image_refuse(image, err, "its alignment 0x%" PRIx64 " is not a power of two",
				    align);
	if (get(header, HDR_RELOCATABLE, 1) && !align_up(start, align, &start))
		return image_refuse(image, err, "its preferred address is past the end of memory");
	if (start < GUEST_KERNEL_MIN)
		return image_refuse(image, err, "it wants to be at 0x%" PRIx64 ", below 1 MiB",
				    start);
	if (need < code_len)
		need = code_len;
	if (__builtin_add_overflow(start, need, &end) || end > ram_end)
		return image_refuse(image, err,
				    "it needs %s from address 0x%" PRIx64
				    " on; the guest has RAM up to %s",
				    units_format_size(need, need_text), start,
				    units_format_size(ram_end, have_text));
	*ret_start = start;
	*ret_end = end;
	return 0;
}

int bzimage_load(const struct image *image, struct ram *ram, struct bzimage *ret_kernel,
		 struct err *err)
{
	struct bzimage kernel = { 0 };
	uint64_t ram_end = guest_low_ram_end(ram), offset = 0, len = 0, start = 0;
	int failed = image_read(image, 0, kernel.header, sizeof(kernel.header), err);

	if (!failed)
		failed = check_kind(image, kernel.header, err);
	if (!failed)
		failed = find_code(image, kernel.header, &offset, &len, err);
	if (!failed)
		failed = find_place(image, kernel.header, len, ram_end, &start, &kernel.kernel_end,
				    err);
	if (!failed)
		failed = image_read_to_ram(image, offset, ram, GPA(start), len, err);
	if (failed)
		return failed;
	put(kernel.header, HDR_CODE32_START, 4, start);
	kernel.entry = GPA(start + ENTRY_64_OFFSET);
	kernel.initrd_end = get(kernel.header, HDR_INITRD_ADDR_MAX, 4) + 1;
	if (kernel.initrd_end > ram_end)
		kernel.initrd_end = ram_end;
	kernel.cmdline_max_bytes = get(kernel.header, HDR_CMDLINE_SIZE, 4);
	*ret_kernel = kernel;
	return 0;
}

static void fill_header(uint8_t *params, const struct bzimage *kernel,
			const struct placed_initrd *initrd)
{
	uint64_t end = HDR_MAGIC + get(kernel->header, HDR_JUMP_LEN, 1);

	if (end > BZIMAGE_HEADER_MAX)
		end = BZIMAGE_HEADER_MAX;
	memcpy(params + HDR_START, kernel->header + HDR_START, end - HDR_START);
	put(params, HDR_TYPE_OF_LOADER, 1, LOADER_UNDEFINED);
	put(params, HDR_VID_MODE, 2, VID_MODE_NORMAL);
	put(params, HDR_CMD_LINE_PTR, 4, GUEST_CMDLINE);
	put(params, HDR_RAMDISK_IMAGE, 4, initrd->start);
	put(params, HDR_RAMDISK_SIZE, 4, initrd->len_bytes);
	put(params, HDR_SETUP_DATA, 8, 0);
}

int bzimage_write_boot_params(const struct bzimage *kernel, struct ram *ram,
			      const struct guest_map *map, gpa_t rsdp,
			      const struct placed_initrd *initrd, struct err *err)
{
	uint8_t params[BOOT_PARAMS_BYTES] = { 0 };
	int failed;

	fill_header(params, kernel, initrd);
	put(params, BP_ACPI_RSDP_ADDR, 8, rsdp.addr);
	put(params, BP_E820_ROWS, 1, map->count);
	for (unsigned i = 0; i < map->count; i++) {
		unsigned row = BP_E820_TABLE + i * BP_E820_ROW_BYTES;

		put(params, row, 8, map->rows[i].start);
		put(params, row + 8, 8, map->rows[i].len_bytes);
		put(params, row + 16, 4, map->rows[i].type);
	}
	failed = ram_write(ram, GPA(GUEST_BOOT_PARAMS), params, sizeof(params));
	return failed ? image_ram_failed(failed, "boot parameters", GPA(GUEST_BOOT_PARAMS), err)
		      : 0;
}
