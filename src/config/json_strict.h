/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* json_strict.h - JSON from outside, read as RFC 8259 says and no more leniently.
 *
 * For: the configuration file and every message on a control socket.
 * Refused besides what the RFC refuses: duplicate keys, the character U+0000, integers beyond 64
 * bits, numbers beyond a double or longer than JSON_STRICT_NUMBER_BYTES, nesting deeper than the
 * caller allows, more than JSON_STRICT_VALUES values unless the caller names another number (a byte or
 * two of text can cost 250 of memory). Nesting is counted before the recursive parser sees the text, so no input can grow the
 * stack. Work and memory are linear in @len; the caller bounds @len. Threads: any. Source: RFC 8259
 * §2 "JSON Grammar", §8.1 "Character Encoding", §9 "Parsers".
 */
#ifndef NEAP_CONFIG_JSON_STRICT_H
#define NEAP_CONFIG_JSON_STRICT_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

enum { JSON_STRICT_NUMBER_BYTES = 128, JSON_STRICT_VALUES = 65536 };

struct json_place {
	unsigned line; /* from 1 */
	size_t byte;   /* from 0 */
};

/**
 * json_strict_parse_at() - one JSON value, any type, and nothing but white space around it
 * @untrusted_bytes: not NUL-terminated; may be NULL when @len is 0
 * @max_depth:       arrays and objects that may be open at once
 * @ret_json:        a new reference
 * @ret_place:       written on failure: where the mistake is
 *
 * Return: 0; -EINVAL: not such JSON, @err is a sentence of printable ASCII without the place.
 */
int json_strict_parse_at(const char *untrusted_bytes, size_t len, unsigned max_depth,
			 json_t **ret_json, struct json_place *ret_place, struct err *err);

/* The same, with "at byte N" in the sentence. */
int json_strict_parse(const char *untrusted_bytes, size_t len, unsigned max_depth,
		      json_t **ret_json, struct err *err);

/* The same with at most @max_values values instead: for the answers of a program that one has asked for
 * as much. */
int json_strict_parse_long(const char *untrusted_bytes, size_t len, unsigned max_depth,
			   unsigned max_values, json_t **ret_json, struct err *err);

#endif
