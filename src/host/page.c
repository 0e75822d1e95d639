/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* page.c - see page.h.
 *
 * A step is a time, not a count of calls: when the daemon was held up, the steps it missed have no values
 * and the page shows a gap.
 *
 * Notes are events that a person would want to read afterwards; those that come often are left out, so
 * that they do not push out the others: {"t": ms since 1970, "kind", "vm", "data"}.
 */
#include "host/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/units.h"
#include "host/broker.h"
#include "host/hosted.h"
#include "policy/host_policy.h"

enum { POOLS_MAX = 16 };

struct page {
	uv_timer_t timer;
	bool is_closed;
	struct host *host;
	struct page_history history;
	uint64_t epoch, started_ns;
	void (*on_step)(void *ctx);
	void *ctx;
};

static uint32_t column_of(uint64_t value)
{
	return value < PAGE_ABSENT ? (uint32_t)value : PAGE_ABSENT - 1;
}

static uint32_t mib_column(uint64_t bytes)
{
	uint64_t rounded;

	if (__builtin_add_overflow(bytes, MIB_BYTES / 2, &rounded))
		rounded = bytes;
	return column_of(bytes_to_mib(rounded));
}

/* Steals @info. */
static void put(struct page *page, char kind, const char *name, json_t *info,
		const uint32_t *values)
{
	char key[PAGE_KEY_BYTES];
	char *text = json_dumps(info, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(info);
	(void)snprintf(key, sizeof(key), "%c%s", kind, name);
	if (text)
		page_history_put(&page->history, key, text, values);
	free(text);
}

/* --- VMs ---------------------------------------------------------------------------------------------- */

static const enum api_usage_id usage_of_column[PAGE_COLUMNS] = {
	[PAGE_VM_MINIMUM] = API_USAGE_minimum_bytes,   [PAGE_VM_DEMAND] = API_USAGE_demand_bytes,
	[PAGE_VM_ASSIGNED] = API_USAGE_assigned_bytes, [PAGE_VM_MAXIMUM] = API_USAGE_maximum_bytes,
	[PAGE_VM_RESIDENT] = API_USAGE_resident_bytes, [PAGE_VM_SWAPPED] = API_USAGE_swapped_bytes,
	[PAGE_VM_GRANT] = API_USAGE_grant_bytes,       [PAGE_VM_STATUS] = API_USAGE_status,
};

static void read_usage(const struct api_usage *usage, uint32_t values[PAGE_COLUMNS])
{
	for (unsigned column = 0; column < PAGE_COLUMNS; column++) {
		enum api_usage_id id = usage_of_column[column];

		if (!api_usage_has(usage, id))
			values[column] = PAGE_ABSENT;
		else if (column == PAGE_VM_STATUS)
			values[column] = column_of(usage->value[id]);
		else
			values[column] = mib_column(usage->value[id]);
	}
}

static void set_number(json_t *object, const char *key, const struct api_usage *usage,
		       enum api_usage_id id)
{
	if (api_usage_has(usage, id))
		(void)json_object_set_new(object, key, json_integer((json_int_t)usage->value[id]));
}

static json_t *vm_info(const struct hosted *vm)
{
	const char *pool = vm->broker_vm ? broker_vm_pool(vm->broker_vm) : "";
	json_t *reason = json_string(vm->reason); /* NULL: cut within a character */
	json_t *info =
		json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:i, s:b}", "kind", "vm", "name",
			  vm->definition.name, "uuid", vm->definition.uuid, "state", vm->state,
			  "reason", reason ? reason : json_string(""), "pool", pool, "restarts",
			  (int)vm->restarts, "transient", vm->is_transient);

	if (vm->definition.labels && json_object_size(vm->definition.labels) > 0)
		(void)json_object_set(info, "labels", vm->definition.labels);
	set_number(info, "weight", &vm->usage, API_USAGE_weight);
	set_number(info, "mode", &vm->usage, API_USAGE_mode);
	return info;
}

static void put_vm(struct page *page, const struct hosted *vm)
{
	uint32_t values[PAGE_COLUMNS];
	bool runs = vm->process && vm->usage.present;

	if (runs)
		read_usage(&vm->usage, values);
	put(page, 'v', vm->definition.uuid, vm_info(vm), runs ? values : NULL);
}

/* --- pools -------------------------------------------------------------------------------------------- */

static json_t *pool_info(const struct broker_pool_numbers *pool)
{
	struct host_marks marks = host_marks(pool->total_bytes);
	json_t *mark_mib = json_array();

	for (unsigned state = HOST_SOFT; state < HOST_STATE_COUNT; state++)
		(void)json_array_append_new(
			mark_mib, json_integer((json_int_t)bytes_to_mib(marks.enter_bytes[state])));
	return json_pack("{s:s, s:s, s:I, s:o}", "kind", "pool", "name", pool->name, "frame_bytes",
			 (json_int_t)pool->frame_bytes, "marks", mark_mib);
}

static void put_pool(struct page *page, const struct broker_pool_numbers *pool)
{
	uint32_t values[PAGE_COLUMNS] = {
		[PAGE_POOL_TOTAL] = mib_column(pool->total_bytes),
		[PAGE_POOL_USED] = mib_column(pool->used_bytes),
		[PAGE_POOL_GRANTED] = mib_column(pool->granted_bytes),
		[PAGE_POOL_PROMISED] = mib_column(pool->promised_bytes),
		[PAGE_POOL_OTHERS] = mib_column(pool->others_bytes),
		[PAGE_POOL_FREE] = mib_column(pool->free_bytes),
		[PAGE_POOL_STATE] = column_of(pool->state),
		[PAGE_POOL_WAITING] = column_of(pool->waiting),
	};

	put(page, 'p', pool->name, pool_info(pool), values);
}

/* --- steps and notes ------------------------------------------------------------------------------------ */

static void look(struct page *page)
{
	uint64_t step = 1 + (clock_now_ns() - page->started_ns) / (PAGE_STEP_MS * NS_PER_MS);
	struct broker_pool_numbers pools[POOLS_MAX];
	unsigned pool_count, vm_count;
	struct hosted *const *vms;

	if (step <= page->history.step)
		return;
	pool_count = broker_pools(host_broker(page->host), pools, POOLS_MAX);
	vms = host_vms(page->host, &vm_count);
	page_history_begin(&page->history, step);
	for (unsigned i = 0; i < pool_count; i++)
		put_pool(page, &pools[i]);
	for (unsigned i = 0; i < vm_count; i++)
		put_vm(page, vms[i]);
	page_history_end(&page->history);
	page->on_step(page->ctx);
}

static void on_timer(uv_timer_t *timer)
{
	look(timer->data);
}

static bool is_noteworthy(const char *kind)
{
	static const char *const kinds[] = {
		"vm.created",	   "vm.deleted",    "vm.started",    "vm.adopted",
		"vm.ended",	   "vm.silent",	    "vm.answers",    "vm.waits",
		"vm.reset",	   "host.pool",	    "memory.status", "memory.unreadable",
		"memory.readable", "device.broken",
	};

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i], kind) == 0)
			return true;
	return false;
}

static uint64_t wall_clock_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * (NS_PER_S / NS_PER_MS) + (uint64_t)now.tv_nsec / NS_PER_MS;
}

static void on_event(void *ctx, const struct hosted *vm, const char *kind, const json_t *data)
{
	struct page *page = ctx;
	json_t *note;
	char *text;

	if (!is_noteworthy(kind))
		return;
	note = json_pack("{s:I, s:s, s:s, s:O?}", "t", (json_int_t)wall_clock_ms(), "kind", kind,
			 "vm", vm ? vm->definition.name : "", "data", data);
	text = json_dumps(note, JSON_COMPACT);
	json_decref(note);
	if (text)
		page_history_note(&page->history, text);
	free(text);
}

int page_create(uv_loop_t *loop, struct host *host, void (*on_step)(void *ctx), void *ctx,
		struct page **ret_page, struct err *err)
{
	struct page *page = calloc(1, sizeof(*page));

	if (!page)
		return err_set(err, -ENOMEM, "no memory for the page's history");
	page->host = host;
	page->on_step = on_step;
	page->ctx = ctx;
	page->started_ns = clock_now_ns();
	page->epoch = page->started_ns;
	(void)getrandom(&page->epoch, sizeof(page->epoch), GRND_NONBLOCK);
	page_history_init(&page->history);
	(void)uv_timer_init(loop, &page->timer);
	page->timer.data = page;
	(void)uv_timer_start(&page->timer, on_timer, 0, PAGE_STEP_MS);
	host_set_listener(host, on_event, page);
	*ret_page = page;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	((struct page *)handle->data)->is_closed = true;
}

void page_destroy(struct page *page)
{
	if (!page)
		return;
	host_set_listener(page->host, NULL, NULL);
	uv_close((uv_handle_t *)&page->timer, on_closed);
	while (!page->is_closed)
		(void)uv_run(page->timer.loop, UV_RUN_NOWAIT);
	page_history_fini(&page->history);
	free(page);
}

const struct page_history *page_history(const struct page *page)
{
	return &page->history;
}

uint64_t page_epoch(const struct page *page)
{
	return page->epoch;
}
