/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* demo_share.c - the second act of `neap demo`: memory follows demand, from one guest to another.
 *
 * The play: two guests of 256 MiB share a pool of 384 MiB. Both start small. A needs more and gets
 * it; later its need falls while B's rises by as much. Nobody sets a balloon here: each VM's own
 * policy sees what its guest says, takes from A slowly and gives to B at once, as far as the pool
 * has it. The numbers under the chart are the policies' own.
 *
 * It takes a minute because the policy is the real one: it takes nothing from a guest in the first
 * 45 s after its boot.
 *
 * The pool is a hugetlbfs mount of that size, in a mount namespace of this process and its VMs: it
 * goes with the last of them, however that ends. Its pages are the host's, borrowed before. Without
 * it the guests are on 4 KiB pages, and only their own policies bound them.
 *
 * "Below demand" is told by the guests, not by the policy: the time in which one wanted to fill
 * memory and had none.
 *
 * Source: hugetlbpage.rst "Using Huge Pages" (size=, pagesize=); unshare(2), CLONE_NEWNS.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/demo.h"
#include "cli/output.h"
#include "cli/tide_share.h"
#include "policy/constants.h"

#define SHARE_RAM_BYTES	    (UINT64_C(256) * MIB_BYTES)
#define SHARE_STARTUP_BYTES (UINT64_C(96) * MIB_BYTES)
#define SHARE_LOW_BYTES	    (UINT64_C(32) * MIB_BYTES)
#define SHARE_HIGH_BYTES    (UINT64_C(192) * MIB_BYTES)

enum {
	TICK_MS = 250,
	RISE_A_S = 2,
	RISEN_A_S = 20,
	TURN_S = POLICY_BOOT_GRACE_S,
	TURNED_S = 65,
	END_S = 68,
	END_PATIENCE_S = 120
};

static const char mount_dir[] = "/mnt"; /* what was there is hidden in our namespace only */

struct sharer {
	struct demo_vm vm;
	struct tide_guest shown;
	bool is_short; /* it wanted more than there was, just now */
	uint64_t checked_bytes;
	uint64_t most_bytes, last_bytes; /* of assigned_bytes */
};

struct share {
	struct sharer sharers[TIDE_SHARERS];
	struct tide_share tide;
	uint64_t start_ns;
};

static int mount_pool(void)
{
	char options[64];

	(void)snprintf(options, sizeof(options), "pagesize=2M,size=%" PRIu64,
		       (uint64_t)DEMO_SHARE_POOL_BYTES);
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("neap-demo", mount_dir, "hugetlbfs", MS_NOSUID | MS_NODEV, options) < 0)
		return out_fail(EXIT_CODE_HOST, "a hugetlbfs of our own on %s: %s", mount_dir,
				strerror(errno));
	return EXIT_CODE_OK;
}

/* --- what the guests want ------------------------------------------------------------------- */

/* From @low to @high between two times. */
static uint64_t ramp(double now_s, int from_s, int to_s, uint64_t low_bytes, uint64_t high_bytes)
{
	double part = (now_s - from_s) / (to_s - from_s);

	part = part < 0 ? 0 : part > 1 ? 1 : part;
	return align_down(low_bytes + (uint64_t)(part * (double)(high_bytes - low_bytes)),
			  HUGE_FRAME_BYTES);
}

static uint64_t wish_bytes(unsigned sharer, double now_s)
{
	uint64_t up = ramp(now_s, RISE_A_S, RISEN_A_S, SHARE_LOW_BYTES, SHARE_HIGH_BYTES);
	uint64_t turn = ramp(now_s, TURN_S, TURNED_S, 0, SHARE_HIGH_BYTES - SHARE_LOW_BYTES);

	return sharer == 0 ? up - turn : SHARE_LOW_BYTES + turn;
}

static const char *act_at(double now_s)
{
	if (now_s < RISE_A_S)
		return "two guests have started, each with little memory";
	if (now_s < RISEN_A_S)
		return "A needs more, and its policy gives it";
	if (now_s < TURN_S)
		return "young guests are left alone: nothing is taken in their first 45 s";
	if (now_s < TURNED_S)
		return "A needs less and B more: memory goes from one to the other";
	return "both have what they need";
}

/* Fills or frees towards the wish. */
static int follow_wish(struct sharer *sharer, uint64_t wish)
{
	uint64_t *work = &sharer->shown.work_bytes;
	char answer[DEMO_LINE_BYTES];
	int ret = EXIT_CODE_OK;

	sharer->is_short = false;
	if (*work < wish) {
		ret = demo_vm_try(&sharer->vm, answer, "fill %" PRIu64, wish - *work);
		*work += ret == EXIT_CODE_OK ? demo_number(answer, "bytes") : 0;
		sharer->is_short = *work < wish;
	} else if (*work > wish) {
		ret = demo_vm_ask(&sharer->vm, answer, "free %" PRIu64 " blocks", *work - wish);
		*work -= ret == EXIT_CODE_OK ? demo_number(answer, "bytes") : 0;
	}
	return ret;
}

static int look(struct sharer *sharer)
{
	const json_t *policy;
	json_t *memory;
	int ret = vm_call(&sharer->vm.vm, "vm.memory", NULL, &memory);

	if (ret != EXIT_CODE_OK)
		return ret;
	policy = json_object_get(memory, "policy");
	sharer->last_bytes = SHARE_RAM_BYTES - out_u64(memory, "taken_bytes");
	if (sharer->last_bytes > sharer->most_bytes)
		sharer->most_bytes = sharer->last_bytes;
	sharer->shown.assigned_bytes = sharer->last_bytes;
	sharer->shown.held_bytes = out_u64(memory, "resident_bytes");
	(void)snprintf(sharer->shown.status, TIDE_WORD_BYTES, "%s", out_text(policy, "status"));
	(void)snprintf(sharer->shown.rule, TIDE_WORD_BYTES, "%s", out_text(policy, "rule"));
	json_decref(memory);
	return ret;
}

static int tick(struct share *share, double now_s, uint64_t passed_ns)
{
	struct tide_guest shown[TIDE_SHARERS];
	int ret = EXIT_CODE_OK;

	for (unsigned i = 0; i < TIDE_SHARERS && ret == EXIT_CODE_OK; i++) {
		struct sharer *sharer = &share->sharers[i];

		ret = follow_wish(sharer, wish_bytes(i, now_s));
		if (sharer->is_short)
			sharer->shown.below_ns += passed_ns;
		if (ret == EXIT_CODE_OK)
			ret = look(sharer);
		shown[i] = sharer->shown;
	}
	if (ret == EXIT_CODE_OK)
		tide_share_show(&share->tide, act_at(now_s), shown);
	return ret;
}

static bool is_satisfied(const struct share *share)
{
	for (unsigned i = 0; i < TIDE_SHARERS; i++)
		if (share->sharers[i].shown.work_bytes < wish_bytes(i, END_S))
			return false;
	return true;
}

static int verify(struct sharer *sharer, char name)
{
	char answer[DEMO_LINE_BYTES];
	int ret = demo_vm_ask(&sharer->vm, answer, "verify");

	if (ret != EXIT_CODE_OK)
		return ret;
	sharer->checked_bytes += pages_to_bytes(demo_number(answer, "pages"));
	if (pages_to_bytes(demo_number(answer, "pages")) == sharer->shown.work_bytes &&
	    demo_number(answer, "bad_bytes") == 0 && demo_number(answer, "bad_pages") == 0)
		return EXIT_CODE_OK;
	return out_fail(EXIT_CODE_FAILED,
			"MEMORY IS WRONG: of %" PRIu64 " bytes guest %c checked: %s",
			sharer->shown.work_bytes, name, answer);
}

static int verify_both(struct share *share)
{
	int ret = verify(&share->sharers[0], 'A');

	return ret == EXIT_CODE_OK ? verify(&share->sharers[1], 'B') : ret;
}

/* --- the play ------------------------------------------------------------------------------- */

static int play(struct share *share)
{
	uint64_t before_ns = clock_now_ns();
	bool has_checked_peak = false;
	int ret = EXIT_CODE_OK;

	share->start_ns = before_ns;
	while (ret == EXIT_CODE_OK) {
		uint64_t now_ns = clock_now_ns();
		double now_s = (double)(now_ns - share->start_ns) / (double)NS_PER_S;

		if ((now_s >= END_S && is_satisfied(share)) || now_s >= END_PATIENCE_S)
			break;
		ret = tick(share, now_s, now_ns - before_ns);
		before_ns = now_ns;
		if (ret == EXIT_CODE_OK && now_s >= RISEN_A_S + 1 && !has_checked_peak) {
			has_checked_peak = true;
			ret = verify_both(share);
		}
		(void)poll(NULL, 0, TICK_MS);
	}
	return ret == EXIT_CODE_OK ? verify_both(share) : ret;
}

static int check_moves(const struct share *share)
{
	const struct sharer *a = &share->sharers[0], *b = &share->sharers[1];

	if (!is_satisfied(share))
		return out_fail(EXIT_CODE_FAILED,
				"after %d s B has filled %" PRIu64 " of %" PRIu64
				" MiB: its memory did not come (neap why says what binds a policy)",
				END_PATIENCE_S, bytes_to_mib(b->shown.work_bytes),
				bytes_to_mib(SHARE_HIGH_BYTES));
	if (a->most_bytes < SHARE_HIGH_BYTES || a->last_bytes >= a->most_bytes)
		return out_fail(EXIT_CODE_FAILED,
				"A had %" PRIu64 " MiB at most and has %" PRIu64
				" now: nothing was taken from it",
				bytes_to_mib(a->most_bytes), bytes_to_mib(a->last_bytes));
	return EXIT_CODE_OK;
}

static void say_sum(const struct share *share, bool has_pool)
{
	const struct sharer *a = &share->sharers[0], *b = &share->sharers[1];
	char ram[UNITS_TEXT_BYTES], pool[UNITS_TEXT_BYTES], most[UNITS_TEXT_BYTES];
	char last[UNITS_TEXT_BYTES], got[UNITS_TEXT_BYTES], checked[UNITS_TEXT_BYTES];
	char host[96], text[1024];

	(void)snprintf(host, sizeof(host), has_pool ? "sharing %s of the host" : "without a pool",
		       units_format_size(DEMO_SHARE_POOL_BYTES, pool));
	(void)snprintf(text, sizeof(text),
		       "What you saw: two guests of %s, %s. A had %s when it needed most, and %s "
		       "at the end; B grew to %s meanwhile. Nobody told them to: each VM's policy "
		       "followed its guest. A wanted memory that it did not have for %.1f s, B for "
		       "%.1f s, of %.0f s. They checked %s, byte by byte: none was lost, none was "
		       "foreign.",
		       units_format_size(SHARE_RAM_BYTES, ram), host,
		       units_format_size(a->most_bytes, most),
		       units_format_size(a->last_bytes, last),
		       units_format_size(b->last_bytes, got),
		       (double)a->shown.below_ns / (double)NS_PER_S,
		       (double)b->shown.below_ns / (double)NS_PER_S,
		       (double)(clock_now_ns() - share->start_ns) / (double)NS_PER_S,
		       units_format_size(a->checked_bytes + b->checked_bytes, checked));
	(void)putchar('\n');
	out_wrapped(text, strlen(text), 0, 0);
}

static int start(struct sharer *sharer, const struct cli_programs *programs, char name,
		 bool has_pool)
{
	struct vm_config config;
	int ret;

	vm_config_init(&config);
	(void)snprintf(config.name, sizeof(config.name), "demo-%d-%c", (int)getpid(), name);
	config.memory.maximum_bytes = SHARE_RAM_BYTES;
	config.memory.startup_bytes = SHARE_STARTUP_BYTES;
	config.memory.pages = has_pool ? VM_PAGES_2M : VM_PAGES_4K;
	if (has_pool)
		config.memory.hugetlbfs_dir = strdup(mount_dir);
	ret = demo_vm_start(programs, &config, &sharer->vm);
	vm_config_fini(&config);
	return ret;
}

int demo_share(const struct cli_programs *programs, bool has_pool)
{
	struct share share = { .sharers = { { .vm.console_fd = -1 }, { .vm.console_fd = -1 } } };
	int ret = has_pool ? mount_pool() : EXIT_CODE_OK;

	(void)putchar('\n');
	for (unsigned i = 0; i < TIDE_SHARERS && ret == EXIT_CODE_OK; i++)
		ret = start(&share.sharers[i], programs, "ab"[i], has_pool);
	if (ret == EXIT_CODE_OK) {
		tide_share_init(&share.tide, has_pool ? "pool" : "host", DEMO_SHARE_POOL_BYTES,
				END_S * NS_PER_S);
		ret = play(&share);
	}
	if (ret == EXIT_CODE_OK)
		ret = check_moves(&share);
	if (ret == EXIT_CODE_OK)
		say_sum(&share, has_pool);
	for (unsigned i = 0; i < TIDE_SHARERS; i++)
		demo_vm_stop(&share.sharers[i].vm);
	return ret;
}
