/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* strbuf.h - text that grows, up to a named maximum.
 *
 * Not for hot paths. A strbuf that hits its maximum or runs out of memory is `failed`: further
 * appends do nothing, and whoever uses the text checks once at the end.
 */
#ifndef NEAP_BASE_STRBUF_H
#define NEAP_BASE_STRBUF_H

#include <stdbool.h>
#include <stddef.h>

struct strbuf {
	char *text; /* NUL-terminated, or NULL when nothing was appended */
	size_t len;
	size_t capacity;
	size_t max_len;
	bool failed;
};

void strbuf_init(struct strbuf *sb, size_t max_len);
void strbuf_fini(struct strbuf *sb); /* frees; usable with CLEANUP */
void strbuf_append(struct strbuf *sb, const char *bytes, size_t len);
void strbuf_printf(struct strbuf *sb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_drop_front(struct strbuf *sb, size_t len);

/* The text, which the caller frees; NULL if it failed or is empty. The strbuf is empty afterwards.
 */
char *strbuf_take(struct strbuf *sb);

#endif
