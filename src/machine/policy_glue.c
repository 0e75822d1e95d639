/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* policy_glue.c - what the governor sees of this machine, and what it moves. See policy_glue.h.
 *
 * Every number is read where its owner publishes it, without waiting: the balloon's counters and
 * statistics, the memory engine's counters, the host's files. A decision is posted to the I/O thread.
 *  P1  In mode auto only the policy moves the balloon, and in other modes it never does: the mode is
 *      looked at on the I/O thread, right before the balloon is moved, and whoever moves it by hand
 *      sets the mode first. So of two that come at once the person wins.
 *  P2  Guest RAM holds at most the smaller of what the user and the policy limit it to.
 *  P3  The governor is made before guest RAM and outlives it, so that the pager may wake it at any
 *      time; its thread runs only while everything it looks at is there.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "machine/devices.h"
#include "machine/machine_internal.h"

/* ---- Observe; on the governor's thread ---- */

static const struct {
	enum balloon_stat stat;
	enum policy_claim claim;
} claims[] = {
	{ BALLOON_STAT_MEMTOT, POLICY_CLAIM_TOTAL_BYTES },
	{ BALLOON_STAT_AVAIL, POLICY_CLAIM_AVAILABLE_BYTES },
	{ BALLOON_STAT_MEMFREE, POLICY_CLAIM_FREE_BYTES },
	{ BALLOON_STAT_CACHES, POLICY_CLAIM_CACHE_BYTES },
	{ BALLOON_STAT_MAJFLT, POLICY_CLAIM_MAJOR_FAULTS },
	{ BALLOON_STAT_SWAP_IN, POLICY_CLAIM_SWAP_IN_BYTES },
	{ BALLOON_STAT_SWAP_OUT, POLICY_CLAIM_SWAP_OUT_BYTES },
	{ BALLOON_STAT_OOM_KILL, POLICY_CLAIM_OOM_KILLS },
	{ BALLOON_STAT_ALLOC_STALL, POLICY_CLAIM_ALLOC_STALLS },
	{ BALLOON_STAT_DIRECT_SCAN, POLICY_CLAIM_DIRECT_SCANS },
};
_Static_assert(ARRAY_LEN(claims) == POLICY_CLAIM_COUNT, "every claim comes from a statistic");

static void observe_balloon(const struct machine *machine, struct policy_input *input)
{
	struct balloon_counters counters;
	struct balloon_guest_stats stats;

	balloon_read_counters(machine->balloon, &counters);
	balloon_read_stats(machine->balloon, &stats);
	input->driver_ready = counters.driver_ready;
	input->deflate_on_oom = counters.features & BALLOON_F_DEFLATE_ON_OOM;
	input->taken_bytes = counters.taken_bytes;
	input->stats_at_ns = stats.at_ns;
	input->stats_period_ns = machine->config->balloon.stats_period_s * NS_PER_S;
	for (size_t i = 0; i < ARRAY_LEN(claims); i++) {
		if (!(stats.present & (UINT32_C(1) << claims[i].stat)))
			continue;
		input->present |= UINT32_C(1) << claims[i].claim;
		input->untrusted_claim[claims[i].claim] = stats.value[claims[i].stat];
	}
}

static void observe_engine(const struct machine *machine, struct policy_input *input)
{
	struct ram_statistics statistics;

	ram_read_statistics(machine->ram, &statistics);
	input->has_stall = ram_has_pager(machine->ram);
	/* A first touch that is answered at once tells of a busy host, not of too little memory. */
	input->stall_ns = statistics.kept_waiting_ns;
	input->has_active = statistics.sample_periods > 0;
	input->active_percent = statistics.active_percent;
	input->can_swap = machine->config->swap.dir && !statistics.swap_closed;
	input->swapped_bytes = statistics.state_bytes[FRAME_SWAPPED];
	input->has_held = input->has_stall;
	input->held_bytes = ram_resident_bytes(machine->ram);
	input->refault_blocks = statistics.refaults;
}

static bool observe(void *ctx, struct policy_input *input)
{
	struct machine *machine = ctx;
	struct policy_glue *glue = &machine->policy;

	if (!atomic_load(&glue->running))
		return false;
	input->guest_start_ns = atomic_load(&glue->guest_start_ns);
	observe_balloon(machine, input);
	observe_engine(machine, input);
	input->has_host = governor_host_read(glue->host, input->now_ns, &input->host,
					     &input->host_free_bytes);
	return true;
}

static uint64_t read_stall_ns(void *ctx)
{
	const struct machine *machine = ctx;
	struct ram_statistics statistics;

	ram_read_statistics(machine->ram, &statistics);
	return statistics.kept_waiting_ns;
}

/* ---- Act ---- */

static bool can_swap(const struct machine *machine)
{
	return machine->config->swap.dir != NULL;
}

static void set_smaller_limit(struct machine *machine, bool is_user, uint64_t limit_bytes) /* P2 */
{
	struct policy_glue *glue = &machine->policy;
	uint64_t *mine = is_user ? &glue->user_limit_bytes : &glue->policy_limit_bytes;
	uint64_t now_bytes;

	(void)pthread_mutex_lock(&glue->limit_lock);
	if (*mine != limit_bytes) {
		*mine = limit_bytes;
		now_bytes = glue->user_limit_bytes;
		if (glue->policy_limit_bytes &&
		    (!now_bytes || glue->policy_limit_bytes < now_bytes))
			now_bytes = glue->policy_limit_bytes;
		(void)ram_set_limit(machine->ram, now_bytes);
	}
	(void)pthread_mutex_unlock(&glue->limit_lock);
}

static void move_balloon(void *arg) /* on the I/O thread; P1 */
{
	struct machine *machine = arg;
	struct policy_glue *glue = &machine->policy;

	if (machine->balloon && atomic_load(&glue->mode) == POLICY_MODE_AUTO)
		(void)balloon_set_target(machine->balloon, atomic_load(&glue->balloon_bytes));
}

static void ask_for_report(void *arg) /* on the I/O thread */
{
	struct machine *machine = arg;

	virtio_slots_ask_statistics(machine,
				    atomic_load(&machine->policy.report_in_ns) / NS_PER_MS);
}

static void act(void *ctx, const struct policy_record *record)
{
	struct machine *machine = ctx;
	struct policy_glue *glue = &machine->policy;
	const struct policy_decision *decision = &record->decision;
	struct balloon_counters counters;
	uint64_t bytes;

	if (record->settings.mode != POLICY_MODE_AUTO)
		return;
	if (can_swap(machine))
		set_smaller_limit(machine, false, decision->swap_limit_bytes);
	bytes = record->settings.maximum_bytes - decision->target_bytes;
	atomic_store(&glue->balloon_bytes, bytes);
	balloon_read_counters(machine->balloon, &counters);
	if (counters.asked_bytes != bytes)
		loop_post(&machine->io, &glue->move);
	if (decision->report_in_ns && record->input.stats_at_ns != glue->asked_after_ns) {
		glue->asked_after_ns = record->input.stats_at_ns;
		atomic_store(&glue->report_in_ns, decision->report_in_ns);
		loop_post(&machine->io, &glue->ask);
	}
}

static void decided(void *ctx, const struct policy_record *record)
{
	struct machine *machine = ctx;
	struct policy_glue *glue = &machine->policy;

	if (atomic_exchange(&glue->status, record->decision.status) != record->decision.status)
		loop_post(&machine->control, &glue->status_changed);
	if (glue->trace)
		policy_trace_poke(glue->trace);
}

static void on_status_changed(void *arg) /* on the control thread */
{
	struct machine *machine = arg;
	struct policy_glue *glue = &machine->policy;
	const struct policy_decision *decision;
	struct governor_status now;

	governor_read(glue->governor, &now);
	decision = &now.record.decision;
	if (decision->status == glue->status_told)
		return;
	events_publish(machine, "memory.status",
		       json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "status",
				 policy_status_names[decision->status], "was",
				 policy_status_names[glue->status_told], "rule",
				 policy_rules[decision->rule].name, "demand_bytes",
				 (json_int_t)decision->demand_bytes, "assigned_bytes",
				 (json_int_t)decision->assigned_bytes, "target_bytes",
				 (json_int_t)decision->target_bytes, "pressure_percent",
				 (json_int_t)decision->pressure_percent));
	glue->status_told = decision->status;
}

/* ---- Hooks ---- */

void policy_balloon_changed(struct machine *machine)
{
	struct policy_glue *glue = &machine->policy;
	struct balloon_guest_stats stats;
	struct balloon_counters counters;

	if (!glue->governor)
		return;
	balloon_read_counters(machine->balloon, &counters);
	balloon_read_stats(machine->balloon, &stats);
	if (stats.at_ns != glue->io_stats_at_ns)
		governor_wake(glue->governor, GOVERNOR_STATISTICS);
	/* It takes back what it is asked for: under DEFLATE_ON_OOM a guest does so in need. */
	if (counters.taken_bytes < glue->io_taken_bytes &&
	    counters.taken_bytes < counters.asked_bytes &&
	    counters.asked_bytes == glue->io_asked_bytes)
		governor_wake(glue->governor, GOVERNOR_DEFLATED);
	glue->io_stats_at_ns = stats.at_ns;
	glue->io_taken_bytes = counters.taken_bytes;
	glue->io_asked_bytes = counters.asked_bytes;
}

void policy_starved(struct machine *machine)
{
	if (machine->policy.governor)
		governor_wake(machine->policy.governor, GOVERNOR_STARVED);
}

void policy_waits(struct machine *machine)
{
	if (machine->policy.governor)
		governor_waits(machine->policy.governor);
}

void policy_guest_reset(struct machine *machine)
{
	atomic_store(&machine->policy.guest_start_ns, clock_now_ns());
	if (machine->policy.governor)
		governor_wake(machine->policy.governor, GOVERNOR_GUEST);
}

void policy_state_changed(struct machine *machine, enum api_state now)
{
	struct policy_glue *glue = &machine->policy;
	bool runs = now == API_STATE_RUNNING;

	if (atomic_exchange(&glue->running, runs) != runs && runs && glue->governor)
		governor_wake(glue->governor, GOVERNOR_GUEST);
}

/* ---- By hand ---- */

void policy_set_mode(struct machine *machine, enum policy_mode mode)
{
	atomic_store(&machine->policy.mode, mode);
	if (mode == POLICY_MODE_AUTO)
		return;
	if (can_swap(machine))
		set_smaller_limit(machine, false, 0);
}

int policy_set_user_limit(struct machine *machine, uint64_t limit_bytes)
{
	if (!can_swap(machine))
		return -EOPNOTSUPP;
	set_smaller_limit(machine, true, limit_bytes);
	return 0;
}

/* ---- From beginning to end ---- */

uint64_t policy_first_balloon_bytes(const struct machine *machine)
{
	struct policy_settings settings = vm_config_policy(machine->config);

	if (settings.mode != POLICY_MODE_AUTO)
		return machine->config->balloon.target_bytes;
	return ram_is_reserved(machine->ram) ? 0 : settings.maximum_bytes - settings.startup_bytes;
}

/* Any 64 bits of a random UUID. */
static uint64_t phase_seed(const struct vm_config *config)
{
	uint8_t uuid[UUID_BYTES];
	uint64_t seed;

	vm_config_uuid(config, uuid);
	memcpy(&seed, uuid + sizeof(uuid) - sizeof(seed), sizeof(seed));
	return seed;
}

int policy_create(struct machine *machine, struct err *err)
{
	struct policy_glue *glue = &machine->policy;
	const struct vm_config *config = machine->config;
	struct governor_config governor = {
		.settings = vm_config_policy(config),
		.phase_seed = phase_seed(config),
		.ops = { .observe = observe,
			 .stall_ns = read_stall_ns,
			 .act = act,
			 .decided = decided },
		.ctx = machine,
	};

	(void)pthread_mutex_init(&glue->limit_lock, NULL);
	glue->status_told = POLICY_STATUS_OK;
	glue->user_limit_bytes = config->memory.limit_bytes;
	glue->move = (struct loop_task){ .run = move_balloon, .arg = machine };
	glue->ask = (struct loop_task){ .run = ask_for_report, .arg = machine };
	glue->status_changed = (struct loop_task){ .run = on_status_changed, .arg = machine };
	atomic_init(&glue->mode, governor.settings.mode);
	atomic_init(&glue->guest_start_ns, clock_now_ns());
	return config->balloon.enabled ? governor_create(&governor, &glue->governor, err) : 0;
}

void policy_destroy(struct machine *machine)
{
	governor_destroy(machine->policy.governor);
	machine->policy.governor = NULL;
	(void)pthread_mutex_destroy(&machine->policy.limit_lock);
}

int policy_start(struct machine *machine, struct err *err)
{
	struct policy_glue *glue = &machine->policy;
	const struct vm_config *config = machine->config;
	struct governor_host_config host = { .frame_bytes = vm_config_frame_bytes(config),
					     .hugetlbfs_dir = config->memory.hugetlbfs_dir,
					     .root = "" };
	struct policy_settings settings = vm_config_policy(config);
	int ret;

	if (!glue->governor)
		return 0;
	settings.reserved = ram_is_reserved(machine->ram); /* also where there is no pager */
	governor_set(glue->governor, &settings);
	ret = governor_host_create(&host, &glue->host, err);
	if (ret == 0 && config->memory.policy_trace_path)
		ret = policy_trace_open(config->memory.policy_trace_path, glue->governor,
					&glue->trace, err);
	return ret < 0 ? ret : governor_start(glue->governor, err);
}

void policy_stop(struct machine *machine)
{
	struct policy_glue *glue = &machine->policy;

	governor_stop(glue->governor);
	policy_trace_close(glue->trace);
	glue->trace = NULL;
	governor_host_destroy(glue->host);
	glue->host = NULL;
}
