/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fleet.c - what a fleet's text may say: in docs/POLICY.md, and in neap-sim(1). */
#include "docgen.h"

#include <stdio.h>

#include "sim/fleet_spec.h"

static const char *otherwise(const char *preset)
{
	return !preset ? "must be given" : *preset ? preset : "see right";
}

static void put_key(const char *key, const char *preset, const char *help)
{
	(void)printf("| `%s` | %s | %s |\n", key, otherwise(preset), help);
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

static void put_man_key(const char *key, const char *preset, const char *help)
{
	(void)printf(".TP\n.B %s\n%s", key, help);
	if (!preset)
		(void)puts("; must be given.");
	else if (*preset)
		(void)printf(". Default: %s.\n", preset);
	else
		(void)puts(".");
}

void man_fleet(void)
{
	(void)puts(".SS Keys of a fleet");
#define CLASS_KEY(key, type, member, low, high, preset, help)
#define FLEET_KEY(key, type, member, low, high, preset, help) put_man_key(key, preset, help);
#include "sim/fleet_keys.def"
#undef FLEET_KEY
#undef CLASS_KEY
	(void)puts(".SS Keys of a class");
#define FLEET_KEY(key, type, member, low, high, preset, help)
#define CLASS_KEY(key, type, member, low, high, preset, help) put_man_key(key, preset, help);
#include "sim/fleet_keys.def"
#undef FLEET_KEY
#undef CLASS_KEY
	(void)puts(".SS Patterns");
	for (unsigned i = 0; i < FLEET_PATTERN_COUNT; i++)
		(void)printf(".TP\n.B %s\n%s\n", fleet_patterns[i].name, fleet_patterns[i].help);
}
