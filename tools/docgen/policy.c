/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* policy.c - parts of neap-policy(7) and docs/POLICY.md: the rules, the constants and the columns of a
 * record of src/policy. */
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

void md_rules(void)
{
	(void)puts("| Rule | | Waits for |\n|---|---|---|");
	for (int i = 0; i < POLICY_RULE_COUNT; i++)
		(void)printf("| `%s` | %s | %s |\n", policy_rules[i].name, policy_rules[i].meaning,
			     policy_rules[i].waits_for);
}

void md_constants(void)
{
	(void)puts("| Constant | | Unit | Why |\n|---|---:|---|---|");
#define CONST(id, value, unit, reason) \
	(void)printf("| `%s` | %d | %s | %s |\n", #id, value, unit, reason);
#include "policy/constants.def"
#undef CONST
}

#define SECTION(part)
#define ROW(name, may, help)				(void)printf("| `%s` | %s | %s |\n", name, may, help);
#define U64(name, member, help)				ROW(name, "", help)
#define U32(name, member, help)				ROW(name, "", help)
#define BOOL(name, member, help)			ROW(name, "", help)
#define WORD(name, member, names, count, help)		ROW(name, "", help)
#define MAY_U64(name, has, member, help)		ROW(name, "may be absent", help)
#define MAY_U32(name, has, member, help)		ROW(name, "may be absent", help)
#define MAY_WORD(name, has, member, names, count, help) ROW(name, "may be absent", help)
#define CLAIM(name, id, help)				ROW(name, "may be absent", help)

/* size: a table */
void md_record(void)
{
	(void)puts("| Column | | |\n|---|---|---|");
#include "policy/record.def"
}
