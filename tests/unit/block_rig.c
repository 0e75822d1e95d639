/* SPDX-License-Identifier: BSD-2-Clause-Patent */
#include "block_rig.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "base/clock.h"

bool __wrap_engine_read_back(struct ram *ram, uint64_t block);
void __wrap_engine_forget(struct ram *ram, uint64_t block);

enum { WORDS_PER_PAGE = GUEST_PAGE_BYTES / sizeof(uint64_t), QUEUE_ROOM = 64 };

static uint64_t frame_bytes;
static char pool_dir[HUGEMOUNT_TEXT_BYTES];

/* The swapper that this program has. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	struct ram *ram;
	bool stop, by_hand;
	unsigned queued;
	uint64_t queue[QUEUE_ROOM];
	_Atomic unsigned drops[RIG_BLOCKS];
	_Atomic bool has[RIG_BLOCKS];
	uint64_t live[RIG_BLOCKS][BLOCK_PAGE_WORDS];
	uint64_t *bytes[RIG_BLOCKS];
} rig = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

void rig_choose_frames(int argc, char **argv)
{
	if (argc != 2 || (strcmp(argv[1], "2M") != 0 && strcmp(argv[1], "4K") != 0)) {
		fprintf(stderr, "usage: %s 2M|4K\n", argv[0]);
		exit(2);
	}
	frame_bytes = strcmp(argv[1], "2M") == 0 ? HUGE_FRAME_BYTES : GUEST_PAGE_BYTES;
	if (rig_is_huge())
		hugemount_make(RIG_POOL_FRAMES, pool_dir);
	for (unsigned i = 0; i < RIG_BLOCKS; i++)
		rig.bytes[i] = aligned_alloc(GUEST_PAGE_BYTES, BLOCK_BYTES);
}

bool rig_is_huge(void)
{
	return frame_bytes == HUGE_FRAME_BYTES;
}

const char *rig_pool_dir(void)
{
	return rig_is_huge() ? pool_dir : NULL;
}

static void on_failed(void *ctx, const char *why)
{
	(void)ctx;
	fprintf(stderr, "the pager failed: %s\n", why);
	abort();
}

void rig_read_by_hand(bool by_hand)
{
	(void)pthread_mutex_lock(&rig.lock);
	rig.by_hand = by_hand;
	(void)pthread_cond_broadcast(&rig.changed);
	(void)pthread_mutex_unlock(&rig.lock);
}

/* The guest may write meanwhile: word by word, so that ThreadSanitizer knows it is meant. */
static void copy_words(uint64_t *to, const uint64_t *from)
{
	for (unsigned i = 0; i < WORDS_PER_PAGE; i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

static bool is_live(uint64_t block, uint64_t page)
{
	return bitmap_test(rig.live[block], page);
}

void rig_store(const struct ram *ram, uint64_t block)
{
	const uint64_t *data = block_data(ram, block);

	block_live_pages(ram, block, rig.live[block]);
	for (uint64_t page = 0; page < bytes_to_pages(block_bytes(ram, block)); page++)
		if (is_live(block, page))
			copy_words(rig.bytes[block] + page * WORDS_PER_PAGE,
				   data + page * WORDS_PER_PAGE);
	atomic_store(&rig.has[block], true);
}

int rig_evict(struct ram *ram, uint64_t block)
{
	int result = block_write_begin(ram, block);

	if (result)
		return result;
	rig_store(ram, block);
	return block_write_end(ram, block, WRITE_STORED) ? 0 : -ECANCELED;
}

bool rig_serve(struct ram *ram, uint64_t block, bool map)
{
	uint64_t *data = block_data(ram, block);
	bool mapped;

	if (!atomic_load(&rig.has[block])) {
		fprintf(stderr, "block %u is read back, but nothing is stored for it\n",
			(unsigned)block);
		abort();
	}
	while (block_read_allocate(ram, block) == -ENOSPC)
		(void)sched_yield();
	for (uint64_t page = 0; page < bytes_to_pages(block_bytes(ram, block)); page++)
		if (is_live(block, page))
			memcpy(data + page * WORDS_PER_PAGE,
			       rig.bytes[block] + page * WORDS_PER_PAGE, GUEST_PAGE_BYTES);
	atomic_store(&rig.has[block], false);
	mapped = block_read_end(ram, block, map);
	engine_arrived(ram);
	return mapped;
}

unsigned rig_drops(uint64_t block)
{
	return rig.drops[block];
}

static void *serve_queue(void *arg)
{
	(void)arg;
	(void)pthread_mutex_lock(&rig.lock);
	while (!rig.stop) {
		if (rig.queued == 0 || rig.by_hand) {
			(void)pthread_cond_wait(&rig.changed, &rig.lock);
			continue;
		}
		uint64_t block = rig.queue[--rig.queued];

		(void)pthread_mutex_unlock(&rig.lock);
		(void)rig_serve(rig.ram, block, true);
		(void)pthread_mutex_lock(&rig.lock);
	}
	(void)pthread_mutex_unlock(&rig.lock);
	return NULL;
}

static void start_reader(struct ram *ram)
{
	rig.ram = ram;
	rig.stop = false;
	rig.queued = 0;
	for (unsigned i = 0; i < RIG_BLOCKS; i++)
		rig.drops[i] = 0;
	assert_int_equal(pthread_create(&rig.thread, NULL, serve_queue, NULL), 0);
}

static void stop_reader(void)
{
	(void)pthread_mutex_lock(&rig.lock);
	rig.stop = true;
	(void)pthread_cond_broadcast(&rig.changed);
	(void)pthread_mutex_unlock(&rig.lock);
	(void)pthread_join(rig.thread, NULL);
}

/* Called instead of engine.c's: see meson.build. What a test reads by hand is not queued. */
bool __wrap_engine_read_back(struct ram *ram, uint64_t block)
{
	bool room;

	(void)ram;
	(void)pthread_mutex_lock(&rig.lock);
	room = rig.by_hand || rig.queued < QUEUE_ROOM;
	if (room && !rig.by_hand)
		rig.queue[rig.queued++] = block;
	(void)pthread_cond_broadcast(&rig.changed);
	(void)pthread_mutex_unlock(&rig.lock);
	return room;
}

void __wrap_engine_forget(struct ram *ram, uint64_t block)
{
	(void)ram;
	rig.drops[block]++;
	atomic_store(&rig.has[block], false);
}

struct ram *rig_open(bool (*dead)(void *ctx, uint64_t first_page, uint64_t *ret_dead))
{
	struct ram_config config = {
		.ram_bytes = RIG_BLOCKS * BLOCK_BYTES,
		.frame_bytes = frame_bytes,
		.hugetlbfs_dir = rig_pool_dir(),
		.events = { .failed = on_failed, .dead = dead },
	};
	struct ram *ram = NULL;
	struct err err = { 0 };

	if (!rig_is_huge())
		config.ram_bytes -= BLOCK_BYTES - RIG_LAST_PAGES * GUEST_PAGE_BYTES;
	if (ram_open(&config, &ram, &err))
		fail_msg("%s", err.text);
	if (!ram_has_pager(ram))
		test_skip_program("this process may not use userfaultfd");
	start_reader(ram);
	return ram;
}

static void assert_counters_add_up(const struct ram *ram)
{
	uint64_t counted[FRAME_STATE_COUNT] = { 0 }, fresh = 0;

	for (uint64_t block = 0; block < RIG_BLOCKS; block++) {
		uint64_t word = frames_peek(&ram->frames, block);

		counted[frame_state_of(word)]++;
		fresh += (word & FRAME_FRESH) != 0;
		assert_int_equal(frame_holds_of(word), 0);
	}
	for (unsigned state = FRAME_ABSENT + 1; state < FRAME_STATE_COUNT; state++)
		assert_int_equal(ram->frames.in_state[state], counted[state]);
	assert_int_equal(ram->frames.fresh_blocks, fresh);
}

void rig_close(struct ram *ram)
{
	assert_counters_add_up(ram);
	stop_reader();
	ram_close(ram);
	rig_read_by_hand(false);
}

enum frame_state rig_state(const struct ram *ram, uint64_t block)
{
	return frame_state_of(frames_peek(&ram->frames, block));
}

uint64_t rig_flags(const struct ram *ram, uint64_t block)
{
	return frames_peek(&ram->frames, block) & FRAME_FLAGS;
}

void rig_await(const struct ram *ram, uint64_t block, enum frame_state state, uint64_t flags)
{
	uint64_t deadline = clock_now_ns() + RIG_PATIENCE_S * NS_PER_S;

	while (rig_state(ram, block) != state || (rig_flags(ram, block) & flags) != flags) {
		if (clock_now_ns() > deadline)
			fail_msg("block %u is %s, not %s", (unsigned)block,
				 frame_state_names[rig_state(ram, block)],
				 frame_state_names[state]);
		(void)sched_yield();
	}
}

volatile uint64_t *rig_word(const struct ram *ram, uint64_t block, uint64_t index)
{
	return (volatile uint64_t *)ram_guest_view(ram, 0) + block * (BLOCK_BYTES / 8) + index;
}

static uint64_t word_count(const struct ram *ram, uint64_t block)
{
	return block_bytes(ram, block) / sizeof(uint64_t);
}

static uint64_t pattern(uint64_t seed, uint64_t block, uint64_t index)
{
	return (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (block << 40) ^ index;
}

void rig_quiet(struct ram *ram, uint64_t block)
{
	(void)frames_lock(&ram->frames, block);
	frames_unlock_same(&ram->frames, block);
}

void rig_fill(struct ram *ram, uint64_t block, uint64_t seed)
{
	for (uint64_t i = 0; i < word_count(ram, block); i++)
		*rig_word(ram, block, i) = pattern(seed, block, i);
	rig_quiet(ram, block);
}

void rig_assert_filled(struct ram *ram, uint64_t block, uint64_t seed)
{
	for (uint64_t i = 0; i < word_count(ram, block); i++)
		if (*rig_word(ram, block, i) != pattern(seed, block, i))
			fail_msg("block %u, word %u is %llx", (unsigned)block, (unsigned)i,
				 (unsigned long long)*rig_word(ram, block, i));
	rig_quiet(ram, block);
}

void rig_assert_zeros(struct ram *ram, uint64_t block)
{
	for (uint64_t i = 0; i < word_count(ram, block); i++)
		if (*rig_word(ram, block, i) != 0)
			fail_msg("block %u, word %u is %llx, not 0", (unsigned)block, (unsigned)i,
				 (unsigned long long)*rig_word(ram, block, i));
	rig_quiet(ram, block);
}
