/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* tide_share.c - see tide_share.h. */
#include "cli/tide_share.h"

#include <string.h>

#include "base/clock.h"

enum { LINE_EVERY_S = 5 };

static const struct {
	const char *unicode, *ascii;
	enum out_colour colour;
} guest_looks[TIDE_SHARERS] = { { "█", "#", OUT_BLUE }, { "▒", "=", OUT_GREEN } };

void tide_share_init(struct tide_share *share, const char *pool_name, uint64_t pool_bytes,
		     uint64_t length_ns)
{
	struct tide like;

	tide_init(&like, pool_bytes, true);
	*share = (struct tide_share){ .pool_name = pool_name,
				      .pool_bytes = pool_bytes,
				      .start_ns = clock_now_ns(),
				      .column_ns = length_ns / TIDE_COLUMNS,
				      .redraws = like.redraws,
				      .has_unicode = like.has_unicode };
}

static void put_coloured(enum out_colour colour, const char *text)
{
	(void)printf("%s%s%s", out_colour_on(stdout, colour), text, out_colour_off(stdout, colour));
}

static void put_guest(const struct tide_share *share, unsigned guest)
{
	put_coloured(guest_looks[guest].colour,
		     share->has_unicode ? guest_looks[guest].unicode : guest_looks[guest].ascii);
}

static uint64_t steps_of(const struct tide_share *share, uint64_t bytes)
{
	uint64_t steps = bytes * TIDE_STEPS / share->pool_bytes;

	return steps < TIDE_STEPS ? steps : TIDE_STEPS;
}

/* The one below is drawn in eighths of a row, the one above in whole rows. */
static void put_cell(const struct tide_share *share, unsigned column, unsigned row)
{
	uint64_t below = steps_of(share, share->held_bytes[column][0]);
	uint64_t above = TIDE_STEPS - steps_of(share, share->held_bytes[column][1]);
	uint64_t floor = (uint64_t)row * TIDE_ROW_STEPS;
	uint64_t filled = below > floor ? below - floor : 0;

	if (filled >= TIDE_ROW_STEPS || (filled >= TIDE_ROW_STEPS / 2 && !share->has_unicode))
		put_guest(share, 0);
	else if (above <= floor + TIDE_ROW_STEPS / 2)
		put_guest(share, 1);
	else if (filled > 0 && share->has_unicode)
		put_coloured(guest_looks[0].colour, tide_blocks[filled]);
	else
		(void)putchar(' ');
}

static void end_row(struct tide_share *share)
{
	(void)fputs("\x1b[K\n", stdout);
	share->drawn_rows++;
}

static void draw_area(struct tide_share *share)
{
	char text[UNITS_TEXT_BYTES];

	for (unsigned row = TIDE_ROWS; row-- > 0;) {
		if (row == TIDE_ROWS - 1)
			(void)printf("%9s ", units_format_size(share->pool_bytes, text));
		else
			(void)printf("%9s ", row == 0 ? "0" : "");
		(void)fputs(share->has_unicode ? "│" : "|", stdout);
		for (unsigned i = 0; i < share->count; i++)
			put_cell(share, i, row);
		end_row(share);
	}
}

static void draw_guest(struct tide_share *share, unsigned number, const struct tide_guest *guest)
{
	char work[UNITS_TEXT_BYTES], assigned[UNITS_TEXT_BYTES];

	(void)fputs("          ", stdout);
	put_guest(share, number);
	(void)printf(" %c uses %-9s has %-9s %-8s %s", 'A' + (int)number,
		     units_format_size(guest->work_bytes, work),
		     units_format_size(guest->assigned_bytes, assigned), guest->status,
		     guest->rule);
	end_row(share);
}

static uint64_t free_bytes(const struct tide_share *share, const struct tide_guest *guests)
{
	uint64_t held_bytes = guests[0].held_bytes + guests[1].held_bytes;

	return held_bytes < share->pool_bytes ? share->pool_bytes - held_bytes : 0;
}

static double seconds(uint64_t ns)
{
	return (double)ns / (double)NS_PER_S;
}

static void redraw(struct tide_share *share, const char *act, const struct tide_guest *guests)
{
	char text[UNITS_TEXT_BYTES];

	if (share->drawn_rows > 0)
		(void)printf("\x1b[%uA\r", share->drawn_rows);
	share->drawn_rows = 0;
	(void)printf("%5.1f s   %s%s%s", seconds(clock_now_ns() - share->start_ns),
		     out_colour_on(stdout, OUT_BOLD), act, out_colour_off(stdout, OUT_BOLD));
	end_row(share);
	draw_area(share);
	for (unsigned i = 0; i < TIDE_SHARERS; i++)
		draw_guest(share, i, &guests[i]);
	(void)printf("            %s: %s free; below demand: A %.1f s, B %.1f s", share->pool_name,
		     units_format_size(free_bytes(share, guests), text),
		     seconds(guests[0].below_ns), seconds(guests[1].below_ns));
	end_row(share);
}

static void print_line(const struct tide_share *share, const char *act,
		       const struct tide_guest *guests)
{
	char work[UNITS_TEXT_BYTES], assigned[UNITS_TEXT_BYTES];

	(void)printf("%5.1f s  %s:", seconds(clock_now_ns() - share->start_ns), act);
	for (unsigned i = 0; i < TIDE_SHARERS; i++)
		(void)printf(" %c uses %s, has %s (%s, %s);", 'A' + (int)i,
			     units_format_size(guests[i].work_bytes, work),
			     units_format_size(guests[i].assigned_bytes, assigned),
			     guests[i].status, guests[i].rule);
	(void)printf(" %s: %s free\n", share->pool_name,
		     units_format_size(free_bytes(share, guests), work));
}

static void keep_column(struct tide_share *share, const struct tide_guest *guests, uint64_t now_ns)
{
	if (now_ns >= share->next_column_ns) {
		if (share->count == TIDE_COLUMNS)
			memmove(share->held_bytes, share->held_bytes + 1,
				--share->count * sizeof(share->held_bytes[0]));
		share->count++;
		share->next_column_ns = now_ns + share->column_ns;
	}
	for (unsigned i = 0; i < TIDE_SHARERS; i++) /* the newest shows the present */
		share->held_bytes[share->count - 1][i] = guests[i].held_bytes;
}

void tide_share_show(struct tide_share *share, const char *act,
		     const struct tide_guest guests[TIDE_SHARERS])
{
	uint64_t now_ns = clock_now_ns();

	keep_column(share, guests, now_ns);
	if (share->redraws) {
		redraw(share, act, guests);
	} else if (now_ns >= share->next_line_ns || strcmp(act, share->last_act) != 0) {
		print_line(share, act, guests);
		(void)snprintf(share->last_act, sizeof(share->last_act), "%s", act);
		share->next_line_ns = now_ns + LINE_EVERY_S * NS_PER_S;
	}
	(void)fflush(stdout);
}
