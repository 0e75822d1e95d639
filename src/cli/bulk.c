/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* bulk.c - see bulk.h. */
#include "cli/bulk.h"

#include <string.h>

#include "cli/output.h"
#include "config/suggest.h"

enum { BULK_TEXT_BYTES = 256 };

int bulk_call(const struct cli_call *call, struct daemon *daemon, const char *method,
	      json_t *params, int timeout_ms, json_t **ret_results)
{
	json_t *answer = NULL;
	int ret;

	if (!params)
		params = json_object();
	(void)json_object_set_new(params, "selector", json_string(cli_flag(call, "selector")));
	ret = daemon_call(daemon, method, params, timeout_ms, &answer);
	if (ret != EXIT_CODE_OK)
		return ret;
	*ret_results = json_incref(json_object_get(answer, "results"));
	json_decref(answer);
	return *ret_results ? EXIT_CODE_OK
			    : out_fail(EXIT_CODE_FAILED, "neapd's answer has no results");
}

static const char *say_done(const json_t *result, char text[], size_t text_bytes)
{
	const char *state = out_text(result, "state");

	(void)snprintf(text, text_bytes, "%s", *state ? state : "done");
	return text;
}

static bool failed(const json_t *row)
{
	return json_object_get(row, "error") != NULL;
}

static void print_results(const json_t *results, bulk_say say)
{
	static const char *const headers[] = { "NAME", "RESULT" };
	struct out_table table;

	out_table_init(&table, headers, ARRAY_LEN(headers));
	for (size_t i = 0; i < json_array_size(results); i++) {
		const json_t *row = json_array_get(results, i);
		char text[BULK_TEXT_BYTES];

		out_cell(&table, OUT_BOLD, "%s", out_text(row, "vm"));
		if (failed(row))
			out_cell(&table, OUT_RED, "failed: %s",
				 out_text(json_object_get(row, "error"), "message"));
		else
			out_cell(&table, OUT_PLAIN, "%s",
				 say(json_object_get(row, "result"), text, sizeof(text)));
	}
	out_table_print(&table, stdout, "");
}

static int exit_code_of(const struct cli_call *call, size_t count, size_t failures)
{
	char quoted[QUOTE_BYTES];

	if (count == 0)
		return out_fail(EXIT_CODE_NO_VM,
				"no VM is selected by %s (neap ps --selector ... "
				"shows which are)",
				quote_text(cli_flag(call, "selector"), quoted));
	if (failures > 0)
		return out_fail(EXIT_CODE_FAILED, "%zu of %zu VMs failed", failures, count);
	return EXIT_CODE_OK;
}

int bulk_report(const struct cli_call *call, json_t *results, bulk_say say)
{
	size_t count = json_array_size(results), failures = 0;
	bool is_printed = true;

	for (size_t i = 0; i < count; i++)
		failures += failed(json_array_get(results, i));
	if (cli_wants_json(call))
		is_printed = out_json(json_pack("{s:O}", "results", results));
	else if (count > 0)
		print_results(results, say ? say : say_done);
	json_decref(results);
	return is_printed ? exit_code_of(call, count, failures) : EXIT_CODE_FAILED;
}

int bulk_do(const struct cli_call *call, const char *method, json_t *params, int timeout_ms)
{
	json_t *results = NULL;
	struct daemon daemon;
	int ret = daemon_need(call, "VMs are selected", &daemon);

	if (ret != EXIT_CODE_OK) {
		json_decref(params);
		return ret;
	}
	ret = bulk_call(call, &daemon, method, params, timeout_ms, &results);
	daemon_close(&daemon);
	return ret == EXIT_CODE_OK ? bulk_report(call, results, NULL) : ret;
}
