/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* terminal.h - the guest's console as people see it: what the guest said, and who listens.
 *
 * For: joining the serial port and the virtio console to standard input and output, and to
 * connections that came by vm.console. Not for: what the bytes mean.
 * Threads: terminal_output() and terminal_input_wanted() from any thread; the rest on the I/O
 * thread, or while it does not run.
 */
#ifndef NEAP_MACHINE_TERMINAL_H
#define NEAP_MACHINE_TERMINAL_H

#include <stddef.h>
#include <stdint.h>

#include "machine/loop.h"

struct terminal; /* opaque */

struct terminal_config {
	struct loop *io;
	bool foreground; /* standard input and output belong to the guest */
	/* Typed bytes for the guest; returns how many it took. The rest is offered again after
	 * terminal_input_wanted(). */
	size_t (*input)(void *ctx, const void *bytes, size_t len);
	void (*drained)(void *ctx); /* there is room again after terminal_output() refused */
	void (*quit)(void *ctx);    /* Ctrl-A x */
	void *ctx;
};

int terminal_create(const struct terminal_config *config, struct terminal **ret_terminal,
		    struct err *err);

/* Gives what is left to standard output (at most one second), restores it, and ends. */
void terminal_destroy(struct terminal *terminal);

/* Only restores it: for a process that ends while the I/O thread is stuck. */
void terminal_abandon(struct terminal *terminal);

/* What the guest says. False: standard output is behind by the whole ring; nothing was taken. */
bool terminal_output(struct terminal *terminal, const void *bytes, size_t len);

/* The guest has room for typed bytes again. Any thread. */
void terminal_input_wanted(struct terminal *terminal);

/* One more listener, who may also type. Takes @fd; closes it if there are too many. */
void terminal_attach(struct terminal *terminal, int fd);

#endif
