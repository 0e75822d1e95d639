/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_worker.c - one thread's writing and reading of blocks. See swap_internal.h for the whole.
 *
 * Two buffers. `plain` holds a payload as it is (2 MiB), `packed` a compressed one (at most 1.5 MiB).
 * Out: gather into plain; compress into packed if it pays; seal that one in place; write it. In: read
 * into the one that it was written from; open; expand into the other or into the block itself.
 * A payload without holes never takes a detour: it opens straight into the block.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memory/swap_internal.h"
#include "memory/swap_pack.h"

/* What lies where in a worker's buffers. */
#define PLAIN_AT     UINT64_C(0)
#define PACKED_AT    SWAP_BLOCK_BYTES
#define LZ4_STATE_AT (PACKED_AT + SWAP_PACKED_BYTES)

struct swap_worker {
	struct swap_store *store;
	struct swap_cipher *cipher;
	struct locked_area cipher_memory;
	struct locked_area buffers;
	uint8_t *plain;	 /* SWAP_BLOCK_BYTES */
	uint8_t *packed; /* SWAP_PACKED_BYTES; only when the store compresses */
	void *lz4_state;
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
	uint64_t bytes = compress ? LZ4_STATE_AT + swap_pack_state_bytes() : SWAP_BLOCK_BYTES;
	int result = locked_map_buffers(bytes, &worker->buffers, err);

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
	int result;

	if (generation == 0 || swap_cipher_seal(worker->cipher, &seal, image->bytes,
						pages_to_bytes(image->pages), entry.tag)) {
		swap_extents_give(&store->extents, block);
		return generation == 0 ? -EROFS : -EIO;
	}
	result = swap_file_write(store->io, store->fd, &place, image->bytes, &bad_piece);
	if (result == 0) {
		store->entries[block] = entry;
	} else if (result == -ENOMEM) {
		swap_extents_give(&store->extents, block);
	} else {
		swap_extents_retire(&store->extents, block, bad_piece);
		result = note_write_error(store);
	}
	return result;
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

int swap_store_write(struct swap_worker *worker, uint64_t block, const void *data,
		     uint64_t len_bytes, const uint64_t live[SWAP_LIVE_WORDS])
{
	struct swap_store *store = worker->store;
	uint32_t data_pages = (uint32_t)bytes_to_pages(len_bytes);
	struct swap_payload payload;

	if (!is_block(store, block, len_bytes))
		return -EINVAL;
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

/* From the bytes as they lie on the disk, in @image, to @data. */
static int unpack(struct swap_worker *worker, const struct swap_seal *seal,
		  const struct swap_entry *entry, uint8_t *image, size_t image_len, uint8_t *data,
		  uint32_t data_pages)
{
	bool packed = entry->word & ENTRY_PACKED, dense = entry->word & ENTRY_DENSE;
	uint8_t *whole = dense ? data : worker->plain; /* the payload, expanded */
	uint8_t *opened = packed ? image : whole;
	size_t len = image_len;
	int result = swap_cipher_open(worker->cipher, seal, image, image_len, entry->tag, opened);

	if (result)
		return result;
	if (packed) {
		result = swap_pack_expand(image, image_len, whole,
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
	return swap_pack_scatter(whole, len, data, data_pages);
}

static int read_entry(struct swap_worker *worker, uint64_t block, const struct swap_entry *entry,
		      uint8_t *data, uint32_t data_pages)
{
	struct swap_store *store = worker->store;
	uint8_t *image = entry->word & ENTRY_PACKED ? worker->packed : worker->plain;
	struct swap_place place = swap_extents_place(&store->extents, block);
	size_t len = pages_to_bytes(swap_place_pages(&place));
	struct swap_seal seal = seal_of(store, block, entry->word >> ENTRY_GENERATION_SHIFT);
	int result = swap_file_read(store->io, store->fd, &place, image);

	if (result) {
		count(&store->counters.read_errors, 1);
		return result;
	}
	count(&store->counters.reads, 1);
	count(&store->counters.read_bytes, len);
	result = unpack(worker, &seal, entry, image, len, data, data_pages);
	if (result)
		count(&store->counters.bad_blocks, 1);
	return result;
}

int swap_store_read(struct swap_worker *worker, uint64_t block, void *data, uint64_t len_bytes)
{
	struct swap_store *store = worker->store;
	uint32_t data_pages = (uint32_t)bytes_to_pages(len_bytes);
	const struct swap_entry *entry;

	if (!is_block(store, block, len_bytes))
		return -EINVAL;
	entry = &store->entries[block];
	if (!(entry->word & ENTRY_STORED))
		return -ENOENT;
	if ((entry->word & ENTRY_PAGES_MASK) != data_pages - 1)
		return -EINVAL;
	return read_entry(worker, block, entry, data, data_pages);
}
