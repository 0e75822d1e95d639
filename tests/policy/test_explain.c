/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_explain.c - what an administrator reads, word for word. */
#include "policy_rig.h"

enum { TEXT_BYTES = 512, LONG_AGO_S = 1000 };

static void assert_says(const struct policy_rig *rig, const char *wanted)
{
	char text[TEXT_BYTES];

	policy_explain(&rig->settings, &rig->input, &rig->decision, text, sizeof(text));
	assert_string_equal(text, wanted);
}

static struct policy_rig idle_rig(void)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, LONG_AGO_S);

	rig.used_bytes = MIB(640);
	rig.input.taken_bytes = GIB(3);
	return rig;
}

static void test_shrinking(void **state)
{
	struct policy_rig rig = idle_rig();

	(void)state;
	rig_seconds(&rig, 2);
	assert_says(&rig,
		    "The VM has 1 GiB and needs 640 MiB; with its buffer of 20 % that is 768 MiB. "
		    "It is asked for 32 MiB, down to 992 MiB (shrink-rate: memory is taken back "
		    "slowly). It waits for the next tick.");
}

static void test_growing(void **state)
{
	struct policy_rig rig = idle_rig();

	(void)state;
	rig_seconds(&rig, 2);
	rig.used_bytes = MIB(960);
	rig_tick(&rig, 1000);
	assert_says(&rig,
		    "The VM has 992 MiB and needs 960 MiB; with its buffer of 20 % that is 1.1 "
		    "GiB. It gets 160 MiB more, to 1.1 GiB (grow: the guest gets what it wants).");
}

static void test_a_short_host(void **state)
{
	struct policy_rig rig = idle_rig();

	(void)state;
	rig.used_bytes = MIB(960);
	rig.input.has_host = true;
	rig.input.host = HOST_SOFT;
	rig_seconds(&rig, 2);
	assert_says(
		&rig,
		"The VM has 1 GiB and needs 960 MiB; with its buffer of 20 % that is 1.1 GiB. "
		"It keeps what it has (host-soft: the host is short of memory: nobody grows). "
		"The host is in state soft. It waits for the host's pool to rise above its soft "
		"mark.");
}

static void test_a_grant(void **state)
{
	struct policy_rig rig = idle_rig();

	(void)state;
	rig.used_bytes = MIB(960);
	rig.input.has_grant = true;
	rig.input.grant_bytes = GIB(1);
	rig_seconds(&rig, 2);
	assert_says(&rig,
		    "The VM has 1 GiB and needs 960 MiB; with its buffer of 20 % that is 1.1 GiB. "
		    "It keeps what it has (grant: the broker grants no more). The broker grants 1 "
		    "GiB. It waits for a larger grant.");
}

static void test_no_statistics(void **state)
{
	struct policy_rig rig = idle_rig();

	(void)state;
	rig.is_silent = true;
	rig_seconds(&rig, 2);
	assert_says(&rig,
		    "The VM has 1 GiB, and nobody knows how much of it the guest uses. It keeps "
		    "what it has (no-stats: the guest never told how much it uses). It waits for "
		    "statistics of the guest.");
}

static void test_limits(void **state)
{
	struct policy_rig rig = idle_rig();

	(void)state;
	rig.used_bytes = MIB(100);
	rig_seconds(&rig, 2);
	assert_says(&rig,
		    "The VM has 1 GiB and needs 100 MiB; with its buffer of 20 % that is 120 MiB. "
		    "It is never left less than its minimum of 512 MiB. It is asked for 50 MiB, "
		    "down to 974 MiB (shrink-rate: memory is taken back slowly). It waits for the "
		    "next tick.");
	rig.settings.minimum_bytes = MIB(64);
	rig_tick(&rig, 0);
	assert_says(&rig,
		    "The VM has 1 GiB and needs 100 MiB; with its buffer of 20 % that is 120 MiB. "
		    "It is never left less than 488 MiB, the floor of a guest of its size. It is "
		    "asked for 50 MiB, down to 974 MiB (shrink-rate: memory is taken back slowly). "
		    "It waits for the next tick.");
	rig = idle_rig();
	rig.input.taken_bytes = 0;
	rig.used_bytes = GIB(4);
	rig_seconds(&rig, 2);
	assert_says(&rig,
		    "The VM has 4 GiB and needs 4 GiB; with its buffer of 20 % that is 4.7 GiB. "
		    "That is more than its maximum of 4 GiB. It keeps what it has (maximum: the VM "
		    "has all that its maximum allows).");
}

static void test_off(void **state)
{
	struct policy_rig rig = idle_rig();

	(void)state;
	rig.settings.mode = POLICY_MODE_OFF;
	rig_seconds(&rig, 2);
	assert_says(&rig, "Dynamic memory is off for this VM.");
}

static void test_swap(void **state)
{
	struct policy_rig rig = idle_rig();

	(void)state;
	rig_seconds(&rig, 2);
	rig.is_silent = true;
	rig.input.can_swap = true;
	rig.input.has_host = true;
	rig.input.host = HOST_LOW;
	rig_seconds(&rig, 60);
	assert_says(&rig,
		    "The VM has 876 MiB and needs 640 MiB; with its buffer of 20 % that is 768 "
		    "MiB. It keeps what it has (stale-stats: the guest's statistics are too old to "
		    "take anything away). The host is in state low. Of its memory RAM may hold 640 "
		    "MiB; the rest goes to swap. It waits for fresh statistics of the guest.");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shrinking),     cmocka_unit_test(test_growing),
		cmocka_unit_test(test_a_short_host),  cmocka_unit_test(test_a_grant),
		cmocka_unit_test(test_no_statistics), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_off),	      cmocka_unit_test(test_swap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
