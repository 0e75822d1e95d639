/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* uuid.c - see uuid.h. */
#include "base/uuid.h"

#include <string.h>
#include <uuid/uuid.h>

_Static_assert(UUID_BYTES == sizeof(uuid_t), "as libuuid has it");
_Static_assert(UUID_TEXT_BYTES == UUID_STR_LEN, "as libuuid has it");

void uuid_make(uint8_t ret_uuid[UUID_BYTES])
{
	uuid_generate_random(ret_uuid);
}

void uuid_format(const uint8_t uuid[UUID_BYTES], char ret_text[UUID_TEXT_BYTES])
{
	uuid_unparse_lower(uuid, ret_text);
}

bool uuid_read(const char *text, uint8_t ret_uuid[UUID_BYTES])
{
	uint8_t uuid[UUID_BYTES];

	if (uuid_parse(text, uuid) < 0)
		return false;
	memcpy(ret_uuid, uuid, sizeof(uuid));
	return true;
}
