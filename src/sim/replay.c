/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* replay.c - see replay.h.
 *
 * Two records are compared as the lines that they would be written as: what a trace shows is what
 * is held equal, and no second list of members is kept here.
 */
#include "sim/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "sim/fleet_spec.h"
#include "sim/guest.h"

enum { LONGEST_TICK_S = 60 };

#define CACHE_BYTES_PER_S (4 * MIB_BYTES)

struct replay {
	const struct replay_options *options;
	struct replay_result *result;
	struct policy_state state;
	uint64_t now_ns, guest_start_ns; /* of the tick before */
	uint64_t recorded_assigned_bytes, changed_assigned_bytes;
	int recorded_direction, changed_direction;
	struct guest guest;	    /* with other settings only */
	struct policy_input claims; /* what the model said last */
};

/* ---- The first difference ---- */

/* The @number-th field of a line. */
static void field(const char *line, unsigned number, char text[REPLAY_TEXT_BYTES])
{
	size_t len;

	for (; number > 0; number--)
		line += strcspn(line, ",\n") + 1;
	len = strcspn(line, ",\n");
	len = len < REPLAY_TEXT_BYTES ? len : REPLAY_TEXT_BYTES - 1;
	memcpy(text, line, len);
	text[len] = '\0';
}

static void compare(const struct policy_record *recorded, const struct policy_record *now,
		    uint64_t line, struct replay_difference *difference)
{
	char before[POLICY_RECORD_BYTES], after[POLICY_RECORD_BYTES], names[POLICY_RECORD_BYTES];
	unsigned column = 0;
	size_t i = 0;

	(void)policy_record_format(recorded, before);
	(void)policy_record_format(now, after);
	if (difference->found || strcmp(before, after) == 0)
		return;
	for (; before[i] && before[i] == after[i]; i++)
		column += before[i] == ',';
	(void)policy_record_header(names);
	difference->found = true;
	difference->line = line;
	field(names, column, difference->column);
	field(before, column, difference->recorded);
	field(after, column, difference->now);
}

/* ---- Sums ---- */

static void count_move(struct replay_sums *sums, int *last_direction, uint64_t before,
		       uint64_t after)
{
	int direction = after > before ? 1 : -1;

	if (after == before)
		return;
	sums->moved_bytes += direction > 0 ? after - before : before - after;
	sums->reversals += *last_direction == -direction;
	*last_direction = direction;
}

static void count_time(struct replay_sums *sums, uint64_t demand_bytes, uint64_t assigned_bytes,
		       uint64_t since_ns)
{
	uint64_t since_ms = since_ns / NS_PER_MS;

	sums->counted_ms += since_ms;
	sums->demanded_mib_ms += bytes_to_mib(demand_bytes) * since_ms;
	sums->granted_mib_ms += bytes_to_mib(assigned_bytes) * since_ms;
	if (assigned_bytes < demand_bytes)
		sums->below_ms += since_ms;
}

/* ---- What the recorded guest used ---- */

/* Its own word, unsmoothed; false: it never said. */
static bool used_bytes(const struct policy_input *input, uint64_t *ret_bytes)
{
	uint32_t needed = 1U << POLICY_CLAIM_TOTAL_BYTES | 1U << POLICY_CLAIM_AVAILABLE_BYTES;
	uint64_t used = input->untrusted_claim[POLICY_CLAIM_TOTAL_BYTES];

	if (input->stats_at_ns == 0 || (input->present & needed) != needed)
		return false;
	if (__builtin_sub_overflow(used, input->untrusted_claim[POLICY_CLAIM_AVAILABLE_BYTES],
				   &used))
		return false;
	if (input->deflate_on_oom && __builtin_sub_overflow(used, input->taken_bytes, &used))
		return false;
	*ret_bytes = used;
	return true;
}

static void count_as_recorded(struct replay *replay, const struct policy_record *record,
			      uint64_t since_ns)
{
	struct replay_sums *sums = &replay->result->recorded;
	uint64_t assigned = record->decision.assigned_bytes, used;

	if (used_bytes(&record->input, &used))
		count_time(sums, used, assigned, since_ns);
	count_move(sums, &replay->recorded_direction, replay->recorded_assigned_bytes, assigned);
	replay->recorded_assigned_bytes = assigned;
}

/* ---- With other settings ---- */

static void restart_guest(struct replay *replay, const struct policy_record *record)
{
	uint64_t maximum = record->settings.maximum_bytes;
	uint64_t taken = record->input.taken_bytes < maximum ? record->input.taken_bytes : maximum;

	guest_init(&replay->guest, maximum, maximum - taken, CACHE_BYTES_PER_S);
	replay->claims = record->input;
}

/* The model answers for the guest; host, time and grants are as recorded. */
static void answer(struct replay *replay, struct policy_input *input, uint64_t since_ns)
{
	struct guest *guest = &replay->guest;
	uint64_t plenty = UINT64_MAX / 2, used = guest->demand_bytes;
	struct policy_input report = *input;

	(void)used_bytes(input, &used);
	used = used < guest->maximum_bytes ? used : guest->maximum_bytes;
	guest_step(guest, used, since_ns / NS_PER_MS, &plenty);
	if (!input->driver_ready)
		guest->taken_bytes = 0;
	if (input->stats_at_ns != replay->claims.stats_at_ns) {
		guest_report(guest, input->stats_at_ns, &report);
		report.present &= input->present;
		replay->claims = report;
	}
	input->present = replay->claims.present;
	memcpy(input->untrusted_claim, replay->claims.untrusted_claim,
	       sizeof(input->untrusted_claim));
	input->taken_bytes = guest->taken_bytes;
	input->stall_ns = guest->stall_ns;
	input->can_swap = false;
	input->swapped_bytes = 0;
	input->refault_blocks = 0;
}

static int change_settings(const struct replay *replay, struct policy_record *record,
			   struct err *err)
{
	uint64_t maximum = record->settings.maximum_bytes;
	int ret = sim_settings_set(&record->settings, replay->options->set, err);

	if (ret == 0 && record->settings.maximum_bytes != maximum)
		ret = err_set(
			err, -EINVAL,
			"--set: memory.maximum is the guest's RAM, and cannot be another in a "
			"replay");
	return ret;
}

static int step_changed(struct replay *replay, struct policy_record *record, uint64_t since_ns,
			struct err *err)
{
	struct replay_sums *sums = &replay->result->changed;
	bool begins = replay->result->ticks == 0 ||
		      record->input.guest_start_ns != replay->guest_start_ns;
	uint64_t used;
	bool is_known = used_bytes(&record->input, &used);
	int ret = change_settings(replay, record, err);

	if (ret < 0)
		return ret;
	if (begins)
		restart_guest(replay, record);
	answer(replay, &record->input, since_ns);
	policy_step(&record->settings, &record->input, &replay->state, &record->decision);
	replay->guest.target_taken_bytes =
		replay->guest.maximum_bytes - record->decision.target_bytes;
	if (is_known)
		count_time(sums, used, record->decision.assigned_bytes, since_ns);
	count_move(sums, &replay->changed_direction, replay->changed_assigned_bytes,
		   record->decision.assigned_bytes);
	replay->changed_assigned_bytes = record->decision.assigned_bytes;
	return 0;
}

/* ---- Ticks and lines ---- */

/* The same guest, and within the longest tick: the file before was its beginning. */
static void recall(struct replay *replay, const struct policy_record *record)
{
	const struct replay_memory *memory = replay->options->memory;
	uint64_t now_ns = record->input.now_ns;

	if (!memory || !memory->is_set || record->input.guest_start_ns != memory->guest_start_ns ||
	    now_ns < memory->now_ns || now_ns - memory->now_ns > LONGEST_TICK_S * NS_PER_S)
		return;
	replay->state = memory->state;
	replay->result->continues = true;
}

static void remember(const struct replay *replay)
{
	struct replay_memory *memory = replay->options->memory;

	if (memory)
		*memory = (struct replay_memory){ .is_set = true,
						  .guest_start_ns = replay->guest_start_ns,
						  .now_ns = replay->now_ns,
						  .state = replay->state };
}

static void step_again(struct replay *replay, struct policy_record *record, uint64_t line)
{
	struct policy_record now = *record;

	policy_step(&now.settings, &now.input, &replay->state, &now.decision);
	compare(record, &now, line, &replay->result->difference);
}

static int tick(struct replay *replay, struct policy_record *record, uint64_t line, struct err *err)
{
	uint64_t now_ns = record->input.now_ns;
	uint64_t since_ns = now_ns > replay->now_ns ? now_ns - replay->now_ns : 0;
	int ret = 0;

	if (replay->result->ticks == 0) {
		recall(replay, record);
		since_ns = 0;
		replay->recorded_assigned_bytes = record->decision.assigned_bytes;
		replay->changed_assigned_bytes = record->decision.assigned_bytes;
	}
	if (since_ns > LONGEST_TICK_S * NS_PER_S)
		since_ns = LONGEST_TICK_S * NS_PER_S;
	replay->result->span_ns += since_ns;
	count_as_recorded(replay, record, since_ns);
	if (replay->options->set)
		ret = step_changed(replay, record, since_ns, err);
	else
		step_again(replay, record, line);
	if (ret == 0 && replay->options->tick)
		replay->options->tick(replay->options->ctx, record);
	replay->now_ns = now_ns;
	replay->guest_start_ns = record->input.guest_start_ns;
	replay->result->ticks++;
	return ret;
}

static int read_lines(struct replay *replay, FILE *file, uint64_t *line, struct err *err)
{
	struct policy_record_layout layout = { 0 };
	char text[POLICY_RECORD_BYTES];
	int ret = 0;

	for (*line = 1; ret == 0 && fgets(text, sizeof(text), file); (*line)++) {
		struct policy_record record = { 0 };
		size_t len = strlen(text);

		if (len == 0 || text[len - 1] != '\n')
			return err_set(err, -EINVAL,
				       feof(file) ? "the line has no end: the file was cut"
						  : "the line is too long, or has a byte of zero");
		if (*line == 1)
			ret = policy_record_read_header(text, &layout, err);
		else
			ret = policy_record_parse(&layout, text, &record, err);
		if (ret == 0 && *line > 1)
			ret = tick(replay, &record, *line, err);
		if (ret < 0)
			return ret;
	}
	if (ferror(file))
		return err_set(err, -EIO, "%m");
	if (replay->result->ticks == 0)
		return err_set(err, -EINVAL, "there is no tick in it");
	return 0;
}

int replay_file(const char *path, const struct replay_options *options,
		struct replay_result *ret_result, struct err *err)
{
	struct replay_result result = { 0 };
	struct replay replay = { .options = options, .result = &result };
	FILE *file = fopen(path, "re");
	uint64_t line = 0;
	int ret;

	if (!file)
		return err_set(err, -errno, "%s: %m", path);
	policy_init(&replay.state);
	ret = read_lines(&replay, file, &line, err);
	(void)fclose(file);
	if (ret < 0) {
		(void)err_wrap(err, "%s:%" PRIu64, path, line);
		return ret;
	}
	remember(&replay);
	*ret_result = result;
	return 0;
}
