/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_hold.c - what the kernel reads from a disk into guest memory is found there, though everybody
 * else takes that memory away all the time: test-hold 2M | 4K.
 *
 * Direct I/O, so that the disk writes to the very pages. Two cases leave the hold out, to show that the
 * others would fail without it: a page that is pinned and then punched swallows what is read into it.
 */
#include "../support/sanitizers.h"
#include "block_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/clock.h"
#include "base/fd.h"
#include "memory/access.h"
#include "memory/hold.h"

enum {
	FILE_PAGES = 2048,
	FILE_SALT = 77,
	READERS = 2,
	BLOCKS_EACH = 2, /* readers keep to their own: two reads into one place would differ */
	MOST_PAGES = 96,
	ROUNDS = 1500,
	PATIENCE_ROUNDS = 20000,
	MOST_HOLDS = 4095
};

static int file_fd = -1; /* of words that say where they stand */

static uint64_t file_word(uint64_t index)
{
	return (index + FILE_SALT) * UINT64_C(0xd6e8feb86659fd93);
}

/* False: no file system here does direct I/O. */
static bool make_file(void)
{
	uint64_t words = pages_to_bytes(FILE_PAGES) / sizeof(uint64_t);
	uint64_t *bytes = aligned_alloc(GUEST_PAGE_BYTES, pages_to_bytes(FILE_PAGES));
	bool made;

	file_fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	if (file_fd < 0 || !bytes)
		return false;
	for (uint64_t i = 0; i < words; i++)
		bytes[i] = file_word(i);
	made = pwrite(file_fd, bytes, pages_to_bytes(FILE_PAGES), 0) ==
	       (ssize_t)pages_to_bytes(FILE_PAGES);
	free(bytes);
	return made;
}

struct piece {
	gpa_t gpa;
	uint64_t pages, file_page;
};

static bool is_found(const struct piece *piece, const volatile uint64_t *at)
{
	uint64_t first = pages_to_bytes(piece->file_page) / sizeof(uint64_t);

	for (uint64_t i = 0; i < pages_to_bytes(piece->pages) / sizeof(uint64_t); i++)
		if (at[i] != file_word(first + i))
			return false;
	return true;
}

static struct piece choose_piece(struct test_random *random, unsigned reader)
{
	uint64_t pages = 1 + test_random_below(random, MOST_PAGES);
	uint64_t first = test_random_below(random, BLOCKS_EACH * BLOCK_PAGES - pages);

	return (struct piece){
		.gpa = GPA(pages_to_bytes(reader * BLOCKS_EACH * BLOCK_PAGES + first)),
		.pages = pages,
		.file_page = test_random_below(random, FILE_PAGES - pages),
	};
}

struct scene {
	struct ram *ram;
	bool hold, discard;
	atomic_bool stop;
	_Atomic uint64_t reads, lost, evicted, sampled, discarded, refused;
	_Atomic uint64_t seed;
	atomic_uint readers;
};

static int hold_piece(struct scene *scene, const struct piece *piece, void **ret_at)
{
	uint64_t len = pages_to_bytes(piece->pages);

	return scene->hold ? ram_hold(scene->ram, piece->gpa, len, ret_at)
			   : ram_ptr(scene->ram, piece->gpa, len, ret_at);
}

static void read_piece(struct scene *scene, const struct piece *piece)
{
	uint64_t len = pages_to_bytes(piece->pages);
	void *at = NULL;
	int result = hold_piece(scene, piece, &at);

	if (result == -ENOSPC || result == -EBUSY) { /* a busy host; a device would come again */
		atomic_fetch_add(&scene->refused, 1);
		return;
	}
	assert_int_equal(result, 0);
	memset(at, 0, GUEST_PAGE_BYTES);
	assert_int_equal(pread(file_fd, at, len, (off_t)pages_to_bytes(piece->file_page)), len);
	atomic_fetch_add(&scene->reads, 1);
	if (!is_found(piece, at))
		atomic_fetch_add(&scene->lost, 1);
	if (scene->hold)
		ram_release(scene->ram, piece->gpa, len);
}

static struct test_random random_of(struct scene *scene)
{
	return (struct test_random){ .state = atomic_fetch_add(&scene->seed, 1) };
}

static void *reader_thread(void *arg)
{
	struct scene *scene = arg;
	struct test_random random = random_of(scene);
	unsigned reader = atomic_fetch_add(&scene->readers, 1);

	while (!atomic_load(&scene->stop)) {
		struct piece piece = choose_piece(&random, reader);

		read_piece(scene, &piece);
	}
	return NULL;
}

static uint64_t any_block(struct test_random *random)
{
	return test_random_below(random, READERS * BLOCKS_EACH);
}

static void *evictor_thread(void *arg)
{
	struct scene *scene = arg;
	struct test_random random = random_of(scene);

	while (!atomic_load(&scene->stop))
		scene->evicted += rig_evict(scene->ram, any_block(&random)) == 0;
	return NULL;
}

static void *sampler_thread(void *arg)
{
	struct scene *scene = arg;
	struct test_random random = random_of(scene);

	while (!atomic_load(&scene->stop)) {
		scene->sampled += block_unmap(scene->ram, any_block(&random)) == 0;
		if (scene->discard)
			scene->discarded += block_discard(scene->ram, any_block(&random), 1) == 0;
		(void)sched_yield();
	}
	return NULL;
}

/* Everybody at once, until @reads were made, or one lost something if that @is_enough. */
static void play(struct scene *scene, uint64_t reads, bool loss_is_enough)
{
	void *(*const parts[])(void *) = { reader_thread, reader_thread, evictor_thread,
					   sampler_thread };
	pthread_t threads[ARRAY_LEN(parts)];

	scene->seed = test_random_start().state;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, parts[i], scene), 0);
	while (atomic_load(&scene->reads) < reads &&
	       !(loss_is_enough && atomic_load(&scene->lost) > 0))
		(void)sched_yield();
	atomic_store(&scene->stop, true);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	print_message("%llu reads, %llu lost, %llu refused; %llu evictions, %llu samples, "
		      "%llu discards\n",
		      (unsigned long long)scene->reads, (unsigned long long)scene->lost,
		      (unsigned long long)scene->refused, (unsigned long long)scene->evicted,
		      (unsigned long long)scene->sampled, (unsigned long long)scene->discarded);
}

static void bl04_what_a_disk_reads_into_held_frames_is_found(void **state)
{
	struct scene scene = { .ram = rig_open(NULL), .hold = true, .discard = true };

	(void)state;
	play(&scene, ROUNDS, false);
	assert_int_equal(scene.lost, 0);
	assert_true(scene.evicted > 0 && scene.sampled > 0 && scene.discarded > 0);
	rig_close(scene.ram);
}

static void without_holding_the_same_reads_are_lost(void **state)
{
	struct scene scene = { .ram = NULL };

	(void)state;
#if WITH_TSAN
	test_skip_case("evictions are too slow under ThreadSanitizer to meet a read");
#endif
	scene.ram = rig_open(NULL);
	play(&scene, PATIENCE_ROUNDS, true);
	assert_true(scene.lost > 0);
	rig_close(scene.ram);
}

/* An io_uring of one entry, and one buffer that the kernel pins for as long as it lives. */
struct uring {
	int fd;
	struct io_uring_params params;
	uint8_t *rings, *entries;
};

static uint32_t *uring_word(const struct uring *uring, uint32_t offset)
{
	return (uint32_t *)(void *)(uring->rings + offset);
}

static void uring_open(struct uring *uring)
{
	*uring = (struct uring){ 0 };
	uring->fd = (int)syscall(SYS_io_uring_setup, 1, &uring->params);
	if (uring->fd < 0)
		test_skip_case("this host does not allow io_uring");
	assert_true(uring->params.features & IORING_FEAT_SINGLE_MMAP);
	uring->rings = mmap(NULL, GUEST_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, uring->fd,
			    IORING_OFF_SQ_RING);
	uring->entries = mmap(NULL, GUEST_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, uring->fd,
			      IORING_OFF_SQES);
	assert_true(uring->rings != MAP_FAILED && uring->entries != MAP_FAILED);
}

static void uring_close(struct uring *uring)
{
	(void)munmap(uring->rings, GUEST_PAGE_BYTES);
	(void)munmap(uring->entries, GUEST_PAGE_BYTES);
	(void)close(uring->fd);
}

static void uring_pin(struct uring *uring, void *at, uint64_t len)
{
	struct iovec buffer = { .iov_base = at, .iov_len = len };

	if (syscall(SYS_io_uring_register, uring->fd, IORING_REGISTER_BUFFERS, &buffer, 1) < 0)
		test_skip_case("this user may not pin that much memory");
}

/* Read the start of the file into the pinned buffer. */
static void uring_read(struct uring *uring, void *at, uint64_t len)
{
	struct io_uring_sqe *entry = (struct io_uring_sqe *)(void *)uring->entries;
	uint32_t *tail = uring_word(uring, uring->params.sq_off.tail);
	struct io_uring_cqe *done =
		(struct io_uring_cqe *)(void *)(uring->rings + uring->params.cq_off.cqes);

	*entry = (struct io_uring_sqe){ .opcode = IORING_OP_READ_FIXED,
					.fd = file_fd,
					.addr = (uint64_t)(uintptr_t)at,
					.len = (uint32_t)len };
	*uring_word(uring, uring->params.sq_off.array) = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	assert_int_equal(
		syscall(SYS_io_uring_enter, uring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0), 1);
	assert_int_equal(
		__atomic_load_n(uring_word(uring, uring->params.cq_off.tail), __ATOMIC_ACQUIRE), 1);
	assert_int_equal(done->res, len);
}

enum { PINNED_BLOCK = 1, PINNED_PAGES = 16 };

static const struct piece pinned = { .pages = PINNED_PAGES };

static void a_pinned_frame_that_is_not_held_swallows_what_is_read_into_it(void **state)
{
	struct ram *ram = rig_open(NULL);
	uint64_t len = pages_to_bytes(PINNED_PAGES);
	struct uring uring;
	void *at;

	(void)state;
	uring_open(&uring);
	rig_fill(ram, PINNED_BLOCK, 1);
	assert_int_equal(ram_ptr(ram, GPA(PINNED_BLOCK * BLOCK_BYTES), len, &at), 0);
	uring_pin(&uring, at, len);
	assert_int_equal(rig_evict(ram, PINNED_BLOCK), 0); /* nothing stops it */
	uring_read(&uring, at, len);
	assert_false(is_found(&pinned, at));
	rig_assert_filled(ram, PINNED_BLOCK, 1); /* what swap gave back */
	uring_close(&uring);
	rig_close(ram);
}

static void a_pinned_frame_that_is_held_stays_and_gets_what_is_read_into_it(void **state)
{
	struct ram *ram = rig_open(NULL);
	uint64_t len = pages_to_bytes(PINNED_PAGES);
	gpa_t gpa = GPA(PINNED_BLOCK * BLOCK_BYTES);
	struct uring uring;
	void *at;

	(void)state;
	uring_open(&uring);
	assert_int_equal(ram_hold(ram, gpa, len, &at), 0);
	uring_pin(&uring, at, len);
	assert_int_equal(rig_evict(ram, PINNED_BLOCK), -EBUSY);
	assert_int_equal(block_unmap(ram, PINNED_BLOCK), -EBUSY);
	assert_int_equal(block_discard(ram, PINNED_BLOCK, 1), -EBUSY);
	uring_read(&uring, at, len);
	assert_true(is_found(&pinned, at));
	uring_close(&uring);
	ram_release(ram, gpa, len);
	assert_int_equal(rig_evict(ram, PINNED_BLOCK), 0);
	assert_true(is_found(&pinned, at)); /* back from swap, with all of it */
	rig_close(ram);
}

static unsigned holds_of(const struct ram *ram, uint64_t block)
{
	return frame_holds_of(frames_peek(&ram->frames, block));
}

static void a_range_is_held_whole_or_not_at_all(void **state)
{
	struct ram *ram = rig_open(NULL);
	void *at;

	(void)state;
	for (unsigned i = 0; i < MOST_HOLDS; i++)
		assert_int_equal(ram_hold(ram, GPA(2 * BLOCK_BYTES), 1, &at), 0);
	assert_int_equal(ram_hold(ram, GPA(2 * BLOCK_BYTES - 1), 2, &at), -EBUSY);
	assert_int_equal(holds_of(ram, 1), 0);
	assert_int_equal(holds_of(ram, 2), MOST_HOLDS);
	assert_int_equal(ram_hold(ram, GPA(0), ram_layout(ram)->ram_bytes + 1, &at), -EFAULT);
	assert_int_equal(holds_of(ram, 0), 0);
	for (unsigned i = 0; i < MOST_HOLDS; i++)
		ram_release(ram, GPA(2 * BLOCK_BYTES), 1);
	assert_int_equal(ram_hold(ram, GPA(2 * BLOCK_BYTES - 1), 2, &at), 0);
	assert_int_equal(holds_of(ram, 1), 1);
	assert_int_equal(holds_of(ram, 2), 1);
	ram_release(ram, GPA(2 * BLOCK_BYTES - 1), 2);
	rig_close(ram);
}

static void swapped_blocks_are_brought_back_or_the_wait_is_short(void **state)
{
	struct ram *ram = rig_open(NULL);
	uint64_t started_ns, took_ns;
	void *at = NULL;

	(void)state;
	rig_fill(ram, 1, 3);
	rig_fill(ram, 2, 3);
	assert_int_equal(rig_evict(ram, 1), 0);
	assert_int_equal(rig_evict(ram, 2), 0);
	rig_read_by_hand(true); /* a disk that does not answer */
	started_ns = clock_now_ns();
	assert_int_equal(ram_hold(ram, GPA(BLOCK_BYTES), 2 * BLOCK_BYTES, &at), -ENOSPC);
	took_ns = clock_now_ns() - started_ns;
	assert_in_range(took_ns, HOLD_WAIT_MS * NS_PER_MS, PATIENCE_ROUNDS * NS_PER_MS);
	assert_int_equal(holds_of(ram, 1) + holds_of(ram, 2), 0);
	assert_true(rig_serve(ram, 1, false)); /* somebody wanted it */
	rig_read_by_hand(false);
	assert_int_equal(ram_hold(ram, GPA(BLOCK_BYTES), 2 * BLOCK_BYTES, &at), 0);
	assert_ptr_equal(at, rig_word(ram, 1, 0));
	rig_assert_filled(ram, 1, 3);
	rig_assert_filled(ram, 2, 3);
	ram_release(ram, GPA(BLOCK_BYTES), 2 * BLOCK_BYTES);
	rig_close(ram);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bl04_what_a_disk_reads_into_held_frames_is_found),
		cmocka_unit_test(without_holding_the_same_reads_are_lost),
		cmocka_unit_test(a_pinned_frame_that_is_not_held_swallows_what_is_read_into_it),
		cmocka_unit_test(a_pinned_frame_that_is_held_stays_and_gets_what_is_read_into_it),
		cmocka_unit_test(a_range_is_held_whole_or_not_at_all),
		cmocka_unit_test(swapped_blocks_are_brought_back_or_the_wait_is_short),
	};

	rig_choose_frames(argc, argv);
	if (!make_file())
		test_skip_program("/var/tmp cannot do direct I/O");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
