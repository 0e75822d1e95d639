/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* blocks.c - the part of docs/MEMORY.md that says what may become of a block of guest RAM: the
 * states, the picture (Mermaid, which GitHub and others draw) and every move with its reason.
 *
 * Source: Mermaid, "State diagrams": a label ends at a colon.
 */
#include "docgen.h"

#include <stdio.h>
#include <string.h>

#include "memory/frame_state.h"

static const char *const state_names[] = {
#define STATE(id, name, help) [FRAME_##id] = (name),
#include "memory/frame_states.def"
#undef STATE
};

static void put_states(void)
{
	(void)puts("| State | |\n|---|---|");
#define STATE(id, name, help) (void)printf("| %s | %s |\n", (name), (help));
#include "memory/frame_states.def"
#undef STATE
}

/* What makes the move, without the colon and what it then leads to. */
static void put_arrow(enum frame_state from, enum frame_state to, const char *why)
{
	(void)printf("    %s --> %s: %.*s\n", state_names[from], state_names[to],
		     (int)strcspn(why, ":;"), why);
}

static void put_picture(void)
{
	(void)puts("```mermaid\nstateDiagram-v2\n    [*] --> absent");
#define MOVE(from, to, why) put_arrow(FRAME_##from, FRAME_##to, why);
#include "memory/frame_moves.def"
#undef MOVE
	(void)puts("```");
}

static void put_move(enum frame_state from, enum frame_state to, const char *why)
{
	(void)printf("| %s | %s | %s |\n", state_names[from], state_names[to], why);
}

static void put_moves(void)
{
	(void)puts("| From | To | Because |\n|---|---|---|");
#define MOVE(from, to, why) put_move(FRAME_##from, FRAME_##to, why);
#include "memory/frame_moves.def"
#undef MOVE
}

void md_blocks(void)
{
	put_states();
	(void)putchar('\n');
	put_picture();
	(void)putchar('\n');
	put_moves();
}
