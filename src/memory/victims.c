/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* victims.c - random second chance, and what a sweep leaves behind.
 *
 * Problem. Nobody tells us which blocks the guest uses; all that can be seen is whether a block
 * that was unmapped is touched again, and that costs the guest a fault of some 20 us. Strict
 * recency, could we see it, would be the worst choice for what guests often do: go round and round
 * through more than fits (then the next one needed is always the one that was just evicted).
 *
 * Design. Blocks picked at random are unmapped and wait in a queue, `candidates`. Who reaches its
 * head untouched goes; who was touched on the way stays. In use or not is so decided by watching,
 * and which of the unused goes is left to chance, which no pattern of access can be unlucky with
 * every time. The queue is 1/VICTIMS_SHARE of the blocks in RAM: the longer, the surer a block in
 * use is recognised, and the more such blocks pay a fault for it.
 *
 * A sweep is seen when refaults come block after block (readahead.c). What it has gone past goes
 * before anything else (`passed`), if it is not touched again meanwhile. So a sweep through more
 * than fits turns over a few blocks and leaves the others where they are for its next round.
 *
 * Measured by test_swapper_victims (blocks touched one by one; share of touches found in RAM):
 * the figures are printed by it, beside exact recency and blind chance on the same touches.
 *
 * Limits. A block may stand in a queue twice; the second time it is gone, or tried again. Queues
 * hold VICTIMS_ROOM: on more than VICTIMS_ROOM * VICTIMS_SHARE blocks (8 GiB) the trial is shorter
 * than the share says.
 */
#include "memory/victims.h"

enum { RANDOM_TRIES = 24 };

void victims_init(struct victims *victims, uint64_t block_count, uint64_t seed)
{
	*victims = (struct victims){ .block_count = block_count, .random = seed | 1 };
}

/* xorshift64: chance that nobody has a reason to predict. */
static uint64_t random_block(struct victims *victims)
{
	victims->random ^= victims->random << 13;
	victims->random ^= victims->random >> 7;
	victims->random ^= victims->random << 17;
	return (victims->random >> 16) % victims->block_count;
}

static void fifo_put(struct victims_fifo *fifo, uint64_t block)
{
	fifo->blocks[(fifo->first + fifo->count) % VICTIMS_ROOM] = block;
	fifo->count++;
}

static uint64_t fifo_take(struct victims_fifo *fifo)
{
	uint64_t block = fifo->blocks[fifo->first];

	fifo->first = (fifo->first + 1) % VICTIMS_ROOM;
	fifo->count--;
	return block;
}

/* The first untouched one; what stands before it is forgotten. */
static bool fifo_take_untouched(struct victims_fifo *fifo, const struct victims_view *view,
				uint64_t *ret_block)
{
	while (fifo->count) {
		uint64_t block = fifo_take(fifo);

		if (view->is_untouched(view->ctx, block)) {
			*ret_block = block;
			return true;
		}
	}
	return false;
}

void victims_passed(struct victims *victims, const struct victims_view *view, uint64_t block)
{
	if (victims->passed.count < VICTIMS_ROOM && view->watch(view->ctx, block))
		fifo_put(&victims->passed, block);
}

/* Where few blocks can be watched, chance finds them slowly: then the first from some place on. */
static bool add_candidate(struct victims *victims, const struct victims_view *view)
{
	uint64_t block = 0;

	for (unsigned i = 0; i < RANDOM_TRIES; i++) {
		block = random_block(victims);
		if (view->watch(view->ctx, block)) {
			fifo_put(&victims->candidates, block);
			return true;
		}
	}
	for (uint64_t i = 0; i < victims->block_count; i++) {
		block = block + 1 == victims->block_count ? 0 : block + 1;
		if (view->watch(view->ctx, block)) {
			fifo_put(&victims->candidates, block);
			return true;
		}
	}
	return false;
}

static unsigned trial_length(uint64_t in_ram_blocks)
{
	uint64_t share = in_ram_blocks / VICTIMS_SHARE;

	if (share < VICTIMS_LEAST)
		return VICTIMS_LEAST;
	return share > VICTIMS_ROOM ? VICTIMS_ROOM : (unsigned)share;
}

bool victims_next(struct victims *victims, const struct victims_view *view, uint64_t in_ram_blocks,
		  uint64_t *ret_block)
{
	unsigned length = trial_length(in_ram_blocks);

	if (fifo_take_untouched(&victims->passed, view, ret_block))
		return true;
	for (unsigned tries = 0; tries < VICTIMS_ROOM; tries++) {
		while (victims->candidates.count < length && add_candidate(victims, view))
			;
		if (!victims->candidates.count)
			return false;
		*ret_block = fifo_take(&victims->candidates);
		if (view->is_untouched(view->ctx, *ret_block))
			return true;
	}
	return false;
}
