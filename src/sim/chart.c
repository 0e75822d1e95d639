/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* chart.c - see chart.h. Integers only, so that the same run gives the same file everywhere.
 *
 * Source: Scalable Vector Graphics 1.1, §9 "Basic Shapes", §11.4 "Stroke Properties".
 */
#include "sim/chart.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/units.h"

/* The picture, in its own units. */
enum {
	WIDTH = 900,
	PLOT_LEFT = 78,
	PLOT_WIDTH = 660,
	PLOT_HEIGHT = 190,
	TOP = 64,
	PANEL_GAP = 76,
	LEGEND_LEFT = PLOT_LEFT + PLOT_WIDTH + 16,
	LEGEND_LINE = 22,
	TENTHS = 10,
};
#define MINUTE_S UINT64_C(60)
#define HOUR_S	 (60 * MINUTE_S)
#define DAY_S	 (24 * HOUR_S)

/* By the number of the line in its panel; told apart by dashes and width first, then by colour. */
static const struct style {
	const char *colour, *dashes, *width;
} styles[CHART_LINES] = {
	{ "#000000", "1.5 4", "1.6" }, { "#b3261e", "none", "1.5" },	 { "#1d5fa8", "none", "3" },
	{ "#000000", "7 4", "1.3" },   { "#5b8c3a", "12 4 2 4", "1.8" },
};

void chart_add(struct chart *chart, uint64_t now_s, uint64_t points[CHART_PANELS][CHART_LINES])
{
	if (now_s < chart->next_s)
		return;
	if (chart->point_count == CHART_POINTS) {
		for (unsigned p = 0; p < chart->panel_count; p++)
			for (unsigned l = 0; l < chart->panels[p].line_count; l++)
				for (unsigned i = 0; i < CHART_POINTS / 2; i++)
					chart->panels[p].lines[l].points[i] =
						chart->panels[p].lines[l].points[(size_t)2 * i];
		chart->point_count /= 2;
		chart->step_s *= 2;
	}
	for (unsigned p = 0; p < chart->panel_count; p++)
		for (unsigned l = 0; l < chart->panels[p].line_count; l++)
			chart->panels[p].lines[l].points[chart->point_count] = points[p][l];
	chart->point_count++;
	chart->next_s = chart->point_count * chart->step_s;
}

/* ---- Axes ---- */

/* The smallest of 1, 2, 5, 10, ... times 16 MiB that needs at most six steps. */
static uint64_t nice_step_bytes(uint64_t top_bytes)
{
	uint64_t step = 16 * MIB_BYTES;

	while (top_bytes / step > 5)
		step *= 2;
	return step;
}

static uint64_t highest(const struct chart_panel *panel, unsigned count)
{
	uint64_t top = 1;

	for (unsigned l = 0; l < panel->line_count; l++)
		for (unsigned i = 0; i < count; i++)
			if (panel->lines[l].points[i] > top)
				top = panel->lines[l].points[i];
	return top;
}

static uint64_t time_step_s(uint64_t span_s)
{
	static const uint64_t steps[] = { 5,
					  10,
					  30,
					  MINUTE_S,
					  2 * MINUTE_S,
					  5 * MINUTE_S,
					  10 * MINUTE_S,
					  30 * MINUTE_S,
					  HOUR_S,
					  2 * HOUR_S,
					  4 * HOUR_S,
					  12 * HOUR_S };

	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (span_s / steps[i] <= 12)
			return steps[i];
	return DAY_S;
}

static void print_time(FILE *file, uint64_t at_s, uint64_t step_s)
{
	if (step_s >= DAY_S)
		(void)fprintf(file, "%" PRIu64 " d", at_s / DAY_S);
	else if (step_s >= HOUR_S)
		(void)fprintf(file, "%" PRIu64 " h", at_s / HOUR_S);
	else if (step_s >= MINUTE_S)
		(void)fprintf(file, "%" PRIu64 " min", at_s / MINUTE_S);
	else
		(void)fprintf(file, "%" PRIu64 " s", at_s);
}

static void draw_bytes_axis(FILE *file, uint64_t top_bytes, unsigned bottom)
{
	uint64_t step = nice_step_bytes(top_bytes);
	char text[UNITS_TEXT_BYTES];

	for (uint64_t at = 0; at <= top_bytes; at += step) {
		unsigned y = bottom -
			     (unsigned)(bytes_to_mib(at) * PLOT_HEIGHT / bytes_to_mib(top_bytes));

		(void)fprintf(file,
			      "<path d=\"M%d %u h%d\" stroke=\"#cccccc\"/>"
			      "<text x=\"%d\" y=\"%u\" text-anchor=\"end\">%s</text>\n",
			      PLOT_LEFT, y, PLOT_WIDTH, PLOT_LEFT - 8, y + 4,
			      at ? units_format_size(at, text) : "0");
	}
}

static void draw_time_axis(FILE *file, uint64_t span_s, unsigned bottom)
{
	uint64_t step_s = time_step_s(span_s);

	for (uint64_t at_s = 0; at_s <= span_s; at_s += step_s) {
		unsigned x = PLOT_LEFT + (unsigned)(at_s * PLOT_WIDTH / span_s);

		(void)fprintf(file,
			      "<path d=\"M%u %u v5\" stroke=\"#000000\"/>"
			      "<text x=\"%u\" y=\"%u\" text-anchor=\"middle\">",
			      x, bottom, x, bottom + 19);
		print_time(file, at_s, step_s);
		(void)fputs("</text>\n", file);
	}
	(void)fprintf(file,
		      "<path d=\"M%d %u h%d\" stroke=\"#000000\"/>\n"
		      "<text x=\"%d\" y=\"%u\" text-anchor=\"middle\">time</text>\n",
		      PLOT_LEFT, bottom, PLOT_WIDTH, PLOT_LEFT + PLOT_WIDTH / 2, bottom + 35);
}

/* ---- Lines ---- */

static void draw_line(FILE *file, const struct chart_line *line, const struct style *style,
		      unsigned count, uint64_t top_bytes, unsigned bottom)
{
	uint64_t left = (uint64_t)PLOT_LEFT * TENTHS;

	if (count < 2)
		return;
	(void)fprintf(file,
		      "<path fill=\"none\" stroke=\"%s\" stroke-dasharray=\"%s\" "
		      "stroke-width=\"%s\" stroke-linejoin=\"round\" d=\"",
		      style->colour, style->dashes, style->width);
	for (unsigned i = 0; i < count; i++) {
		uint64_t x = left + (uint64_t)i * PLOT_WIDTH * TENTHS / (count - 1);
		uint64_t y = (uint64_t)bottom * TENTHS - bytes_to_mib(line->points[i]) *
								 PLOT_HEIGHT * TENTHS /
								 bytes_to_mib(top_bytes);

		(void)fprintf(file, "%c%" PRIu64 ".%" PRIu64 " %" PRIu64 ".%" PRIu64, i ? 'L' : 'M',
			      x / TENTHS, x % TENTHS, y / TENTHS, y % TENTHS);
	}
	(void)fputs("\"/>\n", file);
}

static void draw_legend(FILE *file, const char *name, const struct style *style, unsigned y)
{
	(void)fprintf(file,
		      "<path d=\"M%d %u h34\" stroke=\"%s\" stroke-dasharray=\"%s\" "
		      "stroke-width=\"%s\"/><text x=\"%d\" y=\"%u\">%s</text>\n",
		      LEGEND_LEFT, y, style->colour, style->dashes, style->width, LEGEND_LEFT + 42,
		      y + 4, name);
}

static void draw_panel(FILE *file, const struct chart *chart, unsigned number)
{
	const struct chart_panel *panel = &chart->panels[number];
	unsigned top = TOP + number * (PLOT_HEIGHT + PANEL_GAP), bottom = top + PLOT_HEIGHT;
	uint64_t top_bytes = highest(panel, chart->point_count);
	uint64_t span_s = chart->step_s * (chart->point_count - 1);

	/* A line that runs along the top shall be seen. */
	top_bytes += top_bytes / 20 + MIB_BYTES;
	(void)fprintf(file, "<text x=\"%d\" y=\"%u\" font-weight=\"bold\">%s</text>\n", PLOT_LEFT,
		      top - 10, panel->title);
	draw_bytes_axis(file, top_bytes, bottom);
	draw_time_axis(file, span_s, bottom);
	for (unsigned l = 0; l < panel->line_count; l++)
		draw_line(file, &panel->lines[l], &styles[l], chart->point_count, top_bytes,
			  bottom);
	for (unsigned l = 0; l < panel->line_count; l++)
		draw_legend(file, panel->lines[l].name, &styles[l],
			    top + 14 + (panel->line_count - 1 - l) * LEGEND_LINE);
}

static void draw(FILE *file, const struct chart *chart)
{
	unsigned height = TOP + chart->panel_count * (PLOT_HEIGHT + PANEL_GAP) - 24;

	(void)fprintf(file,
		      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %u\" "
		      "width=\"%d\" height=\"%u\" font-family=\"sans-serif\" font-size=\"13\">\n"
		      "<title>%s</title>\n"
		      "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n"
		      "<text x=\"%d\" y=\"26\" font-size=\"16\">%s</text>\n",
		      WIDTH, height, WIDTH, height, chart->title, PLOT_LEFT, chart->title);
	for (unsigned p = 0; p < chart->panel_count; p++)
		draw_panel(file, chart, p);
	(void)fputs("</svg>\n", file);
}

int chart_write(const struct chart *chart, const char *path, struct err *err)
{
	bool is_written;
	FILE *file;

	if (chart->point_count < 2)
		return err_set(err, -EINVAL, "%s: a chart needs two points in time", path);
	file = fopen(path, "we");
	if (!file)
		return err_set(err, -errno, "%s: %m", path);
	draw(file, chart);
	is_written = !ferror(file);
	if (fclose(file) != 0 || !is_written)
		return err_set(err, -EIO, "%s: writing failed: %m", path);
	return 0;
}
