/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* console.c - lines in and out. See console.h.
 *
 * Input is echoed as whole lines ("> stat") so that an answer never lands in the middle of one;
 * echo=on is for people.
 */
#include "console.h"
#include "cpu.h"
#include "serial.h"
#include "text.h"
#include "virtio_console.h"

static struct spinlock output_lock;
static bool echo_characters, use_virtio;
static char input[LINE_BYTES], line[LINE_BYTES];
static size_t input_len;

void console_init(void)
{
	serial_init();
}

void console_start_input(bool echo)
{
	echo_characters = echo;
	serial_start_input();
}

bool console_use_virtio(void)
{
	use_virtio = virtio_console_init();
	return use_virtio;
}

static void write_bytes(const char *bytes, size_t len)
{
	spin_lock(&output_lock);
	if (use_virtio)
		virtio_console_write(bytes, len);
	else
		serial_write(bytes, len);
	spin_unlock(&output_lock);
}

void console_break_lock(void)
{
	use_virtio = false;
	spin_unlock(&output_lock);
}

void say(const char *format, ...)
{
	char bytes[LINE_BYTES];
	struct text text = { .bytes = bytes, .capacity = LINE_BYTES - 2 };
	va_list list;

	va_start(list, format);
	text_add_list(&text, format, list);
	va_end(list);
	bytes[text.len++] = '\r';
	bytes[text.len++] = '\n';
	write_bytes(bytes, text.len);
}

/* True: @c ended the line, which is now in `line`. */
static bool take(char c)
{
	if (c == '\r' || c == '\n') {
		if (!input_len)
			return false;
		for (size_t i = 0; i < input_len; i++)
			line[i] = input[i];
		line[input_len] = '\0';
		input_len = 0;
		return true;
	}
	if ((c == '\b' || c == 0x7f) && input_len) {
		input_len--;
		if (echo_characters)
			write_bytes("\b \b", 3);
	} else if (c >= ' ' && c < 0x7f && input_len + 1 < LINE_BYTES) {
		input[input_len++] = c;
		if (echo_characters)
			write_bytes(&c, 1);
	}
	return false;
}

char *console_poll_line(void)
{
	char c;

	while (serial_read(&c, 1) || virtio_console_read(&c)) {
		if (!take(c))
			continue;
		if (echo_characters)
			write_bytes("\r\n", 2);
		else
			say("> %s", line);
		return line;
	}
	return NULL;
}
