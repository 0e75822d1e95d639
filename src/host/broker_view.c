/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* broker_view.c - the books, for who asks: host.pools and the metrics. */
#include <stdlib.h>
#include <string.h>

#include "host/broker_internal.h"

static json_t *integer(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static void set_u64(json_t *object, const char *key, uint64_t value)
{
	(void)json_object_set_new(object, key, integer(value));
}

static json_t *view_vm(const struct broker_vm *vm)
{
	const struct host_vm *row = &vm->row.vm;
	json_t *view = json_object();

	(void)json_object_set_new(view, "vm", json_string(vm->row.name));
	(void)json_object_set_new(view, "uuid", json_string(vm->uuid));
	set_u64(view, "minimum_bytes", row->minimum_bytes);
	set_u64(view, "want_bytes", vm->row.is_starting ? vm->row.startup_bytes : row->want_bytes);
	set_u64(view, "held_bytes", row->held_bytes);
	set_u64(view, "grant_bytes", vm->row.grant_bytes);
	set_u64(view, "weight", row->weight);
	if (row->has_active)
		set_u64(view, "active_percent", row->active_percent);
	(void)json_object_set_new(view, "rho", json_real(broker_rho(row, row->grant_bytes)));
	(void)json_object_set_new(view, "answering", json_boolean(!vm->row.is_silent));
	(void)json_object_set_new(view, "waits", json_boolean(vm->waits));
	return view;
}

static int by_name(const void *a, const void *b)
{
	const struct broker_vm *const *left = a, *const *right = b;

	return strcmp((*left)->row.name, (*right)->row.name);
}

static unsigned count_vms(const struct broker_pool *pool)
{
	unsigned count = 0;

	for (const struct broker_vm *vm = pool->vms; vm; vm = vm->next)
		count++;
	return count;
}

static json_t *view_vms(const struct broker_pool *pool)
{
	const struct broker_vm **sorted = calloc(count_vms(pool) + 1, sizeof(*sorted));
	json_t *views = json_array();
	unsigned count = 0;

	if (!sorted)
		return views;
	for (const struct broker_vm *vm = pool->vms; vm; vm = vm->next)
		sorted[count++] = vm;
	qsort(sorted, count, sizeof(struct broker_vm *), by_name);
	for (unsigned i = 0; i < count; i++)
		(void)json_array_append_new(views, view_vm(sorted[i]));
	free(sorted);
	return views;
}

static json_t *view_waiting(const struct broker_pool *pool)
{
	json_t *views = json_array();

	for (const struct broker_wait *wait = pool->first_wait; wait; wait = wait->next)
		(void)json_array_append_new(views, json_pack("{s:s, s:o}", "vm", wait->vm->row.name,
							     "startup_bytes",
							     integer(wait->vm->row.startup_bytes)));
	return views;
}

static json_t *view_marks(const struct host_marks *marks)
{
	json_t *view = json_object();

	set_u64(view, "clear_bytes", marks->enter_bytes[HOST_CLEAR]);
	set_u64(view, "soft_bytes", marks->enter_bytes[HOST_SOFT]);
	set_u64(view, "hard_bytes", marks->enter_bytes[HOST_HARD]);
	set_u64(view, "low_bytes", marks->enter_bytes[HOST_LOW]);
	return view;
}

static json_t *view_pool(const struct broker_pool *pool)
{
	const struct ledger *ledger = &pool->ledger;
	json_t *view = json_object();

	(void)json_object_set_new(view, "name", json_string(pool->name));
	set_u64(view, "frame_bytes", pool->frame_bytes);
	set_u64(view, "total_bytes", ledger->reading.total_bytes);
	set_u64(view, "free_bytes", ledger->reading.free_bytes);
	set_u64(view, "used_bytes", ledger->used_bytes);
	set_u64(view, "granted_bytes", ledger->granted_bytes);
	set_u64(view, "promised_bytes", ledger->promised_bytes);
	set_u64(view, "lent_bytes", ledger->lent_bytes);
	set_u64(view, "others_bytes", ledger->others_bytes);
	set_u64(view, "room_bytes", ledger->room_bytes);
	(void)json_object_set_new(view, "state", json_string(host_state_names[ledger->state]));
	(void)json_object_set_new(view, "marks", view_marks(&ledger->marks));
	(void)json_object_set_new(view, "waiting", view_waiting(pool));
	(void)json_object_set_new(view, "vms", view_vms(pool));
	return view;
}

json_t *broker_describe(const struct broker *broker)
{
	json_t *views = json_array();

	for (const struct broker_pool *pool = broker->pools; pool; pool = pool->next)
		(void)json_array_append_new(views, view_pool(pool));
	return views;
}

static struct broker_pool_numbers numbers_of(const struct broker_pool *pool)
{
	const struct ledger *ledger = &pool->ledger;
	struct broker_pool_numbers numbers = {
		.name = pool->name,
		.frame_bytes = pool->frame_bytes,
		.total_bytes = ledger->reading.total_bytes,
		.free_bytes = ledger->reading.free_bytes,
		.used_bytes = ledger->used_bytes,
		.granted_bytes = ledger->granted_bytes,
		.promised_bytes = ledger->promised_bytes,
		.lent_bytes = ledger->lent_bytes,
		.others_bytes = ledger->others_bytes,
		.room_bytes = ledger->room_bytes,
		.state = ledger->state,
		.vms = count_vms(pool),
	};

	for (const struct broker_wait *wait = pool->first_wait; wait; wait = wait->next)
		numbers.waiting++;
	return numbers;
}

unsigned broker_pools(const struct broker *broker, struct broker_pool_numbers *ret_pools,
		      unsigned capacity)
{
	unsigned count = 0;

	for (const struct broker_pool *pool = broker->pools; pool; pool = pool->next) {
		if (count < capacity)
			ret_pools[count] = numbers_of(pool);
		count++;
	}
	return count;
}
