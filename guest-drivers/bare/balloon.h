/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* balloon.h - virtio-balloon, the driver's side: follows num_pages by itself, as a stock driver
 * does. With it come its statistics (statistics.h) and free page reporting (reporting.h).
 *
 * Threads: the boot processor, except balloon_borrow().
 * Source: virtio 1.2 §5.5 "Traditional Memory Balloon Device".
 */
#ifndef BARE_BALLOON_H
#define BARE_BALLOON_H

#include <stdbool.h>
#include <stdint.h>

/* How pages are chosen. BALLOON_STYLE(id, name, help) */
#define BALLOON_STYLES(BALLOON_STYLE)                                                             \
	BALLOON_STYLE(AUTO, "auto", "whole 2 MiB blocks while there are any, then pages")         \
	BALLOON_STYLE(BLOCKS, "blocks", "whole 2 MiB blocks only, 512 consecutive PFNs each")     \
	BALLOON_STYLE(PAGES, "pages", "4 KiB pages from the top down, 256 PFNs a kick: as Linux") \
	BALLOON_STYLE(SCATTERED, "scattered", "4 KiB pages from anywhere, 256 PFNs a kick")       \
	BALLOON_STYLE(OFF, "off", "the target is not followed")

enum balloon_style {
#define BALLOON_STYLE(id, name, help) BALLOON_##id,
	BALLOON_STYLES(BALLOON_STYLE)
#undef BALLOON_STYLE
};

struct balloon_state {
	bool present;
	enum balloon_style style;
	uint64_t target_pages, given_pages;
	uint64_t given_blocks; /* 2 MiB blocks handed over whole, ever */
	uint64_t kicks, statistics, reported_blocks;
	uint64_t features;
};

/* Binds the driver to the first balloon device, if there is one. */
void balloon_init(enum balloon_style style, uint64_t report_delay_ms);
void balloon_set_style(enum balloon_style style);
bool balloon_style_by_name(const char *name, enum balloon_style *ret_style);
const char *balloon_style_name(enum balloon_style style);
/* For a list of them: false: there is no @nth. */
bool balloon_style_describe(unsigned nth, const char **ret_name, const char **ret_help);

/* One step of everything that is due; cheap if nothing is. */
void balloon_poll(void);

/* Before halting: interrupts on. False: something came meanwhile, poll again. */
bool balloon_may_sleep(void);
/* The device has our buffers now and is about to answer: better spin than halt. */
bool balloon_is_busy(void);
/* When balloon_poll() is due at the latest; 0: whenever an interrupt comes. */
uint64_t balloon_deadline_ns(void);

/* Out of memory: asks the driver to take @pages back. False: DEFLATE_ON_OOM was not agreed on, or
 * there is nothing to take back. Any processor. */
bool balloon_borrow(uint64_t pages);

struct balloon_state balloon_state(void);
bool balloon_is_at_target(void);

/* One list of one page that is not ballooned, there and back: for `bench roundtrip`. */
bool balloon_round_trip(bool halt);

#endif
