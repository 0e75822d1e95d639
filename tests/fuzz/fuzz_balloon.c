/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* fuzz_balloon.c - any mix of inflating, deflating and reporting, against an oracle.
 *
 * An input is a byte of choices, then operations. With choice bit 0 clear it drives the accounting
 * of 2 MiB frames alone: a model that walks page by page says which frames must leave and what
 * every counter must be. With it set it drives the whole device over its rings on RAM of 4 KiB
 * frames: afterwards every page that was never inflated nor reported holds what it held, bit by
 * bit, and the counters agree with each other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../device/fake_guest.h"
#include "balloon/balloon.h"
#include "balloon/inflate.h"
#include "balloon/report.h"
#include "base/units.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_OPERATIONS = 64, MAX_LIST = 2048 };

struct input {
	const uint8_t *data;
	size_t left;
};

static void require(bool holds)
{
	if (!holds)
		abort();
}

static uint32_t eat(struct input *in, size_t bytes)
{
	uint32_t value = 0;

	for (size_t i = 0; i < bytes && in->left > 0; i++, in->left--)
		value |= (uint32_t)*in->data++ << (8 * i);
	return value;
}

/* A list of PFNs: a series (start, step, length), or single ones. */
static uint32_t eat_list(struct input *in, uint32_t base_pfn, uint32_t pfns[MAX_LIST])
{
	uint32_t shape = eat(in, 1), count;

	if (shape & 1) {
		uint32_t pfn = base_pfn + eat(in, 2) % 4096;
		uint32_t step = (shape & 2) ? 1 : (uint32_t)(int8_t)eat(in, 1);

		count = 1 + eat(in, 2) % MAX_LIST;
		for (uint32_t i = 0; i < count; i++, pfn += step)
			pfns[i] = pfn;
		return count;
	}
	count = 1 + (shape >> 2);
	for (uint32_t i = 0; i < count; i++)
		pfns[i] = (shape & 2) ? eat(in, 4) : base_pfn + eat(in, 2) % 4096;
	return count;
}

/* ---- The accounting of 2 MiB frames ---- */

enum { MODEL_FRAMES = 6, FRAME_PAGES = 512, MODEL_PAGES = MODEL_FRAMES * FRAME_PAGES };

struct model {
	struct ram_layout layout;
	struct inflate inflate;
	bool must_tell, refuse;
	uint32_t request;
	bool in[MODEL_PAGES];
	uint32_t in_request[MODEL_PAGES]; /* by which request it is in; 0: forget that */
	unsigned in_frame[MODEL_FRAMES];  /* pages */
	bool full[MODEL_FRAMES], returned[MODEL_FRAMES];
	unsigned must_leave[MODEL_FRAMES], left[MODEL_FRAMES]; /* during one request */
	struct inflate_counters counters;
};

static int model_discard(void *ctx, uint64_t first_frame, uint64_t frame_count)
{
	struct model *m = ctx;

	require(frame_count > 0 && first_frame + frame_count <= MODEL_FRAMES);
	for (uint64_t frame = first_frame; frame < first_frame + frame_count; frame++) {
		m->left[frame]++;
		for (unsigned i = 0; i < FRAME_PAGES; i++)
			require(m->in[frame * FRAME_PAGES + i]); /* F2 */
	}
	return m->refuse ? -EIO : 0;
}

/* All pages of a full frame came with this request. */
static bool model_came_whole(const struct model *m, uint32_t frame)
{
	for (unsigned i = 0; i < FRAME_PAGES; i++)
		if (m->in_request[frame * FRAME_PAGES + i] != m->request)
			return false;
	return true;
}

static void model_take(struct model *m, const uint32_t *pfns, uint32_t count)
{
	memset(m->must_leave, 0, sizeof(m->must_leave));
	memset(m->left, 0, sizeof(m->left));
	for (uint32_t i = 0; i < count; i++) {
		uint32_t page = pfns[i], frame = page / FRAME_PAGES;

		if (page >= MODEL_PAGES || m->in[page]) {
			m->counters.ignored_pages++;
			continue;
		}
		m->in[page] = true;
		m->in_request[page] = m->request;
		m->counters.taken_pages++;
		m->counters.inflated_total_pages++;
		m->full[frame] = ++m->in_frame[frame] == FRAME_PAGES;
		if (m->full[frame] && (m->must_tell || model_came_whole(m, frame))) {
			m->must_leave[frame] = 1;
			m->returned[frame] = !m->refuse;
		}
	}
}

static void model_release(struct model *m, const uint32_t *pfns, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t page = pfns[i], frame = page / FRAME_PAGES;

		if (page >= MODEL_PAGES || !m->in[page]) {
			m->counters.ignored_pages++;
			continue;
		}
		m->in[page] = false;
		m->in_frame[frame]--;
		m->full[frame] = m->returned[frame] = false;
		m->counters.taken_pages--;
		m->counters.deflated_total_pages++;
		for (unsigned j = 0; j < FRAME_PAGES && !m->must_tell; j++)
			m->in_request[frame * FRAME_PAGES + j] = 0;
	}
}

static void model_compare(struct model *m)
{
	const struct inflate_counters *real = &m->inflate.counters;
	uint64_t returned = 0;

	for (unsigned frame = 0; frame < MODEL_FRAMES; frame++)
		returned += m->returned[frame];
	require(real->returned_frames == returned);
	require(real->taken_pages == m->counters.taken_pages);
	require(real->ignored_pages == m->counters.ignored_pages);
	require(real->inflated_total_pages == m->counters.inflated_total_pages);
	require(real->deflated_total_pages == m->counters.deflated_total_pages);
}

static void model_inflate(struct model *m, const uint32_t *pfns, uint32_t count, uint32_t cut)
{
	uint32_t first = count ? cut % count : 0;

	m->request++;
	model_take(m, pfns, count);
	inflate_begin(&m->inflate, m->must_tell, false);
	inflate_take(&m->inflate, pfns, first);
	if (cut & 1) { /* the request was interrupted, and goes on */
		inflate_end(&m->inflate);
		inflate_begin(&m->inflate, m->must_tell, true);
	}
	inflate_take(&m->inflate, pfns + first, count - first);
	inflate_end(&m->inflate);
	require(memcmp(m->must_leave, m->left, sizeof(m->left)) == 0);
}

static void model_report(struct model *m, uint64_t start, uint64_t len)
{
	struct frame_range range = report_whole_frames(&m->layout, GPA(start), len);
	uint64_t news = 0;

	for (uint64_t frame = range.first; frame < range.first + range.count; frame++) {
		require(frame < MODEL_FRAMES && start <= frame * HUGE_FRAME_BYTES);
		require((frame + 1) * HUGE_FRAME_BYTES <= start + len);
		news += !m->returned[frame];
		m->returned[frame] = m->full[frame];
	}
	require(inflate_note_discarded(&m->inflate, range.first, range.count) == news);
}

static void model_retry(struct model *m)
{
	inflate_retry(&m->inflate);
	if (!m->must_tell || m->refuse)
		return;
	for (unsigned frame = 0; frame < MODEL_FRAMES; frame++)
		m->returned[frame] = m->full[frame];
}

static void model_forget(struct model *m)
{
	inflate_forget(&m->inflate);
	memset(m->in, 0, sizeof(m->in));
	memset(m->in_frame, 0, sizeof(m->in_frame));
	memset(m->full, 0, sizeof(m->full));
	memset(m->returned, 0, sizeof(m->returned));
	m->counters.taken_pages = 0;
}

static void model_step(struct model *m, struct input *in)
{
	uint32_t pfns[MAX_LIST];
	uint32_t kind = eat(in, 1), count;

	switch (kind % 8) {
	case 0:
	case 1:
	case 2:
		count = eat_list(in, 0, pfns);
		model_inflate(m, pfns, count, kind >> 3);
		break;
	case 3:
		count = eat_list(in, 0, pfns);
		model_release(m, pfns, count);
		inflate_release(&m->inflate, pfns, count);
		break;
	case 4: model_report(m, eat(in, 4), eat(in, 4)); break;
	case 5: m->refuse = !m->refuse; break;
	case 6: model_retry(m); break;
	default:
		if (kind == UINT8_MAX)
			model_forget(m);
	}
	model_compare(m);
}

static void run_model(struct input *in, bool must_tell)
{
	static struct model m;
	struct inflate_config config = { .layout = &m.layout, .discard = model_discard, .ctx = &m };

	memset(&m, 0, sizeof(m));
	m.must_tell = must_tell;
	require(ram_layout_init(MODEL_FRAMES * HUGE_FRAME_BYTES, HUGE_FRAME_BYTES, &m.layout,
				NULL) == 0);
	require(inflate_init(&m.inflate, &config, NULL) == 0);
	for (int i = 0; i < MAX_OPERATIONS && in->left > 0; i++)
		model_step(&m, in);
	inflate_fini(&m.inflate);
}

/* ---- The device on 4 KiB frames ---- */

enum { DEVICE_PAGES = 512, DATA_PFN = 256, DATA_PAGES = 128, PAGE_WORDS = 512, QUEUE_SIZE = 16 };

struct world {
	struct ram *ram;
	struct balloon *balloon;
	struct fake_guest guest;
	gpa_t list;
	bool given[DEVICE_PAGES]; /* inflated or reported at some time */
};

static uint64_t *word_at(struct world *w, uint32_t pfn, unsigned i)
{
	return (uint64_t *)fake_guest_at(&w->guest, GPA(pages_to_bytes(pfn))) + i;
}

static void world_init(struct world *w, uint64_t features)
{
	struct balloon_config config = { .features = UINT64_MAX };

	memset(w, 0, sizeof(*w));
	w->ram = config.ram = fake_ram_open(pages_to_bytes(DEVICE_PAGES));
	require(balloon_create(&config, &w->balloon, NULL) == 0);
	fake_guest_init(&w->guest, w->ram, balloon_device(w->balloon));
	require(fake_guest_start(&w->guest, features, QUEUE_SIZE) == 15);
	w->list = fake_guest_alloc(&w->guest, MAX_LIST * sizeof(uint32_t), GUEST_PAGE_BYTES);
	for (uint32_t pfn = DATA_PFN; pfn < DATA_PFN + DATA_PAGES; pfn++)
		for (unsigned i = 0; i < PAGE_WORDS; i += 63)
			*word_at(w, pfn, i) = pfn * UINT64_C(0x9e3779b97f4a7c15) + i;
}

static void world_send(struct world *w, unsigned queue, const struct fake_buf *bufs, unsigned count)
{
	uint32_t head, written;

	if (fake_guest_add(&w->guest, queue, bufs, count, FAKE_DIRECT) < 0)
		return;
	(void)fake_guest_kick(&w->guest, queue);
	while (fake_guest_reap(&w->guest, queue, &head, &written))
		require(written == 0);
}

static void world_list(struct world *w, struct input *in, unsigned queue)
{
	uint32_t pfns[MAX_LIST];
	uint32_t count = eat_list(in, DATA_PFN, pfns);
	uint32_t len = (uint32_t)(count * sizeof(*pfns));
	struct fake_buf buf = { .addr = w->list };

	for (uint32_t i = 0; i < count; i++) {
		if (pfns[i] < DATA_PFN) /* the rings of this driver are a test of their own */
			pfns[i] += DATA_PFN;
		if (pfns[i] < DEVICE_PAGES && queue == 0)
			w->given[pfns[i]] = true;
	}
	memcpy(fake_guest_at(&w->guest, w->list), pfns, len);
	buf.len_bytes = len - eat(in, 1) % 5; /* often not a list */
	buf.writable = eat(in, 1) % 16 == 0;
	world_send(w, queue, &buf, 1);
}

static void world_report(struct world *w, struct input *in)
{
	struct fake_buf bufs[3];
	unsigned count = 1 + eat(in, 1) % 3;

	for (unsigned i = 0; i < count; i++) {
		uint64_t start =
			pages_to_bytes(DATA_PFN) + eat(in, 3) % (DATA_PAGES * GUEST_PAGE_BYTES);
		uint32_t len = eat(in, 3) % (MIB_BYTES / 2);

		bufs[i] =
			(struct fake_buf){ .addr = GPA(start), .len_bytes = len, .writable = true };
		for (uint64_t pfn = bytes_to_pages(start + GUEST_PAGE_BYTES - 1);
		     pages_to_bytes(pfn + 1) <= start + len && pfn < DEVICE_PAGES; pfn++)
			w->given[pfn] = true;
	}
	world_send(w, 3, bufs, count);
}

static void world_stats(struct world *w, struct input *in)
{
	uint8_t *to = fake_guest_at(&w->guest, w->list);
	uint32_t len = eat(in, 1);
	struct fake_buf buf = { .addr = w->list, .len_bytes = len };

	for (uint32_t i = 0; i < len; i++)
		to[i] = (uint8_t)eat(in, 1);
	world_send(w, 2, &buf, 1);
}

static void world_step(struct world *w, struct input *in)
{
	switch (eat(in, 1) % 8) {
	case 0:
	case 1: world_list(w, in, 0); break;
	case 2: world_list(w, in, 1); break;
	case 3: world_report(w, in); break;
	case 4: world_stats(w, in); break;
	case 5: balloon_poll_stats(w->balloon, 1); break;
	case 6: (void)balloon_set_target(w->balloon, eat(in, 4)); break;
	default: fake_guest_write_config32(&w->guest, eat(in, 1), eat(in, 4)); break;
	}
}

static void world_check(struct world *w)
{
	struct balloon_counters counters;

	balloon_read_counters(w->balloon, &counters);
	require(counters.taken_bytes ==
		pages_to_bytes(counters.inflated_total_pages - counters.deflated_total_pages));
	require(counters.returned_bytes == counters.taken_bytes); /* frames are pages here */
	require(counters.guest_actual_pages <= DEVICE_PAGES && counters.discard_failures == 0);
	for (uint32_t pfn = DATA_PFN; pfn < DATA_PFN + DATA_PAGES; pfn++)
		for (unsigned i = 0; i < PAGE_WORDS && !w->given[pfn]; i += 63)
			require(*word_at(w, pfn, i) == pfn * UINT64_C(0x9e3779b97f4a7c15) + i);
}

static void run_world(struct input *in, uint64_t features)
{
	static struct world w;

	world_init(&w, features);
	for (int i = 0; i < MAX_OPERATIONS && in->left > 0; i++) {
		world_step(&w, in);
		if (!balloon_device(w.balloon)->active)
			break; /* the guest broke its own rings: BL03 */
	}
	world_check(&w);
	fake_guest_fini(&w.guest);
	balloon_destroy(w.balloon);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { .data = data, .left = size };
	uint32_t choices = eat(&in, 1);

	if (choices & 1)
		run_world(&in, BALLOON_F_STATS_VQ | BALLOON_F_REPORTING |
				       ((choices & 2) ? BALLOON_F_MUST_TELL_HOST : 0));
	else
		run_model(&in, choices & 2);
	return 0;
}
