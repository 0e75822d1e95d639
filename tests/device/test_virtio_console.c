/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_virtio_console.c - bytes out, bytes in, each once and in order, whatever the sizes. */
#include "../support/testing.h"

#include <string.h>

#include "base/units.h"
#include "fake_guest.h"
#include "virtio/console.h"

enum { RECEIVE, TRANSMIT };

struct fixture {
	struct fake_guest g;
	struct console *console;
	uint64_t out_bytes;
	uint8_t out_last[4096]; /* the last piece */
	unsigned wanted;
	bool sink_full; /* on_output() refuses */
};

static bool on_output(void *ctx, const void *bytes, size_t len)
{
	struct fixture *f = ctx;

	if (f->sink_full)
		return false;
	assert_true(len > 0 && len <= sizeof(f->out_last));
	memcpy(f->out_last, bytes, len);
	f->out_bytes += len;
	return true;
}

static void on_input_wanted(void *ctx)
{
	((struct fixture *)ctx)->wanted++;
}

static void open_fixture(struct fixture *f, uint16_t cols, uint16_t rows, bool start)
{
	struct ram *ram = fake_ram_open(256 * MIB_BYTES);
	struct console_config config = { .ram = ram,
					 .cols = cols,
					 .rows = rows,
					 .output = on_output,
					 .input_wanted = on_input_wanted,
					 .ctx = f };

	memset(f, 0, sizeof(*f));
	assert_int_equal(console_create(&config, &f->console, NULL), 0);
	fake_guest_init(&f->g, ram, console_device(f->console));
	if (start)
		assert_int_equal(fake_guest_start(&f->g,
						  VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC, 256),
				 15);
}

static void close_fixture(struct fixture *f)
{
	fake_guest_fini(&f->g);
	console_destroy(f->console);
}

static uint32_t reap_one(struct fixture *f, unsigned queue)
{
	uint32_t head, written;

	assert_true(fake_guest_reap(&f->g, queue, &head, &written));
	return written;
}

static void output_comes_out_as_it_was_written(void **state)
{
	static const char text[] = "hello \033[2J\033]0;escape\007 world";
	struct fixture f;

	(void)state;
	open_fixture(&f, 0, 0, true);
	gpa_t at = fake_guest_alloc(&f.g, 4096, 4096);
	const struct fake_buf bufs[] = { { at, 6, false },
					 { GPA(at.addr + 6), sizeof(text) - 6, false } };

	memcpy(fake_guest_at(&f.g, at), text, sizeof(text));
	(void)fake_guest_add(&f.g, TRANSMIT, bufs, 2, FAKE_INDIRECT);
	(void)fake_guest_kick(&f.g, TRANSMIT);
	assert_int_equal(reap_one(&f, TRANSMIT), 0);
	/* CO03: terminal escapes pass; whoever shows them decides. */
	assert_int_equal(f.out_bytes, sizeof(text));
	assert_memory_equal(f.out_last, text, sizeof(text));
	assert_int_equal(fake_guest_interrupt(&f.g), FAKE_INTERRUPT_QUEUE);
	close_fixture(&f);
}

static void CO01_a_gibibyte_of_output_takes_bounded_turns(void **state)
{
	struct fixture f;
	struct fake_buf bufs[256];

	(void)state;
	open_fixture(&f, 0, 0, true);
	gpa_t at = fake_guest_alloc(&f.g, 4 * MIB_BYTES, 4096);

	for (unsigned i = 0; i < ARRAY_LEN(bufs); i++)
		bufs[i] = (struct fake_buf){ at, 4 * MIB_BYTES, false };
	assert_true(fake_guest_add(&f.g, TRANSMIT, bufs, ARRAY_LEN(bufs), FAKE_INDIRECT) >= 0);
	fake_guest_write(&f.g, FAKE_QUEUE_NOTIFY, TRANSMIT);
	for (uint64_t before = 0; fake_guest_run(&f.g, 1) > 0; before = f.out_bytes)
		assert_true(f.out_bytes - before <= CONSOLE_TURN_BYTES);
	assert_int_equal(f.out_bytes, GIB_BYTES);
	assert_int_equal(reap_one(&f, TRANSMIT), 0);
	close_fixture(&f);
}

static void refused_output_waits_in_the_ring_and_comes_once(void **state)
{
	static const char text[] = "said once";
	struct fixture f;

	(void)state;
	open_fixture(&f, 0, 0, true);
	gpa_t at = fake_guest_alloc(&f.g, 4096, 4096);
	const struct fake_buf buf = { at, sizeof(text), false };

	memcpy(fake_guest_at(&f.g, at), text, sizeof(text));
	f.sink_full = true;
	for (unsigned i = 0; i < 3; i++) {
		(void)fake_guest_add(&f.g, TRANSMIT, &buf, 1, FAKE_DIRECT);
		(void)fake_guest_kick(&f.g, TRANSMIT);
	}
	assert_int_equal(f.out_bytes, 0);
	f.sink_full = false;
	console_output_drained(f.console);
	(void)fake_guest_run(&f.g, 1);
	assert_int_equal(f.out_bytes, 3 * sizeof(text));
	assert_memory_equal(f.out_last, text, sizeof(text));
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(reap_one(&f, TRANSMIT), 0);
	close_fixture(&f);
}

static void CO02_empty_and_misdirected_output_is_survived(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, 0, 0, true);
	gpa_t at = fake_guest_alloc(&f.g, 4096, 4096);
	const struct fake_buf empty = { at, 0, false };
	const struct fake_buf both[] = { { at, 16, false }, { at, 16, true } };
	const struct fake_buf writable = { at, 16, true };

	(void)fake_guest_add(&f.g, TRANSMIT, &empty, 1, FAKE_DIRECT);
	(void)fake_guest_add(&f.g, TRANSMIT, both, 2, FAKE_DIRECT);
	(void)fake_guest_add(&f.g, TRANSMIT, &writable, 1, FAKE_DIRECT);
	(void)fake_guest_kick(&f.g, TRANSMIT);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(reap_one(&f, TRANSMIT), 0);
	assert_int_equal(f.out_bytes, 0);
	assert_int_equal(console_device(f.console)->bad_requests, 2);
	assert_int_equal(console_device(f.console)->status, 15);
	close_fixture(&f);
}

static void CO02_a_4_gib_descriptor_is_not_ram_and_breaks_the_device(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, 0, 0, true);
	const struct fake_buf huge = { GPA(0), UINT32_MAX, false };

	(void)fake_guest_add(&f.g, TRANSMIT, &huge, 1, FAKE_DIRECT);
	(void)fake_guest_kick(&f.g, TRANSMIT);
	assert_int_equal(f.out_bytes, 0);
	assert_true(console_device(f.console)->status & VIRTIO_STATUS_NEEDS_RESET);
	close_fixture(&f);
}

static void reset_in_the_middle_of_a_long_output_ends_it(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, 0, 0, true);
	gpa_t at = fake_guest_alloc(&f.g, 4 * MIB_BYTES, 4096);
	const struct fake_buf buf = { at, 4 * MIB_BYTES, false };

	(void)fake_guest_add(&f.g, TRANSMIT, &buf, 1, FAKE_DIRECT);
	fake_guest_write(&f.g, FAKE_QUEUE_NOTIFY, TRANSMIT);
	assert_int_equal(fake_guest_run(&f.g, 1), 1);
	fake_guest_write(&f.g, FAKE_STATUS, 0);
	assert_int_equal(fake_guest_run(&f.g, 100), 0);
	assert_int_equal(f.out_bytes, CONSOLE_TURN_BYTES);
	assert_int_equal(fake_guest_start(&f.g, 0, 8), 15);
	assert_int_equal(f.out_bytes, CONSOLE_TURN_BYTES);
	close_fixture(&f);
}

static void input_fills_buffers_in_order_and_waits_for_more(void **state)
{
	struct fixture f;
	uint8_t typed[CONSOLE_INPUT_BYTES + 1000];
	uint8_t seen[sizeof(typed)];
	size_t seen_bytes = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(typed); i++)
		typed[i] = (uint8_t)(i * 7 + i / 256);
	open_fixture(&f, 0, 0, true);
	/* CO01's other half: a guest that does not read holds no more than this of ours. */
	size_t taken = console_input(f.console, typed, sizeof(typed));

	assert_int_equal(taken, CONSOLE_INPUT_BYTES);
	assert_int_equal(f.wanted, 0);

	gpa_t at = fake_guest_alloc(&f.g, 4096, 4096);

	while (seen_bytes < sizeof(typed)) {
		const struct fake_buf buf = { at, 100, true };

		(void)fake_guest_add(&f.g, RECEIVE, &buf, 1, FAKE_DIRECT);
		(void)fake_guest_kick(&f.g, RECEIVE);
		uint32_t written = reap_one(&f, RECEIVE);

		assert_true(written > 0 && written <= 100);
		memcpy(seen + seen_bytes, fake_guest_at(&f.g, at), written);
		seen_bytes += written;
		if (f.wanted == 1 && taken < sizeof(typed)) {
			taken += console_input(f.console, typed + taken, sizeof(typed) - taken);
			f.wanted = taken < sizeof(typed) ? 0 : 2;
		}
	}
	assert_int_equal(seen_bytes, sizeof(typed));
	assert_memory_equal(seen, typed, sizeof(typed));
	close_fixture(&f);
}

static void input_that_meets_waiting_buffers_passes_its_own_limit(void **state)
{
	struct fixture f;
	static uint8_t typed[5 * CONSOLE_INPUT_BYTES];

	(void)state;
	open_fixture(&f, 0, 0, true);
	for (unsigned i = 0; i < 5; i++) {
		const struct fake_buf buf = { fake_guest_alloc(&f.g, 4096, 4096), 4096, true };

		(void)fake_guest_add(&f.g, RECEIVE, &buf, 1, FAKE_DIRECT);
	}
	assert_int_equal(console_input(f.console, typed, sizeof(typed)), sizeof(typed));
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(reap_one(&f, RECEIVE), 4096);
	assert_int_equal(f.wanted, 0);
	close_fixture(&f);
}

static void what_was_typed_before_the_driver_came_reaches_it(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, 0, 0, false);
	assert_int_equal(console_input(f.console, "early", 5), 5);
	assert_int_equal(fake_guest_start(&f.g, 0, 8), 15);
	const struct fake_buf buf = { fake_guest_alloc(&f.g, 64, 64), 64, true };

	(void)fake_guest_add(&f.g, RECEIVE, &buf, 1, FAKE_DIRECT);
	(void)fake_guest_kick(&f.g, RECEIVE);
	assert_int_equal(reap_one(&f, RECEIVE), 5);
	assert_memory_equal(fake_guest_at(&f.g, buf.addr), "early", 5);
	close_fixture(&f);
}

static void VQ13_a_readable_receive_buffer_is_refused(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, 0, 0, true);
	const struct fake_buf buf = { fake_guest_alloc(&f.g, 64, 64), 64, false };

	(void)fake_guest_add(&f.g, RECEIVE, &buf, 1, FAKE_DIRECT);
	assert_int_equal(console_input(f.console, "x", 1), 1);
	assert_int_equal(reap_one(&f, RECEIVE), 0);
	assert_int_equal(console_device(f.console)->bad_requests, 1);
	close_fixture(&f);
}

static void the_window_size_is_shown_and_follows(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, 80, 25, false);
	assert_int_equal(fake_guest_read(&f.g, FAKE_DEVICE_FEATURES) & CONSOLE_F_SIZE,
			 CONSOLE_F_SIZE);
	assert_int_equal(fake_guest_start(&f.g, CONSOLE_F_SIZE, 8), 15);
	assert_int_equal(fake_guest_read_config32(&f.g, 0), 80 | 25 << 16);
	uint32_t generation = fake_guest_read(&f.g, FAKE_CONFIG_GENERATION);

	console_resize(f.console, 132, 43);
	assert_int_equal(fake_guest_interrupt(&f.g), FAKE_INTERRUPT_CONFIG);
	assert_int_not_equal(fake_guest_read(&f.g, FAKE_CONFIG_GENERATION), generation);
	assert_int_equal(fake_guest_read_config32(&f.g, 0), 132 | 43 << 16);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_comes_out_as_it_was_written),
		cmocka_unit_test(CO01_a_gibibyte_of_output_takes_bounded_turns),
		cmocka_unit_test(refused_output_waits_in_the_ring_and_comes_once),
		cmocka_unit_test(CO02_empty_and_misdirected_output_is_survived),
		cmocka_unit_test(CO02_a_4_gib_descriptor_is_not_ram_and_breaks_the_device),
		cmocka_unit_test(reset_in_the_middle_of_a_long_output_ends_it),
		cmocka_unit_test(input_fills_buffers_in_order_and_waits_for_more),
		cmocka_unit_test(input_that_meets_waiting_buffers_passes_its_own_limit),
		cmocka_unit_test(what_was_typed_before_the_driver_came_reaches_it),
		cmocka_unit_test(VQ13_a_readable_receive_buffer_is_refused),
		cmocka_unit_test(the_window_size_is_shown_and_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
