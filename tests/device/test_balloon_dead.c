/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_balloon_dead.c - which ballooned pages hold nothing, as another thread asks; what of them the
 * host got back otherwise; and frames that devices use while they should go. No rings, no memory.
 */
#include "../support/testing.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "balloon/inflate.h"
#include "base/bitmap.h"
#include "base/units.h"

enum { RAM_BLOCKS = 200, LIST = 512, ROUNDS = 300 };

struct rig {
	struct ram_layout layout;
	struct inflate inflate;
	bool busy[RAM_BLOCKS]; /* a device uses the frame */
	bool gone[RAM_BLOCKS]; /* the block holds nothing */
	unsigned calls;
};

/* As ram_discard(): what can go has gone, and one that cannot is told. */
static int discard(void *ctx, uint64_t first_frame, uint64_t frame_count)
{
	struct rig *rig = ctx;
	int result = 0;

	rig->calls++;
	for (uint64_t frame = first_frame; frame < first_frame + frame_count; frame++) {
		if (rig->layout.frame_bytes == HUGE_FRAME_BYTES && rig->busy[frame])
			result = -EBUSY;
	}
	return result;
}

static struct rig *rig_create(uint64_t frame_bytes)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct inflate_config config = { .layout = &rig->layout, .discard = discard, .ctx = rig };

	assert_int_equal(
		ram_layout_init(RAM_BLOCKS * HUGE_FRAME_BYTES, frame_bytes, &rig->layout, NULL), 0);
	assert_int_equal(inflate_init(&rig->inflate, &config, NULL), 0);
	return rig;
}

static int setup(void **state)
{
	*state = rig_create(HUGE_FRAME_BYTES);
	return 0;
}

static int setup_small(void **state)
{
	*state = rig_create(GUEST_PAGE_BYTES);
	return 0;
}

static int teardown(void **state)
{
	inflate_fini(&((struct rig *)*state)->inflate);
	free(*state);
	return 0;
}

typedef void (*list_fn)(struct inflate *inflate, const uint32_t *pfns, size_t count);

static void each_list(struct rig *rig, uint32_t first, uint32_t count, list_fn apply)
{
	uint32_t pfns[LIST];

	while (count > 0) {
		uint32_t now = count < LIST ? count : LIST;

		for (uint32_t i = 0; i < now; i++)
			pfns[i] = first + i;
		apply(&rig->inflate, pfns, now);
		first += now;
		count -= now;
	}
}

/* One request, however many lists. */
static void take(struct rig *rig, uint32_t first, uint32_t count)
{
	inflate_begin(&rig->inflate, true, false);
	each_list(rig, first, count, inflate_take);
	inflate_end(&rig->inflate);
}

static void release(struct rig *rig, uint32_t first, uint32_t count)
{
	each_list(rig, first, count, inflate_release);
}

static uint64_t returned(const struct rig *rig)
{
	return rig->inflate.counters.returned_frames;
}

static void a_busy_frame_is_kept_alone_and_its_neighbours_go(void **state)
{
	struct rig *rig = *state;

	rig->busy[5] = rig->busy[7] = true;
	take(rig, 0, 20 * LIST);
	assert_int_equal(returned(rig), 18);
	assert_int_equal(rig->inflate.kept_frames, 2);
	rig->busy[7] = false;
	assert_true(inflate_retry(&rig->inflate)); /* 5 does not stand in the way of 7 */
	assert_int_equal(returned(rig), 19);
	rig->busy[5] = false;
	assert_false(inflate_retry(&rig->inflate));
	assert_int_equal(returned(rig), 20);
	assert_false(inflate_retry(&rig->inflate));
}

static void many_busy_frames_all_have_their_turn(void **state)
{
	struct rig *rig = *state;
	unsigned turns = 0, before;

	memset(rig->busy, true, sizeof(rig->busy));
	take(rig, 0, RAM_BLOCKS * LIST);
	assert_int_equal(returned(rig), 0);
	rig->busy[RAM_BLOCKS - 1] = false;
	while (returned(rig) == 0) {
		before = rig->calls;
		assert_true(inflate_retry(&rig->inflate));
		assert_true(rig->calls - before <= 16);
		assert_true(++turns < RAM_BLOCKS);
	}
	before = rig->calls;
	memset(rig->busy, false, sizeof(rig->busy));
	while (inflate_retry(&rig->inflate))
		assert_true(++turns < 2 * RAM_BLOCKS);
	assert_int_equal(returned(rig), RAM_BLOCKS);
	assert_int_equal(rig->calls - before, RAM_BLOCKS - 1);
}

static void one_busy_frame_is_tried_once_a_turn(void **state)
{
	struct rig *rig = *state;
	unsigned calls;

	rig->busy[RAM_BLOCKS - 1] = true;
	take(rig, (RAM_BLOCKS - 1) * LIST, LIST);
	for (unsigned i = 0; i < 3; i++) {
		calls = rig->calls;
		assert_true(inflate_retry(&rig->inflate));
		assert_true(rig->calls - calls <= 1);
	}
}

static void dead_pages_are_those_in_the_balloon(void **state)
{
	struct rig *rig = *state;
	uint64_t dead[BLOCK_PAGE_WORDS] = { 0 };

	assert_false(inflate_dead_pages(&rig->inflate, UINT64_C(3) * LIST, dead));
	take(rig, 3 * LIST + 70, 100);
	take(rig, 4 * LIST, 1);
	assert_true(inflate_dead_pages(&rig->inflate, UINT64_C(3) * LIST, dead));
	for (unsigned i = 0; i < LIST; i++)
		assert_int_equal(bitmap_test(dead, i), i >= 70 && i < 170);
	release(rig, 3 * LIST + 70, 100);
	memset(dead, 0, sizeof(dead));
	assert_false(inflate_dead_pages(&rig->inflate, UINT64_C(3) * LIST, dead));
	take(rig, 3 * LIST, 9);
	inflate_forget(&rig->inflate);
	assert_false(inflate_dead_pages(&rig->inflate, UINT64_C(3) * LIST, dead));
}

static bool is_gone(void *ctx, uint64_t block)
{
	return ((struct rig *)ctx)->gone[block];
}

static uint64_t gone_pages(struct rig *rig)
{
	return inflate_gone_pages(&rig->inflate, is_gone, rig);
}

static void pages_in_blocks_that_hold_nothing_are_counted_once(void **state)
{
	struct rig *rig = *state;

	take(rig, 10 * LIST, 300);
	take(rig, 11 * LIST, 200);
	assert_int_equal(gone_pages(rig), 0);
	rig->gone[10] = true;
	assert_int_equal(gone_pages(rig), 300);
	take(rig, 12 * LIST, LIST); /* goes as a whole: returned_frames has it */
	rig->gone[12] = true;
	assert_int_equal(returned(rig), 1);
	assert_int_equal(gone_pages(rig), 300);
	rig->busy[13] = rig->gone[13] = true; /* kept; then swapped out */
	take(rig, 13 * LIST, LIST);
	assert_int_equal(gone_pages(rig), 300 + LIST);
	rig->busy[13] = false;
	assert_false(inflate_retry(&rig->inflate));
	assert_int_equal(returned(rig), 2);
	assert_int_equal(gone_pages(rig), 300);
	rig->gone[10] = false; /* touched again */
	assert_int_equal(gone_pages(rig), 0);
}

static void small_frames_are_counted_when_they_are_given_back(void **state)
{
	struct rig *rig = *state;

	take(rig, 10 * LIST, 300);
	rig->gone[10] = true;
	assert_int_equal(returned(rig), 300);
	assert_int_equal(gone_pages(rig), 0);
}

/* For TSan, and for torn words: two neighbours that change together are never seen apart. */
struct reader {
	struct rig *rig;
	atomic_bool done;
	uint64_t looks;
	bool torn;
};

static void *look_all_the_time(void *arg)
{
	struct reader *reader = arg;

	while (!atomic_load(&reader->done)) {
		uint64_t dead[BLOCK_PAGE_WORDS] = { 0 };

		(void)inflate_dead_pages(&reader->rig->inflate, 0, dead);
		for (unsigned i = 0; i < BLOCK_PAGE_WORDS; i++)
			reader->torn |= dead[i] != 0 && dead[i] != UINT64_MAX;
		(void)gone_pages(reader->rig);
		reader->looks++;
	}
	return NULL;
}

static void another_thread_may_look_at_any_time(void **state)
{
	struct rig *rig = *state;
	struct reader reader = { .rig = rig };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, look_all_the_time, &reader), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		take(rig, 0, LIST / 2);
		take(rig, LIST / 2, LIST / 2);
		release(rig, 0, LIST);
		if (i % 16 == 0)
			inflate_forget(&rig->inflate);
	}
	atomic_store(&reader.done, true);
	(void)pthread_join(thread, NULL);
	assert_false(reader.torn);
}

#define TEST(function)	     cmocka_unit_test_setup_teardown(function, setup, teardown)
#define TEST_SMALL(function) cmocka_unit_test_setup_teardown(function, setup_small, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_busy_frame_is_kept_alone_and_its_neighbours_go),
		TEST(many_busy_frames_all_have_their_turn),
		TEST(one_busy_frame_is_tried_once_a_turn),
		TEST(dead_pages_are_those_in_the_balloon),
		TEST(pages_in_blocks_that_hold_nothing_are_counted_once),
		TEST_SMALL(small_frames_are_counted_when_they_are_given_back),
		TEST(another_thread_may_look_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
