/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_settings.c - what may be set, and what is said when it may not. */
#include <errno.h>
#include <string.h>

#include "policy_rig.h"

static void test_defaults_are_good_for_every_size(void **state)
{
	(void)state;
	for (uint64_t maximum = MIB(16); maximum <= GIB(1023);
	     maximum += maximum / 16 & ~(MIB(2) - 1)) {
		struct policy_settings settings =
			policy_default_settings(maximum, GUEST_PAGE_BYTES);
		struct err err = { 0 };

		assert_int_equal(policy_check_settings(&settings, &err), 0);
		assert_int_equal(settings.startup_bytes, maximum);
		assert_int_equal(settings.mode, POLICY_MODE_AUTO);
		if (maximum < MIB(32))
			maximum += MIB(2);
	}
}

static void test_the_default_minimum_is_an_eighth_or_64_mib(void **state)
{
	(void)state;
	assert_int_equal(policy_default_minimum_bytes(GIB(8)), GIB(1));
	assert_int_equal(policy_default_minimum_bytes(MIB(512)), MIB(64));
	assert_int_equal(policy_default_minimum_bytes(MIB(100)), MIB(64));
	assert_int_equal(policy_default_minimum_bytes(MIB(32)), MIB(32));
}

static void test_the_floor_is_that_of_the_hyper_v_driver(void **state)
{
	static const struct {
		uint64_t maximum_mib, floor_mib;
	} rows[] = {
		{ 16, 16 },    { 100, 58 },   { 127, 71 },     { 128, 72 },
		{ 256, 104 },  { 512, 168 },  { 1024, 232 },   { 2048, 360 },
		{ 4096, 488 }, { 8192, 744 }, { 32768, 1512 }, { 1047552, 33224 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(policy_floor_bytes(MIB(rows[i].maximum_mib)) / MIB(1),
				 rows[i].floor_mib);
}

static void test_the_floor_rises_with_the_maximum_and_never_passes_it(void **state)
{
	uint64_t before = 0;

	(void)state;
	for (uint64_t mib = 1; mib < 20000; mib++) {
		uint64_t floor_bytes = policy_floor_bytes(MIB(mib));

		assert_true(floor_bytes >= before && floor_bytes <= MIB(mib));
		before = floor_bytes;
	}
	assert_true(policy_floor_bytes(UINT64_MAX) < UINT64_MAX);
}

static void assert_refused(const struct policy_settings *settings, int code, const char *sentence)
{
	struct err err = { 0 };

	assert_int_equal(policy_check_settings(settings, &err), code);
	assert_string_equal(err.text, sentence);
	assert_int_equal(policy_check_settings(settings, NULL), code);
}

static void test_each_setting_is_checked_against_the_others(void **state)
{
	const struct policy_settings good = policy_default_settings(GIB(4), HUGE_FRAME_BYTES);
	struct policy_settings bad = good;

	(void)state;
	bad.startup_bytes = GIB(5);
	assert_refused(&bad, -EINVAL,
		       "memory.startup is 5 GiB, more than memory.maximum, which is 4 GiB");
	bad = good;
	bad.startup_bytes = MIB(256);
	assert_refused(&bad, -EINVAL,
		       "memory.minimum is 512 MiB, more than memory.startup, which is 256 MiB");
	bad = good;
	bad.minimum_bytes = GIB(6);
	assert_refused(&bad, -EINVAL,
		       "memory.minimum is 6 GiB, more than memory.maximum, which is 4 GiB");
	bad = good;
	bad.buffer_percent = 4;
	assert_refused(&bad, -ERANGE, "memory.buffer is 4 %; it may be 5 to 2000 %");
	bad.buffer_percent = 2001;
	assert_refused(&bad, -ERANGE, "memory.buffer is 2001 %; it may be 5 to 2000 %");
	bad = good;
	bad.weight = 10001;
	assert_refused(&bad, -ERANGE, "memory.weight is 10001; it may be 0 to 10000");
	bad = good;
	bad.mode = POLICY_MODE_COUNT;
	assert_refused(&bad, -EINVAL, "memory.mode must be auto, manual or off");
	bad = good;
	bad.maximum_bytes = GIB(1024);
	assert_refused(&bad, -ERANGE, "memory.maximum is 1 TiB; it may be up to 1023 GiB");
	bad = good;
	bad.frame_bytes = MIB(1);
	assert_refused(&bad, -EINVAL, "memory.pages must be 2M or 4K, not 1 MiB");
}

static void test_limits_themselves_are_good(void **state)
{
	struct policy_settings settings = policy_default_settings(GIB(1023), HUGE_FRAME_BYTES);

	(void)state;
	settings.minimum_bytes = settings.startup_bytes = GIB(1023);
	settings.buffer_percent = 2000;
	settings.weight = 10000;
	assert_int_equal(policy_check_settings(&settings, NULL), 0);
	settings.minimum_bytes = 0;
	settings.buffer_percent = 5;
	settings.weight = 0;
	assert_int_equal(policy_check_settings(&settings, NULL), 0);
}

static void test_settings_that_are_no_good_leave_the_vm_alone(void **state)
{
	struct policy_rig rig = rig_new(GIB(4), HUGE_FRAME_BYTES, 1000);

	(void)state;
	rig.input.taken_bytes = GIB(1);
	rig.settings.buffer_percent = 0;
	rig_seconds(&rig, 10);
	assert_int_equal(rig.decision.rule, POLICY_RULE_OFF);
	assert_int_equal(rig.decision.target_bytes, GIB(3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_are_good_for_every_size),
		cmocka_unit_test(test_the_default_minimum_is_an_eighth_or_64_mib),
		cmocka_unit_test(test_the_floor_is_that_of_the_hyper_v_driver),
		cmocka_unit_test(test_the_floor_rises_with_the_maximum_and_never_passes_it),
		cmocka_unit_test(test_each_setting_is_checked_against_the_others),
		cmocka_unit_test(test_limits_themselves_are_good),
		cmocka_unit_test(test_settings_that_are_no_good_leave_the_vm_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
