/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* top.h - the parts of `neap top`: rows from answers, bars, the host, the screen. Inside cli/ only.
 *
 * Names are Hyper-V Dynamic Memory's. What a VM does not tell is absent: has_... is false.
 */
#ifndef NEAP_CLI_TOP_H
#define NEAP_CLI_TOP_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/fleet.h"
#include "cli/output.h"
#include "policy/host_policy.h"

enum { TOP_WORD_BYTES = 24 };

struct top_row {
	char name[VM_NAME_BYTES];
	char state[TOP_WORD_BYTES]; /* of the VM, or what is wrong with its socket */
	uint64_t pid;
	bool answers; /* false: nothing below is known */
	uint64_t maximum_bytes, assigned_bytes, resident_bytes, swapped_bytes;
	uint64_t stall_us; /* since the start */
	bool has_stall_rate;
	uint64_t stall_rate_us; /* per second, between the last two looks */

	bool has_policy; /* false: a VM without dynamic memory */
	bool has_demand;
	bool has_details; /* false: rule, buffer and average are not known (yet) */
	char status[TOP_WORD_BYTES], mode[TOP_WORD_BYTES], rule[TOP_WORD_BYTES];
	uint64_t minimum_bytes, demand_bytes, want_bytes, target_bytes;
	uint64_t pressure_percent, average_pressure_percent, buffer_percent, weight;
};

/* False: there is nothing to show yet. */
bool top_row_of(const struct fleet_vm *vm, struct top_row *ret_row);

enum top_sort { TOP_BY_NAME, TOP_BY_DEMAND, TOP_BY_ASSIGNED, TOP_BY_PRESSURE };

struct top_rows {
	struct top_row *rows;
	unsigned count;
};
void top_rows_fini(struct top_rows *rows);

/* Names from the start of the alphabet, numbers from the largest; @reverse turns that round. False:
 * no memory, and the rows are as they were. */
bool top_rows_take(struct top_rows *rows, const struct fleet *fleet, enum top_sort sort,
		   bool reverse);
uint64_t top_rows_largest_bytes(const struct top_rows *rows); /* maximum among them, 1 at least */

/* --- a bar: one VM's memory to scale ---------------------------------------------------------- */

enum top_cell {
	TOP_CELL_NONE,	  /* beyond the maximum */
	TOP_CELL_USED,	  /* assigned and in demand */
	TOP_CELL_SPARE,	  /* assigned above demand */
	TOP_CELL_MISSING, /* in demand and not assigned */
	TOP_CELL_REST,	  /* up to the maximum */
	TOP_CELL_MINIMUM, /* the mark of the minimum */
	TOP_CELL_MAXIMUM, /* the mark of the maximum */
	TOP_CELL_COUNT
};

struct top_look {
	const char *unicode;
	char ascii;
	enum out_colour colour;
	const char *meaning;
};
extern const struct top_look top_looks[TOP_CELL_COUNT];

enum { TOP_BAR_MAX = 512 };

/* @width cells (2 to TOP_BAR_MAX), of which the last stands for @scale_bytes. */
void top_bar(const struct top_row *row, uint64_t scale_bytes, unsigned width,
	     enum top_cell ret_cells[TOP_BAR_MAX]);

/* --- the host --------------------------------------------------------------------------------- */

struct top_host {
	bool has_pool; /* of 2 MiB pages */
	uint64_t pool_bytes, pool_free_bytes;
	enum host_state pool_state;
	bool has_memory;
	uint64_t memory_bytes, memory_available_bytes;
};

/* @host: zeroed, or as it was read before: a state is left later than it is entered. */
void top_host_read(struct top_host *host);
enum out_colour top_host_colour(const struct top_host *host);

/* --- what is the same on screen and in a pipe ------------------------------------------------- */

bool top_has_unicode(void); /* and takes the locale of the environment for characters */
enum out_colour top_status_colour(const struct top_row *row);

/* "1.5G", "512M": at most five characters. Returns @text. */
const char *top_short_size(uint64_t bytes, char text[UNITS_TEXT_BYTES]);

/* "12 ms/s", or how long in all. "-" when it is not known. In @text, or a constant. */
const char *top_stall(const struct top_row *row, char text[UNITS_TEXT_BYTES]);

int top_once(const struct top_rows *rows, const struct top_host *host, bool as_json);
int top_live(struct fleet *fleet); /* an enum exit_code, or -1: this terminal cannot */

#endif
