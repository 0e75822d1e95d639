/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_swap_parts.c - the parts of the swap store that need no disk: who has which pages against a
 * plain array, payloads against what they must come back as, the cipher against what it must refuse.
 */
#include "swap_fixture.h"

#include <errno.h>

#include "memory/swap_pack.h"

enum { GROUPS = 5, PAGES = GROUPS * SWAP_GROUP_PAGES, PLACES = 400, ROUNDS = 20000 };

/* 0: free; otherwise 1 + the block it belongs to. */
static uint16_t owner_of[PAGES];
static struct swap_place places[PLACES]; /* per block */
static uint64_t refused_in_pieces;
static uint16_t retired_owner;

static void own(const struct swap_place *place, uint16_t was, uint16_t now)
{
	for (int i = 0; i < SWAP_MAX_PIECES && place->len_pages[i] > 0; i++) {
		uint32_t last = place->first_page[i] + place->len_pages[i] - 1;

		assert_in_range(last, 0, PAGES - 1);
		assert_int_equal(place->first_page[i] / SWAP_GROUP_PAGES, last / SWAP_GROUP_PAGES);
		for (uint32_t page = place->first_page[i]; page <= last; page++) {
			assert_int_equal(owner_of[page], was);
			owner_of[page] = now;
		}
	}
}

/* The longest runs of free pages, none across a group, longest first. */
static uint32_t sum_of_longest(int count)
{
	uint32_t runs[PAGES / 2 + 1] = { 0 }, found = 0, sum = 0;

	for (uint32_t page = 0; page < PAGES; page++) {
		if (owner_of[page])
			continue;
		if (page % SWAP_GROUP_PAGES == 0 || owner_of[page - 1])
			found++;
		runs[found - 1]++;
	}
	for (int i = 0; i < count; i++) {
		uint32_t best = 0;

		for (uint32_t run = 1; run < found; run++)
			if (runs[run] > runs[best])
				best = run;
		sum += runs[best];
		runs[best] = 0;
	}
	return sum;
}

static uint32_t random_pages(struct test_random *random)
{
	uint32_t most = test_random_below(random, 3) ? 24 : SWAP_GROUP_PAGES;

	return 1 + (uint32_t)test_random_below(random, most);
}

static void take_one(struct swap_extents *extents, struct test_random *random, uint16_t block)
{
	uint32_t pages = random_pages(random), longest = sum_of_longest(1);

	if (swap_extents_take(extents, block, pages)) {
		refused_in_pieces += sum_of_longest(SWAP_MAX_PIECES) >= pages;
		assert_true(longest < pages);
		return;
	}
	places[block] = swap_extents_place(extents, block);
	assert_int_equal(swap_place_pages(&places[block]), pages);
	if (longest >= pages)
		assert_int_equal(places[block].len_pages[0], pages);
	own(&places[block], 0, (uint16_t)(block + 1));
}

static void give_one(struct swap_extents *extents, struct test_random *random, uint16_t block)
{
	struct swap_place now = swap_extents_place(extents, block);
	bool retire = extents->retired_pages < 40 && test_random_below(random, 100) == 0;
	unsigned bad = 0;

	assert_memory_equal(&now, &places[block], sizeof(now));
	own(&now, (uint16_t)(block + 1), 0);
	places[block] = (struct swap_place){ 0 };
	if (!retire) {
		swap_extents_give(extents, block);
		return;
	}
	while (bad + 1 < SWAP_MAX_PIECES && now.len_pages[bad + 1])
		bad++;
	swap_extents_retire(extents, block, bad);
	own(&(struct swap_place){ { now.first_page[bad] }, { now.len_pages[bad] } }, 0,
	    retired_owner);
}

static void pages_agree_with_a_plain_array_after_any_changes(void **state)
{
	struct test_random random = test_random_start();
	struct swap_extents extents;
	uint64_t used, retired, owned = 0, lost = 0;

	(void)state;
	retired_owner = PLACES + 1;
	assert_int_equal(swap_extents_init(&extents, GROUPS, PLACES), 0);
	for (int i = 0; i < ROUNDS; i++) {
		uint16_t at = (uint16_t)test_random_below(&random, PLACES);

		if (places[at].len_pages[0])
			give_one(&extents, &random, at);
		else
			take_one(&extents, &random, at);
	}
	for (int page = 0; page < PAGES; page++) {
		owned += owner_of[page] && owner_of[page] != retired_owner;
		lost += owner_of[page] == retired_owner;
	}
	swap_extents_count(&extents, &used, &retired);
	assert_int_equal(used, owned);
	assert_int_equal(retired, lost);
	assert_true(retired > 0);
	/* There were spare pieces whenever there was room. */
	assert_int_equal(refused_in_pieces, 0);
	swap_extents_fini(&extents);
	swap_extents_fini(&extents); /* of a zeroed one: nothing */
}

static void a_whole_block_fits_where_holes_are_few(void **state)
{
	struct swap_extents extents;
	struct swap_place whole;

	(void)state;
	assert_int_equal(swap_extents_init(&extents, 2, 10), 0);
	for (uint64_t block = 0; block < 8; block++)
		assert_int_equal(swap_extents_take(&extents, block, 128), 0);
	for (uint64_t block = 0; block < 8; block += 2)
		swap_extents_give(&extents, block);
	assert_int_equal(swap_extents_take(&extents, 8, 512), 0);
	whole = swap_extents_place(&extents, 8);
	assert_int_equal(whole.len_pages[3], 128);
	assert_int_equal(swap_extents_take(&extents, 9, 1), -ENOSPC);
	swap_extents_fini(&extents);
}

/* So that whole groups stay free for whole blocks. */
static void a_small_thing_goes_into_the_smallest_hole_of_the_first_group(void **state)
{
	const uint32_t pages[] = { 30, 1, 10, 1, 25, 445 }; /* block by block, the first group */
	struct swap_extents extents;

	(void)state;
	assert_int_equal(swap_extents_init(&extents, 3, 9), 0);
	for (uint64_t block = 0; block < ARRAY_LEN(pages); block++)
		assert_int_equal(swap_extents_take(&extents, block, pages[block]), 0);
	for (uint64_t block = 0; block <= 4; block += 2)
		swap_extents_give(&extents, block);
	/* Holes of 30, 10 and 25 pages, and two groups. */
	assert_int_equal(swap_extents_take(&extents, 6, 9), 0);
	assert_int_equal(swap_extents_place(&extents, 6).first_page[0], 31);
	assert_int_equal(swap_extents_take(&extents, 7, 9), 0);
	assert_int_equal(swap_extents_place(&extents, 7).first_page[0], 42);
	assert_int_equal(swap_extents_take(&extents, 8, 31), 0);
	assert_int_equal(swap_extents_place(&extents, 8).first_page[0], SWAP_GROUP_PAGES);
	swap_extents_fini(&extents);
}

/* The most groups and blocks there can be, where numbers are as large as they get. Only what is
 * touched takes memory. */
static void the_largest_file_is_used_to_its_last_page(void **state)
{
	const uint64_t groups = SWAP_MAX_FILE_BYTES / HUGE_FRAME_BYTES, last = SWAP_MAX_BLOCKS - 1;
	struct swap_extents extents;
	struct swap_place place;

	(void)state;
	assert_int_equal(swap_extents_init(&extents, groups, SWAP_MAX_BLOCKS), 0);
	assert_in_range(extents.level_count, 1, SWAP_LEVELS);
	/* All but the last group is full, says every level. */
	for (unsigned level = 0; level < extents.level_count; level++)
		for (uint64_t i = 0; i < (groups - 1) >> (6 * level); i++)
			extents.lacks[level][i] = SWAP_GROUP_PAGES;
	assert_int_equal(swap_extents_take(&extents, last, 511), 0);
	place = swap_extents_place(&extents, last);
	assert_int_equal(place.first_page[0], (groups - 1) * SWAP_GROUP_PAGES);
	assert_int_equal(swap_extents_take(&extents, last - 1, 1), 0);
	place = swap_extents_place(&extents, last - 1);
	assert_int_equal(place.first_page[0], UINT32_MAX);
	assert_int_equal(swap_extents_take(&extents, 0, 1), -ENOSPC);
	swap_extents_give(&extents, last - 1);
	swap_extents_give(&extents, last);
	assert_int_equal(swap_extents_take(&extents, 0, 512), 0);
	swap_extents_fini(&extents);
}

static void retired_pieces_stay_out_of_use(void **state)
{
	struct swap_extents extents;
	uint64_t used, retired;

	(void)state;
	assert_int_equal(swap_extents_init(&extents, 1, 2), 0);
	for (int i = 0; i < SWAP_RETIRED_ROOM; i++) {
		assert_int_equal(swap_extents_take(&extents, 0, 2), 0);
		swap_extents_retire(&extents, 0, 0);
	}
	swap_extents_count(&extents, &used, &retired);
	assert_int_equal(used, 0);
	assert_int_equal(retired, 2 * SWAP_RETIRED_ROOM);
	assert_int_equal(swap_extents_take(&extents, 0, SWAP_GROUP_PAGES - (uint32_t)retired + 1),
			 -ENOSPC);
	assert_int_equal(swap_extents_take(&extents, 0, SWAP_GROUP_PAGES - (uint32_t)retired), 0);
	swap_extents_fini(&extents);
}

static void a_payload_with_a_wrong_map_is_refused(void **state)
{
	uint64_t map[SWAP_LIVE_WORDS] = { 7 };
	uint8_t *payload = fixture_block(), *data = fixture_block();
	size_t len = 3 * GUEST_PAGE_BYTES + sizeof(map);

	(void)state;
	memcpy(payload + 3 * GUEST_PAGE_BYTES, map, sizeof(map));
	assert_int_equal(swap_pack_scatter(payload, len, data, 3), 0);
	assert_int_equal(swap_pack_scatter(payload, len, data, 2), -EBADMSG);
	assert_int_equal(swap_pack_scatter(payload, len - GUEST_PAGE_BYTES, data, 3), -EBADMSG);
	assert_int_equal(swap_pack_scatter(payload, sizeof(map) - 1, data, 3), -EBADMSG);
	(void)munmap(payload, SWAP_BLOCK_BYTES);
	(void)munmap(data, SWAP_BLOCK_BYTES);
}

static void packed_bytes_that_lie_are_refused(void **state)
{
	struct test_random random = test_random_start();
	uint8_t *plain = fixture_block(), *packed = fixture_block(), *back = fixture_block();
	void *lz4_state = fixture_block();
	uint32_t too_long = SWAP_PACKED_BYTES;
	size_t len;

	(void)state;
	fill_compressible(&random, plain, SWAP_BLOCK_BYTES);
	len = swap_pack_compress(plain, SWAP_BLOCK_BYTES, packed, lz4_state);
	assert_in_range(len, 1, SWAP_PACKED_BYTES);
	assert_int_equal(swap_pack_expand(packed, len, back, SWAP_BLOCK_BYTES), SWAP_BLOCK_BYTES);
	assert_memory_equal(back, plain, SWAP_BLOCK_BYTES);
	assert_int_equal(swap_pack_expand(packed, len, back, SWAP_BLOCK_BYTES / 2), -EBADMSG);
	assert_int_equal(swap_pack_expand(packed, len - 1, back, SWAP_BLOCK_BYTES), -EBADMSG);
	memcpy(packed, &too_long, sizeof(too_long));
	assert_int_equal(swap_pack_expand(packed, len, back, SWAP_BLOCK_BYTES), -EBADMSG);
	for (uint8_t **at = (uint8_t *[]){ plain, packed, back, lz4_state, NULL }; *at; at++)
		(void)munmap(*at, SWAP_BLOCK_BYTES);
}

static void what_hardly_shrinks_is_left_alone(void **state)
{
	struct test_random random = test_random_start();
	uint8_t *plain = fixture_block(), *packed = fixture_block(), *lz4_state = fixture_block();

	(void)state;
	fill_random(&random, plain, SWAP_BLOCK_BYTES);
	assert_int_equal(swap_pack_compress(plain, SWAP_BLOCK_BYTES, packed, lz4_state), 0);
	/* A fifth of each page: the sample likes it, the whole does not save a quarter. */
	for (uint64_t page = 0; page < SWAP_BLOCK_PAGES; page++)
		memset(plain + pages_to_bytes(page), 0, GUEST_PAGE_BYTES / 5);
	assert_int_equal(swap_pack_compress(plain, SWAP_BLOCK_BYTES, packed, lz4_state), 0);
	/* What eight pages say is believed; the rest is not looked at. */
	memset(plain, 0, SWAP_BLOCK_BYTES);
	for (uint64_t page = 0; page < SWAP_BLOCK_PAGES; page += SWAP_BLOCK_PAGES / 8)
		fill_random(&random, plain + pages_to_bytes(page), GUEST_PAGE_BYTES);
	assert_int_equal(swap_pack_compress(plain, SWAP_BLOCK_BYTES, packed, lz4_state), 0);
	/* One page stays one page. */
	assert_int_equal(swap_pack_compress(plain, GUEST_PAGE_BYTES, packed, lz4_state), 0);
	(void)munmap(plain, SWAP_BLOCK_BYTES);
	(void)munmap(packed, SWAP_BLOCK_BYTES);
	(void)munmap(lz4_state, SWAP_BLOCK_BYTES);
}

struct cipher_rig {
	struct locked_area memory;
	struct swap_cipher *cipher;
};

static struct cipher_rig cipher_open(const uint8_t *key, bool encrypt)
{
	struct cipher_rig rig = { 0 };
	struct err err = { 0 };

	if (locked_map_key(SWAP_CIPHER_BYTES, &rig.memory, &err) ||
	    swap_cipher_create(key, encrypt, rig.memory.base, &rig.cipher, &err))
		fail_msg("%s", err.text);
	return rig;
}

static void cipher_close(struct cipher_rig *rig)
{
	swap_cipher_destroy(rig->cipher);
	locked_unmap(&rig->memory);
}

static void only_what_was_sealed_opens(void **state)
{
	struct test_random random = test_random_start();
	uint8_t key[SWAP_KEY_BYTES], data[4096], sealed[4096], out[4096], tag[SWAP_TAG_BYTES];
	const struct swap_seal seal = { .vm_uuid = { 9 }, .block = 7, .generation = 3 };

	(void)state;
	assert_int_equal(swap_key_make(key), 0);
	for (int encrypt = 0; encrypt < 2; encrypt++) {
		struct cipher_rig rig = cipher_open(key, encrypt);
		struct swap_seal others[3] = { seal, seal, seal };

		fill_random(&random, data, sizeof(data));
		memcpy(sealed, data, sizeof(data));
		assert_int_equal(swap_cipher_seal(rig.cipher, &seal, sealed, sizeof(sealed), tag),
				 0);
		assert_int_equal(memcmp(sealed, data, sizeof(data)) != 0, encrypt);
		assert_int_equal(
			swap_cipher_open(rig.cipher, &seal, sealed, sizeof(sealed), tag, out), 0);
		assert_memory_equal(out, data, sizeof(data));
		others[0].vm_uuid[15] = 1;
		others[1].block = 8;
		others[2].generation = 4;
		for (int i = 0; i < 3; i++)
			assert_int_equal(swap_cipher_open(rig.cipher, &others[i], sealed,
							  sizeof(sealed), tag, out),
					 -EBADMSG);
		tag[SWAP_TAG_BYTES - 1] ^= 0x80;
		assert_int_equal(swap_cipher_open(rig.cipher, &seal, sealed, sizeof(sealed), tag,
						  out),
				 -EBADMSG);
		cipher_close(&rig);
	}
}

static void equal_bytes_sealed_twice_differ(void **state)
{
	uint8_t key[SWAP_KEY_BYTES] = { 1 }, one[64] = { 0 }, two[64] = { 0 };
	uint8_t tag[SWAP_TAG_BYTES];
	struct cipher_rig rig = cipher_open(key, true);
	struct swap_seal seal = { .generation = 1 };

	(void)state;
	assert_int_equal(swap_cipher_seal(rig.cipher, &seal, one, sizeof(one), tag), 0);
	seal.generation++;
	assert_int_equal(swap_cipher_seal(rig.cipher, &seal, two, sizeof(two), tag), 0);
	assert_memory_not_equal(one, two, sizeof(one));
	cipher_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_agree_with_a_plain_array_after_any_changes),
		cmocka_unit_test(a_whole_block_fits_where_holes_are_few),
		cmocka_unit_test(a_small_thing_goes_into_the_smallest_hole_of_the_first_group),
		cmocka_unit_test(the_largest_file_is_used_to_its_last_page),
		cmocka_unit_test(retired_pieces_stay_out_of_use),
		cmocka_unit_test(a_payload_with_a_wrong_map_is_refused),
		cmocka_unit_test(packed_bytes_that_lie_are_refused),
		cmocka_unit_test(what_hardly_shrinks_is_left_alone),
		cmocka_unit_test(only_what_was_sealed_opens),
		cmocka_unit_test(equal_bytes_sealed_twice_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
