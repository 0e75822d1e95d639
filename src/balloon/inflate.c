/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* inflate.c - see inflate.h.
 *
 * Problem. A guest hands over 4 KiB pages, in any order and spread over many requests; the host
 * takes back whole frames (2 MiB) or nothing: punching less zeroes the bytes and frees no memory.
 * Design. One bit per page, one counter per frame. The page that makes a frame full lets it go.
 *
 * Invariants
 *  F1  fills[f].count is the number of set bits among the pages of f, always.
 *  F2  A frame is given back only when all its pages are in the balloon. One page outside, and not
 *      a byte of the frame changes.
 *  F3  returned_frames + kept_frames + batch.count = number of full frames.
 *  F4  Without MUST_TELL_HOST a driver may use a page again before it says so, once the request
 *      that inflated it was acknowledged. Then a frame is given back only if every one of its pages
 *      came with the request that is being served; else it is kept, full or not.
 *  F5  Taking the same page twice, or releasing one that is not there, changes nothing but
 *      ignored_pages.
 *  F6  Bits of pages and kept have one writer, the owner, and readers on any thread
 *      (inflate_dead_pages): each word is loaded and stored whole. A release clears the bit before
 *      the guest may know that the page is its own again, so a reader that takes the page from the
 *      guest first and looks at the bit then never finds a page dead that is in use.
 *
 * Limits. 32 KiB per GiB of guest for the pages, 8 KiB for the counters of 2 MiB frames; with 4 KiB
 * frames no counters. Address space only, until a page of it is needed.
 * Returned is what we gave back: a guest that touches such a frame without deflating has it again
 * (as zeros), and is not noticed here. A frame in use by a device (-EBUSY) is kept, alone, and tried
 * again: its neighbours go at once.
 * Source: virtio 1.2 §5.5.6.2 "Device Requirements: Device Operation".
 */
#include "balloon/inflate.h"

#include <endian.h>
#include <errno.h>
#include <sys/mman.h>

#include "base/bitmap.h"
#include "base/units.h"

enum { RETRY_WORDS = 64, RETRY_FRAMES = 16 }; /* looked at, tried, in one go */

struct inflate_fill {
	uint64_t request;    /* the last one that put a page in */
	uint16_t count;	     /* pages in the balloon */
	uint16_t in_request; /* of them, by that request and not released since */
};

static void *map(size_t len_bytes)
{
	void *start = mmap(NULL, len_bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return start == MAP_FAILED ? NULL : start;
}

static size_t bits_bytes(uint64_t bits)
{
	return BITMAP_WORDS(bits) * sizeof(uint64_t);
}

static size_t fills_bytes(const struct inflate *inflate)
{
	return inflate->frame_count * sizeof(struct inflate_fill);
}

int inflate_init(struct inflate *inflate, const struct inflate_config *config, struct err *err)
{
	*inflate = (struct inflate){ .config = *config };
	inflate->page_count = bytes_to_pages(config->layout->ram_bytes);
	inflate->frame_shift =
		(unsigned)__builtin_ctzll(bytes_to_pages(config->layout->frame_bytes));
	inflate->frame_count = inflate->page_count >> inflate->frame_shift;
	inflate->pages = map(bits_bytes(inflate->page_count));
	inflate->kept = map(bits_bytes(inflate->frame_count));
	if (inflate->frame_shift)
		inflate->fills = map(fills_bytes(inflate));
	if (inflate->pages && inflate->kept && (inflate->fills || !inflate->frame_shift))
		return 0;
	inflate_fini(inflate);
	return err_set(err, -ENOMEM, "balloon: out of memory");
}

static void unmap(void *start, size_t len_bytes)
{
	if (start)
		(void)munmap(start, len_bytes);
}

void inflate_fini(struct inflate *inflate)
{
	unmap(inflate->pages, bits_bytes(inflate->page_count));
	unmap(inflate->kept, bits_bytes(inflate->frame_count));
	unmap(inflate->fills, fills_bytes(inflate));
	*inflate = (struct inflate){ 0 };
}

void inflate_forget(struct inflate *inflate)
{
	/* Private anonymous memory reads as zeros after this, and costs nothing again. */
	(void)madvise(inflate->pages, bits_bytes(inflate->page_count), MADV_DONTNEED);
	(void)madvise(inflate->kept, bits_bytes(inflate->frame_count), MADV_DONTNEED);
	if (inflate->fills)
		(void)madvise(inflate->fills, fills_bytes(inflate), MADV_DONTNEED);
	inflate->kept_frames = 0;
	inflate->batch.count = inflate->wanted.count = 0;
	inflate->counters.taken_pages = 0;
	inflate->counters.returned_frames = 0;
}

/* The bits of [first, first + count) that lie in the word of @first. */
static uint64_t word_mask(uint64_t first, uint64_t count)
{
	uint64_t start = first % BITMAP_WORD_BITS;
	uint64_t mask = UINT64_MAX << start;

	if (count < BITMAP_WORD_BITS - start)
		mask &= (UINT64_C(1) << (start + count)) - 1;
	return mask;
}

/* Make @count bits from @first all @value; how many were not. */
static uint64_t put_bits(uint64_t *words, uint64_t first, uint64_t count, bool value)
{
	uint64_t end = first + count, changed = 0;

	while (first < end) {
		uint64_t *word = &words[first / BITMAP_WORD_BITS];
		uint64_t mask = word_mask(first, end - first);
		uint64_t was = *word; /* F6: nobody else writes */
		uint64_t differ = (value ? ~was : was) & mask;

		if (differ)
			__atomic_store_n(word, was ^ differ, __ATOMIC_RELAXED);
		changed += (unsigned)__builtin_popcountll(differ);
		first = (first / BITMAP_WORD_BITS + 1) * BITMAP_WORD_BITS;
	}
	return changed;
}

static void keep(struct inflate *inflate, uint64_t first_frame, uint64_t frame_count)
{
	inflate->kept_frames += put_bits(inflate->kept, first_frame, frame_count, true);
}

/* Forget that @frame is kept. False: it was not. Untouched parts of the array stay so. */
static bool unkeep(struct inflate *inflate, uint64_t frame)
{
	if (!inflate->kept_frames || !put_bits(inflate->kept, frame, 1, false))
		return false;
	inflate->kept_frames--;
	return true;
}

static int discard(struct inflate *inflate, uint64_t first_frame, uint64_t frame_count)
{
	int result = inflate->config.discard(inflate->config.ctx, first_frame, frame_count);

	inflate->counters.asked_frames += frame_count;
	inflate->counters.discard_failures += result != 0;
	return result;
}

/* Give back, or keep what cannot go now. */
static void let_go(struct inflate *inflate, uint64_t first, uint64_t count)
{
	int result = discard(inflate, first, count);

	if (result == 0) {
		inflate->counters.returned_frames += count;
	} else if (result == -EBUSY && count > 1) {
		for (uint64_t frame = first; frame < first + count; frame++)
			let_go(inflate, frame, 1);
	} else {
		keep(inflate, first, count);
	}
}

static void end_batch(struct inflate *inflate)
{
	struct inflate_run run = inflate->batch;

	inflate->batch.count = 0;
	if (run.count > 0)
		let_go(inflate, run.first, run.count);
}

static void end_wanted(struct inflate *inflate)
{
	struct inflate_run run = inflate->wanted;

	inflate->wanted.count = 0;
	if (run.count > 0)
		inflate->config.wanted(inflate->config.ctx, run.first, run.count);
}

void inflate_end(struct inflate *inflate)
{
	end_batch(inflate);
	end_wanted(inflate);
}

/* Neighbours go together: one system call for a stretch of frames. */
static void add_to_run(struct inflate *inflate, struct inflate_run *run,
		       void (*end)(struct inflate *inflate), uint64_t frame)
{
	if (run->count && frame == run->first + run->count) {
		run->count++;
	} else if (run->count && frame + 1 == run->first) {
		run->first--;
		run->count++;
	} else {
		end(inflate);
		*run = (struct inflate_run){ frame, 1 };
	}
}

static void add_to_batch(struct inflate *inflate, uint64_t frame)
{
	add_to_run(inflate, &inflate->batch, end_batch, frame);
}

static void add_to_wanted(struct inflate *inflate, uint64_t frame)
{
	if (inflate->config.wanted && inflate->fills)
		add_to_run(inflate, &inflate->wanted, end_wanted, frame);
}

void inflate_begin(struct inflate *inflate, bool must_tell, bool goes_on)
{
	inflate->must_tell = must_tell;
	if (!goes_on)
		inflate->request++;
}

/* @added pages of @frame came in. */
static void fill_frame(struct inflate *inflate, uint64_t frame, uint64_t added)
{
	struct inflate_fill *fill;
	uint64_t full = UINT64_C(1) << inflate->frame_shift;

	if (!inflate->fills) {
		add_to_batch(inflate, frame);
		return;
	}
	fill = &inflate->fills[frame];
	if (fill->request != inflate->request) {
		fill->request = inflate->request;
		fill->in_request = 0;
	}
	fill->count = (uint16_t)(fill->count + added);
	fill->in_request = (uint16_t)(fill->in_request + added);
	if (fill->count != full)
		return;
	if (inflate->must_tell || fill->in_request == full) /* F4 */
		add_to_batch(inflate, frame);
	else
		keep(inflate, frame, 1);
}

/* @removed pages of @frame go out. */
static void drain_frame(struct inflate *inflate, uint64_t frame, uint64_t removed)
{
	uint64_t full = UINT64_C(1) << inflate->frame_shift;
	bool was_full = !inflate->fills || inflate->fills[frame].count == full;

	if (was_full && !unkeep(inflate, frame)) {
		inflate->counters.returned_frames--;
		add_to_wanted(inflate, frame);
	}
	if (inflate->fills) {
		inflate->fills[frame].count = (uint16_t)(inflate->fills[frame].count - removed);
		inflate->fills[frame].in_request = 0;
	}
}

/* Pages [page, page + count), all in RAM. */
static void take_pages(struct inflate *inflate, uint64_t page, uint64_t count)
{
	uint64_t added = put_bits(inflate->pages, page, count, true);

	inflate->counters.taken_pages += added;
	inflate->counters.inflated_total_pages += added;
	inflate->counters.ignored_pages += count - added;
	if (added)
		fill_frame(inflate, page >> inflate->frame_shift, added);
}

static void release_pages(struct inflate *inflate, uint64_t page, uint64_t count)
{
	uint64_t removed = put_bits(inflate->pages, page, count, false);

	inflate->counters.taken_pages -= removed;
	inflate->counters.deflated_total_pages += removed;
	inflate->counters.ignored_pages += count - removed;
	if (removed)
		drain_frame(inflate, page >> inflate->frame_shift, removed);
}

/* Where the page of @pfn is in the file, and how many of the @want from there lie in one frame. */
static uint64_t locate(const struct inflate *inflate, uint64_t pfn, uint64_t want,
		       uint64_t *ret_page)
{
	uint64_t offset_bytes, page, room;

	if (!ram_layout_offset(inflate->config.layout, GPA(pages_to_bytes(pfn)), GUEST_PAGE_BYTES,
			       &offset_bytes))
		return 0;
	page = bytes_to_pages(offset_bytes);
	room = (UINT64_C(1) << inflate->frame_shift) -
	       (page & ((UINT64_C(1) << inflate->frame_shift) - 1));
	*ret_page = page;
	return want < room ? want : room;
}

typedef void (*apply_fn)(struct inflate *inflate, uint64_t page, uint64_t count);

static void apply_run(struct inflate *inflate, uint64_t pfn, uint64_t count, apply_fn apply)
{
	while (count > 0) {
		uint64_t page;
		uint64_t done = locate(inflate, pfn, count, &page);

		if (done) {
			apply(inflate, page, done);
		} else {
			inflate->counters.ignored_pages++;
			done = 1;
		}
		pfn += done;
		count -= done;
	}
}

/* How many PFNs from the first on go up (step 1) or down (step -1) one by one. In 64 bits, so that
 * 0xffffffff and 0 are no neighbours. */
static size_t run_len(const uint32_t *untrusted_pfns, size_t count, int step)
{
	int64_t next = le32toh(untrusted_pfns[0]);
	size_t len = 1;

	while (len < count && (int64_t)le32toh(untrusted_pfns[len]) == next + step) {
		next += step;
		len++;
	}
	return len;
}

/* Stock Linux sends long descending runs, a driver of whole blocks ascending ones. */
static void apply_list(struct inflate *inflate, const uint32_t *untrusted_pfns, size_t count,
		       apply_fn apply)
{
	while (count > 0) {
		size_t up = run_len(untrusted_pfns, count, 1);
		size_t down = run_len(untrusted_pfns, count, -1);
		size_t len = up > down ? up : down;
		uint64_t low = le32toh(untrusted_pfns[up > down ? 0 : len - 1]);

		apply_run(inflate, low, len, apply);
		untrusted_pfns += len;
		count -= len;
	}
}

void inflate_take(struct inflate *inflate, const uint32_t *untrusted_pfns, size_t count)
{
	apply_list(inflate, untrusted_pfns, count, take_pages);
}

void inflate_release(struct inflate *inflate, const uint32_t *untrusted_pfns, size_t count)
{
	apply_list(inflate, untrusted_pfns, count, release_pages);
}

static bool is_full(const struct inflate *inflate, uint64_t frame)
{
	if (!inflate->fills)
		return bitmap_test(inflate->pages, frame);
	return inflate->fills[frame].count == UINT64_C(1) << inflate->frame_shift;
}

uint64_t inflate_note_discarded(struct inflate *inflate, uint64_t first_frame, uint64_t frame_count)
{
	uint64_t news = 0;

	for (uint64_t frame = first_frame; frame < first_frame + frame_count; frame++) {
		if (!is_full(inflate, frame)) {
			news++;
		} else if (unkeep(inflate, frame)) {
			inflate->counters.returned_frames++;
			news++;
		}
	}
	return news;
}

static int retry_frame(struct inflate *inflate, uint64_t frame)
{
	int result = discard(inflate, frame, 1);

	if (result == 0) {
		(void)unkeep(inflate, frame);
		inflate->counters.returned_frames++;
	}
	return result;
}

/* The first frame from @first on that is kept, within RETRY_WORDS words; false: none there. */
static bool find_kept(const struct inflate *inflate, uint64_t first, uint64_t *ret_frame)
{
	for (unsigned looked = 0; looked < RETRY_WORDS && first < inflate->frame_count; looked++) {
		uint64_t word = first / BITMAP_WORD_BITS;
		uint64_t bits = inflate->kept[word] & UINT64_MAX << first % BITMAP_WORD_BITS;

		if (bits) {
			*ret_frame = word * BITMAP_WORD_BITS + (unsigned)__builtin_ctzll(bits);
			return true;
		}
		first = (word + 1) * BITMAP_WORD_BITS;
	}
	*ret_frame = first < inflate->frame_count ? first : 0;
	return false;
}

bool inflate_retry(struct inflate *inflate)
{
	uint64_t frame, first = UINT64_MAX;
	int result = 0;

	if (!inflate->must_tell || !inflate->kept_frames) /* F4: too late without it */
		return false;
	for (unsigned tried = 0; tried < RETRY_FRAMES && inflate->kept_frames; tried++) {
		/* Past the end it begins anew, once. */
		bool found = find_kept(inflate, inflate->retry_frame, &frame) ||
			     find_kept(inflate, frame, &frame);

		inflate->retry_frame = frame;
		if (!found || frame == first || (result != 0 && result != -EBUSY))
			break;
		if (first == UINT64_MAX)
			first = frame;
		result = retry_frame(inflate, frame);
		inflate->retry_frame = frame + 1;
	}
	return inflate->kept_frames > 0;
}

/* ---- For other threads (F6) ---- */

static uint64_t look_at(const uint64_t *words, uint64_t word)
{
	return __atomic_load_n(&words[word], __ATOMIC_RELAXED);
}

bool inflate_dead_pages(const struct inflate *inflate, uint64_t first_page, uint64_t *ret_dead)
{
	uint64_t first = first_page / BITMAP_WORD_BITS;
	uint64_t end = BITMAP_WORDS(inflate->page_count);
	uint64_t any = 0;

	for (unsigned i = 0; i < BLOCK_PAGE_WORDS && first + i < end; i++)
		any |= ret_dead[i] = look_at(inflate->pages, first + i);
	return any != 0;
}

/* Pages of block @block in the balloon that returned_frames does not count. */
static uint64_t uncounted_pages(const struct inflate *inflate, uint64_t block)
{
	uint64_t dead[BLOCK_PAGE_WORDS] = { 0 };
	uint64_t count = 0;

	if (!inflate_dead_pages(inflate, block * BLOCK_PAGES, dead))
		return 0;
	for (unsigned i = 0; i < BLOCK_PAGE_WORDS; i++) {
		uint64_t word = block * BLOCK_PAGE_WORDS + i;

		if (!inflate->fills && dead[i]) /* a frame is a page */
			dead[i] &= look_at(inflate->kept, word);
		count += (unsigned)__builtin_popcountll(dead[i]);
	}
	if (inflate->fills && count == BLOCK_PAGES &&
	    !(look_at(inflate->kept, block / BITMAP_WORD_BITS) >> block % BITMAP_WORD_BITS & 1))
		return 0;
	return count;
}

uint64_t inflate_gone_pages(const struct inflate *inflate, inflate_is_gone is_gone, void *ctx)
{
	uint64_t blocks = (inflate->page_count + BLOCK_PAGES - 1) / BLOCK_PAGES;
	uint64_t count = 0;

	for (uint64_t block = 0; block < blocks; block++) {
		uint64_t pages = uncounted_pages(inflate, block);

		if (pages && is_gone(ctx, block))
			count += pages;
	}
	return count;
}
