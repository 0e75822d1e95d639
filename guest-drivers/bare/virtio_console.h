/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* virtio_console.h - port 0 of a virtio-console, as a pipe of bytes. Source: virtio 1.2 §5.3. */
#ifndef BARE_VIRTIO_CONSOLE_H
#define BARE_VIRTIO_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

/* False: there is no such device. */
bool virtio_console_init(void);

/* At most LINE_BYTES; waits until the device has taken them. Caller holds the output lock. */
void virtio_console_write(const char *bytes, size_t len);

/* The next byte that was typed; false: none. Boot processor. */
bool virtio_console_read(char *ret_byte);

#endif
