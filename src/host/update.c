/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* update.c - see update.h.
 *
 * Design. The new definition is made and checked as a whole. When the VM runs, the options whose row says
 * live are asked of it first, in one vm.memory.set, which is all or nothing there; then the definition
 * is stored. When the VM refuses, nothing has changed. When the disk does, what it was is asked of the VM
 * again.
 *
 *  U1  Name and UUID never change. A VM that is not stored has nothing that an update could change for
 *      its next start, so only its live options and its labels do; anything else is refused.
 *  U2  memory.limit has a verb of its own, which can only be refused by a VM without swap; it is live only
 *      for one that was started with it.
 *  U3  One update of a VM at a time: each starts from what the one before left.
 */
#include "host/update.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"
#include "config/suggest.h"
#include "host/contact.h"
#include "host/definition.h"
#include "host/host_internal.h"
#include "host/jobs.h"
#include "host/lifecycle.h"

/* One update while it is on its way. */
struct update {
	struct definition next;
	json_t *live, *next_start; /* arrays of keys */
	json_t *params;		   /* of vm.memory.set, or NULL */
	json_t *limit;		   /* of vm.memory.limit, or NULL */
	json_t *undo;		   /* of vm.memory.set, when the disk refuses */
};

static void update_free(struct update *update)
{
	if (!update)
		return;
	definition_fini(&update->next);
	json_decref(update->live);
	json_decref(update->next_start);
	json_decref(update->params);
	json_decref(update->limit);
	json_decref(update->undo);
	free(update);
}

/* How an option that is live is asked of a VM: vm.memory.set's parameter. */
static const char *live_param(const char *key)
{
	static const struct {
		const char *key, *param;
	} rows[] = {
		{ "memory.minimum", "minimum_bytes" }, { "memory.buffer", "buffer_percent" },
		{ "memory.weight", "weight" },	       { "memory.mode", "mode" },
		{ "balloon.size", "balloon_bytes" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].key, key) == 0)
			return rows[i].param;
	return NULL;
}

/* As the VM takes it: what stands for a default is the number that it stands for. */
static json_t *live_value(const struct vm_config *config, const struct option_row *row)
{
	const char *field = (const char *)config + row->offset;

	if (strcmp(row->key, "memory.minimum") == 0)
		return json_integer((json_int_t)vm_config_policy(config).minimum_bytes);
	if (row->type == OPTION_ENUM)
		return json_string(row->choices[*(const unsigned *)(const void *)field]);
	if (row->field_bytes == sizeof(uint64_t))
		return json_integer((json_int_t) * (const uint64_t *)(const void *)field);
	return json_integer((json_int_t) * (const unsigned *)(const void *)field);
}

static bool is_live_now(const struct hosted *vm, const struct option_row *row,
			const struct vm_config *before)
{
	if (!vm->process || !row->live)
		return false;
	return live_param(row->key) || (strcmp(row->key, "memory.limit") == 0 && before->swap.dir);
}

static int change_option(struct update *update, struct hosted *vm, const struct vm_config *before,
			 struct vm_config *config, const char *key, const json_t *value,
			 struct err *err)
{
	const struct option_row *row = option_by_key(key, strlen(key));
	char quoted[QUOTE_BYTES];
	int ret = 0;

	if (!row)
		return err_set(err, -EINVAL, "set: no option %s", quote_text(key, quoted));
	if (row->type == OPTION_NAME || row->type == OPTION_UUID) /* U1 */
		return err_set(err, -EINVAL, "set: the %s of a VM never changes", key);
	if (json_is_null(value))
		option_reset(config, row);
	else
		ret = option_set_json(config, row, value, "/", err);
	if (ret < 0)
		return err_wrap(err, "%s", key);
	(void)json_array_append_new(
		is_live_now(vm, row, before) ? update->live : update->next_start, json_string(key));
	return 0;
}

/* What is asked of the VM, now that all options have their new values. */
static void gather_live(struct update *update, const struct vm_config *before,
			const struct vm_config *config)
{
	size_t i;
	json_t *key;

	json_array_foreach(update->live, i, key)
	{
		const char *name = json_string_value(key);
		const struct option_row *row = option_by_key(name, strlen(name));
		const char *param = live_param(name);

		if (!param) {
			update->limit = json_pack("{s:o}", "limit_bytes", live_value(config, row));
			continue;
		}
		if (!update->params) {
			update->params = json_object();
			update->undo = json_object();
		}
		(void)json_object_set_new(update->params, param, live_value(config, row));
		(void)json_object_set_new(update->undo, param, live_value(before, row));
	}
}

static int change_options(struct update *update, struct hosted *vm, const json_t *set,
			  struct err *err)
{
	struct vm_config before, config;
	const char *key;
	json_t *value;
	int ret = definition_read_config(vm->definition.config, &before, err);

	if (ret < 0)
		return ret;
	ret = definition_read_config(vm->definition.config, &config, err);
	json_object_foreach((json_t *)set, key, value)
	{
		if (ret == 0)
			ret = change_option(update, vm, &before, &config, key, value, err);
	}
	if (ret == 0)
		ret = vm_config_check(&config, err);
	if (ret == 0) {
		update->next.config = definition_write_config(&config);
		gather_live(update, &before, &config);
	}
	vm_config_fini(&config);
	vm_config_fini(&before);
	return ret;
}

static int change_labels(struct update *update, const json_t *labels, struct err *err)
{
	const char *key;
	json_t *value;
	int ret = labels_check(labels, true, err);

	if (ret < 0)
		return ret;
	json_object_foreach((json_t *)labels, key, value)
	{
		if (json_is_null(value))
			(void)json_object_del(update->next.labels, key);
		else
			(void)json_object_set(update->next.labels, key, value);
	}
	return labels_check(update->next.labels, false, err);
}

/* Labels and how the VM is kept are the daemon's own, so they hold at once: told as `neap set` takes them. */
static void tell_kept(struct update *update, const json_t *params)
{
	static const char *const words[] = { "autostart", "restart" };
	const char *key;
	json_t *value;

	json_object_foreach(json_object_get(params, "labels"), key, value)
	{
		(void)json_array_append_new(update->live, json_sprintf("label.%s", key));
	}
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (json_object_get(params, words[i]))
			(void)json_array_append_new(update->live, json_string(words[i]));
}

/* U1: NULL, or something that a VM that is not stored cannot have. */
static const char *in_vain(const struct update *update, const json_t *params)
{
	if (json_object_get(params, "autostart"))
		return "autostart";
	if (json_object_get(params, "restart"))
		return "restart";
	return json_string_value(json_array_get(update->next_start, 0));
}

static int prepare(struct update *update, struct hosted *vm, const json_t *params, struct err *err)
{
	const json_t *set = json_object_get(params, "set");
	const json_t *labels = json_object_get(params, "labels");
	const json_t *autostart = json_object_get(params, "autostart");
	const char *restart = json_string_value(json_object_get(params, "restart"));
	int ret = 0;

	update->live = json_array();
	update->next_start = json_array();
	update->next.autostart = autostart ? json_is_true(autostart) : vm->definition.autostart;
	update->next.restart = vm->definition.restart;
	update->next.labels = json_deep_copy(vm->definition.labels);
	if (restart)
		ret = definition_read_restart(restart, &update->next.restart, err);
	if (ret == 0 && labels)
		ret = change_labels(update, labels, err);
	if (ret == 0 && set)
		ret = change_options(update, vm, set, err);
	if (ret == 0 && !update->next.config)
		update->next.config = json_incref(vm->definition.config);
	if (ret == 0 && vm->is_transient && in_vain(update, params))
		return err_set(err, -EINVAL,
			       "%s is not stored, so it has no next start for %s to wait for",
			       vm->definition.name, in_vain(update, params));
	if (ret == 0)
		tell_kept(update, params);
	return ret;
}

static void swap_in(struct hosted *vm, struct update *update)
{
	struct definition *now = &vm->definition;
	struct definition before = *now;

	now->config = update->next.config;
	now->labels = update->next.labels;
	now->autostart = update->next.autostart;
	now->restart = update->next.restart;
	update->next.config = before.config;
	update->next.labels = before.labels;
	update->next.autostart = before.autostart;
	update->next.restart = before.restart;
}

static int store(struct hosted *vm, struct update *update, struct err *err)
{
	int ret = 0;

	swap_in(vm, update);
	if (vm->is_transient)
		roster_record_run(vm);
	else
		ret = roster_store(vm, err);
	if (ret < 0)
		swap_in(vm, update);
	return ret;
}

static void finish(struct job *job)
{
	struct update *update = job->note;
	struct hosted *vm = job->vm;
	struct err err = { 0 };
	json_t *data;

	if (store(vm, update, &err) < 0) {
		if (update->undo)
			contact_tell(vm, "vm.memory.set", json_incref(update->undo));
		job_fail(job, API_ERROR_INTERNAL, "%s", err.text);
		update_free(update);
		return;
	}
	if (update->limit)
		contact_tell(vm, "vm.memory.limit", json_incref(update->limit)); /* U2 */
	data = json_pack("{s:s, s:O, s:O}", "uuid", vm->definition.uuid, "live", update->live,
			 "next_start", update->next_start);
	host_publish(vm->host, vm, "vm.updated", data);
	job_done(job,
		 json_pack("{s:O, s:O}", "live", update->live, "next_start", update->next_start));
	update_free(update);
}

static void on_live(struct job *job, int code, const json_t *result, const char *sentence)
{
	(void)result;
	job->vm->is_updating = false;
	if (code == 0) {
		finish(job);
		return;
	}
	update_free(job->note);
	job_fail(job, code, "%s", sentence);
}

void update_vm(struct job *job)
{
	struct err err = { 0 };
	struct update *update;

	if (job->vm->is_updating) { /* U3 */
		job_fail(job, API_ERROR_BUSY, "%s is being updated; ask again when that is done",
			 job->vm->definition.name);
		return;
	}
	update = calloc(1, sizeof(*update));
	if (!update || prepare(update, job->vm, job->request->params, &err) < 0) {
		job_fail(job, update ? API_ERROR_INVALID_PARAMS : API_ERROR_INTERNAL, "%s",
			 update ? err.text : "out of memory");
		update_free(update);
		return;
	}
	job->note = update;
	if (!update->params) {
		finish(job);
		return;
	}
	job->then = on_live;
	job->vm->is_updating = true;
	contact_ask(job, "vm.memory.set", json_incref(update->params));
}

json_t *update_next_start(const struct hosted *vm)
{
	const struct option_row *rows;
	json_t *keys = json_array();
	size_t count;

	if (!vm->running_config || vm->running_config == vm->definition.config)
		return keys;
	rows = option_table(&count);
	for (size_t i = 0; i < count; i++) {
		const json_t *stored = definition_value(vm->definition.config, &rows[i]);
		const json_t *runs = definition_value(vm->running_config, &rows[i]);

		if (!rows[i].live && (stored || runs) && !json_equal(stored, runs))
			(void)json_array_append_new(keys, json_string(rows[i].key));
	}
	return keys;
}
