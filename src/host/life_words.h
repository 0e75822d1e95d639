/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* life_words.h - what is told of a VM's life: events, and the results of verbs. Each json_t is a new
 * reference. Threads: the loop's.
 */
#ifndef NEAP_HOST_LIFE_WORDS_H
#define NEAP_HOST_LIFE_WORDS_H

#include "host/hosted.h"

void life_tell_started(struct hosted *vm);
void life_tell_adopted(struct hosted *vm);
/* vm->end is how. */
void life_tell_ended(struct hosted *vm, bool restarts, uint64_t in_ms);

json_t *life_describe_start(pid_t pid, const char *state); /* {pid, state} */
json_t *life_describe_state(const struct hosted *vm);	   /* {state} */

#endif
