/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_famine_rounds.c - the pool is emptied under those who touch guest memory, a thousand times:
 * nobody dies, no byte is wrong, and each time it is over soon after frames came back.
 *
 * A private pool. A file on the same mount is the neighbour who takes all that is left of it. And each
 * way in which an empty pool shows, one by one: what KVM says of it is in tests/kvm/test_exits.c (EFAULT)
 * and tests/kvm/test_guest.c (MMIO inside RAM).
 */
#include "../support/hugemount.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "memory/access.h"
#include "memory/block.h"
#include "memory/discard.h"
#include "memory/ram_internal.h"

enum {
	POOL_FRAMES = 14,
	RAM_BLOCKS = 10,
	TOUCHERS = 2,
	BLOCKS_EACH = RAM_BLOCKS / TOUCHERS,
	ROUNDS = 1000,
	SWAP_ROUNDS = 150,
	FRAMES_WITH_SWAP = 4, /* what the neighbour leaves us */
	ROUND_S = 20,
	RELIEF_MS = 1000,
	WORDS_PER_PAGE = GUEST_PAGE_BYTES / sizeof(uint64_t),
	WORDS_PER_BLOCK = BLOCK_BYTES / sizeof(uint64_t)
};

static char pool_dir[HUGEMOUNT_TEXT_BYTES];

/* Somebody else on this host. */
struct neighbour {
	int fd;
	uint64_t frames;
};

static void neighbour_open(struct neighbour *neighbour)
{
	*neighbour = (struct neighbour){ .fd = open(pool_dir, O_TMPFILE | O_RDWR, 0600) };
	assert_true(neighbour->fd >= 0);
}

/* Takes all there is, but for @left frames. */
static void neighbour_take_all(struct neighbour *neighbour, uint64_t left)
{
	while (fallocate(neighbour->fd, 0, (off_t)(neighbour->frames * HUGE_FRAME_BYTES),
			 (off_t)HUGE_FRAME_BYTES) == 0)
		neighbour->frames++;
	assert_int_equal(errno, ENOSPC);
	neighbour->frames -= left < neighbour->frames ? left : neighbour->frames;
	assert_int_equal(ftruncate(neighbour->fd, (off_t)(neighbour->frames * HUGE_FRAME_BYTES)),
			 0);
}

static void neighbour_give(struct neighbour *neighbour, uint64_t frames)
{
	neighbour->frames -= frames < neighbour->frames ? frames : neighbour->frames;
	assert_int_equal(ftruncate(neighbour->fd, (off_t)(neighbour->frames * HUGE_FRAME_BYTES)),
			 0);
}

struct game {
	struct ram *ram;
	struct neighbour neighbour;
	pthread_barrier_t start, end;
	atomic_bool over;
	_Atomic uint64_t round, wrong_words, touched_blocks;
	_Atomic bool starving;
	atomic_uint famines, reliefs, failures;
};

static void on_starved(void *ctx, gpa_t gpa, bool starving)
{
	struct game *game = ctx;

	(void)gpa;
	if (atomic_exchange(&game->starving, starving) == starving)
		atomic_fetch_add(&game->failures, 1); /* P4 */
	atomic_fetch_add(starving ? &game->famines : &game->reliefs, 1);
}

static void on_failed(void *ctx, const char *why)
{
	struct game *game = ctx;

	fprintf(stderr, "%s\n", why);
	atomic_fetch_add(&game->failures, 1);
}

static void game_open(struct game *game, const char *swap_dir)
{
	struct ram_config config = {
		.ram_bytes = RAM_BLOCKS * BLOCK_BYTES,
		.frame_bytes = HUGE_FRAME_BYTES,
		.hugetlbfs_dir = pool_dir,
		.swap = { .dir = swap_dir, .compress = true },
		.events = { .starved = on_starved, .failed = on_failed, .ctx = game },
	};
	struct err err = { 0 };

	*game = (struct game){ .ram = NULL };
	neighbour_open(&game->neighbour);
	if (ram_open(&config, &game->ram, &err)) {
		if (swap_dir)
			test_skip_case(err.text);
		fail_msg("%s", err.text);
	}
	if (!ram_has_pager(game->ram))
		test_skip_program("this process may not use userfaultfd");
}

static void game_close(struct game *game)
{
	ram_close(game->ram);
	assert_int_equal(close(game->neighbour.fd), 0);
	assert_int_equal(game->failures, 0);
}

static uint64_t pattern(uint64_t round, uint64_t index)
{
	return (round + 1) * UINT64_C(0xc2b2ae3d27d4eb4f) ^ index;
}

/* A word of every page of a block that was just given to us: zero before, the pattern after. */
static uint64_t fill_block(volatile uint64_t *block, uint64_t round, uint64_t first_index)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < WORDS_PER_BLOCK; i += WORDS_PER_PAGE) {
		wrong += block[i] != 0;
		block[i] = pattern(round, first_index + i);
	}
	return wrong;
}

static uint64_t verify_block(const volatile uint64_t *block, uint64_t round, uint64_t first_index)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < WORDS_PER_BLOCK; i += WORDS_PER_PAGE)
		wrong += block[i] != pattern(round, first_index + i);
	return wrong;
}

struct toucher {
	struct game *game;
	uint64_t first_block;
	pthread_t thread;
};

static void touch_all(struct toucher *toucher)
{
	struct game *game = toucher->game;
	volatile uint64_t *view = ram_guest_view(game->ram, 0);
	uint64_t round = atomic_load(&game->round), wrong = 0;
	uint64_t end = toucher->first_block + BLOCKS_EACH;

	for (uint64_t block = toucher->first_block; block < end; block++) {
		wrong += fill_block(view + block * WORDS_PER_BLOCK, round, block * WORDS_PER_BLOCK);
		atomic_fetch_add(&game->touched_blocks, 1);
	}
	for (uint64_t block = toucher->first_block; block < end; block++)
		wrong += verify_block(view + block * WORDS_PER_BLOCK, round,
				      block * WORDS_PER_BLOCK);
	atomic_fetch_add(&game->wrong_words, wrong);
}

static void *toucher_thread(void *arg)
{
	struct toucher *toucher = arg;

	for (;;) {
		(void)pthread_barrier_wait(&toucher->game->start);
		if (atomic_load(&toucher->game->over))
			return NULL;
		touch_all(toucher);
		(void)pthread_barrier_wait(&toucher->game->end);
	}
}

static void await_starving(struct game *game, bool starving)
{
	uint64_t give_up_ns = clock_now_ns() + ROUND_S * NS_PER_S;

	while (atomic_load(&game->starving) != starving) {
		if (clock_now_ns() > give_up_ns)
			fail_msg("round %u: %s for %d s", (unsigned)game->round,
				 starving ? "nobody starves" : "somebody starves", ROUND_S);
		(void)sched_yield();
	}
}

static void empty_ram(struct ram *ram)
{
	uint64_t give_up_ns = clock_now_ns() + ROUND_S * NS_PER_S;

	while (ram_discard(ram, 0, ram_frame_count(ram)) == -EBUSY) { /* a swap worker has some */
		assert_true(clock_now_ns() < give_up_ns);
		(void)sched_yield();
	}
}

static void play_round(struct game *game, struct test_random *random)
{
	atomic_fetch_add(&game->round, 1);
	empty_ram(game->ram);
	neighbour_take_all(&game->neighbour, test_random_below(random, RAM_BLOCKS));
	(void)pthread_barrier_wait(&game->start);
	await_starving(game, true);
	while (game->neighbour.frames > 0 && atomic_load(&game->starving)) {
		neighbour_give(&game->neighbour, 1 + test_random_below(random, 3));
		for (int i = 0; i < 100 && atomic_load(&game->starving); i++)
			(void)sched_yield();
	}
	neighbour_give(&game->neighbour, POOL_FRAMES);
	(void)pthread_barrier_wait(&game->end);
	await_starving(game, false);
}

static void play(struct game *game, unsigned rounds,
		 void (*round)(struct game *game, struct test_random *random))
{
	struct toucher touchers[TOUCHERS];
	struct test_random random = test_random_start();
	uint64_t longest_ns = 0;

	assert_int_equal(pthread_barrier_init(&game->start, NULL, TOUCHERS + 1), 0);
	assert_int_equal(pthread_barrier_init(&game->end, NULL, TOUCHERS + 1), 0);
	for (unsigned i = 0; i < TOUCHERS; i++) {
		touchers[i] = (struct toucher){ .game = game, .first_block = i * BLOCKS_EACH };
		assert_int_equal(
			pthread_create(&touchers[i].thread, NULL, toucher_thread, &touchers[i]), 0);
	}
	for (unsigned i = 0; i < rounds; i++) {
		uint64_t started_ns = clock_now_ns(), took_ns;

		round(game, &random);
		took_ns = clock_now_ns() - started_ns;
		longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
		if (game->wrong_words)
			fail_msg("round %u: %u wrong words", i, (unsigned)game->wrong_words);
	}
	atomic_store(&game->over, true);
	(void)pthread_barrier_wait(&game->start);
	for (unsigned i = 0; i < TOUCHERS; i++)
		assert_int_equal(pthread_join(touchers[i].thread, NULL), 0);
	print_message("%u rounds, %u famines, 0 wrong words; the longest round took %u ms\n",
		      rounds, game->famines, (unsigned)(longest_ns / NS_PER_MS));
	assert_true(longest_ns < ROUND_S * NS_PER_S);
	(void)pthread_barrier_destroy(&game->start);
	(void)pthread_barrier_destroy(&game->end);
}

static void hp01_a_thousand_famines_kill_nobody_and_lose_nothing(void **state)
{
	struct game game;

	(void)state;
	game_open(&game, NULL);
	play(&game, ROUNDS, play_round);
	assert_true(game.famines >= ROUNDS);
	assert_int_equal(game.famines, game.reliefs);
	game_close(&game);
}

/* The neighbour gives nothing: our own cold blocks make room. */
static void play_round_with_swap(struct game *game, struct test_random *random)
{
	atomic_fetch_add(&game->round, 1);
	empty_ram(game->ram);
	neighbour_take_all(&game->neighbour,
			   FRAMES_WITH_SWAP + test_random_below(random, RAM_BLOCKS / 2));
	(void)pthread_barrier_wait(&game->start);
	(void)pthread_barrier_wait(&game->end);
	neighbour_give(&game->neighbour, POOL_FRAMES);
	await_starving(game, false);
}

static void hp01_with_swap_own_cold_blocks_end_the_famine(void **state)
{
	struct ram_statistics statistics;
	struct game game;

	(void)state;
	game_open(&game, "/var/tmp");
	play(&game, SWAP_ROUNDS, play_round_with_swap);
	ram_read_statistics(game.ram, &statistics);
	print_message("%u MiB out, %u MiB in\n", (unsigned)bytes_to_mib(statistics.swap_out_bytes),
		      (unsigned)bytes_to_mib(statistics.swap_in_bytes));
	assert_true(statistics.swap_out_bytes > 0 && statistics.swap_in_bytes > 0);
	assert_int_equal(statistics.swap_read_errors + statistics.swap_write_errors, 0);
	game_close(&game);
}

/* One that wants the last block of @game's memory, in its own way. */
struct wanter {
	struct game *game;
	int pipe_fd; /* of what reads by system call */
	uint64_t seen;
	int64_t result;
	pthread_t thread;
};

static uint64_t *wanted_word(const struct wanter *wanter)
{
	return (uint64_t *)ram_guest_view(wanter->game->ram, 0) +
	       (RAM_BLOCKS - 1) * WORDS_PER_BLOCK;
}

static void *load_word(void *arg)
{
	struct wanter *wanter = arg;

	wanter->seen = __atomic_load_n(wanted_word(wanter), __ATOMIC_RELAXED);
	return NULL;
}

static void *read_into_word(void *arg)
{
	struct wanter *wanter = arg;

	wanter->result = read(wanter->pipe_fd, wanted_word(wanter), sizeof(uint64_t));
	wanter->seen = __atomic_load_n(wanted_word(wanter), __ATOMIC_RELAXED);
	return NULL;
}

static void *load_from_host_view(void *arg)
{
	struct wanter *wanter = arg;
	const struct ram *ram = wanter->game->ram;

	wanter->seen =
		*(volatile uint64_t *)(void *)(ram->host.base + (RAM_BLOCKS - 1) * BLOCK_BYTES);
	return NULL;
}

/* @count of them want the block while there is none; then there is one, and within RELIEF_MS they
 * have it. */
static void want_and_wait(struct game *game, void *(*how)(void *), struct wanter *wanters,
			  unsigned count)
{
	uint64_t relieved_ns;

	neighbour_take_all(&game->neighbour, 0);
	for (unsigned i = 0; i < count; i++) {
		wanters[i].game = game;
		assert_int_equal(pthread_create(&wanters[i].thread, NULL, how, &wanters[i]), 0);
	}
	await_starving(game, true);
	relieved_ns = clock_now_ns();
	neighbour_give(&game->neighbour, 1);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(pthread_join(wanters[i].thread, NULL), 0);
	assert_true(clock_now_ns() - relieved_ns < RELIEF_MS * NS_PER_MS);
	await_starving(game, false);
	assert_int_equal(game->famines, 1);
}

static void enospc_of_the_pool_is_a_wait(void **state)
{
	struct wanter wanter = { .seen = UINT64_MAX };
	struct game game;

	(void)state;
	game_open(&game, NULL);
	want_and_wait(&game, load_word, &wanter, 1);
	assert_int_equal(wanter.seen, 0);
	game_close(&game);
}

/* A device asks before it touches, and comes again. */
static void enospc_is_told_to_who_asks_first(void **state)
{
	struct game game;

	(void)state;
	game_open(&game, NULL);
	neighbour_take_all(&game.neighbour, 0);
	assert_int_equal(ram_back(game.ram, GPA((RAM_BLOCKS - 1) * BLOCK_BYTES), 1), -ENOSPC);
	neighbour_give(&game.neighbour, 1);
	assert_int_equal(ram_back(game.ram, GPA((RAM_BLOCKS - 1) * BLOCK_BYTES), 1), 0);
	game_close(&game);
}

static void efault_of_a_system_call_is_a_wait(void **state)
{
	struct wanter wanter = { .seen = UINT64_MAX };
	uint64_t word = pattern(1, 2);
	struct game game;
	int ends[2];

	(void)state;
	game_open(&game, NULL);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], &word, sizeof(word)), sizeof(word));
	wanter.pipe_fd = ends[0];
	want_and_wait(&game, read_into_word, &wanter, 1);
	assert_int_equal(wanter.result, sizeof(word));
	assert_int_equal(wanter.seen, word);
	(void)close(ends[0]);
	(void)close(ends[1]);
	game_close(&game);
}

/* The first answer maps the frame; for the other sleepers the kernel says EEXIST, and they are woken. */
static void eexist_for_those_who_wait_for_the_same_frame_is_no_error(void **state)
{
	struct wanter wanters[8] = { 0 };
	struct game game;

	(void)state;
	game_open(&game, NULL);
	for (unsigned i = 0; i < ARRAY_LEN(wanters); i++)
		wanters[i].seen = UINT64_MAX;
	want_and_wait(&game, load_word, wanters, ARRAY_LEN(wanters));
	for (unsigned i = 0; i < ARRAY_LEN(wanters); i++)
		assert_int_equal(wanters[i].seen, 0);
	assert_int_equal(block_touch(game.ram, (RAM_BLOCKS - 1) * BLOCK_BYTES, NULL, NULL),
			 TOUCH_MAPPED); /* and once more on purpose */
	game_close(&game);
}

static void sigbus_of_a_host_thread_is_a_wait(void **state)
{
	struct wanter wanter = { .seen = UINT64_MAX };
	struct game game;

	(void)state;
	game_open(&game, NULL);
	want_and_wait(&game, load_from_host_view, &wanter, 1);
	assert_int_equal(wanter.seen, 0);
	game_close(&game);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(enospc_of_the_pool_is_a_wait),
		cmocka_unit_test(enospc_is_told_to_who_asks_first),
		cmocka_unit_test(efault_of_a_system_call_is_a_wait),
		cmocka_unit_test(eexist_for_those_who_wait_for_the_same_frame_is_no_error),
		cmocka_unit_test(sigbus_of_a_host_thread_is_a_wait),
		cmocka_unit_test(hp01_a_thousand_famines_kill_nobody_and_lose_nothing),
		cmocka_unit_test(hp01_with_swap_own_cold_blocks_end_the_famine),
	};

	hugemount_make(POOL_FRAMES, pool_dir);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
