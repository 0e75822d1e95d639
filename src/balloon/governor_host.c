/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* governor_host.c - see governor_host.h.
 *
 * Design. Whatever can run out is a gauge (memory/gauges.c): how much there is, how much is free, and here
 * a state by the marks of host_policy.h. The state is that of the worst gauge, and what is free that
 * of the tightest. On 4 KiB frames the kernel also says how long tasks wait for memory (PSI): that
 * is a shortage, whatever is free. Guests on huge pages wait for nothing that PSI sees, so it
 * tells nothing about their pool.
 * A host with plenty of RAM is looked at every other tick, since a reading of it costs most.
 */
#include "balloon/governor_host.h"

#include <errno.h>
#include <stdlib.h>

#include "base/units.h"
#include "memory/gauges.h"

/* Shares of time in which some task waited for memory, and in which nobody did anything else, over the
 * last ten seconds. A host at a tenth is not one to grow on; and it is calm again at half of that. */
enum { PSI_PERMILLE = 100, PSI_CALM_PERMILLE = 50, PSI_FRESH_MS = 1900 /* the kernel's is 2 s */ };

struct governor_host {
	bool huge;
	struct gauges *gauges;
	enum host_state states[GAUGES_MOST], psi_state;
	uint64_t psi_ns; /* when it was looked at; 0: never */

	uint64_t read_ns;  /* 0: never */
	uint64_t fresh_ns; /* for so long */
	bool known;
	enum host_state state;
	uint64_t free_bytes;
};

static uint64_t minus(uint64_t from, uint64_t what)
{
	return from > what ? from - what : 0;
}

/* What the gauges said so far. */
struct sum {
	bool known;
	bool scarce; /* less than a quarter is free somewhere */
	enum host_state state;
	uint64_t free_bytes;
};

static void add_state(struct sum *sum, enum host_state state)
{
	if (state > sum->state)
		sum->state = state;
}

static void add_gauge(struct sum *sum, enum host_state *state, const struct gauge *gauge)
{
	struct host_marks marks = host_marks(gauge->total_bytes);
	uint64_t free_bytes = gauge->free_bytes;

	*state = host_state_step(&marks, *state, free_bytes);
	add_state(sum, *state);
	sum->scarce |= free_bytes < gauge->total_bytes / 4;
	free_bytes = minus(free_bytes, marks.enter_bytes[HOST_SOFT]);
	if (!sum->known || free_bytes < sum->free_bytes)
		sum->free_bytes = free_bytes;
	sum->known = true;
}

static enum host_state psi_state_of(unsigned some_permille, unsigned full_permille,
				    unsigned bound_permille)
{
	if (full_permille >= bound_permille)
		return HOST_HARD;
	return some_permille >= bound_permille ? HOST_SOFT : HOST_CLEAR;
}

static void look_at_psi(struct governor_host *host)
{
	enum host_state entered, kept;
	unsigned some, full;

	gauges_read_pressure(host->gauges, &some, &full);
	entered = psi_state_of(some, full, PSI_PERMILLE);
	kept = psi_state_of(some, full, PSI_CALM_PERMILLE);
	if (entered > host->psi_state)
		host->psi_state = entered;
	else if (kept < host->psi_state)
		host->psi_state = kept;
}

static void add_psi(struct governor_host *host, struct sum *sum, uint64_t now_ns)
{
	if (host->psi_ns == 0 || now_ns - host->psi_ns >= PSI_FRESH_MS * NS_PER_MS) {
		look_at_psi(host);
		host->psi_ns = now_ns;
	}
	add_state(sum, host->psi_state);
}

static struct sum look(struct governor_host *host, uint64_t now_ns)
{
	struct sum sum = { 0 };
	struct gauge gauge;

	for (unsigned i = 0; i < gauges_count(host->gauges); i++)
		if (gauges_read(host->gauges, i, &gauge))
			add_gauge(&sum, &host->states[i], &gauge);
	if (!host->huge)
		add_psi(host, &sum, now_ns);
	return sum;
}

bool governor_host_read(struct governor_host *host, uint64_t now_ns, enum host_state *ret_state,
			uint64_t *ret_free_bytes)
{
	if (host->read_ns == 0 || now_ns - host->read_ns >= host->fresh_ns) {
		struct sum sum = look(host, now_ns);

		host->read_ns = now_ns;
		host->fresh_ns =
			(host->huge || sum.scarce ? HOST_FRESH_MS : HOST_PLENTY_MS) * NS_PER_MS;
		host->known = sum.known;
		host->state = sum.state;
		host->free_bytes = sum.free_bytes;
	}
	*ret_state = host->state;
	*ret_free_bytes = host->free_bytes;
	return host->known;
}

int governor_host_create(const struct governor_host_config *config, struct governor_host **ret_host,
			 struct err *err)
{
	const struct gauges_config gauges = { .frame_bytes = config->frame_bytes,
					      .hugetlbfs_dir = config->hugetlbfs_dir,
					      .root = config->root };
	struct governor_host *host = calloc(1, sizeof(*host));
	int ret;

	if (!host)
		return err_set(err, -ENOMEM, "governor: out of memory");
	host->huge = config->frame_bytes == HUGE_FRAME_BYTES;
	ret = gauges_open(&gauges, &host->gauges, err);
	if (ret < 0) {
		free(host);
		return ret;
	}
	*ret_host = host;
	return 0;
}

void governor_host_destroy(struct governor_host *host)
{
	if (!host)
		return;
	gauges_close(host->gauges);
	free(host);
}
