/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* lifecycle.h - from stored to running and back: who may start, who waits, what follows an end.
 *
 * Threads: the loop's.
 */
#ifndef NEAP_HOST_LIFECYCLE_H
#define NEAP_HOST_LIFECYCLE_H

#include "host/hosted.h"

struct life;
struct job;

struct life *life_create(struct hosted *vm);
void life_free(struct life *life); /* its process goes on; NULL is fine */

/* The daemon ends: what clients wait for fails with @why, and the process goes on. */
void life_let_go(struct hosted *vm, const char *why);

/* For a client: the job ends with {pid, state} when it runs, or with why not. @wait: for memory. */
void life_start(struct job *job, bool wait);
/* By ourselves: autostart. Memory is waited for. */
void life_autostart(struct hosted *vm);

/* For a client: the power button. The restart policy holds its hand when the guest follows. */
void life_stop(struct job *job);
/* For a client: ends it in any case; the job ends when the process is gone. */
void life_kill(struct job *job);

/* A process that runs already is this VM's. -ESRCH: it is gone. */
int life_adopt(struct hosted *vm, const struct process_identity *identity, struct err *err);
/* What is on record ended while no daemon was there. */
void life_ended_unseen(struct hosted *vm);
/* What is on record was going to be started, and nobody was there to do it. */
void life_go_on_waiting(struct hosted *vm);
/* The process says it is another VM: it is not ours. */
void life_mistaken(struct hosted *vm);
/* The guest goes on after all: a request to stop is no longer why it might end. */
void life_guest_reset(struct hosted *vm);

void life_on_alarm(struct hosted *vm, uint64_t now_ns);
uint64_t life_alarm_ns(const struct hosted *vm); /* 0: none */

/* True when it has no process and none is wanted: it may be deleted. */
bool life_is_at_rest(const struct hosted *vm);

#endif
