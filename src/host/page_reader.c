/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* page_reader.c - see page_reader.h.
 *
 * A round tells everything between `known` and `target`, tracks in the order of their keys, then notes,
 * then "now". Steps that end meanwhile are left for the next round. Only "now" moves `known`, so what a
 * broken connection left half told is told again; saying a thing twice changes nothing.
 */
#include "host/page_reader.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"

enum { MESSAGE_MAX_BYTES = 256 * KIB_BYTES };

/* The step that an id names, if it is one of this history's and what came after it is still kept. */
static uint64_t known_from(const struct page_reader *reader, const char *untrusted_last)
{
	uint64_t epoch, step;
	int end = 0;

	if (!untrusted_last ||
	    sscanf(untrusted_last, "%16" SCNx64 "-%19" SCNu64 "%n", &epoch, &step, &end) != 2 ||
	    untrusted_last[end] != '\0' || epoch != reader->epoch || step > reader->history->step ||
	    step + 1 < page_history_oldest(reader->history))
		return 0;
	return step;
}

void page_reader_init(struct page_reader *reader, const struct page_history *history,
		      uint64_t epoch, const char *untrusted_last)
{
	*reader = (struct page_reader){
		.history = history,
		.epoch = epoch,
		.stage = PAGE_BEGINS,
	};
	reader->known = known_from(reader, untrusted_last);
	strbuf_init(&reader->message, MESSAGE_MAX_BYTES);
}

void page_reader_fini(struct page_reader *reader)
{
	strbuf_fini(&reader->message);
}

static void tell_begin(struct page_reader *reader)
{
	char host[65] = "";

	(void)gethostname(host, sizeof(host) - 1);
	host[strcspn(host, "\"\\\n\r")] = '\0';
	strbuf_printf(&reader->message,
		      "retry: 2000\nevent: begin\ndata: {\"epoch\":\"%" PRIx64
		      "\",\"from\":%" PRIu64
		      ",\"step_ms\":%d,\"kept\":%d,\"version\":\"%s\",\"host\":\"%s\"}\n\n",
		      reader->epoch, reader->known, PAGE_STEP_MS, PAGE_STEPS, NEAP_VERSION, host);
}

static void append_value(struct strbuf *out, uint32_t value, unsigned repeats, bool is_first)
{
	if (value == PAGE_ABSENT)
		strbuf_printf(out, "%s-1,%u", is_first ? "" : ",", repeats);
	else
		strbuf_printf(out, "%s%" PRIu32 ",%u", is_first ? "" : ",", value, repeats);
}

/* A column from step @first to the target, as values and how often each repeats. */
static void append_column(struct page_reader *reader, const struct page_track *track,
			  uint64_t first, unsigned column)
{
	struct strbuf *out = &reader->message;
	uint32_t value = page_track_value(track, reader->history, first, column);
	unsigned repeats = 1;
	bool is_first = true;

	strbuf_append(out, column == 0 ? "[" : ",[", column == 0 ? 1 : 2);
	for (uint64_t step = first + 1; step <= reader->target; step++) {
		uint32_t next = page_track_value(track, reader->history, step, column);

		if (next != value) {
			append_value(out, value, repeats, is_first);
			is_first = false;
			repeats = 0;
		}
		value = next;
		repeats++;
	}
	append_value(out, value, repeats, is_first);
	strbuf_append(out, "]", 1);
}

static void tell_track(struct page_reader *reader, const struct page_track *track)
{
	struct strbuf *out = &reader->message;
	uint64_t first = reader->known + 1;
	bool is_new = track->born_step > reader->known;

	if (first < page_history_oldest(reader->history))
		first = page_history_oldest(reader->history);
	if (first < track->born_step)
		first = track->born_step;
	strbuf_printf(out, "event: track\ndata: {\"i\":%" PRIu32, track->number);
	if (is_new)
		strbuf_printf(out, ",\"new\":true");
	if (is_new || track->info_step > reader->known)
		strbuf_printf(out, ",\"info\":%s", track->info ? track->info : "{}");
	if (track->values && track->value_step > reader->known && first <= reader->target) {
		strbuf_printf(out, ",\"s\":%" PRIu64 ",\"v\":[", first);
		for (unsigned column = 0; column < PAGE_COLUMNS; column++)
			append_column(reader, track, first, column);
		strbuf_append(out, "]", 1);
	}
	strbuf_append(out, "}\n\n", 3);
}

/* What is born after the target is not told. That something is gone is told also to those who may know it
 * from a round that did not end. */
static bool is_news(const struct page_reader *reader, const struct page_track *track)
{
	if (track->born_step > reader->target)
		return false;
	if (track->gone_step)
		return track->gone_step > reader->known && reader->known > 0;
	return track->born_step > reader->known || track->info_step > reader->known ||
	       track->value_step > reader->known;
}

static bool tell_next_track(struct page_reader *reader)
{
	const struct page_track *track;

	while ((track = page_history_after(reader->history, reader->key))) {
		(void)snprintf(reader->key, sizeof(reader->key), "%s", track->key);
		if (!is_news(reader, track))
			continue;
		if (track->gone_step)
			strbuf_printf(&reader->message,
				      "event: gone\ndata: {\"i\":%" PRIu32 "}\n\n", track->number);
		else
			tell_track(reader, track);
		return true;
	}
	return false;
}

static bool tell_next_note(struct page_reader *reader)
{
	const struct page_history *history = reader->history;

	if (reader->note + PAGE_NOTES < history->note_count)
		reader->note = history->note_count - PAGE_NOTES;
	while (reader->note < history->note_count) {
		const struct page_note *note = &history->notes[reader->note % PAGE_NOTES];

		if (note->step >= reader->target)
			return false;
		reader->note++;
		if (note->step < reader->known)
			continue;
		strbuf_printf(&reader->message, "event: note\ndata: %s\n\n", note->text);
		return true;
	}
	return false;
}

static void tell_now(struct page_reader *reader)
{
	strbuf_printf(&reader->message,
		      "id: %" PRIx64 "-%" PRIu64 "\nevent: now\ndata: {\"n\":%" PRIu64
		      ",\"left_out\":%u}\n\n",
		      reader->epoch, reader->target, reader->target, reader->history->left_out);
	reader->known = reader->target;
	reader->stage = PAGE_RESTS;
}

static bool begin_round(struct page_reader *reader)
{
	if (reader->known >= reader->history->step)
		return false;
	reader->target = reader->history->step;
	reader->key[0] = '\0';
	reader->stage = PAGE_TRACKS;
	return true;
}

bool page_reader_next(struct page_reader *reader)
{
	/* So far behind that the notice of a track's end may be lost: from the beginning. */
	if (reader->stage == PAGE_RESTS && reader->known > 0 &&
	    reader->known + 1 < page_history_oldest(reader->history)) {
		reader->known = 0;
		reader->note = 0;
		reader->stage = PAGE_BEGINS;
	}
	if (reader->stage == PAGE_BEGINS) {
		reader->stage = PAGE_RESTS;
		tell_begin(reader);
		return true;
	}
	if (reader->stage == PAGE_RESTS && !begin_round(reader))
		return false;
	if (reader->stage == PAGE_TRACKS) {
		if (tell_next_track(reader))
			return true;
		reader->stage = PAGE_NOTED;
	}
	if (!tell_next_note(reader))
		tell_now(reader);
	return true;
}
