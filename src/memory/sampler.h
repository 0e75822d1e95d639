/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* sampler.h - which share of a guest's memory is in use, from outside. Inside memory/ only.
 *
 * Each period a random sample of the blocks in RAM is unmapped; the share that is touched again
 * before the period ends is the active fraction. Needs no trust in the guest.
 * Threads: the keeper's calls sampler_step(), the pager's sampler_touched(); the rest any.
 */
#ifndef NEAP_MEMORY_SAMPLER_H
#define NEAP_MEMORY_SAMPLER_H

#include <pthread.h>
#include <stdatomic.h>

#include "memory/ram.h"

enum { SAMPLER_COLD_BLOCKS = 4096 };

struct sampler_cold {
	uint64_t block;
	uint32_t since; /* the period in which it was unmapped */
};

enum sampler_phase { SAMPLER_UNMAPS, SAMPLER_WAITS };

struct sampler {
	struct ram *ram;
	uint64_t sample_blocks; /* 0: no sampling */
	uint64_t period_ns;
	uint64_t random; /* state */

	/* Per block: the period in which it was unmapped and since when it was not touched; 0: it
	 * was, or never sampled. 2 KiB per GiB of guest. */
	_Atomic uint32_t *since;

	/* The keeper's. */
	enum sampler_phase phase;
	uint32_t period; /* from 1 */
	uint64_t start_ns;
	uint64_t *sample;
	uint64_t sample_count, next; /* sample[next] is unmapped next */

	pthread_mutex_t lock; /* cold */
	struct sampler_cold *cold;
	unsigned cold_first, cold_count;

	_Atomic uint64_t periods, sampled;
	_Atomic unsigned active_percent;
};

/* 0 or a negative errno. Any @seed is a good one. The first period starts with the first step. */
int sampler_init(struct sampler *sampler, struct ram *ram, uint64_t sample_blocks,
		 uint64_t period_ns, uint64_t seed);
void sampler_fini(struct sampler *sampler); /* also on a zeroed one */

/* Do what is due. When to be called again; UINT64_MAX: never. */
uint64_t sampler_step(struct sampler *sampler, uint64_t now_ns);

void sampler_touched(struct sampler *sampler, uint64_t block);

/* As keeper_coldest(). */
unsigned sampler_coldest(struct sampler *sampler, uint64_t *ret_blocks, unsigned room);

void sampler_read_statistics(const struct sampler *sampler, struct ram_statistics *statistics);

#endif
