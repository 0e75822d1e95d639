/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* console.h - one line in, one line out: the 16550, or a virtio-console once it is chosen.
 *
 * Threads: say() from any processor, a line is never mixed with another; the rest on the boot
 * processor.
 */
#ifndef BARE_CONSOLE_H
#define BARE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINE_BYTES = 512 };

/* The serial port, without interrupts: enough to write. The first thing in ring 3. */
void console_init(void);

/* Input interrupts. @echo: typed characters one by one, for a person; else whole lines. */
void console_start_input(bool echo);

/* From now on by a virtio-console; false: none was found. */
bool console_use_virtio(void);

/* One line: the newline is added. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* For last words, on the serial port: whoever is in the middle of a line, perhaps this processor,
 * stays there. */
void console_break_lock(void);

/* A whole line that was typed, NUL-terminated, or NULL. Valid until the next call. */
char *console_poll_line(void);

#endif
