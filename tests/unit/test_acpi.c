/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_acpi.c - the ACPI tables: links, checksums, what the FADT admits, and iasl's opinion. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot/acpi_aml.h"
#include "boot_fixture.h"
#include "device/board.h"
#include "memory/access.h"

enum { AREA_START = 0xc0000, AREA_END = 0x100000 };

static struct ram *ram;

static int setup(void **state)
{
	(void)state;
	ram = fixture_ram(4);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	ram_close(ram);
	return 0;
}

static uint8_t sum(uint64_t start, uint64_t len)
{
	uint8_t total = 0;

	for (uint64_t i = 0; i < len; i++)
		total = (uint8_t)(total + fixture_peek(ram, start + i, 1));
	return total;
}

struct tables {
	uint64_t rsdp, xsdt, fadt, madt, dsdt;
};

static uint64_t checked(uint64_t table, const char *signature)
{
	char found[5] = "";

	assert_true(table >= AREA_START && table % 16 == 0);
	assert_int_equal(ram_read(ram, GPA(table), found, 4), 0);
	assert_string_equal(found, signature);
	assert_true(table + fixture_peek(ram, table + 4, 4) <= AREA_END);
	assert_int_equal(sum(table, fixture_peek(ram, table + 4, 4)), 0);
	return table;
}

static struct tables write_tables(const struct acpi_config *config)
{
	struct tables tables;
	struct err err = { 0 };
	gpa_t rsdp = GPA(0);

	if (acpi_write_tables(ram, config, &rsdp, &err) != 0)
		fail_msg("%s", err.text);
	tables.rsdp = rsdp.addr;
	tables.xsdt = checked(fixture_peek(ram, rsdp.addr + 24, 8), "XSDT");
	assert_int_equal(fixture_peek(ram, tables.xsdt + 4, 4), 36 + 2 * 8);
	tables.fadt = checked(fixture_peek(ram, tables.xsdt + 36, 8), "FACP");
	tables.madt = checked(fixture_peek(ram, tables.xsdt + 44, 8), "APIC");
	tables.dsdt = checked(fixture_peek(ram, tables.fadt + 140, 8), "DSDT");
	assert_int_equal(fixture_peek(ram, tables.fadt + 40, 4), tables.dsdt);
	return tables;
}

static void test_rsdp_is_where_an_old_kernel_looks_and_sums_to_zero(void **state)
{
	struct tables tables = write_tables(fixture_acpi());
	char signature[8];

	(void)state;
	assert_true(tables.rsdp >= 0xe0000 && tables.rsdp < AREA_END && tables.rsdp % 16 == 0);
	assert_int_equal(ram_read(ram, GPA(tables.rsdp), signature, 8), 0);
	assert_memory_equal(signature, "RSD PTR ", 8);
	assert_int_equal(sum(tables.rsdp, 20), 0);
	assert_int_equal(sum(tables.rsdp, 36), 0);
	assert_int_equal(fixture_peek(ram, tables.rsdp + 15, 1), 2);
}

/* Linux on hardware-reduced ACPI without UEFI reboots by a jump to f000:fff0. */
static void test_the_reset_vector_writes_the_reset_register(void **state)
{
	static const uint8_t code[] = { 0xba, BOARD_RESET_PORT & 0xff, BOARD_RESET_PORT >> 8,
					0xb0, BOARD_RESET_VALUE,       0xee };
	uint8_t found[sizeof(code)];

	(void)state;
	(void)write_tables(fixture_acpi());
	assert_int_equal(ram_read(ram, GPA(0xffff0), found, sizeof(found)), 0);
	assert_memory_equal(found, code, sizeof(code));
}

static void test_fadt_says_what_is_missing(void **state)
{
	uint64_t fadt = write_tables(fixture_acpi()).fadt;
	uint64_t flags = fixture_peek(ram, fadt + 112, 4);

	(void)state;
	assert_int_equal(fixture_peek(ram, fadt + 8, 1), 6);
	assert_int_equal(fixture_peek(ram, fadt + 109, 2), 1 << 5 | 1 << 2); /* no RTC, no VGA */
	assert_true(flags & 1 << 20);					     /* hardware-reduced */
	assert_true(flags & 1 << 10);					     /* reset register */
	assert_int_equal(fixture_peek(ram, fadt + 120, 8), BOARD_RESET_PORT);
	assert_int_equal(fixture_peek(ram, fadt + 128, 1), BOARD_RESET_VALUE);
	assert_int_equal(fixture_peek(ram, fadt + 248, 8), BOARD_SLEEP_CONTROL_PORT);
	assert_int_equal(fixture_peek(ram, fadt + 260, 8), BOARD_SLEEP_STATUS_PORT);
}

/* Walk the MADT's entries; returns how many have @type, and stops at a length of 0. */
static unsigned count_entries(uint64_t madt, unsigned type)
{
	uint64_t end = madt + fixture_peek(ram, madt + 4, 4), at = madt + 44;
	unsigned found = 0;

	while (at < end) {
		uint64_t len = fixture_peek(ram, at + 1, 1);

		assert_true(len >= 6);
		found += fixture_peek(ram, at, 1) == type;
		at += len;
	}
	assert_int_equal(at, end);
	return found;
}

static void test_madt_lists_every_cpu_once(void **state)
{
	static const unsigned counts[] = { 1, 2, 255, 256, 1024, 4096 };
	struct acpi_config config = *fixture_acpi();

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
		uint64_t madt;
		unsigned n = counts[i];

		config.cpu_count = n;
		madt = write_tables(&config).madt;
		assert_int_equal(count_entries(madt, 0), n < 255 ? n : 255);
		assert_int_equal(count_entries(madt, 9), n < 255 ? 0 : n - 255);
		assert_int_equal(count_entries(madt, 1), 1);
	}
}

static void test_more_cpus_than_names_are_refused(void **state)
{
	struct acpi_config config = *fixture_acpi();
	gpa_t rsdp;

	(void)state;
	config.cpu_count = 4097;
	assert_int_equal(acpi_write_tables(ram, &config, &rsdp, NULL), -E2BIG);
}

static void test_aml_lengths_are_right_at_every_form(void **state)
{
	static const struct {
		size_t content;
		unsigned bytes;
		uint32_t length;
	} rows[] = { { 0, 1, 1 },	{ 62, 1, 63 },	   { 63, 2, 65 },
		     { 4093, 2, 4095 }, { 4094, 3, 4097 }, { 1048572, 3, 1048575 } };
	static uint8_t bytes[1048600];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct aml aml = { .bytes = bytes, .capacity = sizeof(bytes) };
		size_t opened = aml_open(&aml, AML_SCOPE);
		uint32_t length;

		memset(bytes + aml.len, 0xab, rows[i].content);
		aml.len += rows[i].content;
		aml_close(&aml, opened);
		assert_false(aml.full);
		assert_int_equal(aml.len, 1 + rows[i].bytes + rows[i].content);
		length = rows[i].bytes == 1
				 ? bytes[1]
				 : (bytes[1] & 0xfu) | (uint32_t)bytes[2] << 4 |
					   (rows[i].bytes == 3 ? (uint32_t)bytes[3] << 12 : 0);
		assert_int_equal(length, rows[i].length);
		if (rows[i].content > 0)
			assert_int_equal(bytes[1 + rows[i].bytes], 0xab);
	}
}

static void test_aml_never_writes_past_its_buffer(void **state)
{
	uint8_t bytes[40];

	(void)state;
	for (size_t capacity = 0; capacity < 32; capacity++) {
		struct aml aml = { .bytes = bytes, .capacity = capacity };
		size_t opened = aml_open(&aml, AML_DEVICE);

		memset(bytes, 0x5a, sizeof(bytes));
		aml_segment(&aml, "COM1");
		aml_name_string(&aml, "_HID", "ACPI0007");
		aml_name_integer(&aml, "_UID", 0x12345);
		aml_close(&aml, opened);
		assert_true(aml.full);
		for (size_t i = capacity; i < sizeof(bytes); i++)
			assert_int_equal(bytes[i], 0x5a);
	}
}

/* What iasl printed about a table in @dir, in one buffer. */
static void run_iasl(const char *dir, char *output, size_t output_len)
{
	char command[256];
	FILE *pipe;
	size_t len;

	(void)snprintf(command, sizeof(command),
		       "cd %s && iasl -d DSDT.aml 2>&1 && iasl -tc DSDT.dsl 2>&1 && cat DSDT.dsl",
		       dir);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	len = fread(output, 1, output_len - 1, pipe);
	output[len] = 0;
	if (pclose(pipe) != 0)
		fail_msg("iasl: %s", output);
}

static void test_iasl_reads_the_dsdt_without_a_complaint(void **state)
{
	static const char *const expected[] = { "0 Errors, 0 Warnings",	    "\"LNRO0005\"",
						"EisaId (\"PNP0501\")",	    "EisaId (\"PNP0C0C\")",
						"Notify (PWRB, 0x80)",	    "\"ACPI0007\"",
						"Name (_S5, Package (0x04)" };
	static char output[65536], table[4096];
	char dir[] = "/tmp/neap-acpi-XXXXXX", path[64], command[64];
	uint64_t dsdt = write_tables(fixture_acpi()).dsdt;
	uint64_t len = fixture_peek(ram, dsdt + 4, 4);
	FILE *file;

	(void)state;
	if (system("command -v iasl >/dev/null") != 0) {
		print_message("skipped: no iasl here (Debian package acpica-tools)\n");
		skip();
	}
	assert_true(len <= sizeof(table));
	assert_int_equal(ram_read(ram, GPA(dsdt), table, len), 0);
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/DSDT.aml", dir);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(table, 1, len, file), len);
	fclose(file);
	run_iasl(dir, output, sizeof(output));
	for (unsigned i = 0; i < ARRAY_LEN(expected); i++)
		if (!strstr(output, expected[i]))
			fail_msg("\"%s\" is not in what iasl says:\n%s", expected[i], output);
	assert_null(strstr(output, "Error:"));
	(void)snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rsdp_is_where_an_old_kernel_looks_and_sums_to_zero),
		cmocka_unit_test(test_the_reset_vector_writes_the_reset_register),
		cmocka_unit_test(test_fadt_says_what_is_missing),
		cmocka_unit_test(test_madt_lists_every_cpu_once),
		cmocka_unit_test(test_more_cpus_than_names_are_refused),
		cmocka_unit_test(test_aml_lengths_are_right_at_every_form),
		cmocka_unit_test(test_aml_never_writes_past_its_buffer),
		cmocka_unit_test(test_iasl_reads_the_dsdt_without_a_complaint),
	};

	return cmocka_run_group_tests_name("acpi", tests, setup, teardown);
}
