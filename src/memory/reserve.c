/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* reserve.c - see reserve.h.
 *
 * Problem. A large VM that reserves its memory starts as slowly as the kernel zeroes it: 16 GiB a
 * second with one thread. Design. Up to MOST_THREADS threads, the caller's among them, each take the
 * next CHUNK_BYTES until all are taken. They populate a mapping, since fallocate would have them take
 * turns (backing_populate()). 4 KiB frames are allocated by one thread: populating costs twice what
 * fallocate does there.
 *
 * Invariants
 *  R1  The first error wins and is seen by all before their next chunk; nobody is still allocating
 *      when the file is emptied.
 *  R2  Progress is told by the caller's thread only, never less than before, and at the end.
 */
#include "memory/reserve.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "memory/backing.h"
#include "memory/ram_internal.h"
#include "memory/uffd.h"

#define CHUNK_BYTES (32 * MIB_BYTES)

_Static_assert(RAM_HOLE_START % CHUNK_BYTES == 0, "no chunk goes across the hole");

enum { MOST_THREADS = 8 };

struct reserve {
	struct ram *ram;
	uint64_t total_bytes;
	_Atomic uint64_t next_bytes, done_bytes;
	atomic_int result; /* R1 */
};

static int allocate(const struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes)
{
	if (ram->layout.frame_bytes != HUGE_FRAME_BYTES)
		return backing_allocate(ram->fd, offset_bytes, len_bytes);
	return backing_populate(ram->fd, ram->host.base + offset_bytes, offset_bytes, len_bytes);
}

/* Nobody could touch them before: in RAM, and mapped at once, so that they never fault. No chunk goes
 * across the hole in the guest's addresses. */
static int note_taken(struct ram *ram, uint64_t offset_bytes, uint64_t len_bytes)
{
	uint64_t end = offset_bytes + len_bytes;

	if (ram->known.words)
		known_set(&ram->known, offset_bytes >> ram->frame_shift,
			  len_bytes >> ram->frame_shift);
	for (uint64_t block = offset_bytes >> BLOCK_SHIFT; block << BLOCK_SHIFT < end; block++) {
		(void)frames_lock(&ram->frames, block);
		frames_unlock(&ram->frames, block, FRAME_RESIDENT, 0, ACTOR_DEVICE);
	}
	return uffd_map(ram, offset_bytes, len_bytes);
}

static void give_up(struct reserve *reserve, int result)
{
	int none = 0;

	(void)atomic_compare_exchange_strong(&reserve->result, &none, result);
}

/* False: there is none left, or somebody gave up. */
static bool take_chunk(struct reserve *reserve)
{
	uint64_t offset = atomic_fetch_add(&reserve->next_bytes, CHUNK_BYTES);
	uint64_t len;
	int result;

	if (offset >= reserve->total_bytes || atomic_load(&reserve->result))
		return false;
	len = reserve->total_bytes - offset;
	if (len > CHUNK_BYTES)
		len = CHUNK_BYTES;
	result = allocate(reserve->ram, offset, len);
	if (result == 0)
		result = note_taken(reserve->ram, offset, len);
	if (result)
		give_up(reserve, result);
	atomic_fetch_add(&reserve->done_bytes, len);
	return result == 0;
}

static void *helper(void *arg)
{
	(void)pthread_setname_np(pthread_self(), "reserve");
	while (take_chunk(arg))
		;
	return NULL;
}

static unsigned count_helpers(const struct reserve *reserve)
{
	uint64_t chunks = (reserve->total_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES;
	uint64_t threads;
	long online;

	if (reserve->ram->layout.frame_bytes != HUGE_FRAME_BYTES || chunks < 2)
		return 0;
	online = sysconf(_SC_NPROCESSORS_ONLN);
	threads = online > 0 ? (uint64_t)online : 1;
	if (threads > MOST_THREADS)
		threads = MOST_THREADS;
	return (unsigned)(threads < chunks ? threads : chunks) - 1;
}

/* Fewer than wanted is no error: the caller's thread alone is enough. Signals are the caller's. */
static unsigned start_helpers(struct reserve *reserve, pthread_t *threads)
{
	unsigned wanted = count_helpers(reserve), started = 0;
	sigset_t all, before;

	if (wanted == 0)
		return 0;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	while (started < wanted && pthread_create(&threads[started], NULL, helper, reserve) == 0)
		started++;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}

static void tell(struct reserve *reserve, const struct ram_config *config, uint64_t done_bytes)
{
	if (config->progress && reserve->total_bytes > config->frame_bytes &&
	    !config->progress(config->progress_ctx, done_bytes, reserve->total_bytes))
		give_up(reserve, -ECANCELED);
}

static int run(struct reserve *reserve, const struct ram_config *config)
{
	pthread_t threads[MOST_THREADS];
	unsigned started = start_helpers(reserve, threads);

	while (take_chunk(reserve))
		if (atomic_load(&reserve->done_bytes) < reserve->total_bytes)
			tell(reserve, config, atomic_load(&reserve->done_bytes));
	for (unsigned i = 0; i < started; i++)
		(void)pthread_join(threads[i], NULL);
	if (atomic_load(&reserve->result) == 0)
		tell(reserve, config, reserve->total_bytes);
	return atomic_load(&reserve->result);
}

int reserve_frames(struct ram *ram, const struct ram_config *config, uint64_t total_bytes,
		   struct err *err)
{
	struct reserve reserve = { .ram = ram, .total_bytes = total_bytes };
	uint64_t frames = total_bytes / config->frame_bytes;
	int result = 0;

	/* Of many, it is known before they are zeroed. One is simply tried. */
	if (frames > 1)
		result = backing_check_room(config, frames, err);
	if (result)
		return result;
	result = run(&reserve, config);
	if (result == 0)
		return 0;
	(void)ftruncate(ram->fd, 0); /* so that the numbers are those of before */
	if (result == -ECANCELED)
		return err_set(err, result, "reserving memory was called off");
	return backing_explain_failure(config, frames, err);
}
