/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_governor.c - the governor's thread and its ticks, around a guest made of numbers.
 *
 * Most cases call governor_step() with a clock of their own, so that a minute passes in no time;
 * the last ones run the real thread beside others.
 */
#include "../support/testing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "balloon/governor.h"
#include "base/clock.h"

#define START_NS      (1000 * NS_PER_S)
#define MAXIMUM_BYTES (2 * GIB_BYTES)

/* A guest and its VM. */
struct rig {
	struct governor *governor;
	struct policy_settings settings;
	uint64_t now_ns, guest_start_ns;
	bool paused, has_driver, answers, obeys, has_stats;
	uint64_t used_bytes;		   /* what its programs need */
	uint64_t taken_bytes, asked_bytes; /* its balloon */
	uint64_t stats_at_ns;
	uint64_t claimed_available_bytes; /* instead of the truth; UINT64_MAX: the truth */
	uint64_t stall_ns, stall_told_ns;
	unsigned causes;
	bool waits_now; /* somebody begins to, after the next reading of the counter */
	uint64_t swap_limit_bytes;
	enum host_state host;
	/* what was seen */
	unsigned acts, looks;
	uint64_t tick_ns[4096];
	unsigned ticks;
	struct policy_record last;
};

static uint64_t available(const struct rig *rig)
{
	uint64_t has = MAXIMUM_BYTES - rig->taken_bytes;

	if (rig->claimed_available_bytes != UINT64_MAX)
		return rig->claimed_available_bytes;
	return has > rig->used_bytes ? has - rig->used_bytes : 0;
}

static void claim(struct policy_input *input, enum policy_claim claim, uint64_t value)
{
	input->present |= UINT32_C(1) << claim;
	input->untrusted_claim[claim] = value;
}

static bool observe(void *ctx, struct policy_input *input)
{
	struct rig *rig = ctx;

	if (rig->paused)
		return false;
	input->guest_start_ns = rig->guest_start_ns;
	input->driver_ready = rig->has_driver;
	input->taken_bytes = rig->taken_bytes;
	input->stats_period_ns = 2 * NS_PER_S;
	input->stats_at_ns = rig->stats_at_ns;
	if (rig->stats_at_ns) {
		claim(input, POLICY_CLAIM_TOTAL_BYTES, MAXIMUM_BYTES - rig->taken_bytes);
		claim(input, POLICY_CLAIM_AVAILABLE_BYTES, available(rig));
	}
	input->has_stall = true;
	input->stall_ns = rig->stall_ns;
	input->has_host = true;
	input->host = rig->host;
	input->host_free_bytes = 64 * GIB_BYTES;
	return true;
}

static uint64_t stall_ns(void *ctx)
{
	struct rig *rig = ctx;

	uint64_t read_ns = rig->stall_ns;

	rig->looks++;
	rig->stall_ns += rig->waits_now;
	rig->waits_now = false;
	return read_ns;
}

static void act(void *ctx, const struct policy_record *record)
{
	struct rig *rig = ctx;

	rig->acts++;
	if (record->settings.mode == POLICY_MODE_AUTO)
		rig->asked_bytes = MAXIMUM_BYTES - record->decision.target_bytes;
}

static void decided(void *ctx, const struct policy_record *record)
{
	struct rig *rig = ctx;

	rig->last = *record;
	rig->tick_ns[rig->ticks++ % 4096] = record->input.now_ns;
}

static struct rig *rig_create(uint64_t phase_seed)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct governor_config config = {
		.settings = { .mode = POLICY_MODE_AUTO,
			      .startup_bytes = MAXIMUM_BYTES,
			      .minimum_bytes = 256 * MIB_BYTES,
			      .maximum_bytes = MAXIMUM_BYTES,
			      .buffer_percent = 20,
			      .weight = 1000,
			      .frame_bytes = HUGE_FRAME_BYTES },
		.phase_seed = phase_seed,
		.ops = { observe, stall_ns, act, decided },
		.ctx = rig,
	};

	assert_non_null(rig);
	rig->settings = config.settings;
	rig->now_ns = rig->guest_start_ns = START_NS;
	rig->has_driver = rig->answers = rig->obeys = rig->has_stats = true;
	rig->claimed_available_bytes = UINT64_MAX;
	assert_int_equal(governor_create(&config, &rig->governor, NULL), 0);
	return rig;
}

static void rig_destroy(struct rig *rig)
{
	governor_destroy(rig->governor);
	free(rig);
}

/* The guest's turn: statistics every other second, and its balloon follows, 512 MiB a second. */
static unsigned guest_runs(struct rig *rig, uint64_t dt_ns)
{
	uint64_t step = 512 * MIB_BYTES / 1000 * (dt_ns / NS_PER_MS);
	uint64_t room = available(rig);

	if (rig->paused)
		return 0;
	if (rig->has_driver && rig->obeys && rig->taken_bytes < rig->asked_bytes) {
		uint64_t more = rig->asked_bytes - rig->taken_bytes;

		more = more < step ? more : step;
		rig->taken_bytes += more < room ? more : room;
	} else if (rig->has_driver && rig->taken_bytes > rig->asked_bytes) {
		uint64_t less = rig->taken_bytes - rig->asked_bytes;

		rig->taken_bytes -= less < 8 * step ? less : 8 * step;
	}
	if (!rig->answers || !rig->has_stats || rig->now_ns - rig->stats_at_ns < 2 * NS_PER_S)
		return 0;
	rig->stats_at_ns = rig->now_ns;
	return 1U << GOVERNOR_STATISTICS;
}

/* @ns pass: the governor sleeps as long as it says, the guest runs in steps of 10 ms. */
static void pass(struct rig *rig, uint64_t ns)
{
	uint64_t end_ns = rig->now_ns + ns, due_ns = rig->now_ns;

	while (rig->now_ns < end_ns) {
		if (rig->stall_ns != rig->stall_told_ns)
			rig->causes |= 1U << GOVERNOR_WAITS;
		rig->stall_told_ns = rig->stall_ns;
		if (rig->now_ns >= due_ns || rig->causes) {
			due_ns = governor_step(rig->governor, rig->now_ns, rig->causes);
			assert_true(due_ns > rig->now_ns); /* it never spins */
			rig->causes = 0;
		}
		rig->now_ns += 10 * NS_PER_MS;
		rig->causes |= guest_runs(rig, 10 * NS_PER_MS);
	}
}

static uint64_t assigned(const struct rig *rig)
{
	return MAXIMUM_BYTES - rig->taken_bytes;
}

/* ---- When it ticks ---- */

static void it_ticks_once_a_second_when_nothing_happens(void **state)
{
	struct rig *rig = rig_create(250 * NS_PER_MS);

	(void)state;
	rig->has_stats = false;
	pass(rig, 60 * NS_PER_S);
	assert_in_range(rig->ticks, 59, 62);
	assert_int_equal(rig->tick_ns[10] % NS_PER_S, 250 * NS_PER_MS);
	rig_destroy(rig);
}

static void vms_of_a_host_tick_at_different_moments_of_the_second(void **state)
{
	struct test_random random = test_random_start();
	unsigned in_tenth[10] = { 0 };

	(void)state;
	for (int vm = 0; vm < 200; vm++) {
		struct rig *rig = rig_create(test_random_next(&random));

		rig->answers = false; /* statistics have a phase of their own */
		pass(rig, 5 * NS_PER_S);
		in_tenth[rig->tick_ns[rig->ticks - 1] % NS_PER_S / (100 * NS_PER_MS)]++;
		rig_destroy(rig);
	}
	for (int tenth = 0; tenth < 10; tenth++)
		assert_in_range(in_tenth[tenth], 5, 45); /* 20 expected */
}

static void statistics_are_acted_upon_at_once(void **state)
{
	struct rig *rig = rig_create(0);

	(void)state;
	pass(rig, 3 * NS_PER_S + 500 * NS_PER_MS);
	unsigned before = rig->ticks;

	(void)governor_step(rig->governor, rig->now_ns, 1U << GOVERNOR_STATISTICS);
	assert_int_equal(rig->ticks, before + 1);
	assert_true(rig->tick_ns[before] == rig->now_ns);
	rig_destroy(rig);
}

static void a_guest_that_wakes_it_all_the_time_costs_fifty_ticks_a_second(void **state)
{
	struct rig *rig = rig_create(0);
	uint64_t end_ns = rig->now_ns + 2 * NS_PER_S;

	(void)state;
	while (rig->now_ns < end_ns) {
		(void)governor_step(rig->governor, rig->now_ns, 1U << GOVERNOR_DEFLATED);
		rig->now_ns += NS_PER_MS / 10;
	}
	assert_in_range(rig->ticks, 90, 101);
	rig_destroy(rig);
}

static void what_happens_within_the_gap_is_not_forgotten(void **state)
{
	struct rig *rig = rig_create(0);
	uint64_t due_ns;

	(void)state;
	(void)governor_step(rig->governor, rig->now_ns, 0);
	assert_int_equal(rig->ticks, 1);
	due_ns = governor_step(rig->governor, rig->now_ns + NS_PER_MS, 1U << GOVERNOR_STARVED);
	assert_int_equal(rig->ticks, 1);
	assert_true(due_ns == rig->now_ns + GOVERNOR_LEAST_GAP_MS * NS_PER_MS);
	(void)governor_step(rig->governor, due_ns, 0);
	assert_int_equal(rig->ticks, 2);
	rig_destroy(rig);
}

/* Issue: "a stall or an OOM sign releases at once, within 100 ms" */
static void a_stall_of_a_ballooned_guest_releases_within_100_ms(void **state)
{
	struct rig *rig = rig_create(123456789);
	uint64_t stall_began_ns, asked_before;

	(void)state;
	rig->used_bytes = 512 * MIB_BYTES;
	pass(rig, 200 * NS_PER_S);
	assert_true(rig->taken_bytes > GIB_BYTES);
	asked_before = rig->asked_bytes;
	stall_began_ns = rig->now_ns;
	while (rig->asked_bytes >= asked_before && rig->now_ns < stall_began_ns + NS_PER_S) {
		pass(rig, 10 * NS_PER_MS);
		rig->stall_ns += 10 * NS_PER_MS; /* one vCPU does nothing but wait */
	}
	print_message("released %llu ms after it began\n",
		      (unsigned long long)((rig->now_ns - stall_began_ns) / NS_PER_MS));
	assert_true(rig->now_ns - stall_began_ns <= 100 * NS_PER_MS);
	rig_destroy(rig);
}

static void while_nobody_waits_nobody_looks(void **state)
{
	struct rig *rig = rig_create(0);

	(void)state;
	rig->used_bytes = 512 * MIB_BYTES;
	pass(rig, 200 * NS_PER_S);
	assert_true(rig->taken_bytes > GIB_BYTES);
	rig->looks = rig->ticks = 0;
	pass(rig, 10 * NS_PER_S);
	assert_true(rig->looks <= 2 * rig->ticks); /* a tick's own, and V5's */
	rig->stall_ns += NS_PER_MS;		   /* too short to matter */
	pass(rig, 10 * NS_PER_S);
	assert_true(rig->looks <= 2 * rig->ticks + 4);
	rig_destroy(rig);
}

static void a_wait_that_begins_as_it_goes_to_rest_is_looked_at(void **state)
{
	struct rig *rig = rig_create(0);
	uint64_t due_ns;

	(void)state;
	rig->used_bytes = 512 * MIB_BYTES;
	pass(rig, 200 * NS_PER_S);
	rig->waits_now = true; /* the tick has read the counter, the look before the rest has not */
	due_ns = governor_step(rig->governor, rig->now_ns, 1U << GOVERNOR_STATISTICS);
	assert_true(due_ns <= rig->now_ns + 50 * NS_PER_MS);
	rig_destroy(rig);
}

static void a_guest_that_sends_statistics_each_second_costs_one_tick_a_second(void **state)
{
	struct rig *rig = rig_create(777777777);

	(void)state;
	rig->answers = false;
	for (int second = 0; second < 60; second++) {
		rig->stats_at_ns = rig->now_ns;
		(void)governor_step(rig->governor, rig->now_ns, 1U << GOVERNOR_STATISTICS);
		pass(rig, NS_PER_S);
	}
	assert_in_range(rig->ticks, 60, 63);
	pass(rig, 10 * NS_PER_S); /* it falls silent */
	assert_in_range(rig->ticks, 69, 73);
	rig_destroy(rig);
}

static void while_nothing_is_ballooned_nobody_looks_for_stalls(void **state)
{
	struct rig *rig = rig_create(0);

	(void)state;
	rig->used_bytes = MAXIMUM_BYTES;
	pass(rig, 10 * NS_PER_S);
	assert_int_equal(rig->looks, rig->ticks); /* the one of each tick */
	rig_destroy(rig);
}

static void a_clock_that_goes_back_or_leaps_stops_nothing(void **state)
{
	struct rig *rig = rig_create(0);
	unsigned before;

	(void)state;
	pass(rig, 5 * NS_PER_S);
	before = rig->ticks;
	rig->now_ns -= 4 * NS_PER_S;
	pass(rig, 3 * NS_PER_S);
	assert_true(rig->ticks >= before + 2);
	before = rig->ticks;
	rig->now_ns += 86400 * NS_PER_S; /* a suspended host */
	pass(rig, 3 * NS_PER_S);
	assert_in_range(rig->ticks, before + 2, before + 6);
	rig_destroy(rig);
}

/* ---- What becomes of guests ---- */

static void it_grows_within_a_second_of_need(void **state)
{
	struct rig *rig = rig_create(777);
	uint64_t began_ns;

	(void)state;
	rig->used_bytes = 400 * MIB_BYTES;
	pass(rig, 200 * NS_PER_S);
	assert_in_range(assigned(rig), 480 * MIB_BYTES, 520 * MIB_BYTES);
	rig->used_bytes = 475 * MIB_BYTES;	    /* nearly all it has */
	began_ns = rig->stats_at_ns + 2 * NS_PER_S; /* when it says so */
	while (MAXIMUM_BYTES - rig->asked_bytes < 560 * MIB_BYTES &&
	       rig->now_ns < began_ns + 10 * NS_PER_S)
		pass(rig, 10 * NS_PER_MS);
	assert_true(rig->now_ns - began_ns <= NS_PER_S);
	rig_destroy(rig);
}

static void it_shrinks_after_the_boot_grace_and_settles(void **state)
{
	struct rig *rig = rig_create(42);
	uint64_t settled;

	(void)state;
	rig->used_bytes = 500 * MIB_BYTES;
	pass(rig, 44 * NS_PER_S);
	assert_true(rig->asked_bytes == 0);
	pass(rig, 240 * NS_PER_S);
	settled = rig->asked_bytes;
	assert_in_range(assigned(rig), 590 * MIB_BYTES, 640 * MIB_BYTES);
	pass(rig, 300 * NS_PER_S);
	assert_true(rig->asked_bytes == settled);
	rig_destroy(rig);
}

static void a_guest_that_falls_silent_keeps_what_it_has(void **state)
{
	struct rig *rig = rig_create(42);
	uint64_t asked;

	(void)state;
	rig->used_bytes = 500 * MIB_BYTES;
	pass(rig, 60 * NS_PER_S);
	assert_true(rig->asked_bytes > 0);
	rig->answers = false;
	pass(rig, 7 * NS_PER_S); /* three periods */
	asked = rig->asked_bytes;
	pass(rig, 100 * NS_PER_S);
	assert_true(rig->asked_bytes <= asked);
	assert_int_equal(rig->last.decision.rule, POLICY_RULE_STALE_STATS);
	rig_destroy(rig);
}

static void without_a_driver_nothing_is_asked_for(void **state)
{
	struct rig *rig = rig_create(42);

	(void)state;
	rig->has_driver = rig->has_stats = false;
	pass(rig, 200 * NS_PER_S);
	assert_true(rig->asked_bytes == 0);
	rig_destroy(rig);
}

static void a_guest_that_refuses_is_not_asked_for_more_and_more(void **state)
{
	struct rig *rig = rig_create(42);

	(void)state;
	rig->used_bytes = 300 * MIB_BYTES;
	rig->obeys = false;
	pass(rig, 100 * NS_PER_S);
	assert_true(rig->asked_bytes <= MAXIMUM_BYTES / 10 + HUGE_FRAME_BYTES);
	rig_destroy(rig);
}

static void a_lying_guest_is_never_asked_below_its_floor(void **state)
{
	static const uint64_t lies[] = { 0, MAXIMUM_BYTES, UINT64_MAX - 1, INT64_MAX };
	uint64_t floor_bytes = policy_floor_bytes(MAXIMUM_BYTES);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct rig *rig = rig_create(i);

		rig->used_bytes = 100 * MIB_BYTES;
		rig->claimed_available_bytes = lies[i];
		pass(rig, 400 * NS_PER_S);
		assert_true(MAXIMUM_BYTES - rig->asked_bytes >= floor_bytes);
		assert_true(rig->asked_bytes <= MAXIMUM_BYTES);
		rig_destroy(rig);
	}
}

static void a_reset_in_mid_inflate_begins_a_new_boot(void **state)
{
	struct rig *rig = rig_create(42);

	(void)state;
	rig->used_bytes = 300 * MIB_BYTES;
	pass(rig, 60 * NS_PER_S);
	assert_true(rig->asked_bytes > 0);
	rig->guest_start_ns = rig->now_ns;
	rig->taken_bytes = 0;
	rig->has_driver = false;
	rig->stats_at_ns = 0;
	(void)governor_step(rig->governor, rig->now_ns, 1U << GOVERNOR_GUEST);
	assert_true(rig->asked_bytes == 0); /* startup is the maximum */
	rig->has_driver = true;
	pass(rig, 44 * NS_PER_S);
	assert_true(rig->asked_bytes == 0);
	pass(rig, 20 * NS_PER_S);
	assert_true(rig->asked_bytes > 0);
	rig_destroy(rig);
}

static void a_pause_is_no_time_for_the_policy(void **state)
{
	struct rig *rig = rig_create(42);
	uint64_t asked;
	unsigned ticks;

	(void)state;
	rig->used_bytes = 300 * MIB_BYTES;
	pass(rig, 60 * NS_PER_S);
	asked = rig->asked_bytes;
	ticks = rig->ticks;
	rig->paused = true;
	pass(rig, 3600 * NS_PER_S);
	assert_int_equal(rig->ticks, ticks);
	rig->paused = false;
	(void)governor_step(rig->governor, rig->now_ns, 1U << GOVERNOR_GUEST);
	assert_int_equal(rig->ticks, ticks + 1);
	/* An hour's worth of shrinking would be all of it; its statistics are old as well. */
	assert_true(rig->asked_bytes <= asked);
	pass(rig, 10 * NS_PER_S);
	assert_true(rig->asked_bytes > asked);
	rig_destroy(rig);
}

/* ---- Settings ---- */

static void set_mode(struct rig *rig, enum policy_mode mode)
{
	rig->settings.mode = mode;
	governor_set(rig->governor, &rig->settings);
	(void)governor_step(rig->governor, rig->now_ns += 100 * NS_PER_MS, 1U << GOVERNOR_GUEST);
}

static void in_mode_manual_demand_is_told_and_nothing_is_moved(void **state)
{
	struct rig *rig = rig_create(42);

	(void)state;
	rig->used_bytes = 300 * MIB_BYTES;
	set_mode(rig, POLICY_MODE_MANUAL);
	pass(rig, 200 * NS_PER_S);
	assert_true(rig->asked_bytes == 0);
	assert_int_equal(rig->last.decision.rule, POLICY_RULE_MANUAL);
	assert_true(rig->last.decision.has_demand);
	assert_in_range(rig->last.decision.demand_bytes, 295 * MIB_BYTES, 305 * MIB_BYTES);
	rig_destroy(rig);
}

static void in_mode_off_nobody_acts(void **state)
{
	struct rig *rig = rig_create(42);
	unsigned acts;

	(void)state;
	set_mode(rig, POLICY_MODE_OFF);
	acts = rig->acts;
	pass(rig, 100 * NS_PER_S);
	assert_int_equal(rig->acts, acts);
	assert_int_equal(rig->last.decision.rule, POLICY_RULE_OFF);
	rig_destroy(rig);
}

static void a_grant_bounds_growth_until_it_is_withdrawn(void **state)
{
	struct rig *rig = rig_create(42);

	(void)state;
	rig->used_bytes = 400 * MIB_BYTES;
	pass(rig, 200 * NS_PER_S);
	governor_grant(rig->governor, true, 700 * MIB_BYTES);
	rig->used_bytes = GIB_BYTES;
	pass(rig, 20 * NS_PER_S);
	assert_true(MAXIMUM_BYTES - rig->asked_bytes <= 700 * MIB_BYTES);
	assert_int_equal(rig->last.decision.rule, POLICY_RULE_GRANT);
	governor_grant(rig->governor, false, 0);
	pass(rig, 5 * NS_PER_S);
	assert_true(MAXIMUM_BYTES - rig->asked_bytes > GIB_BYTES);
	rig_destroy(rig);
}

/* ---- What is kept ---- */

static void bytes_and_operations_are_counted(void **state)
{
	struct rig *rig = rig_create(42);
	struct governor_status status;

	(void)state;
	rig->used_bytes = 500 * MIB_BYTES;
	pass(rig, 200 * NS_PER_S);
	governor_read(rig->governor, &status);
	assert_int_equal(status.counters.moved.added_bytes, 0);
	assert_true(status.counters.moved.removed_bytes == rig->taken_bytes);
	assert_true(status.counters.moved.removed_operations >= 10);
	rig->used_bytes = GIB_BYTES;
	pass(rig, 300 * NS_PER_S);
	governor_read(rig->governor, &status);
	assert_true(status.counters.moved.removed_bytes - status.counters.moved.added_bytes ==
		    rig->taken_bytes);
	assert_true(status.counters.moved.added_operations >= 1);
	assert_int_equal(status.counters.ticks, rig->ticks);
	rig_destroy(rig);
}

static void what_a_guest_hands_over_at_its_start_is_an_operation(void **state)
{
	struct rig *rig = rig_create(0);
	struct governor_status status;

	(void)state;
	rig->settings.startup_bytes = GIB_BYTES;
	governor_set(rig->governor, &rig->settings); /* before anything is decided */
	pass(rig, 10 * NS_PER_S);
	assert_true(assigned(rig) < MAXIMUM_BYTES);
	governor_read(rig->governor, &status);
	assert_int_equal(status.counters.moved.removed_bytes, rig->taken_bytes);
	assert_int_equal(status.counters.moved.removed_operations, 1);
	rig_destroy(rig);
}

static void records_are_read_in_order_and_losses_are_known(void **state)
{
	static struct policy_record records[GOVERNOR_KEPT];
	struct rig *rig = rig_create(0);
	uint64_t last;

	(void)state;
	for (int i = 1; i <= 300; i++)
		governor_tick(rig->governor, START_NS + (uint64_t)i * NS_PER_S);
	assert_int_equal(governor_read_records(rig->governor, 298, records, GOVERNOR_KEPT, &last),
			 2);
	assert_int_equal(last, 300);
	assert_true(records[0].input.now_ns == START_NS + 299 * NS_PER_S);
	assert_int_equal(governor_read_records(rig->governor, 0, records, GOVERNOR_KEPT, &last),
			 GOVERNOR_KEPT);
	assert_true(records[0].input.now_ns == START_NS + (300 - GOVERNOR_KEPT + 1) * NS_PER_S);
	assert_int_equal(governor_read_records(rig->governor, 100, records, 10, &last), 10);
	assert_int_equal(governor_read_records(rig->governor, 300, records, 10, &last), 0);
	assert_int_equal(governor_read_records(rig->governor, UINT64_MAX, records, 10, &last), 0);
	rig_destroy(rig);
}

static void a_replay_of_its_records_gives_the_same_decisions(void **state)
{
	static struct policy_record records[GOVERNOR_KEPT];
	struct rig *rig = rig_create(99);
	struct policy_state replayed;
	uint64_t after = 0, last;
	unsigned count;

	(void)state;
	policy_init(&replayed);
	for (int minute = 0; minute < 10; minute++) {
		rig->used_bytes = (uint64_t)(300 + 150 * (minute % 4)) * MIB_BYTES;
		pass(rig, 60 * NS_PER_S);
		count = governor_read_records(rig->governor, after, records, GOVERNOR_KEPT, &last);
		assert_int_equal(count, last - after);
		for (unsigned i = 0; i < count; i++) {
			struct policy_decision decision;

			policy_step(&records[i].settings, &records[i].input, &replayed, &decision);
			assert_true(decision.target_bytes == records[i].decision.target_bytes);
			assert_true(decision.demand_bytes == records[i].decision.demand_bytes);
			assert_int_equal(decision.rule, records[i].decision.rule);
		}
		after = last;
	}
	assert_true(after > 500); /* statistics come every other second */
	rig_destroy(rig);
}

/* ---- The thread ---- */

struct threaded {
	struct governor *governor;
	struct policy_settings settings;
	atomic_uint acts, decisions;
	atomic_bool stop;
};

static bool threaded_observe(void *ctx, struct policy_input *input)
{
	(void)ctx;
	input->guest_start_ns = 1;
	input->driver_ready = true;
	return true;
}

static uint64_t threaded_stall_ns(void *ctx)
{
	(void)ctx;
	return 0;
}

static void threaded_act(void *ctx, const struct policy_record *record)
{
	(void)record;
	atomic_fetch_add(&((struct threaded *)ctx)->acts, 1);
}

static void threaded_decided(void *ctx, const struct policy_record *record)
{
	(void)record;
	atomic_fetch_add(&((struct threaded *)ctx)->decisions, 1);
}

static void threaded_start(struct threaded *t)
{
	struct governor_config config = {
		.settings = { .mode = POLICY_MODE_AUTO,
			      .startup_bytes = MAXIMUM_BYTES,
			      .minimum_bytes = 256 * MIB_BYTES,
			      .maximum_bytes = MAXIMUM_BYTES,
			      .buffer_percent = 20,
			      .weight = 1000,
			      .frame_bytes = HUGE_FRAME_BYTES },
		.phase_seed = clock_now_ns() + 500 * NS_PER_MS, /* half a second away */
		.ops = { threaded_observe, threaded_stall_ns, threaded_act, threaded_decided },
		.ctx = t,
	};

	t->settings = config.settings;
	assert_int_equal(governor_create(&config, &t->governor, NULL), 0);
	assert_int_equal(governor_start(t->governor, NULL), 0);
}

static void await_decisions(struct threaded *t, unsigned count)
{
	uint64_t deadline_ns = clock_now_ns() + 20 * NS_PER_S;

	while (atomic_load(&t->decisions) < count && clock_now_ns() < deadline_ns)
		(void)nanosleep(&(struct timespec){ .tv_nsec = (long)NS_PER_MS }, NULL);
	assert_true(atomic_load(&t->decisions) >= count);
}

static void the_thread_wakes_for_an_event_and_ends_when_told(void **state)
{
	struct threaded t = { 0 };
	uint64_t began_ns;

	(void)state;
	threaded_start(&t);
	await_decisions(&t, 1); /* the first comes at once */
	began_ns = clock_now_ns();
	governor_wake(t.governor, GOVERNOR_STARVED);
	await_decisions(&t, 2);
	print_message("woken and decided in %llu us\n",
		      (unsigned long long)((clock_now_ns() - began_ns) / NS_PER_US));
	governor_destroy(t.governor);
}

static void *disturb(void *arg)
{
	struct threaded *t = arg;
	struct governor_status status;
	struct policy_record record;
	uint64_t last;

	for (unsigned i = 0; !atomic_load(&t->stop); i++) {
		governor_wake(t->governor, (enum governor_cause)(i % GOVERNOR_CAUSE_COUNT));
		governor_grant(t->governor, i & 1, i * MIB_BYTES);
		governor_set(t->governor, &t->settings);
		governor_read(t->governor, &status);
		(void)governor_read_records(t->governor, 0, &record, 1, &last);
	}
	return NULL;
}

static void everybody_may_ask_and_wake_it_at_once(void **state)
{
	struct threaded t = { 0 };
	pthread_t threads[3];

	(void)state;
	threaded_start(&t);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, disturb, &t), 0);
	await_decisions(&t, 20);
	governor_stop(t.governor); /* while they go on */
	atomic_store(&t.stop, true);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		(void)pthread_join(threads[i], NULL);
	governor_destroy(t.governor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_ticks_once_a_second_when_nothing_happens),
		cmocka_unit_test(vms_of_a_host_tick_at_different_moments_of_the_second),
		cmocka_unit_test(statistics_are_acted_upon_at_once),
		cmocka_unit_test(a_guest_that_wakes_it_all_the_time_costs_fifty_ticks_a_second),
		cmocka_unit_test(what_happens_within_the_gap_is_not_forgotten),
		cmocka_unit_test(a_stall_of_a_ballooned_guest_releases_within_100_ms),
		cmocka_unit_test(while_nothing_is_ballooned_nobody_looks_for_stalls),
		cmocka_unit_test(while_nobody_waits_nobody_looks),
		cmocka_unit_test(a_wait_that_begins_as_it_goes_to_rest_is_looked_at),
		cmocka_unit_test(a_guest_that_sends_statistics_each_second_costs_one_tick_a_second),
		cmocka_unit_test(a_clock_that_goes_back_or_leaps_stops_nothing),
		cmocka_unit_test(it_grows_within_a_second_of_need),
		cmocka_unit_test(it_shrinks_after_the_boot_grace_and_settles),
		cmocka_unit_test(a_guest_that_falls_silent_keeps_what_it_has),
		cmocka_unit_test(without_a_driver_nothing_is_asked_for),
		cmocka_unit_test(a_guest_that_refuses_is_not_asked_for_more_and_more),
		cmocka_unit_test(a_lying_guest_is_never_asked_below_its_floor),
		cmocka_unit_test(a_reset_in_mid_inflate_begins_a_new_boot),
		cmocka_unit_test(a_pause_is_no_time_for_the_policy),
		cmocka_unit_test(in_mode_manual_demand_is_told_and_nothing_is_moved),
		cmocka_unit_test(in_mode_off_nobody_acts),
		cmocka_unit_test(a_grant_bounds_growth_until_it_is_withdrawn),
		cmocka_unit_test(bytes_and_operations_are_counted),
		cmocka_unit_test(what_a_guest_hands_over_at_its_start_is_an_operation),
		cmocka_unit_test(records_are_read_in_order_and_losses_are_known),
		cmocka_unit_test(a_replay_of_its_records_gives_the_same_decisions),
		cmocka_unit_test(the_thread_wakes_for_an_event_and_ends_when_told),
		cmocka_unit_test(everybody_may_ask_and_wake_it_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
