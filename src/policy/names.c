/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* names.c - the words of modes, states and rules, in the order of their numbers. */
#include "policy/policy.h"

const char *const policy_mode_names[POLICY_MODE_COUNT + 1] = {
	[POLICY_MODE_AUTO] = "auto",
	[POLICY_MODE_MANUAL] = "manual",
	[POLICY_MODE_OFF] = "off",
};

const char *const host_state_names[HOST_STATE_COUNT] = {
	[HOST_CLEAR] = "clear",
	[HOST_SOFT] = "soft",
	[HOST_HARD] = "hard",
	[HOST_LOW] = "low",
};

const char *const policy_status_names[POLICY_STATUS_COUNT] = {
	[POLICY_STATUS_OK] = "OK",
	[POLICY_STATUS_LOW] = "Low",
	[POLICY_STATUS_WARNING] = "Warning",
};

const struct policy_rule_row policy_rules[POLICY_RULE_COUNT] = {
#define RULE(id, rule_name, rule_meaning, rule_waits_for) \
	[POLICY_RULE_##id] = { rule_name, rule_meaning, rule_waits_for },
#include "policy/rules.def"
#undef RULE
};
