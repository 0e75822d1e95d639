/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* published.h - a struct that one thread writes and any thread may copy, whole. Inside balloon/.
 *
 * A sequence lock: odd while a write is under way. The copy is of atomic words, so that a torn read
 * is only ever thrown away, and is no data race either. Writers never wait; a reader repeats if it
 * met a write.
 */
#ifndef NEAP_BALLOON_PUBLISHED_H
#define NEAP_BALLOON_PUBLISHED_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { PUBLISHED_MAX_WORDS = 24 };

struct published {
	_Atomic uint32_t sequence;
	_Atomic uint64_t words[PUBLISHED_MAX_WORDS];
};

/* @bytes is a multiple of 8, and the same at each call. Owner thread. */
static inline void published_write(struct published *p, const void *from, size_t bytes)
{
	uint32_t sequence = atomic_load_explicit(&p->sequence, memory_order_relaxed);
	uint64_t words[PUBLISHED_MAX_WORDS];

	assert(bytes <= sizeof(words) && bytes % sizeof(words[0]) == 0);
	memcpy(words, from, bytes);
	atomic_store_explicit(&p->sequence, sequence + 1, memory_order_relaxed);
	/* A reader that sees a new word (acquire) sees the odd sequence as well. */
	for (size_t i = 0; i < bytes / sizeof(words[0]); i++)
		atomic_store_explicit(&p->words[i], words[i], memory_order_release);
	atomic_store_explicit(&p->sequence, sequence + 2, memory_order_release);
}

/* Any thread. */
static inline void published_read(const struct published *p, void *to, size_t bytes)
{
	uint64_t words[PUBLISHED_MAX_WORDS];
	uint32_t before, after;

	do {
		before = atomic_load_explicit(&p->sequence, memory_order_acquire);
		for (size_t i = 0; i < bytes / sizeof(words[0]); i++)
			words[i] = atomic_load_explicit(&p->words[i], memory_order_acquire);
		after = atomic_load_explicit(&p->sequence, memory_order_relaxed);
	} while (before != after || (before & 1));
	memcpy(to, words, bytes);
}

#endif
