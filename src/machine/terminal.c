/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* terminal.c - one ring of output, a cursor for each listener.
 *
 * Design. The guest's bytes go into one ring. Standard output (if the VM runs in the foreground)
 * and each attached connection have a cursor into it.
 *  T1  Standard output loses nothing: when it is a whole ring behind, terminal_output() refuses and
 *      the device tells the guest to wait.
 *  T2  An attached listener that falls behind loses the oldest bytes, never holds up the guest, and
 *      starts with the last lines the guest said.
 *  T3  A slot's memory is reused only after libuv has let go of both its handles.
 *  T4  A writer wakes the I/O thread only if somebody listens and the thread is not awake for them
 *      already: a serial port writes byte by byte. A writer sets `news`; a turn of the thread takes
 *      it before it looks at the ring, and lets `awake` go only when there was none, all under
 *      the lock. So a byte is in the ring before a turn that is still to come, or its writer finds
 *      `awake` false and wakes. Between two turns are BURST_MS, in which a burst collects. What does
 *      not wait for that is the first byte of a burst, the end of a line, what comes in one piece,
 *      and more than PRESSING_BYTES. Without listeners nobody is woken: a new one is counted under
 *      the lock and then looks at the ring by itself.
 *  T5  A connection's two directions end each by itself. Who says that no more is typed still hears; what
 *      was typed by one who is gone still reaches the guest, as soon as it takes it, unless the last
 *      place is needed for somebody who is there.
 * Limits. Ring 256 KiB, 8 attached listeners.
 */
#include "machine/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/tty.h"
#include "base/units.h"

enum {
	RING_BYTES = 256 * 1024, /* units: a power of two */
	MAX_LISTENERS = 9,	 /* standard output and 8 more */
	INPUT_BYTES = 256,
	WRITE_BYTES = 4096, /* what a pipe that polls writable takes without blocking */
	SCROLLBACK_BYTES = 4096,
	FLUSH_MS = 1000,
	BURST_MS = 2,
	PRESSING_BYTES = RING_BYTES / 4,
};

struct listener {
	struct terminal *terminal;
	bool in_use;
	bool is_stdio;
	int in_fd, out_fd;	 /* -1 when that side is over */
	int in_flags, out_flags; /* of stdio, as we found them */
	bool in_polled, out_polled;
	unsigned open_handles; /* T3 */
	uv_poll_t in_poll, out_poll;
	uint64_t cursor; /* bytes of `written` it has seen */
	uint64_t lost_bytes;
	struct tty_keys keys;
	bool has_keys; /* Ctrl-A commands: only a terminal in the foreground */
	char input[INPUT_BYTES];
	size_t input_len;
};

struct terminal {
	struct terminal_config config;
	struct loop_task pump_task;
	uv_timer_t pump_timer;
	struct loop_task input_task;
	struct listener listeners[MAX_LISTENERS]; /* [0] is stdio, if any */

	pthread_mutex_t lock; /* all that follows */
	char *ring;
	uint64_t written;
	unsigned output_count; /* listeners with an output side */
	bool news, awake;      /* T4 */
	uint64_t pumped;       /* `written` when the last turn began */
	bool refused;
	uint64_t stdio_cursor; /* of listeners[0]; UINT64_MAX when nobody there */
};

static const char help_text[] = "\r\n[neap] Ctrl-A x  end this VM\r\n"
				"[neap] Ctrl-A h  this help\r\n"
				"[neap] Ctrl-A Ctrl-A  send one Ctrl-A to the guest\r\n";

bool terminal_output(struct terminal *terminal, const void *bytes, size_t len)
{
	const char *from = bytes;
	size_t start, first;
	bool room, pressing, wake;

	pthread_mutex_lock(&terminal->lock);
	room = terminal->stdio_cursor == UINT64_MAX ||
	       terminal->written - terminal->stdio_cursor + len <= RING_BYTES; /* T1 */
	if (!room) {
		terminal->refused = true;
	} else {
		if (len > RING_BYTES) { /* nobody could read more than the last ring of it */
			terminal->written += len - RING_BYTES;
			from += len - RING_BYTES;
			len = RING_BYTES;
		}
		start = terminal->written % RING_BYTES;
		first = len < RING_BYTES - start ? len : RING_BYTES - start;
		memcpy(terminal->ring + start, from, first);
		memcpy(terminal->ring, from + first, len - first);
		terminal->written += len;
	}
	pressing = len != 1 || *from == '\n' || !room ||
		   terminal->written - terminal->pumped >= PRESSING_BYTES;
	wake = terminal->output_count > 0 && (pressing || !terminal->awake); /* T4 */
	terminal->awake |= wake;
	terminal->news = true;
	pthread_mutex_unlock(&terminal->lock);
	if (wake)
		loop_post(terminal->config.io, &terminal->pump_task);
	return room;
}

/* The next bytes for a listener, copied out under the lock. */
static size_t take_output(struct listener *who, char *to, size_t max)
{
	struct terminal *terminal = who->terminal;
	size_t start, len;

	pthread_mutex_lock(&terminal->lock);
	if (terminal->written - who->cursor > RING_BYTES) { /* T2 */
		who->lost_bytes += terminal->written - RING_BYTES - who->cursor;
		who->cursor = terminal->written - RING_BYTES;
	}
	start = who->cursor % RING_BYTES;
	len = (size_t)(terminal->written - who->cursor);
	if (len > RING_BYTES - start)
		len = RING_BYTES - start;
	if (len > max)
		len = max;
	memcpy(to, terminal->ring + start, len);
	pthread_mutex_unlock(&terminal->lock);
	return len;
}

/* Returns whether the ring had been refused before, so that the guest can be told to go on. */
static bool advance(struct listener *who, size_t len)
{
	struct terminal *terminal = who->terminal;
	bool was_refused;

	pthread_mutex_lock(&terminal->lock);
	who->cursor += len;
	if (who->is_stdio)
		terminal->stdio_cursor = who->cursor;
	was_refused = who->is_stdio && terminal->refused;
	if (was_refused)
		terminal->refused = false;
	pthread_mutex_unlock(&terminal->lock);
	return was_refused;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct listener *who = handle->data;

	if (--who->open_handles == 0 && who->in_fd < 0 && who->out_fd < 0)
		who->in_use = false; /* T3 */
}

static void stop_input(struct listener *who)
{
	if (who->in_fd < 0)
		return;
	if (who->in_polled)
		uv_close((uv_handle_t *)&who->in_poll, on_handle_closed);
	who->in_polled = false;
	if (!who->is_stdio)
		(void)close(who->in_fd);
	who->in_fd = -1;
}

static void stop_output(struct listener *who)
{
	struct terminal *terminal = who->terminal;
	bool was_refused = false;

	if (who->out_fd < 0)
		return;
	if (who->out_polled)
		uv_close((uv_handle_t *)&who->out_poll, on_handle_closed);
	who->out_polled = false;
	if (!who->is_stdio)
		(void)close(who->out_fd);
	who->out_fd = -1;
	pthread_mutex_lock(&terminal->lock);
	terminal->output_count--;
	if (who->is_stdio) {
		terminal->stdio_cursor = UINT64_MAX;
		was_refused = terminal->refused;
		terminal->refused = false;
	}
	pthread_mutex_unlock(&terminal->lock);
	if (was_refused)
		terminal->config.drained(terminal->config.ctx);
}

static bool is_writable(int fd)
{
	struct pollfd probe = { .fd = fd, .events = POLLOUT };

	return poll(&probe, 1, 0) > 0;
}

static void on_writable(uv_poll_t *poll_handle, int status, int events);

/* That the other end of a connection is gone is heard in any case: see W3 in rpc/wire.c. */
static void watch_output(struct listener *who, bool for_room)
{
	int events = (for_room ? UV_WRITABLE : 0) | (who->is_stdio ? 0 : UV_PRIORITIZED);

	if (!who->out_polled)
		return;
	if (events)
		(void)uv_poll_start(&who->out_poll, events, on_writable);
	else
		(void)uv_poll_stop(&who->out_poll);
}

/* Write until there is nothing left (true) or the listener cannot take more now (false). */
static bool write_some(struct listener *who)
{
	char chunk[WRITE_BYTES];
	size_t len;

	while (who->out_fd >= 0 && (len = take_output(who, chunk, sizeof(chunk))) > 0) {
		ssize_t put;

		if (!is_writable(who->out_fd))
			return false;
		put = write(who->out_fd, chunk, len);
		if (put < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (put <= 0) {
			stop_output(who);
			return true;
		}
		if (advance(who, (size_t)put))
			who->terminal->config.drained(who->terminal->config.ctx);
	}
	return true;
}

static void pump_listener(struct listener *who)
{
	if (!write_some(who))
		watch_output(who, true);
}

static void on_writable(uv_poll_t *poll_handle, int status, int events)
{
	struct listener *who = poll_handle->data;

	if (status < 0 || events == UV_PRIORITIZED) {
		stop_output(who);
		return;
	}
	if (write_some(who) && who->out_fd >= 0)
		watch_output(who, false);
}

static void on_pump_timer(uv_timer_t *timer);

/* A turn: what there is goes to everybody who can take it. T4 */
static void pump(void *arg)
{
	struct terminal *terminal = arg;
	bool news;

	pthread_mutex_lock(&terminal->lock);
	news = terminal->news;
	terminal->news = false;
	terminal->awake = news;
	terminal->pumped = terminal->written;
	pthread_mutex_unlock(&terminal->lock);
	if (!news)
		return;
	for (size_t i = 0; i < MAX_LISTENERS; i++)
		if (terminal->listeners[i].in_use)
			pump_listener(&terminal->listeners[i]);
	(void)uv_timer_start(&terminal->pump_timer, on_pump_timer, BURST_MS, 0);
}

static void on_pump_timer(uv_timer_t *timer)
{
	pump(timer->data);
}

static void on_readable(uv_poll_t *poll_handle, int status, int events);

/* Offer what was typed to the guest; what it does not take is offered again soon. */
static void offer_input(struct listener *who)
{
	struct terminal *terminal = who->terminal;
	size_t taken = terminal->config.input(terminal->config.ctx, who->input, who->input_len);

	memmove(who->input, who->input + taken, who->input_len - taken);
	who->input_len -= taken;
}

static void obey(struct listener *who, enum tty_command command)
{
	struct terminal *terminal = who->terminal;

	if (command == TTY_HELP)
		(void)!write(who->out_fd, help_text, sizeof(help_text) - 1);
	else if (command == TTY_QUIT)
		terminal->config.quit(terminal->config.ctx);
}

/* False at the end of input. */
static bool read_input(struct listener *who)
{
	ssize_t got = read(who->in_fd, who->input, sizeof(who->input));

	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	if (got == 0)
		return false;
	who->input_len = (size_t)got;
	if (who->has_keys)
		obey(who, tty_filter(&who->keys, who->input, &who->input_len));
	offer_input(who);
	return true;
}

/* Offer again what the guest had no room for; then read on. True when there is more to do at once:
 * a file that cannot be polled is read piece by piece. */
static bool resume_input(struct listener *who)
{
	if (who->input_len > 0)
		offer_input(who);
	if (who->input_len > 0)
		return false; /* the guest will want it later: terminal_input_wanted() */
	if (who->in_polled) {
		(void)uv_poll_start(&who->in_poll, UV_READABLE, on_readable);
		return false;
	}
	if (!read_input(who))
		stop_input(who);
	return who->in_fd >= 0 && who->input_len == 0;
}

static void resume_all_input(void *arg)
{
	struct terminal *terminal = arg;

	for (size_t i = 0; i < MAX_LISTENERS; i++) {
		struct listener *who = &terminal->listeners[i];

		if (who->in_use && who->in_fd >= 0 && (who->input_len > 0 || !who->in_polled) &&
		    resume_input(who))
			terminal_input_wanted(terminal);
	}
}

void terminal_input_wanted(struct terminal *terminal)
{
	loop_post(terminal->config.io, &terminal->input_task);
}

static void on_readable(uv_poll_t *poll_handle, int status, int events)
{
	struct listener *who = poll_handle->data;

	(void)events;
	/* With an error libuv has stopped listening; what was typed before it is there still (T5). */
	if (status < 0)
		(void)uv_poll_start(poll_handle, UV_READABLE, on_readable);
	if (!read_input(who))
		stop_input(who);
	else if (who->input_len > 0 && who->in_fd >= 0)
		(void)uv_poll_stop(poll_handle); /* until terminal_input_wanted() */
}

/* Watch a descriptor. Regular files cannot be polled: they are always ready for output, and as
 * input they are read piece by piece. */
static bool watch(struct listener *who, uv_poll_t *poll_handle, int fd)
{
	if (uv_poll_init(&who->terminal->config.io->uv, poll_handle, fd) < 0)
		return false;
	poll_handle->data = who;
	who->open_handles++;
	return true;
}

static struct listener *free_listener(struct terminal *terminal)
{
	for (size_t i = 1; i < MAX_LISTENERS; i++)
		if (!terminal->listeners[i].in_use)
			return &terminal->listeners[i];
	return NULL;
}

/* T5: the places are for those who are there. */
static void keep_a_place(struct terminal *terminal)
{
	for (size_t i = 1; i < MAX_LISTENERS && !free_listener(terminal); i++)
		if (terminal->listeners[i].in_fd >= 0 && terminal->listeners[i].out_fd < 0) {
			stop_input(&terminal->listeners[i]);
			return;
		}
}

static void start_listener(struct terminal *terminal, struct listener *who, int in_fd, int out_fd)
{
	*who = (struct listener){
		.terminal = terminal,
		.in_use = true,
		.in_fd = in_fd,
		.out_fd = out_fd,
		.is_stdio = who == &terminal->listeners[0],
	};
	pthread_mutex_lock(&terminal->lock);
	terminal->output_count++;
	pthread_mutex_unlock(&terminal->lock);
	who->in_flags = fcntl(in_fd, F_GETFL);
	who->out_flags = fcntl(out_fd, F_GETFL);
	who->out_polled = watch(who, &who->out_poll, out_fd);
	who->in_polled = watch(who, &who->in_poll, in_fd);
	if (who->in_polled)
		(void)uv_poll_start(&who->in_poll, UV_READABLE, on_readable);
	else
		terminal_input_wanted(terminal);
}

void terminal_attach(struct terminal *terminal, int fd)
{
	struct listener *who = free_listener(terminal);
	int out_fd = who ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;

	if (out_fd < 0) {
		(void)close(fd);
		return;
	}
	start_listener(terminal, who, fd, out_fd);
	pthread_mutex_lock(&terminal->lock);
	who->cursor =
		terminal->written > SCROLLBACK_BYTES ? terminal->written - SCROLLBACK_BYTES : 0;
	pthread_mutex_unlock(&terminal->lock);
	watch_output(who, false);
	pump_listener(who);
	keep_a_place(terminal);
}

static void attach_stdio(struct terminal *terminal)
{
	struct listener *who = &terminal->listeners[0];
	bool is_tty = tty_make_raw(STDIN_FILENO);

	start_listener(terminal, who, STDIN_FILENO, STDOUT_FILENO);
	who->has_keys = is_tty;
	terminal->stdio_cursor = 0;
}

int terminal_create(const struct terminal_config *config, struct terminal **ret_terminal,
		    struct err *err)
{
	struct terminal *terminal = calloc(1, sizeof(*terminal));

	if (terminal)
		terminal->ring = malloc(RING_BYTES);
	if (!terminal || !terminal->ring) {
		free(terminal);
		return err_set(err, -ENOMEM, "console: out of memory");
	}
	terminal->config = *config;
	terminal->pump_task = (struct loop_task){ .run = pump, .arg = terminal };
	terminal->stdio_cursor = UINT64_MAX;
	(void)pthread_mutex_init(&terminal->lock, NULL);
	terminal->input_task = (struct loop_task){ .run = resume_all_input, .arg = terminal };
	(void)uv_timer_init(&config->io->uv, &terminal->pump_timer);
	terminal->pump_timer.data = terminal;
	if (config->foreground)
		attach_stdio(terminal);
	*ret_terminal = terminal;
	return 0;
}

static void flush_stdio(struct listener *who)
{
	uint64_t give_up_ns = clock_now_ns() + FLUSH_MS * NS_PER_MS;

	while (who->in_use && who->out_fd >= 0 && !write_some(who) && clock_now_ns() < give_up_ns) {
		struct pollfd probe = { .fd = who->out_fd, .events = POLLOUT };

		(void)poll(&probe, 1, FLUSH_MS / 10);
	}
}

static void restore_stdio(struct listener *who)
{
	if (!who->in_use)
		return;
	if (who->in_flags >= 0)
		(void)fcntl(STDIN_FILENO, F_SETFL, who->in_flags);
	if (who->out_flags >= 0)
		(void)fcntl(STDOUT_FILENO, F_SETFL, who->out_flags);
	tty_restore();
}

void terminal_abandon(struct terminal *terminal)
{
	restore_stdio(&terminal->listeners[0]);
}

void terminal_destroy(struct terminal *terminal)
{
	if (!terminal)
		return;
	flush_stdio(&terminal->listeners[0]);
	restore_stdio(&terminal->listeners[0]);
	for (size_t i = 0; i < MAX_LISTENERS; i++) {
		if (!terminal->listeners[i].in_use)
			continue;
		stop_input(&terminal->listeners[i]);
		stop_output(&terminal->listeners[i]);
	}
	loop_close_handle((uv_handle_t *)&terminal->pump_timer);
	(void)uv_run(&terminal->config.io->uv, UV_RUN_NOWAIT);
	(void)pthread_mutex_destroy(&terminal->lock);
	free(terminal->ring);
	free(terminal);
}
