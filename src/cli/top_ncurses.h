/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* top_ncurses.h - the few functions of ncursesw that the screen of `neap top` calls, loaded when it
 * is first opened. Inside cli/ only.
 *
 * Not linked: it would cost every start of neap, and so of every VM, 0.2 ms and 46 KiB. The names
 * and types are those of its headers, whose macros are not used here: they call what is linked.
 */
#ifndef NEAP_CLI_TOP_NCURSES_H
#define NEAP_CLI_TOP_NCURSES_H

#define NCURSES_NOMACROS 1
#include <ncurses.h>
#include <stdbool.h>
#include <term.h>

#define NCURSES_FUNCTIONS(X)  \
	X(setupterm)          \
	X(del_curterm)        \
	X(newterm)            \
	X(endwin)             \
	X(delscreen)          \
	X(tigetstr)           \
	X(has_colors)         \
	X(start_color)        \
	X(use_default_colors) \
	X(init_pair)          \
	X(COLOR_PAIR)         \
	X(cbreak)             \
	X(noecho)             \
	X(keypad)             \
	X(nodelay)            \
	X(set_escdelay)       \
	X(curs_set)           \
	X(wgetch)             \
	X(wmove)              \
	X(waddnstr)           \
	X(waddch)             \
	X(wattr_on)           \
	X(wattr_off)          \
	X(getcurx)            \
	X(getmaxx)            \
	X(getmaxy)            \
	X(werase)             \
	X(wrefresh)

struct top_ncurses {
#define NCURSES_MEMBER(name) __typeof__(name) *(name);
	NCURSES_FUNCTIONS(NCURSES_MEMBER)
#undef NCURSES_MEMBER
	WINDOW **whole;	     /* its variable stdscr */
	TERMINAL **terminal; /* and cur_term */
};

/* The library, or NULL: this host has none. One thread. */
const struct top_ncurses *top_ncurses_get(void);

#endif
