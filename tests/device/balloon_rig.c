/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* balloon_rig.c - see balloon_rig.h. */
#include "../support/hugemount.h"

#include <string.h>

#include "balloon_rig.h"
#include "base/units.h"

enum { PAGE_WORDS = 512, LIST_BYTES = sizeof(uint32_t) * RIG_LIST_PAGES };

uint64_t rig_frame_bytes;
static char pool_dir[HUGEMOUNT_TEXT_BYTES];

void rig_choose_frames(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "2M") == 0) {
		rig_frame_bytes = HUGE_FRAME_BYTES;
		hugemount_make(RIG_POOL_FRAMES, pool_dir);
	} else {
		rig_frame_bytes = GUEST_PAGE_BYTES;
	}
}

static void note_change(void *ctx)
{
	((struct rig *)ctx)->changes++;
}

static void note_busy(void *ctx)
{
	((struct rig *)ctx)->told_busy++;
}

static struct ram *open_ram(void)
{
	bool huge = rig_frame_bytes == HUGE_FRAME_BYTES;
	struct ram_config config = { .ram_bytes = RIG_RAM_BYTES,
				     .frame_bytes = rig_frame_bytes,
				     .hugetlbfs_dir = huge ? pool_dir : NULL };
	struct err err = { 0 };
	struct ram *ram = NULL;

	if (ram_open(&config, &ram, &err))
		fail_msg("%s", err.text);
	return ram;
}

void rig_init(struct rig *rig, uint64_t features)
{
	struct balloon_config config = {
		.features = RIG_ALL_FEATURES, .changed = note_change, .busy = note_busy, .ctx = rig
	};

	memset(rig, 0, sizeof(*rig));
	rig->ram = config.ram = open_ram();
	assert_int_equal(balloon_create(&config, &rig->balloon, NULL), 0);
	fake_guest_init(&rig->guest, rig->ram, balloon_device(rig->balloon));
	assert_int_equal(fake_guest_start(&rig->guest, features, RIG_QUEUE_SIZE), 15);
	rig->list = fake_guest_alloc(&rig->guest, LIST_BYTES, GUEST_PAGE_BYTES);
	/* So that sending a list takes no page of the host. */
	assert_int_equal(ram_back(rig->ram, rig->list, LIST_BYTES), 0);
}

void rig_fini(struct rig *rig)
{
	fake_guest_fini(&rig->guest); /* closes RAM */
	balloon_destroy(rig->balloon);
}

static int setup_with(void **state, uint64_t features)
{
	*state = malloc(sizeof(struct rig));
	rig_init(*state, features);
	return 0;
}

int rig_setup(void **state)
{
	return setup_with(state, RIG_ALL_FEATURES);
}

int rig_setup_without_must_tell(void **state)
{
	return setup_with(state, RIG_ALL_FEATURES & ~BALLOON_F_MUST_TELL_HOST);
}

int rig_setup_without_stats(void **state)
{
	return setup_with(state, RIG_ALL_FEATURES & ~BALLOON_F_STATS_VQ);
}

int rig_teardown(void **state)
{
	rig_fini(*state);
	free(*state);
	return 0;
}

bool rig_on_huge_frames(void)
{
	return rig_frame_bytes == HUGE_FRAME_BYTES;
}

bool rig_send(struct rig *rig, unsigned queue, gpa_t buf, uint32_t len_bytes, bool writable)
{
	struct fake_buf fake = { .addr = buf, .len_bytes = len_bytes, .writable = writable };

	assert_true(fake_guest_add(&rig->guest, queue, &fake, 1, FAKE_DIRECT) >= 0);
	(void)fake_guest_kick(&rig->guest, queue);
	return rig_reap(rig, queue);
}

bool rig_reap(struct rig *rig, unsigned queue)
{
	uint32_t head, written;

	return fake_guest_reap(&rig->guest, queue, &head, &written);
}

bool rig_send_pfns(struct rig *rig, unsigned queue, const uint32_t *pfns, uint32_t count)
{
	assert_true(count <= RIG_LIST_PAGES);
	memcpy(fake_guest_at(&rig->guest, rig->list), pfns, sizeof(*pfns) * count);
	return rig_send(rig, queue, rig->list, (uint32_t)sizeof(*pfns) * count, false);
}

void rig_send_series(struct rig *rig, unsigned queue, uint32_t first, int step, uint32_t count,
		     uint32_t per_request)
{
	uint32_t *pfns = fake_guest_at(&rig->guest, rig->list);

	for (uint32_t sent = 0; sent < count;) {
		uint32_t now = count - sent < per_request ? count - sent : per_request;

		for (uint32_t i = 0; i < now; i++)
			pfns[i] = first + (uint32_t)((int)(sent + i) * step);
		assert_true(rig_send(rig, queue, rig->list, (uint32_t)sizeof(*pfns) * now, false));
		sent += now;
	}
}

struct balloon_counters rig_counters(const struct rig *rig)
{
	struct balloon_counters counters;

	balloon_read_counters(rig->balloon, &counters);
	return counters;
}

uint64_t rig_bad_requests(const struct rig *rig)
{
	return balloon_device(rig->balloon)->bad_requests;
}

bool rig_broken(struct rig *rig)
{
	return fake_guest_read(&rig->guest, FAKE_STATUS) & VIRTIO_STATUS_NEEDS_RESET;
}

static uint64_t *page_at(struct rig *rig, uint32_t pfn)
{
	return fake_guest_at(&rig->guest, GPA(pages_to_bytes(pfn)));
}

void rig_fill(struct rig *rig, uint32_t first_pfn, uint32_t count)
{
	assert_int_equal(ram_back(rig->ram, GPA(pages_to_bytes(first_pfn)), pages_to_bytes(count)),
			 0);
	for (uint32_t pfn = first_pfn; pfn < first_pfn + count; pfn++)
		for (unsigned i = 0; i < PAGE_WORDS; i++)
			page_at(rig, pfn)[i] = (uint64_t)pfn << 32 | (i + 1);
}

bool rig_page_intact(struct rig *rig, uint32_t pfn)
{
	for (unsigned i = 0; i < PAGE_WORDS; i++)
		if (page_at(rig, pfn)[i] != ((uint64_t)pfn << 32 | (i + 1)))
			return false;
	return true;
}

bool rig_page_zero(struct rig *rig, uint32_t pfn)
{
	for (unsigned i = 0; i < PAGE_WORDS; i++)
		if (page_at(rig, pfn)[i])
			return false;
	return true;
}
