/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* demo.c - `neap demo`: a balloon that really gives memory back, seen and counted.
 *
 * The play: a guest fills all its free memory; it stops needing most of it, which the host cannot
 * know; the balloon asks for just that much, and the host's pool grows by it; the guest gets it
 * back and fills it again; and every byte is where it was written. All free memory is filled so
 * that every page the balloon takes had been touched: then asked, taken, returned, what the guest
 * holds less, and what the pool grew by must be one number, to the byte.
 *
 * The pool is the host's and others move it, too. So it is read right before and after each step,
 * and when the sum is still wrong the play is repeated, DEMO_ATTEMPTS times at most.
 *
 * The second act is demo_share.c's.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/demo.h"
#include "cli/output.h"
#include "memory/hostmem.h"

enum { DEMO_ATTEMPTS = 3, DEMO_PACE_MS = 130 };

#define DEMO_RAM_BYTES	   (UINT64_C(256) * MIB_BYTES)
#define DEMO_BALLOON_BYTES (UINT64_C(192) * MIB_BYTES)
#define FILL_STEP_BYTES	   (UINT64_C(28) * MIB_BYTES)
#define BALLOON_STEP_BYTES (UINT64_C(16) * MIB_BYTES)

struct demo {
	struct demo_vm vm;
	struct demo_pool pool;
	struct tide tide;
	bool has_pool;
	uint64_t work_bytes;	 /* what the guest has filled */
	int64_t pool_gain_bytes; /* by the balloon */
	int64_t pool_cost_bytes; /* of filling it again */
	uint64_t held_before_bytes, held_after_bytes;
	uint64_t checked_bytes;
};

static uint64_t pool_free_bytes(const struct demo *demo)
{
	struct hostmem_pool pool = { 0 };

	if (demo->has_pool)
		(void)hostmem_read_pool(HUGE_FRAME_BYTES, &pool, NULL);
	return pool.free_frames * HUGE_FRAME_BYTES;
}

static int show(struct demo *demo, const char *act)
{
	struct tide_sample sample;
	int ret = demo_vm_look(&demo->vm, &sample);

	if (ret != EXIT_CODE_OK)
		return ret;
	sample.pool_free_bytes = pool_free_bytes(demo);
	tide_add(&demo->tide, act, &sample);
	if (demo->tide.redraws)
		(void)poll(NULL, 0, DEMO_PACE_MS);
	return EXIT_CODE_OK;
}

/* Adds what the pool lost to @ret_cost_bytes. */
static int fill(struct demo *demo, uint64_t bytes, const char *act, int64_t *ret_cost_bytes)
{
	char answer[DEMO_LINE_BYTES];
	int ret = EXIT_CODE_OK;

	while (bytes > 0 && ret == EXIT_CODE_OK) {
		uint64_t step = bytes < FILL_STEP_BYTES ? bytes : FILL_STEP_BYTES;
		uint64_t before = pool_free_bytes(demo);

		ret = demo_vm_ask(&demo->vm, answer, "fill %" PRIu64, step);
		if (ret != EXIT_CODE_OK)
			return ret;
		*ret_cost_bytes += (int64_t)(before - pool_free_bytes(demo));
		demo->work_bytes += step;
		bytes -= step;
		ret = show(demo, act);
	}
	return ret;
}

static int verify(struct demo *demo, const char *act)
{
	char answer[DEMO_LINE_BYTES];
	int ret = demo_vm_ask(&demo->vm, answer, "verify");
	uint64_t checked_bytes;

	if (ret != EXIT_CODE_OK)
		return ret;
	checked_bytes = pages_to_bytes(demo_number(answer, "pages"));
	if (checked_bytes != demo->work_bytes || demo_number(answer, "bad_bytes") != 0 ||
	    demo_number(answer, "bad_pages") != 0)
		return out_fail(EXIT_CODE_FAILED,
				"MEMORY IS WRONG: of %" PRIu64 " bytes the guest checked: %s",
				demo->work_bytes, answer);
	demo->checked_bytes += checked_bytes;
	return show(demo, act);
}

static int let_go(struct demo *demo)
{
	char answer[DEMO_LINE_BYTES];
	int ret = demo_vm_ask(&demo->vm, answer, "free %" PRIu64 " blocks", DEMO_BALLOON_BYTES);

	if (ret != EXIT_CODE_OK)
		return ret;
	demo->work_bytes -= DEMO_BALLOON_BYTES;
	return show(demo, "the guest needs most of it no longer; the host cannot see that");
}

static int inflate(struct demo *demo)
{
	struct tide_sample sample;
	int ret = demo_vm_look(&demo->vm, &sample);

	demo->held_before_bytes = sample.resident_bytes;
	demo->pool_gain_bytes = 0;
	for (uint64_t to = BALLOON_STEP_BYTES; to <= DEMO_BALLOON_BYTES && ret == EXIT_CODE_OK;
	     to += BALLOON_STEP_BYTES) {
		uint64_t before = pool_free_bytes(demo);

		ret = demo_vm_set_balloon(&demo->vm, to);
		demo->pool_gain_bytes += (int64_t)(pool_free_bytes(demo) - before);
		if (ret == EXIT_CODE_OK)
			ret = show(demo, "the balloon takes it");
	}
	if (ret == EXIT_CODE_OK)
		ret = demo_vm_look(&demo->vm, &sample);
	demo->held_after_bytes = sample.resident_bytes;
	return ret;
}

static int deflate(struct demo *demo)
{
	int ret = EXIT_CODE_OK;

	for (uint64_t to = DEMO_BALLOON_BYTES; to > 0 && ret == EXIT_CODE_OK;) {
		to -= 3 * BALLOON_STEP_BYTES;
		ret = demo_vm_set_balloon(&demo->vm, to);
		if (ret == EXIT_CODE_OK)
			ret = show(demo, "the balloon lets go; pages come when they are touched");
	}
	return ret;
}

static int fill_all_that_is_free(struct demo *demo)
{
	char answer[DEMO_LINE_BYTES];
	int64_t cost_bytes = 0;
	int ret = demo_vm_ask(&demo->vm, answer, "stat");

	if (ret != EXIT_CODE_OK)
		return ret;
	return fill(demo, demo_number(answer, "free_blocks") * HUGE_FRAME_BYTES,
		    "the guest fills its memory", &cost_bytes);
}

/* From full to full again. */
static int play(struct demo *demo)
{
	int ret = let_go(demo);

	if (ret == EXIT_CODE_OK)
		ret = inflate(demo);
	if (ret == EXIT_CODE_OK)
		ret = verify(demo, "every byte that the guest kept is right");
	if (ret == EXIT_CODE_OK)
		ret = deflate(demo);
	demo->pool_cost_bytes = 0;
	if (ret == EXIT_CODE_OK)
		ret = fill(demo, DEMO_BALLOON_BYTES, "the guest fills it again",
			   &demo->pool_cost_bytes);
	if (ret == EXIT_CODE_OK)
		ret = verify(demo, "every byte of all its memory is right");
	return ret;
}

static bool pool_agrees(const struct demo *demo)
{
	return !demo->has_pool || (demo->pool_gain_bytes == (int64_t)DEMO_BALLOON_BYTES &&
				   demo->pool_cost_bytes == (int64_t)DEMO_BALLOON_BYTES);
}

static int play_until_pool_agrees(struct demo *demo)
{
	int ret = fill_all_that_is_free(demo);

	if (ret == EXIT_CODE_OK)
		ret = verify(demo, "every byte is right");
	for (int attempt = 1; ret == EXIT_CODE_OK; attempt++) {
		ret = play(demo);
		if (ret != EXIT_CODE_OK || pool_agrees(demo) || attempt == DEMO_ATTEMPTS)
			break;
		tide_leave(&demo->tide);
		out_note("something else took or gave huge pages meanwhile; once more");
	}
	return ret;
}

static int check_numbers(const struct demo *demo)
{
	uint64_t held_less = demo->held_before_bytes - demo->held_after_bytes;

	if (held_less != DEMO_BALLOON_BYTES)
		return out_fail(EXIT_CODE_FAILED,
				"the balloon returned %" PRIu64
				" bytes, and the guest holds %" PRIu64 " less",
				DEMO_BALLOON_BYTES, held_less);
	if (!pool_agrees(demo))
		return out_fail(EXIT_CODE_FAILED,
				"the host's pool grew by %" PRId64 " and shrank by %" PRId64
				" bytes, not by %" PRIu64 "; is something else using it?",
				demo->pool_gain_bytes, demo->pool_cost_bytes, DEMO_BALLOON_BYTES);
	return EXIT_CODE_OK;
}

static void say_sum(const struct demo *demo)
{
	char ram[UNITS_TEXT_BYTES], balloon[UNITS_TEXT_BYTES], checked[UNITS_TEXT_BYTES];
	char host[128], text[1024];

	units_format_size(DEMO_RAM_BYTES, ram);
	units_format_size(DEMO_BALLOON_BYTES, balloon);
	units_format_size(demo->checked_bytes, checked);
	if (demo->has_pool)
		(void)snprintf(host, sizeof(host),
			       "the host's pool grew by exactly %" PRId64 " bytes (%" PRIu64
			       " pages of 2 MiB)",
			       demo->pool_gain_bytes, DEMO_BALLOON_BYTES / HUGE_FRAME_BYTES);
	else
		(void)snprintf(host, sizeof(host),
			       "the memory behind the guest shrank by exactly %" PRIu64
			       " bytes, in pages of 4 KiB",
			       demo->held_before_bytes - demo->held_after_bytes);
	(void)snprintf(
		text, sizeof(text),
		"What you saw: a guest of %s filled its memory and then needed %s of it no "
		"longer. Its balloon was asked for them; asked, taken and returned were %s "
		"each, and %s. Then the guest got them back and filled them again. It checked "
		"%s of its memory on the way, byte by byte: none was lost, none was foreign.",
		ram, balloon, balloon, host, checked);
	(void)putchar('\n');
	out_wrapped(text, strlen(text), 0, 0);
}

static void configure(struct vm_config *config, enum vm_pages pages)
{
	vm_config_init(config);
	(void)snprintf(config->name, sizeof(config->name), "demo-%d", (int)getpid());
	config->memory.maximum_bytes = DEMO_RAM_BYTES;
	config->memory.pages = pages;
	config->balloon.free_page_reporting = false; /* only the balloon shall give back */
	config->memory.ahead_bytes = 0;		     /* and only the guest take: all is counted */
}

static int run_demo(struct demo *demo, const struct cli_programs *programs)
{
	struct vm_config config;
	int ret;

	configure(&config, demo->has_pool ? VM_PAGES_2M : VM_PAGES_4K);
	ret = demo_vm_start(programs, &config, &demo->vm);
	vm_config_fini(&config);
	if (ret != EXIT_CODE_OK)
		return ret;
	tide_init(&demo->tide, DEMO_RAM_BYTES, demo->has_pool);
	ret = show(demo, "the guest has started");
	if (ret == EXIT_CODE_OK)
		ret = play_until_pool_agrees(demo);
	if (ret == EXIT_CODE_OK)
		ret = check_numbers(demo);
	if (ret == EXIT_CODE_OK)
		say_sum(demo);
	demo_vm_stop(&demo->vm);
	return ret;
}

/* Pages of 2 MiB if they can be had, unless 4K was asked for. */
static int choose_pages(struct demo *demo, const char *wish, uint64_t pool_bytes)
{
	struct err err = { 0 };

	if (wish && strcmp(wish, "4K") != 0 && strcmp(wish, "2M") != 0)
		return out_fail(EXIT_CODE_USAGE, "--pages is 2M or 4K");
	if (wish && strcmp(wish, "4K") == 0)
		return EXIT_CODE_OK;
	if (demo_pool_borrow(pool_bytes / HUGE_FRAME_BYTES, &demo->pool, &err) == 0) {
		demo->has_pool = true;
		return EXIT_CODE_OK;
	}
	if (wish)
		return out_fail(EXIT_CODE_HOST, "%s", err.text);
	out_note("%s", err.text);
	out_note("so this runs on pages of 4 KiB: the same balloon, without the host's pool");
	return EXIT_CODE_OK;
}

int cli_demo(struct cli_call *call)
{
	struct demo demo = { .vm = { .console_fd = -1 } };
	bool is_short = cli_flag(call, "short") != NULL;
	bool is_share = cli_flag(call, "share") != NULL;
	int ret;

	if (is_short && is_share)
		return out_fail(EXIT_CODE_USAGE, "--short and --share leave nothing to see");
	ret = choose_pages(&demo, cli_flag(call, "pages"),
			   is_short ? DEMO_RAM_BYTES : DEMO_SHARE_POOL_BYTES);

	if (ret == EXIT_CODE_OK && !is_share)
		ret = run_demo(&demo, call->programs);
	if (ret == EXIT_CODE_OK && !is_short)
		ret = demo_share(call->programs, demo.has_pool);
	demo_pool_give_back(&demo.pool);
	return ret;
}
