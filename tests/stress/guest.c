/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* guest.c - threads that are the processors: they count, fill and verify in the guest view, and know
 * to the word what they must find.
 */
#include "stress.h"

#include "base/clock.h"

enum { STEPS_IN_HOT_SET = 3000, HOT_PARTS = 6, COUNTS_AT_ONCE = 16 };

uint64_t *guest_word(uint64_t block, uint64_t page, uint64_t word)
{
	uint64_t offset = (block << BLOCK_SHIFT) + pages_to_bytes(page) + word * sizeof(uint64_t);

	return (uint64_t *)(void *)((uint8_t *)ram_guest_view(world.ram, 0) + offset);
}

static uint64_t mix(uint64_t value)
{
	struct test_random random = { .state = value };

	return test_random_next(&random);
}

/* Words 1 .. 510 of a page; word 0 has the generation and the last one the check sum. HEAVY blocks do
 * not compress; the others do, and are still unlike any other page. */
static uint64_t body_word(uint64_t block, uint64_t page, uint32_t generation, uint64_t i)
{
	uint64_t key = (block << 44) ^ (page << 34) ^ generation;

	return mix(block_class_of(block) == HEAVY ? key * WORDS_PER_PAGE + i : key);
}

static void make_page(uint64_t block, uint64_t page, uint32_t generation,
		      uint64_t ret_words[WORDS_PER_PAGE])
{
	uint64_t sum;

	memset(ret_words, 0, GUEST_PAGE_BYTES);
	if (!generation)
		return;
	sum = ret_words[0] = (uint64_t)generation << 32 | (uint32_t)page;
	for (uint64_t i = 1; i < WORDS_PER_PAGE - 1; i++)
		sum ^= ret_words[i] = body_word(block, page, generation, i);
	ret_words[WORDS_PER_PAGE - 1] = sum;
}

void page_fill(uint64_t block, uint64_t page, uint32_t generation)
{
	uint64_t words[WORDS_PER_PAGE];
	uint64_t *to = guest_word(block, page, 0);

	make_page(block, page, generation, words);
	for (unsigned i = 0; i < WORDS_PER_PAGE; i++)
		__atomic_store_n(&to[i], words[i], __ATOMIC_RELAXED);
}

bool page_is(uint64_t block, uint64_t page, uint32_t generation, uint64_t *ret_word)
{
	uint64_t words[WORDS_PER_PAGE];
	const uint64_t *from = guest_word(block, page, 0);

	make_page(block, page, generation, words);
	for (unsigned i = 0; i < WORDS_PER_PAGE; i++)
		if (__atomic_load_n(&from[i], __ATOMIC_RELAXED) != words[i]) {
			*ret_word = i;
			return false;
		}
	return true;
}

static void assert_page(unsigned vcpu, uint64_t block, uint64_t page, uint32_t generation)
{
	uint64_t word = 0;

	if (!page_is(block, page, generation, &word))
		stress_fail("processor %u: block %u page %u generation %u: word %u is %llx", vcpu,
			    (unsigned)block, (unsigned)page, generation, (unsigned)word,
			    (unsigned long long)*guest_word(block, page, word));
}

static uint64_t slot_page(uint64_t block, unsigned vcpu, unsigned slot)
{
	static const unsigned first[SLOTS] = { 0, 8, 376 };

	if (block_is_short(block))
		return vcpu % bytes_to_pages(block_bytes(world.ram, block));
	return first[slot] + vcpu;
}

static unsigned slots_of(uint64_t block)
{
	return block_is_short(block) ? 1 : SLOTS;
}

/* Is @found what this processor left there, or the zero of a discard it could not know of? */
static void judge(unsigned vcpu, uint64_t block, unsigned slot, uint64_t found)
{
	const struct knowledge *known = &world.known[vcpu][block];
	bool may_be_gone =
		block_class_of(block) == WILD &&
		atomic_load(&world.records[block].discards_begun) > known->ended_before[slot];

	if (found != known->counted[slot] && !(may_be_gone && found == 0))
		stress_fail("processor %u: block %u slot %u has %llu, not %llu", vcpu,
			    (unsigned)block, slot, (unsigned long long)found,
			    (unsigned long long)known->counted[slot]);
}

static void count_once(unsigned vcpu, uint64_t block, unsigned slot)
{
	struct knowledge *known = &world.known[vcpu][block];
	uint64_t ended = atomic_load(&world.records[block].discards_ended);
	uint64_t found = __atomic_fetch_add(guest_word(block, slot_page(block, vcpu, slot), vcpu),
					    1, __ATOMIC_SEQ_CST);

	judge(vcpu, block, slot, found);
	known->counted[slot] = found + 1;
	known->ended_before[slot] = ended;
}

static void count(unsigned vcpu, uint64_t block, struct test_random *random)
{
	uint64_t times = 1 + test_random_below(random, COUNTS_AT_ONCE);
	unsigned slot = (unsigned)test_random_below(random, slots_of(block));

	for (uint64_t i = 0; i < times; i++)
		count_once(vcpu, block, slot);
	if (block_class_of(block) != WILD) {
		(void)__atomic_fetch_add(guest_word(block, 0, SHARED_WORD), 1, __ATOMIC_SEQ_CST);
		world.known[vcpu][block].shared_added++;
	}
	stress_add(&world.numbers.counts, times);
}

static unsigned fill_pages_of(uint64_t block)
{
	enum block_class class = block_class_of(block);

	return class == HEAVY || class == COMPRESSIBLE ? FILL_PAGES : class == ZEROS ? 4 : 2;
}

static uint64_t fill_page_at(unsigned vcpu, unsigned index)
{
	return FIRST_FILL_PAGE + vcpu * FILL_PAGES + index;
}

static void fill_one(unsigned vcpu, uint64_t block, unsigned index, uint32_t generation)
{
	page_fill(block, fill_page_at(vcpu, index), generation);
	world.known[vcpu][block].generation[index] = generation;
	stress_add(&world.numbers.fills, 1);
}

static void fill(unsigned vcpu, uint64_t block, struct test_random *random)
{
	unsigned index = (unsigned)test_random_below(random, fill_pages_of(block));
	uint32_t generation = (uint32_t)test_random_next(random) | 1;

	if (block_class_of(block) == ZEROS && test_random_below(random, 4) > 0)
		generation = 0;
	fill_one(vcpu, block, index, generation);
	if (test_random_below(random, 16) == 0)
		for (unsigned i = 0; i < fill_pages_of(block); i++)
			fill_one(vcpu, block, i,
				 generation ? (uint32_t)test_random_next(random) | 1 : 0);
}

static void verify_one(unsigned vcpu, uint64_t block, unsigned index)
{
	assert_page(vcpu, block, fill_page_at(vcpu, index),
		    world.known[vcpu][block].generation[index]);
	stress_add(&world.numbers.verifies, 1);
}

static void verify(unsigned vcpu, uint64_t block, struct test_random *random)
{
	verify_one(vcpu, block, (unsigned)test_random_below(random, fill_pages_of(block)));
	if (test_random_below(random, 16) == 0)
		for (unsigned i = 0; i < fill_pages_of(block); i++)
			verify_one(vcpu, block, i);
}

static void work_on(unsigned vcpu, uint64_t block, struct test_random *random)
{
	bool counts_only = block_class_of(block) == WILD || block_is_short(block);
	uint64_t dice = test_random_below(random, 8);

	if (block_class_of(block) != ZEROS && (counts_only || dice < 4))
		count(vcpu, block, random);
	else if (dice < 5)
		fill(vcpu, block, random);
	else
		verify(vcpu, block, random);
}

/* Mostly in a part of memory that moves on, sometimes anywhere. */
static uint64_t next_block(struct test_random *random, uint64_t steps)
{
	uint64_t size = world.block_count / HOT_PARTS;
	uint64_t start = steps / STEPS_IN_HOT_SET * size;

	if (test_random_below(random, 3) == 0)
		return test_random_below(random, world.block_count);
	return (start + test_random_below(random, size)) % world.block_count;
}

void *guest_thread(void *vcpu_number)
{
	unsigned vcpu = (unsigned)(uintptr_t)vcpu_number;
	struct test_random random = stress_random();

	for (uint64_t steps = 0; !atomic_load(&world.stop_guests); steps++) {
		uint64_t block = next_block(&random, steps);

		if (block_class_of(block) == DMA ||
		    pthread_rwlock_tryrdlock(&world.records[block].lock))
			continue;
		work_on(vcpu, block, &random);
		(void)pthread_rwlock_unlock(&world.records[block].lock);
		stress_add(&world.progress[vcpu], 1);
	}
	guest_audit(vcpu);
	return NULL;
}

void guest_audit(unsigned vcpu)
{
	for (uint64_t block = 0; block < world.block_count; block++) {
		enum block_class class = block_class_of(block);

		stress_add(&world.progress[vcpu], 1);
		if (class == DMA)
			continue;
		(void)pthread_rwlock_rdlock(&world.records[block].lock);
		for (unsigned slot = 0; slot < slots_of(block) && class != ZEROS; slot++)
			judge(vcpu, block, slot,
			      *guest_word(block, slot_page(block, vcpu, slot), vcpu));
		for (unsigned i = 0; i < fill_pages_of(block); i++)
			if (class != WILD && !block_is_short(block))
				verify_one(vcpu, block, i);
		(void)pthread_rwlock_unlock(&world.records[block].lock);
	}
}

void guest_audit_shared(void)
{
	for (uint64_t block = 0; block < world.block_count; block++) {
		enum block_class class = block_class_of(block);
		uint64_t sum = 0;

		if (class == DMA || class == WILD || class == ZEROS)
			continue;
		for (unsigned vcpu = 0; vcpu < MOST_VCPUS; vcpu++)
			sum += world.known[vcpu][block].shared_added;
		if (*guest_word(block, 0, SHARED_WORD) != sum)
			stress_fail("block %u: everybody's counter is %llu, not %llu",
				    (unsigned)block,
				    (unsigned long long)*guest_word(block, 0, SHARED_WORD),
				    (unsigned long long)sum);
	}
}
