/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* tide.c - see tide.h.
 *
 * Time runs to the right, one column per sample; guest RAM upwards, TIDE_ROWS rows of eight steps.
 * Solid is what the guest holds of the host, shaded above it what it has handed over and the host
 * got back, empty what it never touched. So a balloon that works is a solid area that turns into a
 * shaded one of the same height.
 */
#include "cli/tide.h"

#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/output.h"

enum {
	TERMINAL_COLUMNS_MIN = 80, /* no row of the chart is longer: a wrapped one would move */
	TERMINAL_ROWS_MIN = TIDE_ROWS + 7
};

const char *const tide_blocks[TIDE_ROW_STEPS + 1] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };

void tide_init(struct tide *tide, uint64_t maximum_bytes, bool has_pool)
{
	struct winsize window = { 0 };

	*tide = (struct tide){ .maximum_bytes = maximum_bytes,
			       .start_ns = clock_now_ns(),
			       .has_pool = has_pool };
	(void)setlocale(LC_CTYPE, "");
	tide->has_unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) < 0)
		return;
	tide->redraws = window.ws_col >= TERMINAL_COLUMNS_MIN && window.ws_row >= TERMINAL_ROWS_MIN;
}

static uint64_t steps_of(const struct tide *tide, uint64_t bytes)
{
	uint64_t steps = bytes * TIDE_STEPS / tide->maximum_bytes;

	return steps < TIDE_STEPS ? steps : TIDE_STEPS;
}

static void put_coloured(enum out_colour colour, const char *text)
{
	(void)printf("%s%s%s", out_colour_on(stdout, colour), text, out_colour_off(stdout, colour));
}

static void put_cell(const struct tide *tide, const struct tide_sample *sample, unsigned row)
{
	uint64_t held = steps_of(tide, sample->resident_bytes);
	uint64_t top = steps_of(tide, sample->resident_bytes + sample->returned_bytes);
	uint64_t floor = (uint64_t)row * TIDE_ROW_STEPS;
	uint64_t filled = held > floor ? held - floor : 0;

	filled = filled < TIDE_ROW_STEPS ? filled : TIDE_ROW_STEPS;
	if (filled >= TIDE_ROW_STEPS / 2 && !tide->has_unicode)
		put_coloured(OUT_BLUE, "#");
	else if (filled > 0 && tide->has_unicode)
		put_coloured(OUT_BLUE, tide_blocks[filled]);
	else if (top >= floor + TIDE_ROW_STEPS / 2)
		put_coloured(OUT_GREEN, tide->has_unicode ? "░" : ".");
	else
		(void)putchar(' ');
}

static void end_row(struct tide *tide)
{
	(void)fputs("\x1b[K\n", stdout);
	tide->drawn_rows++;
}

static void draw_area(struct tide *tide)
{
	char text[UNITS_TEXT_BYTES];

	for (unsigned row = TIDE_ROWS; row-- > 0;) {
		if (row == TIDE_ROWS - 1)
			(void)printf("%9s ", units_format_size(tide->maximum_bytes, text));
		else
			(void)printf("%9s ", row == 0 ? "0" : "");
		(void)fputs(tide->has_unicode ? "│" : "|", stdout);
		for (unsigned i = 0; i < tide->count; i++)
			put_cell(tide, &tide->samples[i], row);
		end_row(tide);
	}
}

static void put_figure(const char *name, uint64_t bytes)
{
	char text[UNITS_TEXT_BYTES];

	(void)printf("  %s ", name);
	(void)printf("%s%-9s%s", out_colour_on(stdout, OUT_BOLD), units_format_size(bytes, text),
		     out_colour_off(stdout, OUT_BOLD));
}

static void draw_figures(struct tide *tide, const struct tide_sample *sample)
{
	char text[UNITS_TEXT_BYTES];

	(void)printf("%10s", "");
	put_figure("asked", sample->asked_bytes);
	put_figure("taken", sample->taken_bytes);
	put_figure("returned", sample->returned_bytes);
	end_row(tide);
	(void)printf("%12s", "");
	put_coloured(OUT_BLUE, tide->has_unicode ? "█" : "#");
	(void)printf(" guest holds %-9s  ", units_format_size(sample->resident_bytes, text));
	put_coloured(OUT_GREEN, tide->has_unicode ? "░" : ".");
	(void)fputs(" it gave back", stdout);
	if (tide->has_pool)
		(void)printf("    host pool %s free",
			     units_format_size(sample->pool_free_bytes, text));
	end_row(tide);
}

static double seconds_since_start(const struct tide *tide)
{
	return (double)(clock_now_ns() - tide->start_ns) / (double)NS_PER_S;
}

static void redraw(struct tide *tide, const char *act, const struct tide_sample *sample)
{
	if (tide->drawn_rows > 0)
		(void)printf("\x1b[%uA\r", tide->drawn_rows);
	tide->drawn_rows = 0;
	(void)printf("%5.1f s   %s%s%s", seconds_since_start(tide), out_colour_on(stdout, OUT_BOLD),
		     act, out_colour_off(stdout, OUT_BOLD));
	end_row(tide);
	draw_area(tide);
	draw_figures(tide, sample);
}

static void print_line(const struct tide *tide, const char *act, const struct tide_sample *sample)
{
	char asked[UNITS_TEXT_BYTES], taken[UNITS_TEXT_BYTES], returned[UNITS_TEXT_BYTES];
	char held[UNITS_TEXT_BYTES], pool[UNITS_TEXT_BYTES];

	(void)printf("%5.1f s  %s: asked %s, taken %s, returned %s, held %s",
		     seconds_since_start(tide), act, units_format_size(sample->asked_bytes, asked),
		     units_format_size(sample->taken_bytes, taken),
		     units_format_size(sample->returned_bytes, returned),
		     units_format_size(sample->resident_bytes, held));
	if (tide->has_pool)
		(void)printf(", host pool %s free",
			     units_format_size(sample->pool_free_bytes, pool));
	(void)putchar('\n');
}

void tide_add(struct tide *tide, const char *act, const struct tide_sample *sample)
{
	if (!tide->redraws) {
		print_line(tide, act, sample);
	} else {
		if (tide->count == TIDE_COLUMNS)
			memmove(tide->samples, tide->samples + 1,
				--tide->count * sizeof(tide->samples[0]));
		tide->samples[tide->count++] = *sample;
		redraw(tide, act, sample);
	}
	(void)fflush(stdout);
}

void tide_leave(struct tide *tide)
{
	tide->drawn_rows = 0;
}
