/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* jobs.c - see jobs.h.
 *
 *  J1  Every job ends once; when the last has ended, the request is answered, once.
 *  J2  A handler that is still running answers by returning: only later ends go through the request.
 */
#include "host/jobs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct jobs {
	struct api_request *request;
	bool is_single;
	bool is_inside; /* J2 */
	unsigned left;
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
					 json_pack("{s:s, s:o}", "vm", job->vm->definition.name,
						   "result", result ? result : json_object()));
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
	if (jobs->is_single) {
		jobs->code = code;
		(void)err_set(&jobs->err, -EIO, "%s", sentence);
	} else {
		(void)json_array_set_new(jobs->results, job->index,
					 json_pack("{s:s, s:{s:i, s:s}}", "vm",
						   job->vm->definition.name, "error", "code", code,
						   "message", sentence));
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

static struct jobs *create(struct api_request *request, bool is_single, unsigned count)
{
	struct jobs *jobs = calloc(1, sizeof(*jobs) + count * sizeof(jobs->jobs[0]));

	if (!jobs)
		return NULL;
	jobs->request = request;
	jobs->is_single = is_single;
	jobs->left = count;
	jobs->results = is_single ? NULL : json_array();
	for (unsigned i = 0; i < count; i++) {
		jobs->jobs[i].jobs = jobs;
		jobs->jobs[i].request = request;
		jobs->jobs[i].index = i;
		if (!is_single)
			(void)json_array_append_new(jobs->results, json_null());
	}
	return jobs;
}

static int run_all(struct jobs *jobs, unsigned count, job_run run, json_t **ret_result,
		   struct err *err)
{
	int code;

	jobs->is_inside = true;
	for (unsigned i = 0; i < count; i++)
		run(&jobs->jobs[i]);
	jobs->is_inside = false;
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
	struct jobs *jobs = create(request, true, 1);

	if (!jobs)
		return err_set(err, -ENOMEM, "out of memory"), API_ERROR_INTERNAL;
	jobs->jobs[0].vm = vm;
	return run_all(jobs, 1, run, ret_result, err);
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
	jobs = create(request, false, count);
	count = 0;
	for (unsigned i = 0; i < host->vm_count && jobs; i++)
		if (selector_matches(selector, host->vms[i]))
			jobs->jobs[count++].vm = host->vms[i];
	selector_free(selector);
	if (!jobs)
		return err_set(err, -ENOMEM, "out of memory"), API_ERROR_INTERNAL;
	return run_all(jobs, count, run, ret_result, err);
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
