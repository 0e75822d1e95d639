/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fd.h - file descriptors with an end of scope, whole reads and writes, and eventfds.
 *
 * Doorbells and interrupts are eventfds, so that a device model runs in a test without KVM.
 */
#ifndef NEAP_BASE_FD_H
#define NEAP_BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* CLEANUP(close_fd) int fd = open(...);   closed when fd leaves scope, unless take_fd(&fd). */
#define CLEANUP(func) __attribute__((cleanup(func)))

void close_fd(int *fd);		/* closes if >= 0, then -1; keeps errno */
int take_fd(int *fd);		/* the value; leaves -1 behind */
void free_text(char **pointer); /* free(), for CLEANUP on char * */

/**
 * fd_read_full() - read exactly @len bytes at @offset (pread)
 * Return: 0; -EIO: the file ended early; another negative errno.
 */
int fd_read_full(int fd, void *buf, size_t len, off_t offset);

/* write all of it to a stream, through EINTR and short writes. 0 or a negative errno. */
int fd_write_full(int fd, const void *buf, size_t len);

/* A non-blocking, close-on-exec eventfd, or a negative errno. */
int event_create(void);
void event_signal(int fd); /* never blocks; a counter that is full stays full */
bool event_drain(int fd);  /* true when it had been signalled */

#endif
