/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* stress.h - one world in which guests count and hosts take their memory away.
 *
 * A block of guest RAM has a class, by its number, that says what the guests do with it. Its pages:
 *     0-15, 376-383  counters: one word per processor and slot; word SHARED_WORD of page 0 is everybody's
 *     16-375         45 pages per processor, filled with a pattern of a generation, and verified
 *     384-511        the balloon's: what is declared dead now and then (ram_events.dead)
 * A last block that is short has counters of slot 0 only.
 *
 * Who may change what a guest expects (a discard) takes the block's lock for writing; guests hold it
 * for reading while they work there. Blocks of class WILD are discarded under the guests' hands.
 */
#ifndef NEAP_TESTS_STRESS_STRESS_H
#define NEAP_TESTS_STRESS_STRESS_H

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "../support/testing.h"
#include "memory/block.h"
#include "memory/ram_internal.h"
#include "memory/swap_store.h"

enum {
	MOST_VCPUS = 8,
	MOST_BLOCKS = 512,
	SLOTS = 3,
	FIRST_FILL_PAGE = 16,
	FILL_PAGES = 45, /* per processor */
	FIRST_BALLOON_PAGE = 384,
	BALLOON_PAGES = BLOCK_PAGES - FIRST_BALLOON_PAGE,
	SHARED_WORD = 256,
	WORDS_PER_PAGE = GUEST_PAGE_BYTES / sizeof(uint64_t)
};

enum block_class { HEAVY, LIGHT, COMPRESSIBLE, ZEROS, WILD, DMA };

/* Numbers of the table at the end: NUMBER(name, help). One thread or many add to each. */
#define STRESS_NUMBERS                                                    \
	NUMBER(evictions, "blocks whose frame was given back for swap")   \
	NUMBER(evictions_zero, "of them all zeros, nothing stored")       \
	NUMBER(aborts, "evictions that a touch came before")              \
	NUMBER(refills, "blocks read back")                               \
	NUMBER(counts, "locked increments of the guests")                 \
	NUMBER(fills, "pages filled by the guests")                       \
	NUMBER(verifies, "pages verified by the guests")                  \
	NUMBER(samplings, "blocks unmapped to be watched")                \
	NUMBER(prepares, "blocks prepared ahead")                         \
	NUMBER(prepares_dropped, "of them given back unused")             \
	NUMBER(maps_ahead, "blocks mapped before they were touched")      \
	NUMBER(discards, "blocks discarded")                              \
	NUMBER(discards_busy, "discards that were put off")               \
	NUMBER(wild_discards, "blocks discarded under the guests' hands") \
	NUMBER(dead_pages, "pages declared dead")                         \
	NUMBER(dead_zeros, "of them came back as zeros")                  \
	NUMBER(page_discards, "4 KiB pages discarded one by one")         \
	NUMBER(famines, "times the pool was empty for a touch")           \
	NUMBER(neighbour_frames, "frames that the neighbour took")        \
	NUMBER(dma_reads, "O_DIRECT reads into held memory")              \
	NUMBER(dma_writes, "O_DIRECT writes from held memory")            \
	NUMBER(device_accesses, "reads and writes as a device does them") \
	NUMBER(limit_changes, "changes of the memory limit")              \
	NUMBER(write_faults, "writes to the swap file made to fail")      \
	NUMBER(read_faults, "reads of the swap file made to fail or lie") \
	NUMBER(unreadable, "blocks said to be unreadable")                \
	NUMBER(readable_again, "of them readable again")

struct numbers {
#define NUMBER(name, help) _Atomic uint64_t name;
	STRESS_NUMBERS
#undef NUMBER
};

/* What one processor knows of one block. */
struct knowledge {
	uint64_t counted[SLOTS];
	uint64_t ended_before[SLOTS]; /* WILD: discards that had ended then */
	uint64_t shared_added;
	uint32_t generation[FILL_PAGES]; /* 0: zeros */
};

struct block_record {
	pthread_rwlock_t lock;
	_Atomic uint64_t discards_begun, discards_ended; /* WILD */
	uint32_t balloon_generation;
	_Atomic uint64_t dead[BLOCK_PAGE_WORDS];
};

struct stress_options {
	uint64_t frame_bytes;
	bool direct; /* evictions by our own threads through block.h; else by the swapper */
	unsigned vcpus, blocks, pool_frames;
	uint64_t seconds, least_evictions; /* ends when both are reached */
	bool encrypt, compress, faults, delays;
	const char *dir, *json_path;
	uint64_t seed;
};

struct world {
	struct stress_options options;
	struct ram *ram, *neighbour;
	struct swap_store *store; /* ours, or the swapper's */
	char pool_dir[160], trace_path[256];
	uint64_t block_count;
	atomic_bool no_faults, stop_guests, stop_others, stop_hosts; /* in this order */
	struct numbers numbers;
	struct block_record records[MOST_BLOCKS];
	struct knowledge *known[MOST_VCPUS]; /* [block] */
	_Atomic uint64_t progress[MOST_VCPUS];
	atomic_uint threads_started;
};

extern struct world world;

/* stress.c */
_Noreturn void stress_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
struct test_random stress_random(void); /* a stream of one's own */
void stress_pause_us(struct test_random *random, uint64_t most_us);

static inline void stress_add(_Atomic uint64_t *number, uint64_t value)
{
	atomic_fetch_add_explicit(number, value, memory_order_relaxed);
}

static inline enum block_class block_class_of(uint64_t block)
{
	static const enum block_class classes[] = { HEAVY, LIGHT, LIGHT, COMPRESSIBLE, LIGHT, LIGHT,
						    ZEROS, WILD,  HEAVY, LIGHT,	       LIGHT, LIGHT,
						    LIGHT, ZEROS, LIGHT, DMA };

	return classes[block % ARRAY_LEN(classes)];
}

static inline bool block_is_short(uint64_t block)
{
	return block_bytes(world.ram, block) < BLOCK_BYTES;
}

/* guest.c: a word, a page, through the guest view. */
uint64_t *guest_word(uint64_t block, uint64_t page, uint64_t word);
void page_fill(uint64_t block, uint64_t page, uint32_t generation);
/* Is it the page of that generation, every word? Else which word is not. */
bool page_is(uint64_t block, uint64_t page, uint32_t generation, uint64_t *ret_word);
void *guest_thread(void *vcpu_number);
void guest_audit(unsigned vcpu); /* when nobody else moves: all it knows */
void guest_audit_shared(void);

/* engine_side.c: what takes memory away and brings it back. */
void *evictor_thread(void *unused); /* direct */
void *reader_thread(void *unused);  /* direct */
void *chaos_thread(void *unused);   /* sampling, preparing, mapping and reading ahead */
void *limit_thread(void *unused);   /* swapper */
void reader_stop(void);

/* beside.c: balloon, wild discards, neighbour, devices and direct I/O. */
void *balloon_thread(void *unused);
void *wild_thread(void *unused);
void *neighbour_thread(void *unused);
void *device_thread(void *unused);
void *dma_thread(void *unused);
bool dead_pages(void *ctx, uint64_t first_page, uint64_t *ret_dead);

/* faulty_io.c: a disk that fails now and then. */
extern const struct swap_io faulty_io;
void *fault_thread(void *unused);
void faults_close_the_store(void); /* every write fails from now on */

/* trace_audit.c: when the memory is closed. Removes the file. */
void trace_audit(const char *path);

#endif
