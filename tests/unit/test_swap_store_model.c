/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_swap_store_model.c - any sequence of writes, reads and drops, against a model that knows each
 * block's bytes by the seed they were made from; by one worker, by two at once, and with a guest that
 * writes meanwhile.
 */
#include "../support/sanitizers.h"
#include "swap_fixture.h"

#include <errno.h>
#include <pthread.h>

#if WITH_TSAN
enum { ROUNDS = 250 }; /* ten times slower */
#else
enum { ROUNDS = 500 };
#endif
enum { BLOCKS = 64, GROUPS = 8 };

/* What the model knows of a block: enough to make its bytes again. */
struct known_block {
	uint64_t seed;
	uint64_t len_bytes;
	bool stored;
};

static uint64_t random_length(struct test_random *random)
{
	if (test_random_below(random, 3) == 0)
		return pages_to_bytes(1 + test_random_below(random, SWAP_BLOCK_PAGES));
	return SWAP_BLOCK_BYTES;
}

/* Bytes of every kind: zeros, text, noise, in stretches of pages; @live leaves some out. @expected is
 * what comes back. */
static void make_block(uint64_t seed, uint64_t len_bytes, uint8_t *block,
		       uint64_t live[SWAP_LIVE_WORDS], uint8_t *expected)
{
	struct test_random random = { .state = seed };
	uint64_t kinds = test_random_next(&random), stretch = 1 + kinds % 200;

	memset(block, 0, SWAP_BLOCK_BYTES);
	for (uint64_t page = 0; page < SWAP_BLOCK_PAGES; page += stretch) {
		uint64_t pages =
			page + stretch > SWAP_BLOCK_PAGES ? SWAP_BLOCK_PAGES - page : stretch;
		uint8_t *at = block + pages_to_bytes(page);

		kinds = kinds >> 2 | kinds << 62;
		if (kinds % 4 == 1)
			fill_random(&random, at, pages_to_bytes(pages));
		else if (kinds % 4 > 1)
			fill_compressible(&random, at, pages_to_bytes(pages));
	}
	memset(live, 0xff, SWAP_LIVE_WORDS * sizeof(*live));
	if (test_random_below(&random, 2))
		live[test_random_below(&random, SWAP_LIVE_WORDS)] = test_random_next(&random);
	memset(expected, 0, SWAP_BLOCK_BYTES);
	for (uint64_t page = 0; page < bytes_to_pages(len_bytes); page++)
		if (live[page / 64] >> page % 64 & 1)
			memcpy(expected + pages_to_bytes(page), block + pages_to_bytes(page),
			       GUEST_PAGE_BYTES);
}

/* One thread's share of the blocks: those whose number is @first, @first + @step, ... */
struct player {
	struct swap_store *store;
	struct test_random random;
	uint64_t first, step;
	int rounds;
	struct known_block known[BLOCKS];
	uint8_t *block, *back, *expected;
	uint64_t refused, refused_with_room;
	pthread_t thread;
};

static bool is_zero(const uint8_t *at, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++)
		if (at[i])
			return false;
	return true;
}

static void play_write(struct player *p, struct swap_worker *worker, uint64_t number)
{
	struct known_block *known = &p->known[number];
	uint64_t live[SWAP_LIVE_WORDS];
	struct swap_stats stats;
	int result;

	*known = (struct known_block){ test_random_next(&p->random), random_length(&p->random),
				       false };
	make_block(known->seed, known->len_bytes, p->block, live, p->expected);
	result = swap_store_write(worker, number, p->block, known->len_bytes, live);
	known->stored = result == 0;
	if (result == -ENOSPC) {
		swap_store_stats(p->store, &stats);
		p->refused++;
		p->refused_with_room += stats.size_bytes - stats.used_bytes > stats.size_bytes / 4;
	} else {
		assert_in_range(result, 0, 1);
		assert_int_equal(result, is_zero(p->expected, known->len_bytes));
	}
}

static void play_read(struct player *p, struct swap_worker *worker, uint64_t number)
{
	const struct known_block *known = &p->known[number];
	uint64_t live[SWAP_LIVE_WORDS];

	memset(p->back, 0, SWAP_BLOCK_BYTES);
	if (!known->stored) {
		assert_int_equal(swap_store_read(worker, number, p->back, SWAP_BLOCK_BYTES),
				 -ENOENT);
		return;
	}
	make_block(known->seed, known->len_bytes, p->block, live, p->expected);
	assert_int_equal(swap_store_read(worker, number, p->back, known->len_bytes), 0);
	assert_memory_equal(p->back, p->expected, SWAP_BLOCK_BYTES);
}

static void *play(void *arg)
{
	struct player *p = arg;
	struct swap_worker *worker;
	struct err err = { 0 };

	if (swap_worker_open(p->store, &worker, &err))
		fail_msg("%s", err.text);
	for (int i = 0; i < p->rounds; i++) {
		uint64_t number =
			p->first + p->step * test_random_below(&p->random, BLOCKS / p->step);

		switch (test_random_below(&p->random, 5)) {
		case 0:
		case 1: play_write(p, worker, number); break;
		case 2:
			swap_store_drop(p->store, number);
			p->known[number].stored = false;
			break;
		default: play_read(p, worker, number);
		}
	}
	for (uint64_t number = p->first; number < BLOCKS; number += p->step)
		play_read(p, worker, number);
	swap_worker_close(worker);
	return NULL;
}

static void player_init(struct player *p, struct swap_store *store, uint64_t first, uint64_t step,
			int rounds, uint64_t seed)
{
	*p = (struct player){ .store = store,
			      .random = { seed },
			      .first = first,
			      .step = step,
			      .rounds = rounds,
			      .block = fixture_block(),
			      .back = fixture_block(),
			      .expected = fixture_block() };
}

static void player_fini(struct player *p)
{
	(void)munmap(p->block, SWAP_BLOCK_BYTES);
	(void)munmap(p->back, SWAP_BLOCK_BYTES);
	(void)munmap(p->expected, SWAP_BLOCK_BYTES);
}

static struct swap_store *open_store(void)
{
	struct swap_config config = fixture_config(GROUPS);
	struct swap_store *store;
	struct err err = { 0 };

	config.block_count = BLOCKS;
	if (swap_store_open(&config, &store, &err))
		fail_msg("%s", err.text);
	return store;
}

static void assert_empty_after_drops(struct swap_store *store)
{
	struct swap_stats stats;

	for (uint64_t number = 0; number < BLOCKS; number++)
		swap_store_drop(store, number);
	swap_store_stats(store, &stats);
	assert_int_equal(stats.used_bytes, 0);
	assert_int_equal(stats.stored_blocks, 0);
	assert_int_equal(stats.compressed_blocks, 0);
	assert_int_equal(stats.bad_blocks, 0);
	assert_int_equal(stats.write_errors + stats.read_errors, 0);
	assert_false(stats.closed_for_writing);
}

static void any_sequence_gives_back_what_was_written_last(void **state)
{
	static struct player player;
	struct test_random random = test_random_start();
	struct swap_store *store = open_store();

	(void)state;
	player_init(&player, store, 0, 1, ROUNDS, test_random_next(&random));
	(void)play(&player);
	/* The store is smaller than what is asked of it; but a quarter of it free is enough. */
	print_message("full %llu times, %llu of them with a quarter free\n",
		      (unsigned long long)player.refused,
		      (unsigned long long)player.refused_with_room);
	assert_true(player.refused > 0);
	assert_int_equal(player.refused_with_room, 0);
	assert_empty_after_drops(store);
	player_fini(&player);
	swap_store_close(store);
}

static void two_workers_at_once_do_not_meet(void **state)
{
	static struct player players[2];
	struct test_random random = test_random_start();
	struct swap_store *store = open_store();

	(void)state;
	for (uint64_t i = 0; i < 2; i++) {
		player_init(&players[i], store, i, 2, ROUNDS / 4, test_random_next(&random));
		assert_int_equal(pthread_create(&players[i].thread, NULL, play, &players[i]), 0);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(players[i].thread, NULL), 0);
		player_fini(&players[i]);
	}
	assert_empty_after_drops(store);
	swap_store_close(store);
}

/* Drops and statistics come from other threads than the workers'. A block is handed over by an
 * atomic, as the swapper's state word does. */
struct hand_over {
	struct swap_store *store;
	_Atomic uint64_t written[BLOCKS]; /* 1: the dropper's turn */
	atomic_bool stop;
};

static void *drop_all(void *arg)
{
	struct hand_over *h = arg;
	struct swap_stats stats;

	while (!atomic_load(&h->stop)) {
		for (uint64_t number = 0; number < BLOCKS; number++) {
			if (!atomic_load_explicit(&h->written[number], memory_order_acquire))
				continue;
			swap_store_drop(h->store, number);
			atomic_store_explicit(&h->written[number], 0, memory_order_release);
		}
		swap_store_stats(h->store, &stats);
		assert_true(stats.used_bytes <= stats.size_bytes);
	}
	return NULL;
}

static void drops_from_another_thread_make_room_for_writes(void **state)
{
	static struct hand_over h;
	struct test_random random = test_random_start();
	struct swap_config config = fixture_config(GROUPS);
	struct swap_fixture f;
	pthread_t dropper;
	int stored = 0;

	(void)state;
	config.block_count = BLOCKS;
	f = fixture_open(&config);
	h.store = f.store;
	fill_random(&random, f.block, SWAP_BLOCK_BYTES / 8);
	assert_int_equal(pthread_create(&dropper, NULL, drop_all, &h), 0);
	for (uint64_t i = 0; i < 300; i++) {
		uint64_t number = i % BLOCKS;

		if (atomic_load_explicit(&h.written[number], memory_order_acquire))
			continue;
		stored += swap_store_write(f.worker, number, f.block, SWAP_BLOCK_BYTES, all_live) ==
			  0;
		assert_comes_back(&f, number, SWAP_BLOCK_BYTES, f.block);
		atomic_store_explicit(&h.written[number], 1, memory_order_release);
	}
	atomic_store(&h.stop, true);
	assert_int_equal(pthread_join(dropper, NULL), 0);
	assert_true(stored >= BLOCKS);
	assert_empty_after_drops(f.store);
	fixture_close(&f);
}

#if !WITH_TSAN
struct guest {
	volatile uint64_t *words;
	atomic_bool stop;
};

static void *write_like_a_guest(void *arg)
{
	struct guest *guest = arg;
	struct test_random random = { .state = 1 };

	while (!atomic_load_explicit(&guest->stop, memory_order_relaxed)) {
		uint64_t at = test_random_below(&random, SWAP_BLOCK_BYTES / sizeof(uint64_t));

		guest->words[at] = test_random_below(&random, 2) ? 0 : at;
		/* Whole pages go to zero and back, too. */
		if (at % 64 == 0)
			memset((uint8_t *)(uintptr_t)guest->words +
				       align_down(at * sizeof(uint64_t), GUEST_PAGE_BYTES),
			       0, GUEST_PAGE_BYTES);
	}
	return NULL;
}

/* What is stored then is nobody's state, but it is sealed, packed and mapped without contradiction. */
static void a_guest_that_writes_meanwhile_breaks_nothing(void **state)
{
	struct swap_config config = fixture_config(4);
	struct swap_fixture f = fixture_open(&config);
	struct guest guest = { .words = (volatile uint64_t *)(void *)f.block };
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, write_like_a_guest, &guest), 0);
	for (int i = 0; i < 30; i++) {
		int result = swap_store_write(f.worker, 0, f.block, SWAP_BLOCK_BYTES, all_live);
		const uint64_t *words = (const uint64_t *)(const void *)f.back;

		assert_in_range(result, 0, 1);
		memset(f.back, 0, SWAP_BLOCK_BYTES);
		if (result == 0)
			assert_int_equal(swap_store_read(f.worker, 0, f.back, SWAP_BLOCK_BYTES), 0);
		for (uint64_t at = 0; at < SWAP_BLOCK_BYTES / sizeof(uint64_t); at++)
			if (words[at] && words[at] != at)
				fail_msg("word %llu is %llu, which nobody wrote",
					 (unsigned long long)at, (unsigned long long)words[at]);
	}
	atomic_store(&guest.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	fixture_close(&f);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_sequence_gives_back_what_was_written_last),
		cmocka_unit_test(two_workers_at_once_do_not_meet),
		cmocka_unit_test(drops_from_another_thread_make_room_for_writes),
#if !WITH_TSAN /* a guest's races are the point of it */
		cmocka_unit_test(a_guest_that_writes_meanwhile_breaks_nothing),
#endif
	};

	swapdir_need();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
