/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* why.c - `neap why NAME`: the last decision about a VM's memory, in the policy's own words. */
#include <string.h>

#include "base/fd.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/vms.h"

static void print_why(const struct vm *vm, const json_t *why)
{
	static const char *const columns[] = { "", "" };
	const char *waits_for = out_text(why, "waits_for"), *text = out_text(why, "text");
	char age[UNITS_TEXT_BYTES];
	struct out_table table;

	(void)printf("%s%s%s is ", out_colour_on(stdout, OUT_BOLD), vm->name,
		     out_colour_off(stdout, OUT_BOLD));
	out_words(out_text(why, "status"));
	(void)fputs(" in mode ", stdout);
	out_words(out_text(why, "mode"));
	(void)putchar('\n');
	out_wrapped(text, strlen(text), 0, 0);
	out_table_init(&table, columns, ARRAY_LEN(columns));
	out_cell(&table, OUT_DIM, "rule");
	out_cell(&table, OUT_PLAIN, "%s: %s", out_text(why, "rule"), out_text(why, "meaning"));
	if (*waits_for) {
		out_cell(&table, OUT_DIM, "waits for");
		out_cell(&table, OUT_PLAIN, "%s", waits_for);
	}
	if (json_object_get(why, "decided_ago_ms")) {
		out_cell(&table, OUT_DIM, "decided");
		out_cell(&table, OUT_PLAIN, "%s ago",
			 out_duration(out_u64(why, "decided_ago_ms") * NS_PER_MS, age));
	}
	out_table_print(&table, stdout, "  ");
}

int cli_why(struct cli_call *call)
{
	json_t *why = NULL;
	struct vm vm;
	int ret = vm_open(call, call->args[0], &vm);

	if (ret != EXIT_CODE_OK)
		return ret;
	ret = vm_call(&vm, "vm.memory.why", NULL, &why);
	if (ret == EXIT_CODE_OK && cli_wants_json(call))
		ret = out_json(json_incref(why)) ? EXIT_CODE_OK : EXIT_CODE_FAILED;
	else if (ret == EXIT_CODE_OK)
		print_why(&vm, why);
	json_decref(why);
	vm_close(&vm);
	return ret;
}
