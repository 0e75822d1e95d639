/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fleet.c - the part of docs/POLICY.md that says what a fleet's text may say. */
#include "docgen.h"

#include <stdio.h>

#include "sim/fleet_spec.h"

static void put_key(const char *key, const char *preset, const char *help)
{
	const char *otherwise = !preset ? "must be given" : *preset ? preset : "see right";

	(void)printf("| `%s` | %s | %s |\n", key, otherwise, help);
}

void md_fleet(void)
{
	(void)puts("| Of the fleet | If not given | |\n|---|---|---|");
#define CLASS_KEY(key, type, member, low, high, preset, help)
#define FLEET_KEY(key, type, member, low, high, preset, help) put_key(key, preset, help);
#include "sim/fleet_keys.def"
#undef FLEET_KEY
#undef CLASS_KEY
	(void)puts("\n| Of a class | If not given | |\n|---|---|---|");
#define FLEET_KEY(key, type, member, low, high, preset, help)
#define CLASS_KEY(key, type, member, low, high, preset, help) put_key(key, preset, help);
#include "sim/fleet_keys.def"
#undef FLEET_KEY
#undef CLASS_KEY
	(void)puts("\n| `pattern` | |\n|---|---|");
	for (unsigned i = 0; i < FLEET_PATTERN_COUNT; i++)
		(void)printf("| `%s` | %s |\n", fleet_patterns[i].name, fleet_patterns[i].help);
}
