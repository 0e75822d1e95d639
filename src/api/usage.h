/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* usage.h - the numbers of a running VM that others follow (usage.def): its event memory.usage, and
 * how a daemon, its metrics and its page read it.
 *
 * Plain values; any thread, each its own.
 */
#ifndef NEAP_API_USAGE_H
#define NEAP_API_USAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"

enum api_usage_id {
#define USAGE(field, kind, metric, help) API_USAGE_##field,
#include "api/usage.def"
#undef USAGE
	API_USAGE_COUNT
};

enum api_usage_kind { API_USAGE_GAUGE, API_USAGE_COUNTER };

enum api_usage_waits_for {
	API_USAGE_WAITS_FOR_NOTHING,
	API_USAGE_WAITS_FOR_GRANT,
	API_USAGE_WAITS_FOR_POOL
};

struct api_usage_row {
	const char *key, *metric, *help;
	enum api_usage_kind kind;
};
extern const struct api_usage_row api_usage_rows[API_USAGE_COUNT];

struct api_usage {
	uint32_t present; /* bit 1 << id */
	uint64_t value[API_USAGE_COUNT];
};

static inline bool api_usage_has(const struct api_usage *usage, enum api_usage_id id)
{
	return usage->present >> id & 1;
}

/* 0 when it is absent. */
static inline uint64_t api_usage_get(const struct api_usage *usage, enum api_usage_id id)
{
	return api_usage_has(usage, id) ? usage->value[id] : 0;
}

static inline void api_usage_put(struct api_usage *usage, enum api_usage_id id, uint64_t value)
{
	usage->present |= UINT32_C(1) << id;
	usage->value[id] = value;
}

/* An object with the members that are present: a new reference, or NULL: no memory. */
json_t *api_usage_to_json(const struct api_usage *usage);

/* The same as text. */
void api_usage_write(const struct api_usage *usage, struct strbuf *out);

/* What @untrusted_object does not have, or not as a whole number of at least 0, is absent. */
void api_usage_from_json(const json_t *untrusted_object, struct api_usage *ret_usage);

#endif
