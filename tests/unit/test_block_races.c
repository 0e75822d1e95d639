/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_block_races.c - two threads do any two things to one block, again and again, while the guest
 * counts in it: test-block-races 2M | 4K.
 *
 * Whoever has bytes in the block (guest, device, holder) counts in words of its own, on pages of its
 * own, and knows what it must find: what it wrote last, or zero if a block_discard() has begun since
 * its last look. Nothing else, ever.
 */
#include "block_rig.h"

#include <pthread.h>
#include <sched.h>

#include "base/clock.h"
#include "memory/access.h"
#include "memory/hold.h"

enum {
	BLOCK = 2,
	SLOTS = 4,	 /* words of one counter, each on a page of its own */
	MOST_ACTORS = 3, /* the pair, and the guest */
	PAIR_MS = 40,
	PATIENCE_S = 20,
	ROUNDS_PER_PAUSE = 4,
	MOST_PAUSE_NS = 2000000,
	WORDS_PER_PAGE = GUEST_PAGE_BYTES / sizeof(uint64_t)
};

struct arena {
	struct ram *ram;
	uint64_t deadline_ns;
	atomic_ullong discards_begun, discards_ended;
};

struct actor {
	struct arena *arena;
	const struct job *job;
	unsigned index;
	struct test_random random;
	uint64_t expected[SLOTS];
	uint64_t ended_before[SLOTS]; /* discards that had ended when the slot was written */
	uint64_t done, refused;
	pthread_t thread;
};

struct job {
	const char *name;
	bool (*act)(struct actor *actor); /* true: it happened */
};

static uint64_t slot_word(const struct actor *actor, unsigned slot)
{
	static const uint64_t pages[SLOTS] = { 0, 100, 300, 505 };

	return (pages[slot] + actor->index) * WORDS_PER_PAGE + slot;
}

/* What was found in a slot must be what was left there, or the zero of a discard. */
static void judge(struct actor *actor, unsigned slot, uint64_t found)
{
	uint64_t begun = atomic_load(&actor->arena->discards_begun);

	if (found == actor->expected[slot])
		return;
	if (found != 0 || begun <= actor->ended_before[slot]) {
		fprintf(stderr, "%s %u lost a write: slot %u has %llu, not %llu\n",
			actor->job->name, actor->index, slot, (unsigned long long)found,
			(unsigned long long)actor->expected[slot]);
		abort();
	}
}

/* Through the guest view, as a processor does it. */
static void count_at(struct actor *actor, unsigned slot)
{
	uint64_t *word = (uint64_t *)rig_word(actor->arena->ram, BLOCK, slot_word(actor, slot));
	uint64_t ended = atomic_load(&actor->arena->discards_ended);
	uint64_t found = __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);

	judge(actor, slot, found);
	actor->expected[slot] = found + 1;
	actor->ended_before[slot] = ended;
}

static unsigned any_slot(struct actor *actor)
{
	return (unsigned)test_random_below(&actor->random, SLOTS);
}

static bool guest(struct actor *actor)
{
	count_at(actor, any_slot(actor));
	return true;
}

static bool device(struct actor *actor)
{
	struct ram *ram = actor->arena->ram;
	unsigned slot = any_slot(actor);
	gpa_t gpa = GPA(BLOCK * BLOCK_BYTES + 8 * slot_word(actor, slot));
	uint64_t ended = atomic_load(&actor->arena->discards_ended), word;

	if (ram_read(ram, gpa, &word, sizeof(word)))
		return false;
	judge(actor, slot, word);
	word++;
	if (ram_write(ram, gpa, &word, sizeof(word)))
		return false; /* it may not have been written, and was not: nothing changed */
	actor->expected[slot] = word;
	actor->ended_before[slot] = ended;
	return true;
}

/* While it is held it stays where it is: what the guest view says is in the file. */
static bool holder(struct actor *actor)
{
	struct ram *ram = actor->arena->ram;
	gpa_t gpa = GPA(BLOCK * BLOCK_BYTES);
	unsigned slot = any_slot(actor);
	void *pointer;
	uint64_t *host = block_data(ram, BLOCK);

	if (ram_hold(ram, gpa, BLOCK_BYTES, &pointer))
		return false;
	for (int i = 0; i < 4; i++) {
		count_at(actor, slot);
		if (!frame_in_ram(rig_state(ram, BLOCK)) ||
		    rig_state(ram, BLOCK) == FRAME_WRITING ||
		    __atomic_load_n(&host[slot_word(actor, slot)], __ATOMIC_SEQ_CST) !=
			    actor->expected[slot]) {
			fprintf(stderr, "a held block went away\n");
			abort();
		}
		(void)sched_yield();
	}
	ram_release(ram, gpa, BLOCK_BYTES);
	return true;
}

static bool evict(struct actor *actor)
{
	return rig_evict(actor->arena->ram, BLOCK) == 0;
}

static bool evict_zero(struct actor *actor)
{
	struct ram *ram = actor->arena->ram;
	bool gone;

	if (block_write_begin(ram, BLOCK))
		return false;
	atomic_fetch_add(&actor->arena->discards_begun, 1); /* it says: zeros now */
	gone = block_write_end(ram, BLOCK, WRITE_ZERO);
	atomic_fetch_add(&actor->arena->discards_ended, 1);
	return gone;
}

static bool evict_in_vain(struct actor *actor)
{
	if (block_write_begin(actor->arena->ram, BLOCK))
		return false;
	rig_store(actor->arena->ram, BLOCK);
	if (block_write_end(actor->arena->ram, BLOCK, WRITE_FAILED))
		abort();
	return true;
}

/* SWAPPED, if need be after an eviction of our own, -> READING. */
static bool begin_read(struct actor *actor)
{
	if (block_read_begin(actor->arena->ram, BLOCK) == 0)
		return true;
	return evict(actor) && block_read_begin(actor->arena->ram, BLOCK) == 0;
}

static bool read_back(struct actor *actor)
{
	if (!begin_read(actor))
		return false;
	(void)rig_serve(actor->arena->ram, BLOCK, test_random_below(&actor->random, 2));
	return true;
}

static bool read_in_vain(struct actor *actor)
{
	struct ram *ram = actor->arena->ram;

	if (!begin_read(actor))
		return false;
	if (block_read_allocate(ram, BLOCK) == 0)
		memset(block_data(ram, BLOCK), 0x55, GUEST_PAGE_BYTES);
	block_read_fail(ram, BLOCK);
	/* Who came to sleep meanwhile relies on somebody trying again. */
	return read_back(actor);
}

static bool sample(struct actor *actor)
{
	return block_unmap(actor->arena->ram, BLOCK) == 0;
}

static bool map_ahead(struct actor *actor)
{
	return block_map_ahead(actor->arena->ram, BLOCK) == 0;
}

static bool prepare(struct actor *actor)
{
	return block_prepare(actor->arena->ram, BLOCK) == 0;
}

static bool drop_fresh(struct actor *actor)
{
	return prepare(actor) && block_drop_fresh(actor->arena->ram, BLOCK) == 0;
}

static bool discard(struct actor *actor)
{
	int result;

	atomic_fetch_add(&actor->arena->discards_begun, 1);
	result = block_discard(actor->arena->ram, BLOCK, 1);
	atomic_fetch_add(&actor->arena->discards_ended, 1);
	if (result != 0 && result != -EBUSY)
		abort();
	return result == 0;
}

static const struct job jobs[] = {
	{ "guest", guest },	      { "device", device },
	{ "hold", holder },	      { "evict", evict },
	{ "evict zero", evict_zero }, { "evict in vain", evict_in_vain },
	{ "read back", read_back },   { "read in vain", read_in_vain },
	{ "sample", sample },	      { "map ahead", map_ahead },
	{ "prepare", prepare },	      { "drop fresh", drop_fresh },
	{ "discard", discard },
};

/* Nobody is always there: else the guest would come before every eviction, and nothing would ever
 * be in swap. */
static void pause_at_times(struct actor *actor)
{
	uint64_t pause_ns = test_random_below(&actor->random, MOST_PAUSE_NS);

	if (test_random_below(&actor->random, ROUNDS_PER_PAUSE) == 0)
		(void)nanosleep(&(struct timespec){ .tv_nsec = (long)pause_ns }, NULL);
}

static void *act(void *arg)
{
	struct actor *actor = arg;

	while (clock_now_ns() < actor->arena->deadline_ns) {
		bool done = actor->job->act(actor);

		actor->done += done;
		actor->refused += !done;
		if (done)
			pause_at_times(actor);
		else
			(void)sched_yield();
	}
	return NULL;
}

static void start_actor(struct actor *actor, struct arena *arena, const struct job *job,
			unsigned index, struct test_random *random)
{
	*actor = (struct actor){ .arena = arena,
				 .job = job,
				 .index = index,
				 .random = { .state = test_random_next(random) } };
	assert_int_equal(pthread_create(&actor->thread, NULL, act, actor), 0);
}

static void end_actor(struct actor *actor)
{
	assert_int_equal(pthread_join(actor->thread, NULL), 0);
}

/* Afterwards, when nobody moves: every counter of everybody. */
static void settle(struct actor *actor)
{
	for (unsigned slot = 0; slot < SLOTS; slot++)
		judge(actor, slot, *rig_word(actor->arena->ram, BLOCK, slot_word(actor, slot)));
}

static void race(struct ram *ram, const struct job *a, const struct job *b,
		 struct test_random *random, uint64_t done[ARRAY_LEN(jobs)])
{
	struct arena arena = { .ram = ram, .deadline_ns = clock_now_ns() + PAIR_MS * NS_PER_MS };
	const struct job *parts[MOST_ACTORS] = { a, b, &jobs[0] };
	struct actor actors[MOST_ACTORS];

	for (unsigned i = 0; i < MOST_ACTORS; i++)
		start_actor(&actors[i], &arena, parts[i], i, random);
	for (unsigned i = 0; i < MOST_ACTORS; i++)
		end_actor(&actors[i]);
	for (unsigned i = 0; i < MOST_ACTORS; i++) {
		settle(&actors[i]);
		done[parts[i] - jobs] += actors[i].done;
	}
	while (block_discard(ram, BLOCK, 1) == -EBUSY) /* who reads for nobody ends soon */
		(void)sched_yield();
	rig_assert_zeros(ram, BLOCK);
	assert_int_equal(block_discard(ram, BLOCK, 1), 0);
}

/* On a busy machine a pair's time may end before one of the two had its chance. */
static void race_until_it_happened(struct ram *ram, const struct job *job,
				   struct test_random *random, uint64_t done[ARRAY_LEN(jobs)])
{
	uint64_t deadline_ns = clock_now_ns() + PATIENCE_S * NS_PER_S;

	for (size_t other = 0; done[job - jobs] == 0 && clock_now_ns() < deadline_ns;
	     other = (other + 1) % ARRAY_LEN(jobs))
		race(ram, job, &jobs[other], random, done);
}

static void any_two_things_at_once_lose_no_write(void **state)
{
	struct test_random random = test_random_start();
	struct ram *ram = rig_open(NULL);
	uint64_t done[ARRAY_LEN(jobs)] = { 0 };

	(void)state;
	for (size_t a = 0; a < ARRAY_LEN(jobs); a++)
		for (size_t b = a; b < ARRAY_LEN(jobs); b++)
			race(ram, &jobs[a], &jobs[b], &random, done);
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		race_until_it_happened(ram, &jobs[i], &random, done);
		print_message("%-14s %llu\n", jobs[i].name, (unsigned long long)done[i]);
		assert_int_not_equal(done[i], 0);
	}
	rig_close(ram);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_two_things_at_once_lose_no_write),
	};

	rig_choose_frames(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
