/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* top_screen.c - draw `neap top`. See top_view.h.
 *
 * From the top: a line of sums, the host's memory, the list, what is known of the selected VM, and
 * one line for keys, a question or an answer. Columns that the bar shows anyway go first when the
 * window is narrow.
 *
 * The terminal comes back at every end: on the way out by top_screen_close(), and by a handler for
 * signals that end a program in the middle, which only writes bytes that were prepared before.
 */
#include "cli/top_ncurses.h"
#include "cli/top_view.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "policy/policy.h"

enum {
	BAR_CELLS_MIN = 12,
	BAR_CELLS_MAX = 110, /* a bar is no clearer for being longer */
	HEAD_ROWS = 4,
	DETAIL_ROWS = 3,
	DETAIL_WINDOW_ROWS = 14, /* lower windows show the list only */
	ESCAPE_KEY_MS = 25
};

static const struct top_ncurses *nc;
static SCREEN *screen;
static struct termios mode_before;
static char leave_text[128]; /* what brings the normal screen and its cursor back */
static bool has_unicode;

/* --- open and close --------------------------------------------------------------------------- */

static void on_fatal_signal(int number)
{
	ssize_t ignored = write(STDOUT_FILENO, leave_text, strlen(leave_text));

	(void)ignored;
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &mode_before);
	(void)raise(number); /* SA_RESETHAND: now it does its work */
}

static void guard_fatal_signals(void)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	static const char *const names[] = { "sgr0", "cnorm", "rmkx", "rmcup" };
	struct sigaction action = { .sa_handler = on_fatal_signal, .sa_flags = (int)SA_RESETHAND };

	for (size_t i = 0, len = 0; i < ARRAY_LEN(names); i++) {
		const char *text = nc->tigetstr(names[i]);

		if (text && text != (char *)-1 && len + strlen(text) < sizeof(leave_text))
			len += (size_t)snprintf(leave_text + len, sizeof(leave_text) - len, "%s",
						text);
	}
	(void)sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
		(void)sigaction(fatal[i], &action, NULL);
}

static void set_colours(void)
{
	static const struct {
		short pair, colour;
	} pairs[] = {
		{ OUT_RED, COLOR_RED },	  { OUT_GREEN, COLOR_GREEN }, { OUT_YELLOW, COLOR_YELLOW },
		{ OUT_CYAN, COLOR_CYAN }, { OUT_BLUE, COLOR_BLUE },
	};
	const char *no_colour = getenv("NO_COLOR");

	if ((no_colour && *no_colour) || !nc->has_colors())
		return;
	(void)nc->start_color();
	(void)nc->use_default_colors();
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		(void)nc->init_pair(pairs[i].pair, pairs[i].colour, -1);
}

/* Asked first, because nc->newterm() loses memory when it fails. */
static bool is_known_terminal(void)
{
	int found;

	if (nc->setupterm(NULL, STDOUT_FILENO, &found) != OK)
		return false;
	(void)nc->del_curterm(*nc->terminal);
	return true;
}

bool top_screen_open(void)
{
	has_unicode = top_has_unicode();
	nc = top_ncurses_get();
	if (!nc || tcgetattr(STDIN_FILENO, &mode_before) < 0 || !is_known_terminal())
		return false;
	screen = nc->newterm(NULL, stdout, stdin);
	if (!screen)
		return false;
	guard_fatal_signals();
	set_colours();
	(void)nc->cbreak();
	(void)nc->noecho();
	(void)nc->keypad(*nc->whole, true);
	(void)nc->nodelay(*nc->whole, true);
	(void)nc->set_escdelay(ESCAPE_KEY_MS);
	(void)nc->curs_set(0);
	return true;
}

void top_screen_close(void)
{
	if (!screen)
		return;
	(void)nc->endwin();
	nc->delscreen(screen);
	screen = NULL;
}

int top_screen_key(void)
{
	return nc->wgetch(*nc->whole);
}

/* --- pieces ----------------------------------------------------------------------------------- */

static attr_t look_of(enum out_colour colour)
{
	switch (colour) {
	case OUT_PLAIN: return A_NORMAL;
	case OUT_BOLD: return A_BOLD;
	case OUT_DIM: return A_DIM;
	case OUT_RED:
	case OUT_GREEN:
	case OUT_YELLOW:
	case OUT_CYAN:
	case OUT_BLUE: break;
	}
	return (attr_t)nc->COLOR_PAIR((int)colour);
}

static int window_rows(void)
{
	return nc->getmaxy(*nc->whole);
}

static int window_columns(void)
{
	return nc->getmaxx(*nc->whole);
}

static void turn_on(attr_t look)
{
	(void)nc->wattr_on(*nc->whole, look, NULL);
}

static void turn_off(attr_t look)
{
	(void)nc->wattr_off(*nc->whole, look, NULL);
}

/* What does not fit into the line is cut off. */
static void put(int y, int x, enum out_colour colour, const char *text)
{
	if (y < 0 || y >= window_rows() || x >= window_columns())
		return;
	turn_on(look_of(colour));
	(void)nc->wmove(*nc->whole, y, x);
	(void)nc->waddnstr(*nc->whole, text, window_columns() - x);
	turn_off(look_of(colour));
}

static void put_format(int y, int x, enum out_colour colour, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static void put_format(int y, int x, enum out_colour colour, const char *fmt, ...)
{
	char text[TOP_SAID_BYTES];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	put(y, x, colour, text);
}

static void put_bar(int y, int x, unsigned width, const struct top_row *row, uint64_t scale_bytes)
{
	enum top_cell cells[TOP_BAR_MAX];

	if (width < 2 || y >= window_rows())
		return;
	width = width > BAR_CELLS_MAX ? BAR_CELLS_MAX : width;
	top_bar(row, scale_bytes, width, cells);
	(void)nc->wmove(*nc->whole, y, x);
	for (unsigned i = 0; i < width; i++) {
		const struct top_look *look = &top_looks[cells[i]];

		turn_on(look_of(look->colour));
		if (has_unicode)
			(void)nc->waddnstr(*nc->whole, look->unicode, -1);
		else
			(void)nc->waddch(*nc->whole, (chtype)look->ascii);
		turn_off(look_of(look->colour));
	}
}

/* --- the head --------------------------------------------------------------------------------- */

static void draw_sums(const struct top_view *view)
{
	uint64_t assigned_bytes = 0, maximum_bytes = 0;
	char assigned[UNITS_TEXT_BYTES], maximum[UNITS_TEXT_BYTES], clock_text[16] = "";
	time_t now_s = time(NULL);
	unsigned silent = 0;
	struct tm local;

	for (unsigned i = 0; i < view->rows.count; i++) {
		assigned_bytes += view->rows.rows[i].assigned_bytes;
		maximum_bytes += view->rows.rows[i].maximum_bytes;
		silent += !view->rows.rows[i].answers;
	}
	if (localtime_r(&now_s, &local))
		(void)strftime(clock_text, sizeof(clock_text), "%H:%M:%S", &local);
	put(0, 0, OUT_BOLD, "neap top");
	put_format(0, 10, OUT_PLAIN, "%s   %u VM%s, %s assigned of %s", clock_text,
		   view->rows.count, view->rows.count == 1 ? "" : "s",
		   units_format_size(assigned_bytes, assigned),
		   units_format_size(maximum_bytes, maximum));
	if (silent > 0)
		put_format(0, nc->getcurx(*nc->whole) + 2, OUT_RED, "%u without an answer", silent);
}

static void draw_supply(int y, const char *name, uint64_t free_bytes, uint64_t total_bytes,
			const char *state, enum out_colour colour)
{
	char free_text_[UNITS_TEXT_BYTES], total[UNITS_TEXT_BYTES];
	struct top_row row = { .answers = true,
			       .demand_bytes = total_bytes - free_bytes,
			       .assigned_bytes = total_bytes - free_bytes,
			       .maximum_bytes = total_bytes };
	int x = 50;

	put(y, 0, OUT_BOLD, name);
	put_format(y, 15, OUT_PLAIN, "%9s free of %-9s", units_format_size(free_bytes, free_text_),
		   units_format_size(total_bytes, total));
	put(y, 44, colour, state);
	if (total_bytes > 0 && window_columns() > x + BAR_CELLS_MIN)
		put_bar(y, x, (unsigned)(window_columns() - x), &row, total_bytes);
}

static void draw_host(const struct top_host *host)
{
	if (host->has_pool && host->pool_bytes == 0)
		put(1, 0, OUT_DIM, "2 MiB pages    the pool is empty");
	else if (host->has_pool)
		draw_supply(1, "2 MiB pages", host->pool_free_bytes, host->pool_bytes,
			    host_state_names[host->pool_state], top_host_colour(host));
	if (host->has_memory)
		draw_supply(2, "host memory", host->memory_available_bytes, host->memory_bytes, "",
			    OUT_PLAIN);
}

/* --- the list --------------------------------------------------------------------------------- */

typedef const char *column_text(const struct top_row *row, char text[UNITS_TEXT_BYTES]);

static const char *text_if(bool is_known, uint64_t bytes, char text[UNITS_TEXT_BYTES])
{
	return is_known ? top_short_size(bytes, text) : "-";
}

static const char *name_text(const struct top_row *row, char text[UNITS_TEXT_BYTES])
{
	(void)text;
	return row->name;
}

static const char *state_text(const struct top_row *row, char text[UNITS_TEXT_BYTES])
{
	(void)text;
	return row->state;
}

static const char *status_text(const struct top_row *row, char text[UNITS_TEXT_BYTES])
{
	(void)text;
	return row->has_policy ? row->status : "-";
}

static const char *minimum_text(const struct top_row *row, char text[UNITS_TEXT_BYTES])
{
	return text_if(row->has_policy, row->minimum_bytes, text);
}

static const char *demand_text(const struct top_row *row, char text[UNITS_TEXT_BYTES])
{
	return text_if(row->has_demand, row->demand_bytes, text);
}

static const char *assigned_text(const struct top_row *row, char text[UNITS_TEXT_BYTES])
{
	return text_if(row->answers, row->assigned_bytes, text);
}

static const char *maximum_text(const struct top_row *row, char text[UNITS_TEXT_BYTES])
{
	return text_if(row->answers, row->maximum_bytes, text);
}

static const char *pressure_text(const struct top_row *row, char text[UNITS_TEXT_BYTES])
{
	if (!row->has_demand)
		return "-";
	(void)snprintf(text, UNITS_TEXT_BYTES, "%" PRIu64 "%%", row->pressure_percent);
	return text;
}

static const char *swap_text(const struct top_row *row, char text[UNITS_TEXT_BYTES])
{
	return row->swapped_bytes == 0 && row->answers
		       ? "0"
		       : text_if(row->answers, row->swapped_bytes, text);
}

static const char *stall_text(const struct top_row *row, char text[UNITS_TEXT_BYTES])
{
	return row->has_stall_rate ? top_stall(row, text) : "-";
}

static const struct column {
	const char *title;
	bool at_right, is_optional;
	bool is_coloured; /* as the status */
	int sort;	  /* an enum top_sort, or -1 */
	int width_min, width_max;
	column_text *text;
} shown_columns[] = {
	{ "NAME", false, false, false, TOP_BY_NAME, 8, 24, name_text },
	{ "STATE", false, false, false, -1, 7, 13, state_text },
	{ "STATUS", false, false, true, -1, 7, 7, status_text },
	{ "MIN", true, true, false, -1, 5, 5, minimum_text },
	{ "DEMAND", true, false, false, TOP_BY_DEMAND, 6, 6, demand_text },
	{ "ASSIGNED", true, false, false, TOP_BY_ASSIGNED, 8, 8, assigned_text },
	{ "MAX", true, true, false, -1, 5, 5, maximum_text },
	{ "PRESS", true, false, false, TOP_BY_PRESSURE, 5, 5, pressure_text },
	{ "SWAP", true, false, false, -1, 5, 5, swap_text },
	{ "STALL/S", true, false, false, -1, 7, 7, stall_text },
};

struct plan {
	int width[ARRAY_LEN(shown_columns)]; /* 0: not shown */
	int bar_x;
	unsigned bar_width;
};

static int width_of(const struct column *column, const struct top_rows *rows)
{
	char text[UNITS_TEXT_BYTES];
	int width = column->width_min;

	for (unsigned i = 0; i < rows->count && width < column->width_max; i++) {
		int len = (int)strlen(column->text(&rows->rows[i], text));

		width = len > width ? len : width;
	}
	return width < column->width_max ? width : column->width_max;
}

static struct plan plan_columns(const struct top_rows *rows)
{
	struct plan plan = { 0 };

	for (int with_optional = 1; with_optional >= 0; with_optional--) {
		plan.bar_x = 0;
		for (size_t i = 0; i < ARRAY_LEN(shown_columns); i++) {
			bool is_shown = with_optional || !shown_columns[i].is_optional;

			plan.width[i] = is_shown ? width_of(&shown_columns[i], rows) : 0;
			plan.bar_x += is_shown ? plan.width[i] + 1 : 0;
		}
		if (window_columns() >= plan.bar_x + BAR_CELLS_MIN)
			break;
	}
	plan.bar_width =
		window_columns() > plan.bar_x ? (unsigned)(window_columns() - plan.bar_x) : 0;
	return plan;
}

static void draw_titles(const struct top_view *view, const struct plan *plan)
{
	int x = 0;

	for (size_t i = 0; i < ARRAY_LEN(shown_columns); i++) {
		bool is_sorted = shown_columns[i].sort == (int)view->sort;

		if (plan->width[i] == 0)
			continue;
		if (is_sorted)
			turn_on(A_UNDERLINE);
		put_format(HEAD_ROWS - 1, x, OUT_BOLD, shown_columns[i].at_right ? "%*s" : "%-*s",
			   plan->width[i], shown_columns[i].title);
		turn_off(A_UNDERLINE);
		x += plan->width[i] + 1;
	}
}

static void draw_row(int y, const struct top_row *row, const struct plan *plan, bool is_selected,
		     uint64_t scale_bytes)
{
	char text[UNITS_TEXT_BYTES];
	int x = 0;

	if (is_selected)
		turn_on(A_REVERSE);
	for (size_t i = 0; i < ARRAY_LEN(shown_columns); i++) {
		enum out_colour colour =
			shown_columns[i].is_coloured ? top_status_colour(row) : OUT_PLAIN;
		int width = plan->width[i];

		if (width == 0)
			continue;
		put_format(y, x, colour, shown_columns[i].at_right ? "%*.*s " : "%-*.*s ", width,
			   width, shown_columns[i].text(row, text));
		x += width + 1;
	}
	turn_off(A_REVERSE);
	put_bar(y, plan->bar_x, plan->bar_width, row,
		scale_bytes ? scale_bytes : row->maximum_bytes);
}

static void draw_list(struct top_view *view, int rows_room)
{
	struct plan plan = plan_columns(&view->rows);
	unsigned selected = top_selected(view);
	uint64_t scale_bytes = view->own_scale ? 0 : top_rows_largest_bytes(&view->rows);

	view->listed = rows_room > 0 ? (unsigned)rows_room : 0;
	if (selected < view->first)
		view->first = selected;
	if (view->listed > 0 && selected >= view->first + view->listed)
		view->first = selected - view->listed + 1;
	draw_titles(view, &plan);
	for (unsigned i = 0; i < view->listed && view->first + i < view->rows.count; i++)
		draw_row(HEAD_ROWS + (int)i, &view->rows.rows[view->first + i], &plan,
			 view->first + i == selected, scale_bytes);
	if (view->rows.count == 0)
		put(HEAD_ROWS, 0, OUT_DIM, "no VM is running (start one: neap run)");
}

/* --- the selected VM, and the last line ------------------------------------------------------- */

static void draw_rule(int y, const struct top_row *row)
{
	for (int i = 0; i < POLICY_RULE_COUNT; i++) {
		const struct policy_rule_row *rule = &policy_rules[i];

		if (strcmp(rule->name, row->rule) != 0)
			continue;
		put_format(y, 0, OUT_PLAIN, "%s: %s%s%s   (neap why %s)", rule->name, rule->meaning,
			   *rule->waits_for ? "; waits for " : "", rule->waits_for, row->name);
		return;
	}
	put(y, 0, OUT_PLAIN, row->rule);
}

static void draw_details(int y, const struct top_row *row)
{
	char a[UNITS_TEXT_BYTES], b[UNITS_TEXT_BYTES], c[UNITS_TEXT_BYTES], d[UNITS_TEXT_BYTES];
	char buffer[64] = "";

	put(y, 0, OUT_BOLD, row->name);
	if (!row->answers) {
		put_format(y, (int)strlen(row->name) + 2, OUT_RED, "%s", row->state);
		if (row->pid)
			put_format(y + 1, 0, OUT_PLAIN, "process %" PRIu64, row->pid);
		return;
	}
	if (!row->has_policy) {
		put_format(y, (int)strlen(row->name) + 2, OUT_PLAIN,
			   "has no dynamic memory; resident %s",
			   units_format_size(row->resident_bytes, a));
		return;
	}
	if (row->has_details)
		(void)snprintf(buffer, sizeof(buffer), ", buffer %" PRIu64 " %%",
			       row->buffer_percent);
	put_format(y, (int)strlen(row->name) + 2, OUT_PLAIN,
		   "mode %s, minimum %s, maximum %s%s, weight %" PRIu64, row->mode,
		   units_format_size(row->minimum_bytes, a),
		   units_format_size(row->maximum_bytes, b), buffer, row->weight);
	if (row->has_details)
		(void)snprintf(buffer, sizeof(buffer), "; pressure %" PRIu64 " %% on average",
			       row->average_pressure_percent);
	put_format(y + 1, 0, OUT_PLAIN, "demand %s, want %s, assigned %s, resident %s%s",
		   row->has_demand ? units_format_size(row->demand_bytes, a) : "not known",
		   units_format_size(row->want_bytes, b), units_format_size(row->assigned_bytes, c),
		   units_format_size(row->resident_bytes, d), buffer);
	draw_rule(y + 2, row);
}

static void draw_last_line(const struct top_view *view)
{
	int y = window_rows() - 1;

	(void)nc->curs_set(view->setting ? 1 : 0);
	if (view->setting)
		put_format(y, 0, OUT_BOLD, "%s: %s", view->question, view->typed);
	else if (*view->said)
		put(y, 0, view->said_failure ? OUT_RED : OUT_GREEN, view->said);
	else
		put(y, 0, OUT_DIM,
		    "q quit  sort: n d a p  r reverse  s scale  set: m minimum b buffer w weight o "
		    "mode");
}

void top_screen_draw(struct top_view *view)
{
	int details = window_rows() >= DETAIL_WINDOW_ROWS ? DETAIL_ROWS + 1 : 0;

	(void)nc->werase(*nc->whole);
	draw_sums(view);
	draw_host(&view->host);
	draw_list(view, window_rows() - HEAD_ROWS - details - 1);
	if (details > 0 && view->rows.count > 0)
		draw_details(window_rows() - 1 - DETAIL_ROWS, &view->rows.rows[top_selected(view)]);
	draw_last_line(view);
	(void)nc->wrefresh(*nc->whole);
}
