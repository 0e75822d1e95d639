/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* trace_policy.c - `neap trace` of the policy: CSV lines of a running VM, or a file of them summed up.
 *
 * Of a VM: what it still knows, then each new decision, until the VM ends. The VM is asked each
 * LOOK_MS; it keeps two minutes' worth, so nothing is lost but when we are stopped for longer.
 * Of a file: how often which rule bound, and how far memory moved. neap sim repeats such a file.
 */
#include "cli/trace_policy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/output.h"
#include "cli/vms.h"
#include "policy/record.h"

enum { LOOK_MS = 500 };

/* ---- Of a VM ---- */

static bool print_rows(const json_t *answer, bool with_header)
{
	const json_t *rows = json_object_get(answer, "rows");

	if (with_header)
		(void)puts(out_text(answer, "header"));
	for (size_t i = 0; i < json_array_size(rows); i++)
		(void)puts(json_string_value(json_array_get(rows, i)));
	return fflush(stdout) == 0;
}

static int ask(struct vm *vm, uint64_t after, json_t **ret_answer, struct err *err)
{
	return vm_ask(vm, "vm.memory.trace", json_pack("{s:I}", "after", (json_int_t)after),
		      VM_CALL_TIMEOUT_MS, ret_answer, err);
}

static int follow(struct vm *vm, bool once)
{
	struct err err = { 0 };
	uint64_t last = 0;
	bool first = true;
	json_t *answer;

	for (;;) {
		int ret = ask(vm, last, &answer, &err);
		bool printed;

		if ((ret == -EPIPE || ret == API_ERROR_STATE) && !first) /* it has ended */
			return EXIT_CODE_OK;
		if (ret != 0)
			return vm_say_failure(vm, ret, &err);
		if (!first && out_u64(answer, "lost") > 0)
			out_note("%" PRIu64 " decisions were missed", out_u64(answer, "lost"));
		printed = print_rows(answer, first);
		last = out_u64(answer, "last");
		json_decref(answer);
		first = false;
		if (once || !printed)
			return printed ? EXIT_CODE_OK : EXIT_CODE_FAILED;
		if (vm_wait_gone(vm, LOOK_MS) == 0)
			return EXIT_CODE_OK;
	}
}

int trace_policy_vm(struct cli_call *call, const char *name)
{
	struct vm vm;
	int ret = vm_open(call, name, &vm);

	if (ret != EXIT_CODE_OK)
		return ret;
	ret = follow(&vm, cli_flag(call, "once") != NULL);
	vm_close(&vm);
	return ret;
}

/* ---- Of a file ---- */

struct summary {
	uint64_t decisions;
	uint64_t first_ns, last_ns;
	uint64_t maximum_bytes;
	uint64_t least_bytes, most_bytes; /* assigned */
	struct policy_counters moved;
	uint64_t by_rule[POLICY_RULE_COUNT];
	uint64_t by_status[POLICY_STATUS_COUNT];
	struct policy_decision before;
};

static void add_record(struct summary *summary, const struct policy_record *record)
{
	const struct policy_decision *decision = &record->decision;

	if (summary->decisions++ == 0) {
		summary->first_ns = record->input.now_ns;
		summary->least_bytes = decision->assigned_bytes;
	} else {
		policy_count(&summary->moved, &summary->before, decision);
	}
	summary->last_ns = record->input.now_ns;
	summary->maximum_bytes = record->settings.maximum_bytes;
	if (decision->assigned_bytes < summary->least_bytes)
		summary->least_bytes = decision->assigned_bytes;
	if (decision->assigned_bytes > summary->most_bytes)
		summary->most_bytes = decision->assigned_bytes;
	summary->by_rule[decision->rule]++;
	summary->by_status[decision->status]++;
	summary->before = *decision;
}

static int read_line(FILE *file, char line[POLICY_RECORD_BYTES], unsigned number, struct err *err)
{
	if (!fgets(line, POLICY_RECORD_BYTES, file))
		return ferror(file) ? err_set(err, -errno, "%m") : -ENODATA;
	if (!strchr(line, '\n'))
		return err_set(err, -EINVAL, "line %u has no end, or is too long", number);
	return 0;
}

static int read_file(FILE *file, struct summary *summary, struct err *err)
{
	char line[POLICY_RECORD_BYTES];
	struct policy_record_layout layout;
	struct policy_record record;
	int ret = read_line(file, line, 1, err);

	if (ret == 0)
		ret = policy_record_read_header(line, &layout, err);
	for (unsigned number = 2; ret == 0; number++) {
		ret = read_line(file, line, number, err);
		if (ret == 0 && policy_record_parse(&layout, line, &record, err) < 0)
			return err_wrap(err, "line %u", number);
		if (ret == 0)
			add_record(summary, &record);
	}
	return ret == -ENODATA ? 0 : ret;
}

static void print_summary(const struct summary *summary)
{
	static const char *const columns[] = { ">DECISIONS", ">SHARE", "RULE", "MEANING" };
	char a[UNITS_TEXT_BYTES], b[UNITS_TEXT_BYTES];
	struct out_table table;

	(void)printf("%" PRIu64 " decisions for a guest of %s within %s: OK %" PRIu64
		     ", Low %" PRIu64 ", Warning %" PRIu64 ".\n",
		     summary->decisions, units_format_size(summary->maximum_bytes, a),
		     out_duration(summary->last_ns - summary->first_ns, b),
		     summary->by_status[POLICY_STATUS_OK], summary->by_status[POLICY_STATUS_LOW],
		     summary->by_status[POLICY_STATUS_WARNING]);
	(void)printf("It had %s to ", units_format_size(summary->least_bytes, a));
	(void)printf("%s; %s came in %" PRIu64 " orders, ",
		     units_format_size(summary->most_bytes, a),
		     units_format_size(summary->moved.added_bytes, b),
		     summary->moved.added_operations);
	(void)printf("%s went in %" PRIu64 ".\n\n",
		     units_format_size(summary->moved.removed_bytes, a),
		     summary->moved.removed_operations);
	out_table_init(&table, columns, ARRAY_LEN(columns));
	for (unsigned rule = 0; rule < POLICY_RULE_COUNT; rule++) {
		if (summary->by_rule[rule] == 0)
			continue;
		out_cell(&table, OUT_PLAIN, "%" PRIu64, summary->by_rule[rule]);
		out_cell(&table, OUT_PLAIN, "%" PRIu64 " %%",
			 summary->by_rule[rule] * 100 / summary->decisions);
		out_cell(&table, OUT_PLAIN, "%s", policy_rules[rule].name);
		out_cell(&table, OUT_DIM, "%s", policy_rules[rule].meaning);
	}
	out_table_print(&table, stdout, "");
}

static json_t *summary_json(const struct summary *summary)
{
	json_t *rules = json_object();

	for (unsigned rule = 0; rule < POLICY_RULE_COUNT; rule++)
		if (summary->by_rule[rule] > 0)
			(void)json_object_set_new(rules, policy_rules[rule].name,
						  json_integer((json_int_t)summary->by_rule[rule]));
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I}, s:o}",
			 "decisions", (json_int_t)summary->decisions, "span_ns",
			 (json_int_t)(summary->last_ns - summary->first_ns), "maximum_bytes",
			 (json_int_t)summary->maximum_bytes, "assigned_least_bytes",
			 (json_int_t)summary->least_bytes, "assigned_most_bytes",
			 (json_int_t)summary->most_bytes, "added_bytes",
			 (json_int_t)summary->moved.added_bytes, "removed_bytes",
			 (json_int_t)summary->moved.removed_bytes, "added_operations",
			 (json_int_t)summary->moved.added_operations, "removed_operations",
			 (json_int_t)summary->moved.removed_operations, "status",
			 policy_status_names[POLICY_STATUS_OK],
			 (json_int_t)summary->by_status[POLICY_STATUS_OK],
			 policy_status_names[POLICY_STATUS_LOW],
			 (json_int_t)summary->by_status[POLICY_STATUS_LOW],
			 policy_status_names[POLICY_STATUS_WARNING],
			 (json_int_t)summary->by_status[POLICY_STATUS_WARNING], "rules", rules);
}

/* NULL with errno: not there, or no regular file. */
static FILE *open_regular(const char *path)
{
	CLEANUP(close_fd)
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;
	FILE *file;

	if (fd < 0 || fstat(fd, &status) < 0)
		return NULL;
	errno = EINVAL;
	if (!S_ISREG(status.st_mode))
		return NULL;
	file = fdopen(fd, "r");
	if (file)
		(void)take_fd(&fd);
	return file;
}

bool trace_is_policy(const char *path)
{
	FILE *file = open_regular(path);
	char line[POLICY_RECORD_BYTES];
	struct policy_record_layout layout;
	bool is_policy = file && read_line(file, line, 1, NULL) == 0 &&
			 policy_record_read_header(line, &layout, NULL) == 0;

	if (file)
		(void)fclose(file);
	return is_policy;
}

int trace_policy_file(struct cli_call *call, const char *path)
{
	struct summary summary = { 0 };
	struct err err = { 0 };
	FILE *file = open_regular(path);
	int ret;

	if (!file)
		return out_fail(EXIT_CODE_FAILED, "%s: %s", path, strerror(errno));
	ret = read_file(file, &summary, &err);
	(void)fclose(file);
	if (ret < 0)
		return out_fail(EXIT_CODE_FAILED, "%s: %s", path, err.text);
	if (cli_wants_json(call))
		return out_json(summary_json(&summary)) ? EXIT_CODE_OK : EXIT_CODE_FAILED;
	if (summary.decisions == 0)
		(void)puts("No decisions.");
	else
		print_summary(&summary);
	return EXIT_CODE_OK;
}
