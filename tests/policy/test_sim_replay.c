/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_sim_replay.c - a trace that the policy wrote is decided again, word for word. */
#include "../support/testing.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "policy/record.h"
#include "sim/chart.h"
#include "sim/demand.h"
#include "sim/guest.h"
#include "sim/replay.h"

enum { TICKS = 6000 };

static char path[] = "/tmp/neap-test-sim-XXXXXX";

static struct policy_settings some_settings(void)
{
	return (struct policy_settings){ .mode = POLICY_MODE_AUTO,
					 .startup_bytes = GIB_BYTES,
					 .minimum_bytes = 512 * MIB_BYTES,
					 .maximum_bytes = 4 * GIB_BYTES,
					 .buffer_percent = 20,
					 .weight = 1000,
					 .frame_bytes = HUGE_FRAME_BYTES };
}

/* A life with statistics that stop, stalls, a host that gets short, grants and resets. */
static void disturb(struct test_random *random, struct policy_record *record)
{
	struct policy_input *input = &record->input;

	input->now_ns += NS_PER_S - test_random_below(random, 900 * NS_PER_MS);
	input->driver_ready = true;
	input->has_stall = true;
	input->stats_period_ns = 2 * NS_PER_S;
	if (test_random_below(random, 200) == 0)
		input->stall_ns += test_random_below(random, 2 * NS_PER_S);
	if (test_random_below(random, 150) == 0) {
		input->has_host = test_random_below(random, 2);
		input->host = (enum host_state)test_random_below(random, HOST_STATE_COUNT);
		input->host_free_bytes = test_random_any_size(random);
	}
	if (test_random_below(random, 150) == 0) {
		input->has_grant = test_random_below(random, 2);
		input->grant_bytes = test_random_below(random, 5 * GIB_BYTES);
	}
	if (test_random_below(random, 1500) == 0)
		input->guest_start_ns = input->now_ns;
	if (test_random_below(random, 1000) == 0)
		record->settings.buffer_percent = (uint32_t)(5 + test_random_below(random, 100));
}

/* Writes a trace of TICKS rows; @tamper: which of them has another decision than was made. */
static void write_trace(struct test_random *random, uint64_t tamper)
{
	struct fleet_class class = { .settings = some_settings(),
				     .pattern = FLEET_PATTERN_PHASES,
				     .low_bytes = 400 * MIB_BYTES,
				     .high_bytes = 3500 * MIB_BYTES,
				     .period_s = 1200,
				     .rise_s = 30,
				     .noise_percent = 3 };
	struct policy_record record = { .settings = class.settings,
					.input = { .now_ns = 5 * NS_PER_S,
						   .guest_start_ns = 5 * NS_PER_S } };
	uint64_t plenty = TIB_BYTES;
	char line[POLICY_RECORD_BYTES];
	FILE *file = fopen(path, "we");
	struct policy_state state;
	struct demand demand;
	struct guest guest;

	assert_non_null(file);
	policy_init(&state);
	demand_init(&demand, &class, test_random_next(random), 0);
	guest_init(&guest, 4 * GIB_BYTES, GIB_BYTES, 4 * MIB_BYTES);
	(void)policy_record_header(line);
	(void)fputs(line, file);
	for (uint64_t tick = 0; tick < TICKS; tick++) {
		disturb(random, &record);
		guest_step(&guest, demand_bytes(&demand, tick), 1000, &plenty);
		record.input.taken_bytes = guest.taken_bytes;
		if (tick % 2 == 0 && tick % 1000 < 900)
			guest_report(&guest, record.input.now_ns, &record.input);
		policy_step(&record.settings, &record.input, &state, &record.decision);
		guest.target_taken_bytes = guest.maximum_bytes - record.decision.target_bytes;
		if (tick == tamper)
			record.decision.target_bytes ^= HUGE_FRAME_BYTES;
		(void)policy_record_format(&record, line);
		(void)fputs(line, file);
	}
	assert_int_equal(fclose(file), 0);
}

static struct replay_result replay(const char *set, replay_tick_fn tick, void *ctx)
{
	struct replay_options options = { .set = set, .tick = tick, .ctx = ctx };
	struct replay_result result;
	struct err err = { 0 };

	if (replay_file(path, &options, &result, &err) < 0)
		fail_msg("%s", err.text);
	return result;
}

static void thousands_of_ticks_are_decided_as_they_were(void **state)
{
	struct test_random random = test_random_start();

	(void)state;
	for (int life = 0; life < 5; life++) {
		struct replay_result result;

		write_trace(&random, UINT64_MAX);
		result = replay(NULL, NULL, NULL);
		if (result.difference.found)
			fail_msg("line %llu: %s was %s and is %s",
				 (unsigned long long)result.difference.line,
				 result.difference.column, result.difference.recorded,
				 result.difference.now);
		assert_int_equal(result.ticks, TICKS);
		assert_true(result.recorded.moved_bytes > GIB_BYTES);
		assert_true(result.recorded.reversals > 0);
	}
}

static void one_changed_decision_is_found_with_its_line_and_column(void **state)
{
	struct test_random random = test_random_start();

	(void)state;
	for (int round = 0; round < 4; round++) {
		uint64_t tamper = test_random_below(&random, TICKS);
		struct replay_difference difference;

		write_trace(&random, tamper);
		difference = replay(NULL, NULL, NULL).difference;
		assert_true(difference.found);
		assert_int_equal(difference.line, tamper + 2);
		assert_non_null(strstr(difference.column, "target"));
		assert_string_not_equal(difference.recorded, difference.now);
	}
}

static void with_other_settings_a_model_answers_and_the_sums_say_what_changed(void **state)
{
	struct test_random random = test_random_start();
	struct replay_result roomy, same;

	(void)state;
	write_trace(&random, UINT64_MAX);
	same = replay("memory.weight=1000", NULL, NULL);
	roomy = replay("memory.minimum=3G,memory.startup=4G", NULL, NULL);
	assert_false(roomy.difference.found);
	assert_true(roomy.changed.granted_mib_ms > same.changed.granted_mib_ms);
	assert_true(roomy.changed.below_ms <= same.changed.below_ms);
	assert_int_equal(roomy.changed.demanded_mib_ms, roomy.recorded.demanded_mib_ms);
	assert_int_equal(roomy.changed.counted_ms, roomy.recorded.counted_ms);
	/* The model is the guest that wrote the trace; it differs where the trace had stalls. */
	assert_in_range(same.changed.granted_mib_ms, same.recorded.granted_mib_ms / 100 * 80,
			same.recorded.granted_mib_ms / 100 * 120);
}

static void ram_cannot_be_another_size_in_a_replay(void **state)
{
	struct replay_options options = { .set = "memory.maximum=8G" };
	struct test_random random = test_random_start();
	struct replay_result result;
	struct err err = { 0 };

	(void)state;
	write_trace(&random, UINT64_MAX);
	assert_int_equal(replay_file(path, &options, &result, &err), -EINVAL);
	assert_non_null(strstr(err.text, "memory.maximum"));
}

static void rewrite(const char *text, size_t len)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static void a_damaged_trace_is_refused_with_its_line(void **state)
{
	struct replay_options options = { 0 };
	char text[3 * POLICY_RECORD_BYTES];
	struct replay_result result;
	struct err err = { 0 };
	struct policy_record record = { .settings = some_settings() };
	size_t header = policy_record_header(text);
	size_t row = policy_record_format(&record, text + header);

	(void)state;
	rewrite(text, header + row - 1); /* cut within its last line */
	assert_int_equal(replay_file(path, &options, &result, &err), -EINVAL);
	assert_non_null(strstr(err.text, ":2: "));
	rewrite(text, header); /* no tick */
	assert_int_equal(replay_file(path, &options, &result, &err), -EINVAL);
	rewrite("", 0);
	assert_int_equal(replay_file(path, &options, &result, &err), -EINVAL);
	text[header + 1] = '\0';
	rewrite(text, header + row);
	assert_int_equal(replay_file(path, &options, &result, &err), -EINVAL);
	memset(text + header, '7', 2 * POLICY_RECORD_BYTES);
	text[header + 2 * POLICY_RECORD_BYTES] = '\n';
	rewrite(text, header + 2 * POLICY_RECORD_BYTES + 1);
	assert_int_equal(replay_file(path, &options, &result, &err), -EINVAL);
	assert_non_null(strstr(err.text, "too long"));
	assert_true(replay_file("/nonexistent/trace", &options, &result, &err) == -ENOENT);
}

/* ---- Charts ---- */

static void add_tick(void *ctx, const struct policy_record *record)
{
	uint64_t points[CHART_PANELS][CHART_LINES] = {
		{ record->settings.minimum_bytes, record->decision.demand_bytes,
		  record->decision.assigned_bytes, record->settings.maximum_bytes }
	};

	chart_add(ctx, (record->input.now_ns - 5 * NS_PER_S) / NS_PER_S, points);
}

static unsigned count_of(const char *text, const char *word)
{
	unsigned count = 0;

	for (; (text = strstr(text, word)); text += strlen(word))
		count++;
	return count;
}

/* Each coordinate of a path lies on the picture. */
static void check_paths(const char *svg)
{
	for (const char *at = svg; (at = strstr(at, " d=\"M")); at++) {
		const char *end = strchr(at + 4, '"');

		for (const char *p = at + 4; p < end; p++) {
			double x, y;

			if (sscanf(p, "M%lf %lf", &x, &y) != 2 &&
			    sscanf(p, "L%lf %lf", &x, &y) != 2)
				continue;
			assert_true(x >= 0 && x <= 900 && y >= 0 && y <= 700);
		}
	}
}

static void a_chart_is_whole_names_its_lines_and_stays_on_the_page(void **state)
{
	static const char *const names[] = { "minimum", "demand", "assigned", "maximum" };
	struct chart *chart = calloc(1, sizeof(*chart));
	struct test_random random = test_random_start();
	char *svg = calloc(1, 1 << 20);
	struct err err = { 0 };
	FILE *file;

	(void)state;
	*chart = (struct chart){ .title = "A test", .step_s = 1, .panel_count = 1 };
	chart->panels[0].title = "memory";
	chart->panels[0].line_count = 4;
	for (unsigned i = 0; i < 4; i++)
		chart->panels[0].lines[i].name = names[i];
	assert_int_equal(chart_write(chart, path, &err), -EINVAL); /* no points */
	write_trace(&random, UINT64_MAX);
	(void)replay(NULL, add_tick, chart);
	assert_in_range(chart->point_count, CHART_POINTS / 2, CHART_POINTS);
	assert_true(chart->step_s >= 4); /* half of the points went, twice at least */
	assert_int_equal(chart_write(chart, path, &err), 0);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_true(fread(svg, 1, (1 << 20) - 1, file) > 0);
	(void)fclose(file);
	assert_int_equal(count_of(svg, "<svg "), 1);
	assert_int_equal(count_of(svg, "</svg>\n"), 1);
	assert_int_equal(count_of(svg, "<text "), count_of(svg, "</text>"));
	for (unsigned i = 0; i < 4; i++)
		assert_non_null(strstr(svg, names[i]));
	check_paths(svg);
	assert_true(chart_write(chart, "/nonexistent/chart.svg", &err) == -ENOENT);
	free(chart);
	free(svg);
}

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thousands_of_ticks_are_decided_as_they_were),
		cmocka_unit_test(one_changed_decision_is_found_with_its_line_and_column),
		cmocka_unit_test(with_other_settings_a_model_answers_and_the_sums_say_what_changed),
		cmocka_unit_test(ram_cannot_be_another_size_in_a_replay),
		cmocka_unit_test(a_damaged_trace_is_refused_with_its_line),
		cmocka_unit_test(a_chart_is_whole_names_its_lines_and_stays_on_the_page),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
