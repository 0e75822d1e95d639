/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* swap_store.c - opening and closing a store, forgetting blocks, counting. See swap_internal.h for
 * the whole, swap_worker.c for writing and reading.
 */
#include "memory/swap_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "memory/swap_internal.h"

static int map_entries(struct swap_store *store, struct err *err)
{
	void *at = mmap(NULL, store->block_count * sizeof(*store->entries), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return err_set(err, -errno, "swap: the table of blocks: %m");
	store->entries = at;
	return 0;
}

static int make_key(struct swap_store *store, struct err *err)
{
	int result = locked_map_key(GUEST_PAGE_BYTES, &store->key, err);

	if (result)
		return result;
	result = swap_key_make(store->key.base);
	return result ? err_set(err, result, "swap: the kernel gives no random key") : 0;
}

static int open_parts(struct swap_store *store, const char *dir, struct err *err)
{
	int result = make_key(store, err);

	if (result == 0)
		result = map_entries(store, err);
	if (result == 0 && swap_extents_init(&store->extents, store->size_bytes / SWAP_BLOCK_BYTES,
					     store->block_count))
		result = err_set(err, -ENOMEM, "swap: no memory for the map of the file");
	if (result)
		return result;
	store->fd = swap_file_open(dir, store->size_bytes, err);
	return store->fd < 0 ? store->fd : 0;
}

static int check_config(const struct swap_config *config, uint64_t *ret_size_bytes, struct err *err)
{
	char text[UNITS_TEXT_BYTES];

	if (config->size_bytes == 0 || config->block_count == 0)
		return err_set(err, -EINVAL, "swap: a size of 0");
	if (!align_up(config->size_bytes, SWAP_BLOCK_BYTES, ret_size_bytes) ||
	    *ret_size_bytes > SWAP_MAX_FILE_BYTES)
		return err_set(err, -EFBIG, "swap: %s is too large; %s is the most",
			       units_format_size(config->size_bytes, text), "16 TiB");
	if (config->block_count > SWAP_MAX_BLOCKS)
		return err_set(err, -ERANGE, "swap: too many blocks");
	return 0;
}

int swap_store_open(const struct swap_config *config, struct swap_store **ret_store,
		    struct err *err)
{
	struct swap_store *store;
	uint64_t size_bytes = 0;
	int result = check_config(config, &size_bytes, err);

	if (result)
		return result;
	store = calloc(1, sizeof(*store));
	if (!store)
		return err_set(err, -ENOMEM, "swap: no memory");
	store->fd = -1;
	store->io = &swap_io_kernel;
	store->size_bytes = size_bytes;
	store->block_count = config->block_count;
	store->encrypt = config->encrypt;
	store->compress = config->compress;
	memcpy(store->vm_uuid, config->vm_uuid, sizeof(store->vm_uuid));
	result = open_parts(store, config->dir, err);
	if (result) {
		swap_store_close(store);
		return result;
	}
	*ret_store = store;
	return 0;
}

void swap_store_close(struct swap_store *store)
{
	if (!store)
		return;
	close_fd(&store->fd);
	locked_unmap(&store->key);
	swap_extents_fini(&store->extents);
	if (store->entries)
		(void)munmap(store->entries, store->block_count * sizeof(*store->entries));
	free(store);
}

bool swap_store_has(const struct swap_store *store, uint64_t block)
{
	return block < store->block_count && (store->entries[block].word & ENTRY_STORED) != 0;
}

void swap_store_drop(struct swap_store *store, uint64_t block)
{
	struct swap_entry *entry;

	if (!swap_store_has(store, block))
		return;
	entry = &store->entries[block];
	atomic_fetch_sub_explicit(&store->counters.stored_blocks, 1, memory_order_relaxed);
	if (entry->word & ENTRY_PACKED)
		atomic_fetch_sub_explicit(&store->counters.compressed_blocks, 1,
					  memory_order_relaxed);
	entry->word = 0;
	swap_extents_give(&store->extents, block);
}

static uint64_t count_of(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void swap_store_stats(const struct swap_store *store, struct swap_stats *ret_stats)
{
	const struct swap_counters *counters = &store->counters;
	uint64_t used_pages, retired_pages;

	/* The lock in it is not part of what a reader sees. */
	swap_extents_count((struct swap_extents *)(uintptr_t)&store->extents, &used_pages,
			   &retired_pages);
	*ret_stats = (struct swap_stats){
		.size_bytes = store->size_bytes,
		.used_bytes = pages_to_bytes(used_pages),
		.retired_bytes = pages_to_bytes(retired_pages),
		.stored_blocks = count_of(&counters->stored_blocks),
		.compressed_blocks = count_of(&counters->compressed_blocks),
		.content_bytes = count_of(&counters->content_bytes),
		.writes = count_of(&counters->writes),
		.written_bytes = count_of(&counters->written_bytes),
		.zero_blocks = count_of(&counters->zero_blocks),
		.full_refusals = count_of(&counters->full_refusals),
		.reads = count_of(&counters->reads),
		.read_bytes = count_of(&counters->read_bytes),
		.write_errors = count_of(&counters->write_errors),
		.read_errors = count_of(&counters->read_errors),
		.bad_blocks = count_of(&counters->bad_blocks),
		.closed_for_writing =
			atomic_load_explicit(&store->closed_for_writing, memory_order_relaxed),
	};
}

int swap_store_fd(const struct swap_store *store)
{
	return store->fd;
}

void swap_store_set_io(struct swap_store *store, const struct swap_io *io)
{
	store->io = io;
}
