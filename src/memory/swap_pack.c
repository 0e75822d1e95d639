/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_pack.c - see swap_pack.h.
 *
 * When compression pays. Reading back is what a guest waits for, so a block is stored compressed
 * only if that saves a quarter of its pages: expanding 2 MiB takes about as long as reading the
 * half MiB that was saved. Up to eight pages are tried first, each for itself; if they do not
 * shrink by an eighth the rest is not looked at. LZ4 leaves random bytes after microseconds by
 * itself, but spends milliseconds on what shrinks by a tenth.
 *
 * Sources: LZ4 1.9 lz4.h "LZ4_compress_fast_extState", "LZ4_decompress_safe".
 */
#include "memory/swap_pack.h"

#include <errno.h>
#include <string.h>

#include "base/bitmap.h"
#include "memory/swap_lz4.h"

enum { SAMPLE_PAGES = 8, PREFIX_BYTES = sizeof(uint32_t) };

/* Eight words at a time: the compiler makes it whatever the processor's widest is. */
typedef uint64_t words8 __attribute__((vector_size(64), may_alias));

static bool page_is_zero(const uint8_t *page)
{
	const words8 *at = (const words8 *)(const void *)page;
	const words8 *end = at + GUEST_PAGE_BYTES / sizeof(*at);

	for (; at < end; at += 4) {
		words8 any = at[0] | at[1] | at[2] | at[3];

		if (any[0] | any[1] | any[2] | any[3] | any[4] | any[5] | any[6] | any[7])
			return false;
	}
	return true;
}

struct swap_payload swap_pack_gather(const uint8_t *data, uint32_t data_pages,
				     const uint64_t live[SWAP_LIVE_WORDS], uint8_t *out)
{
	uint64_t map[SWAP_LIVE_WORDS] = { 0 };
	struct swap_payload payload = { 0 };

	for (uint32_t page = 0; page < data_pages; page++) {
		const uint8_t *from = data + pages_to_bytes(page);

		if (!bitmap_test(live, page) || page_is_zero(from))
			continue;
		(void)bitmap_set(map, page);
		memcpy(out + pages_to_bytes(payload.pages++), from, GUEST_PAGE_BYTES);
	}
	payload.dense = payload.pages == data_pages;
	payload.len = pages_to_bytes(payload.pages);
	if (payload.pages > 0 && !payload.dense) {
		memcpy(out + payload.len, map, sizeof(map));
		payload.len += sizeof(map);
	}
	return payload;
}

static uint32_t count_bits(const uint64_t *words)
{
	uint32_t bits = 0;

	for (int i = 0; i < SWAP_LIVE_WORDS; i++)
		bits += (uint32_t)__builtin_popcountll(words[i]);
	return bits;
}

int swap_pack_scatter(const uint8_t *payload, size_t len, uint8_t *data, uint32_t data_pages)
{
	uint64_t map[SWAP_LIVE_WORDS];
	uint32_t pages = 0;

	if (len < sizeof(map))
		return -EBADMSG;
	memcpy(map, payload + len - sizeof(map), sizeof(map));
	if (pages_to_bytes(count_bits(map)) != len - sizeof(map))
		return -EBADMSG;
	for (uint32_t page = 0; page < SWAP_BLOCK_PAGES; page++) {
		if (!bitmap_test(map, page))
			continue;
		if (page >= data_pages)
			return -EBADMSG;
		memcpy(data + pages_to_bytes(page), payload + pages_to_bytes(pages++),
		       GUEST_PAGE_BYTES);
	}
	return 0;
}

static bool sample_pays(const struct lz4 *lz4, const uint8_t *payload, size_t len, uint8_t *out,
			void *state)
{
	uint64_t pages = bytes_to_pages(len), step = pages / SAMPLE_PAGES;
	const int page_bytes = (int)GUEST_PAGE_BYTES;
	int before = 0, after = 0;

	if (pages < UINT64_C(2) * SAMPLE_PAGES)
		return true; /* as quickly tried as sampled */
	for (uint64_t page = 0; page < step * SAMPLE_PAGES; page += step) {
		int now = lz4->LZ4_compress_fast_extState(
			state, (const char *)payload + pages_to_bytes(page), (char *)out,
			page_bytes, page_bytes, 1);

		before += page_bytes;
		after += now > 0 ? now : page_bytes;
	}
	return after <= before - before / 8;
}

/* The most bytes a compressed payload may have: three quarters of its pages, prefix included. */
static size_t most_packed_bytes(size_t len)
{
	uint64_t pages = bytes_to_pages(len + GUEST_PAGE_BYTES - 1);

	return pages_to_bytes(pages * 3 / 4);
}

size_t swap_pack_state_bytes(void)
{
	const struct lz4 *lz4 = lz4_get(NULL);

	return lz4 ? (size_t)lz4->LZ4_sizeofState() : 0;
}

size_t swap_pack_compress(const uint8_t *payload, size_t len, uint8_t *out, void *state)
{
	const struct lz4 *lz4 = lz4_get(NULL);
	size_t most = most_packed_bytes(len);
	uint32_t packed;
	int got;

	if (!lz4 || most == 0 || !sample_pays(lz4, payload, len, out, state))
		return 0;
	got = lz4->LZ4_compress_fast_extState(state, (const char *)payload,
					      (char *)out + PREFIX_BYTES, (int)len,
					      (int)(most - PREFIX_BYTES), 1);
	if (got <= 0)
		return 0;
	packed = (uint32_t)got;
	memcpy(out, &packed, PREFIX_BYTES);
	return PREFIX_BYTES + packed;
}

int swap_pack_expand(const uint8_t *packed, size_t packed_capacity, uint8_t *out, size_t capacity)
{
	const struct lz4 *lz4 = lz4_get(NULL);
	uint32_t len;
	int got;

	memcpy(&len, packed, PREFIX_BYTES);
	if (!lz4 || len > packed_capacity - PREFIX_BYTES)
		return -EBADMSG;
	got = lz4->LZ4_decompress_safe((const char *)packed + PREFIX_BYTES, (char *)out, (int)len,
				       (int)capacity);
	return got < 0 ? -EBADMSG : got;
}
