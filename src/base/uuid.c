/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* uuid.c - see uuid.h. */
#include "base/uuid.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Before these bytes the text has a dash. */
static bool has_dash(unsigned byte)
{
	return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void uuid_make(uint8_t ret_uuid[UUID_BYTES])
{
	/* So few come whole or not at all. Every Linux that has the KVM we need has the call. */
	while (getrandom(ret_uuid, UUID_BYTES, 0) < 0)
		if (errno != EINTR)
			abort();
	ret_uuid[6] = (uint8_t)((ret_uuid[6] & 0x0f) | 0x40); /* version 4 */
	ret_uuid[8] = (uint8_t)((ret_uuid[8] & 0x3f) | 0x80); /* variant 10 */
}

void uuid_format(const uint8_t uuid[UUID_BYTES], char ret_text[UUID_TEXT_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	char *at = ret_text;

	for (unsigned i = 0; i < UUID_BYTES; i++) {
		if (has_dash(i))
			*at++ = '-';
		*at++ = digits[uuid[i] >> 4];
		*at++ = digits[uuid[i] & 0xf];
	}
	*at = '\0';
}

/* 16: it is none. */
static unsigned digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a' + 10);
	return c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10) : 16;
}

bool uuid_parse(const char *text, uint8_t ret_uuid[UUID_BYTES])
{
	uint8_t uuid[UUID_BYTES];

	for (unsigned i = 0; i < UUID_BYTES; i++) {
		unsigned high, low;

		if (has_dash(i) && *text++ != '-')
			return false;
		high = digit(text[0]);
		low = high < 16 ? digit(text[1]) : 16; /* not past the end of the text */
		if (low > 15)
			return false;
		uuid[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	if (*text)
		return false;
	memcpy(ret_uuid, uuid, sizeof(uuid));
	return true;
}
