/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fleet_spec.h - which fleet to simulate: a pool, and classes of VMs with what they demand.
 *
 * A text of lines KEY = VALUE; what stands before the first [CLASS] is the fleet's, the rest is
 * that class's. `#` begins a comment. fleet_keys.def has a row per key: its range, its default, its
 * help. Strict: unknown and repeated keys, values out of range and missing ones are errors with
 * the line. Memory is bounded: a spec is a plain value, and a text has at most FLEET_TEXT_BYTES.
 */
#ifndef NEAP_SIM_FLEET_SPEC_H
#define NEAP_SIM_FLEET_SPEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "policy/policy.h"

enum {
	FLEET_TEXT_BYTES = 65536,
	FLEET_CLASSES_MAX = 16,
	FLEET_NAME_BYTES = 32,
	FLEET_VMS_MAX = 20000,
	FLEET_KEYS_MAX = 32,
};

enum fleet_pattern {
#define PATTERN(id, name, help) FLEET_PATTERN_##id,
#include "sim/patterns.def"
#undef PATTERN
	FLEET_PATTERN_COUNT
};
struct fleet_pattern_row {
	const char *name, *help;
};
extern const struct fleet_pattern_row fleet_patterns[FLEET_PATTERN_COUNT];

struct fleet_class {
	char name[FLEET_NAME_BYTES];
	uint64_t count;
	struct policy_settings settings;
	uint64_t pattern; /* enum fleet_pattern */
	uint64_t low_bytes, high_bytes;
	uint64_t period_s, rise_s;
	uint64_t busy_percent, noise_percent;
	uint64_t cache_bytes_per_s;
};

struct fleet_spec {
	char name[FLEET_NAME_BYTES];
	uint64_t pool_bytes;
	uint64_t duration_s, tick_s, stats_period_s;
	uint64_t seed;
	unsigned class_count;
	struct fleet_class classes[FLEET_CLASSES_MAX];
};

/**
 * fleet_spec_parse() - a spec from text
 * @name:            of the text, for errors: "NAME:12: ..."
 * @untrusted_bytes: not NUL-terminated
 *
 * Return: 0; -EINVAL, -ERANGE, -E2BIG: @err says where and why.
 */
int fleet_spec_parse(const char *name, const char *untrusted_bytes, size_t len,
		     struct fleet_spec *ret_spec, struct err *err);

/* A file's path, or the name of a fleet that is built in (configs/fleets). */
int fleet_spec_load(const char *name, struct fleet_spec *ret_spec, struct err *err);

/* The n-th built-in fleet's name; NULL: there are fewer. */
const char *fleet_spec_builtin(unsigned number);

/**
 * fleet_spec_set() - change a spec that is complete
 * @untrusted_list: KEY=VALUE[,...]. KEY is the fleet's, or a class's for all classes, or CLASS.KEY
 *
 * Return: as fleet_spec_parse(); on failure @spec may be half changed.
 */
int fleet_spec_set(struct fleet_spec *spec, const char *untrusted_list, struct err *err);

/* The same for settings alone: memory.minimum=1G,memory.weight=2000 */
int sim_settings_set(struct policy_settings *settings, const char *untrusted_list, struct err *err);

uint64_t fleet_spec_vms(const struct fleet_spec *spec);

#endif
