/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* chart.h - lines over time as an SVG picture, for a page or a manual.
 *
 * Each line has a dash pattern and a width of its own and is named at the side: it reads in black
 * and white. No text in it is anybody else's: names come from neap or are checked names.
 */
#ifndef NEAP_SIM_CHART_H
#define NEAP_SIM_CHART_H

#include <stdint.h>

#include "base/err.h"

enum { CHART_POINTS = 720, CHART_LINES = 5, CHART_PANELS = 2 };

/* Points are bytes, taken every `step_s`; when they are too many, each second one goes. */
struct chart_line {
	const char *name;
	uint64_t points[CHART_POINTS];
};

struct chart_panel {
	const char *title;
	unsigned line_count;
	struct chart_line lines[CHART_LINES];
};

struct chart {
	char title[128];
	uint64_t step_s; /* between two points */
	unsigned point_count;
	uint64_t next_s; /* when the next is due */
	unsigned panel_count;
	struct chart_panel panels[CHART_PANELS];
};

/* One more point of every line, by panel and line, if it is due at @now_s. */
void chart_add(struct chart *chart, uint64_t now_s, uint64_t points[CHART_PANELS][CHART_LINES]);

/* 0, or what the file system says. */
int chart_write(const struct chart *chart, const char *path, struct err *err);

#endif
