/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* explain.c - a decision in sentences: what the VM has and needs, what happens to it and why, and
 * what it waits for.
 *
 * Invariant
 *  1  The text is a function of its arguments, ends with a full stop, and is cut at the end of a
 *     sentence when the buffer is short (so it may be empty).
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy/policy_internal.h"

struct text {
	char *at;
	uint64_t len, used;
	bool is_full;
};

/* A whole sentence, or nothing from here on. */
__attribute__((format(printf, 2, 3))) static void say(struct text *text, const char *fmt, ...)
{
	uint64_t room = text->len - text->used;
	va_list args;
	int added;

	if (text->is_full)
		return;
	va_start(args, fmt);
	added = vsnprintf(text->at + text->used, room, fmt, args);
	va_end(args);
	if (added < 0 || (uint64_t)added >= room) {
		text->at[text->used] = '\0';
		text->is_full = true;
		return;
	}
	text->used += (uint64_t)added;
}

/* What it wants, when its limits and not its buffer say how much. */
static void say_limits(struct text *text, const struct policy_settings *settings,
		       const struct policy_decision *decision, uint64_t wish_bytes)
{
	uint64_t floor_bytes = policy_floor_bytes(settings->maximum_bytes);
	char a[UNITS_TEXT_BYTES];

	if (wish_bytes > settings->maximum_bytes)
		say(text, " That is more than its maximum of %s.",
		    units_format_size(settings->maximum_bytes, a));
	else if (wish_bytes < decision->want_bytes && floor_bytes > settings->minimum_bytes)
		say(text, " It is never left less than %s, the floor of a guest of its size.",
		    units_format_size(decision->want_bytes, a));
	else if (wish_bytes < least(settings->minimum_bytes, decision->want_bytes))
		say(text, " It is never left less than its minimum of %s.",
		    units_format_size(settings->minimum_bytes, a));
}

static void say_need(struct text *text, const struct policy_settings *settings,
		     const struct policy_decision *decision)
{
	uint64_t wish =
		percent_of(decision->demand_bytes, 100 + (uint64_t)settings->buffer_percent);
	char a[UNITS_TEXT_BYTES], b[UNITS_TEXT_BYTES], c[UNITS_TEXT_BYTES];
	uint64_t aligned = 0;

	if (!decision->has_demand) {
		say(text, "The VM has %s, and nobody knows how much of it the guest uses.",
		    units_format_size(decision->assigned_bytes, a));
		return;
	}
	say(text, "The VM has %s and needs %s; with its buffer of %u %% that is %s.",
	    units_format_size(decision->assigned_bytes, a),
	    units_format_size(decision->demand_bytes, b), settings->buffer_percent,
	    units_format_size(wish, c));
	/* Want is in whole frames. */
	(void)align_up(wish, settings->frame_bytes, &aligned);
	say_limits(text, settings, decision, aligned);
}

static void say_move(struct text *text, const struct policy_decision *decision)
{
	const struct policy_rule_row *row = &policy_rules[decision->rule];
	uint64_t has = decision->assigned_bytes, target = decision->target_bytes;
	char a[UNITS_TEXT_BYTES], b[UNITS_TEXT_BYTES];

	(void)units_format_size(target, a);
	if (target > has)
		say(text, " It gets %s more, to %s (%s: %s).", units_format_size(target - has, b),
		    a, row->name, row->meaning);
	else if (target < has)
		say(text, " It is asked for %s, down to %s (%s: %s).",
		    units_format_size(has - target, b), a, row->name, row->meaning);
	else
		say(text, " It keeps what it has (%s: %s).", row->name, row->meaning);
}

static void say_rest(struct text *text, const struct policy_input *input,
		     const struct policy_decision *decision)
{
	const struct policy_rule_row *row = &policy_rules[decision->rule];
	char a[UNITS_TEXT_BYTES];

	if (input->has_grant)
		say(text, " The broker grants %s.", units_format_size(input->grant_bytes, a));
	else if (input->has_host && input->host != HOST_CLEAR)
		say(text, " The host is in state %s.", host_state_names[input->host]);
	if (decision->swap_limit_bytes)
		say(text, " Of its memory RAM may hold %s; the rest goes to swap.",
		    units_format_size(decision->swap_limit_bytes, a));
	if (row->waits_for[0])
		say(text, " It waits for %s.", row->waits_for);
}

void policy_explain(const struct policy_settings *settings, const struct policy_input *input,
		    const struct policy_decision *decision, char *ret_text, uint64_t len)
{
	struct text text = { .at = ret_text, .len = len };

	if (len == 0)
		return;
	ret_text[0] = '\0';
	if (decision->rule == POLICY_RULE_OFF) {
		say(&text, "%s.", policy_rules[decision->rule].meaning);
		return;
	}
	say_need(&text, settings, decision);
	say_move(&text, decision);
	say_rest(&text, input, decision);
}
