/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* policy_api.c - the verbs of dynamic memory, and its part of vm.memory.
 *
 * A change is checked as a whole before anything of it is done: settings against each other in the
 * words of the options, then the target. Moving the balloon by hand takes it from the policy.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "machine/machine_internal.h"

static json_t *integer(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static void set_u64(json_t *object, const char *key, uint64_t value)
{
	(void)json_object_set_new(object, key, integer(value));
}

static void set_text(json_t *object, const char *key, const char *text)
{
	(void)json_object_set_new(object, key, json_string(text));
}

static int no_balloon(struct err *err)
{
	return err_set(err, API_ERROR_UNSUPPORTED,
		       "this VM has no balloon; start it without --balloon off");
}

/* ---- What was decided ---- */

static void add_decision(const struct policy_record *record, json_t *object)
{
	const struct policy_decision *decision = &record->decision;

	if (decision->has_demand)
		set_u64(object, "demand_bytes", decision->demand_bytes);
	set_u64(object, "want_bytes", decision->want_bytes);
	set_u64(object, "assigned_bytes", decision->assigned_bytes);
	set_u64(object, "available_bytes", decision->available_bytes);
	set_u64(object, "target_bytes", decision->target_bytes);
	set_u64(object, "swap_limit_bytes", decision->swap_limit_bytes);
	set_u64(object, "pressure_percent", decision->pressure_percent);
	set_u64(object, "average_pressure_percent", decision->average_pressure_percent);
	set_text(object, "status", policy_status_names[decision->status]);
	set_text(object, "rule", policy_rules[decision->rule].name);
	if (record->input.has_host) {
		set_text(object, "host", host_state_names[record->input.host]);
		set_u64(object, "host_free_bytes", record->input.host_free_bytes);
	}
	set_u64(object, "decided_ago_ms", (clock_now_ns() - record->input.now_ns) / NS_PER_MS);
}

static void add_settings(const struct policy_settings *settings, json_t *object)
{
	set_text(object, "mode", policy_mode_names[settings->mode]);
	set_u64(object, "startup_bytes", settings->startup_bytes);
	set_u64(object, "minimum_bytes", settings->minimum_bytes);
	set_u64(object, "buffer_percent", settings->buffer_percent);
	set_u64(object, "weight", settings->weight);
	(void)json_object_set_new(object, "reserved", json_boolean(settings->reserved));
}

json_t *policy_view(struct machine *machine)
{
	struct governor_status now;
	json_t *view;

	if (!machine->policy.governor)
		return NULL;
	view = json_object();
	governor_read(machine->policy.governor, &now);
	add_settings(&now.settings, view);
	if (now.has_grant)
		set_u64(view, "grant_bytes", now.grant_bytes);
	if (now.counters.ticks > 0)
		add_decision(&now.record, view);
	set_u64(view, "added_bytes", now.counters.moved.added_bytes);
	set_u64(view, "added_operations", now.counters.moved.added_operations);
	set_u64(view, "removed_bytes", now.counters.moved.removed_bytes);
	set_u64(view, "removed_operations", now.counters.moved.removed_operations);
	set_u64(view, "ticks", now.counters.ticks);
	set_u64(view, "tick_us_mean",
		now.counters.ticks ? now.counters.tick_ns_total / now.counters.ticks / NS_PER_US
				   : 0);
	set_u64(view, "tick_us_worst", now.counters.tick_ns_worst / NS_PER_US);
	return view;
}

static void add_sentence(char *text, size_t room, const char *sentence)
{
	size_t len = strlen(text);

	(void)snprintf(text + len, room - len, " Now it waits: %s.", sentence);
}

int policy_vm_memory_why(void *ctx, struct api_request *request, json_t **ret_result,
			 struct err *err)
{
	enum { TEXT_BYTES = 2048 };
	struct machine *machine = ctx;
	const char *over_grant = grant_explain(machine);
	struct governor_status now;
	char text[TEXT_BYTES];
	json_t *result;

	(void)request;
	if (!machine->policy.governor)
		return over_grant
			       ? err_set(err, API_ERROR_UNSUPPORTED,
					 "this VM has no balloon, so nothing is decided about it; "
					 "now it waits: %s",
					 over_grant)
			       : no_balloon(err);
	governor_read(machine->policy.governor, &now);
	if (now.counters.ticks == 0)
		return err_set(err, API_ERROR_STATE, "nothing was decided yet: the VM is starting");
	policy_explain(&now.record.settings, &now.record.input, &now.record.decision, text,
		       sizeof(text));
	if (over_grant)
		add_sentence(text, sizeof(text), over_grant);
	result = json_object();
	set_text(result, "text", text);
	set_text(result, "meaning", policy_rules[now.record.decision.rule].meaning);
	set_text(result, "waits_for",
		 over_grant ? "a larger grant, or the guest to give something back"
			    : policy_rules[now.record.decision.rule].waits_for);
	set_text(result, "mode", policy_mode_names[now.record.settings.mode]);
	add_decision(&now.record, result);
	*ret_result = result;
	return result ? 0 : err_set(err, API_ERROR_INTERNAL, "out of memory");
}

/* ---- Changing it ---- */

/* The new value under @key and the old one under old_@key, if they differ. Takes both. */
static void add_change(json_t *event, const char *key, json_t *was, json_t *now)
{
	char old_key[32];

	(void)snprintf(old_key, sizeof(old_key), "old_%s", key);
	if (json_equal(was, now)) {
		json_decref(was);
		json_decref(now);
		return;
	}
	(void)json_object_set_new(event, key, now);
	(void)json_object_set_new(event, old_key, was);
}

/* Nothing to tell when nothing changed. */
static void tell_change(struct machine *machine, const char *cause,
			const struct policy_settings *was, const struct policy_settings *now)
{
	json_t *event = json_object();

	add_change(event, "mode", json_string(policy_mode_names[was->mode]),
		   json_string(policy_mode_names[now->mode]));
	add_change(event, "minimum_bytes", integer(was->minimum_bytes),
		   integer(now->minimum_bytes));
	add_change(event, "buffer_percent", integer(was->buffer_percent),
		   integer(now->buffer_percent));
	add_change(event, "weight", integer(was->weight), integer(now->weight));
	if (json_object_size(event) == 0) {
		json_decref(event);
		return;
	}
	set_text(event, "cause", cause);
	events_publish(machine, "memory.settings", event);
}

/* A change as asked for. */
struct change {
	struct policy_settings settings;
	bool has_target;
	uint64_t balloon_bytes;
};

/* Which balloon do the parameters mean? At most one of the two is given. */
static int read_target(const struct machine *machine, const json_t *params, struct change *change,
		       struct err *err)
{
	uint64_t maximum_bytes = machine->config->memory.maximum_bytes;
	const json_t *keep = json_object_get(params, "target_bytes");
	const json_t *give = json_object_get(params, "balloon_bytes");
	json_int_t value = json_integer_value(keep ? keep : give);

	if (keep && give)
		return err_set(err, API_ERROR_INVALID_PARAMS,
			       "give either target_bytes (what the guest keeps) or balloon_bytes "
			       "(what it hands over)");
	if (value < 0 || (uint64_t)value > maximum_bytes)
		return err_set(err, API_ERROR_INVALID_PARAMS,
			       "%" JSON_INTEGER_FORMAT
			       " bytes is not between 0 and the VM's maximum, %" PRIu64,
			       value, maximum_bytes);
	change->has_target = keep || give;
	change->balloon_bytes = keep ? maximum_bytes - (uint64_t)value : (uint64_t)value;
	return 0;
}

/* The mode that is asked for, or follows: a target is somebody's own. */
static int read_mode(const json_t *params, struct change *change, struct err *err)
{
	const char *word = json_string_value(json_object_get(params, "mode"));

	if (!word) {
		if (change->has_target)
			change->settings.mode = POLICY_MODE_MANUAL;
		return 0;
	}
	for (int mode = 0; mode < POLICY_MODE_COUNT; mode++) {
		if (strcmp(word, policy_mode_names[mode]) != 0)
			continue;
		change->settings.mode = (enum policy_mode)mode;
		if (mode != POLICY_MODE_AUTO || !change->has_target)
			return 0;
		return err_set(err, API_ERROR_INVALID_PARAMS,
			       "in mode auto the policy sets the target: give a target, or mode "
			       "auto, not both");
	}
	return err_set(err, API_ERROR_INVALID_PARAMS,
		       "mode: \"%.32s\" is not one of auto, manual, off", word);
}

/* A number beyond 32 bits is beyond every setting's range as well. */
static void read_u32(const json_t *params, const char *key, uint32_t *value)
{
	const json_t *given = json_object_get(params, key);
	json_int_t number = json_integer_value(given);

	if (given)
		*value = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
}

static int read_change(const struct machine *machine, const json_t *params, struct change *change,
		       struct err *err)
{
	const json_t *minimum = json_object_get(params, "minimum_bytes");
	int ret;

	if (json_object_size(params) == 0)
		return err_set(err, API_ERROR_INVALID_PARAMS,
			       "give target_bytes (what the guest keeps), balloon_bytes (what it "
			       "hands over), or a setting: minimum_bytes, buffer_percent, weight, "
			       "mode");
	ret = read_target(machine, params, change, err);
	if (ret == 0)
		ret = read_mode(params, change, err);
	if (ret != 0)
		return ret;
	if (minimum)
		change->settings.minimum_bytes = (uint64_t)json_integer_value(minimum);
	read_u32(params, "buffer_percent", &change->settings.buffer_percent);
	read_u32(params, "weight", &change->settings.weight);
	return policy_check_settings(&change->settings, err) < 0 ? API_ERROR_INVALID_PARAMS : 0;
}

struct target {
	struct machine *machine;
	uint64_t balloon_bytes;
};

static void set_target(void *arg)
{
	struct target *target = arg;

	(void)balloon_set_target(target->machine->balloon, target->balloon_bytes);
}

int policy_vm_memory_set(void *ctx, struct api_request *request, json_t **ret_result,
			 struct err *err)
{
	struct machine *machine = ctx;
	struct balloon_counters counters;
	struct governor_status was;
	struct change change = { 0 };
	int ret;

	if (!machine->policy.governor)
		return no_balloon(err);
	governor_read(machine->policy.governor, &was);
	change.settings = was.settings;
	ret = read_change(machine, request->params, &change, err);
	if (ret != 0)
		return ret;
	policy_set_mode(machine, change.settings.mode); /* before the balloon is moved: P1 */
	if (change.has_target)
		loop_call(&machine->io, set_target,
			  &(struct target){ machine, change.balloon_bytes });
	governor_set(machine->policy.governor, &change.settings);
	tell_change(machine, change.has_target ? "target" : "settings", &was.settings,
		    &change.settings);
	balloon_read_counters(machine->balloon, &counters);
	*ret_result = json_pack("{s:o, s:s, s:s, s:o, s:o, s:o}", "asked_bytes",
				integer(counters.asked_bytes), "mode",
				policy_mode_names[change.settings.mode], "mode_before",
				policy_mode_names[was.settings.mode], "minimum_bytes",
				integer(change.settings.minimum_bytes), "buffer_percent",
				integer(change.settings.buffer_percent), "weight",
				integer(change.settings.weight));
	return *ret_result ? 0 : err_set(err, API_ERROR_INTERNAL, "out of memory");
}

/* ---- The trace ---- */

static json_t *format_rows(const struct policy_record *records, unsigned count)
{
	char line[POLICY_RECORD_BYTES];
	json_t *rows = json_array();

	for (unsigned i = 0; i < count; i++) {
		size_t len = policy_record_format(&records[i], line);

		(void)json_array_append_new(rows, json_stringn(line, len - 1)); /* no newline */
	}
	return rows;
}

int policy_vm_memory_trace(void *ctx, struct api_request *request, json_t **ret_result,
			   struct err *err)
{
	struct machine *machine = ctx;
	uint64_t after = (uint64_t)json_integer_value(json_object_get(request->params, "after"));
	struct policy_record *records;
	char header[POLICY_RECORD_BYTES];
	uint64_t last, begun;
	unsigned count;
	size_t len;

	if (!machine->policy.governor)
		return no_balloon(err);
	records = calloc(GOVERNOR_KEPT, sizeof(*records));
	if (!records)
		return err_set(err, API_ERROR_INTERNAL, "out of memory");
	count = governor_read_records(machine->policy.governor, after, records, GOVERNOR_KEPT,
				      &last);
	begun = after < last ? after : last;
	len = policy_record_header(header);
	*ret_result = json_pack("{s:s%, s:o, s:o, s:o}", "header", header, len - 1, "rows",
				format_rows(records, count), "last", integer(last), "lost",
				integer(last - begun - count));
	free(records);
	return *ret_result ? 0 : err_set(err, API_ERROR_INTERNAL, "out of memory");
}
