/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fresh.h - first touches: what memory costs the first time. Any processor. */
#ifndef BARE_FRESH_H
#define BARE_FRESH_H

#include "work.h"

struct fresh_result {
	uint64_t blocks, touches, total_ns;
	uint64_t wrong, address; /* words that did not read as written, and the first one */
};

/* Takes free blocks side by side, at least @bytes, writes one word every @stride_bytes, reads all
 * words back and frees the blocks. @ret_times: of writing each piece of @way (upwards: each block),
 * and only the host knows whether it was the first time. @stride_bytes divides the piece.
 * False: no such blocks are free. */
bool fresh_touch(uint64_t bytes, uint64_t stride_bytes, const struct work_way *way,
		 struct fresh_result *ret_result, struct histogram *ret_times);

#endif
