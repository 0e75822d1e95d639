/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_swap.c - the parts of the swap store that turn bytes into something else. The first byte
 * chooses:
 *  0  any bytes as what lies on the disk, as if their seal had been right: expanded, scattered.
 *  1  a block made of the bytes: gathered, compressed, expanded, scattered; it must come back.
 *  2  the bytes as takes, gives and retirements of the file's pages: no page twice, none lost.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "memory/swap_extents.h"
#include "memory/swap_pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOCK_PAGES = 8, GROUPS = 3, PLACES = 64, STATE_BYTES = 32768 };

static _Alignas(64) uint8_t block[BLOCK_PAGES * 4096], back[BLOCK_PAGES * 4096];
static _Alignas(64) uint8_t plain[BLOCK_PAGES * 4096 + SWAP_MAP_BYTES];
static _Alignas(64) uint8_t packed[BLOCK_PAGES * 4096], lz4_state[STATE_BYTES];

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void expand_anything(const uint8_t *data, size_t size)
{
	uint32_t pages = 1 + data[0] % BLOCK_PAGES;
	int len;

	memset(packed, 0, sizeof(packed));
	memcpy(packed, data + 1, size - 1 < sizeof(packed) ? size - 1 : sizeof(packed));
	memset(back, 0, sizeof(back));
	len = swap_pack_expand(packed, sizeof(packed), plain, sizeof(plain));
	require(len <= (int)sizeof(plain));
	if (len >= 0)
		(void)swap_pack_scatter(plain, (size_t)len, back, pages);
	(void)swap_pack_scatter(packed, sizeof(packed) - (sizeof(packed) - SWAP_MAP_BYTES) % 4096,
				back, pages);
	for (size_t i = pages_to_bytes(pages); i < sizeof(back); i++)
		require(back[i] == 0);
}

static void come_back(const uint8_t *data, size_t size)
{
	uint64_t live[SWAP_LIVE_WORDS] = { data[0] };
	struct swap_payload payload;
	size_t len;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = data[1] & 1 << i / 4096 ? 0 : data[1 + i % (size - 1)];
	payload = swap_pack_gather(block, BLOCK_PAGES, live, plain);
	require(payload.len <= sizeof(plain) && payload.pages <= BLOCK_PAGES);
	memset(back, 0, sizeof(back));
	if (payload.pages == 0)
		return;
	len = swap_pack_compress(plain, payload.len, packed, lz4_state);
	require(len <= payload.len);
	if (len > 0) {
		memset(plain, 0xee, sizeof(plain));
		require(swap_pack_expand(packed, len, plain, sizeof(plain)) == (int)payload.len);
	}
	if (payload.dense)
		memcpy(back, plain, sizeof(back));
	else
		require(swap_pack_scatter(plain, payload.len, back, BLOCK_PAGES) == 0);
	for (size_t i = 0; i < sizeof(block); i++)
		require(back[i] == (bitmap_test(live, i / 4096) ? block[i] : 0));
}

static uint64_t taken[BITMAP_WORDS(GROUPS * SWAP_GROUP_PAGES)];

/* Mark the pages of a place; they all were the opposite before. */
static uint64_t mark(const struct swap_place *place, bool now)
{
	uint64_t pages = 0;

	for (int i = 0; i < SWAP_MAX_PIECES && place->len_pages[i]; i++)
		for (uint32_t page = 0; page < place->len_pages[i]; page++, pages++)
			require((now ? bitmap_set
				     : bitmap_clear)(taken, place->first_page[i] + page) != now);
	return pages;
}

/* What is left of a place when its piece @bad is retired, which stays taken. */
static struct swap_place without(struct swap_place place, unsigned bad)
{
	for (; bad + 1 < SWAP_MAX_PIECES; bad++) {
		place.first_page[bad] = place.first_page[bad + 1];
		place.len_pages[bad] = place.len_pages[bad + 1];
	}
	place.len_pages[bad] = 0;
	return place;
}

static void take_and_give(const uint8_t *data, size_t size)
{
	uint64_t used, retired, expected = 0, expected_retired = 0;
	unsigned retirements = 0;
	struct swap_extents extents;

	memset(taken, 0, sizeof(taken));
	require(swap_extents_init(&extents, GROUPS, PLACES) == 0);
	for (size_t i = 0; i + 1 < size; i += 2) {
		uint64_t at = data[i] % PLACES;
		struct swap_place place = swap_extents_place(&extents, at);
		uint32_t pages = 1 + data[i + 1] + (data[i] >= 2 * PLACES ? 256U : 0U);

		if (place.len_pages[0] && data[i + 1] >= 0xf0 && retirements < SWAP_RETIRED_ROOM) {
			unsigned bad = place.len_pages[1] ? data[i + 1] % 2 : 0;
			struct swap_place rest = without(place, bad);

			retirements++;
			expected -= place.len_pages[bad] + mark(&rest, false);
			expected_retired += place.len_pages[bad];
			swap_extents_retire(&extents, at, bad);
		} else if (place.len_pages[0]) {
			expected -= mark(&place, false);
			swap_extents_give(&extents, at);
		} else if (swap_extents_take(&extents, at, pages) == 0) {
			place = swap_extents_place(&extents, at);
			require(swap_place_pages(&place) == pages);
			expected += mark(&place, true);
		}
	}
	swap_extents_count(&extents, &used, &retired);
	require(used == expected && retired == expected_retired);
	swap_extents_fini(&extents);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3)
		return 0;
	require(swap_pack_state_bytes() <= sizeof(lz4_state));
	if (data[0] % 3 == 0)
		expand_anything(data + 1, size - 1);
	else if (data[0] % 3 == 1)
		come_back(data + 1, size - 1);
	else
		take_and_give(data + 1, size - 1);
	return 0;
}
