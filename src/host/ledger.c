/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* ledger.c - see ledger.h.
 *
 * Problem. host_divide() says what each VM shall have in the end. What is not there yet cannot be
 * promised to anybody: a VM gives back over seconds, and if another were told its whole share at once,
 * it would run into an empty pool. And when there is plenty, a VM that was told exactly what it wants
 * would have to ask before it can grow.
 * Design. What is divided is what VMs hold and what is free, but for the soft mark: so what other
 * programs hold is theirs, and a pool that shrinks takes from everybody by rho. Then
 *   who has more than its due is told its due at once: it owes the rest;
 *   who has less is told what it has and a part of what is free now: starting VMs first, for theirs was
 *   promised; the others in proportion to what they lack;
 *   when everybody's want is met and the pool is clear, half of what is left is lent: each VM may grow
 *   by the same part of its due without asking, and one that has more than it wants is in no hurry.
 * The numbers of VMs are a second old, and a VM may lie. Held is at most the maximum, and all that
 * is held at most what is gone from the pool.
 *
 * Invariants (ledger_check)
 *  L1  What was granted and is not held, lent or not, is free now, above the soft mark.
 *  L2  The dues are at most what was divided, unless what may not be taken from anybody exceeds it.
 *  L3  A reserved VM, and a silent one, keeps what it holds, and is promised no more.
 *  L4  Nobody's grant is above its maximum, or what it starts with.
 *  L5  Who has more than its due is granted its due; or, while there is enough for all, what it has.
 *  L6  used + others + free = total, unless more was claimed than is gone; and the sums are sums.
 *  L7  Nothing is lent while anybody's want is not met (of one that waits, if it can be), or the pool
 *      is short.
 * Limits. Numbers below 2^50 bytes each and 2^20 rows: the owner bounds what VMs claim.
 */
#include "host/ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bounds.h"
#include "base/units.h"

enum { ROWS_AT_FIRST = 16, LENT_PART = 2 };

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* @whole x @part / @of, in whole frames; part <= of. */
static uint64_t share_of(const struct ledger *ledger, uint64_t whole, uint64_t part, uint64_t of)
{
	unsigned __int128 product = (unsigned __int128)whole * part;

	return of ? align_down((uint64_t)(product / of), ledger->frame_bytes) : 0;
}

void ledger_init(struct ledger *ledger, uint64_t frame_bytes)
{
	*ledger = (struct ledger){ .frame_bytes = frame_bytes };
}

void ledger_fini(struct ledger *ledger)
{
	free(ledger->rows);
	free(ledger->scratch);
	free(ledger->order);
	*ledger = (struct ledger){ 0 };
}

static int make_room(struct ledger *ledger)
{
	unsigned capacity = ledger->capacity ? 2 * ledger->capacity : ROWS_AT_FIRST;
	struct ledger_row **rows =
		reallocarray(ledger->rows, capacity, sizeof(struct ledger_row *));
	struct host_vm *scratch;
	uint32_t *order;

	if (!rows)
		return -ENOMEM;
	ledger->rows = rows;
	scratch = reallocarray(ledger->scratch, capacity, sizeof(*scratch));
	if (!scratch)
		return -ENOMEM;
	ledger->scratch = scratch;
	order = reallocarray(ledger->order, capacity, sizeof(*order));
	if (!order)
		return -ENOMEM;
	ledger->order = order;
	ledger->capacity = capacity;
	return 0;
}

int ledger_add(struct ledger *ledger, struct ledger_row *row)
{
	if (ledger->count == ledger->capacity && make_room(ledger) < 0)
		return -ENOMEM;
	row->slot = ledger->count;
	ledger->rows[ledger->count++] = row;
	return 0;
}

void ledger_remove(struct ledger *ledger, struct ledger_row *row)
{
	struct ledger_row *last = ledger->rows[--ledger->count];

	ledger->rows[row->slot] = last;
	last->slot = row->slot;
}

/* ---- One step ---- */

static bool is_new(const struct ledger_row *row)
{
	return row->is_starting || row->is_waiting;
}

/* Does it take part in what the others have, or does it keep what it has, whatever that is? */
static bool is_fixed(const struct ledger_row *row)
{
	return row->is_silent || (row->vm.reserved && !is_new(row));
}

static uint64_t limit_of(const struct ledger *ledger, const struct ledger_row *row)
{
	uint64_t bytes = row->vm.maximum_bytes;

	if (is_new(row))
		bytes = most(bytes, row->startup_bytes);
	return align_down(bytes, ledger->frame_bytes);
}

static uint64_t held_by(const struct ledger *ledger, const struct ledger_row *row)
{
	return align_down(least(row->vm.held_bytes, limit_of(ledger, row)), ledger->frame_bytes);
}

/* The row as host_divide() wants it. */
static struct host_vm claim_of(const struct ledger *ledger, const struct ledger_row *row)
{
	struct host_vm vm = row->vm;

	vm.held_bytes = held_by(ledger, row);
	vm.maximum_bytes = limit_of(ledger, row);
	vm.reserved = is_fixed(row);
	if (is_new(row)) {
		vm.minimum_bytes = vm.want_bytes = row->startup_bytes;
	} else if (row->is_manual) {
		vm.minimum_bytes = vm.held_bytes;
		vm.want_bytes = most(vm.want_bytes, vm.held_bytes);
	}
	return vm;
}

static uint64_t sum_held(const struct ledger *ledger)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ledger->count; i++)
		sum += held_by(ledger, ledger->rows[i]);
	return sum;
}

/* A VM that starts takes memory before it tells its numbers. What others seem to hold more than before
 * is thought to be its, up to what it was admitted with: else it would be counted twice, taken and
 * promised, and the rest would be pressed for it. */
static void guess_starting(struct ledger *ledger, uint64_t gone_bytes)
{
	uint64_t others_bytes, grown_bytes;
	bool somebody_starts = false;

	for (unsigned i = 0; i < ledger->count; i++)
		if (ledger->rows[i]->is_starting) {
			ledger->rows[i]->vm.held_bytes = 0;
			somebody_starts = true;
		}
	others_bytes = less(gone_bytes, sum_held(ledger));
	if (!ledger->somebody_started || others_bytes < ledger->others_before_bytes)
		ledger->others_before_bytes = others_bytes;
	ledger->somebody_started = somebody_starts;
	grown_bytes = others_bytes - ledger->others_before_bytes;
	for (unsigned i = 0; i < ledger->count; i++) {
		struct ledger_row *row = ledger->rows[i];

		if (!row->is_starting)
			continue;
		row->vm.held_bytes =
			align_down(least(row->startup_bytes, grown_bytes), ledger->frame_bytes);
		grown_bytes -= row->vm.held_bytes;
	}
}

static void read_pool(struct ledger *ledger, const struct ledger_reading *reading)
{
	uint64_t gone_bytes;

	ledger->reading.total_bytes = reading->total_bytes;
	ledger->reading.free_bytes = least(reading->free_bytes, reading->total_bytes);
	ledger->marks = host_marks(reading->total_bytes);
	ledger->state = host_state_step(&ledger->marks, ledger->state, ledger->reading.free_bytes);
	gone_bytes = ledger->reading.total_bytes - ledger->reading.free_bytes;
	guess_starting(ledger, gone_bytes);
	ledger->used_bytes = sum_held(ledger);
	ledger->others_bytes = less(gone_bytes, ledger->used_bytes);
	ledger->pool_bytes =
		less(ledger->reading.free_bytes + least(ledger->used_bytes, gone_bytes),
		     ledger->marks.enter_bytes[HOST_SOFT]);
}

/* Free now, and nobody's: what may be promised at all. */
static uint64_t available_bytes(const struct ledger *ledger)
{
	return less(ledger->reading.free_bytes, ledger->marks.enter_bytes[HOST_SOFT]);
}

/* What a VM that waits cannot get even if all others went down to their minimums is not asked of them:
 * it has to wait for one that ends. */
static bool drop_vain_claims(struct ledger *ledger)
{
	bool dropped = false;
	uint64_t sum = 0;

	for (unsigned i = 0; i < ledger->count; i++)
		if (!ledger->rows[i]->is_waiting)
			sum += ledger->scratch[i].least_frames * ledger->frame_bytes;
	for (unsigned i = 0; i < ledger->count; i++) {
		struct host_vm *vm = &ledger->scratch[i];

		if (!ledger->rows[i]->is_waiting || sum + vm->minimum_bytes <= ledger->pool_bytes)
			continue;
		vm->minimum_bytes = vm->want_bytes = 0;
		dropped = true;
	}
	return dropped;
}

static void divide(struct ledger *ledger)
{
	for (unsigned i = 0; i < ledger->count; i++)
		ledger->scratch[i] = claim_of(ledger, ledger->rows[i]);
	ledger->minimums_fit = host_divide(ledger->scratch, ledger->count, ledger->pool_bytes,
					   ledger->frame_bytes, ledger->order);
	if (!ledger->minimums_fit && drop_vain_claims(ledger))
		ledger->minimums_fit =
			host_divide(ledger->scratch, ledger->count, ledger->pool_bytes,
				    ledger->frame_bytes, ledger->order);
	ledger->least_bytes = 0;
	ledger->wants_fit = true;
	for (unsigned i = 0; i < ledger->count; i++) {
		const struct host_vm *vm = &ledger->scratch[i];
		struct ledger_row *row = ledger->rows[i];

		row->vm.grant_bytes = least(vm->grant_bytes, limit_of(ledger, row));
		if (!row->is_waiting)
			ledger->least_bytes += vm->least_frames * ledger->frame_bytes;
		ledger->wants_fit &= vm->grant_bytes >= vm->most_frames * ledger->frame_bytes;
	}
}

/* What it lacks of its due. */
static uint64_t gap_of(const struct ledger *ledger, const struct ledger_row *row)
{
	return less(row->vm.grant_bytes, held_by(ledger, row));
}

static uint64_t sum_of_gaps(const struct ledger *ledger, bool of_starting)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ledger->count; i++)
		if (ledger->rows[i]->is_starting == of_starting)
			sum += gap_of(ledger, ledger->rows[i]);
	return sum;
}

/* Of @there bytes to those that start, or to the others. Returns what is left. */
static uint64_t promise(struct ledger *ledger, bool to_starting, uint64_t there)
{
	uint64_t gaps = sum_of_gaps(ledger, to_starting), left = there;

	for (unsigned i = 0; i < ledger->count; i++) {
		struct ledger_row *row = ledger->rows[i];
		uint64_t gap = gap_of(ledger, row);

		if (row->is_starting != to_starting)
			continue;
		row->grant_bytes = row->vm.grant_bytes;
		row->lent_bytes = 0;
		if (gaps > there && gap > 0)
			row->grant_bytes =
				held_by(ledger, row) + share_of(ledger, there, gap, gaps);
		left -= less(row->grant_bytes, held_by(ledger, row));
	}
	return left;
}

static bool may_borrow(const struct ledger_row *row)
{
	return !is_new(row) && !is_fixed(row) && !row->is_manual;
}

/* Somebody has not what it is due, or could have more than that. */
static bool somebody_lacks(const struct ledger *ledger)
{
	for (unsigned i = 0; i < ledger->count; i++) {
		const struct ledger_row *row = ledger->rows[i];

		if (row->grant_bytes < row->vm.grant_bytes ||
		    (row->is_waiting && row->vm.grant_bytes > 0))
			return true;
	}
	return !ledger->wants_fit;
}

static void lend(struct ledger *ledger, uint64_t left)
{
	uint64_t dues = 0;

	if (ledger->state != HOST_CLEAR || somebody_lacks(ledger)) /* L7 */
		return;
	for (unsigned i = 0; i < ledger->count; i++)
		if (may_borrow(ledger->rows[i]))
			dues += ledger->rows[i]->vm.grant_bytes;
	for (unsigned i = 0; i < ledger->count; i++) {
		struct ledger_row *row = ledger->rows[i];
		uint64_t due = row->vm.grant_bytes;

		if (!may_borrow(row))
			continue;
		row->lent_bytes = share_of(ledger, left / LENT_PART, due, dues);
		row->grant_bytes = least(limit_of(ledger, row), due + row->lent_bytes);
		row->grant_bytes = most(row->grant_bytes, held_by(ledger, row));
	}
}

static void add_up(struct ledger *ledger)
{
	ledger->granted_bytes = ledger->promised_bytes = ledger->lent_bytes = 0;
	ledger->owed_bytes = 0;
	for (unsigned i = 0; i < ledger->count; i++) {
		const struct ledger_row *row = ledger->rows[i];
		uint64_t due = row->vm.grant_bytes;

		ledger->granted_bytes += row->grant_bytes;
		ledger->promised_bytes += less(least(row->grant_bytes, due), held_by(ledger, row));
		ledger->lent_bytes += less(row->grant_bytes, due);
		ledger->owed_bytes += less(held_by(ledger, row), due);
	}
	ledger->room_bytes = less(available_bytes(ledger), ledger->promised_bytes);
}

void ledger_step(struct ledger *ledger, const struct ledger_reading *reading)
{
	uint64_t left;

	read_pool(ledger, reading);
	divide(ledger);
	left = promise(ledger, true, available_bytes(ledger));
	left = promise(ledger, false, left);
	lend(ledger, left);
	add_up(ledger);
}

/* ---- Admission ---- */

void ledger_admit(const struct ledger *ledger, uint64_t startup_bytes,
		  struct ledger_admission *ret_admission)
{
	uint64_t soft_bytes = ledger->marks.enter_bytes[HOST_SOFT];
	uint64_t most_bytes = less(ledger->pool_bytes, ledger->least_bytes);

	*ret_admission = (struct ledger_admission){
		.startup_bytes = startup_bytes,
		.room_bytes = ledger->room_bytes,
		.reclaimable_bytes = less(most_bytes, ledger->room_bytes),
		.now = startup_bytes <= ledger->room_bytes && ledger->state < HOST_LOW,
		.in_time = startup_bytes <= most_bytes,
		.ever = startup_bytes <= less(ledger->reading.total_bytes, soft_bytes),
	};
}

bool ledger_is_served(const struct ledger_row *row)
{
	return row->is_waiting && row->grant_bytes >= row->startup_bytes;
}

/* ---- The invariants ---- */

static int check_row(const struct ledger *ledger, const struct ledger_row *row, struct err *err)
{
	uint64_t held = held_by(ledger, row), due = row->vm.grant_bytes;

	if (is_fixed(row) && (due != held || row->grant_bytes != held))
		return err_set(err, -EINVAL,
			       "L3: %s is reserved or silent, holds %" PRIu64
			       ", and is granted %" PRIu64,
			       row->name, held, row->grant_bytes);
	if (row->grant_bytes > limit_of(ledger, row))
		return err_set(err, -EINVAL, "L4: %s is granted %" PRIu64 ", its most is %" PRIu64,
			       row->name, row->grant_bytes, limit_of(ledger, row));
	if (held > due && row->grant_bytes != due && row->grant_bytes < held)
		return err_set(err, -EINVAL,
			       "L5: %s holds %" PRIu64 ", is due %" PRIu64
			       ", and is granted %" PRIu64,
			       row->name, held, due, row->grant_bytes);
	return 0;
}

struct sums {
	uint64_t used, due, granted, unheld, promised, lent, fixed;
	bool somebody_waits;
};

static struct sums sum_rows(const struct ledger *ledger)
{
	struct sums sums = { 0 };

	for (unsigned i = 0; i < ledger->count; i++) {
		const struct ledger_row *row = ledger->rows[i];
		uint64_t held = held_by(ledger, row), due = row->vm.grant_bytes;

		sums.used += held;
		sums.due += due;
		sums.fixed += is_fixed(row) ? held : 0;
		sums.granted += row->grant_bytes;
		sums.unheld += less(row->grant_bytes, held);
		sums.promised += less(least(row->grant_bytes, due), held);
		sums.lent += less(row->grant_bytes, due);
		sums.somebody_waits |= row->is_waiting && due > 0;
	}
	return sums;
}

static int check_sums(const struct ledger *ledger, const struct sums *sums, struct err *err)
{
	uint64_t total = ledger->reading.total_bytes, free_bytes = ledger->reading.free_bytes;
	uint64_t available = less(free_bytes, ledger->marks.enter_bytes[HOST_SOFT]);

	if (sums->unheld > available)
		return err_set(err, -EINVAL,
			       "L1: %" PRIu64 " are promised or lent, and %" PRIu64
			       " are free above the soft mark",
			       sums->unheld, available);
	if (sums->due > ledger->pool_bytes && sums->due > sums->fixed)
		return err_set(err, -EINVAL, "L2: %" PRIu64 " are due of %" PRIu64, sums->due,
			       ledger->pool_bytes);
	if (sums->used != ledger->used_bytes || sums->granted != ledger->granted_bytes ||
	    sums->promised != ledger->promised_bytes || sums->lent != ledger->lent_bytes)
		return err_set(err, -EINVAL, "L6: a sum is not that of its rows");
	if (ledger->used_bytes <= total - free_bytes &&
	    ledger->used_bytes + ledger->others_bytes + free_bytes != total)
		return err_set(err, -EINVAL, "L6: the pool does not add up");
	if (sums->lent &&
	    (!ledger->wants_fit || sums->somebody_waits || ledger->state != HOST_CLEAR))
		return err_set(err, -EINVAL, "L7: %" PRIu64 " are lent while the pool is short",
			       sums->lent);
	return 0;
}

int ledger_check(const struct ledger *ledger, struct err *err)
{
	struct sums sums = sum_rows(ledger);

	for (unsigned i = 0; i < ledger->count; i++) {
		int ret = check_row(ledger, ledger->rows[i], err);

		if (ret < 0)
			return ret;
		if (ledger->rows[i]->slot != i)
			return err_set(err, -EINVAL, "row %u is not in its place", i);
	}
	return check_sums(ledger, &sums, err);
}
