/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* tide_share.h - two guests that share a pool: one rises from the bottom, the other hangs from the
 * top, and what is between them is free. Redrawn in place, or a line now and then, as tide.h.
 */
#ifndef NEAP_CLI_TIDE_SHARE_H
#define NEAP_CLI_TIDE_SHARE_H

#include "cli/output.h"
#include "cli/tide.h"

enum { TIDE_SHARERS = 2, TIDE_WORD_BYTES = 24 };

struct tide_guest {
	uint64_t work_bytes;	 /* what it uses */
	uint64_t assigned_bytes; /* what it may use */
	uint64_t held_bytes;	 /* what it holds of the host */
	uint64_t below_ns;	 /* how long it has wanted more than it had */
	char status[TIDE_WORD_BYTES], rule[TIDE_WORD_BYTES];
};

struct tide_share {
	const char *pool_name;
	uint64_t pool_bytes;
	uint64_t start_ns, column_ns; /* a column of the chart is so long */
	uint64_t next_column_ns, next_line_ns;
	char last_act[128];
	bool redraws, has_unicode;
	unsigned drawn_rows, count;
	uint64_t held_bytes[TIDE_COLUMNS][TIDE_SHARERS];
};

void tide_share_init(struct tide_share *share, const char *pool_name, uint64_t pool_bytes,
		     uint64_t length_ns);
void tide_share_show(struct tide_share *share, const char *act,
		     const struct tide_guest guests[TIDE_SHARERS]);

#endif
