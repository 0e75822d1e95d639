/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* contact.c - see contact.h.
 *
 * Design. A VM that is well tells its numbers by itself (memory.usage), so it is asked once, when the link
 * is made, and then only when nothing was heard of it for a while. One that we started is asked how it does
 * (vm.usage), one that was found also what it is. What is asked after a silence is
 * events.subscribe with what is subscribed already: cheap on both sides, and it changes nothing. The
 * question has no timeout of its own, so the answer of a VM that was silent for an hour is still heard.
 *
 * Invariants
 *  C1  A VM is silent when a question, or the want of a link, is older than vm.silent, by ticks at which
 *      the daemon itself was awake: after a suspend or a stop of ours the wait begins anew.
 *  C2  Whatever comes from it, an event or an answer (an error too), ends its silence.
 *  C3  Jobs that wait for an answer end when it comes, when the link breaks, or when the process ends.
 *  C4  A link is only to the process that we watch: SO_PEERCRED says so.
 */
#include "host/contact.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "host/host_internal.h"
#include "host/jobs.h"
#include "host/lifecycle.h"

enum {
	ASK_MS = 30000,
	AS_LONG_AS_IT_TAKES = -1,
	PING_AFTER_PERCENT = 60, /* of vm.silent: then it is asked, and has the rest to answer */
};

struct contact {
	struct hosted *vm;
	uint64_t heard_ns, asked_ns; /* asked_ns 0: no question waits */
	uint64_t linkless_ns;	     /* since when; 0: there is a link */
	uint64_t silent_ns;	     /* since when; 0: it answers */
	bool is_open, is_settled, has_busy_kinds, said_why;
	const char *told_state; /* by the VM itself */
	struct job_list asked;
};

struct contact *contact_create(struct hosted *vm)
{
	struct contact *contact = calloc(1, sizeof(*contact));

	if (contact)
		contact->vm = vm;
	return contact;
}

void contact_free(struct contact *contact)
{
	if (!contact)
		return;
	rpc_link_close(contact->vm->link);
	contact->vm->link = NULL;
	free(contact);
}

bool contact_is_settled(const struct hosted *vm)
{
	return !vm->contact->is_open || vm->contact->is_settled;
}

bool contact_is_silent(const struct hosted *vm)
{
	return vm->contact->silent_ns > 0;
}

json_t *contact_kinds(bool with_busy)
{
	static const char *const busy[] = { "memory.balloon", "memory.statistics" };
	json_t *kinds = json_array();

	for (size_t i = 0; i < api_vm_set.event_count; i++) {
		const char *kind = api_vm_set.events[i].kind;
		bool is_busy = strcmp(kind, busy[0]) == 0 || strcmp(kind, busy[1]) == 0;

		if (with_busy || !is_busy)
			(void)json_array_append_new(kinds, json_string(kind));
	}
	return json_pack("{s:o}", "kinds", kinds);
}

static const char *known_state(const char *untrusted_name)
{
	for (size_t i = 0; untrusted_name && i < api_vm_set.state_count; i++)
		if (strcmp(api_vm_set.states[i].name, untrusted_name) == 0)
			return api_vm_set.states[i].name;
	return NULL;
}

static void set_told_state(struct hosted *vm, const json_t *told)
{
	const char *state = known_state(json_string_value(json_object_get(told, "state")));
	const char *reason = json_string_value(json_object_get(told, "reason"));

	if (!state || !vm->process)
		return;
	vm->contact->told_state = state;
	if (!contact_is_silent(vm)) {
		vm->state = state;
		hosted_set_reason(vm, reason ? reason : "");
	}
}

/* --- silence ------------------------------------------------------------------------------------- */

static void ask_about_it(struct hosted *vm);

static uint64_t silence_ns(const struct hosted *vm)
{
	return vm->host->config->vm.silent_s * NS_PER_S;
}

static json_t *silence_data(const struct hosted *vm, uint64_t since_ns, uint64_t now_ns)
{
	return json_pack("{s:s, s:I}", "uuid", vm->definition.uuid, "silent_ms",
			 (json_int_t)((now_ns - since_ns) / NS_PER_MS));
}

static void fall_silent(struct hosted *vm, uint64_t since_ns, uint64_t now_ns)
{
	struct contact *contact = vm->contact;

	contact->silent_ns = since_ns;
	contact->is_settled = true;
	vm->state = "silent";
	(void)snprintf(vm->reason, sizeof(vm->reason),
		       "process %d is there and does not answer; neap kill %s ends it in any case",
		       (int)process_identity(vm->process)->pid, vm->definition.name);
	if (vm->broker_vm)
		broker_set_silent(vm->host->broker, vm->broker_vm, true);
	host_publish(vm->host, vm, "vm.silent", silence_data(vm, since_ns, now_ns));
}

static void end_silence(struct hosted *vm)
{
	struct contact *contact = vm->contact;
	uint64_t since_ns = contact->silent_ns;

	contact->silent_ns = 0;
	vm->state = contact->told_state ? contact->told_state : api_state_name(API_STATE_RUNNING);
	vm->reason[0] = '\0';
	if (vm->broker_vm)
		broker_set_silent(vm->host->broker, vm->broker_vm, false);
	host_publish(vm->host, vm, "vm.answers", silence_data(vm, since_ns, clock_now_ns()));
	ask_about_it(vm);
}

static void heard(struct hosted *vm) /* C2 */
{
	vm->contact->heard_ns = clock_now_ns();
	vm->contact->asked_ns = 0;
	if (vm->contact->silent_ns > 0)
		end_silence(vm);
}

static bool is_word_of_it(int code)
{
	return code != -EPIPE && code != -ETIMEDOUT;
}

/* --- what is asked ------------------------------------------------------------------------------- */

/* False: the link has no room; it counts as asked. */
static bool ask(struct hosted *vm, const char *method, json_t *params, int timeout_ms,
		rpc_link_done done)
{
	if (vm->contact->asked_ns == 0)
		vm->contact->asked_ns = clock_now_ns();
	return rpc_link_call(vm->link, method, params, timeout_ms, done, vm) == 0;
}

static void on_subscribed(void *ctx, int code, const json_t *result, const char *sentence)
{
	(void)result;
	(void)sentence;
	if (is_word_of_it(code))
		heard(ctx);
}

static void subscribe(struct hosted *vm)
{
	struct rpc_server *server = vm->host->server;

	vm->contact->has_busy_kinds =
		server && (rpc_server_has_subscriber(server, "memory.balloon") ||
			   rpc_server_has_subscriber(server, "memory.statistics"));
	(void)ask(vm, "events.subscribe", contact_kinds(vm->contact->has_busy_kinds),
		  AS_LONG_AS_IT_TAKES, on_subscribed);
}

/* The definition's own object when it is equal: then it is kept once. */
static void take_config(struct hosted *vm, json_t *config)
{
	if (!json_is_object(config))
		return;
	if (json_equal(config, vm->definition.config))
		config = vm->definition.config;
	json_incref(config);
	json_decref(vm->running_config);
	vm->running_config = config;
}

/* What both vm.info and vm.usage say. False: it is another VM, or says nothing. */
static bool take_word(struct hosted *vm, int code, const json_t *result, const char *sentence)
{
	const char *uuid = json_string_value(json_object_get(result, "uuid"));
	uint64_t uptime_ns = json_get_bytes(result, "uptime_ns");
	uint64_t now_ns = clock_now_ns();

	heard(vm);
	vm->contact->is_settled = true;
	if (code != 0) {
		log_warn("host", "%s does not say what it is: %s", vm->definition.name, sentence);
		return false;
	}
	if (!uuid || strcmp(uuid, vm->definition.uuid) != 0) {
		life_mistaken(vm);
		return false;
	}
	set_told_state(vm, result);
	vm->started_ns = now_ns > uptime_ns ? now_ns - uptime_ns : 1;
	return true;
}

static void on_info(void *ctx, int code, const json_t *result, const char *sentence)
{
	struct hosted *vm = ctx;

	if (is_word_of_it(code) && take_word(vm, code, result, sentence))
		take_config(vm, json_object_get(result, "config"));
}

static void take_usage(struct hosted *vm, const json_t *untrusted_usage)
{
	struct api_usage usage;

	if (!untrusted_usage)
		return;
	api_usage_from_json(untrusted_usage, &usage);
	hosted_set_usage(vm, &usage);
	if (vm->broker_vm)
		broker_observe(vm->host->broker, vm->broker_vm, &vm->usage);
}

static void on_memory(void *ctx, int code, const json_t *result, const char *sentence)
{
	struct hosted *vm = ctx;

	(void)sentence;
	if (!is_word_of_it(code))
		return;
	heard(vm);
	if (code == 0)
		take_usage(vm, json_object_get(result, "usage"));
}

static void on_usage(void *ctx, int code, const json_t *result, const char *sentence)
{
	struct hosted *vm = ctx;

	if (code == API_ERROR_METHOD_NOT_FOUND) /* an older neap */
		ask_about_it(vm);
	else if (is_word_of_it(code) && take_word(vm, code, result, sentence))
		take_usage(vm, json_object_get(result, "usage"));
}

static void on_told(void *ctx, int code, const json_t *result, const char *sentence)
{
	struct hosted *vm = ctx;

	(void)result;
	if (is_word_of_it(code))
		heard(vm);
	if (code != 0 && code != API_ERROR_STATE && code != API_ERROR_UNSUPPORTED)
		log_debug("host", "%s: %s (%d)", vm->definition.name, sentence, code);
}

void contact_tell(struct hosted *vm, const char *method, json_t *params)
{
	if (vm->link)
		(void)ask(vm, method, params, ASK_MS, on_told);
	else
		json_decref(params);
}

/* It may have been told while nobody listened. */
static void tell_grant_again(struct hosted *vm)
{
	uint64_t grant_bytes = vm->broker_vm ? broker_grant_bytes(vm->broker_vm) : 0;

	if (grant_bytes > 0)
		contact_tell(vm, "vm.memory.grant",
			     json_pack("{s:I}", "grant_bytes", (json_int_t)grant_bytes));
}

static void ask_about_it(struct hosted *vm)
{
	(void)ask(vm, "vm.info", NULL, AS_LONG_AS_IT_TAKES, on_info);
	(void)ask(vm, "vm.memory", NULL, AS_LONG_AS_IT_TAKES, on_memory);
	tell_grant_again(vm);
}

static void ask_how_it_does(struct hosted *vm)
{
	(void)ask(vm, "vm.usage", NULL, AS_LONG_AS_IT_TAKES, on_usage);
	tell_grant_again(vm);
}

static void on_asked(void *ctx, int code, const json_t *result, const char *sentence)
{
	struct job *job = ctx;
	struct hosted *vm = job->vm;
	char text[ERR_TEXT_BYTES];

	if (code == -ETIMEDOUT) {
		(void)snprintf(text, sizeof(text), "%s has not answered for %d s",
			       vm->definition.name, ASK_MS / 1000);
		job_wake(job, API_ERROR_SILENT, NULL, text);
	} else if (code == -EPIPE) {
		(void)snprintf(text, sizeof(text), "%s ended before it answered",
			       vm->definition.name);
		job_wake(job, API_ERROR_STATE, NULL, text);
	} else {
		job_wake(job, code, result, sentence);
		heard(vm);
	}
}

/* Why it cannot be asked at all; 0: it can. */
static int why_not(const struct hosted *vm, const char *method, char text[ERR_TEXT_BYTES])
{
	const char *name = vm->definition.name;

	if (!vm->process) {
		(void)snprintf(text, ERR_TEXT_BYTES,
			       "%s is %s, and %s needs one that runs: neap start %s", name,
			       vm->state, method, name);
		return API_ERROR_STATE;
	}
	if (contact_is_silent(vm)) {
		(void)snprintf(text, ERR_TEXT_BYTES, "%s: %.400s", name, vm->reason);
		return API_ERROR_SILENT;
	}
	if (vm->link)
		return 0;
	(void)snprintf(text, ERR_TEXT_BYTES, "%s is %s; ask again when it runs", name, vm->state);
	return API_ERROR_BUSY;
}

void contact_ask(struct job *job, const char *method, json_t *params)
{
	struct hosted *vm = job->vm;
	char text[ERR_TEXT_BYTES];
	int code = why_not(vm, method, text);

	if (code != 0) {
		json_decref(params);
		job_wake(job, code, NULL, text);
		return;
	}
	job_wait(job, &vm->contact->asked);
	if (rpc_link_call(vm->link, method, params, ASK_MS, on_asked, job) == 0)
		return;
	(void)snprintf(text, sizeof(text), "%s does not read what it is sent", vm->definition.name);
	job_wake(job, API_ERROR_SILENT, NULL, text);
}

/* --- the link ------------------------------------------------------------------------------------ */

static void on_event(void *ctx, const char *kind, const json_t *data)
{
	struct hosted *vm = ctx;

	heard(vm);
	if (strcmp(kind, "vm.state") == 0)
		set_told_state(vm, data);
	else if (strcmp(kind, "memory.usage") == 0)
		take_usage(vm, data);
	else if (strcmp(kind, "vm.reset") == 0)
		life_guest_reset(vm);
	host_publish(vm->host, vm, kind, json_incref((json_t *)data));
}

static void lose_link(struct hosted *vm)
{
	rpc_link_close(vm->link);
	vm->link = NULL;
	vm->contact->asked_ns = 0;
	vm->contact->linkless_ns = clock_now_ns();
}

static void on_closed(void *ctx, int reason)
{
	struct hosted *vm = ctx;

	if (reason < 0)
		log_warn("host", "%s: its link broke: %s", vm->definition.name,
			 rpc_link_reason(reason));
	lose_link(vm);
}

static int connect_link(struct hosted *vm, struct err *err)
{
	static const struct rpc_link_ops ops = { .on_event = on_event, .on_closed = on_closed };
	pid_t pid = process_identity(vm->process)->pid;
	char path[RPC_PATH_BYTES];
	int ret = rpc_vm_path(vm->definition.name, RPC_SOCKET_SUFFIX, path, err);

	if (ret == 0)
		ret = rpc_link_open(&vm->host->loop, path, &ops, vm, &vm->link, err);
	if (ret < 0)
		return ret;
	if (rpc_link_peer_pid(vm->link) != pid) { /* C4 */
		ret = err_set(err, -EPERM, "%s belongs to process %d, not to %d", path,
			      (int)rpc_link_peer_pid(vm->link), (int)pid);
		rpc_link_close(vm->link);
		vm->link = NULL;
	}
	return ret;
}

static void try_link(struct hosted *vm)
{
	struct contact *contact = vm->contact;
	struct err err = { 0 };
	int ret = connect_link(vm, &err);

	if (ret < 0) {
		if (!contact->said_why)
			log_info("host", "%s: no link: %s", vm->definition.name, err.text);
		contact->said_why = true;
		return;
	}
	contact->linkless_ns = 0;
	contact->asked_ns = 0;
	contact->heard_ns = clock_now_ns();
	subscribe(vm);
	if (vm->running_config)
		ask_how_it_does(vm);
	else
		ask_about_it(vm);
}

void contact_open(struct hosted *vm)
{
	struct contact *contact = vm->contact;

	contact->is_open = true;
	contact->is_settled = contact->said_why = false;
	contact->silent_ns = 0;
	contact->told_state = NULL;
	contact->linkless_ns = clock_now_ns();
	if (!vm->link)
		try_link(vm);
}

void contact_close(struct hosted *vm, const char *why)
{
	struct contact *contact = vm->contact;

	jobs_fail_all(&contact->asked, API_ERROR_STATE, why); /* C3 */
	rpc_link_close(vm->link);
	vm->link = NULL;
	contact->is_open = false;
	contact->silent_ns = 0;
	contact->told_state = NULL;
	hosted_set_usage(vm, &(struct api_usage){ 0 });
}

static void follow_subscribers(struct hosted *vm)
{
	struct rpc_server *server = vm->host->server;
	bool wanted = server && (rpc_server_has_subscriber(server, "memory.balloon") ||
				 rpc_server_has_subscriber(server, "memory.statistics"));

	if (wanted != vm->contact->has_busy_kinds)
		subscribe(vm);
}

void contact_tick(struct hosted *vm, uint64_t now_ns, bool was_away)
{
	struct contact *contact = vm->contact;
	uint64_t most_ns = silence_ns(vm);
	uint64_t quiet_ns = most_ns * PING_AFTER_PERCENT / 100;

	if (!contact->is_open)
		return;
	if (!vm->link)
		try_link(vm);
	else
		follow_subscribers(vm);
	if (was_away && contact->asked_ns) /* C1 */
		contact->asked_ns = now_ns;
	if (was_away && contact->linkless_ns)
		contact->linkless_ns = now_ns;
	if (vm->link && contact->asked_ns == 0 && now_ns - contact->heard_ns >= quiet_ns)
		subscribe(vm);
	if (contact->silent_ns > 0)
		return;
	if (!vm->link && now_ns - contact->linkless_ns >= most_ns)
		fall_silent(vm, contact->linkless_ns, now_ns);
	else if (vm->link && contact->asked_ns &&
		 now_ns - contact->asked_ns >= most_ns - quiet_ns &&
		 now_ns - contact->heard_ns >= most_ns)
		fall_silent(vm, contact->heard_ns, now_ns);
}
