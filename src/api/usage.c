/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* usage.c - see usage.h. */
#include "api/usage.h"

#include "config/json_text.h"

_Static_assert(API_USAGE_COUNT <= 32, "present has a bit for each");

const struct api_usage_row api_usage_rows[API_USAGE_COUNT] = {
#define USAGE(field, kind_, metric_, help_) \
	[API_USAGE_##field] = { #field, (metric_), (help_), API_USAGE_##kind_ },
#include "api/usage.def"
#undef USAGE
};

json_t *api_usage_to_json(const struct api_usage *usage)
{
	json_t *object = json_object();

	for (unsigned id = 0; id < API_USAGE_COUNT; id++) {
		if (!api_usage_has(usage, id))
			continue;
		if (json_object_set_new(object, api_usage_rows[id].key,
					json_integer((json_int_t)usage->value[id])) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

void api_usage_write(const struct api_usage *usage, struct strbuf *out)
{
	static const struct {
		const char *text;
		size_t len;
	} names[API_USAGE_COUNT] = {
#define USAGE(field, kind, metric, help) { ",\"" #field "\":", sizeof(",\"" #field "\":") - 1 },
#include "api/usage.def"
#undef USAGE
	};
	size_t comma = 1; /* the first has none */

	json_text_plain(out, "{");
	for (unsigned id = 0; id < API_USAGE_COUNT; id++) {
		if (!api_usage_has(usage, id))
			continue;
		strbuf_append(out, names[id].text + comma, names[id].len - comma);
		json_text_integer(out, usage->value[id]);
		comma = 0;
	}
	json_text_plain(out, "}");
}

void api_usage_from_json(const json_t *untrusted_object, struct api_usage *ret_usage)
{
	*ret_usage = (struct api_usage){ 0 };
	for (unsigned id = 0; id < API_USAGE_COUNT; id++) {
		const json_t *value = json_object_get(untrusted_object, api_usage_rows[id].key);

		if (json_is_integer(value) && json_integer_value(value) >= 0)
			api_usage_put(ret_usage, id, (uint64_t)json_integer_value(value));
	}
}
