/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_worker.c - one thread's writing and reading of blocks. See swap_internal.h for the whole.
 *
 * Two buffers. `plain` holds a payload as it is (2 MiB), `packed` a compressed one (at most 1.5 MiB).
 * Out: gather into plain; compress into packed if it pays; seal that one in place; write it. In: read
 * into the one that it was written from; open; expand into the other or into the block itself.
 * A payload without holes never takes a detour: it opens straight into the block.
 *
 * Larger ones go in parts (swap_parts.h): one is sealed while the one before is written, and opened
 * while the next is read. What was opened is not believed before its end was.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memory/swap_internal.h"
#include "memory/swap_lz4.h"
#include "memory/swap_pack.h"
#include "memory/swap_parts.h"

/* What lies where in a worker's buffers. */
#define PLAIN_AT     UINT64_C(0)
#define PACKED_AT    SWAP_BLOCK_BYTES
#define LZ4_STATE_AT (PACKED_AT + SWAP_PACKED_BYTES)

/* So many parts are being read while one is opened. */
enum { PARTS_AHEAD = 2 };

struct swap_worker {
	struct swap_store *store;
	struct swap_cipher *cipher;
	struct locked_area cipher_memory;
	struct locked_area buffers;
	uint8_t *plain;	 /* SWAP_BLOCK_BYTES */
	uint8_t *packed; /* SWAP_PACKED_BYTES; only when the store compresses */
	void *lz4_state;
	struct swap_parts parts;
	uint64_t fetched_word; /* of the entry whose bytes are on their way; 0: none */
};

/* What is to be written, and how its entry will describe it. */
struct image {
	uint8_t *bytes;
	uint32_t pages;
	uint64_t flags;
};

static int open_buffers(struct swap_worker *worker, struct err *err)
{
	bool compress = worker->store->compress;
	uint64_t bytes = SWAP_BLOCK_BYTES;
	int result;

	if (compress) {
		if (!lz4_get(err))
			return -ELIBACC;
		bytes = LZ4_STATE_AT + swap_pack_state_bytes();
	}
	result = locked_map_buffers(bytes, &worker->buffers, err);
	if (result)
		return result;
	worker->plain = worker->buffers.base + PLAIN_AT;
	if (compress) {
		worker->packed = worker->buffers.base + PACKED_AT;
		worker->lz4_state = worker->buffers.base + LZ4_STATE_AT;
	}
	return 0;
}

int swap_worker_open(struct swap_store *store, struct swap_worker **ret_worker, struct err *err)
{
	struct swap_worker *worker = calloc(1, sizeof(*worker));
	int result;

	if (!worker)
		return err_set(err, -ENOMEM, "swap: no memory");
	worker->store = store;
	swap_parts_init(&worker->parts);
	result = open_buffers(worker, err);
	if (result == 0)
		result = locked_map_key(SWAP_CIPHER_BYTES, &worker->cipher_memory, err);
	if (result == 0)
		result = swap_cipher_create(store->key.base, store->encrypt,
					    worker->cipher_memory.base, &worker->cipher, err);
	if (result) {
		swap_worker_close(worker);
		return result;
	}
	*ret_worker = worker;
	return 0;
}

void swap_worker_close(struct swap_worker *worker)
{
	if (!worker)
		return;
	swap_parts_fini(&worker->parts); /* first: it may be at work in the buffers */
	swap_cipher_destroy(worker->cipher);
	locked_unmap(&worker->cipher_memory);
	locked_unmap(&worker->buffers);
	free(worker);
}

static void count(_Atomic uint64_t *counter, uint64_t more)
{
	atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static uint32_t pad_to_pages(uint8_t *bytes, size_t len)
{
	uint32_t pages = (uint32_t)bytes_to_pages(len + GUEST_PAGE_BYTES - 1);

	memset(bytes + len, 0, pages_to_bytes(pages) - len);
	return pages;
}

static struct image make_image(struct swap_worker *worker, const struct swap_payload *payload)
{
	struct image image = { .bytes = worker->plain, .flags = payload->dense ? ENTRY_DENSE : 0 };
	size_t len = payload->len, packed_len = 0;

	if (worker->packed)
		packed_len =
			swap_pack_compress(worker->plain, len, worker->packed, worker->lz4_state);
	if (packed_len > 0) {
		image.bytes = worker->packed;
		image.flags |= ENTRY_PACKED;
		len = packed_len;
	}
	image.pages = pad_to_pages(image.bytes, len);
	return image;
}

static struct swap_seal seal_of(const struct swap_store *store, uint64_t block, uint64_t generation)
{
	struct swap_seal seal = { .block = block, .generation = generation };

	memcpy(seal.vm_uuid, store->vm_uuid, sizeof(seal.vm_uuid));
	return seal;
}

static void close_for_writing(struct swap_store *store)
{
	atomic_store_explicit(&store->closed_for_writing, true, memory_order_relaxed);
}

/* A generation nobody has had; 0 when they are used up. */
static uint64_t next_generation(struct swap_store *store)
{
	uint64_t generation =
		atomic_fetch_add_explicit(&store->generation, 1, memory_order_relaxed) + 1;

	if (generation <= ENTRY_LAST_GENERATION)
		return generation;
	close_for_writing(store);
	return 0;
}

static int note_write_error(struct swap_store *store)
{
	uint64_t errors =
		atomic_fetch_add_explicit(&store->counters.write_errors, 1, memory_order_relaxed);

	if (errors + 1 >= SWAP_MAX_WRITE_ERRORS)
		close_for_writing(store);
	return -EIO;
}

/* Returns what swap_parts_finish() does; -EBADMSG: the cipher failed, and nothing of it counts. */
static int seal_and_write(struct swap_worker *worker, const struct swap_seal *seal,
			  uint8_t *ret_tag, unsigned *ret_bad_piece)
{
	struct swap_parts *parts = &worker->parts;
	int result = 0;

	swap_cipher_begin(worker->cipher, seal);
	for (unsigned i = 0; i < parts->count; i++) {
		swap_cipher_seal_part(worker->cipher, parts->parts[i].buf, parts->parts[i].len);
		if (parts->count > 1)
			swap_parts_send(parts, i);
	}
	if (swap_cipher_end(worker->cipher, ret_tag))
		result = -EBADMSG;
	for (unsigned i = 0; i < parts->count && result == 0; i++) {
		result = swap_parts_finish(parts, i);
		*ret_bad_piece = parts->parts[i].piece;
	}
	swap_parts_drain(parts);
	return result;
}

/* Into the pages that @block was given; they are given back when it cannot be. */
static int write_image(struct swap_worker *worker, uint64_t block, struct image *image)
{
	struct swap_store *store = worker->store;
	uint64_t generation = next_generation(store);
	struct swap_seal seal = seal_of(store, block, generation);
	struct swap_entry entry = { .word = generation << ENTRY_GENERATION_SHIFT | image->flags |
					    ENTRY_STORED };
	struct swap_place place = swap_extents_place(&store->extents, block);
	unsigned bad_piece = 0;
	int result = -EROFS;

	swap_parts_begin(&worker->parts, store->io, store->fd, &place, image->bytes, true);
	if (generation > 0)
		result = seal_and_write(worker, &seal, entry.tag, &bad_piece);
	switch (result) {
	case 0: store->entries[block] = entry; return 0;
	case -EIO:
		swap_extents_retire(&store->extents, block, bad_piece);
		return note_write_error(store);
	default: swap_extents_give(&store->extents, block);
	}
	return result == -EBADMSG ? -EIO : result;
}

static int store_payload(struct swap_worker *worker, uint64_t block,
			 const struct swap_payload *payload, uint32_t data_pages)
{
	struct swap_store *store = worker->store;
	struct image image = make_image(worker, payload);
	int result = swap_extents_take(&store->extents, block, image.pages);

	if (result) {
		count(&store->counters.full_refusals, 1);
		return result;
	}
	image.flags |= data_pages - 1;
	result = write_image(worker, block, &image);
	if (result)
		return result;
	count(&store->counters.stored_blocks, 1);
	count(&store->counters.compressed_blocks, image.flags & ENTRY_PACKED ? 1 : 0);
	count(&store->counters.writes, 1);
	count(&store->counters.content_bytes, pages_to_bytes(payload->pages));
	count(&store->counters.written_bytes, pages_to_bytes(image.pages));
	return 0;
}

static bool is_block(const struct swap_store *store, uint64_t block, uint64_t len_bytes)
{
	return block < store->block_count && len_bytes > 0 && len_bytes <= SWAP_BLOCK_BYTES &&
	       is_aligned(len_bytes, GUEST_PAGE_BYTES);
}

/* The buffers are free for something else. */
static void forget_fetched(struct swap_worker *worker)
{
	swap_parts_drain(&worker->parts);
	worker->fetched_word = 0;
}

int swap_store_write(struct swap_worker *worker, uint64_t block, const void *data,
		     uint64_t len_bytes, const uint64_t live[SWAP_LIVE_WORDS])
{
	struct swap_store *store = worker->store;
	uint32_t data_pages = (uint32_t)bytes_to_pages(len_bytes);
	struct swap_payload payload;

	if (!is_block(store, block, len_bytes))
		return -EINVAL;
	forget_fetched(worker);
	swap_store_drop(store, block);
	if (atomic_load_explicit(&store->closed_for_writing, memory_order_relaxed))
		return -EROFS;
	payload = swap_pack_gather(data, data_pages, live, worker->plain);
	if (payload.pages == 0) {
		count(&store->counters.zero_blocks, 1);
		return 1;
	}
	return store_payload(worker, block, &payload, data_pages);
}

/* Where the bytes of an entry are read to ... */
static uint8_t *image_of(struct swap_worker *worker, const struct swap_entry *entry)
{
	return entry->word & ENTRY_PACKED ? worker->packed : worker->plain;
}

/* ... and where the payload is, expanded. */
static uint8_t *payload_of(struct swap_worker *worker, const struct swap_entry *entry,
			   uint8_t *data)
{
	return entry->word & ENTRY_DENSE ? data : worker->plain;
}

static void begin_read(struct swap_worker *worker, uint64_t block, const struct swap_entry *entry)
{
	struct swap_store *store = worker->store;
	struct swap_place place = swap_extents_place(&store->extents, block);

	swap_parts_begin(&worker->parts, store->io, store->fd, &place, image_of(worker, entry),
			 false);
}

static const struct swap_entry *stored_entry(const struct swap_store *store, uint64_t block)
{
	return swap_store_has(store, block) ? &store->entries[block] : NULL;
}

static void send_ahead(struct swap_parts *parts, unsigned from)
{
	for (unsigned i = from; i < from + PARTS_AHEAD && i < parts->count; i++)
		swap_parts_send(parts, i);
}

void swap_store_fetch(struct swap_worker *worker, uint64_t block)
{
	const struct swap_entry *entry = stored_entry(worker->store, block);

	if (!entry)
		return;
	begin_read(worker, block, entry);
	worker->fetched_word = entry->word;
	send_ahead(&worker->parts, 0);
}

/* Read what was begun, and open it to @out; *@ret_len is how much it was. */
static int read_and_open(struct swap_worker *worker, const struct swap_seal *seal,
			 const uint8_t *tag, uint8_t *out, size_t *ret_len)
{
	struct swap_parts *parts = &worker->parts;
	size_t len = 0;

	swap_cipher_begin_open(worker->cipher, seal);
	for (unsigned i = 0; i < parts->count; i++) {
		struct swap_part *part = &parts->parts[i];
		int result = swap_parts_finish(parts, i);

		if (result)
			return result;
		send_ahead(parts, i + 1);
		swap_cipher_open_part(worker->cipher, part->buf, part->len, out + len);
		len += part->len;
	}
	*ret_len = len;
	return swap_cipher_end_open(worker->cipher, tag);
}

/* From @len bytes of an opened image to @data. */
static int unpack(struct swap_worker *worker, const struct swap_entry *entry, size_t len,
		  uint8_t *data, uint32_t data_pages)
{
	bool dense = entry->word & ENTRY_DENSE;
	uint8_t *payload = payload_of(worker, entry, data);

	if (entry->word & ENTRY_PACKED) {
		int result =
			swap_pack_expand(worker->packed, len, payload,
					 dense ? pages_to_bytes(data_pages) : SWAP_BLOCK_BYTES);

		if (result < 0)
			return result;
		len = (size_t)result;
	} else if (!dense) {
		/* A map ends a payload, and padding an image: 4 KiB less 64 bytes of it. */
		len -= GUEST_PAGE_BYTES - SWAP_MAP_BYTES;
	}
	if (dense)
		return len == pages_to_bytes(data_pages) ? 0 : -EBADMSG;
	return swap_pack_scatter(payload, len, data, data_pages);
}

static int read_entry(struct swap_worker *worker, uint64_t block, const struct swap_entry *entry,
		      uint8_t *data, uint32_t data_pages)
{
	struct swap_store *store = worker->store;
	struct swap_seal seal = seal_of(store, block, entry->word >> ENTRY_GENERATION_SHIFT);
	uint8_t *opened =
		entry->word & ENTRY_PACKED ? worker->packed : payload_of(worker, entry, data);
	size_t len = 0;
	int result;

	if (worker->fetched_word != entry->word) {
		begin_read(worker, block, entry);
		if (worker->parts.count > 1)
			send_ahead(&worker->parts, 0);
	}
	result = read_and_open(worker, &seal, entry->tag, opened, &len);
	forget_fetched(worker);
	if (result && result != -EBADMSG) {
		count(&store->counters.read_errors, 1);
		return result;
	}
	count(&store->counters.reads, 1);
	count(&store->counters.read_bytes, len);
	if (result == 0)
		result = unpack(worker, entry, len, data, data_pages);
	if (result)
		count(&store->counters.bad_blocks, 1);
	return result;
}

int swap_store_read(struct swap_worker *worker, uint64_t block, void *data, uint64_t len_bytes)
{
	struct swap_store *store = worker->store;
	uint32_t data_pages = (uint32_t)bytes_to_pages(len_bytes);
	const struct swap_entry *entry;
	int result;

	if (!is_block(store, block, len_bytes))
		return -EINVAL;
	entry = stored_entry(store, block);
	if (!entry)
		return -ENOENT;
	if ((entry->word & ENTRY_PAGES_MASK) != data_pages - 1)
		return -EINVAL;
	result = read_entry(worker, block, entry, data, data_pages);
	if (result)
		memset(data, 0, len_bytes);
	return result;
}
