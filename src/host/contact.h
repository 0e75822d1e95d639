/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* contact.h - the link to one VM: what it tells is passed on, what is asked of it is asked here, and when it
 * does not answer that is noticed.
 *
 * Threads: the loop's.
 */
#ifndef NEAP_HOST_CONTACT_H
#define NEAP_HOST_CONTACT_H

#include "host/hosted.h"

struct contact;
struct job;

struct contact *contact_create(struct hosted *vm); /* NULL: no memory */
void contact_free(struct contact *contact);	   /* closes it; NULL is fine */

/* Its process runs: connect, now or as soon as it listens. */
void contact_open(struct hosted *vm);
/* Its process is gone: what was asked of it and not answered fails. */
void contact_close(struct hosted *vm, const char *why);

/* Each second: reconnect, ask whether it is still there, notice silence. @was_away: the daemon itself did not
 * run for a while, which says nothing about the VM. */
void contact_tick(struct hosted *vm, uint64_t now_ns, bool was_away);

/* Asks the VM for @method; its answer, or why there is none, wakes the job. Steals @params. */
void contact_ask(struct job *job, const char *method, json_t *params);

/* A call that no client asked for; an error of it is only logged. Steals @params. */
void contact_tell(struct hosted *vm, const char *method, json_t *params);

/* True when the VM has said who it is since the contact was opened, or was found silent. */
bool contact_is_settled(const struct hosted *vm);
bool contact_is_silent(const struct hosted *vm);

/* The events of a VM that the daemon follows, and those that clients want besides: an array. */
json_t *contact_kinds(bool with_busy);

#endif
