/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* jobs.c - see jobs.h.
 *
 *  J1  Every job ends once; when the last has ended, the request is answered, once.
 *  J2  While jobs are begun nobody answers: who begins them does, after the last one.
 *  J3  Jobs are begun for TURN_NS at most, then the loop goes round and others have their turn: a
 *      thousand files that are stored, or VMs that are started, hold nobody up. Until its turn comes a
 *      job knows its VM by name and UUID only, since that may go.
 *  J4  Of requests for many the first is begun to its end before the next: what two do to one VM is done
 *      in the order in which they came. One for a single VM does not wait for them.
 */
#include "host/jobs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "config/json_text.h"

#define TURN_NS (5 * NS_PER_MS)

struct jobs {
	struct host *host;
	struct jobs *next; /* of those with jobs that are not begun */
	struct api_request *request;
	job_run run;
	bool is_single;
	bool is_inside; /* J2 */
	unsigned count, begun, left;
	json_t *results; /* of many */
	int code;	 /* of one */
	json_t *result;
	struct err err;
	struct job jobs[];
};

/* The answer of many. */
static json_t *take_results(struct jobs *jobs)
{
	json_t *results = jobs->results;

	jobs->results = NULL;
	return json_pack("{s:o}", "results", results);
}

static void answer(struct jobs *jobs)
{
	struct api_request *request = jobs->request;

	if (!jobs->is_single)
		request->answer(request, take_results(jobs), -1);
	else if (jobs->code == 0)
		request->answer(request, jobs->result, -1);
	else
		request->fail(request, jobs->code, jobs->err.text);
	free(jobs);
}

static void end(struct job *job)
{
	struct jobs *jobs = job->jobs;

	job_wait(job, NULL);
	jobs->left--;
	if (jobs->left == 0 && !jobs->is_inside)
		answer(jobs);
}

void job_done(struct job *job, json_t *result)
{
	struct jobs *jobs = job->jobs;

	if (jobs->is_single)
		jobs->result = result ? result : json_object();
	else
		(void)json_array_set_new(jobs->results, job->index,
					 json_pack("{s:s, s:o}", "vm", job->name, "result",
						   result ? result : json_object()));
	end(job);
}

void job_fail(struct job *job, int code, const char *fmt, ...)
{
	struct jobs *jobs = job->jobs;
	char sentence[ERR_TEXT_BYTES];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(sentence, sizeof(sentence), fmt, args);
	va_end(args);
	json_text_mend(sentence);
	if (jobs->is_single) {
		jobs->code = code;
		(void)err_set(&jobs->err, -EIO, "%s", sentence);
	} else {
		(void)json_array_set_new(jobs->results, job->index,
					 json_pack("{s:s, s:{s:i, s:s}}", "vm", job->name, "error",
						   "code", code, "message", sentence));
	}
	end(job);
}

void job_wait(struct job *job, struct job_list *list)
{
	if (job->list) {
		if (job->previous)
			job->previous->next = job->next;
		else
			job->list->first = job->next;
		if (job->next)
			job->next->previous = job->previous;
	}
	job->list = list;
	job->previous = NULL;
	job->next = list ? list->first : NULL;
	if (job->next)
		job->next->previous = job;
	if (list)
		list->first = job;
}

void job_wake(struct job *job, int code, const json_t *result, const char *sentence)
{
	job_then then = job->then;

	job_wait(job, NULL);
	job->then = NULL;
	if (then)
		then(job, code, result, sentence);
	else if (code == 0)
		job_done(job, json_incref((json_t *)result));
	else
		job_fail(job, code, "%s", sentence);
}

void jobs_fail_all(struct job_list *list, int code, const char *sentence)
{
	while (list->first)
		job_wake(list->first, code, NULL, sentence);
}

static struct jobs *create(struct host *host, struct api_request *request, job_run run,
			   bool is_single, unsigned count)
{
	struct jobs *jobs = calloc(1, sizeof(*jobs) + count * sizeof(jobs->jobs[0]));

	if (!jobs)
		return NULL;
	jobs->host = host;
	jobs->request = request;
	jobs->run = run;
	jobs->is_single = is_single;
	jobs->count = jobs->left = count;
	jobs->results = is_single ? NULL : json_array();
	for (unsigned i = 0; i < count && !is_single; i++)
		(void)json_array_append_new(jobs->results, json_null());
	return jobs;
}

static void set_job(struct jobs *jobs, unsigned index, const struct hosted *vm)
{
	struct job *job = &jobs->jobs[index];

	job->jobs = jobs;
	job->request = jobs->request;
	job->index = index;
	memcpy(job->name, vm->definition.name, sizeof(job->name));
	memcpy(job->uuid, vm->definition.uuid, sizeof(job->uuid));
}

/* J3 */
static void begin(struct job *job)
{
	struct hosted *vm = host_find(job->jobs->host, job->name);

	if (vm && strcmp(vm->definition.uuid, job->uuid) == 0) {
		job->vm = vm;
		job->jobs->run(job);
	} else {
		job_fail(job, API_ERROR_NO_VM, "%s was forgotten meanwhile", job->name);
	}
}

/* At least one; true when all are begun. */
static bool begin_some(struct jobs *jobs)
{
	uint64_t until_ns = clock_now_ns() + TURN_NS;

	jobs->is_inside = true;
	while (jobs->begun < jobs->count) {
		begin(&jobs->jobs[jobs->begun++]);
		if (clock_now_ns() >= until_ns)
			break;
	}
	jobs->is_inside = false;
	return jobs->begun == jobs->count;
}

static void leave_queue(struct host *host)
{
	struct jobs *jobs = host->waiting_jobs;

	host->waiting_jobs = jobs->next;
	if (!host->waiting_jobs)
		(void)uv_idle_stop(&host->turns);
	if (jobs->left == 0)
		answer(jobs);
}

static void on_turn(uv_idle_t *turns)
{
	struct host *host = turns->data;

	if (begin_some(host->waiting_jobs))
		leave_queue(host);
}

static void wait_for_turn(struct jobs *jobs)
{
	struct jobs **end = &jobs->host->waiting_jobs;

	while (*end)
		end = &(*end)->next;
	*end = jobs;
	(void)uv_idle_start(&jobs->host->turns, on_turn);
}

void jobs_let_go(struct host *host, const char *why)
{
	struct jobs *jobs;

	while ((jobs = host->waiting_jobs)) {
		jobs->is_inside = true;
		while (jobs->begun < jobs->count)
			job_fail(&jobs->jobs[jobs->begun++], API_ERROR_INTERNAL, "%s", why);
		jobs->is_inside = false;
		leave_queue(host);
	}
}

static int run_all(struct jobs *jobs, json_t **ret_result, struct err *err)
{
	int code;

	if ((jobs->host->waiting_jobs && jobs->count > 1) || !begin_some(jobs)) /* J4 */
		wait_for_turn(jobs);
	if (jobs->left > 0)
		return API_LATER;
	code = jobs->code;
	if (code != 0)
		*err = jobs->err;
	else
		*ret_result = jobs->is_single ? jobs->result : take_results(jobs);
	free(jobs);
	return code;
}

int jobs_run_on(struct hosted *vm, struct api_request *request, job_run run, json_t **ret_result,
		struct err *err)
{
	struct jobs *jobs = create(vm->host, request, run, true, 1);

	if (!jobs)
		return err_set(err, -ENOMEM, "out of memory"), API_ERROR_INTERNAL;
	set_job(jobs, 0, vm);
	return run_all(jobs, ret_result, err);
}

static int run_selected(struct host *host, struct api_request *request, const char *text,
			job_run run, json_t **ret_result, struct err *err)
{
	struct selector *selector;
	struct jobs *jobs;
	unsigned count = 0;

	if (selector_parse(text, &selector, err) < 0)
		return API_ERROR_INVALID_PARAMS;
	for (unsigned i = 0; i < host->vm_count; i++)
		count += selector_matches(selector, host->vms[i]);
	jobs = create(host, request, run, false, count);
	count = 0;
	for (unsigned i = 0; i < host->vm_count && jobs; i++)
		if (selector_matches(selector, host->vms[i]))
			set_job(jobs, count++, host->vms[i]);
	selector_free(selector);
	if (!jobs)
		return err_set(err, -ENOMEM, "out of memory"), API_ERROR_INTERNAL;
	return run_all(jobs, ret_result, err);
}

int jobs_run(struct host *host, struct api_request *request, job_run run, json_t **ret_result,
	     struct err *err)
{
	const char *name = json_string_value(json_object_get(request->params, "vm"));
	const char *selector = json_string_value(json_object_get(request->params, "selector"));
	struct hosted *vm;

	if (!name == !selector)
		return err_set(err, -EINVAL, "%s: say which VM: vm or selector, one of the two",
			       request->verb->method),
		       API_ERROR_INVALID_PARAMS;
	if (selector)
		return run_selected(host, request, selector, run, ret_result, err);
	vm = host_find(host, name);
	if (!vm)
		return host_no_vm(name, err);
	return jobs_run_on(vm, request, run, ret_result, err);
}
