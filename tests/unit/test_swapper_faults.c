/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_swapper_faults.c - a disk that fails under a running guest: test-swapper-faults 2M | 4K.
 *
 * Rows SW01-10 as the guest sees them: out = the block stays in RAM; in = whoever touches it sleeps,
 * the event is told once, it is tried again, and what is found then is what was there. Never zeros.
 */
#include "swapper_rig.h"

#include <errno.h>
#include <sys/stat.h>

#include "memory/swap_internal.h"
#include "memory/swapper_internal.h"

enum { POOL_BLOCKS = 16, BLOCKS = 8, KEPT_BLOCKS = 2 };

static uint64_t frame_bytes;
static char pool_dir[HUGEMOUNT_TEXT_BYTES];

/* The disk: as the kernel's, unless told to fail. */
static struct {
	_Atomic bool reads_fail, writes_fail;
	_Atomic unsigned short_writes; /* that many more are cut in half */
} disk;

static ssize_t disk_read(int fd, void *buf, size_t len, off_t offset)
{
	if (atomic_load(&disk.reads_fail)) {
		errno = EIO;
		return -1;
	}
	return swap_io_kernel.read(fd, buf, len, offset);
}

static ssize_t disk_write(int fd, const void *buf, size_t len, off_t offset)
{
	if (atomic_load(&disk.writes_fail)) {
		errno = EIO;
		return -1;
	}
	if (atomic_load(&disk.short_writes)) {
		atomic_fetch_sub(&disk.short_writes, 1);
		len = len / 2 / GUEST_PAGE_BYTES * GUEST_PAGE_BYTES;
	}
	return swap_io_kernel.write(fd, buf, len, offset);
}

static const struct swap_io failing_io = { .read = disk_read, .write = disk_write };

static struct swap_store *store_of(const struct rig *rig)
{
	return rig->ram->swapper->store;
}

static void open_rig(struct rig *rig, uint64_t swap_blocks)
{
	struct ram_config config;

	memset(&disk, 0, sizeof(disk));
	*rig = (struct rig){ .blocks = BLOCKS,
			     .frame_bytes = frame_bytes,
			     .pool_dir = frame_bytes == HUGE_FRAME_BYTES ? pool_dir : NULL };
	config = rig_config(rig);
	config.swap.size_bytes = swap_blocks * BLOCK_BYTES;
	rig_open(rig, &config);
	swapper_hush(rig->ram->swapper);
	swap_store_set_io(store_of(rig), &failing_io);
	swapper_resume(rig->ram->swapper);
}

static enum frame_state state_of(const struct rig *rig, uint64_t block)
{
	return frame_state_of(frames_peek(&rig->ram->frames, block));
}

/* Some block that is in swap; the limit is left low, so that it stays there. */
static uint64_t swap_some(struct rig *rig, uint64_t generation)
{
	rig_fill(rig, generation);
	assert_int_equal(ram_set_limit(rig->ram, KEPT_BLOCKS * BLOCK_BYTES), 0);
	rig_wait_for(ram_resident_bytes(rig->ram) <= KEPT_BLOCKS * BLOCK_BYTES);
	for (uint64_t block = 0; block < rig->blocks; block++)
		if (state_of(rig, block) == FRAME_SWAPPED)
			return block;
	fail_msg("nothing went to swap");
	return 0;
}

struct toucher {
	struct rig *rig;
	uint64_t block;
	pthread_t thread;
	_Atomic bool done;
};

static void *check_block(void *arg)
{
	struct toucher *toucher = arg;

	for (uint64_t page = 0; page < BLOCK_PAGES; page++)
		rig_check_page(toucher->rig, toucher->block * BLOCK_PAGES + page, 6);
	atomic_store(&toucher->done, true);
	return NULL;
}

static void start_touch(struct toucher *toucher, struct rig *rig, uint64_t block)
{
	*toucher = (struct toucher){ .rig = rig, .block = block };
	assert_int_equal(pthread_create(&toucher->thread, NULL, check_block, toucher), 0);
}

static void end_touch(struct toucher *toucher)
{
	assert_int_equal(pthread_join(toucher->thread, NULL), 0);
	assert_true(atomic_load(&toucher->done));
}

/* SW: EIO on read */
static void a_block_that_cannot_be_read_is_waited_for_and_never_zeros(void **state)
{
	struct toucher toucher;
	struct rig rig;
	uint64_t block;

	(void)state;
	open_rig(&rig, 0);
	block = swap_some(&rig, 6);
	atomic_store(&disk.reads_fail, true);
	start_touch(&toucher, &rig, block);
	rig_wait_for(atomic_load(&rig.told.lost) == 1);
	assert_int_equal(atomic_load(&rig.told.lost_gpa), block * BLOCK_BYTES);
	rig_wait_for(rig_statistics(&rig).swap_read_errors >= 2); /* it was tried again */
	assert_false(atomic_load(&toucher.done));
	assert_int_equal(atomic_load(&rig.told.lost), 1); /* told once */
	assert_int_equal(atomic_load(&rig.told.found), 0);
	atomic_store(&disk.reads_fail, false);
	end_touch(&toucher);
	rig_wait_for(atomic_load(&rig.told.found) == 1);
	assert_int_equal(ram_set_limit(rig.ram, 0), 0);
	rig_check(&rig, 6);
	rig_close(&rig);
}

/* Turn all bits of the swap file around; twice is as before. */
static void flip_file(const struct rig *rig)
{
	static uint8_t page[GUEST_PAGE_BYTES] __attribute__((aligned(4096)));
	int fd = swap_store_fd(store_of(rig));
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	for (off_t at = 0; at < status.st_size; at += (off_t)sizeof(page)) {
		assert_int_equal(pread(fd, page, sizeof(page), at), sizeof(page));
		for (size_t i = 0; i < sizeof(page); i++)
			page[i] = (uint8_t)~page[i];
		assert_int_equal(pwrite(fd, page, sizeof(page), at), sizeof(page));
	}
}

/* SW: bit flip */
static void bytes_that_are_not_those_that_were_written_are_not_shown(void **state)
{
	struct toucher toucher;
	struct rig rig;
	uint64_t block;

	(void)state;
	open_rig(&rig, 0);
	block = swap_some(&rig, 6);
	atomic_store(&disk.writes_fail, true); /* or what leaves meanwhile would be flipped once */
	flip_file(&rig);
	start_touch(&toucher, &rig, block);
	rig_wait_for(atomic_load(&rig.told.lost) == 1);
	assert_false(atomic_load(&toucher.done));
	flip_file(&rig);
	end_touch(&toucher);
	rig_wait_for(atomic_load(&rig.told.found) == 1);
	rig_check(&rig, 6);
	rig_close(&rig);
}

/* SW: the file is cut off; what is lost for good can be given up by a discard. */
static void a_lost_block_that_is_discarded_is_not_missed(void **state)
{
	struct rig rig;
	uint64_t block, frames = BLOCK_BYTES / frame_bytes;

	(void)state;
	open_rig(&rig, 0);
	block = swap_some(&rig, 6);
	assert_int_equal(ftruncate(swap_store_fd(store_of(&rig)), 0), 0);
	assert_int_equal(block_read_begin(rig.ram, block), 0);
	assert_true(swapper_read(rig.ram->swapper, block));
	rig_wait_for(atomic_load(&rig.told.lost) == 1);
	rig_wait_for(state_of(&rig, block) == FRAME_SWAPPED);
	rig_wait_for(ram_discard(rig.ram, block * frames, frames) == 0);
	rig_wait_for(atomic_load(&rig.told.found) == 1);
	assert_int_equal(atomic_load(rig_word(&rig, block * BLOCK_PAGES, 0)), 0);
	rig_close(&rig);
}

/* SW: EIO and short writes */
static void what_cannot_be_written_stays_and_the_store_closes(void **state)
{
	struct ram_statistics s;
	struct rig rig;

	(void)state;
	open_rig(&rig, 0);
	rig_fill(&rig, 6);
	atomic_store(&disk.writes_fail, true);
	assert_int_equal(ram_set_limit(rig.ram, KEPT_BLOCKS * BLOCK_BYTES), 0);
	rig_wait_for(rig_statistics(&rig).swap_closed);
	rig_check(&rig, 6);
	s = rig_statistics(&rig);
	assert_int_equal(s.swap_write_errors, SWAP_MAX_WRITE_ERRORS);
	assert_int_equal(s.swap_out_bytes, 0);
	assert_int_equal(ram_resident_bytes(rig.ram), BLOCKS * BLOCK_BYTES);
	assert_int_equal(atomic_load(&rig.told.lost), 0);
	rig_close(&rig);
}

static void a_torn_write_is_tried_elsewhere(void **state)
{
	struct ram_statistics s;
	struct rig rig;

	(void)state;
	open_rig(&rig, 2 * BLOCKS);
	atomic_store(&disk.short_writes, 2);
	(void)swap_some(&rig, 6);
	rig_check(&rig, 6);
	s = rig_statistics(&rig);
	assert_int_equal(s.swap_read_errors, 0);
	assert_false(s.swap_closed);
	rig_close(&rig);
}

/* SW: the swap is full */
static void a_full_swap_keeps_the_rest_in_ram(void **state)
{
	struct ram_statistics s;
	struct rig rig;

	(void)state;
	open_rig(&rig, 2);
	rig_fill(&rig, 6);
	assert_int_equal(ram_set_limit(rig.ram, BLOCK_BYTES), 0);
	rig_wait_for(rig_statistics(&rig).swap_used_bytes > BLOCK_BYTES);
	for (int round = 0; round < 3; round++)
		rig_check(&rig, 6);
	s = rig_statistics(&rig);
	assert_int_equal(s.swap_write_errors, 0);
	assert_true(ram_resident_bytes(rig.ram) >= (BLOCKS - 4) * BLOCK_BYTES);
	rig_close(&rig);
}

/* All of the pool that @rig does not hold; and nothing can leave @rig any more. */
static void take_the_rest(struct rig *rig, struct rig *neighbour)
{
	struct ram_config config = rig_config(neighbour);

	swapper_hush(rig->ram->swapper); /* until it holds what it holds */
	atomic_store(&disk.writes_fail, true);
	config.ram_bytes = POOL_BLOCKS * BLOCK_BYTES - ram_resident_bytes(rig->ram);
	config.reserve = true;
	config.swap.dir = NULL;
	rig_open(neighbour, &config);
	swapper_resume(rig->ram->swapper);
}

static void a_read_without_a_frame_waits_and_can_be_called_off(void **state)
{
	struct rig rig, neighbour = { .frame_bytes = HUGE_FRAME_BYTES, .pool_dir = pool_dir };
	struct toucher toucher;
	uint64_t block;

	(void)state;
	if (frame_bytes != HUGE_FRAME_BYTES)
		test_skip_case("4 KiB memory has no pool that could be empty");
	open_rig(&rig, 0);
	block = swap_some(&rig, 6);
	take_the_rest(&rig, &neighbour);
	assert_int_equal(block_read_begin(rig.ram, block), 0);
	assert_true(swapper_read(rig.ram->swapper, block));
	rig_wait_for(swapper_is_starving(rig.ram->swapper));
	swapper_hush(rig.ram->swapper);
	assert_false(swapper_is_starving(rig.ram->swapper));
	assert_int_equal(state_of(&rig, block), FRAME_SWAPPED);
	swapper_resume(rig.ram->swapper);
	start_touch(&toucher, &rig, block);
	rig_wait_for(swapper_is_starving(rig.ram->swapper));
	rig_wait_for(atomic_load(&rig.told.starved) > 0);
	assert_false(atomic_load(&toucher.done));
	rig_close(&neighbour);
	end_touch(&toucher);
	rig_wait_for(!swapper_is_starving(rig.ram->swapper));
	atomic_store(&disk.writes_fail, false);
	rig_check(&rig, 6);
	rig_close(&rig);
}

/* And it ends while a read still waits. */
static void it_stops_while_a_read_waits_for_a_frame(void **state)
{
	struct rig rig, neighbour = { .frame_bytes = HUGE_FRAME_BYTES, .pool_dir = pool_dir };
	uint64_t block;

	(void)state;
	if (frame_bytes != HUGE_FRAME_BYTES)
		test_skip_case("4 KiB memory has no pool that could be empty");
	open_rig(&rig, 0);
	block = swap_some(&rig, 6);
	take_the_rest(&rig, &neighbour);
	assert_int_equal(block_read_begin(rig.ram, block), 0);
	assert_true(swapper_read(rig.ram->swapper, block));
	rig_wait_for(swapper_is_starving(rig.ram->swapper));
	rig_close(&rig);
	rig_close(&neighbour);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_that_cannot_be_read_is_waited_for_and_never_zeros),
		cmocka_unit_test(bytes_that_are_not_those_that_were_written_are_not_shown),
		cmocka_unit_test(a_lost_block_that_is_discarded_is_not_missed),
		cmocka_unit_test(what_cannot_be_written_stays_and_the_store_closes),
		cmocka_unit_test(a_torn_write_is_tried_elsewhere),
		cmocka_unit_test(a_full_swap_keeps_the_rest_in_ram),
		cmocka_unit_test(a_read_without_a_frame_waits_and_can_be_called_off),
		cmocka_unit_test(it_stops_while_a_read_waits_for_a_frame),
	};

	swapdir_need();
	frame_bytes = argc > 1 && !strcmp(argv[1], "4K") ? GUEST_PAGE_BYTES : HUGE_FRAME_BYTES;
	if (frame_bytes == HUGE_FRAME_BYTES)
		hugemount_make(POOL_BLOCKS, pool_dir);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
