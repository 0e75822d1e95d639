/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* text.c - strings without a C library. See text.h. */
#include "text.h"

static void add_char(struct text *text, char c)
{
	if (text->len + 1 < text->capacity) {
		text->bytes[text->len++] = c;
		text->bytes[text->len] = '\0';
	}
}

static void add_string(struct text *text, const char *string)
{
	while (*string)
		add_char(text, *string++);
}

static void add_number(struct text *text, uint64_t value, unsigned base)
{
	char digits[20];
	unsigned count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (count)
		add_char(text, digits[--count]);
}

static void add_signed(struct text *text, int value)
{
	if (value < 0)
		add_char(text, '-');
	add_number(text, value < 0 ? -(uint64_t)value : (uint64_t)value, 10);
}

void text_add_list(struct text *text, const char *format, va_list list)
{
	for (; *format; format++) {
		if (*format != '%') {
			add_char(text, *format);
			continue;
		}
		bool is_long = format[1] == 'l';

		format += is_long ? 2 : 1;
		switch (*format) {
		case 's': add_string(text, va_arg(list, const char *)); break;
		case 'c': add_char(text, (char)va_arg(list, int)); break;
		case 'd': add_signed(text, va_arg(list, int)); break;
		case 'u':
		case 'x':
			add_number(text, is_long ? va_arg(list, uint64_t) : va_arg(list, unsigned),
				   *format == 'x' ? 16 : 10);
			break;
		default: return;
		}
	}
}

void text_add(struct text *text, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	text_add_list(text, format, list);
	va_end(list);
}

bool text_equal(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

char *text_next_word(char **line)
{
	char *word = *line;

	while (is_blank(*word))
		word++;
	if (!*word)
		return NULL;
	char *end = word;

	while (*end && !is_blank(*end))
		end++;
	*line = *end ? end + 1 : end;
	*end = '\0';
	return word;
}

char *text_next_command(char **line)
{
	char *command = *line, *end = command;

	if (!*command)
		return NULL;
	while (*end && *end != ';')
		end++;
	*line = *end ? end + 1 : end;
	*end = '\0';
	return command;
}

static unsigned digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	return 16;
}

/* The digits at *@word, as far as they go. False: none, or too large. */
static bool parse_digits(const char **word, unsigned base, uint64_t *ret_value)
{
	const char *at = *word;
	uint64_t value = 0;

	for (;; at++) {
		unsigned digit = digit_of(*at);

		if (digit >= base)
			break;
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return false;
	}
	if (at == *word)
		return false;
	*word = at;
	*ret_value = value;
	return true;
}

static bool parse_number(const char **word, uint64_t *ret_value)
{
	if ((*word)[0] == '0' && (*word)[1] == 'x') {
		*word += 2;
		return parse_digits(word, 16, ret_value);
	}
	return parse_digits(word, 10, ret_value);
}

bool text_to_u64(const char *word, uint64_t *ret_value)
{
	uint64_t value;

	if (!parse_number(&word, &value) || *word)
		return false;
	*ret_value = value;
	return true;
}

bool text_to_bytes(const char *word, uint64_t *ret_bytes)
{
	static const char units[] = "KMGT";
	uint64_t value;

	if (!parse_number(&word, &value))
		return false;
	for (unsigned i = 0; *word && units[i]; i++) {
		if (__builtin_mul_overflow(value, UINT64_C(1024), &value))
			return false;
		if ((*word & ~0x20) == units[i]) {
			word++;
			break;
		}
	}
	if (*word)
		return false;
	*ret_bytes = value;
	return true;
}

/* @at is the start of an option; its end, quotes respected. */
static const char *option_end(const char *at)
{
	bool quoted = false;

	for (; *at && (quoted || !is_blank(*at)); at++)
		if (*at == '"')
			quoted = !quoted;
	return at;
}

static bool copy_value(const char *from, const char *end, char *buffer, size_t capacity)
{
	size_t len = 0;

	for (; from < end; from++) {
		if (*from == '"')
			continue;
		if (len + 1 >= capacity)
			return false;
		buffer[len++] = *from;
	}
	buffer[len] = '\0';
	return true;
}

/* Moves *@at to the next option and past @key, if it begins so; returns the option's end, NULL after
 * the last one. True in *ret_match: @key was all there. */
static const char *next_option(const char **at, const char *key, bool *ret_match)
{
	while (is_blank(**at))
		(*at)++;
	if (!**at)
		return NULL;
	const char *end = option_end(*at);

	while (*key && *at < end && **at == *key) {
		(*at)++;
		key++;
	}
	*ret_match = !*key;
	return end;
}

bool text_option(const char *cmdline, const char *key, unsigned nth, char *buffer, size_t capacity)
{
	const char *end;
	bool match;

	for (const char *at = cmdline; (end = next_option(&at, key, &match)); at = end)
		if (match && at < end && *at == '=' && nth-- == 0)
			return copy_value(at + 1, end, buffer, capacity);
	return false;
}

bool text_flag(const char *cmdline, const char *flag)
{
	const char *end;
	bool match;

	for (const char *at = cmdline; (end = next_option(&at, flag, &match)); at = end)
		if (match && at == end)
			return true;
	return false;
}
