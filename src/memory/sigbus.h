/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* sigbus.h - a host thread touches guest memory that is not there: it waits instead of dying.
 * Inside memory/ only; sigbus.c has the rules.
 *
 * For: the touches that nobody answers: a hole of the file seen through the host view, or through
 * the guest view where there is no pager, while the pool is empty; and memory that the hardware
 * lost. Nothing in neap relies on it: whoever touches guest memory makes sure first.
 */
#ifndef NEAP_MEMORY_SIGBUS_H
#define NEAP_MEMORY_SIGBUS_H

#include "memory/ram.h"

struct watch;

enum { SIGBUS_MAX_GUARDS = 32, SIGBUS_RETRY_MS = 2 };

/* What the handler needs of a RAM. Fixed while it is guarded; the RAM's owner keeps it. */
struct sigbus_guard {
	const struct ram_layout *layout;
	const uint8_t *guest_view, *host_view;
	int fd;		     /* the file behind both */
	struct watch *watch; /* told of what happens */
};

/**
 * sigbus_guard() - from now on a SIGBUS in these views is a wait
 *
 * The first guard in a process takes the signal; other addresses are passed on to whoever had it
 * before, or end the process as ever. Later guards share it.
 *
 * Return: 0; -ENOSPC: SIGBUS_MAX_GUARDS; another negative errno.
 * Source: sigaction(2) "The siginfo_t argument to a SA_SIGINFO handler"; signal-safety(7).
 */
int sigbus_guard(const struct sigbus_guard *guard);

/* Nobody touches the views any more. Also for one that never was guarded. */
void sigbus_unguard(const struct sigbus_guard *guard);

#endif
