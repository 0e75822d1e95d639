/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* tty.c - see tty.h. */
#include "base/tty.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "base/units.h"

enum { KEY_CTRL_A = 1 };

static struct termios saved_mode; /* written before raw_fd is set, then only read */
static atomic_int raw_fd = -1;

void tty_restore(void)
{
	int fd = atomic_exchange(&raw_fd, -1);

	if (fd >= 0)
		(void)tcsetattr(fd, TCSAFLUSH, &saved_mode);
}

static void on_fatal_signal(int number)
{
	tty_restore(); /* tcsetattr is async-signal-safe; SA_RESETHAND lets the signal do its work
			*/
	(void)raise(number);
}

/* A signal that somebody handles already stays theirs. */
static void restore_on_fatal_signals(void)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT };
	struct sigaction action = { .sa_handler = on_fatal_signal, .sa_flags = (int)SA_RESETHAND };
	struct sigaction now;

	(void)sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
		if (sigaction(fatal[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
			(void)sigaction(fatal[i], &action, NULL);
}

bool tty_make_raw(int fd)
{
	struct termios mode;

	if (tcgetattr(fd, &mode) < 0)
		return false;
	saved_mode = mode;
	cfmakeraw(&mode);
	(void)atexit(tty_restore);
	restore_on_fatal_signals();
	atomic_store(&raw_fd, fd);
	if (tcsetattr(fd, TCSANOW, &mode) == 0)
		return true;
	atomic_store(&raw_fd, -1);
	return false;
}

enum tty_command tty_filter(struct tty_keys *keys, char *bytes, size_t *len)
{
	enum tty_command command = TTY_NOTHING;
	size_t kept = 0;

	for (size_t i = 0; i < *len; i++) {
		char key = bytes[i];

		if (!keys->escaped && key == KEY_CTRL_A) {
			keys->escaped = true;
			continue;
		}
		if (!keys->escaped || key == KEY_CTRL_A)
			bytes[kept++] = key;
		else if (key == 'x')
			command = TTY_QUIT;
		else if (key == 'h')
			command = TTY_HELP;
		keys->escaped = false;
	}
	*len = kept;
	return command;
}
