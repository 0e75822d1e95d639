/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/* test_terminal.c - what the guest says reaches its listeners; what they type reaches the guest. */
#include "../support/testing.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/tty.h"
#include "base/units.h"
#include "machine/terminal.h"

enum { RING_KIB = 256, PATIENCE_MS = 5000, ROOM_BYTES = 4 };

struct fake_guest {
	struct loop io;
	struct terminal *terminal;
	char typed[1024];
	size_t typed_len;
	size_t room; /* how much it takes now */
	unsigned drained;
	bool quit;
};

static size_t on_input(void *ctx, const void *bytes, size_t len)
{
	struct fake_guest *guest = ctx;
	size_t taken = len < guest->room ? len : guest->room;

	memcpy(guest->typed + guest->typed_len, bytes, taken);
	guest->typed_len += taken;
	guest->room -= taken;
	return taken;
}

static void on_drained(void *ctx)
{
	struct fake_guest *guest = ctx;

	guest->drained++;
}

static void on_quit(void *ctx)
{
	struct fake_guest *guest = ctx;

	guest->quit = true;
}

static void start(struct fake_guest *guest, bool foreground)
{
	struct terminal_config config = { .io = &guest->io,
					  .foreground = foreground,
					  .input = on_input,
					  .drained = on_drained,
					  .quit = on_quit,
					  .ctx = guest };

	*guest = (struct fake_guest){ .room = sizeof(guest->typed) };
	assert_int_equal(loop_init(&guest->io, NULL), 0);
	assert_int_equal(terminal_create(&config, &guest->terminal, NULL), 0);
}

static void finish(struct fake_guest *guest)
{
	terminal_destroy(guest->terminal);
	loop_fini(&guest->io);
}

/* Everything that is ready now. */
static void turn(struct fake_guest *guest)
{
	for (int i = 0; i < 20; i++)
		(void)uv_run(&guest->io.uv, UV_RUN_NOWAIT);
}

static int attach(struct fake_guest *guest)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	terminal_attach(guest->terminal, pair[0]);
	return pair[1];
}

static void expect_text(struct fake_guest *guest, int fd, const char *text)
{
	char got[128] = "";
	size_t len = 0;

	while (len < strlen(text)) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		ssize_t part;

		turn(guest);
		assert_true(poll(&ready, 1, PATIENCE_MS) > 0);
		part = read(fd, got + len, sizeof(got) - 1 - len);
		assert_true(part > 0);
		len += (size_t)part;
	}
	assert_string_equal(got, text);
}

static void a_listener_first_sees_what_was_said_before_he_came(void **state)
{
	struct fake_guest guest;
	int fd;

	(void)state;
	start(&guest, false);
	assert_true(terminal_output(guest.terminal, "hello ", 6));
	fd = attach(&guest);
	assert_true(terminal_output(guest.terminal, "world", 5));
	expect_text(&guest, fd, "hello world");
	(void)close(fd);
	finish(&guest);
}

static void two_listeners_see_the_same(void **state)
{
	struct fake_guest guest;
	int first, second;

	(void)state;
	start(&guest, false);
	first = attach(&guest);
	second = attach(&guest);
	assert_true(terminal_output(guest.terminal, "both", 4));
	expect_text(&guest, first, "both");
	expect_text(&guest, second, "both");
	(void)close(first);
	(void)close(second);
	finish(&guest);
}

static void typed_bytes_wait_until_the_guest_has_room(void **state)
{
	struct fake_guest guest;
	int fd;

	(void)state;
	start(&guest, false);
	guest.room = ROOM_BYTES;
	fd = attach(&guest);
	assert_int_equal(write(fd, "abcdefgh", 8), 8);
	turn(&guest);
	assert_int_equal(guest.typed_len, ROOM_BYTES);
	guest.room = ROOM_BYTES;
	terminal_input_wanted(guest.terminal);
	turn(&guest);
	assert_memory_equal(guest.typed, "abcdefgh", 8);
	assert_int_equal(write(fd, "i", 1), 1);
	guest.room = ROOM_BYTES;
	turn(&guest);
	assert_memory_equal(guest.typed, "abcdefghi", 9);
	(void)close(fd);
	finish(&guest);
}

/* What a script does that types a line and leaves: it has not read what the guest said. */
static void what_one_typed_who_left_at_once_reaches_the_guest(void **state)
{
	char text[600]; /* more than is taken at once */
	struct fake_guest guest;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);
	for (unsigned round = 0; round < 12; round++) { /* more than there are places */
		start(&guest, false);
		guest.room = round % 2 ? 0 : sizeof(text);
		fd = attach(&guest);
		assert_true(terminal_output(guest.terminal, "unread", 6));
		turn(&guest);
		assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
		if (round % 3 == 0)
			turn(&guest);
		(void)close(fd);
		turn(&guest);
		while (guest.typed_len < sizeof(text)) {
			size_t before = guest.typed_len;

			assert_true(terminal_output(guest.terminal, "more", 4));
			guest.room = 100;
			terminal_input_wanted(guest.terminal);
			turn(&guest);
			if (guest.typed_len == before)
				fail_msg("%zu of %zu bytes came", before, sizeof(text));
		}
		assert_memory_equal(guest.typed, text, sizeof(text));
		finish(&guest);
	}
}

static void who_types_no_more_still_hears(void **state)
{
	struct fake_guest guest;
	int fd;

	(void)state;
	start(&guest, false);
	for (unsigned round = 0; round < 12; round++) { /* more than there are places */
		fd = attach(&guest);
		assert_int_equal(write(fd, "q", 1), 1);
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		turn(&guest);
		assert_int_equal(guest.typed_len, round + 1);
		if (round == 0) {
			assert_true(terminal_output(guest.terminal, "answer", 6));
			expect_text(&guest, fd, "answer");
		}
		(void)close(fd);
		turn(&guest); /* its place is free, though the guest says nothing */
	}
	fd = attach(&guest);
	expect_text(&guest, fd, "answer");
	(void)close(fd);
	finish(&guest);
}

/* A guest that never reads, and scripts that never stop. */
static void what_nobody_takes_does_not_keep_others_away(void **state)
{
	struct fake_guest guest;
	int fd;

	(void)state;
	start(&guest, false);
	guest.room = 0;
	assert_true(terminal_output(guest.terminal, "here", 4));
	for (unsigned round = 0; round < 40; round++) {
		fd = attach(&guest);
		expect_text(&guest, fd, "here");
		assert_int_equal(write(fd, "typed", 5), 5);
		(void)close(fd);
		turn(&guest);
	}
	finish(&guest);
}

/* CO01: a guest that talks without end to a reader who does not read. */
static void a_listener_who_does_not_read_holds_nobody_up(void **state)
{
	static char block[KIB_BYTES];
	struct fake_guest guest;
	int fd;

	(void)state;
	start(&guest, false);
	fd = attach(&guest);
	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 16 * RING_KIB; i++) {
		assert_true(terminal_output(guest.terminal, block, sizeof(block)));
		if (i % 64 == 0)
			turn(&guest);
	}
	(void)close(fd);
	turn(&guest);
	fd = attach(&guest); /* and the place of the one who left is free again */
	assert_true(terminal_output(guest.terminal, "end", 3));
	turn(&guest);
	(void)close(fd);
	finish(&guest);
}

static void more_listeners_than_places_are_turned_away(void **state)
{
	struct fake_guest guest;
	int fds[12];
	char byte;

	(void)state;
	start(&guest, false);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = attach(&guest);
	assert_int_equal(read(fds[ARRAY_LEN(fds) - 1], &byte, 1), 0); /* closed at once */
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		(void)close(fds[i]);
	finish(&guest);
}

/* In a child, since it is about standard input and output. */
static int stdout_is_never_cut(void)
{
	static char block[KIB_BYTES];
	struct fake_guest guest;
	int out[2], refused_at = -1;
	uint64_t read_bytes = 0, said_bytes = 0;
	char sink[4096];

	if (pipe(out) < 0 || dup2(out[1], STDOUT_FILENO) < 0 ||
	    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO) < 0)
		return 10;
	(void)close(out[1]);
	start(&guest, true);
	for (int i = 0; i < 2 * RING_KIB && refused_at < 0; i++) {
		if (terminal_output(guest.terminal, block, sizeof(block)))
			said_bytes += sizeof(block);
		else
			refused_at = i;
		turn(&guest);
	}
	if (refused_at < 0)
		return 11; /* a reader that does not read must stop the guest, not lose its words */
	(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
	while (read_bytes < said_bytes) {
		ssize_t got = read(out[0], sink, sizeof(sink));

		if (got > 0)
			read_bytes += (uint64_t)got;
		turn(&guest);
	}
	if (guest.drained == 0)
		return 12; /* nobody told the guest to go on */
	finish(&guest);
	return 0;
}

static void standard_output_that_is_not_read_makes_the_guest_wait(void **state)
{
	int status;
	pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(stdout_is_never_cut());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void ctrl_a_commands_are_taken_out_of_what_is_typed(void **state)
{
	struct tty_keys keys = { 0 };
	char first[] = "ab\x01", second[] = "xc\x01\x01"
					    "d\x01q";
	size_t len = 3;

	(void)state;
	assert_int_equal(tty_filter(&keys, first, &len), TTY_NOTHING);
	assert_int_equal(len, 2);
	len = sizeof(second) - 1;
	assert_int_equal(tty_filter(&keys, second, &len), TTY_QUIT);
	assert_int_equal(len, 3);
	assert_memory_equal(second,
			    "c\x01"
			    "d",
			    3);
}

static uint64_t wakes(struct fake_guest *guest)
{
	eventfd_t count = 0;

	(void)eventfd_read(guest->io.wake_fd, &count);
	return count;
}

static void say_bytes(struct fake_guest *guest, const char *text)
{
	for (; *text; text++)
		assert_true(terminal_output(guest->terminal, text, 1));
}

static void nobody_is_woken_for_words_that_nobody_hears(void **state)
{
	struct fake_guest guest;
	int fd;

	(void)state;
	start(&guest, false);
	say_bytes(&guest, "to the wall");
	assert_int_equal(wakes(&guest), 0);
	fd = attach(&guest);
	expect_text(&guest, fd, "to the wall");
	(void)close(fd);
	turn(&guest);
	(void)wakes(&guest);
	say_bytes(&guest, "again");
	assert_int_equal(wakes(&guest), 0);
	finish(&guest);
}

/* Sleeps in the loop, as its thread does. */
static void await_text(struct fake_guest *guest, int fd, const char *text)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	while (poll(&ready, 1, 0) == 0)
		(void)uv_run(&guest->io.uv, UV_RUN_ONCE);
	expect_text(guest, fd, text);
}

static void expect_one_wake(struct fake_guest *guest)
{
	assert_int_equal(wakes(guest), 1);
	assert_int_equal(eventfd_write(guest->io.wake_fd, 1), 0); /* the loop gets it after all */
}

static void a_burst_wakes_once_and_its_first_byte_and_a_whole_line_do_not_wait(void **state)
{
	struct fake_guest guest;
	int fd;

	(void)state;
	start(&guest, false);
	fd = attach(&guest);
	say_bytes(&guest, "h");
	expect_text(&guest, fd, "h");
	(void)wakes(&guest);
	say_bytes(&guest, "ello, ");
	say_bytes(&guest, "world");
	assert_int_equal(wakes(&guest), 0); /* it looks by itself */
	await_text(&guest, fd, "ello, world");
	while (uv_backend_timeout(&guest.io.uv) >= 0)
		(void)uv_run(&guest.io.uv, UV_RUN_ONCE); /* until no timer is left */
	say_bytes(&guest, "good night");
	expect_one_wake(&guest);
	expect_text(&guest, fd, "good night");
	say_bytes(&guest, "!");
	assert_int_equal(wakes(&guest), 0);
	say_bytes(&guest, "\n"); /* a line is whole */
	expect_one_wake(&guest);
	expect_text(&guest, fd, "!\n");
	assert_true(terminal_output(guest.terminal, "sleep well", 10)); /* in one piece */
	expect_one_wake(&guest);
	expect_text(&guest, fd, "sleep well");
	(void)close(fd);
	finish(&guest);
}

static void attach_on_io(void *arg)
{
	int *fds = ((void **)arg)[1];
	struct fake_guest *guest = ((void **)arg)[0];

	fds[0] = attach(guest);
}

static void spin_until(uint64_t at_ns)
{
	while (clock_now_ns() < at_ns)
		;
}

/* The reader waits for a byte as long as it takes: a wake-up that got lost shows at once. */
static void no_byte_is_left_behind_when_writer_and_io_thread_meet(void **state)
{
	enum { BYTES = 2000, PAUSE_TURNS = 4000, LULL_NS = 5000000 };
	struct test_random random = test_random_start();
	struct fake_guest guest;
	int fd = -1;

	(void)state;
	start(&guest, false);
	assert_int_equal(loop_start(&guest.io, "io", NULL), 0);
	loop_call(&guest.io, attach_on_io, (void *[]){ &guest, &fd });
	for (unsigned i = 0; i < BYTES;) {
		unsigned burst = 1 + (unsigned)test_random_below(&random, 8);
		char got[8];
		size_t len = 0;

		if (test_random_below(&random, 4) == 0) /* to where the thread falls asleep */
			spin_until(clock_now_ns() + test_random_below(&random, LULL_NS));
		for (unsigned j = 0; j < burst; j++) {
			volatile uint64_t spin = test_random_below(&random, PAUSE_TURNS);

			while (spin > 0)
				spin--;
			assert_true(terminal_output(guest.terminal, &(char){ (char)(i + j) }, 1));
		}
		while (len < burst) {
			struct pollfd ready = { .fd = fd, .events = POLLIN };

			assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
			len += (size_t)read(fd, got + len, burst - len);
		}
		for (unsigned j = 0; j < burst; j++)
			assert_int_equal(got[j], (char)(i + j));
		i += burst;
	}
	loop_stop(&guest.io);
	loop_join(&guest.io);
	(void)close(fd);
	finish(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listener_first_sees_what_was_said_before_he_came),
		cmocka_unit_test(two_listeners_see_the_same),
		cmocka_unit_test(typed_bytes_wait_until_the_guest_has_room),
		cmocka_unit_test(what_one_typed_who_left_at_once_reaches_the_guest),
		cmocka_unit_test(who_types_no_more_still_hears),
		cmocka_unit_test(what_nobody_takes_does_not_keep_others_away),
		cmocka_unit_test(a_listener_who_does_not_read_holds_nobody_up),
		cmocka_unit_test(more_listeners_than_places_are_turned_away),
		cmocka_unit_test(standard_output_that_is_not_read_makes_the_guest_wait),
		cmocka_unit_test(nobody_is_woken_for_words_that_nobody_hears),
		cmocka_unit_test(
			a_burst_wakes_once_and_its_first_byte_and_a_whole_line_do_not_wait),
		cmocka_unit_test(no_byte_is_left_behind_when_writer_and_io_thread_meet),
		cmocka_unit_test(ctrl_a_commands_are_taken_out_of_what_is_typed),
	};

	(void)signal(SIGPIPE, SIG_IGN); /* as machine_run() does */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
