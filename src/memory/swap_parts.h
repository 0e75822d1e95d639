/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_parts.h - one transfer between a buffer and a place in the swap file, in a few parts, so that
 * one part can be on its way to or from the disk while another is sealed or opened.
 *
 * Not for: what is in the parts. Threads: a swap_parts belongs to one.
 */
#ifndef NEAP_MEMORY_SWAP_PARTS_H
#define NEAP_MEMORY_SWAP_PARTS_H

#include <linux/aio_abi.h>
#include <stdbool.h>

#include "memory/swap_extents.h"
#include "memory/swap_file.h"

/* A quarter of a place each, cut again where its pieces end. */
enum { SWAP_PARTS_PER_PLACE = 4, SWAP_MOST_PARTS = SWAP_PARTS_PER_PLACE + SWAP_MAX_PIECES };

enum swap_part_state { PART_WAITS, PART_ON_ITS_WAY, PART_ENDED };

struct swap_part {
	uint8_t *buf;
	size_t len;
	off_t offset;
	unsigned piece; /* of the place */
	enum swap_part_state state;
	ssize_t result; /* PART_ENDED: what pread or pwrite would have answered */
	struct iocb request;
};

struct swap_parts {
	aio_context_t context; /* 0: nothing goes by itself */
	const struct swap_io *io;
	int fd;
	bool out; /* to the disk */
	unsigned count, on_their_way;
	struct swap_part parts[SWAP_MOST_PARTS];
};

/* Never fails: a kernel that does not do it asynchronously is asked part by part. */
void swap_parts_init(struct swap_parts *parts);
/* What is on its way has arrived before it returns. A zeroed one is fine. */
void swap_parts_fini(struct swap_parts *parts);

/* Begin a transfer of @place; nothing of the last one is on its way any more. @buf: 4 KiB aligned. */
void swap_parts_begin(struct swap_parts *parts, const struct swap_io *io, int fd,
		      const struct swap_place *place, uint8_t *buf, bool out);

/* Part @index may go now, in the background if that is possible. No news here. */
void swap_parts_send(struct swap_parts *parts, unsigned index);

/**
 * swap_parts_finish() - until part @index is there
 *
 * Sent or not: what did not go by itself goes now.
 *
 * Return: 0: all of it; -EIO: refused or short; -ENOMEM: the kernel lacks memory (writes only).
 */
int swap_parts_finish(struct swap_parts *parts, unsigned index);

/* Until nothing is on its way any more, whatever became of it. */
void swap_parts_drain(struct swap_parts *parts);

#endif
