/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_properties.c - what holds in every tick of every history, whatever a guest claims, a host
 * runs into, an administrator sets or a clock does.
 *
 * A history is HISTORY_TICKS ticks of a random guest. Most ticks are ordinary; some are not.
 */
#include <string.h>

#include "policy/record.h"

#include "policy_rig.h"

enum { HISTORIES = 4000, HISTORY_TICKS = 150, TEXT_BYTES = 1024 };

static struct test_random random_numbers;

static uint64_t below(uint64_t limit)
{
	return test_random_below(&random_numbers, limit);
}

static bool one_in(uint64_t n)
{
	return below(n) == 0;
}

static uint64_t any(void)
{
	return test_random_any_size(&random_numbers);
}

static uint64_t part_of(uint64_t bytes)
{
	return test_random_next(&random_numbers) % (bytes + 1);
}

static void any_settings(struct policy_settings *settings)
{
	uint64_t maximum = settings->maximum_bytes;

	settings->startup_bytes = part_of(maximum);
	settings->minimum_bytes = part_of(settings->startup_bytes);
	settings->buffer_percent = 5 + (uint32_t)below(one_in(4) ? 1996 : 100);
	settings->weight = (uint32_t)below(10001);
}

static struct policy_rig any_rig(void)
{
	uint64_t frame = below(2) ? HUGE_FRAME_BYTES : GUEST_PAGE_BYTES;
	uint64_t maximum =
		align_down(MIB(16) + part_of(MIB(1) << below(20)) * 31 / 16, HUGE_FRAME_BYTES);
	struct policy_rig rig = rig_new(maximum, frame, one_in(2) ? 0 : below(200));

	if (!one_in(4))
		any_settings(&rig.settings);
	rig.used_bytes = part_of(maximum);
	rig.bytes_per_s = one_in(2) ? UINT64_MAX / NS_PER_S : part_of(maximum / 4);
	rig.step_bytes = below(2) ? HUGE_FRAME_BYTES : GUEST_PAGE_BYTES;
	rig.cannot_below_bytes = one_in(3) ? part_of(maximum) : 0;
	rig.takes_back = one_in(4);
	rig.input.deflate_on_oom = below(2);
	rig.settings.reserved = one_in(20);
	rig.input.can_swap = below(2);
	rig.input.stats_period_ns = one_in(8) ? 0 : (1 + below(5)) * NS_PER_S;
	return rig;
}

static void disturb_guest(struct policy_rig *rig)
{
	uint64_t maximum = rig->settings.maximum_bytes;

	if (one_in(10))
		rig->used_bytes = part_of(maximum);
	if (one_in(20))
		rig->is_silent = one_in(3);
	if (one_in(30))
		rig->input.driver_ready = !one_in(3);
	if (one_in(40))
		rig->ignores_target = one_in(3);
	if (one_in(100)) { /* a reset */
		rig->input.guest_start_ns = rig->input.now_ns;
		rig->input.taken_bytes = 0;
		rig->input.stats_at_ns = 0;
		rig->input.present = 0;
	}
	if (one_in(15))
		rig->input.taken_bytes = one_in(2) ? part_of(maximum) : any();
}

static void disturb_claims(struct policy_rig *rig)
{
	struct policy_input *input = &rig->input;

	if (!one_in(6))
		return;
	for (unsigned i = 0; i < POLICY_CLAIM_COUNT; i++) {
		if (one_in(3))
			input->untrusted_claim[i] = one_in(4) ? UINT64_MAX : any();
		if (one_in(3))
			input->untrusted_claim[i] = 0;
		if (one_in(3))
			input->present ^= UINT32_C(1) << i;
	}
	if (one_in(3))
		input->stats_at_ns = one_in(2) ? any() : input->now_ns;
}

static void disturb_host(struct policy_rig *rig)
{
	struct policy_input *input = &rig->input;

	if (one_in(8)) {
		input->has_host = below(2);
		input->host = (enum host_state)below(HOST_STATE_COUNT);
		input->host_free_bytes = one_in(4) ? any() : part_of(rig->settings.maximum_bytes);
	}
	if (one_in(12)) {
		input->has_grant = one_in(3);
		input->grant_bytes = one_in(4) ? any() : part_of(rig->settings.maximum_bytes);
	}
	input->has_stall = !one_in(10);
	input->stall_ns += one_in(8) ? below(2 * NS_PER_S) : below(NS_PER_MS);
	input->has_active = below(2);
	input->active_percent = one_in(8) ? (uint32_t)any() : (uint32_t)below(101);
	input->swapped_bytes = part_of(rig->settings.maximum_bytes);
	input->refault_blocks += one_in(8) ? below(8) : 0;
}

static void disturb_settings(struct policy_rig *rig)
{
	if (one_in(60))
		any_settings(&rig->settings);
	if (one_in(60))
		rig->settings.mode = (enum policy_mode)below(POLICY_MODE_COUNT);
	else if (one_in(20))
		rig->settings.mode = POLICY_MODE_AUTO;
}

static uint64_t any_step_ms(struct policy_rig *rig)
{
	if (one_in(20))
		return 0;
	if (one_in(30))
		return below(86400 * 1000);
	if (one_in(30))
		rig->input.now_ns -= below(10 * NS_PER_S); /* the clock goes back */
	return one_in(3) ? below(500) : 1000;
}

/* What a tick may depend on, beside what it says. */
struct before {
	struct policy_state state;
	uint64_t target_bytes, dt_ns;
	bool same_guest;
};

static void chaos_tick(struct policy_rig *rig, struct before *before)
{
	uint64_t ms = any_step_ms(rig), seen_ns = rig->state.seen_ns;

	disturb_settings(rig);
	disturb_guest(rig);
	disturb_host(rig);
	if (!rig->is_silent && one_in(2))
		rig_statistics(rig);
	disturb_claims(rig);
	before->state = rig->state;
	before->target_bytes = rig->state.target_bytes;
	rig_tick(rig, ms);
	before->same_guest = before->state.started && rig->settings.mode != POLICY_MODE_OFF &&
			     before->state.guest_start_ns == rig->input.guest_start_ns;
	before->dt_ns = rig->input.now_ns > seen_ns ? rig->input.now_ns - seen_ns : 0;
	if (before->dt_ns > POLICY_SILENCE_PERIODS * NS_PER_S)
		before->dt_ns = NS_PER_S;
}

typedef void (*check_fn)(const struct policy_rig *rig, const struct before *before);

static void for_all_ticks(check_fn check)
{
	for (unsigned history = 0; history < HISTORIES; history++) {
		struct policy_rig rig = any_rig();
		struct before before;

		for (unsigned tick = 0; tick < HISTORY_TICKS; tick++) {
			chaos_tick(&rig, &before);
			check(&rig, &before);
		}
	}
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t up(const struct policy_rig *rig, uint64_t bytes)
{
	uint64_t aligned = 0;

	assert_true(align_up(bytes, rig->settings.frame_bytes, &aligned));
	return smaller(aligned, rig->settings.maximum_bytes);
}

static uint64_t lower_bound(const struct policy_rig *rig)
{
	uint64_t floor_bytes = policy_floor_bytes(rig->settings.maximum_bytes);

	return up(rig, larger(rig->settings.minimum_bytes, floor_bytes));
}

static bool is_auto(const struct policy_rig *rig)
{
	return rig->settings.mode == POLICY_MODE_AUTO && !rig->settings.reserved;
}

static bool in_grace(const struct policy_rig *rig)
{
	return rig->state.age_ns < POLICY_BOOT_GRACE_S * NS_PER_S;
}

/* What the target could at least have stayed at. */
static uint64_t base_of(const struct policy_rig *rig, const struct before *before)
{
	return smaller(larger(before->target_bytes, lower_bound(rig)), rig_assigned(rig));
}

static void check_bounds(const struct policy_rig *rig, const struct before *before)
{
	uint64_t target = rig->decision.target_bytes, maximum = rig->settings.maximum_bytes;

	(void)before;
	if (!is_auto(rig))
		return;
	assert_true(target >= policy_floor_bytes(maximum));
	assert_true(target >= rig->settings.minimum_bytes);
	assert_true(target <= maximum);
	assert_true(target % rig->settings.frame_bytes == 0 || target == maximum);
	if (in_grace(rig))
		assert_true(target >= rig->settings.startup_bytes);
}

static void test_a_target_is_never_below_minimum_or_floor_nor_above_maximum(void **state)
{
	(void)state;
	for_all_ticks(check_bounds);
}

static bool are_fresh(const struct policy_input *input)
{
	uint64_t period = input->stats_period_ns ? input->stats_period_ns : NS_PER_S;

	if (input->stats_at_ns == 0)
		return false;
	if (input->stats_at_ns > input->now_ns)
		return input->stats_at_ns - input->now_ns <= period;
	return input->now_ns - input->stats_at_ns <= 3 * period;
}

static void check_stale(const struct policy_rig *rig, const struct before *before)
{
	if (!is_auto(rig) || !before->same_guest ||
	    (are_fresh(&rig->input) && rig->decision.has_demand))
		return;
	assert_true(rig->decision.target_bytes >= base_of(rig, before));
}

static void test_nothing_is_taken_on_stale_or_missing_statistics(void **state)
{
	(void)state;
	for_all_ticks(check_stale);
}

static void check_grace(const struct policy_rig *rig, const struct before *before)
{
	if (!is_auto(rig) || !before->same_guest || !in_grace(rig))
		return;
	assert_true(rig->decision.target_bytes >= base_of(rig, before));
}

static void test_nothing_is_taken_in_the_boot_grace(void **state)
{
	(void)state;
	for_all_ticks(check_grace);
}

static void check_driver(const struct policy_rig *rig, const struct before *before)
{
	if (!is_auto(rig) || !before->same_guest || rig->input.driver_ready)
		return;
	assert_true(rig->decision.target_bytes >= base_of(rig, before));
	assert_int_equal(rig->decision.rule, POLICY_RULE_NO_DRIVER);
}

static void test_nothing_is_asked_without_a_driver(void **state)
{
	(void)state;
	for_all_ticks(check_driver);
}

/* a * dt / 1 s, rounded up generously, and a frame. */
static uint64_t in_time(const struct policy_rig *rig, uint64_t per_s, uint64_t dt_ns)
{
	unsigned __int128 bytes = (unsigned __int128)per_s * dt_ns / NS_PER_S;

	return (uint64_t)bytes + rig->settings.frame_bytes;
}

static void check_rate(const struct policy_rig *rig, const struct before *before)
{
	uint64_t target = rig->decision.target_bytes, base = base_of(rig, before);
	bool is_cut = rig->input.has_grant || rig->input.has_host;

	if (!is_auto(rig) || !before->same_guest || target >= base)
		return;
	assert_true(base - target <= in_time(rig, rig_assigned(rig) / 20, before->dt_ns));
	if (!is_cut)
		assert_true(base - target <=
			    in_time(rig, (base - smaller(base, rig->decision.want_bytes)) / 8,
				    before->dt_ns));
	assert_true(rig_assigned(rig) - target <=
		    larger(rig_assigned(rig) / 10, 2 * rig->settings.frame_bytes) +
			    in_time(rig, rig_assigned(rig) / 20, before->dt_ns));
}

static void test_shrinking_is_slow_and_never_far_ahead_of_the_guest(void **state)
{
	(void)state;
	for_all_ticks(check_rate);
}

static void check_host(const struct policy_rig *rig, const struct before *before)
{
	uint64_t target = rig->decision.target_bytes;
	uint64_t own =
		larger(lower_bound(rig), in_grace(rig) ? up(rig, rig->settings.startup_bytes) : 0);

	if (!is_auto(rig) || !before->same_guest ||
	    target <= larger(own, up(rig, before->target_bytes)))
		return;
	if (rig->input.has_grant)
		assert_true(target <= larger(rig->input.grant_bytes, up(rig, rig_assigned(rig))));
	else if (rig->input.has_host && rig->input.host != HOST_CLEAR)
		assert_true(target <= up(rig, rig_assigned(rig)));
	else if (rig->input.has_host)
		assert_true(target - smaller(target, up(rig, rig_assigned(rig))) <=
			    rig->input.host_free_bytes);
}

static void test_a_guest_grows_only_as_far_as_grant_or_host_allow(void **state)
{
	(void)state;
	for_all_ticks(check_host);
}

static void check_reserved(const struct policy_rig *rig, const struct before *before)
{
	(void)before;
	if (rig->settings.reserved && rig->settings.mode == POLICY_MODE_AUTO) {
		assert_int_equal(rig->decision.target_bytes, rig->settings.maximum_bytes);
		assert_int_equal(rig->decision.swap_limit_bytes, 0);
	}
}

static void test_nothing_is_taken_from_what_was_reserved(void **state)
{
	(void)state;
	for_all_ticks(check_reserved);
}

static void check_other_modes(const struct policy_rig *rig, const struct before *before)
{
	(void)before;
	if (rig->settings.mode == POLICY_MODE_AUTO)
		return;
	assert_int_equal(rig->decision.target_bytes, rig_assigned(rig));
	assert_int_equal(rig->decision.swap_limit_bytes, 0);
	assert_int_equal(rig->decision.report_in_ns, 0);
	if (rig->settings.mode == POLICY_MODE_OFF)
		assert_false(rig->decision.has_demand);
}

static void test_in_manual_and_off_nothing_is_asked(void **state)
{
	(void)state;
	for_all_ticks(check_other_modes);
}

static void check_swap(const struct policy_rig *rig, const struct before *before)
{
	uint64_t limit = rig->decision.swap_limit_bytes;

	if (limit == 0)
		return;
	assert_true(rig->input.can_swap);
	assert_true(limit >= lower_bound(rig));
	assert_false(in_grace(rig) && !before->state.swap_limit_bytes);
	/* It gets tighter only while somebody is short, and with the balloon of no use. */
	if (before->same_guest &&
	    (!before->state.swap_limit_bytes || limit < before->state.swap_limit_bytes)) {
		assert_true(rig->input.has_grant
				    ? rig->input.grant_bytes < rig_assigned(rig)
				    : rig->input.has_host && rig->input.host >= HOST_HARD);
		assert_true(!rig->input.driver_ready || !are_fresh(&rig->input) ||
			    !rig->decision.has_demand || rig->state.cannot.left_ns > 0);
	}
}

static void test_swap_is_asked_for_only_in_need_and_never_below_the_floor(void **state)
{
	(void)state;
	for_all_ticks(check_swap);
}

static void check_sums(const struct policy_rig *rig, const struct before *before)
{
	const struct policy_decision *decision = &rig->decision;

	(void)before;
	assert_int_equal(decision->assigned_bytes, rig_assigned(rig));
	assert_int_equal(decision->available_bytes,
			 decision->assigned_bytes -
				 smaller(decision->assigned_bytes, decision->demand_bytes));
	assert_true(decision->want_bytes <= rig->settings.maximum_bytes);
	assert_true(decision->demand_bytes <= rig->settings.maximum_bytes / 4 * 5 + 4);
	assert_true((unsigned)decision->rule < POLICY_RULE_COUNT);
	assert_true((unsigned)decision->status < POLICY_STATUS_COUNT);
	if (decision->has_demand && decision->assigned_bytes)
		assert_int_equal(decision->pressure_percent,
				 smaller(decision->demand_bytes * 100 / decision->assigned_bytes,
					 UINT32_MAX / 2));
	if (decision->has_demand && decision->demand_bytes > decision->assigned_bytes)
		assert_int_equal(decision->status, POLICY_STATUS_WARNING);
	assert_false(decision->report_in_ns &&
		     (!are_fresh(&rig->input) || rig->input.taken_bytes == 0));
}

static void test_what_is_told_adds_up(void **state)
{
	(void)state;
	for_all_ticks(check_sums);
}

static void test_a_replay_of_the_records_decides_the_same(void **state)
{
	struct policy_record_layout layout;
	char line[POLICY_RECORD_BYTES];

	(void)state;
	(void)policy_record_header(line);
	assert_int_equal(policy_record_read_header(line, &layout, NULL), 0);
	for (unsigned history = 0; history < HISTORIES / 8; history++) {
		struct policy_rig rig = any_rig();
		struct policy_state replayed;
		struct before before;

		policy_init(&replayed);
		for (unsigned tick = 0; tick < HISTORY_TICKS; tick++) {
			struct policy_record_difference difference = { 0 };
			struct policy_record live, read;

			chaos_tick(&rig, &before);
			live.settings = rig.settings;
			live.input = rig.input;
			live.decision = rig.decision;
			(void)policy_record_format(&live, line);
			assert_int_equal(policy_record_parse(&layout, line, &read, NULL), 0);
			policy_step(&read.settings, &read.input, &replayed, &read.decision);
			if (policy_record_decisions_differ(&live, &read, &difference))
				fail_msg("history %u tick %u: %s was %s, now %s", history, tick,
					 difference.column, difference.a, difference.b);
		}
	}
}

static void check_text(const struct policy_rig *rig, const struct before *before)
{
	char text[TEXT_BYTES];
	size_t len;

	(void)before;
	policy_explain(&rig->settings, &rig->input, &rig->decision, text, sizeof(text));
	len = strlen(text);
	assert_true(len > 20 && len < sizeof(text) - 1);
	assert_int_equal(text[len - 1], '.');
	assert_null(strstr(text, "  "));
	len = below(200) + 1;
	policy_explain(&rig->settings, &rig->input, &rig->decision, text, len);
	assert_true(strlen(text) < len);
	assert_true(text[0] == '\0' || text[strlen(text) - 1] == '.');
}

static void test_every_decision_can_be_said(void **state)
{
	(void)state;
	for_all_ticks(check_text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_target_is_never_below_minimum_or_floor_nor_above_maximum),
		cmocka_unit_test(test_nothing_is_taken_on_stale_or_missing_statistics),
		cmocka_unit_test(test_nothing_is_taken_in_the_boot_grace),
		cmocka_unit_test(test_nothing_is_asked_without_a_driver),
		cmocka_unit_test(test_shrinking_is_slow_and_never_far_ahead_of_the_guest),
		cmocka_unit_test(test_a_guest_grows_only_as_far_as_grant_or_host_allow),
		cmocka_unit_test(test_nothing_is_taken_from_what_was_reserved),
		cmocka_unit_test(test_in_manual_and_off_nothing_is_asked),
		cmocka_unit_test(test_swap_is_asked_for_only_in_need_and_never_below_the_floor),
		cmocka_unit_test(test_what_is_told_adds_up),
		cmocka_unit_test(test_a_replay_of_the_records_decides_the_same),
		cmocka_unit_test(test_every_decision_can_be_said),
	};

	random_numbers = test_random_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
