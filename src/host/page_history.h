/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* page_history.h - the last ten minutes of what the page draws: a track for each pool and each VM, and notes
 * of what happened.
 *
 * Time is counted in steps of PAGE_STEP_MS from 1. Each step the owner puts what there is: begin(), put()
 * per track, end(). A track that was not put is gone: only its number is remembered, so that a reader who
 * was away for a while hears of it. Readers (page_reader.h) ask what is new since a step.
 *
 * Bounds: PAGE_TRACKS_MAX tracks, gone ones included; 9,600 bytes for a VM that has had numbers; PAGE_NOTES
 * notes of PAGE_NOTE_BYTES.
 * Threads: one owner. Knows no sockets and no clock.
 */
#ifndef NEAP_HOST_PAGE_HISTORY_H
#define NEAP_HOST_PAGE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

enum {
	PAGE_STEP_MS = 2000,
	PAGE_STEPS = 300, /* that are kept */
	PAGE_TRACKS_MAX = 4096,
	PAGE_NOTES = 64,
	PAGE_NOTE_BYTES = 1024,
	PAGE_KEY_BYTES = 64,
	PAGE_COLUMNS = 8
};

#define PAGE_ABSENT UINT32_MAX

struct page_track {
	char key[PAGE_KEY_BYTES]; /* what identifies it: sorted by this */
	uint32_t number;	  /* never given to another key */
	char *info;		  /* JSON text of an object: what seldom changes */
	uint64_t born_step;	  /* when it came, or came back */
	uint64_t gone_step;	  /* 0: it is there */
	uint64_t info_step;	  /* when info changed last */
	uint64_t value_step;	  /* when a value last differed from the step before */
	uint64_t put_step;
	uint32_t (*values)[PAGE_COLUMNS]; /* [step % PAGE_STEPS]; NULL: none had any yet */
};

struct page_note {
	uint64_t step;		    /* it happened after that step ended: part of the next */
	char text[PAGE_NOTE_BYTES]; /* JSON text of an object */
};

struct page_history {
	uint64_t step;	    /* the last that is complete; 0: none */
	uint64_t next_step; /* between begin and end */
	struct page_track **tracks;
	unsigned count;
	unsigned left_out; /* that could not be followed: too many */
	uint32_t next_number;
	struct page_note notes[PAGE_NOTES];
	uint64_t note_count; /* ever; the newest is notes[(note_count - 1) % PAGE_NOTES] */
};

void page_history_init(struct page_history *history);
void page_history_fini(struct page_history *history);

/* @step: greater than all before. Steps that were left out have no values. */
void page_history_begin(struct page_history *history, uint64_t step);

/* @key: shorter than PAGE_KEY_BYTES. @info: copied. @values: PAGE_COLUMNS of them, or NULL: none now. */
void page_history_put(struct page_history *history, const char *key, const char *info,
		      const uint32_t *values);
void page_history_end(struct page_history *history);

/* @text: JSON of an object; one that is too long is not kept. */
void page_history_note(struct page_history *history, const char *text);

/* The first track whose key is above @key, or NULL. "" is before all. */
const struct page_track *page_history_after(const struct page_history *history, const char *key);

/* PAGE_ABSENT outside what is kept. */
uint32_t page_track_value(const struct page_track *track, const struct page_history *history,
			  uint64_t step, unsigned column);

/* The oldest step that is kept: 1 or more. */
uint64_t page_history_oldest(const struct page_history *history);

#endif
