/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* top_rows.c - from what VMs answer to rows in order. See top.h. */
#include "cli/top.h"

#include <stdlib.h>
#include <string.h>

static void take_word(char ret_word[TOP_WORD_BYTES], const char *text)
{
	(void)snprintf(ret_word, TOP_WORD_BYTES, "%s", text);
	for (char *at = ret_word; *at;
	     at++) /* a VM's process may have been taken over by its guest */
		if (*at < ' ' || *at > '~')
			*at = '?';
}

static void take_policy(struct top_row *row, const json_t *policy)
{
	row->has_policy = true;
	row->has_details = json_object_get(policy, "rule") != NULL;
	row->has_demand = out_u64(policy, "demand_bytes") > 0;
	take_word(row->status, out_text(policy, "status"));
	take_word(row->mode, out_text(policy, "mode"));
	take_word(row->rule, out_text(policy, "rule"));
	row->minimum_bytes = out_u64(policy, "minimum_bytes");
	row->demand_bytes = out_u64(policy, "demand_bytes");
	row->want_bytes = out_u64(policy, "want_bytes");
	row->target_bytes = out_u64(policy, "target_bytes");
	row->pressure_percent = out_u64(policy, "pressure_percent");
	row->average_pressure_percent = out_u64(policy, "average_pressure_percent");
	row->buffer_percent = out_u64(policy, "buffer_percent");
	row->weight = out_u64(policy, "weight");
	if (json_object_get(policy, "assigned_bytes"))
		row->assigned_bytes = out_u64(policy, "assigned_bytes");
}

static void take_memory(struct top_row *row, const json_t *memory)
{
	uint64_t taken_bytes = out_u64(memory, "taken_bytes");
	const json_t *policy = json_object_get(memory, "policy");

	row->maximum_bytes = out_u64(memory, "maximum_bytes");
	row->resident_bytes = out_u64(memory, "resident_bytes");
	row->swapped_bytes = out_u64(json_object_get(memory, "frames"), "swapped");
	row->stall_us = out_u64(memory, "stall_us");
	if (taken_bytes < row->maximum_bytes)
		row->assigned_bytes = row->maximum_bytes - taken_bytes;
	if (json_is_object(policy))
		take_policy(row, policy);
}

static void take_stall_rate(struct top_row *row, const struct fleet_vm *vm)
{
	uint64_t before_us = out_u64(vm->before.memory, "stall_us");
	uint64_t passed_us = (vm->now.at_ns - vm->before.at_ns) / NS_PER_US;

	if (!vm->before.memory || passed_us == 0 || before_us > row->stall_us)
		return;
	row->has_stall_rate = true;
	row->stall_rate_us = (row->stall_us - before_us) * (NS_PER_S / NS_PER_US) / passed_us;
}

bool top_row_of(const struct fleet_vm *vm, struct top_row *ret_row)
{
	struct top_row row = { .pid = (uint64_t)vm->pid };

	if (vm->health == FLEET_NEW)
		return false;
	(void)snprintf(row.name, sizeof(row.name), "%s", vm->name);
	if (vm->health == FLEET_LEFT_OVER) {
		take_word(row.state, "left over");
	} else if (vm->health == FLEET_PENDING) {
		take_word(row.state, out_text(vm->info, "state"));
	} else if (vm->health == FLEET_SILENT || !vm->now.memory) {
		take_word(row.state, "not answering");
	} else {
		take_word(row.state, out_text(vm->info, "state"));
		row.answers = true;
		take_memory(&row, vm->now.memory);
		take_stall_rate(&row, vm);
	}
	*ret_row = row;
	return true;
}

/* --- order ---------------------------------------------------------------------------------- */

struct order {
	enum top_sort sort;
	bool reverse;
};

static uint64_t sort_number(const struct top_row *row, enum top_sort sort)
{
	switch (sort) {
	case TOP_BY_DEMAND: return row->demand_bytes;
	case TOP_BY_ASSIGNED: return row->assigned_bytes;
	case TOP_BY_PRESSURE: return row->pressure_percent;
	case TOP_BY_NAME: break;
	}
	return 0;
}

static int compare_rows(const void *a, const void *b, void *ctx)
{
	const struct order *order = ctx;
	const struct top_row *left = a, *right = b;
	uint64_t left_number = sort_number(left, order->sort);
	uint64_t right_number = sort_number(right, order->sort);
	int compared = strcmp(left->name, right->name);

	if (left_number != right_number)
		compared = left_number > right_number ? -1 : 1;
	return order->reverse ? -compared : compared;
}

void top_rows_fini(struct top_rows *rows)
{
	free(rows->rows);
	*rows = (struct top_rows){ 0 };
}

bool top_rows_take(struct top_rows *rows, const struct fleet *fleet, enum top_sort sort,
		   bool reverse)
{
	struct order order = { sort, reverse };
	struct top_row *fresh = calloc(fleet->count + 1, sizeof(*fresh));
	unsigned count = 0;

	if (!fresh)
		return false;
	for (unsigned i = 0; i < fleet->count; i++)
		count += top_row_of(fleet->vms[i], &fresh[count]);
	qsort_r(fresh, count, sizeof(*fresh), compare_rows, &order);
	free(rows->rows);
	*rows = (struct top_rows){ fresh, count };
	return true;
}

uint64_t top_rows_largest_bytes(const struct top_rows *rows)
{
	uint64_t largest_bytes = 1;

	for (unsigned i = 0; i < rows->count; i++)
		if (rows->rows[i].maximum_bytes > largest_bytes)
			largest_bytes = rows->rows[i].maximum_bytes;
	return largest_bytes;
}
