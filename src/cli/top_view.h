/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* top_view.h - what the screen of `neap top` shows, and the screen. Inside cli/ only.
 *
 * top_live.c changes the view, top_screen.c draws it; only the latter writes to the terminal.
 */
#ifndef NEAP_CLI_TOP_VIEW_H
#define NEAP_CLI_TOP_VIEW_H

#include "cli/top.h"

enum { TOP_SAID_BYTES = 400, TOP_TYPED_BYTES = 64 };

struct top_setting; /* top_live.c: one of those that can be changed */

struct top_view {
	struct fleet *fleet;
	struct top_rows rows;
	struct top_host host;
	enum top_sort sort;
	bool reverse;
	bool own_scale; /* each bar by its own maximum */
	char selected[VM_NAME_BYTES];
	unsigned first;	 /* row at the top of the list */
	unsigned listed; /* rows that the list has room for; the screen's word */

	const struct top_setting *setting; /* what is being typed; NULL: nothing */
	const char *question;
	char typed[TOP_TYPED_BYTES];
	char said[TOP_SAID_BYTES]; /* the last sentence, "" mostly */
	bool said_failure;
};

/* The selected row's number; 0 when there is none. */
unsigned top_selected(const struct top_view *view);

/* False: this terminal cannot (nothing was changed then). */
bool top_screen_open(void);
void top_screen_close(void);
int top_screen_key(void); /* a key of ncurses, or -1: none is waiting */
void top_screen_draw(struct top_view *view);

#endif
