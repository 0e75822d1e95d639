/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* sampler.c - see sampler.h.
 *
 * Design. One pass over the frame table at the start of a period draws a uniform sample without
 * replacement (Vitter's algorithm R: one random number per block in RAM). Its blocks are unmapped
 * SLICE_BLOCKS at a time over the first SPREAD_PART of the period, so that a busy guest does not run
 * into all of them at once. At the end of the period they are counted.
 *
 * Invariants
 *  S1  since[block] is set before the block is unmapped and cleared by the pager when it is touched,
 *      so whatever else is done to it meanwhile (the swapper unmaps blocks, too), a touch is not
 *      forgotten and a mere move is no touch.
 *  S2  The population is what is in RAM and was touched once: RESIDENT, and SAMPLED without FRESH.
 *      A block that stays unmapped from an earlier period is drawn like any other: else only the
 *      warm ones would be left to draw from.
 *  S3  Blocks that cannot be judged are in neither number: held ones, and those that were discarded
 *      before they were touched.
 *
 * A touch by a device counts as one by the guest. On 4 KiB memory a block is in use if any of its
 * pages is: the answer is about blocks of 2 MiB there as well.
 *
 * Precision. With n blocks of N drawn and a share p in use the standard error is
 * sqrt(p (1 - p) / n * (N - n) / (N - 1)): 5 points for 100 of many at p = 0.5.
 *
 * Cost. 100 blocks: 2.4 us each to unmap, and 20 to 35 us of waiting for each that is touched again.
 * Neighbours would be cheaper together, but in a random sample there are hardly any.
 */
#include "memory/sampler.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "memory/block.h"
#include "memory/ram_internal.h"

enum { SLICE_BLOCKS = 4, SPREAD_PART = 8 };

static size_t since_bytes(const struct sampler *sampler)
{
	return sampler->ram->frames.block_count * sizeof(uint32_t);
}

int sampler_init(struct sampler *sampler, struct ram *ram, uint64_t sample_blocks,
		 uint64_t period_ns, uint64_t seed)
{
	void *since;

	*sampler = (struct sampler){ .ram = ram, .period_ns = period_ns, .random = seed };
	(void)pthread_mutex_init(&sampler->lock, NULL);
	if (sample_blocks > ram->frames.block_count)
		sample_blocks = ram->frames.block_count;
	if (sample_blocks == 0 || period_ns == 0)
		return 0;
	since = mmap(NULL, since_bytes(sampler), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (since == MAP_FAILED)
		return -errno;
	sampler->since = since;
	sampler->sample = calloc(sample_blocks, sizeof(*sampler->sample));
	sampler->cold = calloc(SAMPLER_COLD_BLOCKS, sizeof(*sampler->cold));
	if (!sampler->sample || !sampler->cold)
		return -ENOMEM;
	sampler->phase = SAMPLER_WAITS;
	sampler->sample_blocks = sample_blocks;
	return 0;
}

void sampler_fini(struct sampler *sampler)
{
	if (!sampler->ram)
		return;
	if (sampler->since)
		(void)munmap((void *)sampler->since, since_bytes(sampler));
	free(sampler->sample);
	free(sampler->cold);
	(void)pthread_mutex_destroy(&sampler->lock);
	*sampler = (struct sampler){ 0 };
}

/* Marsaglia's xorshift, scrambled, and Lemire's way to a number below @limit; the bias is below
 * 2^-40. */
static uint64_t random_below(struct sampler *sampler, uint64_t limit)
{
	uint64_t x = sampler->random ? sampler->random : 1;

	x ^= x << 7;
	x ^= x >> 9;
	sampler->random = x;
	return (uint64_t)((unsigned __int128)(x * UINT64_C(0x2545f4914f6cdd1d)) * limit >> 64);
}

static bool may_be_drawn(uint64_t word)
{
	enum frame_state state = frame_state_of(word);

	return state == FRAME_RESIDENT || (state == FRAME_SAMPLED && !(word & FRAME_FRESH));
}

static void draw(struct sampler *sampler)
{
	const struct frames *frames = &sampler->ram->frames;
	uint64_t drawn_from = 0;

	sampler->sample_count = 0;
	for (uint64_t block = 0; block < frames->block_count; block++) {
		uint64_t place;

		if (!may_be_drawn(frames_peek(frames, block)))
			continue;
		place = sampler->sample_count < sampler->sample_blocks
				? sampler->sample_count++
				: random_below(sampler, drawn_from + 1);
		drawn_from++;
		if (place < sampler->sample_blocks)
			sampler->sample[place] = block;
	}
}

static uint32_t since_of(const struct sampler *sampler, uint64_t block)
{
	return atomic_load_explicit(&sampler->since[block], memory_order_acquire);
}

static void set_since(struct sampler *sampler, uint64_t block, uint32_t period)
{
	atomic_store_explicit(&sampler->since[block], period, memory_order_release);
}

/* False: it cannot be judged (S3). */
static bool begin_block(struct sampler *sampler, uint64_t block)
{
	uint64_t word = frames_peek(&sampler->ram->frames, block);
	uint32_t before = since_of(sampler, block);

	if (!may_be_drawn(word) || frame_holds_of(word))
		return false;
	if (frame_state_of(word) == FRAME_SAMPLED && before)
		return true;
	set_since(sampler, block, sampler->period); /* S1 */
	if (frame_state_of(word) == FRAME_SAMPLED || block_unmap(sampler->ram, block) == 0)
		return true;
	set_since(sampler, block, 0);
	return false;
}

static void unmap_slice(struct sampler *sampler)
{
	for (int i = 0; i < SLICE_BLOCKS && sampler->next < sampler->sample_count; i++) {
		if (begin_block(sampler, sampler->sample[sampler->next]))
			sampler->next++;
		else
			sampler->sample[sampler->next] = sampler->sample[--sampler->sample_count];
	}
}

static void add_cold(struct sampler *sampler, uint64_t block, uint32_t since)
{
	(void)pthread_mutex_lock(&sampler->lock);
	if (sampler->cold_count < SAMPLER_COLD_BLOCKS) {
		unsigned at = (sampler->cold_first + sampler->cold_count) % SAMPLER_COLD_BLOCKS;

		sampler->cold[at] = (struct sampler_cold){ block, since };
		sampler->cold_count++;
	}
	(void)pthread_mutex_unlock(&sampler->lock);
}

enum verdict { VERDICT_ACTIVE, VERDICT_IDLE, VERDICT_NONE };

static enum verdict judge(struct sampler *sampler, uint64_t block)
{
	uint64_t word = frames_peek(&sampler->ram->frames, block);
	enum frame_state state = frame_state_of(word);
	uint32_t since = since_of(sampler, block);

	if (since == 0 || state == FRAME_RESIDENT) {
		set_since(sampler, block, 0);
		return VERDICT_ACTIVE;
	}
	if (state == FRAME_ABSENT || word & FRAME_FRESH) { /* discarded */
		set_since(sampler, block, 0);
		return VERDICT_NONE;
	}
	if (since == sampler->period && state == FRAME_SAMPLED)
		add_cold(sampler, block, since);
	return VERDICT_IDLE;
}

static void count(struct sampler *sampler)
{
	uint64_t judged[] = { [VERDICT_ACTIVE] = 0, [VERDICT_IDLE] = 0, [VERDICT_NONE] = 0 };
	uint64_t total;

	for (uint64_t i = 0; i < sampler->next; i++)
		judged[judge(sampler, sampler->sample[i])]++;
	total = judged[VERDICT_ACTIVE] + judged[VERDICT_IDLE];
	if (total == 0)
		return;
	atomic_store(&sampler->active_percent,
		     (unsigned)((judged[VERDICT_ACTIVE] * 100 + total / 2) / total));
	atomic_store(&sampler->sampled, total);
	atomic_fetch_add(&sampler->periods, 1);
}

static void begin_period(struct sampler *sampler, uint64_t now_ns)
{
	sampler->period++;
	sampler->start_ns = now_ns;
	sampler->next = 0;
	sampler->phase = SAMPLER_UNMAPS;
	draw(sampler);
}

static uint64_t next_slice_ns(const struct sampler *sampler)
{
	uint64_t spread_ns = sampler->period_ns / SPREAD_PART;

	return sampler->start_ns + spread_ns * sampler->next / (sampler->sample_count + 1);
}

uint64_t sampler_step(struct sampler *sampler, uint64_t now_ns)
{
	if (sampler->sample_blocks == 0)
		return UINT64_MAX;
	if (sampler->period == 0) {
		begin_period(sampler, now_ns);
	} else if (now_ns - sampler->start_ns >= sampler->period_ns) {
		count(sampler);
		begin_period(sampler, now_ns);
	}
	while (sampler->phase == SAMPLER_UNMAPS && next_slice_ns(sampler) <= now_ns) {
		unmap_slice(sampler);
		if (sampler->next >= sampler->sample_count)
			sampler->phase = SAMPLER_WAITS;
	}
	return sampler->phase == SAMPLER_UNMAPS ? next_slice_ns(sampler)
						: sampler->start_ns + sampler->period_ns;
}

void sampler_touched(struct sampler *sampler, uint64_t block)
{
	if (sampler->since && since_of(sampler, block))
		set_since(sampler, block, 0);
}

static bool is_still_cold(const struct sampler *sampler, const struct sampler_cold *cold)
{
	uint64_t word = frames_peek(&sampler->ram->frames, cold->block);

	return since_of(sampler, cold->block) == cold->since &&
	       frame_state_of(word) == FRAME_SAMPLED && !(word & FRAME_FRESH);
}

/* Those that are cold no more are forgotten, the others stay: who takes one changes its state. */
unsigned sampler_coldest(struct sampler *sampler, uint64_t *ret_blocks, unsigned room)
{
	unsigned found = 0, kept = 0;

	if (!sampler->cold)
		return 0;
	(void)pthread_mutex_lock(&sampler->lock);
	for (unsigned i = 0; i < sampler->cold_count; i++) {
		struct sampler_cold cold =
			sampler->cold[(sampler->cold_first + i) % SAMPLER_COLD_BLOCKS];

		if (!is_still_cold(sampler, &cold))
			continue;
		if (found < room)
			ret_blocks[found++] = cold.block;
		sampler->cold[(sampler->cold_first + kept++) % SAMPLER_COLD_BLOCKS] = cold;
	}
	sampler->cold_count = kept;
	(void)pthread_mutex_unlock(&sampler->lock);
	return found;
}

void sampler_read_statistics(const struct sampler *sampler, struct ram_statistics *statistics)
{
	statistics->sample_periods = atomic_load(&sampler->periods);
	statistics->sampled_blocks = atomic_load(&sampler->sampled);
	statistics->active_percent = atomic_load(&sampler->active_percent);
}
