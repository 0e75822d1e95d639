/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_bzimage.c - bzImages by the 64-bit entry: boot_params, placement, and every lie refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "boot_fixture.h"
#include "memory/access.h"

static struct ram *ram;

static int setup(void **state)
{
	(void)state;
	ram = fixture_ram(FIXTURE_RAM_MIB);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ram_close(ram);
	return 0;
}

static int boot(const struct bzimage_image *image, const char *cmdline, const char *initrd,
		struct boot_entry *ret_entry, struct err *err)
{
	return fixture_boot(ram, image, sizeof(*image), cmdline, initrd, ret_entry, err);
}

static void assert_refused(const struct bzimage_image *image, const char *why)
{
	struct boot_entry entry = { .entry = GPA(1) };
	struct err err = { 0 };

	assert_int_equal(boot(image, NULL, NULL, &entry, &err), -EINVAL);
	assert_int_equal(entry.entry.addr, 1);
	if (!strstr(err.text, why) || !strstr(err.text, "is not a kernel neap can boot"))
		fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void assert_refused_with(unsigned offset, unsigned len, uint64_t value, const char *why)
{
	struct bzimage_image image = bzimage_good();

	bzimage_set(&image, offset, len, value);
	assert_refused(&image, why);
}

static void test_a_good_bzimage_is_loaded_at_its_preferred_address(void **state)
{
	struct bzimage_image image = bzimage_good();
	uint8_t code[BZIMAGE_CODE_BYTES];
	struct boot_entry entry;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(boot(&image, NULL, NULL, &entry, &err), 0);
	assert_int_equal(entry.protocol, BOOT_LINUX64);
	assert_int_equal(entry.entry.addr, FIXTURE_PREF_ADDRESS + 0x200);
	assert_int_equal(ram_read(ram, GPA(FIXTURE_PREF_ADDRESS), code, sizeof(code)), 0);
	assert_memory_equal(code, image.bytes + BZIMAGE_CODE_OFFSET, sizeof(code));
}

static void test_boot_params_carry_the_header_and_the_map(void **state)
{
	struct bzimage_image image = bzimage_good();
	struct boot_entry entry;
	uint64_t params;
	char cmdline[6];

	(void)state;
	assert_int_equal(boot(&image, NULL, NULL, &entry, NULL), 0);
	params = entry.parameter.addr;
	assert_int_equal(fixture_peek(ram, params + 0x206, 2), 0x20f);
	assert_int_equal(fixture_peek(ram, params + 0x260, 4), FIXTURE_INIT_SIZE);
	assert_int_equal(fixture_peek(ram, params + 0x210, 1), 0xff);
	assert_int_equal(fixture_peek(ram, params + 0x250, 8), 0);
	assert_int_equal(fixture_peek(ram, params + 0x218, 8), 0);
	assert_int_equal(fixture_peek(ram, params, 8), 0);
	assert_int_equal(ram_read(ram, GPA(fixture_peek(ram, params + 0x228, 4)), cmdline, 6), 0);
	assert_string_equal(cmdline, "quiet");
	assert_int_equal(fixture_peek(ram, fixture_peek(ram, params + 0x70, 8), 4), 0x20445352);
	assert_int_equal(fixture_peek(ram, params + 0x1e8, 1), 3);
	assert_int_equal(fixture_peek(ram, params + 0x2d0 + 40, 8), 0x100000);
	assert_int_equal(fixture_peek(ram, params + 0x2d0 + 48, 8), (FIXTURE_RAM_MIB - 1)
									    << MIB_SHIFT);
	assert_int_equal(fixture_peek(ram, params + 0x2d0 + 56, 4), 1);
}

/* Walk the tables as a CPU does. */
static uint64_t translate(uint64_t root, uint64_t addr)
{
	uint64_t table = root;

	for (unsigned shift = 39; shift >= 21; shift -= 9) {
		uint64_t row = fixture_peek(ram, table + ((addr >> shift) & 511) * 8, 8);

		assert_int_equal(row & 3, 3);
		table = row & ~UINT64_C(0xfff);
		if (row & 0x80)
			return table + (addr & ((UINT64_C(1) << shift) - 1));
	}
	fail_msg("no page of 2 MiB maps 0x%lx", addr);
	return 0;
}

static void test_page_tables_map_the_low_4_gib_onto_themselves(void **state)
{
	static const uint64_t addrs[] = { 0,	      0x1fffff,	  0x200000,  0x3fffffff,
					  0x40000123, 0xfee00000, 0xffffffff };
	struct bzimage_image image = bzimage_good();
	struct boot_entry entry;

	(void)state;
	assert_int_equal(boot(&image, NULL, NULL, &entry, NULL), 0);
	for (unsigned i = 0; i < ARRAY_LEN(addrs); i++)
		assert_int_equal(translate(entry.page_table.addr, addrs[i]), addrs[i]);
	assert_int_equal(fixture_peek(ram, entry.gdt.addr + 0x10, 8) >> 53 & 1, 1); /* L: long */
	assert_int_equal(fixture_peek(ram, entry.gdt.addr + 0x18, 8) >> 41 & 1, 1); /* W */
}

static void test_initrd_ends_below_the_kernels_limit(void **state)
{
	struct bzimage_image image = bzimage_good();
	struct fixture_file initrd = fixture_file("abc", 3);
	struct boot_entry entry;

	(void)state;
	bzimage_set(&image, 0x22c, 4, 0x1ffffff); /* initrd_addr_max: 32 MiB */
	assert_int_equal(boot(&image, NULL, initrd.path, &entry, NULL), 0);
	assert_int_equal(fixture_peek(ram, entry.parameter.addr + 0x218, 4), 0x1fff000);
	assert_int_equal(fixture_peek(ram, entry.parameter.addr + 0x21c, 4), 3);
	assert_int_equal(fixture_peek(ram, 0x1fff000, 3), 0x636261);
	fixture_unlink(&initrd);
}

static void test_a_signature_after_the_kernel_is_left_alone(void **state)
{
	struct bzimage_image image = bzimage_good();
	uint8_t longer[sizeof(image) + 100];
	struct boot_entry entry;

	(void)state;
	memset(longer, 0xcc, sizeof(longer));
	memcpy(longer, &image, sizeof(image));
	assert_int_equal(fixture_boot(ram, longer, sizeof(longer), NULL, NULL, &entry, NULL), 0);
}

static void test_LD01_every_prefix_of_a_good_bzimage_is_refused(void **state)
{
	struct bzimage_image image = bzimage_good();
	struct boot_entry entry;

	(void)state;
	/* The last paragraph of 16 bytes may be cut: files are not padded to it. */
	for (uint64_t len = 0; len <= sizeof(image) - 16; len++)
		assert_int_equal(fixture_boot(ram, &image, len, NULL, NULL, &entry, NULL), -EINVAL);
	assert_int_equal(boot(&image, NULL, NULL, &entry, NULL), 0);
}

static void test_LD03_marks_that_are_missing_are_refused(void **state)
{
	(void)state;
	assert_refused_with(0x1fe, 2, 0, "0xAA55");
	assert_refused_with(0x202, 4, 0, "neither a bzImage nor an ELF");
	assert_refused_with(0x211, 1, 0, "zImage");
	assert_refused_with(0x236, 2, 0, "no 64-bit entry");
	assert_refused_with(0x201, 1, 0x10, "setup header is too short");
}

static void test_LD03_old_protocols_are_refused(void **state)
{
	static const uint16_t versions[] = { 0, 0x105, 0x200, 0x205, 0x20b };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(versions); i++)
		assert_refused_with(0x206, 2, versions[i], "needs 2.12");
}

static void test_LD03_sizes_that_lie_are_refused(void **state)
{
	(void)state;
	assert_refused_with(0x1f1, 1, 0, "setup_sects is 0");
	assert_refused_with(0x1f1, 1, 255, "the file is cut");
	assert_refused_with(0x1f4, 4, BZIMAGE_CODE_BYTES / 16 + 1, "the file is cut");
	assert_refused_with(0x1f4, 4, UINT32_MAX, "the file is cut");
	assert_refused_with(0x1f4, 4, 0, "syssize");
	assert_refused_with(0x1f4, 4, 1, "syssize");
	assert_refused_with(0x24c, 4, UINT32_MAX, "syssize");
}

static void test_LD03_places_outside_ram_are_refused(void **state)
{
	(void)state;
	assert_refused_with(0x260, 4, UINT32_MAX, "the guest has RAM up to 64 MiB");
	assert_refused_with(0x260, 4, (FIXTURE_RAM_MIB - 16 + 1) << MIB_SHIFT, "RAM up to 64 MiB");
	assert_refused_with(0x258, 8, UINT64_C(1) << 40, "RAM up to 64 MiB");
	assert_refused_with(0x258, 8, UINT64_MAX, "past the end of memory");
	assert_refused_with(0x258, 8, 0, "below 1 MiB");
	assert_refused_with(0x230, 4, 0, "not a power of two");
	assert_refused_with(0x230, 4, 0x300000, "not a power of two");
}

static void test_a_kernel_of_16_mib_up_says_what_a_small_guest_lacks(void **state)
{
	struct bzimage_image image = bzimage_good();
	struct ram *small = fixture_ram(16);
	struct boot_entry entry;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(fixture_boot(small, &image, sizeof(image), NULL, NULL, &entry, &err),
			 -EINVAL);
	assert_non_null(strstr(err.text, "it needs 2 MiB from address 0x1000000 on"));
	ram_close(small);
}

static void test_LD05_cmdlines_longer_than_the_kernel_takes_are_refused(void **state)
{
	struct bzimage_image image = bzimage_good();
	char cmdline[4096];
	struct boot_entry entry;
	struct err err = { 0 };

	(void)state;
	memset(cmdline, 'a', sizeof(cmdline));
	cmdline[FIXTURE_CMDLINE_MAX] = 0;
	assert_int_equal(boot(&image, cmdline, NULL, &entry, NULL), 0);
	cmdline[FIXTURE_CMDLINE_MAX] = 'a';
	cmdline[FIXTURE_CMDLINE_MAX + 1] = 0;
	assert_int_equal(boot(&image, cmdline, NULL, &entry, &err), -E2BIG);
	assert_non_null(strstr(err.text, "301 bytes; this kernel takes 300"));
	bzimage_set(&image, 0x238, 4, UINT32_MAX);
	cmdline[FIXTURE_CMDLINE_MAX + 1] = 'a';
	cmdline[2047] = 0;
	assert_int_equal(boot(&image, cmdline, NULL, &entry, NULL), 0);
	cmdline[2047] = 'a';
	cmdline[2048] = 0;
	assert_int_equal(boot(&image, cmdline, NULL, &entry, NULL), -E2BIG);
}

static void test_LD05_cmdlines_with_control_characters_are_refused(void **state)
{
	static const char *const lines[] = { "a\nb", "\n", "a\r", "\x01", "a\x7f" };
	struct bzimage_image image = bzimage_good();
	struct boot_entry entry;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(lines); i++)
		assert_int_equal(boot(&image, lines[i], NULL, &entry, NULL), -EINVAL);
	assert_int_equal(boot(&image, "name=\xc3\xa4 ok", NULL, &entry, NULL), 0);
	assert_int_equal(boot(&image, "", NULL, &entry, NULL), 0);
}

static void test_LD04_initrds_that_do_not_fit_are_refused(void **state)
{
	static const uint64_t len = 8 * MIB_BYTES;
	struct bzimage_image image = bzimage_good();
	char *bytes = calloc(1, len);
	struct fixture_file initrd = fixture_file(bytes, len);
	struct fixture_file empty = fixture_file("", 0);
	struct boot_entry entry;
	struct err err = { 0 };

	(void)state;
	free(bytes);
	assert_int_equal(boot(&image, NULL, empty.path, &entry, &err), -EINVAL);
	assert_non_null(strstr(err.text, "is empty"));
	/* initrd_addr_max leaves 8 MiB less a page above the kernel, then 8 MiB, then none. */
	bzimage_set(&image, 0x22c, 4, FIXTURE_PREF_ADDRESS + FIXTURE_INIT_SIZE + len - 4097);
	assert_int_equal(boot(&image, NULL, initrd.path, &entry, &err), -E2BIG);
	assert_non_null(strstr(err.text, "give the guest more memory"));
	bzimage_set(&image, 0x22c, 4, FIXTURE_PREF_ADDRESS + FIXTURE_INIT_SIZE + len - 1);
	assert_int_equal(boot(&image, NULL, initrd.path, &entry, NULL), 0);
	bzimage_set(&image, 0x22c, 4, 0);
	assert_int_equal(boot(&image, NULL, initrd.path, &entry, NULL), -E2BIG);
	bzimage_set(&image, 0x22c, 4, UINT32_MAX);
	bzimage_set(&image, 0x260, 4, (FIXTURE_RAM_MIB - 16 - 4) << MIB_SHIFT); /* 4 MiB are left */
	assert_int_equal(boot(&image, NULL, initrd.path, &entry, NULL), -E2BIG);
	fixture_unlink(&initrd);
	fixture_unlink(&empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_good_bzimage_is_loaded_at_its_preferred_address),
		cmocka_unit_test(test_boot_params_carry_the_header_and_the_map),
		cmocka_unit_test(test_page_tables_map_the_low_4_gib_onto_themselves),
		cmocka_unit_test(test_initrd_ends_below_the_kernels_limit),
		cmocka_unit_test(test_a_signature_after_the_kernel_is_left_alone),
		cmocka_unit_test(test_LD01_every_prefix_of_a_good_bzimage_is_refused),
		cmocka_unit_test(test_LD03_marks_that_are_missing_are_refused),
		cmocka_unit_test(test_LD03_old_protocols_are_refused),
		cmocka_unit_test(test_LD03_sizes_that_lie_are_refused),
		cmocka_unit_test(test_LD03_places_outside_ram_are_refused),
		cmocka_unit_test(test_a_kernel_of_16_mib_up_says_what_a_small_guest_lacks),
		cmocka_unit_test(test_LD05_cmdlines_longer_than_the_kernel_takes_are_refused),
		cmocka_unit_test(test_LD05_cmdlines_with_control_characters_are_refused),
		cmocka_unit_test(test_LD04_initrds_that_do_not_fit_are_refused),
	};

	return cmocka_run_group_tests_name("bzimage", tests, setup, teardown);
}
