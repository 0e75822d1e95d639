/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_virtq.c - rings and chains of an obedient driver: what must work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "base/units.h"
#include "echo_device.h"

static void setup(struct fake_guest *g, struct echo *echo, uint64_t features, uint16_t num)
{
	struct ram *ram = fake_ram_open(64 * MIB_BYTES);

	echo_init(echo, ram);
	fake_guest_init(g, ram, &echo->vdev);
	assert_int_equal(fake_guest_start(g, features, num), 15);
}

static void echo_once(struct fake_guest *g, enum fake_layout layout)
{
	static const char text[] = "seven bytes and a few more";
	gpa_t from = fake_guest_alloc(g, 4096, 4096), to = fake_guest_alloc(g, 4096, 4096);
	uint32_t head, written;

	memcpy(fake_guest_at(g, from), text, sizeof(text));
	const struct fake_buf bufs[] = {
		{ from, 10, false },
		{ GPA(from.addr + 10), sizeof(text) - 10, false },
		{ to, 5, true },
		{ GPA(to.addr + 5), 100, true },
	};
	int added = fake_guest_add(g, 0, bufs, 4, layout);

	assert_true(added >= 0);
	(void)fake_guest_kick(g, 0);
	assert_true(fake_guest_reap(g, 0, &head, &written));
	assert_int_equal(head, added);
	assert_int_equal(written, sizeof(text));
	assert_memory_equal(fake_guest_at(g, to), text, sizeof(text));
	assert_false(fake_guest_reap(g, 0, &head, &written));
}

static void chains_come_back_with_their_data(void **state)
{
	static const uint64_t features[] = { 0, VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC,
					     VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC };

	(void)state;
	for (unsigned f = 0; f < ARRAY_LEN(features); f++) {
		struct fake_guest g;
		struct echo echo;

		setup(&g, &echo, features[f], 8);
		for (unsigned i = 0; i < 70000; i++) {
			g.next_alloc = 0x100000; /* reuse: 64 MiB would not do */
			echo_once(&g, FAKE_DIRECT);
			if (features[f] & VIRTIO_F_INDIRECT_DESC) {
				echo_once(&g, FAKE_INDIRECT);
				echo_once(&g, FAKE_MIXED);
			}
		}
		assert_int_equal(echo.vdev.breaks, 0);
		fake_guest_fini(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_come_back_with_their_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
