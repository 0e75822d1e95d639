/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* acpi_aml.h - write AML, the bytecode of a DSDT, into a fixed buffer.
 *
 * A write past the buffer's end sets `full` and is dropped: the caller looks once, at the end.
 * A package (device, method, buffer...) is opened by aml_open() and closed by aml_close(), which
 * puts its length in front of it. Only what neap's DSDT needs.
 * Source: ACPI 6.4, chapter 20 "ACPI Machine Language (AML) Specification".
 */
#ifndef NEAP_BOOT_ACPI_AML_H
#define NEAP_BOOT_ACPI_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *bytes;
	size_t len;
	size_t capacity;
	bool full;
};

/* Opcodes; two-byte ones have AML_EXT in the high byte. */
enum aml_op {
	AML_NAME = 0x08,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_METHOD = 0x14,
	AML_LOCAL0 = 0x60,
	AML_STORE = 0x70,
	AML_AND = 0x7b,
	AML_NOTIFY = 0x86,
	AML_IF = 0xa0,
	AML_EXT = 0x5b00,
	AML_REGION = AML_EXT | 0x80,
	AML_FIELD = AML_EXT | 0x81,
	AML_DEVICE = AML_EXT | 0x82,
};

/* Little-endian, @len 1 to 8 bytes. */
void aml_raw(struct aml *aml, uint64_t value, unsigned len);
void aml_bytes(struct aml *aml, const void *bytes, size_t len);
void aml_op(struct aml *aml, unsigned op);
void aml_segment(struct aml *aml, const char name[4]); /* a NameSeg; no NUL is written */
void aml_integer(struct aml *aml, uint64_t value);

/* The length of what follows goes in front of it at aml_close(). Nest in order. */
size_t aml_open(struct aml *aml, unsigned op);
void aml_close(struct aml *aml, size_t opened);

/* Name(name, value) */
void aml_name_integer(struct aml *aml, const char name[4], uint64_t value);
void aml_name_string(struct aml *aml, const char name[4], const char *value);
void aml_name_eisa_id(struct aml *aml, const char name[4], const char id[7]);

/* A resource template, gathered first because its length comes before it. */
enum { AML_RESOURCES_BYTES = 64 };
struct aml_resources {
	uint8_t bytes[AML_RESOURCES_BYTES];
	struct aml list;
};
void aml_resources_init(struct aml_resources *resources);
void aml_add_memory(struct aml_resources *resources, uint32_t start, uint32_t len_bytes);
void aml_add_ports(struct aml_resources *resources, uint16_t start, uint8_t len_bytes);
void aml_add_interrupt(struct aml_resources *resources, uint32_t gsi); /* edge, active high */
/* Name(_CRS, Buffer() { ... }) */
void aml_name_resources(struct aml *aml, struct aml_resources *resources);

#endif
