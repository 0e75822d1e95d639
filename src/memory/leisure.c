/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* leisure.c - see leisure.h.
 *
 * The rule. There is none to spare while more than PASSERS_BY threads wait for a processor, or when
 * a piece of work took much longer than it worked. Each of the two alone is too little:
 *  - A fair scheduler owes a turn to who has slept. So who takes a short one now and then is never
 *    disturbed while he takes it, however many wait: 30 VMs that started on two processors each zeroed
 *    their whole stock meanwhile.
 *  - The number of threads is the host's, and ours may be kept to fewer processors than it has (by
 *    their affinity or a cgroup). Where it cannot be read (0) the time has to do.
 * The rest begins with the square of how many wait, so that one does not cost us much and a crowd is
 * not looked at again and again (a look costs 30 us with all that waking up costs).
 * A host of two processors that starts a single VM has one that waits every now and then: the VM's
 * own threads, and who reads its console. TOLERATED_NS is for what wants a processor for a moment and
 * is gone again: our own pager, an interrupt.
 */
#include "memory/leisure.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/bounds.h"

#define TOLERATED_NS (50 * NS_PER_US)

enum { RUNNABLE_FIELD = 3, CROWD_THREADS = 16, PASSERS_BY = 1 };

static bool had_to_wait(uint64_t wall_ns, uint64_t cpu_ns)
{
	uint64_t waited_ns = wall_ns > cpu_ns ? wall_ns - cpu_ns : 0;

	return waited_ns > TOLERATED_NS && waited_ns > cpu_ns / 2;
}

/* Few who wait may be gone in a moment; a crowd is not. */
static uint64_t crowd_ns(const struct leisure_view *view)
{
	uint64_t calm = view->processors + PASSERS_BY;
	uint64_t waiting = view->runnable > calm ? view->runnable - calm : 0;

	waiting = waiting < CROWD_THREADS ? waiting : CROWD_THREADS;
	return waiting * waiting * LEISURE_LEAST_NS;
}

uint64_t leisure_rest_ns(const struct leisure_view *view, uint64_t rested_ns)
{
	uint64_t rest_ns = crowd_ns(view);

	if (rest_ns == 0 && !had_to_wait(view->wall_ns, view->cpu_ns))
		return 0;
	if (rested_ns >= LEISURE_MOST_NS / 2)
		return LEISURE_MOST_NS;
	return most(most(rest_ns, 2 * rested_ns), LEISURE_LEAST_NS);
}

uint64_t leisure_parse_runnable(const char *loadavg)
{
	for (int field = 0; field < RUNNABLE_FIELD; field++) {
		loadavg = strchr(loadavg, ' ');
		if (!loadavg)
			return 0;
		loadavg++;
	}
	return strtoull(loadavg, NULL, 10);
}
