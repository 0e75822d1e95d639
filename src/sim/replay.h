/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* replay.h - a recorded trace through policy_step() again.
 *
 * As recorded, every input is what it was, and the decisions must be what they were. With other
 * settings the guest would have got other memory, and would have answered differently: then a
 * model of a guest (guest.h) answers, whose programs need what the recorded guest said it used.
 */
#ifndef NEAP_SIM_REPLAY_H
#define NEAP_SIM_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "policy/record.h"

enum { REPLAY_TEXT_BYTES = 64 };

/* The first tick that decides differently. */
struct replay_difference {
	bool found;
	uint64_t line; /* of the trace, from 1 */
	char column[REPLAY_TEXT_BYTES], recorded[REPLAY_TEXT_BYTES], now[REPLAY_TEXT_BYTES];
};

/* One way the ticks went: as recorded, or as they would have gone. Time counts while the guest's
 * own word of what it uses is known; a pause between two ticks counts as a minute at most. */
struct replay_sums {
	uint64_t counted_ms;
	uint64_t demanded_mib_ms, granted_mib_ms; /* MiB times milliseconds */
	uint64_t below_ms;			  /* assigned less than used */
	uint64_t moved_bytes, reversals;
};

struct replay_result {
	uint64_t ticks;
	uint64_t span_ns;
	bool continues; /* the trace before, see replay_memory */
	struct replay_difference difference;
	struct replay_sums recorded, changed; /* changed: with other settings only */
};

/* A tick as it went; for charts. */
typedef void (*replay_tick_fn)(void *ctx, const struct policy_record *record);

/* What the policy remembered at the end of a trace, for the one that goes on where it ended. */
struct replay_memory {
	bool is_set;
	uint64_t guest_start_ns, now_ns;
	struct policy_state state;
};

struct replay_options {
	const char *set;	      /* other settings, or NULL */
	struct replay_memory *memory; /* in and out, or NULL; begin with zeros */
	replay_tick_fn tick;
	void *ctx;
};

/**
 * replay_file() - read a trace and decide again
 * @path: a file that record.h describes; read line by line, so it may be of any length
 *
 * Return: 0, also when decisions differ; negative: not such a trace, @err says "FILE:LINE: ...".
 */
int replay_file(const char *path, const struct replay_options *options,
		struct replay_result *ret_result, struct err *err);

#endif
