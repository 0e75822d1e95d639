/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_virtio_rng.c - random bytes come, at a bounded rate, and nothing else does. */
#include "../support/testing.h"

#include <string.h>

#include "base/units.h"
#include "fake_guest.h"
#include "virtio/rng.h"

struct fixture {
	struct fake_guest g;
	struct rng *rng;
};

static uint64_t fake_now_ns;

static uint64_t fake_clock(void)
{
	return fake_now_ns;
}

static void open_fixture(struct fixture *f)
{
	struct ram *ram = fake_ram_open(64 * MIB_BYTES);
	struct rng_config config = { .ram = ram, .now_ns = fake_clock };

	fake_now_ns = NS_PER_S;
	assert_int_equal(rng_create(&config, &f->rng, NULL), 0);
	fake_guest_init(&f->g, ram, rng_device(f->rng));
	assert_int_equal(fake_guest_start(&f->g, VIRTIO_F_EVENT_IDX, 256), 15);
}

static void close_fixture(struct fixture *f)
{
	fake_guest_fini(&f->g);
	rng_destroy(f->rng);
}

/* Bytes written for one request, or -1 when it was not answered. */
static int64_t ask(struct fixture *f, gpa_t at, uint32_t len_bytes)
{
	const struct fake_buf buf = { at, len_bytes, true };
	uint32_t head, written;

	(void)fake_guest_add(&f->g, 0, &buf, 1, FAKE_DIRECT);
	(void)fake_guest_kick(&f->g, 0);
	return fake_guest_reap(&f->g, 0, &head, &written) ? (int64_t)written : -1;
}

static void a_request_is_filled_with_bytes_that_differ(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	gpa_t at = fake_guest_alloc(&f.g, 4096, 4096);
	uint8_t *bytes = fake_guest_at(&f.g, at);

	assert_int_equal(ask(&f, at, 64), 64);
	assert_memory_not_equal(bytes, bytes + 64, 64); /* zeros were there */
	assert_memory_not_equal(bytes, bytes + 32, 32);
	assert_int_equal(bytes[64], 0);
	assert_int_equal(fake_guest_interrupt(&f.g), FAKE_INTERRUPT_QUEUE);
	assert_int_equal(rng_bytes(f.rng), 64);
	close_fixture(&f);
}

static void RN01_a_huge_request_is_capped(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	gpa_t at = fake_guest_alloc(&f.g, 16 * MIB_BYTES, 4096);

	assert_int_equal(ask(&f, at, 16 * MIB_BYTES), RNG_REQUEST_MAX_BYTES);
	close_fixture(&f);
}

static void RN01_requests_beyond_the_rate_wait_and_none_is_lost(void **state)
{
	struct fixture f;
	uint32_t head, written;

	(void)state;
	open_fixture(&f);
	gpa_t at = fake_guest_alloc(&f.g, MIB_BYTES, 4096);

	for (unsigned i = 0; i < RNG_BURST_BYTES / RNG_REQUEST_MAX_BYTES; i++)
		assert_int_equal(ask(&f, at, MIB_BYTES), RNG_REQUEST_MAX_BYTES);
	assert_int_equal(ask(&f, at, 4096), -1);
	assert_true(f.g.stalls > 0);

	fake_now_ns += 5 * NS_PER_MS;
	virtio_mmio_kick(f.g.mmio, 0); /* what the transport's host does after a stall */
	assert_true(fake_guest_reap(&f.g, 0, &head, &written));
	assert_int_equal(written, 4096);
	close_fixture(&f);
}

static void RN01_small_requests_are_limited_in_number(void **state)
{
	struct fixture f;
	unsigned answered = 0;

	(void)state;
	open_fixture(&f);
	gpa_t at = fake_guest_alloc(&f.g, 4096, 4096);

	for (unsigned i = 0; i < 100000; i++) {
		if (ask(&f, at, 1) < 0)
			break;
		answered++;
	}
	assert_int_equal(answered, RNG_BURST_BYTES / RNG_REQUEST_MIN_COST_BYTES);
	close_fixture(&f);
}

static void VQ13_a_readable_or_empty_request_is_refused(void **state)
{
	struct fixture f;
	uint32_t head, written;

	(void)state;
	open_fixture(&f);
	gpa_t at = fake_guest_alloc(&f.g, 4096, 4096);
	const struct fake_buf bufs[] = { { at, 64, false }, { at, 64, true } };

	(void)fake_guest_add(&f.g, 0, bufs, 2, FAKE_DIRECT);
	(void)fake_guest_add(&f.g, 0, bufs, 1, FAKE_DIRECT);
	(void)fake_guest_kick(&f.g, 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(fake_guest_reap(&f.g, 0, &head, &written));
		assert_int_equal(written, 0);
	}
	assert_int_equal(ask(&f, at, 0), 0);
	assert_int_equal(rng_device(f.rng)->bad_requests, 3);
	assert_int_equal(rng_device(f.rng)->status, 15);
	close_fixture(&f);
}

static void without_its_queue_the_device_does_not_start(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	assert_int_equal(fake_guest_negotiate(&f.g, 0), 11);
	assert_int_equal(fake_guest_driver_ok(&f.g), 15 | VIRTIO_STATUS_NEEDS_RESET);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_filled_with_bytes_that_differ),
		cmocka_unit_test(RN01_a_huge_request_is_capped),
		cmocka_unit_test(RN01_requests_beyond_the_rate_wait_and_none_is_lost),
		cmocka_unit_test(RN01_small_requests_are_limited_in_number),
		cmocka_unit_test(VQ13_a_readable_or_empty_request_is_refused),
		cmocka_unit_test(without_its_queue_the_device_does_not_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
