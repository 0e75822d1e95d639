/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* broker.c - see broker.h. The books are ledger.c's, pools broker_pool.c's, starts broker_admit.c's; here
 * are the VMs' numbers, and what they are told.
 *
 * Problem. Grants change a little with each breath of a pool, and VMs need not hear of it; but one that
 * must give back has to know at once, and one that may not grow any more as well.
 * Design. Each tick compares what a VM may have with what it was told.
 *   With enough for all it is told when that is less than it wants, or when what is lent to it halved
 *   or doubled: a hundred VMs that start one after the other do not tell each other so each time.
 *   Else it is told less at once, and more when that is TELL_PERCENT more, or all that it wants.
 *
 * Invariants
 *  G1  Told are VMs that have told their numbers, answer, and are not reserved. Those in mode manual or
 *      off, or without a balloon, are never asked for what they hold (the books have that as their
 *      minimum), but they do not get more than their grant either.
 *  G2  Where wants do not fit, or the pool is short, nobody was told more than its grant in the books.
 *      Elsewhere what was told and is not held is free: what is lent is half of what is left.
 *  G3  What a VM believes is right in the end: its numbers have the grant that it lives by, and one
 *      that is not what it was told, RETELL_MS later, is told again. So neither a lost call nor a
 *      daemon that was restarted matters.
 *  G4  For BOOT_GRACE_S after its start or a reset a VM keeps what it starts with, whatever it is told
 *      (policy); the books have that as its minimum.
 *
 *  G5  One that waits at its grant is taken to want a quarter more than it holds, for NEED_MS: then its
 *      own numbers have that. It gets a tick at once, and any rise, however small; and while it waits
 *      it is told its grant every RETELL_MS, so that it knows that it was heard (machine/grant_glue.c).
 *  G6  While a VM that runs already has just been found and has not told its numbers, nobody's grant is
 *      raised, for STRANGER_MS at most: what it shall have is not known, and would go to who asks first.
 *
 * How far above its grant a VM can be
 *   What it gives back comes at min(5 % of what it has, 1/8 of what is too much) each second (policy):
 *   from 4 GiB to 1 GiB in 46 s, but for the slack. Its minimum and floor, and its startup memory
 *   while it boots, are its own; the books have them as its due.
 *   Slack, for good: policy_grant_slack_bytes(). A touch beyond that waits for a larger grant
 *   (memory/grant.c), whatever the guest does. What is prepared ahead of touches is no slack: it
 *   goes back first.
 *   A guest that had more when its grant was made smaller, and refuses, fragments what it hands over,
 *   or has no driver, keeps that and gets nothing more. With a swap file its RAM is limited to the
 *   grant then (policy/swap_plan.c); without one it is counted as used, and told: memory.over, when
 *   it has more than grant and slack, and gave nothing back for OVER_MS.
 */
#include "host/broker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bounds.h"
#include "base/units.h"
#include "host/broker_internal.h"
#include "policy/constants.h"

enum { TELL_PERCENT = 2, RETELL_MS = 3000, OVER_MS = 15000, NEED_MS = 5000 };
enum { SOON_MS = 50, HURRY_GAP_MS = 20, STRANGER_MS = 2000 };

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* ---- VMs ---- */

int broker_vm_create(struct broker_pool *pool, const struct broker_vm_config *config, void *owner,
		     struct broker_vm **ret_vm, struct err *err)
{
	struct broker_vm *vm = calloc(1, sizeof(*vm));
	uint64_t maximum_bytes = least(config->maximum_bytes, POLICY_MAXIMUM_MOST_GIB * GIB_BYTES);

	if (!vm)
		return err_set(err, -ENOMEM, "broker: out of memory");
	vm->pool = pool;
	vm->vm = owner;
	(void)snprintf(vm->row.name, sizeof(vm->row.name), "%s", config->name);
	(void)snprintf(vm->uuid, sizeof(vm->uuid), "%s", config->uuid ? config->uuid : "");
	vm->row.vm = (struct host_vm){ .minimum_bytes = config->minimum_bytes,
				       .maximum_bytes = maximum_bytes,
				       .weight = config->weight,
				       .reserved = config->reserved };
	vm->heard = vm->row.vm;
	vm->row.startup_bytes =
		config->reserved ? maximum_bytes : least(config->startup_bytes, maximum_bytes);
	*ret_vm = vm;
	return 0;
}

int broker_add(struct broker *broker, const struct broker_vm_config *config, void *owner,
	       struct broker_vm **ret_vm, struct err *err)
{
	struct broker_pool *pool;
	struct broker_vm *vm;
	int ret = broker_pool_of(broker, config, &pool, err);

	if (ret == 0)
		ret = broker_vm_create(pool, config, owner, &vm, err);
	if (ret < 0)
		return ret;
	vm->row.is_silent = true; /* until it says what it holds: nothing is promised */
	if (ledger_add(&pool->ledger, &vm->row) < 0) {
		free(vm);
		return err_set(err, -ENOMEM, "broker: out of memory");
	}
	vm->next = pool->vms;
	pool->vms = vm;
	*ret_vm = vm;
	return 0;
}

void broker_remove(struct broker *broker, struct broker_vm *vm)
{
	struct broker_pool *pool = vm->pool;
	struct broker_vm **at = &pool->vms;

	while (*at != vm)
		at = &(*at)->next;
	*at = vm->next;
	ledger_remove(&pool->ledger, &vm->row);
	free(vm);
	broker_pool_step(broker, pool);
	broker->wants_tick = true;
}

uint64_t broker_first_grant_bytes(const struct broker *broker, const struct broker_vm *vm)
{
	return broker->config.grants && !vm->row.vm.reserved ? vm->row.startup_bytes : 0;
}

uint64_t broker_grant_bytes(const struct broker_vm *vm)
{
	return vm->row.told_bytes;
}

const char *broker_vm_pool(const struct broker_vm *vm)
{
	return vm->pool->name;
}

/* ---- Their numbers ---- */

static void observe_guest(struct broker *broker, struct broker_vm *vm,
			  const struct api_usage *usage)
{
	uint64_t resets = api_usage_get(usage, API_USAGE_resets);

	/* G4. An adopted VM has booted long ago, for all we know. */
	if (vm->row.is_starting || (vm->has_told && resets != vm->resets))
		vm->settled_ns = broker->now_ns + (POLICY_BOOT_GRACE_S + 1) * NS_PER_S;
	vm->resets = resets;
}

void broker_vm_enter_numbers(const struct broker *broker, struct broker_vm *vm)
{
	struct host_vm *row = &vm->row.vm;

	*row = vm->heard; /* the step makes the rest of it */
	if (broker->now_ns >= vm->settled_ns)
		vm->settled_ns = 0;
	if (vm->settled_ns) /* G4 */
		row->minimum_bytes = most(row->minimum_bytes, vm->row.startup_bytes);
	row->want_bytes = most(row->want_bytes, row->minimum_bytes);
	if (broker->now_ns >= vm->need_until_ns)
		vm->need_bytes = 0;
	row->want_bytes = most(row->want_bytes, least(vm->need_bytes, row->maximum_bytes)); /* G5 */
}

/* G5 */
static void observe_need(struct broker *broker, struct broker_vm *vm, const struct api_usage *usage)
{
	uint64_t held = least(vm->heard.held_bytes, vm->heard.maximum_bytes);
	uint64_t more = most(held / 100 * POLICY_OUT_MORE_PERCENT, POLICY_BAND_MIB * MIB_BYTES);

	vm->waits = api_usage_get(usage, API_USAGE_waits_for) == API_USAGE_WAITS_FOR_GRANT;
	if (!vm->waits)
		return;
	vm->need_bytes = held + more;
	vm->need_until_ns = broker->now_ns + NEED_MS * NS_PER_MS;
	broker->wants_tick = broker->hurries = true;
}

static void observe_numbers(struct broker_vm *vm, const struct api_usage *usage)
{
	struct host_vm *row = &vm->heard;
	uint64_t active = least(api_usage_get(usage, API_USAGE_active_percent), 100);

	row->held_bytes = api_usage_get(usage, API_USAGE_resident_bytes);
	row->minimum_bytes = most(api_usage_get(usage, API_USAGE_minimum_bytes),
				  policy_floor_bytes(row->maximum_bytes));
	row->want_bytes = api_usage_get(usage, API_USAGE_want_bytes);
	if (api_usage_has(usage, API_USAGE_weight))
		row->weight =
			(uint32_t)least(api_usage_get(usage, API_USAGE_weight), POLICY_WEIGHT_MOST);
	if (api_usage_has(usage, API_USAGE_active_percent))
		row->active_percent =
			row->has_active ? host_active_step(row->active_percent, (uint32_t)active)
					: (uint32_t)active;
	row->has_active = api_usage_has(usage, API_USAGE_active_percent);
	if (api_usage_has(usage, API_USAGE_reserved))
		row->reserved = api_usage_get(usage, API_USAGE_reserved);
}

/* G3 */
static void observe_grant(struct broker *broker, struct broker_vm *vm,
			  const struct api_usage *usage)
{
	uint64_t grant_bytes = api_usage_get(usage, API_USAGE_grant_bytes);

	if (vm->row.told_bytes == 0 || broker->now_ns - vm->told_ns >= RETELL_MS * NS_PER_MS)
		vm->row.told_bytes = grant_bytes;
}

void broker_observe(struct broker *broker, struct broker_vm *vm, const struct api_usage *usage)
{
	bool is_manual = api_usage_get(usage, API_USAGE_mode) != POLICY_MODE_AUTO;
	bool is_news = !vm->has_told || is_manual != vm->row.is_manual;

	observe_guest(broker, vm, usage);
	observe_numbers(vm, usage);
	observe_grant(broker, vm, usage);
	observe_need(broker, vm, usage);
	if (!vm->has_told)
		vm->row.is_silent = false;
	vm->has_told = true;
	vm->row.is_starting = false;
	vm->row.is_manual = is_manual;
	vm->may_be_told = !vm->heard.reserved;
	if (is_news || vm->heard.want_bytes > vm->row.told_bytes)
		broker->wants_tick = true;
}

void broker_set_silent(struct broker *broker, struct broker_vm *vm, bool is_silent)
{
	vm->row.is_silent = is_silent || !vm->has_told;
	broker->wants_tick = true;
}

/* ---- What they are told ---- */

/* Weight per GiB that it has, idle memory counted four times; see host_policy.h. */
double broker_rho(const struct host_vm *vm, uint64_t bytes)
{
	double active = vm->has_active ? vm->active_percent / 100.0 : 1;
	double cost = active + POLICY_IDLE_TAX_FACTOR * (1 - active);

	return bytes ? vm->weight * (double)GIB_BYTES / ((double)bytes * cost) : 0;
}

static void tell_grant(struct broker *broker, struct broker_vm *vm, uint64_t grant_bytes)
{
	json_t *data =
		json_pack("{s:s, s:I, s:I, s:f}", "uuid", vm->uuid, "grant_bytes",
			  (json_int_t)grant_bytes, "was_bytes", (json_int_t)vm->row.told_bytes,
			  "rho", broker_rho(&vm->row.vm, vm->row.vm.grant_bytes));

	broker->ops.grant(vm->vm, grant_bytes);
	if (data)
		broker->ops.tell(broker->ops.ctx, vm->vm, "memory.grant", data);
	vm->row.told_bytes = grant_bytes;
	vm->told_ns = broker->now_ns;
	vm->lowest_ns = 0;
}

static uint64_t step_of(const struct ledger *ledger, uint64_t told_bytes)
{
	return most(told_bytes / 100 * TELL_PERCENT, ledger->frame_bytes);
}

/* With enough for all: what is lent is half of what is left, so twice of that is there. */
static bool is_news_in_plenty(const struct ledger *ledger, const struct ledger_row *row,
			      uint64_t grant_bytes)
{
	uint64_t due = row->vm.grant_bytes, held = row->vm.held_bytes, told = row->told_bytes;
	uint64_t has = less(told, most(due, held)), may = less(grant_bytes, most(due, held));

	return told < due || (told < held && grant_bytes > told + step_of(ledger, told)) ||
	       may > 2 * has + ledger->frame_bytes ||
	       has > 2 * most(may, row->lent_bytes) + ledger->frame_bytes;
}

static bool is_news_in_need(const struct ledger *ledger, const struct ledger_row *row,
			    uint64_t grant_bytes)
{
	uint64_t told = row->told_bytes;

	if (grant_bytes <= told)
		return grant_bytes < told; /* G2 */
	return grant_bytes - told >= step_of(ledger, told) ||
	       (told < row->vm.want_bytes && grant_bytes >= row->vm.want_bytes);
}

static bool is_news(const struct ledger *ledger, const struct ledger_row *row, uint64_t grant_bytes)
{
	if (row->told_bytes == 0)
		return true;
	return ledger->state == HOST_CLEAR && ledger->wants_fit
		       ? is_news_in_plenty(ledger, row, grant_bytes)
		       : is_news_in_need(ledger, row, grant_bytes);
}

/* G6 */
static bool is_stranger(const struct broker *broker, struct broker_vm *vm)
{
	if (vm->met_ns == 0)
		vm->met_ns = broker->now_ns;
	return !vm->has_told && !vm->row.is_starting &&
	       broker->now_ns - vm->met_ns < STRANGER_MS * NS_PER_MS;
}

static void meet_vms(const struct broker *broker, struct broker_pool *pool)
{
	pool->has_strangers = false;
	for (struct broker_vm *vm = pool->vms; vm; vm = vm->next)
		pool->has_strangers |= is_stranger(broker, vm);
}

static void tell_vm(struct broker *broker, struct broker_vm *vm)
{
	const struct ledger *ledger = &vm->pool->ledger;
	uint64_t grant_bytes = most(vm->row.grant_bytes, ledger->frame_bytes);

	if (!vm->may_be_told || !vm->has_told || vm->row.is_silent) /* G1 */
		return;
	if (!broker->config.grants)
		grant_bytes = 0;
	if (vm->pool->has_strangers && vm->row.told_bytes != 0)
		grant_bytes = least(grant_bytes, vm->row.told_bytes); /* G6 */
	if (!broker->config.grants) {
		if (vm->row.told_bytes != 0)
			tell_grant(broker, vm, grant_bytes);
	} else if (is_news(ledger, &vm->row, grant_bytes) ||
		   (vm->waits && grant_bytes > vm->row.told_bytes)) { /* G5 */
		tell_grant(broker, vm, grant_bytes);
	} else if (vm->waits && broker->now_ns - vm->told_ns >= RETELL_MS * NS_PER_MS) {
		broker->ops.grant(vm->vm, vm->row.told_bytes);
		vm->told_ns = broker->now_ns;
	}
}

static void tell_over(struct broker *broker, struct broker_vm *vm)
{
	json_t *data = json_pack("{s:s, s:I, s:I}", "uuid", vm->uuid, "grant_bytes",
				 (json_int_t)vm->row.told_bytes, "held_bytes",
				 (json_int_t)vm->row.vm.held_bytes);

	vm->is_over = true;
	if (data)
		broker->ops.tell(broker->ops.ctx, vm->vm, "memory.over", data);
}

/* Does it give back what it has above its grant? */
static void watch_over(struct broker *broker, struct broker_vm *vm)
{
	uint64_t held = vm->row.vm.held_bytes;
	uint64_t told = vm->row.told_bytes;
	uint64_t may = most(told, vm->row.vm.minimum_bytes) + policy_grant_slack_bytes(told);

	if (told == 0 || !vm->may_be_told || vm->row.is_manual || vm->row.is_silent ||
	    held <= may) {
		vm->lowest_ns = 0;
		vm->is_over = false;
		return;
	}
	if (vm->lowest_ns == 0 || held < less(vm->lowest_bytes, vm->pool->frame_bytes - 1)) {
		vm->lowest_bytes = held;
		vm->lowest_ns = broker->now_ns;
	}
	if (!vm->is_over && broker->now_ns - vm->lowest_ns >= OVER_MS * NS_PER_MS)
		tell_over(broker, vm);
}

static void tell_state(struct broker *broker, struct broker_pool *pool)
{
	const struct ledger *ledger = &pool->ledger;
	json_t *data;

	if (ledger->state == pool->state_told)
		return;
	data = json_pack("{s:s, s:s, s:s, s:I, s:I}", "pool", pool->name, "state",
			 host_state_names[ledger->state], "was", host_state_names[pool->state_told],
			 "free_bytes", (json_int_t)ledger->reading.free_bytes, "total_bytes",
			 (json_int_t)ledger->reading.total_bytes);
	pool->state_told = ledger->state;
	if (data)
		broker->ops.tell(broker->ops.ctx, NULL, "host.pool", data);
}

/* ---- Ticks ---- */

static bool matters(const struct broker_pool *pool)
{
	return pool->vms || pool->first_wait;
}

void broker_tick(struct broker *broker, uint64_t now_ns)
{
	broker->now_ns = now_ns;
	broker->wants_tick = broker->hurries = false;
	broker_pools_drop_unused(broker);
	for (struct broker_pool *pool = broker->pools; pool; pool = pool->next) {
		broker_pool_step(broker, pool);
		if (matters(pool))
			tell_state(broker, pool);
		meet_vms(broker, pool);
		for (struct broker_vm *vm = pool->vms; vm; vm = vm->next) {
			watch_over(broker, vm);
			tell_vm(broker, vm);
		}
		broker_serve_waiting(broker, pool);
	}
}

bool broker_wants_tick(const struct broker *broker)
{
	return broker->wants_tick;
}

unsigned broker_tick_in_ms(const struct broker *broker, uint64_t now_ns)
{
	uint64_t since_ms = (now_ns - broker->now_ns) / NS_PER_MS;

	if (!broker->hurries)
		return SOON_MS;
	return since_ms < HURRY_GAP_MS ? HURRY_GAP_MS - (unsigned)since_ms : 0;
}

int broker_create(const struct broker_config *config, const struct broker_ops *ops,
		  struct broker **ret_broker, struct err *err)
{
	struct broker *broker = calloc(1, sizeof(*broker));
	int ret;

	if (!broker)
		return err_set(err, -ENOMEM, "broker: out of memory");
	broker->config = *config;
	broker->ops = *ops;
	broker->root = strdup(config->root ? config->root : "");
	ret = broker->root ? broker_pools_open(broker, err)
			   : err_set(err, -ENOMEM, "broker: out of memory");
	if (ret < 0) {
		broker_destroy(broker);
		return ret;
	}
	*ret_broker = broker;
	return 0;
}

void broker_destroy(struct broker *broker)
{
	if (!broker)
		return;
	for (struct broker_pool *pool = broker->pools; pool; pool = pool->next) {
		broker_free_waiting(pool);
		while (pool->vms) {
			struct broker_vm *vm = pool->vms;

			pool->vms = vm->next;
			free(vm);
		}
	}
	broker_pools_close(broker);
	free(broker->root);
	free(broker);
}
