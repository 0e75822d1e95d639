/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* top_live.c - `neap top` on a terminal: a look each second, and keys. See top_view.h.
 *
 * One poll waits for answers, keys and signals; nothing else waits. Signals that end the program
 * are read from a descriptor, so that they find the screen between two draws: it is closed, and
 * the signal does then what it would have done.
 */
#include "cli/top_view.h"

#include <errno.h>
#include <ncurses.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/exit_code.h"

enum { LOOK_MS = 1000, FIRST_LOOK_MS = 200, KEY_ESCAPE = 27, KEY_DELETE = 127 };

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

struct top_setting {
	int key;
	const char *member; /* of vm.memory.set */
	const char *what, *form;
	enum { SETTING_SIZE, SETTING_NUMBER, SETTING_WORD } kind;
};

static const struct top_setting settings[] = {
	{ 'm', "minimum_bytes", "minimum", "such as 512M", SETTING_SIZE },
	{ 'b', "buffer_percent", "buffer", "in percent, 5 to 2000", SETTING_NUMBER },
	{ 'w', "weight", "weight", "0 to 10000", SETTING_NUMBER },
	{ 'o', "mode", "mode", "auto, manual or off", SETTING_WORD },
};

struct live {
	struct top_view view;
	char question[TOP_SAID_BYTES];
	char asked_vm[VM_NAME_BYTES]; /* whom the setting is for, whatever is selected since */
	uint64_t next_look_ns;
	bool is_over;
	int signal;
};

unsigned top_selected(const struct top_view *view)
{
	for (unsigned i = 0; i < view->rows.count; i++)
		if (strcmp(view->rows.rows[i].name, view->selected) == 0)
			return i;
	return 0;
}

static void say(struct top_view *view, bool is_failure, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void say(struct top_view *view, bool is_failure, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(view->said, sizeof(view->said), fmt, args);
	va_end(args);
	view->said_failure = is_failure;
}

static void take_rows(struct top_view *view)
{
	unsigned selected = top_selected(view); /* a VM that went leaves its place to the next */

	(void)top_rows_take(&view->rows, view->fleet, view->sort, view->reverse);
	if (view->rows.count == 0)
		return;
	if (top_selected(view) == 0 && strcmp(view->rows.rows[0].name, view->selected) != 0) {
		if (selected >= view->rows.count)
			selected = view->rows.count - 1;
		(void)snprintf(view->selected, sizeof(view->selected), "%s",
			       view->rows.rows[selected].name);
	}
}

/* --- settings --------------------------------------------------------------------------------- */

static void was_set(void *ctx, const struct fleet_vm *vm, const char *error)
{
	struct live *live = ctx;

	if (error)
		say(&live->view, true, "%s: %s", vm->name, error);
	else
		say(&live->view, false, "%s has the new setting", vm->name);
	live->next_look_ns = 0; /* show what became of it */
}

static json_t *number_param(const char *member, const char *typed)
{
	char *end;
	unsigned long long number;

	errno = 0;
	number = strtoull(typed, &end, 10);
	if (*typed < '0' || *typed > '9' || *end || errno || number > INT64_MAX)
		return NULL;
	return json_pack("{s:I}", member, (json_int_t)number);
}

/* NULL with the reason said. */
static json_t *read_typed(struct top_view *view)
{
	const struct top_setting *setting = view->setting;
	struct err err = { 0 };
	uint64_t bytes;
	json_t *params;

	switch (setting->kind) {
	case SETTING_SIZE:
		if (units_parse_size(view->typed, &bytes, &err) == 0 && bytes <= INT64_MAX)
			return json_pack("{s:I}", setting->member, (json_int_t)bytes);
		say(view, true, "%s", err.code ? err.text : "no VM has so much");
		return NULL;
	case SETTING_NUMBER:
		params = number_param(setting->member, view->typed);
		if (!params)
			say(view, true, "\"%s\" is not a whole number", view->typed);
		return params;
	case SETTING_WORD: return json_pack("{s:s}", setting->member, view->typed);
	}
	return NULL;
}

static void send_setting(struct live *live)
{
	struct top_view *view = &live->view;
	struct fleet_vm *vm = fleet_find(view->fleet, live->asked_vm);
	json_t *params = read_typed(view);

	view->setting = NULL;
	if (!params)
		return;
	if (!vm) {
		json_decref(params);
		say(view, true, "%s has ended", live->asked_vm);
	} else if (!fleet_set(view->fleet, vm, params)) {
		say(view, true, "%s does not answer", live->asked_vm);
	}
}

static void ask_for(struct live *live, const struct top_setting *setting)
{
	struct top_view *view = &live->view;
	const struct top_row *row;

	if (view->rows.count == 0)
		return;
	row = &view->rows.rows[top_selected(view)];
	if (!row->has_policy) {
		say(view, true, "%s %s", row->name,
		    row->answers ? "has no dynamic memory" : "does not answer");
		return;
	}
	(void)snprintf(live->asked_vm, sizeof(live->asked_vm), "%s", row->name);
	(void)snprintf(live->question, sizeof(live->question), "%s of %s (%s)", setting->what,
		       row->name, setting->form);
	view->question = live->question;
	view->setting = setting;
	view->typed[0] = '\0';
}

static void type_key(struct live *live, int key)
{
	char *typed = live->view.typed;
	size_t len = strlen(typed);

	if (key == '\n' || key == '\r' || key == KEY_ENTER)
		send_setting(live);
	else if (key == KEY_ESCAPE)
		live->view.setting = NULL;
	else if ((key == KEY_BACKSPACE || key == KEY_DELETE || key == '\b') && len > 0)
		typed[len - 1] = '\0';
	else if (key >= ' ' && key <= '~' && len + 1 < TOP_TYPED_BYTES) {
		typed[len] = (char)key;
		typed[len + 1] = '\0';
	}
}

/* --- keys ------------------------------------------------------------------------------------- */

static void move_selection(struct top_view *view, int steps)
{
	int selected = (int)top_selected(view) + steps;

	if (view->rows.count == 0)
		return;
	if (selected >= (int)view->rows.count)
		selected = (int)view->rows.count - 1;
	if (selected < 0)
		selected = 0;
	(void)snprintf(view->selected, sizeof(view->selected), "%s",
		       view->rows.rows[selected].name);
	(void)snprintf(view->fleet->detailed, sizeof(view->fleet->detailed), "%s", view->selected);
	fleet_look_closer(view->fleet);
}

static void sort_by(struct top_view *view, enum top_sort sort)
{
	view->sort = sort;
	take_rows(view);
}

static void do_key(struct live *live, int key)
{
	struct top_view *view = &live->view;

	view->said[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		if (settings[i].key == key)
			ask_for(live, &settings[i]);
	switch (key) {
	case 'q': live->is_over = true; break;
	case 'n': sort_by(view, TOP_BY_NAME); break;
	case 'd': sort_by(view, TOP_BY_DEMAND); break;
	case 'a': sort_by(view, TOP_BY_ASSIGNED); break;
	case 'p': sort_by(view, TOP_BY_PRESSURE); break;
	case 'r':
		view->reverse = !view->reverse;
		take_rows(view);
		break;
	case 's': view->own_scale = !view->own_scale; break;
	case 'j':
	case KEY_DOWN: move_selection(view, 1); break;
	case 'k':
	case KEY_UP: move_selection(view, -1); break;
	case KEY_NPAGE: move_selection(view, (int)view->listed); break;
	case KEY_PPAGE: move_selection(view, -(int)view->listed); break;
	case KEY_HOME: move_selection(view, -VM_LIST_MAX); break;
	case KEY_END: move_selection(view, VM_LIST_MAX); break;
	default: break;
	}
}

static void take_keys(struct live *live)
{
	int key;

	while (!live->is_over && (key = top_screen_key()) != ERR) {
		if (key == KEY_RESIZE)
			continue; /* the next draw fits it */
		if (live->view.setting)
			type_key(live, key);
		else
			do_key(live, key);
	}
}

/* --- the loop --------------------------------------------------------------------------------- */

static sigset_t ending_set(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(ending_signals); i++)
		(void)sigaddset(&set, ending_signals[i]);
	return set;
}

static int open_signals(void)
{
	sigset_t set = ending_set();

	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void release_signals(void)
{
	sigset_t set = ending_set();

	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void take_signal(struct live *live, int signal_fd)
{
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	live->signal = (int)info.ssi_signo;
	live->is_over = true;
}

static void look(struct live *live)
{
	uint64_t now_ns = clock_now_ns();
	struct err err = { 0 };

	if (now_ns < live->next_look_ns)
		return;
	(void)snprintf(live->view.fleet->detailed, sizeof(live->view.fleet->detailed), "%s",
		       live->view.selected);
	if (fleet_look(live->view.fleet, &err) < 0)
		say(&live->view, true, "%s", err.text);
	else if (live->view.fleet->daemon_is_silent)
		say(&live->view, true, "neapd does not answer");
	top_host_read(&live->view.host);
	live->next_look_ns = now_ns + LOOK_MS * NS_PER_MS;
}

static void wait_for_something(struct live *live, int signal_fd)
{
	struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
				{ .fd = signal_fd, .events = POLLIN } };
	uint64_t now_ns = clock_now_ns();
	uint64_t left_ns = live->next_look_ns > now_ns ? live->next_look_ns - now_ns : 0;

	fleet_wait(live->view.fleet, fds, ARRAY_LEN(fds), (int)(left_ns / NS_PER_MS) + 1);
	if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
		live->is_over = true; /* the terminal has gone */
	if (fds[1].revents & POLLIN)
		take_signal(live, signal_fd);
}

/* So that the first thing to be seen is a table, and not that there is no VM. */
static void await_first_answers(struct live *live)
{
	uint64_t deadline_ns = clock_now_ns() + FIRST_LOOK_MS * NS_PER_MS;

	look(live);
	while (!fleet_is_settled(live->view.fleet) && clock_now_ns() < deadline_ns)
		fleet_wait(live->view.fleet, NULL, 0, FIRST_LOOK_MS);
}

int top_live(struct fleet *fleet)
{
	struct live live = { .view.fleet = fleet };
	CLEANUP(close_fd)
	int signal_fd = open_signals();

	if (signal_fd < 0 || !top_screen_open()) {
		release_signals();
		return -1;
	}
	fleet->was_set = was_set;
	fleet->ctx = &live;
	await_first_answers(&live);
	while (!live.is_over) {
		look(&live);
		take_rows(&live.view);
		top_screen_draw(&live.view);
		wait_for_something(&live, signal_fd);
		take_keys(&live);
	}
	top_screen_close();
	top_rows_fini(&live.view.rows);
	if (live.signal) {
		(void)signal(live.signal, SIG_DFL); /* ncurses has handlers of its own */
		(void)raise(live.signal);
	}
	release_signals(); /* here it ends by the signal, if there was one */
	return EXIT_CODE_OK;
}
