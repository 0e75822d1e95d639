/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* strbuf.c - see strbuf.h. */
#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STRBUF_FIRST_BYTES = 256 };

void strbuf_init(struct strbuf *sb, size_t max_len)
{
	*sb = (struct strbuf){ .max_len = max_len };
}

void strbuf_fini(struct strbuf *sb)
{
	free(sb->text);
	*sb = (struct strbuf){ .max_len = sb->max_len };
}

static bool strbuf_make_room(struct strbuf *sb, size_t len)
{
	size_t capacity = sb->capacity ? sb->capacity : STRBUF_FIRST_BYTES;
	char *text;

	if (sb->failed || len > sb->max_len - sb->len) {
		sb->failed = true;
		return false;
	}
	while (capacity < sb->len + len + 1)
		capacity *= 2;
	if (capacity == sb->capacity)
		return true;
	text = realloc(sb->text, capacity);
	if (!text) {
		sb->failed = true;
		return false;
	}
	sb->text = text;
	sb->capacity = capacity;
	return true;
}

void strbuf_append(struct strbuf *sb, const char *bytes, size_t len)
{
	if (!strbuf_make_room(sb, len))
		return;
	memcpy(sb->text + sb->len, bytes, len);
	sb->len += len;
	sb->text[sb->len] = '\0';
}

void strbuf_printf(struct strbuf *sb, const char *fmt, ...)
{
	va_list args, again;
	int len;

	va_start(args, fmt);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len >= 0 && strbuf_make_room(sb, (size_t)len)) {
		(void)vsnprintf(sb->text + sb->len, (size_t)len + 1, fmt, again);
		sb->len += (size_t)len;
	}
	va_end(again);
}

void strbuf_drop_front(struct strbuf *sb, size_t len)
{
	if (len > sb->len)
		len = sb->len;
	if (len == 0)
		return;
	memmove(sb->text, sb->text + len, sb->len - len + 1);
	sb->len -= len;
}

char *strbuf_take(struct strbuf *sb)
{
	char *text = sb->failed ? NULL : sb->text;

	if (sb->failed)
		free(sb->text);
	*sb = (struct strbuf){ .max_len = sb->max_len };
	return text;
}
