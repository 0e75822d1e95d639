/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* broker_pool.c - the pools of a host: which there are, and how much is free in each.
 *
 *   2M     the host's huge pages: what is not reserved for mappings, and what may still be
 *          overcommitted, is free
 *   4K     ordinary memory: MemAvailable
 *   a mount of hugetlbfs with a size= of its own; its pages come from the host's, so no more is free in
 *   it than there. One without is the host's pool.
 * Each is bounded by the limits of our cgroups, too: VMs that we start are in them.
 * A mount is known by its device, so two names of it are one pool. It is forgotten with its last VM.
 * Limits. What is promised on a mount is not known to the host's pool before it is taken. VMs that were
 * started elsewhere may be in other cgroups: ours are thought to hold for them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bounds.h"
#include "base/log.h"
#include "base/units.h"
#include "host/broker_internal.h"
#include "memory/hostmem.h"

static void free_pool(struct broker_pool *pool)
{
	gauges_close(pool->gauges);
	ledger_fini(&pool->ledger);
	free(pool->name);
	free(pool->dir);
	free(pool);
}

static int add_pool(struct broker *broker, const char *name, const char *dir, uint64_t frame_bytes,
		    struct broker_pool **ret_pool, struct err *err)
{
	struct broker_pool *pool = calloc(1, sizeof(*pool)), **end = &broker->pools;
	struct gauges_config gauges = { .frame_bytes = frame_bytes, .root = broker->root };
	int ret = -ENOMEM;

	if (!pool)
		return err_set(err, -ENOMEM, "broker: out of memory");
	pool->name = strdup(name);
	pool->dir = dir ? strdup(dir) : NULL;
	gauges.hugetlbfs_dir = pool->dir;
	pool->frame_bytes = frame_bytes;
	ledger_init(&pool->ledger, frame_bytes);
	if (pool->name && (pool->dir || !dir))
		ret = gauges_open(&gauges, &pool->gauges, err);
	if (ret < 0) {
		free_pool(pool);
		return err_set(err, ret, "broker: out of memory");
	}
	while (*end)
		end = &(*end)->next;
	*end = pool;
	broker_pool_step(broker, pool);
	*ret_pool = pool;
	return 0;
}

int broker_pools_open(struct broker *broker, struct err *err)
{
	struct broker_pool *ignored;
	int ret = add_pool(broker, "2M", NULL, HUGE_FRAME_BYTES, &ignored, err);

	return ret < 0 ? ret : add_pool(broker, "4K", NULL, GUEST_PAGE_BYTES, &ignored, err);
}

void broker_pools_close(struct broker *broker)
{
	while (broker->pools) {
		struct broker_pool *pool = broker->pools;

		broker->pools = pool->next;
		free_pool(pool);
	}
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
	if (!pool)
		ret = add_pool(broker, dir, dir, HUGE_FRAME_BYTES, &pool, err);
	if (ret < 0)
		return ret;
	pool->dev = file.st_dev;
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

/* The tightest of all that bounds it. */
static bool read_gauges(const struct gauges *gauges, struct ledger_reading *ret_reading)
{
	struct gauge gauge;

	if (!gauges_read(gauges, 0, &gauge))
		return false;
	*ret_reading = (struct ledger_reading){ gauge.total_bytes, gauge.free_bytes };
	for (unsigned i = 1; i < gauges_count(gauges); i++) {
		if (!gauges_read(gauges, i, &gauge))
			continue;
		ret_reading->total_bytes = least(ret_reading->total_bytes, gauge.total_bytes);
		ret_reading->free_bytes = least(ret_reading->free_bytes, gauge.free_bytes);
	}
	return true;
}

static bool read_pool(const struct broker *broker, const struct broker_pool *pool,
		      struct ledger_reading *ret_reading)
{
	struct ledger_reading host;

	if (!read_gauges(pool->gauges, ret_reading))
		return false;
	if (pool->dir && read_gauges(broker->pools->gauges, &host))
		ret_reading->free_bytes = least(ret_reading->free_bytes, host.free_bytes);
	return true;
}

static void step_with(struct broker *broker, struct broker_pool *pool,
		      const struct ledger_reading *reading)
{
	for (struct broker_vm *vm = pool->vms; vm; vm = vm->next)
		broker_vm_enter_numbers(broker, vm);
	ledger_step(&pool->ledger, reading);
}

void broker_pool_step(struct broker *broker, struct broker_pool *pool)
{
	struct ledger_reading reading = pool->ledger.reading;
	bool failed = !read_pool(broker, pool, &reading);

	if (failed && !pool->cannot_read && pool->vms)
		log_warn("broker", "pool %s cannot be read; its last numbers count", pool->name);
	pool->cannot_read = failed && pool->vms;
	step_with(broker, pool, &reading);
}

void broker_pool_step_again(struct broker *broker, struct broker_pool *pool)
{
	const struct ledger_reading reading = pool->ledger.reading;

	step_with(broker, pool, &reading);
}
