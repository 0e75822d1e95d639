/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* list.c - vm.list: what scripts and screens ask for again and again, of all VMs at once.
 *
 * It is written straight into what the client is sent. Most of a row are the numbers of its usage, kept as
 * text until the VM tells others; the rest is written anew each time, so nothing of it can be stale.
 * Rows are sorted by name, so a client that takes them in parts (limit, after) sees each VM that is there
 * all the time exactly once, whichever come and go meanwhile.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "config/json_text.h"
#include "host/handlers.h"

#define NO_LIMIT UINT64_MAX

struct list {
	const struct host *host;
	const struct selector *selector; /* NULL: all */
	unsigned from;
	uint64_t limit, now_ns;
};

static void put_running(struct strbuf *out, struct hosted *vm, uint64_t now_ns)
{
	uint64_t grant_bytes = vm->broker_vm ? broker_grant_bytes(vm->broker_vm) : 0;

	json_text_plain(out, ",\"pid\":");
	json_text_integer(out, (uint64_t)process_identity(vm->process)->pid);
	json_text_plain(out, ",\"uptime_ns\":");
	json_text_integer(out, now_ns - vm->started_ns);
	if (grant_bytes > 0) {
		json_text_plain(out, ",\"grant_bytes\":");
		json_text_integer(out, grant_bytes);
	}
	json_text_plain(out, ",\"usage\":");
	hosted_write_usage(vm, out);
}

/* Of one that runs, what it runs with. */
static uint64_t cpus_of(const struct hosted *vm)
{
	const json_t *config = vm->running_config ? vm->running_config : vm->definition.config;

	return (uint64_t)json_integer_value(json_object_get(config, "cpus"));
}

static void put_row(struct strbuf *out, struct hosted *vm, uint64_t now_ns)
{
	const struct definition *definition = &vm->definition;

	json_text_plain(out, "{\"name\":");
	json_text_string(out, definition->name);
	json_text_plain(out, ",\"uuid\":");
	json_text_string(out, definition->uuid);
	json_text_plain(out, ",\"state\":");
	json_text_string(out, vm->state);
	json_text_plain(out, ",\"reason\":");
	json_text_string(out, vm->reason);
	json_text_plain(out, ",\"labels\":");
	json_text_value(out, definition->labels);
	json_text_plain(out, ",\"autostart\":");
	json_text_boolean(out, definition->autostart);
	json_text_plain(out, ",\"restart\":");
	json_text_string(out, hosted_restart_names[definition->restart]);
	json_text_plain(out, ",\"restarts\":");
	json_text_integer(out, vm->restarts);
	json_text_plain(out, ",\"transient\":");
	json_text_boolean(out, vm->is_transient);
	json_text_plain(out, ",\"cpus\":");
	json_text_integer(out, cpus_of(vm));
	if (vm->process)
		put_running(out, vm, now_ns);
	json_text_plain(out, "}");
}

static void write_list(void *ctx, struct strbuf *out)
{
	const struct list *list = ctx;
	const struct host *host = list->host;
	uint64_t rows = 0;
	bool has_more = false;

	json_text_plain(out, "{\"vms\":[");
	for (unsigned i = list->from; i < host->vm_count && !has_more; i++) {
		if (list->selector && !selector_matches(list->selector, host->vms[i]))
			continue;
		has_more = rows == list->limit;
		if (has_more)
			continue;
		if (rows++ > 0)
			json_text_plain(out, ",");
		put_row(out, host->vms[i], list->now_ns);
	}
	json_text_plain(out, "]");
	if (list->limit != NO_LIMIT) {
		json_text_plain(out, ",\"more\":");
		json_text_boolean(out, has_more);
	}
	json_text_plain(out, "}");
}

/* The first whose name sorts after that. */
static unsigned place_after(const struct host *host, const char *name)
{
	unsigned place = roster_place(host, name);

	return place +
	       (place < host->vm_count && strcmp(host->vms[place]->definition.name, name) == 0);
}

int handle_list(void *ctx, struct api_request *request, json_t **ret_result, struct err *err)
{
	const struct host *host = ctx;
	const char *text = json_string_value(json_object_get(request->params, "selector"));
	const char *after = json_string_value(json_object_get(request->params, "after"));
	const json_t *limit = json_object_get(request->params, "limit");
	struct list list = { .host = host, .limit = NO_LIMIT, .now_ns = clock_now_ns() };
	struct selector *selector = NULL;

	(void)ret_result;
	if (limit && json_integer_value(limit) == 0)
		return err_set(err, -EINVAL, "limit: at least 1"), API_ERROR_INVALID_PARAMS;
	if (text && selector_parse(text, &selector, err) < 0)
		return API_ERROR_INVALID_PARAMS;
	if (limit)
		list.limit = (uint64_t)json_integer_value(limit);
	if (after)
		list.from = place_after(host, after);
	list.selector = selector;
	request->answer_by(request, write_list, &list);
	selector_free(selector);
	return API_LATER;
}
