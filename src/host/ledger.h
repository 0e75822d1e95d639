/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ledger.h - who holds how much of one pool, who was promised how much, and what may still be promised.
 * Numbers only: no clock, no I/O, no allocation but for its rows. host_policy.h divides; this keeps the
 * books and holds the invariants.
 *
 *   used      what VMs hold of the pool now
 *   others    total - free - used: what other programs hold
 *   granted   sum of the grants
 *   promised  sum of max(0, grant - held): granted and not used yet
 *   room      what could still be promised: free - promised - the soft mark
 * Threads: one owner.
 */
#ifndef NEAP_HOST_LEDGER_H
#define NEAP_HOST_LEDGER_H

#include "base/err.h"
#include "policy/host_policy.h"

/* One VM's row. The owner writes the inputs and keeps the row where it is until ledger_remove(). */
struct ledger_row {
	char name[64];
	struct host_vm vm; /* minimum, maximum, want, held, weight, active, reserved; grant */
	uint64_t
		startup_bytes; /* while is_starting: what it was admitted with; its want and minimum */
	bool is_starting;      /* admitted, has not told its numbers yet */
	bool is_silent;	       /* does not answer: is promised nothing beyond what it holds */
	bool is_manual;	       /* its mode is manual or off: it keeps what it has, up to its want */
	uint64_t told_bytes; /* the grant that the VM was told last; 0: none */
	unsigned slot;	     /* the ledger's own */
};

struct ledger_reading { /* of the pool, now */
	uint64_t total_bytes, free_bytes;
};

struct ledger {
	uint64_t frame_bytes;
	struct ledger_reading reading;
	struct host_marks marks;
	enum host_state state;
	uint64_t used_bytes, others_bytes, granted_bytes, promised_bytes, room_bytes;
	bool minimums_fit;
	struct ledger_row **rows;
	unsigned count, capacity;
	struct host_vm *scratch;
	uint32_t *order;
};

void ledger_init(struct ledger *ledger, uint64_t frame_bytes);
void ledger_fini(struct ledger *ledger);
int ledger_add(struct ledger *ledger, struct ledger_row *row); /* -ENOMEM */
void ledger_remove(struct ledger *ledger, struct ledger_row *row);

/* Divide anew: writes every row's vm.grant_bytes and all sums. 1,000 rows in less than 2 ms. */
void ledger_step(struct ledger *ledger, const struct ledger_reading *reading);

/* What a refusal is made of. */
struct ledger_admission {
	bool now;     /* it can start at once */
	bool in_time; /* it can when others gave back what they do not need */
	uint64_t startup_bytes, room_bytes, reclaimable_bytes;
};
void ledger_admit(const struct ledger *ledger, uint64_t startup_bytes,
		  struct ledger_admission *ret_admission);

/* The invariants, for tests and debug builds: 0, or -EINVAL with the one that is broken. */
int ledger_check(const struct ledger *ledger, struct err *err);

#endif
