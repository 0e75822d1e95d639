/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_internal.h - struct swap_store, for the files of memory/swap_*.c and their tests.
 *
 * Problem. A guest must get back exactly what it had, from a disk that may lie: refuse a write late,
 * write half of it, flip bits, put it elsewhere, return what was there before. And an administrator
 * who can read the disk should not read the guest.
 *
 * Design. Per block 24 bytes in RAM hold its seal: the tag of an authenticated cipher over the bytes
 * on the disk, the VM, the block's number and the generation. 18 more, and 6 per 2 MiB of file, say
 * where it lies (swap_extents). Nothing on the disk is believed before it has opened. A write copies
 * the block once, into memory that the guest cannot change; packs, seals and writes the copy
 * (swap_pack, swap_cipher, swap_file); and makes the entry only when all of it is there.
 *
 * Invariants
 *  S1  An entry is STORED only after its pages were written by direct I/O, all of them.
 *  S2  A generation is used for one seal at most, also when the write failed: it is counted up
 *      before anything is sealed. At the last one the store closes for writing.
 *  S3  Pages of the file belong to one entry, to one write in progress, or are free or retired.
 *  S4  What leaves the process is a whole number of 4 KiB pages without a byte of any other block
 *      in their padding.
 *  S5  Keys and guest bytes are only in locked memory that is not dumped, and wiped when it goes.
 *      Entries hold neither.
 *
 * What is kept per block and per 2 MiB is mapped when first touched. It is not locked here: a VM's
 * process locks all it has touched, if its limit lets it.
 */
#ifndef NEAP_MEMORY_SWAP_INTERNAL_H
#define NEAP_MEMORY_SWAP_INTERNAL_H

#include <stdatomic.h>

#include "memory/swap_cipher.h"
#include "memory/swap_extents.h"
#include "memory/swap_file.h"
#include "memory/swap_locked.h"
#include "memory/swap_store.h"

/* swap_entry.word: the generation above ENTRY_GENERATION_SHIFT bits of what is stored how. */
enum { ENTRY_GENERATION_SHIFT = 16, ENTRY_PAGES_MASK = 0x1ff };
#define ENTRY_STORED	      (UINT64_C(1) << 15)
#define ENTRY_PACKED	      (UINT64_C(1) << 14) /* compressed */
#define ENTRY_DENSE	      (UINT64_C(1) << 13) /* no map */
#define ENTRY_LAST_GENERATION (~UINT64_C(0) >> ENTRY_GENERATION_SHIFT)

struct swap_entry {
	uint8_t tag[SWAP_TAG_BYTES];
	uint64_t word; /* 0: nothing stored; the low bits are the block's pages - 1 */
};
_Static_assert(sizeof(struct swap_entry) == 24, "an entry per block is most of what swap costs");

struct swap_counters {
	_Atomic uint64_t stored_blocks, compressed_blocks, writes, content_bytes, written_bytes,
		zero_blocks, full_refusals, reads, read_bytes, write_errors, read_errors,
		bad_blocks;
};

struct swap_store {
	int fd;
	const struct swap_io *io;
	uint64_t size_bytes;
	uint64_t block_count;
	bool encrypt, compress;
	uint8_t vm_uuid[UUID_BYTES];
	struct locked_area key;
	struct swap_entry *entries;
	struct swap_extents extents;
	_Atomic uint64_t generation;
	atomic_bool closed_for_writing;
	struct swap_counters counters;
};

/* The file, for tests that damage it. */
int swap_store_fd(const struct swap_store *store);
/* Replace the disk; before any worker is at work. */
void swap_store_set_io(struct swap_store *store, const struct swap_io *io);

#endif
