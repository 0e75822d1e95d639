/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* roster.c - all VMs of the daemon, by name, and their files.
 *
 * Whoever is called back about a VM may still hold it when it is removed, so a removed one is freed only
 * when the loop comes round.
 *
 * Two files tell of a VM: its definition (STORE_VMS), as long as it is stored; and its run
 * (STORE_RUNS), as long as its process lives. The second lets a daemon that comes after us know it again
 * by its process, even while it does not answer; of a transient VM it is all there is. A record without
 * a process is that of a VM that is going to be started, after a pause or when there is memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "host/contact.h"
#include "host/definition.h"
#include "host/host_internal.h"
#include "host/lifecycle.h"

unsigned roster_place(const struct host *host, const char *name)
{
	unsigned low = 0, high = host->vm_count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (strcmp(host->vms[middle]->definition.name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct hosted *const *host_vms(const struct host *host, unsigned *ret_count)
{
	*ret_count = host->vm_count;
	return host->vms;
}

struct hosted *host_find(const struct host *host, const char *name_or_uuid)
{
	unsigned place = roster_place(host, name_or_uuid);

	if (place < host->vm_count && strcmp(host->vms[place]->definition.name, name_or_uuid) == 0)
		return host->vms[place];
	if (strlen(name_or_uuid) != sizeof(host->vms[0]->definition.uuid) - 1)
		return NULL;
	for (unsigned i = 0; i < host->vm_count; i++)
		if (strcasecmp(host->vms[i]->definition.uuid, name_or_uuid) == 0)
			return host->vms[i];
	return NULL;
}

int roster_check_new(const struct host *host, const struct definition *definition, struct err *err)
{
	const struct hosted *other = host_find(host, definition->name);

	if (!other)
		other = host_find(host, definition->uuid);
	if (!other)
		return 0;
	(void)err_set(err, -EEXIST, "a VM %s with UUID %s is known already", other->definition.name,
		      other->definition.uuid);
	return API_ERROR_EXISTS;
}

static bool make_room(struct host *host)
{
	unsigned capacity = host->vm_capacity ? host->vm_capacity * 2 : 64;
	struct hosted **vms;

	if (host->vm_count < host->vm_capacity)
		return true;
	vms = realloc(host->vms, capacity * sizeof(*vms));
	if (!vms)
		return false;
	host->vms = vms;
	host->vm_capacity = capacity;
	return true;
}

static void free_vm(struct hosted *vm)
{
	life_free(vm->life);
	contact_free(vm->contact);
	definition_fini(&vm->definition);
	idempotency_key_fini(&vm->start_key);
	json_decref(vm->running_config);
	strbuf_fini(&vm->usage_text);
	free(vm);
}

struct hosted *roster_add(struct host *host, struct definition *definition, bool is_transient)
{
	struct hosted *vm = calloc(1, sizeof(*vm));
	unsigned place;

	if (!vm || !make_room(host)) {
		free(vm);
		return NULL;
	}
	vm->host = host;
	vm->is_transient = is_transient;
	vm->state = api_state_name(API_STATE_STOPPED);
	vm->life = life_create(vm);
	vm->contact = contact_create(vm);
	if (!vm->life || !vm->contact) {
		free_vm(vm);
		return NULL;
	}
	vm->definition = *definition;
	*definition = (struct definition){ 0 };
	place = roster_place(host, vm->definition.name);
	memmove(&host->vms[place + 1], &host->vms[place],
		(host->vm_count - place) * sizeof(*host->vms));
	host->vms[place] = vm;
	host->vm_count++;
	return vm;
}

static void free_removed(struct host *host)
{
	struct hosted *vm;

	while ((vm = host->removed)) {
		host->removed = vm->next_removed;
		free_vm(vm);
	}
}

static void on_reap(uv_timer_t *timer)
{
	free_removed(timer->data);
}

void roster_remove(struct hosted *vm)
{
	struct host *host = vm->host;
	unsigned place = roster_place(host, vm->definition.name);

	if (place >= host->vm_count || host->vms[place] != vm)
		return;
	memmove(&host->vms[place], &host->vms[place + 1],
		(host->vm_count - place - 1) * sizeof(*host->vms));
	host->vm_count--;
	vm->next_removed = host->removed;
	host->removed = vm;
	(void)uv_timer_start(&host->reaper, on_reap, 0, 0);
}

void roster_fini(struct host *host)
{
	free_removed(host);
	for (unsigned i = 0; i < host->vm_count; i++)
		free_vm(host->vms[i]);
	free(host->vms);
	host->vms = NULL;
	host->vm_count = host->vm_capacity = 0;
}

static int write_object(struct hosted *vm, enum store_shelf shelf, json_t *object, struct err *err)
{
	int ret;

	if (!object)
		return err_set(err, -ENOMEM, "out of memory");
	ret = store_write(vm->host->store, shelf, vm->definition.name, object, err);
	json_decref(object);
	return ret;
}

int roster_store(struct hosted *vm, struct err *err)
{
	return write_object(vm, STORE_VMS, definition_to_json(&vm->definition), err);
}

static void add_process(json_t *object, const struct process_identity *identity)
{
	(void)json_object_set_new(object, "pid", json_integer(identity->pid));
	(void)json_object_set_new(object, "start_ticks",
				  json_integer((json_int_t)identity->start_ticks));
}

/* What a run's record has beside what identifies the process is what only we know. */
static json_t *run_to_json(const struct hosted *vm)
{
	json_t *object =
		json_pack("{s:s, s:b, s:i, s:i, s:b}", "uuid", vm->definition.uuid, "transient",
			  vm->is_transient, "restarts", (int)vm->restarts, "failures",
			  (int)vm->failures, "end_is_wanted", vm->end_is_wanted);

	if (object && vm->start_key.text) {
		idempotency_key_to_json(&vm->start_key, object);
		(void)json_object_set_new(object, "start_pid", json_integer(vm->start_pid));
	}
	if (object && vm->process)
		add_process(object, process_identity(vm->process));
	else if (object)
		(void)json_object_set_new(object, "reason", json_string(vm->reason));
	if (object && vm->is_transient)
		(void)json_object_set_new(object, "definition",
					  definition_to_json(&vm->definition));
	return object;
}

void roster_record_run(struct hosted *vm)
{
	struct err err = { 0 };

	if (write_object(vm, STORE_RUNS, run_to_json(vm), &err) < 0)
		log_warn("host", "%s %s, and that is not on record: %s", vm->definition.name,
			 vm->process ? "runs" : "waits for its start", err.text);
}

void roster_forget_run(struct hosted *vm)
{
	struct err err = { 0 };
	int ret = store_remove(vm->host->store, STORE_RUNS, vm->definition.name, &err);

	if (ret < 0 && ret != -ENOENT)
		log_warn("host", "the record of %s's last run stays: %s", vm->definition.name,
			 err.text);
}
