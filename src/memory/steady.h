/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* steady.h - what answers page faults must not wait for page faults of its own. Inside memory/ only.
 *
 * A host that swaps may take our own code, stacks and tables first, since a pager sleeps most of the
 * time; then each fault of the guest would wait for the host's disk. What was touched once is locked
 * here; nothing is made present for it, so it costs no memory that was not used anyway.
 *
 * Best effort: a user whose limit on locked memory (RLIMIT_MEMLOCK) is used up goes on without.
 */
#ifndef NEAP_MEMORY_STEADY_H
#define NEAP_MEMORY_STEADY_H

#include <stddef.h>

/* This thread's stack. */
void steady_stack(void);

/* The code and data of the program and of its C library: a tenth of a millisecond, so not from a thread
 * that somebody waits for. */
void steady_program(void);

/* Whole pages around [start, start + len_bytes). */
void steady_memory(const void *start, size_t len_bytes);

#endif
