/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* selector.c - "tier=web,!canary,state=running": which VMs are meant. The grammar is in
 * api/host_verbs.def.
 *
 * A selector is one copy of its text, cut into conditions that point into it. An empty selector is a
 * mistake, not every VM: who means all says "all".
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "config/suggest.h"
#include "host/hosted.h"

enum { SELECTOR_BYTES = 4096, SELECTOR_CONDITIONS = 64 };

static const char no_such_state[] = "there is no such state";

enum subject { SUBJECT_LABEL, SUBJECT_STATE, SUBJECT_NAME, SUBJECT_ALL };

struct condition {
	enum subject subject;
	bool is_negated;
	const char *key;
	const char *value; /* NULL: whether it is there */
};

struct selector {
	unsigned count;
	struct condition conditions[SELECTOR_CONDITIONS];
	char text[]; /* what they point into */
};

static int bad(struct err *err, const char *untrusted_text, const char *what)
{
	char quoted[QUOTE_BYTES];

	return err_set(err, -EINVAL,
		       "selector %s: %s; conditions are KEY=VALUE, KEY!=VALUE, KEY, !KEY, "
		       "state=STATE, name=PATTERN, with commas between, or all",
		       quote_text(untrusted_text, quoted), what);
}

/* Offers all states to @near. */
static bool is_state(const char *name, struct suggest *near)
{
	for (size_t i = 0; i < api_host_set.state_count; i++) {
		if (strcmp(api_host_set.states[i].name, name) == 0)
			return true;
		suggest_offer(near, api_host_set.states[i].name);
	}
	return false;
}

static int no_state(struct err *err, const char *untrusted_name)
{
	struct suggest near = suggest_start(untrusted_name);
	char quoted[QUOTE_BYTES], hint[HINT_BYTES];

	(void)is_state(untrusted_name, &near);
	return err_set(err, -EINVAL, "selector: there is no state %s%s",
		       quote_text(untrusted_name, quoted), suggest_hint(&near, "", hint));
}

/* Cuts KEY=VALUE or KEY!=VALUE at its sign. */
static void cut(char *text, struct condition *condition)
{
	char *sign = strchr(text, '=');

	condition->key = text;
	if (!sign)
		return;
	condition->value = sign + 1;
	*sign = '\0';
	if (sign > text && sign[-1] == '!') {
		sign[-1] = '\0';
		condition->is_negated = true;
	}
}

static enum subject subject_of(const char *key)
{
	static const struct {
		const char *key;
		enum subject subject;
	} rows[] = { { "state", SUBJECT_STATE }, { "name", SUBJECT_NAME }, { "all", SUBJECT_ALL } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(key, rows[i].key) == 0)
			return rows[i].subject;
	return SUBJECT_LABEL;
}

/* What is wrong with it, or NULL. */
static const char *check_condition(const struct condition *condition)
{
	struct suggest unused = suggest_start("");
	const char *value = condition->value;

	if (condition->key[0] == '\0')
		return "a condition is empty";
	if (value && value[0] == '=')
		return "one = is enough";
	switch (condition->subject) {
	case SUBJECT_STATE: return value && is_state(value, &unused) ? NULL : no_such_state;
	case SUBJECT_NAME: return value ? NULL : "name needs a pattern";
	case SUBJECT_ALL: return value || condition->is_negated ? "all stands for itself" : NULL;
	case SUBJECT_LABEL: break;
	}
	return label_is_key(condition->key) ? NULL
					    : "what stands before = must be the name of a label, "
					      "without blanks";
}

static const char *read_condition(char *text, struct condition *ret_condition)
{
	*ret_condition = (struct condition){ 0 };
	if (text[0] != '!') {
		cut(text, ret_condition);
	} else {
		ret_condition->is_negated = true;
		ret_condition->key = text + 1;
		if (strchr(text, '='))
			return "! stands before a name alone";
	}
	ret_condition->subject = subject_of(ret_condition->key);
	return check_condition(ret_condition);
}

int selector_parse(const char *untrusted_text, struct selector **ret_selector, struct err *err)
{
	size_t len = strlen(untrusted_text);
	struct selector *selector;
	const char *wrong = NULL;
	char *rest;

	if (len >= SELECTOR_BYTES)
		return bad(err, untrusted_text, "it is too long");
	selector = calloc(1, sizeof(*selector) + len + 1);
	if (!selector)
		return err_set(err, -ENOMEM, "out of memory");
	memcpy(selector->text, untrusted_text, len);
	rest = selector->text;
	while (rest && !wrong) {
		char *text = strsep(&rest, ",");

		if (selector->count == SELECTOR_CONDITIONS)
			wrong = "it has too many conditions";
		else
			wrong = read_condition(text, &selector->conditions[selector->count++]);
	}
	if (wrong) {
		const char *value = selector->conditions[selector->count - 1].value;
		int ret = wrong == no_such_state && value ? no_state(err, value)
							  : bad(err, untrusted_text, wrong);

		selector_free(selector);
		return ret;
	}
	*ret_selector = selector;
	return 0;
}

void selector_free(struct selector *selector)
{
	free(selector);
}

static bool holds(const struct condition *condition, const struct hosted *vm)
{
	const char *label;

	switch (condition->subject) {
	case SUBJECT_ALL: return true;
	case SUBJECT_STATE: return strcmp(vm->state, condition->value) == 0;
	case SUBJECT_NAME: return fnmatch(condition->value, vm->definition.name, 0) == 0;
	case SUBJECT_LABEL: break;
	}
	label = json_string_value(json_object_get(vm->definition.labels, condition->key));
	return label && (!condition->value || strcmp(label, condition->value) == 0);
}

bool selector_matches(const struct selector *selector, const struct hosted *vm)
{
	for (unsigned i = 0; i < selector->count; i++)
		if (holds(&selector->conditions[i], vm) == selector->conditions[i].is_negated)
			return false;
	return true;
}
