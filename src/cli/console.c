/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* console.c - `neap console NAME`: this terminal becomes the guest's, until Ctrl-A x.
 *
 * Keys go to the guest and its output comes here, one buffer each way; a side that does not take
 * its bytes stops the other from being read, so nothing is lost and nothing grows.
 *
 * What was typed arrives, however soon this program leaves: all of it is handed to the VM first, which
 * keeps it for the guest. So `echo stat | neap console NAME` works: it leaves when the VM has read
 * everything (or the guest has taken nothing for CONSOLE_TAKE_MS) and then nothing was said for a while.
 * Source: unix(7), SIOCOUTQ: bytes that the other end has not read.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/tty.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/vms.h"

enum { CONSOLE_BUFFER_BYTES = 4096, CONSOLE_QUIET_MS = 1000, CONSOLE_TAKE_MS = 10000 };

struct console {
	int socket_fd;
	bool is_terminal;
	bool follow; /* stay when standard input has ended */
	bool input_ended;
	struct tty_keys keys;
	char to_guest[CONSOLE_BUFFER_BYTES];
	size_t to_guest_start, to_guest_end;
	int unread, untaken_ms; /* so many bytes the VM has not read, for so long */
};

enum console_end { CONSOLE_GOES_ON, CONSOLE_LEFT, CONSOLE_VM_ENDED };

static void show_keys(void)
{
	static const char text[] = "\r\n  Ctrl-A x       leave the console; the VM goes on\r\n"
				   "  Ctrl-A h       this help\r\n"
				   "  Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n";

	(void)fd_write_full(STDERR_FILENO, text, sizeof(text) - 1);
}

static enum console_end read_keys(struct console *console)
{
	ssize_t got = read(STDIN_FILENO, console->to_guest, sizeof(console->to_guest));
	enum tty_command command = TTY_NOTHING;
	size_t len;

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return CONSOLE_GOES_ON;
	if (got <= 0) {
		console->input_ended = true;
		return console->is_terminal ? CONSOLE_LEFT : CONSOLE_GOES_ON;
	}
	len = (size_t)got;
	if (console->is_terminal)
		command = tty_filter(&console->keys, console->to_guest, &len);
	console->to_guest_start = 0;
	console->to_guest_end = len;
	if (command == TTY_HELP)
		show_keys();
	return command == TTY_QUIT ? CONSOLE_LEFT : CONSOLE_GOES_ON;
}

static enum console_end send_keys(struct console *console)
{
	ssize_t put = send(console->socket_fd, console->to_guest + console->to_guest_start,
			   console->to_guest_end - console->to_guest_start, MSG_NOSIGNAL);

	if (put < 0)
		return errno == EAGAIN || errno == EINTR ? CONSOLE_GOES_ON : CONSOLE_VM_ENDED;
	console->to_guest_start += (size_t)put;
	return CONSOLE_GOES_ON;
}

static enum console_end show_output(struct console *console)
{
	char bytes[CONSOLE_BUFFER_BYTES];
	ssize_t got = read(console->socket_fd, bytes, sizeof(bytes));

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return CONSOLE_GOES_ON;
	if (got <= 0)
		return CONSOLE_VM_ENDED;
	return fd_write_full(STDOUT_FILENO, bytes, (size_t)got) < 0 ? CONSOLE_LEFT
								    : CONSOLE_GOES_ON;
}

static int unread_bytes(const struct console *console)
{
	int bytes = 0;

	return ioctl(console->socket_fd, SIOCOUTQ, &bytes) < 0 ? 0 : bytes;
}

/* Nothing was said for CONSOLE_QUIET_MS after the last key. */
static enum console_end rest(struct console *console)
{
	int unread = unread_bytes(console);

	if (unread == 0)
		return CONSOLE_LEFT;
	console->untaken_ms = unread == console->unread ? console->untaken_ms : 0;
	console->untaken_ms += CONSOLE_QUIET_MS;
	console->unread = unread;
	if (console->untaken_ms < CONSOLE_TAKE_MS)
		return CONSOLE_GOES_ON;
	out_note("the guest does not read; what was typed waits for it");
	return CONSOLE_LEFT;
}

/* What was typed before the keys that leave. A guest that does not read keeps nobody here for ever. */
static void hand_over(struct console *console)
{
	struct pollfd room = { .fd = console->socket_fd, .events = POLLOUT };

	while (console->to_guest_start < console->to_guest_end &&
	       poll(&room, 1, CONSOLE_QUIET_MS) > 0 && send_keys(console) == CONSOLE_GOES_ON)
		continue;
}

static enum console_end pass_once(struct console *console)
{
	bool has_keys = console->to_guest_start < console->to_guest_end;
	bool leaves_when_quiet = console->input_ended && !has_keys && !console->follow;
	struct pollfd fds[2] = {
		{ .fd = console->input_ended || has_keys ? -1 : STDIN_FILENO, .events = POLLIN },
		{ .fd = console->socket_fd, .events = POLLIN },
	};
	enum console_end end = CONSOLE_GOES_ON;
	int ready;

	if (has_keys)
		fds[1].events |= POLLOUT;
	ready = poll(fds, ARRAY_LEN(fds), leaves_when_quiet ? CONSOLE_QUIET_MS : -1);
	if (ready == 0)
		return rest(console);
	if (ready < 0)
		return errno == EINTR ? CONSOLE_GOES_ON : CONSOLE_LEFT;
	if (fds[1].revents & (POLLIN | POLLHUP | POLLERR))
		end = show_output(console);
	if (end == CONSOLE_GOES_ON && fds[1].revents & POLLOUT)
		end = send_keys(console);
	if (end == CONSOLE_GOES_ON && fds[0].revents)
		end = read_keys(console);
	return end;
}

static void on_ending_signal(int number)
{
	tty_restore();
	(void)raise(number); /* SA_RESETHAND: now it does what it always did */
}

/* tty.h covers crashes; here are the ways in which somebody ends this program. */
static void restore_when_ended(void)
{
	static const int ending[] = { SIGTERM, SIGHUP, SIGINT, SIGPIPE };
	struct sigaction action = { .sa_handler = on_ending_signal, .sa_flags = (int)SA_RESETHAND };

	(void)sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_LEN(ending); i++)
		(void)sigaction(ending[i], &action, NULL);
}

static int run_console(struct console *console, const struct vm *vm)
{
	enum console_end end = CONSOLE_GOES_ON;

	console->is_terminal = isatty(STDIN_FILENO);
	if (console->is_terminal) {
		out_note("this is the console of %s; Ctrl-A x leaves it, Ctrl-A h shows the keys",
			 vm->name);
		restore_when_ended();
		(void)tty_make_raw(STDIN_FILENO);
	}
	while (end == CONSOLE_GOES_ON)
		end = pass_once(console);
	if (end == CONSOLE_LEFT)
		hand_over(console);
	if (console->is_terminal) {
		tty_restore();
		(void)fputc('\n', stderr);
		out_note(end == CONSOLE_VM_ENDED ? "%s has ended" : "left the console of %s",
			 vm->name);
	}
	return EXIT_CODE_OK;
}

/* A daemon opens it and hands it over: who may speak to the daemon need not be one who can open the VM's
 * own socket. Without one the connection itself becomes the console. */
static int open_console(struct vm *vm, int *ret_fd)
{
	json_t *result = NULL;
	int ret = vm_call(vm, "vm.console", NULL, &result);

	json_decref(result);
	if (ret != EXIT_CODE_OK)
		return ret;
	if (vm->by_daemon) {
		*ret_fd = rpc_client_take_passed_fd(vm->client);
	} else {
		*ret_fd = rpc_client_take_fd(vm->client);
		vm->client = NULL;
	}
	return *ret_fd >= 0 ? EXIT_CODE_OK
			    : out_fail(EXIT_CODE_FAILED,
				       "%s: neapd handed no console over (--host none opens the "
				       "VM's own)",
				       vm->name);
}

int cli_console(struct cli_call *call)
{
	struct console console = { .follow = cli_flag(call, "follow") != NULL };
	struct vm vm;
	int ret = vm_open(call, call->args[0], &vm);

	if (ret != EXIT_CODE_OK)
		return ret;
	ret = open_console(&vm, &console.socket_fd);
	if (ret == EXIT_CODE_OK)
		ret = run_console(&console, &vm);
	if (ret == EXIT_CODE_OK)
		close_fd(&console.socket_fd);
	vm_close(&vm);
	return ret;
}
