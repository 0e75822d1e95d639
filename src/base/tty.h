/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* tty.h - a terminal that belongs to a guest for a while, and always comes back.
 *
 * Raw mode is undone by tty_restore(), at exit, and by fatal signals. Keys pass through a filter
 * that knows Ctrl-A commands.
 * Threads: one terminal per process; tty_restore() may be called from any thread and any number
 * of times.
 */
#ifndef NEAP_BASE_TTY_H
#define NEAP_BASE_TTY_H

#include <stdbool.h>
#include <stddef.h>

/* If @fd is a terminal, make it raw and arrange for its return. False when it is no terminal. */
bool tty_make_raw(int fd);
void tty_restore(void);

enum tty_command { TTY_NOTHING, TTY_QUIT, TTY_HELP };

struct tty_keys {
	bool escaped; /* the last key was Ctrl-A */
};

/**
 * tty_filter() - take Ctrl-A commands out of what was typed
 * @keys:  remembers a Ctrl-A at the end of one read for the next
 * @bytes: typed keys; the ones for the guest are moved to the front
 * @len:   how many; becomes how many are for the guest
 *
 * Ctrl-A x quits, Ctrl-A h helps, Ctrl-A Ctrl-A is one Ctrl-A for the guest, anything else is
 * dropped. Return: the last command among them.
 */
enum tty_command tty_filter(struct tty_keys *keys, char *bytes, size_t *len);

#endif
