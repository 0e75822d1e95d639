/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* The page's history and its readers: whatever comes and goes, and however a reader lags or comes back, it
 * ends up knowing exactly what the history has. A model of the page applies the messages; NEAP_SEED chooses
 * other days.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/page_history.h"
#include "host/page_reader.h"

enum { KEYS = 24, READERS = 4, STEPS_MAX = 1500, NUMBERS_MAX = 4000, EPOCH = 0x5eed };

static uint64_t state;

static unsigned chance(unsigned below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(state >> 33) % below;
}

/* --- the model: what the page's script does with messages ------------------------------------------ */

struct model_track {
	char *info;
	bool has_values;
	uint64_t first, filled;
	int64_t values[STEPS_MAX + 1][PAGE_COLUMNS];
};

struct model {
	struct model_track *tracks[NUMBERS_MAX];
	uint64_t now;
	unsigned notes;
	char last[64]; /* id */
};

static void forget_track(struct model *model, uint64_t number)
{
	if (model->tracks[number])
		free(model->tracks[number]->info);
	free(model->tracks[number]);
	model->tracks[number] = NULL;
}

static void forget_all(struct model *model)
{
	for (unsigned number = 0; number < NUMBERS_MAX; number++)
		forget_track(model, number);
	model->now = 0;
}

static void go_on(struct model_track *track, uint64_t step)
{
	for (; track->has_values && track->filled < step; track->filled++)
		memcpy(track->values[track->filled + 1], track->values[track->filled],
		       sizeof(track->values[0]));
}

static void apply_column(struct model_track *track, const json_t *runs, uint64_t step,
			 unsigned column)
{
	for (size_t i = 0; i + 1 < json_array_size(runs); i += 2) {
		json_int_t repeats = json_integer_value(json_array_get(runs, i + 1));

		assert_true(repeats > 0);
		for (; repeats > 0; repeats--, step++) {
			assert_true(step <= STEPS_MAX);
			track->values[step][column] = json_integer_value(json_array_get(runs, i));
		}
	}
	track->filled = step - 1;
}

static void apply_track(struct model *model, const json_t *data)
{
	uint64_t number = (uint64_t)json_integer_value(json_object_get(data, "i"));
	uint64_t first = (uint64_t)json_integer_value(json_object_get(data, "s"));
	const json_t *columns = json_object_get(data, "v"), *info = json_object_get(data, "info");
	struct model_track *track;

	assert_true(number < NUMBERS_MAX);
	if (json_is_true(json_object_get(data, "new")))
		forget_track(model, number);
	if (!model->tracks[number])
		model->tracks[number] = calloc(1, sizeof(*track));
	track = model->tracks[number];
	assert_non_null(track);
	if (info) {
		free(track->info);
		track->info = json_dumps(info, JSON_COMPACT);
	}
	assert_non_null(track->info); /* the first that is told of a track */
	if (!columns)
		return;
	if (!track->has_values) {
		track->has_values = true;
		track->first = first;
		track->filled = first - 1;
	}
	go_on(track, first - 1);
	for (unsigned column = 0; column < PAGE_COLUMNS; column++)
		apply_column(track, json_array_get(columns, column), first, column);
}

static void apply(struct model *model, const char *kind, const json_t *data)
{
	if (strcmp(kind, "begin") == 0) {
		if (json_integer_value(json_object_get(data, "from")) == 0)
			forget_all(model);
	} else if (strcmp(kind, "track") == 0) {
		apply_track(model, data);
	} else if (strcmp(kind, "gone") == 0) {
		forget_track(model, (uint64_t)json_integer_value(json_object_get(data, "i")));
	} else if (strcmp(kind, "note") == 0) {
		model->notes++;
	} else {
		assert_string_equal(kind, "now");
		model->now = (uint64_t)json_integer_value(json_object_get(data, "n"));
		for (unsigned number = 0; number < NUMBERS_MAX; number++)
			if (model->tracks[number])
				go_on(model->tracks[number], model->now);
	}
}

/* One message: lines "retry:", "id:", "event:", "data:", and an empty one. */
static void apply_text(struct model *model, const struct strbuf *message)
{
	char *copy = strdup(message->text), *rest = copy, *line;
	const char *kind = "", *id = NULL;
	json_t *data = NULL;

	assert_true(message->len > 2 && strcmp(message->text + message->len - 2, "\n\n") == 0);
	while ((line = strsep(&rest, "\n")) && *line) {
		if (strncmp(line, "event: ", 7) == 0)
			kind = line + 7;
		else if (strncmp(line, "id: ", 4) == 0)
			id = line + 4;
		else if (strncmp(line, "data: ", 6) == 0)
			data = json_loads(line + 6, 0, NULL);
	}
	assert_non_null(data);
	apply(model, kind, data);
	if (id)
		(void)snprintf(model->last, sizeof(model->last), "%s", id);
	json_decref(data);
	free(copy);
}

/* --- against the history ------------------------------------------------------------------------------ */

static void compare_values(const struct page_history *history, const struct page_track *track,
			   const struct model_track *known)
{
	for (uint64_t step = page_history_oldest(history); step <= history->step; step++) {
		for (unsigned column = 0; column < PAGE_COLUMNS; column++) {
			uint32_t value = page_track_value(track, history, step, column);
			int64_t told = known->has_values && step >= known->first
					       ? known->values[step][column]
					       : -1;

			assert_int_equal(told, value == PAGE_ABSENT ? -1 : (int64_t)value);
		}
	}
}

static void compare(const struct page_history *history, const struct model *model)
{
	const struct page_track *track = NULL;
	unsigned there = 0, known = 0;

	assert_int_equal(model->now, history->step);
	while ((track = page_history_after(history, track ? track->key : ""))) {
		if (track->gone_step)
			continue;
		there++;
		assert_non_null(model->tracks[track->number]);
		assert_string_equal(model->tracks[track->number]->info, track->info);
		compare_values(history, track, model->tracks[track->number]);
	}
	for (unsigned number = 0; number < NUMBERS_MAX; number++)
		known += model->tracks[number] != NULL;
	assert_int_equal(known, there);
}

struct reader {
	struct page_reader reader;
	struct model model;
};

static bool read_one(struct reader *each)
{
	strbuf_fini(&each->reader.message);
	if (!page_reader_next(&each->reader))
		return false;
	assert_false(each->reader.message.failed);
	apply_text(&each->model, &each->reader.message);
	return true;
}

/* The connection broke, perhaps within a round. */
static void come_back(struct reader *each, const struct page_history *history)
{
	page_reader_fini(&each->reader);
	page_reader_init(&each->reader, history, EPOCH, each->model.last);
}

/* --- days ----------------------------------------------------------------------------------------------- */

struct vm {
	bool is_there, has_values;
	unsigned info;
	uint32_t values[PAGE_COLUMNS];
};

static void live(struct vm *vm)
{
	if (chance(40) == 0)
		vm->is_there = !vm->is_there;
	if (chance(30) == 0)
		vm->has_values = !vm->has_values;
	if (chance(20) == 0)
		vm->info++;
	if (chance(3) == 0)
		vm->values[chance(PAGE_COLUMNS)] = chance(5) ? chance(9000) : PAGE_ABSENT;
}

static void pass_step(struct page_history *history, struct vm *vms)
{
	page_history_begin(history, history->step + 1 + (chance(25) == 0 ? chance(40) : 0));
	for (unsigned i = 0; i < KEYS; i++) {
		char key[16], info[32];

		live(&vms[i]);
		if (!vms[i].is_there)
			continue;
		(void)snprintf(key, sizeof(key), "v%u", i * 7919 % 100);
		(void)snprintf(info, sizeof(info), "{\"n\":%u}", vms[i].info);
		page_history_put(history, key, info, vms[i].has_values ? vms[i].values : NULL);
	}
	page_history_end(history);
	if (chance(5) == 0)
		page_history_note(history, "{\"kind\":\"x\"}");
}

static void one_day(uint64_t seed)
{
	static struct reader readers[READERS];
	struct vm vms[KEYS] = { 0 };
	struct page_history history;

	state = seed;
	memset(readers, 0, sizeof(readers));
	page_history_init(&history);
	for (unsigned i = 0; i < READERS; i++)
		page_reader_init(&readers[i].reader, &history, EPOCH, NULL);
	while (history.step < STEPS_MAX - 50) {
		for (unsigned burst = 1 + (chance(20) == 0 ? chance(400) : 0); burst > 0; burst--)
			if (history.step < STEPS_MAX - 50)
				pass_step(&history, vms);
		for (unsigned i = 0; i < READERS; i++) {
			unsigned left = chance(4) ? 100000 : chance(30);
			bool more = true;

			if (chance(10) == 0)
				come_back(&readers[i], &history);
			while (left-- > 0 && (more = read_one(&readers[i])))
				;
			if (!more)
				compare(&history, &readers[i].model);
		}
	}
	for (unsigned i = 0; i < READERS; i++) {
		page_reader_fini(&readers[i].reader);
		forget_all(&readers[i].model);
	}
	page_history_fini(&history);
}

static void a_reader_ends_up_with_exactly_what_the_history_has(void **unused)
{
	const char *chosen = getenv("NEAP_SEED");
	uint64_t seed = chosen ? strtoull(chosen, NULL, 0) : 11;

	(void)unused;
	print_message("seed %" PRIu64 "\n", seed);
	for (unsigned day = 0; day < 6; day++)
		one_day(seed + day);
}

/* Each note is told once to one who follows, and those that are kept to one who comes. */
static void notes_are_told_once(void **unused)
{
	struct page_history history;
	struct reader *old = calloc(1, sizeof(*old)), *young = calloc(1, sizeof(*young));

	(void)unused;
	assert_true(old && young);
	page_history_init(&history);
	page_reader_init(&old->reader, &history, EPOCH, NULL);
	for (uint64_t step = 1; step <= 50; step++) {
		page_history_begin(&history, step);
		page_history_end(&history);
		if (step % 2 == 0) {
			page_history_note(&history, "{}");
			page_history_note(&history, "{}");
		}
		if (step % 7 == 0)
			come_back(old, &history);
		while (read_one(old))
			;
	}
	assert_int_equal(old->model.notes, 48); /* the last two belong to the next step */
	page_reader_init(&young->reader, &history, EPOCH, NULL);
	while (read_one(young))
		;
	assert_int_equal(young->model.notes, 48);
	page_reader_fini(&old->reader);
	page_reader_fini(&young->reader);
	page_history_fini(&history);
	free(old);
	free(young);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reader_ends_up_with_exactly_what_the_history_has),
		cmocka_unit_test(notes_are_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
