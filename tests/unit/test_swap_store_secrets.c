/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_swap_store_secrets.c - what must not leave the process: guest memory in the clear on the
 * disk; the key, on the disk or in a core dump.
 *
 * A core dump is looked at without making one: it holds the mappings that /proc/self/smaps does not
 * mark "dd" (do not dump), so those are searched, for the key turned around, lest the search find
 * itself.
 */
#include "../support/sanitizers.h"
#include "swap_fixture.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if WITH_ASAN || WITH_TSAN
enum { SANITIZED = 1 }; /* their shadow is terabytes of mappings */
#else
enum { SANITIZED = 0 };
#endif

enum { NEEDLE_BYTES = 16, TURN = 0xa5 };

/* Is the turned-around @needle, turned back, in the file? */
static bool file_holds(struct swap_fixture *f, const uint8_t *needle)
{
	uint8_t plain[NEEDLE_BYTES], *piece = fixture_block();
	bool found = false;

	for (int i = 0; i < NEEDLE_BYTES; i++)
		plain[i] = needle[i] ^ TURN;
	for (uint64_t at = 0; at < f->store->size_bytes && !found; at += SWAP_BLOCK_BYTES) {
		assert_int_equal(pread(swap_store_fd(f->store), piece, SWAP_BLOCK_BYTES, (off_t)at),
				 SWAP_BLOCK_BYTES);
		found = memmem(piece, SWAP_BLOCK_BYTES, plain, sizeof(plain)) != NULL;
	}
	explicit_bzero(plain, sizeof(plain));
	(void)munmap(piece, SWAP_BLOCK_BYTES);
	return found;
}

static void turn_around(const uint8_t *from, uint8_t needle[NEEDLE_BYTES])
{
	for (int i = 0; i < NEEDLE_BYTES; i++)
		needle[i] = from[i] ^ TURN;
}

static void encrypted_guest_memory_is_not_in_the_file(void **state)
{
	struct test_random random = test_random_start();

	(void)state;
	for (int mode = 0; mode < 4; mode++) {
		struct swap_config config = fixture_config(2);
		uint8_t needle[NEEDLE_BYTES], key[NEEDLE_BYTES];
		struct swap_fixture f;

		config.encrypt = mode & 1;
		config.compress = mode & 2;
		f = fixture_open(&config);
		fill_random(&random, f.block, SWAP_BLOCK_BYTES);
		turn_around(f.block + 123456, needle);
		turn_around(f.store->key.base, key);
		assert_int_equal(swap_store_write(f.worker, 0, f.block, SWAP_BLOCK_BYTES, all_live),
				 0);
		/* That it is found in a store that does not encrypt shows that the search works. */
		assert_int_equal(file_holds(&f, needle), !config.encrypt);
		assert_false(file_holds(&f, key));
		fixture_close(&f);
	}
}

/* Guest bytes of one block must not lie in the padding of another's. */
static void padding_holds_nothing_of_other_blocks(void **state)
{
	struct test_random random = test_random_start();
	const uint64_t one_page[SWAP_LIVE_WORDS] = { 1 };
	struct swap_config config = fixture_config(1);
	uint8_t *piece = fixture_block();
	struct swap_fixture f;

	(void)state;
	config.encrypt = false;
	f = fixture_open(&config);
	fill_random(&random, f.block, SWAP_BLOCK_BYTES);
	assert_int_equal(swap_store_write(f.worker, 0, f.block, SWAP_BLOCK_BYTES, all_live), 0);
	assert_int_equal(swap_store_write(f.worker, 0, f.block, SWAP_BLOCK_BYTES, one_page), 0);
	assert_int_equal(pread(swap_store_fd(f.store), piece, 2 * GUEST_PAGE_BYTES, 0),
			 2 * GUEST_PAGE_BYTES);
	assert_memory_equal(piece, f.block, GUEST_PAGE_BYTES);
	for (uint64_t i = GUEST_PAGE_BYTES + SWAP_LIVE_WORDS * sizeof(uint64_t);
	     i < 2 * GUEST_PAGE_BYTES; i++)
		assert_int_equal(piece[i], 0);
	(void)munmap(piece, SWAP_BLOCK_BYTES);
	fixture_close(&f);
}

static uint64_t word_at(const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

static bool range_holds(const uint8_t *from, const uint8_t *end, const uint8_t *needle)
{
	uint64_t turn = UINT64_C(0x0101010101010101) * TURN;
	uint64_t first = word_at(needle), second = word_at(needle + 8);

	for (; from + NEEDLE_BYTES <= end; from++)
		if ((word_at(from) ^ turn) == first && (word_at(from + 8) ^ turn) == second)
			return true;
	return false;
}

struct mapping {
	uintptr_t from, end;
	char access[8], name[128], flags[256];
};

/* The next mapping of @smaps, with its flags. */
static bool next_mapping(FILE *smaps, struct mapping *ret)
{
	struct mapping found = { 0 };
	char line[512];

	*ret = (struct mapping){ 0 };
	while (fgets(line, sizeof(line), smaps)) {
		if (strncmp(line, "VmFlags:", 8) == 0) {
			(void)snprintf(ret->flags, sizeof(ret->flags), "%.255s", line + 8);
			return true;
		}
		/* Other lines begin like a number, too ("Anonymous:"). */
		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %127s", &found.from, &found.end,
			   found.access, found.name) >= 3)
			*ret = found;
	}
	return false;
}

/* Does a core dump of this process hold the needle? */
static bool dump_holds(const uint8_t *needle, int *ret_searched)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	struct mapping mapping;
	bool found = false;

	assert_non_null(smaps);
	*ret_searched = 0;
	while (!found && next_mapping(smaps, &mapping)) {
		if (mapping.access[0] != 'r' || strncmp(mapping.name, "[v", 2) == 0)
			continue; /* [vvar] and its like are the kernel's */
		if (strstr(mapping.flags, " dd") || strstr(mapping.flags, " io"))
			continue;
		(*ret_searched)++;
		found = range_holds((const uint8_t *)mapping.from, (const uint8_t *)mapping.end,
				    needle);
	}
	(void)fclose(smaps);
	return found;
}

static void the_key_is_in_no_core_dump_and_nor_is_guest_memory_in_transit(void **state)
{
	struct test_random random = test_random_start();
	struct swap_config config = fixture_config(2);
	uint8_t key[NEEDLE_BYTES], key_end[NEEDLE_BYTES], guest[NEEDLE_BYTES], marker[NEEDLE_BYTES];
	uint8_t *volatile heap;
	struct swap_fixture f;
	int searched;

	(void)state;
	if (SANITIZED)
		test_skip_case("sanitizers map too much to search");
	f = fixture_open(&config);
	fill_random(&random, f.block, SWAP_BLOCK_BYTES);
	turn_around(f.store->key.base, key);
	turn_around(f.store->key.base + SWAP_KEY_BYTES - NEEDLE_BYTES, key_end);
	turn_around(f.block + 4096, guest);
	assert_int_equal(swap_store_write(f.worker, 0, f.block, SWAP_BLOCK_BYTES, all_live), 0);
	assert_comes_back(&f, 0, SWAP_BLOCK_BYTES, f.block);
	memset(f.block, 0, SWAP_BLOCK_BYTES);
	memset(f.back, 0, SWAP_BLOCK_BYTES);
	assert_false(dump_holds(key, &searched));
	assert_in_range(searched, 10, 1000);
	assert_false(dump_holds(key_end, &searched));
	assert_false(dump_holds(guest, &searched));
	/* The search finds what is there. */
	heap = malloc(4096);
	assert_non_null(heap);
	memset(heap, 0x3c, 4096);
	turn_around(heap, marker);
	assert_true(dump_holds(marker, &searched));
	free(heap);
	fixture_close(&f);
}

static void assert_hidden(const void *at)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	struct mapping mapping;
	bool found = false;

	assert_non_null(smaps);
	while (!found && next_mapping(smaps, &mapping))
		found = mapping.from <= (uintptr_t)at && (uintptr_t)at < mapping.end;
	(void)fclose(smaps);
	assert_true(found);
	assert_non_null(strstr(mapping.flags, " lo")); /* locked */
	assert_non_null(strstr(mapping.flags, " dd")); /* not dumped */
	assert_non_null(strstr(mapping.flags, " dc")); /* not given to children */
}

static void keys_and_guest_memory_in_transit_are_locked_not_dumped_and_not_inherited(void **state)
{
	struct locked_area key = { 0 }, buffers = { 0 };
	struct err err = { 0 };

	(void)state;
	if (SANITIZED)
		test_skip_case("sanitizers do not let memory be locked");
	assert_int_equal(locked_map_key(SWAP_CIPHER_BYTES, &key, &err), 0);
	assert_int_equal(locked_map_buffers(3 * MIB_BYTES, &buffers, &err), 0);
	assert_int_equal((uintptr_t)buffers.base % SWAP_BLOCK_BYTES, 0);
	assert_hidden(key.base);
	assert_hidden(key.base + SWAP_CIPHER_BYTES - 1);
	assert_hidden(buffers.base);
	assert_hidden(buffers.base + 3 * MIB_BYTES - 1);
	locked_unmap(&key);
	locked_unmap(&buffers);
	locked_unmap(&buffers); /* of nothing */
}

/* A store that is closed leaves no key behind, not even where it was locked. */
static void closing_wipes_the_key(void **state)
{
	struct swap_config config = fixture_config(1);
	struct locked_area area = { 0 };
	uint8_t *volatile at;
	struct swap_fixture f;

	(void)state;
	f = fixture_open(&config);
	assert_int_not_equal(word_at(f.store->key.base), 0);
	fixture_close(&f);
	/* locked_unmap() wipes before it unmaps: seen on memory that stays. */
	at = fixture_block();
	memset(at, 0x77, GUEST_PAGE_BYTES);
	area = (struct locked_area){ at, 0, GUEST_PAGE_BYTES };
	locked_unmap(&area); /* of no length: the kernel refuses to unmap */
	assert_int_equal(at[0] | at[GUEST_PAGE_BYTES - 1], 0);
	assert_null(area.base);
	(void)munmap(at, SWAP_BLOCK_BYTES);
}

static void two_stores_have_two_keys(void **state)
{
	struct swap_config config = fixture_config(1);
	struct swap_fixture one = fixture_open(&config), two = fixture_open(&config);

	(void)state;
	assert_memory_not_equal(one.store->key.base, two.store->key.base, SWAP_KEY_BYTES);
	fixture_close(&one);
	fixture_close(&two);
}

/* In a child: a limit of @limit_bytes, and nobody's rights. Its exit status: did @err name the limit? */
static int open_worker_limited(struct swap_store *store, uint64_t limit_bytes)
{
	const struct rlimit limit = { limit_bytes, limit_bytes };
	struct swap_worker *worker = NULL;
	struct err err = { 0 };

	(void)signal(SIGSEGV, SIG_DFL); /* cmocka's handler would go on with the tests, twice */
	if (setrlimit(RLIMIT_MEMLOCK, &limit) || (geteuid() == 0 && setresuid(65534, 65534, 65534)))
		return 2;
	if (swap_worker_open(store, &worker, &err) == 0)
		return 3;
	return strstr(err.text, "ulimit -l") && err.code < 0 && !worker ? 0 : 4;
}

static void memory_that_cannot_be_locked_is_an_error_that_says_so(void **state)
{
	struct swap_config config = fixture_config(1);
	const uint64_t limits[] = { 0, MIB_BYTES };
	struct swap_fixture f;

	(void)state;
	if (SANITIZED)
		test_skip_case("sanitizers do not let memory be locked");
	f = fixture_open(&config);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		int status;
		pid_t child = fork();

		assert_return_code(child, errno);
		if (child == 0)
			_exit(open_worker_limited(f.store, limits[i]));
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	fixture_close(&f);
}

/* What a worker holds: 8 MiB, which is what most hosts let anybody lock, are enough for two. */
static void two_workers_lock_less_than_8_mib(void **state)
{
	struct swap_config config = fixture_config(1);
	struct swap_worker *second;
	struct swap_fixture f;
	char line[128];
	FILE *status;
	long locked_kib = 0;

	(void)state;
	if (SANITIZED)
		test_skip_case("sanitizers do not let memory be locked");
	f = fixture_open(&config);
	assert_int_equal(swap_worker_open(f.store, &second, NULL), 0);
	status = fopen("/proc/self/status", "re");
	assert_non_null(status);
	while (fgets(line, sizeof(line), status))
		if (sscanf(line, "VmLck: %ld", &locked_kib) == 1)
			break;
	(void)fclose(status);
	assert_in_range(locked_kib, 2 * 3584, 8191);
	swap_worker_close(second);
	fixture_close(&f);
}

/* The memory that is short is what swapping is for. */
static void writing_and_reading_allocate_nothing(void **state)
{
	struct test_random random = test_random_start();
	struct swap_config config = fixture_config(8);
	struct swap_fixture f = fixture_open(&config);
	size_t before;

	(void)state;
	for (int round = 0; round < 3; round++) {
		before = mallinfo2().uordblks;
		for (uint64_t block = 0; block < 4; block++) {
			if (block % 2)
				fill_random(&random, f.block, SWAP_BLOCK_BYTES);
			else
				fill_compressible(&random, f.block, SWAP_BLOCK_BYTES);
			assert_int_equal(swap_store_write(f.worker, block, f.block,
							  SWAP_BLOCK_BYTES, all_live),
					 0);
			assert_comes_back(&f, block, SWAP_BLOCK_BYTES, f.block);
		}
		assert_int_equal(mallinfo2().uordblks, before);
	}
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encrypted_guest_memory_is_not_in_the_file),
		cmocka_unit_test(padding_holds_nothing_of_other_blocks),
		cmocka_unit_test(the_key_is_in_no_core_dump_and_nor_is_guest_memory_in_transit),
		cmocka_unit_test(
			keys_and_guest_memory_in_transit_are_locked_not_dumped_and_not_inherited),
		cmocka_unit_test(closing_wipes_the_key),
		cmocka_unit_test(two_stores_have_two_keys),
		cmocka_unit_test(memory_that_cannot_be_locked_is_an_error_that_says_so),
		cmocka_unit_test(two_workers_lock_less_than_8_mib),
		cmocka_unit_test(writing_and_reading_allocate_nothing),
	};

	swapdir_need();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
