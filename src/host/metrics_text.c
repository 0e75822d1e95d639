/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* metrics_text.c - which numbers there are, see metrics_text.h.
 *
 * The format wants all samples of one name together, so the VMs are gone through once per name; what each
 * sample repeats, the VM's labels, is made once.
 */
#include "host/metrics_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "host/metrics_writer.h"
#include "policy/host_policy.h"

enum { LABELS_MAX_BYTES = 2 * KIB_BYTES };

struct text {
	struct metrics_writer writer;
	const struct metrics_numbers *numbers;
	char **labels;	       /* of each VM: vm and uuid */
	struct strbuf scratch; /* those and one more */
};

/* What a value of usage.def is divided by to be in a base unit. */
static uint64_t divisor_of(const char *key)
{
	static const struct {
		const char *ending;
		uint64_t divisor;
	} units[] = { { "_us", NS_PER_S / NS_PER_US }, { "_percent", 100 } };
	size_t len = strlen(key);

	for (unsigned i = 0; i < ARRAY_LEN(units); i++) {
		size_t ending_len = strlen(units[i].ending);

		if (len > ending_len && strcmp(key + len - ending_len, units[i].ending) == 0)
			return units[i].divisor;
	}
	return 1;
}

/* The labels with one more; good until the next call. */
static const char *labels_and(struct text *text, const char *labels, const char *name,
			      const char *value)
{
	strbuf_drop_front(&text->scratch, text->scratch.len);
	strbuf_append(&text->scratch, labels, strlen(labels));
	metrics_label(&text->scratch, name, value);
	return text->scratch.failed ? "" : text->scratch.text;
}

/* --- VMs ---------------------------------------------------------------------------------------- */

static void write_usage(struct text *text, enum api_usage_id id)
{
	const struct api_usage_row *row = &api_usage_rows[id];
	const struct metrics_numbers *numbers = text->numbers;
	uint64_t divisor = divisor_of(row->key);
	char name[96] = "neap_vm_";

	(void)strncat(name, row->metric, sizeof(name) - strlen(name) - 1);
	metrics_family(&text->writer,
		       row->kind == API_USAGE_COUNTER ? METRICS_COUNTER : METRICS_GAUGE, name,
		       row->help);
	for (unsigned i = 0; i < numbers->vm_count; i++) {
		const struct api_usage *usage = &numbers->vms[i]->usage;

		if (numbers->vms[i]->process && api_usage_has(usage, id))
			metrics_sample(&text->writer, text->labels[i], usage->value[id], divisor);
	}
}

static void write_vm_states(struct text *text)
{
	const struct metrics_numbers *numbers = text->numbers;

	metrics_family(&text->writer, METRICS_GAUGE, "neap_vm_state",
		       "1 for the state that the VM is in, 0 for the others");
	for (unsigned i = 0; i < numbers->vm_count; i++) {
		for (size_t state = 0; state < api_host_set.state_count; state++) {
			const char *name = api_host_set.states[state].name;

			metrics_sample(&text->writer,
				       labels_and(text, text->labels[i], "state", name),
				       strcmp(numbers->vms[i]->state, name) == 0, 1);
		}
	}
}

static void write_user_label(struct text *text, unsigned index, const char *key, const char *value)
{
	(void)labels_and(text, text->labels[index], "key", key);
	metrics_label(&text->scratch, "value", value);
	if (text->scratch.failed) {
		text->writer.out.failed = true;
		return;
	}
	metrics_sample(&text->writer, text->scratch.text, 1, 1);
}

static void write_user_labels(struct text *text)
{
	const struct metrics_numbers *numbers = text->numbers;
	const char *key;
	json_t *value;

	metrics_family(&text->writer, METRICS_GAUGE, "neap_vm_label",
		       "a label of the VM, to join with; always 1");
	for (unsigned i = 0; i < numbers->vm_count; i++)
		json_object_foreach(numbers->vms[i]->definition.labels, key, value)
			write_user_label(text, i, key, json_string_value(value));
}

static bool is_up(const struct hosted *vm)
{
	return vm->process && vm->link && strcmp(vm->state, "silent") != 0;
}

static void write_vms(struct text *text)
{
	const struct metrics_numbers *numbers = text->numbers;
	struct metrics_writer *writer = &text->writer;

	metrics_family(writer, METRICS_GAUGE, "neap_vm_up", "1: it has a process, which answers");
	for (unsigned i = 0; i < numbers->vm_count; i++)
		metrics_sample(writer, text->labels[i], is_up(numbers->vms[i]), 1);
	write_vm_states(text);
	metrics_family(writer, METRICS_COUNTER, "neap_vm_restarts_total",
		       "times it was started again by itself, since somebody started it");
	for (unsigned i = 0; i < numbers->vm_count; i++)
		metrics_sample(writer, text->labels[i], numbers->vms[i]->restarts, 1);
	write_user_labels(text);
	for (unsigned id = 0; id < API_USAGE_COUNT; id++)
		write_usage(text, (enum api_usage_id)id);
}

static void write_vm_counts(struct text *text)
{
	const struct metrics_numbers *numbers = text->numbers;

	metrics_family(&text->writer, METRICS_GAUGE, "neap_vms", "how many VMs are in that state");
	for (size_t state = 0; state < api_host_set.state_count; state++) {
		const char *name = api_host_set.states[state].name;
		uint64_t count = 0;

		for (unsigned i = 0; i < numbers->vm_count; i++)
			count += strcmp(numbers->vms[i]->state, name) == 0;
		metrics_sample(&text->writer, labels_and(text, "", "state", name), count, 1);
	}
}

/* --- pools -------------------------------------------------------------------------------------- */

static const struct pool_row {
	const char *name, *help;
	size_t offset;
} pool_rows[] = {
#define POOL(field, help_)                                                                \
	{                                                                                 \
		"neap_pool_" #field, (help_), offsetof(struct broker_pool_numbers, field) \
	}
	POOL(frame_bytes, "unit in which the pool is handed out"),
	POOL(total_bytes, "all of the pool"),
	POOL(free_bytes, "what nobody uses now"),
	POOL(used_bytes, "what VMs hold of it"),
	POOL(granted_bytes, "sum of what VMs were granted"),
	POOL(promised_bytes, "granted and not used yet"),
	POOL(others_bytes, "what other programs hold"),
	POOL(room_bytes, "what could still be promised"),
#undef POOL
};

static const char *pool_labels(struct text *text, const struct broker_pool_numbers *pool)
{
	return labels_and(text, "", "pool", pool->name);
}

static void write_pool_states(struct text *text)
{
	const struct metrics_numbers *numbers = text->numbers;

	metrics_family(&text->writer, METRICS_GAUGE, "neap_pool_state",
		       "1 for how short the pool is, 0 for the others");
	for (unsigned i = 0; i < numbers->pool_count; i++) {
		for (unsigned state = 0; state < HOST_STATE_COUNT; state++) {
			(void)pool_labels(text, &numbers->pools[i]);
			metrics_label(&text->scratch, "state", host_state_names[state]);
			metrics_sample(&text->writer,
				       text->scratch.failed ? "" : text->scratch.text,
				       numbers->pools[i].state == state, 1);
		}
	}
}

static void write_pools(struct text *text)
{
	const struct metrics_numbers *numbers = text->numbers;
	struct metrics_writer *writer = &text->writer;

	for (size_t row = 0; row < ARRAY_LEN(pool_rows); row++) {
		metrics_family(writer, METRICS_GAUGE, pool_rows[row].name, pool_rows[row].help);
		for (unsigned i = 0; i < numbers->pool_count; i++) {
			const struct broker_pool_numbers *pool = &numbers->pools[i];
			uint64_t value;

			memcpy(&value, (const char *)pool + pool_rows[row].offset, sizeof(value));
			metrics_sample(writer, pool_labels(text, pool), value, 1);
		}
	}
	write_pool_states(text);
	metrics_family(writer, METRICS_GAUGE, "neap_pool_vms", "VMs that belong to the pool");
	for (unsigned i = 0; i < numbers->pool_count; i++)
		metrics_sample(writer, pool_labels(text, &numbers->pools[i]), numbers->pools[i].vms,
			       1);
	metrics_family(writer, METRICS_GAUGE, "neap_pool_waiting_vms",
		       "VMs whose start waits for memory of the pool");
	for (unsigned i = 0; i < numbers->pool_count; i++)
		metrics_sample(writer, pool_labels(text, &numbers->pools[i]),
			       numbers->pools[i].waiting, 1);
}

/* --- the daemon ---------------------------------------------------------------------------------- */

static void write_one(struct text *text, enum metrics_kind kind, const char *name, const char *help,
		      uint64_t value, uint64_t divisor)
{
	metrics_family(&text->writer, kind, name, help);
	metrics_sample(&text->writer, "", value, divisor);
}

static void write_daemon(struct text *text)
{
	const struct metrics_numbers *numbers = text->numbers;

	metrics_family(&text->writer, METRICS_GAUGE, "neap_build_info", "always 1");
	metrics_sample(&text->writer, "version=\"" NEAP_VERSION "\"", 1, 1);
	write_one(text, METRICS_GAUGE, "neap_daemon_uptime_seconds", "since the daemon was started",
		  (numbers->now_ns - numbers->daemon.started_ns) / NS_PER_MS, NS_PER_S / NS_PER_MS);
	write_one(text, METRICS_GAUGE, "neap_daemon_resident_bytes",
		  "memory of the daemon's process", numbers->process.resident_bytes, 1);
	write_one(text, METRICS_COUNTER, "neap_daemon_cpu_seconds_total",
		  "processor time of the daemon's process", numbers->process.cpu_us,
		  NS_PER_S / NS_PER_US);
	write_one(text, METRICS_GAUGE, "neap_daemon_connections",
		  "connections to the daemon's JSON-RPC sockets", numbers->daemon.connections, 1);
	write_one(text, METRICS_COUNTER, "neap_daemon_events_total",
		  "number of the last event; goes on where it was when the daemon is restarted",
		  numbers->daemon.events, 1);
}

static char **labels_of_vms(const struct metrics_numbers *numbers)
{
	char **labels = calloc(numbers->vm_count + 1, sizeof(*labels)); /* ends with NULL */

	for (unsigned i = 0; labels && i < numbers->vm_count; i++) {
		struct strbuf text;

		strbuf_init(&text, LABELS_MAX_BYTES);
		metrics_label(&text, "vm", numbers->vms[i]->definition.name);
		metrics_label(&text, "uuid", numbers->vms[i]->definition.uuid);
		labels[i] = strbuf_take(&text);
	}
	return labels;
}

static bool are_complete(char **labels, unsigned count)
{
	for (unsigned i = 0; labels && i < count; i++)
		if (!labels[i])
			return false;
	return labels != NULL;
}

char *metrics_render(const struct metrics_numbers *numbers, bool open_metrics, size_t *ret_len)
{
	struct text text = { .numbers = numbers, .labels = labels_of_vms(numbers) };

	text.writer.open_metrics = open_metrics;
	strbuf_init(&text.writer.out, 64 * MIB_BYTES);
	strbuf_init(&text.scratch, LABELS_MAX_BYTES);
	if (are_complete(text.labels, numbers->vm_count)) {
		write_daemon(&text);
		write_vm_counts(&text);
		write_pools(&text);
		write_vms(&text);
		metrics_end(&text.writer);
	}
	for (unsigned i = 0; text.labels && i < numbers->vm_count; i++)
		free(text.labels[i]);
	free(text.labels);
	strbuf_fini(&text.scratch);
	*ret_len = text.writer.out.len;
	return strbuf_take(&text.writer.out);
}
