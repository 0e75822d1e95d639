/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* tide.h - how a guest's memory comes and goes: a small chart that is redrawn in place on a
 * terminal, a line per sample in a pipe or on a terminal too small for it.
 */
#ifndef NEAP_CLI_TIDE_H
#define NEAP_CLI_TIDE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	TIDE_COLUMNS = 60,
	TIDE_ROWS = 8,
	TIDE_ROW_STEPS = 8,
	TIDE_STEPS = TIDE_ROWS * TIDE_ROW_STEPS
};

extern const char *const tide_blocks[TIDE_ROW_STEPS + 1]; /* by how many eighths are filled */

struct tide_sample {
	uint64_t asked_bytes, taken_bytes, returned_bytes;
	uint64_t resident_bytes;  /* what the guest holds of the host */
	uint64_t pool_free_bytes; /* of the whole host */
};

struct tide {
	uint64_t maximum_bytes;
	uint64_t start_ns;
	bool has_pool;
	bool redraws; /* a terminal: otherwise lines */
	bool has_unicode;
	unsigned drawn_rows;
	unsigned count; /* of samples kept, the oldest first */
	struct tide_sample samples[TIDE_COLUMNS];
};

void tide_init(struct tide *tide, uint64_t maximum_bytes, bool has_pool);

/* One more sample; @act says in a few words what is going on. */
void tide_add(struct tide *tide, const char *act, const struct tide_sample *sample);

/* What is printed next stands below the chart. */
void tide_leave(struct tide *tide);

#endif
