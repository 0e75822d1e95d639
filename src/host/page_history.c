/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* page_history.c - see page_history.h.
 *
 * Invariants
 *  H1  tracks[] is sorted by key; no two have the same.
 *  H2  Every slot of a track's values holds its step's value or PAGE_ABSENT: steps that nobody put are
 *      written as absent before a later one is.
 *  H3  A track that is gone keeps no values; it is dropped PAGE_STEPS later, when every reader that knew it
 *      begins anew.
 *  H4  Without memory for a track or its values the page shows less; nothing fails.
 */
#include "host/page_history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void page_history_init(struct page_history *history)
{
	memset(history, 0, sizeof(*history));
}

static void free_track(struct page_track *track)
{
	free(track->values);
	free(track->info);
	free(track);
}

void page_history_fini(struct page_history *history)
{
	for (unsigned i = 0; i < history->count; i++)
		free_track(history->tracks[i]);
	free(history->tracks);
	page_history_init(history);
}

/* The place of the first track whose key is not below @key. */
static unsigned place_of(const struct page_history *history, const char *key)
{
	unsigned low = 0, high = history->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (strcmp(history->tracks[middle]->key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct page_track *page_history_after(const struct page_history *history, const char *key)
{
	unsigned place = place_of(history, key);

	if (place < history->count && strcmp(history->tracks[place]->key, key) == 0)
		place++;
	return place < history->count ? history->tracks[place] : NULL;
}

uint64_t page_history_oldest(const struct page_history *history)
{
	return history->step > PAGE_STEPS ? history->step - PAGE_STEPS + 1 : 1;
}

uint32_t page_track_value(const struct page_track *track, const struct page_history *history,
			  uint64_t step, unsigned column)
{
	if (!track->values || step > history->step || step < page_history_oldest(history))
		return PAGE_ABSENT;
	return track->values[step % PAGE_STEPS][column];
}

static void set_absent(struct page_track *track, uint64_t step)
{
	for (unsigned column = 0; column < PAGE_COLUMNS; column++)
		track->values[step % PAGE_STEPS][column] = PAGE_ABSENT;
}

void page_history_begin(struct page_history *history, uint64_t step)
{
	uint64_t first = history->step + 1;

	if (step - first >= PAGE_STEPS)
		first = step - PAGE_STEPS + 1;
	for (unsigned i = 0; i < history->count; i++) {
		struct page_track *track = history->tracks[i];

		if (!track->values)
			continue;
		for (uint64_t each = first; each <= step; each++)
			set_absent(track, each); /* H2 */
		if (first < step)
			track->value_step = step; /* there is a gap to be told of */
	}
	history->next_step = step;
	history->left_out = 0;
}

/* At @place; NULL: no memory, or too many. */
static struct page_track *insert(struct page_history *history, unsigned place, const char *key)
{
	struct page_track **tracks, *track;

	if (history->count >= PAGE_TRACKS_MAX)
		return NULL;
	tracks = reallocarray(history->tracks, history->count + 1, sizeof(struct page_track *));
	if (!tracks)
		return NULL;
	history->tracks = tracks;
	track = calloc(1, sizeof(*track));
	if (!track)
		return NULL;
	(void)snprintf(track->key, sizeof(track->key), "%s", key);
	track->number = ++history->next_number;
	track->born_step = history->next_step;
	memmove(tracks + place + 1, tracks + place,
		(history->count - place) * sizeof(struct page_track *));
	tracks[place] = track;
	history->count++;
	return track;
}

static struct page_track *find_or_insert(struct page_history *history, const char *key)
{
	unsigned place = place_of(history, key);

	if (place < history->count && strcmp(history->tracks[place]->key, key) == 0)
		return history->tracks[place];
	return insert(history, place, key);
}

static void put_info(struct page_track *track, const char *info, uint64_t step)
{
	char *copy;

	if (track->info && strcmp(track->info, info) == 0)
		return;
	copy = strdup(info);
	if (!copy)
		return; /* H4 */
	free(track->info);
	track->info = copy;
	track->info_step = step;
}

static bool make_values(struct page_track *track)
{
	track->values = malloc(PAGE_STEPS * sizeof(*track->values));
	for (uint64_t slot = 0; track->values && slot < PAGE_STEPS; slot++)
		set_absent(track, slot);
	return track->values != NULL;
}

static void put_values(struct page_history *history, struct page_track *track,
		       const uint32_t *values)
{
	uint64_t step = history->next_step;

	if (!track->values && (!values || !make_values(track)))
		return;
	if (values)
		memcpy(track->values[step % PAGE_STEPS], values, sizeof(track->values[0]));
	if (memcmp(track->values[step % PAGE_STEPS], track->values[(step - 1) % PAGE_STEPS],
		   sizeof(track->values[0])) != 0)
		track->value_step = step;
}

void page_history_put(struct page_history *history, const char *key, const char *info,
		      const uint32_t *values)
{
	struct page_track *track = find_or_insert(history, key);

	if (!track) {
		history->left_out++;
		return;
	}
	if (track->gone_step) { /* it came back: begins anew under its number */
		track->gone_step = 0;
		track->born_step = history->next_step;
	}
	track->put_step = history->next_step;
	put_info(track, info, history->next_step);
	put_values(history, track, values);
}

static void bury(struct page_track *track, uint64_t step)
{
	track->gone_step = step;
	free(track->values);
	track->values = NULL;
}

void page_history_end(struct page_history *history)
{
	uint64_t step = history->next_step;
	unsigned kept = 0;

	for (unsigned i = 0; i < history->count; i++) {
		struct page_track *track = history->tracks[i];

		if (!track->gone_step && track->put_step != step)
			bury(track, step);
		if (track->gone_step && track->gone_step + PAGE_STEPS < step)
			free_track(track); /* H3 */
		else
			history->tracks[kept++] = track;
	}
	history->count = kept;
	history->step = step;
}

void page_history_note(struct page_history *history, const char *text)
{
	struct page_note *note = &history->notes[history->note_count % PAGE_NOTES];

	if (strlen(text) >= sizeof(note->text))
		return;
	note->step = history->step;
	(void)snprintf(note->text, sizeof(note->text), "%s", text);
	history->note_count++;
}
