/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_selector.c - which VMs a selector means, and what may be a label. */
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "host/hosted.h"
#include "../support/testing.h"

static bool selects(const char *text, const char *name, const char *state, const char *labels)
{
	struct hosted vm = { .state = state };
	struct selector *selector = NULL;
	struct err err = { 0 };
	bool matches;

	(void)snprintf(vm.definition.name, sizeof(vm.definition.name), "%s", name);
	vm.definition.labels = json_loads(labels, 0, NULL);
	assert_non_null(vm.definition.labels);
	if (selector_parse(text, &selector, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	matches = selector_matches(selector, &vm);
	selector_free(selector);
	json_decref(vm.definition.labels);
	return matches;
}

static void all_conditions_must_hold(void **state)
{
	static const char web[] = "{\"tier\": \"web\", \"canary\": \"\"}";

	(void)state;
	assert_true(selects("all", "a", "stopped", "{}"));
	assert_true(selects("tier=web", "a", "stopped", web));
	assert_false(selects("tier=db", "a", "stopped", web));
	assert_true(selects("tier!=db", "a", "stopped", web));
	assert_true(selects("tier!=db", "a", "stopped", "{}"));
	assert_true(selects("canary", "a", "stopped", web));
	assert_false(selects("!canary", "a", "stopped", web));
	assert_true(selects("canary=", "a", "stopped", web));
	assert_true(selects("tier=web,canary,state=running", "a", "running", web));
	assert_false(selects("tier=web,canary,state=running", "a", "stopped", web));
	assert_true(selects("state!=running,name=web-*", "web-1", "stopped", web));
	assert_true(selects("name=web-?", "web-1", "stopped", "{}"));
	assert_false(selects("name=web-?", "web-10", "stopped", "{}"));
	assert_true(selects("all,!canary", "a", "stopped", "{}"));
}

static void what_is_no_selector_is_refused_and_never_means_all(void **state)
{
	static const char *const wrong[] = {
		"",	 ",",	   "tier=web,",	   "!",		"!a=b",	     "=b",
		"!=b",	 "state",  "state=flying", "name",	"all=1",     "!all",
		"name",	 "!state", "tier==web",	   "name==web", "tier =web", " tier",
		"a,b c", "-a",
	};
	static char many[512], huge[8192];
	struct selector *selector;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		err = (struct err){ 0 };
		if (selector_parse(wrong[i], &selector, &err) != -EINVAL)
			fail_msg("\"%s\" was taken", wrong[i]);
		assert_non_null(strstr(err.text, "selector"));
	}
	for (unsigned i = 0; i < 65; i++)
		(void)strcat(many, i ? ",a" : "a");
	assert_int_equal(selector_parse(many, &selector, &err), -EINVAL);
	memset(huge, 'a', sizeof(huge) - 1);
	assert_int_equal(selector_parse(huge, &selector, &err), -EINVAL);
}

static void a_state_that_is_misspelt_is_known(void **state)
{
	struct selector *selector;
	struct err err;

	(void)state;
	assert_int_equal(selector_parse("tier=web,state=runing", &selector, &err), -EINVAL);
	assert_string_equal(err.text,
			    "selector: there is no state \"runing\"; did you mean running?");
}

static int check(const char *labels, bool may_remove)
{
	json_t *object = json_loads(labels, 0, NULL);
	struct err err = { 0 };
	int ret;

	assert_non_null(object);
	ret = labels_check(object, may_remove, &err);
	assert_true((ret < 0) == (err.text[0] != '\0'));
	json_decref(object);
	return ret;
}

static void labels_are_names_with_short_texts(void **state)
{
	(void)state;
	assert_int_equal(check("{}", false), 0);
	assert_int_equal(check("{\"a\": \"\", \"x.y/z-1_2\": \"two words\"}", false), 0);
	assert_int_equal(check("{\"a\": null}", true), 0);
	assert_int_equal(check("{\"a\": null}", false), -EINVAL);
	assert_int_equal(check("{\"a\": 1}", false), -EINVAL);
	assert_int_equal(check("{\"a\": \"1,2\"}", false), -EINVAL);
	assert_int_equal(check("{\"a\": \"line\\nbreak\"}", false), -EINVAL);
	assert_int_equal(check("{\"\": \"x\"}", false), -EINVAL);
	assert_int_equal(check("{\"-a\": \"x\"}", false), -EINVAL);
	assert_int_equal(check("{\"a b\": \"x\"}", false), -EINVAL);
	assert_int_equal(check("{\"name\": \"x\"}", false), -EINVAL);
	assert_int_equal(check("{\"state\": \"x\"}", false), -EINVAL);
	assert_int_equal(check("{\"all\": \"x\"}", false), -EINVAL);
}

static void labels_are_bounded(void **state)
{
	json_t *many = json_object();
	struct err err;
	char text[300];

	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		(void)snprintf(text, sizeof(text), "k%u", i);
		(void)json_object_set_new(many, text, json_string("v"));
	}
	assert_int_equal(labels_check(many, false, &err), 0);
	(void)json_object_set_new(many, "one-more", json_string("v"));
	assert_int_equal(labels_check(many, false, &err), -EINVAL);
	(void)json_object_clear(many);
	memset(text, 'v', sizeof(text));
	text[255] = '\0';
	(void)json_object_set_new(many, "k", json_string(text));
	assert_int_equal(labels_check(many, false, &err), 0);
	text[255] = 'v';
	text[256] = '\0';
	(void)json_object_set_new(many, "k", json_string(text));
	assert_int_equal(labels_check(many, false, &err), -EINVAL);
	json_decref(many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_conditions_must_hold),
		cmocka_unit_test(what_is_no_selector_is_refused_and_never_means_all),
		cmocka_unit_test(a_state_that_is_misspelt_is_known),
		cmocka_unit_test(labels_are_names_with_short_texts),
		cmocka_unit_test(labels_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
