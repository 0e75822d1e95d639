/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* policy.c - parts of neap-policy(7): the rules and the constants of src/policy. */
#include "docgen.h"

#include <stdio.h>

#include "policy/policy.h"

void man_rules(void)
{
	for (int i = 0; i < POLICY_RULE_COUNT; i++) {
		const struct policy_rule_row *rule = &policy_rules[i];

		(void)puts(".TP");
		(void)fputs("\\fB", stdout);
		man_put(rule->name);
		(void)puts("\\fP");
		man_put(rule->meaning);
		if (*rule->waits_for) {
			(void)fputs("; waits for ", stdout);
			man_put(rule->waits_for);
		}
		(void)puts(".");
	}
}

void man_constants(void)
{
	static const struct {
		const char *id, *unit, *reason;
		long value;
	} constants[] = {
#define CONST(id, value, unit, reason) { #id, unit, reason, value },
#include "policy/constants.def"
#undef CONST
	};

	for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
		(void)puts(".TP");
		(void)printf("\\fB%s\\fP: %ld", constants[i].id, constants[i].value);
		if (*constants[i].unit) {
			(void)putchar(' ');
			man_put(constants[i].unit);
		}
		(void)putchar('\n');
		man_put(constants[i].reason);
		(void)puts(".");
	}
}
