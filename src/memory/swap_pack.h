/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_pack.h - a block as it is stored: only what it holds, and back.
 *
 * A payload is the pages that are live and not zero, one after another, and then the map of where
 * they belong (512 bits), unless all of the block's pages are there: then there is no map, and a
 * whole block of 2 MiB takes 2 MiB. A payload may be compressed as one piece (LZ4), behind its
 * compressed length.
 *
 * Threads: none of its own; no memory of its own.
 */
#ifndef NEAP_MEMORY_SWAP_PACK_H
#define NEAP_MEMORY_SWAP_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "memory/swap_store.h"

enum { SWAP_MAP_BYTES = SWAP_LIVE_WORDS * sizeof(uint64_t) };

/* Room for a compressed payload: more than three quarters of a block is not worth it. */
#define SWAP_PACKED_BYTES (SWAP_BLOCK_BYTES / 4 * 3)

struct swap_payload {
	size_t len;	/* bytes */
	uint32_t pages; /* of content */
	bool dense;	/* all pages of the block, no map */
};

/**
 * swap_pack_gather() - copy a block's content into @out, SWAP_BLOCK_BYTES long, and describe it
 *
 * What is stored is read from @data once; whether a page is zero is asked before. A page that the
 * guest fills in between is as if it had been filled afterwards. No pages: the block is zeros.
 */
struct swap_payload swap_pack_gather(const uint8_t *data, uint32_t data_pages,
				     const uint64_t live[SWAP_LIVE_WORDS], uint8_t *out);

/* The opposite, into zeros. 0; -EBADMSG: not what swap_pack_gather() makes. */
int swap_pack_scatter(const uint8_t *payload, size_t len, uint8_t *data, uint32_t data_pages);

/* What compressing needs beside its buffers: 16 KiB and some. Without LZ4 (swap_lz4.h) it is nothing,
 * nothing can be compressed, and nothing expanded. */
size_t swap_pack_state_bytes(void);

/* Length of @payload in @out, SWAP_PACKED_BYTES long; 0 when it does not pay. @state is
 * swap_pack_state_bytes() long, 8 bytes aligned. */
size_t swap_pack_compress(const uint8_t *payload, size_t len, uint8_t *out, void *state);

/* Bytes written to @out, at most @capacity; or -EBADMSG. */
int swap_pack_expand(const uint8_t *packed, size_t packed_capacity, uint8_t *out, size_t capacity);

#endif
