/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* memory_glue.c - guest RAM as the configuration wants it, and what it asks of the other rooms.
 *
 * The memory engine knows neither balloon nor states. It tells of a shortage (famine.c), of a grant
 * that is used up (grant_glue.c), of blocks that cannot be read back (unreadable.c) and of its own end
 * (lifecycle.c), and asks which pages are dead. All of that comes on its own threads, at any time,
 * and returns at once, but for the end.
 *  G1  The swapper outlives the balloon. So it asks under a lock, under which the balloon is
 *      announced and withdrawn.
 */
#include <errno.h>
#include <stdio.h>

#include "machine/machine_internal.h"

/* Reserving can take minutes: answer the socket meanwhile, and stop when somebody ends the VM. */
static bool on_reserve_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
	struct machine *machine = ctx;

	(void)snprintf(machine->life.reason, sizeof(machine->life.reason),
		       "reserving memory: %llu of %llu MiB",
		       (unsigned long long)bytes_to_mib(done_bytes),
		       (unsigned long long)bytes_to_mib(total_bytes));
	(void)uv_run(&machine->control.uv, UV_RUN_NOWAIT);
	return machine->life.state != API_STATE_STOPPED;
}

/* On the pager's thread, which counts as one that waits. */
static void on_starved(void *ctx, gpa_t gpa, bool starving)
{
	if (starving) {
		(void)famine_wait(ctx, gpa.addr);
		policy_starved(ctx);
	} else {
		famine_over(ctx);
	}
}

static void on_wanting(void *ctx)
{
	grant_wanting(ctx);
}

/* On the pager's thread. */
static void on_waits(void *ctx)
{
	policy_waits(ctx);
}

/* On a thread of the memory's that has nothing else to do. */
static void on_failed(void *ctx, const char *why)
{
	lifecycle_fail(ctx, why);
}

static bool on_dead(void *ctx, uint64_t first_page, uint64_t *ret_dead)
{
	struct machine *machine = ctx;
	bool any = false;

	(void)pthread_mutex_lock(&machine->dead_pages.lock); /* G1 */
	if (machine->dead_pages.balloon)
		any = balloon_dead_pages(machine->dead_pages.balloon, first_page, ret_dead);
	(void)pthread_mutex_unlock(&machine->dead_pages.lock);
	return any;
}

void memory_set_balloon(struct machine *machine, const struct balloon *balloon)
{
	(void)pthread_mutex_lock(&machine->dead_pages.lock);
	machine->dead_pages.balloon = balloon;
	(void)pthread_mutex_unlock(&machine->dead_pages.lock);
}

static struct ram_config ram_config_of(struct machine *machine)
{
	const struct vm_config *config = machine->config;
	struct ram_config ram = {
		.ram_bytes = config->memory.maximum_bytes,
		.frame_bytes = vm_config_frame_bytes(config),
		.hugetlbfs_dir = config->memory.hugetlbfs_dir,
		.reserve = config->memory.reserve,
		.progress = on_reserve_progress,
		.progress_ctx = machine,
		.swap = { .dir = config->swap.dir,
			  .size_bytes = config->swap.size_bytes,
			  .encrypt = config->swap.encrypt,
			  .compress = config->swap.compress },
		.limit_bytes = config->memory.limit_bytes,
		.ahead_bytes = config->memory.ahead_bytes,
		.sample_blocks = config->memory.sample_blocks,
		.sample_period_ns = config->memory.sample_period_s * NS_PER_S,
		.trace_path = config->memory.trace_path,
		.events = { .starved = on_starved,
			    .wanting = on_wanting,
			    .waits = on_waits,
			    .failed = on_failed,
			    .unreadable = unreadable_note,
			    .dead = on_dead,
			    .ctx = machine },
	};

	vm_config_uuid(config, ram.swap.vm_uuid);
	return ram;
}

int memory_create(struct machine *machine, struct err *err)
{
	struct ram_config config = ram_config_of(machine);
	int ret = ram_open(&config, &machine->ram, err);

	for (unsigned i = 0; ret == 0 && i < ram_layout(machine->ram)->region_count; i++) {
		const struct ram_region *region = &ram_layout(machine->ram)->regions[i];

		ret = vm_add_memory(machine->vm, region->start, ram_guest_view(machine->ram, i),
				    region->len_bytes, err);
	}
	return ret;
}

void memory_destroy(struct machine *machine)
{
	ram_close(machine->ram);
	machine->ram = NULL;
}
