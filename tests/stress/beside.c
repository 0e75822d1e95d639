/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* beside.c - what happens to guest memory beside the processors: the balloon, discards, devices,
 * direct I/O; and the neighbour who wants the same pool.
 */
#include "stress.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/uio.h>
#include <unistd.h>

#include "memory/access.h"
#include "memory/discard.h"
#include "memory/hold.h"

enum {
	DEVICE_VCPU = MOST_VCPUS - 1, /* whose words the device counts in */
	FILE_PAGES = 1024,
	DMA_MOST_PAGES = 64,
	HELD_US = 1000
};

static uint64_t frames_per_block(void)
{
	return BLOCK_BYTES / world.options.frame_bytes;
}

static uint64_t frames_of(uint64_t block)
{
	return block_bytes(world.ram, block) / world.options.frame_bytes;
}

/* ----- the balloon: whole blocks ----- */

static void forget_all(uint64_t block)
{
	for (unsigned vcpu = 0; vcpu < MOST_VCPUS; vcpu++)
		memset(&world.known[vcpu][block], 0, sizeof(struct knowledge));
	world.records[block].balloon_generation = 0;
}

/* The guest gave it up; what was in it reads as zeros now. */
static void discard_block(uint64_t block)
{
	if (pthread_rwlock_trywrlock(&world.records[block].lock))
		return;
	if (ram_discard(world.ram, block * frames_per_block(), frames_of(block)) == 0) {
		forget_all(block);
		stress_add(&world.numbers.discards, 1);
	} else {
		stress_add(&world.numbers.discards_busy, 1);
	}
	(void)pthread_rwlock_unlock(&world.records[block].lock);
}

/* ----- the balloon: pages, and what swap may do with them ----- */

bool dead_pages(void *ctx, uint64_t first_page, uint64_t *ret_dead)
{
	const struct block_record *record = &world.records[first_page / BLOCK_PAGES];
	uint64_t any = 0;

	(void)ctx;
	for (unsigned i = 0; i < BLOCK_PAGE_WORDS; i++)
		any |= ret_dead[i] = atomic_load(&record->dead[i]);
	return any != 0;
}

static void declare(uint64_t block, uint64_t page, bool dead)
{
	uint64_t bit = UINT64_C(1) << (page % BITMAP_WORD_BITS);
	_Atomic uint64_t *word = &world.records[block].dead[page / BITMAP_WORD_BITS];

	if (dead)
		atomic_fetch_or(word, bit);
	else
		atomic_fetch_and(word, ~bit);
}

/* A page that was in the balloon is what it was, or zeros; nothing between, nothing else. */
static void take_back(uint64_t block, uint64_t page, uint32_t generation)
{
	uint64_t word = 0;

	declare(block, page, false);
	if (page_is(block, page, generation, &word))
		return;
	if (!page_is(block, page, 0, &word))
		stress_fail("block %u page %u came out of the balloon with word %u %llx",
			    (unsigned)block, (unsigned)page, (unsigned)word,
			    (unsigned long long)*guest_word(block, page, word));
	stress_add(&world.numbers.dead_zeros, 1);
	page_fill(block, page, generation);
}

static void inflate(uint64_t block, uint64_t page)
{
	declare(block, page, true);
	stress_add(&world.numbers.dead_pages, 1);
	if (frames_per_block() == BLOCK_PAGES && /* 4 KiB memory gives them back one by one */
	    ram_discard(world.ram, block * BLOCK_PAGES + page, 1) == 0)
		stress_add(&world.numbers.page_discards, 1);
}

static bool is_dead(uint64_t block, uint64_t page)
{
	return atomic_load(&world.records[block].dead[page / BITMAP_WORD_BITS]) >>
		       (page % BITMAP_WORD_BITS) &
	       1;
}

/* Some of the balloon's pages of this block change sides; the others are checked. */
static void balloon_pages(struct test_random *random, uint64_t block)
{
	struct block_record *record = &world.records[block];
	uint64_t first = test_random_below(random, BALLOON_PAGES - 8), word = 0;

	if (!record->balloon_generation) { /* new, or discarded as a whole */
		record->balloon_generation = (uint32_t)test_random_next(random) | 1;
		for (unsigned i = 0; i < BALLOON_PAGES; i++) {
			declare(block, FIRST_BALLOON_PAGE + i, false);
			page_fill(block, FIRST_BALLOON_PAGE + i, record->balloon_generation);
		}
	}
	for (uint64_t page = FIRST_BALLOON_PAGE + first; page < FIRST_BALLOON_PAGE + first + 8;
	     page++) {
		if (is_dead(block, page))
			take_back(block, page, record->balloon_generation);
		else if (!page_is(block, page, record->balloon_generation, &word))
			stress_fail("block %u page %u was not in the balloon, and has word %u %llx",
				    (unsigned)block, (unsigned)page, (unsigned)word,
				    (unsigned long long)*guest_word(block, page, word));
		else
			inflate(block, page);
	}
}

static bool has_balloon_pages(uint64_t block)
{
	enum block_class class = block_class_of(block);

	return (class == LIGHT || class == COMPRESSIBLE) && block % 3 == 0 &&
	       !block_is_short(block);
}

void *balloon_thread(void *unused)
{
	struct test_random random = stress_random();

	(void)unused;
	while (!atomic_load(&world.stop_others)) {
		uint64_t block = test_random_below(&random, world.block_count);
		enum block_class class = block_class_of(block);

		if (class != WILD && class != DMA && test_random_below(&random, 8) == 0)
			discard_block(block);
		else if (has_balloon_pages(block))
			balloon_pages(&random, block);
		stress_pause_us(&random, 1000);
	}
	return NULL;
}

void *wild_thread(void *unused)
{
	struct test_random random = stress_random();

	(void)unused;
	while (!atomic_load(&world.stop_others)) {
		uint64_t block = test_random_below(&random, world.block_count);
		struct block_record *record = &world.records[block];
		int result;

		if (block_class_of(block) != WILD)
			continue;
		stress_add(&record->discards_begun, 1);
		result = ram_discard(world.ram, block * frames_per_block(), frames_of(block));
		stress_add(&record->discards_ended, 1);
		if (result != 0 && result != -EBUSY)
			stress_fail("discarding block %u: %s", (unsigned)block, strerror(-result));
		stress_add(&world.numbers.wild_discards, result == 0);
		stress_pause_us(&random, 2000);
	}
	return NULL;
}

/* ----- the neighbour ----- */

void *neighbour_thread(void *unused)
{
	struct test_random random = stress_random();
	uint64_t frames = ram_frame_count(world.neighbour), held = 0;

	(void)unused;
	while (!atomic_load(&world.stop_others)) {
		uint64_t wanted = test_random_below(&random, frames + 1);

		while (held < wanted &&
		       ram_back(world.neighbour, GPA(held << BLOCK_SHIFT), BLOCK_BYTES) == 0) {
			stress_add(&world.numbers.neighbour_frames, 1);
			held++;
		}
		if (held > wanted && ram_discard(world.neighbour, wanted, held - wanted) == 0)
			held = wanted;
		stress_pause_us(&random, 20000);
	}
	(void)ram_discard(world.neighbour, 0, frames);
	return NULL;
}

/* ----- devices ----- */

/* A word of ours in every block that guests count in, read and written as devices do it. */
static void access_as_device(struct test_random *random, uint64_t block)
{
	struct knowledge *known = &world.known[DEVICE_VCPU][block];
	gpa_t gpa = GPA((block << BLOCK_SHIFT) + pages_to_bytes(DEVICE_VCPU) +
			sizeof(uint64_t) * DEVICE_VCPU);
	uint64_t word;

	for (uint64_t i = test_random_below(random, 4) + 1; i > 0; i--) {
		if (ram_read(world.ram, gpa, &word, sizeof(word)))
			return; /* not now: a device tries again later */
		if (word != known->counted[0])
			stress_fail("device: block %u has %llu, not %llu", (unsigned)block,
				    (unsigned long long)word,
				    (unsigned long long)known->counted[0]);
		word++;
		if (ram_write(world.ram, gpa, &word, sizeof(word)))
			return;
		known->counted[0] = word;
		stress_add(&world.numbers.device_accesses, 2);
	}
}

void *device_thread(void *unused)
{
	struct test_random random = stress_random();

	(void)unused;
	while (!atomic_load(&world.stop_others)) {
		uint64_t block = test_random_below(&random, world.block_count);
		enum block_class class = block_class_of(block);

		if (class != WILD && class != DMA && class != ZEROS && !block_is_short(block) &&
		    pthread_rwlock_tryrdlock(&world.records[block].lock) == 0) {
			access_as_device(&random, block);
			(void)pthread_rwlock_unlock(&world.records[block].lock);
		}
		stress_pause_us(&random, 500);
	}
	return NULL;
}

/* ----- direct I/O on held memory ----- */

struct dma {
	int fd;
	uint64_t *content; /* FILE_PAGES of it, as in the file */
	uint64_t *bounce;
	unsigned page_of[MOST_BLOCKS][BLOCK_PAGES]; /* file page + 1; 0: zeros */
};

static void open_file(struct dma *dma, struct test_random *random)
{
	size_t len = FILE_PAGES * GUEST_PAGE_BYTES;

	dma->fd = open(world.options.dir, O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	dma->content = aligned_alloc(GUEST_PAGE_BYTES, len);
	dma->bounce = aligned_alloc(GUEST_PAGE_BYTES, len);
	if (dma->fd < 0 || !dma->content || !dma->bounce)
		stress_fail("direct I/O: no file in %s: %m", world.options.dir);
	for (size_t i = 0; i < len / sizeof(uint64_t); i++)
		dma->content[i] = test_random_next(random);
	if (pwrite(dma->fd, dma->content, len, 0) != (ssize_t)len)
		stress_fail("direct I/O: %m");
}

static void assert_dma_page(const struct dma *dma, uint64_t block, uint64_t page)
{
	const uint64_t *words = guest_word(block, page, 0);
	unsigned from = dma->page_of[block][page];

	for (unsigned i = 0; i < WORDS_PER_PAGE; i++) {
		uint64_t wanted = from ? dma->content[(from - 1) * WORDS_PER_PAGE + i] : 0;

		if (__atomic_load_n(&words[i], __ATOMIC_RELAXED) != wanted)
			stress_fail("direct I/O into block %u page %u is lost at word %u",
				    (unsigned)block, (unsigned)page, i);
	}
}

static void dma_once(struct dma *dma, struct test_random *random, uint64_t block)
{
	uint64_t pages = 1 + test_random_below(random, DMA_MOST_PAGES);
	uint64_t page = test_random_below(random, BLOCK_PAGES - pages);
	uint64_t from = test_random_below(random, FILE_PAGES - pages);
	uint64_t len = pages_to_bytes(pages);
	gpa_t gpa = GPA((block << BLOCK_SHIFT) + pages_to_bytes(page));
	void *pointer;

	if (ram_hold(world.ram, gpa, len, &pointer))
		return;
	if (pread(dma->fd, pointer, len, (off_t)pages_to_bytes(from)) != (ssize_t)len)
		stress_fail("direct I/O: reading into held memory: %m");
	for (uint64_t i = 0; i < pages; i++)
		dma->page_of[block][page + i] = (unsigned)(from + i + 1);
	stress_add(&world.numbers.dma_reads, 1);
	stress_pause_us(random, HELD_US);
	if (memcmp((uint8_t *)block_data(world.ram, block) + pages_to_bytes(page),
		   dma->content + from * WORDS_PER_PAGE, len) != 0)
		stress_fail("block %u went away while it was held", (unsigned)block);
	if (test_random_below(random, 2)) { /* and out again: the same bytes to the same place */
		if (pwrite(dma->fd, pointer, len, (off_t)pages_to_bytes(from)) != (ssize_t)len)
			stress_fail("direct I/O: writing from held memory: %m");
		stress_add(&world.numbers.dma_writes, 1);
	}
	ram_release(world.ram, gpa, len);
	assert_dma_page(dma, block, page + test_random_below(random, pages));
	assert_dma_page(dma, block, test_random_below(random, BLOCK_PAGES));
}

static void end_dma(struct dma *dma)
{
	size_t len = FILE_PAGES * GUEST_PAGE_BYTES;

	for (uint64_t block = 0; block < world.block_count; block++)
		for (uint64_t page = 0; page < BLOCK_PAGES; page++)
			if (dma->page_of[block][page])
				assert_dma_page(dma, block, page);
	if (pread(dma->fd, dma->bounce, len, 0) != (ssize_t)len ||
	    memcmp(dma->bounce, dma->content, len) != 0)
		stress_fail("direct I/O: what was written from held memory is not what was there");
	(void)close(dma->fd);
	free(dma->content);
	free(dma->bounce);
	free(dma);
}

void *dma_thread(void *unused)
{
	struct test_random random = stress_random();
	struct dma *dma = calloc(1, sizeof(*dma));

	(void)unused;
	open_file(dma, &random);
	while (!atomic_load(&world.stop_others)) {
		uint64_t block = test_random_below(&random, world.block_count);

		if (block_class_of(block) != DMA || block_is_short(block))
			continue;
		dma_once(dma, &random, block);
		stress_pause_us(&random, 1000);
	}
	end_dma(dma);
	return NULL;
}
