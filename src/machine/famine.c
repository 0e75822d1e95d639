/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* famine.c - the guest touches new memory, and the pool is empty or its grant used up: it waits, and we
 * say so.
 *
 * Problem. Without a frame to give, other monitors die of SIGBUS. Here whoever needs the frame
 * waits: a vCPU in the kernel until the pager has a frame for it (without a pager: in its exit
 * handler), a device queue in its stall timer. All ask again every few milliseconds, so the guest
 * goes on soon after pages return, whoever returned them. The pager counts as one that waits.
 * Invariants
 *  F1  A waiting thread is counted exactly once: `counted_in` (thread-local) holds the generation
 *      it was counted in.
 *  F2  A reset starts a new generation and sets the count to zero; a thread counted in an older
 *      one does not count itself out.
 *  F3  `waiting` going 0 -> 1 and 1 -> 0 wakes the control thread, which alone tells the world.
 * Limits. A wait has no end of its own. vm.kill works meanwhile; vm.pause and vm.reset do, but for
 * a vCPU that the kernel does not let a signal reach (memory/pager.c, "Limits").
 */
#include <errno.h>

#include "base/clock.h"
#include "machine/machine_internal.h"

static _Thread_local unsigned counted_in; /* 0 = not waiting */

static json_t *describe(struct machine *machine)
{
	bool over_grant = ram_wants_grant(machine->ram);
	struct hostmem_pool pool = { 0 };
	struct ram_statistics statistics;
	json_t *data;

	(void)memory_view_pool(machine, &pool);
	data = json_pack("{s:I, s:I, s:s}", "guest_address",
			 (json_int_t)atomic_load(&machine->famine.address), "free_bytes",
			 (json_int_t)(pool.free_frames * pool.frame_bytes), "cause",
			 over_grant ? "grant" : "pool");
	if (!over_grant)
		return data;
	ram_read_statistics(machine->ram, &statistics);
	(void)json_object_update_new(
		data,
		json_pack("{s:I, s:I, s:I}", "grant_bytes", (json_int_t)machine->grant.told_bytes,
			  "most_bytes", (json_int_t)statistics.grant_most_bytes, "held_bytes",
			  (json_int_t)ram_resident_bytes(machine->ram)));
	return data;
}

static void on_famine_changed(void *arg)
{
	struct machine *machine = arg;
	struct famine *famine = &machine->famine;
	bool waiting = atomic_load(&famine->waiting) > 0;

	if (waiting == famine->told)
		return;
	famine->told = waiting;
	if (waiting) {
		events_publish(machine, "memory.famine", describe(machine));
	} else {
		events_publish(machine, "memory.relief",
			       json_pack("{s:I}", "waited_ns",
					 (json_int_t)famine_waited_ns(machine)));
	}
	events_state(machine);
}

void famine_init(struct machine *machine)
{
	atomic_init(&machine->famine.generation, 1);
	machine->famine.changed = (struct loop_task){ .run = on_famine_changed, .arg = machine };
}

int famine_wait(struct machine *machine, uint64_t guest_address)
{
	struct famine *famine = &machine->famine;
	unsigned generation = atomic_load(&famine->generation);

	if (counted_in == generation)
		return -EAGAIN;
	counted_in = generation; /* F1 */
	if (atomic_fetch_add(&famine->waiting, 1) == 0) {
		atomic_store(&famine->since_ns, clock_now_ns());
		atomic_store(&famine->address, guest_address);
		atomic_fetch_add(&famine->waits, 1);
		loop_post(&machine->control, &famine->changed); /* F3 */
	}
	return -EAGAIN;
}

static void count_waited(struct famine *famine)
{
	uint64_t since_ns = atomic_exchange(&famine->since_ns, 0);

	if (since_ns)
		atomic_fetch_add(&famine->waited_ns, clock_now_ns() - since_ns);
}

void famine_over(struct machine *machine)
{
	struct famine *famine = &machine->famine;

	if (counted_in == 0)
		return;
	if (counted_in == atomic_load(&famine->generation) && /* F2 */
	    atomic_fetch_sub(&famine->waiting, 1) == 1) {
		count_waited(famine);
		loop_post(&machine->control, &famine->changed); /* F3 */
	}
	counted_in = 0;
}

void famine_forget(struct machine *machine)
{
	struct famine *famine = &machine->famine;

	atomic_fetch_add(&famine->generation, 1); /* F2 */
	if (atomic_exchange(&famine->waiting, 0) > 0)
		count_waited(famine);
	loop_post(&machine->control, &famine->changed);
}

uint64_t famine_waited_ns(const struct machine *machine)
{
	uint64_t since_ns = atomic_load(&machine->famine.since_ns);

	return atomic_load(&machine->famine.waited_ns) + (since_ns ? clock_now_ns() - since_ns : 0);
}
