/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* jobs.h - one request's work: on the VM that it names, or on each that its selector names.
 *
 * A verb is written once, for one VM. Asked for by name its outcome is the answer; asked for by a selector
 * it is a row of the answer's results, in the order of names, and one VM's failure is no other's. Many VMs
 * are worked on in turns, and others are served between them.
 * Threads: the loop's.
 */
#ifndef NEAP_HOST_JOBS_H
#define NEAP_HOST_JOBS_H

#include "host/host_internal.h"

struct jobs;
struct job;

/* @result: borrowed, NULL unless @code is 0. Ends the job, or lets it wait again. */
typedef void (*job_then)(struct job *job, int code, const json_t *result, const char *sentence);

/* What is to be done with one VM. It ends by job_done() or job_fail(), once, at once or later; then it is
 * gone. */
struct job {
	struct jobs *jobs;
	struct hosted *vm;	     /* from when it is begun until it ends */
	struct api_request *request; /* what was asked; its params have vm and selector too */
	void *note;		     /* the verb's own */
	job_then then;		     /* who takes what comes of waiting; NULL: it is the outcome */
	struct job_list *list;	     /* where it waits, or NULL */
	struct job *previous, *next;
	unsigned index;
	char name[VM_NAME_BYTES], uuid[37]; /* the VM's */
};

typedef void (*job_run)(struct job *job);

/**
 * jobs_run() - do @run for the VM or VMs that the request's `vm` or `selector` names
 *
 * Return: what a handler returns: 0 when all is done, API_LATER, or an enum api_error.
 */
int jobs_run(struct host *host, struct api_request *request, job_run run, json_t **ret_result,
	     struct err *err);

/* For verbs that make their VM themselves: one job, whose outcome is the answer. */
int jobs_run_on(struct hosted *vm, struct api_request *request, job_run run, json_t **ret_result,
		struct err *err);

/* The daemon ends: what has not begun fails with @why. */
void jobs_let_go(struct host *host, const char *why);

void job_done(struct job *job, json_t *result); /* steals @result */
void job_fail(struct job *job, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Until it ends or is moved to another list. Whoever ends the list's reason ends its jobs. */
void job_wait(struct job *job, struct job_list *list);

/* What it waited for has come, or an enum api_error. */
void job_wake(struct job *job, int code, const json_t *result, const char *sentence);
void jobs_fail_all(struct job_list *list, int code, const char *sentence);

#endif
