/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_elf_pvh.c - ELF kernels by their PVH note: what a guest finds, and every lie refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
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

static int boot(const struct elf_image *image, struct boot_entry *ret_entry, struct err *err)
{
	return fixture_boot(ram, image, sizeof(*image), NULL, NULL, ret_entry, err);
}

/* @why is part of the sentence a person reads. */
static void assert_refused(const struct elf_image *image, const char *why)
{
	struct boot_entry entry = { .entry = GPA(1) };
	struct err err = { 0 };

	assert_int_equal(boot(image, &entry, &err), -EINVAL);
	assert_int_equal(entry.entry.addr, 1);
	if (!strstr(err.text, why) || !strstr(err.text, "is not a kernel neap can boot"))
		fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void test_a_good_elf_is_loaded_and_its_bss_is_zero(void **state)
{
	struct elf_image image = elf_image_good();
	struct boot_entry entry;
	struct err err = { 0 };
	uint8_t memory[FIXTURE_SEGMENT_MEMORY];

	(void)state;
	memset(memory, 0xee, sizeof(memory));
	assert_int_equal(ram_write(ram, GPA(FIXTURE_SEGMENT), memory, sizeof(memory)), 0);
	assert_int_equal(boot(&image, &entry, &err), 0);
	assert_int_equal(entry.protocol, BOOT_PVH);
	assert_int_equal(entry.entry.addr, FIXTURE_ENTRY);
	assert_int_equal(ram_read(ram, GPA(FIXTURE_SEGMENT), memory, sizeof(memory)), 0);
	assert_memory_equal(memory, image.code, FIXTURE_SEGMENT_FILE);
	for (unsigned i = FIXTURE_SEGMENT_FILE; i < sizeof(memory); i++)
		assert_int_equal(memory[i], 0);
}

static void test_start_info_says_where_everything_is(void **state)
{
	struct elf_image image = elf_image_good();
	struct boot_entry entry;
	char cmdline[6];
	uint64_t info, map;

	(void)state;
	assert_int_equal(boot(&image, &entry, NULL), 0);
	info = entry.parameter.addr;
	assert_int_equal(fixture_peek(ram, info, 4), 0x336ec578);
	assert_int_equal(fixture_peek(ram, info + 4, 4), 1);
	assert_int_equal(fixture_peek(ram, info + 12, 4), 0); /* no module */
	assert_int_equal(ram_read(ram, GPA(fixture_peek(ram, info + 24, 8)), cmdline, 6), 0);
	assert_string_equal(cmdline, "quiet");
	assert_int_equal(fixture_peek(ram, fixture_peek(ram, info + 32, 8), 4),
			 0x20445352); /* "RSD " */
	map = fixture_peek(ram, info + 40, 8);
	assert_int_equal(fixture_peek(ram, info + 48, 4), 3);
	assert_int_equal(fixture_peek(ram, map, 8), 0);
	assert_int_equal(fixture_peek(ram, map + 8, 8), 0x9fc00);
	assert_int_equal(fixture_peek(ram, map + 16, 4), 1);
	assert_int_equal(fixture_peek(ram, map + 24, 8), 0xc0000);
	assert_int_equal(fixture_peek(ram, map + 40, 4), 2);
	assert_int_equal(fixture_peek(ram, map + 48, 8), 0x100000);
	assert_int_equal(fixture_peek(ram, map + 56, 8), (FIXTURE_RAM_MIB - 1) << MIB_SHIFT);
}

static void test_memory_above_the_hole_is_in_the_map(void **state)
{
	struct elf_image image = elf_image_good();
	struct ram *big = fixture_ram(4096);
	struct boot_entry entry;
	uint64_t info, map;

	(void)state;
	assert_int_equal(fixture_boot(big, &image, sizeof(image), NULL, NULL, &entry, NULL), 0);
	info = entry.parameter.addr;
	map = fixture_peek(big, info + 40, 8);
	assert_int_equal(fixture_peek(big, info + 48, 4), 4);
	assert_int_equal(fixture_peek(big, map + 48 + 8, 8), RAM_HOLE_START - MIB_BYTES);
	assert_int_equal(fixture_peek(big, map + 72, 8), RAM_HOLE_END);
	assert_int_equal(fixture_peek(big, map + 72 + 8, 8), GIB_BYTES);
	ram_close(big);
}

static void test_an_initrd_lies_at_the_end_of_low_ram(void **state)
{
	struct elf_image image = elf_image_good();
	struct fixture_file initrd = fixture_file("070701 initrd", 13);
	struct boot_entry entry;
	char found[13];
	uint64_t module, start;

	(void)state;
	assert_int_equal(fixture_boot(ram, &image, sizeof(image), NULL, initrd.path, &entry, NULL),
			 0);
	assert_int_equal(fixture_peek(ram, entry.parameter.addr + 12, 4), 1);
	module = fixture_peek(ram, entry.parameter.addr + 16, 8);
	start = fixture_peek(ram, module, 8);
	assert_int_equal(start, (FIXTURE_RAM_MIB << MIB_SHIFT) - GUEST_PAGE_BYTES);
	assert_int_equal(fixture_peek(ram, module + 8, 8), sizeof(found));
	assert_int_equal(ram_read(ram, GPA(start), found, sizeof(found)), 0);
	assert_memory_equal(found, "070701 initrd", sizeof(found));
	fixture_unlink(&initrd);
}

static void test_LD01_every_prefix_of_a_good_elf_is_refused(void **state)
{
	struct elf_image image = elf_image_good();
	struct boot_entry entry;

	(void)state;
	for (uint64_t len = 0; len < sizeof(image); len++)
		assert_int_equal(fixture_boot(ram, &image, len, NULL, NULL, &entry, NULL), -EINVAL);
	assert_int_equal(boot(&image, &entry, NULL), 0);
}

static void test_LD02_program_headers_that_lie_are_refused(void **state)
{
	struct elf_image image = elf_image_good();

	(void)state;
	image.header.e_phoff = UINT64_MAX - 8;
	assert_refused(&image, "ends inside");
	image = elf_image_good();
	image.header.e_phnum = UINT16_MAX;
	assert_refused(&image, "65535 program headers");
	image.header.e_phnum = 0;
	assert_refused(&image, "0 program headers");
	image = elf_image_good();
	image.header.e_phentsize = 32;
	assert_refused(&image, "32 bytes each");
}

static void test_LD02_segments_outside_the_file_are_refused(void **state)
{
	struct elf_image image = elf_image_good();

	(void)state;
	image.load.p_offset = UINT64_MAX - 16;
	assert_refused(&image, "ends inside segment 0");
	image = elf_image_good();
	image.load.p_filesz = image.load.p_memsz = UINT64_MAX;
	assert_refused(&image, "ends inside segment 0");
	image = elf_image_good();
	image.load.p_filesz = image.load.p_memsz + 1;
	assert_refused(&image, "more bytes in the file than in memory");
}

static void test_LD02_segments_outside_ram_are_refused(void **state)
{
	struct elf_image image = elf_image_good();

	(void)state;
	image.load.p_memsz = UINT64_C(1) << 63;
	assert_refused(&image, "the guest has RAM up to 64 MiB");
	image.load.p_memsz = UINT64_MAX;
	assert_refused(&image, "past the end of memory");
	image = elf_image_good();
	image.load.p_paddr = RAM_HOLE_START;
	assert_refused(&image, "the guest has RAM up to 64 MiB");
}

static void test_LD02_segments_over_the_boot_data_are_refused(void **state)
{
	static const uint64_t taken[] = { 0, 0x1000, 0x3000, 0x10000, 0xc0000, 0xfffff };
	struct elf_image image = elf_image_good();

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(taken); i++) {
		image.load.p_paddr = taken[i];
		assert_refused(&image, "where boot data goes");
	}
}

static void test_LD02_overlapping_segments_are_refused(void **state)
{
	struct elf_image image = elf_image_good();

	(void)state;
	image.header.e_phnum = 2;
	image.note = image.load;
	image.note.p_paddr += FIXTURE_SEGMENT_MEMORY - 1;
	assert_refused(&image, "segments 0 and 1 overlap");
	image.note.p_paddr += 1;
	assert_refused(&image, "no PVH entry note");
}

static void test_LD02_wrong_class_machine_and_type_are_refused(void **state)
{
	struct elf_image image = elf_image_good();

	(void)state;
	image.header.e_ident[EI_CLASS] = ELFCLASS32;
	assert_refused(&image, "not a 64-bit ELF");
	image = elf_image_good();
	image.header.e_machine = EM_AARCH64;
	assert_refused(&image, "another machine");
	image = elf_image_good();
	image.header.e_ident[EI_DATA] = ELFDATA2MSB;
	assert_refused(&image, "another machine");
	image = elf_image_good();
	image.header.e_type = ET_CORE;
	assert_refused(&image, "not linked");
	image = elf_image_good();
	image.load.p_type = PT_NULL;
	assert_refused(&image, "nothing to load");
}

static void test_LD02_entries_outside_the_segments_are_refused(void **state)
{
	static const uint32_t outside[] = { 0, 0x1000, FIXTURE_SEGMENT - 1,
					    FIXTURE_SEGMENT + FIXTURE_SEGMENT_MEMORY, UINT32_MAX };
	struct elf_image image = elf_image_good();

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(outside); i++) {
		image.pvh.entry = outside[i];
		assert_refused(&image, "outside its segments");
	}
}

static void test_LD02_notes_with_false_sizes_are_refused(void **state)
{
	static const uint32_t sizes[] = { 0, 3, 5, 0x7fffffff, 0xfffffff0, UINT32_MAX };
	struct elf_image image;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		image = elf_image_good();
		image.pvh.header.n_namesz = sizes[i];
		assert_refused(&image, "no PVH entry note");
		image = elf_image_good();
		image.pvh.header.n_descsz = sizes[i];
		assert_refused(&image, "no PVH entry note");
	}
	image = elf_image_good();
	image.note.p_offset = UINT64_MAX;
	assert_refused(&image, "ends inside");
	image = elf_image_good();
	image.note.p_filesz = UINT64_MAX;
	assert_refused(&image, "no PVH entry note");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_good_elf_is_loaded_and_its_bss_is_zero),
		cmocka_unit_test(test_start_info_says_where_everything_is),
		cmocka_unit_test(test_memory_above_the_hole_is_in_the_map),
		cmocka_unit_test(test_an_initrd_lies_at_the_end_of_low_ram),
		cmocka_unit_test(test_LD01_every_prefix_of_a_good_elf_is_refused),
		cmocka_unit_test(test_LD02_program_headers_that_lie_are_refused),
		cmocka_unit_test(test_LD02_segments_outside_the_file_are_refused),
		cmocka_unit_test(test_LD02_segments_outside_ram_are_refused),
		cmocka_unit_test(test_LD02_segments_over_the_boot_data_are_refused),
		cmocka_unit_test(test_LD02_overlapping_segments_are_refused),
		cmocka_unit_test(test_LD02_wrong_class_machine_and_type_are_refused),
		cmocka_unit_test(test_LD02_entries_outside_the_segments_are_refused),
		cmocka_unit_test(test_LD02_notes_with_false_sizes_are_refused),
	};

	return cmocka_run_group_tests_name("elf_pvh", tests, setup, teardown);
}
