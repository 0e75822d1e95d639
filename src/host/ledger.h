/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ledger.h - who holds how much of one pool, who was promised how much, and what may still be promised.
 * Numbers only: no clock, no I/O, no allocation but for its rows. host_policy.h divides; this keeps the
 * books and holds the invariants.
 *
 *   used      what VMs hold of the pool now
 *   others    total - free - used: what other programs hold
 *   due       a VM's share, by host_divide(): what it shall have in the end
 *   grant     what it may have now: its due, as far as that is there already; and more, when nobody
 *             needs it, so that it can grow at once
 *   granted   sum of the grants
 *   promised  sum of what was granted as due and is not held yet
 *   lent      sum of what was granted beyond due, held or not
 *   owed      sum of what is held beyond due: it comes back
 *   room      what could still be promised: free - the soft mark - promised
 * Threads: one owner.
 */
#ifndef NEAP_HOST_LEDGER_H
#define NEAP_HOST_LEDGER_H

#include "base/err.h"
#include "policy/host_policy.h"

/* One VM's row. The owner writes the inputs and keeps the row where it is until ledger_remove(). */
struct ledger_row {
	char name[64];
	struct host_vm
		vm; /* minimum, maximum, want, held, weight, active, reserved; grant: its due */
	uint64_t startup_bytes; /* while is_starting: its want and its minimum */
	bool is_starting; /* admitted, has not told its numbers yet; what it holds is a guess */
	bool is_waiting; /* not admitted yet: what can be had is kept for it, up to startup_bytes */
	bool is_silent;	 /* does not answer: is promised nothing beyond what it holds */
	bool is_manual;	 /* its mode is manual or off: never asked for what it has */

	uint64_t grant_bytes; /* the answer */
	uint64_t lent_bytes;  /* its part of what is lent, of which it may hold some already */
	uint64_t told_bytes;  /* the grant that the VM was told last; 0: none. The owner's */
	unsigned slot;	      /* the ledger's own */
};

struct ledger_reading { /* of the pool, now */
	uint64_t total_bytes, free_bytes;
};

struct ledger {
	uint64_t frame_bytes;
	struct ledger_reading reading;
	struct host_marks marks;
	enum host_state state;
	uint64_t pool_bytes; /* that was divided: free and used, less the soft mark */
	uint64_t used_bytes, others_bytes, granted_bytes, promised_bytes, lent_bytes, owed_bytes;
	uint64_t room_bytes;
	uint64_t others_before_bytes; /* before somebody was starting */
	bool somebody_started;	      /* at the last step */
	uint64_t least_bytes;	      /* sum of what cannot be taken from anybody */
	bool minimums_fit;
	bool wants_fit; /* everybody's due is its want */
	struct ledger_row **rows;
	unsigned count, capacity;
	struct host_vm *scratch;
	uint32_t *order;
};

void ledger_init(struct ledger *ledger, uint64_t frame_bytes);
void ledger_fini(struct ledger *ledger);
int ledger_add(struct ledger *ledger, struct ledger_row *row); /* -ENOMEM */
void ledger_remove(struct ledger *ledger, struct ledger_row *row);

/* Divide anew: writes every row's vm.grant_bytes and grant_bytes, and all sums. What a row says of
 * itself may be anything. 1,000 rows in less than 2 ms. */
void ledger_step(struct ledger *ledger, const struct ledger_reading *reading);

/* What a refusal is made of. */
struct ledger_admission {
	bool now;     /* it can start at once */
	bool in_time; /* it can when others gave back what they have above their minimums */
	bool ever;    /* it fits a pool that nobody else uses */
	uint64_t startup_bytes, room_bytes, reclaimable_bytes;
};
/* As of the last ledger_step(). A VM that is admitted is added, and stepped, before the next is asked
 * for. */
void ledger_admit(const struct ledger *ledger, uint64_t startup_bytes,
		  struct ledger_admission *ret_admission);

/* For a row that is_waiting: is all that it needs there? */
bool ledger_is_served(const struct ledger_row *row);

/* The invariants of ledger.c, for tests and debug builds: 0, or -EINVAL with the one that is broken. */
int ledger_check(const struct ledger *ledger, struct err *err);

#endif
