/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* known.c - see known.h. */
#include "memory/known.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

static size_t words_bytes(uint64_t frame_count)
{
	return BITMAP_WORDS(frame_count) * sizeof(uint64_t);
}

int known_init(struct known *known, uint64_t frame_count)
{
	void *words = mmap(NULL, words_bytes(frame_count), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (words == MAP_FAILED)
		return -errno;
	*known = (struct known){ .words = words, .frame_count = frame_count };
	return 0;
}

void known_fini(struct known *known)
{
	if (known->words)
		(void)munmap((void *)known->words, words_bytes(known->frame_count));
	*known = (struct known){ 0 };
}

/* The bits of [first, end) that lie in the word of @first. */
static uint64_t mask_from(uint64_t first, uint64_t end)
{
	uint64_t start = first % BITMAP_WORD_BITS;
	uint64_t len = end - first;
	uint64_t mask = UINT64_MAX << start;

	if (len < BITMAP_WORD_BITS - start)
		mask &= (UINT64_C(1) << (start + len)) - 1;
	return mask;
}

static uint64_t next_word(uint64_t frame)
{
	return (frame / BITMAP_WORD_BITS + 1) * BITMAP_WORD_BITS;
}

void known_set(struct known *known, uint64_t first, uint64_t count)
{
	uint64_t end = first + count;

	for (uint64_t frame = first; frame < end; frame = next_word(frame))
		atomic_fetch_or_explicit(&known->words[frame / BITMAP_WORD_BITS],
					 mask_from(frame, end), memory_order_release);
}

void known_clear(struct known *known, uint64_t first, uint64_t count)
{
	uint64_t end = first + count;

	for (uint64_t frame = first; frame < end; frame = next_word(frame)) {
		_Atomic uint64_t *word = &known->words[frame / BITMAP_WORD_BITS];

		/* Words of frames nobody ever backed stay untouched, and so cost no memory. */
		if (atomic_load_explicit(word, memory_order_relaxed))
			atomic_fetch_and_explicit(word, ~mask_from(frame, end),
						  memory_order_release);
	}
}

static uint64_t find(const struct known *known, uint64_t first, uint64_t end, uint64_t flip)
{
	for (uint64_t frame = first; frame < end; frame = next_word(frame)) {
		uint64_t bits = atomic_load_explicit(&known->words[frame / BITMAP_WORD_BITS],
						     memory_order_acquire);

		bits = (bits ^ flip) & mask_from(frame, end);
		if (bits)
			return frame - frame % BITMAP_WORD_BITS + (unsigned)__builtin_ctzll(bits);
	}
	return end;
}

uint64_t known_count(const struct known *known, uint64_t first, uint64_t end)
{
	uint64_t count = 0;

	for (uint64_t frame = first; frame < end; frame = next_word(frame)) {
		uint64_t bits = atomic_load_explicit(&known->words[frame / BITMAP_WORD_BITS],
						     memory_order_acquire);

		count += (unsigned)__builtin_popcountll(bits & mask_from(frame, end));
	}
	return count;
}

uint64_t known_find_set(const struct known *known, uint64_t first, uint64_t end)
{
	return find(known, first, end, 0);
}

uint64_t known_find_clear(const struct known *known, uint64_t first, uint64_t end)
{
	return find(known, first, end, UINT64_MAX);
}
