/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* top_bar.c - a VM's memory as cells, and the words and colours that go with it. See top.h.
 *
 *     ████┃████████▒▒▒────────────┤     in demand, spare above it, the rest up to the maximum
 *     ####|########===............]     the same in ASCII
 */
#include "cli/top.h"

#include <langinfo.h>
#include <locale.h>
#include <string.h>

const struct top_look top_looks[TOP_CELL_COUNT] = {
	[TOP_CELL_NONE] = { " ", ' ', OUT_PLAIN, "" },
	[TOP_CELL_USED] = { "█", '#', OUT_BLUE, "demand" },
	[TOP_CELL_SPARE] = { "▒", '=', OUT_GREEN, "assigned" },
	[TOP_CELL_MISSING] = { "▞", '!', OUT_RED, "demand not met" },
	[TOP_CELL_REST] = { "─", '.', OUT_DIM, "not assigned" },
	[TOP_CELL_MINIMUM] = { "┃", '|', OUT_BOLD, "minimum" },
	[TOP_CELL_MAXIMUM] = { "┤", ']', OUT_BOLD, "maximum" },
};

/* Rounded to the nearest: where @bytes ends. */
static unsigned cells_of(uint64_t bytes, uint64_t scale_bytes, unsigned cells)
{
	unsigned __int128 scaled = (unsigned __int128)bytes * cells + scale_bytes / 2;

	return bytes >= scale_bytes ? cells : (unsigned)(scaled / scale_bytes);
}

static void fill_to(enum top_cell cells[TOP_BAR_MAX], unsigned *at, unsigned end,
		    enum top_cell cell)
{
	while (*at < end)
		cells[(*at)++] = cell;
}

void top_bar(const struct top_row *row, uint64_t scale_bytes, unsigned width,
	     enum top_cell ret_cells[TOP_BAR_MAX])
{
	unsigned last = width - 1, at = 0; /* one cell is the mark of the maximum */
	unsigned demand = cells_of(row->demand_bytes, scale_bytes, last);
	unsigned assigned = cells_of(row->assigned_bytes, scale_bytes, last);
	unsigned maximum = cells_of(row->maximum_bytes, scale_bytes, last);

	if (row->answers) {
		fill_to(ret_cells, &at, demand < assigned ? demand : assigned, TOP_CELL_USED);
		fill_to(ret_cells, &at, assigned, TOP_CELL_SPARE);
		fill_to(ret_cells, &at, demand < maximum ? demand : maximum, TOP_CELL_MISSING);
		fill_to(ret_cells, &at, maximum, TOP_CELL_REST);
		ret_cells[at++] = TOP_CELL_MAXIMUM;
		if (row->has_policy && row->minimum_bytes > 0)
			ret_cells[cells_of(row->minimum_bytes, scale_bytes, last)] =
				TOP_CELL_MINIMUM;
	}
	fill_to(ret_cells, &at, width, TOP_CELL_NONE);
}

bool top_has_unicode(void)
{
	(void)setlocale(LC_CTYPE, "");
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

enum out_colour top_status_colour(const struct top_row *row)
{
	if (!row->answers || strcmp(row->status, "Warning") == 0)
		return OUT_RED;
	if (strcmp(row->status, "OK") == 0)
		return OUT_GREEN;
	return row->has_policy ? OUT_YELLOW : OUT_PLAIN;
}

const char *top_short_size(uint64_t bytes, char text[UNITS_TEXT_BYTES])
{
	char *at = text;

	units_format_size(bytes, text); /* "1.5 GiB" */
	while (*at && *at != ' ')
		at++;
	if (*at == ' ') {
		at[0] = at[1];
		at[1] = '\0';
	}
	if (strchr(text, '.') && strlen(text) > 5) { /* "1023.5G" */
		size_t dot = strcspn(text, ".");

		memmove(text + dot, text + dot + 2, strlen(text + dot + 2) + 1);
	}
	return text;
}

const char *top_stall(const struct top_row *row, char text[UNITS_TEXT_BYTES])
{
	uint64_t us = row->has_stall_rate ? row->stall_rate_us : row->stall_us;

	if (!row->answers)
		return "-";
	return us == 0 ? "0" : out_short_time(us * NS_PER_US, text);
}
