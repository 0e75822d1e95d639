/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* info_memory.c - see info.h.
 *
 * The bar shows each state by its share of guest RAM. A state that is there at all has a cell at
 * least, so the largest one gives the cells that are too many.
 */
#include "cli/info.h"

#include <string.h>

#include "cli/output.h"
#include "memory/frame_state.h"

enum { BAR_CELLS = 48 };

static const struct {
	const char *glyph; /* all of three bytes: columns count bytes */
	enum out_colour colour;
	const char *meaning;
} looks[FRAME_STATE_COUNT] = {
	[FRAME_ABSENT] = { "\u2581", OUT_DIM, "never touched, or given back" },
	[FRAME_RESIDENT] = { "\u2588", OUT_CYAN, "in RAM and mapped" },
	[FRAME_SAMPLED] = { "\u2593", OUT_CYAN, "in RAM, unmapped" },
	[FRAME_WRITING] = { "\u2592", OUT_YELLOW, "on their way to swap" },
	[FRAME_SWAPPED] = { "\u2591", OUT_YELLOW, "only in swap" },
	[FRAME_READING] = { "\u2592", OUT_GREEN, "on their way back" },
};

/* As people think of it: in RAM, in between, out. */
static const enum frame_state order[] = { FRAME_RESIDENT, FRAME_SAMPLED, FRAME_WRITING,
					  FRAME_READING,  FRAME_SWAPPED, FRAME_ABSENT };

_Static_assert(ARRAY_LEN(order) == FRAME_STATE_COUNT, "every state is shown");

static void share_cells(const uint64_t bytes[FRAME_STATE_COUNT], unsigned cells[FRAME_STATE_COUNT])
{
	unsigned largest = 0, used = 0;
	uint64_t total = 0;

	for (unsigned i = 0; i < FRAME_STATE_COUNT; i++)
		total += bytes[i];
	for (unsigned i = 0; i < FRAME_STATE_COUNT; i++) {
		double share = total ? (double)bytes[i] / (double)total : 0;

		cells[i] = (unsigned)(share * BAR_CELLS);
		if (bytes[i] > 0 && cells[i] == 0)
			cells[i] = 1;
		if (bytes[i] > bytes[largest])
			largest = i;
		used += cells[i];
	}
	cells[largest] += BAR_CELLS - used; /* may be a negative step: unsigned wraps back */
}

static void print_bar(const uint64_t bytes[FRAME_STATE_COUNT])
{
	unsigned cells[FRAME_STATE_COUNT] = { 0 };

	share_cells(bytes, cells);
	(void)fputs("  ", stdout);
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		(void)fputs(out_colour_on(stdout, looks[order[i]].colour), stdout);
		for (unsigned cell = 0; cell < cells[order[i]]; cell++)
			(void)fputs(looks[order[i]].glyph, stdout);
		(void)fputs(out_colour_off(stdout, looks[order[i]].colour), stdout);
	}
	(void)putchar('\n');
}

static void state_row(struct out_table *table, enum frame_state state, uint64_t bytes,
		      uint64_t fresh_bytes)
{
	char text[UNITS_TEXT_BYTES];

	out_cell(table, looks[state].colour, "%s", looks[state].glyph);
	out_cell(table, OUT_DIM, "%s", frame_state_names[state]);
	out_cell_bytes(table, bytes);
	if (state == FRAME_SAMPLED && fresh_bytes > 0)
		out_cell(table, OUT_PLAIN, "%s: %s prepared ahead of need", looks[state].meaning,
			 units_format_size(fresh_bytes, text));
	else
		out_cell(table, OUT_PLAIN, "%s", looks[state].meaning);
}

static void print_sampler(const json_t *sampler)
{
	if (sampler)
		(void)printf("  in use: about %" PRIu64 " %% (of %" PRIu64
			     " blocks sampled in the last period)\n",
			     out_u64(sampler, "active_percent"),
			     out_u64(sampler, "sampled_blocks"));
}

void info_print_blocks(const json_t *memory)
{
	static const char *const columns[] = { "", "", ">", "" };
	const json_t *frames = json_object_get(memory, "frames");
	uint64_t bytes[FRAME_STATE_COUNT];
	struct out_table table;

	if (!frames)
		return;
	(void)printf("\n%sBlocks%s of guest RAM\n", out_colour_on(stdout, OUT_BOLD),
		     out_colour_off(stdout, OUT_BOLD));
	for (unsigned i = 0; i < FRAME_STATE_COUNT; i++)
		bytes[i] = out_u64(frames, frame_state_names[i]);
	print_bar(bytes);
	out_table_init(&table, columns, ARRAY_LEN(columns));
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (bytes[order[i]] > 0)
			state_row(&table, order[i], bytes[order[i]],
				  out_u64(memory, "fresh_bytes"));
	out_table_print(&table, stdout, "  ");
	print_sampler(json_object_get(memory, "sampler"));
}

static void print_errors(const json_t *swap)
{
	uint64_t writes = out_u64(swap, "write_errors"), reads = out_u64(swap, "read_errors");

	if (writes > 0 || reads > 0)
		(void)printf("  %serrors: %" PRIu64 " writes, %" PRIu64 " reads%s%s\n",
			     out_colour_on(stdout, OUT_RED), writes, reads,
			     json_is_true(json_object_get(swap, "closed"))
				     ? "; nothing more is written to it"
				     : "",
			     out_colour_off(stdout, OUT_RED));
}

void info_print_swap(const json_t *memory)
{
	static const char *const columns[] = { "", ">", "" };
	const json_t *swap = json_object_get(memory, "swap");
	char size[UNITS_TEXT_BYTES], zero[UNITS_TEXT_BYTES];
	struct out_table table;

	if (!swap)
		return;
	(void)printf("\n%sSwap%s\n", out_colour_on(stdout, OUT_BOLD),
		     out_colour_off(stdout, OUT_BOLD));
	out_table_init(&table, columns, ARRAY_LEN(columns));
	out_cell(&table, OUT_DIM, "used");
	out_cell_bytes(&table, out_u64(swap, "used_bytes"));
	out_cell(&table, OUT_PLAIN, "of %s", units_format_size(out_u64(swap, "size_bytes"), size));
	out_cell(&table, OUT_DIM, "out");
	out_cell_bytes(&table, out_u64(swap, "out_bytes"));
	out_cell(&table, OUT_PLAIN,
		 "of it zeros, which take no room: %s; the guest came first %" PRIu64 " times",
		 units_format_size(out_u64(swap, "zero_bytes"), zero), out_u64(swap, "aborts"));
	out_cell(&table, OUT_DIM, "in");
	out_cell_bytes(&table, out_u64(swap, "in_bytes"));
	out_cell(&table, OUT_PLAIN, "touched there %" PRIu64 " times", out_u64(swap, "refaults"));
	out_table_print(&table, stdout, "  ");
	print_errors(swap);
}
