/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_frames.c - the table of states, whole: every change that frame_moves.def allows happens and
 * is counted, every other one is refused and changes nothing; holds and locks under threads.
 */
#include "../support/testing.h"

#include <pthread.h>
#include <string.h>

#include "memory/frames.h"

enum { BLOCKS = 8, THREADS = 4, ROUNDS = 40000, FLAG_SETS = 8, MOST_HOLDS = 4095 };

static const struct {
	enum frame_state from, to;
	const char *why;
} moves[] = {
#define MOVE(from, to, why) { FRAME_##from, FRAME_##to, why },
#include "memory/frame_moves.def"
#undef MOVE
};

static bool is_in_table(unsigned from, unsigned to)
{
	for (size_t i = 0; i < ARRAY_LEN(moves); i++)
		if (moves[i].from == from && moves[i].to == to)
			return true;
	return false;
}

static uint64_t flags_of_set(unsigned set)
{
	return (set & 1 ? FRAME_FRESH : 0) | (set & 2 ? FRAME_WRITER : 0) |
	       (set & 4 ? FRAME_WANTED : 0);
}

static struct frames open_frames(uint64_t block_count)
{
	struct frames frames = { 0 };

	assert_int_equal(frames_init(&frames, block_count), 0);
	return frames;
}

static bool step(struct frames *frames, uint64_t block, unsigned to, uint64_t flags)
{
	(void)frames_lock(frames, block);
	return frames_unlock(frames, block, (enum frame_state)to, flags, ACTOR_SWAP);
}

/* How far each state is from ABSENT, in moves. */
static void measure_distances(unsigned distance[FRAME_STATE_COUNT])
{
	for (unsigned state = 0; state < FRAME_STATE_COUNT; state++)
		distance[state] = state == FRAME_ABSENT ? 0 : FRAME_STATE_COUNT + 1;
	for (unsigned round = 0; round < FRAME_STATE_COUNT; round++)
		for (size_t i = 0; i < ARRAY_LEN(moves); i++)
			if (distance[moves[i].from] + 1 < distance[moves[i].to])
				distance[moves[i].to] = distance[moves[i].from] + 1;
}

/* From ABSENT to @state along the shortest way. */
static void bring_to(struct frames *frames, uint64_t block, enum frame_state state)
{
	unsigned distance[FRAME_STATE_COUNT];

	measure_distances(distance);
	if (state == FRAME_ABSENT)
		return;
	for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
		if (moves[i].to != state || distance[moves[i].from] + 1 != distance[state])
			continue;
		bring_to(frames, block, moves[i].from);
		assert_true(step(frames, block, state, 0));
		return;
	}
	fail_msg("no way to state %s", frame_state_names[state]);
}

static struct frames frames_in(enum frame_state state)
{
	struct frames frames = open_frames(BLOCKS);

	bring_to(&frames, 3, state);
	assert_int_equal(frame_state_of(frames_peek(&frames, 3)), state);
	return frames;
}

static uint64_t count_in(const struct frames *frames, enum frame_state state)
{
	uint64_t count = 0;

	for (uint64_t block = 0; block < frames->block_count; block++)
		count += frame_state_of(frames_peek(frames, block)) == state;
	return count;
}

static uint64_t count_flag(const struct frames *frames, uint64_t flag)
{
	uint64_t count = 0;

	for (uint64_t block = 0; block < frames->block_count; block++)
		count += (frames_peek(frames, block) & flag) != 0;
	return count;
}

/* Every counter against the words, and the balance of moves against both. Nobody else runs. */
static void assert_counters_add_up(const struct frames *frames)
{
	uint64_t elsewhere = 0;

	for (unsigned state = 0; state < FRAME_STATE_COUNT; state++) {
		uint64_t in = 0, out = 0;

		for (unsigned other = 0; other < FRAME_STATE_COUNT; other++) {
			in += frames->moves[other][state];
			out += frames->moves[state][other];
		}
		if (state == FRAME_ABSENT)
			continue;
		elsewhere += frames->in_state[state];
		assert_int_equal(frames->in_state[state], count_in(frames, state));
		assert_int_equal(frames->in_state[state], in - out);
	}
	assert_int_equal(frames->block_count - elsewhere, count_in(frames, FRAME_ABSENT));
	assert_int_equal(frames->fresh_blocks, count_flag(frames, FRAME_FRESH));
}

static uint64_t all_moves(const struct frames *frames)
{
	uint64_t sum = 0;

	for (unsigned from = 0; from < FRAME_STATE_COUNT; from++)
		for (unsigned to = 0; to < FRAME_STATE_COUNT; to++)
			sum += frames->moves[from][to];
	return sum;
}

static void every_state_can_be_reached_and_left(void **state)
{
	unsigned distance[FRAME_STATE_COUNT];
	unsigned ways_out[FRAME_STATE_COUNT] = { 0 };

	(void)state;
	measure_distances(distance);
	for (size_t i = 0; i < ARRAY_LEN(moves); i++)
		ways_out[moves[i].from]++;
	for (unsigned s = 0; s < FRAME_STATE_COUNT; s++) {
		assert_in_range(distance[s], 0, FRAME_STATE_COUNT);
		assert_int_not_equal(ways_out[s], 0);
	}
}

static void the_questions_agree_with_the_table(void **state)
{
	(void)state;
	for (unsigned from = 0; from < FRAME_STATE_COUNT; from++)
		for (unsigned to = 0; to < FRAME_STATE_COUNT; to++) {
			if (from == to)
				continue;
			assert_int_equal(frames_may_move(from, to), is_in_table(from, to));
			assert_int_equal(frames_move_reason(from, to) != NULL,
					 is_in_table(from, to));
		}
	for (size_t i = 0; i < ARRAY_LEN(moves); i++)
		assert_string_equal(frames_move_reason(moves[i].from, moves[i].to), moves[i].why);
}

static void assert_is_allowed(unsigned from, unsigned to, uint64_t flags)
{
	struct frames frames = frames_in(from);
	uint64_t before = frames.moves[from][to], sum = all_moves(&frames), word;

	assert_true(step(&frames, 3, to, flags));
	word = frames_peek(&frames, 3);
	assert_int_equal(frame_state_of(word), to);
	assert_int_equal(word & FRAME_FLAGS, flags);
	assert_int_equal(frames.moves[from][to], before + 1);
	assert_int_equal(all_moves(&frames), sum + 1);
	assert_counters_add_up(&frames);
	frames_fini(&frames);
}

static void assert_is_refused(unsigned from, unsigned to, uint64_t flags)
{
	struct frames frames = frames_in(from);
	uint64_t before, sum = all_moves(&frames), word = 0;

	(void)frames_lock(&frames, 3);
	assert_true(frames_hold_locked(&frames, 3));
	frames_unlock_same(&frames, 3);
	before = frames_peek(&frames, 3);
	assert_false(step(&frames, 3, to, flags));
	assert_int_equal(frames_peek(&frames, 3), before);
	assert_int_equal(all_moves(&frames), sum);
	assert_counters_add_up(&frames);
	assert_true(frames_try_lock(&frames, 3, &word)); /* the lock was given back */
	assert_int_equal(frame_state_of(word), from);
	frames_unlock_same(&frames, 3);
	frames_fini(&frames);
}

/* Every (from, to), with every set of flags. */
static void moves_in_the_table_happen_and_all_others_are_refused(void **state)
{
	unsigned allowed = 0, refused = 0;

	(void)state;
	for (unsigned from = 0; from < FRAME_STATE_COUNT; from++)
		for (unsigned to = 0; to < FRAME_STATE_COUNT; to++)
			for (unsigned set = 0; set < FLAG_SETS && from != to; set++) {
				bool legal = is_in_table(from, to);

				(legal ? assert_is_allowed : assert_is_refused)(from, to,
										flags_of_set(set));
				allowed += legal;
				refused += !legal;
			}
	print_message("%u combinations happened, %u were refused\n", allowed, refused);
	assert_int_equal(allowed, ARRAY_LEN(moves) * FLAG_SETS);
}

static void flags_change_without_a_move(void **state)
{
	(void)state;
	for (unsigned from = 0; from < FRAME_STATE_COUNT; from++)
		for (unsigned set = 0; set < FLAG_SETS; set++) {
			struct frames frames = frames_in(from);
			uint64_t sum = all_moves(&frames);

			assert_true(step(&frames, 3, from, flags_of_set(set)));
			assert_int_equal(frames_peek(&frames, 3) & FRAME_FLAGS, flags_of_set(set));
			assert_int_equal(frame_state_of(frames_peek(&frames, 3)), from);
			assert_int_equal(all_moves(&frames), sum);
			assert_counters_add_up(&frames);
			frames_fini(&frames);
		}
}

static void a_move_touches_no_other_block(void **state)
{
	struct frames frames = open_frames(BLOCKS);

	(void)state;
	assert_true(step(&frames, 3, FRAME_SAMPLED, FRAME_FLAGS));
	for (uint64_t block = 0; block < BLOCKS; block++)
		if (block != 3)
			assert_int_equal(frames_peek(&frames, block), 0);
	frames_fini(&frames);
}

static void holds_count_to_4095_and_survive_every_move(void **state)
{
	struct frames frames = open_frames(BLOCKS);

	(void)state;
	for (unsigned i = 0; i < MOST_HOLDS; i++) {
		(void)frames_lock(&frames, 3);
		assert_int_equal(frame_holds_of(frames_peek(&frames, 3)), i);
		assert_true(frames_hold_locked(&frames, 3));
		frames_unlock_same(&frames, 3);
	}
	(void)frames_lock(&frames, 3);
	assert_false(frames_hold_locked(&frames, 3));
	frames_unlock_same(&frames, 3);
	assert_int_equal(frame_holds_of(frames_peek(&frames, 3)), MOST_HOLDS);
	assert_int_equal(frame_state_of(frames_peek(&frames, 3)), FRAME_ABSENT);
	bring_to(&frames, 3, FRAME_SWAPPED);
	assert_true(step(&frames, 3, FRAME_READING, FRAME_WANTED));
	assert_int_equal(frame_holds_of(frames_peek(&frames, 3)), MOST_HOLDS);
	for (unsigned i = 0; i < MOST_HOLDS; i++)
		frames_release(&frames, 3);
	assert_int_equal(frame_holds_of(frames_peek(&frames, 3)), 0);
	assert_int_equal(frames_peek(&frames, 3) & FRAME_FLAGS, FRAME_WANTED);
	assert_int_equal(frame_holds_of(frames_peek(&frames, 2)), 0);
	assert_int_equal(frame_holds_of(frames_peek(&frames, 4)), 0);
	assert_counters_add_up(&frames);
	frames_fini(&frames);
}

static void a_locked_block_is_not_locked_twice_and_others_are_free(void **state)
{
	struct frames frames = open_frames(BLOCKS);
	uint64_t word = 42;

	(void)state;
	(void)frames_lock(&frames, 3);
	assert_false(frames_try_lock(&frames, 3, &word));
	assert_int_equal(word, 42);
	assert_true(frames_try_lock(&frames, 4, &word));
	assert_int_equal(frame_state_of(word), FRAME_ABSENT);
	assert_true(frames_unlock(&frames, 4, FRAME_RESIDENT, 0, ACTOR_PAGER));
	frames_unlock_same(&frames, 3);
	assert_true(frames_try_lock(&frames, 3, &word));
	frames_unlock_same(&frames, 3);
	assert_counters_add_up(&frames);
	frames_fini(&frames);
}

struct crowd {
	struct frames frames;
	pthread_t threads[THREADS];
	atomic_uint next;
	uint64_t seed;
	uint64_t plain[BLOCKS]; /* guarded by the blocks' locks, and by nothing else */
};

static void run_crowd(struct crowd *crowd, void *(*body)(void *))
{
	crowd->seed = test_random_start().state;
	crowd->frames = open_frames(BLOCKS);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&crowd->threads[i], NULL, body, crowd), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(crowd->threads[i], NULL), 0);
}

static struct test_random own_random(struct crowd *crowd)
{
	return (struct test_random){ .state = crowd->seed + atomic_fetch_add(&crowd->next, 1) };
}

static void *add_under_the_lock(void *arg)
{
	struct crowd *crowd = arg;
	struct test_random random = own_random(crowd);

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t block = test_random_below(&random, BLOCKS), word = 0;

		if (i % 3 == 0 && !frames_try_lock(&crowd->frames, block, &word))
			(void)frames_lock(&crowd->frames, block);
		else if (i % 3 != 0)
			(void)frames_lock(&crowd->frames, block);
		crowd->plain[block]++;
		frames_unlock_same(&crowd->frames, block);
	}
	return NULL;
}

static void the_lock_lets_one_thread_in_at_a_time(void **state)
{
	struct crowd crowd = { 0 };
	uint64_t sum = 0;

	(void)state;
	run_crowd(&crowd, add_under_the_lock);
	for (unsigned block = 0; block < BLOCKS; block++)
		sum += crowd.plain[block];
	assert_int_equal(sum, THREADS * ROUNDS);
	frames_fini(&crowd.frames);
}

/* One random step: any state and flags, a hold, or a release of a hold of our own. */
static void wander(struct crowd *crowd, struct test_random *random, unsigned *holds)
{
	uint64_t block = test_random_below(random, BLOCKS);
	unsigned to = (unsigned)test_random_below(random, FRAME_STATE_COUNT);
	uint64_t flags = flags_of_set((unsigned)test_random_below(random, FLAG_SETS));
	uint64_t word = frames_lock(&crowd->frames, block);
	unsigned from = frame_state_of(word);

	if (test_random_below(random, 2) && frames_hold_locked(&crowd->frames, block))
		holds[block]++;
	if (frames_unlock(&crowd->frames, block, to, flags, ACTOR_SAMPLER) !=
	    (from == to || is_in_table(from, to)))
		fail_msg("%u -> %u", from, to);
	block = test_random_below(random, BLOCKS);
	if (holds[block] > 0) { /* while others have the lock */
		frames_release(&crowd->frames, block);
		holds[block]--;
	}
}

static void *wander_about(void *arg)
{
	struct crowd *crowd = arg;
	struct test_random random = own_random(crowd);
	unsigned holds[BLOCKS] = { 0 };

	for (unsigned i = 0; i < ROUNDS; i++)
		wander(crowd, &random, holds);
	for (uint64_t block = 0; block < BLOCKS; block++)
		for (; holds[block] > 0; holds[block]--)
			frames_release(&crowd->frames, block);
	return NULL;
}

static void counters_and_holds_add_up_after_threads_did_what_they_liked(void **state)
{
	struct crowd crowd = { 0 };

	(void)state;
	run_crowd(&crowd, wander_about);
	assert_counters_add_up(&crowd.frames);
	for (uint64_t block = 0; block < BLOCKS; block++)
		assert_int_equal(frame_holds_of(frames_peek(&crowd.frames, block)), 0);
	frames_fini(&crowd.frames);
}

static void *move_to_and_fro(void *arg)
{
	struct crowd *crowd = arg;

	while (!atomic_load(&crowd->next)) {
		uint64_t word = frames_lock(&crowd->frames, 3);
		bool resident = frame_state_of(word) == FRAME_RESIDENT;

		(void)frames_unlock(&crowd->frames, 3, resident ? FRAME_SAMPLED : FRAME_RESIDENT, 0,
				    ACTOR_SAMPLER);
	}
	return NULL;
}

/* A release takes no lock: it comes in the middle of somebody's move. */
static void releases_in_the_middle_of_moves_are_not_lost(void **state)
{
	struct crowd crowd = { .frames = open_frames(BLOCKS) };
	pthread_t mover;

	(void)state;
	assert_int_equal(pthread_create(&mover, NULL, move_to_and_fro, &crowd), 0);
	for (unsigned batch = 0; batch < ROUNDS / 8; batch++) {
		(void)frames_lock(&crowd.frames, 3);
		for (unsigned i = 0; i < MOST_HOLDS; i++)
			assert_true(frames_hold_locked(&crowd.frames, 3));
		frames_unlock_same(&crowd.frames, 3);
		for (unsigned i = 0; i < MOST_HOLDS; i++)
			frames_release(&crowd.frames, 3);
		assert_int_equal(frame_holds_of(frames_peek(&crowd.frames, 3)), 0);
	}
	atomic_store(&crowd.next, 1);
	assert_int_equal(pthread_join(mover, NULL), 0);
	frames_fini(&crowd.frames);
}

static void a_table_that_was_never_made_can_be_ended(void **state)
{
	struct frames frames = { 0 };

	(void)state;
	frames_fini(&frames);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_can_be_reached_and_left),
		cmocka_unit_test(the_questions_agree_with_the_table),
		cmocka_unit_test(moves_in_the_table_happen_and_all_others_are_refused),
		cmocka_unit_test(flags_change_without_a_move),
		cmocka_unit_test(a_move_touches_no_other_block),
		cmocka_unit_test(holds_count_to_4095_and_survive_every_move),
		cmocka_unit_test(a_locked_block_is_not_locked_twice_and_others_are_free),
		cmocka_unit_test(the_lock_lets_one_thread_in_at_a_time),
		cmocka_unit_test(counters_and_holds_add_up_after_threads_did_what_they_liked),
		cmocka_unit_test(releases_in_the_middle_of_moves_are_not_lost),
		cmocka_unit_test(a_table_that_was_never_made_can_be_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
