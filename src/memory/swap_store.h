/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_store.h - a place on disk that keeps blocks of guest RAM, and gives back exactly those.
 *
 * For: the swapper. A block (2 MiB of guest RAM, the last one may be shorter) is a number and some
 * bytes here. Does not know: frames, views, faults, who decides what goes.
 *
 * What it promises: a read gives the bytes of the last successful write of that block, or an error.
 * Never zeros instead, never older bytes, never another block's: what the disk returns is checked
 * against a tag in RAM, made with a key that only this process has, over the bytes, the VM, the
 * block's number and how often was written. So it holds for accidents (torn writes, flipped bits, a
 * file system that mixes up blocks) and for somebody who writes to the file on purpose.
 * With encryption nobody reads the guest's memory on the disk either. Without it whoever reads the
 * disk does, also after the VM has ended: what was written stays in the file system's free blocks.
 * Either way it shows which parts are written when, and how well blocks compress.
 * The file never has a name, and nothing in it can be used by the next process.
 *
 * Threads: each worker belongs to one thread; workers may run at once. For one block the caller has
 * one operation at a time, and orders one before the next (its atomic state word does).
 * swap_store_drop() and swap_store_stats() may be called from anywhere, also beside workers.
 * Owner: workers are closed before their store.
 */
#ifndef NEAP_MEMORY_SWAP_STORE_H
#define NEAP_MEMORY_SWAP_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/units.h"
#include "base/uuid.h"

struct swap_store;  /* opaque; swap_internal.h inside memory/ */
struct swap_worker; /* opaque */

#define SWAP_BLOCK_BYTES HUGE_FRAME_BYTES
enum {
	SWAP_BLOCK_PAGES = HUGE_FRAME_BYTES / GUEST_PAGE_BYTES,
	SWAP_LIVE_WORDS = SWAP_BLOCK_PAGES / 64,
	/* Failed writes after which nothing more is written. */
	SWAP_MAX_WRITE_ERRORS = 8
};

struct swap_config {
	const char *dir;      /* a directory on a disk; the file in it never has a name */
	uint64_t size_bytes;  /* of the file, allocated when it is opened; rounded up to 2 MiB */
	uint64_t block_count; /* blocks are 0 .. block_count - 1 */
	uint8_t vm_uuid[UUID_BYTES]; /* part of what every block's tag covers */
	bool encrypt;
	bool compress;
};

struct swap_stats {
	uint64_t size_bytes;	    /* of the file */
	uint64_t used_bytes;	    /* that stored blocks take of it */
	uint64_t retired_bytes;	    /* that failed to be written, and is not used again */
	uint64_t stored_blocks;	    /* now */
	uint64_t compressed_blocks; /* of stored_blocks */
	uint64_t writes;	    /* since open: blocks stored ... */
	uint64_t written_bytes;	    /* ... and what went to disk for them */
	uint64_t content_bytes; /* ... which were so many live pages that are not zero, by 4 KiB */
	uint64_t zero_blocks;	/* since open: writes that found only zeros */
	uint64_t full_refusals; /* since open: writes answered with -ENOSPC */
	uint64_t reads;
	uint64_t read_bytes; /* that came from the disk */
	uint64_t write_errors;
	uint64_t read_errors;	 /* reads that failed or were short */
	uint64_t bad_blocks;	 /* reads whose bytes were not those written */
	bool closed_for_writing; /* SWAP_MAX_WRITE_ERRORS were reached: only reads from now on */
};

/**
 * swap_store_open() - make the file and the key
 *
 * Refused, with a sentence that says what to do: @config->dir is no directory (or a symbolic link,
 * or a FIFO, which is not waited for), lies in memory (tmpfs, ramfs, hugetlbfs), cannot make files
 * without a name or do direct I/O; there is not enough room (-ENOSPC, -EDQUOT, -EFBIG), or memory
 * for the key cannot be locked.
 *
 * Return: 0 or a negative errno with @err set; then nothing is left behind.
 * Source: open(2) O_TMPFILE, O_EXCL, O_DIRECT; fallocate(2); memfd_secret(2).
 */
int swap_store_open(const struct swap_config *config, struct swap_store **ret_store,
		    struct err *err);
/* Wipes the key, and with it all that was stored. NULL is fine. */
void swap_store_close(struct swap_store *store);

/**
 * swap_worker_open() - what one thread needs to write and read: buffers, the cipher
 *
 * All memory that writing and reading will ever need is taken here, locked, and kept out of core
 * dumps: 4 MiB and some KiB (2 MiB and some when the store does not compress). When it cannot be
 * locked, @err names the limit (RLIMIT_MEMLOCK).
 */
int swap_worker_open(struct swap_store *store, struct swap_worker **ret_worker, struct err *err);
void swap_worker_close(struct swap_worker *worker);

/**
 * swap_store_write() - store a block; what was stored for it before is gone, whatever the result
 * @data:      the block, 4 KiB aligned. It may change meanwhile (the guest writes): each byte is
 *             then read at most once for what is stored, and what that makes of it is of no use,
 *             but reading it back works.
 * @len_bytes: 4 KiB .. 2 MiB, a multiple of 4 KiB
 * @live:      a bit per 4 KiB page, bit 0 of word 0 first: pages whose content matters. The others
 *             are not looked at, and come back as zeros. Bits past @len_bytes are ignored.
 *
 * Live pages that are zero are left out, the rest is compressed if it pays. Zeros cost nothing but
 * the look at them.
 *
 * Return: 0: stored, on the disk's word (the write was direct and its length was checked).
 *   1: nothing but zeros. Nothing is stored and nothing taken; there is nothing to read back.
 *   -ENOSPC: no room now; not an error to log.
 *   -EIO: the disk refused or wrote too little. That piece of the file is not used again.
 *   -ENOMEM: the kernel had no memory for the transfer; nothing is wrong with the disk.
 *   -EROFS: closed for writing after too many of those.
 *   -EINVAL: no such block, or not such a length.
 * Context: @worker's thread; blocks on the disk.
 */
int swap_store_write(struct swap_worker *worker, uint64_t block, const void *data,
		     uint64_t len_bytes, const uint64_t live[SWAP_LIVE_WORDS]);

/**
 * swap_store_read() - bring a block back
 * @data:      4 KiB aligned, and ZEROS before the call, as fresh memory is: pages that were left
 *             out are not written
 * @len_bytes: as it was written
 *
 * The block stays stored. After an error @data is zeros again; they must not reach the guest. Before
 * the return it may hold what turns out to be none of the block's bytes: nobody else looks at it.
 *
 * Return: 0; -EIO: the disk refused, or the file is too short; -EBADMSG: these are not the bytes
 *   that were written; -ENOENT: nothing is stored for @block; -EINVAL: another length was written,
 *   or no such block.
 * Context: @worker's thread; blocks on the disk.
 */
int swap_store_read(struct swap_worker *worker, uint64_t block, void *data, uint64_t len_bytes);

/**
 * swap_store_fetch() - begin to read a block, while the caller makes room for it
 *
 * A hint: it changes nothing that swap_store_read() does but the time that it takes. What is done
 * with @worker next is the read of that block, or the hint was for nothing.
 * Context: @worker's thread; does not wait for the disk where the kernel reads asynchronously, and
 *   does nothing elsewhere. Counts as an operation on the block.
 */
void swap_store_fetch(struct swap_worker *worker, uint64_t block);

/* Is something stored for @block? The caller orders it against writes and drops of that block. */
bool swap_store_has(const struct swap_store *store, uint64_t block);

/**
 * swap_store_drop() - forget a block; its room is free at once. Nothing stored: nothing happens.
 * Context: any thread; never waits for the disk (a lock is held for about a microsecond).
 */
void swap_store_drop(struct swap_store *store, uint64_t block);

void swap_store_stats(const struct swap_store *store, struct swap_stats *ret_stats);

#endif
