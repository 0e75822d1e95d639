/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* text.h - strings without a C library: words, numbers, sizes, one line of output. Pure. */
#ifndef BARE_TEXT_H
#define BARE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A line being composed; what does not fit is cut off. Always NUL-terminated. */
struct text {
	char *bytes;
	size_t len, capacity;
};

/* %s %c %d %u %x, and l for 64 bits (%lu %lx); no widths. */
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_list(struct text *text, const char *format, va_list list)
	__attribute__((format(printf, 2, 0)));

bool text_equal(const char *a, const char *b);

/* Cuts the next word off *@line in place (words are separated by blanks); NULL at the end. */
char *text_next_word(char **line);

/* Cuts *@line at the next ';'; returns the part before it, NULL when nothing is left. */
char *text_next_command(char **line);

/* 123 or 0x7b. False: anything else, or too large; *ret_value is untouched. */
bool text_to_u64(const char *word, uint64_t *ret_value);

/* A number with an optional K, M, G or T (powers of 1024). */
bool text_to_bytes(const char *word, uint64_t *ret_bytes);

/* The value of `key=value` or `key="some value"` in a kernel command line, NUL-terminated in
 * @buffer.
 * @nth: the how-many-th such option, from 0. False: there is none, or it does not fit. */
bool text_option(const char *cmdline, const char *key, unsigned nth, char *buffer, size_t capacity);

/* Is there a word @flag, without a value? */
bool text_flag(const char *cmdline, const char *flag);

#endif
