/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* uuid.h - UUIDs: new ones, and their text.
 *
 * Source: RFC 9562, sections 4 "UUID Format" and 5.4 "UUID Version 4".
 */
#ifndef NEAP_BASE_UUID_H
#define NEAP_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

enum { UUID_BYTES = 16, UUID_TEXT_BYTES = 37 };

/* A new one of version 4. */
void uuid_make(uint8_t ret_uuid[UUID_BYTES]);

/* 8-4-4-4-12 hexadecimal digits in small letters. */
void uuid_format(const uint8_t uuid[UUID_BYTES], char ret_text[UUID_TEXT_BYTES]);

/* Of that text, in letters of any size, and nothing else. */
bool uuid_read(const char *text, uint8_t ret_uuid[UUID_BYTES]);

#endif
