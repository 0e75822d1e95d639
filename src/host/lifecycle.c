/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* lifecycle.c - see lifecycle.h.
 *
 * Design. What happens to a VM is one of a few events, and what is done then stands in one table, by
 * the state it is in. An empty place: the event says nothing there (a late timer, an ended process).
 *
 *              START    ROOM   READY  GONE   STOP     KILL     ALARM    FOUND
 *  STOPPED     begin                         at_rest  at_rest           adopted
 *  PENDING     join     spawn                give_up  give_up           adopted
 *  STARTING    join            up     ended  button   end_it   slay
 *  UP          refuse                 ended  button   end_it   slay
 *  RESTARTING  begin                         give_up  give_up  restart  adopted
 *
 * Transitions
 *  begin    -> STARTING: its memory is granted; -> PENDING: it waits for memory; -> STOPPED: refused
 *  up       -> UP
 *  ended    -> STOPPED; -> RESTARTING, when the policy says so
 *  give_up  -> STOPPED
 *  restart  as begin, but a refusal tries again later
 *
 * Invariants
 *  L1  vm->process is there exactly in STARTING and UP; vm->broker_vm too, unless the books had no memory.
 *  L2  Every job that waits for a start or an end is ended by the event that decides it.
 *  L3  What somebody asked to end (vm.stop, vm.kill, neap kill, a signal: EXIT_CODE_KILLED) is not started
 *      again. A start that a client asked for and that failed is told to it, and not tried again.
 *  L4  A run is on record from its first moment to its end, with whether it shall end; and so is a start
 *      that waits and that nobody but we want. A daemon that dies in between is followed by one that knows.
 *  L5  The wait before a restart doubles, and begins anew after a minute of running.
 *  L6  What is asked to end and has not after KILL_GRACE gets SIGKILL, again and again.
 */
#include "host/lifecycle.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/exit_code.h"
#include "base/log.h"
#include "host/books.h"
#include "host/contact.h"
#include "host/host_internal.h"
#include "host/jobs.h"
#include "host/life_words.h"
#include "host/restart.h"

#define CALM_NS	      (60 * NS_PER_S) /* L5 */
#define KILL_GRACE_NS (2 * NS_PER_S)  /* L6 */

enum life_state {
	LIFE_STOPPED,
	LIFE_PENDING,
	LIFE_STARTING,
	LIFE_UP,
	LIFE_RESTARTING,
	LIFE_STATE_COUNT
};

enum life_event {
	LIFE_START,
	LIFE_ROOM,
	LIFE_READY,
	LIFE_GONE,
	LIFE_STOP,
	LIFE_KILL,
	LIFE_ALARM,
	LIFE_FOUND,
	LIFE_EVENT_COUNT
};

struct life {
	struct hosted *vm;
	enum life_state state;
	uint64_t alarm_ns;
	bool is_ours; /* this start was the policy's, not a client's */
	struct broker_wait *wait;
	struct job_list starters, enders;
	/* What comes with an event, while it is handled. */
	struct job *job;
	bool may_wait;
};

static void happen(struct hosted *vm, enum life_event event);

struct life *life_create(struct hosted *vm)
{
	struct life *life = calloc(1, sizeof(*life));

	if (life)
		life->vm = vm;
	return life;
}

void life_let_go(struct hosted *vm, const char *why)
{
	process_mute(vm->process);
	contact_close(vm, why);
	jobs_fail_all(&vm->life->starters, API_ERROR_INTERNAL, why);
	jobs_fail_all(&vm->life->enders, API_ERROR_INTERNAL, why);
}

void life_free(struct life *life)
{
	if (!life)
		return;
	process_forget(life->vm->process);
	life->vm->process = NULL;
	free(life);
}

bool life_is_at_rest(const struct hosted *vm)
{
	return vm->life->state == LIFE_STOPPED;
}

uint64_t life_alarm_ns(const struct hosted *vm)
{
	return vm->life->alarm_ns;
}

static void set_state(struct hosted *vm, enum life_state state, const char *shown,
		      const char *reason)
{
	vm->life->state = state;
	vm->state = shown;
	hosted_set_reason(vm, reason);
}

static void set_alarm(struct hosted *vm, uint64_t in_ns)
{
	vm->life->alarm_ns = clock_now_ns() + in_ns;
	host_alarm(vm->host, vm->life->alarm_ns);
}

/* L4 */
static void keep_record(struct hosted *vm)
{
	const struct life *life = vm->life;

	if (vm->process || life->state == LIFE_RESTARTING ||
	    (life->state == LIFE_PENDING && life->is_ours))
		roster_record_run(vm);
	else
		roster_forget_run(vm);
}

static void forget_transient(struct hosted *vm)
{
	if (!vm->is_transient || vm->life->state != LIFE_STOPPED)
		return;
	store_retire_log(vm->host->store, vm->definition.name);
	roster_remove(vm);
}

static void answer_starters(struct hosted *vm)
{
	struct job_list *starters = &vm->life->starters;
	json_t *result = life_describe_start(process_identity(vm->process)->pid, vm->state);

	while (starters->first)
		job_wake(starters->first, 0, result, "");
	json_decref(result);
}

/* L5 */
static uint64_t plan_restart(struct hosted *vm)
{
	const struct host_config *config = vm->host->config;
	uint64_t ms = restart_backoff_ms(++vm->failures, config->vm.restart_least_ms,
					 config->vm.restart_most_ms);

	set_alarm(vm, ms * NS_PER_MS);
	vm->life->state = LIFE_RESTARTING;
	vm->state = "restarting";
	return ms;
}

static void not_started(struct hosted *vm, int code, const char *sentence)
{
	set_state(vm, LIFE_STOPPED, "stopped", sentence);
	jobs_fail_all(&vm->life->starters, code, sentence); /* L2 */
	if (vm->life->is_ours && vm->definition.restart != HOSTED_RESTART_NEVER)
		(void)plan_restart(vm);
	keep_record(vm);
	forget_transient(vm);
}

/* --- starting ------------------------------------------------------------------------------------ */

static void on_ready(void *ctx, int code, const char *sentence)
{
	struct hosted *vm = ctx;
	char text[ERR_TEXT_BYTES];

	if (code == 0) {
		happen(vm, LIFE_READY);
		return;
	}
	(void)snprintf(text, sizeof(text), "%s could not start: %.400s", vm->definition.name,
		       sentence ? sentence : "it did not say why");
	jobs_fail_all(&vm->life->starters, API_ERROR_INTERNAL, text);
}

static void on_end(void *ctx, const struct process_end *end)
{
	struct hosted *vm = ctx;

	vm->end = *end;
	happen(vm, LIFE_GONE);
}

static const struct process_ops process_ops = { .on_ready = on_ready, .on_end = on_end };

static void spawn(struct hosted *vm)
{
	const struct host_config *config = vm->host->config;
	char log_path[STORE_PATH_BYTES], exit_path[STORE_PATH_BYTES];
	struct process_start start = { .neap_path = config->neap_path,
				       .name = vm->definition.name,
				       .config = vm->definition.config,
				       .log_path = log_path,
				       .log_bytes = config->log.bytes,
				       .log_keep = config->log.keep,
				       .exit_path = exit_path,
				       .grant_bytes = books_first_grant_bytes(vm),
				       .start_timeout_ns = config->vm.ready_s * NS_PER_S };
	struct err err = { 0 };

	vm->life->wait = NULL;
	store_path(vm->host->store, STORE_FILE_LOG, vm->definition.name, log_path);
	store_path(vm->host->store, STORE_FILE_EXIT, vm->definition.name, exit_path);
	store_use_log(vm->host->store, vm->definition.name);
	if (process_spawn(&vm->host->loop, &start, &process_ops, vm, &vm->process, &err) < 0) {
		books_leave(vm);
		not_started(vm, API_ERROR_INTERNAL, err.text);
		return;
	}
	vm->is_adopted = false;
	json_decref(vm->running_config);
	vm->running_config = json_incref(vm->definition.config);
	set_state(vm, LIFE_STARTING, "starting", "");
	keep_record(vm);
}

static void on_room(void *ctx, struct broker_vm *broker_vm)
{
	struct hosted *vm = ctx;

	vm->broker_vm = broker_vm;
	happen(vm, LIFE_ROOM);
}

static void wait_for_memory(struct hosted *vm)
{
	set_state(vm, LIFE_PENDING, "pending", "its start waits for memory");
	keep_record(vm);
}

static void begin(struct hosted *vm)
{
	struct life *life = vm->life;
	struct err err = { 0 };
	int ret;

	life->alarm_ns = 0;
	vm->end_is_wanted = false;
	if (life->job) { /* a client's */
		idempotency_key_set(&vm->start_key, life->job->request);
		vm->start_pid = 0;
		job_wait(life->job, &life->starters);
		vm->restarts = vm->failures = 0;
		life->is_ours = false;
	}
	ret = books_admit(vm, life->may_wait, on_room, &life->wait, &err);
	if (ret == 0)
		spawn(vm);
	else if (ret == -EINPROGRESS)
		wait_for_memory(vm);
	else
		not_started(vm, ret == -ENOMEM ? API_ERROR_NO_MEMORY : API_ERROR_INTERNAL,
			    err.text);
}

static void restart(struct hosted *vm)
{
	vm->life->is_ours = true;
	vm->life->may_wait = true;
	vm->restarts++;
	begin(vm);
}

static void join(struct hosted *vm)
{
	job_wait(vm->life->job, &vm->life->starters);
}

/* A selection is asked to be in a state, and one of it is in it already. */
static bool is_of_selection(const struct job *job)
{
	return json_object_get(job->request->params, "selector") != NULL;
}

static void refuse(struct hosted *vm)
{
	if (is_of_selection(vm->life->job))
		job_done(vm->life->job,
			 life_describe_start(process_identity(vm->process)->pid, vm->state));
	else
		job_fail(vm->life->job, API_ERROR_STATE, "%s runs already (it is %s)",
			 vm->definition.name, vm->state);
}

static void up(struct hosted *vm)
{
	set_state(vm, LIFE_UP, api_state_name(API_STATE_RUNNING), "");
	vm->started_ns = clock_now_ns();
	if (!vm->life->is_ours)
		vm->start_pid = process_identity(vm->process)->pid;
	life_tell_started(vm);
	contact_open(vm);
	answer_starters(vm); /* L2 */
}

/* --- ending -------------------------------------------------------------------------------------- */

/* vm->end is what is known of it. */
static void conclude(struct hosted *vm, bool restarts)
{
	uint64_t in_ms = 0;

	vm->ended_ns = clock_now_ns();
	set_state(vm, LIFE_STOPPED, "stopped", vm->end.reason);
	if (restarts)
		in_ms = plan_restart(vm);
	vm->end_is_wanted = false;
	life_tell_ended(vm, restarts, in_ms);
	keep_record(vm);
}

static void release(struct hosted *vm, const char *why)
{
	contact_close(vm, why);
	books_leave(vm);
	process_forget(vm->process);
	vm->process = NULL;
	vm->life->alarm_ns = 0;
	json_decref(vm->running_config);
	vm->running_config = NULL;
}

/* One that people started leaves no record, but it may have told why it ends. */
static void take_last_words(struct hosted *vm)
{
	if (!vm->end.has_exit_code && vm->reason[0] &&
	    strcmp(vm->state, api_state_name(API_STATE_STOPPED)) == 0)
		memcpy(vm->end.reason, vm->reason, sizeof(vm->end.reason));
}

static void ended(struct hosted *vm)
{
	struct life *life = vm->life;
	bool was_up = life->state == LIFE_UP;
	bool restarts = !vm->end_is_wanted && !vm->is_transient && (was_up || life->is_ours) &&
			restart_follows(vm->definition.restart, &vm->end); /* L3 */
	char text[ERR_TEXT_BYTES];

	take_last_words(vm);
	if (was_up && clock_now_ns() - vm->started_ns >= CALM_NS)
		vm->failures = 0; /* L5 */
	(void)snprintf(text, sizeof(text), "%s ended: %.400s", vm->definition.name, vm->end.reason);
	release(vm, text);
	conclude(vm, restarts);
	jobs_fail_all(&life->starters, API_ERROR_INTERNAL, text); /* L2 */
	while (life->enders.first)
		job_done(life->enders.first, life_describe_state(vm));
	forget_transient(vm);
}

static void at_rest(struct hosted *vm)
{
	if (is_of_selection(vm->life->job))
		job_done(vm->life->job, life_describe_state(vm));
	else
		job_fail(vm->life->job, API_ERROR_STATE, "%s is stopped", vm->definition.name);
}

static void stop_waiting(struct hosted *vm)
{
	if (vm->life->wait)
		broker_stop_waiting(vm->host->broker, vm->life->wait);
	vm->life->wait = NULL;
	vm->life->alarm_ns = 0;
}

static void give_up(struct hosted *vm)
{
	struct job *job = vm->life->job;
	char text[ERR_TEXT_BYTES];

	(void)snprintf(text, sizeof(text), "%s was stopped before it ran", vm->definition.name);
	stop_waiting(vm);
	set_state(vm, LIFE_STOPPED, "stopped", "stopped before it ran");
	keep_record(vm);
	jobs_fail_all(&vm->life->starters, API_ERROR_STATE, text);
	job_done(job, life_describe_state(vm));
	forget_transient(vm);
}

static void want_end(struct hosted *vm, bool is_wanted)
{
	if (vm->end_is_wanted == is_wanted)
		return;
	vm->end_is_wanted = is_wanted;
	keep_record(vm);
}

static void button(struct hosted *vm)
{
	want_end(vm, vm->life->state == LIFE_UP);
	contact_ask(vm->life->job, "vm.stop", NULL);
}

static void slay(struct hosted *vm)
{
	int ret = process_signal(vm->process, SIGKILL);

	if (ret < 0 && ret != -ESRCH)
		log_warn("host", "%s cannot be killed: %s", vm->definition.name, strerror(-ret));
	set_alarm(vm, KILL_GRACE_NS); /* L6 */
}

static void end_it(struct hosted *vm)
{
	struct life *life = vm->life;

	job_wait(life->job, &life->enders);
	want_end(vm, true);
	if (contact_is_silent(vm)) {
		slay(vm);
		return;
	}
	if (vm->link)
		contact_tell(vm, "vm.kill", NULL);
	else
		(void)process_signal(vm->process, SIGTERM);
	set_alarm(vm, KILL_GRACE_NS);
}

/* --- found --------------------------------------------------------------------------------------- */

/* vm->process was just adopted. */
static void adopted(struct hosted *vm)
{
	struct err err = { 0 };

	stop_waiting(vm);
	vm->is_adopted = true;
	vm->life->is_ours = false;
	vm->started_ns = clock_now_ns(); /* until it says better */
	set_state(vm, LIFE_UP, api_state_name(API_STATE_RUNNING), "");
	if (books_enter(vm, &err) < 0)
		log_warn("host", "%s is in no pool's books: %s", vm->definition.name, err.text);
	keep_record(vm);
	life_tell_adopted(vm);
	contact_open(vm);
	answer_starters(vm);
}

int life_adopt(struct hosted *vm, const struct process_identity *identity, struct err *err)
{
	char exit_path[STORE_PATH_BYTES];
	int ret;

	if (vm->process)
		return err_set(err, -EALREADY, "%s has a process", vm->definition.name);
	store_path(vm->host->store, STORE_FILE_EXIT, vm->definition.name, exit_path);
	ret = process_adopt(&vm->host->loop, identity, exit_path, &process_ops, vm, &vm->process,
			    err);
	if (ret == 0)
		happen(vm, LIFE_FOUND);
	return ret;
}

void life_ended_unseen(struct hosted *vm)
{
	static const char unseen[] = "it ended while no daemon was there to see it";
	char exit_path[STORE_PATH_BYTES];

	store_path(vm->host->store, STORE_FILE_EXIT, vm->definition.name, exit_path);
	if (!process_read_exit(exit_path, &vm->end)) {
		vm->end = (struct process_end){ 0 };
		(void)snprintf(vm->end.reason, sizeof(vm->end.reason), "%s", unseen);
	}
	conclude(vm, !vm->is_transient && !vm->end_is_wanted &&
			     restart_follows(vm->definition.restart, &vm->end));
	forget_transient(vm);
}

void life_go_on_waiting(struct hosted *vm)
{
	vm->life->is_ours = true;
	vm->failures -= vm->failures > 0; /* it was counted when it began to wait */
	(void)plan_restart(vm);
}

void life_mistaken(struct hosted *vm)
{
	log_warn("host", "process %d is not %s (%s): left alone",
		 (int)process_identity(vm->process)->pid, vm->definition.name, vm->definition.uuid);
	release(vm, "it is another VM");
	vm->end_is_wanted = false;
	set_state(vm, LIFE_STOPPED, "stopped", "another VM of that name runs");
	keep_record(vm);
	forget_transient(vm);
}

void life_guest_reset(struct hosted *vm)
{
	want_end(vm, vm->life->enders.first != NULL);
}

/* --- what happens -------------------------------------------------------------------------------- */

static void happen(struct hosted *vm, enum life_event event)
{
	static void (*const acts[LIFE_STATE_COUNT][LIFE_EVENT_COUNT])(struct hosted * vm) = {
		[LIFE_STOPPED] = { [LIFE_START] = begin,
				   [LIFE_STOP] = at_rest,
				   [LIFE_KILL] = at_rest,
				   [LIFE_FOUND] = adopted },
		[LIFE_PENDING] = { [LIFE_START] = join,
				   [LIFE_ROOM] = spawn,
				   [LIFE_STOP] = give_up,
				   [LIFE_KILL] = give_up,
				   [LIFE_FOUND] = adopted },
		[LIFE_STARTING] = { [LIFE_START] = join,
				    [LIFE_READY] = up,
				    [LIFE_GONE] = ended,
				    [LIFE_STOP] = button,
				    [LIFE_KILL] = end_it,
				    [LIFE_ALARM] = slay },
		[LIFE_UP] = { [LIFE_START] = refuse,
			      [LIFE_GONE] = ended,
			      [LIFE_STOP] = button,
			      [LIFE_KILL] = end_it,
			      [LIFE_ALARM] = slay },
		[LIFE_RESTARTING] = { [LIFE_START] = begin,
				      [LIFE_STOP] = give_up,
				      [LIFE_KILL] = give_up,
				      [LIFE_ALARM] = restart,
				      [LIFE_FOUND] = adopted },
	};
	void (*act)(struct hosted *) = acts[vm->life->state][event];

	if (act)
		act(vm);
	vm->life->job = NULL;
}

static void happen_for(struct job *job, enum life_event event)
{
	struct hosted *vm = job->vm;

	vm->life->job = job;
	happen(vm, event);
}

void life_start(struct job *job, bool wait)
{
	job->vm->life->may_wait = wait;
	happen_for(job, LIFE_START);
}

void life_stop(struct job *job)
{
	happen_for(job, LIFE_STOP);
}

void life_kill(struct job *job)
{
	happen_for(job, LIFE_KILL);
}

void life_autostart(struct hosted *vm)
{
	vm->life->is_ours = true;
	vm->life->may_wait = true;
	happen(vm, LIFE_START);
}

void life_on_alarm(struct hosted *vm, uint64_t now_ns)
{
	if (vm->life->alarm_ns == 0 || vm->life->alarm_ns > now_ns)
		return;
	vm->life->alarm_ns = 0;
	happen(vm, LIFE_ALARM);
}
