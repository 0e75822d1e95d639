/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* json_text.h - JSON written straight into text, for answers that are long and asked for often. Where
 * neither holds, jansson's values are simpler.
 *
 * What comes out is compact and, for any bytes that go in, UTF-8: what is none becomes U+FFFD.
 * Threads: any. Source: RFC 8259 §7 "Strings", §8.1 "Character Encoding"; Unicode 15.0 table 3-7
 * "Well-Formed UTF-8 Byte Sequences".
 */
#ifndef NEAP_CONFIG_JSON_TEXT_H
#define NEAP_CONFIG_JSON_TEXT_H

#include <jansson.h>
#include <stdint.h>

#include "base/strbuf.h"

/* Characters that need no care: brackets, commas, names. */
#define json_text_plain(out, literal) strbuf_append((out), "" literal, sizeof(literal) - 1)

void json_text_string(struct strbuf *out, const char *untrusted_text);
void json_text_integer(struct strbuf *out, uint64_t value);
void json_text_boolean(struct strbuf *out, bool value);
void json_text_value(struct strbuf *out,
		     const json_t *value); /* of any type, as jansson writes it */

/* Bytes of the UTF-8 character at @text, which ends somewhere behind it with a byte that is none of one
 * (NUL, newline); 0: none begins here. */
size_t json_text_character(const char *text);

/* Makes of a text that may have been cut in the middle of a character, or is none, one that every JSON
 * library takes: each byte that is no UTF-8 becomes a question mark. */
void json_text_mend(char *text);

#endif
