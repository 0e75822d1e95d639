/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_lifecycle.c - the life of a VM under every order of events, with made-up processes, pools and disks.
 *
 * Thousands of steps, each a client's wish or something that happens; after each the invariants of lifecycle.c
 * hold, and at the end everybody who asked was answered exactly once. The fakes stand in for process.c,
 * contact.c, broker.c, store.c and host.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/testing.h"
#include "base/exit_code.h"
#include "base/units.h"
#include "host/contact.h"
#include "host/definition.h"
#include "host/host_internal.h"
#include "host/jobs.h"
#include "host/lifecycle.h"
#include "host/restart.h"

enum { STEPS = 4000, VMS = 3 };

/* --- processes ----------------------------------------------------------------------------------- */

struct process {
	struct process_identity identity;
	const struct process_ops *ops;
	void *ctx;
	bool is_ready, is_adopted, has_ended;
	unsigned kills;
	struct process *next;
};

static struct process *processes;
static pid_t last_pid;
static bool spawn_fails;

static int make_process(const struct process_ops *ops, void *ctx, bool is_adopted,
			struct process **ret_process)
{
	struct process *process = calloc(1, sizeof(*process));

	assert_non_null(process);
	process->identity = (struct process_identity){ .pid = ++last_pid, .start_ticks = 1 };
	process->ops = ops;
	process->ctx = ctx;
	process->is_adopted = process->is_ready = is_adopted;
	process->next = processes;
	processes = process;
	*ret_process = process;
	return 0;
}

int process_spawn(uv_loop_t *loop, const struct process_start *start, const struct process_ops *ops,
		  void *ctx, struct process **ret_process, struct err *err)
{
	(void)loop;
	(void)start;
	if (spawn_fails)
		return err_set(err, -EMFILE, "no process for it");
	return make_process(ops, ctx, false, ret_process);
}

int process_adopt(uv_loop_t *loop, const struct process_identity *identity, const char *exit_path,
		  const struct process_ops *ops, void *ctx, struct process **ret_process,
		  struct err *err)
{
	(void)loop;
	(void)identity;
	(void)exit_path;
	(void)err;
	return make_process(ops, ctx, true, ret_process);
}

const struct process_identity *process_identity(const struct process *process)
{
	return &process->identity;
}

int process_signal(struct process *process, int number)
{
	assert_false(process->has_ended);
	process->kills += number == SIGKILL;
	return 0;
}

void process_mute(struct process *process)
{
	(void)process;
}

void process_forget(struct process *process)
{
	struct process **link = &processes;

	if (!process)
		return;
	while (*link != process)
		link = &(*link)->next;
	*link = process->next;
	free(process);
}

bool process_read_exit(const char *exit_path, struct process_end *ret_end)
{
	(void)exit_path;
	(void)ret_end;
	return false;
}

int process_identify(pid_t pid, struct process_identity *ret_identity)
{
	*ret_identity = (struct process_identity){ .pid = pid, .start_ticks = 1 };
	return 0;
}

/* --- the broker ---------------------------------------------------------------------------------- */

struct broker_vm {
	int unused;
};

struct broker_wait {
	void *vm;
	void (*on_room)(void *vm, struct broker_vm *broker_vm);
};

static int admission; /* what the next start is told */
static unsigned in_books;
static struct broker_wait *waits[VMS];

int broker_create(const struct broker_config *config, const struct broker_ops *ops,
		  struct broker **ret_broker, struct err *err)
{
	(void)config;
	(void)ops;
	(void)ret_broker;
	return err_set(err, -ENOSYS, "the test is the broker");
}

void broker_tick(struct broker *broker, uint64_t now_ns)
{
	(void)broker;
	(void)now_ns;
}

bool broker_wants_tick(const struct broker *broker)
{
	(void)broker;
	return false;
}

int broker_admit(struct broker *broker, const struct broker_vm_config *config, void *vm, bool wait,
		 void (*on_room)(void *vm, struct broker_vm *broker_vm), struct broker_vm **ret_vm,
		 struct broker_wait **ret_wait, struct err *err)
{
	(void)broker;
	(void)config;
	if (admission == 0) {
		in_books++;
		*ret_vm = calloc(1, sizeof(**ret_vm));
		return 0;
	}
	if (!wait)
		return err_set(err, -ENOMEM, "there is no room");
	for (unsigned i = 0; i < VMS; i++)
		if (!waits[i]) {
			waits[i] = calloc(1, sizeof(*waits[i]));
			*waits[i] = (struct broker_wait){ .vm = vm, .on_room = on_room };
			*ret_wait = waits[i];
			return -EINPROGRESS;
		}
	fail_msg("a VM waits twice");
	return -ENOMEM;
}

void broker_stop_waiting(struct broker *broker, struct broker_wait *wait)
{
	(void)broker;
	for (unsigned i = 0; i < VMS; i++)
		if (waits[i] == wait) {
			waits[i] = NULL;
			free(wait);
			return;
		}
	fail_msg("it does not wait");
}

int broker_add(struct broker *broker, const struct broker_vm_config *config, void *vm,
	       struct broker_vm **ret_vm, struct err *err)
{
	(void)broker;
	(void)config;
	(void)vm;
	(void)err;
	in_books++;
	*ret_vm = calloc(1, sizeof(**ret_vm));
	return 0;
}

uint64_t broker_first_grant_bytes(const struct broker *broker, const struct broker_vm *vm)
{
	(void)broker;
	(void)vm;
	return 0;
}

void broker_remove(struct broker *broker, struct broker_vm *vm)
{
	(void)broker;
	in_books--;
	free(vm);
}

/* --- the VM's socket ----------------------------------------------------------------------------- */

struct contact {
	bool is_open, is_silent;
};

struct contact *contact_create(struct hosted *vm)
{
	(void)vm;
	return calloc(1, sizeof(struct contact));
}

void contact_free(struct contact *contact)
{
	free(contact);
}

void contact_open(struct hosted *vm)
{
	assert_false(vm->contact->is_open);
	vm->contact->is_open = true;
}

void contact_close(struct hosted *vm, const char *why)
{
	(void)why;
	*vm->contact = (struct contact){ 0 };
}

void contact_ask(struct job *job, const char *method, json_t *params)
{
	json_t *answer = json_object();

	(void)method;
	json_decref(params);
	job_wake(job, 0, answer, "");
	json_decref(answer);
}

void contact_tell(struct hosted *vm, const char *method, json_t *params)
{
	(void)vm;
	(void)method;
	json_decref(params);
}

bool contact_is_silent(const struct hosted *vm)
{
	return vm->contact->is_silent;
}

/* --- disk, host ---------------------------------------------------------------------------------- */

static unsigned records;
static json_t *on_record; /* names as keys */

int store_write(struct store *store, enum store_shelf shelf, const char *name, const json_t *object,
		struct err *err)
{
	(void)store;
	(void)err;
	assert_true(json_is_object(object));
	if (shelf == STORE_RUNS) {
		records++;
		(void)json_object_set_new(on_record, name, json_true());
	}
	return 0;
}

int store_remove(struct store *store, enum store_shelf shelf, const char *name, struct err *err)
{
	(void)store;
	(void)err;
	if (shelf == STORE_RUNS)
		(void)json_object_del(on_record, name);
	return 0;
}

void store_path(const struct store *store, enum store_file file, const char *name,
		char ret_path[STORE_PATH_BYTES])
{
	(void)store;
	(void)file;
	(void)snprintf(ret_path, STORE_PATH_BYTES, "/nowhere/%s", name);
}

void store_use_log(struct store *store, const char *name)
{
	(void)store;
	(void)name;
}

void store_retire_log(struct store *store, const char *name)
{
	(void)store;
	(void)name;
}

static unsigned starts_told, ends_told;

void host_publish(struct host *host, const struct hosted *vm, const char *kind, json_t *data)
{
	(void)host;
	(void)vm;
	starts_told += strcmp(kind, "vm.started") == 0;
	ends_told += strcmp(kind, "vm.ended") == 0;
	json_decref(data);
}

void host_alarm(struct host *host, uint64_t at_ns)
{
	(void)host;
	assert_true(at_ns > 0);
}

int host_no_vm(const char *untrusted_name, struct err *err)
{
	return err_set(err, -ENOENT, "%s", untrusted_name), API_ERROR_NO_VM;
}

/* --- clients ------------------------------------------------------------------------------------- */

static const struct api_verb_row some_verb = { .method = "vm.some" };
static unsigned asked, told;

static void on_answer(struct api_request *request, json_t *result, int fd)
{
	(void)fd;
	told++;
	json_decref(result);
	json_decref(request->params);
	free(request);
}

static void on_fail(struct api_request *request, int code, const char *sentence)
{
	assert_int_not_equal(code, 0);
	assert_true(sentence[0] != '\0');
	on_answer(request, NULL, -1);
}

static void ask(struct host *host, const char *name, job_run run)
{
	struct api_request *request = calloc(1, sizeof(*request));
	struct err err = { 0 };
	json_t *result = NULL;
	int code;

	assert_non_null(request);
	*request = (struct api_request){ .verb = &some_verb,
					 .params = json_pack("{s:s}", "vm", name),
					 .answer = on_answer,
					 .fail = on_fail };
	asked++;
	code = jobs_run(host, request, run, &result, &err);
	if (code == API_LATER)
		return;
	assert_true(code == 0 || err.text[0]);
	on_answer(request, result, -1);
}

static void run_start(struct job *job)
{
	life_start(job, false);
}

static void run_start_waiting(struct job *job)
{
	life_start(job, true);
}

/* --- the world ----------------------------------------------------------------------------------- */

static void check(const struct hosted *vm)
{
	bool lives = strcmp(vm->state, "starting") == 0 || strcmp(vm->state, "running") == 0;
	bool waits_alarm = strcmp(vm->state, "restarting") == 0;

	assert_true((vm->process != NULL) == lives);   /* L1 */
	assert_true((vm->broker_vm != NULL) == lives); /* L1 */
	assert_true(life_is_at_rest(vm) == (strcmp(vm->state, "stopped") == 0));
	if (waits_alarm)
		assert_true(life_alarm_ns(vm) > 0);
	if (lives || waits_alarm) /* L4 */
		assert_non_null(json_object_get(on_record, vm->definition.name));
	if (life_is_at_rest(vm)) {
		assert_int_equal(life_alarm_ns(vm), 0);
		assert_null(json_object_get(on_record, vm->definition.name)); /* L4 */
	}
}

static void end_process(struct process *process, struct test_random *random)
{
	static const int codes[] = { EXIT_CODE_OK, EXIT_CODE_KILLED, EXIT_CODE_FAILED, 70 };
	struct hosted *vm = process->ctx;
	enum hosted_restart restart = vm->definition.restart;
	struct process_end end = { .reason = "it ended" };
	bool was_told_ready = process->is_ready;

	if (test_random_below(random, 4) == 0) {
		end.signal = SIGSEGV;
	} else {
		end.has_exit_code = true;
		end.exit_code = codes[test_random_below(random, ARRAY_LEN(codes))];
	}
	if (!was_told_ready && test_random_below(random, 2) == 0)
		process->ops->on_ready(vm, EXIT_CODE_HOST, "the host lacks something");
	process->has_ended = true;
	process->ops->on_end(vm, &end);
	if (!restart_follows(restart, &end)) /* L3 */
		assert_string_not_equal(vm->state, "restarting");
}

static struct process *some_process(struct test_random *random)
{
	uint64_t skip = test_random_below(random, VMS);
	struct process *process = processes;

	while (process && skip-- > 0 && process->next)
		process = process->next;
	return process;
}

static void give_room(void)
{
	for (unsigned i = 0; i < VMS; i++) {
		struct broker_wait *wait = waits[i];

		if (!wait)
			continue;
		waits[i] = NULL;
		in_books++;
		wait->on_room(wait->vm, calloc(1, sizeof(struct broker_vm)));
		free(wait);
		return;
	}
}

static void step(struct host *host, struct hosted *vm, struct test_random *random)
{
	struct process *process = some_process(random);
	struct process_identity identity = { .pid = 1000, .start_ticks = 1 };
	struct err err;

	admission = test_random_below(random, 3) == 0 ? -ENOMEM : 0;
	spawn_fails = test_random_below(random, 12) == 0;
	switch (test_random_below(random, 12)) {
	case 0: ask(host, vm->definition.name, run_start); break;
	case 1: ask(host, vm->definition.name, run_start_waiting); break;
	case 2: ask(host, vm->definition.name, life_stop); break;
	case 3: ask(host, vm->definition.name, life_kill); break;
	case 4:
		if (process && !process->is_ready) {
			process->is_ready = true;
			process->ops->on_ready(process->ctx, 0, NULL);
		}
		break;
	case 5:
	case 6:
		if (process)
			end_process(process, random);
		break;
	case 7: give_room(); break;
	case 8:
	case 9: life_on_alarm(vm, UINT64_MAX); break;
	case 10:
		if (!vm->process)
			assert_int_equal(life_adopt(vm, &identity, &err), 0);
		break;
	case 11:
		vm->contact->is_silent = vm->contact->is_open && test_random_below(random, 2);
		break;
	default: break;
	}
}

static struct hosted *add_vm(struct host *host, unsigned number)
{
	struct definition definition;
	struct err err = { 0 };
	json_t *config = json_pack("{s:o}", "name", json_sprintf("vm-%u", number));
	struct hosted *vm;

	assert_int_equal(definition_make(&definition, config, NULL, &err), 0);
	json_decref(config);
	definition.restart = (enum hosted_restart)(number % 3);
	vm = roster_add(host, &definition, false);
	assert_non_null(vm);
	definition_fini(&definition);
	return vm;
}

static void any_order_of_events_keeps_the_books(void **state)
{
	struct test_random random = test_random_start();
	struct host_config config = { .vm = { .restart_least_ms = 1, .restart_most_ms = 8 } };
	struct host host = { .config = &config };
	struct hosted *vms[VMS];

	(void)state;
	asked = told = starts_told = ends_told = 0;
	on_record = json_object();
	assert_int_equal(uv_loop_init(&host.loop), 0);
	assert_int_equal(uv_timer_init(&host.loop, &host.reaper), 0);
	for (unsigned i = 0; i < VMS; i++)
		vms[i] = add_vm(&host, i);
	for (unsigned i = 0; i < STEPS; i++) {
		unsigned lives = 0;

		step(&host, vms[test_random_below(&random, VMS)], &random);
		for (unsigned n = 0; n < VMS; n++) {
			check(vms[n]);
			lives += vms[n]->process != NULL;
		}
		assert_int_equal(in_books, lives);
	}
	print_message("%u starts, %u ends, %u requests\n", starts_told, ends_told, asked);
	assert_true(starts_told > STEPS / 100 && ends_told > STEPS / 100 && records > 0);
	while (processes)
		end_process(processes, &random);
	for (unsigned i = 0; i < VMS; i++) {
		life_let_go(vms[i], "the test ends");
		if (!life_is_at_rest(vms[i]))
			ask(&host, vms[i]->definition.name, life_kill);
		check(vms[i]);
		assert_true(life_is_at_rest(vms[i]));
	}
	assert_int_equal(told, asked); /* L2 */
	assert_int_equal(in_books, 0);
	json_decref(on_record);
	roster_fini(&host);
	uv_close((uv_handle_t *)&host.reaper, NULL);
	(void)uv_run(&host.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&host.loop), 0);
}

static void waits_double_up_to_the_most(void **state)
{
	(void)state;
	assert_int_equal(restart_backoff_ms(1, 500, 60000), 500);
	assert_int_equal(restart_backoff_ms(2, 500, 60000), 1000);
	assert_int_equal(restart_backoff_ms(7, 500, 60000), 32000);
	assert_int_equal(restart_backoff_ms(8, 500, 60000), 60000);
	assert_int_equal(restart_backoff_ms(4000000000U, 500, 60000), 60000);
	assert_int_equal(restart_backoff_ms(1, 500, 100), 100);
}

static void a_policy_follows_what_ended_by_itself(void **state)
{
	static const struct {
		struct process_end end;
		bool on_failure, always;
	} rows[] = {
		{ { .has_exit_code = true, .exit_code = EXIT_CODE_OK }, false, true },
		{ { .has_exit_code = true, .exit_code = EXIT_CODE_FAILED }, true, true },
		{ { .has_exit_code = true, .exit_code = EXIT_CODE_GUEST }, true, true },
		{ { .has_exit_code = true, .exit_code = EXIT_CODE_KILLED }, false, false },
		{ { .signal = SIGKILL }, true, true },
		{ { .has_exit_code = false }, true, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_false(restart_follows(HOSTED_RESTART_NEVER, &rows[i].end));
		assert_int_equal(restart_follows(HOSTED_RESTART_ON_FAILURE, &rows[i].end),
				 rows[i].on_failure);
		assert_int_equal(restart_follows(HOSTED_RESTART_ALWAYS, &rows[i].end),
				 rows[i].always);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_order_of_events_keeps_the_books),
		cmocka_unit_test(waits_double_up_to_the_most),
		cmocka_unit_test(a_policy_follows_what_ended_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
