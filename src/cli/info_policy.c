/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* info_policy.c - dynamic memory in `neap info`, in Hyper-V's words. See info.h. */
#include <string.h>

#include "cli/info.h"
#include "cli/output.h"

static enum out_colour status_colour(const char *status)
{
	if (strcmp(status, "OK") == 0)
		return OUT_GREEN;
	return strcmp(status, "Warning") == 0 ? OUT_RED : OUT_YELLOW;
}

static void size_row(struct out_table *table, const json_t *policy, const char *name,
		     const char *member, const char *meaning)
{
	if (!json_object_get(policy, member))
		return;
	out_cell(table, OUT_DIM, "%s", name);
	out_cell_bytes(table, out_u64(policy, member));
	out_cell(table, OUT_PLAIN, "%s", meaning);
}

static void percent_row(struct out_table *table, const json_t *policy, const char *name,
			const char *member, const char *meaning)
{
	out_cell(table, OUT_DIM, "%s", name);
	out_cell(table, OUT_PLAIN, "%" PRIu64 " %%", out_u64(policy, member));
	out_cell(table, OUT_PLAIN, "%s", meaning);
}

static void moved_row(struct out_table *table, const json_t *policy, const char *name,
		      const char *bytes, const char *operations)
{
	out_cell(table, OUT_DIM, "%s", name);
	out_cell_bytes(table, out_u64(policy, bytes));
	out_cell(table, OUT_PLAIN, "in %" PRIu64 " operations since the start",
		 out_u64(policy, operations));
}

static void add_decision(struct out_table *table, const json_t *policy)
{
	size_row(table, policy, "demand", "demand_bytes", "what the guest needs");
	size_row(table, policy, "assigned", "assigned_bytes", "what it has");
	size_row(table, policy, "available", "available_bytes", "of that, above demand");
	size_row(table, policy, "target", "target_bytes", "what it shall have");
	if (!json_object_get(policy, "demand_bytes"))
		return;
	percent_row(table, policy, "pressure", "pressure_percent",
		    "demand in percent of assigned, now");
	percent_row(table, policy, "", "average_pressure_percent", "and on average");
}

/* A VM that was just started has decided nothing. */
static void print_heading(const json_t *policy)
{
	const char *status = out_text(policy, "status");

	(void)printf("\n%sDynamic memory%s ", out_colour_on(stdout, OUT_BOLD),
		     out_colour_off(stdout, OUT_BOLD));
	if (status[0])
		(void)printf("is %s%s%s", out_colour_on(stdout, status_colour(status)), status,
			     out_colour_off(stdout, status_colour(status)));
	else
		(void)printf("has decided nothing yet");
	(void)printf(", mode %s\n", out_text(policy, "mode"));
}

void info_print_policy(const json_t *memory, const char *vm_name)
{
	static const char *const columns[] = { "", ">", "" };
	const json_t *policy = json_object_get(memory, "policy");
	struct out_table table;

	if (!policy)
		return;
	print_heading(policy);
	out_table_init(&table, columns, ARRAY_LEN(columns));
	size_row(&table, policy, "startup", "startup_bytes", "what the guest is given at boot");
	size_row(&table, policy, "minimum", "minimum_bytes", "it is never asked to go below this");
	percent_row(&table, policy, "buffer", "buffer_percent", "what it gets above its demand");
	out_cell(&table, OUT_DIM, "weight");
	out_cell(&table, OUT_PLAIN, "%" PRIu64, out_u64(policy, "weight"));
	out_cell(&table, OUT_PLAIN, "its share when the host is short (0 to 10000)");
	add_decision(&table, policy);
	moved_row(&table, policy, "added", "added_bytes", "added_operations");
	moved_row(&table, policy, "removed", "removed_bytes", "removed_operations");
	out_table_print(&table, stdout, "  ");
	if (out_text(policy, "rule")[0])
		(void)printf("  last decision: %s (neap why %s)\n", out_text(policy, "rule"),
			     vm_name);
}
