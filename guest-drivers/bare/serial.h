/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* serial.h - the 16550 at the board's port. Polled output, input by interrupt. */
#ifndef BARE_SERIAL_H
#define BARE_SERIAL_H

#include <stddef.h>

void serial_init(void);
void serial_start_input(void);
void serial_write(const char *bytes, size_t len);

/* Bytes that have arrived, at most @capacity; 0: none. */
size_t serial_read(char *bytes, size_t capacity);

#endif
