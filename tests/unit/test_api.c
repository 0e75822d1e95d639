/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_api.c - from a method's name to its handler: parameters, states, errors, and the document.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/params.h"
#include "base/units.h"

/* A backend that remembers what it was asked, and answers what a test told it to. */
struct fake {
	struct api_backend backend;
	api_handler handlers[API_VERB_COUNT];
	enum api_state state;
	json_t *seen; /* parameters of the last call */
	unsigned calls;
	int answer;	      /* what the handler returns */
	const char *sentence; /* that it leaves in err, or NULL */
	bool no_result;
	bool only_looks;
};

static enum api_state fake_state(void *ctx)
{
	return ((struct fake *)ctx)->state;
}

static int fake_handler(void *ctx, struct api_request *request, json_t **ret_result,
			struct err *err)
{
	struct fake *fake = ctx;

	fake->calls++;
	json_decref(fake->seen);
	fake->seen = json_deep_copy(request->params);
	if (fake->sentence)
		(void)err_set(err, -EIO, "%s", fake->sentence);
	if (!fake->no_result)
		*ret_result = json_pack("{s:s}", "state", "running");
	return fake->answer;
}

static int start(void **state)
{
	static struct fake fake;

	fake = (struct fake){ .state = API_STATE_RUNNING };
	fake.backend.state = fake_state;
	fake.backend.ctx = &fake;
	fake.backend.set = &api_vm_set;
	fake.backend.handlers = fake.handlers;
	for (size_t i = 0; i < API_VERB_COUNT; i++)
		fake.handlers[i] = fake_handler;
	*state = &fake;
	return 0;
}

static int end(void **state)
{
	json_decref(((struct fake *)*state)->seen);
	return 0;
}

/* Calls with @params as JSON text, or NULL; the sentence of a failure is in @err. */
static int call(struct fake *fake, const char *method, const char *params, struct err *err)
{
	json_t *json = params ? json_loads(params, JSON_DECODE_ANY, NULL) : NULL;
	json_t *result = NULL;
	struct api_request request = { .peer.may_change = !fake->only_looks };
	int code = api_call(&fake->backend, &request, method, json, &result, err);

	assert_true(!params || json);
	assert_true((code == 0) == (result != NULL));
	json_decref(request.params);
	json_decref(result);
	json_decref(json);
	return code;
}

static void assert_refused(struct fake *fake, const char *method, const char *params, int code,
			   const char *sentence)
{
	struct err err = { 0 };

	assert_int_equal(call(fake, method, params, &err), code);
	assert_string_equal(err.text, sentence);
	assert_int_equal(fake->calls, 0);
}

static void parameters_come_by_name_or_by_position(void **state)
{
	struct fake *fake = *state;

	assert_int_equal(call(fake, "vm.memory.set", "{\"balloon_bytes\":7}", NULL), 0);
	assert_int_equal(json_integer_value(json_object_get(fake->seen, "balloon_bytes")), 7);
	assert_int_equal(call(fake, "vm.memory.set", "[5]", NULL), 0);
	assert_int_equal(json_integer_value(json_object_get(fake->seen, "target_bytes")), 5);
	assert_int_equal(json_object_size(fake->seen), 1);
	assert_int_equal(call(fake, "vm.memory.set", "[null,6]", NULL), 0);
	assert_int_equal(json_integer_value(json_object_get(fake->seen, "balloon_bytes")), 6);
	assert_int_equal(json_object_size(fake->seen), 1);
	assert_int_equal(call(fake, "events.subscribe", "[[\"vm.state\"]]", NULL), 0);
	assert_int_equal(json_array_size(json_object_get(fake->seen, "kinds")), 1);
}

static void a_handler_always_gets_an_object(void **state)
{
	static const char *const empty[] = { NULL, "{}", "[]" };
	struct fake *fake = *state;

	for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
		assert_int_equal(call(fake, "vm.info", empty[i], NULL), 0);
		assert_true(json_is_object(fake->seen));
		assert_int_equal(json_object_size(fake->seen), 0);
	}
}

static void an_unknown_method_suggests_the_right_one(void **state)
{
	assert_refused(*state, "vm.inof", NULL, API_ERROR_METHOD_NOT_FOUND,
		       "no method \"vm.inof\"; did you mean vm.info?");
	assert_refused(*state, "vm.pasue", NULL, API_ERROR_METHOD_NOT_FOUND,
		       "no method \"vm.pasue\"; did you mean vm.pause?");
	assert_refused(*state, "memory", NULL, API_ERROR_METHOD_NOT_FOUND,
		       "no method \"memory\"; rpc.discover lists them");
	assert_refused(*state, "", NULL, API_ERROR_METHOD_NOT_FOUND,
		       "no method \"\"; rpc.discover lists them");
	assert_refused(*state, "\x1b[2J", NULL, API_ERROR_METHOD_NOT_FOUND,
		       "no method \"?[2J\"; rpc.discover lists them");
}

static void on_a_socket_for_looking_only_nothing_changes(void **state)
{
	struct fake *fake = *state;

	fake->only_looks = true;
	assert_refused(fake, "vm.kill", NULL, API_ERROR_FORBIDDEN,
		       "vm.kill changes something, and this socket is for looking only");
	assert_int_equal(call(fake, "vm.info", NULL, NULL), 0);
}

static void the_daemons_set_offers_what_it_forwards_with_the_vm_first(void **state)
{
	const struct api_verb_row *set = api_verb_by_method(&api_host_set, "vm.memory.set");
	const struct api_verb_row *info = api_verb_by_method(&api_host_set, "vm.info");

	(void)state;
	assert_int_equal(set - api_host_set.verbs, API_HOST_OWN_COUNT + API_VM_MEMORY_SET);
	assert_string_equal(set->params[0].name, "vm");
	assert_string_equal(set->params[1].name, "selector");
	assert_string_equal(set->params[2].name, "target_bytes");
	assert_int_equal(info - api_host_set.verbs, API_HOST_VM_INFO);
	assert_null(api_verb_by_method(&api_host_set, "vm.memory.grant"));
	for (size_t i = 0; i < api_host_set.verb_count; i++) {
		const struct api_verb_row *verb = &api_host_set.verbs[i];

		if (api_offers(&api_host_set, verb))
			assert_ptr_equal(api_verb_by_method(&api_host_set, verb->method), verb);
	}
}

static void a_verb_the_backend_does_not_have_is_not_found(void **state)
{
	struct fake *fake = *state;

	fake->handlers[API_VM_CONSOLE] = NULL;
	assert_refused(fake, "vm.console", NULL, API_ERROR_METHOD_NOT_FOUND,
		       "vm.console is not offered here");
}

static void wrong_parameters_are_refused_in_words(void **state)
{
	static const struct {
		const char *method, *params, *sentence;
	} cases[] = {
		{ "vm.memory.set", "{\"target_byte\":1}",
		  "vm.memory.set: no parameter \"target_byte\"; did you mean target_bytes?" },
		{ "vm.info", "{\"x\":1}", "vm.info: no parameter \"x\"; it takes none" },
		{ "vm.info", "[1]", "vm.info takes at most 0 parameters" },
		{ "vm.memory.set", "[1,2,3,4,5,\"auto\",7]",
		  "vm.memory.set takes at most 6 parameters" },
		{ "vm.memory.set", "[\"1G\"]",
		  "vm.memory.set: target_bytes must be an integer, not negative" },
		{ "vm.memory.set", "{\"target_bytes\":-1}",
		  "vm.memory.set: target_bytes must be an integer, not negative" },
		{ "vm.memory.set", "{\"target_bytes\":1.5}",
		  "vm.memory.set: target_bytes must be an integer, not negative" },
		{ "vm.memory.set", "{\"target_bytes\":null}",
		  "vm.memory.set: target_bytes must be an integer, not negative" },
		{ "events.subscribe", "{\"kinds\":\"vm.state\"}",
		  "events.subscribe: kinds must be an array of strings" },
		{ "events.subscribe", "{\"kinds\":[\"vm.state\",1]}",
		  "events.subscribe: kinds must be an array of strings" },
		{ "events.subscribe", "{\"kinds\":[1]}",
		  "events.subscribe: kinds must be an array of strings" },
		{ "vm.info", "7", "vm.info: parameters are an object or an array" },
		{ "vm.info", "\"x\"", "vm.info: parameters are an object or an array" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_refused(*state, cases[i].method, cases[i].params, API_ERROR_INVALID_PARAMS,
			       cases[i].sentence);
}

/* A verb with every type, which ours do not have yet. */
static int check_made_up(const char *params, struct err *err)
{
	static const struct api_field fields[] = {
		{ "text", API_STRING, true, "words" },
		{ "flag", API_BOOLEAN, true, "yes or no" },
		{ "members", API_OBJECT, false, "things" },
		{ .name = NULL },
	};
	static const struct api_verb_row verb = { .method = "made.up", .params = fields };
	json_t *json = json_loads(params, 0, NULL);
	json_t *checked = NULL;
	int code = params_check(&verb, false, json, &checked, err);

	assert_non_null(json);
	assert_true((code == 0) == (checked != NULL));
	json_decref(checked);
	json_decref(json);
	return code;
}

static void required_parameters_and_every_type_are_checked(void **state)
{
	static const struct {
		const char *params, *sentence;
	} refused[] = {
		{ "{}", "made.up: text is missing: words" },
		{ "[]", "made.up: text is missing: words" },
		{ "[null,true]", "made.up: text is missing: words" },
		{ "[\"a\"]", "made.up: flag is missing: yes or no" },
		{ "[1,true]", "made.up: text must be a string" },
		{ "[\"a\",0]", "made.up: flag must be true or false" },
		{ "[\"a\",true,[]]", "made.up: members must be an object" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct err err = { 0 };

		assert_int_equal(check_made_up(refused[i].params, &err), API_ERROR_INVALID_PARAMS);
		assert_string_equal(err.text, refused[i].sentence);
	}
	assert_int_equal(check_made_up("[\"a\",false]", NULL), 0);
	assert_int_equal(check_made_up("[\"a\",true,{}]", NULL), 0);
	assert_int_equal(check_made_up("{\"flag\":true,\"text\":\"\"}", NULL), 0);
}

/* What @verb cannot do without, as text; all of that are integers so far. free() it. */
static char *least_params(const struct api_verb_row *verb)
{
	json_t *params = json_object();
	char *text;

	for (const struct api_field *param = verb->params; param->name; param++)
		if (param->required)
			(void)json_object_set_new(params, param->name, json_integer(0));
	text = json_dumps(params, 0);
	json_decref(params);
	return text;
}

static void every_verb_is_possible_exactly_in_its_states(void **state)
{
	struct fake *fake = *state;
	const struct api_verb_row *verbs = api_vm_set.verbs;
	size_t count = api_vm_set.verb_count;

	assert_int_equal(count, API_VERB_COUNT);
	for (size_t i = 0; i < count; i++) {
		char *params = least_params(&verbs[i]);

		for (unsigned now = 0; now < API_STATE_COUNT; now++) {
			struct err err = { 0 };
			unsigned before = fake->calls;

			fake->state = now;
			if (verbs[i].states & 1U << now) {
				assert_int_equal(call(fake, verbs[i].method, params, &err), 0);
				assert_int_equal(fake->calls, before + 1);
				continue;
			}
			assert_int_equal(call(fake, verbs[i].method, params, &err),
					 API_ERROR_STATE);
			assert_int_equal(fake->calls, before);
			assert_non_null(strstr(err.text, verbs[i].method));
			assert_non_null(strstr(err.text, api_state_name(now)));
		}
		free(params);
	}
}

static void a_wrong_state_is_said_with_the_right_ones(void **state)
{
	struct fake *fake = *state;

	fake->state = API_STATE_STOPPED;
	assert_refused(fake, "vm.pause", NULL, API_ERROR_STATE,
		       "vm.pause is not possible while the VM is stopped; it is when "
		       "running, paused, waiting");
}

static void a_handlers_own_error_is_passed_on(void **state)
{
	struct fake *fake = *state;
	struct err err = { 0 };

	fake->answer = API_ERROR_UNSUPPORTED;
	fake->sentence = "this VM has no balloon";
	assert_int_equal(call(fake, "vm.memory.set", "[1]", &err), API_ERROR_UNSUPPORTED);
	assert_string_equal(err.text, "this VM has no balloon");
}

static void a_handler_that_misbehaves_is_an_internal_error(void **state)
{
	struct fake *fake = *state;
	struct err err = { 0 };

	fake->answer = -ENOMEM; /* no code of ours */
	assert_int_equal(call(fake, "vm.info", NULL, &err), API_ERROR_INTERNAL);
	assert_string_equal(err.text, "vm.info failed and did not say why");
	fake->answer = 0;
	fake->no_result = true;
	assert_int_equal(call(fake, "vm.info", NULL, &err), API_ERROR_INTERNAL);
}

static void every_row_is_complete(void **state)
{
	const struct api_verb_row *verbs = api_vm_set.verbs;
	size_t count = api_vm_set.verb_count;

	(void)state;
	for (size_t i = 0; i < count; i++) {
		assert_ptr_equal(api_verb_by_method(&api_vm_set, verbs[i].method), &verbs[i]);
		assert_true(strlen(verbs[i].help) > 0);
		assert_non_null(verbs[i].results->name);
		for (const struct api_field *field = verbs[i].params; field->name; field++)
			assert_true(strlen(field->help) > 0);
		for (const struct api_field *field = verbs[i].results; field->name; field++)
			assert_true(strlen(field->help) > 0);
	}
	assert_string_equal(verbs[API_VM_MEMORY_SET].params[1].name, "balloon_bytes");
	assert_null(verbs[API_VM_MEMORY_SET].params[6].name);
	assert_null(verbs[API_VM_INFO].params[0].name);
	assert_string_equal(verbs[API_VM_INFO].results[0].name, "name");
}

static bool is_text(const json_t *object, const char *key)
{
	return json_string_length(json_object_get(object, key)) > 0;
}

static void assert_method(const json_t *top, const json_t *method)
{
	const json_t *errors = json_object_get(json_object_get(top, "components"), "errors");
	const json_t *result = json_object_get(method, "result");
	const json_t *schema = json_object_get(result, "schema");
	size_t i;
	json_t *item;

	assert_true(is_text(method, "name") && is_text(method, "summary") &&
		    is_text(result, "name"));
	assert_string_equal(json_string_value(json_object_get(method, "paramStructure")), "either");
	json_array_foreach(json_object_get(method, "params"), i, item)
	{
		assert_true(is_text(item, "name") && is_text(item, "description"));
		assert_true(json_is_boolean(json_object_get(item, "required")));
		assert_true(is_text(json_object_get(item, "schema"), "type"));
	}
	json_array_foreach(json_object_get(schema, "required"), i, item) assert_non_null(
		json_object_get(json_object_get(schema, "properties"), json_string_value(item)));
	assert_true(json_array_size(json_object_get(method, "errors")) > 0);
	json_array_foreach(json_object_get(method, "errors"), i, item)
	{
		const char *reference = json_string_value(json_object_get(item, "$ref"));

		assert_memory_equal(reference, "#/components/errors/", 20);
		assert_non_null(json_object_get(errors, reference + 20));
	}
}

static void the_openrpc_document_has_the_standards_shape(void **state)
{
	json_t *top = api_discover(&api_vm_set);
	json_t *methods = json_object_get(top, "methods");
	json_t *errors = json_object_get(json_object_get(top, "components"), "errors");
	const struct api_verb_row *verbs = api_vm_set.verbs;
	const char *key;
	json_t *value;
	size_t count = api_vm_set.verb_count;

	(void)state;
	assert_true(is_text(top, "openrpc"));
	assert_true(is_text(json_object_get(top, "info"), "title"));
	assert_true(is_text(json_object_get(top, "info"), "version"));
	assert_int_equal(json_array_size(methods), count);
	for (size_t i = 0; i < count; i++) {
		const json_t *method = json_array_get(methods, i);

		assert_string_equal(json_string_value(json_object_get(method, "name")),
				    verbs[i].method);
		assert_method(top, method);
	}
	json_object_foreach(errors, key, value) assert_true(
		json_is_integer(json_object_get(value, "code")) && is_text(value, "message"));
	assert_int_equal(json_array_size(json_object_get(top, "x-states")), API_STATE_COUNT);
	assert_true(json_array_size(json_object_get(top, "x-events")) > 0);
	json_decref(top);
}

static const json_t *member_schema(const json_t *method, const char *name)
{
	const json_t *result = json_object_get(json_object_get(method, "result"), "schema");

	return json_object_get(json_object_get(result, "properties"), name);
}

static const json_t *param_schema(const json_t *method, size_t index)
{
	return json_object_get(json_array_get(json_object_get(method, "params"), index), "schema");
}

static void the_document_says_what_parameters_may_be(void **state)
{
	json_t *top = api_discover(&api_vm_set);
	const json_t *methods = json_object_get(top, "methods");
	const json_t *set = json_array_get(methods, API_VM_MEMORY_SET);
	const json_t *subscribe = json_array_get(methods, API_EVENTS_SUBSCRIBE);
	const json_t *kinds = param_schema(subscribe, 0);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(top, "openrpc")), "1.2.6");
	assert_int_equal(json_array_size(json_object_get(set, "params")), 6);
	for (size_t i = 0; i < 5; i++) { /* the sixth is a word */
		const json_t *least = json_object_get(param_schema(set, i), "minimum");

		assert_true(json_is_integer(least) && json_integer_value(least) == 0);
		assert_null(json_object_get(param_schema(set, i), "items"));
	}
	assert_true(is_text(json_object_get(kinds, "items"), "type"));
	assert_null(json_object_get(kinds, "minimum"));
	assert_null(json_object_get(member_schema(set, "asked_bytes"), "minimum"));
	assert_true(is_text(member_schema(set, "asked_bytes"), "type"));
	json_decref(top);
}

static void the_document_says_in_which_states_a_verb_is_possible(void **state)
{
	json_t *top = api_discover(&api_vm_set);
	const struct api_verb_row *verbs = api_vm_set.verbs;
	size_t count = api_vm_set.verb_count;

	(void)state;
	for (size_t i = 0; i < count; i++) {
		const json_t *method = json_array_get(json_object_get(top, "methods"), i);
		const json_t *list = json_object_get(method, "x-states");
		size_t at = 0;

		for (unsigned s = 0; s < API_STATE_COUNT; s++)
			if (verbs[i].states & 1U << s)
				assert_string_equal(json_string_value(json_array_get(list, at++)),
						    api_state_name(s));
		assert_int_equal(json_array_size(list), at);
	}
	json_decref(top);
}

static bool has_error(const json_t *method, const char *id)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(method, "errors"), i, item)
	{
		const char *reference = json_string_value(json_object_get(item, "$ref"));

		if (strcmp(strrchr(reference, '/') + 1, id) == 0)
			return true;
	}
	return false;
}

static void a_daemons_document_says_what_only_it_knows(void **state)
{
	json_t *top = api_discover(&api_host_set);
	const json_t *method;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(top, "methods"), i, method)
	{
		size_t last = json_array_size(json_object_get(method, "params")) - 1;
		const json_t *deadline = param_schema(method, last);
		const char *name = json_string_value(json_object_get(method, "name"));
		bool needs_state = strstr("vm.start vm.delete vm.kill vm.memory.why", name) != NULL;

		assert_int_equal(json_integer_value(json_object_get(deadline, "minimum")), 1);
		assert_int_equal(json_integer_value(json_object_get(deadline, "maximum")),
				 API_DEADLINE_MAX_MS);
		if (needs_state)
			assert_true(has_error(method, "STATE"));
		if (strcmp(name, "vm.list") == 0 || strcmp(name, "vm.start") == 0)
			assert_null(json_object_get(method, "x-states"));
		if (strcmp(name, "vm.pause") == 0)
			assert_int_equal(json_array_size(json_object_get(method, "x-states")), 3);
	}
	json_decref(top);
}

static void absent_members_are_those_whose_help_says_so(void **state)
{
	static const char *const absentees[] = { "statistics", "pool",	 "swap",
						 "sampler",    "policy", "grant_most_bytes" };
	const struct api_verb_row *verb = api_verb_by_method(&api_vm_set, "vm.memory");
	unsigned absent = 0;

	(void)state;
	for (const struct api_field *field = verb->results; field->name; field++) {
		bool may = false;

		for (size_t i = 0; i < ARRAY_LEN(absentees); i++)
			may |= strcmp(field->name, absentees[i]) == 0;
		assert_int_equal(api_result_may_be_absent(field), may);
		absent += may;
	}
	assert_int_equal(absent, ARRAY_LEN(absentees));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(parameters_come_by_name_or_by_position, start, end),
		cmocka_unit_test_setup_teardown(a_handler_always_gets_an_object, start, end),
		cmocka_unit_test_setup_teardown(an_unknown_method_suggests_the_right_one, start,
						end),
		cmocka_unit_test_setup_teardown(on_a_socket_for_looking_only_nothing_changes, start,
						end),
		cmocka_unit_test(the_daemons_set_offers_what_it_forwards_with_the_vm_first),
		cmocka_unit_test_setup_teardown(a_verb_the_backend_does_not_have_is_not_found,
						start, end),
		cmocka_unit_test_setup_teardown(wrong_parameters_are_refused_in_words, start, end),
		cmocka_unit_test_setup_teardown(every_verb_is_possible_exactly_in_its_states, start,
						end),
		cmocka_unit_test_setup_teardown(a_wrong_state_is_said_with_the_right_ones, start,
						end),
		cmocka_unit_test_setup_teardown(a_handlers_own_error_is_passed_on, start, end),
		cmocka_unit_test_setup_teardown(a_handler_that_misbehaves_is_an_internal_error,
						start, end),
		cmocka_unit_test(required_parameters_and_every_type_are_checked),
		cmocka_unit_test(every_row_is_complete),
		cmocka_unit_test(the_openrpc_document_has_the_standards_shape),
		cmocka_unit_test(the_document_says_what_parameters_may_be),
		cmocka_unit_test(the_document_says_in_which_states_a_verb_is_possible),
		cmocka_unit_test(a_daemons_document_says_what_only_it_knows),
		cmocka_unit_test(absent_members_are_those_whose_help_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
