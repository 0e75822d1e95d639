/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* unreadable.c - guest memory that cannot be read back from swap: the VM pauses, and we say so.
 *
 * Problem. A disk that fails, or bytes on it that are not those which were written, leave a block of
 * guest RAM without its content. Nothing is made up: who touches the block sleeps, and the swapper
 * tries again every second. But a guest of which one vCPU stands still while the clock goes on does
 * strange things (watchdogs, timeouts), so the whole VM is paused, and goes on when all is well.
 *
 * Invariants
 *  U1  Any thread notes; the control thread alone pauses, resumes and tells (as F3 in famine.c).
 *  U2  A VM is resumed by us only if we paused it and nobody paused it since. A VM that somebody
 *      resumed meanwhile runs: whoever touches the block sleeps on. It is paused again when another
 *      block is lost.
 *  U3  A reset makes all of it void: what was lost is gone by the guest's own wish.
 * Limits. A vCPU that sleeps for the block and that no signal reaches (Linux before 6.3) is not
 * waited for: it runs no guest code.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "machine/machine_internal.h"

enum { PAUSE_MS = 20 };

/* A copy of what was noted. */
struct note {
	uint64_t lost, lost_total, address;
	char reason[REASON_BYTES];
};

static void read_note(struct machine *machine, struct note *ret_note)
{
	struct unreadable *unreadable = &machine->unreadable;

	(void)pthread_mutex_lock(&unreadable->lock);
	ret_note->lost = unreadable->lost;
	ret_note->lost_total = unreadable->lost_total;
	ret_note->address = unreadable->address;
	memcpy(ret_note->reason, unreadable->reason, sizeof(ret_note->reason));
	(void)pthread_mutex_unlock(&unreadable->lock);
}

static void tell(struct machine *machine, const char *kind, const struct note *note)
{
	events_publish(machine, kind,
		       json_pack("{s:I, s:s}", "guest_address", (json_int_t)note->address, "reason",
				 note->reason));
}

static void on_lost(struct machine *machine, const struct note *note)
{
	char reason[REASON_BYTES];

	log_error("swap", "%s", note->reason);
	tell(machine, "memory.unreadable", note);
	if (machine->life.state != API_STATE_RUNNING || !machine->vcpus)
		return;
	vcpus_pause(machine->vcpus);
	machine->unreadable.paused_vm = true;
	(void)snprintf(
		reason, sizeof(reason),
		"guest memory cannot be read back from swap: %.1900s; it is tried again every "
		"second",
		note->reason);
	lifecycle_set_state(machine, API_STATE_PAUSED, reason);
}

static void on_found(struct machine *machine, const struct note *note)
{
	bool resume = machine->unreadable.paused_vm;

	log_info("swap", "all guest memory can be read back again");
	tell(machine, "memory.readable", note);
	machine->unreadable.paused_vm = false;
	if (resume)
		lifecycle_resume(machine); /* U2 */
}

static void on_unreadable_changed(void *arg)
{
	struct machine *machine = arg;
	struct unreadable *unreadable = &machine->unreadable;
	struct note note;

	read_note(machine, &note);
	if (note.lost > 0 && note.lost_total != unreadable->told_total) {
		unreadable->told_total = note.lost_total;
		unreadable->told = true;
		on_lost(machine, &note);
	} else if (note.lost == 0 && unreadable->told) {
		unreadable->told_total = note.lost_total;
		unreadable->told = false;
		on_found(machine, &note);
	}
}

void unreadable_init(struct machine *machine)
{
	(void)pthread_mutex_init(&machine->unreadable.lock, NULL);
	machine->unreadable.changed =
		(struct loop_task){ .run = on_unreadable_changed, .arg = machine };
}

void unreadable_fini(struct machine *machine)
{
	(void)pthread_mutex_destroy(&machine->unreadable.lock);
}

void unreadable_note(void *ctx, gpa_t gpa, const char *why, bool lost)
{
	struct machine *machine = ctx;
	struct unreadable *unreadable = &machine->unreadable;

	(void)pthread_mutex_lock(&unreadable->lock);
	if (lost) {
		unreadable->lost++;
		unreadable->lost_total++;
	} else if (unreadable->lost > 0) { /* else it was forgotten */
		unreadable->lost--;
	}
	unreadable->address = gpa.addr;
	(void)snprintf(unreadable->reason, sizeof(unreadable->reason), "%s", why ? why : "");
	(void)pthread_mutex_unlock(&unreadable->lock);
	loop_post(&machine->control, &unreadable->changed); /* U1 */
}

void unreadable_forget(struct machine *machine) /* U3 */
{
	struct unreadable *unreadable = &machine->unreadable;

	(void)pthread_mutex_lock(&unreadable->lock);
	unreadable->lost = 0;
	(void)pthread_mutex_unlock(&unreadable->lock);
	unreadable->paused_vm = false;
	loop_post(&machine->control, &unreadable->changed);
}
