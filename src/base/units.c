/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* units.c - see units.h. */
#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

static const struct {
	char letter;
	unsigned shift;
	const char *name;
} size_units[] = {
	{ 'T', 40, "TiB" },
	{ 'G', GIB_SHIFT, "GiB" },
	{ 'M', MIB_SHIFT, "MiB" },
	{ 'K', KIB_SHIFT, "KiB" },
};

static bool suffix_shift(const char *suffix, unsigned *ret_shift)
{
	if (*suffix == '\0' || strcasecmp(suffix, "B") == 0) {
		*ret_shift = 0;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(size_units); i++) {
		if (toupper((unsigned char)*suffix) != size_units[i].letter)
			continue;
		*ret_shift = size_units[i].shift;
		return suffix[1] == '\0' || strcasecmp(suffix + 1, "B") == 0 ||
		       strcasecmp(suffix + 1, "iB") == 0;
	}
	return false;
}

int units_parse_size(const char *text, uint64_t *ret_bytes, struct err *err)
{
	unsigned long long number;
	uint64_t bytes;
	unsigned shift;
	char *end;

	if (!isdigit((unsigned char)*text))
		return err_set(err, -EINVAL, "\"%.40s\" is not a size; write one like 512M or 2G",
			       text);
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno == ERANGE)
		return err_set(err, -ERANGE, "size \"%.40s\" is too large", text);
	if (!suffix_shift(end, &shift))
		return err_set(err, -EINVAL, "\"%.40s\" is not a size; write one like 512M or 2G",
			       text);
	if (__builtin_mul_overflow((uint64_t)number, UINT64_C(1) << shift, &bytes))
		return err_set(err, -ERANGE, "size \"%.40s\" is too large", text);
	*ret_bytes = bytes;
	return 0;
}

const char *units_format_size(uint64_t bytes, char text[UNITS_TEXT_BYTES])
{
	for (size_t i = 0; i < ARRAY_LEN(size_units); i++) {
		unsigned shift = size_units[i].shift;
		uint64_t whole = bytes >> shift;
		uint64_t tenths = ((bytes >> (shift - 10)) & 1023) * 10 / 1024;

		if (whole == 0)
			continue;
		if (tenths)
			(void)snprintf(text, UNITS_TEXT_BYTES, "%" PRIu64 ".%" PRIu64 " %s", whole,
				       tenths, size_units[i].name);
		else
			(void)snprintf(text, UNITS_TEXT_BYTES, "%" PRIu64 " %s", whole,
				       size_units[i].name);
		return text;
	}
	(void)snprintf(text, UNITS_TEXT_BYTES, "%" PRIu64 " B", bytes);
	return text;
}

const char *units_format_exact(uint64_t bytes, char text[UNITS_TEXT_BYTES])
{
	for (size_t i = 0; i < ARRAY_LEN(size_units); i++) {
		if (bytes == 0 || !is_aligned(bytes, UINT64_C(1) << size_units[i].shift))
			continue;
		(void)snprintf(text, UNITS_TEXT_BYTES, "%" PRIu64 "%c",
			       bytes >> size_units[i].shift, size_units[i].letter);
		return text;
	}
	(void)snprintf(text, UNITS_TEXT_BYTES, "%" PRIu64, bytes);
	return text;
}
