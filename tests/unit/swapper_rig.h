/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swapper_rig.h - guest RAM with swap, a pool of its own, and pages that know what they hold.
 *
 * The tests' threads are the guest: they touch the guest view and nothing else.
 */
#ifndef NEAP_TESTS_UNIT_SWAPPER_RIG_H
#define NEAP_TESTS_UNIT_SWAPPER_RIG_H

#include "../support/hugemount.h"
#include "../support/swapdir.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "memory/block.h"
#include "memory/discard.h"
#include "memory/ram_internal.h"
#include "memory/swapper.h"

enum { RIG_PATIENCE_S = 30, RIG_WORDS = GUEST_PAGE_BYTES / sizeof(uint64_t) };

/* What the engine told; also which pages are dead. */
struct rig_told {
	_Atomic unsigned lost, found, starved;
	_Atomic uint64_t lost_gpa;
	_Atomic uint64_t dead_mask; /* for each word of every block's map */
};

struct rig {
	struct ram *ram;
	struct rig_told told;
	uint64_t blocks;
	uint64_t frame_bytes;
	const char *pool_dir; /* 2 MiB */
};

static struct ram_config rig_config(struct rig *rig);

static inline void rig_starved(void *ctx, gpa_t gpa, bool starving)
{
	struct rig_told *told = ctx;

	(void)gpa;
	atomic_fetch_add(&told->starved, starving);
}

static inline void rig_failed(void *ctx, const char *why)
{
	(void)ctx;
	fail_msg("the engine failed: %s", why);
}

static inline void rig_unreadable(void *ctx, gpa_t gpa, const char *why, bool lost)
{
	struct rig_told *told = ctx;

	if (lost)
		print_message("unreadable: %s\n", why);
	atomic_store(&told->lost_gpa, gpa.addr);
	atomic_fetch_add(lost ? &told->lost : &told->found, 1);
}

static inline bool rig_dead(void *ctx, uint64_t first_page, uint64_t *ret_dead)
{
	struct rig_told *told = ctx;
	uint64_t mask = atomic_load(&told->dead_mask);

	(void)first_page;
	for (unsigned i = 0; i < BLOCK_PAGE_WORDS; i++)
		ret_dead[i] = mask;
	return mask != 0;
}

/* As rig->blocks, frame_bytes and pool_dir say; the caller may change it. */
static struct ram_config rig_config(struct rig *rig)
{
	return (struct ram_config){
		.ram_bytes = rig->blocks * BLOCK_BYTES,
		.frame_bytes = rig->frame_bytes,
		.hugetlbfs_dir = rig->pool_dir,
		.swap = { .dir = swapdir(), .encrypt = true, .compress = true },
		.events = { .starved = rig_starved,
			    .failed = rig_failed,
			    .unreadable = rig_unreadable,
			    .dead = rig_dead,
			    .ctx = &rig->told },
	};
}

static inline void rig_open(struct rig *rig, const struct ram_config *config)
{
	struct err err = { 0 };

	if (ram_open(config, &rig->ram, &err))
		fail_msg("%s", err.text);
}

static inline void rig_close(struct rig *rig)
{
	ram_close(rig->ram);
	rig->ram = NULL;
}

static inline _Atomic uint64_t *rig_word(const struct rig *rig, uint64_t page, uint64_t word)
{
	uint8_t *view = ram_guest_view(rig->ram, 0);

	return (_Atomic uint64_t *)(void *)(view + page * GUEST_PAGE_BYTES) + word;
}

/* A page that knows where it is and what was written last. Every fourth is easy to compress, and
 * every eighth is zeros. */
static inline uint64_t rig_value(uint64_t page, uint64_t word, uint64_t generation)
{
	uint64_t z = (page << 32) + generation;

	if (page % 8 == 7)
		return 0;
	if (page % 4 != 3)
		z += word * UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 29)) * UINT64_C(0xbf58476d1ce4e5b9);
	return z ^ (z >> 32);
}

static inline void rig_fill_page(const struct rig *rig, uint64_t page, uint64_t generation)
{
	for (uint64_t word = 0; word < RIG_WORDS; word++)
		atomic_store_explicit(rig_word(rig, page, word), rig_value(page, word, generation),
				      memory_order_relaxed);
}

static inline void rig_check_page(const struct rig *rig, uint64_t page, uint64_t generation)
{
	for (uint64_t word = 0; word < RIG_WORDS; word++) {
		uint64_t found =
			atomic_load_explicit(rig_word(rig, page, word), memory_order_relaxed);

		if (found != rig_value(page, word, generation))
			fail_msg("page %llu word %llu holds %llx, not %llx",
				 (unsigned long long)page, (unsigned long long)word,
				 (unsigned long long)found,
				 (unsigned long long)rig_value(page, word, generation));
	}
}

static inline void rig_fill(const struct rig *rig, uint64_t generation)
{
	for (uint64_t page = 0; page < rig->blocks * BLOCK_PAGES; page++)
		rig_fill_page(rig, page, generation);
}

static inline void rig_check(const struct rig *rig, uint64_t generation)
{
	for (uint64_t page = 0; page < rig->blocks * BLOCK_PAGES; page++)
		rig_check_page(rig, page, generation);
}

static inline struct ram_statistics rig_statistics(const struct rig *rig)
{
	struct ram_statistics statistics;

	ram_read_statistics(rig->ram, &statistics);
	return statistics;
}

/* Look until it is so. */
#define rig_wait_for(condition)                                                        \
	do {                                                                           \
		uint64_t rig_deadline_ns = clock_now_ns() + RIG_PATIENCE_S * NS_PER_S; \
		while (!(condition)) {                                                 \
			assert_true(clock_now_ns() < rig_deadline_ns);                 \
			(void)sched_yield();                                           \
		}                                                                      \
	} while (0)

/* What must hold of the counters whenever nothing moves. */
static inline void rig_check_counters(const struct rig *rig)
{
	struct ram_statistics s = rig_statistics(rig);
	uint64_t total = 0;

	for (int state = 0; state < FRAME_STATE_COUNT; state++)
		total += s.state_bytes[state];
	assert_int_equal(total, rig->blocks * BLOCK_BYTES);
	assert_int_equal(s.swap_out_bytes, s.swap_out_famine_bytes + s.swap_out_limit_bytes +
						   s.swap_out_balloon_bytes);
	assert_true(s.swap_out_bytes >= s.swap_out_zero_bytes + s.swap_in_bytes);
	assert_true(s.swap_in_bytes >= s.swap_ahead_bytes + s.swap_back_bytes);
	assert_int_equal(s.swap_write_errors, 0);
	assert_int_equal(s.swap_read_errors, 0);
}

#endif
