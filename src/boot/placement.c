/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* placement.c - see placement.h. */
#include "boot/placement.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/fd.h"
#include "boot/guest_map.h"
#include "boot/image.h"
#include "memory/access.h"

int cmdline_write(struct ram *ram, const char *cmdline, uint64_t max_bytes, struct err *err)
{
	uint64_t len = strlen(cmdline);
	int failed;

	if (max_bytes > GUEST_CMDLINE_MAX_BYTES)
		max_bytes = GUEST_CMDLINE_MAX_BYTES;
	if (len > max_bytes)
		return err_set(err, -E2BIG,
			       "the kernel command line is %" PRIu64
			       " bytes; this kernel takes %" PRIu64,
			       len, max_bytes);
	for (uint64_t i = 0; i < len; i++)
		if ((unsigned char)cmdline[i] < ' ' || cmdline[i] == 0x7f)
			return err_set(err, -EINVAL,
				       "byte %" PRIu64 " of the kernel command line is a control "
				       "character (0x%02x)",
				       i, (unsigned char)cmdline[i]);
	failed = ram_write(ram, GPA(GUEST_CMDLINE), cmdline, len + 1);
	return failed ? image_ram_failed(failed, "command line", GPA(GUEST_CMDLINE), err) : 0;
}

static int place(const struct image *image, uint64_t low_end, uint64_t high_end,
		 uint64_t *ret_start, struct err *err)
{
	char size[UNITS_TEXT_BYTES], room[UNITS_TEXT_BYTES];
	uint64_t free_bytes = high_end > low_end ? high_end - low_end : 0;

	if (image->len_bytes <= free_bytes) {
		uint64_t start = align_down(high_end - image->len_bytes, GUEST_PAGE_BYTES);

		if (start >= low_end) {
			*ret_start = start;
			return 0;
		}
	}
	return err_set(err, -E2BIG,
		       "the initrd %s is %s; above the kernel there is room for %s: give the guest "
		       "more memory",
		       image->name, units_format_size(image->len_bytes, size),
		       units_format_size(free_bytes, room));
}

int initrd_load(const char *path, struct ram *ram, uint64_t low_end, uint64_t high_end,
		struct placed_initrd *ret_initrd, struct err *err)
{
	CLEANUP(image_close)
	struct image image = { .fd = -1 };
	uint64_t start = 0;
	int failed;

	*ret_initrd = (struct placed_initrd){ 0 };
	if (!path)
		return 0;
	failed = image_open(path, "initrd", &image, err);
	if (!failed)
		failed = place(&image, low_end, high_end, &start, err);
	if (!failed)
		failed = image_read_to_ram(&image, 0, ram, GPA(start), image.len_bytes, err);
	if (!failed)
		failed = image_check_unchanged(&image, err);
	if (failed)
		return failed;
	*ret_initrd = (struct placed_initrd){ start, image.len_bytes };
	return 0;
}
