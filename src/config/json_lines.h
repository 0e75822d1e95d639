/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* json_lines.h - on which line of a JSON text a key stands. jansson keeps no places of values. */
#ifndef NEAP_CONFIG_JSON_LINES_H
#define NEAP_CONFIG_JSON_LINES_H

#include <stddef.h>

/**
 * json_line_of() - the line of an object key
 * @valid_text: JSON that json_strict_parse() accepted, an object
 * @keys:       a path of keys, decoded, from the top through objects; it exists
 *
 * Return: the line, from 1; Linear in @len times @key_count.
 */
unsigned json_line_of(const char *valid_text, size_t len, const char *const keys[],
		      unsigned key_count);

#endif
