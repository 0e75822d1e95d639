/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* pressure.h - how many blocks have to leave RAM now, and why. Inside memory/ only; pure.
 *
 * For: turning "an allocation failed", "there is a limit" and the bytes held now into a number of
 * blocks. Not for: choosing them (victims.h).
 * Threads: one at a time (the swapper's lock).
 */
#ifndef NEAP_MEMORY_PRESSURE_H
#define NEAP_MEMORY_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

enum swap_reason { SWAP_FAMINE, SWAP_LIMIT, SWAP_BALLOON, SWAP_REASON_COUNT };

#define PRESSURE_NONE UINT64_MAX

struct pressure {
	uint64_t ceiling_bytes; /* held when an allocation failed; PRESSURE_NONE: there is room */
	uint64_t short_ns;	/* when it failed last */
	uint64_t raised_ns;	/* when the ceiling was raised last */
	uint64_t busy_ns;	/* when blocks had to leave last */
	bool draining;		/* from the upper mark down to the lower one */
};

struct pressure_now {
	uint64_t now_ns;
	uint64_t held_bytes;  /* of the host's memory */
	uint64_t limit_bytes; /* 0: no limit */
	uint64_t block_bytes;
	bool waiting; /* somebody of ours sleeps until there is a frame */
};

struct pressure_demand {
	uint64_t blocks; /* that should leave now */
	enum swap_reason reason;
	bool urgent; /* somebody sleeps for one, or the limit is exceeded */
};

void pressure_init(struct pressure *pressure);

/* An allocation failed. */
void pressure_short(struct pressure *pressure, const struct pressure_now *now);

struct pressure_demand pressure_demand(struct pressure *pressure, const struct pressure_now *now);

/* For how long nothing had to leave. */
uint64_t pressure_calm_ns(const struct pressure *pressure, const struct pressure_now *now);

/* How many blocks may come back before their room is needed by somebody else. */
uint64_t pressure_room_blocks(const struct pressure *pressure, const struct pressure_now *now);

/* Free blocks that are kept in front of the faults while there is pressure. */
uint64_t pressure_headroom_blocks(uint64_t most_blocks);

#endif
