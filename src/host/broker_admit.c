/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* broker_admit.c - who may start now, who waits, and what is said to who may not.
 *
 * Who waits does so in the order of asking. The first takes part in the division with what it starts
 * with, so that others give back for it, and starts when all of that is there.
 *  A1  While the first could be served if others gave back, nobody else starts: what came back would
 *      go to whoever asks next, and the first would wait for ever.
 *  A2  While it could not (it waits for a VM that ends), others that fit now go before it, at most
 *      OVERTAKEN_MOST of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/units.h"
#include "host/broker_internal.h"

enum { OVERTAKEN_MOST = 8 };

/* ---- Refusals ---- */

struct said {
	char startup[UNITS_TEXT_BYTES], room[UNITS_TEXT_BYTES], reclaimable[UNITS_TEXT_BYTES];
	char total[UNITS_TEXT_BYTES], free_text[UNITS_TEXT_BYTES], promised[UNITS_TEXT_BYTES];
	char soft[UNITS_TEXT_BYTES];
};

static void say_numbers(const struct ledger *ledger, const struct ledger_admission *admission,
			struct said *said)
{
	(void)units_format_size(admission->startup_bytes, said->startup);
	(void)units_format_size(admission->room_bytes, said->room);
	(void)units_format_size(admission->reclaimable_bytes, said->reclaimable);
	(void)units_format_size(ledger->reading.total_bytes, said->total);
	(void)units_format_size(ledger->reading.free_bytes, said->free_text);
	(void)units_format_size(ledger->promised_bytes, said->promised);
	(void)units_format_size(ledger->marks.enter_bytes[HOST_SOFT], said->soft);
}

static const char *more_memory(const struct broker_pool *pool)
{
	if (pool->dir)
		return "mount one with a larger size=";
	return pool->frame_bytes == HUGE_FRAME_BYTES ? "reserve more huge pages (see neap doctor)"
						     : "give the host more memory";
}

static int refuse(const struct broker_pool *pool, const char *name,
		  const struct ledger_admission *admission, bool is_behind, struct err *err)
{
	struct said said;

	say_numbers(&pool->ledger, admission, &said);
	if (!admission->ever)
		return err_set(err, -ENOMEM,
			       "%s starts with %s, and pool %s has %s in all, %s of it kept free; "
			       "lower memory.startup, or %s",
			       name, said.startup, pool->name, said.total, said.soft,
			       more_memory(pool));
	if (is_behind)
		return err_set(
			err, -ENOMEM,
			"%s starts with %s, and other VMs wait for memory of pool %s, which "
			"has room for %s; start it with --wait to wait behind them, or lower "
			"its memory.startup",
			name, said.startup, pool->name, said.room);
	if (admission->in_time)
		return err_set(
			err, -ENOMEM,
			"%s starts with %s, and pool %s has room for %s (%s free, %s promised "
			"to other VMs, %s kept free); they could give back %s: start it with "
			"--wait, or lower memory.startup",
			name, said.startup, pool->name, said.room, said.free_text, said.promised,
			said.soft, said.reclaimable);
	return err_set(
		err, -ENOMEM,
		"%s starts with %s, and pool %s has room for %s (%s free, %s promised to other "
		"VMs, %s kept free); down to their minimums they could give back %s: stop a "
		"VM, lower memory.startup, or %s",
		name, said.startup, pool->name, said.room, said.free_text, said.promised, said.soft,
		said.reclaimable, more_memory(pool));
}

/* ---- Waiting ---- */

static bool first_is_vain(const struct broker_pool *pool)
{
	return pool->first_wait->vm->row.vm.grant_bytes == 0;
}

/* May somebody go before those that wait, if it fits? */
static bool may_overtake(const struct broker_pool *pool)
{
	return !pool->first_wait ||
	       (first_is_vain(pool) && pool->overtaken < OVERTAKEN_MOST); /* A1, A2 */
}

static int queue_up(struct broker *broker, struct broker_vm *vm,
		    void (*on_room)(void *vm, struct broker_vm *broker_vm),
		    struct broker_wait **ret_wait, struct err *err)
{
	struct broker_pool *pool = vm->pool;
	struct broker_wait *wait = calloc(1, sizeof(*wait)), **end = &pool->first_wait;

	if (!wait)
		return err_set(err, -ENOMEM, "broker: out of memory");
	wait->vm = vm;
	wait->on_room = on_room;
	vm->row.is_waiting = true;
	if (!*end && ledger_add(&pool->ledger, &vm->row) < 0) {
		free(wait);
		return err_set(err, -ENOMEM, "broker: out of memory");
	}
	while (*end)
		end = &(*end)->next;
	*end = wait;
	broker_pool_step(broker, pool);
	broker->wants_tick = true;
	*ret_wait = wait;
	return -EINPROGRESS;
}

static void tell_wait(struct broker *broker, const struct broker_vm *vm)
{
	json_t *data = json_pack("{s:s, s:I, s:I}", "uuid", vm->uuid, "startup_bytes",
				 (json_int_t)vm->row.startup_bytes, "room_bytes",
				 (json_int_t)vm->pool->ledger.room_bytes);

	if (data)
		broker->ops.tell(broker->ops.ctx, vm->vm, "vm.waits", data);
}

/* Out of the line; the next one's claim counts from now on if it was the first. */
static void leave_line(struct broker_pool *pool, struct broker_wait *wait)
{
	struct broker_wait **at = &pool->first_wait;
	bool was_first = *at == wait;

	while (*at != wait)
		at = &(*at)->next;
	*at = wait->next;
	free(wait);
	if (!was_first)
		return;
	pool->overtaken = 0;
	if (pool->first_wait)
		(void)ledger_add(&pool->ledger, &pool->first_wait->vm->row); /* as many as before */
}

void broker_stop_waiting(struct broker *broker, struct broker_wait *wait)
{
	struct broker_vm *vm = wait->vm;
	struct broker_pool *pool = vm->pool;

	if (pool->first_wait == wait)
		ledger_remove(&pool->ledger, &vm->row);
	leave_line(pool, wait);
	free(vm);
	broker->wants_tick = true;
}

void broker_free_waiting(struct broker_pool *pool)
{
	while (pool->first_wait) {
		struct broker_wait *wait = pool->first_wait;

		pool->first_wait = wait->next;
		free(wait->vm);
		free(wait);
	}
}

/* ---- Starting ---- */

static void enter_as_starting(struct broker *broker, struct broker_vm *vm)
{
	vm->row.is_waiting = false;
	vm->row.is_starting = true;
	vm->next = vm->pool->vms;
	vm->pool->vms = vm;
	broker_pool_step_again(broker, vm->pool); /* it was read for the admission */
	broker->wants_tick = true;
}

static void start_waiting(struct broker *broker, struct broker_wait *wait)
{
	void (*on_room)(void *vm, struct broker_vm *broker_vm) = wait->on_room;
	struct broker_vm *vm = wait->vm;

	leave_line(vm->pool, wait);
	enter_as_starting(broker, vm);
	on_room(vm->vm, vm);
}

/* One that is not the first, and fits now (A2). */
static struct broker_wait *find_overtaker(const struct broker_pool *pool)
{
	struct ledger_admission admission;

	if (!pool->first_wait || !may_overtake(pool))
		return NULL;
	for (struct broker_wait *wait = pool->first_wait->next; wait; wait = wait->next) {
		ledger_admit(&pool->ledger, wait->vm->row.startup_bytes, &admission);
		if (admission.now)
			return wait;
	}
	return NULL;
}

void broker_serve_waiting(struct broker *broker, struct broker_pool *pool)
{
	struct broker_wait *overtaker;

	while (pool->first_wait && ledger_is_served(&pool->first_wait->vm->row))
		start_waiting(broker, pool->first_wait);
	while ((overtaker = find_overtaker(pool))) {
		if (ledger_add(&pool->ledger, &overtaker->vm->row) < 0)
			return;
		pool->overtaken++;
		start_waiting(broker, overtaker);
	}
}

int broker_admit(struct broker *broker, const struct broker_vm_config *config, void *owner,
		 bool wait, void (*on_room)(void *vm, struct broker_vm *broker_vm),
		 struct broker_vm **ret_vm, struct broker_wait **ret_wait, struct err *err)
{
	struct ledger_admission admission;
	struct broker_pool *pool;
	struct broker_vm *vm;
	int ret = broker_pool_of(broker, config, &pool, err);

	if (ret == 0)
		ret = broker_vm_create(pool, config, owner, &vm, err);
	if (ret < 0)
		return ret;
	broker_pool_step(broker, pool);
	ledger_admit(&pool->ledger, vm->row.startup_bytes, &admission);
	if (admission.now && may_overtake(pool)) {
		ret = ledger_add(&pool->ledger, &vm->row);
		if (ret == 0) {
			pool->overtaken += pool->first_wait != NULL;
			enter_as_starting(broker, vm);
			*ret_vm = vm;
			return 0;
		}
		(void)err_set(err, ret, "broker: out of memory");
	} else if (wait && admission.ever) {
		ret = queue_up(broker, vm, on_room, ret_wait, err);
		if (ret == -EINPROGRESS) {
			tell_wait(broker, vm);
			return ret;
		}
	} else {
		ret = refuse(pool, config->name, &admission, !may_overtake(pool), err);
	}
	free(vm);
	return ret;
}
