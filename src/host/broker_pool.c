/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* broker_pool.c - the pools of a host: which there are, and how much is free in each.
 *
 *   2M     the host's huge pages: what is not reserved for mappings, and what may still be
 *          overcommitted, is free
 *   4K     ordinary memory: MemAvailable
 *   a mount of hugetlbfs with a size= of its own; its pages come from the host's, so no more is free in
 *   it than there. One without is the host's pool.
 * A mount is known by its device, so two names of it are one pool. It is forgotten with its last VM.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/units.h"
#include "host/broker_internal.h"

enum { PATH_BYTES = 512, MEMINFO_BYTES = 256 };

static struct broker_pool *add_pool(struct broker *broker, const char *name, const char *dir,
				    uint64_t frame_bytes)
{
	struct broker_pool *pool = calloc(1, sizeof(*pool)), **end = &broker->pools;

	if (!pool)
		return NULL;
	pool->name = strdup(name);
	pool->dir = dir ? strdup(dir) : NULL;
	pool->frame_bytes = frame_bytes;
	ledger_init(&pool->ledger, frame_bytes);
	if (!pool->name || (dir && !pool->dir)) {
		free(pool->name);
		free(pool->dir);
		free(pool);
		return NULL;
	}
	while (*end)
		end = &(*end)->next;
	*end = pool;
	return pool;
}

static void free_pool(struct broker_pool *pool)
{
	ledger_fini(&pool->ledger);
	free(pool->name);
	free(pool->dir);
	free(pool);
}

int broker_pools_open(struct broker *broker, struct err *err)
{
	char path[PATH_BYTES];

	(void)snprintf(path, sizeof(path), "%s/proc/meminfo", broker->root);
	broker->meminfo_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (broker->meminfo_fd < 0)
		return err_set(err, -errno, "%s: %m", path);
	(void)hostmem_reader_open_at(broker->root, HUGE_FRAME_BYTES, &broker->huge, NULL);
	if (!add_pool(broker, "2M", NULL, HUGE_FRAME_BYTES) ||
	    !add_pool(broker, "4K", NULL, GUEST_PAGE_BYTES))
		return err_set(err, -ENOMEM, "broker: out of memory");
	for (struct broker_pool *pool = broker->pools; pool; pool = pool->next)
		broker_pool_step(broker, pool);
	return 0;
}

void broker_pools_close(struct broker *broker)
{
	while (broker->pools) {
		struct broker_pool *pool = broker->pools;

		broker->pools = pool->next;
		free_pool(pool);
	}
	hostmem_reader_close(&broker->huge);
	close_fd(&broker->meminfo_fd);
}

void broker_pools_drop_unused(struct broker *broker)
{
	for (struct broker_pool **at = &broker->pools; *at;) {
		struct broker_pool *pool = *at;

		if (!pool->dir || pool->vms || pool->first_wait) {
			at = &pool->next;
			continue;
		}
		*at = pool->next;
		free_pool(pool);
	}
}

/* ---- Which ---- */

static struct broker_pool *find_mount(const struct broker *broker, dev_t dev)
{
	for (struct broker_pool *pool = broker->pools; pool; pool = pool->next)
		if (pool->dir && pool->dev == dev)
			return pool;
	return NULL;
}

static int pool_of_mount(struct broker *broker, const char *dir, struct broker_pool **ret_pool,
			 struct err *err)
{
	struct hostmem_pool ignored;
	struct broker_pool *pool;
	struct stat file;
	int ret = hostmem_read_mount(dir, HUGE_FRAME_BYTES, &ignored, err);

	if (ret < 0)
		return ret;
	if (!ignored.mount_dir) {
		*ret_pool = broker->pools;
		return 0;
	}
	if (stat(dir, &file) < 0)
		return err_set(err, -errno, "%s: %m", dir);
	pool = find_mount(broker, file.st_dev);
	if (!pool) {
		pool = add_pool(broker, dir, dir, HUGE_FRAME_BYTES);
		if (!pool)
			return err_set(err, -ENOMEM, "broker: out of memory");
		pool->dev = file.st_dev;
		broker_pool_step(broker, pool);
	}
	*ret_pool = pool;
	return 0;
}

int broker_pool_of(struct broker *broker, const struct broker_vm_config *config,
		   struct broker_pool **ret_pool, struct err *err)
{
	bool huge = config->frame_bytes == HUGE_FRAME_BYTES;

	if (huge && config->hugetlbfs_dir)
		return pool_of_mount(broker, config->hugetlbfs_dir, ret_pool, err);
	*ret_pool = huge ? broker->pools : broker->pools->next;
	return 0;
}

/* ---- How much ---- */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int read_huge(const struct broker *broker, struct ledger_reading *ret_reading,
		     struct err *err)
{
	struct hostmem_pool pool;
	int ret = hostmem_reader_read(&broker->huge, &pool, err);

	if (ret < 0)
		return ret;
	ret_reading->free_bytes = hostmem_available_frames(&pool) * pool.frame_bytes;
	ret_reading->total_bytes = pool.total_frames * pool.frame_bytes;
	if (pool.overcommit_frames > pool.surplus_frames)
		ret_reading->total_bytes +=
			(pool.overcommit_frames - pool.surplus_frames) * pool.frame_bytes;
	return 0;
}

static int read_mount(const struct broker *broker, const char *dir,
		      struct ledger_reading *ret_reading, struct err *err)
{
	struct ledger_reading host;
	struct hostmem_pool pool;
	int ret = hostmem_read_mount(dir, HUGE_FRAME_BYTES, &pool, err);

	if (ret == 0)
		ret = read_huge(broker, &host, err);
	if (ret < 0)
		return ret;
	ret_reading->total_bytes = pool.total_frames * pool.frame_bytes;
	ret_reading->free_bytes =
		least(hostmem_available_frames(&pool) * pool.frame_bytes, host.free_bytes);
	return 0;
}

static bool number_after(const char *text, const char *word, uint64_t *ret_bytes)
{
	const char *at = strstr(text, word);

	if (at)
		*ret_bytes = strtoull(at + strlen(word), NULL, 10) * KIB_BYTES;
	return at != NULL;
}

static int read_ram(const struct broker *broker, struct ledger_reading *ret_reading,
		    struct err *err)
{
	char text[MEMINFO_BYTES]; /* MemTotal, MemFree, MemAvailable: the first three lines */
	ssize_t got = pread(broker->meminfo_fd, text, sizeof(text) - 1, 0);

	if (got <= 0)
		return err_set(err, got < 0 ? -errno : -EIO, "meminfo cannot be read");
	text[got] = '\0';
	if (!number_after(text, "MemTotal:", &ret_reading->total_bytes) ||
	    !number_after(text, "MemAvailable:", &ret_reading->free_bytes))
		return err_set(err, -EIO, "meminfo has no MemTotal or no MemAvailable");
	return 0;
}

static int read_pool(const struct broker *broker, const struct broker_pool *pool,
		     struct ledger_reading *ret_reading, struct err *err)
{
	if (pool->dir)
		return read_mount(broker, pool->dir, ret_reading, err);
	if (pool->frame_bytes == HUGE_FRAME_BYTES)
		return read_huge(broker, ret_reading, err);
	return read_ram(broker, ret_reading, err);
}

void broker_pool_step(struct broker *broker, struct broker_pool *pool)
{
	struct ledger_reading reading = pool->ledger.reading;
	struct err err = { 0 };
	bool failed = read_pool(broker, pool, &reading, &err) < 0;

	if (failed && !pool->cannot_read && pool->vms)
		log_warn("broker", "pool %s: %s; its last numbers count", pool->name, err.text);
	pool->cannot_read = failed && pool->vms;
	ledger_step(&pool->ledger, &reading);
}
