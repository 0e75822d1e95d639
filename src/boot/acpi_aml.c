/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* acpi_aml.c - see acpi_aml.h. */
#include "boot/acpi_aml.h"

#include <string.h>

enum {
	BYTE_PREFIX = 0x0a,
	WORD_PREFIX = 0x0b,
	DWORD_PREFIX = 0x0c,
	STRING_PREFIX = 0x0d,
	QWORD_PREFIX = 0x0e,
};

void aml_bytes(struct aml *aml, const void *bytes, size_t len)
{
	if (aml->full || len > aml->capacity - aml->len) {
		aml->full = true;
		return;
	}
	memcpy(aml->bytes + aml->len, bytes, len);
	aml->len += len;
}

void aml_raw(struct aml *aml, uint64_t value, unsigned len)
{
	aml_bytes(aml, &value, len);
}

void aml_op(struct aml *aml, unsigned op)
{
	if (op & AML_EXT)
		aml_raw(aml, AML_EXT >> 8, 1);
	aml_raw(aml, op & 0xff, 1);
}

void aml_segment(struct aml *aml, const char name[4])
{
	aml_bytes(aml, name, 4);
}

void aml_integer(struct aml *aml, uint64_t value)
{
	static const struct {
		uint8_t prefix, len;
	} forms[] = {
		{ BYTE_PREFIX, 1 }, { WORD_PREFIX, 2 }, { DWORD_PREFIX, 4 }, { QWORD_PREFIX, 8 }
	};
	unsigned form = 0;

	if (value <= 1) { /* ZeroOp and OneOp are the numbers themselves */
		aml_raw(aml, value, 1);
		return;
	}
	while (form < 3 && (value >> (8 * forms[form].len)) != 0)
		form++;
	aml_raw(aml, forms[form].prefix, 1);
	aml_raw(aml, value, forms[form].len);
}

size_t aml_open(struct aml *aml, unsigned op)
{
	aml_op(aml, op);
	return aml->len;
}

/* PkgLength counts itself: 1 byte holds 6 bits; n + 1 bytes hold 4 + 8n, low nibble first. */
static unsigned encode_length(size_t content_len, uint8_t out[4])
{
	size_t len = content_len + 1;
	unsigned extra = 1;

	if (len < 64) {
		out[0] = (uint8_t)len;
		return 1;
	}
	while (extra < 3 && content_len + 1 + extra >= ((size_t)1 << (4 + 8 * extra)))
		extra++;
	len = content_len + 1 + extra;
	out[0] = (uint8_t)(extra << 6 | (len & 0xf));
	for (unsigned i = 0; i < extra; i++)
		out[1 + i] = (uint8_t)(len >> (4 + 8 * i));
	return 1 + extra;
}

void aml_close(struct aml *aml, size_t opened)
{
	size_t content_len = aml->len - opened;
	uint8_t length[4] = { 0 };
	unsigned length_len = encode_length(content_len, length);

	aml_bytes(aml, length, length_len); /* makes room, or says there is none */
	if (aml->full)
		return;
	memmove(aml->bytes + opened + length_len, aml->bytes + opened, content_len);
	memcpy(aml->bytes + opened, length, length_len);
}

static void open_name(struct aml *aml, const char name[4])
{
	aml_op(aml, AML_NAME);
	aml_segment(aml, name);
}

void aml_name_integer(struct aml *aml, const char name[4], uint64_t value)
{
	open_name(aml, name);
	aml_integer(aml, value);
}

void aml_name_string(struct aml *aml, const char name[4], const char *value)
{
	open_name(aml, name);
	aml_raw(aml, STRING_PREFIX, 1);
	aml_bytes(aml, value, strlen(value) + 1);
}

static uint32_t hex_digit(char digit)
{
	return (uint32_t)(digit <= '9' ? digit - '0' : digit - 'A' + 10);
}

/* Three letters of 5 bits and four hexadecimal digits, big-endian. ACPI 6.4 §19.3.4 "ASL Macros".
 */
void aml_name_eisa_id(struct aml *aml, const char name[4], const char id[7])
{
	uint32_t packed = 0;

	for (unsigned i = 0; i < 3; i++)
		packed = packed << 5 | ((uint32_t)(id[i] - '@') & 0x1f);
	for (unsigned i = 3; i < 7; i++)
		packed = packed << 4 | hex_digit(id[i]);
	open_name(aml, name);
	aml_raw(aml, DWORD_PREFIX, 1);
	aml_raw(aml, __builtin_bswap32(packed), 4);
}

void aml_resources_init(struct aml_resources *resources)
{
	resources->list =
		(struct aml){ .bytes = resources->bytes, .capacity = sizeof(resources->bytes) };
}

/* The descriptors' bytes: ACPI 6.4 §6.4 "Resource Data Types for ACPI". */
void aml_add_memory(struct aml_resources *resources, uint32_t start, uint32_t len_bytes)
{
	aml_raw(&resources->list, 0x86, 1); /* 32-bit fixed memory range */
	aml_raw(&resources->list, 9, 2);
	aml_raw(&resources->list, 1, 1); /* read and write */
	aml_raw(&resources->list, start, 4);
	aml_raw(&resources->list, len_bytes, 4);
}

void aml_add_ports(struct aml_resources *resources, uint16_t start, uint8_t len_bytes)
{
	aml_raw(&resources->list, 0x47, 1); /* I/O port, 7 bytes follow */
	aml_raw(&resources->list, 1, 1);    /* decodes 16 bits */
	aml_raw(&resources->list, start, 2);
	aml_raw(&resources->list, start, 2);
	aml_raw(&resources->list, 1, 1); /* alignment */
	aml_raw(&resources->list, len_bytes, 1);
}

void aml_add_interrupt(struct aml_resources *resources, uint32_t gsi)
{
	aml_raw(&resources->list, 0x89, 1); /* extended interrupt */
	aml_raw(&resources->list, 6, 2);
	aml_raw(&resources->list, 0x03, 1); /* consumer, edge, active high, exclusive */
	aml_raw(&resources->list, 1, 1);
	aml_raw(&resources->list, gsi, 4);
}

void aml_name_resources(struct aml *aml, struct aml_resources *resources)
{
	size_t buffer;

	aml_raw(&resources->list, 0x79, 1); /* end tag; a checksum of 0 means it is right */
	aml_raw(&resources->list, 0, 1);
	aml->full |= resources->list.full;
	open_name(aml, "_CRS");
	buffer = aml_open(aml, AML_BUFFER);
	aml_integer(aml, resources->list.len);
	aml_bytes(aml, resources->bytes, resources->list.len);
	aml_close(aml, buffer);
}
