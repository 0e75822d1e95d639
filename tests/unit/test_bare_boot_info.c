/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* What the embedded guest makes of start_info and the MADT, on the host: its pointers are ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bare/boot_info.h"

enum { START_INFO_MAGIC = 0x336ec578, MADT_ENTRIES = 44 };

static struct {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, cmdline, rsdp, memory_map;
	uint32_t memory_map_entries, reserved;
} start_info;
static struct boot_range ranges[BOOT_MAX_RANGES + 4];
static char cmdline[2 * BOOT_CMDLINE_BYTES];
static struct boot_info info;

static uint8_t rsdp[36] __attribute__((aligned(8)));
static uint8_t xsdt[36 + 16] __attribute__((aligned(8)));
static uint8_t other[36] __attribute__((aligned(8)));
static uint8_t madt[256] __attribute__((aligned(8)));

static void put(uint8_t *at, uint64_t value, unsigned len)
{
	memcpy(at, &value, len);
}

static int start(void **state)
{
	(void)state;
	memset(cmdline, 0, sizeof(cmdline));
	start_info.magic = START_INFO_MAGIC;
	start_info.version = 1;
	start_info.cmdline = (uint64_t)cmdline;
	start_info.memory_map = (uint64_t)ranges;
	start_info.memory_map_entries = 2;
	start_info.rsdp = (uint64_t)rsdp;
	memcpy(rsdp, "RSD PTR ", 8);
	rsdp[15] = 2;
	put(rsdp + 24, (uint64_t)xsdt, 8);
	memcpy(xsdt, "XSDT", 4);
	put(xsdt + 4, sizeof(xsdt), 4);
	put(xsdt + 36, (uint64_t)other, 8);
	put(xsdt + 44, (uint64_t)madt, 8);
	memcpy(other, "FACP", 4);
	memset(madt, 0, sizeof(madt));
	memcpy(madt, "APIC", 4);
	put(madt + 4, MADT_ENTRIES, 4);
	return 0;
}

/* One more local APIC in the MADT. */
static void add_cpu(uint8_t apic_id, bool enabled)
{
	uint32_t len;

	memcpy(&len, madt + 4, 4);
	madt[len] = 0;
	madt[len + 1] = 8;
	madt[len + 3] = apic_id;
	put(madt + len + 4, enabled, 4);
	put(madt + 4, len + 8, 4);
}

static void something_else_is_no_start_info(void **state)
{
	(void)state;
	assert_false(boot_info_read(0, &info));
	start_info.version = 0;
	assert_false(boot_info_read((uint64_t)&start_info, &info));
	start_info.version = 1;
	start_info.magic++;
	assert_false(boot_info_read((uint64_t)&start_info, &info));
}

static void long_lists_and_lines_are_cut_off(void **state)
{
	(void)state;
	memset(cmdline, 'x', sizeof(cmdline) - 1);
	start_info.memory_map_entries = BOOT_MAX_RANGES + 4;
	assert_true(boot_info_read((uint64_t)&start_info, &info));
	assert_int_equal(info.range_count, BOOT_MAX_RANGES);
	assert_int_equal(strlen(info.cmdline), BOOT_CMDLINE_BYTES - 1);
}

static void enabled_processors_are_listed_this_one_first(void **state)
{
	uint8_t ids[8];

	(void)state;
	add_cpu(0, true);
	add_cpu(1, false);
	add_cpu(2, true);
	assert_true(boot_info_read((uint64_t)&start_info, &info));
	assert_int_equal(boot_info_cpus(&info, 2, ids, sizeof(ids)), 2);
	assert_int_equal(ids[0], 2);
	assert_int_equal(ids[1], 0);
}

static void more_processors_than_room_are_left_out(void **state)
{
	uint8_t ids[4];

	(void)state;
	for (uint8_t id = 0; id < 16; id++)
		add_cpu(id, true);
	assert_true(boot_info_read((uint64_t)&start_info, &info));
	assert_int_equal(boot_info_cpus(&info, 0, ids, sizeof(ids)), 4);
}

static void a_broken_madt_leaves_this_processor(void **state)
{
	uint8_t ids[8];

	(void)state;
	add_cpu(5, true);
	madt[MADT_ENTRIES + 1] = 0; /* an entry of no length */
	assert_true(boot_info_read((uint64_t)&start_info, &info));
	assert_int_equal(boot_info_cpus(&info, 0, ids, sizeof(ids)), 1);
	madt[MADT_ENTRIES + 1] = 8;
	put(madt + 4, MADT_ENTRIES + 4, 4); /* the table ends inside the entry */
	assert_int_equal(boot_info_cpus(&info, 0, ids, sizeof(ids)), 1);
	memcpy(madt, "NONE", 4);
	assert_int_equal(boot_info_cpus(&info, 0, ids, sizeof(ids)), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, start)
	const struct CMUnitTest tests[] = {
		TEST(something_else_is_no_start_info),
		TEST(long_lists_and_lines_are_cut_off),
		TEST(enabled_processors_are_listed_this_one_first),
		TEST(more_processors_than_room_are_left_out),
		TEST(a_broken_madt_leaves_this_processor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
